"""Simplices and l1 balls: closed form, optimality, degenerate cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparseopt.prox import (
    project_capped_simplex,
    project_l1_ball,
    project_simplex,
    prox_wgsef,
)

entries = st.floats(-100, 100, allow_subnormal=False).map(lambda v: round(v, 6))
vectors = st.integers(1, 30).flatmap(lambda n: arrays(float, n, elements=entries))


def plain_simplex(v, total):
    """NumPy twin: the textbook projection by sorting."""
    u = np.sort(v)[::-1].astype(np.longdouble)
    sums = np.cumsum(u) - total
    rho = np.flatnonzero(u * np.arange(1, v.size + 1) > sums)[-1]
    return np.maximum(v - float(sums[rho] / (rho + 1)), 0)


def check_optimal(x, u, q, caps, total):
    """KKT of the projection onto ``{0 <= u <= caps, q u = total}``."""
    size = 1 + np.abs(x).max() + total
    assert (u >= 0).all()
    assert (u <= caps * (1 + 1e-14)).all()
    assert q @ u == pytest.approx(total, abs=1e-10 * size)
    ratio = (x - u) / q  # is tau inside, at most tau at zero, at least tau at the cap
    inside = (u > 0) & (u < caps)
    low = ratio[u == 0].max(initial=-np.inf)
    high = ratio[u >= caps].min(initial=np.inf)
    tol = 1e-10 * size / q.min()
    if inside.any():
        assert np.ptp(ratio[inside]) <= tol
        low, high = max(low, ratio[inside].max()), min(high, ratio[inside].min())
    assert low <= high + tol


@pytest.mark.parametrize("n", [1, 5, 300, 5000, 100_000])
@pytest.mark.parametrize("total", [1e-3, 1.0, 50.0])
def test_simplex(n, total, rng):
    for x in (rng.normal(size=n), rng.standard_cauchy(n), np.round(rng.normal(size=n))):
        u = project_simplex(x, total)
        tol = 1e-13 * (1 + np.abs(x).max() + total)
        np.testing.assert_allclose(u, plain_simplex(x, total), rtol=0, atol=tol)
        ball = project_l1_ball(x, total)
        if np.abs(x).sum() <= total:
            np.testing.assert_array_equal(ball, x)
        else:
            expected = np.sign(x) * plain_simplex(np.abs(x), total)
            np.testing.assert_allclose(ball, expected, rtol=0, atol=tol)


@given(vectors, st.sampled_from([0.01, 1.0, 300.0]), st.data())
def test_weights_and_caps(x, total, data):
    positive = st.floats(0.1, 5).map(lambda v: round(v, 3))
    q = data.draw(arrays(float, x.size, elements=positive))
    free = np.full(x.size, np.inf)
    check_optimal(x, project_simplex(x, total, weights=q), q, free, total)
    ball = project_l1_ball(x, total, weights=q)
    if q @ np.abs(x) <= total:
        np.testing.assert_array_equal(ball, x)
    else:
        check_optimal(np.abs(x), np.abs(ball), q, free, total)
        assert (ball * x >= 0).all()
    ones, share = np.ones(x.size), data.draw(st.sampled_from([0.1, 0.5, 0.99]))
    total = share * q.sum()
    check_optimal(x, project_capped_simplex(x, total, upper=q), ones, q, total)
    cap = np.full(x.size, 0.7)
    total = share * cap.sum()
    check_optimal(x, project_capped_simplex(x, total, upper=0.7), ones, cap, total)


@given(vectors)
def test_projections_are_projections(x):
    for project in (project_simplex, project_l1_ball):
        u = project(x)
        np.testing.assert_allclose(project(u), u, atol=1e-12)


def test_limits(rng):
    x = rng.normal(size=20)
    assert not project_simplex(x, 0.0).any()
    assert not project_l1_ball(x, 0.0).any()
    assert not project_simplex(x, 0.0, weights=np.full(20, 2.0)).any()
    assert not project_capped_simplex(x, 0.0).any()
    np.testing.assert_array_equal(project_capped_simplex(x, 20.0), np.ones(20))
    caps = rng.uniform(1, 2, size=20)
    full = project_capped_simplex(x, float(caps.sum()), upper=caps)
    np.testing.assert_allclose(full, caps, rtol=1e-12)
    ball = project_l1_ball(np.abs(x), np.abs(x).sum() * 1.0001)
    np.testing.assert_array_equal(ball, np.abs(x))


@pytest.mark.parametrize("exponent", [-1030, -800, 800, 1010])
@pytest.mark.parametrize("n", [9, 5000])
def test_scales(exponent, n, rng):
    x = rng.normal(size=n)
    big = np.ldexp(x, exponent)
    x = np.ldexp(big, -exponent)
    total = float(np.ldexp(1.0, exponent))
    tol = 1e-13 * np.abs(big).max() + 5e-324
    for project in (project_simplex, project_l1_ball):
        expected = np.ldexp(project(x, 1.0), exponent)
        np.testing.assert_allclose(project(big, total), expected, rtol=0, atol=tol)
        # totals of another scale: nothing overflows, nothing hangs
        assert np.isfinite(project(big, 1.0)).all()
    expected = np.ldexp(project_simplex(x, 1.0, weights=np.full(n, 2.0)), exponent)
    found = project_simplex(big, total, weights=np.full(n, 2.0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tol)


def test_axis(rng):
    x = rng.normal(size=(3, 7))
    q = rng.uniform(1, 2, size=7)
    for project in (
        project_simplex,
        project_l1_ball,
        lambda v, **options: project_capped_simplex(v, 2.5, **options),
        lambda v, **options: project_simplex(v, weights=q, **options),
    ):
        rows = np.array([project(row) for row in x])
        np.testing.assert_array_equal(project(x, axis=1), rows)
        columns = project(np.asfortranarray(x.T), axis=0)
        np.testing.assert_array_equal(columns, rows.T)


@pytest.mark.parametrize("step", [1, 2])
def test_few_rows_of_any_strides(step, rng):
    x = np.asfortranarray(rng.normal(size=(3, 200)))[::-1, ::step]
    for project in (
        project_simplex,
        project_l1_ball,
        lambda v, **options: project_capped_simplex(v, 2.5, **options),
        lambda v, **options: prox_wgsef(v, 5, **options),
    ):
        before, expected = x.copy(), np.array([project(row) for row in x])
        np.testing.assert_array_equal(project(x, axis=1), expected)
        np.testing.assert_array_equal(project(x.T, axis=0), expected.T)
        whole = project(x.ravel()).reshape(x.shape)
        np.testing.assert_array_equal(project(x), whole)
        np.testing.assert_array_equal(x, before)
        same = before.copy(order="F")
        assert project(same, axis=1, out=same) is same
        np.testing.assert_array_equal(same, expected)
        other = np.empty_like(same)
        project(same.T, axis=0, out=other.T)
        np.testing.assert_array_equal(other, [project(row) for row in same])


def test_threads(rng, dtype):
    x = rng.normal(size=2_100_000).astype(dtype)
    for project in (project_simplex, project_l1_ball):
        one = project(x, 1e4, n_threads=1)
        np.testing.assert_array_equal(project(x, 1e4, n_threads=2), one)
