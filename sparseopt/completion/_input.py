"""Observed entries from what callers have: sparse, dense with NaN, data frames."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from sparseopt._core._array_api import to_numpy
from sparseopt._core._arrays import as_floats, check_finite
from sparseopt._core._params import describe
from sparseopt.completion._orders import from_csr, from_triplets
from sparseopt.completion._problem import Entries, Side
from sparseopt.completion._tables import integers, plain_column, plain_table

# Largest weights below this, and above its inverse, leave sums no digits.
_TINY = 1e-30
# Without a shape, indices above this and so many for each entry are identifiers.
_IDS, _IDS_PER_ENTRY = 10**6, 100


def as_entries(
    X: Any,
    *,
    weights: Any = None,
    dtype: Any = None,
    shape: tuple[int, int] | None = None,
    duplicates: str = "raise",
    missing_values: float = np.nan,
    n_threads: int = 1,
) -> Entries:
    """Entries of a sparse matrix, of a dense one with NaN, or of triplets.

    Every stored number of a sparse matrix is an observation, explicit zeros too.
    """
    entries = sort_entries(
        X, weights=weights, dtype=dtype, shape=shape, duplicates=duplicates,
        missing_values=missing_values, n_threads=n_threads,
    )  # fmt: skip
    if entries is not X and entries.rows.weight is not None:
        check_some(entries.rows.weight)
    return entries


def sort_entries(
    X: Any,
    *,
    weights: Any = None,
    dtype: Any = None,
    shape: tuple[int, int] | None = None,
    duplicates: str = "raise",
    missing_values: float = np.nan,
    n_threads: int = 1,
) -> Entries:
    """As `as_entries`, for a part of the matrix too: all weights may be zero there."""
    if isinstance(X, Entries):
        if weights is not None or (dtype is not None and np.dtype(dtype) != X.dtype):
            raise ValueError(
                "The 'weights' and 'dtype' parameters are not for entries that are "
                f"sorted already. Got entries of {X.dtype}; sort them anew, with "
                "weights from entries_from_chunks on."
            )
        same = n_threads == X.n_threads
        return X if same else replace(X, n_threads=n_threads, _chunks={})
    if isinstance(X, tuple):
        return _from_tuple(X, shape, weights, dtype, duplicates, n_threads)
    if shape is not None:
        raise ValueError(
            "The 'shape' parameter is for triplets (rows, cols, values) only. "
            f"Got {shape!r} beside {describe(X)}."
        )
    if sparse.issparse(X):
        return _from_sparse(X, weights, dtype, duplicates, n_threads)
    return _from_dense(X, weights, dtype, missing_values, n_threads)


def own_entries(X: Any, *, weights: Any = None, **options: Any) -> Entries:
    """As `as_entries`, of arrays that the caller's later changes do not reach."""
    entries = as_entries(X, weights=weights, **options)
    if isinstance(X, Entries) or not (isinstance(X, tuple) or sparse.issparse(X)):
        return entries  # nobody else's, or selected from a dense array
    theirs = [*_arrays(X), *_arrays(weights)]

    def own(array: Any) -> Any:
        shared = array is not None and any(
            np.may_share_memory(array, other) for other in theirs
        )
        return array.copy() if shared else array

    rows, cols = (
        Side(own(side.ptr), own(side.idx), own(side.val), own(side.weight))
        for side in (entries.rows, entries.cols)
    )
    return replace(entries, rows=rows, cols=cols)


def _arrays(x: Any) -> list[np.ndarray]:
    """NumPy arrays that hold or show the memory of x."""
    if x is None:
        return []
    if sparse.issparse(x):
        if x.format == "coo":
            return [x.data, *(x.coords if hasattr(x, "coords") else (x.row, x.col))]
        # other formats are converted, which copies
        return [x.data, x.indices, x.indptr] if x.format in ("csr", "csc") else []
    if isinstance(x, tuple):
        return [array for part in x for array in _arrays(part)]
    return [to_numpy(x) if hasattr(x, "__dlpack__") else np.asarray(x)]


