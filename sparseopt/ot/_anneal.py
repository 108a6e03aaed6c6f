"""Method "auto": annealed semi-dual truncated Newton on a certified sparse support.

The regularisation falls geometrically; at each level a few Sinkhorn passes, and Newton
steps where those do not suffice, bring the error to a warm-start level.  The last level
is solved by Newton to the tolerance and verified by a pass over all entries.
"""

from __future__ import annotations

import math

from sparseopt._core._status import Status
from sparseopt.ot._blocks import recentre
from sparseopt.ot._newton import newton
from sparseopt.ot._plans import DensePlan, ScaledPlan, Support
from sparseopt.ot._problem import Duals
from sparseopt.ot._run import Run

_FIRST_LEVEL = 1 / 8  # of the range of the cost
_FACTORS = (4.0, 2.0, 1.4, 1.2)  # level ratios: the next is tried when one fails
_LARGE_REG = 1e-2  # of the range: Sinkhorn alone may do, and stores the plan
_WARM_ERROR, _STRICT_ERROR = 1e-2, 1e-3  # of levels, at first and after a failure
_LEVEL_PASSES, _LEVEL_STEPS, _LAST_STEPS = 5, 10, 60
_BLURRED = 1e-3  # marginal error by rounding at which a level's start is mended
_REACH = 80.0  # reg units of the next level that a support is cut for
_SPARSE = 0.5  # a support denser than this does not pay before Newton needs it
# Sinkhorn passes that cost as much as the Newton steps they would replace
_CHEAP_PASSES = {Support: 12, DensePlan: 40, ScaledPlan: 80}


def solve_auto(run: Run) -> Status:
    """Solve `run` to its tolerance; see the module."""
    p = run.problem
    plan: DensePlan | Support = run.dense
    if run.warm_started and _close(run):
        return _finish(run, plan)
    reg, rank, warm = _first_level(p), 0, _WARM_ERROR
    trail: list[Duals] = []  # ends of the last two levels that succeeded
    while True:
        last = reg == p.reg
        _predict(run, plan, reg, trail, warm)
        recentre(run, reg, _BLURRED)
        plan = _warm(run, plan, reg, last, warm)
        steps = _LAST_STEPS if last else _LEVEL_STEPS
        target = 0.5 * run.tol if last else warm
        ok = run.duals.err <= target
        if not ok and (last or reg < 0.02 * p.span):
            plan, ok = newton(run, plan, reg, target, steps)
        if not ok and last and trail and warm > _STRICT_ERROR and not _precise(run):
            # Mass on the wrong side of a gap in the cost can hide below the error of
            # the levels.  It crosses in a few steps where reg is as large as the gap.
            run.duals, trail, warm = Duals.start(p, None), [], _STRICT_ERROR
            plan, reg, rank = run.dense, _first_level(p), 0
            continue
        if not ok and trail and rank + 1 < len(_FACTORS) and not _precise(run):
            rank += 1
            plan, run.duals, reg = run.dense, trail[-1].copy(), trail[-1].reg
        elif last:
            return _finish(run, plan)
        else:
            trail = [*trail[-1:], run.duals.copy()]
        plan = _cut(run, plan, reg, _FACTORS[rank])
        reg = _next_level(p, reg, _FACTORS[rank])


def _first_level(p) -> float:
    top = _FIRST_LEVEL * p.span
    if p.reg >= top / 4:  # few passes suffice from scratch
        return p.reg
    levels = math.ceil(math.log(top / p.reg, _FACTORS[0]) - 1e-9)
    return p.reg * _FACTORS[0] ** levels


def _predict(run: Run, plan, reg: float, trail: list[Duals], warm: float) -> None:
    """Start a level from potentials extrapolated linearly in reg, if that is higher.

    Near the limit of small reg the potentials are linear in it.
    """
    if len(trail) < 2 or not isinstance(plan, Support):
        return
    before, now = trail
    slope = (now.g - before.g) / (now.reg - before.reg)
    base, trial = now.copy(), now.moved((reg - now.reg) * slope)
    width = run.width(warm)
    for point in (base, trial):
        plan.evaluate(point, reg)
        if not plan.covers(point, reg, width):
            return
    if trial.value > base.value:
        run.duals = trial


