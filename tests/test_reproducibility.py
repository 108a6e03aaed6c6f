"""Same seed, same bytes: in every run, for any number of threads, in any thread.

A family adds a row to ``CASES`` for each function that draws random numbers or uses
threads: a callable of the seed and the number of threads that returns arrays. Problems
have to be large enough that two threads are really used.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import sparse

from sparseopt import datasets, linear_model, ot, prox

Arrays = tuple[np.ndarray, ...]


def _transport(method: str, dtype: type) -> Callable[[int, int], Arrays]:
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


def _linear(layout: Callable) -> Callable[[int, int], Arrays]:
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


CASES: dict[str, Callable[[int, int], Arrays]] = {
    "datasets.make_assignment": lambda seed, _: (
        datasets.make_assignment(50, random_state=seed).C,
    ),
    "datasets.make_clouds": lambda seed, _: (
        datasets.make_clouds(50, 60, random_state=seed).C,
    ),
    "linear_model, rows": _linear(np.ascontiguousarray),
    "linear_model, columns": _linear(np.asfortranarray),
    "linear_model, sparse": _linear(sparse.csc_array),
    "ot.SinkhornTransport": _mapped,
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
