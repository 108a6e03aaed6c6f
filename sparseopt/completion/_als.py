"""Inexact alternating least squares with a ridge that fades."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sparseopt._core._status import Status
from sparseopt.completion._run import Factors, Run, Stop
from sparseopt.completion._sweeps import Sweeps

# First ridge: half of what would remove the leading direction. Last: this part of it.
_START, _END = 0.5, 1e-4
# While directions sleep it goes on to this part of its end.
_LAST = 1e-8
# Fastest fall of the ridge in a sweep, and how far below the residual it may go.
_DROP, _BELOW = 0.1, 0.3
# Its factor past the end of the path, while directions sleep.
_LATE = 0.5
# All directions are in place when the ridge is this part of what would remove the
# weakest: from there on it may fall faster. And it no longer matters when it is this
# part of the residual's norm, were that noise.
_PLACED, _PACE, _FAINT = 0.1, 0.7, 0.1
# A sweep that leaves more than this of the residual is a slow one.
SLOW = 0.6
# float32 has done its work at this relative error.
_SINGLE = 1e-6
# Sweeps that rules look back on.
_KEPT = 8


@dataclass
class Homotopy:
    """Ridge of the sweeps, from half the first singular value down to ``final``.

    Parameters
    ----------
    lam, end, final : float
        Ridge now, the least of the homotopy, and the one after it.
    gamma : float
        Factor of a sweep.
    fixed : bool
        Whether the factor is always gamma; if not, it falls faster where all directions
        are in place, and ends where it has no more part in the residual.
    eager : bool
        Whether it may fall faster, with the residual.
    """

    lam: float
    end: float
    final: float
    gamma: float
    fixed: bool = True
    eager: bool = False

    def over(self) -> bool:
        return self.lam <= self.final

    def advance(self, sweeps: Sweeps, ratio: float) -> None:
        """Next ridge after a sweep that multiplied the residual by ``ratio``."""
        if self.over():
            return
        asleep, gamma = sweeps.asleep(self.lam), self.gamma
        if self.lam < self.end:
            gamma = _LATE
        elif not self.fixed and self.lam < _PLACED * sweeps.weakest:
            gamma = min(gamma, _PACE)
        lam = gamma * self.lam
        if self.eager and ratio <= SLOW and not asleep:
            level = _BELOW * noise_norm(sweeps)
            lam = max(_DROP * self.lam, min(lam, level))
        # directions that still sleep may be those of the smallest singular values
        end = self.end * (_LAST if asleep else 1.0)
        if not (self.fixed or asleep):
            end = max(end, _FAINT * noise_norm(sweeps))
        self.lam = lam if lam > max(end, self.final) else self.final


def homotopy(
    sweeps: Sweeps, gamma: float, *, fixed: bool = True, eager: bool = False
) -> Homotopy:
    """Schedule for a start; gamma 0 is none."""
    lam = _START * sweeps.density * float(sweeps.factors.s[0])
    if gamma == 0.0 or lam <= sweeps.alpha:
        return Homotopy(sweeps.alpha, 0.0, sweeps.alpha, 1.0)
    return Homotopy(lam, _END * lam, sweeps.alpha, gamma, fixed, eager)


def noise_norm(sweeps: Sweeps) -> float:
    """Spectral norm to expect of the residuals if they were independent noise.

    Of N entries of variance rss / N, sqrt(N / m) + sqrt(N / n) standard deviations.
    """
    m, n = sweeps.entries.shape
    return math.sqrt(sweeps.rss) * (1 / math.sqrt(m) + 1 / math.sqrt(n))


def cg_steps(run: Run) -> int:
    """Steps for each row: two, and a third where entries are few."""
    steps = run.options.get("cg_steps", "auto")
    return (2 if oversampling(run) >= 4 else 3) if steps == "auto" else int(steps)


def oversampling(run: Run) -> float:
    """Entries for each degree of freedom."""
    m, n = run.entries.shape
    k = min(run.k, m, n)
    return run.entries.n_entries / max(k * (m + n - k), 1)


class Driver:
    """Sweeps of a run, counted and shown, until one of its stopping rules holds.

    Parameters
    ----------
    run : Run
    factors : Factors, optional
        Where to start, perhaps of larger rank; those of the run if not given.

    Attributes
    ----------
    float32 : Entries or None
        The entries in that, where the run has mixed precision.
    """

    def __init__(self, run: Run, factors: Factors | None = None) -> None:
        self.run = run
        self.steps = cg_steps(run)
        entries = run.entries
        mixed = run.options.get("precision") == "mixed"
        self.single = mixed and entries.dtype == np.float64
        self.float32 = entries.astype(np.float32) if self.single else None
        if self.float32 is not None:
            entries = self.float32
        start = (factors or run.factors).astype(entries.dtype)
        self.exact = run.options.get("solver") == "als-exact"
        self.sweeps = Sweeps(entries, start, run.alpha, self.exact)
        self.ratios: list[float] = []
        self.objectives: list[float] = []
        self._done, self._resumed = False, False

    @classmethod
    def resumed(cls, run: Run, saved: dict[str, Any]) -> Driver:
        """In the middle of a step, from what `keep` gave; `step` is the rest of it."""
        driver = cls(run, saved["factors"])
        if driver.single and not saved["single"]:
            driver.single = False
            driver.sweeps = Sweeps(
                run.entries, saved["factors"], run.alpha, driver.exact
            )
        driver.sweeps.rss = saved["rss"]
        driver.ratios, driver.objectives = saved["ratios"], saved["objectives"]
        driver._done, driver._resumed = saved["done"], True
        return driver

    def keep(self) -> dict[str, Any]:
        """State in a callback."""
        return {
            "factors": self.sweeps.factors,
            "rss": self.sweeps.rss,
            "single": self.single,
            "ratios": self.ratios[-_KEPT:],
            "objectives": self.objectives[-_KEPT:],
            "done": self._done,
        }

    def step(self, lam: float) -> Status | None:
        """One sweep; a status when the run is over."""
        if self._resumed:
            self._resumed = False
        else:
            self._sweep(lam)
        if self.single and math.sqrt(self.sweeps.rss) < _SINGLE * self.run.norm:
            self.double()
        return Status.CONVERGED if self._done else None

    def _sweep(self, lam: float) -> None:
        run, sweeps = self.run, self.sweeps
        before, work = math.sqrt(min(sweeps.rss, run.norm**2)), sweeps.half.work
        final = (run.alpha == 0 or lam <= run.alpha) and sweeps.k == run.k
        target = (run.tol * run.norm) ** 2 if final else 0.0
        sweeps.sweep(lam, self.steps, target)
        if sweeps.rss <= target and not self.single:
            sweeps.measure()  # what is reported has been seen
            run.measured = sweeps.factors
        run.work += (sweeps.half.work - work) * sweeps.k / run.k
        if not math.isfinite(sweeps.rss):
            raise Stop(Status.NUMERICAL_FAILURE)
        self.ratios.append(math.sqrt(sweeps.rss) / before if before > 0 else 0.0)
        self.objectives.append(sweeps.objective)
        self._done = sweeps.rss <= target and not self.single
        self._show(lam, self._done)

    def flat(self) -> bool:
        """Whether the objective, or the error at held-out entries, has levelled off."""
        if not (self._level() or self.run.stale):
            return False
        if not self.single:
            return True
        self.double()  # perhaps float32 alone is flat
        self.objectives.clear()
        self.run.forget()
        return False

    def _level(self) -> bool:
        """Whether three sweeps have left the objective as it was."""
        if len(self.objectives) < 4:
            return False
        first, last = self.objectives[-4], self.objectives[-1]
        return not first - last >= self.run.tol_obj * abs(first)

    def left(self) -> float:
        """Part of the objective that sweeps would still take off.

        The last two decreases, continued as a geometric series.
        """
        if len(self.objectives) < 3:
            return math.inf
        a, b, c = self.objectives[-3:]
        ratio = (b - c) / (a - b) if a > b else 1.0
        return (b - c) * ratio / ((1 - ratio) * c) if ratio < 1 and c > 0 else math.inf

    def forget(self) -> None:
        """Start to watch anew: what came before was another objective."""
        self.objectives.clear()
        self.ratios.clear()
        self.run.forget()

    def double(self) -> None:
        """Leave single precision."""
        if self.single:
            self.single = False
            rss, f = self.sweeps.rss, self.run.factors
            self.sweeps = Sweeps(self.run.entries, f, self.run.alpha, self.exact)
            self.sweeps.rss = rss

    def resume(self, rss: float) -> None:
        """Go on from the factors of the run, which others have moved."""
        self.sweeps.factors, self.sweeps.rss = self.run.factors, rss
        self.forget()

    def narrow(self) -> None:
        """Leave the directions that are more than the run's rank."""
        s, k = self.sweeps, self.run.k
        if s.k > k:
            self.sweeps = Sweeps(
                s.entries, s.factors.cut(k), self.run.alpha, self.exact
            )
            self.sweeps.measure()

    def _show(self, lam: float, done: bool) -> None:
        s = self.sweeps
        try:
            self.run.update(s.factors.cut(self.run.k), s.rss, s.objective, ridge=lam)
        except Stop:
            if s.k > self.run.k:  # what is left has another residual
                self.narrow()
                self.run.residual = math.sqrt(self.sweeps.rss) / self.run.norm
                self.run.objective = self.sweeps.objective
            if not done:
                raise


def solve_als(run: Run) -> Status:
    """Alternating least squares, a few CG steps for each row and sweep.

    The ridge falls from half the first singular value to ``run.alpha``; the run ends
    when the relative error is below ``run.tol`` or the objective is level.
    """
    saved = run.saved.pop("als", None)
    if saved:
        driver, path = Driver.resumed(run, saved["driver"]), Homotopy(**saved["path"])
    else:
        driver = Driver(run)
        gamma = run.options.get("homotopy", "auto")
        eager = gamma == "auto"
        if eager:
            gamma = 0.5 if oversampling(run) >= 4 else 0.9
        path = homotopy(driver.sweeps, float(gamma), eager=eager)
    run.keeps["als"] = lambda: {"driver": driver.keep(), "path": asdict(path)}
    while True:
        status = driver.step(path.lam)
        if status is not None:
            return status
        if not path.over():
            path.advance(driver.sweeps, driver.ratios[-1])
            if path.over():
                driver.forget()
        elif driver.flat():
            return Status.CONVERGED
