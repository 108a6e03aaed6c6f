"""Newton systems of the dual in both potentials, with an eye on the clock."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from sparseopt.ot._full_dual import FullDual

# Multiply-adds between two looks at the clock, and how many of them BLAS does in the
# time of one of a sparse product.
_PIECE, _BLAS_GAIN = 1e9, 30.0

Watch = Callable[[], None]


def solve_shifted(
    point: FullDual, kept: np.ndarray, shift: float, watch: Watch
) -> np.ndarray:
    """``(H + shift I) x = gradient`` with the last potential held.

    The rows are eliminated, since their block is diagonal, and the columns' Schur
    complement is factorised: it is nearly full where the plan is not very sparse.
    Where the plan falls into blocks it is singular but for the shift; a shift that
    drowns in rounding is raised until the factor exists.
    """
    n = kept.shape[0]
    block = kept[:, :-1]
    gradient, columns = point.gradient[:-1], point.columns[:-1]
    while True:
        rows = point.rows + shift
        schur = _minus_product(block, rows, watch)
        schur[np.diag_indices_from(schur)] += columns + shift
        try:
            factor = _cholesky(schur, watch)
            break
        except LinAlgError:
            shift = max(10 * shift, np.finfo(float).eps * float(columns.max()))
    right = gradient[n:] - block.T @ (gradient[:n] / rows)
    half = solve_triangular(factor, right, lower=True, check_finite=False)
    y = solve_triangular(factor, half, lower=True, trans=1, check_finite=False)
    x = (gradient[:n] - block @ y) / rows
    return np.concatenate([x, y, [0.0]])


def _minus_product(block: np.ndarray, rows: np.ndarray, watch: Watch) -> np.ndarray:
    """``-B' diag(1 / rows) B``, made by pieces of rows."""
    n, m = block.shape
    out = np.zeros((m, m))
    entries = np.count_nonzero(block, axis=1).astype(float)
    by_rows, dense = np.cumsum(entries**2), False
    if _BLAS_GAIN * by_rows[-1] > n * float(m) ** 2:
        by_rows, dense = np.arange(1, n + 1) * float(m) ** 2, True
    n_pieces = int(by_rows[-1] / (_PIECE if dense else _PIECE / _BLAS_GAIN)) + 1
    cuts = np.searchsorted(by_rows, by_rows[-1] * np.arange(1, n_pieces) / n_pieces)
    bounds = [0, *(cuts + 1).clip(max=n), n]
    for start, stop in pairwise(bounds):
        watch()
        piece = block[start:stop]
        scaled = piece / rows[start:stop, None]
        if dense:
            out -= scaled.T @ piece
        else:
            out -= (sparse.csc_array(scaled).T @ sparse.csr_array(piece)).toarray()
    return out


def _cholesky(A: np.ndarray, watch: Watch) -> np.ndarray:
    """Lower factor of `A`, which it overwrites, by blocks of columns."""
    m = A.shape[0]
    width = max(64, int(_PIECE / max(1.0, float(m) ** 2)))
    for start in range(0, m, width):
        watch()
        stop = min(start + width, m)
        corner = cholesky(A[start:stop, start:stop], lower=True, check_finite=False)
        A[start:stop, start:stop] = corner
        below = solve_triangular(
            corner, A[stop:, start:stop].T, lower=True, check_finite=False
        )
        A[stop:, start:stop] = below.T
        A[stop:, stop:] -= below.T @ below
    return A
