"""Completion problems, and the packages that solve them, as timed calls."""

import importlib
from functools import partial

import _harness as h
import numpy as np
from scipy import sparse

from sparseopt.completion import MatrixFactorizer, complete
from sparseopt.datasets import make_low_rank

# Sweeps that peers are tried with: the fewest that reach the target count.
SWEEPS = (4, 6, 8, 10, 12, 15, 20, 25, 30, 40, 60)


def recovery_problems(quick):
    """The two problems of the recovery bars."""
    if quick:
        return [make_low_rank(800, 600, 10, oversampling=5, random_state=0)]
    return [
        make_low_rank(5000, 3000, 20, oversampling=5, random_state=0),
        make_low_rank(3000, 2000, 50, oversampling=4, random_state=0),
    ]


def error(problem, factors):
    """Relative error at all entries of a pair of factors."""
    return problem.relative_error(*factors)


# -- solvers: functions of (problem, sweeps) that return a call ------------------------


def ours(problem, target):
    """Our default, told the error that is asked for at the observed entries."""
    k = len(problem.s)

    def call():
        result = complete(problem.X, k, tol=target, tol_obj=0.0, n_threads=1)
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


def fewest_sweeps(make, problem, target, limit):
    """Outcome of the peer's fastest call that reaches the target.

    `make(problem, sweeps)` gives a call that returns factors.
    """
    best = None
    for sweeps in SWEEPS:
        call = make(problem, sweeps)
        factors, seconds = h.timed(call)
        found = error(problem, factors)
        if best is None or found < best[0]:
            best = found, seconds, sweeps, call
        if found <= target or seconds > limit:
            break
    return best


def race_recovery(problem, target, peers, limit):
    """Seconds of our call and of the peers', at equal error."""
    rows = []
    call = ours(problem, 0.3 * target)
    found = error(problem, call())
    rows.append(("sparseopt", "", found, call))
    for name, makes in peers.items():
        if h.version("cmfrec") is None:
            rows.append((name, "", np.nan, None))
            continue
        tried = [
            (label, *fewest_sweeps(make, problem, target, limit))
            for label, make in makes.items()
        ]
        reached = [row for row in tried if row[1] <= target]
        if reached:
            label, found, _, sweeps, call = min(reached, key=lambda row: row[2])
        else:  # the most accurate one
            label, found, _, sweeps, call = min(tried, key=lambda row: row[1])
        rows.append((name, f"{label}, {sweeps} sweeps", found, call))
    ready = [row for row in rows if row[3] is not None]
    times = iter(h.interleave([row[3] for row in ready], 5, limit))
    outcomes = []
    for name, variant, found, call in rows:
        seconds = float(np.median(next(times))) if call is not None else np.nan
        status = "ok" if found <= target else "fails"
        if call is None:
            status = "not installed"
        outcomes.append(
            h.Outcome(problem.name, name, status, variant, seconds, error=found)
        )
    return outcomes


CG = {
    f"{steps} steps": partial(cmfrec, cg_steps=steps, lam=1e-6) for steps in (2, 3, 5)
}
CHOLESKY = {"Cholesky": partial(cmfrec, lam=1e-12)}


# -- dense tables ---------------------------------------------------------------------


def dense_problem(quick):
    """Table with NaN of which 9 % is observed, and its truth."""
    m, n, k = (300, 240, 4) if quick else (1000, 800, 8)
    problem = make_low_rank(m, n, k, oversampling=5, random_state=0)
    rows, cols = problem.X.tocoo().coords
    X = np.full((m, n), np.nan)
    X[rows, cols] = problem.X.data
    return X, (problem.U * problem.s) @ problem.V.T, k


def fancyimpute(name, X, k):
    """SoftImpute or IterativeSVD as they are."""
    package = importlib.import_module("fancyimpute")
    if name == "SoftImpute":
        return lambda: package.SoftImpute(verbose=False).fit_transform(X)
    return lambda: package.IterativeSVD(rank=k, verbose=False).fit_transform(X)


# -- ratings --------------------------------------------------------------------------


def rmse(predicted, values):
    """Root mean square of the errors."""
    return float(np.sqrt(np.mean(np.square(np.asarray(predicted) - values))))


def fit_ours(train, shape, **options):
    """Our factorizer in float32, and its predictor."""
    rows, cols, values = train
    model = MatrixFactorizer(**options, n_threads=1)
    model.fit_ratings(rows, cols, values.astype(np.float32), shape=shape)
    return model.predict


def fit_cmfrec(train, shape, k, lam, sweeps):
    """The collective matrix factorisation with biases, in float32."""
    package = importlib.import_module("cmfrec")
    rows, cols, values = train
    X = sparse.coo_matrix((values.astype(np.float32), (rows, cols)), shape=shape)
    model = package.CMF(
        k=k, lambda_=lam, niter=sweeps, nthreads=1, use_float=True, verbose=False
    ).fit(X)
    return model.predict


def fit_surprise(train, shape, k, reg, epochs):
    """Stochastic gradient factorisation with biases."""
    package = importlib.import_module("surprise")
    rows, cols, values = train
    frame = importlib.import_module("pandas").DataFrame(
        {"user": rows, "item": cols, "rating": values}
    )
    scale = package.Reader(rating_scale=(values.min(), values.max()))
    data = package.Dataset.load_from_df(frame, scale).build_full_trainset()
    model = package.SVD(n_factors=k, n_epochs=epochs, reg_all=reg, random_state=0)
    model.fit(data)

    def predict(rows, cols):
        return [model.predict(i, j).est for i, j in zip(rows, cols, strict=True)]

    return predict
