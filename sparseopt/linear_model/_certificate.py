"""Bounds for the best fit with at most k groups and a ridge, from the envelope."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sparseopt.linear_model._datafit import Datafit
from sparseopt.linear_model._refit import Fit, refit
from sparseopt.prox import Groups

# Bounds closer than this share of F(0) are the same number.
_EQUAL = 1e-9


class Bounds(NamedTuple):
    """What is known of ``P = min F + lam/2 sum_j d_j ||w_j||^2``, at most k groups.

    The envelope is a convex minorant of that penalty, so a dual value of the convex
    problem is below P; any fit on k groups is above.

    Attributes
    ----------
    lower, upper : float
        Interval that holds P.
    certified : bool
        Whether they agree: the fit is then a global optimum.
    subset : ndarray of int64
        Groups of the fit that attains `upper`, sorted.
    fit : Fit
        That fit.
    """

    lower: float
    upper: float
    certified: bool
    subset: np.ndarray
    fit: Fit


def ridge_of(groups: Groups, d: np.ndarray | None, lam: float) -> np.ndarray:
    """Ridge on each coordinate; free ones have none."""
    return lam * groups.spread(np.ones(groups.m) if d is None else d, fill=0.0)


def coordinates(groups: Groups, subset: np.ndarray) -> np.ndarray:
    """Coordinates of some groups and the free ones, sorted."""
    inside = np.zeros(groups.m)
    inside[subset] = 1.0
    return np.flatnonzero(groups.spread(inside, fill=1.0))


def round_shares(u: np.ndarray, norms: np.ndarray, k: int) -> np.ndarray:
    """The k groups of the largest shares, by norm where shares agree; zero ones not."""
    order = np.lexsort((-norms, -u))[:k]
    return np.sort(order[norms[order] > 0.0])


def cardinality_bounds(
    datafit: Datafit,
    groups: Groups,
    d: np.ndarray | None,
    k: int,
    lam: float,
    *,
    w: np.ndarray,
    u: np.ndarray,
    lower: float,
    tol: float = _EQUAL,
    others: tuple[np.ndarray, ...] = (),
    expired: Callable[[], bool] = lambda: False,
) -> Bounds:
    """Bounds from a point w of the envelope problem with shares u.

    `lower` is a dual value of that problem; bounds within ``tol F(0)`` are equal.
    `others` are subsets of groups that may be better than the k largest shares; once
    the time is over only the first is looked at.
    """
    ridge = ridge_of(groups, d, lam)
    norms = groups.norms(w) * (1.0 if d is None else np.sqrt(d))
    best: Fit | None = None
    subset = np.zeros(0, dtype=np.int64)
    trials, rounded = list(others), round_shares(u, norms, k)
    if not any(np.array_equal(rounded, trial) for trial in trials):
        trials.append(rounded)
    for trial in trials:
        if best is not None and expired():
            break
        at = coordinates(groups, trial)
        fit = refit(datafit, at, ridge[at], expired)
        if best is None or fit.objective < best.objective:
            best, subset = fit, trial
    assert best is not None
    # F is not negative, and rounding must not turn the interval around
    lower = min(max(0.0, lower), best.objective)
    certified = best.objective - lower <= tol * datafit.scale()
    return Bounds(lower, best.objective, bool(certified), subset, best)
