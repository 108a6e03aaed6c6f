"""The protocol of penalties: prox, value, conjugate and subdifferential agree."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseopt import prox as p

STEPS = [0.3, 1.0, 2.5]


@dataclass
class Case:
    """A penalty with the shape of its coefficients."""

    penalty: Any
    shape: tuple[int, ...] = (12,)
    scale: float = 1.5
    tol: float = 1e-9
    largest_step: float = np.inf
    flat: bool = False  # the distance is 0 at many points
    coupled: bool = False  # not a sum over entries
    dual: bool = True

    def takes(self, step):
        return step < self.largest_step

    def __repr__(self):
        return f"{self.penalty!r}-{self.shape}"


LABELS = np.array([0, 1, 1, 2, 0, 2, 2, 3, 1, 3, 3, 0])
FREE = [[0, 3, 4], [5, 1], [8, 10, 11, 9]]
TREE = [range(12), [0, 3, 4, 5], [3, 4], [6, 7, 8, 9, 10], [7, 8], [10], [9]]
MATRIX = (6, 3)
WEIGHTS = np.array([1.0, 2.0, 0.5, 0.0, 1.0, 1.0, 3.0, 0.1, 1.0, 1.0, 0.7, 1.0])
ROW_WEIGHTS = np.array([1.0, 0.0, 2.0, 0.5, 1.0, 3.0])


def point(shape, seed, scale=1.5):
    """A random point, with ties and zeros for some seeds."""
    rng = np.random.default_rng(seed)
    x = scale * rng.standard_normal(shape)
    if seed % 3 == 1:
        x = np.round(x)
    return x


CONVEX = [
    Case(p.L1(0.7)),
    Case(p.L1(0.0)),
    Case(p.L1(0.7, positive=True)),
    Case(p.L1(0.7, weights=WEIGHTS)),
    Case(p.L1(0.7, weights=WEIGHTS, positive=True)),
    Case(p.L1(0.7), MATRIX),
    Case(p.L1(0.7, weights=ROW_WEIGHTS), MATRIX),
    Case(p.ElasticNet(0.9, 0.4)),
    Case(p.ElasticNet(0.9, 0.0)),
    Case(p.ElasticNet(0.9, 1.0)),
    Case(p.ElasticNet(0.9, 0.4, weights=WEIGHTS, positive=True)),
    Case(p.ElasticNet(0.9, 0.6, weights=ROW_WEIGHTS), MATRIX),
    Case(p.Ridge(1.3)),
    Case(p.Ridge(0.0), MATRIX),
    Case(p.NoPenalty()),
    Case(p.L2(1.1)),
    Case(p.L2(1.1), MATRIX),
    Case(p.L2(9.0)),
    Case(p.Linf(1.1)),
    Case(p.Linf(40.0), flat=True),
    Case(p.Linf(1.1), MATRIX),
    Case(p.GroupLasso(0.8, groups=3)),
    Case(p.GroupLasso(0.8, groups=LABELS, weights=[1.0, 2.0, 0.3, 1.0])),
    Case(p.GroupLasso(0.8, groups=FREE)),
    Case(p.GroupLasso(0.8, rows=True), MATRIX),
    Case(p.GroupLasso(0.8, groups=2, rows=True), MATRIX),
    Case(p.GroupLasso(0.8, groups=[[0, 4], [1, 2]], rows=True), MATRIX),
    Case(p.GroupLasso(0.8, groups=[[0, 4], [1, 2]]), MATRIX),
    Case(p.GroupLasso(0.8, groups=3), MATRIX),
    Case(p.SparseGroupLasso(0.8, 0.3, groups=3)),
    Case(p.SparseGroupLasso(0.8, 0.0, groups=3)),
    Case(p.SparseGroupLasso(0.8, 1.0, groups=3)),
    Case(p.SparseGroupLasso(0.8, 0.6, groups=LABELS)),
    Case(p.SparseGroupLasso(0.8, 0.6, groups=FREE, weights="size")),
    Case(p.SparseGroupLasso(0.8, 0.6, rows=True), MATRIX),
    Case(p.SparseGroupLasso(0.8, 0.6, groups=[[0, 4], [1, 2]]), MATRIX),
    Case(p.GroupLinf(0.8, groups=3)),
    Case(p.GroupLinf(0.8, groups=FREE, weights="sqrt")),
    Case(p.GroupLinf(0.8, rows=True), MATRIX),
    Case(p.Lq(0.8, 1.0)),
    Case(p.Lq(0.8, 1.5)),
    Case(p.Lq(0.8, 2.0)),
    Case(p.Box(-0.5, 1.0)),
    Case(p.Box(-np.inf, 1.0), MATRIX),
    Case(p.Box(np.linspace(-2, 0, 12), np.linspace(0, 2, 12))),
    Case(p.Box(np.linspace(-2, 0, 6), np.inf), MATRIX),
    Case(p.NonNegative()),
    Case(p.Simplex(), flat=True),
    Case(p.Simplex(5.0), MATRIX, flat=True),
    Case(p.L1Ball(2.0)),
    Case(p.L1Ball(100.0)),
    Case(p.L1Ball(2.0), MATRIX),
    Case(p.WGSEF(3, 0.7)),
    Case(p.WGSEF(1, 0.7)),
    Case(p.WGSEF(12, 0.7)),
    Case(p.WGSEF(2, 0.7, groups=LABELS, weights="sqrt")),
    Case(p.WGSEF(2, 0.7, groups=FREE)),
    Case(p.WGSEF(2, 0.7, rows=True), MATRIX),
    Case(p.WGSEF(4, 0.7, groups=2), MATRIX),
    Case(p.KSupport(1, 1.1)),
    Case(p.KSupport(3, 1.1)),
    Case(p.KSupport(3, 8.0)),
    Case(p.KSupport(5, 0.6), MATRIX),
    Case(p.BoxNorm(0.1, 1.0, 4.0, 0.7)),
    Case(p.BoxNorm(0.0, 1.0, 4.0, 0.7)),
    Case(p.BoxNorm(0.0, 2.0, 3.3, 0.7)),
    Case(p.BoxNorm(0.1, 1.0, 100.0, 0.7), MATRIX),
    Case(p.SLOPE(np.linspace(1.5, 0.2, 12))),
    Case(p.SLOPE(0.5, weights=np.linspace(3.0, 0.0, 12))),
    Case(p.SLOPE(0.5)),
    Case(p.SLOPE(np.linspace(1.5, 0.2, 18)), MATRIX),
    Case(p.TV1D(0.7)),
    Case(p.TV1D(6.0)),
    Case(p.TV1D(0.7, weights=WEIGHTS[1:])),
    Case(p.FusedLasso(0.9, 0.3)),
    Case(p.FusedLasso(0.9, 0.0)),
    Case(p.FusedLasso(0.9, 1.0)),
    Case(p.FusedLasso(3.0, 0.5)),
    Case(p.Nuclear(1.2), MATRIX),
    Case(p.Nuclear(1.2), (3, 6)),
    Case(p.TreeGroupLasso(0.5, groups=TREE)),
    Case(p.TreeGroupLasso(0.4, groups=TREE[1:], weights=None)),
    Case(p.TreeGroupLasso(0.3, groups=FREE, weights="size")),
    Case(p.TreeGroupLasso(0.5, groups=[[0, 1, 2], [1, 2], [4, 5]]), MATRIX),
    Case(p.TreeGroupLasso(0.5, groups=[[0, 1, 2], [2, 1], [4]], rows=True), MATRIX),
    Case(p.TrendFilter(0.7, 0)),
    Case(p.TrendFilter(0.7)),
    Case(p.TrendFilter(0.2, 2)),
    Case(p.TrendFilter(0.1, 3)),
    Case(p.SpectralKSupport(1, 1.2), MATRIX),
    Case(p.SpectralKSupport(2, 1.2), MATRIX),
    Case(p.SpectralKSupport(3, 1.2), (3, 6)),
    Case(p.SpectralKSupport(2, 20.0), (3, 6)),
    Case(p.SpectralBoxNorm(0.0, 1.0, 2.0, 0.7), MATRIX),
    Case(p.SpectralBoxNorm(0.1, 1.0, 1.7, 0.7), (3, 6)),
]
NONCONVEX = [
    Case(p.MCP(0.8, 3.0)),
    Case(p.MCP(0.8, 1.5), MATRIX),
    Case(p.SCAD(0.8, 3.7)),
    Case(p.SCAD(0.8, 2.1)),
    Case(p.LogSum(0.8, 0.3)),
    Case(p.LogSum(0.8, 2.0), MATRIX),
    Case(p.L0(0.8), flat=True),
    Case(p.Lq(0.8, 0.5)),
    Case(p.Lq(0.8, 2 / 3)),
    Case(p.Lq(0.8, 0.3), MATRIX),
    Case(p.L0Ball(4), coupled=True),
    Case(p.L0Ball(0), coupled=True),
    Case(p.L0Ball(5), MATRIX, coupled=True),
    Case(p.WGSEF(3, 0.7, debias=0.5), coupled=True, largest_step=2.0),
    Case(
        p.WGSEF(2, 0.7, groups=LABELS, weights="sqrt", debias=0.4),
        coupled=True,
        largest_step=1.5,
    ),
    Case(
        p.WGSEF(2, 0.7, groups=FREE, debias=0.4),
        coupled=True,
        largest_step=1.5,
    ),
]
CASES = CONVEX + NONCONVEX
DUAL = CONVEX


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("case", CASES, ids=repr)
def test_prox_is_optimal(case, step):
    """0 is in the subdifferential of the function that the prox minimises."""
    penalty = case.penalty
    for seed in range(6):
        x = point(case.shape, seed, case.scale)
        if not case.takes(step):
            continue
        w = penalty.prox(x, step)
        assert w.shape == x.shape and w.dtype == x.dtype
        distance = penalty.subdiff_distance(w, (w - x) / step)
        assert distance.ndim in (1, w.ndim)
        assert distance.max(initial=0.0) <= case.tol
        assert math.isfinite(penalty.value(w))


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_distance_sees_what_is_not_optimal(case):
    """Moved away from the prox, the distance is not zero."""
    step = 0.3
    for seed in range(4):
        x = point(case.shape, seed, case.scale)
        w = case.penalty.prox(x, step)
        nonzero = np.abs(w) > 1e-9
        if not nonzero.any() or case.flat:
            continue
        grad = (w - x) / step + 0.05 * nonzero
        assert case.penalty.subdiff_distance(w, grad).max() > 1e-3


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_prox_lowers_the_objective_most(case):
    """No other point, near or far, has a lower proximal objective."""
    rng = np.random.default_rng(5)
    penalty, step = case.penalty, 0.7
    for seed in range(4):
        x = point(case.shape, seed, case.scale)
        w = penalty.prox(x, step)

        def objective(u, x=x):
            return penalty.value(u) + 0.5 * np.vdot(u - x, u - x) / step

        best = objective(w)
        others = [x, np.zeros_like(x), penalty.prox(x, 2 * step), -x]
        others += [w + s * rng.standard_normal(x.shape) for s in (1e-3, 1e-1, 1.0)]
        others += [penalty.prox(w + rng.standard_normal(x.shape), step)]
        assert best <= min(map(objective, others)) + 1e-9 * max(1.0, abs(best))


@pytest.mark.parametrize("case", DUAL, ids=repr)
def test_fenchel_young(case):
    """P(w) + P*(v) >= <v, w>, with equality at subgradients."""
    penalty = case.penalty
    for seed in range(6):
        x = point(case.shape, seed, case.scale)
        w = penalty.prox(x, 0.8)
        v = (x - w) / 0.8
        v = v * penalty.dual_scale(v)
        total = penalty.value(w) + penalty.conjugate(v)
        assert total == pytest.approx(np.vdot(v, w), rel=1e-9, abs=1e-9)
        other = point(case.shape, seed + 50, case.scale)
        u = penalty.prox(other, 0.1)
        assert penalty.value(u) + penalty.conjugate(v) >= np.vdot(v, u) - 1e-9
        dual = other * penalty.dual_scale(other)
        assert penalty.value(w) + penalty.conjugate(dual) >= np.vdot(dual, w) - 1e-9


@pytest.mark.parametrize("case", DUAL, ids=repr)
def test_dual_scale_is_the_largest(case):
    penalty = case.penalty
    for seed in range(6):
        for size in (0.01, 1.0, 30.0):
            v = size * point(case.shape, seed, case.scale)
            scale = penalty.dual_scale(v)
            assert 0.0 <= scale <= 1.0
            assert math.isfinite(penalty.conjugate(scale * v))
            if scale < 1.0:
                more = max(scale * (1 + 1e-9), 1e-12)
                assert penalty.conjugate(more * v) == math.inf
    assert penalty.dual_scale(np.zeros(case.shape)) == 1.0
    assert penalty.conjugate(np.zeros(case.shape)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("case", DUAL, ids=repr)
def test_conjugate_is_the_supremum(case):
    """Proximal points of ever larger steps attain ``sup <v, w> - P(w)``."""
    penalty = case.penalty
    for seed in range(3):
        v = point(case.shape, seed, case.scale)
        v = 0.9 * v * penalty.dual_scale(v)
        # ascent of a concave function by the proximal point method
        w = np.zeros(case.shape)
        for _ in range(200):
            w = penalty.prox(w + 30.0 * v, 30.0)
        reached = np.vdot(v, w) - penalty.value(w)
        assert reached == pytest.approx(penalty.conjugate(v), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("case", CONVEX, ids=repr)
def test_prox_is_firmly_nonexpansive(case):
    for seed in range(5):
        x, y = (point(case.shape, seed + k, case.scale) for k in (0, 100))
        p, q = case.penalty.prox(x, 0.6), case.penalty.prox(y, 0.6)
        left = np.vdot(p - q, p - q)
        assert left <= np.vdot(p - q, x - y) + 1e-10 * (1 + left)


@pytest.mark.parametrize("case", NONCONVEX, ids=repr)
def test_prox_of_each_entry_by_brute_force(case):
    """The proximal objective is no higher than on a fine grid."""
    if case.coupled:
        pytest.skip("not a sum over entries")
    grid = np.linspace(-6, 6, 24001)[:, None]
    x = np.linspace(-5.5, 5.5, 23)
    values = np.array([case.penalty.value(np.array([g])) for g in grid[:, 0]])
    for step in STEPS:
        w = case.penalty.prox(x, step)
        best = (values[:, None] + (grid - x) ** 2 / (2 * step)).min(axis=0)
        own = [case.penalty.value(np.array([u])) for u in w]
        assert np.all(own + (w - x) ** 2 / (2 * step) <= best + 1e-9)


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_float32(case):
    x = point(case.shape, 3, case.scale)
    single = x.astype(np.float32)
    w = case.penalty.prox(single, 0.5)
    assert w.dtype == np.float32
    exact = case.penalty.prox(single.astype(np.float64), 0.5)
    np.testing.assert_allclose(w, exact, atol=2e-5)
    value = case.penalty.value(w)
    assert isinstance(value, float)
    assert value == pytest.approx(case.penalty.value(exact), rel=1e-4, abs=1e-4)
    assert case.penalty.subdiff_distance(w, (w - single) / 0.5).dtype == np.float64


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_inputs_are_kept_and_out_is_used(case, layout):
    x = layout(point(case.shape, 1, case.scale))
    before = x.copy()
    expected = case.penalty.prox(before.copy(), 0.5)
    np.testing.assert_allclose(case.penalty.prox(x, 0.5), expected, atol=1e-12)
    out = np.empty(case.shape)
    assert case.penalty.prox(x, 0.5, out) is out
    np.testing.assert_allclose(out, expected, atol=1e-12)
    case.penalty.value(x)
    case.penalty.subdiff_distance(x, x)
    np.testing.assert_array_equal(x, before)
    own = before.copy()
    assert case.penalty.prox(own, 0.5, own) is own
    np.testing.assert_allclose(own, expected, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_integers_become_floats(case):
    x = np.round(point(case.shape, 1, case.scale)).astype(np.int64)
    w = case.penalty.prox(x, 0.5)
    np.testing.assert_array_equal(w, case.penalty.prox(x.astype(float), 0.5))
    assert w.dtype == np.float64
    assert case.penalty.value(x) == case.penalty.value(x.astype(float))
    distance = case.penalty.subdiff_distance(x, x)
    floats = x.astype(float)
    np.testing.assert_array_equal(
        distance, case.penalty.subdiff_distance(floats, floats)
    )


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_nan_ends(case):
    x = point(case.shape, 1, case.scale)
    x.flat[2] = np.nan
    assert np.isnan(case.penalty.prox(x, 0.5)).any()


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.penalty.sign_invariant], ids=repr
)
@settings(max_examples=10)
@given(seed=st.integers(0, 1000))
def test_sign_invariance(case, seed):
    x = point(case.shape, seed, case.scale)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=case.shape)
    penalty = case.penalty
    assert penalty.value(x * signs) == pytest.approx(penalty.value(x))
    np.testing.assert_allclose(
        penalty.prox(x * signs, 0.5), signs * penalty.prox(x, 0.5), atol=1e-12
    )


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_critical_lam(case):
    """At that strength 0 is stationary, below it is not."""
    penalty = case.penalty
    for seed in range(4):
        grad = point(case.shape, seed, case.scale)
        zero = np.zeros(case.shape)
        lam = penalty.critical_lam(grad)
        assert lam >= 0.0
        if not hasattr(penalty, "lam"):
            with pytest.raises(NotImplementedError, match="no strength"):
                penalty.with_lam(1.0)
            continue
        other = penalty.with_lam(0.25)
        assert other.lam == 0.25 and other is not penalty
        if lam == math.inf:
            stronger = penalty.with_lam(1e6)
            assert stronger.subdiff_distance(zero, grad).max() > 1e-6
        elif lam > 0.0:
            at = penalty.with_lam(lam)
            assert at.subdiff_distance(zero, grad).max() <= 1e-8 * lam
            below = penalty.with_lam(0.99 * lam)
            assert below.subdiff_distance(zero, grad).max() > 0.0
        else:
            tiny = penalty.with_lam(1e-9)
            assert tiny.subdiff_distance(zero, grad).max() == 0.0


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_coordinate_form(case):
    """The form for coordinate descent describes the same function."""
    penalty = case.penalty
    n = math.prod(case.shape)
    form = penalty.coordinate(n)
    if form is None:
        return
    x = point(case.shape, 2, case.scale).reshape(-1)
    weights = np.ones(n) if form.weights is None else form.weights
    assert weights.shape == (n,)
    terms = ENTRY[form.kind](np.abs(x) if form.kind != "box" else x, form)
    value = float(weights @ terms)
    if form.positive and (x < 0).any():
        value = math.inf
    assert penalty.value(x.reshape(case.shape)) == pytest.approx(value)


def _scad(r, form):
    lam, gamma = form.lam, form.params[0]
    middle = (2 * gamma * lam * r - r**2 - lam**2) / (2 * (gamma - 1))
    high = lam**2 * (gamma + 1) / 2
    return np.where(r <= lam, lam * r, np.where(r <= gamma * lam, middle, high))


def _mcp(r, form):
    lam, gamma = form.lam, form.params[0]
    return np.where(r <= gamma * lam, lam * r - r**2 / (2 * gamma), gamma * lam**2 / 2)


def _net(r, form):
    share = form.params[0]
    return form.lam * (share * r + (1 - share) * r**2 / 2)


def _box(x, form):
    return np.where((x < form.params[0]) | (x > form.params[1]), np.inf, 0.0)


ENTRY = {
    "l1": lambda r, form: form.lam * r,
    "elastic_net": _net,
    "mcp": _mcp,
    "scad": _scad,
    "log_sum": lambda r, form: form.lam * np.log(1 + r / form.params[0]),
    "l_half": lambda r, form: form.lam * np.sqrt(r),
    "l_two_thirds": lambda r, form: form.lam * r ** (2 / 3),
    "l0": lambda r, form: form.lam * (r != 0),
    "box": _box,
    "none": lambda r, form: 0.0 * r,
}
