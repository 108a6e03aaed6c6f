"""Methods "sns" and "ssns" outside their papers: blocks, early ends, the clock."""

import time
import warnings

import numpy as np
import pytest

from sparseopt import ot
from sparseopt.exceptions import ConvergenceWarning


def two_blocks(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(4, 14, size=2)
    C = rng.random((n, m))
    left, right = np.arange(n) < n // 2, np.arange(m) < m // 2
    C[left[:, None] != right] += 10.0 ** rng.integers(0, 7)
    a, b = rng.random(n), rng.random(m)
    for side in (True, False):  # each block keeps its mass, but for a little
        b[right == side] *= a[left == side].sum() / b[right == side].sum()
    a *= 1 + rng.choice([0.0, 1e-3]) * (left - 0.5)
    return C, a / a.sum(), b / b.sum()


def from_outside(C, a, b, result):
    f, g = result.potentials
    plan = np.exp((f[:, None] + (g - C)) / result.reg)
    return np.abs(plan.sum(axis=1) - a).sum() + np.abs(plan.sum(axis=0) - b).sum()


@pytest.mark.filterwarnings("ignore:ot.solve did not converge")
@pytest.mark.parametrize("reg", [1e-1, 1e-2, 1e-3])
@pytest.mark.parametrize("method", ["sns", "ssns"])
def test_blocks_break_no_factor(method, reg):
    """Newton systems of two blocks are singular but for the shift."""
    for seed in range(12):
        C, a, b = two_blocks(seed)
        for scale in (1.0, 1e3):
            result = ot.solve(scale * C, a, b, scale * reg, method=method, max_iter=200)
            assert np.isfinite(result.marginal_error)
            error = from_outside(scale * C, a, b, result)
            size = max(np.abs(v).max() for v in result.potentials)
            rounding = np.finfo(float).eps * (10 * size / result.reg + 100)
            assert error == pytest.approx(result.marginal_error, abs=rounding)


@pytest.mark.filterwarnings("ignore:ot.solve did not converge")
@pytest.mark.parametrize("method", ["auto", "sinkhorn", "sns", "ssns"])
@pytest.mark.parametrize("tol", [1.0, 0.3, 0.1, 1e-2])
def test_the_point_returned_is_the_one_measured(method, tol):
    """Loose tolerances and early ends stop the methods between their updates."""
    rng = np.random.default_rng(0)
    C = rng.random((12, 9))
    a, b = np.full(12, 1 / 12), np.full(9, 1 / 9)
    option = {"n_sinkhorn": 1} if method == "sns" else {}
    for max_iter in (1, 2, 3, 5, 100):
        result = ot.solve(
            C, reg=0.01, tol=tol, method=method, max_iter=max_iter, **option
        )
        error = from_outside(C, a, b, result)
        assert result.marginal_error == pytest.approx(error, abs=1e-12)
        assert result.converged == (error <= tol)


@pytest.mark.parametrize("method", ["sns", "ssns"])
def test_the_clock_is_read_within_linear_algebra(method):
    """A step at n = 1500 takes seconds; the limit is kept to within single pieces."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(1500, 3)), rng.normal(size=(1500, 3))
    C = ((x[:, None] - y) ** 2).sum(axis=2)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        result = ot.solve(C, reg=1e-3 * C.max(), method=method, max_time=0.2)
    assert time.perf_counter() - start < 5.0  # generous: other work may share the CPU
    assert result.converged or result.status.name == "TIME_LIMIT"
