"""Means of rows and columns as further columns of the factors.

With biases, factor rows are ``[a_i, b_i, 1]`` and ``[v_j, 1, c_j]``: their product is
``a_i.v_j + b_i + c_j``, and a half-step solves for a row and its bias together while
the constant column is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.completion._half_step import HalfSteps
from sparseopt.completion._kernels import aligned
from sparseopt.completion._problem import Entries, padded

KINDS = (None, "row", "col", "both")
_SWEEPS, _EPS = 10, 1e-4


def has(biases: str | None, transposed: bool) -> bool:
    """Whether rows (columns if ``transposed``) have biases of their own."""
    return biases in ("both", "col" if transposed else "row")


@dataclass(frozen=True)
class Ridges:
    """Ridge of each coordinate of the factor rows, rank k and two bias columns.

    The objective has ``1/2 sum_i (alpha s_i ||a_i||^2 + bias b_i^2)`` for rows, and the
    same for columns with their own numbers; ``scales`` are the s_i, None is 1.
    """

    k: int
    alpha: float
    bias: tuple[float, float] = (0.0, 0.0)
    biases: str | None = None
    scales: tuple[np.ndarray | None, np.ndarray | None] = (None, None)

    @property
    def width(self) -> int:
        """Numbers in a factor row: the rank, and two if there are biases."""
        return self.k + 2 * (self.biases is not None)

    def arguments(self, transposed: bool) -> dict[str, Any]:
        """What `HalfSteps.cg` is told about the side that is solved for."""
        k, width = self.k, self.width
        ridge, base = np.zeros(width), np.zeros(width)
        held = np.zeros(width, bool)
        ridge[:k] = self.alpha
        scale = self.scales[transposed]
        if self.biases is None:
            return {"ridge": ridge, "scale": scale}
        own = k + transposed
        held[k:] = True
        held[own] = not has(self.biases, transposed)
        base[own] = self.bias[transposed]
        return {"ridge": ridge, "base": base, "held": held, "scale": scale}

    def value(self, transposed: bool, squares: np.ndarray) -> float:
        """Ridge term of one side, without its half.

        ``squares`` (width, 3) are sums of squares of the columns of its factor with
        weights: entries of a row, s_i, 1.
        """
        k, own = self.k, self.k + transposed
        total = self.alpha * float(squares[:k, 1].sum())
        if has(self.biases, transposed):
            total += self.bias[transposed] * float(squares[own, 2])
        return total


def counts(entries: Entries, transposed: bool) -> np.ndarray:
    """Entries of each row, or the sum of their weights."""
    side = entries.side(transposed)
    n = np.diff(side.ptr).astype(np.float64)
    if side.weight is None:
        return n
    ids = np.repeat(np.arange(side.n_rows), np.diff(side.ptr))
    return np.bincount(ids, weights=side.weight, minlength=side.n_rows)


def mean(entries: Entries) -> float:
    """Weighted mean of the values."""
    side = entries.rows
    if side.weight is None:
        return float(side.val.mean(dtype=np.float64)) if len(side.val) else 0.0
    total = side.weight.sum(dtype=np.float64)
    weighted = np.multiply(side.val, side.weight, dtype=np.float64).sum()
    return float(weighted / total) if total > 0 else 0.0


def shrunken_means(
    entries: Entries,
    biases: str,
    bias_reg: tuple[float, float],
    sweeps: int = _SWEEPS,
) -> tuple[np.ndarray, np.ndarray]:
    """Biases of the model without factors, ``x_ij ~ b_i + c_j``.

    Alternating shrunken means, ``b_i = sum_j (x_ij - c_j) / (n_i + bias_reg)``: one
    step of conjugate gradients is exact for one unknown.
    """
    ridges = Ridges(0, 0.0, bias_reg, biases)
    steps = HalfSteps(entries, 2)
    L, R = blank(entries, ridges)
    before = np.inf
    for _ in range(sweeps):
        for transposed in (True, False):
            fixed, unknown = (L, R) if transposed else (R, L)
            rss = steps.cg(
                transposed, fixed, unknown, steps=1, curvature=np.ones(2),
                **ridges.arguments(transposed),
            )  # fmt: skip
        if rss >= (1 - _EPS) * before:
            break
        before = rss
    return L[:, 0].astype(np.float64), R[:, 1].astype(np.float64)


def blank(entries: Entries, ridges: Ridges) -> tuple[np.ndarray, np.ndarray]:
    """Factors of zeros with their constant columns."""
    width = padded(ridges.width, entries.dtype)
    L, R = (aligned((n, width), entries.dtype) for n in entries.shape)
    if ridges.biases is not None:
        L[:, ridges.k + 1] = 1
        R[:, ridges.k] = 1
    return L, R
