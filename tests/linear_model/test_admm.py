"""Sums of penalties and linear maps: oracles, certificates, ends of a run."""

import cvxpy as cp
import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

from sparseopt import Status
from sparseopt.exceptions import ConvergenceWarning
from sparseopt.linear_model import (
    Composed,
    Cox,
    Huber,
    LeastSquares,
    Logistic,
    Multinomial,
    Poisson,
    _admm,
    minimize_composite,
    overlapping_group_lasso,
)
from sparseopt.linear_model._composed import Terms, as_penalty
from sparseopt.linear_model._loss_prox import loss_prox
from sparseopt.prox import (
    L1,
    MCP,
    Box,
    ElasticNet,
    GroupLasso,
    Linf,
    NonNegative,
    Ridge,
)

N, P = 50, 12
D = np.diff(np.eye(P), axis=0)
SOLVERS = ("admm", "pdhg")


@pytest.fixture
def X(rng):
    return rng.normal(size=(N, P)) + 0.3


@pytest.fixture
def y(X, rng):
    w = np.repeat([1.0, 0.0, -1.0, 0.0], 3)
    return X @ w + 1.0 + 0.5 * rng.normal(size=N)


def _losses(X, y, **options):
    labels = np.digitize(y, np.quantile(y, [0.3, 0.6]))
    counts = np.round(np.exp(np.clip(y, -3, 2)))
    return {
        "squares": LeastSquares(X, y, **options),
        "logistic": Logistic(X, y > np.median(y), **options),
        "huber": Huber(X, y, 0.5, **options),
        "poisson": Poisson(X, counts, **options),
        "multinomial": Multinomial(X, labels, **options),
    }


def _cvx_loss(name, datafit, w, b):
    X, y = datafit.design.X, datafit.y
    if name == "multinomial":
        z = X @ w + cp.reshape(b, (1, 3), order="C")
        terms = cp.log_sum_exp(z, axis=1) - cp.sum(cp.multiply(y, z), axis=1)
    else:
        z = X @ w + b
        terms = {
            "squares": lambda: 0.5 * cp.square(y - z),
            "logistic": lambda: cp.logistic(-cp.multiply(y, z)),
            "huber": lambda: 0.5 * cp.huber(y - z, 0.5),
            "poisson": lambda: cp.exp(z) - cp.multiply(y, z),
        }[name]()
    return cp.sum(cp.multiply(datafit.s, terms))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    "name", ["squares", "logistic", "huber", "poisson", "multinomial"]
)
def test_sparse_fused_lasso_against_cvxpy(name, solver, X, y, rng):
    weights = rng.random(N) + 0.2
    datafit = _losses(X, y, fit_intercept=True, sample_weight=weights)[name]
    penalty = [L1(0.02), Composed(L1(0.05), D)]
    result = minimize_composite(datafit, penalty, solver=solver, tol=1e-9)
    assert result.converged
    assert result.gap is not None
    shape = (P, 3) if name == "multinomial" else (P,)
    w = cp.Variable(shape)
    b = cp.Variable(3) if name == "multinomial" else cp.Variable()
    loss = _cvx_loss(name, datafit, w, b)
    reg = 0.02 * cp.sum(cp.abs(w)) + 0.05 * cp.sum(cp.abs(D @ w))
    cp.Problem(cp.Minimize(loss + reg)).solve(solver="CLARABEL")
    here = datafit.value(X @ result.coef + result.intercept)
    here += 0.02 * np.abs(result.coef).sum() + 0.05 * np.abs(D @ result.coef).sum()
    assert here == pytest.approx(result.objective, rel=1e-10)
    best = loss.value + reg.value
    if name == "poisson":
        counts = datafit.y[datafit.y > 0]
        s = datafit.s[datafit.y > 0]
        best += s @ (counts * np.log(counts) - counts)
    assert abs(here - best) < 1e-6


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("plain", [True, False])
def test_overlapping_groups_against_cvxpy(plain, solver, X, y):
    groups = [[0, 1, 2, 3], [2, 3, 4, 5], [5, 6, 7], [7, 8, 9, 10, 11]]
    overlapping = overlapping_group_lasso(0.2, groups, P)
    penalty = [ElasticNet(0.05, 0.5), overlapping] if plain else overlapping
    result = minimize_composite(LeastSquares(X, y), penalty, solver=solver, tol=1e-10)
    w = cp.Variable(P)
    reg = 0.2 * sum(np.sqrt(len(g)) * cp.norm(w[g]) for g in groups)
    if plain:
        reg = reg + 0.025 * cp.norm1(w) + 0.0125 * cp.sum_squares(w)
    problem = cp.Problem(cp.Minimize(0.5 / N * cp.sum_squares(y - X @ w) + reg))
    problem.solve(solver="CLARABEL")
    assert result.converged
    assert (result.gap is not None) == plain
    # the oracle's own tolerance
    np.testing.assert_allclose(result.coef, w.value, atol=1e-4)
    assert abs(result.objective - problem.value) < 1e-7


