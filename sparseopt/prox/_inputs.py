"""Arguments that all proximal functions share."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparseopt._core._arrays import as_floats, check_finite


def as_point(x: Any, *, finite: bool = True, name: str = "x") -> np.ndarray:
    """Array of any shape, float32 or float64, C-contiguous; a copy only if needed."""
    array = as_floats(x, name, ndim=None, order="C")
    if finite and array.size:
        check_finite(array, name)
    return array


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
