"""Exact and non-negative rows against NumPy's and SciPy's solvers, row by row."""

import numpy as np
import pytest
from scipy.optimize import nnls

from sparseopt.completion._half_step import HalfSteps
from sparseopt.completion._kernels import aligned
from sparseopt.completion._orders import from_triplets

RTOL = {np.float64: 1e-9, np.float32: 2e-3}  # condition numbers of some 1e3, squared


def problem(m=40, n=30, k=6, real=np.float64, weighted=False, density=0.5, seed=0):
    rng = np.random.default_rng(seed)
    seen = rng.random((m, n)) < density
    seen[0] = False  # a row without entries
    seen[1, 3:] = False  # rows with fewer than k
    rows, cols = np.nonzero(seen)
    x = rng.standard_normal(len(rows)).astype(real)
    w = rng.random(len(rows)).astype(real) if weighted else None
    entries = from_triplets(rows, cols, x, (m, n), weight=w)
    half = HalfSteps(entries, k)
    V, U = (aligned((size, half.width), real) for size in (n, m))
    V[:, :k] = rng.standard_normal((n, k))
    U[:, :k] = rng.standard_normal((m, k))
    return entries, half, V, U


def rows_of(entries, V, k, transposed=False):
    side = entries.side(transposed)
    for i in range(side.n_rows):
        at = slice(side.ptr[i], side.ptr[i + 1])
        root = 1.0 if side.weight is None else np.sqrt(side.weight[at])
        G = V[side.idx[at], :k].astype(np.float64) * np.reshape(root, (-1, 1))
        yield i, G, side.val[at] * root


def objective(entries, V, U, k, ridge, scale):
    total = 0.0
    for i, G, x in rows_of(entries, V, k):
        a = U[i, :k].astype(np.float64)
        total += np.sum((x - G @ a) ** 2) + scale[i] * np.sum(ridge * a**2)
    return total


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("damped", [False, True])
def test_exact_rows(real, weighted, damped):
    k = 6
    entries, half, V, U = problem(real=real, weighted=weighted)
    rng = np.random.default_rng(1)
    ridge = rng.random(k) * damped
    scale = rng.random(40) + 0.5
    start = U.copy()
    before = objective(entries, V, U, k, ridge, scale)
    rss = half.exact(False, V, U, ridge, scale=scale)
    for i, G, x in rows_of(entries, V, k):
        if not len(x):
            np.testing.assert_array_equal(U[i], start[i])
            continue
        A = np.vstack([G, np.diag(np.sqrt(scale[i] * ridge))])
        expected = np.linalg.lstsq(A, np.append(x, np.zeros(k)), rcond=None)[0]
        error = np.linalg.norm(U[i, :k] - expected)
        assert error <= RTOL[real] * np.linalg.norm(expected)
    zero = np.zeros(k)
    assert rss == pytest.approx(
        objective(entries, V, start, k, zero, scale), rel=10 * RTOL[real]
    )
    after = objective(entries, V, U, k, ridge, scale)
    assert half.drop(False) == pytest.approx(before - after, rel=10 * RTOL[real])
    assert half.n_fallback == (0 if damped else 1)


def test_exact_agrees_with_many_cg_steps_and_threads():
    k = 6
    entries, half, V, U = problem()
    ridge, other = np.full(k, 0.1), U.copy()
    half.exact(False, V, U, ridge)
    half.cg(False, V, other, ridge, steps=60)
    np.testing.assert_allclose(U, other, rtol=1e-8, atol=1e-10)
    rows = np.repeat(np.arange(40), np.diff(entries.rows.ptr))
    two = from_triplets(
        rows, entries.rows.idx, entries.rows.val, entries.shape, n_threads=2
    )
    again = np.zeros_like(U)
    once = np.zeros_like(U)
    HalfSteps(two, k).exact(False, V, again, ridge)
    HalfSteps(entries, k).exact(False, V, once, ridge)
    np.testing.assert_array_equal(once, again)


