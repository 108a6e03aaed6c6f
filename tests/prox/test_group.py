"""Operators of groups against their optimality conditions and brute force."""

import numpy as np
import pytest

from sparseopt import prox
from sparseopt.prox import _map_kernels as kernels

GROUPS = {
    "blocks": 5,
    "one": 30,
    "singletons": None,
    "lists": [[0, 7, 3], [1], list(range(10, 29))],
    "labels": np.repeat([2, 0, -1, 5, 9], 6),
}


def group_lists(groups, n=30):
    return prox.Groups.of(groups, n).lists()


def level_of(weights, indices, j):
    return {"sqrt": np.sqrt(len(indices)), "size": len(indices), None: 1.0}.get(
        weights if isinstance(weights, str | None) else "", None
    ) or weights[j]


def shrink(v, t):
    norm = np.linalg.norm(v)
    return np.zeros_like(v) if norm <= t else (1 - t / norm) * v


def clip_to_sum(v, t):
    """Prox of t max|v| by sorting: the level at which the cut parts sum to t."""
    m = np.sort(np.abs(v))[::-1]
    if t == 0 or m.sum() <= t:
        return np.where(t == 0, v, 0.0)
    levels = (np.cumsum(m) - t) / np.arange(1, m.size + 1)
    level = levels[np.flatnonzero(m > levels)[-1]]
    return np.clip(v, -level, level)


@pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize("weights", [None, "sqrt", "size", "array"])
def test_twins(groups, weights, dtype, rng):
    x = (3 * rng.standard_normal(30)).astype(dtype)
    lists = group_lists(groups)
    if weights == "array":
        weights = rng.uniform(0.2, 2, len(lists))
    tol = 20 * np.finfo(dtype).eps
    plain, sparse, clipped = (x.astype(np.float64) for _ in range(3))
    for j, indices in enumerate(lists):
        d = level_of(weights, indices, j)
        v = x[indices].astype(np.float64)
        soft = np.sign(v) * np.maximum(np.abs(v) - 0.9 * 0.3, 0)
        plain[indices] = shrink(v, 0.9 * d)
        sparse[indices] = shrink(soft, 0.9 * 0.7 * d)
        clipped[indices] = clip_to_sum(v, 0.9 * d)
    options = {"groups": groups, "weights": weights}
    for found, wanted in (
        (prox.prox_group_lasso(x, 0.9, **options), plain),
        (prox.prox_sparse_group_lasso(x, 0.9, 0.3, **options), sparse),
        (prox.prox_group_linf(x, 0.9, **options), clipped),
    ):
        assert found.dtype == dtype
        assert np.allclose(found, wanted, rtol=tol, atol=4 * tol)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_instruction_sets(level, dtype, rng):
    x = rng.standard_normal(4001).astype(dtype)
    kernels.set_simd_level(level)
    try:
        found = prox.prox_l2(x, 3.0), prox.prox_linf(x, 40.0)
        ball = prox.project_l2_ball(x, 3.0)
    finally:
        kernels.set_simd_level(2)
    wide = x.astype(np.float64)
    tol = 20 * np.finfo(dtype).eps
    assert np.allclose(found[0], shrink(wide, 3.0), rtol=tol)
    assert np.allclose(found[1], clip_to_sum(wide, 40.0), rtol=tol)
    assert np.allclose(ball, wide * 3 / np.linalg.norm(wide), rtol=tol)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 1000, 20_000])
@pytest.mark.parametrize("kind", ["normal", "heavy", "sorted", "constant", "powers"])
def test_linf_levels(n, kind, rng):
    """The level for data that Newton steps alone would take long for."""
    x = {
        "normal": rng.standard_normal(n),
        "heavy": rng.standard_cauchy(n),
        "sorted": np.arange(n, dtype=float),
        "constant": np.full(n, -2.0),
        "powers": 2.0 ** -np.arange(n).clip(max=900),
    }[kind]
    total = np.abs(x).sum()
    for lam in (0.0, 1e-9 * total, 0.1 * total, 0.999 * total, total, 2 * total):
        found = prox.prox_linf(x, lam)
        wanted = clip_to_sum(x, lam)
        assert np.allclose(found, wanted, rtol=1e-11, atol=1e-12 * np.abs(x).max())
    assert (prox.prox_linf(x, 0.0) == x).all()


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2])
def test_axis(axis, dtype, rng):
    x = rng.standard_normal((3, 4, 5)).astype(dtype)
    for operator in (prox.prox_l2, prox.prox_linf, prox.project_l2_ball):
        found = operator(x, 0.6, axis=axis)
        for index in np.ndindex(*np.delete(x.shape, axis)):
            place = list(index)
            place.insert(axis % 3, slice(None))
            assert np.allclose(found[tuple(place)], operator(x[tuple(place)], 0.6))
        out = np.empty((5, 4, 3), dtype=dtype).T
        assert operator(x, 0.6, axis=axis, out=out) is out
        assert (out == found).all()
        same = x.copy()
        assert (operator(same, 0.6, axis=axis, out=same) == found).all()
    with pytest.raises(ValueError, match=r"'axis' .* in \[-3, 2\]"):
        prox.prox_l2(x, axis=3)


