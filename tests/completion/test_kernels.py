"""Row kernels against plain NumPy: every instruction set, both types, any threads."""

from collections.abc import Iterator

import numpy as np
import pytest

from sparseopt.completion._kernels import (
    aligned,
    cg_rows,
    product_rows,
    set_simd_level,
    spmm_rows,
)
from sparseopt.completion._problem import Entries, padded

from ._synthetic import from_mask

# Sums of some hundred products of numbers about 1, rounded at every step.
TOL = {np.float32: 2e-4, np.float64: 1e-11}


@pytest.fixture(params=[0, 1, 2], ids="level{}".format)
def level(request: pytest.FixtureRequest) -> Iterator[int]:
    """Instruction sets; where one is missing the best below it runs."""
    set_simd_level(request.param)
    yield request.param
    set_simd_level(2)


def entries(dtype: type, *, weighted: bool = False, threads: int = 1) -> Entries:
    """Rows with 0, 1, a few and some 660 entries: too many to keep where k is 200."""
    rng = np.random.default_rng(3)
    density = np.repeat([0.0, 0.02, 0.1, 0.95], [3, 20, 30, 4])
    X = rng.standard_normal((57, 700)).astype(dtype)
    mask = rng.random(X.shape) < density[:, None]
    mask[3] = False
    mask[3, 5] = True
    weight = rng.uniform(0.2, 2.0, X.shape).astype(dtype) if weighted else None
    return from_mask(X, mask, weight, threads)


def factor(n: int, k: int, dtype: type, seed: int) -> np.ndarray:
    out = aligned((n, padded(k, dtype)), dtype)
    out[:, :k] = np.random.default_rng(seed).standard_normal((n, k)) / np.sqrt(k)
    return out


def pad(v: np.ndarray, like: np.ndarray) -> np.ndarray:
    out = np.zeros(like.shape[1], like.dtype)
    out[: len(v)] = v
    return out


def cg_twin(
    G: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    a: np.ndarray,
    d: np.ndarray,
    pre: np.ndarray,
    steps: int,
) -> np.ndarray:
    """Textbook preconditioned CG for one row's normal equations."""
    H = G.T @ (w[:, None] * G) + np.diag(d)
    r = G.T @ (w * x) - H @ a
    z = pre * r
    p, rz = z, r @ z
    for _ in range(steps):
        if rz <= 0:
            break
        q = H @ p
        alpha = rz / (p @ q)
        a, r = a + alpha * p, r - alpha * q
        z = pre * r
        p, rz = z + (r @ z) / rz * p, r @ z
    return a


@pytest.mark.parametrize("k", [1, 7, 20, 60, 200])
@pytest.mark.parametrize("case", ["plain", "weighted", "held", "scaled", "base"])
def test_cg_rows(level: int, dtype: type, k: int, case: str) -> None:
    e = entries(dtype, weighted=case == "weighted")
    side, rng = e.rows, np.random.default_rng(0)
    V, A = factor(700, k, dtype, 1), factor(57, k, dtype, 2)
    before = A.copy()
    d, g = rng.uniform(0.1, 1.0, k), rng.uniform(0.5, 1.0, k) / k
    mask = np.ones(k)
    if case == "held":
        mask[::2] = 0.0
    scale = rng.uniform(0.5, 3.0, 57) if case == "scaled" else None
    base = rng.uniform(0.1, 1.0, k) if case == "base" else np.zeros(k)
    rss, drop = np.empty(57), np.empty(57)
    args = pad(d, V), pad(g, V), pad(mask, V), scale
    steps = 3
    cg_rows(side.ptr, side.idx, side.val, side.weight, V, A, *args, steps, 0.0, rss,
            drop, e.chunks(False, V.shape[1]), 1,
            pad(base, V) if case == "base" else None)  # fmt: skip
    free = mask > 0
    for i in range(57):
        own = slice(side.ptr[i], side.ptr[i + 1])
        G = V[side.idx[own], :k].astype(np.float64)
        x = side.val[own].astype(np.float64)
        w = np.ones(len(x)) if side.weight is None else side.weight[own].astype(float)
        a = before[i, :k].astype(np.float64)
        if len(x) == 0:
            assert np.array_equal(A[i], before[i])
            assert rss[i] == drop[i] == 0
            continue
        ridge = d * (1.0 if scale is None else scale[i]) + base
        r = x - G @ a
        want = a.copy()
        rest = x - G[:, ~free] @ a[~free]
        pre = 1 / (w.sum() * g + ridge)[free]
        want[free] = cg_twin(G[:, free], rest, w, a[free], ridge[free], pre, steps)
        np.testing.assert_allclose(A[i, :k], want, atol=TOL[dtype], rtol=TOL[dtype])
        assert not A[i, k:].any()
        np.testing.assert_allclose(rss[i], w @ r**2, rtol=TOL[dtype])
        value = [w @ (x - G @ v) ** 2 + ridge @ v**2 for v in (a, want)]
        # the difference of two sums of this size
        np.testing.assert_allclose(
            drop[i], value[0] - value[1], atol=10 * TOL[dtype] * value[0]
        )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("values", [True, False], ids=["residuals", "products"])
