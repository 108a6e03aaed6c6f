"""Sums of Euclidean norms of groups that form a tree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sparseopt._core._arrays import plain_array
from sparseopt._core._params import Boolean, Interval, Options, Type, public_name
from sparseopt._core._types import GroupWeights
from sparseopt.prox._columns import are_strings
from sparseopt.prox._penalties_group import GroupLasso
from sparseopt.prox._penalty import Norm, as_float64, float_type, rules


class TreeGroupLasso(Norm):
    """Sum of Euclidean norms of nested groups, ``lam * sum_j d_j ||w_j||``.

    Of any two groups, one contains the other or they have nothing in common.  A group
    that is zero takes all groups inside it along: coefficients are chosen from the root
    of a hierarchy to its leaves.

    Parameters
    ----------
    lam : float, default=1.0
        Strength, not negative.
    groups : sequence or dict of index arrays
        The groups, of coordinates or of rows where coefficients are a matrix, in any
        order; of names of columns, too, where an estimator is fitted to a data frame.
        Coordinates in no group are free.
    weights : "sqrt", "size", None or array_like of shape (m,), default="sqrt"
        Group weights d; the words are functions of the groups' sizes, None is 1.
    rows : bool, default=False
        Whether the columns of a matrix of coefficients belong to the same groups; else
        each column has its own.

    Raises
    ------
    ValueError
        If two groups have some coordinates in common, but not all of one of them.

    See Also
    --------
    prox_tree : The operator for groups that are sorted into levels.
    sparseopt.linear_model.overlapping_group_lasso : Groups that overlap otherwise.

    Notes
    -----
    The prox is that of each group in turn, from the leaves to the root.  There is no
    formula for the dual norm, which takes a few evaluations of the prox.

    References
    ----------
    .. [1] R. Jenatton, J. Mairal, G. Obozinski, F. Bach, "Proximal methods for
       hierarchical sparse coding", JMLR, 2011, Section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import TreeGroupLasso
    >>> penalty = TreeGroupLasso(1.0, groups=[[0, 1, 2], [1, 2], [2]], weights=None)
    >>> penalty.prox(np.array([3.0, 1.0, 0.5]))
    array([2., 0., 0.])
    """

    sign_invariant = True
    _rules = rules(
        lam=[Interval(0, None)],
        groups=[Type(Sequence, dict)],
        weights=[Options("sqrt", "size"), Type(np.ndarray, list, tuple), None],
        rows=[Boolean],
    )

    def __init__(
        self,
        lam: float = 1.0,
        *,
        groups: Sequence[Any] | dict[str, Any],
        weights: GroupWeights = "sqrt",
        rows: bool = False,
    ) -> None:
        self.lam, self.rows, self.weights = lam, rows, weights
        self._given = groups
        self._check()
        lists = list(groups.values()) if isinstance(groups, dict) else groups
        # names of columns stand for their positions until those are known
        named, lists = _numbered(lists)
        parts = _index_arrays(lists)
        heights = _heights(parts)
        d = _weights(weights, parts)
        given = [named[part] if named.size else part for part in parts]
        self._given = [part.tolist() for part in given]
        if isinstance(groups, dict):
            self._given = dict(zip(groups, self._given, strict=True))
        self._levels = [
            GroupLasso(
                1.0,
                groups=[given[j] for j in np.flatnonzero(heights == height)],
                weights=d[heights == height],
                rows=rows,
            )
            for height in range(int(heights.max()) + 1)
        ]

    def _parameter(self, name: str) -> Any:
        return self._given if name == "groups" else getattr(self, name)

    def norm(self, w: np.ndarray) -> float:
        return sum(level.norm(w) for level in self._levels)

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        if out is None:
            out = np.empty(w.shape, dtype=float_type(w))
        self._levels[0].prox(w, step * self.lam, out)
        for level in self._levels[1:]:
            level.prox(out, step * self.lam, out)
        return out

    def conjugate(self, v: np.ndarray) -> float:
        if np.isnan(v).any():
            return math.nan
        # the dual ball is what the prox takes to zero
        return math.inf if np.any(self.prox(as_float64(v))) else 0.0

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        w, rest = as_float64(w), -as_float64(grad)
        zero: list[np.ndarray] = []
        for level in self._levels:
            parts = level.parts(w.shape)
            norms = parts.groups.norms(w.reshape(-1))
            active = norms > 0
            d = np.ones(norms.shape) if parts.weights is None else parts.weights
            ratio = np.divide(d, norms, out=np.zeros_like(norms), where=active)
            pull = parts.per_entry(self.lam * ratio).reshape(w.shape)
            rest = rest - pull * w
            zero.append(np.where(active, 0.0, self.lam * d))
        # Groups that are zero have the balls of their radii: what those cannot take
        # up is what the prox of their norms leaves.
        flat = rest.reshape(-1)
        for level, radius in zip(self._levels, zero, strict=True):
            groups = level.parts(w.shape).groups
            norms = groups.norms(flat)
            some = norms > radius
            left = np.divide(radius, norms, out=np.ones_like(norms), where=some)
            flat = flat * groups.spread(np.where(some, 1.0 - left, 0.0), fill=1.0)
        return np.array([float(np.linalg.norm(flat))])


def _numbered(groups: Sequence[Any]) -> tuple[np.ndarray, Sequence[Any]]:
    """Names of columns, if there are any, and the groups of their positions."""
    arrays = [np.asarray(group) for group in groups]
    if not any(array.size and are_strings(array) for array in arrays):
        return np.empty(0, dtype=str), groups
    names = np.unique(np.concatenate([array.astype(str) for array in arrays]))
    return names, [np.searchsorted(names, array.astype(str)) for array in arrays]


def _index_arrays(groups: Sequence[Any]) -> list[np.ndarray]:
    owner = public_name(TreeGroupLasso)
    if not len(groups):
        raise ValueError(
            f"The 'groups' parameter of {owner} must hold a group. Got an empty list."
        )
    parts = []
    for j, group in enumerate(groups):
        part = np.asarray(group)
        if part.ndim != 1 or part.dtype.kind not in "iu" or not part.size:
            raise (TypeError if part.size else ValueError)(
                f"The 'groups' parameter of {owner} must hold index arrays, none of "
                f"them empty. Got {part.dtype} of shape {part.shape} at position {j}."
            )
        sorted_part = np.sort(part).astype(np.int64)
        twice = np.flatnonzero(np.diff(sorted_part) == 0)
        if sorted_part[0] < 0 or twice.size:
            what = sorted_part[twice[0]] if twice.size else sorted_part[0]
            raise ValueError(
                f"The 'groups' parameter of {owner} must hold different indices, not "
                f"negative, in each group. Got {what} in group {j}."
            )
        parts.append(sorted_part)
    return parts


def _heights(parts: list[np.ndarray]) -> np.ndarray:
    """Steps of each group to the farthest leaf below; ValueError if it is no tree."""
    heights = np.zeros(len(parts), dtype=np.int64)
    top = np.full(1 + max(int(part[-1]) for part in parts), -1)
    for j in sorted(range(len(parts)), key=lambda j: parts[j].size):
        below, counts = np.unique(top[parts[j]], return_counts=True)
        for other, count in zip(below, counts, strict=True):
            if other < 0:
                continue
            if count != parts[other].size:
                common = np.intersect1d(parts[j], parts[other])[0]
                raise ValueError(
                    f"The 'groups' parameter of {public_name(TreeGroupLasso)} must be "
                    "a tree: of two groups one contains the other, or they have "
                    f"nothing in common. Got groups {other} and {j}, which share only "
                    f"some of their indices, such as {common}. See "
                    "sparseopt.linear_model.overlapping_group_lasso for these."
                )
            heights[j] = max(heights[j], heights[other] + 1)
        top[parts[j]] = j
    return heights


def _weights(weights: Any, parts: list[np.ndarray]) -> np.ndarray:
    sizes = np.array([part.size for part in parts], dtype=np.float64)
    if weights is None:
        return np.ones_like(sizes)
    if isinstance(weights, str):
        return np.sqrt(sizes) if weights == "sqrt" else sizes
    array = plain_array(weights, "weights")
    if array.dtype.kind not in "fiu" or array.shape != sizes.shape:
        raise (ValueError if array.dtype.kind in "fiu" else TypeError)(
            f"The 'weights' array of {public_name(TreeGroupLasso)} must hold one real "
            f"number for each of {len(parts)} groups. Got {array.dtype} of shape "
            f"{array.shape}."
        )
    array = array.astype(np.float64)
    bad = ~((array > 0) & (array < np.inf))
    if bad.any():
        raise ValueError(
            f"The 'weights' array of {public_name(TreeGroupLasso)} must be positive "
            f"and finite. Got {array[bad.argmax()]} at index {bad.argmax()}."
        )
    return array
