"""Arguments that once ended the interpreter, or in errors of other libraries."""

import numpy as np
import pytest

from sparseopt import prox

X = np.arange(9.0).reshape(3, 3)


@pytest.mark.parametrize(
    "name", ["hinge", "huber", "kl", "logistic", "pinball", "squared_hinge"]
)
def test_losses_need_targets(name):
    with pytest.raises(TypeError, match="The 'y' array must be"):
        getattr(prox, f"prox_{name}")(X, None)


@pytest.mark.parametrize("axis", [2, -3])
@pytest.mark.parametrize(
    "solve",
    [
        lambda x, axis: prox.prox_wgsef(x, 1, axis=axis),
        lambda x, axis: prox.prox_ksupport(x, 1, axis=axis),
        lambda x, axis: prox.prox_box_norm(x, 0.1, 1.0, 3.0, axis=axis),
        lambda x, axis: prox.project_ksupport_ball(x, 1, axis=axis),
        lambda x, axis: prox.project_simplex(x, axis=axis),
        lambda x, axis: prox.project_simplex(x, weights=[1, 2, 3], axis=axis),
        lambda x, axis: prox.project_l1_ball(x, axis=axis),
        lambda x, axis: prox.project_capped_simplex(x, 1.0, axis=axis),
    ],
)
def test_axis_that_is_not_there(solve, axis):
    with pytest.raises(ValueError, match=r"'axis' parameter must be an int in \[-2, 1"):
        solve(X, axis)


def test_derivative_checks_debias_as_the_operator_does():
    with pytest.raises(ValueError, match=r"'debias' parameter of .*prox_wgsef_jvp"):
        prox.prox_wgsef_jvp(np.arange(9.0), np.ones(9), 2, 1.0, debias=1.0)


@pytest.mark.parametrize("levels", [None, 1])
def test_tree_names_levels(levels):
    with pytest.raises(TypeError, match="'levels' parameter"):
        prox.prox_tree(np.ones(4), levels=levels)
    with pytest.raises(TypeError, match="'weights' parameter"):
        prox.prox_tree(np.ones(4), levels=[2], weights=1.0)


def test_smallest_and_largest_numbers():
    tiny = np.full(9, 5e-324)
    assert (prox.prox_ksupport(tiny, 2) == 0).all()
    assert (prox.project_ksupport_ball(tiny, 2) == tiny).all()
    assert prox.prox_squared_hinge([0.5], [1.0], 1e308)[0] == 1.0


def test_sums_without_operator_name_solvers_only_where_they_fit():
    with pytest.raises(NotImplementedError, match="Minimise with"):
        prox.L1(1.0) + prox.WGSEF(2, 1.0)
    with pytest.raises(NotImplementedError, match="but need convex penalties"):
        prox.GroupLasso(1.0, groups=2) + prox.MCP(1.0)


@pytest.mark.parametrize("penalty", [prox.WGSEF(7), prox.KSupport(7)])
def test_more_groups_than_there_are(penalty):
    x = np.arange(6.0)
    calls = [lambda: penalty.prox(x), lambda: penalty.value(x)]
    calls += [lambda: penalty.conjugate(x), lambda: penalty.subdiff_distance(x, x)]
    for call in calls:
        with pytest.raises(ValueError, match=r"(WGSEF|KSupport) .*\[1, 6\].* Got 7"):
            call()


LARGE = np.ldexp(1.0, 1023)  # twice that is infinite


@pytest.mark.parametrize("n", [5, 300])
def test_entries_whose_sums_are_beyond_floats(n, rng):
    """Operators that scale with x give what they give for moderate entries."""
    x, weights = rng.normal(size=n), rng.uniform(0.5, 2.0, size=n)
    x /= 1.01 * np.abs(x).max()
    lam = np.linspace(0.5, 0.1, n)
    for solve in (
        lambda x, s: prox.prox_tv1d(x, 0.3 * s),
        lambda x, s: prox.prox_tv1d(x, 0.3 * s, weights=weights[1:]),
        lambda x, s: prox.prox_fused_lasso(x, 0.3 * s, 0.1 * s),
        lambda x, s: prox.prox_isotonic(x),
        lambda x, s: prox.prox_isotonic(x, weights=weights, increasing=False),
        lambda x, s: prox.prox_slope(x, lam * s),
    ):
        found = solve(LARGE * x, LARGE)
        np.testing.assert_array_equal(found, LARGE * solve(x, 1.0))
        mixed = np.stack([x, LARGE * x])  # each row at its own scale
        rows = prox.prox_tv1d(mixed, 0.3, axis=1)
        np.testing.assert_array_equal(rows[0], prox.prox_tv1d(x, 0.3))
    np.testing.assert_array_equal(
        prox.prox_isotonic(x, weights=1e305 * weights),
        prox.prox_isotonic(x, weights=np.ldexp(1e305 * weights, -1000)),
    )
    # a penalty that no difference is worth leaves the mean
    mean = prox.prox_tv1d(x, 1.7e308)
    np.testing.assert_allclose(mean, x.mean(), rtol=1e-12)


def test_weights_of_extreme_size():
    x = np.array([1.0, 2.0, -1.0])
    expected = prox.project_simplex(x, weights=[1.0, 2.0, 3.0])
    for scale in (1e-300, 1e-160, 1e200, 1e307):
        weights = scale * np.array([1.0, 2.0, 3.0])
        found = prox.project_simplex(x, scale, weights=weights)
        np.testing.assert_allclose(found, expected, rtol=1e-14)
    found = prox.project_simplex(x, weights=np.full(3, 1e-300))
    np.testing.assert_allclose(1e-300 * found.sum(), 1.0, rtol=1e-14)
    with pytest.raises(
        ValueError, match=r"weights of at most 1e-300 for a sum of 1e.10"
    ):
        prox.project_simplex(x, 1e10, weights=np.full(3, 1e-300))


def test_images_of_subnormal_numbers():
    image = np.array([[5e-324, 0.0], [1e-323, 3e-310]])
    np.testing.assert_allclose(prox.prox_tv2d(image, 1.0), image.mean(), atol=1e-322)


def test_numbers_that_are_not_finite():
    for name, call in {
        "x": lambda: prox.prox_l1(np.nan),
        "a": lambda: prox.project_hyperplane(X, np.inf),
        "v": lambda: prox.prox_wgsef_jvp(X, np.nan, 1),
    }.items():
        with pytest.raises(ValueError, match=f"The '{name}' array must be finite"):
            call()
    with pytest.raises(ValueError, match="'upper' parameter"):
        prox.project_capped_simplex(X, 1.0, upper=10**400)


def test_levels_of_a_tree_are_a_sequence():
    two = np.array(2)
    for options in ({"levels": two}, {"levels": "a"}, {"levels": [1], "weights": two}):
        with pytest.raises(TypeError, match="must be a sequence"):
            prox.prox_tree(X, **options)
