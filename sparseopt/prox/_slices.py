"""Functions of a vector applied to whole arrays or along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sparseopt.prox._axis import check_axis
from sparseopt.prox._inputs import as_point

# Takes rows, where to write them, and marks (uint8) of rows that it leaves.
Together = Callable[[np.ndarray, np.ndarray, np.ndarray], None]
_FLOATS = (np.dtype(np.float64), np.dtype(np.float32))


def fast_point(x: Any) -> np.ndarray:
    """`as_point` without check of finiteness, and short for what needs no change."""
    if type(x) is np.ndarray and x.dtype in _FLOATS:
        flags = x.flags
        if flags.c_contiguous and flags.aligned:
            return x
    return as_point(x, finite=False)


def slice_length(x: np.ndarray, axis: int | None) -> int:
    """Entries of one problem: of all of x, or of a slice along `axis`."""
    if axis is None:
        return x.size
    check_axis(axis, x.ndim)
    return x.shape[axis]


def separate(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """A point that `out` does not overlap, unless they are the same entries."""
    if out is x or not np.may_share_memory(x, out):
        return x
    same = x.ctypes.data == out.ctypes.data and x.strides == out.strides
    return x if same else x.copy()


def map_slices(
    solve: Callable[[np.ndarray, np.ndarray], Any],
    x: np.ndarray,
    out: np.ndarray,
    axis: int | None,
    together: Together | None = None,
) -> list[Any]:
    """Call ``solve(vector, into)`` for each slice along `axis`, or for all as one.

    Both arguments are contiguous; what is put into the second ends up in `out`, which
    may share memory with `x`.  Returns what the calls return.  If there is a function
    `together` it is given all slices, as rows, before; only those it marks are solved
    one by one, and nothing is returned.
    """
    if out is not x:
        x = separate(x, out)
    if axis is None:
        if out.flags.c_contiguous:
            return [solve(x.reshape(-1), out.reshape(-1))]
        into = np.empty(x.size, dtype=out.dtype)
        result = [solve(x.reshape(-1), into)]
        out[...] = into.reshape(out.shape)
        return result
    check_axis(axis, x.ndim)
    moved = np.moveaxis(x, axis, -1)
    rows = np.ascontiguousarray(moved).reshape(-1, x.shape[axis])
    apart = axis in (-1, x.ndim - 1) and out.flags.c_contiguous
    apart = apart and not np.may_share_memory(x, out)
    into = out.reshape(rows.shape) if apart else np.empty_like(rows)
    if together is None:
        results = [solve(row, target) for row, target in zip(rows, into, strict=True)]
    else:
        left = np.zeros(len(rows), dtype=np.uint8)
        together(rows, into, left)
        results = []
        for row in np.flatnonzero(left):
            solve(rows[row], into[row])
    if not apart:
        np.moveaxis(out, axis, -1)[...] = into.reshape(moved.shape)
    return results
