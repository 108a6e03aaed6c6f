"""Gross errors among the entries of a table: which of them a Gaussian does not believe.

An entry is judged by what the others of its row predict.  In each row the worst is set
aside first, as it spoils the predictions of the others, and those set aside come back
when they agree with the rest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from sparseopt._core._status import Status
from sparseopt.completion._gaussian import Fit, Gaussian, Patterns, Rows

# Standard deviations beyond which an entry is set aside.
CUT = 3.5
_ROUNDS = 20
_PASSES = 30


def centre_and_scale(X: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median of each column, and a scale that a tenth of gross errors cannot move."""
    p = X.shape[1]
    middle, spread = np.zeros(p), np.zeros(p)
    for j in range(p):
        x = X[seen[:, j], j].astype(np.float64)
        if len(x):
            middle[j] = np.median(x)
            away = np.abs(x - middle[j])
            for share in (0.5, 0.75, 0.9):
                spread[j] = np.quantile(away, share) / norm.ppf(0.5 + share / 2)
                if spread[j] > 0:
                    break
            else:
                spread[j] = np.sqrt(np.mean(np.square(away)))
    return middle, spread


def believed(
    model: Gaussian, X: np.ndarray, seen: np.ndarray, keep: np.ndarray
) -> np.ndarray:
    """Entries that agree with the others of their rows.

    Parameters
    ----------
    model : Gaussian
    X : ndarray of shape (n, p)
        Centred at the model's mean.
    seen, keep : ndarray of bool
        Entries that are known, and those of them to begin with.
    """
    out = np.empty_like(keep)
    for at in np.array_split(np.arange(len(X)), max(1, min(8, len(X) // 256))):
        out[at] = _believed(model, X[at], seen[at], keep[at])
    return out


def _believed(
    model: Gaussian, X: np.ndarray, seen: np.ndarray, keep: np.ndarray
) -> np.ndarray:
    work = np.arange(len(X))
    most = seen.sum(axis=1) // 2  # of a row that may be set aside
    for _ in range(_PASSES):
        now = keep[work]
        Z = np.where(now, X[work], 0)
        patterns = Patterns(now)
        patterns.expect(model.precision, Z, np.ones(len(Z)))
        own = patterns.own(model.precision)
        # of kept ones from their own predictions, of others from what was filled in
        G = Z @ model.precision
        root = np.sqrt(own)
        size = np.abs(np.where(now, G / root, (X[work] - Z) * root))
        good = seen[work] & (size <= CUT)
        back = good & ~now
        size[~now] = 0
        worst = size.argmax(axis=1)
        rows = np.arange(len(work))
        room = seen[work].sum(axis=1) - now.sum(axis=1) < most[work]
        out = (size[rows, worst] > CUT) & room
        now = now | back
        now[rows[out], worst[out]] = False
        changed = (now != keep[work]).any(axis=1)
        keep[work] = now
        work = work[changed]
        if not len(work):
            break
    return keep


def fit_believed(
    Z: np.ndarray, seen: np.ndarray, w: np.ndarray,
    fit: Callable[[Rows, Gaussian | None], Fit], n_threads: int = 1,
) -> tuple[Fit, Rows]:  # fmt: skip
    """Fit a Gaussian to the entries that it believes.

    Parameters
    ----------
    Z : ndarray of shape (n, p)
        Centred and scaled by `centre_and_scale`.
    seen, w : ndarray
    fit : callable
        Fits rows, from a start or none.
    """
    keep = seen & (np.abs(Z) <= CUT)
    before: list[bytes] = []
    model = None
    while True:
        rows = Rows(np.where(keep, Z, 0), keep, w, np.zeros(Z.shape[1]), n_threads)
        found = fit(rows, model)
        model = found.model
        keep = believed(model, Z - model.mean, seen, keep)
        mark = np.packbits(keep).tobytes()
        stopped = found.status not in (Status.CONVERGED, Status.MAX_ITER)
        if stopped or mark in before or len(before) == _ROUNDS:
            return found, rows
        before.append(mark)
