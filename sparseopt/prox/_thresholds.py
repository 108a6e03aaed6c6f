"""Projections of flat vectors that subtract one number and clip."""

from __future__ import annotations

import math

import numpy as np

from sparseopt.prox import _kernels, _row_kernels
from sparseopt.prox._engine import kernel, reject, thread_count


def threshold(
    v: np.ndarray,
    w: np.ndarray,
    total: float,
    cap: float,
    absolute: bool,
    finite: bool,
    n_threads: int | None,
) -> None:
    """``w = clip(v - tau, 0, cap)`` with sum `total`, or that of |v| with v's signs.

    Of |v| nothing is taken if its sum is no more than the total.
    """
    threads = thread_count(n_threads, v.size)
    if total == 0 or total >= v.size * cap:
        if not np.isfinite(v).all():
            reject(v, w, finite)
        else:
            w.fill(cap if total else 0.0)
        return
    run = kernel("simplex", v)
    step, _ = run(v, w, total, cap, absolute, False, threads)
    if step == _kernels.RANGE:
        exponent = _exponent(v, total)
        scaled, limit = np.ldexp(v, -exponent), math.ldexp(total, -exponent)
        cap = cap if cap == math.inf else math.ldexp(cap, -exponent)
        step, _ = run(scaled, scaled, limit, cap, absolute, True, threads)
        np.ldexp(scaled, exponent, out=w)
    if step == _kernels.BAD:
        reject(v, w, finite)


def threshold_rows(
    rows: np.ndarray,
    into: np.ndarray,
    left: np.ndarray,
    total: float,
    cap: float,
    absolute: bool,
    n_threads: int | None,
) -> None:
    """`threshold` of each row; `left` marks those for which it has to be called."""
    n = rows.shape[1]
    if total == 0 or total >= n * cap or thread_count(2, n) > 1:
        left[:] = 1
        return
    threads = thread_count(n_threads, rows.size)
    _row_kernels.simplex_rows(rows, into, total, cap, absolute, left, threads)


def _exponent(v: np.ndarray, total: float) -> int:
    top = max(float(np.max(np.abs(v))), total)
    return math.frexp(top)[1] if top < math.inf else 0


def threshold_weighted(
    v: np.ndarray,
    w: np.ndarray,
    total: float,
    q: np.ndarray,
    caps: np.ndarray | None,
    finite: bool,
) -> None:
    """``w = clip(v - tau q, 0, caps)`` with ``sum q w = total``."""
    if not np.isfinite(v).all():
        reject(v, w, finite)
        return
    unit = math.frexp(float(np.max(q)))[1]
    if abs(unit) > 100:  # their squares are needed
        q = np.ldexp(q, -unit)
        if math.frexp(total)[1] - unit > 1020:
            raise ValueError(
                "The 'weights' array must let the sum be reached within the range of "
                f"floats. Got weights of at most {np.ldexp(np.max(q), unit)} for a sum "
                f"of {total:g}."
            )
        total = math.ldexp(total, -unit)
    exponent = _exponent(v, total)
    y, limit = np.ldexp(v.astype(np.float64), -exponent), math.ldexp(total, -exponent)
    top = np.full_like(y, np.inf) if caps is None else np.ldexp(caps, -exponent)
    p = _kernels.general_root(-y / q, (top - y) / q, q * q, limit)
    if p == math.inf:  # only the caps reach the total
        w[...] = np.ldexp(top, exponent)
    else:
        w[...] = np.ldexp(np.clip(y + p * q, 0.0, top), exponent)
