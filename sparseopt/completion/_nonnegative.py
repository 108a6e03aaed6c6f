"""Factors that are nowhere negative: coordinate descent on Gram matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseopt._core._status import Status
from sparseopt.completion._half_step import HalfSteps, scaled
from sparseopt.completion._run import Factors, Run

# Sweeps over the coordinates of a row in a half-step, each of k^2 operations beside the
# n_i k^2 of its Gram matrix; no more than the other factor is worth.
_SWEEPS, _TOL = 10, 1e-3
# Sweeps start beyond the last iterate, by a part of the last move that grows while the
# objective falls (Ang and Gillis, 2019).
_FIRST, _GROWTH, _MOST = 0.5, 1.05, 0.98


def solve_nonnegative(run: Run) -> Status:
    """Minimise over ``L, R >= 0``, from the absolute values of the factors of the run.

    Columns of L and R are kept at equal norms, which is where the ridge is least, in
    place of orthonormal frames, which would mix signs. The objective

        1/2 sum_e w_e (x_e - L_i . R_j)^2 + alpha/2 (||L||^2 + ||R||^2)

    never increases. The factors of the run have columns of norm 1, ``s`` holds the
    products of the norms of L and R; they are not singular vectors.

    Returns
    -------
    Status
        CONVERGED when the relative error is below ``run.tol``, or when the objective
        or the error at held-out entries falls no more.
    """
    half = HalfSteps(run.entries, run.k)
    run.solver = "nonnegative"
    f = run.factors
    L, R = (scaled(np.abs(F), np.sqrt(f.s)) for F in (f.U, f.V))
    step, history = _Step(half, run), [math.inf] * 3
    pair, before, beta = (L, R), (L, R), 0.0
    saved, work = run.saved.pop("nonnegative", None), run.work
    if saved:
        pair, before = ((f.U, f.V) for f in (saved["pair"], saved["before"]))
        beta, history, objective = saved["beta"], saved["history"], run.objective
    run.keeps["nonnegative"] = lambda: {
        "pair": _whole(pair, run.k), "before": _whole(before, run.k), "beta": beta,
        "history": history[-3:],
    }  # fmt: skip
    while True:
        if saved:  # the callback of a step was what came last
            saved = None
        else:
            start = _beyond(pair[0], before[0], beta), _beyond(pair[1], before[1], beta)
            rss, objective = step(*start)
            run.work = work + half.work
            if objective > history[-1] and beta > 0:
                before, beta = pair, 0.0  # too far: once more, from the last iterate
                continue
            before, pair = pair, start
            beta = min(_MOST, max(beta * _GROWTH, _FIRST))
            if rss <= (run.tol * run.norm) ** 2:
                rss = run.entries.residual(*pair)[1]  # what is reported has been seen
            run.update(_factors(*pair, run.k), rss, objective, ridge=run.alpha)
        if not math.isfinite(objective):
            return Status.NUMERICAL_FAILURE
        if run.residual <= run.tol or run.stale:
            return Status.CONVERGED
        if history[-3] - objective <= run.tol_obj * objective:
            return Status.CONVERGED
        history.append(objective)


def _whole(pair: tuple[np.ndarray, np.ndarray], k: int) -> Any:
    return Factors(pair[0], np.ones(k), pair[1])


def _beyond(F: np.ndarray, before: np.ndarray, beta: float) -> np.ndarray:
    return np.maximum(F + beta * (F - before), 0)


class _Step:
    """Both half-steps in place, columns brought to equal norms around each."""

    def __init__(self, half: HalfSteps, run: Run) -> None:
        self.half, self.run = half, run

    def __call__(self, L: np.ndarray, R: np.ndarray) -> tuple[float, float]:
        alpha = self.run.alpha
        _balance(L, R)
        _half_step(self.half, self.run, False, R, L)
        _balance(L, R)
        rss = _half_step(self.half, self.run, True, L, R)
        _balance(L, R)
        return rss, 0.5 * (rss + alpha * (_square(L) + _square(R)))


def _half_step(
    half: HalfSteps, run: Run, transposed: bool, fixed: np.ndarray, moved: np.ndarray
) -> float:
    """Refit one factor in place; returns the sum of squared errors after it."""
    ridge = np.full(run.k, run.alpha)
    before = _square(moved)
    rss = half.nonnegative(
        transposed, fixed, moved, ridge, sweeps=_SWEEPS, tol=_TOL
    ) - half.drop(transposed)
    return max(rss + run.alpha * (before - _square(moved)), 0.0)


def _norms(F: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("ij,ij->j", F, F, dtype=np.float64))


def _square(F: np.ndarray) -> float:
    return float(np.einsum("ij,ij->", F, F, dtype=np.float64))


def _balance(L: np.ndarray, R: np.ndarray) -> None:
    """Equal norms of the columns of both; a product that is zero stays as it is."""
    a, b = _norms(L), _norms(R)
    good = (a > 0) & (b > 0)
    ratio = np.sqrt(np.divide(b, a, where=good, out=np.ones_like(a)))
    L *= ratio.astype(L.dtype)
    R /= ratio.astype(R.dtype)


def _factors(L: np.ndarray, R: np.ndarray, k: int) -> Factors:
    a, b = _norms(L)[:k], _norms(R)[:k]
    order = np.argsort(-a * b, kind="stable")
    U, V = np.zeros_like(L), np.zeros_like(R)
    for F, G, norms in ((U, L, a), (V, R, b)):
        inverse = np.divide(1.0, norms, where=norms > 0, out=np.zeros_like(norms))
        F = F[:, :k]
        np.multiply(G[:, order], inverse[order].astype(G.dtype), out=F)
    return Factors(U, (a * b)[order], V)
