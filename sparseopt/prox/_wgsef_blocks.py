"""The envelope's prox of vectors that do not fit into memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from sparseopt._core._arrays import check_finite as require_finite
from sparseopt._core._params import Boolean, Interval, public_name, validate_params
from sparseopt.prox._blocks import Blocks, make_blocks
from sparseopt.prox._engine import (
    Root,
    coefficients,
    envelope_root,
    group_norms,
    kernel,
    scale_groups,
    shares,
)
from sparseopt.prox._inputs import as_point
from sparseopt.prox._stream_kernels import DONE, EnvelopeStream

# A sample of this size makes the part that has to be kept a few per cent.
_SAMPLE = 16384
# Up to this many groups the norms are all kept.
_SMALL = 65536
_STRIDE = 32


@validate_params(
    {
        "lam": [Interval(0, None)],
        "group_size": [Interval(1, None, integer=True)],
        "debias": [Interval(0, 1)],
        "check_finite": [Boolean],
    }
)
def prox_wgsef_blocks(
    blocks: Iterable[Any],
    k: int,
    lam: float = 1.0,
    *,
    group_size: int = 1,
    debias: float = 0.0,
    check_finite: bool = True,
) -> Iterator[np.ndarray]:
    """Proximal operator of the group sparse envelope for a vector that comes in blocks.

    Blocks are read three times, rarely more: for their sizes and a sample, for the
    multiplier, and for the result.  A few per cent of the entries, or of the group
    norms, are held in memory.

    Parameters
    ----------
    blocks : iterable of array_like, or dask array or bag
        The vector in pieces, in order; each is taken as a vector.  It must be possible
        to go through them several times with the same values: a list, a memory-mapped
        array that is cut into rows, a class with ``__iter__``, but no generator.  Of
        dask collections, and of delayed objects in an iterable, one part at a time is
        computed, anew for each reading; the blocks are the chunks of an array, and the
        arrays in a bag or, if it holds numbers, its partitions.
    k : int
        Number of groups to aim at, at most their number.
    lam : float, default=1.0
        Multiple of the envelope: step times regularisation.
    group_size : int, default=1
        Groups are so many consecutive entries; none crosses the end of a block.
    debias : float in [0, 1], default=0.0
        As in `prox_wgsef`.
    check_finite : bool, default=True
        Reject NaN and infinity.  If False they make all blocks NaN.

    Returns
    -------
    iterator of ndarray
        The result for each block, of its shape; float32 if the block is, else float64.

    See Also
    --------
    prox_wgsef : The same for one array.

    Examples
    --------
    >>> from sparseopt.prox import prox_wgsef_blocks
    >>> for w in prox_wgsef_blocks([[4.0, -2.0], [1.0, 0.5]], k=2):
    ...     print(w)
    [ 2. -1.]
    [0. 0.]
    """
    source = _restartable(blocks)
    sizes, sample, top = _survey(source, group_size, check_finite)
    m = sum(sizes)
    if not m:
        return map(_point, source())
    problem = make_blocks(prox_wgsef_blocks, m, k)
    b, c = coefficients(1.0, lam, debias)
    if c <= 0:
        raise ValueError(
            f"The 'debias' parameter of {public_name(prox_wgsef_blocks)} must be below "
            f"1 / lam = {1 / lam:.6g}: it is too strong for the step. Got {debias}."
        )
    if math.isnan(top) or lam == 0:
        return (x * (1.0 if lam == 0 else np.nan) for x in map(_point, source()))
    root = _find_root(source, group_size, m, sample, top, (problem.k, b, c))
    return _results(source, group_size, root, lam, debias)


def _point(block: Any) -> np.ndarray:
    return as_point(block, finite=False, name="blocks")


def _restartable(blocks: Any) -> Callable[[], Iterator[Any]]:
    if hasattr(blocks, "to_delayed"):  # dask: one part in memory at a time
        parts = np.ravel(blocks.to_delayed())
        if type(blocks).__module__.startswith("dask.bag"):
            return lambda: (item for part in parts for item in _items(part.compute()))
        return lambda: map(_computed, parts)
    if not isinstance(blocks, Iterable) or iter(blocks) is blocks:
        raise TypeError(
            f"The 'blocks' parameter of {public_name(prox_wgsef_blocks)} must be an "
            "iterable that can be started again, such as a list. "
            f"Got {type(blocks).__name__}."
        )
    return lambda: map(_computed, blocks)


def _computed(block: Any) -> Any:
    """The values of a delayed object or dask array; anything else as it is."""
    return block.compute() if hasattr(block, "__dask_graph__") else block


def _items(partition: Iterable[Any]) -> list[Any]:
    """Blocks in a partition of a bag: its arrays, or all of it if it holds numbers."""
    items = list(partition)
    return items if any(hasattr(item, "__len__") for item in items) else [items]


def _norms(block: np.ndarray, size: int) -> np.ndarray:
    flat = block.reshape(-1)
    if flat.size % size:
        raise ValueError(
            f"The 'group_size' parameter of {public_name(prox_wgsef_blocks)} must "
            f"divide the size of each block. Got {size} for one of {flat.size} entries."
        )
    if not flat.size:
        return np.empty(0)
    return group_norms(flat, make_blocks(prox_wgsef_blocks, flat.size, 1, size))


def _survey(
    source: Callable[[], Iterator[Any]], size: int, finite: bool
) -> tuple[list[int], np.ndarray, float]:
    """Numbers of groups, a sample of their norms or all, and the largest (or NaN)."""
    rng = np.random.default_rng(0)
    sizes, kept, top = [], [], 0.0
    everything = True
    for block in source():
        point = _point(block)
        if finite:
            require_finite(point, "blocks")
        r = _norms(point, size)
        sizes.append(r.size)
        if not r.size:
            continue
        top = max(top, float(r.max())) if np.isfinite(r).all() else math.nan
        kept.append(r)
        if everything and sum(sizes) > _SMALL:
            everything, kept = False, [_thin(part, rng) for part in kept]
        elif not everything:
            kept[-1] = _thin(r, rng)
    sample = np.concatenate(kept) if kept else np.empty(0)
    if not everything and sample.size > _SAMPLE:
        places = np.arange(_SAMPLE) * (sample.size / _SAMPLE)
        sample = sample[places.astype(np.int64)]
    return sizes, sample, top


def _thin(r: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of each `_STRIDE` entries, at random places."""
    starts = np.arange(0, r.size - _STRIDE + 1, _STRIDE)
    return r[starts + rng.integers(0, _STRIDE, size=starts.size)]