def _next_level(p, reg: float, factor: float) -> float:
    nxt = reg / factor
    return nxt if nxt > p.reg * 1.0001 else p.reg


def _close(run: Run) -> bool:
    """Whether Newton can start at the last level from the caller's potentials."""
    run.dense.evaluate(run.duals, run.problem.reg)
    run.record(run.problem.reg, run.dense.nnz)
    return run.duals.err < 0.2


def _precise(run: Run) -> bool:
    p = run.problem
    return run.duals.err <= 100 * run.duals.rounding(p, p.reg)


def _cut(run: Run, plan, reg: float, factor: float):
    """A smaller support for the next level, cut from this one at its potentials."""
    if not isinstance(plan, Support):
        return plan
    width = min(_REACH / factor, 46.0)
    if not plan.covers(run.duals, reg, width):
        return plan
    return plan.refined(run.duals, width)


def _warm(run: Run, plan, reg: float, last: bool, warm: float):
    """Sinkhorn passes until the error allows Newton.

    At the last level they go on while they converge faster than Newton would.
    """
    p, before, k = run.problem, math.inf, 0
    if last and reg >= _LARGE_REG * p.span and 8 * p.C.size <= run.memory:
        plan = ScaledPlan(p)
    while True:
        plan = _warm_plan(run, plan, reg)
        fast = not (last and run.duals.err < 1e-3)
        run.sinkhorn_pass(plan, reg, fast)
        err, k = run.duals.err, k + 1
        ready = err <= warm or k >= _LEVEL_PASSES
        if err <= 0.5 * run.tol or (ready and not last):
            return plan
        if last and k > 1:
            left = _passes_left(err, before, 0.5 * run.tol)
            if ready and left > _CHEAP_PASSES[type(plan)]:
                return plan
        before = err
        run.duals.scale_columns(p, reg, plan.floor(run.duals, reg))


def _passes_left(err: float, before: float, target: float) -> float:
    """Passes to the target if the error goes on falling as in the last one."""
    return math.log(target / err) / math.log(err / before) if err < before else math.inf


def _warm_plan(run: Run, plan, reg: float):
    """Support for warm passes where it is known to be sparse, else all entries."""
    p = run.problem
    width = run.width(0.01)
    if isinstance(plan, Support):
        if plan.covers(run.duals, reg, width):
            return plan
    elif isinstance(plan, ScaledPlan) or 60 * reg > p.span or math.isnan(run.duals.reg):
        return plan
    # the potentials may still be those of a larger reg, and move by many reg units
    wide = width + 8.0 if run.duals.reg == reg else _REACH * reg / run.duals.reg
    counted = Support.count(p, run.duals, wide)
    run.dense.n_passes += 1
    n_blocks = int(counted[1][-1])
    if 8 * n_blocks > _SPARSE * p.C.size or not run.fits(n_blocks):
        return run.dense
    if isinstance(plan, Support):
        plan.release()
    return Support.build(p, run.duals, wide, counted)


def _finish(run: Run, plan) -> Status:
    """Newton to the tolerance and a pass over all entries that confirms it."""
    p = run.problem
    for attempt in range(4):
        target = run.tol * 0.5 * 0.3**attempt
        recentre(run, p.reg, run.tol)
        if run.duals.err > target or attempt:
            plan, _ = newton(run, plan, p.reg, target, _LAST_STEPS)
        run.duals.recentre(p.shape[1])
        run.dense.evaluate(run.duals, p.reg)
        run.record(p.reg, run.dense.nnz)
        if run.duals.err <= run.tol:
            return Status.CONVERGED
        plan = run.dense
    return Status.PRECISION if _precise(run) else Status.STALLED
