"""Dual points that are no multiples of residuals: near zero, and one-sided, bounds."""

import numpy as np
import pytest
from scipy.optimize import nnls

from sparseopt.linear_model import Huber, LeastSquares, minimize_composite
from sparseopt.prox import L1, MCP, GroupLasso, NonNegative, Ridge


def _correlated(seed, n=60, p=30):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    X[:, 1] = X[:, 0] + 1e-4 * X[:, 2]
    return X, X[:, 0] + rng.standard_normal(n)


@pytest.mark.parametrize("loss", [LeastSquares, Huber])
@pytest.mark.parametrize("lam", [1e-6, 1e-8, 1e-10, 1e-13, 1e-15])
def test_weak_penalties_converge_at_every_tolerance(lam, loss):
    """A looser tolerance never fails, and tight ones are certified."""
    for seed in range(2):
        X, y = _correlated(seed)
        for tol in (0.1, 1e-4, 1e-8, 1e-11):
            datafit = loss(X, y, fit_intercept=True)
            result = minimize_composite(datafit, L1(lam), tol=tol)
            assert result.converged
            slopes = X.T @ result.dual
            bound = result.objective + datafit.conjugate(result.dual)
            assert result.gap == pytest.approx(bound, abs=1e-13 * datafit.scale())
            assert abs(result.dual.sum()) < 1e-15
            # bounds below rounding of the products are zero
            rounding = 1e-15 * np.linalg.norm(X, axis=0) * np.linalg.norm(result.dual)
            assert np.all(np.abs(slopes) <= np.maximum(lam, rounding))


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("kind", ["normal", "positive", "products"])
def test_non_negative_least_squares(kind, fit_intercept):
    """Against Lawson and Hanson's method; the dual point proves it."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((60, 10))
        if kind == "positive":
            X = np.abs(X)
        if kind == "products":  # columns of sizes from 1 to 1e18
            X = np.hstack([X[:, :5] * 10.0 ** np.arange(5), (100 * X[:, :5]) ** 9])
        y = X[:, 0] / np.abs(X[:, 0]).max() + 0.3 * rng.standard_normal(60)
        datafit = LeastSquares(X, y, fit_intercept=fit_intercept)
        result = minimize_composite(datafit, NonNegative())
        assert result.converged and result.coef.min() >= 0.0
        shift = fit_intercept * 1.0
        unit = np.linalg.norm(X, axis=0)
        A, b = (X - shift * X.mean(axis=0)) / unit, y - shift * y.mean()
        exact = nnls(A, b)[1] ** 2 / 120
        assert abs(result.objective - exact) <= 1e-8 * datafit.scale()
        assert 0.0 <= result.gap + 1e-15 and np.all(X.T @ result.dual >= 0.0)
        bound = result.objective + datafit.conjugate(result.dual)
        assert result.gap == pytest.approx(bound, abs=1e-13 * datafit.scale())


def test_rays_of_no_loss_have_no_gap():
    """Coefficients of a column and its negative may grow: no bound has a margin."""
    X, y = _correlated(0, p=6)
    X[:, 1] = -X[:, 0]
    result = minimize_composite(LeastSquares(X, y), NonNegative())
    assert result.converged and result.gap is None
    exact = nnls(X, y)[1] ** 2 / 120
    assert result.objective == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("value", [0.1, 3e7, 1e-9])
@pytest.mark.parametrize("loss", [LeastSquares, Huber])
@pytest.mark.parametrize("solver", ["auto", "prox_grad"])
def test_constant_targets_are_fitted_exactly(solver, loss, value):
    X, _ = _correlated(1)
    weights = np.ones(60)
    weights[-1] = 0.0
    y = np.full(60, value)
    y[-1] = 5.0  # of no weight
    for penalty in (L1(value), MCP(value), GroupLasso(value, groups=5), Ridge(1.0)):
        for s in (None, weights):
            target = y if s is not None else np.full(60, value)
            datafit = loss(X, target, sample_weight=s, fit_intercept=True)
            result = minimize_composite(datafit, penalty, solver=solver, tol=1e-12)
            assert result.converged and not result.coef.any()
            assert result.intercept == value and result.objective == 0.0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("lam", [1e4, 1e12, 1e30])
def test_strong_ridge_has_small_coefficients(lam, dtype):
    """Against the normal equations; the gap of zero is below every tolerance."""
    X, y = _correlated(2, p=8)
    datafit = LeastSquares(X.astype(dtype), y, fit_intercept=True)
    result = minimize_composite(datafit, Ridge(lam))
    A = X - X.mean(axis=0)
    exact = np.linalg.solve(A.T @ A / 60 + lam * np.eye(8), A.T @ y / 60)
    assert result.converged
    np.testing.assert_allclose(
        result.coef, exact, atol=10 * np.finfo(dtype).eps * np.abs(exact).max()
    )
