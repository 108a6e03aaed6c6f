"""Rank of a matrix from some of its entries."""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse
from scipy.optimize import brentq
from scipy.sparse.linalg import ArpackNoConvergence, svds

from sparseopt.completion._frames import orthonormalise, rotate
from sparseopt.completion._half_step import HalfSteps, scaled
from sparseopt.completion._init import spectral
from sparseopt.completion._problem import Entries

MOST = 50
_FIRST = 8  # singular values asked for at first
_SWEEPS, _START, _GAMMA, _END = 60, 0.5, 0.7, 1e-4
_LEVEL = 1e-3  # relative decrease of the residual that is none
_ROUNDS = 4
# Noise ends at 1, a little later in finite matrices (so much at least), and residuals
# of a fit are not quite noise; the largest beta tried.
_EDGE, _EDGE_OF_FIT, _COLDEST = 1.002, 1.05, 2.0
_TAIL = 0.98  # of the Tracy-Widom distribution for real matrices, its 95 % point
_EXACT = {np.dtype(np.float32): 1e-4, np.dtype(np.float64): 1e-7}


def estimate_rank(
    entries: Entries, rng: np.random.Generator, largest: int = MOST
) -> int:
    """Number of directions that the entries tell from noise, at least 1.

    The negative eigenvalues of the Bethe Hessian are counted, first of the entries,
    then of the residuals of fits of that rank: strong directions hide weak ones, until
    they are taken away.

    Parameters
    ----------
    entries : Entries
        Weights other than 0 are not looked at.
    rng : Generator
    largest : int
        No more than this is returned.

    Returns
    -------
    int

    References
    ----------
    A. Saade, F. Krzakala, L. Zdeborova, "Matrix completion from fewer entries: spectral
    detectability and rank estimation", NeurIPS 2015, sections 2 and 3.
    """
    m, n = entries.shape
    largest = min(largest, m, n)
    rank, r = 0, entries.rows.val
    norm = np.linalg.norm(r.astype(np.float64))
    for _ in range(_ROUNDS):
        if np.linalg.norm(r.astype(np.float64)) <= _EXACT[entries.dtype] * norm:
            break
        edge = _edge(entries, rank)
        found = count_directions(entries, r, rng, largest - rank, edge)
        rank += found
        # a fit needs more entries than it has numbers
        room = entries.n_entries > 1.2 * rank * (m + n - rank)
        if not found or rank >= largest or not room:
            break
        r = _residual(entries, rank, rng)
    return max(rank, 1)


def _edge(entries: Entries, rank: int) -> float:
    """Where singular values of noise end, and of the residuals of a fit.

    The largest eigenvalue of a Wishart matrix varies by a part of itself that is
    ``(1/sqrt(m) + 1/sqrt(n))^(1/3) / (sqrt(m) + sqrt(n))`` times a variable that
    is below .98 in 19 cases of 20 (Johnstone, 2001): no small part where there are few
    columns. A fit takes its degrees of freedom from the sum of squares, by which
    residuals are measured, and nothing from the size of the noise in what is left;
    as much again is for rows of leverage, which leave less than the others and are
    divided by that.
    """
    m, n = entries.shape
    a, b = math.sqrt(m), math.sqrt(n)
    finite = 1 + 0.5 * _TAIL * (1 / a + 1 / b) ** (1 / 3) / (a + b)
    if not rank:
        return max(_EDGE, finite)
    free = 1 - rank * (m + n - rank) / max(entries.n_entries, 1)
    return max(_EDGE_OF_FIT, finite) / max(free, 0.1)


