"""Arrays of other libraries that the kernels fit: to NumPy's, and back.

On the way there memory is shared where it is the host's; on the way back too, where
nothing else holds what a result is made of.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from sparseopt._core._array_api import from_numpy_like, is_on_host, to_numpy
from sparseopt.completion._portable_entries import check_beside, library_of, parts_of
from sparseopt.completion._result import CompletionResult

# What a result has in the caller's library.
_ARRAYS = (
    "U", "s", "V", "row_bias", "col_bias", "outlier_mask", "held_out_mask",
    "underdetermined_rows", "underdetermined_cols",
)  # fmt: skip


def lies_on_host(X: Any, weights: Any) -> bool:
    """Whether no array of X, and not the weights, lies on a device."""
    arrays = (*parts_of(X).values(), weights)
    return all(is_on_host(x) for x in arrays if library_of(x))


def to_host(given: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Arguments of a fit with "X" and "weights" for the host.

    Returns
    -------
    given : dict
        The same, with NumPy arrays in the place of other libraries'.
    like : array or None
        One of the caller's, None if X is made of NumPy's or of no arrays: then nothing
        is changed.
    """
    parts = parts_of(given["X"])
    like = next((x for x in parts.values() if library_of(x)), None)
    if like is None:
        return given, None
    host = {}
    for name, x in {**parts, "weights": given["weights"]}.items():
        if library_of(x):
            check_beside(x, like, name)
        host[name] = to_numpy(x) if library_of(x) else x
    weights = host.pop("weights")
    arrays = tuple(host.values())
    X = arrays if isinstance(given["X"], tuple) else arrays[0]
    return {**given, "X": X, "weights": weights}, like


def in_library(result: CompletionResult, like: Any) -> CompletionResult:
    """A result with arrays of the library of ``like``, floats in the type of U."""
    if like is None:
        return result
    found = {name: getattr(result, name) for name in _ARRAYS}
    return replace(
        result,
        **{
            name: from_numpy_like(_typed(x, result.U.dtype), like)
            for name, x in found.items()
            if x is not None
        },
    )


def _typed(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return x.astype(dtype, copy=False) if x.dtype.kind == "f" else x
