"""Penalties built from Euclidean norms of groups."""

from __future__ import annotations

import math

import numpy as np

from sparseopt._core._types import GroupsLike, GroupWeights
from sparseopt.prox._group import prox_group_lasso, prox_sparse_group_lasso
from sparseopt.prox._group_structure import (
    STRUCTURE,
    GroupStructure,
    Parts,
    ball_distance,
    times,
)
from sparseopt.prox._penalty import LEVEL, SHARE, Norm, as_float64, rules


class GroupLasso(GroupStructure, Norm):
    """Sum of Euclidean norms of groups, ``lam * sum_j d_j ||w_j||``.

    Parameters
    ----------
    lam : float, default=1.0
        Strength, not negative.
    groups : int, list or dict of index arrays, array of n labels, default=None
        Disjoint groups of coordinates, or of rows where coefficients are a matrix.
        None: each of its own; an int: consecutive blocks of this size; a dictionary:
        groups by their names.  Where an estimator is fitted to a data frame, names of
        columns may stand for indices.  Coordinates in no group are free.
    weights : "sqrt", "size", None or array_like of shape (m,), default="sqrt"
        Group weights d; the words are functions of the groups' sizes, None is 1.
    rows : bool, default=False
        Whether the columns of a matrix of coefficients belong to the same groups, as
        for the l21 norm ``GroupLasso(rows=True)``; else each column has its own.

    References
    ----------
    .. [1] M. Yuan, Y. Lin, "Model selection and estimation in regression with grouped
       variables", JRSS B, 2006, Section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import GroupLasso
    >>> penalty = GroupLasso(1.0, groups=2, weights=None)
    >>> penalty.prox(np.array([3.0, 4.0, 0.5, 0.5]))
    array([2.4, 3.2, 0. , 0. ])
    >>> GroupLasso(1.0, rows=True).value(np.array([[3.0, 4.0], [0.0, 1.0]]))
    6.0
    """

    sign_invariant = True
    _rules = rules(lam=LEVEL, **STRUCTURE)

    def __init__(
        self,
        lam: float = 1.0,
        *,
        groups: GroupsLike = None,
        weights: GroupWeights = "sqrt",
        rows: bool = False,
    ) -> None:
        self.lam = lam
        self._store_groups(groups, weights, rows)
        self._check()

    def norm(self, w: np.ndarray) -> float:
        parts, norms = self._norms(w)
        return float(norms.sum() if parts.weights is None else norms @ parts.weights)

    def dual_norm(self, v: np.ndarray) -> float:
        parts, norms = self._norms(v)
        if np.any(np.reshape(v, -1)[parts.free]):
            return math.inf
        if parts.weights is not None:
            norms = norms / parts.weights
        return float(norms.max(initial=0.0))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        parts = self.parts(w.shape)
        return prox_group_lasso(
            w,
            step * self.lam,
            groups=parts.groups,
            weights=parts.weights,
            out=out,
            check_finite=False,
        )

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        parts = self.parts(w.shape)
        level = times(self.lam, parts.weights, parts.groups.m)
        return ball_distance(w, grad, parts, level)


