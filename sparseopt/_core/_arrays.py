"""Array arguments as NumPy arrays that kernels can use, or an error that says why not.

Nothing is copied that does not have to be, and nothing is modified.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike
from scipy import sparse

from sparseopt._core._array_api import to_numpy

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
# Elements looked at together when a value that is not finite has to be found.
_BLOCK = 1 << 16


def as_matrix(
    x: Any,
    name: str,
    *,
    dtype: DTypeLike | None = None,
    order: Literal["C", "F"] | None = None,
) -> np.ndarray:
    """Finite matrix with at least one row and column, float32 or float64.

    Both types are kept if ``dtype`` is None, and any layout if ``order`` is None.
    """
    array = as_floats(x, name, ndim=2, dtype=dtype, order=order)
    check_finite(array, name)
    return array


def as_vector(
    x: Any, name: str, n: int | None = None, *, dtype: DTypeLike | None = None
) -> np.ndarray:
    """Finite vector, float32 or float64, of length ``n`` if that is given."""
    array = as_floats(x, name, ndim=1, dtype=dtype, order=None)
    if n is not None and array.shape[0] != n:
        raise ValueError(
            f"The {name!r} array must have length {n}. Got length {array.shape[0]}."
        )
    check_finite(array, name)
    return array


def as_distribution(
    x: Any, n: int, name: str, *, dtype: DTypeLike | None = None
) -> np.ndarray:
    """Vector of ``n`` non-negative weights with a positive sum; None is uniform.

    The weights are not normalised.
    """
    if x is None:
        return np.full(n, 1 / n, dtype=_float_type(np.dtype(np.float64), dtype))
    array = as_vector(x, name, n, dtype=dtype)
    lowest = int(array.argmin())
    if array[lowest] < 0:
        raise ValueError(
            f"The {name!r} array must not be negative. "
            f"Got {array[lowest]} at index {lowest}."
        )
    with np.errstate(over="ignore"):
        total = array.sum()
    if not 0 < total < np.inf:
        raise ValueError(
            f"The {name!r} array must have a positive and finite sum. Got {total}."
        )
    return array


def as_floats(
    x: Any,
    name: str,
    *,
    ndim: int | None,
    dtype: DTypeLike | None = None,
    order: Literal["C", "F"] | None = None,
) -> np.ndarray:
    """Array of floats, NaN allowed; of any shape, empty too, if ``ndim`` is None."""
    array = _as_numpy(x, name)
    target = _float_type(_check_type(array, name), dtype)
    if ndim is not None:
        _check_shape(array, name, ndim)
    with np.errstate(over="ignore"):  # infinities are reported with their place
        array = np.asarray(array, dtype=target, order=order)
    return array if array.flags.aligned else array.copy()


def _as_numpy(x: Any, name: str) -> np.ndarray:
    if sparse.issparse(x):
        raise TypeError(
            f"The {name!r} array must be dense. Got a {type(x).__name__}; "
            f"convert it with {name}.toarray()."
        )
    if np.ma.isMaskedArray(x):
        if np.ma.is_masked(x):
            raise ValueError(
                f"The {name!r} array must not have masked entries. "
                f"Got {np.ma.count_masked(x)} of them; fill them first."
            )
        return np.asarray(x.data)
    if isinstance(x, np.ndarray):
        return np.asarray(x)
    if hasattr(x, "__dlpack__"):
        return to_numpy(x)
    array = plain_array(x, name)
    if array.dtype == object and _has_numbers(x):  # as sklearn does, missing is NaN
        return np.asarray(x.to_numpy(dtype=np.float64, na_value=np.nan))
    return array


def plain_array(x: Any, name: str) -> np.ndarray:
    """What NumPy makes of x, of any type; ragged lists are an error."""
    try:
        return np.asarray(x)
    except ValueError as error:
        raise ValueError(
            f"The {name!r} array must have rows of equal length. "
            f"Got a {type(x).__name__} that no array can be made of."
        ) from error


def _has_numbers(x: Any) -> bool:
    """Whether this is a data frame, or a column of one, of nullable numbers."""
    types = np.ravel(np.asarray(getattr(x, "dtypes", None), dtype=object))
    kinds = {getattr(dtype, "kind", "O") for dtype in types}
    return hasattr(x, "to_numpy") and kinds <= set("fiub")


def _check_type(array: np.ndarray, name: str) -> np.dtype:
    kind = array.dtype.kind
    if kind == "c":
        raise ValueError(
            f"The {name!r} array must be real. Complex data not supported; "
            f"got {array.dtype}."
        )
    if kind not in "fiub":
        raise TypeError(
            f"The {name!r} array must hold real numbers. Got dtype {array.dtype}."
        )
    return array.dtype


def _float_type(found: np.dtype, wanted: DTypeLike | None) -> np.dtype:
    """Native type to use: ``wanted``, else float32 for what fits in it as a float."""
    if wanted is not None:
        target = np.dtype(wanted)
        if target not in FLOATS:
            raise ValueError(f"dtype must be float32 or float64. Got {target}.")
        return target
    return FLOATS[not (found.kind == "f" and found.itemsize <= 4)]


def _check_shape(array: np.ndarray, name: str, ndim: int) -> None:
    if array.ndim != ndim:
        raise ValueError(
            f"The {name!r} array must have {ndim} dimension{'s' * (ndim > 1)}. "
            f"Got {array.ndim}, shape {array.shape}."
        )
    if 0 in array.shape:
        raise ValueError(
            f"The {name!r} array must not be empty. Got shape {array.shape}."
        )


def check_finite(array: np.ndarray, name: str) -> None:
    """Raise an error that names the first entry that is NaN or infinite."""
    # One pass and no array of booleans: a NaN or an infinity survives in the sum.
    with np.errstate(all="ignore"):
        if np.isfinite(array.sum()):
            return
    if not array.ndim:
        raise ValueError(f"The {name!r} array must be finite. Got {array[()]}.")
    index = _first_not_finite(array)
    if index is not None:  # else only the sum overflowed
        place = index if array.ndim > 1 else index[0]
        raise ValueError(
            f"The {name!r} array must be finite. Got {array[index]} at index {place}."
        )


def _first_not_finite(array: np.ndarray) -> tuple[int, ...] | None:
    """Smallest index, rows first, of a NaN or an infinity."""
    step = max(1, _BLOCK // int(np.prod(array.shape[1:])))
    for start in range(0, array.shape[0], step):
        bad = ~np.isfinite(array[start : start + step])
        if bad.any():
            first, *rest = np.unravel_index(int(bad.argmax()), bad.shape)
            return (start + int(first), *map(int, rest))
    return None
