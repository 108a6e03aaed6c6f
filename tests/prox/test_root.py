"""The root search against sorted breakpoints, for all instruction sets and data."""

import numpy as np
import pytest

from sparseopt.prox import _group_kernels, _kernels, _row_kernels

KINDS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "cauchy": lambda rng, n: rng.standard_cauchy(size=n),
    "lognormal": lambda rng, n: np.exp(8 * rng.normal(size=n)),
    "ties": lambda rng, n: rng.integers(-3, 4, size=n).astype(float),
    "binary": lambda rng, n: (rng.uniform(size=n) < 0.5).astype(float),
    "sorted": lambda rng, n: np.sort(rng.normal(size=n)),
    "constant": lambda rng, n: np.full(n, -2.5),
    "mostly zero": lambda rng, n: rng.normal(size=n) * (rng.uniform(size=n) < 0.05),
    "two scales": lambda rng, n: (
        np.where(rng.uniform(size=n) < 0.5, 1e-8, 1.0) * rng.normal(size=n)
    ),
}


def plain_root(enter, full, slope, target):
    """NumPy twin: least p with ``sum slope (min(p, full) - enter)_+ = target``.

    In extended precision: sums over sorted breakpoints lose digits.
    """
    enter, full, slope = (v.astype(np.longdouble) for v in (enter, full, slope))
    finite = full < np.inf
    points = np.concatenate([enter, full[finite]])
    steps = np.concatenate([slope, -slope[finite]])
    order = np.argsort(points, kind="stable")
    points, slopes = points[order], np.cumsum(steps[order])
    values = np.concatenate([[0.0], np.cumsum(np.diff(points) * slopes[:-1])])
    # at the left end of a piece where the sum is the target, up to rounding
    j = max(int(np.searchsorted(values, target * (1 - 1e-13))) - 1, 0)
    return float(points[j] + (target - values[j]) / slopes[j])


@pytest.fixture(params=["baseline", "v3", "v4"])
def simd(request):
    """One instruction-set level, for all modules."""
    level = ["baseline", "v3", "v4"].index(request.param)
    modules = (_kernels, _group_kernels, _row_kernels)
    found = {module.set_simd_level(level) for module in modules}
    if found == {request.param}:
        yield request.param
    for module in modules:
        module.set_simd_level(2)
    if found != {request.param}:
        pytest.skip(f"no {request.param} here")


def _envelope(x, k, b, c, n_threads=1):
    name = "envelope_root_s" if x.dtype == np.float32 else "envelope_root_d"
    return getattr(_kernels, name)(x, k, b, c, False, n_threads)


