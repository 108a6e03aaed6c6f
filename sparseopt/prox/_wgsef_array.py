"""The envelope's prox in terms of the array API: any library, device and autograd.

All work on n elements is in whole-array operations.  The masks of whole and partial
groups are found first and the point is then a smooth function of the input, so that a
library's automatic differentiation gives the derivative of the prox.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from sparseopt._core._array_api import device, to_numpy
from sparseopt.prox._blocks import Blocks
from sparseopt.prox._kernels import general_root

# Up to this many groups the host finds the multiplier from all of them, and beyond
# from a sample first and then from those that it leaves undecided.
_LARGE = 20_000
_SAMPLE = 16_384
# Half the width of the bracket, in deviations of the sample's sum of shares.
_DEVIATIONS = 3.0
_TINY = 1e-300
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

    @property
    def uniform(self) -> bool:
        """Whether they are the same for all groups."""
        return all(isinstance(term, float) for term in self)

    def of(self, chosen: Any) -> Terms:
        """Terms of the chosen groups."""
        return Terms(*(t if isinstance(t, float) else t[chosen] for t in self))

    def at(self, xp: ModuleType, places: Any) -> Terms:
        """Terms of the groups with these numbers."""
        parts = (
            t if isinstance(t, float) else xp.take(t, places, axis=0) for t in self
        )
        return Terms(*parts)


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


class Masks(NamedTuple):
    """Which groups are kept whole, and which in part."""

    whole: Any
    part: Any


def array_prox(
    xp: ModuleType,
    x: Any,
    blocks: Blocks,
    lam: float,
    debias: float,
    *,
    masks: Masks | None = None,
    want_shares: bool = True,
) -> tuple[Any, Any, Any]:
    """The prox of a flat array, the shares u, and the multiplier eta (a 0-d array).

    With `masks`, from whoever knows them, there is no search.  The shares are None
    unless they are wanted.
    """
    layout = Layout(xp, blocks, x)
    wide = xp.astype(x, xp.float64, copy=False)
    r = xp.abs(wide)
    size = xp.max(_detached(r))
    # NaN or infinity anywhere is in the largest entry, and makes everything NaN
    poison = xp.where(xp.isfinite(size), 1.0 + 0.0 * size, math.nan + 0.0 * size)
    size = xp.where(size > 0, size, xp.ones_like(size))
    if not blocks.single:
        # scaled against overflow; and the root of zero has no derivative
        scaled = wide / size
        squares = layout.dots(scaled, scaled)
        positive = squares > 0
        root = xp.sqrt(xp.where(positive, squares, xp.ones_like(squares)))
        r = size * xp.where(positive, root, xp.zeros_like(squares))
    terms = make_terms(xp, blocks, lam, debias, r)
    a = r if isinstance(terms.alpha, float) and terms.alpha == 1.0 else terms.alpha * r
    top = xp.max(_detached(a)) if a is not r or not blocks.single else size
    top = xp.where(top > 0, top, xp.ones_like(top))
    y = a / top
    if masks is None:
        masks = _masks(xp, _detached(y), blocks, terms)
    factor, t = _factors(xp, y, masks, terms, blocks.k, poison)
    if lam == 0:
        factor = xp.ones_like(y) * poison
    w = x * layout.spread(xp.astype(factor, x.dtype, copy=False), 1.0) + 0.0
    if blocks.groups.size is None:  # coordinates in no group
        w = w * xp.astype(poison, x.dtype)
    partial = t > 0
    safe = xp.where(partial, t, xp.ones_like(t))
    eta = xp.where(partial, 1.0 / (safe * top), xp.full_like(t, math.inf))
    if not want_shares:
        return w, None, eta
    zero, one = xp.zeros_like(y), xp.ones_like(y)
    partly = xp.where(masks.part, (y / safe - terms.b) / terms.c, zero)
    return w, xp.where(masks.whole, one, partly) * poison, eta


def _factors(
    xp: ModuleType, y: Any, masks: Masks, terms: Terms, k: float, poison: Any
) -> tuple[Any, Any]:
    """Factors of the groups, and ``t = 1 / eta``, or 0 where no group is partial.

    Both are smooth functions of the slopes y for fixed masks.  Products with masks are
    several times faster than selections.
    """
    _, b, c, q = terms
    whole, part = (xp.astype(mask, y.dtype) for mask in masks)
    if terms.uniform:
        rise = q / c * xp.sum(part * y)
        fall = k - q * xp.sum(whole) + q * b / c * xp.sum(part)
    else:
        share = part * (q / c)
        rise = xp.sum(share * y)
        fall = k - xp.sum(whole * q) + xp.sum(share * b)
    partial = rise > 0
    t = rise / xp.where(partial, fall, xp.ones_like(fall))
    t = xp.where(partial, t, xp.zeros_like(t))
    level = b * t
    # partial groups are above the level, and all others are multiplied by zero
    floor = 0.5 * _detached(level)
    floor = xp.where(floor > 0, floor, xp.ones_like(floor))
    inner = 1.0 - level / xp.maximum(y, floor)
    if not (isinstance(c, float) and c == 1.0):
        inner = inner / c
    return part * inner + whole * (poison / (b + c)), t


def _detached(a: Any) -> Any:
    return a.detach() if hasattr(a, "detach") else a


def _masks(xp: ModuleType, y: Any, blocks: Blocks, terms: Terms) -> Masks:
    """Which groups are whole and which partial; y are the slopes over their largest."""
    positive = y > 0
    few = _total(xp, positive, terms.q) <= blocks.k
    if not _selects(xp):
        whole, part = _classes(y, terms, _newton(xp, y, terms, blocks.k, few))
        return Masks(xp.where(few, positive, whole), part & ~few)
    if bool(few):
        return Masks(positive, y < 0)
    p = _filtered(xp, y, blocks, terms) if y.shape[0] > _LARGE else None
    return _classes(y, terms, _host_root(y, terms, blocks.k) if p is None else p)


def _selects(xp: ModuleType) -> bool:
    """Whether elements can be selected by a mask, which gives a length of its own."""
    about = getattr(xp, "__array_namespace_info__", None)
    return about is not None and bool(about().capabilities().get("boolean indexing"))


def _total(xp: ModuleType, mask: Any, values: Any) -> Any:
    """Sum of the values, or of one value for all, where the mask holds."""
    if not isinstance(values, float):
        return xp.sum(values * xp.astype(mask, values.dtype))
    if hasattr(xp, "count_nonzero"):
        return values * xp.astype(xp.count_nonzero(mask), xp.float64)
    return values * xp.sum(xp.astype(mask, xp.float64))


def _classes(y: Any, terms: Terms, p: Any) -> Masks:
    """Groups that are whole, and in part, for the multiplier p."""
    whole = (y >= (terms.b + terms.c) / p) & (y > 0)
    return Masks(whole, (y > terms.b / p) & ~whole)


def _filtered(xp: ModuleType, y: Any, blocks: Blocks, terms: Terms) -> float | None:
    """The multiplier by way of a sample; None if the sample misleads.

    The sample brackets it.  Groups of one class at both ends of the bracket are summed
    up, and the others, a few per cent, decide on the host.
    """
    lo, hi = _bracket(xp, y, blocks.k, terms)
    at_lo, at_hi = _classes(y, terms, lo), _classes(y, terms, hi)
    linear = at_lo.part & at_hi.part
    others = (at_hi.whole | at_hi.part) & ~(at_lo.whole | linear)
    rest = blocks.k - float(_total(xp, at_lo.whole, terms.q))
    gain = xp.sum(xp.astype(linear, y.dtype) * y * (terms.q / terms.c))
    offset = _total(xp, linear, terms.q * terms.b / terms.c)
    if not 0 < rest:
        return None
    line = float(gain), float(offset)
    p = _host_root(y[others], terms.of(others), rest, line)
    return p if lo <= p <= hi else None


def _bracket(xp: ModuleType, y: Any, k: float, terms: Terms) -> tuple[float, float]:
    """Multipliers of a sample for budgets below and above its part of k."""
    n = y.shape[0]
    size = _SAMPLE if n > 8 * _SAMPLE else _SAMPLE // 4
    drawn = np.random.default_rng(0).integers(0, n, size=size)
    places = xp.asarray(drawn, device=device(y))
    sample = xp.take(y, places, axis=0)
    own = terms.at(xp, places)
    cost = own.q if isinstance(own.q, float) else float(xp.mean(own.q))
    middle = k * size / n
    slack = _DEVIATIONS * (math.sqrt(middle * cost) + cost)
    lo = _host_root(sample, own, middle - slack) if middle > slack else 0.0
    return max(lo, _TINY), _host_root(sample, own, middle + slack)


def _host_root(
    y: Any, terms: Terms, k: float, line: tuple[float, float] = (0.0, 0.0)
) -> float:
    """The p with ``gain p - offset + sum q clip((p y - b) / c, 0, 1) = k``."""
    y, b, c, q = (to_numpy(part) for part in (y, *terms[1:]))
    with np.errstate(divide="ignore", over="ignore"):
        enter, full = b / y, (b + c) / y
    gain = q / c * y
    some = np.isfinite(enter)
    if not some.all():
        enter, full, gain = enter[some], full[some], gain[some]
    if line[0] > 0:
        enter = np.append(enter, line[1] / line[0])
        full, gain = np.append(full, math.inf), np.append(gain, line[0])
    return general_root(enter, full, gain, k)


def _newton(xp: ModuleType, y: Any, terms: Terms, k: float, few: Any) -> Any:
    """The multiplier without selections, for libraries that trace or compile.

    Newton steps on the piecewise affine sum of shares, inside a bracket that doubles
    until it holds the root and is halved where a step would leave it.
    """
    _, b, c, q = terms
    gains, offsets = y * (q / c), q * b / c
    total = xp.sum(gains)
    lo = k / xp.where(total > 0, total, xp.ones_like(total))
    hi = xp.full_like(lo, math.inf)
    p = lo * 1.0
    for count in range(_MOST_PASSES):
        whole, part = _classes(y, terms, p)
        full, offset = _total(xp, whole, q), _total(xp, part, offsets)
        slope = xp.sum(xp.astype(part, y.dtype) * gains)
        below = full + (p * slope - offset) < k
        lo, hi = xp.where(below, p, lo), xp.where(below, hi, p)
        safe = xp.where(slope > 0, slope, xp.ones_like(slope))
        newton = (k - full + offset) / safe
        # doubling where there is no upper bound yet
        middle = 0.5 * (lo + xp.where(hi < math.inf, hi, 3.0 * lo))
        inside = (slope > 0) & (newton > lo) & (newton < hi)
        settled = (slope > 0) & (xp.abs(newton - p) <= 4e-16 * p)
        following = xp.where(settled, p, xp.where(inside, newton, middle))
        done = settled | (following == p) | few | (p != p)
        if count % _PASSES_BEFORE_LOOK == 3 and bool(done):
            break
        p = following
    return p
