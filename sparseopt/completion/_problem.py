"""Observed entries of a matrix in both orders, and the factors that fit them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sparseopt.completion._kernels import LINE, aligned, product_rows, spmm_rows

# Nanoseconds that one entry costs for each number of a factor row, and a row besides.
_ENTRY_NS, _ROW_NS = 0.15, 100.0
# Entries that sums in float64 take at a time: no array of the size of the data is made.
_BLOCK = 1 << 17


@dataclass(frozen=True)
class Side:
    """Entries by row (or by column): row i has those at ``ptr[i]`` to ``ptr[i + 1]``.

    Parameters
    ----------
    ptr : ndarray of shape (n_rows + 1,), int64
    idx : ndarray of shape (n_entries,), int32
        Column of each entry, ascending within a row.
    val : ndarray of shape (n_entries,), float32 or float64
    weight : ndarray of shape (n_entries,) or None
        Weights of the squared errors; None is 1.
    """

    ptr: np.ndarray
    idx: np.ndarray
    val: np.ndarray
    weight: np.ndarray | None = None

    @property
    def n_rows(self) -> int:
        return len(self.ptr) - 1

    def chunks(self, width: int, n_threads: int) -> np.ndarray:
        """Ranges of rows of about equal work, the heaviest first.

        A row is never cut and is solved by one thread: results do not depend on the
        number of threads.
        """
        if n_threads == 1:
            return np.array([[0, self.n_rows]], np.int64)
        work = _ENTRY_NS * width * self.ptr + _ROW_NS * np.arange(len(self.ptr))
        n_chunks = int(min(32 * n_threads, max(1, self.n_rows)))
        cuts = np.searchsorted(work, np.linspace(0, work[-1], n_chunks + 1))
        cuts[0], cuts[-1] = 0, self.n_rows
        cuts = np.unique(cuts)
        order = np.argsort(-np.diff(work[cuts]), kind="stable")
        return np.stack([cuts[:-1], cuts[1:]], axis=1)[order].astype(np.int64)


@dataclass(frozen=True, repr=False)
class Entries:
    """Observed entries of an (m, n) matrix in both orders.

    ``perm`` gives, for each entry in column order, its place in row order.
    """

    shape: tuple[int, int]
    rows: Side
    cols: Side
    perm: np.ndarray
    n_threads: int = 1
    _chunks: dict[tuple[bool, int], np.ndarray] = field(default_factory=dict)

    def __repr__(self) -> str:
        weighted = ", weighted" if self.rows.weight is not None else ""
        return (
            f"Entries(shape={self.shape}, n_entries={self.n_entries}, "
            f"dtype={self.dtype}{weighted})"
        )

    @property
    def n_entries(self) -> int:
        return len(self.rows.idx)

    @property
    def dtype(self) -> np.dtype:
        return self.rows.val.dtype

    def side(self, transposed: bool) -> Side:
        return self.cols if transposed else self.rows

    def chunks(self, transposed: bool, width: int) -> np.ndarray:
        key = (transposed, width)
        if key not in self._chunks:
            self._chunks[key] = self.side(transposed).chunks(width, self.n_threads)
        return self._chunks[key]

    def transpose(self) -> Entries:
        """The entries of the transposed matrix, sharing all but the permutation."""
        inverse = np.empty_like(self.perm)
        inverse[self.perm] = np.arange(len(self.perm), dtype=self.perm.dtype)
        n, m = self.shape
        return Entries((m, n), self.cols, self.rows, inverse, self.n_threads)

    def with_values(self, values: np.ndarray, weight: Any = None) -> Entries:
        """The same places with other values and weights, both in row order."""
        rows = replace(self.rows, val=values, weight=weight)
        cols = replace(
            self.cols,
            val=values[self.perm],
            weight=None if weight is None else weight[self.perm],
        )
        return replace(self, rows=rows, cols=cols)

    def astype(self, dtype: Any) -> Entries:
        """The same entries in another type; places are shared."""

        def cast(side: Side) -> Side:
            w = None if side.weight is None else side.weight.astype(dtype)
            return replace(side, val=side.val.astype(dtype), weight=w)

        return replace(self, rows=cast(self.rows), cols=cast(self.cols), _chunks={})

    def multiply(
        self, values: np.ndarray | None, V: np.ndarray, transposed: bool
    ) -> Any:
        """Sparse matrix of ``values`` (in row order; None: the entries) times V."""
        side = self.side(transposed)
        Y = aligned((side.n_rows, V.shape[1]), V.dtype, np.empty)
        if values is None:
            values = side.val
        elif transposed:
            values = values[self.perm]
        spmm_rows(
            side.ptr,
            side.idx,
            values,
            V,
            Y,
            self.chunks(transposed, V.shape[1]),
            self.n_threads,
        )
        return Y

    def residual(self, U: np.ndarray, V: np.ndarray) -> tuple[np.ndarray, float]:
        """Errors ``x - U_i.V_j`` in row order, and their weighted sum of squares."""
        r = np.empty(self.n_entries, V.dtype)
        rss = np.zeros(self.shape[0])
        side = self.rows
        chunks = self.chunks(False, V.shape[1])
        product_rows(
            side.ptr,
            side.idx,
            side.val,
            None,
            V,
            U,
            r,
            None,
            rss,
            chunks,
            self.n_threads,
        )
        if side.weight is None:
            return r, float(rss.sum())
        return r, float(np.sum(side.weight * np.square(r, dtype=np.float64)))


def padded(k: int, dtype: Any) -> int:
    """Width of factor rows for rank k: whole cache lines."""
    lanes = LINE // np.dtype(dtype).itemsize
    return -(-k // lanes) * lanes


def sum_squares(values: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Weighted sum of squares, added up in float64."""
    parts = []
    for at in range(0, len(values), _BLOCK):
        part = np.square(values[at : at + _BLOCK], dtype=np.float64)
        if weight is not None:
            part *= weight[at : at + _BLOCK]
        parts.append(float(part.sum()))
    return math.fsum(parts)
