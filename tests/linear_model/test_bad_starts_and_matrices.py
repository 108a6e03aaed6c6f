"""Starts, weights, labels and sparse matrices that no solver should trip over."""

import warnings

import numpy as np
import pytest
from scipy import sparse

from sparseopt.linear_model import (
    Cox,
    Huber,
    LeastSquares,
    Logistic,
    Multinomial,
    Poisson,
    ProximalClassifier,
    ProximalRegressor,
    SparseEnvelopeClassifier,
    SparseEnvelopeRegressor,
    best_subset,
    minimize_composite,
    overlapping_group_lasso,
)
from sparseopt.prox import L1, MCP, TV1D, GroupLasso

RNG = np.random.default_rng(0)
X = RNG.standard_normal((30, 8))
Y = X[:, 0] + 0.1 * RNG.standard_normal(30)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("bad", [np.nan, np.inf, "a", 1j, [1.0, 2.0], None])
def test_intercepts_to_start_from(bad, fit_intercept):
    datafit = LeastSquares(X, Y, fit_intercept=fit_intercept)
    with pytest.raises(ValueError, match="intercept in the 'init' parameter"):
        minimize_composite(datafit, L1(0.1), init=(np.ones(8), bad))


@pytest.mark.parametrize("solver", ["auto", "prox_grad", "prox_newton", "saga"])
@pytest.mark.parametrize("start", [1e300, -1e160, 1e20])
@pytest.mark.parametrize("loss", [LeastSquares, Huber, Logistic])
def test_starts_whose_loss_hides_all_others(start, loss, solver):
    datafit = loss(X, Y > 0 if loss is Logistic else Y, fit_intercept=True)
    zero = minimize_composite(datafit, L1(0.1), solver=solver)
    w = np.full(8, start)
    result = minimize_composite(datafit, L1(0.1), w, solver=solver)
    np.testing.assert_array_equal(result.coef, zero.coef)
    result = minimize_composite(datafit, L1(0.1), init=(0 * w, start), solver=solver)
    assert result.converged


def test_start_at_which_rates_overflow():
    datafit = Poisson(X, (Y > 0).astype(float))
    assert minimize_composite(datafit, L1(0.1), np.full(8, 1e3)).converged


def test_starts_of_another_scale_are_used():
    datafit = LeastSquares(X, Y)
    first: list = []
    result = minimize_composite(
        datafit,
        L1(0.1),
        np.full(8, 1e4),
        callback=lambda state: first.append(state.objective) and None,
    )
    assert result.converged and first[0] > 1e4


ESTIMATORS = [
    ProximalRegressor(),
    ProximalClassifier(),
    SparseEnvelopeRegressor(k=2),
    SparseEnvelopeClassifier(k=2),
]


@pytest.mark.parametrize("scale", [1e308, 5e-324])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_weights_whose_sum_overflows(estimator, scale):
    y = Y > 0 if "Classifier" in type(estimator).__name__ else Y
    plain = estimator.fit(X, y).coef_
    heavy = estimator.fit(X, y, sample_weight=np.full(30, scale)).coef_
    np.testing.assert_allclose(heavy, plain, atol=1e-12)


def _corrupt(how, kind):
    matrix = kind(X)
    if how == "beyond":
        matrix.indices[3] = 10**6
    elif how == "negative":
        matrix.indices[3] = -5
    elif how == "falls":
        matrix.indptr[2] = 0
    elif how == "starts late":
        matrix.indptr[0] = 2
    elif how == "too long":
        matrix.indptr[-1] = 10**6
    else:
        matrix.data = matrix.data[:50]
    return matrix


@pytest.mark.parametrize("kind", [sparse.csc_matrix, sparse.csr_array])
@pytest.mark.parametrize(
    "how", ["beyond", "negative", "falls", "starts late", "too long", "few data"]
)
def test_sparse_matrices_that_point_outside(how, kind):
    with pytest.raises(ValueError, match="'X' matrix must have"):
        LeastSquares(_corrupt(how, kind), Y)
    for estimator in ESTIMATORS:
        y = Y > 0 if "Classifier" in type(estimator).__name__ else Y
        with pytest.raises(ValueError, match="'X' matrix must have"):
            estimator.fit(_corrupt(how, kind), y)
        estimator.fit(X, y)
        with pytest.raises(ValueError, match="'X' matrix must have"):
            estimator.predict(_corrupt(how, kind))


