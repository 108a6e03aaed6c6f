"""The envelope's prox in terms of the array API: any library, device and autograd.

All work is in whole-array operations; the host waits once in four passes.  The masks of
whole and partial groups are found first and the point is then a smooth function of the
input, so that a library's automatic differentiation gives the derivative of the prox.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from sparseopt._core._array_api import device
from sparseopt.prox._blocks import Blocks

_PASSES_BEFORE_LOOK = 4
_MOST_PASSES = 400


class Layout:
    """Sums over groups and back, for arrays of one library.

    Index lists are padded to a rectangle that points at a zero behind the vector.
    """

    def __init__(self, xp: ModuleType, blocks: Blocks, like: Any) -> None:
        self.xp, self.groups = xp, blocks.groups
        if blocks.groups.size is None:
            table, labels = _padded(blocks.groups)
            self._table = xp.asarray(table, device=device(like))
            self._labels = xp.asarray(labels, device=device(like))

    def dots(self, x: Any, y: Any) -> Any:
        """Inner products of the groups of two flat vectors."""
        xp, groups = self.xp, self.groups
        product = x * y
        if groups.size == 1:
            return product
        if groups.size is not None:
            rows = xp.reshape(product, (groups.m, groups.size))
        else:
            zero = xp.zeros((1,), dtype=product.dtype, device=device(product))
            longer = xp.concat([product, zero])
            flat = xp.take(longer, xp.reshape(self._table, (-1,)), axis=0)
            rows = xp.reshape(flat, self._table.shape)
        return xp.sum(rows, axis=1)

    def spread(self, values: Any, fill: float) -> Any:
        """The value of its group for each coordinate; `fill` for those in none."""
        xp, groups = self.xp, self.groups
        if groups.size == 1:
            return values
        if groups.size is not None:
            square = xp.broadcast_to(values[:, None], (groups.m, groups.size))
            return xp.reshape(square, (groups.n,))
        last = xp.full((1,), fill, dtype=values.dtype, device=device(values))
        return xp.take(xp.concat([values, last]), self._labels, axis=0)


def _padded(groups: Any) -> tuple[np.ndarray, np.ndarray]:
    sizes = groups.sizes
    table = np.full((groups.m, int(sizes.max())), groups.n, dtype=np.int64)
    inside = np.arange(table.shape[1]) < sizes[:, None]
    table[inside] = groups.indices
    labels = np.full(groups.n, groups.m, dtype=np.int64)
    labels[groups.indices] = np.repeat(np.arange(groups.m), sizes)
    return table, labels


class Terms(NamedTuple):
    """What the shares are made of: ``u = clip((eta alpha r - b) / c, 0, 1)``."""

    alpha: Any
    b: Any
    c: Any
    q: Any


def make_terms(
    xp: ModuleType, blocks: Blocks, lam: float, debias: float, like: Any
) -> Terms:
    """Terms of each group as numbers or as arrays beside `like`."""
    d, q = np.asarray(blocks.weight), np.asarray(1.0)
    if blocks.costs is not None:
        q = blocks.costs
    parts = (np.sqrt(d / q), lam * d, 1.0 - debias * lam * d, q)
    return Terms(
        *(
            float(part)
            if part.ndim == 0
            else xp.asarray(part, dtype=like.dtype, device=device(like))
            for part in parts
        )
    )


def array_prox(
    xp: ModuleType, x: Any, blocks: Blocks, lam: float, debias: float
) -> tuple[Any, Any, Any]:
    """The prox of a flat array, the shares u, and the multiplier eta (a 0-d array)."""
    layout = Layout(xp, blocks, x)
    wide = xp.astype(x, xp.float64)
    if blocks.single:
        r = xp.abs(wide)
    else:
        # against overflow; and the root of zero has no derivative
        size = xp.max(xp.abs(_detached(wide)))
        size = xp.where(size > 0, size, xp.ones_like(size))
        squares = layout.dots(wide / size, wide / size)
        positive = squares > 0
        root = xp.sqrt(xp.where(positive, squares, xp.ones_like(squares)))
        r = size * xp.where(positive, root, xp.zeros_like(squares))
    terms = make_terms(xp, blocks, lam, debias, r)
    a = terms.alpha * r
    fixed = _detached(a)
    top = xp.max(fixed)
    top = xp.where(top > 0, top, xp.ones_like(top))
    whole, part = _masks(xp, fixed / top, terms, blocks.k)
    u, factor, eta = _from_masks(xp, a, top, whole, part, terms, blocks.k)
    if lam == 0:
        factor = xp.ones_like(a)
    w = x * layout.spread(xp.astype(factor, x.dtype), 1.0) + 0.0
    fine = xp.all(xp.isfinite(x))
    w, u = (xp.where(fine, v, xp.full_like(v, math.nan)) for v in (w, u))
    return w, u, eta


def _from_masks(
    xp: ModuleType, a: Any, top: Any, whole: Any, part: Any, terms: Terms, k: float
) -> tuple[Any, Any, Any]:
    """Shares, factors and eta, smooth functions of the slopes for fixed masks."""
    zero, one = xp.zeros_like(a), xp.ones_like(a)
    _, b, c, q = terms
    y = a / top
    rise = xp.sum(xp.where(part, q / c * y, zero))
    fall = k - xp.sum(xp.where(whole, q * one, zero))
    fall = fall + xp.sum(xp.where(part, q * b / c * one, zero))
    partial = xp.any(part)
    t = rise / xp.where(partial, fall, xp.ones_like(fall))
    scale = xp.where(partial, t, xp.ones_like(t))
    safe = xp.where(part, y, one)
    inner = (1.0 - b * t / safe) / c
    factor = xp.where(whole, 1.0 / (b + c) * one, xp.where(part, inner, zero))
    u = xp.where(whole, one, xp.where(part, (y / scale - b) / c, zero))
    infinite = xp.full_like(t, math.inf)
    return u, factor, xp.where(partial, 1.0 / (scale * top), infinite)


def _detached(a: Any) -> Any:
    return a.detach() if hasattr(a, "detach") else a


def _masks(xp: ModuleType, y: Any, terms: Terms, k: float) -> tuple[Any, Any]:
    """Which groups are whole and which partial; y are the slopes over their largest.

    Newton steps on the piecewise affine sum of shares, inside a bracket that doubles
    until it holds the root and is halved where a step would leave it.
    """
    zero = xp.zeros_like(y)
    _, b, c, q = terms
    costs = q + zero

    def split(p: Any) -> tuple[Any, Any, Any, Any, Any]:
        rise = p * y - b
        whole = (rise >= c) & (y > 0)
        part = (rise > 0) & ~whole
        full = xp.sum(xp.where(whole, costs, zero))
        slope = xp.sum(xp.where(part, costs * y / c, zero))
        offset = xp.sum(xp.where(part, costs * b / c, zero))
        return whole, part, full, slope, offset

    reach = xp.sum(xp.where(y > 0, costs, zero))
    total = xp.sum(costs * y / c)
    lo = k / xp.where(total > 0, total, xp.ones_like(total))
    hi = xp.full_like(lo, math.inf)
    p = lo * 1.0
    for count in range(_MOST_PASSES):
        whole, part, full, slope, offset = split(p)
        below = full + (p * slope - offset) < k
        lo, hi = xp.where(below, p, lo), xp.where(below, hi, p)
        safe = xp.where(slope > 0, slope, xp.ones_like(slope))
        newton = (k - full + offset) / safe
        # doubling where there is no upper bound yet
        middle = 0.5 * (lo + xp.where(hi < math.inf, hi, 3.0 * lo))
        inside = (slope > 0) & (newton > lo) & (newton < hi)
        settled = (slope > 0) & (xp.abs(newton - p) <= 4e-16 * p)
        following = xp.where(settled, p, xp.where(inside, newton, middle))
        done = settled | (following == p) | (reach <= k) | (p != p)
        if count % _PASSES_BEFORE_LOOK == 3 and bool(done):
            break
        p = following
    return xp.where(reach <= k, y > 0, whole), xp.where(reach <= k, y < 0, part)
