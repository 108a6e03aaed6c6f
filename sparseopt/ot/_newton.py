"""Truncated Newton on the semi-dual at one regularisation."""

from __future__ import annotations

import math

import numpy as np

from sparseopt.ot._plans import DensePlan, Support
from sparseopt.ot._problem import Duals
from sparseopt.ot._run import Run

# Largest change of a potential in one step, in units of reg, and the size from which
# components are compressed logarithmically.
_MAX_STEP, _COMPRESS_FROM, _LOG_SCALE = 20.0, 8.0, 6.0
# Reg units by which potentials may move before a support is rebuilt: first, and once
# the error is below 1e-3.
_ROOM, _ROOM_LATE = 8.0, 2.0
_ARMIJO = 1e-4
_LAST_DIGITS = 0.1  # part of the target that a last step's linear residual may take
# Conjugate-gradient iterations of a step: at first, and when steps cut short get stuck.
_MAX_CG, _MOST_CG = 500, 16_000


def newton(
    run: Run, plan: DensePlan | Support, reg: float, target: float, max_steps: int
) -> tuple[DensePlan | Support, bool]:
    """Newton steps until the marginal error is below `target`.

    Returns the plan view in use, evaluated at the final potentials, and whether the
    target was reached.  Stops short when steps stop helping.
    """
    plan = covering(run, plan, reg, _next_error(run.duals.err, target))
    plan.evaluate(run.duals, reg)
    damping, stuck, best, max_cg = 1.0, 0, run.duals.err, _MAX_CG
    for _ in range(max_steps):
        if run.duals.err <= target:
            return plan, True
        plan = covering(run, plan, reg, _next_error(run.duals.err, target))
        if plan.at is not run.duals:
            plan.evaluate(run.duals, reg)
        if _feed(run, reg):
            plan = covering(run, plan, reg, _next_error(run.duals.err, target))
            plan.evaluate(run.duals, reg)
        err, n_cg = run.duals.err, run.n_cg
        trial, step = _step(run, plan, reg, damping, max_cg, target)
        if trial is None:
            run.duals.scale_columns(run.problem, reg, plan.floor(run.duals, reg))
            plan.evaluate(run.duals, reg)
            damping *= 10.0
        else:
            run.duals = trial
            damping = max(1.0, damping / 10.0)
        run.n_newton += 1
        run.record(reg, plan.nnz, step)
        stuck = 0 if run.duals.err < 0.9 * best else stuck + 1
        best = min(best, run.duals.err)
        if run.n_cg - n_cg >= max_cg and run.duals.err > 0.1 * err:
            max_cg = min(2 * max_cg, _MOST_CG)
        if stuck >= 5 and best <= 10 * run.duals.rounding(run.problem, reg):
            break
    return plan, run.duals.err <= target


def _feed(run: Run, reg: float) -> bool:
    """Sinkhorn's update for columns that get nearly nothing, where they make the error.

    Columns of small mass are not seen by the supports of the first levels and can be
    hundreds of reg units too low, from where Newton steps are blind.  An exact update
    of some columns never lowers the dual value.
    """
    d, m = run.duals, run.problem.shape[1]
    b = run.problem.b[:m]
    starved = d.c[:m] < 1e-2 * b
    if b[starved].sum() < 0.1 * d.err:
        return False
    run.dense.evaluate(d, reg)
    starved = d.c[:m] < 1e-2 * b
    step = run.problem.logb[starved] - np.log(np.maximum(d.c[:m][starved], 1e-290))
    d.g[:m][starved] += reg * step
    run.dense.evaluate(d, reg)
    return True


def _next_error(err: float, target: float) -> float:
    """Error that the next step can reach: convergence is quadratic near the end."""
    return max(0.01 * target, min(1e-3, err * err))


def covering(run: Run, plan: DensePlan | Support, reg: float, err: float):
    """A view of the plan that is right to within `err`: the one at hand if it is."""
    width = run.width(err)
    if isinstance(plan, Support) and plan.covers(run.duals, reg, width):
        return plan
    width += _ROOM if run.duals.err > 1e-3 else _ROOM_LATE
    counted = Support.count(run.problem, run.duals, width)
    run.dense.n_passes += 1
    if not run.fits(int(counted[1][-1])):
        return run.dense
    if isinstance(plan, Support):
        plan.release()
    return Support.build(run.problem, run.duals, width, counted)


def _step(
    run: Run, plan, reg: float, damping: float, max_cg: int, target: float
) -> tuple[Duals | None, float]:
    """One globalised step: the accepted point and its length, or None."""
    p, duals = run.problem, run.duals
    m = p.shape[1]
    residual = p.b - duals.c
    shift = damping * min(1e-3 * float(np.linalg.norm(residual)), 1e-6 / m)
    # quadratic convergence, but no digits beyond those asked for
    rtol = min(max(duals.err, _LAST_DIGITS * target / duals.err, 1e-10), 0.1)
    x, n_cg = plan.direction(duals, reg, rtol, shift, max_cg, run.expired)
    run.n_cg += n_cg
    x[:m] -= x[:m].mean()
    slope = float(residual @ x)
    size = float(np.abs(x).max())
    if not (slope > 0 and math.isfinite(size)):
        return None, 0.0
    if size > _COMPRESS_FROM:
        y = _compressed(x, m)
        if residual @ y > 0:
            x = y
    size = float(np.abs(x).max())
    slope = float(residual @ x)
    alpha = min(1.0, _MAX_STEP / size)
    capped = size > _MAX_STEP / 2
    while alpha > 1e-6:
        trial = duals.moved(alpha * reg * x)
        plan.evaluate(trial, reg)
        if (
            trial.value >= duals.value + _ARMIJO * alpha * slope * reg
            or trial.err < 0.5 * duals.err  # value differences drown in rounding
        ):
            if capped and trial.err > 0.9 * duals.err:
                trial = _stride(run, reg, trial, alpha * x)
            return trial, alpha
        alpha /= 2
    return None, 0.0


def _stride(run: Run, reg: float, point: Duals, x: np.ndarray) -> Duals:
    """Go on along the large components, as rigid motions, while the dual value grows.

    Where a part of the columns lacks mass that it can only get over a gap of the cost,
    the value is linear until the gap is crossed, up to ``span / reg`` units away.
    """
    size = np.abs(x).max()
    rigid = reg * _MAX_STEP * np.where(np.abs(x) > 0.5 * size, np.sign(x), 0.0)
    run.dense.evaluate(point, reg)
    best, factor = point, 1.0
    while True:
        trial = point.moved(factor * rigid)
        run.dense.evaluate(trial, reg)
        if not trial.value > best.value:
            return best
        best, factor = trial, 2.0 * factor


def _compressed(x: np.ndarray, m: int) -> np.ndarray:
    """Step whose large components grow like a logarithm.

    Parts of the support that hang together by weak links w move against each other
    by Newton steps t/w, t the mass to be moved; the step that moves it is log(t/w),
    since w grows exponentially.  A common step length would hold up all other
    components; this keeps those below one reg unit, and rigid motions of a part.
    """
    x = x - np.median(x[:m])
    y = np.log1p(np.minimum(np.abs(x), 1e6) / _LOG_SCALE) * _LOG_SCALE * np.sign(x)
    y[m:] = 0.0
    return y
