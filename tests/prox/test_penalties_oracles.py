"""Values, conjugates and dual norms of penalties against independent oracles."""

import math
from itertools import permutations

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseopt import prox as p

N = 6
WEIGHTS = np.array([1.0, 2.0, 0.5, 1.0, 3.0, 0.7])
GROUPS = [[0, 3], [1, 2, 5], [4]]
TREE = [[0, 1, 2, 5], [1, 2], [5], [0, 1, 2, 3, 4, 5]]
TREE_WEIGHTS = [0.5, 1.0, 0.7, 0.4]
TREE_TERMS = list(zip(TREE, TREE_WEIGHTS, strict=True))


def _groups(w, norm=2):
    return sum(np.sqrt(len(g)) * cp.norm(w[g], norm) for g in GROUPS)


def _sorted(w, levels):
    """Sum of differences of levels times sums of the largest magnitudes."""
    steps = np.append(levels[:-1] - levels[1:], levels[-1])
    size = cp.abs(w)
    return sum(s * cp.sum_largest(size, i + 1) for i, s in enumerate(steps) if s > 0)


def _envelope(w, k, lower=0.0, upper=1.0):
    """Half the least ``sum w^2 / u`` over the bounds with sum at most k."""
    u, t = cp.Variable(N), cp.Variable(N)
    rules = [
        cp.norm(cp.hstack([2 * w[i], t[i] - u[i]])) <= t[i] + u[i] for i in range(N)
    ]
    rules += [u >= lower, u <= upper, cp.sum(u) <= k]
    return 0.5 * cp.sum(t), rules


def _group_envelope(w, k):
    m = len(GROUPS)
    u, t = cp.Variable(m), cp.Variable(m)
    rules = [
        cp.norm(cp.hstack([2 * w[g], t[j] - u[j]])) <= t[j] + u[j]
        for j, g in enumerate(GROUPS)
    ]
    d = np.array([len(g) for g in GROUPS])
    return 0.5 * cp.sum(cp.multiply(d, t)), [*rules, u >= 0, u <= 1, cp.sum(u) <= k]


SLOPE = np.array([2.0, 1.5, 1.0, 1.0, 0.3, 0.0])
# Penalty -> the same function as a convex program: expression and constraints.
PROGRAMS = [
    (p.L1(0.7, weights=WEIGHTS), lambda w: 0.7 * WEIGHTS @ cp.abs(w)),
    (p.L1(0.7, positive=True), lambda w: (0.7 * cp.sum(w), [w >= 0])),
    (
        p.ElasticNet(0.7, 0.3),
        lambda w: 0.7 * (0.3 * cp.norm1(w) + 0.35 * cp.sum_squares(w)),
    ),
    (
        p.ElasticNet(0.7, 0.3, weights=WEIGHTS, positive=True),
        lambda w: (
            0.7 * WEIGHTS @ (0.3 * w + 0.35 * cp.square(w)),
            [w >= 0],
        ),
    ),
    (p.Ridge(0.7), lambda w: 0.35 * cp.sum_squares(w)),
    (p.L2(0.7), lambda w: 0.7 * cp.norm(w)),
    (p.Linf(0.7), lambda w: 0.7 * cp.norm_inf(w)),
    (p.GroupLasso(0.7, groups=GROUPS), lambda w: 0.7 * _groups(w)),
    (
        p.GroupLinf(0.7, groups=GROUPS, weights="sqrt"),
        lambda w: 0.7 * _groups(w, "inf"),
    ),
    (
        p.SparseGroupLasso(0.7, 0.4, groups=GROUPS),
        lambda w: 0.7 * (0.4 * cp.norm1(w) + 0.6 * _groups(w)),
    ),
    (p.Lq(0.7, 1.5), lambda w: 0.7 * cp.sum(cp.power(cp.abs(w), 1.5))),
    (p.SLOPE(SLOPE), lambda w: _sorted(w, SLOPE)),
    (p.WGSEF(2, 0.7), lambda w: _scaled(_envelope(w, 2), 0.7)),
    (
        p.WGSEF(2, 0.7, groups=GROUPS, weights="size"),
        lambda w: _scaled(_group_envelope(w, 2), 0.7),
    ),
    (
        p.BoxNorm(0.1, 0.8, 2.0, 0.7),
        lambda w: _scaled(_envelope(w, 2.0, 0.1, 0.8), 0.7),
    ),
    (
        p.TV1D(0.7, weights=WEIGHTS[1:]),
        lambda w: 0.7 * WEIGHTS[1:] @ cp.abs(cp.diff(w)),
    ),
    (
        p.FusedLasso(0.7, 0.4),
        lambda w: 0.7 * (0.4 * cp.norm1(w) + 0.6 * cp.norm1(cp.diff(w))),
    ),
    (
        p.TreeGroupLasso(0.7, groups=TREE, weights=TREE_WEIGHTS),
        lambda w: 0.7 * sum(d * cp.norm(w[g]) for g, d in TREE_TERMS),
    ),
    (p.Box(-0.5, 2.0), lambda w: (0, [w >= -0.5, w <= 2.0])),
    (p.Simplex(1.5), lambda w: (0, [w >= 0, cp.sum(w) == 1.5])),
    (p.L1Ball(1.5), lambda w: (0, [cp.norm1(w) <= 1.5])),
]


