"""Groups of coefficients as penalties have them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from sparseopt._core._arrays import plain_array
from sparseopt._core._params import Boolean, Interval, Options, Type
from sparseopt.prox._columns import plain_groups
from sparseopt.prox._groups import Groups
from sparseopt.prox._inputs import own
from sparseopt.prox._penalty import as_float64, nonnegative_array

STRUCTURE: dict[str, Iterable[Any]] = {
    "groups": [
        Interval(1, None, integer=True),
        Type(list, tuple, dict, np.ndarray, Groups),
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


def _plain(value: Any, name: str) -> Any:
    """Columns of data frames, ranges and arrays as arrays of our own, lists of them."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, range) or getattr(value, "ndim", 0) > 0:
        return np.array(plain_array(value, name))
    if isinstance(value, (list, tuple)):
        return type(value)(own(part) for part in value)
    return value


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
        self._given = plain_groups(groups)
        weights = _plain(weights, "weights")
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


def reduce_groups(ufunc: np.ufunc, groups: Groups, values: np.ndarray) -> np.ndarray:
    """Sums or maxima over the groups of a flat array."""
    if groups.size is not None:
        return ufunc.reduce(values.reshape(groups.m, groups.size), axis=1)
    return ufunc.reduceat(values[groups.indices], groups.indptr[:-1])