def test_held_coordinates_keep_their_value():
    k = 6
    entries, half, V, U = problem()
    held = np.arange(k) == 2
    ridge, start = np.full(k, 0.3), U.copy()
    half.exact(False, V, U, ridge, held=held)
    np.testing.assert_array_equal(U[:, 2], start[:, 2])
    for i, G, x in rows_of(entries, V, k):
        if len(x):
            A = np.vstack([G[:, ~held], np.sqrt(0.3) * np.eye(k - 1)])
            b = np.append(x - G[:, 2] * U[i, 2], np.zeros(k - 1))
            expected = np.linalg.lstsq(A, b, rcond=None)[0]
            np.testing.assert_allclose(U[i, :k][~held], expected, rtol=1e-9, atol=1e-12)


def test_singular_rows_get_a_finite_answer():
    k = 6
    entries, half, V, U = problem(density=0.9)
    V[:, 5] = V[:, 4]  # no row determines these two
    half.exact(False, V, U, np.zeros(k))
    assert half.n_fallback == 39
    for i, G, x in rows_of(entries, V, k):
        if len(x):
            fit = G @ np.linalg.lstsq(G, x, rcond=None)[0]
            # a ridge of 1e-10 of the mean diagonal moves fits by that much
            np.testing.assert_allclose(G @ U[i, :k], fit, atol=1e-7)


def test_rows_longer_than_a_block():
    k = 5
    entries, half, V, U = problem(3, 1400, k, density=0.9, weighted=True)
    half.exact(False, V, U, np.zeros(k))
    for i, G, x in rows_of(entries, V, k):
        if len(x) >= k:
            expected = np.linalg.lstsq(G, x, rcond=None)[0]
            np.testing.assert_allclose(U[i, :k], expected, rtol=1e-10)


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_cg_of_rows_longer_than_what_is_kept(real, weighted):
    k = 5  # tiles of 384 KB: 6144 entries
    entries, half, V, U = problem(3, 14000, k, real, weighted)
    ridge, other = np.full(k, 0.5), U.copy()
    half.cg(False, V, U, ridge, steps=40)
    half.exact(False, V, other, ridge)
    assert np.diff(entries.rows.ptr).max() > 6144
    np.testing.assert_allclose(U, other, rtol=RTOL[real], atol=RTOL[real])


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("damped", [False, True])
def test_nonnegative_rows(real, weighted, damped):
    k = 6
    entries, half, V, U = problem(real=real, weighted=weighted, density=0.8)
    ridge = np.full(k, 0.2 * damped)
    scale = np.ones(40)
    start = np.maximum(U, 0)
    half.nonnegative(False, V, U, ridge, sweeps=3000, tol=np.finfo(real).eps)
    before = objective(entries, V, start, k, ridge, scale)
    after = objective(entries, V, U, k, ridge, scale)
    assert half.drop(False) == pytest.approx(before - after, rel=10 * RTOL[real])
    assert (U >= 0).all()
    for i, G, x in rows_of(entries, V, k):
        if not len(x):
            continue
        A = np.vstack([G, np.sqrt(0.2 * damped) * np.eye(k)])
        b = np.append(x, np.zeros(k))
        expected = nnls(A, b)[0]
        if len(b) > k and len(x) >= k:
            error = np.linalg.norm(U[i, :k] - expected)
            assert error <= RTOL[real] * max(np.linalg.norm(expected), 1e-3)
        value = np.linalg.norm(A @ U[i, :k] - b)
        assert value <= np.linalg.norm(A @ expected - b) + RTOL[real]


def test_few_sweeps_never_increase_the_objective():
    k = 6
    entries, half, V, U = problem()
    np.maximum(U, 0, out=U)
    ridge, scale = np.full(k, 0.1), np.ones(40)
    last = objective(entries, V, U, k, ridge, scale)
    for _ in range(8):
        half.nonnegative(False, V, U, ridge, sweeps=1)
        value = objective(entries, V, U, k, ridge, scale)
        assert value <= last * (1 + 1e-13)
        last = value
