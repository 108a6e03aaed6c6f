"""Best subsets for losses that are not quadratic, by quadratic models."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from sparseopt.linear_model._datafit import Datafit, curvatures
from sparseopt.linear_model._refit import Fit, refit
from sparseopt.linear_model._subset import RTOL, Found, Watch, search
from sparseopt.linear_model._subset_columns import Blocks, Columns

_ROUNDS = 20
# Second derivatives below this share of the largest make responses of no use.
_FLOOR = 1e-4
# How models are searched, from thorough to a single exchange.
_WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"patience": 0, "grow": False},
    {"patience": 0, "grow": False, "max_steps": 1, "max_scans": 1},
)


def subset_fit(
    datafit: Datafit,
    blocks: Blocks,
    subset: np.ndarray,
    ridge: np.ndarray,
    expired: Callable[[], bool] = lambda: False,
) -> Fit:
    """Fit on some blocks and the free coordinates; `ridge` is that of coordinates."""
    free = np.arange(blocks.n_groups, blocks.n_blocks)
    at = blocks.coordinates(np.concatenate([subset, free]))
    return refit(datafit, at, ridge[at], expired)


def model_columns(
    datafit: Datafit, blocks: Blocks, z: np.ndarray, ridge: np.ndarray
) -> Columns:
    """Columns of the quadratic model of the loss at predictions z."""
    h = curvatures(datafit, z)
    h = np.where(datafit.s > 0.0, np.maximum(h, _FLOOR * h.max()), 0.0)
    slope = datafit.gradient(z)
    response = z - np.divide(slope, h, out=np.zeros_like(h), where=h > 0.0)
    return Columns(
        datafit.design, response, h, blocks, centred=datafit.fit_intercept, ridge=ridge
    )


def search_by_models(
    datafit: Datafit,
    blocks: Blocks,
    k: int,
    ridge: np.ndarray,
    starts: Iterable[np.ndarray] = (),
    *,
    found: Found,
    tol: float = RTOL,
    watch: Watch | None = None,
) -> None:
    """Subsets that the quadratic model at the best one proposes, if they are better.

    Models are searched as quadratic losses are; where their best subset is not better
    for the loss itself, single exchanges are tried.  `found` ends local where none of
    them helps; its rss is twice the objective, and its fit that of the best subset.
    """
    watch = watch or Watch()
    only_time = Watch(expired=watch.expired)

    def fit_on(subset: np.ndarray) -> Fit:
        return subset_fit(datafit, blocks, subset, ridge, watch.expired)

    def take(subset: np.ndarray, fit: Fit) -> None:
        found.blocks, found.fit, found.rss = subset, fit, 2.0 * fit.objective

    best = np.zeros(0, dtype=np.int64)
    fit = fit_on(best)
    for start in starts:
        trial = fit_on(np.asarray(start))
        if trial.objective < fit.objective:
            best, fit = np.sort(np.asarray(start)), trial
    take(best, fit)
    scale = datafit.scale()
    for _ in range(_ROUNDS):
        if watch.expired():
            return
        columns = model_columns(datafit, blocks, fit.z, ridge)
        for options in _WAYS:
            begin = [found.blocks] if found.blocks.size else []
            new = search(columns, k, starts=begin, tol=tol, watch=only_time, **options)
            found.n_scans += new.n_scans
            found.n_steps += new.n_steps
            trial = fit_on(new.blocks)
            if trial.objective < fit.objective - tol * scale:
                break
            if watch.expired():
                return
        else:
            found.is_local, found.gain = True, 0.0
            watch.record(found)
            return
        fit = trial
        take(new.blocks, fit)
        found.gain = new.gain
        watch.record(found)
