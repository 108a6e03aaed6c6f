"""Columns of a design as subset search sees them: weighted, centred, of unit length."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import sparse

from sparseopt.linear_model._design import Design
from sparseopt.prox import Groups

# Columns whose centred squares lost this share of their digits are squared again.
_CANCELLED = 1e-5
# A centred column below this share of its raw square is constant.
_CONSTANT = 1e-24
_CHUNK = 64


class Blocks(NamedTuple):
    """Groups as consecutive runs of positions; free coordinates are blocks at the end.

    Attributes
    ----------
    order : ndarray or None
        Coordinate at each position; None where they agree.
    ptr, block : ndarray of int64
        First position of each block, and the block of each position.
    n_groups : int
        Blocks beyond are free coordinates, always part of a subset.
    """

    order: np.ndarray | None
    ptr: np.ndarray
    block: np.ndarray
    n_groups: int

    @classmethod
    def of(cls, groups: Groups) -> Blocks:
        """Blocks of disjoint groups."""
        order, sizes = None, groups.sizes
        if groups.size is None:
            free = groups.free
            order = np.concatenate([groups.indices, free])
            sizes = np.concatenate([sizes, np.ones(free.size, dtype=np.int64)])
        ptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        block = np.repeat(np.arange(sizes.size), sizes).astype(np.int64)
        return cls(order, ptr, block, groups.m)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return self.ptr.size - 1

    @property
    def width(self) -> int:
        """Size of the largest block."""
        return int(np.diff(self.ptr).max())

    def positions(self, blocks: np.ndarray) -> np.ndarray:
        """Positions of some blocks, one after the other."""
        starts, sizes = self.ptr[blocks], self.ptr[blocks + 1] - self.ptr[blocks]
        ends = np.cumsum(sizes)
        return np.arange(ends[-1] if ends.size else 0) + np.repeat(
            starts - ends + sizes, sizes
        )

    def coordinates(self, blocks: np.ndarray) -> np.ndarray:
        """Coordinates of some blocks."""
        positions = self.positions(blocks)
        return positions if self.order is None else self.order[positions]

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum over each block of a value for each position."""
        if self.n_blocks == values.size:
            return values
        return np.add.reduceat(values, self.ptr[:-1])


