"""Accelerated proximal gradient: certificates from outside, oracles, ends of a run."""

import cvxpy as cp
import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator
from sklearn.linear_model import Lasso, LogisticRegression, PoissonRegressor

from sparseopt import Status
from sparseopt.exceptions import ConvergenceWarning
from sparseopt.linear_model import (
    Cox,
    Huber,
    LeastSquares,
    Logistic,
    Multinomial,
    Poisson,
    minimize_composite,
)
from sparseopt.prox import (
    L0,
    L1,
    MCP,
    ElasticNet,
    GroupLasso,
    NoPenalty,
    Ridge,
    Simplex,
)

N, P = 60, 15


@pytest.fixture
def X(rng):
    X = rng.normal(size=(N, P))
    return X + 0.5  # means that an intercept has to take out


@pytest.fixture
def signal(X, rng):
    w = np.zeros(P)
    w[:4] = [1.5, -1.0, 0.7, 0.5]
    return X @ w


def _solve(datafit, penalty, **options):
    options = {"tol": 1e-11, "solver": "prox_grad", **options}
    return minimize_composite(datafit, penalty, **options)


def _gap(result, X, loss, conjugate, lam):
    """Gap for the l1 norm, from the result's dual point alone."""
    theta = result.dual
    assert np.abs(X.T @ theta).max() <= lam * (1 + 1e-12)
    primal = loss(X @ result.coef + result.intercept) + lam * np.abs(result.coef).sum()
    return primal + conjugate(theta)


def test_least_squares_gap_recomputed(X, signal, rng):
    y = signal + rng.normal(size=N)
    result = _solve(LeastSquares(X, y), L1(0.1), tol=1e-9)
    gap = _gap(
        result, X, lambda z: 0.5 * np.mean((y - z) ** 2),
        lambda t: t @ y + 0.5 * N * t @ t, 0.1,
    )  # fmt: skip
    assert result.converged
    assert -1e-15 <= gap <= 1e-9 * 0.5 * np.mean(y**2) * (1 + 1e-6)
    np.testing.assert_allclose(gap, result.gap, atol=1e-14)


def test_poisson_gap_recomputed(X, signal, rng):
    y = rng.poisson(np.exp(np.clip(signal, -3, 2)))
    result = _solve(Poisson(X, y, fit_intercept=True), L1(0.1), tol=1e-9)
    assert abs(result.dual.sum()) < 1e-12

    def loss(z):
        return np.mean(np.exp(z) - y * z)

    def conjugate(t):
        rate = y + N * t
        return np.mean(np.where(rate > 0, rate * np.log(rate + (rate == 0)), 0) - rate)

    gap = _gap(result, X, loss, conjugate, 0.1)
    assert result.converged
    assert -1e-14 <= gap <= 1e-9 * 5


def test_scikit_learns_lasso(X, signal, rng):
    y = signal + 2 + rng.normal(size=N)
    result = _solve(LeastSquares(X, y, fit_intercept=True), L1(0.1))
    lasso = Lasso(0.1, tol=1e-14, max_iter=100_000).fit(X, y)
    np.testing.assert_allclose(result.coef, lasso.coef_, atol=1e-8)
    np.testing.assert_allclose(result.intercept, lasso.intercept_, atol=1e-8)


