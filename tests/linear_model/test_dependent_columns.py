"""Equal, constant, zero, nearly equal and dependent columns."""

import numpy as np
import pytest

from sparseopt.linear_model import Huber, LeastSquares, Logistic, minimize_composite
from sparseopt.linear_model._group_forms import GroupBlocks
from sparseopt.prox import L1, GroupLasso, SparseGroupLasso

from ._outside import loss_value, outside_gap

RNG = np.random.default_rng(0)
B = RNG.standard_normal((40, 12))
NOISE = RNG.standard_normal(40)
LOSSES = {"squares": LeastSquares, "huber": Huber, "logistic": Logistic}
PENALTIES = {
    "l1": L1,
    "group": lambda lam: GroupLasso(lam, groups=4),
    "sparse_group": lambda lam: SparseGroupLasso(lam, l1_ratio=0.5, groups=4),
}


def _with(**columns):
    X = B.copy()
    for name, value in columns.items():
        X[:, int(name[1:])] = value
    return X


def _multiples():
    X = B.copy()
    X[:, :4] = B[:, :1] * np.arange(1, 5)
    X[:, 4:8] = B[:, 4:6] @ RNG.standard_normal((2, 4))
    return X


DESIGNS = {
    "equal": _with(c1=B[:, 0], c2=B[:, 0], c5=-B[:, 4]),
    "constant": _with(c0=1.0, c1=1.0, c2=1.0, c3=1.0),
    "zero": _with(c1=0.0, c4=0.0, c5=0.0, c6=0.0, c7=0.0),
    "dependent": _multiples(),
    "tiled": np.tile(B[:, :4], (1, 3)),
    "one": np.tile(B[:, :1], (1, 12)),
    "few_samples": B[:5],
    "nearly_equal": _with(c1=B[:, 0] * (1 + 1e-9), c5=B[:, 4] + 1e-6 * B[:, 5]),
}


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_gaps_from_outside(design, loss, penalty, fit_intercept):
    X = DESIGNS[design]
    y = X[:, 0] + NOISE[: len(X)]
    y = np.where(y > np.median(y), 1.0, -1.0) if loss == "logistic" else y
    s = np.full(len(X), 1 / len(X))
    datafit = LOSSES[loss](X, y, fit_intercept=fit_intercept)
    top = np.abs(X.T @ datafit.gradient(np.zeros(len(X)))).max()
    for share in (1e-6, 0.1):
        lam = share * top
        # limits of a broken method: it needs 15 iterations and hundreds of sweeps
        result = minimize_composite(datafit, PENALTIES[penalty](lam), max_iter=60)
        assert result.converged and result.n_epochs < 5000
        size = 1 if penalty == "l1" else 4
        gap = outside_gap(result, X, y, s, loss, penalty, lam, size)
        unit = loss_value(loss, y, np.zeros(len(X)), s)
        # 1e-13: rounding of both sides of the gap
        assert -1e-13 * unit <= gap <= 1e-8 * unit * (1 + 1e-4)
        assert not fit_intercept or abs(result.dual.sum()) < 1e-14


def test_steps_follow_a_hessian_that_changes():
    """Sweeps with steps of another, smaller Gram matrix would not descend."""
    blocks = GroupBlocks.of(GroupLasso(0.1, groups=2), 4)
    part = blocks.part(np.arange(4))
    c = np.array([1.0, 2.0, 0.5, -1.0])
    for scale in (1.0, 30.0):
        H = scale * (np.eye(4) + 0.4)
        w, g = np.zeros(4), -c.copy()
        part.sweep(H, g, w, 200, 0.0)
        assert part.distance(w, g, H.diagonal()).max() < 1e-10
        np.testing.assert_allclose(g, H @ w - c, atol=1e-13)
