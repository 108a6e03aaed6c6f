"""Data on scales far from one, and residuals in the flat tails of a loss."""

import numpy as np
import pytest
from scipy import sparse

from sparseopt.exceptions import ConvergenceWarning
from sparseopt.linear_model import (
    Cox,
    Huber,
    LeastSquares,
    Logistic,
    Multinomial,
    best_subset,
    minimize_composite,
    path,
)
from sparseopt.linear_model._design import Design
from sparseopt.linear_model._group_forms import GroupBlocks
from sparseopt.prox import L1, GroupLasso, Ridge

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 6))
Y = X[:, 0] - 2 * X[:, 1] + 0.3 * RNG.standard_normal(40)


@pytest.mark.parametrize("offset", [1e6, 1e8])
@pytest.mark.parametrize("solver", ["anderson_cd", "prox_newton"])
def test_features_far_from_zero(offset, solver):
    """An intercept takes the offset off; the rest is as exact as the data."""
    near = minimize_composite(LeastSquares(X, Y, fit_intercept=True), L1(0.05))
    far = LeastSquares(X + offset, Y, fit_intercept=True)
    result = minimize_composite(far, L1(0.05), solver=solver, tol=1e-6)
    assert result.converged
    # a relative gap of 1e-6 bounds coefficients by its root
    np.testing.assert_allclose(result.coef, near.coef, atol=1e-3)


def test_square_norms_of_sparse_columns_on_different_scales():
    matrix = np.where(X > 0, X, 0) * np.array([1e10, 1e-6, 0, 1, 1e-9, 1])
    norms = Design(sparse.csc_matrix(matrix)).square_norms()
    np.testing.assert_allclose(norms, (matrix**2).sum(axis=0), rtol=1e-14)


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_huber_where_all_residuals_begin_in_the_tails(scale, fit_intercept):
    datafit = Huber(X, scale * Y, fit_intercept=fit_intercept)
    result = minimize_composite(datafit, L1(0.05), max_time=30)
    assert result.solver == "prox_newton" and result.converged
    subset = best_subset(datafit, 2)
    assert subset.support.tolist() == [0, 1]
    assert subset.objective < 0.5 * datafit.value(np.zeros(40))


@pytest.mark.parametrize("solver", ["prox_grad", "saga", "admm", "multinomial_cd"])
def test_squares_that_overflow_are_an_error_for_every_solver(solver):
    datafit = Multinomial(1e200 * X, np.digitize(Y, [-1, 1]))
    with pytest.raises(ValueError, match="'X' array must have a largest magnitude"):
        minimize_composite(datafit, L1(0.1), solver=solver)


@pytest.mark.parametrize(
    ("solver", "options", "name"),
    [
        ("auto", {"foo": 1.0}, "foo"),
        ("anderson_cd", {"rho": 1.0}, "rho"),
        ("admm", {"rho": 0.0}, "rho"),
        ("pdhg", {"ratio": -1.0}, "ratio"),
        ("saga", {"step": "a"}, "step"),
        ("prox_svrg", {"batch": 0}, "batch"),
    ],
)
def test_options_that_are_not_allowed(solver, options, name):
    with pytest.raises(ValueError, match=rf"'options' parameter .*Got|{name}"):
        minimize_composite(LeastSquares(X, Y), L1(0.1), solver=solver, options=options)


def test_features_off_zero_without_an_intercept():
    """Nearly parallel columns: Newton steps that stop at kinks must not end a solve."""
    for datafit in (LeastSquares(X + 100.0, Y), Huber(X + 100.0, Y)):
        assert minimize_composite(datafit, L1(0.05)).converged


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
@pytest.mark.parametrize("groups", [2, [0, 0, 1, 1, 2, 2]])
def test_norms_of_groups_beyond_the_range_of_squares(scale, groups):
    blocks = GroupBlocks.of(GroupLasso(1.0, groups=groups, weights=None), 6)
    w = np.array([3.0, 4.0, 0.0, 0.0, 5.0, 12.0])
    value = blocks.value(scale * w)
    assert value == pytest.approx(18.0 * scale, rel=1e-14)


@pytest.mark.parametrize("offset", [1e4, 1e8])
@pytest.mark.parametrize("solver", ["prox_grad", "saga", "admm", "pdhg"])
def test_first_order_methods_with_features_far_from_zero(offset, solver):
    """The same problem with an intercept, and as well conditioned."""
    far = X + offset
    moved, kept = far - offset, far.copy()  # what is left of the features
    near = minimize_composite(LeastSquares(moved, Y, fit_intercept=True), L1(0.05))
    result = minimize_composite(
        LeastSquares(far, Y, fit_intercept=True), L1(0.05), solver=solver
    )
    assert result.converged and np.array_equal(far, kept)
    # relative gaps of 1e-8 bound coefficients by their root
    np.testing.assert_allclose(result.coef, near.coef, atol=1e-3)
    # the intercept cancels what the offset adds, up to its rounding
    z = far @ result.coef + result.intercept
    np.testing.assert_allclose(z, near.intercept + moved @ near.coef, atol=1e-3)
    theta = result.dual
    assert abs(theta.sum()) < 1e-13
    assert np.abs(moved.T @ theta).max() <= 0.05 * (1 + 1e-9)
    primal = 0.5 * np.mean((Y - z) ** 2) + 0.05 * np.abs(result.coef).sum()
    dual = -theta @ Y - 20.0 * theta @ theta  # n / 2 = 20
    # rounding of predictions of the offset's size, against residuals of unit size
    assert primal - dual == pytest.approx(result.gap, abs=1e-9 + 1e-15 * offset)