def test_scikit_learns_logistic_regression(X, signal, rng):
    y = rng.random(N) < 1 / (1 + np.exp(-signal))
    result = _solve(Logistic(X, y, fit_intercept=True), Ridge(0.1))
    model = LogisticRegression(C=1 / (0.1 * N), tol=1e-12, max_iter=10_000).fit(X, y)
    np.testing.assert_allclose(result.coef, model.coef_[0], atol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_scikit_learns_poisson_regressor(alpha, X, signal, rng):
    y = rng.poisson(np.exp(np.clip(signal, -3, 2)))
    weights = rng.random(N) + 0.1
    datafit = Poisson(X, y, sample_weight=weights, fit_intercept=True)
    penalty = Ridge(alpha) if alpha else NoPenalty()
    result = _solve(datafit, penalty, tol=1e-12)
    model = PoissonRegressor(
        alpha=alpha, tol=1e-12, max_iter=10_000, solver="newton-cholesky"
    )
    model.fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(result.coef, model.coef_, atol=1e-6)
    np.testing.assert_allclose(result.intercept, model.intercept_, atol=1e-6)


def test_huber_against_cvxpy(X, signal, rng):
    y = signal + rng.standard_t(1.5, size=N)
    result = _solve(Huber(X, y, 0.8, fit_intercept=True), ElasticNet(0.2, 0.5))
    w, b = cp.Variable(P), cp.Variable()
    loss = 0.5 * cp.sum(cp.huber(y - X @ w - b, 0.8)) / N
    objective = loss + 0.1 * cp.norm1(w) + 0.05 * cp.sum_squares(w)
    cp.Problem(cp.Minimize(objective)).solve(solver="CLARABEL")
    assert abs(result.objective - objective.value) < 1e-7
    # the oracle's own tolerance
    np.testing.assert_allclose(result.coef, w.value, atol=1e-4)


def test_rows_of_a_multinomial_model_are_zero_together(X, signal, rng):
    y = rng.integers(0, 3, N)
    y[signal > 1] = 0
    datafit = Multinomial(X, y, fit_intercept=True)
    result = _solve(datafit, GroupLasso(0.06, weights=None, rows=True))
    zero = np.all(result.coef == 0, axis=1)
    assert 0 < zero.sum() < P
    np.testing.assert_array_equal((result.coef == 0).any(axis=1), zero)
    grad = X.T @ datafit.gradient(X @ result.coef + result.intercept)
    norms = np.linalg.norm(grad, axis=1)
    assert norms[zero].max() <= 0.06 * (1 + 1e-8)
    np.testing.assert_allclose(norms[~zero], 0.06, rtol=1e-5)
    w, b = cp.Variable((P, 3)), cp.Variable(3)
    z = X @ w + cp.reshape(b, (1, 3), order="C")
    loss = cp.sum(cp.log_sum_exp(z, axis=1)) - cp.sum(cp.multiply(datafit.y, z))
    objective = loss / N + 0.06 * cp.sum(cp.norm(w, 2, axis=1))
    cp.Problem(cp.Minimize(objective)).solve(solver="CLARABEL")
    assert abs(result.objective - objective.value) < 1e-6


def test_cox_against_cvxpy(X, signal, rng):
    time = np.ceil(5 * rng.exponential(size=N) * np.exp(-signal))
    event = rng.random(N) < 0.7
    result = _solve(Cox(X, np.stack([time, event], axis=1)), L1(0.05))
    w = cp.Variable(P)
    z = X @ w
    terms = [cp.log_sum_exp(z[time >= t]) for t in time[event]]
    objective = (cp.sum(terms) - cp.sum(z[event])) / N + 0.05 * cp.norm1(w)
    cp.Problem(cp.Minimize(objective)).solve(solver="CLARABEL")
    objective_here = result.objective
    # the datafit's weights are 1 / n, also inside of the logarithm
    assert abs(objective_here - objective.value) < 1e-6
    assert result.converged
    assert result.gap is not None


def test_operator_and_sparse_samples_as_dense(X, signal, rng):
    X = X * (rng.random(X.shape) < 0.4)
    y = signal + rng.normal(size=N)
    dense = _solve(LeastSquares(X, y, fit_intercept=True), L1(0.05))
    for other in (sparse.csr_array(X), sparse.csc_matrix(X), aslinearoperator(X)):
        result = _solve(LeastSquares(other, y, fit_intercept=True), L1(0.05))
        np.testing.assert_allclose(result.coef, dense.coef, atol=1e-8)
        assert result.converged


def test_penalties_that_are_not_convex(X, signal, rng):
    y = signal + 0.3 * rng.normal(size=N)
    for penalty in (MCP(0.2), L0(0.05)):
        datafit = LeastSquares(X, y)
        result = _solve(datafit, penalty, tol=1e-9)
        grad = X.T @ datafit.gradient(X @ result.coef)
        step = 0.9 / np.linalg.norm(X, 2) ** 2 * N
        again = penalty.prox(result.coef - step * grad, step)
        assert result.converged
        assert result.support.size > 0
        np.testing.assert_allclose(again, result.coef, atol=1e-7)


def test_sets_are_reached_from_outside(X, signal):
    result = _solve(LeastSquares(X, signal), Simplex(), tol=1e-9)
    assert result.converged
    assert abs(result.coef.sum() - 1) < 1e-12


def test_float32(X, signal, rng):
    y = signal + rng.normal(size=N)
    result = minimize_composite(
        LeastSquares(X.astype(np.float32), y), L1(0.1), solver="prox_grad"
    )
    exact = _solve(LeastSquares(X, y), L1(0.1))
    assert result.coef.dtype == np.float32
    assert result.converged
    np.testing.assert_allclose(result.coef, exact.coef, atol=2e-3)


def test_what_cannot_be_reached_is_not_claimed(X, signal, rng):
    X = X.astype(np.float32)
    with pytest.warns(ConvergenceWarning):
        result = _solve(LeastSquares(X, signal), L1(0.1), tol=1e-30, max_iter=3000)
    assert not result.converged


# ------------------------------------------------------------------- ends of a run


def test_limit_keeps_the_best_point(X, signal, rng):
    y = signal + rng.normal(size=N)
    with pytest.warns(ConvergenceWarning):
        result = _solve(LeastSquares(X, y), L1(0.01), max_iter=7)
    assert result.status is Status.MAX_ITER
    assert result.n_iter == 8 or result.n_iter == 7
    assert result.objective == pytest.approx(result.history["objective"].min())


def test_time_limit(X, signal):
    with pytest.warns(ConvergenceWarning):
        result = _solve(LeastSquares(X, signal), L1(1e-4), tol=1e-30, max_time=1e-9)
    assert result.status is Status.TIME_LIMIT


def test_callback_stops_at_what_it_saw(X, signal):
    seen = []

    def callback(state):
        seen.append(np.array(state.coef))
        return len(seen) == 4

    result = _solve(LeastSquares(X, signal), L1(1e-3), callback=callback)
    assert result.status is Status.STOPPED_BY_CALLBACK
    np.testing.assert_array_equal(result.coef, seen[-1])


def test_keyboard_keeps_the_best_point(X, signal):
    def interrupt(state):
        if state.n_iter >= 5:
            raise KeyboardInterrupt

    with pytest.warns(ConvergenceWarning, match="interrupted"):
        result = _solve(LeastSquares(X, signal), L1(1e-3), callback=interrupt)
    assert result.status is Status.INTERRUPTED
    start = 0.5 * np.mean(signal**2)
    assert result.objective < start


def test_warm_start_takes_no_steps(X, signal):
    first = _solve(LeastSquares(X, signal, fit_intercept=True), L1(0.1))
    again = _solve(LeastSquares(X, signal, fit_intercept=True), L1(0.1), init=first)
    assert again.n_iter <= 10
    np.testing.assert_allclose(again.coef, first.coef, atol=1e-9)
