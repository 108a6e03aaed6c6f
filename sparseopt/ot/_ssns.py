"""Method "ssns": safe and sparse Newton on the dual in both potentials.

Tang & Qiu, "Safe and Sparse Newton Method for Entropic-Regularized Optimal Transport",
NeurIPS 2024.  The plan's block is thinned so that each column and row loses little
mass; the diagonal keeps the exact sums, so the matrix stays positive definite.  A
trust-region like shift makes it globally convergent.
"""

from __future__ import annotations

import numpy as np

from sparseopt._core._status import Status
from sparseopt.ot._blocks import recentre
from sparseopt.ot._full_dual import FullDual
from sparseopt.ot._run import Run
from sparseopt.ot._schur import Watch, solve_shifted

# Share of the gradient norm that a column may lose.  With 0.01 image grids need
# hundreds of steps; with 0.001 the counts come near those of the regot package.
_DELTA = 0.001
_STEPS = (1.0, 0.5, 0.25, 0.1)
_SHIFT_MIN = 1e-3
_PROHIBITIVE = 1e3  # times the range of potentials: costs beyond are avoided
_SORTED = 1_000_000  # entries sorted between two looks at the clock


def solve_ssns(run: Run) -> Status:
    """Newton steps until the error is below the tolerance."""
    p = run.problem
    m = p.shape[1]
    # one Sinkhorn pass makes the scale of f right; g starts from zero or `init`
    run.sinkhorn_pass(run.dense, p.reg, fast=False)
    recentre(run, p.reg, run.tol)
    point = FullDual(p, np.concatenate([run.duals.f, run.duals.g[:m]]))
    shift, rejected = 1.0, 0
    # the published shift is added to the Hessian itself, for costs of range one; beyond
    # that range it would leave no step.  Prohibitive costs do not count in the range.
    unit = 1.0
    if p.span > p.reg:
        used = _PROHIBITIVE * max(p.reg, float(np.ptp(run.duals.f)))
        unit = p.reg / min(p.span, used)
    while point.err > run.tol:
        norm = float(np.linalg.norm(point.gradient))
        kept = _thinned(point.plan, _DELTA * norm, run.watch)
        step_shift = unit * shift * norm
        direction = p.reg * solve_shifted(point, kept, step_shift, run.watch)
        run.n_newton += 1
        slope = float(point.gradient @ direction)
        trial, step = _first_gain(point, direction, run.watch)
        predicted = slope * step * (1 - step / 2)
        ratio = (trial.value - point.value) / predicted if predicted > 0 else 1.0
        if ratio < 0.25 and not trial.err < 0.5 * point.err:
            shift *= 4.0
        elif ratio > 0.75:
            shift = max(shift / 2, _SHIFT_MIN)
        accepted = trial.value > point.value or trial.err < point.err
        rejected = 0 if accepted else rejected + 1
        if rejected > 30:
            return Status.STALLED
        point = trial if accepted else point
        point.share(run, int(np.count_nonzero(kept)), step if accepted else 0.0)
    return Status.CONVERGED


def _first_gain(
    point: FullDual, direction: np.ndarray, watch: Watch
) -> tuple[FullDual, float]:
    for step in _STEPS:
        watch()
        trial = FullDual(point.problem, point.z + step * direction)
        if trial.value > point.value or trial.err < point.err:
            break
    return trial, step


def _thinned(plan: np.ndarray, delta: float, watch: Watch) -> np.ndarray:
    """Plan without the smallest entries of each column up to a mass of `delta`.

    Entries that would take more than twice that from a row are put back.
    """
    n, m = plan.shape
    drop = np.empty(plan.shape, dtype=bool)
    step = max(1, _SORTED // n)
    for start in range(0, m, step):
        watch()
        part = plan[:, start : start + step]
        order = np.argsort(part, axis=0)
        lost = np.cumsum(np.take_along_axis(part, order, axis=0), axis=0)
        np.put_along_axis(drop[:, start : start + step], order, lost <= delta, axis=0)
    missing = np.where(drop, plan, 0.0)
    for i in np.flatnonzero(missing.sum(axis=1) > 2 * delta):
        watch()
        ranked = np.argsort(missing[i])
        kept_out = np.cumsum(missing[i, ranked]) <= 2 * delta
        drop[i] = False
        drop[i, ranked[kept_out]] = missing[i, ranked[kept_out]] > 0
    return np.where(drop, 0.0, plan)
