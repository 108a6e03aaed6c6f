"""Projections: in the set, and the variational inequality of nearest points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseopt import prox


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_balls_planes_and_cones(scale, rng):
    for _ in range(20):
        x = scale * 2 * rng.standard_normal(7)
        a = rng.standard_normal(7) / scale
        b = rng.standard_normal()
        w = prox.project_halfspace(x, a, b)
        excess = a @ x - b
        tol = 1e-13 * (abs(a) @ abs(x) + abs(b))
        assert abs(a @ w - min(b, a @ x)) <= tol
        if excess <= 0:
            assert (w == x).all()
        w = prox.project_hyperplane(x, a, b)
        assert abs(a @ w - b) <= tol
        step = (x - w) / scale
        unit = a * scale
        assert np.allclose(step, unit * (step @ unit) / (unit @ unit), atol=1e-12)
        w = prox.project_soc(x)
        dual = w - x
        assert np.linalg.norm(w[1:] / scale) <= w[0] / scale * (1 + 1e-14)
        assert np.linalg.norm(dual[1:] / scale) <= dual[0] / scale + 1e-13
        assert abs((w / scale) @ (dual / scale)) <= 1e-12


def test_soc_cases(dtype):
    soc = prox.project_soc
    assert soc(np.array([5, 3, 4], dtype)).tolist() == [5, 3, 4]
    assert soc(np.array([-5, 3, 4], dtype)).tolist() == [0, 0, 0]
    assert soc(np.array([0, 3, 4], dtype)).dtype == dtype
    assert soc(np.array([-1.0])).tolist() == [0]
    assert soc(np.array([1.0])).tolist() == [1]
    x = np.array([[0.0, 1.0, -9.0], [3.0, 0.0, 1.0], [4.0, 0.0, 1.0]])
    columns = [soc(column) for column in x.T]
    assert np.allclose(soc(x, axis=0), np.transpose(columns))
    assert np.isnan(soc([np.nan, 1.0], check_finite=False)).all()


def test_box(rng, layout):
    x = layout(rng.standard_normal((6, 4)))
    low, high = -rng.uniform(0, 1, (6, 4)), rng.uniform(0, 1, (6, 4))
    assert (prox.project_box(x, low, high) == np.clip(x, low, high)).all()
    assert (prox.project_box(x, 0, np.inf) == np.maximum(x, 0)).all()
    assert (prox.project_linf_ball(x, 0.3) == np.clip(x, -0.3, 0.3)).all()
    assert prox.project_box(x.astype(np.float32), low, high).dtype == np.float32
    with pytest.raises(ValueError, match=r"Got 2.0 and 1.0 at index 0"):
        prox.project_box(x, 2.0, 1.0)
    with pytest.raises(ValueError, match="at index 3"):
        prox.project_box(x, np.where(np.arange(24) == 3, 9, low.ravel()).reshape(6, 4))
    with pytest.raises(ValueError, match="neither may be NaN"):
        prox.project_box(x, np.nan)
    with pytest.raises(ValueError, match="shape"):
        prox.project_box(x, np.zeros(4))


@given(st.lists(st.integers(-3, 3), max_size=12), st.integers(0, 13))
def test_l0_ball(values, k):
    x = np.array(values, dtype=float)
    w = prox.project_l0_ball(x, k)
    order = sorted(range(x.size), key=lambda i: (-abs(x[i]), i))[:k]
    wanted = np.zeros_like(x)
    wanted[order] = x[order]
    assert (w == wanted).all()


def test_l0_ball_details(dtype, rng):
    x = rng.standard_normal((4, 6)).astype(dtype)
    w = prox.project_l0_ball(x, 2, axis=1)
    assert w.dtype == dtype
    assert (np.count_nonzero(w, axis=1) == 2).all()
    assert (prox.project_l0_ball(x, 2, axis=1, out=x.copy()) == w).all()
    assert (prox.project_l0_ball(x.T, 2, axis=0) == w.T).all()
    nan = np.array([1.0, np.nan, 2.0])
    assert np.isnan(prox.project_l0_ball(nan, 1, check_finite=False)).all()
    big = np.array([np.inf, 1.0, 2.0])
    assert prox.project_l0_ball(big, 1, check_finite=False).tolist() == [np.inf, 0, 0]
    big[0] = -3
    assert prox.project_l0_ball(big, 0).tolist() == [0, 0, 0]
    for bad in (1.0, True, -1):
        with pytest.raises((TypeError, ValueError), match="'k'"):
            prox.project_l0_ball(x, bad)


@pytest.mark.parametrize("groups", [1, 3, [[4, 1], [0, 2, 3], [9]], "labels"])
def test_group_l0_ball(groups, rng):
    groups = [0, 0, 1, 1, -1, 2, 2, 2, -1, 3, 3, 3] if groups == "labels" else groups
    x = rng.standard_normal(12)
    parts = prox.Groups.of(groups, 12)
    weights = rng.uniform(0.5, 2, parts.m)
    for k in range(parts.m + 1):
        w = prox.project_group_l0_ball(x, k, groups=groups, weights=weights)
        scores = np.sqrt(weights) * [np.linalg.norm(x[i]) for i in parts.lists()]
        wanted = x.copy()
        for j in np.argsort(-scores)[k:]:
            wanted[parts.lists()[j]] = 0
        assert (w == wanted).all()
    ties = prox.project_group_l0_ball([1.0, 2.0, 2.0, 1.0], 1, groups=2)
    assert ties.tolist() == [1, 2, 0, 0]
    with pytest.raises(ValueError, match=r"'k' .* int in \[0, 2\]. Got 3"):
        prox.project_group_l0_ball(np.ones(4), 3, groups=2)


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_affine(rank, dtype, rng):
    A = rng.standard_normal((5, rank)) @ rng.standard_normal((rank, 8))
    b = A @ rng.standard_normal(8)
    x = rng.standard_normal(8).astype(dtype)
    w = prox.project_affine(x, A, b)
    assert w.dtype == dtype
    tol = 1e-11 if dtype is np.float64 else 1e-4
    assert np.allclose(A @ w, b, atol=tol)
    # what is left is in the row space
    assert np.allclose(np.linalg.lstsq(A.T, x - w)[0] @ A, x - w, atol=tol)
    known = prox.AffineSet(A, b)
    assert (known.project(x) == w).all()
    assert known.rank == rank
    many = rng.standard_normal((8, 3)).astype(dtype)
    wide = known.project(many)
    for j in range(3):
        assert np.allclose(wide[:, j], known.project(many[:, j]), atol=tol)
    out = np.empty_like(many)
    assert known.project(many, out=out) is out


def test_affine_bad_input(rng):
    A = np.ones((2, 3))
    with pytest.raises(ValueError, match="no solution"):
        prox.AffineSet(A, [1.0, 2.0])
    with pytest.raises(ValueError, match="'b' array must have length 2"):
        prox.AffineSet(A, [1.0])
    with pytest.raises(ValueError, match="'x' array must have 3 rows"):
        prox.project_affine(np.ones(4), A, [1.0, 1.0])
    assert np.allclose(prox.project_affine(np.zeros(3), A, [3.0, 3.0]), 1)
    assert np.allclose(prox.project_affine(np.ones(2), np.zeros((1, 2)), [0.0]), 1)


def test_psd(dtype, rng):
    for shift in (-3, 0, 3):
        x = (rng.standard_normal((6, 6)) + shift * np.eye(6)).astype(dtype)
        w = prox.project_psd(x)
        assert w.dtype == dtype
        symmetric = (x + x.T) / 2
        values, vectors = np.linalg.eigh(symmetric)
        wanted = (vectors * values.clip(0)) @ vectors.T
        assert np.abs(w - wanted).max() <= 50 * np.finfo(dtype).eps
        assert (w == w.T).all()
    assert np.isnan(prox.project_psd([[np.nan]], check_finite=False)).all()
    assert prox.project_psd(np.empty((0, 0))).shape == (0, 0)
    with pytest.raises(ValueError, match="square"):
        prox.project_psd(np.ones((2, 3)))
    with pytest.raises(ValueError, match="'X' array must be finite"):
        prox.project_psd([[np.nan]])


def test_plane_bad_input():
    for operator in (prox.project_halfspace, prox.project_hyperplane):
        with pytest.raises(ValueError, match="'a' array must not be zero"):
            operator(np.ones(2), np.zeros(2))
        with pytest.raises(ValueError, match="'a' array must have shape"):
            operator(np.ones(2), np.ones(3))
        with pytest.raises(ValueError, match="'b'"):
            operator(np.ones(2), np.ones(2), np.nan)
        assert operator(np.empty(0), np.empty(0)).shape == (0,)
        x = np.array([np.nan, 1.0])
        assert np.isnan(operator(x, np.ones(2), check_finite=False)).all()


def test_array_libraries(xp, rng):
    x = rng.standard_normal((3, 4))
    a = rng.standard_normal((3, 4))
    foreign = xp.asarray(x)
    for operator in (
        lambda v: prox.project_box(v, -0.3, 0.5),
        lambda v: prox.project_linf_ball(v, 0.4),
        lambda v: prox.project_l2_ball(v, 0.4),
        lambda v: prox.project_l2_ball(v, 10.0),
    ):
        found = operator(foreign)
        assert type(found) is type(foreign)
        assert np.allclose(np.asarray(found), operator(x), rtol=1e-12)
    for operator in (prox.project_halfspace, prox.project_hyperplane):
        found = operator(foreign, xp.asarray(a), -3.0)
        assert type(found) is type(foreign)
        assert np.allclose(np.asarray(found), operator(x, a, -3.0), rtol=1e-12)
