"""The design matrix: products of all kinds, and what is refused."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

from sparseopt.linear_model._design import Design
from sparseopt.linear_model._working_set import GramSet


@pytest.fixture(params=["C", "F", "strided", "csc", "csr", "operator"])
def pair(request, rng, dtype):
    """A design and the same matrix, dense and in float64."""
    X = rng.standard_normal((12, 9)) * (rng.uniform(size=(12, 9)) < 0.6)
    X = X.astype(dtype)
    kinds = {
        "C": X,
        "F": np.asfortranarray(X),
        "strided": np.repeat(X, 2, axis=1)[:, ::2],
        "csc": sparse.csc_array(X),
        "csr": sparse.csr_matrix(X),
        "operator": aslinearoperator(X.astype(np.float64)),
    }
    return Design(kinds[request.param]), X.astype(np.float64)


def test_products(pair, rng):
    design, X = pair
    w, r = rng.standard_normal(9), rng.standard_normal(12)
    W, R = rng.standard_normal((9, 2)), rng.standard_normal((12, 2))
    rough = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(design.matvec(w), X @ w, **rough)
    np.testing.assert_allclose(design.matvec(W), X @ W, **rough)
    np.testing.assert_allclose(design.rmatvec(r), X.T @ r, **rough)
    np.testing.assert_allclose(design.rmatvec(R), X.T @ R, **rough)
    assert design.matvec(w).dtype == np.float64


def test_products_that_are_exact_for_float32(pair, rng):
    design, X = pair
    w, r = rng.standard_normal(9), rng.standard_normal(12)
    cols = np.array([7, 2, 3])
    np.testing.assert_allclose(design.gradient(r), X.T @ r, atol=1e-13)
    np.testing.assert_allclose(design.gradient(r, cols), X[:, cols].T @ r, atol=1e-13)
    for size in (0, 1, 9):
        w[size:] = 0
        np.testing.assert_allclose(design.predict(w), X @ w, atol=1e-13)
    W = rng.standard_normal((9, 2))
    W[3:] = 0
    np.testing.assert_allclose(design.predict(W), X @ W, atol=1e-13)


def test_columns(pair, rng):
    design, X = pair
    s = rng.uniform(size=12)
    if design.kind == "operator":
        for call in (design.moments, design.square_norms, design.columns):
            with pytest.raises(TypeError, match="has no columns"):
                call(s)
        return
    square, mean = design.moments(s)
    np.testing.assert_allclose(square, s @ X**2, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(mean, s @ X, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(design.square_norms(), np.sum(X**2, 0), rtol=1e-5)
    cols = np.array([4, 0])
    block = design.columns(cols)
    block = block.toarray() if sparse.issparse(block) else block
    np.testing.assert_array_equal(block, X[:, cols].astype(block.dtype))


@pytest.mark.parametrize("centred", [False, True])
def test_square_norm(pair, centred, rng):
    design, X = pair
    s = rng.uniform(size=12)
    A = X - (s @ X / s.sum() if centred else 0)
    exact = np.linalg.norm(A.T @ (s[:, None] * A), 2)
    found = design.square_norm(s, centred=centred, n_iter=200)
    assert found == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("centred", [False, True])
def test_gram_set_grows_and_shrinks(pair, centred, rng):
    design, X = pair
    if design.kind == "operator":
        return
    d = rng.uniform(size=12)
    A = X - (d @ X / d.sum() if centred else 0)
    H = A.T @ (d[:, None] * A)
    gram = GramSet(design, d, centred=centred)
    for new in ([3, 1], [3, 8, 0], [], [5]):
        gram.add(np.array(new, dtype=np.int64))
        np.testing.assert_allclose(gram.H, H[np.ix_(gram.cols, gram.cols)], atol=1e-12)
    assert list(gram.cols) == [3, 1, 8, 0, 5]
    gram.keep(np.array([1, 2, 4]))
    assert list(gram.cols) == [1, 8, 5]
    assert list(gram.places(np.array([8, 3]))) == [1, -1]
    gram.add(np.array([2, 8]))
    np.testing.assert_allclose(gram.H, H[np.ix_(gram.cols, gram.cols)], atol=1e-12)


def test_input_is_shared_and_not_modified(rng):
    X = rng.standard_normal((5, 4))
    assert np.shares_memory(Design(X).X, X)
    S = sparse.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(3, 3))
    assert Design(S).X.nnz == 1
    assert S.nnz == 2
    assert Design(Design(X)).X is not None


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        (np.ones(3), ValueError, "'X' array must have 2 dimensions"),
        (np.ones((0, 3)), ValueError, "must not be empty"),
        (sparse.csc_array((0, 3)), ValueError, "must not be empty"),
        (np.array([[1.0, np.nan]]), ValueError, r"must be finite. Got nan at index"),
        (sparse.csc_array([[1.0, np.inf]]), ValueError, "must be finite"),
        (np.array([[1j]]), ValueError, "real"),
        (np.array([["a"]]), TypeError, "real numbers"),
    ],
)
def test_bad_input(X, error, match):
    with pytest.raises(error, match=match):
        Design(X)


@pytest.mark.parametrize("make", [np.array, sparse.csc_array])
@pytest.mark.parametrize("value", [1e160, 1e-160])
def test_squares_that_are_lost(make, value):
    design = Design(make([[value, 0.0]]))
    with pytest.raises(ValueError, match=r"'X' array .* rescale"):
        design.require_squares()
    Design(make([[value, 1.0]] if value < 1 else [[1.0, 0.0]])).require_squares()
    Design(np.zeros((2, 2))).require_squares()


def test_integers_become_float64():
    assert Design(np.array([[1, 2], [3, 4]])).dtype == np.float64
    assert Design(sparse.csc_array(np.eye(3, dtype=int))).dtype == np.float64
    assert Design(sparse.csc_array((3, 3))).X.nnz == 0
