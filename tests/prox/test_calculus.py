"""Penalties made from others, and sums with an exact proximal operator."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from sparseopt import prox as p

N = 8
Q = np.linalg.qr(np.random.default_rng(3).standard_normal((N, N)))[0]
GROUPS = [[0, 3], [1, 2, 7], [4, 5, 6]]

CONVEX = [
    p.Translated(p.L1(0.6), np.linspace(-1, 1, N)),
    p.Translated(p.GroupLasso(0.6, groups=GROUPS), np.linspace(-1, 1, N)),
    p.Scaled(p.L1(0.6), factor=2.0),
    p.Scaled(p.ElasticNet(0.6), factor=0.5, scale=3.0),
    p.Scaled(p.Box(-1.0, 2.0), factor=0.5, scale=3.0),
    p.MoreauConjugate(p.L1(0.6)),
    p.MoreauConjugate(p.ElasticNet(0.6)),
    p.MoreauConjugate(p.WGSEF(3, 0.6)),
    p.MoreauEnvelope(p.L1(0.6), mu=0.7),
    p.MoreauEnvelope(p.Box(-0.5, 0.5), mu=0.7),
    p.SeparableSum([p.L1(0.6), p.L2(0.9), p.NonNegative()], [3, 3, 2]),
    p.SeparableSum([p.L1(0.6), p.Ridge(0.9)], [slice(0, N, 2), [7, 5, 3, 1]]),
    p.Orthonormal(p.L1(0.6), Q),
    p.Orthonormal(p.L1(0.6), Q[:3]),
    p.Orthonormal(p.GroupLasso(0.6, groups=[[0, 2], [1, 3, 4]]), Q[:5]),
    p.GroupLasso(0.6, groups=GROUPS) + p.Ridge(0.4),
    p.WGSEF(3, 0.6) + p.Ridge(0.4),
    p.TV1D(0.6) + p.Ridge(0.4),
    p.NonNegative() + p.Ridge(0.4),
    p.GroupLasso(0.6, groups=GROUPS) + p.NonNegative(),
    p.SparseGroupLasso(0.6, groups=2) + p.NonNegative(),
    p.WGSEF(3, 0.6) + p.NonNegative(),
    p.SLOPE(np.linspace(1, 0.2, N)) + p.NonNegative(),
    p.Linf(0.6) + p.NonNegative(),
    p.L2(0.6) + p.NonNegative(),
]
NONCONVEX = [
    p.Translated(p.MCP(0.6), np.linspace(-1, 1, N)),
    p.Scaled(p.SCAD(0.6), factor=0.5, scale=2.0),
    p.MoreauEnvelope(p.L0(0.6), mu=0.7),
    p.MCP(0.6) + p.NonNegative(),
    p.LogSum(0.6, 0.4) + p.NonNegative(),
    p.MCP(0.6) + p.Ridge(0.4),
]
COMPOSED = [
    p.L1(0.6) + p.Box(-0.5, 1.0),
    p.ElasticNet(0.6) + p.Box(np.full(N, 0.2), np.full(N, 1.5)),
    p.TV1D(0.6) + p.Box(-0.5, 1.0),
    p.TV1D(0.6) + p.L1(0.3, positive=True),
    p.TV1D(0.6, weights=np.linspace(0, 1, N - 1)) + p.L1(0.3),
    p.FusedLasso(0.6) + p.NonNegative(),
]
ALL = CONVEX + NONCONVEX + COMPOSED


def point(seed, scale=1.5):
    return scale * np.random.default_rng(seed).standard_normal(N)


@pytest.mark.parametrize("penalty", ALL, ids=repr)
@pytest.mark.parametrize("step", [0.4, 1.7])
def test_prox_has_the_lowest_objective(penalty, step):
    rng = np.random.default_rng(1)
    for seed in range(4):
        x = point(seed)
        w = penalty.prox(x, step)

        def objective(u, x=x):
            return penalty.value(u) + np.vdot(u - x, u - x) / (2 * step)

        best = objective(w)
        assert math.isfinite(best)
        others = [w + s * rng.standard_normal(N) for s in (1e-4, 1e-2, 1.0) * 4]
        others += [penalty.prox(w + rng.standard_normal(N), step) for _ in range(4)]
        others += [x, penalty.prox(x, 0.1 * step), w * (1 + 1e-4), w * (1 - 1e-4)]
        assert best <= min(map(objective, others)) + 1e-10


@pytest.mark.parametrize("penalty", CONVEX + NONCONVEX, ids=repr)
def test_distance_is_zero_at_the_prox(penalty):
    for seed in range(5):
        x = point(seed)
        w = penalty.prox(x, 0.8)
        distance = penalty.subdiff_distance(w, (w - x) / 0.8)
        if isinstance(penalty, p.MoreauConjugate):
            continue  # a fixed-point distance: zero at minimisers only
        assert distance.max() <= 1e-9
        moved = penalty.subdiff_distance(w, (w - x) / 0.8 + 0.1 * (np.abs(w) > 1e-9))
        assert not np.any(w) or moved.max() > 1e-3


@pytest.mark.parametrize("penalty", CONVEX, ids=repr)
def test_fenchel_young(penalty):
    for seed in range(5):
        x = point(seed)
        w = penalty.prox(x, 0.8)
        v = (x - w) / 0.8
        scale = penalty.dual_scale(v)
        assert scale == pytest.approx(1.0, abs=1e-9)
        v = scale * v
        total = penalty.value(w) + penalty.conjugate(v)
        assert total == pytest.approx(np.vdot(v, w), rel=1e-8, abs=1e-8)
        y = point(seed + 20)
        y = y * penalty.dual_scale(y)
        assert math.isfinite(penalty.conjugate(y))
        assert penalty.value(w) + penalty.conjugate(y) >= np.vdot(y, w) - 1e-9


@pytest.mark.parametrize("penalty", CONVEX + COMPOSED, ids=repr)
@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_moreau_identity_and_firmness(penalty, seed):
    x, y = point(seed), point(seed + 1)
    a, b = penalty.prox(x, 0.5), penalty.prox(y, 0.5)
    assert np.vdot(a - b, a - b) <= np.vdot(a - b, x - y) + 1e-10
    dual = p.MoreauConjugate(penalty)
    rest = 0.5 * dual.prox(x / 0.5, 1 / 0.5)
    np.testing.assert_allclose(a + rest, x, atol=1e-12)


@pytest.mark.parametrize("penalty", ALL, ids=repr)
def test_types_and_output(penalty):
    x = point(4)
    expected = penalty.prox(x, 0.5)
    out = np.empty(N)
    assert penalty.prox(x, 0.5, out) is out
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(x, point(4))
    single = penalty.prox(x.astype(np.float32), 0.5)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, atol=1e-5)
    assert repr(penalty).startswith(type(penalty).__name__)
    whole = np.round(x).astype(np.int64)
    floats = penalty.prox(whole.astype(float), 0.5)
    np.testing.assert_array_equal(penalty.prox(whole, 0.5), floats)


@pytest.mark.parametrize("inner", [p.L1(0.6), p.GroupLasso(0.6, groups=GROUPS)])
def test_envelope_gradient(inner):
    smooth = p.MoreauEnvelope(inner, mu=0.5)
    x = point(2)
    numeric = [
        (smooth.value(x + 1e-6 * e) - smooth.value(x - 1e-6 * e)) / 2e-6
        for e in np.eye(N)
    ]
    np.testing.assert_allclose(smooth.gradient(x), numeric, atol=1e-7)
    assert smooth.value(x) <= inner.value(x)


def test_envelope_of_l1_is_huber():
    x = np.linspace(-3, 3, 61)
    huber = np.where(np.abs(x) <= 1, x**2 / 2, np.abs(x) - 0.5)
    smooth = p.MoreauEnvelope(p.L1(1.0), mu=1.0)
    np.testing.assert_allclose([smooth.value(np.array([t])) for t in x], huber)


def test_conjugate_of_the_conjugate():
    penalty = p.ElasticNet(0.7, 0.4)
    twice = p.MoreauConjugate(p.MoreauConjugate(penalty))
    x = point(1)
    np.testing.assert_allclose(twice.prox(x, 0.3), penalty.prox(x, 0.3), atol=1e-14)
    assert twice.value(x) == penalty.value(x)
    assert twice.conjugate(x) == penalty.conjugate(x)


def test_scaled_box_has_dual_scale_of_its_domain():
    dual = p.MoreauConjugate(p.Box(-2.0, 1.0))
    assert dual.dual_scale(np.array([4.0, 0.0])) == pytest.approx(0.25)


# ------------------------------------------------------------------------------- sums


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (p.L1(1.0), p.Ridge(3.0), "ElasticNet(lam=4.0, l1_ratio=0.25)"),
        (p.ElasticNet(2.0, 0.5), p.L1(2.0), "ElasticNet(lam=4.0, l1_ratio=0.75)"),
        (p.ElasticNet(2.0), p.Ridge(2.0), "ElasticNet(lam=4.0, l1_ratio=0.25)"),
        (p.ElasticNet(2.0), p.ElasticNet(2.0), "ElasticNet(lam=4.0)"),
        (p.L1(1.0), p.L1(2.0), "L1(lam=3.0)"),
        (p.Ridge(1.0), p.Ridge(2.0), "Ridge(lam=3.0)"),
        (p.TV1D(1.0), p.TV1D(2.0), "TV1D(lam=3.0)"),
        (p.L0(1.0), p.L0(2.0), "L0(lam=3.0)"),
        (p.LogSum(1.0, 0.2), p.LogSum(2.0, 0.2), "LogSum(lam=3.0, eps=0.2)"),
        (p.L1(1.0), p.NonNegative(), "L1(lam=1.0, positive=True)"),
        (p.L1(1.0), p.NoPenalty(), "L1(lam=1.0)"),
        (p.TV1D(1.0), p.L1(3.0), "FusedLasso(lam=4.0, l1_ratio=0.75)"),
        (p.FusedLasso(2.0, 0.5), p.L1(2.0), "FusedLasso(lam=4.0, l1_ratio=0.75)"),
        (
            p.GroupLasso(1.0, groups=2),
            p.L1(3.0),
            "SparseGroupLasso(lam=4.0, l1_ratio=0.75, groups=2)",
        ),
        (
            p.SparseGroupLasso(2.0, 0.5, groups=2),
            p.L1(2.0),
            "SparseGroupLasso(lam=4.0, l1_ratio=0.75, groups=2)",
        ),
        (
            p.GroupLasso(1.0, groups=[[0, 1], [2]]),
            p.GroupLasso(2.0, groups=[[0, 1], [2]]),
            "GroupLasso(lam=3.0, groups=[[0, 1], [2]])",
        ),
        (p.Box(-1.0, 2.0), p.Box(0.0, 3.0), "Box(lower=0.0, upper=2.0)"),
        (p.Box(-1.0), p.NonNegative(), "NonNegative()"),
        (p.Simplex(), p.NonNegative(), "Simplex()"),
        (p.L2(1.0), p.Ridge(2.0), "PlusRidge(penalty=L2(lam=1.0), ridge=2.0)"),
    ],
)
def test_sums(first, second, expected):
    total = first + second
    assert repr(total) == expected
    assert repr(second + first) == expected
    for seed in range(5):
        x = np.abs(point(seed)) if "Box" in expected else point(seed)
        value = first.value(x) + second.value(x)
        assert total.value(x) == pytest.approx(value)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (p.L1(1.0), p.SLOPE(np.linspace(1, 0, N))),
        (p.TV1D(1.0), p.GroupLasso(1.0, groups=2)),
        (p.GroupLasso(1.0, groups=2), p.GroupLasso(1.0, groups=4)),
        (p.GroupLasso(1.0, groups=[[0, 1]]), p.L1(1.0)),  # others would be free
        (p.Simplex(), p.L1Ball(0.5)),
        (p.MCP(1.0), p.L1(1.0)),
        (p.WGSEF(2), p.L1(1.0)),
        (p.Translated(p.L1(), np.ones(N)), p.L1(1.0)),
        (p.SLOPE(1.0), p.Box(-1.0, 2.0)),
    ],
)
def test_sums_without_prox(first, second):
    with pytest.raises(NotImplementedError) as error:
        first + second
    message = str(error.value)
    assert repr(first) in message and repr(second) in message
    assert "'admm'" in message and "'pdhg'" in message


def test_sum_with_something_else():
    with pytest.raises(TypeError):
        p.L1(1.0) + 3
    with pytest.raises(TypeError):
        p.L1(1.0) * "a"


def test_weighted_l1_sum():
    weights = np.linspace(0, 1, N)
    total = p.L1(2.0, weights=weights) + p.L1(1.0)
    x = point(0)
    assert total.value(x) == pytest.approx(np.abs(x) @ (2 * weights + 1))


def test_multiples():
    x = point(3)
    assert (3 * p.MCP(1.0)).value(x) == pytest.approx(3 * p.MCP(1.0).value(x))
    form = (3 * p.L1(0.5)).coordinate(N)
    assert form.lam == 1.5 and form.kind == "l1"
    assert (3 * p.MCP(1.0)).coordinate(N) is None
    assert (3 * p.L1(1.0)).with_lam(2.0).value(x) == pytest.approx(6 * np.abs(x).sum())
    assert (3 * p.L1(1.0)).critical_lam(x) == pytest.approx(np.abs(x).max() / 3)


# -------------------------------------------------------- averages and intersections


def test_proximal_average():
    parts = [p.L1(1.0), p.GroupLasso(1.0, groups=2), p.TV1D(1.0)]
    average = p.ProximalAverage(parts, [1.0, 2.0, 1.0], step=0.5)
    x = point(1)
    expected = sum(
        w * part.prox(x, 0.5) for w, part in zip([0.25, 0.5, 0.25], parts, strict=True)
    )
    np.testing.assert_allclose(average.prox(x, 0.5), expected)
    # the prox is the gradient step of the envelope
    numeric = [
        (average.envelope(x + 1e-6 * e) - average.envelope(x - 1e-6 * e)) / 2e-6
        for e in np.eye(N)
    ]
    np.testing.assert_allclose((x - expected) / 0.5, numeric, atol=1e-7)
    with pytest.raises(ValueError, match="must be that of the average"):
        average.prox(x, 1.0)
    with pytest.raises(NotImplementedError):
        average.value(x)


def test_intersection_against_closed_form():
    both = p.Intersection([p.Box(-np.inf, 0.4), p.Simplex()])
    for seed in range(5):
        x = point(seed)
        w = both.prox(x)
        exact = p.project_capped_simplex(x, 1.0, upper=0.4)
        np.testing.assert_allclose(w, exact, atol=1e-9)
        assert both.value(w) == 0.0
        assert both.value(x) == math.inf
    assert np.isnan(both.prox(np.full(3, np.nan))).all()
    assert both.prox(x.astype(np.float32)).dtype == np.float32


def test_sets_by_projection():
    half = p.ConvexSet(lambda w: p.project_halfspace(w, np.ones(N), 1.0))
    both = p.Intersection([half, p.Box(0.0, math.inf)])
    for seed in range(5):
        x = np.abs(point(seed))  # the bound on the sum is met
        np.testing.assert_allclose(both.prox(x), p.project_simplex(x), atol=1e-9)
        assert half.value(both.prox(x)) == 0.0
        assert half.value(x) == math.inf
    with pytest.raises(TypeError, match="'projection' parameter"):
        p.ConvexSet(3)


def test_empty_intersection_warns():
    apart = p.Intersection([p.Box(2.0, 3.0), p.L1Ball(1.0)], max_iter=50)
    with pytest.warns(ConvergenceWarning, match="common point"):
        apart.prox(point(0))


# --------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: p.Translated(3, [1.0]), TypeError, "'penalty' parameter"),
        (lambda: p.Translated(p.L1(), [np.nan]), ValueError, "'shift' array"),
        (lambda: p.Translated(p.L1(), [1j]), ValueError, "must be real"),
        (lambda: p.Scaled(p.L1(), factor=0.0), ValueError, "'factor' parameter"),
        (lambda: p.Scaled(p.L1(), scale=-1.0), ValueError, "'scale' parameter"),
        (lambda: -1.0 * p.L1(), ValueError, "'factor' parameter"),
        (lambda: p.MoreauConjugate(p.MCP()), ValueError, "must be convex"),
        (lambda: p.MoreauEnvelope(p.L1(), mu=0.0), ValueError, "'mu' parameter"),
        (lambda: p.SeparableSum([p.L1()], [1, 2]), ValueError, "one entry for each"),
        (lambda: p.SeparableSum([3], [1]), TypeError, "'penalties' parameter"),
        (lambda: p.Orthonormal(p.L1(), np.ones((2, 2))), ValueError, "orthonormal"),
        (lambda: p.ProximalAverage([]), ValueError, "must not be empty"),
        (lambda: p.ProximalAverage([p.MCP()]), ValueError, "convex"),
        (lambda: p.ProximalAverage([p.L1()], [0.0]), ValueError, "positive sum"),
        (lambda: p.Intersection([p.L1()]), ValueError, "indicators"),
        (lambda: p.Intersection([p.L0Ball(2)]), ValueError, "convex"),
        (lambda: p.Intersection([p.Simplex()], tol=0.0), ValueError, "'tol'"),
        (lambda: p.Box(0.0, 1.0) + p.Box(2.0, 3.0), ValueError, "'lower'"),
        (lambda: p.Positive(p.TV1D()), ValueError, "magnitudes"),
        (lambda: p.PlusRidge(p.L1(), 0.0), ValueError, "'ridge' parameter"),
    ],
)
def test_bad_input(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize("blocks", [[2, 2], [[0, 1], [1, 2]], [[0], [9]]])
def test_blocks_cover_each_entry_once(blocks):
    total = p.SeparableSum([p.L1(), p.L1()], blocks)
    with pytest.raises(ValueError, match="'blocks' parameter"):
        total.value(np.ones(3))
