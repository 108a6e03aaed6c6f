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