@pytest.mark.parametrize("scale", [1e-200, 1e-150, 1e150, 1e200])
def test_extreme_scales(scale, rng):
    x = rng.standard_normal(30)
    for operator in (prox.prox_l2, prox.prox_linf, prox.project_l2_ball):
        scaled = operator(scale * x, 1.2 * scale)
        assert np.allclose(scaled / scale, operator(x, 1.2), rtol=1e-13)
    scaled = prox.prox_sparse_group_lasso(scale * x, scale, 0.3, groups=3)
    assert np.allclose(
        scaled / scale, prox.prox_sparse_group_lasso(x, groups=3, l1_ratio=0.3)
    )


def test_moreau_identity(rng):
    x = rng.standard_normal(40)
    assert np.allclose(prox.prox_l2(x, 1.5) + prox.project_l2_ball(x, 1.5), x)


def test_group_minimum(rng):
    """cvxpy finds nothing better."""
    cp = pytest.importorskip("cvxpy")
    x = 2 * rng.standard_normal(12)
    w = cp.Variable(12)
    fit = cp.sum_squares(w - x) / 2
    blocks = [w[3 * j : 3 * j + 3] for j in range(4)]
    tree = sum(map(cp.norm, blocks)) + cp.norm1(w) + cp.norm(w)
    for found, penalty in (
        (prox.prox_tree(x, 0.5, levels=[None, 3, 12]), 0.5 * tree),
        (
            prox.prox_group_linf(x, 0.8, groups=3),
            0.8 * sum(cp.norm_inf(b) for b in blocks),
        ),
        (
            prox.prox_sparse_group_lasso(x, 0.8, 0.4, groups=3),
            0.8 * (0.4 * cp.norm1(w) + 0.6 * sum(map(cp.norm, blocks))),
        ),
    ):
        cp.Problem(cp.Minimize(fit + penalty)).solve(solver="CLARABEL")
        assert np.abs(found - w.value).max() <= 1e-4


def test_tree(rng):
    x = rng.standard_normal(8)
    found = prox.prox_tree(x, 0.2, levels=[[[0, 1], [4]], 4], weights=["sqrt", [1, 2]])
    step = prox.prox_group_lasso(x, 0.2, groups=[[0, 1], [4]], weights="sqrt")
    assert (found == prox.prox_group_lasso(step, 0.2, groups=4, weights=[1, 2])).all()
    assert (prox.prox_tree(x, 1.0, levels=[]) == x).all()
    out = np.empty(16)[::2]
    assert prox.prox_tree(x, 0.2, levels=[4], out=out) is out
    with pytest.raises(ValueError, match="group 1 of level 0, which is not inside"):
        prox.prox_tree(x, levels=[[[0, 1], [3, 4]], 4])
    with pytest.raises(ValueError, match="'weights'"):
        prox.prox_tree(x, levels=[4], weights=[])


def test_not_finite():
    x = np.ones(6)
    x[2] = np.nan
    for operator in (
        lambda **k: prox.prox_group_lasso(x, 0.1, groups=3, **k),
        lambda **k: prox.prox_group_linf(x, 0.1, groups=3, **k),
        lambda **k: prox.prox_group_lasso(x, 0.1, groups=[[0, 1, 2]], **k),
    ):
        with pytest.raises(ValueError, match="Got nan at index 2"):
            operator()
        with pytest.raises(ValueError, match="Got nan at index 2"):
            operator(out=x)
        found = operator(check_finite=False)
        assert np.isnan(found).tolist() == [True] * 3 + [False] * 3
    assert np.isnan(prox.prox_linf(x, 1.0, check_finite=False)).all()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: prox.prox_group_lasso(x, groups=4), ValueError, "divisor"),
        (lambda x: prox.prox_group_lasso(x, groups=[[0, 0]]), ValueError, "disjoint"),
        (
            lambda x: prox.prox_group_lasso(x, groups=3, weights=[1.0, 0.0]),
            ValueError,
            "positive",
        ),
        (lambda x: prox.prox_group_linf(x, -1.0), ValueError, "'lam'"),
        (lambda x: prox.prox_sparse_group_lasso(x, 1.0, 2), ValueError, "'l1_ratio'"),
        (lambda x: prox.prox_l2(x, axis=0.0), TypeError, "'axis'"),
    ],
)
def test_bad_input(call, error, text):
    with pytest.raises(error, match=text):
        call(np.ones(6))


def test_array_libraries(xp, rng):
    x = rng.standard_normal((4, 6))
    foreign = xp.asarray(x)
    for operator in (
        lambda v: prox.prox_l2(v, 0.7),
        lambda v: prox.prox_l2(v, 0.7, axis=1),
        lambda v: prox.project_l2_ball(v, 0.7, axis=0),
        lambda v: prox.prox_group_lasso(v, 0.7, groups=3, weights="sqrt"),
        lambda v: prox.prox_sparse_group_lasso(v, 0.7, groups=3),
    ):
        found = operator(foreign)
        assert type(found) is type(foreign)
        assert np.allclose(np.asarray(found), operator(x), rtol=1e-12, atol=1e-14)
    if xp is not np:
        with pytest.raises(ValueError, match="block size for arrays of"):
            prox.prox_group_lasso(foreign, groups=[[0, 1]])


def test_empty():
    for shape in ((0,), (0, 3), (3, 0)):
        x = np.empty(shape)
        assert prox.prox_group_lasso(x, groups=2).shape == shape
        assert prox.prox_l2(x, axis=0).shape == shape
        assert prox.prox_linf(x).shape == shape
        assert prox.prox_tree(x, levels=[2]).shape == shape
