"""Envelopes of flat vectors: group norms, root, output."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from sparseopt._core._arrays import check_finite
from sparseopt._core._threads import effective_n_threads
from sparseopt.prox import _kernels
from sparseopt.prox._blocks import Blocks

# Up to this many elements the kernels take one thread.
_ONE_THREAD = 2_000_000
_KERNELS = {
    (name, dtype): getattr(_kernels, f"{name}_{suffix}")
    for name in (
        "envelope_prox",
        "envelope_root",
        "group_norms",
        "group_scale",
        "shrink",
        "simplex",
    )
    for suffix, dtype in (("d", np.dtype(np.float64)), ("s", np.dtype(np.float32)))
}


class Root(NamedTuple):
    """The multiplier ``eta = 1 / (t 2^exponent)``; t = 0 where all shares are full.

    The exponent is zero unless the data are near the ends of the floats' range.
    """

    t: float
    exponent: int = 0

    @property
    def eta(self) -> float:
        """The multiplier, infinity if there is none."""
        if self.t == 0:
            return math.inf
        return float(np.ldexp(1.0 / self.t, -self.exponent))


NAN = Root(math.nan)


def kernel(name: str, x: np.ndarray) -> Any:
    """The kernel for the type of x."""
    return _KERNELS[name, x.dtype]


def thread_count(n_threads: int | None, n: int) -> int:
    """Threads for a pass over n elements."""
    return 1 if n <= _ONE_THREAD else effective_n_threads(n_threads)


def reject(x: np.ndarray, w: np.ndarray, finite: bool) -> None:
    """Raise for a NaN or infinity in x, or fill w with NaN."""
    if finite:
        check_finite(x, "x")
    w.fill(np.nan)


def shrink(
    x: np.ndarray,
    w: np.ndarray,
    blocks: Blocks,
    lam: float,
    debias: float,
    finite: bool,
    n_threads: int | None,
) -> tuple[Root, np.ndarray | None]:
    """Write the prox of x to w; the root and the group norms (None: |x|).

    Both arrays are flat and contiguous, and may be the same one.
    """
    threads = thread_count(n_threads, x.size)
    b, c = coefficients(blocks.weight, lam, debias)
    if lam > 0 and blocks.single and blocks.uniform:
        run = kernel("envelope_prox", x)
        step, t = run(x, w, blocks.k, b, c, threads)
        if step == _kernels.DONE:
            return _with_weight(Root(t), blocks), None
    r = None if blocks.single else group_norms(x, blocks, threads)
    root = find_root(np.abs(x) if r is None else r, blocks, lam, debias, threads)
    if math.isnan(root.t):
        reject(x, w, finite)
        return NAN, r
    if lam == 0:
        w[...] = x
    elif r is None and blocks.uniform:
        tau = math.ldexp(b * root.t / math.sqrt(blocks.weight), root.exponent)
        kernel("shrink", x)(x, w, tau, 1.0 / c, 0.0, 1.0 / (b + c), threads)
    else:
        u = shares(np.abs(x) if r is None else r, root, blocks, lam, debias)
        scale_groups(x, w, u / (c * u + b), blocks, threads)
    return root, r


def coefficients(d: Any, lam: float, debias: float) -> tuple[Any, Any]:
    """Coefficients b and c of ``u = clip((eta a - b) / c, 0, 1)`` for weights d."""
    return lam * d, 1.0 - debias * lam * d


def group_norms(x: np.ndarray, blocks: Blocks, threads: int = 1) -> np.ndarray:
    """Norms of the groups of a flat vector, float64."""
    size = blocks.groups.size
    if size is None:
        return blocks.groups.norms(x)
    r = np.empty(blocks.groups.m)
    kernel("group_norms", x)(x, size, r, threads)
    return r


def scale_groups(
    x: np.ndarray, w: np.ndarray, factors: np.ndarray, blocks: Blocks, threads: int
) -> None:
    """Multiply each group by a factor; those in no group are copied."""
    size = blocks.groups.size
    if size is None:
        np.multiply(x, blocks.groups.spread(factors.astype(x.dtype)), out=w)
        w += 0.0  # no negative zeros
    else:
        kernel("group_scale", x)(x, w, size, factors, threads)


def find_root(
    r: np.ndarray, blocks: Blocks, lam: float, debias: float, threads: int = 1
) -> Root:
    """The root at which the shares add up to the budget; NaN if r is not finite."""
    b, c = coefficients(blocks.weight, lam, debias)
    if blocks.uniform:
        return _with_weight(envelope_root(r, blocks.k, b, c, threads), blocks)
    a = _slopes(r, blocks)
    top = float(a.max())
    if not top < math.inf:
        return NAN
    inside = a > 0
    if not inside.all():
        keep = np.flatnonzero(inside)
        a = a[keep]
        b, c = (v[keep] if isinstance(v, np.ndarray) else v for v in (b, c))
    q = 1.0 if blocks.costs is None else blocks.costs[inside]
    if np.sum(np.broadcast_to(q, a.shape)) <= blocks.k:
        return Root(0.0)
    exponent = math.frexp(top)[1]
    a = np.ldexp(a, -exponent)
    with np.errstate(over="ignore", divide="ignore"):
        enter = b / a
        full = (b + c) / a
    slope = q * a / c
    seen = enter < np.inf  # denormal ones are not
    if not seen.all():
        enter, full, slope = enter[seen], full[seen], slope[seen]
    eta = _kernels.general_root(enter, full, slope, blocks.k)
    return Root(0.0) if eta == math.inf else Root(1.0 / eta, exponent)


def envelope_root(
    r: np.ndarray, k: float, b: float, c: float, threads: int = 1
) -> Root:
    """The t with ``sum clip((|r| / t - b) / c, 0, 1) = k``; NaN if r is not finite."""
    run = kernel("envelope_root", r)
    step, t = run(r, k, b, c, False, threads)
    exponent = 0
    if step == _kernels.RANGE:
        scaled, exponent = unit_scale(r)
        step, t = run(scaled, k, b, c, True, threads)
    return NAN if step == _kernels.BAD else Root(t, exponent)


def unit_scale(x: np.ndarray) -> tuple[np.ndarray, int]:
    """Entries divided by the power of two that brings the largest into [1/2, 1)."""
    top = float(np.max(np.abs(x)))
    exponent = math.frexp(top)[1] if top < math.inf else 0
    return np.ldexp(x, -exponent), exponent


def _with_weight(root: Root, blocks: Blocks) -> Root:
    return Root(root.t * math.sqrt(blocks.weight), root.exponent)


def _slopes(r: np.ndarray, blocks: Blocks) -> np.ndarray:
    a = np.sqrt(blocks.weight) * np.asarray(r, dtype=np.float64)
    return a if blocks.costs is None else a / np.sqrt(blocks.costs)


def shares(
    r: np.ndarray, root: Root, blocks: Blocks, lam: float, debias: float
) -> np.ndarray:
    """The u of each group from the group norms."""
    if math.isnan(root.t):
        return np.full(blocks.groups.m, np.nan)
    a = _slopes(r, blocks)
    if root.t == 0:
        return (a > 0).astype(np.float64)
    if root.exponent:
        a = np.ldexp(a, -root.exponent)
    b, c = coefficients(blocks.weight, lam, debias)
    with np.errstate(over="ignore"):
        return np.clip((a / root.t - b) / c, 0.0, 1.0)
