"""Sum-to-zero and ordered coefficients, as the guide has them, against cvxpy."""

import cvxpy as cp
import numpy as np
import pytest
from sklearn.isotonic import isotonic_regression

from sparseopt.linear_model import Composed, LeastSquares, minimize_composite
from sparseopt.prox import L1, Box, NonNegative

P = 5


@pytest.fixture
def data(rng):
    X = rng.standard_normal((60, P))
    return X, X @ [2.0, -1.0, -1.0, 0.0, 0.0] + 0.1 * rng.standard_normal(60)


def test_sum_zero(data):
    X, y = data
    sum_zero = Composed(Box(0.0, 0.0), np.ones((1, P)))
    found = minimize_composite(LeastSquares(X, y), [L1(0.05), sum_zero], tol=1e-9)
    w = cp.Variable(P)
    loss = cp.sum_squares(X @ w - y) / (2 * len(y)) + 0.05 * cp.norm1(w)
    cp.Problem(cp.Minimize(loss), [cp.sum(w) == 0]).solve(solver="CLARABEL")
    np.testing.assert_allclose(found.coef, w.value, atol=1e-5)
    assert found.converged and abs(found.coef.sum()) < 1e-6


def test_rising(data):
    X, y = data
    rising = Composed(NonNegative(), np.diff(np.eye(P), axis=0))
    found = minimize_composite(LeastSquares(X, y), [rising], tol=1e-9)
    w = cp.Variable(P)
    loss = cp.sum_squares(X @ w - y) / (2 * len(y))
    cp.Problem(cp.Minimize(loss), [cp.diff(w) >= 0]).solve(solver="CLARABEL")
    np.testing.assert_allclose(found.coef, w.value, atol=1e-5)
    assert found.converged and np.diff(found.coef).min() > -1e-6
    # of an identity design: isotonic regression
    v = np.array([3.0, 1.0, 2.0, 5.0, 4.0])
    found = minimize_composite(LeastSquares(np.eye(P), v), [rising], tol=1e-10)
    np.testing.assert_allclose(found.coef, isotonic_regression(v), atol=1e-5)
