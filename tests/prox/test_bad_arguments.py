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