def _from_tuple(
    X: tuple, shape: Any, weights: Any, dtype: Any, duplicates: str, n_threads: int
) -> Entries:
    if len(X) != 3:
        raise ValueError(
            "The 'X' tuple must hold three arrays (rows, cols, values). "
            f"Got {len(X)} elements."
        )
    rows, cols = (
        _ids(ids, name) for ids, name in zip(X, ("rows", "cols"), strict=False)
    )
    values = _values(X[2], "values", dtype)
    _check_lengths(rows, cols, values, "values")
    for name, ids in (("rows", rows), ("cols", cols)):
        if ids.min(initial=0) < 0:
            raise ValueError(
                f"The {name!r} array must not be negative. Got {ids.min()} at position "
                f"{ids.argmin()}."
            )
    codes = shape is None
    if codes:
        shape = int(rows.max(initial=-1)) + 1, int(cols.max(initial=-1)) + 1
    shape = as_shape(shape)
    _check_shape(shape)
    if codes:
        for name, size in zip(("rows", "cols"), shape, strict=True):
            _check_codes(name, size, len(values))
    weight = _weights_like(weights, values, "values")
    return from_triplets(
        rows, cols, values, shape, weight=weight, duplicates=duplicates,
        n_threads=n_threads,
    )  # fmt: skip


def _check_codes(name: str, size: int, n_entries: int) -> None:
    """Raw identifiers are no codes: each up to the largest would get a factor row."""
    if size > _IDS + _IDS_PER_ENTRY * n_entries:
        raise ValueError(
            f"The {name!r} array must hold indices from 0 on, of which each gets a "
            f"row of the factors. Got {size - 1} among {n_entries} entries; "
            "sparseopt.datasets.encode_ids makes indices of identifiers, and 'shape' "
            "asks for a matrix of that size."
        )


def _check_lengths(
    rows: np.ndarray, cols: np.ndarray, values: np.ndarray, of: str
) -> None:
    for name, ids in (("rows", rows), ("cols", cols)):
        if len(ids) != len(values):
            raise ValueError(
                f"The {name!r} array must have the length of {of!r}, {len(values)}. "
                f"Got {len(ids)}."
            )


def _from_sparse(
    X: Any, weights: Any, dtype: Any, duplicates: str, n_threads: int
) -> Entries:
    if X.ndim != 2:
        raise ValueError(
            f"The 'X' array must have 2 dimensions. Got {X.ndim}, shape {X.shape}."
        )
    _check_shape(X.shape)
    if X.format not in ("csr", "csc", "coo"):
        X = X.tocoo()  # of formats without duplicates
    values = _values(X.data, "X", dtype)
    shape = (int(X.shape[0]), int(X.shape[1]))
    weight = _sparse_weights(weights, X, values)
    if X.format == "coo":
        rows, cols = X.coords if hasattr(X, "coords") else (X.row, X.col)
        rows, cols = _ids(rows, "rows"), _ids(cols, "cols")
        _check_lengths(rows, cols, values, "X.data")
        return from_triplets(
            rows, cols, values, shape, weight=weight,
            duplicates=duplicates, n_threads=n_threads,
        )  # fmt: skip
    # indices may be strided, as np.nonzero gives them
    indptr, indices = _ids(X.indptr, "X.indptr"), _ids(X.indices, "X.indices")
    if X.format == "csr":
        return from_csr(
            indptr, indices, values, shape, weight=weight, duplicates=duplicates,
            n_threads=n_threads,
        )  # fmt: skip
    return from_csr(
        indptr, indices, values, shape[::-1], weight=weight, duplicates=duplicates,
        n_threads=n_threads, flipped=True,
    ).transpose()  # fmt: skip


