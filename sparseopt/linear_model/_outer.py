"""The outer loop of working sets: gradient, certificate, screening, choice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseopt.linear_model._run import Run
from sparseopt.linear_model._working_set import GramSet

_FIRST = 100  # columns of the first working set
# Strength falls to its value by that factor, each time the solution of the stronger
# problem has settled to that share: supports stay small on the way.
_LEVEL_STEP, _LEVEL_SLACK, _LEVEL_LOOKS = 4.0, 0.3, 3
_STALE = 20  # iterations without a better certificate before the end
_LAST = 1e-6
_FRACTION = 0.1  # of the violation outside, to which the inner problem is solved
# Screening needs the norms of all columns: a pass that has to pay.
_SCREEN_FROM = 5


class Outer:
    """What outer iterations of all working-set solvers share.

    Attributes
    ----------
    run : Run
    blocks : Coordinates or GroupBlocks
        The penalty, at present `level` times as strong as that of the problem.
    """

    def __init__(self, run: Run, blocks: Any) -> None:
        run.design.require_squares()
        self.run, self.whole, self.blocks = run, blocks, blocks
        self.level, self._step, self._looks = math.inf, 1.0, 0
        self.scores = np.empty(0)
        self.top = math.inf
        self._grad = np.zeros(run.design.p)
        self._survivors: np.ndarray | None = None
        self._floor = 0.0
        self._outside, self._working = True, np.empty(0, dtype=np.int64)
        self._first_top = 0.0
        self._best, self._stale = math.inf, 0

    def look(self) -> np.ndarray:
        """Gradient at the point, after its certificate was recorded."""
        run = self.run
        if run.datafit.fit_intercept:
            run.fit_intercept()
        theta = run.datafit.gradient(run.z)
        grad = self._gradient(theta)
        self._set_level(grad)
        self.scores = self.blocks.scores(run.w, grad, self.squares())
        self.top = float(self.scores.max(initial=0.0))
        if not self._first_top:
            self._first_top = max(self.top, float(np.abs(grad).max(initial=0.0)))
            # of slopes below the penalty's own, whatever the tolerance
            excess = self.whole.excess(run.w, grad)
            self._floor = max(0.01 * min(run.tol, 1.0 / excess), 1e-15)
            self._floor *= self._first_top
        run.record(grad, least=self.top)
        if run.n_iter > _SCREEN_FROM or "moments" in run.cache:
            self._screen(theta, grad)
        return grad

    def _set_level(self, grad: np.ndarray) -> None:
        """Weaken the penalty when the solution of the stronger one has settled."""
        if self.level == 1.0:
            return
        excess = self.whole.excess(self.run.w, grad)
        self._looks += 1
        if self.level == math.inf:
            # equal steps, so that the last is not a small one
            n_steps = max(1, round(math.log(max(excess, 1.0)) / math.log(_LEVEL_STEP)))
            self._step = excess ** (1.0 / n_steps)
            self.level = excess / self._step
        elif excess <= (1.0 + _LEVEL_SLACK) * self.level or self._looks > _LEVEL_LOOKS:
            self.level, self._looks = self.level / self._step, 0
        if self.level < 1.0 + 1e-6:
            self.level = 1.0
        self.blocks = self.whole if self.level == 1.0 else self.whole.times(self.level)

    def _gradient(self, theta: np.ndarray) -> np.ndarray:
        """Gradient of the columns that are not screened, and 0 for the others."""
        run = self.run
        if self._survivors is not None:
            self._grad[self._survivors] = run.design.gradient(
                theta, self._survivors, run.n_threads
            )
            if run.certify(self._grad).residual > run.tol:
                return self._grad
            self._survivors = None  # the certificate is to hold for all columns
            run.best_dual, run.reduced = (-math.inf, None), False
        point, grad = run.cache.get("gradient", (None, None))
        if point is not run.z:  # else a run before this one ended at the point
            grad = run.design.gradient(theta, None, run.n_threads)
        self._grad = grad
        run.cache["gradient"] = run.z, grad
        return grad

    def squares(self) -> np.ndarray:
        """Curvature along each coordinate, needed where penalties are not convex."""
        if self.run.penalty.is_convex:
            return np.empty(0)
        return self._moments()

    def _moments(self) -> np.ndarray:
        """Squared norms of the columns under a bound of the second derivative."""
        datafit, cache = self.run.datafit, self.run.cache
        if datafit.curvature == math.inf:
            return self._square_norms(datafit.hessian(self.run.z))
        if "moments" not in cache:
            cache["moments"] = self._square_norms(datafit.curvature * datafit.s)
        return cache["moments"]

    def _square_norms(self, d: np.ndarray) -> np.ndarray:
        run = self.run
        square, mean = run.design.moments(d, run.n_threads)
        if run.datafit.fit_intercept and (total := float(d.sum())) > 0.0:
            square = np.maximum(square - mean**2 / total, 0.0)
        return square

    def choose(self, cols: np.ndarray) -> np.ndarray:
        """Columns to add to the working set: the worst, as many as are active."""
        new = self.blocks.choose(self.run.w, self.scores, cols, _FIRST)
        inside = np.zeros(self.run.design.p, dtype=bool)
        inside[cols] = True
        self._outside = bool(np.any(~inside[new]))
        inside[new] = True
        self._working = np.flatnonzero(inside)
        return new

    def inner_tol(self) -> float:
        """Violation to which the next subproblem is solved.

        To the end where nothing outside the working set is violated any more.
        """
        share = _FRACTION if self._outside or self.level > 1.0 else _LAST
        return max(share * self.top, self._floor)

    def move(self, cols: np.ndarray, w: np.ndarray) -> bool:
        """Take the coefficients of a subproblem; whether rounding ends the descent."""
        run = self.run
        moved = not np.array_equal(run.w[cols], w)
        coef = run.w.copy()
        coef[cols] = w
        run.set_point(coef, run.design.predict(coef) + run.intercept)
        return self.settle(moved)

    def settle(self, moved: bool) -> bool:
        """Ask more of the next subproblem where the last one was solved already.

        Returns whether there is no more to ask for, or nothing comes of it.
        """
        if self.level > 1.0:
            return False
        proof = self.run.certificate
        residual = math.inf if proof is None else proof.residual
        self._stale = 0 if residual < 0.9 * self._best else self._stale + 1
        self._best = min(self._best, residual)
        if moved:
            return self._stale > _STALE
        self._floor *= 0.1
        return self._floor < 1e-17 * self._first_top

    def merge(self, cols: np.ndarray, grad: np.ndarray) -> np.ndarray:
        """Columns of the next working set, if nothing is kept of the last."""
        near = self.blocks.near(self.run.w, cols, grad[cols])
        kept = cols[near]
        new = self.choose(kept)
        return np.concatenate([kept, new[~np.isin(new, kept)]])

    def prune(self, gram: GramSet, g: np.ndarray) -> None:
        """Leave out columns that are far from active, where they are many."""
        near = self.blocks.near(self.run.w, gram.cols, g)
        if 2 * np.count_nonzero(near) + 200 < near.size:
            gram.keep(np.flatnonzero(near))

    def _screen(self, theta: np.ndarray, grad: np.ndarray) -> None:
        """Drop blocks that are zero in every solution, by the gap at this point.

        The dual is strongly concave, so the optimal dual point lies in a ball around
        the feasible one.
        """
        run, proof = self.run, self.run.certificate
        if proof is None or proof.gap is None:
            return
        if run.free is not None:
            return  # the dual point is no multiple of theta, and needs all columns
        if run.datafit.curvature == math.inf:
            return
        value, point = run.last_dual
        if point is None:
            return
        gap = max(proof.objective - value, 0.0)
        size = float(np.abs(theta).max(initial=0.0))
        scale = float(np.abs(point).max(initial=0.0)) / size if size > 0 else 0.0
        radius = math.sqrt(2.0 * gap)
        alive = self.whole.screen(scale * grad, radius * np.sqrt(self._moments()))
        alive[self._working] = True  # their gradients are still used
        if self._survivors is not None:
            mask = np.zeros_like(alive)
            mask[self._survivors] = True
            alive &= mask
        if 4 * np.count_nonzero(alive) < 3 * alive.size:
            self._survivors, run.reduced = np.flatnonzero(alive), True
            self._grad = np.where(alive, grad, 0.0)
