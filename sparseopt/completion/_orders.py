"""Entries from triplets or compressed rows: both orders, by counting sorts."""

from __future__ import annotations

import numpy as np

from sparseopt.completion import _layout
from sparseopt.completion._problem import Entries, Side

DUPLICATES = ("raise", "sum", "last", "mean")


def both_orders(
    shape: tuple[int, int],
    ptr: np.ndarray,
    idx: np.ndarray,
    val: np.ndarray,
    weight: np.ndarray | None = None,
    n_threads: int = 1,
) -> Entries:
    """Entries from sorted rows; one counting sort makes the order by columns."""
    n = shape[1]
    tptr = _starts(idx, n, "cols")
    perm = np.empty(len(idx), _place_type(len(idx)))
    tidx, tval = np.empty(len(idx), np.int32), np.empty_like(val)
    _layout.transpose(ptr, idx, val, tptr[:-1].copy(), tidx, tval, perm, perm[:0])
    tweight = None if weight is None else weight[perm]
    rows, cols = Side(ptr, idx, val, weight), Side(tptr, tidx, tval, tweight)
    return Entries(shape, rows, cols, perm, n_threads)


def from_triplets(
    rows: np.ndarray,
    cols: np.ndarray,
    values: np.ndarray,
    shape: tuple[int, int],
    *,
    weight: np.ndarray | None = None,
    duplicates: str = "raise",
    n_threads: int = 1,
) -> Entries:
    """Entries from parallel arrays in any order.

    Parameters
    ----------
    rows, cols : ndarray of shape (n_entries,), int32 or int64
    values : ndarray of shape (n_entries,), float32 or float64
    shape : tuple of (int, int)
        Numbers of rows and columns.
    weight : ndarray of shape (n_entries,), optional
    duplicates : {"raise", "sum", "last", "mean"}
        What becomes of several entries in one place: an error, the sum of values and of
        weights, the last of them, or the weighted mean with the sum of the weights.
    n_threads : int
        Threads of later work; sorting uses one.

    Raises
    ------
    ValueError
        An id out of range, or a place given twice: both with the position.
    """
    _check_mode(duplicates)
    m = shape[0]
    ids = rows.dtype if rows.dtype == cols.dtype else np.int64
    rows, cols = np.ascontiguousarray(rows, ids), np.ascontiguousarray(cols, ids)
    values = np.ascontiguousarray(values)
    ptr = _starts(rows, m, "rows")
    if _layout.is_ascending(rows):
        return from_csr(
            ptr, cols, values, shape,
            weight=weight, duplicates=duplicates, n_threads=n_threads,
        )  # fmt: skip
    # by column first: the second sort then leaves columns ascending in each row
    tptr = _starts(cols, shape[1], "cols")
    size = len(values)
    tidx, tval = np.empty(size, np.int32), np.empty_like(values)
    source = np.empty(size if weight is not None else 0, _place_type(size))
    _layout.scatter(cols, rows, values, tptr[:-1].copy(), tidx, tval, source)
    idx, val = np.empty(size, np.int32), np.empty_like(values)
    place = np.empty(len(source), source.dtype)
    _layout.transpose(tptr, tidx, tval, ptr[:-1].copy(), idx, val, place, source[:0])
    del tidx, tval
    if weight is not None:
        weight = weight[source[place]]
    return _without_duplicates(
        shape, ptr, idx, val, weight, duplicates, n_threads, (rows, cols)
    )


def from_csr(
    ptr: np.ndarray,
    idx: np.ndarray,
    val: np.ndarray,
    shape: tuple[int, int],
    *,
    weight: np.ndarray | None = None,
    duplicates: str = "raise",
    n_threads: int = 1,
    flipped: bool = False,
) -> Entries:
    """Entries from compressed rows; arrays that are sorted already are not copied.

    Parameters
    ----------
    ptr : ndarray of shape (n_rows + 1,)
    idx : ndarray of shape (n_entries,), int32 or int64
    val : ndarray of shape (n_entries,), float32 or float64
    shape, weight, duplicates, n_threads
        As in `from_triplets`.
    flipped : bool
        Whether they are the columns of what the caller has: for messages.

    Raises
    ------
    ValueError
        Row starts that fall, an id out of range, or a place given twice.
    """
    _check_mode(duplicates)
    ptr = np.ascontiguousarray(ptr, np.int64)
    size = _check_starts(ptr, shape[0], min(len(idx), len(val)))
    idx, val = idx[:size], val[:size]
    # also checks the ids, before the cast
    tptr = _starts(idx, shape[1], "rows" if flipped else "cols")
    narrow = np.ascontiguousarray(idx, np.int32)
    if _layout.is_sorted(ptr, narrow):
        weight = None if weight is None else weight[:size]
        return _without_duplicates(
            shape, ptr, narrow, val, weight, duplicates, n_threads, (None, idx), flipped
        )
    tidx, tval = np.empty(size, np.int32), np.empty_like(val)
    source = np.empty(size if weight is not None else 0, _place_type(size))
    none = source[:0]
    _layout.transpose(ptr, narrow, val, tptr[:-1].copy(), tidx, tval, source, none)
    idx_, val_ = np.empty(size, np.int32), np.empty_like(val)
    place = np.empty_like(source)
    _layout.transpose(tptr, tidx, tval, ptr[:-1].copy(), idx_, val_, place, none)
    del tidx, tval
    if weight is not None:
        weight = weight[source[place]]
    return _without_duplicates(
        shape, ptr, idx_, val_, weight, duplicates, n_threads, (None, idx), flipped
    )


