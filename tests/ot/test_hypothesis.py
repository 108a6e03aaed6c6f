"""Any problem of the specified kind is solved and certified, or says that it is not."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseopt import Status, ot
from sparseopt.exceptions import ConvergenceWarning


@st.composite
def problems(draw):
    """Costs with ties, equal rows or one value; masses even or spiky, with zeros."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    kind = draw(st.sampled_from(["normal", "ties", "constant", "equal rows", "line"]))
    C = {
        "normal": lambda: rng.normal(size=(n, m)),
        "ties": lambda: rng.integers(-2, 3, size=(n, m)).astype(float),
        "constant": lambda: np.full((n, m), rng.normal()),
        "equal rows": lambda: np.tile(rng.normal(size=m), (n, 1)),
        "line": lambda: np.abs(np.arange(n)[:, None] - np.arange(m)).astype(float),
    }[kind]()
    spread = draw(st.sampled_from([0.1, 1.0, 10.0]))
    a, b = rng.dirichlet(np.full(n, spread)), rng.dirichlet(np.full(m, spread))
    if draw(st.booleans()) and n > 1 and m > 1:
        a[rng.integers(n)] = b[rng.integers(m)] = 0
    for w in (a, b):
        w[w < 1e-300] = 0
    scale = 10.0 ** draw(st.integers(-3, 1))
    span = np.ptp(C) or 1.0
    order = draw(st.sampled_from(["C", "F"]))
    return np.asarray(C, order=order), a / a.sum(), b / b.sum(), scale * span


@given(problems())
@pytest.mark.parametrize("method", ["auto", "sinkhorn"])
def test_certified(method, problem):
    C, a, b, reg = problem
    kept = C.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = ot.solve(C, a, b, reg, method=method, tol=1e-10, max_iter=5000)
    assert method == "sinkhorn" or result.converged
    assert result.status in (Status.CONVERGED, Status.MAX_ITER)
    plan = result.plan
    assert np.isfinite(plan).all() and (plan >= 0).all()
    error = np.abs(plan.sum(axis=1) - a).sum() + np.abs(plan.sum(axis=0) - b).sum()
    assert abs(error - result.marginal_error) < 1e-10
    assert error < 2e-10 or not result.converged
    linear = (C * plan).sum()
    assert result.value_linear == pytest.approx(linear, abs=1e-9 * max(1, np.ptp(C)))
    # the optimum of the linear program is between bound and any feasible cost
    slack = 1e-9 * np.ptp(C) + error * np.ptp(C)
    assert result.lower_bound <= linear + slack + 1e-12
    assert result.gap >= 0
    np.testing.assert_array_equal(C, kept)


@given(problems())
def test_the_plan_is_optimal(problem):
    """No exchange of mass between two rows and columns lowers the objective."""
    C, a, b, reg = problem
    plan = ot.solve(C, a, b, reg, tol=1e-11).plan
    rows, columns = np.flatnonzero(a > 1e-6), np.flatnonzero(b > 1e-6)
    if len(rows) < 2 or len(columns) < 2:
        return
    i, j = rows[[0, -1]], columns[[0, -1]]
    corner = plan[np.ix_(i, j)]
    if corner.min() < 1e-12:
        return  # too small to have a logarithm with digits
    log = np.log(corner) + C[np.ix_(i, j)] / reg
    assert log[0, 0] + log[1, 1] - log[0, 1] - log[1, 0] == pytest.approx(0, abs=1e-7)


@given(problems())
def test_transposed(problem):
    C, a, b, reg = problem
    plan = ot.solve(C, a, b, reg, tol=1e-11).plan
    turned = ot.solve(C.T, b, a, reg, tol=1e-11).plan
    np.testing.assert_allclose(turned.T, plan, atol=1e-9)


@settings(max_examples=25)
@given(problems())
@pytest.mark.parametrize("method", ["sns", "ssns"])
def test_published_methods_are_honest(method, problem):
    """They need not converge, but never raise, warn of overflow or claim too much."""
    C, a, b, reg = problem
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        result = ot.solve(C, a, b, reg, method=method, max_iter=80, n_threads=1)
    plan = result.plan
    assert np.isfinite(plan).all() and (plan >= 0).all()
    error = np.abs(plan.sum(axis=1) - a).sum() + np.abs(plan.sum(axis=0) - b).sum()
    assert abs(error - result.marginal_error) < 1e-10
    assert result.converged == (result.marginal_error <= 1e-9)
    assert result.lower_bound <= (C * plan).sum() + (error + 1e-9) * np.abs(C).max()


@given(problems(), st.integers(0, 2**32 - 1))
def test_shift_scale_permute(problem, seed):
    C, a, b, reg = problem
    rng = np.random.default_rng(seed)
    (n, m), span = C.shape, np.ptp(C) or 1.0
    base = ot.solve(C, a, b, reg, tol=1e-11, n_threads=1)
    u, v = rng.normal(size=(n, 1)) * span, rng.normal(size=m) * span
    p, q, t = rng.permutation(n), rng.permutation(m), 10.0 ** rng.integers(-3, 4)
    other = t * (C + u + v)[p][:, q]
    result = ot.solve(other, a[p], b[q], t * reg, tol=1e-11, n_threads=1)
    np.testing.assert_allclose(result.plan, base.plan[p][:, q], atol=1e-9)
    shifted = t * (base.value + a @ u[:, 0] + b @ v)
    scale = t * (np.abs(C).max() + 10 * span)
    assert result.value == pytest.approx(shifted, abs=1e-8 * scale)


@given(problems())
def test_single_precision(problem):
    C, a, b, reg = problem
    C = C.astype(np.float32)
    result = ot.solve(C, a, b, reg, tol=1e-10, n_threads=1)
    wanted = ot.solve(C.astype(np.float64), a, b, reg, tol=1e-10, n_threads=1)
    assert result.converged
    assert result.plan.dtype == np.float32
    np.testing.assert_allclose(result.plan, wanted.plan, rtol=1e-5, atol=1e-8)


@given(problems())
def test_sparse_plan_and_gap(problem):
    C, a, b, reg = problem
    result = ot.solve(C, a, b, reg, tol=1e-10, n_threads=1)
    assert np.abs(result.sparse_plan.toarray() - result.plan).sum() < 1e-8
    np.testing.assert_allclose(result.sparse_plan.sum(axis=1), a, rtol=1e-13)
    assert 0 <= result.dual_gap <= 1e-7 * max(reg, np.ptp(C))
