"""Coordinate descent: certificates, independent oracles, layouts, extremes."""

import cvxpy as cp
import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import ElasticNet as SkElasticNet
from sklearn.linear_model import Lasso

from sparseopt import Status
from sparseopt.linear_model import (
    LeastSquares,
    Logistic,
    _cd,
    _outer,
    minimize_composite,
)
from sparseopt.linear_model._path import critical_lam
from sparseopt.prox import (
    L0,
    L1,
    MCP,
    SCAD,
    Box,
    ElasticNet,
    GroupLasso,
    LogSum,
    Lq,
    NonNegative,
    NoPenalty,
    Ridge,
)

from ._problems import lasso_gap, regression


def _solve(X, y, penalty, intercept=True, tol=1e-10, **options):
    datafit = LeastSquares(X, y, fit_intercept=intercept)
    return minimize_composite(
        datafit, penalty, solver="anderson_cd", tol=tol, **options
    )


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("lam", [0.5, 0.05, 0.002])
def test_gap_at_exit_is_true(lam, positive, intercept, rng):
    X, y, _ = regression(rng)
    result = _solve(X, y, L1(lam, positive=positive), intercept)
    assert result.converged
    gap = lasso_gap(
        X, y, result.coef, result.intercept, lam, positive=positive, intercept=intercept
    )
    assert gap <= 1e-10
    assert result.residual <= 1e-10
    assert positive <= (result.coef.min() >= 0)
    # the dual point proves the gap
    theta = result.dual
    slope = -X.T @ theta
    assert (slope if positive else np.abs(slope)).max() <= lam * (1 + 1e-12)
    dual = -theta @ y - 0.5 * len(y) * theta @ theta
    assert result.objective - dual == pytest.approx(result.gap, abs=1e-13)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
def test_agrees_with_scikit_learn(positive, intercept, rng):
    X, y, _ = regression(rng)
    common = {"fit_intercept": intercept, "positive": positive, "max_iter": 100_000}
    peer = Lasso(0.03, tol=1e-12, **common).fit(X, y)
    result = _solve(X, y, L1(0.03, positive=positive), intercept)
    np.testing.assert_allclose(result.coef, peer.coef_, atol=1e-7)
    assert result.intercept == pytest.approx(peer.intercept_, abs=1e-7)
    peer = SkElasticNet(0.1, l1_ratio=0.4, tol=1e-12, **common).fit(X, y)
    result = _solve(X, y, ElasticNet(0.1, 0.4, positive=positive), intercept)
    np.testing.assert_allclose(result.coef, peer.coef_, atol=1e-7)


def test_weights_of_samples_and_coefficients(rng):
    X, y, _ = regression(rng, n=25, p=12)
    s, d = rng.uniform(size=25), rng.uniform(0.5, 2.0, size=12)
    s[:3] = 0
    datafit = LeastSquares(X, y, sample_weight=s, fit_intercept=True)
    result = minimize_composite(datafit, L1(0.1, weights=d), tol=1e-12)
    w, b = cp.Variable(12), cp.Variable()
    loss = cp.sum(cp.multiply(s / s.sum(), cp.square(y - X @ w - b))) / 2
    cp.Problem(cp.Minimize(loss + 0.1 * cp.norm1(cp.multiply(d, w)))).solve()
    np.testing.assert_allclose(result.coef, w.value, atol=1e-5)
    assert lasso_gap(X, y, result.coef, result.intercept, 0.1 * d, s=s) <= 1e-12


def test_integer_weights_are_repetitions(rng):
    X, y, _ = regression(rng, n=20, p=30)
    counts = rng.integers(0, 4, size=20)
    weighted = minimize_composite(
        LeastSquares(X, y, sample_weight=counts, fit_intercept=True), L1(0.1), tol=1e-13
    )
    repeated = _solve(
        np.repeat(X, counts, axis=0), np.repeat(y, counts), L1(0.1), tol=1e-13
    )
    np.testing.assert_allclose(weighted.coef, repeated.coef, atol=1e-9)


@pytest.mark.parametrize("penalty", [L1(0.05), ElasticNet(0.1, 0.5), MCP(0.2, 4.0)])
def test_same_minimiser_for_every_layout(penalty, layout, rng):
    X, y, _ = regression(rng)
    reference = _solve(np.array(X), y, penalty)
    laid = layout(X)
    copy = laid.copy()
    result = _solve(laid, y[::-1] if laid[0, 0] != X[0, 0] else y, penalty)
    np.testing.assert_allclose(result.coef, reference.coef, atol=1e-9)
    np.testing.assert_array_equal(laid, copy)


@pytest.mark.parametrize("form", ["csc", "csr", "coo"])
@pytest.mark.parametrize("intercept", [False, True])
def test_sparse_equals_dense(form, intercept, dtype, rng):
    S = sparse.random_array((60, 90), density=0.2, rng=rng).astype(dtype)
    y = S @ np.r_[np.ones(3), np.zeros(87)].astype(dtype) + 2.0
    y = y + 0.1 * rng.standard_normal(60)
    dense = _solve(S.toarray(), y, L1(0.01), intercept)
    result = _solve(S.asformat(form), y, L1(0.01), intercept)
    assert result.converged
    assert result.coef.dtype == dtype
    np.testing.assert_allclose(result.coef, dense.coef, atol=1e-6)


