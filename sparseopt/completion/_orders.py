"""Entries from sorted rows: the order by columns beside the order by rows."""

from __future__ import annotations

import numpy as np

from sparseopt.completion._layout import count, transpose
from sparseopt.completion._problem import Entries, Side


def both_orders(
    shape: tuple[int, int],
    ptr: np.ndarray,
    idx: np.ndarray,
    val: np.ndarray,
    weight: np.ndarray | None = None,
    n_threads: int = 1,
) -> Entries:
    """Entries from sorted rows; one counting sort makes the order by columns."""
    m, n = shape
    tptr = np.empty(n + 1, np.int64)
    count(idx, n, tptr)
    wide = len(idx) >= np.iinfo(np.int32).max
    perm = np.empty(len(idx), np.int64 if wide else np.int32)
    tidx, tval = np.empty_like(idx), np.empty_like(val)
    transpose(ptr, idx, val, tptr[:-1].copy(), tidx, tval, perm)
    tweight = None if weight is None else weight[perm]
    return Entries(
        (m, n),
        Side(ptr, idx, val, weight),
        Side(tptr, tidx, tval, tweight),
        perm,
        n_threads,
    )


# Plain forms of what the counting sorts will do.


def from_csr(
    ptr: np.ndarray,
    idx: np.ndarray,
    val: np.ndarray,
    shape: tuple[int, int],
    *,
    weight: np.ndarray | None = None,
    duplicates: str = "raise",
    n_threads: int = 1,
) -> Entries:
    """Entries from rows in any order."""
    rows = np.repeat(np.arange(shape[0]), np.diff(ptr))
    return from_triplets(
        rows, idx, val, shape, weight=weight, duplicates=duplicates, n_threads=n_threads
    )


def from_triplets(
    rows: np.ndarray,
    cols: np.ndarray,
    values: np.ndarray,
    shape: tuple[int, int],
    *,
    weight: np.ndarray | None = None,
    duplicates: str = "raise",
    n_threads: int = 1,
) -> Entries:
    """Entries from rows, columns and values in any order."""
    for name, ids, size in (("rows", rows, shape[0]), ("cols", cols, shape[1])):
        bad = np.flatnonzero((ids < 0) | (ids >= size))
        if len(bad):
            raise ValueError(
                f"The {name!r} array must hold indices in [0, {size}). "
                f"Got {ids[bad[0]]} at position {bad[0]}."
            )
    order = np.lexsort((cols, rows))
    i, j = rows[order], cols[order]
    same = np.flatnonzero((np.diff(i) == 0) & (np.diff(j) == 0))
    if len(same):
        raise ValueError(
            f"The entry ({i[same[0]]}, {j[same[0]]}) is given more than once; "
            "duplicates may be 'sum', 'last' or 'mean'."
        )
    ptr = np.concatenate([[0], np.cumsum(np.bincount(i, minlength=shape[0]))])
    weight = None if weight is None else weight[order]
    ptr, j = ptr.astype(np.int64), j.astype(np.int32)
    return both_orders(shape, ptr, j, values[order], weight, n_threads)
