"""Kernels over all entries of the cost against plain NumPy, at each SIMD level."""

from types import SimpleNamespace

import numpy as np
import pytest

from sparseopt.ot import _kernels

# around whole vectors, blocks of eight and strips of 128
WIDTHS = [*range(1, 71), 127, 128, 129, 300]


def _problem(rng, n, m, dtype, reg=0.05):
    """Arguments of the kernels; the twins use the cost as rounded to its type."""
    C = rng.random((n, m)).astype(dtype)
    a = rng.random(n) + 0.1
    a /= a.sum()
    g = np.zeros(_kernels.padded(m))
    g[:m] = rng.normal(size=m) * 0.1
    f = rng.normal(size=n) * 0.1
    return SimpleNamespace(
        C=C, a=a, loga=np.log(a), f=f, g=g, inv=1 / reg, rows=_kernels.row_blocks(n, m),
        x=np.append(rng.normal(size=m), np.zeros(len(g) - m)), m=m, reg=reg,
    )  # fmt: skip


def _pass(p, fast=False, n_threads=1):
    f, c = p.f.copy(), np.full(len(p.g), np.nan)
    _kernels.dense_pass(
        p.C, p.a, p.loga, p.inv, f, p.g, c, p.rows, fast, n_threads
    )  # fmt: skip
    return f, c


def _twin_pass(p):
    """Rows made exact, then the column sums."""
    exponent = (p.g[: p.m] - p.C.astype(float)) * p.inv
    largest = exponent.max(axis=1)
    sums = np.exp(exponent - largest[:, None]).sum(axis=1)
    f = p.reg * (p.loga - largest - np.log(sums))
    return f, _twin_plan(p, f).sum(axis=0)


def _twin_plan(p, f):
    return np.exp((f[:, None] + p.g[: p.m] - p.C.astype(float)) * p.inv)


@pytest.mark.usefixtures("simd")
def test_pass(dtype, rng):
    for m in WIDTHS:
        for n in (1, 3, 4, 7):
            p = _problem(rng, n, m, dtype)
            f, c = _pass(p)
            wanted_f, wanted_c = _twin_pass(p)
            np.testing.assert_allclose(f, wanted_f, rtol=0, atol=2e-15)
            np.testing.assert_allclose(c[:m], wanted_c, rtol=2e-13)
            assert not c[m:].any()


@pytest.mark.usefixtures("simd")
def test_pass_in_single_precision(dtype, rng):
    for m in WIDTHS:
        p = _problem(rng, 6, m, dtype)
        f, c = _pass(p, fast=True)
        wanted_f, wanted_c = _twin_pass(p)
        np.testing.assert_allclose(f, wanted_f, rtol=0, atol=3e-6 * p.reg)
        np.testing.assert_allclose(c[:m], wanted_c, rtol=1e-5)


@pytest.mark.usefixtures("simd")
@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("start", [0.0, 300.0, -300.0, 1e6, -1e6, np.nan])
def test_pass_from_any_start(start, fast, rng):
    """Rows whose old potential is no help are redone with their maximum."""
    p = _problem(rng, 9, 21, np.float64)
    p.f[[0, 4, 8]] = start
    wanted_f, wanted_c = _twin_pass(p)
    f, c = _pass(p, fast)
    tol = 1e-5 if fast else 2e-13
    np.testing.assert_allclose(f, wanted_f, rtol=0, atol=tol)
    np.testing.assert_allclose(c[:21], wanted_c, rtol=tol)


@pytest.mark.usefixtures("simd")
def test_pass_with_tiny_regularisation(dtype, rng):
    """Exponents of 1e6: a row is where its maximum is, nothing overflows."""
    p = _problem(rng, 12, 30, dtype, reg=1e-6)
    f, c = _pass(p)
    best = (p.g[:30] - p.C).argmax(axis=1)
    assert np.isfinite(f).all()
    np.testing.assert_allclose(f, p.C[np.arange(12), best] - p.g[best], atol=2e-5)
    np.testing.assert_allclose(c[:30], np.bincount(best, p.a, 30), atol=1e-12)


