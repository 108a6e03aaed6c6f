"""One fit of an envelope model: convex problem, bounds, and the fit on k groups."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sparseopt._core._params import COMMON, Boolean, Interval, Options, describe
from sparseopt._core._status import Status
from sparseopt._core._threads import effective_n_threads
from sparseopt.linear_model._certificate import (
    Bounds,
    cardinality_bounds,
    coordinates,
    round_shares,
)
from sparseopt.linear_model._datafit import Datafit
from sparseopt.linear_model._envelope import envelope_of, shares
from sparseopt.linear_model._refit import refit
from sparseopt.linear_model._result import CompositeResult
from sparseopt.linear_model._run import Run
from sparseopt.linear_model._schedule import seconds_until
from sparseopt.linear_model._solvers import MESSAGES, choose, solve
from sparseopt.linear_model._subset_api import best_subset
from sparseopt.prox import WGSEF, Groups

CONSTRAINTS: dict[str, Any] = {
    "lam": [Interval(0, None, closed="neither")],
    "debias": [Interval(0, 1, closed="left")],
    "refit": [Options("ridge", "ols", "splice"), None],
    "solver": [Options("auto", "envelope", "prox_grad")],
    "tol": [Interval(0, None, closed="neither"), None],
    "max_iter": [Interval(1, None, integer=True), None],
    "max_time": [Interval(0, math.inf, closed="right"), None],
    "fit_intercept": [Boolean],
    "warm_start": [Boolean],
    "callback": COMMON["callback"],
    "n_threads": COMMON["n_threads"],
    "verbose": [Interval(0, None, integer=True), Boolean],
    "n_jobs": [
        Interval(1, None, integer=True),
        Interval(None, -1, integer=True),
        None,
    ],
}


def group_count(k: Any, m: int, owner: str) -> int:
    """Number of groups that `k` asks for: itself, or a fraction of m rounded up."""
    text = (
        f"The 'k' parameter of {owner} must be an int in [1, {m}], the number of "
        f"groups, or a float in (0, 1], a fraction of them. Got {describe(k)}."
    )
    if isinstance(k, (bool, np.bool_)) or not isinstance(
        k, (int, float, np.integer, np.floating)
    ):
        raise TypeError(text)
    if isinstance(k, (int, np.integer)):
        if not 1 <= k <= m:
            raise ValueError(text)
        return int(k)
    if k > 1:
        raise TypeError(text)
    if not k > 0:
        raise ValueError(text)
    return math.ceil(k * m)


def check_weights(weights: Any) -> None:
    """Sample weights of which none is positive are an error."""
    if weights is not None and not np.any(np.asarray(weights)):
        raise ValueError(
            "The 'sample_weight' array must have a weight that is not zero. "
            "Got only zero weights."
        )


@dataclass(frozen=True)
class Settings:
    """Parameters of a fit, validated.

    Attributes
    ----------
    until : float
        When the time limit of the whole call ends, by ``time.time()``: classes may be
        fitted in other processes.
    """

    k: int
    lam: float
    groups: Groups
    weights: Any
    debias: float
    refit: str | None
    solver: str
    tol: float | None
    max_iter: int | None
    until: float
    callback: Any
    n_threads: int | None
    verbose: int
    owner: str

    def left(self) -> float | None:
        """Seconds that are left, None without a limit."""
        return seconds_until(self.until)

    def expired(self) -> bool:
        """Whether the time is over."""
        return time.time() >= self.until


@dataclass(frozen=True)
class EnvelopeFit:
    """Outcome of a fit.

    Attributes
    ----------
    coef, intercept
        What predicts.
    start : tuple of (ndarray, float)
        Minimiser of the convex problem, to start another fit from.
    subset : ndarray of int64
        Groups that are not zero in `coef`.
    u, gap, bounds, n_iter
        Of the convex problem.
    result : CompositeResult
        Of the convex problem; its status says what ended the whole fit early.
    """

    coef: np.ndarray
    intercept: float
    start: tuple[np.ndarray, float]
    subset: np.ndarray
    u: np.ndarray
    gap: float
    bounds: Bounds
    n_iter: int
    result: CompositeResult


def fit_envelope(datafit: Datafit, settings: Settings, init: Any = None) -> EnvelopeFit:
    """Solve the convex problem and finish as the settings say.

    What an interrupt or a callback ends has no further stages.
    """
    o, d = settings, settings.groups.weights(settings.weights)
    run, result = _solve(datafit, o, 0.0, init)
    ended = _end(result)
    start = result.coef.astype(np.float64), result.intercept
    u = result.u
    if u is None:
        u = shares(envelope_of(run.penalty, datafit.design.p), start[0])
    spliced = None
    if o.refit == "splice" and ended is None:
        try:
            spliced = _splice(datafit, o, start[0], u)
            ended = _end(spliced)
        except KeyboardInterrupt:
            ended = Status.INTERRUPTED

    def bounded(expired: Callable[[], bool]) -> Bounds:
        return cardinality_bounds(
            datafit, o.groups, d, o.k, o.lam, w=start[0], u=u,
            lower=run.units.given_loss(run.best_dual[0]), tol=max(1e-9, run.tol),
            others=() if spliced is None else (spliced.group_support,), expired=expired,
        )  # fmt: skip

    try:
        bounds = bounded(lambda: ended is not None or o.expired())
    except KeyboardInterrupt:
        ended, bounds = Status.INTERRUPTED, bounded(lambda: True)
    gap = run.units.given_loss(max(0.0, run.objective() - run.best_dual[0]))
    final, ended = _finish(datafit, o, bounds, spliced, start, ended)
    if ended is not None:
        result = replace(result, status=ended, message=MESSAGES[ended])
    coef = np.asarray(final[0]).astype(datafit.design.dtype)
    return EnvelopeFit(
        coef=coef,
        intercept=float(final[1]),
        start=start,
        subset=np.flatnonzero(o.groups.norms(coef)),
        u=u,
        gap=gap,
        bounds=bounds,
        n_iter=run.n_iter,
        result=result,
    )


def _end(result: Any) -> Status | None:
    """What asked that the fit end, if that is how a solve ended."""
    ending = (Status.INTERRUPTED, Status.STOPPED_BY_CALLBACK)
    return result.status if result.status in ending else None


def _finish(
    datafit: Datafit,
    o: Settings,
    bounds: Bounds,
    spliced: Any,
    start: tuple[np.ndarray, float],
    ended: Status | None,
) -> tuple[tuple[Any, Any], Status | None]:
    """Coefficients and intercept of the last stage, and what ended the fit."""
    if spliced is not None:
        return (spliced.coef, spliced.intercept), ended
    if o.refit in ("ridge", "splice"):
        return (bounds.fit.w, bounds.fit.intercept), ended
    final = start if o.refit is None else (bounds.fit.w, bounds.fit.intercept)
    try:
        if ended is None and o.refit == "ols":
            at = coordinates(o.groups, bounds.subset)
            fit = refit(datafit, at, expired=o.expired)
            final = fit.w, fit.intercept
        elif ended is None and o.refit is None and o.debias and not o.expired():
            last = _solve(datafit, o, o.debias, start)[1]
            final, ended = (last.coef, last.intercept), _end(last)
    except KeyboardInterrupt:
        ended = Status.INTERRUPTED
    return final, ended


def _solve(datafit, o: Settings, debias: float, init: Any) -> tuple[Run, Any]:
    penalty = WGSEF(o.k, o.lam, groups=o.groups, weights=o.weights, debias=debias)
    name = "envelope" if o.solver == "auto" or debias else o.solver
    run = Run(
        datafit,
        penalty,
        tol=o.tol or (1e-5 if datafit.design.dtype == np.float32 else 1e-8),
        w=None if init is None else init[0],
        intercept=None if init is None else init[1],
        n_threads=effective_n_threads(o.n_threads),
    )
    result = solve(
        run,
        choose(datafit, penalty, name, o.owner),
        owner=o.owner,
        max_iter=o.max_iter,
        max_time=o.left(),
        callback=o.callback,
        verbose=o.verbose,
    )
    return run, result


def _splice(datafit, o: Settings, w: np.ndarray, u: np.ndarray):
    """Best subset from the rounded shares, with a ridge where fits can be infinite."""
    norms = o.groups.norms(w)
    return best_subset(
        datafit,
        o.k,
        groups=o.groups,
        lam=0.0 if datafit.is_quadratic else o.lam,
        weights=o.weights,
        init=round_shares(u, norms, o.k),
        max_time=o.left(),
        callback=o.callback,
        verbose=o.verbose,
    )
