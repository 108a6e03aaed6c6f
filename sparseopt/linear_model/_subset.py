"""Best subsets of groups for quadratic losses, by exchanges on a growing pool.

The search of Zhu et al. (2020) exchanges the features of a subset that matter least for
those outside that promise most, by approximate gains.  Here gains are exact: on a pool
of columns whose Gram matrix is stored, one pass gives the fall of the loss for every
exchange, so that a descent ends where no exchange of one group for another helps, and a
walk goes on beyond, over exchanges that cost least.  One product with the whole design
then tells which columns outside the pool would still help; they join it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from sparseopt.linear_model._refit import Fit
from sparseopt.linear_model._subset_columns import Columns
from sparseopt.linear_model._subset_kernels import (
    exchange,
    exchange_gains,
    work_sizes,
)

# Falls of the loss below this share of the total are rounding.
RTOL = 1e-10
_POOL, _SHARE = 500, 25  # columns in the pool at the start, and for each group
_GROWTH = 200  # more of them at a time
_ROUNDS = 25
_PATIENCE = 100
_TENURES = (7, 3)
_RESTARTS = 4
_DESCENT = 10_000
_DEPENDENT = 1e-10
_NONE = np.zeros(0, dtype=np.int64)


@dataclass
class Found:
    """State and outcome of a search.

    Attributes
    ----------
    blocks : ndarray of int64
        Groups of the best subset so far, sorted.
    rss : float
        Its sum of squares, with the ridge.
    is_local : bool
        Whether no exchange of one group for another lowers it.
    gain : float
        Largest fall by an exchange that the last product with the design promised.
    n_scans, n_steps : int
        Products with the whole design, and exchanges made.
    fit : Fit or None
        That on the best subset, where the search needed it.
    """

    blocks: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    rss: float = math.inf
    is_local: bool = False
    gain: float = math.inf
    n_scans: int = 0
    n_steps: int = 0
    fit: Fit | None = None


class Watch:
    """What may end a search early.

    Attributes
    ----------
    record : callable
        Called with the state after each product with the design; may raise to end it.
    expired : callable
        Whether the time is over: asked inside long steps, which then return the best
        that they have.
    """

    def __init__(
        self,
        record: Callable[[Found], None] = lambda found: None,
        expired: Callable[[], bool] = lambda: False,
    ) -> None:
        self.record, self.expired = record, expired


class Pool:
    """Columns with a stored Gram matrix, as a problem for the compiled exchanges.

    Attributes
    ----------
    members : ndarray of int64
        Blocks of the pool; kernels know them by their place in it.
    place : ndarray of int64
        Place of each block of the problem, -1 outside the pool.
    """

    def __init__(
        self,
        columns: Columns,
        tol: float = RTOL,
        expired: Callable[[], bool] = lambda: False,
    ) -> None:
        self.columns, self.tol, n = columns, tol, columns.design.n
        self.expired = expired
        self.members = np.zeros(0, dtype=np.int64)
        self.place = np.full(columns.blocks.n_blocks, -1, dtype=np.int64)
        self.positions = np.zeros(0, dtype=np.int64)
        self.Z = np.zeros((n, 0), order="F")
        self.G = np.zeros((0, 0))
        self.n_steps = 0

    def add(self, blocks: np.ndarray) -> None:
        """Let blocks join, unless they belong already."""
        columns, b = self.columns, self.columns.blocks
        blocks = blocks[self.place[blocks] < 0]
        if not blocks.size:
            return
        at, old = b.positions(blocks), self.positions.size
        self.place[blocks] = np.arange(blocks.size) + self.members.size
        self.members = np.concatenate([self.members, blocks])
        Z = columns.dense(at)
        G = np.empty((old + at.size, old + at.size))
        G[:old, :old] = self.G
        G[:old, old:] = self.Z.T @ Z
        G[old:, :old] = G[:old, old:].T
        G[old:, old:] = columns.gram(at, Z, at, Z)
        self.G, self.Z = G, np.hstack([self.Z, Z])
        self.positions = np.concatenate([self.positions, at])
        sizes = b.ptr[self.members + 1] - b.ptr[self.members]
        self.ptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.block = np.repeat(np.arange(sizes.size), sizes).astype(np.int64)
        self.c = columns.c[self.positions]

    def exchange(
        self,
        blocks: np.ndarray,
        size: int,
        *,
        extra: int = 0,
        patience: int = 0,
        tenure: int = 0,
        max_steps: int = _DESCENT,
    ) -> tuple[np.ndarray, float]:
        """Grow a subset to `size` groups and improve it; the subset and its loss.

        With `extra` it first grows by so many more and gives up the least of them.
        Free blocks come on top of the groups.
        """
        n_groups = self.columns.blocks.n_groups
        free = np.arange(n_groups, self.columns.blocks.n_blocks)
        start = self.place[np.concatenate([free, blocks[blocks < n_groups]])]
        active = np.zeros(free.size + size + extra, dtype=np.int64)
        active[: start.size] = start
        q, m = self.members.size, self.positions.size
        # in small problems bars must leave a choice
        tenure = max(0, min(tenure, (q - active.size) // 3))
        n_work, n_marks = work_sizes(m, q, self.columns.blocks.width, active.size)
        count, steps, rss = exchange(
            self.G, self.c, self.columns.total, self.ptr, self.block, active,
            start.size, free.size, free.size + size, self.tol, patience, tenure,
            max_steps, np.empty(n_work), np.empty(n_marks, dtype=np.int64),
            self.expired,
        )  # fmt: skip
        self.n_steps += steps
        # below zero is rounding: the subset explains everything
        return self.members[active[:count]], max(0.0, float(rss))

    def gains(self, subset: np.ndarray) -> np.ndarray:
        """Largest fall of the loss by an exchange, for every block of the problem.

        Empty if the time is over before.
        """
        columns, b = self.columns, self.columns.blocks
        if self.expired():
            return np.empty(0)
        at = b.positions(subset)
        local = np.concatenate(
            [np.arange(self.ptr[j], self.ptr[j + 1]) for j in self.place[subset]]
        )
        M, inside = _inverse(self.G[np.ix_(local, local)])
        at, Z = at[inside], self.Z[:, local[inside]]
        H = columns.cross(at, Z, self.expired)
        if self.expired():
            return np.empty(0)
        V, coef = M @ H, M @ columns.c[at]
        S = columns.blocks_gram().copy()
        for r in range(b.width):
            partner = np.minimum(b.ptr[b.block] + r, columns.c.size - 1)
            S[:, r] -= np.einsum("aj,aj->j", H, V if b.width == 1 else V[:, partner])
        least = np.full(b.n_blocks, _DEPENDENT)
        if b.width == 1:
            least[columns.scale == 0.0] = np.inf
        least[subset] = np.inf
        least[b.n_groups :] = np.inf
        gains = np.empty(b.n_blocks)
        n_work = work_sizes(columns.c.size, b.n_blocks, b.width, 0)[0]
        exchange_gains(
            V, M, coef, columns.c - coef @ H, S, least, b.ptr, b.block, at,
            subset[subset < b.n_groups], np.empty(n_work), gains,
        )  # fmt: skip
        return gains


def _inverse(G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of the Gram matrix of the independent columns, and which they are."""
    inside = np.ones(G.shape[0], dtype=bool)
    try:
        L = np.linalg.cholesky(G)
        if np.all(np.diag(L) ** 2 > _DEPENDENT * np.diag(G)):
            return np.ascontiguousarray(np.linalg.inv(G)), inside
    except np.linalg.LinAlgError:
        pass
    L = np.zeros_like(G)
    for i in range(G.shape[0]):
        row = L[i, :i]
        for j in range(i):
            row[j] = (G[i, j] - row[:j] @ L[j, :j]) / L[j, j] if inside[j] else 0.0
        rest = G[i, i] - row @ row
        inside[i] = rest > _DEPENDENT * G[i, i]
        L[i, i] = np.sqrt(rest) if inside[i] else 1.0
    return np.ascontiguousarray(np.linalg.inv(G[np.ix_(inside, inside)])), inside


