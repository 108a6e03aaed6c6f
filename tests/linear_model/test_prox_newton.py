"""Proximal Newton: certificates and independent oracles."""

import cvxpy as cp
import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from sparseopt.linear_model import (
    Huber,
    LeastSquares,
    Logistic,
    Poisson,
    minimize_composite,
)
from sparseopt.prox import L1, MCP, SCAD, ElasticNet, GroupLasso, LogSum

from ._problems import logistic_gap, regression


def _labels(rng, **sizes):
    X, y, _ = regression(rng, noise=2.0, **sizes)
    return X, np.where(y > np.median(y), 1.0, -1.0)


def _solve(datafit, penalty, tol=1e-10, **options):
    return minimize_composite(
        datafit, penalty, solver="prox_newton", tol=tol, **options
    )


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("lam", [0.1, 0.01, 0.001])
def test_gap_at_exit_is_true(lam, intercept, rng):
    X, y = _labels(rng)
    result = _solve(Logistic(X, y, fit_intercept=intercept), L1(lam))
    assert result.converged
    gap = logistic_gap(X, y, result.coef, result.intercept, lam, intercept=intercept)
    assert gap <= 2e-10


def test_agrees_with_scikit_learn(rng):
    X, y = _labels(rng, n=60, p=20)
    peer = LogisticRegression(
        C=1 / (60 * 0.02), l1_ratio=1, solver="saga", tol=1e-10, max_iter=100_000
    ).fit(X, y)
    result = _solve(Logistic(X, y, fit_intercept=True), L1(0.02))
    np.testing.assert_allclose(result.coef, peer.coef_[0], atol=1e-6)
    assert result.intercept == pytest.approx(peer.intercept_[0], abs=1e-6)


def test_weights_and_ridge_part_against_cvxpy(rng):
    X, y = _labels(rng, n=40, p=15)
    s = rng.uniform(size=40)
    datafit = Logistic(X, y, sample_weight=s, fit_intercept=True)
    result = _solve(datafit, ElasticNet(0.05, 0.5))
    w, b = cp.Variable(15), cp.Variable()
    loss = s / s.sum() @ cp.logistic(-cp.multiply(y, X @ w + b))
    cost = loss + 0.025 * cp.norm1(w) + 0.0125 * cp.sum_squares(w)
    cp.Problem(cp.Minimize(cost)).solve()
    # the oracle's own tolerance
    np.testing.assert_allclose(result.coef, w.value, atol=1e-4)


def test_groups_against_cvxpy(rng):
    X, y = _labels(rng, n=40, p=16)
    result = _solve(Logistic(X, y), GroupLasso(0.03, groups=4, weights=None))
    w = cp.Variable(16)
    loss = cp.sum(cp.logistic(-cp.multiply(y, X @ w))) / 40
    norms = sum(cp.norm(w[4 * j : 4 * j + 4]) for j in range(4))
    cp.Problem(cp.Minimize(loss + 0.03 * norms)).solve()
    assert result.converged
    # the oracle's own tolerance
    np.testing.assert_allclose(result.coef, w.value, atol=1e-4)


@pytest.mark.parametrize("loss", ["poisson", "huber", "squares"])
def test_other_losses(loss, rng):
    X, y, _ = regression(rng)
    if loss == "poisson":
        datafit = Poisson(X, rng.poisson(np.exp(0.3 * X[:, 0])), fit_intercept=True)
    elif loss == "huber":
        y[:3] += 50
        datafit = Huber(X, y, delta=1.0, fit_intercept=True)
    else:
        datafit = LeastSquares(X, y, fit_intercept=True)
    result = _solve(datafit, L1(0.05))
    assert result.converged
    grad = datafit.design.rmatvec(datafit.gradient(X @ result.coef + result.intercept))
    inside = result.coef != 0
    assert np.abs(grad).max() <= 0.05 * (1 + 1e-6)
    np.testing.assert_allclose(
        grad[inside], -0.05 * np.sign(result.coef[inside]), atol=1e-7
    )


@pytest.mark.parametrize("penalty", [MCP(0.05, 20.0), SCAD(0.05), LogSum(0.05, 1.0)])
def test_not_convex_is_stationary(penalty, rng):
    X, y = _labels(rng, n=100, p=60)
    datafit = Logistic(X, y, fit_intercept=True)
    result = _solve(datafit, penalty, tol=1e-8)
    assert result.converged
    grad = datafit.design.rmatvec(datafit.gradient(X @ result.coef + result.intercept))
    assert penalty.subdiff_distance(result.coef, grad).max() <= 1e-7
    assert result.objective < np.log(2)


def test_sparse_and_float32(rng):
    X, y = _labels(rng)
    reference = _solve(Logistic(X, y, fit_intercept=True), L1(0.02))
    result = _solve(Logistic(sparse.csr_array(X), y, fit_intercept=True), L1(0.02))
    np.testing.assert_allclose(result.coef, reference.coef, atol=1e-8)
    single = Logistic(X.astype(np.float32), y, fit_intercept=True)
    result = _solve(single, L1(0.02))
    assert result.coef.dtype == np.float32
    np.testing.assert_allclose(result.coef, reference.coef, atol=1e-5)


def test_extremes(rng):
    X, y = _labels(rng)
    assert not _solve(Logistic(X, y, fit_intercept=True), L1(10.0)).coef.any()
    X[:, 3], X[:, 4], X[:, 5] = 1.0, 0.0, X[:, 0]
    result = _solve(Logistic(X, y, fit_intercept=True), L1(1e-3))
    assert result.converged
    assert not result.coef[3:5].any()
    one = _solve(Logistic(X[:, :1], y), L1(1e-3))
    assert one.converged
    separable = _solve(Logistic(X[:1], y[:1]), L1(1e-2))
    assert separable.converged
