"""Sizes of the columns of a design."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

# Rows that are looked at first, and rows from which sizes are taken.
_FEW, _MANY = 16, 256
# Ratio of sizes up to which columns are left as they are.
_LIKE = 64.0
# Exponents of two beyond which squares of weights are no numbers.
_MOST = 400


def column_exponents(X: Any) -> np.ndarray | None:
    """Exponents of two of the columns' sizes around their middle, None where alike.

    The size of a column is the median of the magnitudes of its entries that are not
    zero: a code among measurements has no say.
    """
    rough = _tops(X, _FEW)
    unseen = rough == 0.0
    if unseen.any():
        rough[unseen] = _tops(X[:, unseen], X.shape[0])
    some = rough[rough > 0.0]
    if not some.size or some.max() <= _LIKE * some.min():
        return None
    sizes = _medians(X)
    known = sizes > 0.0
    if not known.any() or sizes[known].max() <= _LIKE * sizes[known].min():
        return None
    exponents = np.zeros(sizes.size, dtype=np.int64)
    exponents[known] = np.frexp(sizes[known])[1]
    exponents[known] -= int(np.median(exponents[known]))
    return np.clip(exponents, -_MOST, _MOST)


def _rows(X: np.ndarray, count: int) -> np.ndarray:
    """Magnitudes in about so many of the rows."""
    return np.abs(X[:: max(1, len(X) // count)])


def _tops(X: Any, count: int) -> np.ndarray:
    """Largest magnitudes of columns in some rows; of sparse ones in all."""
    rows = abs(X) if sparse.issparse(X) else _rows(X, count)
    tops = rows.max(axis=0)
    tops = tops.toarray().ravel() if sparse.issparse(X) else tops
    return tops.astype(np.float64)


def _medians(X: Any) -> np.ndarray:
    """Medians of the magnitudes that are not zero, 0 for columns of zeros."""
    if sparse.issparse(X):
        ends = zip(X.indptr[:-1], X.indptr[1:], strict=True)
        return np.array([_median(X.data[a:b][:_MANY]) for a, b in ends])
    sizes = np.array([_median(column) for column in _rows(X, _MANY).T])
    for j in np.flatnonzero(sizes == 0.0):  # all of those rows are zero
        sizes[j] = _median(X[:, j])
    return sizes


def _median(values: np.ndarray) -> float:
    values = np.abs(values[values != 0.0])
    return float(np.median(values)) if values.size else 0.0
