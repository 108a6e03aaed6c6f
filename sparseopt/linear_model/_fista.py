"""Solver "prox_grad": accelerated proximal gradient.

FISTA with restarts, and a step that is searched for and grows again.  The intercept is
eliminated: the loss is taken at its best intercept, whose gradient in the coefficients
is that of the loss there and whose curvature is that of centred samples.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseopt._core._status import Status
from sparseopt.linear_model._composed import Terms
from sparseopt.linear_model._datafit import Datafit
from sparseopt.linear_model._keeper import Keeper
from sparseopt.linear_model._run import Run
from sparseopt.linear_model._smoothing import approach

_SHRINK, _GROW = 2.0, 0.9
# Share of the loss below which differences of its values are rounding.
_ROUNDING = 1e-9
_LARGEST = 1e100
# Curvature that steps of a quadratic loss see, of the largest: less is rounding.
_LEAST = 1e-6
# Looks back from iterations at the first of those numbers and each twofold of it: there
# is no hope where neither gap nor objective moved by those shares of the gap.
_FIRST_LOOK, _GAIN, _FALL = 4000, 0.1, 0.01


def unfit(datafit: Datafit, penalty: Any) -> str | None:
    """Why the problem cannot be solved: penalties need a proximal operator."""
    if isinstance(penalty, Terms):
        return "it needs the proximal operator of the whole penalty"
    return None


def solve(run: Run) -> Status:
    """Iterate until the certificate holds or rounding stops all movement."""
    approach(run, _solve)
    return _solve(run)


def _solve(run: Run) -> Status:
    keeper = Keeper(run)
    if run.penalty.is_convex:
        keeper.begin()
    state, hope = _Fista(run), _Hope(run)
    while True:
        moved = state.step()
        if keeper.due() or not moved:
            still = state.settled(run.tol * run.scale) or not moved
            keeper.record(state.w, state.xw + state.b, state.b, settled=still)
            state.b = run.intercept
            if not moved:
                return Status.PRECISION
            if hope.is_lost():
                return Status.STALLED


class _Hope:
    """Whether a run still gets anywhere.

    Errors of the method fall with the square of the iterations, so twice as many should
    leave a quarter; on hopelessly conditioned problems both bounds stand still instead.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.look = run, _FIRST_LOOK
        self.old = math.inf, math.inf

    def is_lost(self) -> bool:
        proof = self.run.certificate
        if self.run.n_iter < self.look or proof is None or proof.gap is None:
            return False
        self.look *= 2
        (objective, gap), self.old = self.old, (proof.objective, proof.gap)
        if gap == math.inf:
            return False
        falls = objective - proof.objective
        return proof.gap > (1.0 - _GAIN) * gap and falls < _FALL * proof.gap