def _find_root(
    source: Callable[[], Iterator[Any]],
    size: int,
    m: int,
    sample: np.ndarray,
    top: float,
    rule: tuple[float, float, float],
) -> Root:
    if sample.size == m or not sample.size:
        if sample.size < m:
            sample = np.concatenate([_norms(_point(each), size) for each in source()])
        return envelope_root(sample, *rule)
    exponent = 0 if 1e-250 < top < 1e250 or top == 0 else math.frexp(top)[1]
    stream = EnvelopeStream(*rule)
    step = stream.start(np.ldexp(sample, -exponent), m)
    while step != DONE:
        for block in source():
            r = _norms(_point(block), size)
            stream.add(np.ldexp(r, -exponent) if exponent else r)
        step = stream.finish_pass()
    return Root(stream.t, exponent)


def _results(
    source: Callable[[], Iterator[Any]],
    size: int,
    root: Root,
    lam: float,
    debias: float,
) -> Iterator[np.ndarray]:
    b, c = coefficients(1.0, lam, debias)
    for block in source():
        point = _point(block)
        w = np.empty_like(point, order="C")
        x, into = point.reshape(-1), w.reshape(-1)
        if not x.size:
            yield w
        elif size == 1:
            tau = math.ldexp(b * root.t, root.exponent)
            kernel("shrink", x)(x, into, tau, 1.0 / c, 0.0, 1.0 / (b + c), 1)
            yield w
        else:
            problem: Blocks = make_blocks(prox_wgsef_blocks, x.size, 1, size)
            u = shares(group_norms(x, problem), root, problem, lam, debias)
            scale_groups(x, into, u / (c * u + b), problem, 1)
            yield w
