"""Parts of the entries: held-out ones and folds, without sorting anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparseopt.completion._problem import Entries, Side


def subset(entries: Entries, keep: np.ndarray) -> Entries:
    """The entries where ``keep`` (in row order) is true, in both orders."""
    kept = keep[entries.perm]
    place = np.cumsum(keep, dtype=entries.perm.dtype)
    place -= 1
    return replace(
        entries,
        rows=_part(entries.rows, keep),
        cols=_part(entries.cols, kept),
        perm=place[entries.perm[kept]],
        _chunks={},
    )


def _part(side: Side, keep: np.ndarray) -> Side:
    before = np.zeros(len(keep) + 1, np.int64)
    np.cumsum(keep, out=before[1:])
    return Side(
        before[side.ptr],
        side.idx[keep],
        side.val[keep],
        None if side.weight is None else side.weight[keep],
    )


def folds(n_entries: int, cv: int, rng: np.random.Generator) -> np.ndarray:
    """Number of the fold of each entry, folds of equal size to one entry."""
    fold = np.arange(n_entries, dtype=np.int32) % cv
    rng.shuffle(fold)
    return fold


def safe_split(
    entries: Entries, fraction: float, rng: np.random.Generator, least: int = 1
) -> np.ndarray:
    """Entries to train on: about ``1 - fraction``, some in every row and column.

    The held-out ones are drawn among those that rows and columns have beyond their
    ``least``, as many as asked for; if these are too few, also among the others, but
    one entry of each row and of each column, drawn at random, is never held out.

    Returns
    -------
    ndarray of shape (n_entries,) of bool
        In row order.
    """
    N = entries.n_entries
    order = rng.permutation(N)
    rank = np.empty(N, np.int64)
    rank[order] = np.arange(N)
    # 0 may be held out, 1 if there is nothing else, 2 never
    needed = np.zeros(N, np.int8)
    for side, ranks in ((entries.rows, rank), (entries.cols, rank[entries.perm])):
        ids = np.repeat(np.arange(side.n_rows), np.diff(side.ptr))
        key = ids * N + ranks
        key.sort()  # by rank, within rows
        key -= ids * N
        left = side.ptr[ids + 1] - np.arange(N)
        for many, need in ((least, 1), (1, 2)):
            kept = order[key[left <= many]]
            needed[kept] = np.maximum(needed[kept], need)
    free = order[np.argsort(needed[order], kind="stable")]
    free = free[: N - np.count_nonzero(needed == 2)]
    keep = np.ones(N, bool)
    keep[free[: round(fraction * N)]] = False
    return keep
