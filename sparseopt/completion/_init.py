"""Where alternating minimisation starts."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg

from sparseopt._core._arrays import as_matrix
from sparseopt.completion._frames import orthonormalise, rotate
from sparseopt.completion._kernels import aligned
from sparseopt.completion._problem import Entries, padded, sum_squares

# Directions more than asked for.
EXTRA = 10
# With many entries for each degree of freedom the spectrum has a gap, and two rounds
# are as good as more; with few a better start saves restarts.
_MANY, _ROUNDS, _CAREFUL = 4.0, 2, 4


def spectral(
    entries: Entries, k: int, rng: np.random.Generator, rounds: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Leading singular triplets of the zero-filled matrix, divided by the density.

    Randomised block power iteration; rows and columns with many times the usual number
    of entries are scaled down first (Keshavan, Montanari and Oh, 2010), since theirs
    would be the leading vectors.

    Returns
    -------
    U, s, V : padded frames and singular values
    """
    m, n = entries.shape
    q = min(k + EXTRA, m, n)
    if rounds is None:
        rounds = rounds_for(entries.n_entries, k, entries.shape)
    values = _trimmed(entries)
    V = aligned((n, padded(max(q, k), entries.dtype)), entries.dtype)
    V[:, :q] = rng.standard_normal((n, q))
    V = orthonormalise(V, q)[0]
    for _ in range(rounds):
        U = orthonormalise(entries.multiply(values, V, False), q)[0]
        V = orthonormalise(entries.multiply(values, U, True), q)[0]
    U, s, W = orthonormalise(entries.multiply(values, V, False), q)
    V = rotate(V, W)
    density = entries.n_entries / (m * n)
    width = padded(k, entries.dtype)
    return _cut(U, k, width), s[:k] / density, _cut(V, k, width)


def rounds_for(n_entries: int, k: int, shape: tuple[int, int]) -> int:
    """Power iterations for the spectral start."""
    many = n_entries >= _MANY * k * (sum(shape) - k)
    return _ROUNDS if many else _CAREFUL


def _cut(F: np.ndarray, k: int, width: int) -> np.ndarray:
    out = aligned((len(F), width), F.dtype)
    out[:, :k] = F[:, :k]
    return out


def trim(counts: np.ndarray) -> np.ndarray | None:
    """What rows of these lengths are multiplied by, None where none is heavy."""
    mean = max(counts.mean(), 1e-300)
    if counts.max(initial=0) <= 4 * mean:
        return None
    return 1 / np.sqrt(np.maximum(1.0, counts / (2 * mean)))


def _trimmed(entries: Entries) -> np.ndarray | None:
    """Values with heavy rows and columns scaled down, None where there are none."""
    factors = [trim(np.diff(side.ptr)) for side in (entries.rows, entries.cols)]
    if all(f is None for f in factors):
        return None
    values = entries.rows.val
    if factors[0] is not None:
        values = values * np.repeat(factors[0], np.diff(entries.rows.ptr))
    if factors[1] is not None:
        values = values * factors[1][entries.rows.idx]
    return values.astype(entries.dtype)


def random_start(
    entries: Entries, k: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random frames, and equal singular values that give the size of the entries."""
    width = padded(k, entries.dtype)
    frames = []
    for side in (entries.rows, entries.cols):
        F = aligned((side.n_rows, width), entries.dtype)
        draws = rng.standard_normal((side.n_rows, k))
        F[:, :k] = without_empty(draws, np.diff(side.ptr))
        frames.append(orthonormalise(F, k)[0])
    mean = sum_squares(entries.rows.val) / max(entries.n_entries, 1)
    size = np.sqrt(mean * np.prod(entries.shape, dtype=np.float64) / k)
    return frames[0], np.full(k, size), frames[1]


def without_empty(F: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """F with zeros in rows without entries, which no half-step would change."""
    return F * (counts > 0)[:, None]


def given(
    entries: Entries, k: int, pair: Any, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames of the product U V' of the caller's pair; missing columns are random."""
    if len(pair) != 2:
        raise ValueError(f"The 'init' pair must be (U, V). Got {len(pair)} elements.")
    width = padded(k, entries.dtype)
    frames = []
    for name, F, size in zip("UV", pair, entries.shape, strict=True):
        F = as_matrix(F, f"init {name}")
        if len(F) != size or F.shape[1] > k:
            raise ValueError(
                f"The 'init' factor {name} must have shape ({size}, k) with k at most "
                f"{k}. Got {F.shape}."
            )
        full = aligned((size, width), entries.dtype)
        full[:, : F.shape[1]] = F
        frames.append(full)
    if pair[0].shape[1] != pair[1].shape[1]:
        raise ValueError(
            "The 'init' factors must have the same number of columns. "
            f"Got {pair[0].shape[1]} and {pair[1].shape[1]}."
        )
    U, a, P = orthonormalise(frames[0], k)
    V, b, Q = orthonormalise(frames[1], k)
    W, s, Z = linalg.svd((a[:, None] * P.T) @ (Q * b))
    return rotate(U, W), s, rotate(V, Z.T)
