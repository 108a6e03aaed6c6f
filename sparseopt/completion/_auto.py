"""Which steps when: fast sweeps, slow ones if those stall, Gauss-Newton at the end."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from sparseopt._core._status import Status
from sparseopt.completion._als import (
    SLOW,
    Driver,
    Homotopy,
    homotopy,
    noise_norm,
    oversampling,
)
from sparseopt.completion._frames import orthonormalise
from sparseopt.completion._gn import HOPE, GaussNewton
from sparseopt.completion._half_step import scaled
from sparseopt.completion._init import spectral
from sparseopt.completion._kernels import aligned
from sparseopt.completion._problem import padded
from sparseopt.completion._run import Factors, Run
from sparseopt.completion._sweeps import Sweeps

# Factor of the ridge in a sweep: with few entries for each degree of freedom, with few
# for each log(rows), with more, and where the ridge may follow the residual.
_CAREFUL, _SCARCE, _STEADY, _EAGER = 0.95, 0.9, 0.65, 0.5
# Few entries: for each degree of freedom, or in a row for each log(rows).
_FEW, _FEW_IN_ROW = 2.0, 5.0
# Directions more than the rank at the last start, until the ridge is this part of its
# first.
_EXTRA, _NARROW = 5, 0.01
# Residuals whose norm is so many times that of noise have structure left in them.
_STRUCTURE = 1.4
# A local minimum leaves less than this of the values; what leaves more is not low-rank.
_LOW_RANK = 0.05
# Where singular values grow so much after the path, the minimum is at infinity; with a
# residual below this the data may have a better one.
_RUN, _LOW = 2.0, 0.3
# Ratios of residuals at which eager sweeps are given up: soon where singular values are
# far apart, which a slow ridge sorts out faster, late where the start alone is poor.
_SPREAD, _STALL = 10.0, 0.9
_TAIL = 5  # sweeps by which the speed at the end is judged
_BLOCK, _ROUNDS = 8, 4


def solve_auto(run: Run) -> Status:
    """Homotopy as fast as the data allows, then sweeps or Gauss-Newton steps.

    Sweeps whose ridge follows the residual solve what has entries enough. When they
    stall, the start is taken up again with a ridge that falls slowly; and once more,
    with additional directions, where the minimum found is small and its residuals have
    structure, or where it is at infinity. The best of these is the answer.
    """
    return _Auto(run).solve()


class _Auto:
    """The ladder of starts, and where on it the run is."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.ladder = _ladder(run)
        self.rung, self.phase = 0, ""
        self.start: Factors | None = run.factors
        self.best: tuple[float, float, Factors] | None = None
        self.slow, self.first = 0, 0.0  # of the homotopy
        self.tried, self.size = False, 0.0  # of what comes after it
        saved = run.saved.pop("auto", None)
        if saved:
            self._restore(saved)
        run.keeps["auto"] = self.keep

    def keep(self) -> dict[str, Any]:
        """State in a callback."""
        best = None if self.best is None else list(self.best)
        kept: dict[str, Any] = {
            "rung": self.rung,
            "phase": self.phase,
            # of the last start nothing is taken up again
            "start": self.start if self.rung < len(self.ladder) - 1 else None,
            "best": best if self.rung < len(self.ladder) else None,
        }
        if self.phase == "newton":
            return {**kept, "newton": self.newton.keep(), "size": self.size}
        kept["driver"] = self.driver.keep()
        if self.phase == "homotopy":
            path = asdict(self.path)
            return {**kept, "path": path, "slow": self.slow, "first": self.first}
        return {**kept, "tried": self.tried, "size": self.size}

    def _restore(self, saved: dict[str, Any]) -> None:
        run = self.run
        self.rung, self.phase = saved["rung"], saved["phase"]
        self.start = saved["start"]
        if saved["best"] is not None:
            objective, residual, factors = saved["best"]
            self.best = objective, residual, factors
        if self.phase == "newton":
            self.tried, self.size = True, saved["size"]
            self.driver = Driver(run)
            self.driver.double()
            self.newton = GaussNewton.resumed(run, saved["newton"], self.driver.float32)
            return
        self.driver = Driver.resumed(run, saved["driver"])
        if self.phase == "homotopy":
            self.path = Homotopy(**saved["path"])
            self.slow, self.first = saved["slow"], saved["first"]
        else:
            self.tried, self.size = saved["tried"], saved["size"]

    def solve(self) -> Status:
        run = self.run
        for n in range(self.rung, len(self.ladder)):
            gamma, extra = self.ladder[n]
            self.rung = n
            if not self.phase and self.start is not None:
                run.factors, run.n_restarts = self.start, n
            status = self._eager() if gamma == _EAGER else self._patient(gamma, extra)
            if status is not None:
                return status
            self.phase = ""
            if self.best is None or run.objective < self.best[0]:
                self.best = run.objective, run.residual, run.factors
        if not self.phase:
            if self.best is not None:
                run.objective, run.residual, run.factors = self.best
            run.note = "The residuals have structure: a larger rank may fit better."
            self.rung, self.phase = len(self.ladder), "settle"
            self.driver = Driver(run)
            self.driver.double()
        return self._settle()

    def _eager(self) -> Status | None:
        """Sweeps whose ridge follows the residual; None when they stall."""
        if not self.phase:
            self.driver, self.slow = Driver(self.run), 0
            self.path = homotopy(self.driver.sweeps, _EAGER, eager=True)
            self.phase = "homotopy"
        if self.phase != "homotopy":  # of a run that goes on
            return self._end()
        driver, path = self.driver, self.path
        while not path.over():
            status = driver.step(path.lam)
            if status is not None:
                return status
            ratio = driver.ratios[-1]
            # the first sweep starts from anywhere
            s = driver.sweeps.factors.s
            stalled = ratio > (SLOW if s[0] > _SPREAD * s[-1] else _STALL)
            self.slow = self.slow + 1 if stalled and len(driver.ratios) > 1 else 0
            if self.slow == 2:
                if _structure(driver.sweeps, self.run.rng) > _STRUCTURE:
                    return None
                path.lam = path.final
            path.advance(driver.sweeps, ratio)
        return self._end()

    def _patient(self, gamma: float, extra: int) -> Status | None:
        """Sweeps with a slow ridge to the end of the path; None at a local minimum.

        With additional directions on the first part of the path the iterate finds its
        way around minima of the rank sought.
        """
        run = self.run
        if not self.phase:
            k = min(run.k + extra, *run.entries.shape)
            wide = Factors(*spectral(run.entries, k, run.rng)) if k > run.k else None
            self.driver = Driver(run, wide)
            fixed = run.options.get("homotopy", "auto") != "auto"
            self.path = homotopy(self.driver.sweeps, gamma, fixed=fixed)
            self.first, self.phase = self.path.lam, "homotopy"
        if self.phase != "homotopy":
            return self._end()
        driver, path = self.driver, self.path
        while not path.over():
            status = driver.step(path.lam)
            if status is not None:
                return status
            path.advance(driver.sweeps, 1.0)
            if path.lam < _NARROW * self.first:
                driver.narrow()
        return self._end()

    def _end(self) -> Status | None:
        """What is left after the homotopy: sweeps, Gauss-Newton where they creep.

        None at a local minimum, or at one at infinity that is not of the last start.
        """
        run, driver = self.run, self.driver
        if self.phase == "homotopy":
            driver.narrow()
            driver.forget()
            self.tried, self.phase = False, "end"
            self.size = float(driver.sweeps.factors.s.sum())
        last = self.rung == len(self.ladder) - 1
        while True:
            if self.phase == "end":
                status = driver.step(run.alpha)
                if status is not None:
                    return status
                grown = driver.sweeps.factors.s.sum() > _RUN * self.size
                if grown and not last and _small(driver, _LOW):
                    return None
                flat = driver.flat()
                if flat and not _local(driver):
                    return Status.CONVERGED
                if flat and self.tried:
                    return None
                if self.tried or not (flat or _creeps(driver)):
                    continue
                self.tried = True
                driver.double()
                self.newton = GaussNewton(run, driver.float32)
                self.phase = "newton"
            if self.newton.finish(give_up=True):
                return Status.CONVERGED
            self.phase = "end"
            driver.resume(self.newton.rss)
            if _local(driver):
                return None

    def _settle(self) -> Status:
        """Sweeps until the objective is level."""
        while not self.driver.flat():
            status = self.driver.step(self.run.alpha)
            if status is not None:
                return status
        return Status.CONVERGED