def top(values: np.ndarray, count: int) -> np.ndarray:
    """Places of the largest values, largest first, equal ones in order."""
    if count >= values.size:
        return np.argsort(-values, kind="stable")
    cut = np.partition(values, values.size - count)[values.size - count]
    above, equal = np.flatnonzero(values > cut), np.flatnonzero(values == cut)
    chosen = np.concatenate([above, equal[: count - above.size]])
    return chosen[np.argsort(-values[chosen], kind="stable")]


def search(
    columns: Columns,
    k: int,
    *,
    starts: Iterable[np.ndarray] = (),
    grow: bool = True,
    patience: int | None = None,
    max_steps: int = _DESCENT,
    max_scans: int = _ROUNDS,
    tol: float = RTOL,
    found: Found | None = None,
    watch: Watch | None = None,
) -> Found:
    """Subset of at most k groups with a small loss, from which no exchange improves.

    Besides `starts`, blocks to begin with, a forward selection is one if `grow`.
    Whatever ends the search, `found` holds the best subset.
    """
    b, found, watch = columns.blocks, found or Found(), watch or Watch()
    if patience is None:  # a step costs more with groups
        patience = max(_PATIENCE // b.width, 20)
    # the seed is fixed: the search is the same in every run
    pool, rng = Pool(columns, tol, watch.expired), np.random.default_rng(0)
    pool.add(np.arange(b.n_groups, b.n_blocks))
    pool.add(top(b.sums(columns.c**2)[: b.n_groups], _pool_size(k, b.width)))
    subsets = [np.asarray(start, dtype=np.int64)[:k] for start in starts]
    for start in subsets:
        pool.add(start)
    if grow or not subsets:
        subsets.append(_NONE)
    tried = [pool.exchange(start, k, max_steps=max_steps) for start in subsets]
    best, found.rss = min(tried, key=lambda item: item[1])
    least = tol * columns.total
    while True:
        found.blocks = np.sort(best[best < b.n_groups])
        found.n_steps = pool.n_steps
        if not found.blocks.size or found.n_scans >= max_scans:
            found.is_local = not found.blocks.size
            return found
        gains = pool.gains(best)[: b.n_groups]
        if not gains.size:
            return found
        found.gain = min(found.rss, max(0.0, float(gains.max())))
        found.n_scans += 1
        # a pool where no exchange helps, and none of the whole design: local
        found.is_local = found.gain <= least and max_steps == _DESCENT
        watch.record(found)
        pool.add(top(gains, max(_GROWTH // b.width, k)))
        better = _descend(pool, best, k, grow, patience, max_steps, rng)
        if not better[1] < found.rss - least:
            found.n_steps = pool.n_steps
            return found
        best, found.rss = better
        found.is_local = False


def _pool_size(k: int, width: int) -> int:
    """Blocks in the first pool."""
    return max(min(_POOL, max(4, k) * _SHARE) // width, 2 * k)


def _descend(pool, best, k, grow, patience, max_steps, rng):
    """Best subset that a larger pool gives: from the old one, from none, by walks."""
    tried = [pool.exchange(best, k, max_steps=max_steps)]
    if grow and max_steps == _DESCENT:
        tried.append(pool.exchange(_NONE, k))
        tried.append(pool.exchange(_NONE, k, extra=_room(pool, k)))
    if patience:
        for start in _restarts(pool, min(tried, key=_loss)[0], k, rng):
            tried.append(pool.exchange(start, k))
        for tenure in _TENURES:
            start = min(tried, key=_loss)[0]
            walk = pool.exchange(start, k, patience=patience, tenure=tenure)[0]
            tried.append(pool.exchange(walk, k))
    return min(tried, key=_loss)


def _loss(item: tuple[np.ndarray, float]) -> float:
    return item[1]


def _room(pool: Pool, k: int) -> int:
    """Blocks that forward steps may take beyond k."""
    b = pool.columns.blocks
    samples = pool.columns.design.n // (2 * b.width) - k
    return max(0, min(k, samples, pool.members.size - (b.n_blocks - b.n_groups) - k))


def _restarts(pool, best, k, rng):
    """Random halves of a subset, to be completed, and random subsets of the pool."""
    n_groups = pool.columns.blocks.n_groups
    best = np.sort(best[best < n_groups])
    others = pool.members[pool.members < n_groups][: 4 * k + 8]
    for _ in range(_RESTARTS):
        yield rng.permutation(best)[: best.size // 2]
        yield rng.permutation(others)[:k]