def test_float32_keeps_its_type_and_is_as_accurate(rng):
    X, y, _ = regression(rng)
    single = X.astype(np.float32)
    result = _solve(single, y, L1(0.05))
    double = _solve(single.astype(np.float64), y, L1(0.05))
    assert result.coef.dtype == np.float32
    assert result.converged
    np.testing.assert_allclose(result.coef, double.coef, atol=1e-6)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_columns_instead_of_gram_matrix(kind, rng, monkeypatch):
    X, y, _ = regression(rng, p=120)
    X = sparse.csc_array(X) if kind == "sparse" else X
    for penalty in (L1(0.05), L1(0.05, positive=True), ElasticNet(0.1, 0.1)):
        reference = _solve(X, y, penalty)
        monkeypatch.setattr(_cd, "_GRAM_LIMIT", 10)
        result = _solve(X, y, penalty)
        monkeypatch.undo()
        assert result.converged
        np.testing.assert_allclose(result.coef, reference.coef, atol=1e-4)
        assert result.objective == pytest.approx(reference.objective, rel=1e-8)


@pytest.mark.parametrize(
    "penalty",
    [
        MCP(0.2, 3.0),
        SCAD(0.2, 3.7),
        LogSum(0.1, 0.5),
        Lq(0.1, 0.5),
        Lq(0.1, 2 / 3),
        L0(0.05),
    ],
    ids=repr,
)
def test_not_convex_is_stationary_in_every_coordinate(penalty, rng):
    X, y, _ = regression(rng, n=60)
    result = _solve(X, y, penalty, tol=1e-9)
    assert result.converged
    assert result.gap is None
    n = len(y)
    grad = X.T @ (X @ result.coef + result.intercept - y) / n
    square = np.sum((X - X.mean(axis=0)) ** 2, axis=0) / n
    top = np.abs(X.T @ (y - y.mean())).max() / n
    for j in range(X.shape[1]):  # each coordinate minimises along its axis
        u = np.array([result.coef[j] - grad[j] / square[j]])
        moved = penalty.prox(u, 1 / square[j])[0] - result.coef[j]
        assert abs(moved) * square[j] <= 1e-7 * top
    zero = 0.5 * np.mean((y - y.mean()) ** 2)
    assert result.objective <= zero


@pytest.mark.parametrize(
    "penalty", [Box(-0.2, 0.3), NonNegative(), Ridge(0.3), NoPenalty(), L1(0.0)]
)
def test_other_forms_against_cvxpy(penalty, rng):
    X, y, _ = regression(rng, n=40, p=10)
    w, b = cp.Variable(10), cp.Variable()
    loss = cp.sum_squares(y - X @ w - b) / 80
    bounds = []
    if isinstance(penalty, Box):
        low, high = penalty.coordinate(10).params
        bounds = [w >= low] + ([w <= high] if np.isfinite(high) else [])
    if isinstance(penalty, Ridge):
        loss = loss + 0.15 * cp.sum_squares(w)
    cp.Problem(cp.Minimize(loss), bounds).solve()
    result = _solve(X, y, penalty)
    assert result.converged
    np.testing.assert_allclose(result.coef, w.value, atol=2e-4)


def test_unpenalised_coefficients(rng):
    X, y, _ = regression(rng)
    weights = np.r_[0.0, 0.0, np.ones(78)]
    result = _solve(X, y, L1(0.1, weights=weights))
    grad = X.T @ (X @ result.coef + result.intercept - y) / len(y)
    assert result.converged
    assert np.abs(grad[:2]).max() <= 1e-8
    assert np.abs(grad[2:]).max() <= 0.1 + 1e-8


