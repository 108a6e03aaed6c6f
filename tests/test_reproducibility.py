"""Same seed, same bytes: in every run, for any number of threads, in any thread.

A family adds a row to ``CASES`` for each function that draws random numbers or uses
threads: a callable of the seed and the number of threads that returns arrays. Problems
have to be large enough that two threads are really used.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from scipy import sparse

from sparseopt import completion, datasets, linear_model, ot, prox

Arrays = tuple[np.ndarray, ...]
Case = Callable[[int, int], Arrays]


def _transport(method: str, dtype: type) -> Case:
    reg = 0.1 if method == "ssns" else 0.01  # it factorises, slowly for dense plans

    def case(seed: int, n_threads: int) -> Arrays:
        C = datasets.make_clouds(300, 260, random_state=seed).C.astype(dtype)
        result = ot.solve(
            C, reg=reg, reg_relative=True, method=method, n_threads=n_threads
        )
        return *result.potentials, result.plan, result.sparse_plan.data

    return case


def _mapped(seed: int, n_threads: int) -> Arrays:
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(200, 3)), rng.normal(size=(150, 3))
    mover = ot.SinkhornTransport(reg=0.1, n_threads=n_threads).fit(source, Xt=target)
    return mover.coupling_, mover.transform(source + 0.1)


def _linear(layout: Callable) -> Case:
    def case(seed: int, n_threads: int) -> Arrays:
        problem = datasets.make_sparse_regression(60, 3000, 5, random_state=seed)
        datafit = linear_model.LeastSquares(
            layout(problem.X), problem.y, fit_intercept=True
        )
        one = linear_model.minimize_composite(
            datafit, prox.L1(0.2), n_threads=n_threads
        )
        many = linear_model.path(
            datafit, prox.L1(), n_lams=3, eps=0.3, n_threads=n_threads
        )
        return one.coef, one.dual, many.coef

    return case


def _completed(function: Callable, **options) -> Case:
    def case(seed: int, n_threads: int) -> Arrays:
        problem = datasets.make_low_rank(
            600, 500, 4, oversampling=10, random_state=seed
        )
        result = function(
            problem.X, 4, random_state=seed, n_threads=n_threads, **options
        )
        return result.U, result.s, result.V

    return case


@cache
def _long(seed: int) -> np.ndarray:
    # vectors up to two million are left to one thread
    return np.random.default_rng(seed).standard_normal(2_000_100)


def _operator(function: Callable, *args, dtype: type = np.float64, **options) -> Case:
    def case(seed: int, n_threads: int) -> Arrays:
        x = _long(seed).astype(dtype)
        return (function(x, *args, out=x, n_threads=n_threads, **options),)

    return case


def _stochastic(solver: str) -> Case:
    """Other orders of the samples of one problem."""

    def case(seed: int, n_threads: int) -> Arrays:
        problem = datasets.make_sparse_regression(400, 20, 5, random_state=0)
        options = {"solver": solver, "tol": 1e-4, "n_threads": n_threads}
        result = linear_model.minimize_composite(
            linear_model.LeastSquares(problem.X, problem.y),
            prox.L1(0.05),
            random_state=seed,
            **options,
        )
        return (result.coef,)

    return case


def _best_subset(seed: int, _: int) -> Arrays:
    problem = datasets.make_sparse_regression(60, 300, 5, random_state=seed)
    datafit = linear_model.LeastSquares(problem.X, problem.y, fit_intercept=True)
    result = linear_model.best_subset(datafit, 5)
    return result.coef, result.support


def _chosen(estimator: Callable, names: tuple[str, ...], **options) -> Case:
    """Folds in parallel, where other families have threads."""

    def case(seed: int, n_jobs: int) -> Arrays:
        problem = datasets.make_sparse_regression(50, 20, 4, random_state=seed)
        model = estimator(cv=3, n_jobs=n_jobs, **options).fit(problem.X, problem.y)
        return tuple(np.asarray(getattr(model, name)) for name in ("coef_", *names))

    return case


CASES: dict[str, Case] = {
    "completion.complete": _completed(completion.complete),
    "completion.complete, mixed": _completed(completion.complete, precision="mixed"),
    "completion.alternating_minimization, sketch": _completed(
        completion.alternating_minimization, row_solver="sketch"
    ),
    "completion.alternating_minimization, cholesky": _completed(
        completion.alternating_minimization, row_solver="cholesky"
    ),
    "completion.soft_impute": _completed(
        lambda X, _, **options: completion.soft_impute(X, 2e3, tol=1e-3, **options)
    ),
    "datasets.make_assignment": lambda seed, _: (
        datasets.make_assignment(50, random_state=seed).C,
    ),
    "datasets.make_clouds": lambda seed, _: (
        datasets.make_clouds(50, 60, random_state=seed).C,
    ),
    "datasets.make_sparse_regression": lambda seed, _: (
        datasets.make_sparse_regression(50, 20, 4, random_state=seed).X,
    ),
    "datasets.make_piecewise_constant": lambda seed, _: (
        datasets.make_piecewise_constant(50, random_state=seed)
    ),
    "linear_model.SparseEnvelopeRegressorCV": _chosen(
        linear_model.SparseEnvelopeRegressorCV, ("k_", "lam_"), k=[2, 4], lam=[0.1, 1]
    ),
    "linear_model.ProximalRegressorCV": _chosen(
        linear_model.ProximalRegressorCV, ("lam_",), n_lams=5, eps=0.1
    ),
    "linear_model.best_subset": _best_subset,
    "linear_model, saga": _stochastic("saga"),
    "linear_model, prox_svrg": _stochastic("prox_svrg"),
    "linear_model, rows": _linear(np.ascontiguousarray),
    "linear_model, columns": _linear(np.asfortranarray),
    "linear_model, sparse": _linear(sparse.csc_array),
    "ot.SinkhornTransport": _mapped,
    "prox.project_capped_simplex": _operator(
        prox.project_capped_simplex, 1000.0, upper=1.0
    ),
    "prox.project_ksupport_ball": _operator(prox.project_ksupport_ball, 1000, 10.0),
    "prox.project_l1_ball": _operator(prox.project_l1_ball, 1000.0),
    "prox.project_simplex": _operator(prox.project_simplex, 1000.0),
    "prox.prox_box_norm": _operator(prox.prox_box_norm, 0.1, 1.0, 3e5, 0.5),
    "prox.prox_ksupport": _operator(prox.prox_ksupport, 1000, 0.5),
    "prox.prox_wgsef": _operator(prox.prox_wgsef, 1000, 0.5),
    "prox.prox_wgsef float32": _operator(prox.prox_wgsef, 1000, 0.5, dtype=np.float32),
    "prox.prox_wgsef groups": _operator(prox.prox_wgsef, 1000, 0.5, groups=5),
} | {
    f"ot.solve {method} {np.dtype(dtype)}": _transport(method, dtype)
    for method in ("auto", "sns", "ssns", "sinkhorn")
    for dtype in (np.float32, np.float64)
}


def _bytes(arrays: Arrays) -> list[bytes]:
    return [np.ascontiguousarray(array).tobytes() for array in arrays]


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def test_same_seed_same_bytes(case):
    assert _bytes(case(7, 1)) == _bytes(case(7, 1))


def test_another_seed_another_answer(case):
    assert _bytes(case(7, 1)) != _bytes(case(8, 1))


def test_any_number_of_threads(case):
    one = _bytes(case(7, 1))
    assert _bytes(case(7, 2)) == one
    assert _bytes(case(7, 3)) == one


def test_two_python_threads_at_once(case):
    alone = _bytes(case(7, 2))
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(case, 7, 2) for _ in range(2)]
        assert [_bytes(future.result()) for future in both] == [alone, alone]
