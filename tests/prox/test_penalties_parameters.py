"""Penalties tell and take their parameters as scikit-learn's estimators do."""

import copy

import numpy as np
import pytest
from sklearn.base import clone

from sparseopt import prox as p

W = np.arange(6.0) - 2.5
PENALTIES = [
    p.L1(0.7, weights=W**2, positive=True),
    p.L1(np.float64(0.7)),
    p.ElasticNet(0.9, 0.4),
    p.Ridge(2.0),
    p.NoPenalty(),
    p.L2(1.1),
    p.Linf(1.1),
    p.GroupLasso(0.8, groups=np.array([0, 1, 1, 0, 2, -1]), weights=[1.0, 2.0, 3.0]),
    p.SparseGroupLasso(0.8, 0.2, groups=3),
    p.GroupLinf(0.8, groups=[[0, 3], [1]]),
    p.TreeGroupLasso(0.5, groups=[[0, 1, 2], [1, 2]]),
    p.SLOPE([3.0, 2.5, 2.0, 1.0, 0.5, 0.0]),
    p.TV1D(0.4),
    p.FusedLasso(0.4, 0.3),
    p.TrendFilter(0.4, 2),
    p.MCP(0.4, gamma=2.0),
    p.SCAD(0.4),
    p.LogSum(0.4),
    p.L0(0.4),
    p.Lq(0.4),
    p.WGSEF(2, 0.3, groups=2, weights="size"),
    p.KSupport(2, 0.3),
    p.BoxNorm(0.1, 1.0, 2.0),
    p.Box(-1.0, np.arange(6.0)),
    p.NonNegative(),
    p.Simplex(2.0),
    p.L1Ball(2.0),
    p.L0Ball(2),
    p.Translated(p.L1(0.3), W),
    p.Scaled(p.MCP(0.3), 2.0, 3.0),
    p.MoreauConjugate(p.L1(0.3)),
    p.MoreauEnvelope(p.L1(0.3), 0.5),
    p.SeparableSum([p.L1(1.0), p.Ridge(2.0)], [4, 2]),
    p.ProximalAverage([p.L1(1.0), p.Ridge(2.0)], [1.0, 3.0], step=0.5),
    p.Orthonormal(p.L1(0.3), np.eye(6)[::-1]),
    p.MCP(0.3) + p.NonNegative(),
    p.TV1D(0.3) + p.Ridge(0.3),
    p.TV1D(0.3) + p.NonNegative(),
]


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_a_penalty_made_from_its_parameters_is_the_same(penalty):
    again = type(penalty)(**penalty.get_params(deep=False))
    copied = clone(penalty)
    reset = copy.copy(penalty).set_params(**penalty.get_params(deep=False))
    assert type(copied) is type(penalty)
    assert copied is not penalty
    for other in (again, copied, reset):
        np.testing.assert_array_equal(other.prox(W, 0.5), penalty.prox(W, 0.5))
        assert repr(other) == repr(penalty)


@pytest.mark.parametrize(
    "penalty", [one for one in PENALTIES if "lam" in one.get_params()], ids=repr
)
def test_strengths_are_set_as_with_lam_does(penalty):
    other = clone(penalty).set_params(lam=0.25)
    np.testing.assert_array_equal(
        other.prox(W, 0.5), penalty.with_lam(0.25).prox(W, 0.5)
    )


def test_penalties_of_ones_own():
    class Quartic(p.Penalty):
        def __init__(self, lam=1.0):
            self.lam = lam

    penalty = Quartic(2.0)
    assert penalty.get_params() == {"lam": 2.0}
    assert clone(penalty).set_params(lam=3.0).lam == 3.0
    assert penalty.lam == 2.0
