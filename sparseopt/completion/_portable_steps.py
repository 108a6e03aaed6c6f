"""Half-steps, frames and starts in terms of the array API.

Each bucket of rows is a few batched products and one batched solve; numbers that are as
many as the rank, or its square, are the host's business.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
from scipy import linalg

from sparseopt._core._array_api import device, from_numpy_like, to_numpy
from sparseopt.completion._frames import LOST
from sparseopt.completion._init import EXTRA, given, rounds_for, trim, without_empty
from sparseopt.completion._portable_entries import DeviceEntries, Part
from sparseopt.completion._run import Factors
from sparseopt.completion._sweeps import Sweeps

# Steps to a solution of least norm, each of which leaves a part ridge / eigenvalue.
_ROUNDS = 3


class DeviceFactors(Factors):
    """``U diag(s) V'`` on a device, rows in the order of the sides; s on the host."""

    def astype(self, dtype: Any) -> Factors:
        return self


def thin_svd(xp: ModuleType, A: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """A = U diag(s) W', as `orthonormalise` of NumPy arrays, from a Gram matrix.

    The k x k part is the host's, for which libraries of devices are slow.
    """
    B = xp.astype(A, xp.float64, copy=False)
    w, W = linalg.eigh(_gram(xp, B), check_finite=False)
    s = np.sqrt(np.maximum(w[::-1], 0.0))
    W = np.ascontiguousarray(W[:, ::-1])
    if not s[0] > 0 or s[-1] <= LOST * s[0]:
        return _by_qr(xp, A, B)
    Q = _times(xp, B, W / s)
    if s[-1] <= 1e-3 * s[0]:  # errors of weak directions are (s_1 / s_l)^2 roundings
        R = linalg.cholesky(_gram(xp, Q), check_finite=False)
        inverse = linalg.solve_triangular(R, np.eye(len(s)), check_finite=False)
        u, s, wt = linalg.svd(R * s, check_finite=False)
        Q, W = _times(xp, Q, inverse @ u), W @ wt.T
    return xp.astype(Q, A.dtype, copy=False), s, W


def _by_qr(xp: ModuleType, A: Any, B: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    m, k = B.shape
    if m < k:  # rows of zeros
        B = xp.concat([B, xp.zeros((k - m, k), dtype=B.dtype, device=device(B))])
    Q, R = xp.linalg.qr(B, mode="reduced")
    u, s, wt = linalg.svd(to_numpy(R), check_finite=False)
    Q = _times(xp, Q, u)[:m, ...]
    return xp.astype(Q, A.dtype, copy=False), s, wt.T


def _gram(xp: ModuleType, B: Any) -> np.ndarray:
    return to_numpy(xp.matmul(B.T, B))


def _times(xp: ModuleType, A: Any, W: np.ndarray) -> Any:
    """A W for a small matrix of the host."""
    return xp.matmul(A, _small(xp, W, A))


def _scaled(xp: ModuleType, F: Any, s: np.ndarray) -> Any:
    return F * _small(xp, s, F)


def _small(xp: ModuleType, values: np.ndarray, like: Any) -> Any:
    """Numbers of the host beside an array, in its type."""
    dtype = np.float32 if like.dtype == xp.float32 else np.float64
    return from_numpy_like(values.astype(dtype), like)


class DeviceRows:
    """Operations on all rows (or columns) of one set of entries."""

    def __init__(self, entries: DeviceEntries) -> None:
        self.entries = entries
        self.xp = entries.xp

    def refit(
        self, transposed: bool, fixed: Any, unknown: Any, ridge: np.ndarray
    ) -> tuple[Any, float]:
        """The minimiser for each row, and the weighted sum of its squared errors.

        Row i minimises ``1/2 sum_e w_e (x_e - a.f_e)^2 + 1/2 sum_l ridge_l a_l^2``.
        Rows without entries are zero; where there is no ridge, those that have fewer
        than unknowns get the solution of least norm.
        """
        xp, e, k = self.xp, self.entries, fixed.shape[1]
        side = e.side(transposed)
        table, d = self._table(fixed), e.array(ridge)
        n_short = 0 if ridge.all() else int(np.count_nonzero(side.counts < k))
        n_zero = max(n_short, side.buckets[0].start)
        zeros = xp.zeros((n_zero, k), dtype=fixed.dtype, device=device(fixed))
        unknown = xp.concat([zeros, unknown[n_zero:, :]])
        new, squares = [unknown[: side.buckets[0].start, :]], []
        for bucket in side.buckets:
            for lo, hi, parts in bucket.pieces(2 * k, 4 * k * k, e.block):
                a, G, least = unknown[lo:hi, :], None, lo < n_short
                for _ in range(_ROUNDS if least else 1):
                    a, G = self._minimise(parts, table, a, d, G, least)
                new.append(a)
                squares += [
                    self._squares(part, self._left(part, H, a))
                    for part, H in self._gathered(parts, table, G)
                ]
        return xp.concat(new), self._total(squares)

    def squares(self, left: Any, right: Any) -> float:
        """Weighted sum of squared errors of ``left right'``."""
        table, k = self._table(right), right.shape[1]
        squares = []
        for bucket in self.entries.rows.buckets:
            for lo, hi, parts in bucket.pieces(k, k, self.entries.block):
                squares += [
                    self._squares(part, self._left(part, G, left[lo:hi, :]))
                    for part, G in self._gathered(parts, table)
                ]
        return self._total(squares)

    def square_of_values(self, weighted: bool) -> float:
        """Sum of the squared values, weighted or not."""
        parts = [bucket.part for bucket in self.entries.rows.buckets]
        if not weighted:
            parts = [part._replace(weight=None) for part in parts]
        return self._total([self._squares(part, part.val) for part in parts])

    def multiply(self, V: Any, transposed: bool) -> Any:
        """The zero-filled matrix, or its transpose, times V."""
        xp, e, k = self.xp, self.entries, V.shape[1]
        side, table = e.side(transposed), self._table(V)
        n_empty = side.buckets[0].start
        out = [xp.zeros((n_empty, k), dtype=V.dtype, device=device(V))]
        for bucket in side.buckets:
            for _, _, parts in bucket.pieces(k, k, e.block):
                pairs = self._gathered(parts, table)
                out.append(sum(_row_times(xp, part.val, G) for part, G in pairs))
        return xp.concat(out)

    def _table(self, F: Any) -> Any:
        """Rows to gather from: entries that are not there get the zeros at the end."""
        zero = self.xp.zeros((1, F.shape[1]), dtype=F.dtype, device=device(F))
        return self.xp.concat([F, zero])

    def _gathered(self, parts: list[Part], table: Any, known: Any = None) -> Any:
        """Parts, each with the factor rows of its entries."""
        for part in parts:
            if known is None:
                n_rows, length = part.idx.shape
                at = self.xp.reshape(part.idx, (n_rows * length,))
                rows = self.xp.take(table, at, axis=0)
                yield part, self.xp.reshape(rows, (n_rows, length, table.shape[1]))
            else:
                yield part, known

    def _left(self, part: Part, G: Any, a: Any) -> Any:
        """Errors of the values in a part."""
        product = self.xp.matmul(a[:, None, :], self.xp.matrix_transpose(G))
        return part.val - product[:, 0, :]

    def _squares(self, part: Part, r: Any) -> Any:
        square = r * r if part.weight is None else part.weight * r * r
        return self.xp.sum(square, dtype=self.xp.float64)

    def _total(self, squares: list[Any]) -> float:
        return float(self.xp.sum(self.xp.stack(squares)))

    def _minimise(
        self, parts: list[Part], table: Any, a: Any, d: Any, G: Any, least: bool
    ) -> tuple[Any, Any]:
        """A Newton step from rows a; and what was gathered, of parts that are one."""
        xp = self.xp
        H, g = None, -d * a
        for part, rows in self._gathered(parts, table, G):
            G = rows
            r = self._left(part, G, a)
            GW = G if part.weight is None else G * part.weight[:, :, None]
            g = g + _row_times(xp, r, GW)
            square = xp.matmul(xp.matrix_transpose(GW), G)
            H = square if H is None else H + square
        return a + _solve(xp, H, d, g, least), G if len(parts) == 1 else None


def _row_times(xp: ModuleType, r: Any, G: Any) -> Any:
    """``sum_e r_ie G_ie`` for each row i."""
    return xp.matmul(r[:, None, :], G)[:, 0, :]


def _solve(xp: ModuleType, H: Any, d: Any, g: Any, least: bool) -> Any:
    """(H + diag(d))^-1 g for each row.

    A ridge of a few roundings makes every matrix definite; as g is what is left to
    gain, it slows directions of no weight and moves no minimiser. Where H is singular
    and what is wanted is of ``least`` norm, the ridge has to be far from the roundings
    that H and g have along its null space. Rows that still have no answer stay where
    they are.
    """
    k, eps = H.shape[-1], float(xp.finfo(H.dtype).eps)
    diagonal = xp.linalg.diagonal(H) + d
    largest = xp.max(diagonal, axis=1)
    largest = xp.where(largest > 0, largest, xp.ones_like(largest))
    shift = (math.sqrt(eps) if least else 4 * k * eps) * largest
    eye = xp.eye(k, dtype=H.dtype, device=device(H))
    H = H + (d + shift[:, None])[:, None, :] * eye
    if hasattr(xp, "cholesky_solve"):  # torch; the standard has no triangular solve
        L, _ = xp.linalg.cholesky_ex(H)
        step = xp.cholesky_solve(g[:, :, None], L)[:, :, 0]
    else:
        step = xp.linalg.solve(H, g[:, :, None])[:, :, 0]
    good = xp.all(xp.isfinite(step), axis=1)
    return xp.where(good[:, None], step, xp.zeros_like(step))


class DeviceSweeps(Sweeps):
    """Sweeps of exact half-steps on a device, with the ridge of all sweeps."""

    def __init__(self, entries: Any, factors: Factors, alpha: float) -> None:
        self.entries, self.factors = entries, factors
        self.rows, self.alpha, self.k = DeviceRows(entries), alpha, factors.k
        self.rss, self.work = math.inf, 0.0

    def half_step(self, transposed: bool, lam: float, steps: int = 0) -> None:
        """Refit one factor."""
        f, xp = self.factors, self.rows.xp
        fixed, moved = (f.U, f.V) if transposed else (f.V, f.U)
        ridge = self.ridge(lam)
        new, rss = self.rows.refit(transposed, fixed, _scaled(xp, moved, f.s), ridge)
        self.work += 3 + self.k / 2
        if not math.isfinite(rss):
            self.rss = rss
            return
        moved, s, W = thin_svd(xp, new)
        fixed = _times(xp, fixed, W)
        U, V = (fixed, moved) if transposed else (moved, fixed)
        self.factors, self.rss = DeviceFactors(U, s, V), rss

    def measure(self) -> float:
        """``rss`` of the factors as they are."""
        f = self.factors
        self.rss = self.rows.squares(_scaled(self.rows.xp, f.U, f.s), f.V)
        return self.rss


def spectral_on_device(
    entries: DeviceEntries, k: int, rng: np.random.Generator
) -> DeviceFactors:
    """The start of `spectral`, from the same random numbers."""
    e, xp, rows = entries, entries.xp, DeviceRows(entries)
    q = min(k + EXTRA, *e.shape)
    sides = [e.rows, e.cols]
    trims = [
        None if t is None else xp.take(e.array(t), side.order, axis=0)[:, None]
        for side in sides
        for t in [trim(side.counts)]
    ]

    def multiply(F: Any, transposed: bool) -> Any:
        before, after = trims[not transposed], trims[transposed]
        Y = rows.multiply(F if before is None else F * before, transposed)
        return Y if after is None else Y * after

    V = e.array(rng.standard_normal((e.shape[1], q)))
    V = thin_svd(xp, xp.take(V, e.cols.order, axis=0))[0]
    for _ in range(rounds_for(e.n_entries, k, e.shape)):
        U = thin_svd(xp, multiply(V, False))[0]
        V = thin_svd(xp, multiply(U, True))[0]
    U, s, W = thin_svd(xp, multiply(V, False))
    V = _times(xp, V, W)
    m, n = e.shape
    return DeviceFactors(U[:, :k], s[:k] * (m * n / e.n_entries), V[:, :k])


def random_on_device(
    entries: DeviceEntries, k: int, rng: np.random.Generator
) -> DeviceFactors:
    """The start of `random_start`, from the same random numbers."""
    e, frames = entries, []
    for side in (e.rows, e.cols):
        F = e.array(
            without_empty(rng.standard_normal((len(side.counts), k)), side.counts)
        )
        frames.append(thin_svd(e.xp, e.xp.take(F, side.order, axis=0))[0])
    mean = DeviceRows(e).square_of_values(weighted=False) / e.n_entries
    s = np.full(k, math.sqrt(mean * math.prod(e.shape) / k))
    return DeviceFactors(frames[0], s, frames[1])


def given_on_device(
    entries: DeviceEntries, k: int, init: Any, rng: np.random.Generator
) -> DeviceFactors:
    """The product of the caller's pair of factors, of any library."""
    e: Any = entries
    U, s, V = given(e, k, init, rng)
    U, V = (
        e.xp.take(e.array(F[:, :k]), side.order, axis=0)
        for F, side in ((U, e.rows), (V, e.cols))
    )
    return DeviceFactors(U, s / e.units.value, V)
