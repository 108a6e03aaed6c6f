"""Gram matrix of a growing set of columns."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy import sparse

from sparseopt.linear_model._design import Design

# What centring leaves of a constant column, relative to it: rounding, no direction.
# Where squares are subtracted it is more.
_CONSTANT, _CONSTANT_SQUARE = 1e-14, 1e-15


class Products(Protocol):
    """Products ``H = A'A`` of columns, with what Newton steps ask of the columns."""

    @property
    def H(self) -> np.ndarray:
        """Products of the columns."""

    def dense(self, places: np.ndarray) -> np.ndarray:
        """Some columns of A, not sparse."""

    def products(self, r: np.ndarray) -> np.ndarray:
        """``A' r`` for all columns."""


class MatrixSet:
    """Products that were given as a matrix; A is its symmetric root."""

    def __init__(self, H: np.ndarray) -> None:
        self.H = H
        self._root: np.ndarray | None = None

    def _symmetric_root(self) -> np.ndarray:
        if self._root is None:
            values, vectors = np.linalg.eigh(self.H)
            self._root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        return self._root

    def dense(self, places: np.ndarray) -> np.ndarray:
        """Some columns of A."""
        return self._symmetric_root()[:, places]

    def products(self, r: np.ndarray) -> np.ndarray:
        """``A' r`` for all columns."""
        return self._symmetric_root() @ r


def root_columns(
    design: Design,
    cols: np.ndarray,
    root: np.ndarray,
    centred: bool,
    *,
    out: np.ndarray,
) -> None:
    """``diag(root) (X - 1 mean')`` of some columns, the means under ``root^2``."""
    columns = design.columns(cols)
    out[...] = columns.toarray() if design.kind == "sparse" else columns
    total = float(root @ root)
    if centred:
        mean = (root**2 / total) @ out
        out -= mean
    out *= root[:, None]
    if centred:
        length = np.sqrt(np.einsum("ij,ij->j", out, out))
        out[:, length <= _CONSTANT * np.sqrt(total) * np.abs(mean)] = 0.0


class GramSet:
    """``A'A`` for the chosen columns of ``A = diag(sqrt(d)) (X - 1 mean')``.

    Columns keep their place: new ones are appended, so that only their products are
    computed.  Means, under d, are taken where an intercept is fitted; sparse columns
    are not made dense.

    Attributes
    ----------
    cols : ndarray of int64
        Indices of the columns, in the order in which they were added.
    H : ndarray of shape (m, m)
        View of the products.
    """

    def __init__(self, design: Design, d: np.ndarray, *, centred: bool) -> None:
        self.design, self.centred = design, centred
        self.root = np.sqrt(d)
        self.total = float(d.sum())
        self.cols = np.empty(0, dtype=np.int64)
        self._place = np.full(design.p, -1, dtype=np.int64)
        self._gram = np.empty((0, 0))
        self._dense = np.empty((design.n, 0), order="F")
        self._blocks: list = []  # sparse columns, and their sums along the root
        self._means = np.empty(0)

    @property
    def m(self) -> int:
        """Number of columns."""
        return self.cols.size

    @property
    def H(self) -> np.ndarray:
        """Products of the columns."""
        return self._gram[: self.m, : self.m]

    def places(self, cols: np.ndarray) -> np.ndarray:
        """Where columns stand, -1 for those that are not in the set."""
        return self._place[cols]

    def add(self, cols: np.ndarray) -> None:
        """Append those of the columns that are not there yet."""
        new = cols[self._place[cols] < 0]
        if not new.size:
            return
        old, m = self.m, self.m + new.size
        self._reserve(m)
        if self.design.kind == "sparse":
            self._add_sparse(new, old, m)
        else:
            self._add_dense(new, old, m)
        self._place[new] = np.arange(old, m)
        self.cols = np.concatenate([self.cols, new])

    def _reserve(self, m: int) -> None:
        size = self._gram.shape[0]
        if m <= size:
            return
        size = max(m, min(2 * size, m + 2000), 64)
        gram = np.empty((size, size))
        gram[: self.m, : self.m] = self.H
        self._gram = gram
        if self.design.kind != "sparse":
            dense = np.empty((self.design.n, size), order="F")
            dense[:, : self.m] = self._dense[:, : self.m]
            self._dense = dense

    def _add_dense(self, new: np.ndarray, old: int, m: int) -> None:
        block = self._dense[:, old:m]
        root_columns(self.design, new, self.root, self.centred, out=block)
        products = block.T @ self._dense[:, :m]
        self._gram[old:m, :m] = products
        self._gram[:old, old:m] = products[:, :old].T

    def _add_sparse(self, new: np.ndarray, old: int, m: int) -> None:
        block = self.design.columns(new).astype(np.float64)
        block.data *= self.root[block.indices]
        self._blocks.append(block)
        everything = sparse.hstack(self._blocks, format="csc")
        self._blocks = [everything]
        products = (block.T @ everything).toarray()
        if self.centred:
            unit = self.root / np.sqrt(self.total)
            means = np.asarray(block.T @ unit)
            self._means = np.concatenate([self._means, means])
            own = np.arange(old, m)
            square = products[np.arange(m - old), own]
            products -= np.outer(means, self._means)
            left = products[np.arange(m - old), own]
            products[left <= _CONSTANT_SQUARE * square] = 0.0
        self._gram[old:m, :m] = products
        self._gram[:old, old:m] = products[:, :old].T

    def keep(self, places: np.ndarray) -> None:
        """Leave out all columns but those at these places, in ascending order."""
        m = places.size
        self._place[self.cols] = -1
        self._gram[:m, :m] = self.H[np.ix_(places, places)]
        if self.design.kind == "sparse":
            if self._blocks:
                self._blocks = [self._blocks[0][:, places]]
            if self.centred:
                self._means = self._means[places]
        else:
            self._dense[:, :m] = self._dense[:, places]
        self.cols = self.cols[places]
        self._place[self.cols] = np.arange(m)

    def dense(self, places: np.ndarray) -> np.ndarray:
        """Some columns of A, not sparse."""
        if self.design.kind != "sparse":
            return self._dense[:, places]
        A = self._blocks[0][:, places].toarray()
        if self.centred:
            A -= np.outer(self.root / np.sqrt(self.total), self._means[places])
            A[:, self.H.diagonal()[places] == 0.0] = 0.0
        return A

    def products(self, r: np.ndarray) -> np.ndarray:
        """``A' r`` for all columns."""
        if self.design.kind != "sparse":
            return self._dense[:, : self.m].T @ r
        out = np.asarray(self._blocks[0].T @ r)
        if self.centred:
            out -= self._means * (self.root @ r / np.sqrt(self.total))
            out[self.H.diagonal() == 0.0] = 0.0
        return out
