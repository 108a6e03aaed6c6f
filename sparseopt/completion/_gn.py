"""Gauss-Newton steps on the manifold of matrices of rank k.

The step is the least increment in the tangent space that truncated CG finds; a factor
form of the step keeps rank k. Where alternating steps creep along a curved valley,
these converge in a few, quadratically when the entries determine the matrix.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseopt._core._status import Status
from sparseopt.completion._half_step import scaled
from sparseopt.completion._problem import Entries
from sparseopt.completion._run import Factors, Run, Stop
from sparseopt.completion._tangent import Tangent

_INNER = 400
# CG stops at a part of the first gradient: the relative error, within these bounds.
_ETA = (1e-4, 1e-1)
_SHORTEST = 1e-4
# A first step that after so many products foretells less than this of the sum of
# squares is of no use: what is left is noise, or another minimum.
_TRIAL, HOPE = 8, 0.05
# A step that leaves more than this of the objective has failed; so many end the steps.
_POOR, _PATIENCE = 0.8, 3
# Steps after the residual is below its bound, for the error at the other entries.
_MORE = 6


class GaussNewton:
    """Steps of a run, with Levenberg-Marquardt damping and a monotone line search.

    Parameters
    ----------
    run : Run
    single : Entries, optional
        The entries in float32: increments are computed in that.

    Attributes
    ----------
    rss : float
        Weighted sum of squared errors of the run's factors.
    blocks : bool
        Whether a diagonal has proved too little of a preconditioner.
    error : float
        Length of the last increment before it was shortened, in parts of the iterate's.
    """

    def __init__(self, run: Run, single: Entries | None = None) -> None:
        self.run, self.single = run, single
        self.damp, self.blocks = 0.0, False
        self.error = math.inf
        self._residuals, self.rss = self._measure(run.factors)
        # of `finish`: poor steps so far, those past the bound, value before the step,
        # what it left
        self._poor, self._more, self._before, self._ratio = 0, 0, math.nan, 1.0
        self._first, self._resumed = True, False

    @classmethod
    def resumed(
        cls, run: Run, saved: dict[str, Any], single: Entries | None = None
    ) -> GaussNewton:
        """In the middle of a step of `finish`, which goes on, from what `keep` gave."""
        work = run.work
        newton = cls(run, single)
        run.work = work
        for name, value in saved.items():
            setattr(newton, name, value)
        newton._resumed = True
        return newton

    def keep(self) -> dict[str, Any]:
        """State in a callback."""
        names = (
            "damp",
            "blocks",
            "error",
            "_poor",
            "_more",
            "_before",
            "_ratio",
            "_first",
        )
        return {name: getattr(self, name) for name in names}

    def _measure(self, f: Factors) -> tuple[np.ndarray, float]:
        self.run.work += 1
        return self.run.entries.residual(scaled(f.U, f.s), f.V)

    def value(self, f: Factors, rss: float) -> float:
        return 0.5 * rss + self.run.alpha * float(f.s.sum())

    def step(self, *, give_up: bool = False) -> float:
        """One step; the part of the residual that it left, 1 if there was none.

        With ``give_up`` it is abandoned when its promise is poor.
        """
        run = self.run
        before = self.value(run.factors, self.rss)
        tangent = Tangent(run.entries, run.factors, self.single)
        increment, inner = self._solve(tangent, give_up)
        run.work += tangent.work
        self.error = _length(increment, run.factors)
        if increment is None:
            return 1.0
        t = 1.0
        while True:
            factors = tangent.move(increment, t)
            residuals, rss = self._measure(factors)
            if self.value(factors, rss) < before or t < _SHORTEST:
                break
            t /= 2
        if t <= 1 / 8:
            self.damp = max(1e-6 * float(tangent.curvature().mean()), 10 * self.damp)
        elif t == 1.0:
            self.damp /= 10
        if not self.value(factors, rss) < before:
            return 1.0
        self._ratio = math.sqrt(rss / self.rss) if self.rss > 0 else 0.0
        self._residuals, self.rss = residuals, rss
        self._show(factors, inner)
        return self._ratio

    def _solve(self, tangent: Tangent, give_up: bool) -> tuple[np.ndarray | None, int]:
        """Truncated preconditioned CG on the normal equations, from zero."""
        run, f, k = self.run, tangent.factors, tangent.k
        eta = min(max(math.sqrt(self.rss) / run.norm, _ETA[0]), _ETA[1])
        ridge = np.full(tangent.width, self.damp)
        g = tangent.gradient(self._residuals)
        if run.alpha:
            ridge[:k] += run.alpha / np.maximum(f.s, 1e-6 * f.s[0])
            g[: tangent.m, :k] -= run.alpha * f.U[:, :k]
            g[tangent.m :, :k] -= run.alpha * f.V[:, :k]
        unit = 1.0
        if self.single is not None:
            # in float32 squares of a small gradient would be zero
            unit = float(np.abs(g).max()) or 1.0
            g = (g / unit).astype(np.float32)
        x, inner = self._conjugate(tangent, g, ridge, eta, unit, give_up)
        if x is None or not np.isfinite(x).all():
            return None, inner
        return x if self.single is None else unit * x.astype(np.float64), inner

    def _conjugate(
        self,
        tangent: Tangent,
        g: np.ndarray,
        ridge: np.ndarray,
        eta: float,
        unit: float,
        give_up: bool,
    ) -> tuple[np.ndarray | None, int]:
        """Conjugate gradients, g being the gradient divided by ``unit``.

        A diagonal preconditioner is enough for most problems. Blocks cost as much as k
        / 4 iterations: they are made when it has taken some more, and kept to.
        """
        begin, gain, inner = g.copy(), 0.0, 0
        limit = tangent.k / 2 + _TRIAL if tangent.has_room else math.inf
        solve = tangent.blocks(ridge) if self.blocks else tangent.diagonal(ridge)
        damping = ridge.astype(g.dtype)
        x, p, rz, last = np.zeros_like(g), np.zeros_like(g), 0.0, 1.0
        z = solve(g)
        rz = first = float(np.vdot(g, z))
        while inner < _INNER and rz > eta**2 * first:
            if self.run.monitor.time_left() <= 0:
                break
            inner += 1
            p *= g.dtype.type(rz / last)
            p += z
            q, curvature = tangent.normal(p)
            if damping.any():
                damped = damping * p
                q += damped
                curvature += float(np.vdot(damped, p))
            if not curvature > 0:
                break
            a = rz / curvature
            gain += a * rz * unit**2
            if give_up and inner == _TRIAL and gain < HOPE * self.rss:
                break
            x += g.dtype.type(a) * p
            g -= g.dtype.type(a) * q
            if inner > limit and not self.blocks:
                # anew, from where it is
                self.blocks, solve = True, tangent.blocks(ridge)
                first, p[:] = float(np.vdot(begin, solve(begin))), 0
            z = solve(g)
            rz, last = float(np.vdot(g, z)), rz
        poor = give_up and gain < HOPE * self.rss
        return None if poor else x, inner

    def _show(self, factors: Factors, inner: int) -> None:
        run = self.run
        value = self.value(factors, self.rss)
        try:
            run.update(factors, self.rss, value, ridge=run.alpha, inner=inner)
        except Stop:
            if run.residual >= run.tol:
                raise

    def finish(self, *, least: float = _POOR, give_up: bool = False) -> bool:
        """Steps until ``tol`` (true), or until three leave ``least`` of the objective.

        A small residual at few entries may hide a larger error elsewhere. The increment
        is that error, so steps go on until it too is small.
        """
        run = self.run
        if not self._resumed:
            self._poor, self._more, self._first = 0, 0, True
        while self._poor < _PATIENCE and not run.stale:
            if self._resumed:
                ratio, self._resumed = self._ratio, False
            else:
                self._before = self.value(run.factors, self.rss)
                ratio = self.step(give_up=give_up and self._first)
            if math.sqrt(self.rss) < run.tol * run.norm:
                if self.error * ratio < 0.1 * run.tol or self._more == _MORE:
                    return True
                self._more += 1
            elif ratio == 1.0 and give_up and self._first:
                return False
            self._first = False
            now = self.value(run.factors, self.rss)
            self._poor = self._poor + 1 if now > least * self._before else 0
        return False


def solve_gn(run: Run) -> Status:
    """Gauss-Newton from where the run starts, until ``tol`` or a level objective."""
    GaussNewton(run).finish(least=1.0 - run.tol_obj / _PATIENCE)
    return Status.CONVERGED


def _length(increment: np.ndarray | None, f: Factors) -> float:
    size = float(np.linalg.norm(f.s))
    if increment is None or size == 0:
        return math.inf
    return float(np.linalg.norm(increment)) / size
