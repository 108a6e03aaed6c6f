"""Primal-dual steps: losses by their gradient, restarts, scales.

What "pdhg" shares with "admm" is in test_admm.py.
"""

import cvxpy as cp
import numpy as np
import pytest

from sparseopt.linear_model import (
    Composed,
    Cox,
    Datafit,
    LeastSquares,
    Logistic,
    minimize_composite,
)
from sparseopt.prox import L1

N, P = 50, 12
D = np.diff(np.eye(P), axis=0)


@pytest.fixture
def X(rng):
    return rng.normal(size=(N, P))


@pytest.mark.parametrize("plain", [True, False])
def test_fused_cox_against_cvxpy(plain, X, rng):
    signal = X[:, :4].sum(axis=1)
    time = np.ceil(9 * rng.exponential(size=N) * np.exp(-signal))
    event = rng.random(N) < 0.7
    penalty = [Composed(L1(0.05), D), *([L1(0.02)] if plain else [])]
    datafit = Cox(X, np.stack([time, event], axis=1))
    result = minimize_composite(datafit, penalty, tol=1e-8)
    assert result.solver == "pdhg"
    assert result.converged
    assert (result.gap is not None) == plain
    w = cp.Variable(P)
    z = X @ w
    terms = [cp.log_sum_exp(z[time >= t]) for t in time[event]]
    loss = (cp.sum(terms) - cp.sum(z[event])) / N
    reg = 0.05 * cp.norm1(D @ w) + 0.02 * plain * cp.norm1(w)
    problem = cp.Problem(cp.Minimize(loss + reg))
    problem.solve(solver="CLARABEL")
    assert abs(result.objective - problem.value) < 1e-6


def test_a_loss_of_ones_own(X, rng):
    """A datafit that gives value, gradient and Hessian only."""

    class Cosh(Datafit):
        curvature = 1.0

        def value(self, z):
            r = z - self.y
            return float(self.s @ (np.logaddexp(r, -r) - np.log(2)))

        def gradient(self, z):
            return self.s * np.tanh(z - self.y)

        def hessian(self, z):
            return self.s / np.cosh(z - self.y) ** 2

        def conjugate(self, theta):
            u = np.clip(theta / self.s, -1, 1)
            up, down = (1 + u) / 2, (1 - u) / 2
            log = np.where(up > 0, up * np.log(up + (up == 0)), 0)
            log = log + np.where(down > 0, down * np.log(down + (down == 0)), 0)
            return float(theta @ self.y + self.s @ (log + np.log(2)))

    y = X[:, 0] + rng.normal(size=N)
    datafit = Cosh(X, y)
    plain = minimize_composite(datafit, L1(0.05), solver="prox_grad", tol=1e-11)
    result = minimize_composite(datafit, L1(0.05), solver="pdhg", tol=1e-10)
    assert result.converged
    np.testing.assert_allclose(result.coef, plain.coef, atol=1e-5)
    both = minimize_composite(datafit, [L1(0.05), Composed(L1(0.0), D)], tol=1e-10)
    np.testing.assert_allclose(both.coef, plain.coef, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_scales_of_samples_and_targets(scale, X, rng):
    y = X[:, :3].sum(axis=1) + 0.1 * rng.normal(size=N)
    exact = minimize_composite(
        LeastSquares(X, y), [L1(0.02), Composed(L1(0.05), D)], tol=1e-10, solver="admm"
    )
    for a, b in ((scale, 1.0), (1.0, scale)):
        # w scales as b / a
        lam = a * b
        penalty = [L1(0.02 * lam), Composed(L1(0.05 * lam), D)]
        for solver in ("pdhg", "admm"):
            result = minimize_composite(
                LeastSquares(a * X, b * y), penalty, solver=solver, tol=1e-9
            )
            assert result.converged
            np.testing.assert_allclose(result.coef * a / b, exact.coef, atol=1e-3)


def test_classes_that_separate(X):
    """A slope that hardly bends where the iterates are."""
    datafit = Logistic(10 * X, X[:, 0] > 0)
    result = minimize_composite(datafit, L1(1e-3), solver="pdhg", tol=1e-8)
    other = minimize_composite(datafit, L1(1e-3), solver="prox_grad", tol=1e-9)
    assert result.converged
    assert abs(result.objective - other.objective) < 1e-8