def _ladder(run: Run) -> tuple[tuple[float, int], ...]:
    """Factor of the ridge and additional directions, for one start after the other."""
    gamma = run.options.get("homotopy", "auto")
    if gamma != "auto":
        gamma = float(gamma)
        return ((gamma, 0), (math.sqrt(gamma), _EXTRA)) if gamma else ((0.0, 0),)
    last = (_CAREFUL, _EXTRA)
    if oversampling(run) < _FEW:
        return ((_CAREFUL, 0), last)
    size = max(run.entries.shape)
    scarce = run.entries.n_entries < _FEW_IN_ROW * size * math.log(size + 1)
    return ((_EAGER, 0), (_SCARCE if scarce else _STEADY, 0), last)


def _creeps(driver: Driver) -> bool:
    """Whether sweeps are slow, and would still come far: not so where noise is left."""
    slow = len(driver.ratios) >= _TAIL and np.median(driver.ratios[-_TAIL:]) > SLOW
    return bool(slow and driver.left() > HOPE)


def _local(driver: Driver) -> bool:
    """Whether this looks like a local minimum of data that has the rank sought."""
    if not _small(driver, _LOW_RANK):
        return False
    return _structure(driver.sweeps, driver.run.rng) > _STRUCTURE


def _small(driver: Driver, part: float) -> bool:
    """Whether the errors are less than a part of the values, and no penalty is why."""
    rss, norm = driver.sweeps.rss, driver.run.norm
    return driver.run.alpha == 0 and math.sqrt(rss) <= part * norm


def _structure(sweeps: Sweeps, rng: np.random.Generator) -> float:
    """Norm of the matrix of residuals, in parts of that of independent noise.

    Residuals are multiplied by the roots of their weights, of which noise would have
    equal variances if these are inverse variances; so is the noise of `noise_norm`.
    """
    e, f = sweeps.entries, sweeps.factors
    residuals, _ = e.residual(scaled(f.U, f.s), f.V)
    if e.rows.weight is not None:
        residuals *= np.sqrt(e.rows.weight)
    q = min(_BLOCK, *e.shape)
    V = aligned((e.shape[1], padded(q, e.dtype)), e.dtype)
    V[:, :q] = rng.standard_normal((e.shape[1], q))
    for _ in range(_ROUNDS):
        V, _, _ = orthonormalise(V, q)
        U, s, _ = orthonormalise(e.multiply(residuals, V, False), q)
        V = e.multiply(residuals, U, True)
    return float(s[0]) / max(noise_norm(sweeps), np.finfo(float).tiny)
