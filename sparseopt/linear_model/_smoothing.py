"""Solves a loss with narrow smooth pieces through wider, smoother losses.

Where nearly all residuals of Huber's loss are far beyond its width, the loss is almost
piecewise linear: quadratic models hold on a tiny part of a step, and Newton and
gradient steps alike creep from kink to kink.  A wider loss with the same slopes at the
ends differs by ``delta (width - delta) / 2`` at most, so its solution is a good start
for a narrower one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np

from sparseopt._core._monitor import Monitor
from sparseopt._core._status import Status
from sparseopt.linear_model._run import FIELDS, Run, Stop

_FACTOR = 4.0  # between the widths of two stages
_WORTHWHILE = 16.0  # least ratio of the first width to that of the problem
_LEAST = 1e-14  # width relative to the targets
_TOL, _SHARE, _MAX_ITER = 1e-2, 0.1, 500


def approach(run: Run, solve: Callable[[Run], Status]) -> None:
    """Move `run` near its solution by solutions of wider losses.

    Every stage ends with a record of the problem itself, and counts as an iteration.
    """
    own = run.datafit.width
    width = _natural_width(run)
    if not width > _WORTHWHILE * own:
        return
    # narrower kinks than rounding of the residuals make no difference
    floor = max(own, _LEAST * float(np.abs(run.datafit.y).max()))
    while width > floor:
        stage = _stage(run, width)
        try:
            solve(stage)
        except Stop:
            pass
        run.n_epochs = stage.n_epochs
        if np.isfinite(stage.z).all():
            run.set_point(stage.w, stage.z, stage.intercept)
            _take_dual(run, stage)
        run.record()
        natural = _natural_width(run)
        width = natural if _FACTOR**2 * natural < width else width / _FACTOR


def _take_dual(run: Run, stage: Run) -> None:
    """Offer the dual point of a wider loss, which is one of the narrow loss too.

    That of the narrow loss follows the rounding of the residuals where the width is
    not far above it.
    """
    if not run.has_gap:
        return
    theta = stage.datafit.gradient(stage.z)
    grad = run.design.gradient(theta, None, run.n_threads)
    best = run.dual_point(theta, grad)
    if best[0] > run.best_dual[0]:
        run.best_dual = best


def _natural_width(run: Run) -> float:
    """Width whose error is that of the point, and that smooths most residuals."""
    datafit = run.datafit
    if not datafit.width > 0.0:
        return 0.0
    width = float(np.abs(run.z - datafit.y).max()) / _FACTOR
    if run.has_gap:
        proof = run.certificate or run.certify()
        if proof.gap is not None:
            width = min(width, 2.0 * proof.gap / datafit.width)
    return width


def _stage(run: Run, width: float) -> Run:
    """A run of the wider loss from the point of `run`, that nobody watches."""
    stage, datafit = copy.copy(run), run.datafit.widened(width)
    stage.datafit = datafit
    # as exact as the wider loss itself
    mean = float(run.datafit.s @ np.abs(datafit.y))
    share = _SHARE * width / mean if mean > 0.0 else _TOL
    stage.tol = min(_TOL, max(share, _SHARE * run.tol))
    stage.cache, stage.extra = {}, {}
    stage.certificate = None
    stage.best_dual = stage.last_dual = (-math.inf, None)
    stage._scale = None
    left = run.monitor.time_left()
    limit = left if math.isfinite(left) else None
    stage.monitor = Monitor(
        run.monitor.name, max_iter=_MAX_ITER, max_time=limit, fields=FIELDS
    )
    stage.n_iter = 0
    return stage