class _Fista:
    """Iterates: `w` the last, `v` the extrapolated one, with predictions."""

    def __init__(self, run: Run) -> None:
        self.datafit, self.penalty, self.design = run.datafit, run.penalty, run.design
        self.w, self.b = run.w, run.intercept
        self.xw = run.z - run.intercept
        self.v, self.xv, self.t = self.w, self.xw, 1.0
        # the estimate comes from below; zero if no feature is of use
        self.L = max(run.datafit.lipschitz(), 1e-300)
        if not math.isfinite(self.L):
            hessian = run.datafit.hessian(run.z)
            self.L = max(_square_norm(run, hessian), 1e-300)
        self.least = _LEAST * self.L if run.datafit.is_quadratic else 0.0
        self.value = run.objective()
        self.length = math.inf

    def step(self) -> bool:
        """One iteration; False if it did not move although it started afresh."""
        fresh = self.t == 1.0
        theta, loss, base = self._slope(self.xv)
        grad = self.design.rmatvec(theta)
        new, xnew = self._search(grad, theta, loss, base)
        if not self.penalty.is_convex and not self._falls(new, xnew):
            if not fresh:  # without momentum, the objective does fall
                self.v, self.xv, self.t = self.w, self.xw, 1.0
                return True
            return False
        moved = not np.array_equal(new, self.w)
        self.length = float(np.abs(new - self.v).max(initial=0.0))
        if np.vdot(self.v - new, new - self.w) > 0:
            self.t = 1.0
            self.v, self.xv = new, xnew
        else:
            t = 0.5 + math.sqrt(0.25 + self.t**2)
            beta = (self.t - 1.0) / t
            self.v = new + beta * (new - self.w)
            self.xv = xnew + beta * (xnew - self.xw)
            self.t = t
        self.w, self.xw = new, xnew
        return moved or not fresh

    def settled(self, bound: float) -> bool:
        """Whether the last step was short, which penalties that are not convex need."""
        return self.penalty.is_convex or self.L * self.length <= bound

    def _slope(self, xw: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """Gradient and value of the loss at its best intercept."""
        z = xw + self.b
        if self.datafit.fit_intercept:
            shift = self.datafit.shift(z)
            self.b = self.b + shift
            z = z + shift
        theta = self.datafit.gradient(z)
        if self.datafit.fit_intercept:
            # far features would multiply what rounding leaves of a sum of zero
            share = self.datafit.s / self.datafit.s.sum()
            theta = theta - np.multiply.outer(share, theta.sum(axis=0))
        return theta, self.datafit.value(z), z

    def _search(
        self, grad: np.ndarray, theta: np.ndarray, loss: float, z: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Proximal step from v, the longest that the loss's curvature allows."""
        self.L = max(_GROW * self.L, self.least)
        while True:
            new = self.penalty.prox(self.v - grad / self.L, 1.0 / self.L)
            xnew = self.design.matvec(new)
            if self._bends_less(new, xnew - self.xv, theta, loss, z):
                return new, xnew
            if self.L > _LARGEST:
                return self.v, self.xv
            self.L *= _SHRINK

    def _bends_less(
        self,
        new: np.ndarray,
        change: np.ndarray,
        theta: np.ndarray,
        loss: float,
        z: np.ndarray,
    ) -> bool:
        """Whether the quadratic of curvature L bounds the loss at the new point.

        Where values are too close to be told apart, slopes are compared instead.
        """
        square = self.L * float(np.vdot(new - self.v, new - self.v))
        if square == 0.0:
            return True
        if self.datafit.is_quadratic:
            if self.datafit.fit_intercept:
                change = change - self.datafit.s @ change
            return float(change @ (self.datafit.s * change)) <= square
        with np.errstate(over="ignore", invalid="ignore"):
            other = z + change
            if self._below(other, change, theta, loss, square):
                return True  # all the more at the best intercept
            if not self.datafit.fit_intercept or not np.isfinite(other).all():
                return False
            other = other + self.datafit.shift(other)
            return self._below(other, change, theta, loss, square)

    def _below(
        self,
        other: np.ndarray,
        change: np.ndarray,
        theta: np.ndarray,
        loss: float,
        square: float,
    ) -> bool:
        excess = self.datafit.value(other) - loss - float(np.vdot(theta, change))
        if excess > _ROUNDING * abs(loss) or not math.isfinite(excess):
            return 2.0 * excess <= square
        slopes = self.datafit.gradient(other) - theta
        return float(np.vdot(slopes, change)) <= square

    def _falls(self, new: np.ndarray, xnew: np.ndarray) -> bool:
        _, loss, _ = self._slope(xnew)
        value = loss + self.penalty.value(new)
        if value > self.value + 1e-15 * abs(self.value):
            return False
        self.value = value
        return True


def _square_norm(run: Run, weights: np.ndarray) -> float:
    """Largest curvature in w for curvatures `weights` in the predictions."""
    if weights.ndim == 1:
        return run.design.square_norm(weights)
    return max(run.design.square_norm(column) for column in weights.T)
