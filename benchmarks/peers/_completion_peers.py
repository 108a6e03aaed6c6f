"""Completion problems, and the packages that solve them, as timed calls."""

import importlib
import math
from dataclasses import replace
from functools import partial

import _harness as h
import numpy as np
from scipy import sparse

from sparseopt.completion import complete
from sparseopt.datasets import make_low_rank

# Parts of the target error that our tolerance, at the observed entries, is tried with.
SCALES = (1.0, 0.5, 0.3, 0.1)
# Iterations of peers: the search ends there, or after so many runs.
MOST, RUNS = 1000, 7


# -- equal accuracy -------------------------------------------------------------------


def fewest(name, make, error, target, limit, start):
    """Outcome of one run of a solver that has iterations in place of a tolerance.

    `make(count)` gives the call of so many iterations. The fewest that reach the target
    are found from the errors of two short runs, which fall by equal factors; no run is
    meant to take more than `limit` seconds.
    """
    runs = {}
    guess = start[0]
    while guess is not None and len(runs) < RUNS:
        answer, seconds = h.timed(make(guess))
        runs[guess] = float(error(answer)), seconds
        guess = _next_count(runs, target, limit, start)
    reached = [count for count, run in runs.items() if run[0] <= target]
    count = min(reached) if reached else max(runs)
    found, seconds = runs[count]
    # what another run could still do within the limit was too little
    status = "ok" if reached else "fails"
    if not reached and _room(runs, limit) <= 1.1 * count:
        status = "over limit"
    return h.Outcome(
        name, "", status, "", seconds, error=found, runs=1, info={"iterations": count}
    )


def _room(runs, limit):
    count = max(runs)
    return int(limit * count / runs[count][1])


def _next_count(runs, target, limit, start):
    """Iterations to try next, None to stop."""
    if len(runs) == 1:
        return start[1]
    reached = [count for count in runs if runs[count][0] <= target]
    if reached:
        less = min(reached) - 1
        failed = max((c for c in runs if c < less + 1), default=0)
        if failed == less or less < 1:
            return None
        # far from the last failure go half-way, close to it step by step
        return less if less - failed < 3 else (failed + less + 1) // 2
    low, high = sorted(runs)[-2:]
    rate = math.log(runs[high][0] / runs[low][0]) / (high - low)
    most = min(MOST, _room(runs, limit))
    if rate > -1e-3 or most <= 1.1 * high:  # it stalls, or takes too long
        return None
    step = math.log(target / runs[high][0]) / rate
    return int(min(max(high + math.ceil(step), high + 1), most))


def best_variant(candidate, package, name, makes, error, target, limit, start):
    """Fastest variant of a peer that reaches the target, else the most accurate one."""
    if h.version(package) is None:
        return h.Outcome(name, candidate, "not installed")
    found = []
    for label, make in makes.items():
        outcome = fewest(name, make, error, target, limit, start)
        count = outcome.info["iterations"]
        changes = {
            "candidate": candidate,
            "variant": f"{label}, {count} iterations",
            "call": make(count),
        }
        found.append(replace(outcome, **changes))
    ok = [outcome for outcome in found if outcome.status == "ok"]
    if ok:
        return min(ok, key=lambda o: o.seconds)
    return min(found, key=lambda o: o.error)


def our_best(name, make, error, target):
    """Our call with the loosest tolerance that reaches the target."""
    for scale in SCALES:
        call = make(scale * target)
        found = float(error(call()))
        if found <= target:
            break
    status = "ok" if found <= target else "fails"
    variant = f"tol {scale * target:.0e}"
    return h.Outcome(name, "sparseopt", status, variant, error=found, call=call)


def race(outcomes, limit):
    """`race` of the harness for ours and the peers that got there."""
    return h.race(outcomes, repeats=5, budget=limit)


def show(outcomes, title):
    """Table of one comparison; ratios are to our time."""
    unit = outcomes[0].seconds
    rows = [
        (
            o.candidate,
            o.variant,
            h.number(o.seconds, 4),
            h.number(o.seconds / unit),
            h.number(o.error, 4),
            o.status,
        )
        for o in outcomes
    ]
    print(title)
    h.print_table(("solver", "variant", "seconds", "ratio", "error", "status"), rows)


