"""The sparse envelope: closed form, interior point, identities, inequalities."""

import math

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparseopt.prox import (
    Groups,
    prox_wgsef,
    wgsef_conjugate,
    wgsef_subgradient,
    wgsef_value,
)

entries = st.floats(-100, 100, allow_subnormal=False).map(lambda v: round(v, 6))
vectors = st.integers(1, 30).flatmap(lambda n: arrays(float, n, elements=entries))


def plain_prox(x, k, lam, c=1.0):
    """NumPy twin for single entries: breakpoints sorted, extended precision."""
    z = np.abs(x).astype(np.longdouble)
    if np.count_nonzero(z) <= k or lam == 0:
        return x / (c + lam) if lam else x
    y = z[z > 0]
    points = np.concatenate([lam / y, (lam + c) / y])
    order = np.argsort(points, kind="stable")
    slopes = np.cumsum(np.concatenate([y, -y])[order] / c)
    points = points[order]
    values = np.concatenate([[0], np.cumsum(np.diff(points) * slopes[:-1])])
    j = max(int(np.searchsorted(values, k * (1 - 1e-13))) - 1, 0)
    eta = points[j] + (k - values[j]) / slopes[j]
    size = np.clip((z - lam / eta) / c, 0, z / (c + lam))
    return np.copysign(size, x).astype(x.dtype)


def plain_value(a, k):
    """Closed form of the envelope for sorted slopes a (Argyriou et al.)."""
    a = np.sort(np.abs(a))[::-1]
    for r in range(k):
        tail = a[k - r - 1 :].sum() / (r + 1)
        above = math.inf if r == k - 1 else a[k - r - 2]
        if above > tail >= a[k - r - 1] or r == k - 1:
            return 0.5 * ((a[: k - r - 1] ** 2).sum() + tail * tail * (r + 1))
    raise AssertionError


def group_cases(n, rng):
    yield None
    yield 3
    yield Groups.of(rng.integers(-1, 5, size=n), n)
    yield [rng.permutation(n)[:4], [0]] if n < 5 else [[0, 4, 2], [1], [n - 1, 3]]