class SparseGroupLasso(GroupStructure, Norm):
    """``lam * (rho ||w||_1 + (1 - rho) sum_j d_j ||w_j||)``.

    Parameters
    ----------
    lam : float, default=1.0
        Strength, not negative.
    l1_ratio : float, default=0.5
        Share rho of the l1 norm, in [0, 1].
    groups, weights, rows : as for GroupLasso
        Coordinates in no group are free of both norms.

    References
    ----------
    .. [1] N. Simon, J. Friedman, T. Hastie, R. Tibshirani, "A sparse-group lasso",
       JCGS, 2013, Section 2.
    .. [2] E. Ndiaye, O. Fercoq, A. Gramfort, J. Salmon, "GAP safe screening rules for
       sparse-group lasso", NIPS 2016, Section 4 (dual norm).

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import SparseGroupLasso
    >>> penalty = SparseGroupLasso(2.0, 0.5, groups=2, weights=None)
    >>> penalty.prox(np.array([4.0, 5.0, 0.5, 1.5]))
    array([2.4, 3.2, 0. , 0. ])
    """

    sign_invariant = True
    _rules = rules(lam=LEVEL, l1_ratio=SHARE, **STRUCTURE)

    def __init__(
        self,
        lam: float = 1.0,
        l1_ratio: float = 0.5,
        *,
        groups: GroupsLike = None,
        weights: GroupWeights = "sqrt",
        rows: bool = False,
    ) -> None:
        self.lam, self.l1_ratio = lam, l1_ratio
        self._store_groups(groups, weights, rows)
        self._check()

    def norm(self, w: np.ndarray) -> float:
        parts, norms = self._norms(w)
        size = np.abs(as_float64(w)).reshape(-1)
        inside = size.sum() - size[parts.free].sum()
        group = norms.sum() if parts.weights is None else norms @ parts.weights
        return float(self.l1_ratio * inside + (1.0 - self.l1_ratio) * group)

    def dual_norm(self, v: np.ndarray) -> float:
        parts = self.parts(v.shape)
        flat = np.abs(as_float64(v)).reshape(-1)
        if np.any(flat[parts.free]):
            return math.inf
        radius = times(1.0 - self.l1_ratio, parts.weights, parts.groups.m)
        return _shrunk_norm_level(flat, parts, self.l1_ratio, radius)

    def conjugate(self, v: np.ndarray) -> float:
        # one pass; the dual norm takes several
        parts = self.parts(v.shape)
        size = np.abs(as_float64(v)).reshape(-1)
        rest = np.maximum(size - self.lam * self.l1_ratio, 0.0)
        radius = times(self.lam * (1.0 - self.l1_ratio), parts.weights, parts.groups.m)
        excess = parts.groups.norms(rest) - radius
        if np.isnan(excess).any():
            return math.nan
        outside = np.any(excess > 0.0) or np.any(size[parts.free])
        return math.inf if outside else 0.0

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        parts = self.parts(w.shape)
        return prox_sparse_group_lasso(
            w,
            step * self.lam,
            self.l1_ratio,
            groups=parts.groups,
            weights=parts.weights,
            out=out,
            check_finite=False,
        )

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        parts = self.parts(w.shape)
        flat, slope = as_float64(w).reshape(-1), as_float64(grad).reshape(-1)
        l1 = self.lam * self.l1_ratio
        # the l1 part of the subgradient is fixed where w is not zero, else free
        rest = np.where(
            flat != 0,
            slope + l1 * np.sign(flat),
            np.sign(slope) * np.maximum(np.abs(slope) - l1, 0.0),
        )
        rest[parts.free] = slope[parts.free]
        level = times(self.lam * (1.0 - self.l1_ratio), parts.weights, parts.groups.m)
        return ball_distance(flat, rest, parts, level)


def _shrunk_norm_level(
    size: np.ndarray, parts: Parts, share: float, radius: np.ndarray
) -> float:
    """Smallest level at which ``||(size_j - level share)_+|| <= level radius_j`` holds.

    In the inverse s of the level it is ``||(s size_j - share)_+|| <= radius_j``, with a
    convex left side: Newton's method comes down to the largest s of each group.  Groups
    where it holds at the level of others are left out.
    """
    top = float(size.max(initial=0.0))
    if not 0.0 < top < math.inf:
        return top
    groups = parts.groups
    counts = groups.sizes
    size = (size if groups.indices is None else size[groups.indices]) / top
    starts = np.append(0, np.cumsum(counts)[:-1])
    highest = np.maximum.reduceat(size, starts)
    level = float(np.max(highest / (share + radius)))
    for _ in range(100):
        over = np.maximum(size / level - share, 0.0)
        norm = np.sqrt(np.add.reduceat(over * over, starts))
        left = norm > radius
        if not left.any():
            break
        slope = np.add.reduceat(over * size, starts)  # times the norm
        step = ((norm - radius) * norm)[left] / slope[left]
        better = 1.0 / float(np.min(1.0 / level - step))
        if not better > level * (1.0 + 4e-16):
            break
        level = better
        size = size[np.repeat(left, counts)]
        counts, radius = counts[left], radius[left]
        starts = np.append(0, np.cumsum(counts)[:-1])
    return top * level
