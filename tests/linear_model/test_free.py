"""Duality gaps where penalties leave coefficients free: NumPy twins and cvxpy."""

import cvxpy as cp
import numpy as np
import pytest
from scipy import sparse
from scipy.special import xlogy

from sparseopt import Status
from sparseopt.linear_model import (
    Cox,
    Huber,
    LeastSquares,
    Logistic,
    Multinomial,
    Poisson,
    minimize_composite,
    path,
)
from sparseopt.linear_model._free import FreeColumns, free_entries
from sparseopt.prox import (
    L1,
    MCP,
    TV1D,
    WGSEF,
    Box,
    ElasticNet,
    GroupLasso,
    NonNegative,
    NoPenalty,
    Ridge,
    SeparableSum,
    SparseGroupLasso,
)

N, P = 50, 24
FREE = np.array([0, 7, 13])
WEIGHTS = np.ones(P)
WEIGHTS[FREE] = 0.0
PAIRS = [[j, j + 1] for j in range(4, P, 2)]  # the first four are free
DELTA = 0.5


@pytest.fixture
def X(rng):
    return rng.standard_normal((N, P)) + 0.5


@pytest.fixture
def signal(X):
    return X[:, [0, 3, 7]] @ [0.7, -0.5, 0.4]


def make(loss, X, signal, rng, intercept, s=None):
    """A datafit, and its conjugate from the definition of the loss alone."""
    options = {"fit_intercept": intercept, "sample_weight": s}
    s = np.full(N, 1 / N) if s is None else s / s.sum()
    noise = rng.standard_normal(N)
    if loss == "squares":
        y = signal + noise + 1
        return LeastSquares(X, y, **options), lambda t: t @ y + 0.5 * t @ (t / s)
    if loss == "huber":
        y = signal + rng.standard_t(1, N)

        def conjugate(t):
            assert np.all(np.abs(t) <= s * DELTA * (1 + 1e-12))
            return t @ y + 0.5 * t @ (t / s)

        return Huber(X, y, DELTA, **options), conjugate
    if loss == "logistic":
        y = np.where(signal + noise > 0.5, 1.0, -1.0)

        def conjugate(t):
            q = -y * t / s
            assert q.min() >= 0 and q.max() <= 1
            return s @ (xlogy(q, q) + xlogy(1 - q, 1 - q))

        return Logistic(X, y, **options), conjugate
    if loss == "poisson":
        y = rng.poisson(np.exp(signal)).astype(float)

        def conjugate(t):
            rate = y + t / s
            assert rate.min() >= 0
            return s @ (xlogy(rate, rate) - rate - xlogy(y, y) + y)

        return Poisson(X, y, **options), conjugate
    codes = np.digitize(signal + noise, [0, 1])
    hot = np.eye(3)[codes]

    def conjugate(t):
        q = hot + t / s[:, None]
        assert q.min() > -1e-12 and np.abs(q.sum(axis=1) - 1).max() < 1e-12
        return s @ xlogy(np.maximum(q, 0), np.maximum(q, 0)).sum(axis=1)

    return Multinomial(X, codes, **options), conjugate


def check_dual(result, X, datafit, conjugate, lam, free=FREE, intercept=False):
    """The dual point is feasible for a lasso with free entries, and proves the gap."""
    theta = result.dual
    slopes = X.T @ theta
    size = np.linalg.norm(X, axis=0).max() * np.linalg.norm(theta)
    assert np.abs(slopes[free]).max() <= 1e-12 * size
    seen = np.setdiff1d(np.arange(X.shape[1]), free)
    assert np.abs(slopes[seen]).max() <= lam * (1 + 1e-12)
    if intercept:
        assert np.abs(theta.sum(axis=0)).max() <= 1e-12 * np.abs(theta).sum()
    dual = -conjugate(theta)
    scale = datafit.scale()
    assert result.objective - dual == pytest.approx(result.gap, abs=1e-13 * scale)
    assert result.residual == pytest.approx(max(result.gap, 0) / scale, abs=1e-13)
    return dual


LOSSES = ["squares", "huber", "logistic", "poisson", "multinomial"]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_gap_recomputed(loss, intercept, weighted, X, signal, rng):
    s = rng.uniform(0.2, 2.0, N) if weighted else None
    if weighted:
        s[:3] = 0.0 if loss in ("squares", "huber", "poisson") else s[:3]
    datafit, conjugate = make(loss, X, signal, rng, intercept, s)
    if s is not None and (s == 0).any():
        inside = s > 0
        whole, conjugate = conjugate, None

        def conjugate(t):
            assert not t[~inside].any()
            with np.errstate(divide="ignore", invalid="ignore"):
                return _without(whole, t, inside, loss, datafit)

    result = minimize_composite(datafit, L1(0.05, weights=WEIGHTS), tol=1e-11)
    assert result.status is Status.CONVERGED
    dual = check_dual(result, X, datafit, conjugate, 0.05, intercept=intercept)
    # rounding of the objective may turn the order around
    assert -1e-13 * datafit.scale() <= result.objective - dual
    assert result.objective - dual <= 1.1e-11 * datafit.scale()


