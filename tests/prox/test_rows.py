"""Operators along an axis: each slice to the last bit what it is alone."""

import numpy as np
import pytest

from sparseopt import prox


def slope_lam(n):
    return np.linspace(1, 0.1, n)


OPERATORS = {
    "l1 ball": lambda x, **kw: prox.project_l1_ball(x, 1.5, **kw),
    "weighted l1 ball": lambda x, **kw: prox.project_l1_ball(
        x, 1.5, weights=slope_lam(x.shape[kw.get("axis", 0)]), **kw
    ),
    "simplex": lambda x, **kw: prox.project_simplex(x, **kw),
    "simplex of 0": lambda x, **kw: prox.project_simplex(x, 0.0, **kw),
    "capped simplex": lambda x, **kw: prox.project_capped_simplex(x, 2.5, **kw),
    "l0 ball": lambda x, **kw: prox.project_l0_ball(x, 3, **kw),
    "envelope": lambda x, **kw: prox.prox_wgsef(x, 3, 0.7, debias=0.3, **kw),
    "envelope of lam 0": lambda x, **kw: prox.prox_wgsef(x, 3, 0.0, **kw),
    "k-support": lambda x, **kw: prox.prox_ksupport(x, 3, 0.9, **kw),
    "k-support ball": lambda x, **kw: prox.project_ksupport_ball(x, 3, 0.9, **kw),
    "SLOPE": lambda x, **kw: prox.prox_slope(
        x, slope_lam(x.shape[kw.get("axis", 0)]), **kw
    ),
    "TV": lambda x, **kw: prox.prox_tv1d(x, 0.5, **kw),
    "isotonic": lambda x, **kw: prox.prox_isotonic(x, **kw),
}


def table(rng, rows, n, dtype):
    """Rows of noise, and some of ties, zeros, one entry, and extreme scales."""
    x = rng.normal(size=(rows, n))
    x[1] = np.round(x[1])
    x[2] = 0
    x[3, 1:] = 0
    x[4] = 1
    x[5] *= 1e-30 if dtype == np.float32 else 1e-300
    x[6] *= 1e30 if dtype == np.float32 else 1e280
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [4, 30, 200, 5000])
@pytest.mark.parametrize("name", OPERATORS)
def test_slices_are_what_they_are_alone(name, n, dtype, rng):
    solve = OPERATORS[name]
    x = table(rng, 9, n, dtype)
    alone = np.array([solve(row) for row in x])
    for layout in (np.ascontiguousarray, np.asfortranarray):
        given = layout(x).copy(order="K")
        kept = given.copy()
        np.testing.assert_array_equal(solve(given, axis=1), alone)
        np.testing.assert_array_equal(solve(layout(x.T), axis=0), alone.T)
        out = layout(np.empty_like(x))
        assert solve(given, axis=1, out=out) is out
        np.testing.assert_array_equal(out, alone)
        np.testing.assert_array_equal(given, kept)
        assert solve(given, axis=-1, out=given) is given
        np.testing.assert_array_equal(given, alone)


@pytest.mark.parametrize("name", OPERATORS)
def test_slices_that_are_not_finite(name, rng):
    solve, x = OPERATORS[name], rng.normal(size=(5, 8))
    x[1, 3], x[4, 0] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"'x' array.*(finite|NaN|infin)"):
        solve(x, axis=1)
    if name == "l0 ball":  # infinity is a magnitude like others
        x[4, 0] = np.nan
    found = solve(x, axis=1, check_finite=False)
    assert np.isnan(found[[1, 4]]).all()
    np.testing.assert_array_equal(found[0], solve(x[0]))


@pytest.mark.parametrize("name", ["l1 ball", "simplex", "envelope", "k-support"])
def test_threads_take_whole_slices(name, rng):
    x = rng.normal(size=(700, 3001))  # above what is worth threads
    solve = OPERATORS[name]
    one = solve(x, axis=1, n_threads=1)
    np.testing.assert_array_equal(solve(x, axis=1, n_threads=3), one)
    np.testing.assert_array_equal(one[-1], solve(x[-1]))


def test_more_kept_than_there_are(rng):
    x = rng.normal(size=(3, 4))
    np.testing.assert_array_equal(prox.project_l0_ball(x, 9, axis=1), x)
    assert not prox.project_l0_ball(x, 0, axis=1).any()
    ties = np.array([[1.0, -1, 1, 1], [2, -3, 3, 3]])
    np.testing.assert_array_equal(
        prox.project_l0_ball(ties, 2, axis=1), [[1, -1, 0, 0], [0, -3, 3, 0]]
    )