def test_coordinates_outside_of_the_matrix():
    matrix = sparse.coo_array(X)
    rows = matrix.row.copy()
    rows[3] = 1000
    matrix.coords = (rows, matrix.col)
    with pytest.raises(ValueError, match="'X' matrix must have indices"):
        LeastSquares(matrix, Y)


@pytest.mark.parametrize("dtype", [str, object])
def test_strings_are_labels_of_groups(dtype):
    words = np.array(["b", "b", "a", "a", "a", "b", "c", "c"], dtype=dtype)
    codes = np.array([1, 1, 0, 0, 0, 1, 2, 2])
    for labels in (words, words.tolist()):
        text = GroupLasso(0.1, groups=labels, weights=[1.0, 2.0, 3.0])
        plain = GroupLasso(0.1, groups=codes, weights=[1.0, 2.0, 3.0])
        datafit = LeastSquares(X, Y)
        result = minimize_composite(datafit, text)
        np.testing.assert_array_equal(
            result.coef, minimize_composite(datafit, plain).coef
        )
        envelope = SparseEnvelopeRegressor(k=1, groups=labels).fit(X, Y)
        assert set(words[envelope.support_]) == {"b"}
        assert best_subset(datafit, 1, groups=labels).support.tolist() == [0, 1, 5]


def test_labels_that_are_neither_integers_nor_strings():
    numbers, names = [0.5] * 8, [["x"], ["y"]]
    with pytest.raises(TypeError, match="'groups"):
        minimize_composite(LeastSquares(X, Y), GroupLasso(0.1, groups=numbers))
    with pytest.raises(ValueError, match=r"'groups.*may name columns only"):
        minimize_composite(LeastSquares(X, Y), GroupLasso(0.1, groups=names))


@pytest.mark.parametrize("form", ["lil", "bsr", "dok", "dia", "csr"])
def test_all_sparse_formats(form):
    Z = np.where(np.abs(X) > 1, X, 0.0)
    Z[:, 1:] *= np.eye(30, 7) + 1.0
    dense = minimize_composite(LeastSquares(Z, Y), L1(0.1), tol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sparse.SparseEfficiencyWarning)
        matrix = sparse.coo_array(Z).asformat(form)
    result = minimize_composite(LeastSquares(matrix, Y), L1(0.1), tol=1e-12)
    # gaps of 1e-12 leave coefficients of this size
    np.testing.assert_allclose(result.coef, dense.coef, atol=1e-5)


def test_wrong_losses_and_groups():
    with pytest.raises(TypeError, match=r"'fit_intercept' .*LeastSquares.*Got 'no'"):
        LeastSquares(X, Y, fit_intercept="no")
    with pytest.raises(ValueError, match=r"one output. Got Multinomial"):
        best_subset(Multinomial(X, np.arange(30) % 3), 2)
    swapped = np.stack([Y > 0, np.abs(Y)], axis=1)
    with pytest.raises(ValueError, match="in this order"):
        Cox(X, swapped)
    with pytest.raises(ValueError, match=r"'groups' .*must hold a group"):
        overlapping_group_lasso(0.1, [], 8)
    with pytest.raises(TypeError, match=r"'groups' .*Got 3"):
        overlapping_group_lasso(0.1, 3, 8)
    with pytest.raises(ValueError, match="LeastSquares with a sum"):
        minimize_composite(LeastSquares(X, Y), [MCP(0.1), TV1D(0.1)])


def test_losses_are_printed():
    text = repr(LeastSquares(sparse.csr_array(X), Y, fit_intercept=True))
    shape = "<sparse X of shape (30, 8), float64>"
    assert text == f"LeastSquares({shape}, fit_intercept=True)"