def test_product_rows(level: int, dtype: type, weighted: bool, values: bool) -> None:
    e, k = entries(dtype, weighted=weighted), 11
    side = e.rows
    V, A = factor(700, k, dtype, 1), factor(57, k, dtype, 2)
    r, rss = np.empty(e.n_entries, dtype), np.empty(57)
    # sums over the first columns alone
    width = padded(1, dtype)
    Y = aligned((57, width), dtype, np.empty)
    x = side.val if values else np.empty(0, dtype)
    product_rows(side.ptr, side.idx, x, side.weight, V, A, r, Y, rss,
                 e.chunks(False, V.shape[1]), 1)  # fmt: skip
    row = np.repeat(np.arange(57), np.diff(side.ptr))
    t = np.einsum("ej,ej->e", A[row].astype(float), V[side.idx].astype(float))
    if values:
        t = side.val - t
    w = 1.0 if side.weight is None else side.weight.astype(float)
    np.testing.assert_allclose(r, w * t, atol=TOL[dtype])
    want = np.zeros((57, width))
    np.add.at(want, row, (w * t)[:, None] * V[side.idx, :width])
    np.testing.assert_allclose(Y, want, atol=10 * TOL[dtype])
    np.testing.assert_allclose(
        rss, np.bincount(row, w * t**2, 57), rtol=TOL[dtype], atol=TOL[dtype]
    )


def test_spmm_rows(level: int, dtype: type) -> None:
    e, k = entries(dtype), 13
    side, V = e.rows, factor(700, 13, dtype, 1)
    Y = aligned((57, V.shape[1]), dtype, np.empty)
    spmm_rows(side.ptr, side.idx, side.val, V, Y, e.chunks(False, V.shape[1]), 1)
    want = np.zeros((57, k))
    row = np.repeat(np.arange(57), np.diff(side.ptr))
    np.add.at(want, row, side.val[:, None].astype(float) * V[side.idx, :k])
    np.testing.assert_allclose(Y[:, :k], want, atol=10 * TOL[dtype])
    assert not Y[:, k:].any()


def test_no_rows_and_no_entries(level: int, dtype: type) -> None:
    V, none, chunks = factor(5, 3, dtype, 1), np.empty(0, dtype), np.array([[0, 0]])
    idx = np.empty(0, np.int32)
    v = pad(np.ones(3), V)
    for m in (0, 2):
        ptr, A = np.zeros(m + 1, np.int64), factor(m, 3, dtype, 2)
        before, Y, rss, drop = A.copy(), np.ones_like(A), np.ones(m), np.ones(m)
        cg_rows(ptr, idx, none, none, V, A, v, v, v, np.ones(m), 3, 0.0, rss, drop,
                chunks, 1, v)  # fmt: skip
        assert np.array_equal(A, before)
        assert not rss.any()
        assert not drop.any()
        rss[:] = 1
        product_rows(ptr, idx, none, none, V, A, none, Y, rss, chunks, 1)
        assert not Y.any()
        assert not rss.any()
        Y[:] = 1
        spmm_rows(ptr, idx, none, V, Y, chunks, 1)
        assert not Y.any()


def test_threads_give_the_same_bits(level: int, dtype: type) -> None:
    results = []
    for threads in (1, 2):
        e = entries(dtype, weighted=True, threads=threads)
        out = []
        for transposed in (False, True):
            side = e.side(transposed)
            V, A = factor(700, 9, dtype, 1), factor(57, 9, dtype, 2)
            if transposed:
                V, A = A, V
            n = side.n_rows
            rss, drop, r = np.empty(n), np.empty(n), np.empty(e.n_entries, dtype)
            ones, chunks = pad(np.ones(9), V), e.chunks(transposed, V.shape[1])
            Y, Z = np.empty_like(A), np.empty_like(A)
            cg_rows(side.ptr, side.idx, side.val, side.weight, V, A, ones, ones, ones,
                    None, 4, 0.0, rss, drop, chunks, threads)  # fmt: skip
            out += [A, rss.copy(), drop]
            product_rows(side.ptr, side.idx, side.val, side.weight, V, A, r, Y, rss,
                         chunks, threads)  # fmt: skip
            spmm_rows(side.ptr, side.idx, side.val, V, Z, chunks, threads)
            out += [r, Y, rss, Z]
        results.append(out)
    for one, two in zip(*results, strict=True):
        assert one.tobytes() == two.tobytes()


def test_no_entries(dtype: type) -> None:
    e = from_mask(np.zeros((4, 6), dtype), np.zeros((4, 6), bool))
    V, A = factor(6, 2, dtype, 1), factor(4, 2, dtype, 2)
    before, rss, drop = A.copy(), np.ones(4), np.ones(4)
    ones, chunks = pad(np.ones(2), V), e.chunks(False, V.shape[1])
    side = e.rows
    cg_rows(side.ptr, side.idx, side.val, None, V, A, ones, ones, ones, None, 2, 0.0,
            rss, drop, chunks, 1)  # fmt: skip
    assert np.array_equal(A, before)
    assert not rss.any()
    assert not e.multiply(None, V, False).any()
