"""Increments of a low-rank iterate, seen at the observed entries."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import linalg

from sparseopt.completion._frames import orthonormalise, rotate
from sparseopt.completion._grams import block_products, inverse_grams
from sparseopt.completion._half_step import scaled
from sparseopt.completion._kernels import aligned, product_rows
from sparseopt.completion._problem import Entries, Side
from sparseopt.completion._run import Factors

# Directions weaker than this part of the first move as if they had its weight.
_WEAK = 1e-12
# Numbers in blocks of a preconditioner at most: 256 MiB.
_MOST = 1 << 26
Solve = Callable[[np.ndarray], np.ndarray]


class Tangent:
    """Least squares for increments ``A V' + U B'`` of an iterate at the entries.

    A vector is an array of shape (m + n, width) that holds A above B.

    Parameters
    ----------
    entries : Entries
    factors : Factors
        The iterate ``U diag(s) V'``.
    single : Entries, optional
        The same places in float32, for products in that: an increment needs a few
        digits only, while what it has to remove is known to all.

    Attributes
    ----------
    width : int
        Columns of a vector, k and padding.
    dtype : dtype
        Of the vectors of `normal`.
    work : float
        Products with all entries so far, each of ``2 n_entries k`` operations.
    """

    def __init__(
        self, entries: Entries, factors: Factors, single: Entries | None = None
    ) -> None:
        self.entries, self.factors = entries, factors
        self.k = factors.k
        self.m, n = entries.shape
        self._places = entries if single is None else single
        self.dtype = dtype = self._places.dtype
        f = factors.astype(dtype)
        self.width, self._U, self._V = f.V.shape[1], f.U, f.V
        self._right = aligned((n, 2 * self.width), dtype)
        self._right[:, : self.width] = f.V
        self._left = aligned((self.m, 2 * self.width), dtype)
        self._left[:, self.width :] = f.U
        self._values = np.empty(entries.n_entries, dtype)
        self._none = np.empty(0, dtype)  # None would not tell the kernel its type
        self._rss = np.zeros(self.m)
        self.work = 0.0

    def gradient(self, residuals: np.ndarray) -> np.ndarray:
        """Minus the gradient of half the sum of squares, from unweighted residuals."""
        e = self.entries
        if e.rows.weight is not None:
            residuals = residuals * e.rows.weight
        k, f = self.k, self.factors
        out = np.zeros((sum(e.shape), self.width), f.V.dtype)
        out[: self.m, :k] = e.multiply(residuals, f.V, False)[:, :k]
        out[self.m :, :k] = e.multiply(residuals, f.U, True)[:, :k]
        self.work += 2.0
        return out

    def normal(self, p: np.ndarray) -> tuple[np.ndarray, float]:
        """The normal matrix times p, and the curvature along p.

        With frames and increments side by side, increments at the entries are one
        product of doubled width, and the product with the rows comes with it.
        """
        e = self._places
        self._left[:, : self.width] = p[: self.m]
        self._right[:, self.width :] = p[self.m :]
        out = np.empty_like(p)
        Y = aligned((self.m, self.width), p.dtype, np.empty)
        product_rows(
            e.rows.ptr,
            e.rows.idx,
            self._none,
            e.rows.weight,
            self._right,
            self._left,
            self._values,
            Y,
            self._rss,
            e.chunks(False, 2 * self.width),
            e.n_threads,
        )
        out[: self.m] = Y
        out[self.m :] = e.multiply(self._values, self._U, True)
        self.work += 4.0
        return out, float(self._rss.sum())

    def diagonal(self, ridge: np.ndarray) -> Solve:
        """Inverse of what the diagonal of the normal matrix is expected to be.

        Parameters
        ----------
        ridge : ndarray of shape (width,)
            Added to the diagonal.

        Returns
        -------
        callable
            Gives a new vector for one of `normal`.
        """
        diagonal = self.curvature()[:, None] + ridge
        inverse = (1.0 / np.where(diagonal > 0, diagonal, 1.0)).astype(self.dtype)
        return lambda g: inverse * g

    @property
    def has_room(self) -> bool:
        """Whether `blocks` are few enough numbers."""
        return sum(self.entries.shape) * self.k**2 <= _MOST

    def blocks(self, ridge: np.ndarray) -> Solve:
        """As `diagonal`, with the inverses of diagonal blocks, times a number.

        A block is the Gram matrix of a row's entries, in the frame of the other side:
        rows whose entries hardly determine them are what takes a diagonal long.
        """
        e, k, sides = self._places, self.k, []
        least = math.sqrt(np.finfo(self.dtype).eps)
        unit, d = float(self.curvature().mean()), ridge[:k].astype(self.dtype)
        for transposed, F in ((False, self._V), (True, self._U)):
            side = e.side(transposed)
            H = np.empty((side.n_rows, k, k), np.float32)
            inverse_grams(
                side.ptr, side.idx, F, side.weight, d, unit, least, H,
                e.chunks(transposed, self.width), e.n_threads,
            )  # fmt: skip
            sides.append(H)
        self.work += float(k)  # half of a symmetric matrix for each side

        def apply(g: np.ndarray) -> np.ndarray:
            z = np.zeros_like(g)
            block_products(sides[0], g[: self.m], z[: self.m], e.n_threads)
            block_products(sides[1], g[self.m :], z[self.m :], e.n_threads)
            return z

        return apply

    def curvature(self) -> np.ndarray:
        """What the diagonal of the normal matrix is expected to be, for each row."""
        m, n = self.entries.shape
        rows, cols = (_weights(s) for s in (self.entries.rows, self.entries.cols))
        return np.concatenate([rows / n, cols / m])

    def move(self, step: np.ndarray, t: float = 1.0) -> Factors:
        """The iterate whose balanced factors moved by t times their increments."""
        f, k = self.factors, self.k
        root = np.sqrt(np.maximum(f.s, max(_WEAK * f.s[0], np.finfo(float).tiny)))
        left, right = scaled(f.U, root), scaled(f.V, root)
        left[:, :k] += t * step[: self.m, :k] / root
        right[:, :k] += t * step[self.m :, :k] / root
        return product_svd(left, right, k)


def product_svd(left: np.ndarray, right: np.ndarray, k: int) -> Factors:
    """Thin SVD of ``left right'``, padded factors of rank k."""
    U, s, W = orthonormalise(left, k)
    V, t, Z = orthonormalise(right, k)
    core = (s[:, None] * (W.T @ Z)) * t
    u, sigma, vt = linalg.svd(core, check_finite=False)
    return Factors(rotate(U, u), sigma, rotate(V, vt.T))


def _weights(side: Side) -> np.ndarray:
    if side.weight is None:
        return np.diff(side.ptr).astype(np.float64)
    total = np.concatenate([[0.0], np.cumsum(side.weight, dtype=np.float64)])
    return np.diff(total[side.ptr])
