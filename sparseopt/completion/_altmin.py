"""Robust alternating minimisation as published: fresh samples, sketched row solves.

Gu, Song, Yin and Zhang, "Low rank matrix completion via robust alternating minimization
in nearly linear time" (ICLR 2024). Kept for its experiments: `solve_auto` uses all
entries in every step, and is faster and more reliable.
"""

from __future__ import annotations

import math

import numpy as np

from sparseopt._core._status import Status
from sparseopt.completion._frames import orthonormalise, rotate
from sparseopt.completion._half_step import scaled
from sparseopt.completion._init import spectral
from sparseopt.completion._least_rows import least_squares
from sparseopt.completion._orders import both_orders
from sparseopt.completion._problem import Entries
from sparseopt.completion._run import Factors, Run


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
        V = least_squares(run, parts[2 * t + 1], True, U, solver, tol)
        V = orthonormalise(V, run.k)[0]
        left = least_squares(run, parts[2 * t + 2], False, V, solver, tol)
        U, s, W = orthonormalise(left, run.k)
        factors = Factors(U, s, rotate(V, W))
        rss = run.entries.residual(scaled(U, s), factors.V)[1]
        run.work += 1
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
