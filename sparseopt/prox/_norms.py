"""Multipliers for the k-support norm, and the box norm, of flat vectors."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq

from sparseopt.prox import _row_kernels
from sparseopt.prox._blocks import Blocks
from sparseopt.prox._engine import (
    envelope_root,
    kernel,
    reject,
    thread_count,
    unit_scale,
)

_STEEP = 1e6


def box_shrink(
    x: np.ndarray,
    w: np.ndarray,
    lower: float,
    upper: float,
    total: float,
    lam: float,
    finite: bool,
    n_threads: int | None,
) -> None:
    """Prox of ``lam / 2`` times the squared box norm."""
    threads = thread_count(n_threads, x.size)
    width = upper - lower
    budget = (total - x.size * lower) / width
    low = lower / (lower + lam) if lower else 0.0
    high = upper / (upper + lam)
    t, exponent = 0.0, 0
    if budget > 0:
        t, exponent = envelope_root(x, budget, (lam + lower) / width, 1.0, threads)
    if math.isnan(t) or (budget <= 0 and not np.isfinite(x).all()):
        reject(x, w, finite)
    elif lam == 0:
        w[...] = x
    elif budget <= 0:
        np.multiply(x, low, out=w)
    else:
        tau = math.ldexp(lam / width * t, exponent)
        kernel("shrink", x)(x, w, tau, 1.0, low, high, threads)


def norm_rows(
    rows: np.ndarray,
    into: np.ndarray,
    left: np.ndarray,
    blocks: Blocks,
    size: float,
    ball: bool,
    n_threads: int | None,
) -> None:
    """Prox or projection of rows; `left` marks those that need `norm_multiplier`."""
    if thread_count(2, rows.shape[1]) > 1:
        left[:] = 1
        return
    threads = thread_count(n_threads, rows.size)
    _row_kernels.norm_rows(rows, into, blocks.k, size, ball, left, threads)


def _scaled(size: float, exponent: int) -> float:
    """``size 2^exponent``, infinity where that is too large for a float."""
    try:
        return math.ldexp(size, exponent)
    except OverflowError:
        return math.inf


def norm_multiplier(x: np.ndarray, blocks: Blocks, size: float, *, ball: bool) -> float:
    """The L for which ``prox_{L S_k}(x)`` solves a problem with the k-support norm N.

    For the projection onto a ball of radius `size` the root of ``N(w) = size``, for the
    prox of ``size * N`` that of ``L N(w) = size``; 0 where w is x, inf where it is 0.
    Where the sets of whole groups (p of them) and of partial ones are known, N(w)^2 is
    ``Q / (1 + L)^2 + (k - p) S^2 / (k - p + L n)^2``: its root is the next L, and the
    right one if the sets are the same there.
    """
    fast = _row_kernels.norm_multiplier(x, blocks.k, size, ball)
    if fast >= 0:
        return fast
    top = float(np.max(np.abs(x)))
    if size == 0 or top == 0:
        return 0.0 if not ball or top == 0 else math.inf
    if not top < math.inf:
        return 1.0  # NaN follows
    exponent = 0
    if not 1e-100 < top < 1e100:
        x, exponent = unit_scale(x.astype(np.float64))
    z, size = x, _scaled(size, -exponent)
    k = blocks.k
    if ball and _norm(_pattern(z, k, 0.0), k, 0.0) <= size:
        return 0.0
    if not ball and math.sqrt(largest_squares(z, int(k))) <= size:
        return math.inf
    low, high = 0.0, math.inf
    L, known = 1.0, None
    for _ in range(100):
        pattern = _pattern(z, k, L)
        if pattern[:2] == known:
            return L
        known = pattern[:2]
        if (_norm(pattern, k, L) > size) if ball else (L * _norm(pattern, k, L) < size):
            low = L
        else:
            high = L
        L = _model_root(pattern, k, size, ball)
        if not low < L < high:
            L = 2.0 * low if high == math.inf else 0.5 * (low + high)
            known = None
            if not low < L < high:
                return L
    return L


def _pattern(z: np.ndarray, k: float, L: float) -> tuple[int, int, float, float]:
    """Entries at L: counts of whole and partial, sum of these, squares of those."""
    t = envelope_root(z, k, L, 1.0).t
    p, n, S, Q, _ = kernel("moments", z)(z, L * t, (1.0 + L) * t)
    return p, n, S, Q


def _norm(pattern: tuple[int, int, float, float], k: float, L: float) -> float:
    p, n, S, Q = pattern
    partial = S / (k - p + L * n) if n and p < k else 0.0
    return math.sqrt(Q / (1.0 + L) / (1.0 + L) + (k - p) * partial * partial)


def _model_root(
    pattern: tuple[int, int, float, float], k: float, size: float, ball: bool
) -> float:
    """Root over L for fixed sets; inf if there is none."""

    def excess(L: float) -> float:
        norm = _norm(pattern, k, L)
        return size - norm if ball else L * norm - size

    if excess(0.0) >= 0:
        return 0.0
    high = 1.0
    while excess(high) < 0:
        high *= 4.0
        if high > 1e100:  # squares of what is left would underflow
            return math.inf
    return float(brentq(excess, 0.0, high, xtol=1e-300, rtol=1e-15, maxiter=200))


def largest_squares(z: np.ndarray, k: int) -> float:
    """Sum of the k largest squares of entries whose squares are no extreme numbers."""
    if k == z.size:
        return kernel("moments", z)(z, 0.0, 0.0)[3]
    # a steep envelope finds the k-th largest but for a few of about the same size
    t = envelope_root(z, k, _STEEP, 1.0).t
    low, high = _STEEP * t, (_STEEP + 1.0) * t
    p, n, S, Q, _ = kernel("moments", z)(z, low, high)
    rest = int(k) - p
    if t == 0 or rest <= 0:
        return Q
    if n == 1:
        return Q + S * S
    size = np.abs(z)
    near = size[(size > low) & (size < high)].astype(np.float64)
    largest = np.partition(near, near.size - rest)[near.size - rest :]
    return Q + float(largest @ largest)