def _from_dense(
    X: Any, weights: Any, dtype: Any, missing_values: float, n_threads: int
) -> Entries:
    if np.ma.isMaskedArray(X):
        X = np.ma.filled(X.astype(np.result_type(X.dtype, np.float32)), np.nan)
        missing_values = np.nan
    array = as_floats(plain_table(X, "X"), "X", ndim=2, dtype=dtype)
    _check_shape(array.shape)
    seen = observed(array, missing_values)
    counts = seen.sum(axis=1)
    if not counts.any():
        raise ValueError(
            "The 'X' array must have at least one observed entry. All of its "
            f"{array.size} entries are missing ({missing_values!r})."
        )
    values = array[seen]
    if not np.isfinite(values).all():
        row, col = np.argwhere(seen & ~np.isfinite(array))[0]
        raise ValueError(
            "The 'X' array must be finite or NaN. "
            f"Got {array[row, col]} at index ({row}, {col})."
        )
    weight = None
    if weights is not None:
        weights = plain_table(weights, "weights")
        weights = as_floats(weights, "weights", ndim=2, dtype=values.dtype)
        if weights.shape != array.shape:
            raise ValueError(
                f"The 'weights' array must have the shape of 'X', {array.shape}. "
                f"Got {weights.shape}."
            )
        weight = _check_weights(weights[seen])
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    indices = np.nonzero(seen)[1].astype(np.int32)
    return from_csr(
        indptr, indices, values, array.shape, weight=weight, n_threads=n_threads
    )


def observed(X: np.ndarray, missing_values: float) -> np.ndarray:
    """Where a dense array has a value."""
    if np.isnan(missing_values):
        return np.logical_not(np.isnan(X))
    if np.isnan(X).any():
        row, col = np.argwhere(np.isnan(X))[0]
        raise ValueError(
            f"The 'X' array must not hold NaN where missing_values is "
            f"{missing_values!r}. Got one at index ({row}, {col})."
        )
    return np.not_equal(X, missing_values)


def _check_shape(shape: tuple[int, ...]) -> None:
    if 0 in shape:
        raise ValueError(f"The 'X' array must not be empty. Got shape {shape}.")
    if max(shape) >= 2**31:
        raise ValueError(
            "The 'X' array must have fewer than 2**31 rows and columns. "
            f"Got shape {shape}."
        )


def as_shape(shape: Any) -> tuple[int, int]:
    """The caller's ``shape``: a pair of positive ints."""
    good = isinstance(shape, (tuple, list, np.ndarray)) and len(shape) == 2
    if not good or not all(isinstance(n, (int, np.integer)) and n > 0 for n in shape):
        raise ValueError(
            f"The 'shape' parameter must be two positive ints. Got {shape!r}."
        )
    return int(shape[0]), int(shape[1])


def _ids(ids: Any, name: str) -> np.ndarray:
    ids = integers(ids, name)
    if ids.ndim != 1:
        raise ValueError(
            f"The {name!r} array must have 1 dimension. Got shape {ids.shape}."
        )
    if ids.dtype == np.uint64 and ids.max(initial=0) >= 2**63:
        raise ValueError(f"The {name!r} array must be below 2**63. Got {ids.max()}.")
    # kernels know two types
    wanted = np.int32 if ids.dtype.itemsize < 8 and ids.dtype != np.uint32 else np.int64
    return np.ascontiguousarray(ids, dtype=wanted)


def _values(values: Any, name: str, dtype: Any) -> np.ndarray:
    if np.shape(values) == (0,):
        raise ValueError(
            f"The {name!r} array must have at least one observed entry. Got none."
        )
    values = plain_column(values, name)
    values = as_floats(values, name, ndim=1, dtype=dtype, order="C")
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(values.sum(dtype=np.float64))
    if not finite:
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise ValueError(
                f"The {name!r} array must be finite. Got {len(bad)} stored values that "
                f"are not, the first is {values[bad[0]]} at position {bad[0]}."
            )
    return values


def _weights_like(weights: Any, values: np.ndarray, name: str) -> np.ndarray | None:
    if weights is None:
        return None
    weights = plain_column(weights, "weights")
    weights = as_floats(weights, "weights", ndim=1, dtype=values.dtype, order="C")
    if len(weights) != len(values):
        raise ValueError(
            f"The 'weights' array must have the length of {name!r}, {len(values)}. "
            f"Got {len(weights)}."
        )
    return _check_weights(weights)


