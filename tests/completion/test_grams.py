"""Blocks of the preconditioner of Gauss-Newton steps, against NumPy."""

import numpy as np
import pytest

from sparseopt.completion._grams import block_products, inverse_grams
from sparseopt.completion._kernels import aligned
from sparseopt.completion._problem import padded
from sparseopt.completion._tangent import Tangent

from ._synthetic import problem, start

COUNTS = [0, 1, 2, 5, 40, 700, 3, 0, 1200]


def rows_of(k, dtype, weighted, seed=0):
    """Lists of entries of different lengths, also beyond a block of the kernel."""
    rng = np.random.default_rng(seed)
    ptr = np.concatenate([[0], np.cumsum(COUNTS)]).astype(np.int64)
    idx = rng.integers(0, 50, ptr[-1]).astype(np.int32)
    w = rng.random(ptr[-1]).astype(dtype) if weighted else None
    if weighted:
        w[ptr[3] : ptr[4]] = 0
    V = aligned((50, padded(k, dtype)), dtype)
    V[:, :k] = rng.standard_normal((50, k))
    return ptr, idx, w, V


def inverses(k, dtype, weighted, d, least, n_threads=1, unit=2.0):
    ptr, idx, w, V = rows_of(k, dtype, weighted)
    H = np.full((len(COUNTS), k, k), np.nan, np.float32)
    chunks = np.array([[5, 9], [0, 2], [2, 5]], np.int64)
    inverse_grams(
        ptr, idx, V, w, np.full(k, d, dtype), unit, least, H, chunks, n_threads
    )
    return H


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [1, 3, 20])
def test_inverses_of_gram_matrices(k, weighted, dtype):
    ptr, idx, w, V = rows_of(k, dtype, weighted)
    d, least = 0.1, 1e-3
    H = inverses(k, dtype, weighted, d, least)
    eps = np.finfo(np.float32).eps
    for i, count in enumerate(COUNTS):
        e = slice(ptr[i], ptr[i + 1])
        A = V[idx[e], :k].astype(float)
        G = A.T @ (A if w is None else w[e, None] * A)
        if count == 0 or not G.any():
            assert not H[i].any()
            continue
        G += (d + least * np.trace(G) / k) * np.eye(k)
        # kept in float32: errors of a few eps times the condition
        bound = 20 * k * eps * np.linalg.cond(G)
        np.testing.assert_allclose(H[i] @ G, 2.0 * np.eye(k), atol=bound)
        np.testing.assert_array_equal(H[i], H[i].T)


def test_singular_rows_have_bounded_inverses():
    least = np.finfo(float).eps ** 0.5
    H = inverses(20, np.float64, False, 0.0, least)
    assert np.isfinite(H).all()
    for i, count in enumerate(COUNTS):
        if 0 < count < 20:
            # 1 / shift, on directions that the entries do not see
            ptr, idx, _, V = rows_of(20, np.float64, False)
            A = V[idx[ptr[i] : ptr[i + 1]], :20]
            most = 2.0 / (least * np.square(A).sum() / 20)
            # an inverse of this condition is one to eight digits
            np.testing.assert_allclose(np.linalg.norm(H[i], 2), most, rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_do_not_change_a_bit(dtype):
    one, two = (inverses(20, dtype, True, 0.0, 1e-3, n) for n in (1, 2))
    np.testing.assert_array_equal(one, two)
    g = np.zeros((len(COUNTS), 32), dtype)
    g[:, :20] = np.random.default_rng(1).standard_normal((len(COUNTS), 20))
    z = [np.zeros_like(g) for _ in range(2)]
    for n, out in zip((1, 2), z, strict=True):
        block_products(one, g, out, n)
    np.testing.assert_array_equal(*z)
    want = np.einsum("nij,nj->ni", one.astype(float), g[:, :20])
    scale = np.maximum(np.abs(one).max(axis=(1, 2)), 1e-30)[:, None]
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(z[0][:, :20] / scale, want / scale, atol=200 * eps)
    assert not z[0][:, 20:].any()


def test_no_entries():
    ptr, V = np.zeros(4, np.int64), np.ones((2, 8))
    H = np.full((3, 2, 2), np.nan, np.float32)
    none = np.empty(0, np.int32)
    inverse_grams(ptr, none, V, None, np.ones(2), 1.0, 0.0, H, np.array([[0, 3]]), 1)
    assert not H.any()


def test_weights_of_any_size():
    """Rows that weigh nothing beside the others stay, the rest is in their unit."""
    ptr, idx, w, V = rows_of(3, np.float64, True)
    w *= 1e-200
    w[ptr[4] : ptr[5]] *= 1e-60
    H = np.full((len(COUNTS), 3, 3), np.nan, np.float32)
    chunks = np.array([[0, len(COUNTS)]])
    inverse_grams(ptr, idx, V, w, np.zeros(3), 1e-199, 1e-8, H, chunks, 1)
    assert np.isfinite(H).all() and not H[4].any()
    assert 1e-4 < np.abs(H[5]).max() < 10


@pytest.mark.parametrize("kind", ["diagonal", "blocks"])
def test_a_symmetric_positive_preconditioner(kind):
    e, _ = problem(30, 20, 3, 1.5)
    run = start(e, 3)
    tangent = Tangent(e, run.factors)
    width = tangent.width
    apply = getattr(tangent, kind)(np.zeros(width))
    eye = np.eye(50 * 3).reshape(-1, 50, 3)
    columns = []
    for unit in eye:
        g = np.zeros((50, width))
        g[:, :3] = unit
        z = apply(g)
        assert not z[:, 3:].any()
        columns.append(z[:, :3].ravel())
    P = np.array(columns)
    np.testing.assert_allclose(P, P.T, rtol=1e-12)
    # twice the same, whatever it works with
    np.testing.assert_array_equal(apply(g), apply(g))
    # rows without entries apart
    assert np.linalg.eigvalsh(P).min() > -1e-12
