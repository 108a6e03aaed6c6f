"""Robust alternating minimisation as published: fresh samples, sketched row solves.

Gu, Song, Yin and Zhang, "Low rank matrix completion via robust alternating minimization
in nearly linear time" (ICLR 2024). Kept for its experiments: `solve_auto` uses all
entries in every step, and is faster and more reliable.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import linalg

from sparseopt._core._status import Status
from sparseopt.completion._frames import orthonormalise, rotate
from sparseopt.completion._half_step import HalfSteps, scaled
from sparseopt.completion._init import spectral
from sparseopt.completion._kernels import aligned
from sparseopt.completion._orders import both_orders
from sparseopt.completion._problem import Entries
from sparseopt.completion._run import Factors, Run

# A sketch has so many rows for each unknown, and a few more.
_SKETCH, _SKETCH_EXTRA = 4, 8
RowSolver = Callable[[np.ndarray, np.ndarray, float, np.random.Generator], np.ndarray]


def solve_altmin(run: Run) -> Status:
    """Alternating minimisation with orthonormal frames and independent row problems.

    Options: "n_outer" (outer iterations), "sample_splitting" (fresh entries in every
    half-step), "clip" (entries of the first frame above ``clip * sqrt(k / m)`` become
    0; None: no clipping), "row_solver" ("cg", "sketch" or "cholesky") and "row_tol"
    (reduction of each row's gradient, which bounds the accuracy of the whole).
    """
    run.solver = "alternating_minimization"
    o = run.options
    n_outer = int(o.get("n_outer", 20))
    if o.get("sample_splitting", False):
        parts = split(run.entries, 2 * n_outer + 1, run.rng)
        run.factors = Factors(*spectral(parts[0], run.k, run.rng))
    else:
        parts = [run.entries] * (2 * n_outer + 1)
    U = clipped(run.factors.U, run.k, o.get("clip"))
    solver, tol = o.get("row_solver", "cg"), float(o.get("row_tol", 1e-10))
    for t in range(n_outer):
        V = _half_step(run, parts[2 * t + 1], True, U, solver, tol)
        V = orthonormalise(V, run.k)[0]
        left = _half_step(run, parts[2 * t + 2], False, V, solver, tol)
        U, s, W = orthonormalise(left, run.k)
        factors = Factors(U, s, rotate(V, W))
        rss = run.entries.residual(scaled(U, s), factors.V)[1]
        run.work += 0.5
        run.update(factors, rss, 0.5 * rss)
        if run.residual < run.tol:
            return Status.CONVERGED
    return Status.MAX_ITER


def split(entries: Entries, n_parts: int, rng: np.random.Generator) -> list[Entries]:
    """Independent random parts of the entries, of about equal size."""
    side, (m, n) = entries.rows, entries.shape
    label = rng.permutation(entries.n_entries) % n_parts
    row = np.repeat(np.arange(m), np.diff(side.ptr))
    parts = []
    for part in range(n_parts):
        here = label == part
        counts = np.bincount(row[here], minlength=m)
        ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        w = None if side.weight is None else side.weight[here]
        idx, val = side.idx[here], side.val[here]
        parts.append(both_orders((m, n), ptr, idx, val, w, entries.n_threads))
    return parts


def clipped(U: np.ndarray, k: int, clip: float | None) -> np.ndarray:
    """Orthonormal frame of U with its large entries set to 0."""
    if clip is None:
        return U
    bound = clip * math.sqrt(k / len(U))
    return orthonormalise(np.where(np.abs(U) > bound, U.dtype.type(0), U), k)[0]


def _half_step(
    run: Run,
    part: Entries,
    transposed: bool,
    fixed: np.ndarray,
    solver: str,
    tol: float,
) -> np.ndarray:
    """Least squares for every row of one factor, from zero: the least solutions."""
    side, k = part.side(transposed), run.k
    unknown = aligned((side.n_rows, fixed.shape[1]), fixed.dtype)
    if solver == "cg":
        half = HalfSteps(part, k)
        # in exact arithmetic k steps are enough
        steps = 2 * k + 10
        half.cg(transposed, fixed, unknown, np.zeros(k), steps=steps, tol=tol)
        run.work += half.work / 2 * part.n_entries / run.entries.n_entries
        return unknown
    solve = {"sketch": sketched, "cholesky": by_cholesky}[solver]
    for i in np.flatnonzero(np.diff(side.ptr)):
        e = slice(side.ptr[i], side.ptr[i + 1])
        A = fixed[side.idx[e], :k].astype(np.float64)
        b = side.val[e].astype(np.float64)
        if side.weight is not None:
            root = np.sqrt(side.weight[e], dtype=np.float64)
            A, b = A * root[:, None], b * root
        unknown[i, :k] = solve(A, b, tol, run.rng)
    run.work += k / 4 * part.n_entries / run.entries.n_entries
    return unknown


def by_cholesky(
    A: np.ndarray, b: np.ndarray, tol: float, rng: np.random.Generator
) -> np.ndarray:
    """Least squares by normal equations; the least solution where they are singular."""
    if len(A) >= A.shape[1]:
        gram = A.T @ A
        try:
            factor = linalg.cho_factor(gram, check_finite=False)
        except linalg.LinAlgError:
            pass
        else:
            spread = np.diag(factor[0])
            if spread.min() > 1e-6 * spread.max():
                return linalg.cho_solve(factor, A.T @ b, check_finite=False)
    return linalg.lstsq(A, b, check_finite=False)[0]


def sketched(
    A: np.ndarray, b: np.ndarray, tol: float, rng: np.random.Generator
) -> np.ndarray:
    """Least squares by CG, preconditioned and started from a sketch.

    A subsampled randomised Hadamard transform keeps ``O(k)`` rows of A; the triangle of
    its QR decomposition makes the problem well conditioned. Problems of not many more
    rows than a sketch are solved as they are.
    """
    n, k = A.shape
    size = _SKETCH * k + _SKETCH_EXTRA
    if n <= 2 * size:
        return linalg.lstsq(A, b, check_finite=False)[0]
    S = hadamard_rows(np.column_stack([A, b]), size, rng)
    Q, R = linalg.qr(S[:, :k], mode="economic", check_finite=False)
    diagonal = np.abs(np.diag(R))
    if diagonal.min() <= 1e-10 * diagonal.max():
        return linalg.lstsq(A, b, check_finite=False)[0]
    x = linalg.solve_triangular(R, Q.T @ S[:, k], check_finite=False)
    return _preconditioned_cg(A, b, R, x, tol)


def _preconditioned_cg(
    A: np.ndarray, b: np.ndarray, R: np.ndarray, x: np.ndarray, tol: float
) -> np.ndarray:
    """CG for ``min ||A x - b||`` in the variable ``R x``."""

    def down(v: np.ndarray, trans: int) -> np.ndarray:
        return linalg.solve_triangular(R, v, trans=trans, check_finite=False)

    r = b - A @ x
    g = down(A.T @ r, 1)
    p, gg = g, float(g @ g)
    bound = tol**2 * float(np.sum(down(A.T @ b, 1) ** 2))
    for _ in range(10 * len(x)):
        if gg <= bound:
            break
        step = down(p, 0)
        q = A @ step
        curvature = float(q @ q)
        if not curvature > 0:
            break
        a = gg / curvature
        x = x + a * step
        r = r - a * q
        g = down(A.T @ r, 1)
        gg, last = float(g @ g), gg
        p = g + gg / last * p
    return x


def hadamard_rows(A: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """``size`` rows of H D A, scaled so that norms are kept on average.

    D are random signs and H the orthogonal Hadamard matrix of the next power of two,
    applied in n log n operations: it spreads what single rows hold over all of them.
    """
    n = len(A)
    full = 1 << (n - 1).bit_length()
    X = np.zeros((full, A.shape[1]))
    X[:n] = A * rng.choice([-1.0, 1.0], n)[:, None]
    half = 1
    while half < full:
        pairs = X.reshape(full // (2 * half), 2, half, -1)
        top, low = pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]
        pairs[:, 0], pairs[:, 1] = top, low
        half *= 2
    rows = rng.choice(full, size, replace=False)
    # 1 / sqrt(full) makes H orthogonal, sqrt(full / size) makes up for what is left out
    return X[rows] / math.sqrt(size)
