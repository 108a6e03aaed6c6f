"""Thin singular value decompositions of padded factors, against SciPy's."""

import numpy as np
import pytest
from scipy import linalg

from sparseopt.completion import _frames
from sparseopt.completion._frames import column_squares, orthonormalise, rotate
from sparseopt.completion._kernels import aligned
from sparseopt.completion._problem import padded


def factor(rows, dtype):
    m, k = rows.shape
    out = aligned((m, padded(k, dtype)), dtype)
    out[:, :k] = rows
    return out


def with_spectrum(m, s, seed=0):
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.standard_normal((n, len(s))))[0] for n in (m, len(s)))
    return U * s @ V.T


# Gram matrix, its second pass, QR decomposition; rank below the number of columns
SPECTRA = [
    [3.0, 2.0, 1.0],
    [1.0, 1e-2, 1e-5],
    [1.0, 1e-4, 1e-11],
    [1.0, 0.5, 0.0],
    [0.0] * 3,
]


@pytest.fixture(params=[None, 100], ids=["one block", "many blocks"])
def block(request, monkeypatch):
    if request.param is not None:
        monkeypatch.setattr(_frames, "_BLOCK", request.param)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("m", [3, 700])
def test_a_factor_is_the_product_of_its_parts(m, spectrum, dtype):
    A = factor(with_spectrum(m, np.array(spectrum)), dtype)
    before = A.copy()
    U, s, W = orthonormalise(A, 3)
    eps = np.finfo(dtype).eps
    scale = max(spectrum[0], 1e-300)
    # tens of roundings
    np.testing.assert_allclose(U[:, :3] * s @ W.T, A[:, :3], atol=50 * eps * scale)
    np.testing.assert_allclose(
        s, linalg.svdvals(A[:, :3].astype(float)), atol=1e-14 * scale
    )
    assert U.dtype == dtype and U.shape == A.shape and not U[:, 3:].any()
    np.testing.assert_allclose(W.T @ W, np.eye(3), atol=1e-13)
    np.testing.assert_allclose(U[:, :3].T @ U[:, :3], np.eye(3), atol=50 * eps)
    np.testing.assert_array_equal(A, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fewer_rows_than_columns_leave_columns_of_zeros(dtype):
    A = factor(np.random.default_rng(0).standard_normal((2, 3)), dtype)
    U, s, W = orthonormalise(A, 3)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(U[:, :3] * s @ W.T, A[:, :3], atol=50 * eps)
    assert s[2] == 0 and not U[:, 2:].any()


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_and_sums_of_squares(dtype):
    rng = np.random.default_rng(1)
    rows, W = rng.standard_normal((500, 5)), rng.standard_normal((5, 5))
    A, weights = factor(rows, dtype), rng.random((500, 2))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(rotate(A, W)[:, :5], rows @ W, atol=100 * eps)
    exact = A[:, :5].astype(float) ** 2
    np.testing.assert_allclose(column_squares(A, 5), exact.sum(0), rtol=1e-13)
    np.testing.assert_allclose(
        column_squares(A, 5, weights), exact.T @ weights, rtol=1e-13
    )
