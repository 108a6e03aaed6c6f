"""The Newton matrix as a graph Laplacian, and conjugate gradients with it."""

from fractions import Fraction

import numpy as np
import pytest

from sparseopt.ot import _kernels

pytestmark = pytest.mark.usefixtures("simd")
BLOCK = _kernels.BLOCK


def _stored(plan, a, tau=0.0):
    """A plan as a full support, and its Laplacian."""
    n, m = plan.shape
    mp = _kernels.padded(m)
    E = np.zeros((n, mp))
    E[:, :m] = plan
    ptr = np.arange(n + 1, dtype=np.int64) * (mp // BLOCK)
    blk = np.tile(np.arange(mp // BLOCK, dtype=np.int32), n)
    rows = _kernels.support_blocks(ptr, mp)
    return _kernels.Laplacian(ptr, blk, E.ravel(), a, mp, tau, rows, 1), mp


def _plan(rng, n, m, spread=3.0):
    plan = np.exp(rng.normal(size=(n, m)) * spread)
    plan /= plan.sum()
    return plan, plan.sum(axis=1)


def _twin(plan, a, tau=0.0):
    """Laplacian of the kept blocks, and the columns' mass in the others.

    Kept weights are stored in single precision; the matrix is exact for those.
    """
    n, m = plan.shape
    wide = np.zeros((n, _kernels.padded(m)))
    wide[:, :m] = plan
    blocks = wide.reshape(n, -1, BLOCK)
    kept = (blocks >= tau * a[:, None, None]).any(axis=2, keepdims=True)
    Q, out = ((blocks * k).reshape(n, -1)[:, :m] for k in (kept, ~kept))
    Q = Q.astype(np.float32).astype(float)
    s = Q.sum(axis=1)
    s = np.divide(1.0, s, out=np.zeros_like(s), where=s > 0)
    return np.diag(Q.sum(axis=0)) - Q.T @ (Q * s[:, None]), out.sum(axis=0), kept.sum()


def _solve(H, mp, extra, rhs, rtol=1e-14, max_iter=1000):
    """Conjugate gradients; the padding takes no part."""
    m = len(rhs)
    diag, right = np.ones(mp), np.zeros(mp)
    diag[:m], right[:m] = extra, rhs
    inv = np.divide(1, H.d + diag, out=np.ones(mp), where=H.d + diag > 0)
    cg = _kernels.ConjugateGradients(diag, inv, right)
    return cg, cg.run(H, rtol, max_iter, 1)


def _matrix(H, mp, m):
    """All entries of the matrix: from ``alpha = r'r / r'(H + I)r``, the first step of
    conjugate gradients without a preconditioner."""

    def form(*index):
        rhs = np.zeros(mp)
        rhs[list(index)] = 1.0
        cg = _kernels.ConjugateGradients(np.ones(mp), np.ones(mp), rhs)
        cg.run(H, 1e-300, 1, 1)
        return len(index) * (1 / cg.x_array[index[0]] - 1)

    out = np.diag([form(i) for i in range(m)])
    for i in range(m):
        for j in range(i):
            out[i, j] = out[j, i] = (form(i, j) - out[i, i] - out[j, j]) / 2
    return out


@pytest.mark.parametrize("m", [1, 2, 7, 8, 9, 23])
@pytest.mark.parametrize("tau", [0.0, 1e-3, 0.2])
def test_matrix(m, tau, rng):
    plan, a = _plan(rng, 12, m)
    H, mp = _stored(plan, a, tau)
    wanted, drop, n_blocks = _twin(plan, a, tau)
    found = _matrix(H, mp, m)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-14)
    np.testing.assert_allclose(H.d[:m], np.diag(wanted), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(H.drop[:m], drop, rtol=1e-14)
    assert H.nnz == BLOCK * n_blocks
    # with what was left out on the diagonal it is off the true matrix by that much
    error = found + np.diag(drop) - _twin(plan, a)[0]
    assert np.abs(error).sum(axis=1).max() <= 3 * drop.sum() + 1e-14


@pytest.mark.parametrize("mass", [0.3, 0.7, 1 / 3])
def test_row_of_equal_halves(mass):
    """Halves that rounding to single precision makes larger than half of the row."""
    plan = np.array([[mass / 2, mass / 2, 0.0]])
    H, mp = _stored(plan, np.array([mass]))
    np.testing.assert_allclose(H.d[:3], [mass / 4, mass / 4, 0], rtol=1e-7)
    np.testing.assert_allclose(
        _matrix(H, mp, 3), _twin(plan, np.array([mass]))[0], atol=1e-15
    )


def test_sums_over_blocks_of_rows(rng):
    """Large enough that the sums of several blocks of rows are added."""
    plan, a = _plan(rng, 600, 40)
    H, mp = _stored(plan, a, 1e-3)
    wanted, drop, n_blocks = _twin(plan, a, 1e-3)
    assert len(_kernels.support_blocks(np.arange(601) * (mp // BLOCK), mp)) > 3
    assert H.nnz == BLOCK * n_blocks
    np.testing.assert_allclose(H.d[:40], np.diag(wanted), rtol=1e-10)
    np.testing.assert_allclose(H.drop[:40], drop, rtol=1e-12)
    rhs = rng.normal(size=40)
    cg, done = _solve(H, mp, np.full(40, 1e-4), rhs)
    assert done
    exact = np.linalg.solve(wanted + 1e-4 * np.eye(40), rhs)
    np.testing.assert_allclose(cg.x_array[:40], exact, atol=1e-9 * np.abs(exact).max())


def test_matrix_is_a_laplacian(rng):
    plan, a = _plan(rng, 20, 13)
    H, mp = _stored(plan, a)
    found = _matrix(H, mp, 13)
    assert np.linalg.eigvalsh(found).min() >= -1e-15
    assert np.abs(found.sum(axis=1)).max() <= 1e-14  # constants are in the kernel
    off_diagonal = found - np.diag(np.diag(found))
    assert off_diagonal.max() <= 1e-15


def test_whole_row_in_one_entry():
    """The diagonal P (1 - P / s) of an entry near its row does not cancel."""
    small = np.array([[1e-18, 3e-25, 0.0], [2e-20, 0.0, 1e-30]])
    plan = small + np.array([[0.0, 0.0, 0.6], [0.0, 0.4, 0.0]])
    H, _ = _stored(plan, plan.sum(axis=1))
    wanted = np.zeros(3)
    for row in plan.astype(np.float32).tolist():
        total = sum(map(Fraction, row))
        for j, p in enumerate(map(Fraction, row)):
            wanted[j] += float(p * (total - p) / total)
    np.testing.assert_allclose(H.d[:3], wanted, rtol=1e-14)


def test_weak_links_carry_flow():
    """Links of 1e-14 beside entries of order one are resolved to their own accuracy."""
    link = 1e-14
    plan = np.array([[0.5, link], [link, 0.5]])
    H, mp = _stored(plan, plan.sum(axis=1))
    cg, _ = _solve(H, mp, np.zeros(2), np.array([1e-3, -1e-3]), rtol=1e-10)
    q = Fraction(float(np.float32(link)))
    weight = float(2 * q / 2 / (q + Fraction(1, 2)))
    np.testing.assert_allclose(cg.x_array[0] - cg.x_array[1], 1e-3 / weight, rtol=1e-9)


@pytest.mark.parametrize("m", [1, 5, 8, 30])
def test_conjugate_gradients_solve(m, rng):
    plan, a = _plan(rng, 40, m, spread=1.0)
    H, mp = _stored(plan, a)
    extra, rhs = rng.random(m) * 1e-2 + 1e-3, rng.normal(size=m)
    cg, done = _solve(H, mp, extra, rhs)
    wanted = np.linalg.solve(_twin(plan, a)[0] + np.diag(extra), rhs)
    assert done
    assert not cg.stalled
    assert cg.residual <= 1e-14
    np.testing.assert_allclose(
        cg.x_array[:m], wanted, atol=1e-11 * np.abs(wanted).max()
    )
    assert not cg.x_array[m:].any()


def test_conjugate_gradients_in_pieces(rng):
    """Stopped after any number of iterations they go on as if nothing had happened."""
    plan, a = _plan(rng, 40, 30)
    H, mp = _stored(plan, a)
    rhs = rng.normal(size=30)
    whole, _ = _solve(H, mp, np.full(30, 1e-3), rhs, rtol=1e-12)
    parts, done = _solve(H, mp, np.full(30, 1e-3), rhs, rtol=1e-12, max_iter=1)
    assert parts.n_iter == 1
    while not done:
        before = parts.n_iter
        done = parts.run(H, 1e-12, 3, 1)
        assert parts.n_iter <= before + 3
    assert parts.n_iter == whole.n_iter > 3
    assert np.array_equal(parts.x_array, whole.x_array)


def test_conjugate_gradients_stop_at_rtol(rng):
    plan, a = _plan(rng, 40, 30)
    H, mp = _stored(plan, a)
    rhs = rng.normal(size=30)
    matrix = _twin(plan, a)[0] + 1e-3 * np.eye(30)
    counts = []
    for rtol in (1e-1, 1e-4, 1e-8):
        cg, done = _solve(H, mp, np.full(30, 1e-3), rhs, rtol=rtol)
        true = np.linalg.norm(rhs - matrix @ cg.x_array[:30]) / np.linalg.norm(rhs)
        assert done
        assert true <= 1.01 * rtol
        np.testing.assert_allclose(cg.residual, true, rtol=1e-3)
        counts.append(cg.n_iter)
    assert counts == sorted(set(counts))


def test_conjugate_gradients_without_curvature():
    """A matrix of zeros: nothing to solve, the iterate so far is kept."""
    plan = np.eye(3)
    H, mp = _stored(plan, np.ones(3))
    cg, done = _solve(H, mp, np.zeros(3), np.array([1.0, -1.0, 0.0]))
    assert cg.stalled
    assert not done
    assert cg.n_iter == 0
    assert not cg.x_array.any()


def test_conjugate_gradients_without_residual(rng):
    plan, a = _plan(rng, 4, 3)
    H, mp = _stored(plan, a)
    cg, done = _solve(H, mp, np.zeros(3), np.zeros(3))
    assert done
    assert (cg.n_iter, cg.residual) == (0, 0.0)


def test_conjugate_gradients_keep_their_arguments(rng):
    plan, a = _plan(rng, 4, 3)
    H, _ = _stored(plan, a)
    args = [np.full(8, 0.1), np.ones(8), np.append([1.0, 2.0, 3.0], np.zeros(5))]
    before = [v.copy() for v in args]
    for v in args:
        v.flags.writeable = False
    _kernels.ConjugateGradients(*args).run(H, 1e-8, 10, 1)
    assert all(np.array_equal(x, y) for x, y in zip(args, before, strict=True))