def count_directions(
    entries: Entries,
    values: np.ndarray,
    rng: np.random.Generator,
    most: int,
    edge: float = _EDGE,
) -> int:
    """Negative eigenvalues of the Bethe Hessian of a matrix with these values.

    The Hessian is ``[D1, -S; -S', D2]`` with positive diagonals: it has as many
    negative eigenvalues as ``D1^-1/2 S D2^-1/2`` has singular values above 1.
    """
    side = entries.rows
    m, n = entries.shape
    x = values.astype(np.float64)
    if side.weight is not None:
        x = np.where(side.weight > 0, x, 0.0)
    rms = math.sqrt(float(np.mean(np.square(x)))) if len(x) else 0.0
    if not rms > 0 or most < 1:
        return 0
    # heavy tails would make sinh of one entry outweigh all others
    x = np.clip(x / rms, -5.0, 5.0)
    beta = _temperature(x, math.sqrt(m * n))
    if beta is None:
        return 0
    weight = np.square(np.sinh(beta * x))
    rows = 1 + _sums(weight, side.ptr)
    cols = 1 + np.bincount(side.idx, weights=weight, minlength=n)
    S = 0.5 * np.sinh(2 * beta * x)
    S /= np.repeat(np.sqrt(rows), np.diff(side.ptr)) * np.sqrt(cols)[side.idx]
    matrix = sparse.csr_array((S, side.idx, side.ptr), (m, n))
    return _above(edge, matrix, rng, most)


def _temperature(x: np.ndarray, size: float) -> float | None:
    """Beta with ``sum tanh^2(beta x) = sqrt(m n)``: noise just stays paramagnetic."""

    def excess(beta: float) -> float:
        return float(np.sum(np.square(np.tanh(beta * x)))) / size - 1

    top = 1.0
    while excess(top) < 0:
        top *= 2
        if top > _COLDEST:  # too few entries to tell anything
            return None
    return float(brentq(excess, 0.0, top, xtol=1e-6))


def _above(
    edge: float, matrix: sparse.csr_array, rng: np.random.Generator, most: int
) -> int:
    size = min(matrix.shape)
    if size <= 2 * _FIRST:
        s = np.linalg.svd(matrix.toarray(), compute_uv=False)
        return min(int(np.count_nonzero(s > edge)), most)
    v0 = rng.standard_normal(size)
    k = min(_FIRST, most)
    while True:
        try:
            s = svds(matrix, k=k, v0=v0, tol=1e-2, return_singular_vectors=False)
        except ArpackNoConvergence as stopped:
            s = np.sqrt(np.maximum(stopped.eigenvalues, 0))
        found = int(np.count_nonzero(s > edge))
        if found < k or k >= min(most, size - 1):
            return min(found, most)
        k = min(2 * k, most, size - 1)


def _sums(values: np.ndarray, ptr: np.ndarray) -> np.ndarray:
    total = np.concatenate([[0.0], np.cumsum(values)])
    return total[ptr[1:]] - total[ptr[:-1]]


def _residual(entries: Entries, k: int, rng: np.random.Generator) -> np.ndarray:
    """Errors of a fit of rank k: sweeps whose ridge falls, until they are level."""
    U, s, V = spectral(entries, k, rng)
    half = HalfSteps(entries, k)
    density = max(entries.n_entries, 1) / math.prod(entries.shape)
    first = lam = _START * density * float(s[0])
    last = math.inf
    for _ in range(_SWEEPS):
        for transposed in (False, True):
            fixed, moved = (U, V) if transposed else (V, U)
            unknown = scaled(moved, s)
            d = lam / np.maximum(s, 1e-6 * max(float(s[0]), 1e-300))
            rss = half.cg(transposed, fixed, unknown, d, steps=3)
            moved, s, W = orthonormalise(unknown, k)
            fixed = rotate(fixed, W)
            U, V = (fixed, moved) if transposed else (moved, fixed)
        if lam == 0.0 and rss >= (1 - _LEVEL) * last:
            break
        last = rss if lam == 0.0 else math.inf
        lam = lam * _GAMMA if lam > _END * first else 0.0
    r = entries.residual(scaled(U, s), V)[0]
    # rows that a fit of rank k follows anyhow have residuals of their own kind
    few = np.diff(entries.rows.ptr) <= 2 * k
    r[np.repeat(few, np.diff(entries.rows.ptr))] = 0.0
    r[(np.diff(entries.cols.ptr) <= 2 * k)[entries.rows.idx]] = 0.0
    return r