@pytest.mark.parametrize("solver", SOLVERS)
def test_fused_lasso_conditions(solver, X, y):
    """Without a plain term there is no gap: the multipliers are found from outside."""
    result = minimize_composite(
        LeastSquares(X, y, fit_intercept=True), Composed(L1(0.1), D), solver=solver,
        tol=1e-9,
    )  # fmt: skip
    assert result.gap is None
    assert result.converged
    grad = X.T @ (X @ result.coef + result.intercept - y) / N
    # D' u = -grad with |u| <= lam, and u = lam sign(D w) where D w is not zero
    multipliers = np.cumsum(grad)
    assert abs(multipliers[-1]) < 1e-8
    multipliers = multipliers[:-1]
    assert np.abs(multipliers).max() <= 0.1 * (1 + 1e-7)
    jump = D @ result.coef
    there = np.abs(jump) > 1e-6
    np.testing.assert_allclose(
        multipliers[there], 0.1 * np.sign(jump[there]), atol=1e-7
    )


@pytest.mark.parametrize("solver", SOLVERS)
def test_same_minimiser_as_prox_grad(solver, X, y):
    for datafit in _losses(X, y, fit_intercept=True).values():
        for penalty in (L1(0.05), Linf(0.1), Ridge(0.1)):
            other = minimize_composite(datafit, penalty, solver="prox_grad", tol=1e-13)
            result = minimize_composite(datafit, penalty, solver=solver, tol=1e-12)
            assert result.converged
            assert abs(result.objective - other.objective) < 1e-11
            a, b = (X @ found.coef + found.intercept for found in (result, other))
            if a.ndim == 2:  # classes may be shifted together
                a, b = (z - z.mean(axis=1, keepdims=True) for z in (a, b))
            np.testing.assert_allclose(a, b, atol=1e-4)


