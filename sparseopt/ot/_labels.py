"""Labels and equal rows of samples, as the transformer needs them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_array

_UNKNOWN = -1  # code of samples without a label


def encoded(y: Any, yt: Any, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Codes of source and target labels, -1 where a label is unknown.

    Unknown are None and NaN, and -1 in the target unless the source has a class -1.
    """
    source, target = _labels(y, "y", shape[0]), _labels(yt, "yt", shape[1])
    codes: dict[Any, int] = {None: _UNKNOWN}
    first = np.array([codes.setdefault(v, len(codes) - 1) for v in source])
    codes.setdefault(-1, _UNKNOWN)
    n = len(codes)
    second = np.array([codes.setdefault(v, n + len(codes)) for v in target])
    return first, second


def _labels(values: Any, name: str, n: int) -> list[Any]:
    """Labels as Python objects, None for those that are missing."""
    array = check_array(
        values, ensure_2d=False, dtype=None, ensure_all_finite=False, input_name=name
    )
    if array.shape != (n,):
        raise ValueError(
            f"The {name!r} array must have one label for each of the {n} samples. "
            f"Got shape {array.shape}."
        )
    labels = [None if _missing(v) else v for v in array.tolist()]
    numbers = [v for v in labels if isinstance(v, float)]
    if numbers and "continuous" in type_of_target(np.array(numbers)):
        raise ValueError(
            f"The {name!r} array must hold labels of classes. Got continuous values, "
            "of which each would be a class of its own; leave them out."
        )
    return labels


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def groups(fitted: np.ndarray, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the distinct row that each row of `fitted` and of `X` is.

    -1 for a row of `X` that is not among the fitted ones.
    """
    known: dict[bytes, int] = {}
    # adding zero: -0.0 is equal to 0.0
    of_fitted = [known.setdefault(row.tobytes(), len(known)) for row in fitted + 0.0]
    rows = X.astype(fitted.dtype, copy=False) + 0.0
    return np.array(of_fitted), np.array([known.get(row.tobytes(), -1) for row in rows])
