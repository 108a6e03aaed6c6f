"""What a Gaussian leaves to the rows that are nearest: curves and clusters.

The mean of the nearest donors has, in each column, the share that predicts observed
entries best when parts of their rows are taken out in turn. It is that of all columns,
as far as a column does not surely have another one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparseopt.completion._gaussian import Gaussian, Patterns, Rows, spread
from sparseopt.completion._patterns import neighbour_means

# Rows that others are compared with: no more, and no less where they are so many, than
# a number of pairs allows.
_DONORS, _FEW, _PAIRS = 2000, 256, 8_000_000
# Rows whose entries are tried, and parts that are taken out in turn.
_TRIED, _PARTS = 256, 5
# Squared distance of a coordinate that counts as none.
_FLOOR = 1e-9
_BLOCK = 1 << 18


@dataclass
class Neighbours:
    """Donors, centred and filled; transposed, as kernels read one column at a time."""

    donors: np.ndarray
    has: np.ndarray
    w: np.ndarray
    k: int
    n_threads: int
    share: np.ndarray

    def means(
        self, Z: np.ndarray, seen: np.ndarray, own: np.ndarray | None = None
    ) -> np.ndarray:
        """Means of the nearest donors in place of what is missing.

        ``own`` are the donors that the rows are themselves.
        """
        D = distances(Z, self.donors)
        if own is not None:
            D[np.arange(len(Z)), own] = np.inf
        out = np.empty_like(Z)
        neighbour_means(
            D, Z, seen.view(np.uint8), self.donors, self.has, self.w, self.k,
            _FLOOR * len(self.donors), out, self.n_threads,
        )  # fmt: skip
        return out

    def correct(self, Z: np.ndarray, seen: np.ndarray) -> None:
        """Mix means of neighbours into the missing entries of Z."""
        if not self.share.any():
            return
        some = np.flatnonzero(seen.any(axis=1) & ~seen.all(axis=1))
        size = max(1, _BLOCK // self.donors.shape[1])
        for at in range(0, len(some), size):
            rows = some[at : at + size]
            part = Z[rows]
            Z[rows] += self.share * (self.means(part, seen[rows]) - part)


def distances(A: np.ndarray, donors: np.ndarray) -> np.ndarray:
    """Squared distances of rows to donors, but for rounding."""
    ones = np.ones((len(A), 1))
    left = np.hstack([A, np.einsum("ij,ij->i", A, A)[:, None], ones])
    size = np.einsum("ij,ij->j", donors, donors)
    right = np.vstack([-2 * donors, np.ones_like(size), size])
    out: np.ndarray = left @ right
    return out


def find_neighbours(rows: Rows, model: Gaussian, k: int) -> Neighbours:
    """Donors among the rows of a fit, and the share that they have.

    Parameters
    ----------
    rows : Rows
        Filled by the model.
    model : Gaussian
    k : int
        Number of neighbours.
    """
    Z, seen, w = rows.Z, rows.seen, rows.w
    able = np.flatnonzero((w > 0) & seen.any(axis=1))
    chosen = spread(able, min(_DONORS, max(_FEW, _PAIRS // len(Z))))
    found = Neighbours(
        donors=np.ascontiguousarray(Z[chosen].T),
        has=np.ascontiguousarray(seen[chosen].T).view(np.uint8),
        w=w[chosen],
        k=max(1, min(k, len(chosen) // 2)),
        n_threads=rows.n_threads,
        share=np.zeros(Z.shape[1]),
    )
    _judge(found, rows, model, chosen)
    return found


def _judge(found: Neighbours, rows: Rows, model: Gaussian, chosen: np.ndarray) -> None:
    """Shares, by entries that are taken out."""
    tried = spread(chosen, _TRIED)
    own, Z, seen = np.searchsorted(chosen, tried), rows.Z[tried], rows.seen[tried]
    w = rows.w[tried][:, None]
    part = np.add.outer(np.arange(len(Z)), np.arange(Z.shape[1])) % _PARTS
    gain, size, noise = np.zeros((3, Z.shape[1]))
    for n in range(_PARTS):
        out = seen & (part == n)
        left = seen & ~out
        out &= left.any(axis=1)[:, None]
        guess = np.where(left, Z, 0)
        quad = Patterns(left).expect(model.precision, guess, rows.w[tried]).quad
        # of a model that has not seen the row
        leverage = (quad / (1 + model.alpha) + 1)[:, None] * w / rows.total
        guess = np.where(out, Z - (Z - guess) / (1 - np.minimum(leverage, 0.9)), guess)
        step = np.where(out, found.means(guess, left, own) - guess, 0)
        product = w * step * (Z - guess)
        gain += product.sum(axis=0)
        noise += np.square(product).sum(axis=0)
        size += (w * step * step).sum(axis=0)
    if size.sum() > 0:
        common = _sure(gain.sum(), noise.sum()) / size.sum()
        other = _sure(gain - common * size, noise)
        share = common + other / np.where(size > 0, size, 1)
        found.share = np.clip(share, 0.0, 1.0) + 0.0  # no minus zero


def _sure(value: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """What is left of an estimate without what its noise would be (James and Stein)."""
    ratio = variance / np.where(value != 0, value * value, 1)
    out: np.ndarray = value * np.maximum(0, 1 - ratio)
    return out