@pytest.mark.usefixtures("simd")
def test_pass_keeps_small_column_sums(rng):
    """Terms of 1e-200 are not lost beside ordinary ones of the same row."""
    p = _problem(rng, 4, 9, np.float64, reg=1.0)
    p.C[:, 5] += 460.0
    _, c = _pass(p)
    np.testing.assert_allclose(c[:9], _twin_pass(p)[1], rtol=1e-12)
    assert 1e-202 < c[5] < 1e-198


@pytest.mark.usefixtures("simd")
def test_plan_entries(dtype, rng):
    for m in WIDTHS:
        p = _problem(rng, 5, m, dtype)
        K = np.full((6, m), 7.0)
        _kernels.plan_entries(p.C, p.inv, p.f, p.g, K[:5], p.rows, 1)
        np.testing.assert_allclose(K[:5], _twin_plan(p, p.f), rtol=2e-14)
        assert (K[5] == 7).all()


@pytest.mark.usefixtures("simd")
def test_scaling_pass(rng):
    for m in WIDTHS:
        for n in (1, 2, 3, 4, 7):
            p = _problem(rng, n, m, np.float64)
            K, v = _twin_plan(p, p.f), np.exp(p.g)
            u, c = np.full(n + 1, 7.0), np.full(len(v), np.nan)
            _kernels.scaling_pass(K, p.a, v, u[:n], c, p.rows, 1)
            np.testing.assert_allclose(u[:n], p.a / (K @ v[:m]), rtol=2e-14)
            np.testing.assert_allclose(c[:m], K.T @ u[:n], rtol=2e-14)
            assert u[n] == 7
            assert not c[m:].any()


@pytest.mark.usefixtures("simd")
def test_certificate(dtype, rng):
    for m in WIDTHS:
        p = _problem(rng, 5, m, dtype)
        y, z = rng.random(m), rng.random(m)
        found = _kernels.certificate(p.C, p.inv, p.f, p.g, y, z, p.rows, 1)
        C, plan = p.C.astype(float), _twin_plan(p, p.f)
        wanted = [plan @ y, (C * plan).sum(1), (C * plan) @ y, C @ z]
        np.testing.assert_allclose(found[:, :4], np.transpose(wanted), rtol=2e-13)
        assert np.array_equal(found[:, 4], (C - p.g[:m]).min(axis=1))
        np.testing.assert_allclose(found[:, 5], plan.sum(1), rtol=2e-13)


@pytest.mark.usefixtures("simd")
def test_hessian_product(dtype, rng):
    for m in WIDTHS:
        p = _problem(rng, 5, m, dtype)
        plan = _twin_plan(p, p.f)
        y = np.full(len(p.g), np.nan)
        args = (p.C, p.a, p.inv, p.f, p.g)
        _kernels.dense_hess_vec(*args, p.x, y, p.rows, 1)
        wanted = plan.T @ ((plan @ p.x[:m]) / p.a)
        size = plan.T @ ((plan @ np.abs(p.x[:m])) / p.a)
        assert (np.abs(y[:m] - wanted) <= 2e-13 * size).all()
        assert not y[m:].any()
        _kernels.dense_hess_vec(*args, None, y, p.rows, 1)
        np.testing.assert_allclose(y[:m], (plan**2).T @ (1 / p.a), rtol=2e-13)


@pytest.mark.usefixtures("simd")
def test_hessian_is_the_derivative_of_the_column_sums(rng):
    p = _problem(rng, 30, 13, np.float64, reg=0.2)
    step = 1e-5 * p.x

    def column_sums(g):
        f, c = p.f.copy(), np.empty_like(g)
        _kernels.dense_pass(p.C, p.a, p.loga, p.inv, f, g, c, p.rows, False, 1)
        return f, c

    f, c = column_sums(p.g)
    y = np.empty_like(c)
    _kernels.dense_hess_vec(p.C, p.a, p.inv, f, p.g, p.x, y, p.rows, 1)
    difference = (column_sums(p.g + step)[1] - column_sums(p.g - step)[1]) / 2e-5
    np.testing.assert_allclose((c * p.x - y) / p.reg, difference, atol=1e-8)