def bar(name, least, ours, peer):
    """Bar on how many times longer a peer takes, at least where it never gets there."""
    target = f">= {least}x"
    if ours.status != "ok":
        return h.Bar(name, target, f"ours {ours.status}", False)
    if peer.status == "not installed":
        return h.Bar(name, target, "not installed", False)
    ratio = peer.seconds / ours.seconds
    text = f"{ratio:.1f}x"
    if peer.status == "over limit":
        text = f">= {text} (stopped at {peer.error:.1e})"
    elif peer.status == "fails":
        text = f"never (stops at {peer.error:.1e} after {text})"
    return h.Bar(name, target, text, peer.status == "fails" or ratio >= least)


# -- exact recovery -------------------------------------------------------------------


def recovery_problems(quick):
    """The two problems of the recovery bars."""
    if quick:
        return [make_low_rank(800, 600, 10, oversampling=5, random_state=0)]
    return [
        make_low_rank(5000, 3000, 20, oversampling=5, random_state=0),
        make_low_rank(3000, 2000, 50, oversampling=4, random_state=0),
    ]


def ours(problem, tol):
    """Our default, told the error that is asked for at the observed entries."""
    k = len(problem.s)

    def call():
        result = complete(problem.X, k, tol=tol, tol_obj=0.0, n_threads=1)
        return result.U * result.s, result.V

    return call


def cmfrec(problem, sweeps, cg_steps=None, lam=1e-6):
    """Alternating least squares without biases; Cholesky where there are no steps."""
    package = importlib.import_module("cmfrec")
    X = problem.X.tocoo()
    X = sparse.coo_matrix((X.data, X.coords), shape=X.shape)

    def call():
        model = package.CMF(
            k=len(problem.s),
            lambda_=lam,
            method="als",
            use_cg=cg_steps is not None,
            max_cg_steps=cg_steps or 3,
            finalize_chol=False,
            user_bias=False,
            item_bias=False,
            center=False,
            niter=sweeps,
            nthreads=1,
            use_float=False,
            precompute_for_predictions=False,
        ).fit(X)
        return model.A_, model.B_

    return call


CG = {
    f"{steps} steps": partial(cmfrec, cg_steps=steps, lam=1e-6) for steps in (2, 3, 5)
}
CHOLESKY = {"lambda 1e-12": partial(cmfrec, lam=1e-12)}


def race_recovery(problem, target, candidate, makes, limit):
    """Outcomes of our call and of the peer's best, at equal error."""
    name = f"{problem.name}, to {target:.0e}"

    def error(factors):
        return problem.relative_error(*factors)

    own = our_best(name, partial(ours, problem), error, target)
    makes = {label: partial(make, problem) for label, make in makes.items()}
    start = (8, 12) if "CG" in candidate else (4, 8)
    peer = best_variant(candidate, "cmfrec", name, makes, error, target, limit, start)
    return race([own, peer], limit)


# -- dense tables ---------------------------------------------------------------------


def dense_problem(quick):
    """Table with NaN of which 9 % is observed, and its truth."""
    m, n, k = (300, 240, 4) if quick else (1000, 800, 8)
    problem = make_low_rank(m, n, k, oversampling=5, random_state=0)
    rows, cols = problem.X.tocoo().coords
    X = np.full((m, n), np.nan)
    X[rows, cols] = problem.X.data
    return X, (problem.U * problem.s) @ problem.V.T, k


def _check_array(X, force_all_finite=True):
    """What fancyimpute 0.7 calls by a name that scikit-learn has given up."""
    validation = importlib.import_module("sklearn.utils")
    return validation.check_array(X, ensure_all_finite=force_all_finite)


def fancyimpute(name, X, k, iterations):
    """SoftImpute or IterativeSVD told the rank, without a threshold of their own.

    With the default shrinkage, a 50th of the first singular value, SoftImpute ends far
    from the truth; here it is small enough for the target.
    """
    package = importlib.import_module("fancyimpute")
    for module in ("solver", "soft_impute", "iterative_svd"):
        part = importlib.import_module(f"fancyimpute.{module}")
        part.check_array = _check_array
    options = {"max_iters": iterations, "convergence_threshold": 0.0, "verbose": False}
    if name == "SoftImpute":
        tiny = 1e-5 * np.linalg.norm(np.nan_to_num(X), 2)
        model = package.SoftImpute(max_rank=k, shrinkage_value=tiny, **options)
    else:
        algorithm = name.partition(" ")[2] or "arpack"
        model = package.IterativeSVD(rank=k, svd_algorithm=algorithm, **options)
    return lambda: model.fit_transform(X)
