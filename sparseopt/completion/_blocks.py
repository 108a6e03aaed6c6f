"""Sources of blocks that can be gone through more than once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from scipy import sparse

from sparseopt._core._params import describe

Source = Callable[[], Iterator[Any]]


def restartable(chunks: Any, name: str) -> Source:
    """A function that starts a pass over the blocks."""
    if callable(chunks) and not _is_dask(chunks):
        return lambda: map(_here, chunks())
    # a pass over a Delayed would have no end
    if not _is_dask(chunks):
        if sparse.issparse(chunks) or hasattr(chunks, "shape"):
            return lambda: iter([chunks])
        if (
            isinstance(chunks, (str, bytes))
            or not isinstance(chunks, Iterable)
            or iter(chunks) is chunks
        ):
            raise TypeError(
                f"The {name!r} parameter must be an iterable that can be gone through "
                f"twice, or a callable that makes one. Got {describe(chunks)}."
            )
        return lambda: map(_here, chunks)
    kind = type(chunks).__module__.split(".")[:2]
    if kind == ["dask", "delayed"]:
        return lambda: iter([chunks.compute()])
    if hasattr(chunks, "rechunk") and getattr(chunks, "ndim", 0) == 2:
        chunks = chunks.rechunk({1: -1})  # blocks are of whole rows
    parts = np.ravel(np.asarray(chunks.to_delayed(), dtype=object))
    if kind == ["dask", "bag"]:  # its parts are lists of elements
        return lambda: (block for part in parts for block in part.compute())
    return lambda: (part.compute() for part in parts)


def paired(chunks: Source, weights: Source) -> Source:
    """Blocks with the block of weights that stands at the same place."""

    def one_pass() -> Iterator[Any]:
        try:
            for block, weight in zip(chunks(), weights(), strict=True):
                triplets = isinstance(block, tuple)
                if triplets and len(block) != 3:
                    raise ValueError(
                        "A chunk that is a tuple must hold three arrays (rows, cols, "
                        "values) where the 'weights' parameter is given. "
                        f"Got {len(block)} elements."
                    )
                yield (*block, weight) if triplets else (block, weight)
        except ValueError as error:
            if "zip()" not in str(error):
                raise
            raise ValueError(
                "The 'weights' parameter must give as many blocks as 'chunks'. "
                "One of them ended before the other."
            ) from None

    return one_pass


def _here(block: Any) -> Any:
    """A block in memory: those of dask are computed one at a time."""
    if isinstance(block, tuple):
        return tuple(map(_here, block))
    return block.compute() if _is_dask(block) else block


def _is_dask(x: Any) -> bool:
    """Whether it is a collection of dask, or what has the protocol of its parts."""
    if isinstance(x, type):
        return False
    if hasattr(x, "__dask_graph__"):
        return x.__dask_graph__() is not None
    # a Delayed has every name but those with underscores
    return hasattr(type(x), "to_delayed")
