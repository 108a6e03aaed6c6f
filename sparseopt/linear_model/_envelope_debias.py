"""Losses with the debiased envelope, which is not convex: proximal gradient.

The penalty has a proximal operator for steps below ``1 / (debias lam max(d))`` only, so
the step is bounded by that as well as by the curvature of the loss.  Momentum is given
up whenever the objective would rise.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseopt._core._status import Status
from sparseopt.linear_model._run import Run

_RECORD = 20  # iterations between certificates
_MARGIN = 1.05  # on the curvature, which is estimated from below
# Share of the bound of the step: at the bound itself the prox is a projection.
_SAFE = 0.5


def solve_debiased(run: Run) -> Status:
    """Iterate from the start of the run until the point is stationary."""
    penalty: Any = run.penalty
    datafit = run.datafit
    parts = penalty.parts((run.design.p,))
    d = 1.0 if parts.weights is None else float(parts.weights.max())
    bound = penalty.debias * penalty.lam * d / _SAFE
    curvature = max(_MARGIN * datafit.lipschitz(), bound, 1e-300)
    old, t, value = run.w, 1.0, run.objective()
    run.record()
    step = 0
    while math.isfinite(curvature):
        beta = (t - 1.0) / (0.5 + math.sqrt(0.25 + t * t))
        found = _move(run, run.w + beta * (run.w - old), curvature)
        if found[2] > value and t > 1.0:
            t, found = 1.0, _move(run, run.w, curvature)
        if found[2] > value + 1e-14 * abs(value):
            curvature *= 2.0
            continue
        moved = not np.array_equal(found[0], run.w)
        old, value, t = run.w, found[2], 0.5 + math.sqrt(0.25 + t * t)
        run.set_point(found[0], found[1], found[3])
        step += 1
        if step % _RECORD == 0 or not moved:
            run.record()
        if not moved:
            return Status.PRECISION
    return Status.NUMERICAL_FAILURE


def _move(run: Run, v: np.ndarray, curvature: float):
    """Proximal step from v at its best intercept: point, predictions, value, b."""
    datafit, design = run.datafit, run.design
    z = design.matvec(v) + run.intercept
    shift = datafit.shift(z) if datafit.fit_intercept else 0.0
    grad = design.rmatvec(datafit.gradient(z + shift))
    w = run.penalty.prox(v - grad / curvature, 1.0 / curvature)
    z = design.matvec(w) + run.intercept
    shift = datafit.shift(z) if datafit.fit_intercept else 0.0
    value = datafit.value(z + shift) + run.penalty.value(w)
    return w, z + shift, value, run.intercept + shift
