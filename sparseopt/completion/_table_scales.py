"""Location, scale and bounds of the columns of a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparseopt.completion._cells import centre_and_scale


def standards(
    X: np.ndarray, seen: np.ndarray, w: np.ndarray, robust: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Location and scale of what is observed of each column, and which are constant."""
    values = np.where(seen, X, 0).astype(np.float64, copy=False)
    size = np.abs(values).max(axis=0)
    size[size == 0] = 1.0  # so that squares neither overflow nor vanish
    values /= size
    if robust:
        mean, deviation = centre_and_scale(values, seen & (w > 0)[:, None])
    else:
        counts = w @ seen
        counts[counts == 0] = 1.0
        mean = (w @ values) / counts
        values -= mean
        values *= seen
        deviation = np.sqrt(w @ np.square(values, out=values) / counts)
    constant = deviation <= 10 * np.finfo(X.dtype).eps * np.abs(mean)
    constant |= deviation == 0
    deviation[constant] = 1.0
    return mean * size, np.where(constant, 1.0, deviation * size), constant


def bound(value: Any, name: str, n: int, default: float) -> np.ndarray:
    """One bound of each column, from a number, an array or None."""
    if value is None:
        return np.full(n, default)
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty((0, 0))
    if array.ndim > 1 or (array.ndim == 1 and len(array) != n) or np.isnan(array).any():
        raise ValueError(
            f"The {name!r} parameter of sparseopt.completion.LowRankImputer must be a "
            f"number, or an array with one for each of the {n} features. Got {value!r}."
        )
    return np.broadcast_to(array, n)


def bounds(low: Any, high: Any, pair: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of imputed values of each column."""
    least = bound(low, "min_value", n, -np.inf)
    most = bound(high, "max_value", n, np.inf)
    if (least > most).any():
        at = int(np.argmax(least > most))
        raise ValueError(
            "The 'min_value' parameter of sparseopt.completion.LowRankImputer must not "
            f"be above 'max_value'. Got {least[at]:g} and {most[at]:g} for feature "
            f"{at}."
        )
    if pair is not None:
        first, last = _pair(pair)
        least, most = np.maximum(least, first), np.minimum(most, last)
    return least, most


def _pair(pair: Any) -> tuple[float, float]:
    try:
        first, last = pair
        first = -np.inf if first is None else float(first)
        last = np.inf if last is None else float(last)
        good = first <= last and not isinstance(pair, str)
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(
            "The 'clip_range' parameter of sparseopt.completion.LowRankImputer must be "
            f"two ascending numbers, either of which may be None. Got {pair!r}."
        )
    return first, last