def _sparse_weights(weights: Any, X: Any, values: np.ndarray) -> np.ndarray | None:
    """Weights of stored entries: one-dimensional, or sparse with X's own structure."""
    if not sparse.issparse(weights):
        return _weights_like(weights, values, "X.data")
    got = ""
    if weights.shape != X.shape or weights.nnz != X.nnz:
        got = (
            f"shape {weights.shape} with {weights.nnz} entries for {X.shape} with "
            f"{X.nnz}"
        )
    else:
        weights = weights.asformat(X.format)
        names = ("indptr", "indices") if X.format != "coo" else ("row", "col")
        for name in names:
            a, b = getattr(weights, name), getattr(X, name)
            if not got and not np.array_equal(a, b):
                got = f"others: {name!r} differs"
                if len(a) == len(b):
                    got += f" first at position {np.flatnonzero(a != b)[0]}"
    if got:
        raise ValueError(
            "The 'weights' matrix must store the same entries as 'X', in the same "
            f"order. Got {got}."
        )
    return _weights_like(weights.data, values, "X.data")


def _check_weights(weights: np.ndarray) -> np.ndarray:
    check_finite(weights, "weights")
    lowest = int(weights.argmin())
    if weights[lowest] < 0:
        raise ValueError(
            "The 'weights' array must not be negative. "
            f"Got {weights[lowest]} at position {lowest}."
        )
    return weights


def check_some(weights: np.ndarray) -> None:
    """Without a positive weight there is no problem, nor where products overflow."""
    if not weights.any():
        raise ValueError("The 'weights' array must not be zero everywhere.")
    largest = float(weights.max())
    if not _TINY <= largest <= 1 / _TINY:
        raise ValueError(
            f"The 'weights' array must have its largest in [{_TINY:g}, {1 / _TINY:g}]. "
            f"Got {largest:g}; divide weights and ridges by it."
        )


def as_pairs(rows: Any, cols: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of pairs, given as two arrays or as one of shape (n, 2)."""
    if cols is None:
        pairs = np.asarray(rows)
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise ValueError(
                "The 'rows' array must have shape (n_pairs, 2) where 'cols' is not "
                f"given. Got shape {pairs.shape}."
            )
        pairs = integers(rows, "rows")
        rows, cols = pairs[:, 0], pairs[:, 1]
    found = []
    for name, ids in (("rows", rows), ("cols", cols)):
        ids = _ids(np.atleast_1d(ids), name)
        if len(ids) and ids.min() < 0:
            raise IndexError(
                f"The {name!r} array must not be negative. Got {ids.min()}."
            )
        found.append(ids.astype(np.int64))
    if len(found[0]) != len(found[1]):
        raise ValueError(
            f"The 'cols' array must have the length of 'rows', {len(found[0])}. "
            f"Got {len(found[1])}."
        )
    return found[0], found[1]


def places_of_mask(X: Any, mask: np.ndarray, entries: Entries) -> np.ndarray:
    """A mask of entries in row order as the caller has them.

    (m, n) for dense input, else aligned with what X stores.
    """
    if isinstance(X, Entries):
        return mask
    m, n = entries.shape
    side = entries.rows
    rows = np.repeat(np.arange(m, dtype=np.int64), np.diff(side.ptr))
    if not (sparse.issparse(X) or isinstance(X, tuple)):
        out = np.zeros((m, n), dtype=bool)
        out[rows, side.idx] = mask
        return out
    if isinstance(X, tuple):
        i, j = (_ids(X[n], ("rows", "cols")[n]).astype(np.int64) for n in (0, 1))
    else:
        if X.format not in ("csr", "csc", "coo"):
            X = X.tocoo()
        coo = X.tocoo()  # in the order of X.data
        i, j = coo.row.astype(np.int64), coo.col.astype(np.int64)
    return mask[np.searchsorted(rows * n + side.idx, i * n + j)]
