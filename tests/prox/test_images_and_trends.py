"""Total variation of images and trend filtering: gaps recomputed, and cvxpy."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sparseopt import prox


def picture(rng, shape=(24, 17)):
    x = np.zeros(shape)
    x[5:15, 3:9] = 1
    return x + 0.2 * rng.standard_normal(shape)


def image_objective(u, x, lam):
    variation = np.abs(np.diff(u, axis=0)).sum() + np.abs(np.diff(u, axis=1)).sum()
    return ((u - x) ** 2).sum() / 2 + lam * variation


@pytest.mark.parametrize("lam", [0.05, 0.3, 2.0])
def test_image(lam, rng):
    cp = pytest.importorskip("cvxpy")
    x = picture(rng, (9, 7))
    w = cp.Variable((9, 7))
    variation = cp.sum(cp.abs(cp.diff(w, axis=0))) + cp.sum(cp.abs(cp.diff(w, axis=1)))
    problem = cp.Problem(cp.Minimize(cp.sum_squares(w - x) / 2 + lam * variation))
    problem.solve(solver="CLARABEL")
    found = prox.prox_tv2d(x, lam, tol=1e-10)
    assert np.abs(found - w.value).max() <= 1e-4
    least = image_objective(w.value, x, lam)
    assert image_objective(found, x, lam) <= least * (1 + 1e-7)


def test_image_properties(dtype, layout, rng):
    x = layout(picture(rng).astype(dtype))
    before = x.copy()
    found = prox.prox_tv2d(x, 0.3, tol=1e-9)
    assert found.dtype == dtype
    assert (x == before).all()
    tol = 1e-5
    assert np.allclose(prox.prox_tv2d(x.T, 0.3, tol=1e-9), found.T, atol=10 * tol)
    assert np.allclose(prox.prox_tv2d(-x, 0.3, tol=1e-9), -found, atol=tol)
    assert abs(found.mean() - x.mean()) <= tol
    assert np.allclose(prox.prox_tv2d(x, 0.0), x, atol=tol)
    assert np.allclose(prox.prox_tv2d(x, 1e4), x.mean(), atol=tol)
    row = np.array(x[:1])
    assert np.allclose(prox.prox_tv2d(row, 0.3), prox.prox_tv1d(row, 0.3), atol=tol)
    same = np.array(x)
    assert prox.prox_tv2d(same, 0.3, tol=1e-9, out=same) is same
    assert (same == found).all()
    for scale in (1e-30, 1e30):
        wide = x.astype(np.float64)
        scaled = prox.prox_tv2d(scale * wide, 0.3 * scale, tol=1e-9)
        assert np.allclose(scaled / scale, found, atol=tol)


def test_image_edges():
    assert prox.prox_tv2d(np.empty((0, 3))).shape == (0, 3)
    assert prox.prox_tv2d(np.full((3, 3), 2.0)).tolist() == [[2.0] * 3] * 3
    assert not prox.prox_tv2d(np.zeros((2, 2))).any()
    nan = np.array([[1.0, np.nan]])
    assert np.isnan(prox.prox_tv2d(nan, check_finite=False)).all()
    with pytest.raises(ValueError, match="'x' array must be finite"):
        prox.prox_tv2d(nan)
    with pytest.raises(ValueError, match="2 dimensions"):
        prox.prox_tv2d(np.ones(3))
    with pytest.raises(ValueError, match="'tol'"):
        prox.prox_tv2d(np.ones((2, 2)), tol=-1.0)
    with pytest.warns(ConvergenceWarning, match="gap .* after 1 passes is above"):
        prox.prox_tv2d(np.random.default_rng(0).standard_normal((9, 9)), max_iter=1)


def bends(u, order):
    return np.diff(u, n=order + 1)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("lam", [0.02, 0.5, 5.0])
def test_trend(order, lam, rng):
    cp = pytest.importorskip("cvxpy")
    x = np.abs(np.linspace(-2, 2, 25)) + 0.1 * rng.standard_normal(25)
    w = cp.Variable(25)
    penalty = lam * cp.norm1(cp.diff(w, order + 1))
    problem = cp.Problem(cp.Minimize(cp.sum_squares(w - x) / 2 + penalty))
    problem.solve(solver="CLARABEL")
    found = prox.prox_trend_filter(x, lam, order, tol=1e-10)
    assert np.abs(found - w.value).max() <= 1e-4

    def objective(u):
        return ((u - x) ** 2).sum() / 2 + lam * np.abs(bends(u, order)).sum()

    assert objective(found) <= objective(w.value) * (1 + 1e-7)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_trend_is_a_polynomial_for_a_large_level(order, rng):
    x = rng.standard_normal(40)
    t = np.arange(40)
    wanted = np.polynomial.Polynomial.fit(t, x, order)(t)
    found = prox.prox_trend_filter(x, 1e8, order)
    assert np.allclose(found, wanted, atol=1e-10)
    polynomial = np.polynomial.Polynomial(rng.standard_normal(order + 1))(t / 40)
    found = prox.prox_trend_filter(polynomial, 0.3, order)
    assert np.allclose(found, polynomial, rtol=1e-10)


def test_trend_properties(dtype, layout, rng):
    x = layout(np.cumsum(rng.standard_normal((5, 30)), axis=1).astype(dtype))
    before = x.copy()
    found = prox.prox_trend_filter(x, 0.7, axis=1)
    assert found.dtype == dtype
    assert (x == before).all()
    tol = 1e-4
    for i in range(5):
        assert np.allclose(found[i], prox.prox_trend_filter(x[i], 0.7), atol=tol)
    assert np.allclose(prox.prox_trend_filter(x.T, 0.7, axis=0), found.T, atol=tol)
    same = np.array(x)
    assert (prox.prox_trend_filter(same, 0.7, axis=1, out=same) == found).all()
    wide = x.astype(np.float64)
    for scale in (1e-30, 1e30):
        scaled = prox.prox_trend_filter(scale * wide, 0.7 * scale, axis=1)
        assert np.allclose(scaled / scale, found, atol=tol)
    assert (prox.prox_trend_filter(x, 0.0) == x).all()


def test_trend_edges(rng):
    for n in (0, 1, 2, 3, 4):
        x = rng.standard_normal(n)
        for order in (0, 1, 2, 3):
            found = prox.prox_trend_filter(x, 0.1, order)
            assert found.shape == (n,)
            if n <= order + 1:
                assert (found == x).all()
    nan = np.array([1.0, np.nan, 2.0, 0.0])
    assert np.isnan(prox.prox_trend_filter(nan, check_finite=False)).all()
    with pytest.raises(ValueError, match="'x' array must be finite"):
        prox.prox_trend_filter(nan)
    with pytest.raises(ValueError, match="'order'"):
        prox.prox_trend_filter(np.ones(9), 1.0, 4)
    with pytest.warns(ConvergenceWarning, match="relative gap"):
        prox.prox_trend_filter(rng.standard_normal(50), max_iter=2)
