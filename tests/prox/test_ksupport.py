"""The k-support norm, its ball and the box norm against cvxpy and their duals."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparseopt.prox import (
    project_ksupport_ball,
    prox_box_norm,
    prox_ksupport,
    prox_wgsef,
    wgsef_conjugate,
    wgsef_value,
)

entries = st.floats(-100, 100, allow_subnormal=False).map(lambda v: round(v, 6))
vectors = st.integers(1, 30).flatmap(lambda n: arrays(float, n, elements=entries))
accurate = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-10)
pytestmark = pytest.mark.filterwarnings("ignore:Solution may be inaccurate")


def norm(w, k):
    return np.sqrt(2 * wgsef_value(w, k))


def dual_norm(y, k):
    return np.sqrt(2 * wgsef_conjugate(y, k))


@given(vectors, st.sampled_from([0.01, 1.0, 30.0]), st.data())
def test_prox_of_the_norm(x, lam, data):
    k = data.draw(st.integers(1, x.size))
    w = prox_ksupport(x, k, lam)
    y = x - w  # in lam times the subdifferential of the norm at w
    tol = 1e-9 * (1 + np.abs(x).max())
    assert dual_norm(y, k) <= lam + tol
    assert y @ w == pytest.approx(lam * norm(w, k), abs=tol * (1 + np.abs(x).max()))
    if dual_norm(x, k) <= lam * (1 - 1e-12):
        assert not w.any()


@given(vectors, st.sampled_from([0.01, 1.0, 30.0]), st.data())
def test_ball(x, radius, data):
    k = data.draw(st.integers(1, x.size))
    w = project_ksupport_ball(x, k, radius)
    size = 1 + np.abs(x).max()
    assert norm(w, k) <= radius * (1 + 1e-9)
    # x - w is normal to the ball at w
    y = x - w
    assert y @ w == pytest.approx(radius * dual_norm(y, k), abs=1e-9 * size**2)
    if norm(x, k) <= radius:
        np.testing.assert_array_equal(w, x)
    # Moreau: the prox of the dual norm
    assert ((w - x) @ (w - x)) <= x @ x + 1e-9


@pytest.mark.parametrize("seed", range(6))
def test_interior_point(seed):
    rng = np.random.default_rng(seed)
    n, k, lam = 9, int(rng.integers(1, 10)), 10 ** rng.uniform(-1, 0.7)
    x = rng.normal(size=n) * 2
    y = cp.Variable(n)
    dual = [cp.sum_largest(cp.square(y), k) <= lam**2]
    cp.Problem(cp.Minimize(cp.sum_squares(y - x)), dual).solve(
        solver=cp.CLARABEL, **accurate
    )
    np.testing.assert_allclose(prox_ksupport(x, k, lam), x - y.value, atol=1e-5)
    w, theta = cp.Variable(n), cp.Variable(n)
    low, high, total = 0.1, 0.9, 0.1 * n + 0.5 * (seed + 1)
    terms = sum(cp.quad_over_lin(w[j], theta[j]) for j in range(n))
    cp.Problem(
        cp.Minimize(cp.sum_squares(w - x) / 2 + lam / 2 * terms),
        [theta >= low, theta <= high, cp.sum(theta) <= total],
    ).solve(solver=cp.CLARABEL, **accurate)
    found = prox_box_norm(x, low, high, total, lam)
    np.testing.assert_allclose(found, w.value, atol=2e-5)


@given(vectors, st.data())
def test_box_norm(x, data):
    n = x.size
    k = data.draw(st.integers(1, n))
    np.testing.assert_allclose(
        prox_box_norm(x, 0.0, 1.0, float(k), 0.7), prox_wgsef(x, k, 0.7), atol=1e-12
    )
    np.testing.assert_array_equal(prox_box_norm(x, 0.0, 1.0, float(k), 0.0), x)
    fixed = prox_box_norm(x, 0.5, 2.0, 0.5 * n, 0.7)  # theta can only be 0.5
    np.testing.assert_allclose(fixed, x * 0.5 / 1.2, atol=1e-12)
    free = prox_box_norm(x, 0.5, 2.0, 2.0 * n, 0.7)
    np.testing.assert_allclose(free, x * 2.0 / 2.7, atol=1e-12)


def test_limits(rng):
    x = rng.normal(size=15)
    np.testing.assert_array_equal(prox_ksupport(x, 3, 0.0), x)
    assert not project_ksupport_ball(x, 3, 0.0).any()
    assert not prox_ksupport(np.zeros(4), 2).any()
    # k = n is the Euclidean norm, k = 1 the l1 norm
    length = np.linalg.norm(x)
    np.testing.assert_allclose(prox_ksupport(x, 15, 1.0), x * (1 - 1 / length))
    soft = np.sign(x) * np.maximum(np.abs(x) - 0.3, 0)
    np.testing.assert_allclose(prox_ksupport(x, 1, 0.3), soft, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e200])
@pytest.mark.parametrize("n", [12, 5000])
def test_scales(scale, n, rng):
    x = rng.normal(size=n)
    for function in (prox_ksupport, project_ksupport_ball):
        expected = scale * function(x, 3, 0.8)
        found = function(scale * x, 3, 0.8 * scale)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * scale)


def test_axis(rng):
    x = rng.normal(size=(3, 7))
    for function in (
        lambda v, **options: prox_ksupport(v, 2, **options),
        lambda v, **options: project_ksupport_ball(v, 2, **options),
        lambda v, **options: prox_box_norm(v, 0.1, 1.0, 2.0, **options),
    ):
        rows = np.array([function(row) for row in x])
        np.testing.assert_array_equal(function(x, axis=1), rows)