@pytest.mark.parametrize("solver", ["auto", "prox_grad"])
def test_starts_and_callbacks_with_features_far_from_zero(solver):
    far, seen = LeastSquares(X + 1e6, Y, fit_intercept=True), []
    result = minimize_composite(far, L1(0.05), solver=solver)
    again = minimize_composite(
        far,
        L1(0.05),
        solver=solver,
        init=result,
        callback=lambda s: seen.append((s.coef.copy(), s.intercept)),
    )
    assert again.n_iter <= 2
    coef, intercept = seen[0]
    # units of the last place of 1e6 times a few coefficients
    np.testing.assert_allclose((X + 1e6) @ coef + intercept, Y, atol=1.0)
    assert path(far, L1(), n_lams=3).converged
    assert best_subset(far, 2).support.tolist() == [0, 1]


def test_sparse_features_far_from_zero():
    """Not centred, but slopes of sum zero do not feel the offset."""
    far = LeastSquares(sparse.csc_array(X + 1e8), Y, fit_intercept=True)
    result = minimize_composite(far, L1(0.05), solver="prox_grad", tol=1e-6)
    near = minimize_composite(LeastSquares(X, Y, fit_intercept=True), L1(0.05))
    assert result.converged
    np.testing.assert_allclose(result.coef, near.coef, atol=1e-3)


@pytest.mark.parametrize("loss", [LeastSquares, Huber])
@pytest.mark.parametrize("solver", ["auto", "prox_grad"])
@pytest.mark.parametrize("penalty", [L1(0.05), GroupLasso(0.05, groups=2), L1(10.0)])
def test_targets_far_from_zero(loss, solver, penalty):
    """Dual values do not lose the digits that targets of that size would take."""
    far = Y + 1e7
    moved, kept = far - 1e7, far.copy()
    near = minimize_composite(loss(X, moved, fit_intercept=True), penalty)
    datafit = loss(X, far, fit_intercept=True)
    result = minimize_composite(datafit, penalty, solver=solver)
    assert result.converged and np.array_equal(datafit.y, kept)
    assert result.objective == pytest.approx(near.objective, rel=1e-7)
    # gaps of 1e-8 bound coefficients by their root
    np.testing.assert_allclose(result.coef, near.coef, atol=1e-3)
    assert result.intercept - 1e7 == pytest.approx(near.intercept, abs=1e-3)
    again = minimize_composite(datafit, penalty, solver=solver, init=result)
    assert again.n_iter <= 2
    assert best_subset(datafit, 1).intercept == pytest.approx(1e7, rel=1e-6)


def test_ridges_have_no_kink_for_newton_steps_to_stop_at():
    """Conditioning of 1e10, that sweeps alone would take forever for."""
    datafit = Logistic(X + 1e5, np.sign(Y))
    result = minimize_composite(datafit, Ridge(5e-3))
    assert result.converged and result.n_epochs < 1000
    z = (X + 1e5) @ result.coef
    slope = (X + 1e5).T @ datafit.gradient(z) + 5e-3 * result.coef
    # what the gap is at the dual point of the gradient
    assert slope @ slope / (2 * 5e-3) <= 1e-8 * np.log(2)


def test_gradient_steps_that_lead_nowhere_end():
    """Without an intercept the conditioning is 1e16: an honest end before the limit."""
    with pytest.warns(ConvergenceWarning, match="stalled"):
        result = minimize_composite(
            LeastSquares(X + 1e8, Y), L1(0.05), solver="prox_grad"
        )
    assert result.n_iter < 20_000


@pytest.mark.parametrize("scale", [1e37, 1e-37])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("loss", [LeastSquares, Cox])
def test_single_precision_near_the_ends_of_its_range(loss, form, scale):
    """Products with such entries do not fit in float32: other units are taken."""
    small = (X * scale).astype(np.float32)
    y = np.stack([np.abs(Y), Y > 0], axis=1) if loss is Cox else Y
    # what products in float32 leave of the gap's digits
    result = minimize_composite(loss(form(small), y), L1(0.1 * scale), tol=1e-6)
    wide = minimize_composite(loss(X, y), L1(0.1), tol=1e-8)
    assert result.converged
    # relative gaps of 1e-6 bound coefficients by their root
    coef = result.coef.astype(np.float64) * scale
    np.testing.assert_allclose(coef, wide.coef, atol=2e-3)


def test_targets_whose_squares_overflow():
    for y in (Y * 1e200, np.sign(Y) * 1.7e308):
        with pytest.raises(ValueError, match=r"'y' array must .*1e\+145"):
            Huber(X, y)
