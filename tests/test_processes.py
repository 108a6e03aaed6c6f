"""Every solver and estimator in other processes and threads, after a solve in this one.

A forked process has one of the parent's threads, while the pools of OpenMP count on
all of them: without precautions the first parallel region of a worker never ends.
`main` runs in a process of its own, which knows what ran before the fork.
"""

import inspect
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator

from sparseopt import completion, datasets, linear_model, ot, prox

# Where a worker hangs, this ends the program; all cases take a few seconds.
TIME_LIMIT = 240
HERE = Path(__file__)
TWO = {"n_threads": 2}  # asked for, whatever a worker would choose


@cache
def clouds():
    # costs below half a million are left to one thread
    return datasets.make_clouds(800, 700, random_state=0).C


@cache
def ratings():
    return datasets.make_low_rank(400, 300, 2, oversampling=5, random_state=0).X


@cache
def regression():
    return datasets.make_sparse_regression(60, 1000, 4, random_state=0)


@cache
def vector():
    # vectors up to two million are left to one thread
    return np.random.default_rng(0).standard_normal(2_000_100)


def datafit():
    return linear_model.LeastSquares(regression().X, regression().y, fit_intercept=True)


def transported(method, n):
    return lambda: (
        ot.solve(clouds()[:n], reg=0.1, reg_relative=True, method=method, **TWO).plan
    )


def operator(function, *args):
    return lambda: function(vector(), *args, **TWO)


def completed(function, *args, **options):
    return lambda: function(ratings(), *args, **options, **TWO).V


def factorized(estimator, **options):
    def run():
        model = estimator(random_state=0, **options).fit(ratings())
        return model.recommend(np.arange(5), 3)[1]

    return run


def imputed():
    table = ratings()[:100, :20].toarray()
    table[table == 0] = np.nan
    table[0] = 1.0  # every column has a value
    table = table[~np.isnan(table).all(1)]
    return completion.LowRankImputer(2, random_state=0).fit_transform(table)


def entries():
    with tempfile.TemporaryDirectory() as folder:
        completion.entries_from_chunks([ratings()], folder, **TWO)
        opened = completion.open_entries(folder, **TWO)
        return completion.complete(opened, 2, random_state=0, **TWO).V


def fitted(estimator, *, classes=False, times=False, **options):
    def run():
        X, y = regression().X, regression().y
        if classes:
            y = y > np.median(y)
        if times:
            y = np.column_stack((np.exp(y / np.ptp(y)), np.ones_like(y)))
        return estimator(**options).fit(X, y).coef_

    return run


def mapped():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(300, 3)), rng.normal(size=(250, 3))
    return ot.SinkhornTransport(reg=0.1, **TWO).fit(source, Xt=target).coupling_


CV = {"cv": 2, "n_lams": 3, "eps": 0.3}
SUBSETS = {"cv": 2, "k": [2, 4], "lam": [1.0]}
CASES = {
    **{
        f"ot.solve, {method}": transported(method, n)
        for method, n in {"auto": 800, "sns": 800, "sinkhorn": 800, "ssns": 50}.items()
    },
    "ot.SinkhornTransport": mapped,
    "prox.project_capped_simplex": operator(prox.project_capped_simplex, 9.0),
    "prox.project_ksupport_ball": operator(prox.project_ksupport_ball, 1000, 10.0),
    "prox.project_l1_ball": operator(prox.project_l1_ball, 1000.0),
    "prox.project_simplex": operator(prox.project_simplex, 1000.0),
    "prox.prox_box_norm": operator(prox.prox_box_norm, 0.1, 1.0, 3e5, 0.5),
    "prox.prox_ksupport": operator(prox.prox_ksupport, 1000, 0.5),
    "prox.prox_wgsef": operator(prox.prox_wgsef, 1000, 0.5),
    "prox.prox_wgsef, groups": lambda: prox.prox_wgsef(
        vector(), 1000, 0.5, groups=5, **TWO
    ),
    "prox.prox_tv2d": lambda: prox.prox_tv2d(vector()[:4900].reshape(70, 70), 0.3),
    "prox.prox_trend_filter": lambda: prox.prox_trend_filter(vector()[:1000], 0.3, 2),
    "linear_model.minimize_composite": lambda: (
        linear_model.minimize_composite(datafit(), prox.L1(0.2), **TWO).coef
    ),
    "linear_model.path": lambda: (
        linear_model.path(datafit(), prox.L1(), n_lams=3, eps=0.3, **TWO).coef
    ),
    "linear_model.best_subset": lambda: linear_model.best_subset(datafit(), 4).coef,
    **{
        f"linear_model.{name}": fitted(getattr(linear_model, name), **options)
        for name, options in {
            "ProximalRegressor": {},
            "ProximalClassifier": {"classes": True},
            "ProximalCox": {"times": True},
            "ProximalCoxCV": {"times": True, **CV},
            "ProximalRegressorCV": CV,
            "ProximalClassifierCV": {"classes": True, **CV},
            "SparseEnvelopeRegressor": {"k": 4},
            "SparseEnvelopeClassifier": {"k": 4, "classes": True},
            "SparseEnvelopeRegressorCV": SUBSETS,
            "SparseEnvelopeClassifierCV": {"classes": True, **SUBSETS},
        }.items()
    },
    "completion.complete": completed(completion.complete, 2, random_state=0),
    **{
        f"completion.alternating_minimization, {row_solver}": completed(
            completion.alternating_minimization,
            2,
            random_state=0,
            row_solver=row_solver,
        )
        for row_solver in ("sketch", "cholesky")
    },
    "completion.soft_impute": completed(completion.soft_impute, 50.0, random_state=0),
    "completion.entries_from_chunks": entries,
    "completion.open_entries": entries,
    "completion.MatrixFactorizer": factorized(
        completion.MatrixFactorizer, n_components=2, **TWO
    ),
    "completion.MatrixFactorizerCV": factorized(
        completion.MatrixFactorizerCV, n_components=[2], alpha=[0.1], cv=2, **TWO
    ),
    "completion.LowRankImputer": imputed,
}

