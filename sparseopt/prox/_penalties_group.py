"""Penalties built from Euclidean norms of groups."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from sparseopt._core._params import Boolean, Interval, Options, Type
from sparseopt.prox._group import (
    prox_group_lasso,
    prox_group_linf,
    prox_l2,
    prox_linf,
    prox_sparse_group_lasso,
)
from sparseopt.prox._groups import Groups
from sparseopt.prox._penalties_separable import SHARE, as_float64
from sparseopt.prox._penalty import LEVEL, Norm, nonnegative_array, rules
from sparseopt.prox._simplex import project_l1_ball, project_simplex

STRUCTURE: dict[str, Iterable[Any]] = {
    "groups": [
        Interval(1, None, integer=True),
        Type(list, tuple, np.ndarray, Groups),
        None,
    ],
    "weights": [Options("sqrt", "size"), Type(np.ndarray, list, tuple), None],
    "rows": [Boolean],
}


class Parts(NamedTuple):
    """Groups over the flattened coefficients of one shape, with their weights."""

    groups: Groups
    weights: np.ndarray | None
    free: np.ndarray

    def per_entry(self, values: np.ndarray, fill: float = 0.0) -> np.ndarray:
        """The value of its group for each flattened entry."""
        return self.groups.spread(values, fill=fill)


class GroupStructure:
    """The parameters `groups`, `weights` and `rows` of group penalties.

    Groups are groups of rows of the coefficients.  With `rows` the columns of a matrix
    of coefficients are in the same group, without each column has groups of its own.
    """

    rows: bool
    _given: Any
    weights: Any

    def _store_groups(self, groups: Any, weights: Any, rows: bool) -> None:
        # the name `groups` is that of a method of the protocol
        self._given = groups.copy() if isinstance(groups, np.ndarray) else groups
        if isinstance(weights, (np.ndarray, list, tuple)):
            weights = nonnegative_array(type(self), "weights", weights, positive=True)
        self.weights, self.rows = weights, rows
        self._cached: dict[tuple[int, ...], Parts] = {}

    def _parameter(self, name: str) -> Any:
        return self._given if name == "groups" else getattr(self, name)

    def parts(self, shape: tuple[int, ...]) -> Parts:
        """Groups and weights over the flattened coefficients of a shape.

        Parameters
        ----------
        shape : tuple of int
            Shape of the coefficients.

        Returns
        -------
        Parts
            Groups, their weights or None, and the entries in no group.
        """
        parts = self._cached.get(shape)
        if parts is None:
            if len(self._cached) > 3:
                self._cached.clear()
            parts = self._cached[shape] = self._make_parts(shape)
        return parts

    def _make_parts(self, shape: tuple[int, ...]) -> Parts:
        base = Groups.of(self._given, shape[0] if shape else 1)
        weights = base.weights(self.weights)
        columns = math.prod(shape[1:])
        if columns == 1 or len(shape) < 2:
            return Parts(base, weights, base.free)
        if self.rows:
            groups = _joined(base, columns)
        else:
            groups = _repeated(base, columns)
            weights = None if weights is None else np.repeat(weights, columns)
        return Parts(groups, weights, groups.free)

    def groups(self, n: int) -> Groups:
        return self.parts((n,)).groups

    def _norms(self, x: np.ndarray) -> tuple[Parts, np.ndarray]:
        parts = self.parts(x.shape)
        return parts, parts.groups.norms(x.reshape(-1))


def _joined(base: Groups, columns: int) -> Groups:
    """Groups of whole rows of a matrix, over its entries."""
    n = base.n * columns
    if base.size is not None:
        return Groups(n, base.m, size=base.size * columns)
    indices = (base.indices[:, None] * columns + np.arange(columns)).reshape(-1)
    return Groups(n, base.m, indices=indices, indptr=base.indptr * columns)


def _repeated(base: Groups, columns: int) -> Groups:
    """The same groups of rows in each column, group by group, over the entries."""
    n = base.n * columns
    if base.size == 1:
        return Groups(n, n, size=1)
    labels = base.spread(np.arange(base.m), fill=-1)[:, None]
    own = np.where(labels < 0, -1, labels * columns + np.arange(columns))
    return Groups.of(own.reshape(-1), n)


def times(level: float, weights: np.ndarray | None, m: int) -> np.ndarray:
    """Levels of m groups."""
    return np.full(m, level) if weights is None else level * weights


def ball_distance(
    w: np.ndarray, grad: np.ndarray, parts: Parts, level: np.ndarray
) -> np.ndarray:
    """Distance of -grad to the subdifferential of ``sum_j level_j ||w_j||``.

    First the groups, then the free entries.
    """
    flat, slope = as_float64(w).reshape(-1), as_float64(grad).reshape(-1)
    norms = parts.groups.norms(flat)
    active = norms > 0
    ratio = np.divide(level, norms, out=np.zeros_like(norms), where=active)
    distance = parts.groups.norms(slope + parts.per_entry(ratio) * flat)
    distance[~active] = np.maximum(distance[~active] - level[~active], 0.0)
    return np.append(distance, np.abs(slope[parts.free]))


class GroupLasso(GroupStructure, Norm):
    """Sum of Euclidean norms of groups, ``lam * sum_j d_j ||w_j||``.

    Parameters
    ----------
    lam : float, default=1.0
        Strength, not negative.
    groups : None, int, list of index arrays or array of n labels, default=None
        Disjoint groups of coordinates, or of rows where coefficients are a matrix.
        None: each of its own; an int: consecutive blocks of this size.  Coordinates in
        no group are free.
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
        groups: Any = None,
        weights: Any = "sqrt",
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
        groups: Any = None,
        weights: Any = "sqrt",
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
    convex left side: Newton's method comes down to the largest s.
    """
    groups = parts.groups
    top = float(size.max(initial=0.0))
    if not 0.0 < top < math.inf:
        return top
    size = size / top
    highest = _reduce(np.maximum, groups, size)
    some = highest > 0
    inverse = np.divide(share + radius, highest, out=np.zeros(groups.m), where=some)
    for _ in range(100):
        over = np.maximum(parts.per_entry(inverse) * size - share, 0.0)
        norm = np.sqrt(_reduce(np.add, groups, over * over))
        slope = _reduce(np.add, groups, over * size)  # times the norm
        excess = (norm - radius) * norm
        change = np.divide(excess, slope, out=np.zeros(groups.m), where=excess > 0)
        if not np.any(change > 4e-16 * inverse):
            break
        inverse -= change
    return top / float(inverse[some].min())


def _reduce(ufunc: np.ufunc, groups: Groups, values: np.ndarray) -> np.ndarray:
    """Sums or maxima over the groups of a flat array."""
    if groups.size is not None:
        return ufunc.reduce(values.reshape(groups.m, groups.size), axis=1)
    return ufunc.reduceat(values[groups.indices], groups.indptr[:-1])


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
        groups: Any = None,
        weights: Any = None,
        rows: bool = False,
    ) -> None:
        self.lam = lam
        self._store_groups(groups, weights, rows)
        self._check()

    def norm(self, w: np.ndarray) -> float:
        parts = self.parts(w.shape)
        size = np.abs(as_float64(w)).reshape(-1)
        tops = _reduce(np.maximum, parts.groups, size)
        return float(tops.sum() if parts.weights is None else tops @ parts.weights)

    def dual_norm(self, v: np.ndarray) -> float:
        parts = self.parts(v.shape)
        size = np.abs(as_float64(v)).reshape(-1)
        if np.any(size[parts.free]):
            return math.inf
        sums = _reduce(np.add, parts.groups, size)
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