class TestExtremes:
    def test_large_lam_gives_zero(self, rng):
        X, y, _ = regression(rng)
        result = _solve(X, y, L1(1e3))
        assert not result.coef.any()
        assert result.support.size == 0
        assert result.intercept == pytest.approx(y.mean())
        assert result.n_iter == 1

    @pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2)])
    @pytest.mark.parametrize("intercept", [False, True])
    def test_tiny_problems(self, shape, intercept, rng):
        X, y = rng.standard_normal(shape), rng.standard_normal(shape[0])
        result = _solve(X, y, L1(0.01), intercept)
        assert result.converged

    def test_constant_target(self, rng):
        X = rng.standard_normal((20, 6))
        result = _solve(X, np.full(20, 0.1), L1(0.01))
        assert result.converged
        assert not result.coef.any()
        result = _solve(X, np.zeros(20), L1(0.01), False)
        assert result.converged
        assert result.objective == 0.0

    def test_constant_and_repeated_columns(self, rng):
        X, y, _ = regression(rng, p=20)
        X[:, 3], X[:, 5], X[:, 7] = 1.0, 0.0, X[:, 0]
        for penalty in (L1(0.01), MCP(0.1), ElasticNet(0.01, 0.5)):
            result = _solve(X, y, penalty)
            assert result.converged
            assert result.coef[3] == 0.0
            assert result.coef[5] == 0.0

    def test_more_columns_than_rank(self, rng):
        X = np.repeat(rng.standard_normal((15, 4)), 10, axis=1)
        y = rng.standard_normal(15)
        result = _solve(X, y, L1(1e-3))
        assert lasso_gap(X, y, result.coef, result.intercept, 1e-3) <= 1e-10

    @pytest.mark.parametrize("scale", [1e-100, 1e-30, 1e30, 1e100])
    def test_scales(self, scale, rng):
        X, y, _ = regression(rng)
        reference = _solve(X, y, L1(0.05))
        result = _solve(X, scale * y, L1(scale * 0.05))
        assert result.converged
        np.testing.assert_allclose(result.coef / scale, reference.coef, atol=1e-8)
        result = _solve(X * scale, y, L1(scale * 0.05))
        assert result.converged
        np.testing.assert_allclose(result.coef * scale, reference.coef, atol=1e-8)

    @pytest.mark.parametrize("scale", [1e200, 1e-200])
    def test_scales_whose_squares_are_lost_are_refused(self, scale, rng):
        X, y, _ = regression(rng)
        with pytest.raises(ValueError, match=r"'y' array .* rescale"):
            LeastSquares(X, scale * y)
        with pytest.raises(ValueError, match=r"'X' .* rescale"):
            _solve(X * scale, y, L1(0.05))
        # a single column of that size among others is no harm if it is small
        if scale < 1:
            X[:, 4] *= scale
            assert _solve(X, y, L1(0.05)).converged

    def test_large_means(self, rng):
        X, y, _ = regression(rng)
        reference = _solve(X, y, L1(0.05))
        result = _solve(X + 1e4, y, L1(0.05), tol=1e-8)
        np.testing.assert_allclose(result.coef, reference.coef, atol=1e-6)

    def test_correlated_design_at_small_lam(self, rng):
        steps = rng.standard_normal((50, 200))
        X = np.cumsum(steps, axis=1) / 5
        y = X[:, 40] - X[:, 120] + 0.1 * rng.standard_normal(50)
        lam = np.abs(X.T @ (y - y.mean())).max() / 50 / 1000
        result = _solve(X, y, L1(lam))
        assert lasso_gap(X, y, result.coef, result.intercept, lam) <= 1e-10


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("loss", [LeastSquares, Logistic])
@pytest.mark.parametrize("penalty", [L1(), GroupLasso(groups=5)])
def test_screening_is_safe(penalty, loss, intercept, rng, monkeypatch):
    X, y, _ = regression(rng, p=1000)
    y = y if loss is LeastSquares else np.sign(y - np.median(y) + 1e-9)
    datafit = loss(np.asfortranarray(X), y, fit_intercept=intercept)
    penalty = penalty.with_lam(0.7 * critical_lam(datafit, penalty))
    monkeypatch.setattr(_outer, "_FIRST", 5)
    reference = minimize_composite(datafit, penalty, tol=1e-11)
    dropped = []
    screen = _outer.Outer._screen

    def watched(self, theta, grad):
        screen(self, theta, grad)
        if self._survivors is not None:
            dropped.append(np.setdiff1d(np.arange(1000), self._survivors))

    monkeypatch.setattr(_outer, "_SCREEN_FROM", 0)
    monkeypatch.setattr(_outer.Outer, "_screen", watched)
    result = minimize_composite(datafit, penalty, tol=1e-11)
    assert result.converged
    assert dropped or isinstance(penalty, GroupLasso)
    for cols in dropped:
        assert not reference.coef[cols].any()
    np.testing.assert_allclose(result.coef, reference.coef, atol=1e-6)
    assert np.isfinite(penalty.conjugate(-X.T @ result.dual))


def test_warm_start_is_quick(rng):
    X, y, _ = regression(rng)
    datafit = LeastSquares(X, y, fit_intercept=True)
    first = minimize_composite(datafit, L1(0.05), tol=1e-10)
    again = minimize_composite(datafit, L1(0.05), tol=1e-10, init=first)
    assert again.n_iter == 1
    np.testing.assert_array_equal(again.coef, first.coef)


@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_tolerance_below_rounding_ends(rng):
    X, y, _ = regression(rng)
    for intercept in (False, True):
        result = _solve(X, y, L1(0.05), intercept, tol=1e-300)
        assert result.status in (Status.PRECISION, Status.CONVERGED)
        assert result.residual < 1e-12
        assert result.n_iter < 100


def test_same_bits_for_any_number_of_threads(rng):
    X, y, _ = regression(rng, p=400)
    for matrix in (X, np.asfortranarray(X), sparse.csc_array(X)):
        one, two = (_solve(matrix, y, L1(0.02), n_threads=k) for k in (1, 2))
        np.testing.assert_array_equal(one.coef, two.coef)
