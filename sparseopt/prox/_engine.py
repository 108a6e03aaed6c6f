"""Envelopes of flat vectors: group norms, root, output."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.optimize import brentq

from sparseopt._core._arrays import check_finite
from sparseopt.prox._blocks import Blocks
from sparseopt.prox._root import general_root, hyper_root, shift_root


def shrink(
    x: np.ndarray,
    w: np.ndarray,
    blocks: Blocks,
    lam: float,
    debias: float,
    finite: bool,
    n_threads: int | None,
) -> tuple[float, np.ndarray | None]:
    """Write the prox of x to w; t = 1 / eta and the group norms (None: |x|)."""
    if not np.isfinite(x).all():
        if finite:
            check_finite(x, "x")
        w.fill(np.nan)
        return np.nan, None
    r = np.abs(x) if blocks.single else blocks.groups.norms(x)
    t = root(r, blocks, lam, debias)
    if lam == 0:
        w[...] = x
        return t, r
    u = shares(x, r, t, blocks, lam, debias)
    b, c = coefficients(blocks.weight, lam, debias)
    scale = (u / (c * u + b)).astype(x.dtype)
    np.multiply(x, scale if blocks.single else blocks.groups.spread(scale), out=w)
    w += 0.0
    return t, r


def coefficients(d: Any, lam: float, debias: float) -> tuple[Any, Any]:
    """Coefficients b and c of ``u = clip((eta a - b) / c, 0, 1)`` for weights d."""
    return lam * d, 1.0 - debias * lam * d


def root(r: np.ndarray, blocks: Blocks, lam: float, debias: float) -> float:
    """The t = 1 / eta at which the shares add up to the budget; 0 if they cannot."""
    b, c = coefficients(blocks.weight, lam, debias)
    if blocks.uniform:
        return hyper_root(r, blocks.k, b, c) * np.sqrt(blocks.weight)
    a = _slopes(r, blocks)
    q = np.ones_like(a) if blocks.costs is None else blocks.costs
    if q[a > 0].sum() <= blocks.k:
        return 0.0
    top = a.max()
    a = a / top
    with np.errstate(divide="ignore", invalid="ignore"):
        eta = general_root(b / a, (b + c) / a, q * a / c, blocks.k)
    return top / eta


def _slopes(r: np.ndarray, blocks: Blocks) -> np.ndarray:
    a = np.sqrt(blocks.weight) * np.asarray(r, dtype=np.float64)
    return a if blocks.costs is None else a / np.sqrt(blocks.costs)


def shares(
    x: np.ndarray,
    r: np.ndarray | None,
    t: float,
    blocks: Blocks,
    lam: float,
    debias: float,
) -> np.ndarray:
    """The u of each group."""
    if np.isnan(t):
        return np.full(blocks.groups.m, np.nan)
    a = _slopes(np.abs(x) if r is None else r, blocks)
    if t == 0:
        return (a > 0).astype(np.float64)
    b, c = coefficients(blocks.weight, lam, debias)
    with np.errstate(over="ignore"):
        return np.clip((a / t - b) / c, 0.0, 1.0)


def threshold(
    v: np.ndarray,
    w: np.ndarray,
    total: float,
    cap: float,
    absolute: bool,
    finite: bool,
    n_threads: int | None,
) -> float:
    """``clip(v - tau, 0, cap)`` with sum `total`, or that of |v| with v's signs."""
    if not np.isfinite(v).all():
        if finite:
            check_finite(v, "x")
        w.fill(np.nan)
        return np.nan
    z = np.abs(v) if absolute else v
    if absolute and z.sum(dtype=np.float64) <= total:
        w[...] = v
        return 0.0
    tau = shift_root(z, total, cap)
    sign = np.sign(v) if absolute else 1.0
    w[...] = sign * np.clip(z - tau, 0.0, cap) + 0.0
    return tau


def threshold_weighted(
    v: np.ndarray,
    w: np.ndarray,
    total: float,
    q: np.ndarray,
    caps: np.ndarray | None,
    finite: bool,
) -> float:
    """``clip(v - tau q, 0, caps)`` with ``sum q w = total``."""
    if not np.isfinite(v).all():
        if finite:
            check_finite(v, "x")
        w.fill(np.nan)
        return np.nan
    top = np.inf if caps is None else caps
    tau = -general_root(-v / q, (top - v) / q, q * q, total)
    w[...] = np.clip(v - tau * q, 0.0, top)
    return tau


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
    if not np.isfinite(x).all():
        if finite:
            check_finite(x, "x")
        w.fill(np.nan)
        return
    if lam == 0:
        w[...] = x
        return
    width = upper - lower
    budget = (total - x.size * lower) / width
    low, high = lower / (lower + lam), upper / (upper + lam)
    if budget <= 0:
        np.multiply(x, low, out=w)
        return
    tau = hyper_root(x, budget, (lam + lower) / width, 1.0) * (lam / width)
    z = np.abs(x)
    w[...] = np.copysign(np.clip(z - tau, low * z, high * z), x) + 0.0


def norm_multiplier(x: np.ndarray, blocks: Blocks, size: float, *, ball: bool) -> float:
    """The L for which ``prox_{L S_k}(x)`` solves a problem with the k-support norm N.

    For the projection onto a ball of radius `size` the root of ``N(w) = size``, for the
    prox of ``size * N`` that of ``L N(w) = size``; 0 where w is x, inf where it is 0.
    Where the sets of whole groups (p of them) and of partial ones are known, N(w)^2 is
    ``Q / (1 + L)^2 + (k - p) S^2 / (k - p + L n)^2``: its root is the next L, and the
    right one if the sets are the same there.
    """
    z = np.abs(x).astype(np.float64)
    top = float(z.max())
    if size == 0 or top == 0:
        return 0.0 if not ball or top == 0 else math.inf
    if not top < math.inf:
        return 1.0  # NaN follows
    z /= top
    size /= top
    k = blocks.k
    if ball and _norm(_pattern(z, k, 0.0), k, 0.0) <= size:
        return 0.0
    if not ball and _dual_norm(z, int(k)) <= size:
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
    t = hyper_root(z, k, L, 1.0)
    whole = (z >= (1.0 + L) * t) & (z > 0)
    part = (z > L * t) & ~whole
    squares = z[whole] @ z[whole]
    return int(whole.sum()), int(part.sum()), float(z[part].sum()), float(squares)


def _norm(pattern: tuple[int, int, float, float], k: float, L: float) -> float:
    p, n, S, Q = pattern
    partial = S / (k - p + L * n) if n and p < k else 0.0
    return math.sqrt(Q / (1.0 + L) ** 2 + (k - p) * partial * partial)


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
        if high > 1e300:
            return math.inf
    return float(brentq(excess, 0.0, high, xtol=1e-300, rtol=1e-15, maxiter=200))


def _dual_norm(z: np.ndarray, k: int) -> float:
    largest = np.partition(z, z.size - k)[z.size - k :]
    return math.sqrt(largest @ largest)
