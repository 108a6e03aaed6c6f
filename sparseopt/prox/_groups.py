"""Disjoint groups of coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparseopt._core._arrays import plain_array
from sparseopt.prox._columns import (
    Labels,
    by_position,
    is_sequence,
    plain_groups,
    refuse_names,
)


class Groups:
    """Disjoint groups among `n` coordinates; those in no group are free.

    Use `Groups.of` to make them.

    Parameters
    ----------
    n, m : int
        Numbers of coordinates and of groups.
    size : int or None
        Groups are consecutive blocks of this size; then there are no index arrays.
    indices, indptr : ndarray of int64 or None
        Group j holds ``indices[indptr[j]:indptr[j + 1]]``.
    names : ndarray of str of shape (m,) or None
        Names of the groups: keys of a dictionary, labels that are strings.

    Examples
    --------
    >>> from sparseopt.prox import Groups
    >>> groups = Groups.of([[0, 3], [1]], 5)
    >>> groups.m, groups.sizes, groups.free
    (2, array([2, 1]), array([2, 4]))
    >>> Groups.of({"left": [0, 3], "right": [1]}, 5).names.tolist()
    ['left', 'right']
    """

    __slots__ = ("indices", "indptr", "m", "n", "names", "size")

    def __init__(
        self,
        n: int,
        m: int,
        size: int | None = None,
        indices: np.ndarray | None = None,
        indptr: np.ndarray | None = None,
        names: np.ndarray | None = None,
    ) -> None:
        self.n, self.m, self.size, self.names = n, m, size, names
        # index arrays are there where there is no block size
        self.indices: Any = indices
        self.indptr: Any = indptr

    @classmethod
    def of(cls, groups: Any, n: int, columns: Any = None) -> Groups:
        """Groups as users give them.

        None is a group for each coordinate, an int g consecutive blocks of g, a list or
        a dictionary of index arrays the groups themselves, an array of n integers or
        strings labels (a negative label is in no group); groups are in the order of the
        list, of the dictionary or of sorted labels.

        Parameters
        ----------
        groups : None, int, list or dict of index arrays, array of n labels or Groups
            What users give.  Names of columns may stand for their positions where
            `columns` are known, and a series of labels whose index holds names is then
            matched by name.
        n : int
            Number of coordinates.
        columns : sequence of str of length n, optional
            Names of the coordinates.

        Returns
        -------
        Groups
            The groups.
        """
        if isinstance(groups, cls):
            if groups.n != n:
                raise ValueError(
                    f"The 'groups' parameter is for {groups.n} coordinates. Got {n}."
                )
            return groups
        if groups is None:
            return cls(n, n, size=1)
        groups = plain_groups(groups)
        if columns is not None:
            groups = by_position(groups, columns)
        if isinstance(groups, (int, np.integer)) and not isinstance(groups, bool):
            return cls._blocks(int(groups), n)
        if isinstance(groups, Labels):
            return cls._labels(groups.labels, n)
        if isinstance(groups, dict):
            return cls._named(groups, n)
        if isinstance(groups, (list, tuple)) and any(map(is_sequence, groups)):
            return cls._lists(groups, n)
        return cls._labels(groups, n)

    @classmethod
    def _named(cls, groups: dict[Any, Any], n: int) -> Groups:
        if not groups:
            raise ValueError("The 'groups' parameter must hold a group. Got none.")
        found = cls._lists(list(groups.values()), n)
        found.names = np.array([str(name) for name in groups])
        return found

    @classmethod
    def _blocks(cls, size: int, n: int) -> Groups:
        if size < 1 or n % size:
            raise ValueError(
                "The 'groups' parameter, where it is a block size, must be a positive "
                f"divisor of the number of coordinates, {n}. Got {size}."
            )
        return cls(n, n // size, size=size)

    @classmethod
    def _lists(cls, groups, n: int) -> Groups:
        for part in groups:
            refuse_names(part)
        parts = [_as_indices(part, f"groups[{j}]") for j, part in enumerate(groups)]
        empty = [j for j, part in enumerate(parts) if not part.size]
        if empty:
            raise ValueError(
                "The 'groups' parameter must not hold an empty group. "
                f"Got one at position {empty[0]}."
            )
        indices = np.concatenate(parts).astype(np.int64)
        outside = (indices < 0) | (indices >= n)
        if outside.any():
            raise ValueError(
                f"The 'groups' parameter must hold indices in [0, {n - 1}]. "
                f"Got {indices[outside.argmax()]}."
            )
        counts = np.bincount(indices, minlength=n)
        if counts.max() > 1:
            raise ValueError(
                "The 'groups' parameter must hold disjoint groups. "
                f"Got index {counts.argmax()} {counts.max()} times."
            )
        indptr = np.cumsum([0, *map(len, parts)], dtype=np.int64)
        return cls(n, len(parts), indices=indices, indptr=indptr)

    @classmethod
    def _labels(cls, groups: Any, n: int) -> Groups:
        codes, names = _codes(groups)
        labels = _as_indices(codes, "groups")
        if labels.shape[0] != n:
            raise ValueError(
                "The 'groups' parameter, where it holds labels, must have one for each "
                f"of {n} coordinates. Got {labels.shape[0]}."
            )
        order = np.argsort(labels, kind="stable").astype(np.int64)
        order = order[np.count_nonzero(labels < 0) :]
        if not order.size:
            raise ValueError(
                "The 'groups' parameter must have a label that is not negative. "
                f"Got {n} negative ones."
            )
        found = labels[order]  # differences of labels would overflow
        starts = np.flatnonzero(np.append(True, found[1:] != found[:-1]))
        indptr = np.append(starts, order.shape[0]).astype(np.int64)
        return cls(n, starts.shape[0], indices=order, indptr=indptr, names=names)

    @property
    def sizes(self) -> np.ndarray:
        """Number of coordinates in each group, int64."""
        if self.size is not None:
            return np.full(self.m, self.size, dtype=np.int64)
        return np.diff(self.indptr)

    @property
    def free(self) -> np.ndarray:
        """Indices of the coordinates in no group."""
        if self.size is not None:
            return np.empty(0, dtype=np.int64)
        inside = np.zeros(self.n, dtype=bool)
        inside[self.indices] = True
        return np.flatnonzero(~inside)

    def lists(self) -> list[np.ndarray]:
        """Index array of each group.

        Returns
        -------
        list of ndarray
            The indices.
        """
        if self.size is not None:
            return list(np.arange(self.n).reshape(self.m, self.size))
        return np.split(self.indices, self.indptr[1:-1])

    def norms(self, x: np.ndarray) -> np.ndarray:
        """Euclidean norm of each group of a vector, without overflow.

        Parameters
        ----------
        x : ndarray of shape (n,)
            The vector.

        Returns
        -------
        ndarray of shape (m,)
            The norms, float64.
        """
        x = np.abs(np.asarray(x, dtype=np.float64))
        top = float(x.max(initial=0.0))
        if not 0.0 < top < np.inf:
            top = 1.0
        squares = (x / top) ** 2
        if self.size is not None:
            return top * np.sqrt(squares.reshape(self.m, self.size).sum(axis=1))
        return top * np.sqrt(np.add.reduceat(squares[self.indices], self.indptr[:-1]))

    def spread(self, values: np.ndarray, fill: float = 1.0) -> np.ndarray:
        """The value of its group for each coordinate; free ones get `fill`.

        Parameters
        ----------
        values : ndarray of shape (m,)
            A value for each group.
        fill : float, default=1.0
            The value of free coordinates.

        Returns
        -------
        ndarray of shape (n,)
            The values.
        """
        if self.size is not None:
            return np.repeat(values, self.size)
        out = np.full(self.n, fill, dtype=np.asarray(values).dtype)
        out[self.indices] = np.repeat(values, self.sizes)
        return out

    def weights(self, weights: Any) -> np.ndarray | None:
        """Group weights, from what users give.

        Parameters
        ----------
        weights : None, "sqrt", "size" or array_like of shape (m,)
            None is one, the words are functions of the groups' sizes.

        Returns
        -------
        ndarray of shape (m,) or None
            The weights, float64; None for ones.
        """
        if weights is None:
            return None
        if isinstance(weights, str):
            if weights not in ("sqrt", "size"):
                raise ValueError(
                    "The 'weights' parameter must be 'sqrt', 'size', an array or None. "
                    f"Got {weights!r}."
                )
            sizes = self.sizes.astype(np.float64)
            return np.sqrt(sizes) if weights == "sqrt" else sizes
        array = plain_array(weights, "weights")
        if array.dtype.kind not in "fiu":
            raise TypeError(
                f"The 'weights' array must hold real numbers. Got dtype {array.dtype}."
            )
        if array.shape != (self.m,):
            raise ValueError(
                f"The 'weights' array must have shape ({self.m},). Got {array.shape}."
            )
        array = np.ascontiguousarray(array, dtype=np.float64)
        if array.size and not (array.min() > 0 and array.max() < np.inf):
            j = int(np.argmin((array > 0) & (array < np.inf)))
            raise ValueError(
                "The 'weights' array must be positive and finite. "
                f"Got {array[j]} at index {j}."
            )
        return array


def _codes(labels: Any) -> tuple[Any, np.ndarray | None]:
    """Ranks of strings that are labels, and their names; anything else as it is."""
    array = np.asarray(labels)
    strings = array.dtype.kind in "OT" and all(isinstance(x, str) for x in array.flat)
    if array.ndim == 1 and array.size and (array.dtype.kind in "US" or strings):
        names, codes = np.unique(array.astype(str), return_inverse=True)
        return codes.astype(np.int64), names
    return labels, None


def _as_indices(value: Any, name: str) -> np.ndarray:
    array = np.asarray(value)
    if array.size == 0 and array.ndim == 1:
        return array.astype(np.int64)
    if array.dtype.kind == "O" and array.ndim == 1:
        if {type(x) for x in array} <= {int, *np.sctypeDict.values()}:
            array = np.array(array.tolist())  # a column of nullable integers
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise TypeError(
            f"The {name!r} parameter must be an int, labels, or a list of index "
            f"arrays. Got {array.dtype} of shape {array.shape}."
        )
    return array
