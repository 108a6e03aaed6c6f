"""Arguments that all proximal functions share."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparseopt._core._arrays import as_floats, check_finite


def as_point(x: Any, *, finite: bool = True, name: str = "x") -> np.ndarray:
    """Array of any shape, float32 or float64, C-contiguous; a copy only if needed."""
    array = as_floats(x, name, ndim=None)
    array = array if array.ndim == 0 else contiguous(array)
    if finite and array.size:
        check_finite(array, name)
    return array


def contiguous(array: np.ndarray) -> np.ndarray:
    """The array itself or a C-contiguous copy."""
    if array.flags.c_contiguous or not has_few_rows(array):
        return np.ascontiguousarray(array)
    copy = np.empty(array.shape, dtype=array.dtype)
    assign(copy, array)
    return copy


def assign(target: np.ndarray, source: np.ndarray) -> None:
    """Copy, a few long rows one by one: numpy may go along the short columns."""
    if not has_few_rows(target):
        target[...] = source
        return
    for into, row in zip(target, source, strict=True):
        into[...] = row


def has_few_rows(array: np.ndarray) -> bool:
    """Whether a matrix has rows so long and so few that a loop over them is free."""
    return array.ndim == 2 and array.shape[0] <= min(32, array.shape[1] // 8)


def as_output(out: Any, like: np.ndarray) -> np.ndarray:
    """Where a result of ``like``'s shape and type goes: `out`, or a new array."""
    if out is None:
        return np.empty_like(like, order="C")
    if not isinstance(out, np.ndarray):
        raise TypeError(
            f"The 'out' parameter must be an array or None. Got {type(out).__name__}."
        )
    if out.shape != like.shape or out.dtype != like.dtype or not out.flags.writeable:
        raise ValueError(
            f"The 'out' array must be writeable, of shape {like.shape} and dtype "
            f"{like.dtype}. Got shape {out.shape}, dtype {out.dtype}, "
            f"writeable={out.flags.writeable}."
        )
    return out


def own(value: Any) -> Any:
    """A list or an array of indices as one that the caller's changes do not reach."""
    if isinstance(value, np.ndarray):
        return value.copy()
    return list(value) if isinstance(value, list) else value