def _without(whole, t, inside, loss, datafit):
    """Conjugate of the samples that have a weight."""
    y, s, t = datafit.y[inside], datafit.s[inside], t[inside]
    if loss == "poisson":
        rate = y + t / s
        assert rate.min() >= 0
        return s @ (xlogy(rate, rate) - rate - xlogy(y, y) + y)
    return t @ y + 0.5 * t @ (t / s)


def cvx_loss(loss, X, y, z):
    if loss == "squares":
        return cp.sum_squares(y - z) / (2 * N)
    if loss == "huber":  # that of cvxpy is twice ours
        return cp.sum(cp.huber(y - z, DELTA)) / (2 * N)
    if loss == "logistic":
        return cp.sum(cp.logistic(cp.multiply(-y, z))) / N
    return cp.sum(cp.exp(z) - cp.multiply(y, z) + xlogy(y, y) - y) / N


@pytest.mark.parametrize("loss", ["squares", "huber", "logistic", "poisson"])
@pytest.mark.parametrize("solver", ["auto", "prox_grad"])
def test_gap_bounds_the_distance_to_the_optimum(loss, solver, X, signal, rng):
    """On the way too: points of any iteration, against the optimum of cvxpy."""
    datafit, _ = make(loss, X, signal, rng, True)
    w, b = cp.Variable(P), cp.Variable()
    cost = cvx_loss(loss, X, datafit.y, X @ w + b)
    problem = cp.Problem(cp.Minimize(cost + 0.03 * cp.norm1(w[WEIGHTS > 0])))
    optimum = problem.solve(solver="CLARABEL")
    gaps = []

    def watch(state):
        gaps.append((state.objective, state.residual))

    result = minimize_composite(
        datafit, L1(0.03, weights=WEIGHTS), solver=solver, tol=1e-12, callback=watch
    )
    assert result.converged
    # the oracle's own tolerance
    assert result.objective == pytest.approx(optimum, abs=1e-7)
    for objective, residual in gaps:
        assert residual * datafit.scale() >= objective - result.objective - 1e-14
    assert gaps[0][1] > 1e-3  # and falls to the tolerance
    assert gaps[-1][1] <= 1e-12


@pytest.mark.parametrize(
    "penalty",
    [
        ElasticNet(0.05, 0.5, weights=WEIGHTS),
        ElasticNet(0.05, 0.0, weights=WEIGHTS),
        GroupLasso(0.05, groups=PAIRS),
        SparseGroupLasso(0.05, 0.4, groups=PAIRS),
        WGSEF(3, 0.2, groups=PAIRS),
        SeparableSum([NoPenalty(), L1(0.05)], [3, P - 3]),
        Box(np.where(WEIGHTS > 0, -0.1, -np.inf), np.where(WEIGHTS > 0, 0.3, np.inf)),
        L1(0.0),
        NoPenalty(),
    ],
    ids=lambda penalty: type(penalty).__name__,
)
@pytest.mark.parametrize("loss", ["squares", "logistic"])
def test_penalties(penalty, loss, X, signal, rng):
    """The dual point that is returned proves the gap by the protocol alone."""
    datafit, conjugate = make(loss, X, signal, rng, True)
    result = minimize_composite(datafit, penalty, tol=1e-11)
    assert result.converged and result.gap <= 1e-11 * datafit.scale()
    slopes = X.T @ result.dual
    mask = free_entries(penalty, (P,))
    assert np.abs(slopes[mask]).max() <= 1e-14 * N
    slopes[mask] = 0.0
    bound = result.objective + conjugate(result.dual) + penalty.conjugate(-slopes)
    assert bound == pytest.approx(result.gap, abs=1e-12)


@pytest.mark.parametrize("form", [sparse.csr_array, np.asfortranarray, np.float32])
def test_forms_of_the_samples(form, X, signal, rng):
    X = X * (np.abs(X) > 0.5)
    datafit, _ = make("squares", X, signal, rng, True)
    exact = minimize_composite(datafit, L1(0.05, weights=WEIGHTS), tol=1e-12)
    other = LeastSquares(form(X), datafit.y, fit_intercept=True)
    result = minimize_composite(other, L1(0.05, weights=WEIGHTS))
    assert result.converged
    assert result.gap is not None
    np.testing.assert_allclose(result.coef, exact.coef, atol=1e-3)