class Columns:
    """Columns ``sqrt(s) (X_j - mean_j) / t_j`` of length one, with a ridge in t_j.

    They are those of ``min_b sum_i s_i (y_i - (X w)_i - b)^2 + sum_j ridge_j w_j^2``,
    whose minimum is `total` less what a subset explains.  Constant columns are zero.

    Attributes
    ----------
    c : ndarray
        Product of each column, in the order of the blocks, with the response.
    total : float
        Weighted square of the centred response.
    scale : ndarray
        1 / t_j in the order of the blocks.
    """

    def __init__(
        self,
        design: Design,
        response: np.ndarray,
        s: np.ndarray,
        blocks: Blocks,
        *,
        centred: bool,
        ridge: np.ndarray | float = 0.0,
    ) -> None:
        if design.kind == "operator":
            raise TypeError("A best subset needs columns. Got 'X', an operator.")
        self.design, self.s, self.blocks = design, s, blocks
        self.centred = centred
        self.weight = float(s.sum())
        shift = float(s @ response) / self.weight if centred else 0.0
        self.r = response - shift
        self.total = float(self.r @ (s * self.r))
        self.mean = (
            design.rmatvec(s.astype(design.dtype)).astype(np.float64) / self.weight
            if centred
            else np.zeros(design.p)
        )
        raw = design.rmatvec((s * self.r).astype(design.dtype))
        self.ridge = np.broadcast_to(np.asarray(ridge, dtype=np.float64), design.p)
        squares = self._squares()
        with np.errstate(divide="ignore"):
            scale = 1.0 / np.sqrt(squares + self.ridge)
        self.by_coordinate = np.where(squares > 0.0, scale, 0.0)
        self.scale = self.ordered(self.by_coordinate)
        self.c = self.ordered(raw * self.by_coordinate)
        self._blocks_gram: np.ndarray | None = None

    def ordered(self, values: np.ndarray) -> np.ndarray:
        """Values of coordinates in the order of the blocks, along the last axis."""
        order = self.blocks.order
        return values if order is None else np.ascontiguousarray(values[..., order])

    def _squares(self) -> np.ndarray:
        """Weighted squares of the centred columns, 0 for constant ones."""
        self.design.require_squares()
        raw = self.design.square_norms(self.s)
        squares = raw - self.weight * self.mean**2
        lost = np.flatnonzero(squares < _CANCELLED * raw)
        for start in range(0, lost.size, _CHUNK):
            part = lost[start : start + _CHUNK]
            X = self._dense(part)
            squares[part] = np.einsum("i,ij,ij->j", self.s, X, X)
        return np.where(squares > _CONSTANT * raw, squares, 0.0)

    def _dense(self, coordinates: np.ndarray) -> np.ndarray:
        """Centred columns."""
        X = self.design.X[:, coordinates]
        X = X.toarray() if sparse.issparse(X) else X
        X = X.astype(np.float64)
        if self.centred:
            X -= self.mean[coordinates]
            # the mean is rounded to the type of the design
            X -= (self.s @ X) / self.weight
        return X

    def dense(self, positions: np.ndarray) -> np.ndarray:
        """The columns at some positions, of shape (n, len(positions))."""
        order = self.blocks.order
        at = positions if order is None else order[positions]
        X = self._dense(at)
        X *= self.by_coordinate[at]
        X *= np.sqrt(self.s)[:, None]
        return X

    def gram(
        self, left: np.ndarray, Z: np.ndarray, right: np.ndarray, Y: np.ndarray
    ) -> np.ndarray:
        """Products of columns Z, at `left`, with Y, at `right`, and the ridge."""
        G = Z.T @ Y
        if self.ridge.any():
            same = left[:, None] == right
            share = (self.ordered(self.ridge) * self.scale**2)[left]
            G += same * share[:, None]
        return G

    def cross(
        self,
        positions: np.ndarray,
        Z: np.ndarray,
        expired: Callable[[], bool] = lambda: False,
    ) -> np.ndarray:
        """Products of the columns Z at some positions with all columns.

        Only of some once the time is over.
        """
        Y = np.sqrt(self.s)[:, None] * Z
        X, left = self.design.X, Y.T.astype(self.design.dtype)
        H = np.zeros((positions.size, self.design.p))
        for start in range(0, positions.size, _CHUNK):
            if start and expired():
                break
            H[start : start + _CHUNK] = left[start : start + _CHUNK] @ X
        H -= np.outer(Y.sum(axis=0), self.mean)
        H *= self.by_coordinate
        H = self.ordered(H)
        own = self.ordered(self.ridge)[positions] * self.scale[positions] ** 2
        H[np.arange(positions.size), positions] += own
        return H

    def blocks_gram(self) -> np.ndarray:
        """Gram matrix inside each block: entry (i, r) is with its r-th coordinate."""
        if self._blocks_gram is None:
            self._blocks_gram = self._make_blocks_gram()
        return self._blocks_gram

    def _make_blocks_gram(self) -> np.ndarray:
        b = self.blocks
        if b.width == 1:
            return (self.scale > 0.0).astype(np.float64)[:, None]
        out = np.zeros((self.design.p, b.width))
        step = max(1, _CHUNK // b.width)
        for start in range(0, b.n_blocks, step):
            blocks = np.arange(start, min(start + step, b.n_blocks))
            at = b.positions(blocks)
            Z = self.dense(at)
            G = self.gram(at, Z, at, Z)
            for r in range(b.width):
                partner = np.minimum(b.ptr[b.block[at]] + r, at[-1])
                out[at, r] = G[np.arange(at.size), partner - at[0]]
        return out
