"""The number of threads never changes a bit, whichever number is used at each call."""

from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import numpy as np
import pytest

from sparseopt import datasets, ot
from sparseopt._core._threads import Pace

N, M = 1100, 1003  # large enough that threads are used, columns not whole blocks


@pytest.fixture(scope="module")
def problem():
    return datasets.make_clouds(N, M, weights="random", random_state=0)


def solve(problem, method, dtype, n_threads):
    result = ot.solve(
        problem.C.astype(dtype, copy=False),
        problem.a,
        problem.b,
        # dense, sparse and scaled views of the plan are all used between these
        reg=0.02 if method == "sinkhorn" else 1e-3,
        method=method,
        tol=1e-9,
        n_threads=n_threads,
    )
    assert result.converged
    numbers = (result.value, result.gap, result.marginal_error, result.n_cg)
    return [v.tobytes() for v in result.potentials], numbers


@pytest.fixture
def always(monkeypatch):
    """Make every paced kernel use a given number of threads and count the calls."""

    def always(choose):
        calls = []

        def run(self, kind, work, kernel, *, most=None):
            many = self.n_threads if most is None else min(most, self.n_threads)
            threads = min(many, choose())
            calls.append((kind, threads))
            return kernel(threads)

        monkeypatch.setattr(Pace, "run", run)
        return calls

    return always


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("method", ["auto", "sinkhorn"])
def test_same_bits(problem, method, dtype, always):
    one = solve(problem, method, dtype, 1)
    calls = always(lambda: 99)
    assert solve(problem, method, dtype, 2) == one
    kinds = {kind for kind, threads in calls if threads == 2}
    if method == "auto":
        assert {"pass", "fast pass", "support", "assemble", "products"} <= kinds
    else:
        assert "scaling" in kinds
    assert solve(problem, method, dtype, 3) == one


def test_mixed_numbers_within_a_solve(problem, always):
    one = solve(problem, "auto", np.float64, 1)
    numbers = cycle([1, 2, 3])
    always(lambda: next(numbers))
    assert solve(problem, "auto", np.float64, 3) == one


def test_paced(problem):
    assert solve(problem, "auto", np.float64, 2) == solve(
        problem, "auto", np.float64, 1
    )


def test_two_solves_at_once(problem):
    alone = solve(problem, "auto", np.float64, 1)
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(solve, problem, "auto", np.float64, threads)
            for threads in (1, 2)
        ]
        assert all(job.result() == alone for job in jobs)