def _without_duplicates(
    shape: tuple[int, int],
    ptr: np.ndarray,
    idx: np.ndarray,
    val: np.ndarray,
    weight: np.ndarray | None,
    duplicates: str,
    n_threads: int,
    given: tuple[np.ndarray | None, np.ndarray],
    flipped: bool = False,
) -> Entries:
    found, first = _layout.count_duplicates(ptr, idx)
    if not found:
        return both_orders(shape, ptr, idx, val, weight, n_threads)
    if duplicates == "raise":
        _raise_duplicate(ptr, idx, found, first, given, flipped)
    size = len(idx) - found
    starts, merged = np.empty(size, np.int64), np.empty_like(ptr)
    _layout.runs(ptr, idx, starts, merged)
    if duplicates == "last":
        last = np.append(starts[1:], len(idx)) - 1
        val, weight = val[last], None if weight is None else weight[last]
    else:
        val, weight = _merge(starts, val, weight, duplicates == "mean")
    return both_orders(shape, merged, idx[starts], val, weight, n_threads)


def _merge(
    starts: np.ndarray, val: np.ndarray, weight: np.ndarray | None, mean: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Sums or means of runs, added up in float64."""
    x = val.astype(np.float64, copy=False)
    if not mean:
        total = np.add.reduceat(x, starts).astype(val.dtype)
        summed = None if weight is None else np.add.reduceat(weight, starts)
        return total, summed
    lengths = np.diff(np.append(starts, len(val)))
    plain = np.add.reduceat(x, starts) / lengths
    if weight is None:
        return plain.astype(val.dtype), None
    w = weight.astype(np.float64, copy=False)
    mass = np.add.reduceat(w, starts)
    weighted = np.add.reduceat(w * x, starts)
    np.divide(weighted, mass, out=plain, where=mass > 0)
    return plain.astype(val.dtype), mass.astype(weight.dtype)


def _raise_duplicate(
    ptr: np.ndarray,
    idx: np.ndarray,
    found: int,
    first: int,
    given: tuple[np.ndarray | None, np.ndarray],
    flipped: bool,
) -> None:
    row, col = int(np.searchsorted(ptr, first, side="right")) - 1, int(idx[first])
    rows, cols = given
    if rows is None:
        places = ptr[row] + np.flatnonzero(cols[ptr[row] : ptr[row + 1]] == col)
    else:
        places = np.flatnonzero((rows == row) & (cols == col))
    if flipped:
        row, col = col, row
    raise ValueError(
        f"The entries must be in different places. Got {found} more in places that "
        f"have one, the first in row {row}, column {col}: positions {places[0]} and "
        f'{places[1]}. duplicates="sum", "last" or "mean" merges them.'
    )


def _starts(ids: np.ndarray, n: int, name: str) -> np.ndarray:
    ptr = np.empty(n + 1, np.int64)
    bad = _layout.count(ids, n, ptr)
    if bad >= 0:
        raise ValueError(
            f"The {name!r} ids must be at least 0 and below {n}. "
            f"Got {ids[bad]} at position {bad}."
        )
    return ptr


def _check_starts(ptr: np.ndarray, m: int, size: int) -> int:
    """Number of entries that well-formed row starts tell."""
    good = len(ptr) == m + 1 and ptr[0] == 0 and ptr[-1] <= size
    if not good or (np.diff(ptr) < 0).any():
        got = f"{len(ptr)} of them"
        falls = np.flatnonzero(np.diff(ptr) < 0)
        if len(ptr) == m + 1:
            at = falls[0] + 1 if len(falls) else (0 if ptr[0] else m)
            got = f"{ptr[at]} at position {at}"
        raise ValueError(
            f"The 'indptr' of a sparse matrix must be {m + 1} integers that rise from "
            f"0 to at most {size}. Got {got}."
        )
    return int(ptr[-1])


def _check_mode(duplicates: str) -> None:
    if duplicates not in DUPLICATES:
        raise ValueError(
            f"The 'duplicates' parameter must be one of {DUPLICATES}. "
            f"Got {duplicates!r}."
        )


def _place_type(size: int) -> type[np.signedinteger]:
    return np.int32 if size < np.iinfo(np.int32).max else np.int64
