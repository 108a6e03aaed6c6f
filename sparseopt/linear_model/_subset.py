"""Best subsets of groups for quadratic losses, by exchanges on a growing pool.

The search of Zhu et al. (2020) exchanges the features of a subset that matter least for
those outside that promise most, by approximate gains.  Here gains are exact: on a pool
of columns whose Gram matrix is stored, one pass gives the fall of the loss for every
exchange, so that a descent ends where no exchange of one group for another helps, and a
walk goes on beyond, over exchanges that cost least.  One product with the whole design
then tells which columns outside the pool would still help; they join it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from sparseopt.linear_model._columns import Columns
from sparseopt.linear_model._subset_kernels import (
    exchange,
    exchange_gains,
    work_sizes,
)

# Falls of the loss below this share of the total are rounding.
RTOL = 1e-10
_POOL, _GROWTH = 500, 200  # columns in the pool at the start, and more at a time
_ROUNDS = 25
_PATIENCE, _TENURE = 100, 7
_DESCENT = 10_000
_DEPENDENT = 1e-10


class Found(NamedTuple):
    """Outcome of a search.

    Attributes
    ----------
    blocks : ndarray of int64
        Blocks of the subset, sorted.
    rss : float
        Its sum of squares, with the ridge.
    is_local : bool
        Whether no exchange of one group for another lowers it.
    n_scans, n_steps : int
        Products with the whole design, and exchanges made.
    """

    blocks: np.ndarray
    rss: float
    is_local: bool
    n_scans: int
    n_steps: int


class Pool:
    """Columns with a stored Gram matrix, as a problem for the compiled exchanges.

    Attributes
    ----------
    members : ndarray of int64
        Blocks of the pool; kernels know them by their place in it.
    place : ndarray of int64
        Place of each block of the problem, -1 outside the pool.
    """

    def __init__(self, columns: Columns) -> None:
        self.columns, n = columns, columns.design.n
        self.members = np.zeros(0, dtype=np.int64)
        self.place = np.full(columns.blocks.count, -1, dtype=np.int64)
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
        patience: int = 0,
        max_steps: int = _DESCENT,
    ) -> tuple[np.ndarray, float]:
        """Grow a subset to `size` groups and improve it; the subset and its loss.

        Free blocks come on top of the groups.
        """
        n_groups = self.columns.blocks.n_groups
        free = np.arange(n_groups, self.columns.blocks.count)
        start = self.place[np.concatenate([free, blocks[blocks < n_groups]])]
        active = np.zeros(free.size + size, dtype=np.int64)
        active[: start.size] = start
        q, m = self.members.size, self.positions.size
        n_work, n_marks = work_sizes(m, q, self.columns.blocks.width, active.size)
        count, steps, rss = exchange(
            self.G, self.c, self.columns.total, self.ptr, self.block, active,
            start.size, free.size, RTOL, patience, _TENURE, max_steps,
            np.empty(n_work), np.empty(n_marks, dtype=np.int64),
        )  # fmt: skip
        self.n_steps += steps
        return self.members[active[:count]], float(rss)

    def gains(self, subset: np.ndarray) -> np.ndarray:
        """Largest fall of the loss by an exchange, for every block of the problem."""
        columns, b = self.columns, self.columns.blocks
        at = b.positions(subset)
        local = np.concatenate(
            [np.arange(self.ptr[j], self.ptr[j + 1]) for j in self.place[subset]]
        )
        M, inside = _inverse(self.G[np.ix_(local, local)])
        at, Z = at[inside], self.Z[:, local[inside]]
        H = columns.cross(at, Z)
        V, coef = M @ H, M @ columns.c[at]
        S = columns.blocks_gram().copy()
        for r in range(b.width):
            partner = np.minimum(b.ptr[b.block] + r, columns.c.size - 1)
            S[:, r] -= np.einsum("aj,aj->j", H, V if b.width == 1 else V[:, partner])
        least = np.full(b.count, _DEPENDENT)
        if b.width == 1:
            least[columns.scale == 0.0] = np.inf
        least[subset] = np.inf
        least[b.n_groups :] = np.inf
        gains = np.empty(b.count)
        n_work = work_sizes(columns.c.size, b.count, b.width, 0)[0]
        exchange_gains(
            V, M, coef, columns.c - coef @ H, S, least, b.ptr, b.block, at,
            subset[subset < b.n_groups], np.empty(n_work), gains,
        )  # fmt: skip
        return gains


def _inverse(G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of the Gram matrix of the independent columns, and which they are."""
    inside = np.ones(G.shape[0], dtype=bool)
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
    patience: int = _PATIENCE,
    max_steps: int = _DESCENT,
    expired: Callable[[], bool] = lambda: False,
) -> Found:
    """Subset of at most k groups with a small loss, from which no exchange improves.

    Besides `starts`, blocks to begin with, a forward selection is one if `grow`.  The
    result is the same in every run unless `expired` ends it.
    """
    b = columns.blocks
    pool = Pool(columns)
    score = b.sums(columns.c**2)[: b.n_groups]
    pool.add(np.arange(b.n_groups, b.count))
    pool.add(top(score, max(_POOL // b.width, 2 * k)))
    subsets = [np.asarray(start, dtype=np.int64)[:k] for start in starts]
    for start in subsets:
        pool.add(start)
    if grow or not subsets:
        subsets.append(np.zeros(0, dtype=np.int64))
    tried = [pool.exchange(start, k, max_steps=max_steps) for start in subsets]
    best, rss = min(tried, key=lambda item: item[1])
    least, n_scans, is_local = RTOL * columns.total, 0, not best.size
    while best.size and n_scans < _ROUNDS and not expired():
        gains = pool.gains(best)[: b.n_groups]
        n_scans += 1
        helpful = int(np.count_nonzero(gains > least))
        pool.add(top(gains, max(_GROWTH // b.width, k)))
        descent = pool.exchange(best, k, max_steps=max_steps)
        if grow and max_steps == _DESCENT:
            fresh = pool.exchange(np.zeros(0, dtype=np.int64), k)
            descent = min(descent, fresh, key=lambda item: item[1])
        if patience and not expired():
            walk = pool.exchange(descent[0], k, patience=patience)
            descent = min(pool.exchange(walk[0], k), descent, key=lambda item: item[1])
        if descent[1] < rss - least:
            best, rss = descent
        else:
            is_local = not helpful
            break
    best = best[best < b.n_groups]
    return Found(np.sort(best), rss, is_local, n_scans, pool.n_steps)