def test_cox(X, signal, rng):
    y = np.stack([np.exp(rng.standard_normal(N) - signal), rng.random(N) < 0.7], 1)
    datafit = Cox(X, y.round(1))  # with ties
    result = minimize_composite(datafit, L1(0.03, weights=WEIGHTS), tol=1e-9)
    assert result.converged
    check_dual(result, X, datafit, datafit.conjugate, 0.03)
    assert abs(result.dual.sum()) < 1e-14


def test_columns_that_depend_on_one_another(X, signal, rng):
    X[:, 7] = X[:, 0] - X[:, 13]
    datafit, conjugate = make("logistic", X, signal, rng, True)
    result = minimize_composite(datafit, L1(0.05, weights=WEIGHTS), tol=1e-10)
    assert result.converged
    check_dual(result, X, datafit, conjugate, 0.05, intercept=True)
    X[:, 7] = 1.0  # as the intercept
    datafit, conjugate = make("squares", X, signal, rng, True)
    result = minimize_composite(datafit, L1(0.05, weights=WEIGHTS), tol=1e-10)
    check_dual(result, X, datafit, conjugate, 0.05, intercept=True)


@pytest.mark.parametrize("loss", ["squares", "huber"])
def test_more_free_columns_than_samples(loss, rng):
    """They fit exactly: the only dual point is zero."""
    X = rng.standard_normal((N, 2 * N))
    datafit, _ = make(loss, X, X[:, 0], rng, False)
    result = minimize_composite(datafit, NoPenalty(), tol=1e-10)
    assert result.converged
    assert 0 <= result.objective <= 1e-10 * datafit.scale()
    assert not result.dual.any()
    assert result.gap == result.objective


def test_too_many_free_columns_have_no_gap(monkeypatch, X, signal, rng):
    monkeypatch.setattr("sparseopt.linear_model._free._LARGEST", N)
    datafit, _ = make("squares", X, signal, rng, True)
    result = minimize_composite(datafit, L1(0.05, weights=WEIGHTS))
    assert result.converged and result.gap is None and result.dual is None
    grad = X.T @ (X @ result.coef + result.intercept - datafit.y) / N
    assert np.abs(grad[FREE]).max() <= 1e-8


def test_gives_up_the_gap_where_rounding_is_too_large(monkeypatch, X, signal, rng):
    monkeypatch.setattr(FreeColumns, "_orthogonal", lambda *args: None)
    datafit, _ = make("logistic", X, signal, rng, True)
    result = minimize_composite(datafit, L1(0.05, weights=WEIGHTS))
    assert result.converged and result.gap is None


def test_path_keeps_the_factor(monkeypatch, X, signal, rng):
    made = []
    init = FreeColumns.__init__
    monkeypatch.setattr(
        FreeColumns, "__init__", lambda *args: made.append(1) or init(*args)
    )
    datafit, _ = make("squares", X, signal, rng, True)
    found = path(datafit, L1(weights=WEIGHTS), [0.2, 0.1, 0.05], tol=1e-10)
    assert len(made) == 1
    assert found.gap is not None and found.residual <= 1e-10


def test_free_entries():
    def free(penalty, shape=(4,)):
        return np.flatnonzero(free_entries(penalty, shape)).tolist()

    assert free(L1(1.0)) == free(Ridge(1e-12)) == free(TV1D(1.0)) == []
    assert free(L1(1.0, weights=[0, 1, 1, 0])) == [0, 3]
    assert free(L1(1.0, weights=[0, 1, 1, 0], positive=True)) == []
    assert free(ElasticNet(1.0, 0.0, weights=[1, 0, 1, 1])) == [1]
    assert free(L1(0.0)) == free(NoPenalty()) == [0, 1, 2, 3]
    assert free(GroupLasso(1.0, groups=[[1, 2]])) == [0, 3]
    assert free(GroupLasso(1.0, groups=[[1]], rows=True), (2, 2)) == [0, 1]
    assert free(L1(1.0, weights=[0, 1]), (2, 2)) == [0, 1]
    assert free(NonNegative()) == free(Box(-1e5, 1e5)) == []
    assert free(Box([-np.inf, -np.inf, 0, 1], [np.inf, 1, np.inf, 2])) == [0]


def test_penalties_that_are_not_convex_have_no_gap(X, signal, rng):
    datafit, _ = make("squares", X, signal, rng, True)
    assert FreeColumns.of(datafit, MCP(0.1)) is None
