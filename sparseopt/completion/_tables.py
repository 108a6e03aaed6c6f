"""Data frames, their columns and lists as arrays of numbers, missing ones as NaN.

NumPy makes objects of nullable, categorical and mixed columns, and scikit-learn's
messages about them name no argument.
"""

from __future__ import annotations

import numbers
from decimal import Decimal
from typing import Any

import numpy as np

_PLAIN = "fiubc"  # complex has an error of its own


def plain_table(X: Any, name: str) -> Any:
    """A frame of which all columns are of NumPy's numbers; other input as it is.

    Raises
    ------
    TypeError
        For a column that holds something else; the message names it.
    """
    if isinstance(X, (list, tuple)):
        try:
            array = np.asarray(X)
        except ValueError:  # has a message of its own
            return X
        X = array if array.dtype == object else X
    if isinstance(X, np.ndarray) and X.dtype == object:
        return _objects(X, f"{name!r} array", X.dtype)
    if not (hasattr(X, "iloc") and hasattr(X, "isetitem")):
        return X
    changed = {}
    for i, dtype in enumerate(X.dtypes):
        fill = getattr(dtype, "fill_value", None)  # of sparse columns
        if (isinstance(dtype, np.dtype) and dtype.kind in _PLAIN) or fill == 0:
            continue
        where = f"column {X.columns[i]!r} of the {name!r} table"
        changed[i] = _numbers(X.iloc[:, i], where)
    if changed:
        X = X.copy(deep=False)
        for i, column in changed.items():
            X.isetitem(i, column)
    return X


def plain_column(x: Any, name: str) -> Any:
    """Floats from a column or list of objects that are numbers; else as it is."""
    if hasattr(x, "__dlpack__") and not isinstance(x, np.ndarray):
        return x  # perhaps on another device
    try:
        array = np.asarray(x)
    except ValueError:
        return x
    if array.dtype != object or array.ndim != 1:
        return array if isinstance(x, (list, tuple)) else x
    return _numbers(x, f"{name!r} array")


def _numbers(column: Any, where: str) -> np.ndarray:
    dtype = getattr(column, "dtype", None)
    kind = getattr(dtype, "kind", "O")
    if kind in "fiub" and hasattr(column, "to_numpy"):
        if hasattr(dtype, "fill_value"):
            return np.asarray(column)
        single = kind == "f" and getattr(dtype, "itemsize", 8) <= 4
        real = np.float32 if single else np.float64
        return np.asarray(column.to_numpy(dtype=real, na_value=np.nan))
    array = np.asarray(column)
    if array.dtype.kind in "fiub":
        return array
    return _objects(array.astype(object), where, dtype or array.dtype)


def _objects(array: np.ndarray, where: str, dtype: Any) -> np.ndarray:
    """Floats from objects that are numbers, or missing."""
    missing = _is_missing(array)
    for place in zip(*np.nonzero(~missing), strict=True):
        if not isinstance(array[place], (numbers.Real, Decimal)):
            at = f"position {place[0]}"
            if len(place) > 1:
                at = f"index ({', '.join(map(str, place))})"
            why = ""
            try:
                float(array[place])
            except (TypeError, ValueError) as error:
                why = f": {error}"
            raise TypeError(
                f"The {where} must hold real numbers. "
                f"Got {array[place]!r} at {at}, dtype {dtype}{why}."
            )
    return np.where(missing, np.nan, array).astype(np.float64)


def integers(ids: Any, name: str) -> np.ndarray:
    """Array of integers; objects that are all integers count as such.

    Raises
    ------
    ValueError
        If some are missing.
    TypeError
        If they are of another type.
    """
    array = np.asarray(ids)
    if array.dtype.kind in "iu":
        return array
    if array.size == 0:
        return array.astype(np.int64)  # an empty list is one of floats to NumPy
    if array.dtype.kind in "fO":
        missing = _is_missing(array)
        if missing.any() and array.ndim:
            place = np.argwhere(missing)[0].tolist()
            raise ValueError(
                f"The {name!r} array must not hold missing values. Got one at position "
                f"{place[0] if array.ndim == 1 else tuple(place)}."
            )
    if array.dtype == object and all(map(_is_integer, array.flat)):
        try:
            return array.astype(np.int64)
        except OverflowError:
            raise ValueError(
                f"The {name!r} array must be below 2**63. Got {max(array.flat)}."
            ) from None
    raise TypeError(
        f"The {name!r} array must hold integers. Got dtype "
        f"{getattr(ids, 'dtype', array.dtype)}; sparseopt.datasets.encode_ids makes "
        "codes of other labels."
    )


def _is_integer(x: Any) -> bool:
    return isinstance(x, numbers.Integral) and not isinstance(x, (bool, np.bool_))


def _is_missing(array: np.ndarray) -> np.ndarray:
    """Where an array holds NaN, NaT, None or pandas.NA."""
    if array.dtype != object:
        return np.asarray(array != array)
    found = [
        # pandas.NA differs neither from itself nor does it not
        x is None or type(x).__name__ == "NAType" or (isinstance(x, float) and x != x)
        for x in array.flat
    ]
    return np.array(found, bool).reshape(array.shape)
