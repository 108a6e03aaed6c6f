"""Envelopes of flat vectors: group norms, root, output."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from sparseopt._core._arrays import check_finite
from sparseopt._core._threads import effective_n_threads
from sparseopt.prox import _group_kernels, _kernels, _row_kernels
from sparseopt.prox._blocks import Blocks

# Up to this many elements the kernels take one thread.
_ONE_THREAD = 2_000_000
# Differences eta a - b of this size, relative to b, are zero but for rounding.
_ROUNDING = 4e-15
_NAMES = {
    _kernels: (
        "envelope_prox",
        "envelope_root",
        "shrink",
        "simplex",
        "weighted_prox",
    ),
    _group_kernels: (
        "gather_norms",
        "gather_scale",
        "group_norms",
        "group_scale",
        "moments",
    ),
}
_KERNELS = {
    (name, dtype): getattr(module, f"{name}_{suffix}")
    for module, names in _NAMES.items()
    for name in names
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
        if self.exponent == 0 and self.t > 1e-300:
            return 1.0 / self.t
        with np.errstate(over="ignore"):
            return float(np.ldexp(1.0 / self.t, -self.exponent))


NAN = Root(math.nan)


class Shares(NamedTuple):
    """What the prox of an envelope found besides the point; u only where asked for."""

    eta: float
    u: np.ndarray | None = None


_NOT_ASKED = Shares(math.inf)


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
    finite: bool = True,
    n_threads: int | None = None,
    want_shares: bool = False,
) -> Shares:
    """Write the prox of x to w.

    Both arrays are flat and contiguous, and may be the same one.
    """
    threads = thread_count(n_threads, x.size)
    if lam == 0:
        found = _identity(x, w, blocks, threads, want_shares)
    elif not blocks.single:
        found = _shrink_groups(x, w, blocks, lam, debias, threads, want_shares)
    elif blocks.uniform:
        found = _shrink_single(x, w, blocks, lam, debias, threads, want_shares)
    else:
        u = np.empty(x.size) if want_shares else None
        run = kernel("weighted_prox", x)
        step, eta = run(x, w, *_weighted(blocks, lam, debias, u, threads))
        found = Shares(math.nan if step == _kernels.BAD else eta, u)
    if math.isnan(found.eta):
        reject(x, w, finite)
        return Shares(math.nan, np.full(blocks.groups.m, np.nan))
    return found


def shrink_rows(
    rows: np.ndarray,
    into: np.ndarray,
    left: np.ndarray,
    blocks: Blocks,
    lam: float,
    debias: float,
    n_threads: int | None,
) -> None:
    """`shrink` of each row; `left` marks those for which it has to be called itself."""
    few = rows.shape[1] <= _ONE_THREAD
    if lam == 0 or not (blocks.single and blocks.uniform and few):
        left[:] = 1
        return
    b, c = coefficients(blocks.weight, lam, debias)
    threads = thread_count(n_threads, rows.size)
    _row_kernels.envelope_rows(rows, into, blocks.k, b, c, left, threads)


def _identity(
    x: np.ndarray, w: np.ndarray, blocks: Blocks, threads: int, want_shares: bool
) -> Shares:
    """The prox of zero, with the shares of the envelope's value."""
    if not np.isfinite(x).all():
        return Shares(math.nan)
    found = Shares(math.inf)
    if want_shares:
        r = group_norms(x, blocks, threads)
        if blocks.uniform:
            root = find_root(r, blocks, 0.0, 0.0, threads)
            found = Shares(root.eta, shares(r, root, blocks, 0.0, 0.0))
        else:
            u = np.empty_like(r)
            unused = np.empty_like(r)
            given = _weighted(blocks, 0.0, 0.0, u, threads)
            _, eta = _kernels.weighted_factors(r, unused, *given)
            found = Shares(eta, u)
    w[...] = x
    return found


def _shrink_single(
    x: np.ndarray,
    w: np.ndarray,
    blocks: Blocks,
    lam: float,
    debias: float,
    threads: int,
    want_shares: bool,
) -> Shares:
    b, c = coefficients(blocks.weight, lam, debias)
    if not want_shares:
        step, _ = kernel("envelope_prox", x)(x, w, blocks.k, b, c, threads)
        if step == _kernels.DONE:
            return _NOT_ASKED
    root = find_root(x, blocks, lam, debias, threads)
    u = shares(np.abs(x), root, blocks, lam, debias) if want_shares else None
    if not math.isnan(root.t):
        tau = math.ldexp(b * root.t / math.sqrt(blocks.weight), root.exponent)
        kernel("shrink", x)(x, w, tau, 1.0 / c, 0.0, 1.0 / (b + c), threads)
    return Shares(root.eta, u)


