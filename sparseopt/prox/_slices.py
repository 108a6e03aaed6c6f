"""Functions of a vector applied to whole arrays or along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sparseopt.prox._axis import check_axis
from sparseopt.prox._inputs import as_point, assign, contiguous, has_few_rows

# Takes rows, where to write them, and marks (uint8) of rows that it leaves.
Together = Callable[[np.ndarray, np.ndarray, np.ndarray], None]
_MUCH = 2_000_000  # entries for which the kernels start threads
_FLOATS = (np.dtype(np.float64), np.dtype(np.float32))


def fast_point(x: Any) -> np.ndarray:
    """`as_point` without check of finiteness, short for what needs no change.

    A matrix with few rows may have any strides.
    """
    if type(x) is np.ndarray and x.dtype in _FLOATS:
        flags = x.flags
        if flags.aligned and (flags.c_contiguous or has_few_rows(x)):
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
    few = has_few_rows(moved) and moved.size <= _MUCH
    if together is not None and few and not moved.flags.c_contiguous:
        _map_rows(solve, moved, np.moveaxis(out, axis, -1), together)
        return []
    rows = contiguous(moved).reshape(-1, x.shape[axis])
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
        assign(np.moveaxis(out, axis, -1), into.reshape(moved.shape))
    return results


def _map_rows(
    solve: Callable[[np.ndarray, np.ndarray], Any],
    x: np.ndarray,
    out: np.ndarray,
    together: Together,
) -> None:
    """`map_slices` row by row: copies of single rows stay in a cache."""
    left = np.zeros(1, dtype=np.uint8)
    for source, target in zip(x, out, strict=True):
        row = np.ascontiguousarray(source)
        apart = target.flags.c_contiguous and not np.may_share_memory(row, target)
        into = target if apart else np.empty_like(row)
        left[0] = 0
        together(row[None], into[None], left)
        if left[0]:
            solve(row, into)
        if into is not target:
            target[...] = into
