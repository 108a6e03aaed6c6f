"""A low-rank model of a table: fitted by `complete`, and filling rows.

The mean is fitted with the factors, as that of ``X = 1 m' + L R'`` is a matter of a
rank more and of a column of ones: ``[X, 1] = [L, 1] [[R, 0], [m, 1]]'``.  A last fit of
what is left beside the mean has the rank that was asked for.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from sparseopt._core._status import Status
from sparseopt.completion._input import as_entries
from sparseopt.completion._kernels import aligned
from sparseopt.completion._partial import fold_in_rows
from sparseopt.completion._problem import padded
from sparseopt.completion._result import CompletionResult
from sparseopt.completion._run import Factors

# The constant column, in standard deviations of the others.
_ONE = 1.0
# Rounds of reweighting of new rows, and of setting entries aside.
_ROUNDS, _TRIMS = 15, 3
_CUT = 3.5
_TO_SIGMA = 1.4826
_TINY = 1e-300


@dataclass
class FactorTable:
    """A fit in units of standardised columns."""

    result: CompletionResult
    mean: np.ndarray
    robust: bool
    sigma: float = 0.0

    def fill(
        self, Z: np.ndarray, seen: np.ndarray, rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """Rows with values of the model in place of what they miss."""
        r, mean = self.result, self.mean.astype(Z.dtype)
        alive = r.s > 1e-10 * max(r.s[0], np.finfo(np.float64).tiny)
        out = np.zeros(Z.shape, Z.dtype)
        some = np.flatnonzero(seen.any(axis=1))
        if len(some) and alive.any():
            X, mask, V = Z[some] - mean, seen[some], r.V[:, alive]
            w = np.ones(X.shape) if self.robust else None
            model = self._fold_in(X, mask, w, alive) @ V.T
            if self.robust:
                model = self._robust_rows(X, mask, model, alive)
            out[some] = model
        return np.where(seen, Z, out + mean)

    def _robust_rows(
        self, X: np.ndarray, mask: np.ndarray, model: np.ndarray, alive: np.ndarray
    ) -> np.ndarray:
        """Least absolute deviations, then least squares of what agrees with them."""
        V = self.result.V[:, alive]
        # what rounding leaves of exact data is no error
        least = np.sqrt(np.finfo(X.dtype).eps) * np.abs(X).max()
        sigma = max(self.sigma, float(least) / _CUT, _TINY)
        for n in range(_ROUNDS + _TRIMS):
            size = np.abs(X - model)
            middle = _medians(size, mask)[:, None]
            if n < _ROUNDS:
                delta = np.maximum(sigma, 0.1 * middle)
                w = delta / np.maximum(size, delta)
            else:
                cut = np.maximum(_CUT * sigma, 2 * _CUT * middle)
                w = np.where(size > cut, 0.0, 1.0)
            model = self._fold_in(X, mask, w, alive) @ V.T
        return model

    def _fold_in(
        self, X: np.ndarray, mask: np.ndarray, w: np.ndarray | None, alive: np.ndarray
    ) -> np.ndarray:
        """Left factor of rows, the right one being the singular vectors."""
        s, k = self.result.s[alive], int(alive.sum())
        Z = np.where(mask, X, np.nan)
        entries = as_entries(Z, weights=None if w is None else w.astype(X.dtype))
        root = np.sqrt(s).astype(entries.dtype)
        R = aligned((len(self.result.V), padded(k, entries.dtype)), entries.dtype)
        R[:, :k] = self.result.V[:, alive] * root
        held = Factors(R[:0], np.ones(k), R)
        return fold_in_rows(entries, held, self.result.alpha, {})[0] * root


def fit_factors(
    Z: np.ndarray, seen: np.ndarray, w: np.ndarray | None, rank: int | str,
    fit: Any, alpha: float | str, *, centre: bool, robust: bool,
) -> FactorTable:  # fmt: skip
    """Fit the low-rank model to a table with standardised columns.

    Parameters
    ----------
    Z : ndarray of shape (n, p)
    seen : ndarray of bool of shape (n, p)
    w : ndarray of shape (n,) or None
    rank : int or "auto"
        Beside the mean.
    fit : callable
        `complete` with its options but the rank, alpha and weights.
    alpha : float or "auto"
    centre, robust : bool
    """
    if w is not None:
        fit = partial(fit, weights=np.repeat(w[:, None].astype(Z.dtype), Z.shape[1], 1))
    mean, start = np.zeros(Z.shape[1]), "spectral"
    if centre:
        silent = {"callback": None, "verbose": 0}
        if "auto" in (rank, alpha):
            found = fit(np.where(seen, Z, np.nan), rank, alpha=alpha, **silent)
            rank, alpha = len(found.s), found.alpha
        rank = int(rank)
        mean, start = _mean(Z, seen, w, rank, partial(fit, alpha=alpha, **silent))
    Z = np.where(seen, Z - mean.astype(Z.dtype), np.nan)
    table = FactorTable(fit(Z, rank, alpha=alpha, init=start), mean, robust)
    if robust:
        size = np.abs(Z - table.result.reconstruct())
        inside = seen & ~np.asarray(table.result.outlier_mask)
        if inside.any():
            table.sigma = float(np.median(size[inside])) * _TO_SIGMA
    return table


def _mean(
    Z: np.ndarray, seen: np.ndarray, w: np.ndarray | None, rank: int, fit: Any
) -> tuple[np.ndarray, Any]:
    """Mean by the fit of one rank more, and factors of what is left."""
    ones = np.full((len(Z), 1), _ONE, Z.dtype)
    X = np.hstack([np.where(seen, Z, np.nan), ones])
    if w is not None:
        weights = np.repeat(w[:, None].astype(Z.dtype), X.shape[1], 1)
        fit = partial(fit, weights=weights)
    with warnings.catch_warnings():  # those of the last fit are enough
        warnings.simplefilter("ignore")
        r = fit(X, min(rank + 1, *X.shape))
    if r.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    L = r.U * r.s.astype(r.U.dtype)
    # the mean of all rows, weighted by how often one stands for a row
    row = np.average(L.astype(np.float64), axis=0, weights=w) @ r.V.T
    if not row[-1] > 0.1 * _ONE:  # nothing was left of it
        return np.zeros(Z.shape[1]), "spectral"
    mean = row[:-1] * (_ONE / row[-1])
    left = np.hstack([L, np.ones((len(L), 1), L.dtype)])
    right = np.hstack([r.V[:-1], -mean[:, None].astype(L.dtype)])
    Q, R = np.linalg.qr(left)
    P, s, W = np.linalg.svd(R @ right.T, full_matrices=False)
    return mean, ((Q @ P)[:, :rank] * s[:rank], W[:rank].T.copy())


def _medians(X: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Of each row, of what the mask has; zero where that is nothing."""
    ordered = np.sort(np.where(mask, X, np.inf), axis=1)
    n = mask.sum(axis=1)
    at = ordered[np.arange(len(X)), np.maximum(n - 1, 0) // 2]
    return np.where(n > 0, at, 0)
