"""Data on scales far from one, and residuals in the flat tails of a loss."""

import numpy as np
import pytest
from scipy import sparse

from sparseopt.linear_model import (
    Cox,
    Huber,
    LeastSquares,
    Multinomial,
    best_subset,
    minimize_composite,
)
from sparseopt.linear_model._design import Design
from sparseopt.linear_model._group_forms import GroupBlocks
from sparseopt.prox import L1, GroupLasso

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


@pytest.mark.parametrize("scale", [1e37, 1e-37])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("loss", [LeastSquares, Cox])
def test_single_precision_near_the_ends_of_its_range(loss, form, scale):
    """Products with such entries do not fit in float32: they are made in float64."""
    small = (X * scale).astype(np.float32)
    y = np.stack([np.abs(Y), Y > 0], axis=1) if loss is Cox else Y
    result = minimize_composite(loss(form(small), y), L1(0.1 * scale), tol=1e-8)
    wide = minimize_composite(loss(X, y), L1(0.1), tol=1e-8)
    assert result.coef.dtype == np.float64
    # float32 entries are rounded by 6e-8, more where they are subnormal
    np.testing.assert_allclose(result.coef * scale, wide.coef, atol=1e-5)


def test_targets_whose_squares_overflow():
    for y in (Y * 1e200, np.sign(Y) * 1.7e308):
        with pytest.raises(ValueError, match=r"'y' array must .*below 1e\+145"):
            Huber(X, y)