@pytest.mark.usefixtures("simd")
def test_conjugate_gradients_without_a_stored_plan(dtype, rng):
    for m in (1, 5, 8, 23):
        p = _problem(rng, 40, m, dtype, reg=0.5)
        f, c = _pass(p)
        plan = _twin_plan(p, f)
        extra = c + 1e-3
        extra[m:] = 1.0
        cg = _kernels.ConjugateGradients(extra, 1 / extra, p.x)
        for _ in range(200):
            if cg.run_dense(p.C, p.a, p.inv, f, p.g, 1e-13, p.rows, 1):
                break
        H = np.diag(extra[:m]) - plan.T @ (plan / p.a[:, None])
        assert cg.residual <= 1e-13
        wanted = np.linalg.solve(H, p.x[:m])
        error = np.abs(cg.x_array[:m] - wanted).max()
        assert error <= 1e-9 * np.abs(wanted).max()
        assert not cg.x_array[m:].any()


def _threaded(p, n_threads):
    """All outputs of the dense kernels."""
    m, y, d = p.m, np.empty(len(p.g)), np.empty(len(p.g))
    args = (p.C, p.a, p.inv, p.f, p.g)
    _kernels.dense_hess_vec(*args, p.x, y, p.rows, n_threads)
    _kernels.dense_hess_vec(*args, None, d, p.rows, n_threads)
    z = np.abs(p.x[:m])
    proof = _kernels.certificate(p.C, p.inv, p.f, p.g, z, z, p.rows, n_threads)
    u, c, K = np.empty(len(p.a)), y.copy(), np.empty(p.C.shape)
    _kernels.plan_entries(p.C, p.inv, p.f, p.g, K, p.rows, n_threads)
    _kernels.scaling_pass(K, p.a, np.exp(p.g), u, c, p.rows, n_threads)
    passes = [*_pass(p, False, n_threads), *_pass(p, True, n_threads)]
    return [*passes, y, d, proof, u, c, K]


@pytest.mark.usefixtures("simd")
def test_any_number_of_threads(dtype, rng):
    p = _problem(rng, 203, 301, dtype)
    assert len(p.rows) > 4
    one = _threaded(p, 1)
    for n_threads in (2, 3, 8):
        for x, y in zip(one, _threaded(p, n_threads), strict=True):
            assert np.array_equal(x, y)


@pytest.mark.usefixtures("simd")
def test_sums_over_blocks_of_rows(dtype, rng):
    """Large enough that the column sums of several blocks are added."""
    p = _problem(rng, 203, 301, dtype)
    assert len(p.rows) > 4
    f, c = _pass(p)
    wanted_f, wanted_c = _twin_pass(p)
    np.testing.assert_allclose(f, wanted_f, rtol=0, atol=2e-15)
    np.testing.assert_allclose(c[:301], wanted_c, rtol=2e-13)
    plan, y = _twin_plan(p, p.f), np.empty(len(p.g))
    args = (p.C, p.a, p.inv, p.f, p.g)
    _kernels.dense_hess_vec(*args, np.abs(p.x), y, p.rows, 1)
    wanted = plan.T @ ((plan @ np.abs(p.x[:301])) / p.a)
    np.testing.assert_allclose(y[:301], wanted, rtol=2e-13)
    u, c, v = np.empty(203), np.empty(len(p.g)), np.exp(p.g)
    _kernels.scaling_pass(plan, p.a, v, u, c, p.rows, 1)
    np.testing.assert_allclose(c[:301], plan.T @ u, rtol=2e-13)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 10**6), (10**6, 1), (500, 500)])
def test_row_blocks(n, m):
    rows = _kernels.row_blocks(n, m)
    assert (rows[0], rows[-1]) == (0, n)
    assert (np.diff(rows) > 0).all()
    assert not (rows[:-1] % 4).any()


def test_levels_agree(rng):
    """Instruction sets differ by rounding only."""
    p = _problem(rng, 50, 45, np.float64)
    results = []
    for level in (0, 1, 2):
        _kernels.set_simd_level(level)
        results.append(_threaded(p, 1))
    for other in results[1:]:
        for x, y in zip(results[0], other, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-12)