def _scaled(program, factor):
    return factor * program[0], program[1]


def _program(make, w):
    parts = make(w)
    return parts if isinstance(parts, tuple) else (parts, [])


def _solve(goal, rules):
    return cp.Problem(goal, rules).solve(solver=cp.CLARABEL)


def point(seed, shape=N):
    return 1.5 * np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize(("penalty", "make"), PROGRAMS, ids=lambda x: repr(x)[:60])
def test_prox_and_value_by_convex_program(penalty, make):
    w = cp.Variable(N)
    value, rules = _program(make, w)
    for seed in range(2):
        x = point(seed)
        best = _solve(cp.Minimize(value + cp.sum_squares(w - x) / 1.2), rules)
        u = penalty.prox(x, 0.6)
        np.testing.assert_allclose(u, w.value, atol=2e-4)
        own = penalty.value(u) + np.sum((u - x) ** 2) / 1.2
        assert own == pytest.approx(best, rel=1e-6, abs=1e-7)
        if not penalty.is_indicator:
            z = np.abs(x) if getattr(penalty, "positive", False) else x
            at = _solve(cp.Minimize(value), [*rules, w == z])
            assert penalty.value(z) == pytest.approx(at, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize(("penalty", "make"), PROGRAMS, ids=lambda x: repr(x)[:60])
def test_conjugate_by_convex_program(penalty, make):
    w = cp.Variable(N)
    value, rules = _program(make, w)
    for seed in range(2):
        v = point(seed)
        if isinstance(penalty, p.TV1D):
            v -= v.mean()
        v = 0.97 * penalty.dual_scale(v) * v
        best = _solve(cp.Maximize(v @ w - value), [*rules, cp.norm_inf(w) <= 1e3])
        assert penalty.conjugate(v) == pytest.approx(best, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(
    ("penalty", "make"),
    [case for case in PROGRAMS if hasattr(case[0], "dual_norm")],
    ids=lambda x: repr(x)[:60],
)
def test_dual_norm_by_convex_program(penalty, make):
    """The largest ``<v, w>`` over ``Omega(w) <= 1``."""
    w = cp.Variable(N)
    value, rules = _program(make, w)
    unit = 0.7 if not isinstance(penalty, p.SLOPE) else 2.0
    for seed in range(2):
        v = point(seed)
        if isinstance(penalty, p.TV1D):
            v -= v.mean()
            assert penalty.dual_norm(v + 0.1) == math.inf
        best = _solve(cp.Maximize(v @ w), [*rules, value <= unit])
        assert penalty.dual_norm(v) == pytest.approx(best, rel=1e-5)
        assert penalty.critical_lam(-v) == penalty.dual_norm(v)


@given(seed=st.integers(0, 10_000), ratio=st.floats(0.0, 1.0), free=st.booleans())
def test_dual_norm_of_sparse_groups(seed, ratio, free):
    """At the dual norm the shrunk groups reach their radius, just."""
    groups = [[0, 3], [1, 2, 5]] if free else GROUPS
    penalty = p.SparseGroupLasso(1.0, ratio, groups=groups)
    v = point(seed)
    if free:
        assert penalty.dual_norm(v) == math.inf
        v[4] = 0.0
    norm = penalty.dual_norm(v)
    excess = [
        np.linalg.norm(np.maximum(np.abs(v[g]) - norm * ratio, 0))
        - norm * (1 - ratio) * np.sqrt(len(g))
        for g in groups
    ]
    assert max(excess) == pytest.approx(0.0, abs=1e-12 * max(1.0, norm))
    # the zero vector is the prox from there on
    assert np.any(penalty.prox(v, 0.999 * norm)) or not np.any(v)
    assert not np.any(penalty.prox(v, 1.000001 * norm))


def test_slope_dual_norm_over_permutations():
    """The dual ball is the convex hull of the signed permutations of the levels."""
    levels = np.array([2.0, 1.0, 0.5, 0.1])
    penalty = p.SLOPE(levels)
    for seed in range(5):
        w = point(seed, 4)
        best = max(abs(w) @ np.array(order) for order in permutations(levels))
        assert penalty.value(w) == pytest.approx(best)
        # a multiple of a corner has that multiple as its norm
        corner = levels[np.random.default_rng(seed).permutation(4)]
        assert penalty.dual_norm(3.0 * corner) == pytest.approx(3.0 * 2.0)


def test_nuclear_norm_is_that_of_the_singular_values():
    penalty = p.Nuclear(0.7)
    x = point(0, (5, 3))
    s = np.linalg.svd(x, compute_uv=False)
    assert penalty.value(x) == pytest.approx(0.7 * s.sum())
    assert penalty.dual_norm(x) == pytest.approx(s[0])
    w = cp.Variable((5, 3))
    goal = cp.Minimize(0.7 * cp.normNuc(w) + cp.sum_squares(w - x) / 1.2)
    _solve(goal, [])
    np.testing.assert_allclose(penalty.prox(x, 0.6), w.value, atol=1e-4)


def _spectral_program(w, lower, upper, total):
    """Half the least ``tr W' T^-1 W`` over matrices T between the bounds."""
    t = cp.Variable((w.shape[0],) * 2, PSD=True)
    eye = np.eye(w.shape[0])
    rules = [t >> lower * eye, t << upper * eye, cp.trace(t) <= total]
    return 0.5 * cp.matrix_frac(w, t), rules


@pytest.mark.parametrize("bounds", [(0.0, 1.0, 1), (0.0, 1.0, 2), (0.2, 0.8, 1.5)])
def test_spectral_penalties_by_semidefinite_program(bounds):
    """The variational form over matrices, which knows no singular values."""
    x = point(3, (3, 4))
    box = p.SpectralBoxNorm(*bounds, 0.7)
    w = cp.Variable((3, 4))
    value, rules = _spectral_program(w, *bounds)
    best = _solve(cp.Minimize(0.7 * value + cp.sum_squares(w - x) / 1.2), rules)
    u = box.prox(x, 0.6)
    np.testing.assert_allclose(u, w.value, atol=2e-4)
    own = box.value(u) + np.sum((u - x) ** 2) / 1.2
    assert own == pytest.approx(best, rel=1e-6)
    half = _solve(cp.Minimize(value), [*rules, w == x])
    assert box.value(x) == pytest.approx(0.7 * half, rel=1e-6)
    if bounds[:2] == (0.0, 1.0):
        norm = p.SpectralKSupport(bounds[2], 0.7)
        assert norm.norm(x) == pytest.approx(np.sqrt(2 * half), rel=1e-6)
        top = np.linalg.svd(x, compute_uv=False)[: bounds[2]]
        assert norm.dual_norm(x) == pytest.approx(np.linalg.norm(top))


def test_spectral_k_support_lies_between_known_norms():
    x = point(1, (5, 3))
    np.testing.assert_allclose(
        p.SpectralKSupport(1, 0.6).prox(x, 0.5), p.Nuclear(0.6).prox(x, 0.5)
    )
    assert p.SpectralKSupport(1).value(x) == pytest.approx(p.Nuclear().value(x))
    assert p.SpectralKSupport(3).value(x) == pytest.approx(np.linalg.norm(x))
    u, s, v = np.linalg.svd(x, full_matrices=False)
    low = (u[:, :2] * s[:2]) @ v[:2]  # of rank two, on which the norm is Frobenius'
    assert p.SpectralKSupport(2).value(low) == pytest.approx(np.linalg.norm(low))


@pytest.mark.parametrize(
    "penalty",
    [
        p.Nuclear(0.8),
        p.SpectralKSupport(2, 0.8),
        p.SpectralBoxNorm(0.0, 1.0, 2.0, 0.8),
        p.SpectralBoxNorm(0.2, 1.0, 1.5, 0.8),
    ],
    ids=repr,
)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_spectral_distance_is_the_limit_of_proximal_steps(penalty, rank):
    rng = np.random.default_rng(rank)
    for _ in range(3):
        w = rng.standard_normal((5, rank)) @ rng.standard_normal((rank, 3))
        grad = rng.standard_normal((5, 3))
        distance = float(penalty.subdiff_distance(w, grad)[0])
        near = np.linalg.norm(penalty.fixed_point_distance(w, grad, 1e-6))
        # a step of 1e-6 turns the singular vectors by as much
        assert near == pytest.approx(distance, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_trend_filter(order):
    n = 14
    penalty = p.TrendFilter(0.3, order)
    d = np.diff(np.eye(n), n=order + 1, axis=0)
    basis = np.linalg.qr(np.vander(np.linspace(-1, 1, n), order + 1))[0]
    for seed in range(3):
        x = np.cumsum(point(seed, n))
        assert penalty.value(x) == pytest.approx(0.3 * np.abs(d @ x).sum())
        w = cp.Variable(n)
        goal = 0.3 * cp.norm1(d @ w) + cp.sum_squares(w - x) / 1.2
        best = _solve(cp.Minimize(goal), [])
        u = penalty.prox(x, 0.6)
        np.testing.assert_allclose(u, w.value, atol=1e-4)
        own = penalty.value(u) + np.sum((u - x) ** 2) / 1.2
        assert own == pytest.approx(best, rel=1e-7)
        distance = penalty.subdiff_distance(u, (u - x) / 0.6)
        assert distance.shape == x.shape
        assert distance.max() <= 1e-11 * np.abs(x).max()
        # the conjugate: finite without polynomial part, and zero there
        z = point(seed + 9, n - order - 1)
        v = d.T @ z
        assert penalty.dual_norm(v) == pytest.approx(np.abs(z).max(), rel=1e-9)
        assert penalty.conjugate(0.99 * v * penalty.dual_scale(v)) == 0.0
        scale = penalty.dual_scale(100 * v)
        assert scale == pytest.approx(0.3 / (100 * np.abs(z).max()), rel=1e-9)
        assert penalty.dual_norm(v + 0.1 * basis[:, 0]) == math.inf
        assert penalty.dual_scale(x) == 0.0
        assert penalty.critical_lam(-v) == penalty.dual_norm(v)
    long = penalty.prox(np.cumsum(point(0, 40)).astype(np.float32), 1.0)
    assert long.dtype == np.float32


def test_trend_filter_of_order_zero_is_total_variation():
    x, v = point(0, 30), point(1, 30)
    v -= v.mean()
    trend, variation = p.TrendFilter(0.4, 0), p.TV1D(0.4)
    np.testing.assert_allclose(trend.prox(x, 0.5), variation.prox(x, 0.5), rtol=1e-14)
    assert trend.value(x) == pytest.approx(variation.value(x))
    assert trend.dual_norm(v) == pytest.approx(variation.dual_norm(v))


def test_tree_of_disjoint_groups_is_a_group_lasso():
    tree, plain = (cls(0.7, groups=GROUPS) for cls in (p.TreeGroupLasso, p.GroupLasso))
    for seed in range(4):
        x = point(seed)
        np.testing.assert_allclose(tree.prox(x, 0.6), plain.prox(x, 0.6), rtol=1e-15)
        assert tree.value(x) == pytest.approx(plain.value(x))
        assert tree.dual_norm(x) == pytest.approx(plain.dual_norm(x), rel=1e-9)
        distance = np.linalg.norm(plain.subdiff_distance(x.round(), x))
        assert tree.subdiff_distance(x.round(), x)[0] == pytest.approx(distance)


def test_tree_is_that_of_levels_in_any_order():
    x = 2 * point(0)
    weights = dict(zip(map(tuple, TREE), TREE_WEIGHTS, strict=True))
    expected = p.prox_tree(
        x,
        0.3,
        levels=[[[1, 2], [5]], [[0, 1, 2, 5]], [list(range(N))]],
        weights=[[1.0, 0.7], [0.5], [0.4]],
    )
    for order in permutations(TREE):
        d = [weights[tuple(group)] for group in order]
        penalty = p.TreeGroupLasso(0.6, groups=list(order), weights=d)
        np.testing.assert_allclose(penalty.prox(x, 0.5), expected, rtol=1e-14)


def test_image_variation():
    penalty = p.TV2D(0.4)
    x = point(0, (5, 4))
    w = cp.Variable((5, 4))
    value = 0.4 * (
        cp.sum(cp.abs(cp.diff(w, axis=0))) + cp.sum(cp.abs(cp.diff(w.T, axis=0)))
    )
    _solve(cp.Minimize(value + cp.sum_squares(w - x) / 1.2), [])
    u = penalty.prox(x, 0.6)
    np.testing.assert_allclose(u, w.value, atol=1e-4)
    assert penalty.value(u) == pytest.approx(float(value.value), abs=1e-4)
    # no formula for the subdifferential: a fixed point of the proximal gradient step
    distance = penalty.subdiff_distance(u, (u - x) / 0.6)
    assert distance.shape == x.shape and distance.max() <= 1e-5
    with pytest.raises(NotImplementedError, match="no known conjugate"):
        penalty.conjugate(x)


def test_total_variation_distance_by_convex_program():
    """Distance to the subdifferential: a projection, solved independently."""
    d = np.diff(np.eye(N), axis=0)
    w = np.array([1.0, 1.0, -1.0, -1.0, -1.0, 0.0])
    for seed in range(4):
        grad = point(seed)
        z, s = cp.Variable(N - 1), cp.Variable(N)
        jumps = d @ w
        rules = [cp.abs(z) <= 1]
        rules += [z[i] == np.sign(jumps[i]) for i in np.flatnonzero(jumps)]
        best = _solve(cp.Minimize(cp.norm(grad + 0.8 * d.T @ z)), rules)
        assert p.TV1D(0.8).subdiff_distance(w, grad) == pytest.approx(best, abs=1e-6)
        rules += [cp.abs(s) <= 1]
        rules += [s[i] == np.sign(w[i]) for i in np.flatnonzero(w)]
        goal = cp.Minimize(cp.norm(grad + 0.5 * d.T @ z + 0.3 * s))
        fused = p.FusedLasso(0.8, 0.375)
        assert fused.subdiff_distance(w, grad) == pytest.approx(
            _solve(goal, rules), abs=1e-6
        )


@pytest.mark.parametrize(
    "penalty",
    [
        p.SLOPE(np.array([2.0, 1.5, 1.0, 0.6, 0.3, 0.1])),
        p.Linf(1.3),
        p.KSupport(2, 1.3),
        p.Simplex(),
        p.L1Ball(1.0),
        p.L2(1.1),
        p.GroupLasso(0.8, groups=2),
        p.SparseGroupLasso(0.8, 0.5, groups=2),
        p.GroupLinf(0.8, groups=2),
        p.TV1D(0.8),
        p.FusedLasso(0.8, 0.375),
        p.WGSEF(2, 0.8),
        p.TreeGroupLasso(0.8, groups=TREE, weights=TREE_WEIGHTS),
    ],
    ids=repr,
)
def test_distance_is_the_limit_of_proximal_steps(penalty):
    """``|w - prox_t(w - t g)| / t`` rises to the distance as t falls."""
    for seed in range(4):
        w = penalty.prox(np.round(2 * point(seed)) / 2, 0.6)
        grad = point(seed + 30)
        distance = float(np.linalg.norm(penalty.subdiff_distance(w, grad)))
        near = float(np.linalg.norm(penalty.fixed_point_distance(w, grad, 1e-7)))
        far = float(np.linalg.norm(penalty.fixed_point_distance(w, grad, 1.0)))
        assert far <= distance * (1 + 1e-9) + 1e-9
        assert near == pytest.approx(distance, rel=1e-4, abs=1e-5)


@given(seed=st.integers(0, 1000), debias=st.floats(0.0, 1.0))
def test_debiased_envelope(seed, debias):
    """The value is that of the envelope less the quadratic."""
    w = point(seed)
    full = p.WGSEF(2, 0.7, groups=GROUPS, weights="sqrt")
    less = p.WGSEF(2, 0.7, groups=GROUPS, weights="sqrt", debias=debias)
    square = sum(np.sqrt(len(g)) * w[g] @ w[g] for g in GROUPS)
    expected = full.value(w) - 0.35 * debias * square
    assert less.value(w) == pytest.approx(expected, abs=1e-10)
    assert less.is_convex == (debias == 0.0)
    # its gradient where all groups are nonzero, by differences
    numeric = np.array(
        [
            (less.value(w + 1e-6 * e) - less.value(w - 1e-6 * e)) / 2e-6
            for e in np.eye(N)
        ]
    )
    assert less.subdiff_distance(w, -numeric).max() <= 1e-5