@pytest.mark.parametrize("n", [1, 2, 10, 500, 20_000])
@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_closed_form(n, scale, rng):
    for x in (rng.normal(size=n), rng.standard_cauchy(n), np.sort(rng.normal(size=n))):
        x = scale * x
        for k in sorted({1, -(-n // 10), max(1, n - 1), n}):
            for lam in (1e-4, 1.0, 1e4):
                w = prox_wgsef(x, k, lam)
                expected = plain_prox(x, k, lam)
                tol = 1e-12 * np.abs(expected).max() + 1e-15 * np.abs(x).max()
                np.testing.assert_allclose(w, expected, rtol=0, atol=tol)


def test_million_entries(rng):
    x = rng.normal(size=1_000_000)
    w = prox_wgsef(x, 1000)
    np.testing.assert_allclose(w, plain_prox(x, 1000, 1.0), rtol=0, atol=1e-12)


def test_float32_is_near_float64(rng):
    x = rng.normal(size=30_000).astype(np.float32)
    for k in (10, 3000, 29_000):
        narrow, wide = prox_wgsef(x, k), prox_wgsef(x.astype(float), k)
        assert narrow.dtype == np.float32
        np.testing.assert_allclose(narrow, wide, rtol=0, atol=5e-6)


# the solver warns where it gets no further than about 1e-8, which is enough
@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
@pytest.mark.parametrize("seed", range(25))
def test_interior_point(seed):
    rng = np.random.default_rng(seed)
    n = 12
    x = rng.normal(size=n) * rng.choice([0, 1, 3], size=n)
    groups = list(group_cases(n, rng))[seed % 4]
    parts = Groups.of(groups, n)
    m = parts.m
    k, lam = int(rng.integers(1, m + 1)), 10 ** rng.uniform(-1, 1)
    d = rng.uniform(0.5, 2, size=m)
    q = rng.uniform(0.5, 2, size=m) if seed % 2 else None
    w, u = cp.Variable(n), cp.Variable(m)
    terms = [
        d[j] * cp.quad_over_lin(w[part], u[j]) for j, part in enumerate(parts.lists())
    ]
    objective = cp.sum_squares(w - x) / 2 + lam / 2 * sum(terms)
    budget = (np.ones(m) if q is None else q) @ u <= k
    problem = cp.Problem(cp.Minimize(objective), [u >= 0, u <= 1, budget])
    settings = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-10)
    problem.solve(solver=cp.CLARABEL, **settings)
    found, info = prox_wgsef(
        x, k, lam, groups=groups, weights=d, costs=q, return_info=True
    )
    # one setting of the solver is no better; test_wgsef_grid.py goes to 1e-5
    np.testing.assert_allclose(found, w.value, atol=5e-5)
    if q is None:
        value = lam * wgsef_value(found, k, groups=groups, weights=d)
    else:
        r = parts.norms(found)
        value = lam / 2 * (d * r**2 / np.where(r > 0, info.u, 1)).sum()
    mine = ((found - x) ** 2).sum() / 2 + value
    assert mine <= problem.value + 1e-7 * (1 + problem.value)


@given(vectors, st.data())
def test_moreau(x, data):
    k = data.draw(st.integers(1, x.size))
    t = data.draw(st.sampled_from([1e-3, 0.5, 20.0]))
    w = prox_wgsef(x, k, t)
    y = (x - w) / t  # has to be a subgradient of S_k at w: Fenchel's equality
    value, dual = wgsef_value(w, k), wgsef_conjugate(y, k)
    assert value + dual == pytest.approx(w @ y, rel=1e-9, abs=1e-9)


@given(vectors, st.data())
def test_firmly_nonexpansive(x, data):
    k = data.draw(st.integers(1, x.size))
    z = data.draw(arrays(float, x.size, elements=entries))
    step = prox_wgsef(x, k) - prox_wgsef(z, k)
    assert step @ step <= step @ (x - z) + 1e-9 * (1 + np.abs(x - z).max() ** 2)


@given(vectors, st.data())
def test_equivariance(x, data):
    k = data.draw(st.integers(1, x.size))
    order = np.array(data.draw(st.permutations(range(x.size))))
    signs = data.draw(arrays(float, x.size, elements=st.sampled_from([-1.0, 1.0])))
    w = prox_wgsef(x, k)
    tol = 1e-12 * (1 + np.abs(x).max())
    np.testing.assert_allclose(prox_wgsef(x[order], k), w[order], atol=tol)
    np.testing.assert_allclose(prox_wgsef(signs * x, k), signs * w, atol=tol)
    np.testing.assert_array_equal(prox_wgsef(4.0 * x, k), 4.0 * w)


@pytest.mark.parametrize("exponent", [-1050, -1000, -600, 600, 1000])
@pytest.mark.parametrize("n", [9, 30_000])
def test_scale_invariance(exponent, n, rng):
    x = rng.normal(size=n)
    x[::5] = 0
    big = np.ldexp(x, exponent)
    x = np.ldexp(big, -exponent)  # what is left of it where it is subnormal
    for groups, weights in ((None, None), (3, None), (None, rng.uniform(1, 2, n))):
        args = (max(1, n // 10), 0.5)
        options = {"groups": groups, "weights": weights}
        w = np.ldexp(prox_wgsef(x, *args, **options), exponent)
        found = prox_wgsef(big, *args, **options)
        np.testing.assert_allclose(found, w, rtol=0, atol=1e-15 * big.max() + 5e-324)
    assert wgsef_value(big, 3) == pytest.approx(
        float(np.ldexp(wgsef_value(x, 3), 2 * exponent)) if exponent < 500 else math.inf
    )


def test_special_cases(rng):
    x = rng.normal(size=40)
    np.testing.assert_allclose(prox_wgsef(x, 40, 3.0), x / 4, rtol=1e-15)
    np.testing.assert_array_equal(prox_wgsef(x, 4, 0.0), x)
    whole = prox_wgsef(x, 1, 3.0, groups=40)
    np.testing.assert_allclose(whole, x / 4, rtol=1e-15)
    # k = 1: half the squared l1 norm, whose prox subtracts lam times the l1 norm of w
    w = prox_wgsef(x, 1, 0.3)
    level = 0.3 * np.abs(w).sum()
    np.testing.assert_allclose(w, np.sign(x) * np.maximum(np.abs(x) - level, 0))
    sparse = np.zeros(40)
    sparse[[3, 7]] = 2.0, -4.0
    np.testing.assert_array_equal(prox_wgsef(sparse, 2), sparse / 2)
    assert not np.signbit(prox_wgsef(-np.abs(x), 2)[prox_wgsef(x, 2) == 0]).any()


def test_exactly_k_survive_where_the_gap_is_wide():
    lam, k = 2.0, 3
    x = np.array([9.0, 8.0, 7.0, 7.0 * lam / (1 + lam) * 0.999, 1.0])
    assert np.count_nonzero(prox_wgsef(x, k, lam)) == k
    x[3] *= 1.01 / 0.999
    assert np.count_nonzero(prox_wgsef(x, k, lam)) == k + 1


@pytest.mark.parametrize("seed", range(12))
def test_debiased_prox_is_the_minimiser(seed):
    # not jointly convex, but the prox problem is: its optimality condition decides
    rng = np.random.default_rng(seed)
    x, lam = rng.normal(size=15), 0.6
    groups = [None, 3][seed % 2]
    d = rng.uniform(0.5, 1.2, size=15 if groups is None else 5)
    options = {"groups": groups, "weights": d, "debias": [0.5, 1.0][seed % 3 > 0]}
    w = prox_wgsef(x, 3, lam, **options)

    def objective(v):
        return lam * wgsef_value(v, 3, **options) + ((v - x) ** 2).sum() / 2

    best = objective(w)
    for _ in range(200):
        step = rng.normal(size=15) * 10 ** rng.uniform(-6, 0)
        assert objective(w + step) >= best - 1e-12


@given(vectors, st.data())
def test_value(w, data):
    k = data.draw(st.integers(1, w.size))
    value = wgsef_value(w, k)
    assert value == pytest.approx(plain_value(w, k), rel=1e-12, abs=1e-300)
    ridge = 0.5 * (w @ w)
    assert value >= ridge * (1 - 1e-14)
    excess = wgsef_value(w, k, debias=1.0)
    assert excess == pytest.approx(value - ridge, abs=1e-10 * (1 + value))
    if np.count_nonzero(w) <= k:
        assert value == pytest.approx(ridge)
        assert excess == 0
    assert wgsef_value(2 * w, k) == pytest.approx(4 * value)


@given(vectors, st.data())
def test_conjugate_and_subgradient(w, data):
    k = data.draw(st.integers(1, w.size))
    z = data.draw(arrays(float, w.size, elements=entries))
    largest = np.sort(z**2)[::-1][:k].sum()
    assert wgsef_conjugate(z, k) == pytest.approx(largest / 2, rel=1e-12)
    size = 1 + wgsef_value(w, k) + wgsef_value(z, k)
    assert wgsef_value(w, k) + wgsef_conjugate(z, k) >= w @ z - 1e-10 * size
    y = wgsef_subgradient(w, k)
    linear = wgsef_value(w, k) + y @ (z - w)
    assert wgsef_value(z, k) >= linear - 1e-9 * size


@pytest.mark.parametrize("n", [30, 5001])
def test_functions_of_groups(n, rng):
    w = rng.normal(size=n)
    for groups in group_cases(n, rng):
        parts = Groups.of(groups, n)
        for weights in (None, "sqrt", "size", rng.uniform(0.5, 2, parts.m)):
            d = parts.weights(weights)
            d = np.ones(parts.m) if d is None else d
            a = np.sqrt(d) * parts.norms(w)
            k = max(1, parts.m // 3)
            options = {"groups": groups, "weights": weights}
            assert wgsef_value(w, k, **options) == pytest.approx(
                plain_value(a, k), rel=1e-11
            )
            y = wgsef_subgradient(w, k, **options)
            assert not y[parts.free].any()
            w_inside = w.copy()
            w_inside[parts.free] = 0
            total = wgsef_value(w, k, **options) + wgsef_conjugate(y, k, **options)
            assert total == pytest.approx(y @ w_inside, rel=1e-10)
            x = prox_wgsef(w, k, 0.8, **options)
            np.testing.assert_array_equal(x[parts.free], w[parts.free])
            y = (w - x) / 0.8
            total = wgsef_value(x, k, **options) + wgsef_conjugate(y, k, **options)
            assert total == pytest.approx(y @ x, rel=1e-10, abs=1e-12)


def test_info(rng):
    x = rng.normal(size=60)
    for options in (
        {},
        {"groups": 4},
        {"weights": rng.uniform(1, 2, 60)},
        {"costs": np.full(60, 0.5)},
        {"groups": 4, "weights": "sqrt", "debias": 0.3},
    ):
        into = x.copy()
        w, info = prox_wgsef(into, 5, 0.7, out=into, return_info=True, **options)
        assert w is into
        parts = Groups.of(options.get("groups"), 60)
        np.testing.assert_array_equal(info.u > 0, parts.norms(w) > 0)
        assert info.n_groups == np.count_nonzero(info.u)
        costs = options.get("costs", np.ones(parts.m))
        assert costs @ info.u == pytest.approx(5)
        assert 0 < info.eta < np.inf
        np.testing.assert_allclose(w, prox_wgsef(x, 5, 0.7, **options), rtol=1e-14)
    _, info = prox_wgsef(np.eye(3)[0], 2, return_info=True)
    assert info.eta == np.inf
    np.testing.assert_array_equal(info.u, [1, 0, 0])


def test_axis(rng, dtype):
    x = rng.normal(size=(4, 6, 5)).astype(dtype)
    for axis in (0, 1, -1):
        w, info = prox_wgsef(x, 2, axis=axis, return_info=True)
        moved, result = np.moveaxis(x, axis, -1), np.moveaxis(w, axis, -1)
        for i, j in np.ndindex(moved.shape[:2]):
            np.testing.assert_array_equal(result[i, j], prox_wgsef(moved[i, j], 2))
        assert info.u.shape == (moved.size // x.shape[axis], x.shape[axis])
        into = x.copy()
        assert prox_wgsef(into, 2, axis=axis, out=into) is into
        np.testing.assert_array_equal(into, w)


def test_layouts_and_shapes(layout, rng):
    x = rng.normal(size=(6, 8))
    expected = prox_wgsef(x.ravel(), 5).reshape(x.shape)
    given = layout(x)
    before = given.copy()
    np.testing.assert_array_equal(prox_wgsef(given, 5), expected)
    np.testing.assert_array_equal(given, before)
    out = np.asfortranarray(np.zeros_like(x))
    assert prox_wgsef(given, 5, out=out) is out
    np.testing.assert_array_equal(out, expected)
    assert prox_wgsef(np.arange(4), 2).dtype == np.float64
    assert prox_wgsef(3.0, 1).shape == ()


def test_overlapping_output(rng):
    memory = rng.normal(size=30)
    expected = prox_wgsef(memory[:20].copy(), 4)
    prox_wgsef(memory[:20], 4, out=memory[10:])
    np.testing.assert_array_equal(memory[10:], expected)


@pytest.mark.parametrize(
    "options",
    [{}, {"weights": "sqrt", "groups": 3}, {"weights": "random"}, {"debias": 0.1}],
)
def test_no_group_is_kept_by_rounding(options, rng):
    """Where the sum of shares is flat at k, the next group to enter stays zero."""
    for _ in range(300):
        x, k, lam = (
            rng.normal(size=30),
            int(rng.integers(1, 10)),
            10 ** rng.uniform(-1, 2),
        )
        given = dict(options)
        if options.get("weights") == "random":
            given["weights"] = rng.uniform(0.5, 2.0, 30)
        if "debias" in options:
            given["debias"] = 0.1 / lam
        kept = np.abs(prox_wgsef(x, k, lam, **given))
        assert kept[kept > 0].min() > 1e-10