ONE_OF_EACH_FAMILY = [
    "ot.solve, auto",
    "prox.project_ksupport_ball",
    "linear_model.path",
    "completion.MatrixFactorizer",
]


def public_solvers():
    """Estimators, and functions that use threads or iterate for long."""
    for family in (ot, prox, linear_model, completion):
        for name in family.__all__:
            value = getattr(family, name)
            if inspect.isclass(value):
                found = issubclass(value, BaseEstimator)
            else:
                options = inspect.signature(value).parameters
                found = bool({"n_threads", "max_iter"} & {*options})
            if found:
                yield f"{family.__name__.removeprefix('sparseopt.')}.{name}"


def run(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # small problems, few iterations
        return np.asarray(CASES[name](), dtype=float)


def transport():
    """A result whose plan is not made yet, with a number of threads of its own."""
    return ot.solve(clouds(), reg=0.1, reg_relative=True, **TWO)


def plan_of(result):
    return result.plan


def plan_in_thread(result):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(plan_of, result).result()


def main(method):
    made = transport()
    names = [*CASES] if method == "fork" else ONE_OF_EACH_FAMILY
    expected = {name: run(name) for name in names}
    plan = transport().plan
    later = []
    if method == "threads":
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(run, names))
    elif method == "loky":
        work = (joblib.delayed(run)(name) for name in names)
        found = joblib.Parallel(2, backend="loky")(work)
    else:
        n_workers = 2 if method == "fork" else 1  # the others import everything anew
        with multiprocessing.get_context(method).Pool(n_workers) as pool:
            found = pool.map(run, names, chunksize=1)
        if method == "fork":
            later = forked(made)
    for name, result in zip(names, found, strict=True):
        # another number of threads of BLAS, and 1e-4 is the tolerance of estimators
        atol = 1e-3 * np.abs(expected[name]).max()
        np.testing.assert_allclose(result, expected[name], atol=atol, err_msg=name)
    for result in later:
        np.testing.assert_allclose(result, plan, rtol=1e-9)
    assert run("ot.solve, auto").shape == plan.shape  # here, again


def forked(made):
    """Plans of an object that came with the fork, and not by pickle."""
    context = multiprocessing.get_context("fork")
    results = []
    for job in (plan_of, plan_in_thread):
        receiver, sender = context.Pipe(duplex=False)
        worker = context.Process(
            target=lambda s=sender, job=job: s.send(job(made)), daemon=True
        )
        worker.start()
        results.append(receiver.recv())
        worker.join()
    return results


def test_every_solver_is_among_the_cases():
    assert {*public_solvers()} == {name.partition(",")[0] for name in CASES}


@pytest.mark.parametrize(
    "method", [*multiprocessing.get_all_start_methods(), "loky", "threads"]
)
def test_workers_end_with_the_right_answer(method):
    program = f"import {HERE.stem}; {HERE.stem}.main({method!r})"
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=HERE.parent,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, errors = parent.communicate(timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(parent.pid, signal.SIGKILL)  # its workers too
        parent.wait()
        raise
    assert parent.returncode == 0, errors
