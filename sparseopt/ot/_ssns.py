"""Method "ssns": safe and sparse Newton on the dual in both potentials.

Tang & Qiu, "Safe and Sparse Newton Method for Entropic-Regularized Optimal Transport",
NeurIPS 2024.  The plan's block is thinned so that each column and row loses little
mass; the diagonal keeps the exact sums, so the matrix stays positive definite.  A
trust-region like shift makes it globally convergent.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve

from sparseopt._core._status import Status
from sparseopt.ot._full_dual import FullDual
from sparseopt.ot._run import Run

# Share of the gradient norm that a column may lose.  With 0.01 image grids need
# hundreds of steps; with 0.001 the counts come near those of the regot package.
_DELTA = 0.001
_STEPS = (1.0, 0.5, 0.25, 0.1)
_SHIFT_MIN = 1e-3


def solve_ssns(run: Run) -> Status:
    """Newton steps until the error is below the tolerance."""
    p = run.problem
    m = p.shape[1]
    # one Sinkhorn pass makes the scale of f right; g starts from zero or `init`
    run.sinkhorn_pass(run.dense, p.reg, fast=False)
    point = FullDual(p, np.concatenate([run.duals.f, run.duals.g[:m]]))
    shift, rejected = 1.0, 0
    # the published shift is added to the Hessian itself, for costs of range one; beyond
    # that range it would leave no step
    unit = p.reg / max(p.reg, p.span)
    while point.err > run.tol:
        norm = float(np.linalg.norm(point.gradient))
        kept = _thinned(point.plan, _DELTA * norm)
        direction = p.reg * _solve(point, kept, unit * shift * norm)
        run.n_newton += 1
        slope = float(point.gradient @ direction)
        trial, step = _first_gain(point, direction)
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
        point.share(run, kept.nnz, step if accepted else 0.0)
    return Status.CONVERGED


def _first_gain(point: FullDual, direction: np.ndarray) -> tuple[FullDual, float]:
    for step in _STEPS:
        trial = FullDual(point.problem, point.z + step * direction)
        if trial.value > point.value or trial.err < point.err:
            break
    return trial, step


def _solve(point: FullDual, kept: sparse.csr_array, shift: float) -> np.ndarray:
    """``(H + shift I) x = gradient`` with the last potential held.

    The rows are eliminated, since their block is diagonal, and the columns' Schur
    complement is factorised: it is nearly full where the plan is not very sparse.
    """
    n = kept.shape[0]
    rows = point.rows + shift
    block = kept[:, :-1]
    gradient = point.gradient[:-1]
    schur = -(block.T @ sparse.diags_array(1 / rows) @ block).toarray()
    schur[np.diag_indices_from(schur)] += point.columns[:-1] + shift
    right = gradient[n:] - block.T @ (gradient[:n] / rows)
    y = cho_solve(cho_factor(schur, overwrite_a=True), right)
    x = (gradient[:n] - block @ y) / rows
    return np.concatenate([x, y, [0.0]])


def _thinned(plan: np.ndarray, delta: float) -> sparse.csr_array:
    """Plan without the smallest entries of each column up to a mass of `delta`.

    Entries that would take more than twice that from a row are put back.
    """
    order = np.argsort(plan, axis=0)
    lost = np.cumsum(np.take_along_axis(plan, order, axis=0), axis=0)
    drop = np.empty(plan.shape, dtype=bool)
    np.put_along_axis(drop, order, lost <= delta, axis=0)
    missing = np.where(drop, plan, 0.0)
    for i in np.flatnonzero(missing.sum(axis=1) > 2 * delta):
        ranked = np.argsort(missing[i])
        kept_out = np.cumsum(missing[i, ranked]) <= 2 * delta
        drop[i] = False
        drop[i, ranked[kept_out]] = missing[i, ranked[kept_out]] > 0
    return sparse.csr_array(np.where(drop, 0.0, plan))
