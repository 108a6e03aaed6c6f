"""Half-steps from Gram matrices: exact rows, and rows that are nowhere negative."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sparseopt._core._threads import blas_limit
from sparseopt.completion import _exact
from sparseopt.completion._kernels import cg_rows

if TYPE_CHECKING:
    from sparseopt.completion._half_step import HalfSteps


def exact_half_step(
    half: HalfSteps,
    transposed: bool,
    fixed: np.ndarray,
    unknown: np.ndarray,
    ridge: np.ndarray,
    held: np.ndarray | None,
    scale: np.ndarray | None,
) -> float:
    """Cholesky for rows that have a solution, conjugate gradients for the rest."""
    entries, k = half.entries, half.k
    side = entries.side(transposed)
    free = half.pad(np.ones(k) if held is None else ~np.asarray(held))
    n_free = int(free.sum())
    damped = np.asarray(ridge)[free[:k] > 0]
    # with a ridge on every unknown the matrix is definite whatever the row has
    short = 0 if damped.size and damped.min() > 0 else n_free
    state = np.empty(side.n_rows, np.int32)
    with blas_limit(1):
        _exact.exact_rows(
            side.ptr, side.idx, side.val, side.weight, fixed, unknown,
            half.pad(ridge), free, scale, k, short, half.rss[transposed],
            half.dropped[transposed], state, entries.chunks(transposed, half.width),
            entries.n_threads,
        )  # fmt: skip
    # syrk makes k / 2 products out of each gathered row
    half.work += 2 + k / 2
    half.n_fallback += int(np.count_nonzero(state))
    failed = np.flatnonzero(state == _exact.FAILED)
    if failed.size:
        _least_norm(half, transposed, fixed, unknown, ridge, free, scale, failed)
    return float(half.rss[transposed].sum())


def _least_norm(
    half: HalfSteps,
    transposed: bool,
    fixed: np.ndarray,
    unknown: np.ndarray,
    ridge: np.ndarray,
    free: np.ndarray,
    scale: np.ndarray | None,
    rows: np.ndarray,
) -> None:
    """Conjugate gradients from zero, which stay in the span of the row's data."""
    entries, k = half.entries, half.k
    side = entries.side(transposed)
    rss, drop = half.rss[transposed], half.dropped[transposed]
    before, start = rss[rows].copy(), unknown[rows]
    damping = half.pad(ridge).astype(np.float64)
    factor = np.ones(len(rows)) if scale is None else np.asarray(scale)[rows]
    penalty = factor * (np.square(start, dtype=np.float64) @ damping)
    unknown[rows] *= 1 - free
    curvature = np.mean(np.square(fixed[:, :k], dtype=np.float64), axis=0)
    cg_rows(
        side.ptr, side.idx, side.val, side.weight, fixed, unknown, half.pad(ridge),
        # one scale for all coordinates: others would bend the norm that is least
        half.pad(np.full(k, max(curvature.mean(), np.finfo(np.float32).tiny))),
        free, scale, 4 * k + 20, 1e-13, rss, drop,
        np.stack([rows, rows + 1], axis=1).astype(np.int64), entries.n_threads,
    )  # fmt: skip
    held = np.square(unknown[rows] * (1 - free), dtype=np.float64) @ damping
    # the drop from zero, as one from where the rows were
    drop[rows] += before - rss[rows] + penalty - factor * held
    rss[rows] = before


def nonnegative_half_step(
    half: HalfSteps,
    transposed: bool,
    fixed: np.ndarray,
    unknown: np.ndarray,
    ridge: np.ndarray,
    sweeps: int,
    held: np.ndarray | None,
    scale: np.ndarray | None,
    tol: float,
) -> float:
    """Coordinate descent on the Gram matrix of each row."""
    entries, k = half.entries, half.k
    side = entries.side(transposed)
    free = half.pad(np.ones(k) if held is None else ~np.asarray(held))
    np.maximum(unknown, 0, out=unknown, where=free > 0)
    with blas_limit(1):
        _exact.nonnegative_rows(
            side.ptr, side.idx, side.val, side.weight, fixed, unknown,
            half.pad(ridge), free, scale, k, sweeps, tol, half.rss[transposed],
            half.dropped[transposed], entries.chunks(transposed, half.width),
            entries.n_threads,
        )  # fmt: skip
    half.work += 2 + k / 2
    return float(half.rss[transposed].sum())
