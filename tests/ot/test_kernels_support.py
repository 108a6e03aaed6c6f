"""Kernels on a sparse support against plain NumPy, for each instruction set."""

from types import SimpleNamespace

import numpy as np
import pytest

from sparseopt.ot import _kernels

BLOCK = _kernels.BLOCK
SIZES = [(n, m) for m in range(1, 71) for n in (1, 6)] + [(40, 130), (203, 301)]


def _problem(rng, n, m, dtype, reg=0.02, width=15.0):
    C = rng.random((n, m)).astype(dtype)
    a = rng.random(n) + 0.1
    a /= a.sum()
    g = np.zeros(_kernels.padded(m))
    g[:m] = rng.normal(size=m) * 0.1
    f = reg * np.log(a) + (C - g[:m]).min(axis=1)
    return SimpleNamespace(
        C=C, a=a, loga=np.log(a), f=f, g=g, reg=reg, inv=1 / reg, m=m, mp=len(g),
        slack=reg * (width - np.log(a)), rows=_kernels.row_blocks(n, m),
    )  # fmt: skip


def _support(p, n_threads=1):
    args = (p.C, p.f, p.g, p.slack, p.rows)
    ptr = _kernels.support_count(*args, n_threads)
    return ptr, _kernels.support_fill(*args, ptr, n_threads)


def _evaluated(p, support, n_threads=1):
    """Potentials, column sums and plan entries on a support."""
    ptr, blk = support
    f, c, E = p.f.copy(), np.full(p.mp, np.nan), np.full(BLOCK * len(blk), np.nan)
    rows = _kernels.support_blocks(ptr, p.mp)
    _kernels.support_eval(
        p.C, ptr, blk, p.a, p.loga, p.inv, f, p.g, c, E, rows, n_threads
    )
    return f, c, E


def _mask(p):
    """Whether an entry is in a block that holds an entry of the support."""
    near = p.g[: p.m] - p.C.astype(float) >= (-p.f - p.slack)[:, None]
    wide = np.zeros((len(p.a), p.mp), dtype=bool)
    wide[:, : p.m] = near
    hit = wide.reshape(len(p.a), -1, BLOCK).any(axis=2)
    return np.repeat(hit, BLOCK, axis=1)


