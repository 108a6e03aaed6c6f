"""Maximum norms, of everything and of groups, and the Euclidean norm."""

from __future__ import annotations

import math

import numpy as np

from sparseopt._core._types import GroupsLike, GroupWeights
from sparseopt.prox._group import prox_group_linf, prox_l2, prox_linf
from sparseopt.prox._group_structure import (
    STRUCTURE,
    GroupStructure,
    Parts,
    ball_distance,
    reduce_groups,
    times,
)
from sparseopt.prox._groups import Groups
from sparseopt.prox._penalty import LEVEL, Norm, as_float64, rules
from sparseopt.prox._simplex import project_l1_ball, project_simplex


class GroupLinf(GroupStructure, Norm):
    """Sum of maximum norms of groups, ``lam * sum_j d_j ||w_j||_inf``.

    Parameters
    ----------
    lam : float, default=1.0
        Strength, not negative.
    groups, weights, rows : as for GroupLasso
        Except that weights are 1 unless given.

    References
    ----------
    .. [1] A. Quattoni, X. Carreras, M. Collins, T. Darrell, "An efficient projection
       for l1,infinity regularization", ICML 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import GroupLinf
    >>> GroupLinf(1.0, groups=2).prox(np.array([3.0, 1.0, 0.5, -0.5]))
    array([2., 1., 0., 0.])
    """

    sign_invariant = True
    _rules = rules(lam=LEVEL, **STRUCTURE)

    def __init__(
        self,
        lam: float = 1.0,
        *,
        groups: GroupsLike = None,
        weights: GroupWeights = None,
        rows: bool = False,
    ) -> None:
        self.lam = lam
        self._store_groups(groups, weights, rows)
        self._check()

    def norm(self, w: np.ndarray) -> float:
        parts = self.parts(w.shape)
        size = np.abs(as_float64(w)).reshape(-1)
        tops = reduce_groups(np.maximum, parts.groups, size)
        return float(tops.sum() if parts.weights is None else tops @ parts.weights)

    def dual_norm(self, v: np.ndarray) -> float:
        parts = self.parts(v.shape)
        size = np.abs(as_float64(v)).reshape(-1)
        if np.any(size[parts.free]):
            return math.inf
        sums = reduce_groups(np.add, parts.groups, size)
        if parts.weights is not None:
            sums = sums / parts.weights
        return float(sums.max(initial=0.0))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        parts = self.parts(w.shape)
        return prox_group_linf(
            w,
            step * self.lam,
            groups=parts.groups,
            weights=parts.weights,
            out=out,
            check_finite=False,
        )

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        parts = self.parts(w.shape)
        flat, slope = as_float64(w).reshape(-1), as_float64(grad).reshape(-1)
        level = times(self.lam, parts.weights, parts.groups.m)
        lists = parts.groups.lists()
        distance = [
            linf_distance(flat[part], slope[part], t)
            for part, t in zip(lists, level, strict=True)
        ]
        return np.append(distance, np.abs(slope[parts.free]))


def linf_distance(w: np.ndarray, grad: np.ndarray, level: float) -> float:
    """Distance of -grad to the subdifferential of ``level * max |w|``."""
    size = np.abs(w)
    top = float(size.max(initial=0.0))
    if top == 0.0:
        inside = project_l1_ball(-grad, level, check_finite=False)
        return float(np.linalg.norm(grad + inside))
    # the subgradients are convex combinations of the signs at the maxima
    largest = size >= top * (1.0 - 4.0 * np.finfo(np.float64).eps)
    toward = -grad[largest] * np.sign(w[largest])
    best = project_simplex(toward, level, check_finite=False)
    rest = np.linalg.norm(grad[~largest])
    return math.hypot(float(rest), float(np.linalg.norm(toward - best)))


class L2(Norm):
    """The Euclidean norm, not squared, ``lam * ||w||``: one group of everything.

    Parameters
    ----------
    lam : float, default=1.0
        Strength, not negative.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import L2
    >>> L2(1.0).prox(np.array([3.0, 4.0]))
    array([2.4, 3.2])
    """

    sign_invariant = True

    def __init__(self, lam: float = 1.0) -> None:
        self.lam = lam
        self._check()

    def norm(self, w: np.ndarray) -> float:
        return float(self.groups(w.size).norms(np.reshape(w, -1))[0]) if w.size else 0.0

    def dual_norm(self, v: np.ndarray) -> float:
        return self.norm(v)

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return prox_l2(w, step * self.lam, out=out, check_finite=False)

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        parts = Parts(self.groups(w.size), None, np.empty(0, dtype=np.int64))
        return ball_distance(w, grad, parts, np.array([self.lam]))

    def groups(self, n: int) -> Groups:
        return Groups(n, 1, size=n)


class Linf(Norm):
    """The maximum norm, ``lam * max_j |w_j|``.

    Parameters
    ----------
    lam : float, default=1.0
        Strength, not negative.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import Linf
    >>> Linf(2.0).prox(np.array([4.0, 3.0, -1.0]))
    array([ 2.5,  2.5, -1. ])
    """

    sign_invariant = True

    def __init__(self, lam: float = 1.0) -> None:
        self.lam = lam
        self._check()

    def norm(self, w: np.ndarray) -> float:
        return float(np.abs(as_float64(w)).max(initial=0.0))

    def dual_norm(self, v: np.ndarray) -> float:
        return float(np.abs(as_float64(v)).sum())

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return prox_linf(w, step * self.lam, out=out, check_finite=False)

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        flat, slope = as_float64(w).reshape(-1), as_float64(grad).reshape(-1)
        return np.array([linf_distance(flat, slope, self.lam)])