def _shrink_groups(
    x: np.ndarray,
    w: np.ndarray,
    blocks: Blocks,
    lam: float,
    debias: float,
    threads: int,
    want_shares: bool,
) -> Shares:
    r = group_norms(x, blocks, threads)
    u: np.ndarray | None
    if blocks.uniform:
        root = find_root(r, blocks, lam, debias, threads)
        eta, full = root.eta, shares(r, root, blocks, lam, debias)
        b, c = coefficients(blocks.weight, lam, debias)
        factors = c * full
        factors += b
        np.divide(full, factors, out=factors)
        u = full
    else:
        factors = np.empty_like(r)
        u = np.empty_like(r) if want_shares else None
        given = _weighted(blocks, lam, debias, u, threads)
        step, eta = _kernels.weighted_factors(r, factors, *given)
        eta = math.nan if step == _kernels.BAD else eta
    if not math.isnan(eta):
        scale_groups(x, w, factors, blocks, threads)
    return Shares(eta, u)


def _weighted(
    blocks: Blocks, lam: float, debias: float, u: Any, threads: int
) -> tuple[Any, ...]:
    """Arguments of the kernels for weights that differ."""
    d: Any = blocks.weight
    weight = 1.0
    if isinstance(d, float):
        d, weight = None, d
    return d, blocks.costs, weight, lam, debias, blocks.k, u, threads


def coefficients(d: Any, lam: float, debias: float) -> tuple[Any, Any]:
    """Coefficients b and c of ``u = clip((eta a - b) / c, 0, 1)`` for weights d."""
    return lam * d, 1.0 - debias * lam * d


def group_norms(x: np.ndarray, blocks: Blocks, threads: int = 1) -> np.ndarray:
    """Norms of the groups of a flat vector, float64."""
    groups = blocks.groups
    if groups.size == 1:
        return np.abs(x.astype(np.float64))
    r = np.empty(groups.m)
    if groups.size is None:
        kernel("gather_norms", x)(x, groups.indices, groups.indptr, r)
    else:
        kernel("group_norms", x)(x, groups.size, r, threads)
    return r


def scale_groups(
    x: np.ndarray, w: np.ndarray, factors: np.ndarray, blocks: Blocks, threads: int
) -> None:
    """Multiply each group by a factor; those in no group are copied."""
    groups = blocks.groups
    if groups.size is None:
        if w is not x and groups.indices.size < groups.n:
            w[...] = x
        kernel("gather_scale", x)(x, w, groups.indices, groups.indptr, factors)
    else:
        kernel("group_scale", x)(x, w, groups.size, factors, threads)


def find_root(
    r: np.ndarray, blocks: Blocks, lam: float, debias: float, threads: int = 1
) -> Root:
    """The root for groups of one weight, from their norms; NaN if one is not finite."""
    b, c = coefficients(blocks.weight, lam, debias)
    return _with_weight(envelope_root(r, blocks.k, b, c, threads), blocks)


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
    if blocks.weight == 1.0:
        return root
    return Root(root.t * math.sqrt(blocks.weight), root.exponent)


def shares(
    r: np.ndarray, root: Root, blocks: Blocks, lam: float, debias: float
) -> np.ndarray:
    """The u of groups of one weight from their norms."""
    b, c = coefficients(blocks.weight, lam, debias)
    if math.isnan(root.t):
        return np.full(r.shape, np.nan)
    if root.t == 0:
        return (r > 0).astype(np.float64)
    a = np.ldexp(r, -root.exponent) if root.exponent else r
    with np.errstate(over="ignore"):
        u = a * (math.sqrt(blocks.weight) / root.t) if root.t > 1e-300 else a / root.t
    u = u.astype(np.float64, copy=False)
    u -= b
    u[u <= _ROUNDING * b] = 0.0  # no group is kept by chance
    u /= c
    return np.clip(u, 0.0, 1.0, out=u)
