"""Problems of whole vectors: the array as one, or each slice along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sparseopt._core._arrays import check_finite
from sparseopt.prox._apply import is_apart
from sparseopt.prox._inputs import as_output, as_point, assign, contiguous

# Reads rows of one array and writes those of another, which may be the same one.
Rows = Callable[[np.ndarray, np.ndarray], None]

# The same where both are to be multiplied by two to the third argument.
ScaledRows = Callable[[np.ndarray, np.ndarray, int], None]


def sliced(
    solve: Rows, x: Any, axis: int | None, out: Any, finite: bool, name: str = "x"
) -> np.ndarray:
    """Apply `solve` to the rows of a C-contiguous matrix, one problem each."""
    array = as_point(x, finite=finite, name=name)
    result = as_output(out, array)
    if axis is not None:
        check_axis(axis, array.ndim)
    if not array.size:
        return result
    if axis is None or axis in (-1, array.ndim - 1):
        length = array.size if axis is None else array.shape[-1]
        same = result is x and result.flags.c_contiguous
        work = result if same or is_apart(result, array) else np.empty_like(array)
        solve(array.reshape(-1, length), work.reshape(-1, length))
        if work is not result:
            result[...] = work
        return result
    moved = np.moveaxis(array, axis, -1)
    rows = contiguous(moved).reshape(-1, moved.shape[-1])
    work = np.empty_like(rows) if np.may_share_memory(rows, array) else rows
    solve(rows, work)
    assign(np.moveaxis(result, axis, -1), work.reshape(moved.shape))
    return result


def check_axis(axis: int, ndim: int) -> None:
    """Raise an error if an array of so many dimensions has no such axis."""
    if not -ndim <= axis < ndim:
        raise ValueError(
            f"The 'axis' parameter must be an int in [{-ndim}, {ndim - 1}], or None. "
            f"Got {axis}."
        )


def finite_rows(solve: Rows, checked: bool) -> Rows:
    """The same for rows that may hold NaN or infinities: those become NaN."""
    if checked:
        return solve

    def careful(rows: np.ndarray, result: np.ndarray) -> None:
        good = np.isfinite(rows).all(axis=1)
        solve(np.where(good[:, None], rows, 0).astype(rows.dtype), result)
        result[~good] = np.nan

    return careful


def scaled_rows(solve: ScaledRows, limit: int = 900, shift: int = 600) -> Rows:
    """The same for any finite float64 rows, where sums of large entries may overflow.

    Rows with entries above ``2^limit`` are divided by ``2^shift`` before, and `solve`
    is told the shift: penalties scale along.
    """

    def careful(rows: np.ndarray, result: np.ndarray) -> None:
        moderate = rows.dtype != np.float64 or _has_finite_norm(rows)
        large = None if moderate else np.abs(rows).max(axis=1) > 2.0**limit
        if large is None or not large.any():
            solve(rows, result, 0)
            return
        for some, exponent in ((~large, 0), (large, shift)):
            if some.any():
                part = np.ldexp(rows[some], -exponent)
                target = np.empty_like(part)
                solve(part, target, exponent)
                result[some] = np.ldexp(target, exponent)

    return careful


def sliced_scaled(
    solve: ScaledRows,
    x: Any,
    axis: int | None,
    out: Any,
    finite: bool,
    limit: int = 900,
) -> np.ndarray:
    """`sliced` for `scaled_rows`; one pass tells whether any entry needs care."""
    array = as_point(x, finite=False)
    if finite and array.size:
        if _has_finite_norm(array):
            return sliced(lambda rows, to: solve(rows, to, 0), array, axis, out, False)
        check_finite(array, "x")
    return sliced(
        finite_rows(scaled_rows(solve, limit), finite), array, axis, out, False
    )


def _has_finite_norm(x: np.ndarray) -> bool:
    """Whether the sum of squares is finite: no entry is above 2^512, nor NaN."""
    with np.errstate(all="ignore"):
        return bool(np.vdot(x, x) < np.inf)