def _check_envelope(x, k, b, c):
    step, t = _envelope(x, k, b, c)
    assert step == _kernels.DONE
    z = np.abs(x.astype(np.float64))
    z = z[z > 0]
    if z.size <= k:
        assert t == 0
        return
    expected = 1 / plain_root(b / z, (b + c) / z, z / c, k)
    # where no share is partial t lies anywhere between two entries, but w is unique
    found, best = (np.clip((z - b * s) / c, 0, z / (b + c)) for s in (t, expected))
    tol = 1e-12 * best.max() + 2e-14 * z.max()
    np.testing.assert_allclose(found, best, rtol=0, atol=tol)
    partial = (z > b * t) & (z < (b + c) * t)
    shares = np.clip((z / t - b) / c, 0, 1)
    condition = 1 + (b + c) / c * (partial.sum() + 1) / k
    assert abs(shares.sum() - k) <= 1e-14 * k * condition + 1e-12


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2, 7, 64, 1000, 5000])
def test_envelope_root(kind, n, dtype, simd, rng):
    x = KINDS[kind](rng, n).astype(dtype)
    for k in sorted({1, -(-n // 50), -(-n // 3), max(1, n - 1), n}):
        for b in (0.0, 1e-4, 1.0, 1e4):
            _check_envelope(x, float(k), b, 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_envelope_root_with_a_sample(kind, simd, rng):
    x = KINDS[kind](rng, 40_000)
    for k, b in ((1, 1.0), (800, 1e-4), (800, 1e4), (20_000, 0.0), (39_999, 1.0)):
        _check_envelope(x, float(k), b, 1.0)


@pytest.mark.parametrize("c", [0.01, 0.5])
def test_debiased_root(c, dtype, rng):
    for n in (30, 5000):
        x = rng.normal(size=n).astype(dtype)
        _check_envelope(x, float(n // 5), 1 - c, c)


@pytest.mark.parametrize("kind", ["cauchy", "sorted", "ties"])
def test_long_vectors(kind, dtype, rng):
    x = KINDS[kind](rng, 210_000).astype(dtype)
    for k in (1, 2_500, 104_999):
        for b in (1e-3, 1.0):
            _check_envelope(x, float(k), b, 1.0)


def test_threads_do_not_change_a_bit(dtype, rng):
    for data in (rng.normal(size=2_100_000), np.sort(rng.standard_cauchy(2_100_000))):
        x = data.astype(dtype)
        for k in (1000.0, 700_000.0):
            one, two = _envelope(x, k, 1.0, 1.0), _envelope(x, k, 1.0, 1.0, 3)
            assert one == two


@pytest.mark.parametrize("order", ["any", "sorted"])
def test_threads_do_not_change_a_bit_of_weighted_ones(order, dtype, rng):
    # sorted: the sample is good, but blocks have all or nothing of what is undecided
    n = 2_100_000
    x = rng.normal(size=n).astype(dtype)
    x = np.sort(x) if order == "sorted" else x
    d, q = rng.uniform(0.5, 2, size=n), rng.uniform(0.5, 2, size=n)
    run = getattr(_kernels, "weighted_prox_" + ("s" if dtype is np.float32 else "d"))
    results = []
    for threads in (1, 3):
        w, u = np.empty_like(x), np.empty(n)
        found = run(x, w, d, q, 1.0, 0.5, 0.1, 0.3 * n, u, threads)
        results.append((w, u, np.array(found)))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    assert q @ u == pytest.approx(0.3 * n, rel=1e-10)


def test_root_on_a_breakpoint_with_many_ties():
    # most entries tie, and the root is where they enter: no bracket excludes them
    n = 40_000
    x = np.ones(n)
    x[: n // 4] = 3.0
    x[n // 4] = 3.0
    for k in (n // 4 + 1, n // 8, n // 2):
        _check_envelope(x, float(k), 1.0, 1.0)


def test_a_sample_that_misleads_is_noticed(rng):
    # entries that the sample takes are large or small, all others are not
    n, m = 30_000, 2048
    state, seen = 88172645463325252, np.empty(m, dtype=int)
    for j in range(m):
        state ^= state << 13 & (1 << 64) - 1
        state ^= state >> 7
        state ^= state << 17 & (1 << 64) - 1
        seen[j] = int(n / m * j) + ((state >> 32) * (n // m) >> 32)
    for factor in (1e3, 1e-3, 1e100, 1e-100):
        x = rng.uniform(1, 2, size=n)
        x[seen] *= factor
        for k in (30.0, 3000.0, 20_000.0):
            _check_envelope(x, k, 1.0, 1.0)
            if factor > 1e10:
                continue  # totals too small for the sum's digits
            w = np.empty(n)
            step, tau = _kernels.simplex_d(x, w, k, np.inf, False, False, 1)
            assert step == _kernels.DONE
            assert np.maximum(x - tau, 0).sum() == pytest.approx(k, rel=1e-10)


def test_entries_in_lumps(rng):
    # the sum bends so much that the small bracket of a bold search misses the root
    for _ in range(100):
        n, lumps = int(rng.integers(20_001, 60_000)), int(rng.integers(1, 12))
        noise = 10.0 ** rng.uniform(-7, -1) * rng.uniform(size=n)
        x = rng.uniform(1, 1.2, size=lumps)[rng.integers(lumps, size=n)] + noise
        x = np.where(rng.uniform(size=n) < rng.uniform(), rng.uniform(size=n), x)
        k, b = float(rng.integers(1, 0.9 * n)), 10.0 ** rng.uniform(-2, 2)
        step, t = _envelope(x, k, b, 1.0)
        assert step == _kernels.DONE
        # the shares' sum passes k between two neighbours of t
        more, less = (
            np.clip(x / (t * s) - b, 0, 1).sum() for s in (1 - 1e-9, 1 + 1e-9)
        )
        assert less * (1 - 1e-12) <= k <= more * (1 + 1e-12)


@pytest.mark.parametrize("n", [50, 5000, 40_000])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_found(n, bad, dtype, simd, rng):
    for place in (0, n // 2, n - 1):
        x = rng.normal(size=n).astype(dtype)
        x[place] = bad
        assert _envelope(x, 5.0, 1.0, 1.0)[0] == _kernels.BAD
        name = "simplex_s" if dtype is np.float32 else "simplex_d"
        for absolute in (True, False):
            args = (x, x.copy(), 1.0, np.inf, absolute, False, 1)
            assert getattr(_kernels, name)(*args)[0] == _kernels.BAD


@pytest.mark.parametrize("cap", [np.inf, 0.7])
@pytest.mark.parametrize("n", [1, 3, 60, 3000, 40_000])
@pytest.mark.parametrize("kind", ["normal", "cauchy", "ties", "sorted", "constant"])
def test_simplex_root(kind, n, cap, simd, rng):
    x = KINDS[kind](rng, n)
    w = np.empty(n)
    totals = (1e-3, 1.0, 0.3 * n) if cap == np.inf else (0.01, 0.2 * n, 0.6 * n)
    for total in totals:
        step, tau = _kernels.simplex_d(x, w, total, cap, False, False, 1)
        assert step == _kernels.DONE
        expected = -plain_root(-x, cap - x, np.ones(n), total)
        size = np.abs(x).max() + total
        assert tau == pytest.approx(expected, abs=1e-12 * size)
        np.testing.assert_allclose(w, np.clip(x - tau, 0, cap), rtol=0, atol=0)


@pytest.mark.parametrize("n", [1, 40, 3000, 50_000])
def test_general_root(n, simd, rng):
    enter = rng.normal(size=n)
    full = enter + rng.exponential(size=n)
    full[rng.uniform(size=n) < 0.2] = np.inf
    slope = rng.uniform(0.1, 2, size=n)
    for target in (0.01, 0.3 * n):
        expected = plain_root(enter, full, slope, target)
        reach = np.where(full < np.inf, slope * (full - enter), np.inf).sum()
        found = _kernels.general_root(enter.copy(), full.copy(), slope.copy(), target)
        if reach < target:
            assert found == np.inf
        else:
            assert found == pytest.approx(expected, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("n", [1, 40, 3000, 50_000])
@pytest.mark.parametrize("which", ["weights", "costs", "both"])
def test_weighted_root(n, which, dtype, simd, rng):
    x = rng.normal(size=n).astype(dtype)
    x[::7] = 0
    d = rng.uniform(0.2, 3, size=n) if which != "costs" else None
    q = rng.uniform(0.5, 2, size=n) if which != "weights" else None
    dd, qq = (np.ones(n) if v is None else v for v in (d, q))
    run = getattr(_kernels, "weighted_prox_" + ("s" if dtype is np.float32 else "d"))
    a = np.abs(x) * np.sqrt(dd / qq)
    for lam, debias in ((1e-3, 0.0), (1.0, 0.0), (0.3, 1.0), (1e3, 0.0)):
        b, c = lam * dd, 1 - debias * lam * dd
        for target in (1.0, 0.2 * n, 0.7 * n):
            w, u = np.empty_like(x), np.empty(n)
            step, eta = run(x, w, d, q, 1.0, lam, debias, target, u)
            assert step == _kernels.DONE
            if qq[a > 0].sum() <= target:
                assert eta == np.inf
                np.testing.assert_array_equal(u, a > 0)
            else:
                assert qq @ u == pytest.approx(target, rel=1e-10)
                expected = np.clip((eta * a - b) / c, 0, 1)
                np.testing.assert_allclose(u, expected, atol=1e-11 * (1 + b.max()))
            tol = 1e-6 if dtype is np.float32 else 1e-13
            np.testing.assert_allclose(w, x * u / (c * u + b), rtol=tol, atol=tol)


@pytest.mark.parametrize("size", [1, 3, 8, 50])
def test_group_norms_and_scaling(size, dtype, simd, rng):
    m = 300
    x = rng.normal(size=m * size).astype(dtype)
    suffix = "s" if dtype is np.float32 else "d"
    r, w, s = np.empty(m), np.empty_like(x), rng.normal(size=m)
    getattr(_group_kernels, f"group_norms_{suffix}")(x, size, r, 1)
    expected = np.linalg.norm(x.reshape(m, size).astype(float), axis=1)
    np.testing.assert_allclose(r, expected, rtol=1e-14)
    getattr(_group_kernels, f"group_scale_{suffix}")(x, w, size, s, 1)
    product = x.reshape(m, size) * s.astype(dtype)[:, None]
    np.testing.assert_array_equal(w, product.ravel())
    indices = rng.permutation(x.size).astype(np.int64)
    indptr = np.arange(0, x.size + 1, size)
    getattr(_group_kernels, f"gather_norms_{suffix}")(x, indices, indptr, r)
    expected = np.linalg.norm(x[indices].reshape(m, size).astype(float), axis=1)
    np.testing.assert_allclose(r, expected, rtol=1e-14)


def test_moments(dtype, simd, rng):
    x = rng.normal(size=1003).astype(dtype)
    name = "moments_s" if dtype is np.float32 else "moments_d"
    found = getattr(_group_kernels, name)(x, 0.5, 1.2)
    z = np.abs(x.astype(float))
    whole, part = z >= 1.2, (z > 0.5) & (z < 1.2)
    expected = [whole.sum(), part.sum(), z[part].sum(), z[whole] @ z[whole]]
    np.testing.assert_allclose(found, [*expected, z[part] @ z[part]], rtol=1e-13)
