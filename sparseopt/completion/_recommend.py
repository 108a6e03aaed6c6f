"""The best columns of many rows: scores by matrix product, a bounded heap for each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sparseopt._core._threads import blas_limit
from sparseopt.completion._topn import finish, offer

# A tile of scores stays in the second-level cache between the product and the heaps.
_ROWS, _COLS = 256, 1024


def top_columns(
    left: np.ndarray,
    right: np.ndarray,
    n: int,
    *,
    seen: tuple[np.ndarray, np.ndarray] | None = None,
    row_offset: np.ndarray | None = None,
    col_offset: np.ndarray | None = None,
    n_threads: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Columns of the n largest ``left_i . right_j + col_offset_j`` of each row.

    Blocks and tiles depend on the shapes only, and each is worked on by one thread: the
    result is the same for any number of threads.

    Parameters
    ----------
    left : ndarray of shape (b, k)
    right : ndarray of shape (n_cols, k)
        Of the same type.
    n : int
    seen : (ptr, idx), optional
        Columns to leave out, ascending in each row, as in a CSR matrix; int64, int32.
    row_offset : ndarray of shape (b,), optional
        Added to the scores; does not change the order.
    col_offset : ndarray of shape (n_cols,), optional
    n_threads : int

    Returns
    -------
    ids : ndarray of shape (b, n), int32
        Best first, ties by lowest column; -1 where a row has fewer columns than n.
    scores : ndarray of shape (b, n)
        ``-inf`` beside -1.
    """
    dtype, b = left.dtype, len(left)
    tiles = [
        np.ascontiguousarray(right[c : c + _COLS].T)
        for c in range(0, len(right), _COLS)
    ]
    shift = None if col_offset is None else np.asarray(col_offset, dtype)
    ids = np.full((b, n), -1, np.int32)
    scores = np.full((b, n), -np.inf, dtype)

    def block(start: int) -> None:
        rows = slice(start, min(start + _ROWS, b))
        A = np.ascontiguousarray(left[rows])
        buffer = np.empty(len(A) * _COLS, dtype)
        ptr = idx = at = None
        if seen is not None:
            ptr, idx = seen[0][start : start + len(A) + 1], seen[1]
            at = ptr[:-1].copy()
        first = 0
        for tile in tiles:
            width = tile.shape[1]
            x = buffer[: len(A) * width].reshape(len(A), width)
            np.matmul(A, tile, out=x)
            if shift is not None:
                x += shift[first : first + width]
            offer(x, first, scores[rows], ids[rows], ptr, idx, at)
            first += width
        finish(scores[rows], ids[rows])

    starts = range(0, b, _ROWS)
    with blas_limit(1):
        if n_threads == 1 or len(starts) == 1:
            for start in starts:
                block(start)
        else:
            with ThreadPoolExecutor(n_threads) as pool:
                list(pool.map(block, starts))
    if row_offset is not None:
        scores += np.asarray(row_offset, dtype)[:, None]
    return ids, scores