def test_gap_of_a_sum_recomputed(X, y):
    """The dual point of the result bounds the optimum, with multipliers by cvxpy."""
    penalty = [L1(0.02), Composed(L1(0.05), D)]
    datafit = LeastSquares(X, y)
    result = minimize_composite(datafit, penalty, solver="admm", tol=1e-9)
    theta = result.dual
    u = cp.Variable(P - 1)
    rest = cp.norm_inf(X.T @ theta + D.T @ u)
    cp.Problem(cp.Minimize(rest), [cp.norm_inf(u) <= 0.05]).solve(solver="CLARABEL")
    assert rest.value <= 0.02 * (1 + 1e-6)
    lower = -datafit.conjugate(theta)
    assert result.objective - lower == pytest.approx(result.gap, abs=1e-12)
    assert 0 <= result.gap <= 1e-9 * datafit.value(np.zeros(N)) * (1 + 1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_set_for_the_image(solver, X, y):
    """Increasing coefficients that are not negative."""
    penalty = [NonNegative(), Composed(Box(0.0, np.inf), D)]
    result = minimize_composite(LeastSquares(X, y), penalty, solver=solver, tol=1e-9)
    w = cp.Variable(P)
    objective = 0.5 / N * cp.sum_squares(y - X @ w)
    cp.Problem(cp.Minimize(objective), [w >= 0, D @ w >= 0]).solve(solver="CLARABEL")
    assert result.converged
    np.testing.assert_allclose(result.coef, w.value, atol=1e-5)


@pytest.mark.parametrize("solver", SOLVERS)
def test_sparse_and_operator_forms(solver, X, y, monkeypatch):
    X = X * (np.abs(X) > 0.5)
    penalty = [L1(0.02), Composed(L1(0.05), D)]
    exact = minimize_composite(LeastSquares(X, y), penalty, solver=solver, tol=1e-11)
    for form in (sparse.csr_array, aslinearoperator):
        maps = [L1(0.02), Composed(L1(0.05), form(D))]
        datafit = LeastSquares(form(X), y)
        result = minimize_composite(datafit, maps, solver=solver, tol=1e-11)
        np.testing.assert_allclose(result.coef, exact.coef, atol=1e-6)
    monkeypatch.setattr(_admm, "_DENSE", 0)  # conjugate gradients
    result = minimize_composite(LeastSquares(X, y), penalty, solver=solver, tol=1e-11)
    assert result.converged
    np.testing.assert_allclose(result.coef, exact.coef, atol=1e-6)


def test_more_features_than_samples(rng):
    X = rng.normal(size=(20, 60))
    y = X[:, :3].sum(axis=1)
    A = np.diff(np.eye(60), axis=0)
    penalty = [L1(0.05), Composed(L1(0.05), A)]
    a, b = (
        minimize_composite(LeastSquares(X, y), penalty, solver=solver, tol=1e-9)
        for solver in SOLVERS
    )
    assert abs(a.objective - b.objective) < 1e-8


@pytest.mark.parametrize("solver", SOLVERS)
def test_features_that_repeat(solver, X, y):
    X = np.hstack([X, X[:, :2]])
    result = minimize_composite(LeastSquares(X, y), L1(0.05), solver=solver)
    assert result.converged


def test_terms_that_add_up_are_added():
    assert not isinstance(as_penalty([L1(0.1)], (P,), "f"), Terms)
    sum_of_two = as_penalty([Linf(0.1), GroupLasso(0.2)], (P,), "f")
    assert isinstance(sum_of_two, Terms)


def test_three_plain_penalties(X, y):
    penalty = [L1(0.02), Linf(0.05), GroupLasso(0.03, groups=3)]
    w = cp.Variable(P)
    reg = 0.02 * cp.norm1(w) + 0.05 * cp.norm_inf(w)
    reg += 0.03 * np.sqrt(3) * sum(cp.norm(w[3 * g : 3 * g + 3]) for g in range(4))
    problem = cp.Problem(cp.Minimize(0.5 / N * cp.sum_squares(y - X @ w) + reg))
    problem.solve(solver="CLARABEL")
    for solver in SOLVERS:
        result = minimize_composite(
            LeastSquares(X, y), penalty, solver=solver, tol=1e-9
        )
        assert result.converged
        assert abs(result.objective - problem.value) < 1e-7


# ------------------------------------------------------ proximal operators of losses


@pytest.mark.parametrize("rho", [1e-3, 0.1, 1.0, 50.0])
@pytest.mark.parametrize(
    "name", ["squares", "logistic", "huber", "poisson", "multinomial"]
)
def test_loss_prox_is_stationary(name, rho, X, y, rng):
    datafit = _losses(X, y)[name]
    for scale in (0.1, 3.0, 30.0):
        c = scale * rng.normal(size=datafit.zero().shape)
        z = loss_prox(datafit, c, rho)
        s = datafit.s.reshape(-1, *[1] * (z.ndim - 1))
        slope = datafit.gradient(z) / s + rho * (z - c)
        size = 1.0 + np.abs(rho * c) + np.abs(datafit.y)
        assert np.abs(slope / size).max() < 1e-11


# ------------------------------------------------------------------- ends of a run


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("gap", [True, False])
def test_limits_callback_keyboard(gap, solver, X, y):
    terms = [Composed(L1(0.05), D)]
    penalty = [L1(0.02), *terms] if gap else terms
    datafit = LeastSquares(X, y)
    options = {"solver": solver, "tol": 1e-14}
    with pytest.warns(ConvergenceWarning):
        result = minimize_composite(datafit, penalty, max_iter=5, **options)
    assert result.status is Status.MAX_ITER
    best = "objective" if gap else "residual"
    assert getattr(result, best) == pytest.approx(result.history[best].min(), rel=1e-6)
    with pytest.warns(ConvergenceWarning):
        result = minimize_composite(datafit, penalty, max_time=1e-9, **options)
    assert result.status is Status.TIME_LIMIT

    result = minimize_composite(
        datafit, penalty, callback=lambda state: state.n_iter >= 3, **options
    )
    assert result.status is Status.STOPPED_BY_CALLBACK

    def interrupt(state):
        if state.n_iter >= 3:
            raise KeyboardInterrupt

    with pytest.warns(ConvergenceWarning):
        result = minimize_composite(datafit, penalty, callback=interrupt, **options)
    assert result.status is Status.INTERRUPTED


# ----------------------------------------------------------------------- bad input


def test_bad_terms(X, y):
    datafit = LeastSquares(X, y)
    with pytest.raises(TypeError, match="convex penalty"):
        Composed(MCP(0.1), D)
    with pytest.raises(TypeError, match="must be a penalty"):
        minimize_composite(datafit, [L1(0.1), "l1"])
    with pytest.raises(ValueError, match=r"must have 12 columns\. Got 3"):
        minimize_composite(datafit, Composed(L1(0.1), np.eye(3)))
    with pytest.raises(ValueError, match="empty list"):
        minimize_composite(datafit, [])
    with pytest.raises(ValueError, match="must be finite"):
        Composed(L1(0.1), np.full((2, P), np.nan))
    with pytest.raises(ValueError, match="convex penalties"):
        minimize_composite(datafit, MCP(0.1), solver="admm")
    with pytest.raises(ValueError, match="convex penalties"):
        minimize_composite(datafit, [MCP(0.1), Composed(L1(0.1), D)])
    with pytest.raises(ValueError, match=r"indices in \[0, 11\]"):
        overlapping_group_lasso(0.1, [[0, 12]], P)
    with pytest.raises(ValueError, match="'lam' parameter"):
        overlapping_group_lasso(-0.1, [[0, 1]], P)
    time = np.stack([np.abs(y) + 1, np.ones(N)], axis=1)
    with pytest.raises(ValueError, match="proximal operator of the loss"):
        minimize_composite(Cox(X, time), L1(0.1), solver="admm")


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("plain", ["l1", "none", "net"])
def test_few_samples_by_the_lemma(plain, form, fit_intercept, rng, monkeypatch):
    """The system by way of the samples is the one that is factorised whole."""
    X, p = rng.standard_normal((8, 30)), 30
    y = 3.0 * X[:, 0] + rng.standard_normal(8)
    maps = Composed(L1(0.1), sparse.csr_array(np.diff(np.eye(p), axis=0)))
    terms = {"l1": [L1(0.05)], "none": [], "net": [ElasticNet(0.1, 0.5)]}[plain]
    losses = _losses(X, y, fit_intercept=fit_intercept)
    for name in ("squares", "logistic"):
        datafit = type(losses[name])(
            form(X), losses[name].y, fit_intercept=fit_intercept
        )
        penalty = [*terms, maps, overlapping_group_lasso(0.1, [[0, 1], [1, 2]], p)]
        options = {"solver": "admm", "tol": 1e-9}
        whole = minimize_composite(datafit, penalty, **options)
        with monkeypatch.context() as patch:
            patch.setattr(_admm, "_DENSE", 10)
            short = minimize_composite(datafit, penalty, **options)
        assert whole.converged
        assert short.converged
        # both within a gap, or stationary, to 1e-9
        assert abs(short.objective - whole.objective) < 1e-8


def test_auto_takes_the_exact_prox_of_a_fused_lasso(X, y):
    terms = [L1(0.03), Composed(L1(0.1), -sparse.csr_array(D))]
    result = minimize_composite(LeastSquares(X, y), terms, tol=1e-11)
    other = minimize_composite(LeastSquares(X, y), terms, solver="admm", tol=1e-11)
    assert (result.solver, other.solver) == ("prox_grad", "admm")
    assert result.converged
    assert result.gap is not None
    here = result.objective
    assert here == pytest.approx(other.objective, rel=1e-9)  # both gaps are below
    swapped = D.copy()
    swapped[[0, 1]] = swapped[[1, 0]]  # the same penalty, not in order
    for A in (2 * D, np.abs(D), D[:-1], swapped):
        terms = [L1(0.03), Composed(L1(0.1), A)]
        assert minimize_composite(LeastSquares(X, y), terms).solver == "admm"


def test_auto_takes_primal_dual_steps_for_large_maps(rng, monkeypatch):
    monkeypatch.setattr(_admm, "_DENSE", 10)
    X, p = rng.standard_normal((8, 30)), 30
    datafit = LeastSquares(X, X[:, 0])
    bends = sparse.csr_array(np.diff(np.eye(p), 2, axis=0))
    groups = overlapping_group_lasso(0.1, [[0, 1], [1, 2]], p)
    for terms, name in (([Composed(L1(0.1), bends)], "pdhg"), ([groups], "admm")):
        result = minimize_composite(datafit, [L1(0.01), *terms], tol=1e-6)
        assert result.solver == name
        assert result.converged
