"""Huber's loss where nearly all residuals are in its linear pieces."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from sparseopt.linear_model import Huber, minimize_composite
from sparseopt.prox import L1, MCP, SLOPE, Box, ElasticNet, GroupLasso


def _problem(scale, n=60, p=40):
    rng = np.random.default_rng(8)
    X = rng.normal(size=(n, p))
    return X, scale * (X[:, :3].sum(axis=1) + 0.3 * rng.standard_t(2, n))


def _gap(X, y, result, lam, intercept):
    """Relative duality gap of the lasso with Huber's loss of width 1."""
    n, theta = len(y), result.dual
    # rounding of a sum, of a product and of the bound itself
    assert np.abs(theta).max() <= (1 + 1e-12) / n
    assert np.abs(X.T @ theta).max() <= lam * (1 + 1e-12)
    r = np.abs(X @ result.coef + result.intercept - y)
    loss = np.where(r <= 1, r * r / 2, r - 0.5).mean()
    dual = -(theta @ y) - n * (theta @ theta) / 2
    center = np.median(y) if intercept else 0.0
    zero = np.abs(y - center).mean() - 0.5
    # the intercept's constraint holds up to rounding of predictions over the width:
    # its product with the intercept may shift the gap by a hundredth of the tolerance
    assert abs(theta.sum() * result.intercept) <= 1e-10 * zero
    return (loss + lam * np.abs(result.coef).sum() - dual) / zero


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("lam", [1e-3, 0.1])
@pytest.mark.parametrize("scale", [1e2, 1e4, 1e6, 1e9])
def test_gap_where_residuals_are_far_beyond_the_width(scale, lam, intercept):
    X, y = _problem(scale)
    datafit = Huber(X, y, fit_intercept=intercept)
    result = minimize_composite(datafit, L1(lam))
    assert result.converged and result.solver == "prox_newton"
    # F(0) itself is known to the width, a share of 1e-2 of the smallest scale
    assert _gap(X, y, result, lam, intercept) <= 1.02e-8


@pytest.mark.parametrize(
    "penalty",
    [
        MCP(0.01),
        MCP(0.1),
        ElasticNet(1e-3, 0.999),
        GroupLasso(0.05, groups=10),
        Box(-5e5, 5e5),
        L1(0.01, positive=True),
    ],
)
@pytest.mark.parametrize("intercept", [False, True])
def test_certificates_of_other_penalties(penalty, intercept):
    X, y = _problem(1e6)
    result = minimize_composite(Huber(X, y, fit_intercept=intercept), penalty)
    assert result.converged
    z = X @ result.coef + result.intercept
    if result.gap is None:
        grad = X.T @ np.clip(z - y, -1, 1) / 60
        assert penalty.subdiff_distance(result.coef, grad).max() <= 1e-7
        return
    theta, r = result.dual, np.abs(z - y)
    assert np.abs(theta).max() <= (1 + 1e-12) / 60
    loss = np.where(r <= 1, r * r / 2, r - 0.5).mean()
    dual = -(theta @ y) - 30 * (theta @ theta) - penalty.conjugate(-X.T @ theta)
    # the tolerance, relative to F(0), which is below this with an intercept too
    assert loss + penalty.value(result.coef) - dual <= 1e-8 * np.abs(y).mean()


def test_first_order_method_reaches_the_same_value():
    X, y = _problem(1e4)
    penalty = SLOPE(np.linspace(0.05, 0.01, 40))
    result = minimize_composite(Huber(X, y), penalty)
    assert result.solver == "prox_grad" and result.converged
    assert result.gap <= 1e-8 * np.abs(y).mean()


def test_the_wider_loss_is_below_and_has_the_same_largest_slope():
    X, y = _problem(10.0)
    narrow = Huber(X, y, delta=0.5)
    wide = narrow.widened(8.0)
    for t in np.linspace(-3, 3, 13):
        z = y + t * 10
        bound = 0.5 * 0.5 * (8.0 - 0.5)
        excess = narrow.value(z) - wide.value(z)
        assert -1e-12 <= excess <= bound + 1e-12
    far = y + 1e3
    np.testing.assert_allclose(wide.gradient(far), narrow.gradient(far), rtol=1e-15)
    assert narrow.delta == 0.5 and narrow.s.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("delta", [1e-6, 1e-2, 1.0, 100.0])
@pytest.mark.parametrize("n", [1, 2, 7, 50])
def test_intercept_against_a_scalar_search(n, delta):
    rng = np.random.default_rng(n)
    y, s = 30.0 * rng.normal(size=n).round(1), rng.uniform(0.1, 1.0, n)
    datafit = Huber(np.ones((n, 1)), y, delta, sample_weight=s, fit_intercept=True)
    z = rng.normal(size=n)
    b = datafit.shift(z)
    search = minimize_scalar(
        lambda t: datafit.value(z + t), bounds=(-200, 200), method="bounded"
    )
    # the search stops at its own tolerance above the least value
    assert datafit.value(z + b) <= search.fun + 1e-12 * abs(search.fun)
    slope = datafit.gradient(z + b).sum()
    assert abs(slope) <= 1e-13 * max(delta, 1.0)
