"""How far inside their bounds dual points have to be, for products of others to agree.

A point is feasible where ``P*(-X' theta)`` is finite.  Two products of the same numbers
differ in the last digits, by a few roundings of what is summed: a dual point that is
on the bound by one product is beyond it by the next.
"""

from __future__ import annotations

import math

import numpy as np

from sparseopt.linear_model._design import Design
from sparseopt.prox import Penalty

# Roundings by which sums of n terms differ: so many, and so many roots of n.  Of the
# terms themselves fewer are enough than of a bound by lengths, which for few terms of
# large entries may be as small as they are.
_ULPS, _ROOTS, _ULPS_OF_TERMS = 4.0, 0.125, 2.0
# Strengths of penalties, relative to products of lengths.
_LEAST, _GROWTH = 1e-3, 1e6


def margin_of(
    design: Design,
    penalty: Penalty,
    shape: tuple[int, ...],
    free: np.ndarray | None = None,
    origin: np.ndarray | None = None,
) -> float:
    """Share by which a dual point of length 1 is shrunk.

    0 where P* is finite everywhere, and where no multiple of a point has a margin.
    `free` coefficients have no bound; `origin` was taken off X.
    """
    lengths = lengths_of(design, origin)
    off = np.array(np.broadcast_to(lengths.reshape(-1, *[1] * (len(shape) - 1)), shape))
    if free is not None:
        off[free] = 0.0
    return roundings(design.n) * _gauge(penalty, off)


def exact_margin(
    design: Design, penalty: Penalty, theta: np.ndarray, free: np.ndarray | None = None
) -> float:
    """The same for one dual point, from what is summed, ``|X|' |theta|``."""
    off = design.absolute(theta)
    if free is not None:
        off[free] = 0.0
    share = roundings(design.n, _ULPS_OF_TERMS)
    return share * _gauge(penalty, off) / float(np.linalg.norm(theta))


def lengths_of(design: Design, origin: np.ndarray | None) -> np.ndarray:
    """Bounds of the lengths of the columns as they were given."""
    lengths = design.lengths()
    return lengths if origin is None else lengths + math.sqrt(design.n) * np.abs(origin)


def roundings(n: int, ulps: float = _ULPS) -> float:
    """Share of the lengths of two vectors by which their products differ."""
    return (ulps + _ROOTS * math.sqrt(n)) * float(np.finfo(np.float64).eps)


def _gauge(penalty: Penalty, v: np.ndarray) -> float:
    """Least t, about, such that v and -v are t times points of the domain of P*."""
    top = float(np.abs(v).max(initial=0.0))
    if not top > 0.0:
        return 0.0
    size = _LEAST / top
    for _ in range(60):
        scale = min(float(penalty.dual_scale(size * v * sign)) for sign in (-1.0, 1.0))
        if scale < 1.0:
            return 1.0 / (scale * size) if scale > 0.0 else 0.0
        size *= _GROWTH
        if not size * top < 1e100:
            break
    return 0.0