def _dense(support, values, n, mp, fill=0.0):
    """Matrix with the values of a support's blocks."""
    ptr, blk = support
    out = np.full((n, mp // BLOCK, BLOCK), float(fill))
    row = np.repeat(np.arange(n), np.diff(ptr))
    out[row, blk[: ptr[-1]]] = values[: ptr[-1] * BLOCK].reshape(-1, BLOCK)
    return out.reshape(n, mp)


@pytest.mark.usefixtures("simd")
def test_count_and_fill(dtype, rng):
    for n, m in SIZES:
        p = _problem(rng, n, m, dtype)
        ptr, blk = support = _support(p)
        mask = _mask(p)
        per_row = mask.reshape(n, -1, BLOCK).any(axis=2).sum(axis=1)
        assert np.array_equal(ptr, np.append(0, np.cumsum(per_row)))
        for i in range(n):
            assert (np.diff(blk[ptr[i] : ptr[i + 1]]) > 0).all()
        ones = np.ones(BLOCK * len(blk))
        assert np.array_equal(_dense(support, ones, n, p.mp), mask)


@pytest.mark.usefixtures("simd")
def test_rows_without_support(dtype, rng):
    p = _problem(rng, 9, 20, dtype)
    p.slack[::2] = -np.inf
    ptr, _ = _support(p)
    assert not np.diff(ptr)[::2].any()
    assert np.diff(ptr)[1::2].all()
    p.slack[:] = -np.inf
    assert not _support(p)[0].any()


@pytest.mark.usefixtures("simd")
def test_evaluate(dtype, rng):
    for n, m in SIZES:
        p = _problem(rng, n, m, dtype)
        support = _support(p)
        f, c, E = _evaluated(p, support)
        exponent = np.full((n, p.mp), -np.inf)
        exponent[:, :m] = (p.g[:m] - p.C.astype(float)) * p.inv
        exponent[~_mask(p)] = -np.inf
        largest = exponent.max(axis=1, keepdims=True)
        plan = np.exp(exponent - largest)
        total = plan.sum(axis=1, keepdims=True)
        wanted_f = p.reg * (p.loga - (largest + np.log(total))[:, 0])
        plan *= p.a[:, None] / total
        np.testing.assert_allclose(f, wanted_f, rtol=0, atol=2e-15)
        np.testing.assert_allclose(c, plan.sum(axis=0), rtol=2e-13, atol=1e-300)
        found = _dense(support, E, n, p.mp)
        np.testing.assert_allclose(found, plan, rtol=2e-13, atol=1e-300)


@pytest.mark.usefixtures("simd")
@pytest.mark.parametrize("start", [300.0, -300.0, 1e6, -1e6, np.nan])
def test_evaluate_from_any_start(start, rng):
    p = _problem(rng, 9, 21, np.float64)
    support = _support(p)
    wanted = _evaluated(p, support)
    p.f[[0, 4, 8]] = start
    for x, y in zip(_evaluated(p, support), wanted, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-300)


@pytest.mark.usefixtures("simd")
def test_whole_support_is_the_dense_pass(dtype, rng):
    p = _problem(rng, 30, 45, dtype, width=1e6)
    support = _support(p)
    assert support[0][-1] == 30 * p.mp // BLOCK
    f, c, _ = _evaluated(p, support)
    wanted_f, wanted_c = p.f.copy(), np.empty(p.mp)
    _kernels.dense_pass(
        p.C, p.a, p.loga, p.inv, wanted_f, p.g, wanted_c, p.rows, False, 1
    )
    np.testing.assert_allclose(f, wanted_f, rtol=0, atol=2e-15)
    np.testing.assert_allclose(c, wanted_c, rtol=1e-13, atol=1e-300)


@pytest.mark.usefixtures("simd")
@pytest.mark.parametrize("tau", [0.0, 1e-5, 1e-2, 0.3, 2.0])
def test_refine(tau, rng):
    for n, m in SIZES[::7]:
        p = _problem(rng, n, m, np.float64)
        ptr, blk = support = _support(p)
        _, _, E = _evaluated(p, support)
        rows = _kernels.support_blocks(ptr, p.mp)
        smaller = _kernels.support_refine(ptr, blk, E, p.a, tau, rows, 1)
        plan = _dense(support, E, n, p.mp).reshape(n, -1, BLOCK)
        here = _dense(support, np.ones_like(E), n, p.mp).reshape(n, -1, BLOCK) > 0
        hit = (here & (plan >= tau * p.a[:, None, None])).any(axis=2)
        kept = np.repeat(hit, BLOCK, axis=1)
        assert smaller[0][-1] == hit.sum()
        ones = np.ones(BLOCK * len(smaller[1]))
        assert np.array_equal(_dense(smaller, ones, n, p.mp), kept)


def _threaded(p, n_threads):
    """All outputs of the support kernels, and a solve with the Hessian."""
    ptr, blk = support = _support(p, n_threads)
    f, c, E = _evaluated(p, support, n_threads)
    rows = _kernels.support_blocks(ptr, p.mp)
    parts = _kernels.support_refine(ptr, blk, E, p.a, 1e-3, rows, n_threads)
    H = _kernels.Laplacian(ptr, blk, E, p.a, p.mp, 1e-4, rows, n_threads)
    extra = H.drop + 1e-5
    extra[p.m :] = 1
    rhs = np.append(np.cos(np.arange(p.m)), np.zeros(p.mp - p.m))
    cg = _kernels.ConjugateGradients(extra, 1 / (H.d + extra), rhs)
    cg.run(H, 1e-8, 30, n_threads)
    return [ptr, blk, f, c, E, *parts, H.d, H.drop, cg.x_array], len(rows) - 1


@pytest.mark.usefixtures("simd")
def test_any_number_of_threads(dtype, rng):
    p = _problem(rng, 203, 301, dtype)
    one, n_blocks = _threaded(p, 1)
    assert n_blocks > 3
    for n_threads in (2, 3, 8):
        for x, y in zip(one, _threaded(p, n_threads)[0], strict=True):
            assert np.array_equal(x, y)


@pytest.mark.parametrize("n", [1, 5, 1000])
@pytest.mark.parametrize("per_row", [0, 1, 40])
def test_support_blocks(n, per_row):
    ptr = np.arange(n + 1, dtype=np.int64) * per_row
    rows = _kernels.support_blocks(ptr, 64)
    assert (rows[0], rows[-1]) == (0, n)
    assert (np.diff(rows) >= 0).all()
    assert np.diff(rows).max() <= n if n * per_row < 10_000 else n // 8


def test_padded():
    assert [_kernels.padded(m) for m in (0, 1, 7, 8, 9, 16)] == [0, 8, 8, 8, 16, 16]
