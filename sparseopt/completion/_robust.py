"""Gross errors in some entries: Huber's loss, then least squares on the rest."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from sparseopt._core._status import Status
from sparseopt.completion._auto import solve_auto
from sparseopt.completion._folds import subset
from sparseopt.completion._frames import orthonormalise, rotate
from sparseopt.completion._half_step import HalfSteps, scaled
from sparseopt.completion._init import spectral
from sparseopt.completion._problem import Entries, Side, sum_squares
from sparseopt.completion._run import Factors, Run

Solver = Callable[[Run], Status]

_MAD = 1.4826  # standard deviation of a normal variable, in medians of |r|
# Values are clipped at the start; the loss is square below _DELTA; outliers are above
# _GROSS. All in standard deviations.
_CLIP, _DELTA, _GROSS = 2.0, 3.0, 10.0
_FLOOR = 1e-12  # of the typical value: rounding
_DEAD = 1e-30  # singular values below are as good as zero
_SAMPLE = 200_000  # residuals that a median is taken of
_START, _GAMMA, _END = 0.5, 0.7, 1e-4  # ridge of the sweeps
_FAR, _BETWEEN = 1.0, 3  # first bound on outliers, in values; sweeps until it is halved
_LEVEL, _PATIENCE = 0.02, 20  # delta "mad" has settled; rounds of marking
# Outliers stand out when delta is this part of its first value. Beyond, rows that fit
# already would pull it down, and freeze those that do not.
_ENOUGH = 0.02


def solve_robust(run: Run, inner: Solver = solve_auto) -> Status:
    """Low rank plus a few gross errors.

    Huber's loss is a minimum over an error of each entry,
    ``h(r) = min_e 1/2 (r - e)^2 + delta |e|``, at ``e = soft(r, delta)``: least-squares
    half-steps on the values without their errors never increase it. With delta "mad" it
    follows the median of the residuals down.

    With the option "debias" (default) entries whose residual is beyond ten standard
    deviations are then marked in ``run.outliers``, and the rest is fitted by least
    squares: data that is exact but for the outliers is so recovered exactly.

    Parameters
    ----------
    run : Run
        Options "delta" (number or "mad"), "debias", "homotopy", "cg_steps".
    inner : callable
        Fits the entries that are no outliers from the factors of its run.
    """
    run.solver = "huber"
    values = run.entries.rows.val
    fresh = run.options.get("homotopy", "auto") == "auto"
    saved = run.saved.pop("robust", None)
    if saved and saved["phase"] == "debias":
        return _debias(run, None, inner, saved)
    if fresh and not saved:  # not a start that the caller chose
        limit = _CLIP * _MAD * _median(values)
        if limit > 0:
            clipped = run.entries.with_values(np.clip(values, -limit, limit))
            run.factors = Factors(*spectral(clipped, run.k, run.rng))
    loss = _Huber(run, fresh)
    status = loss.fit(saved)
    r = _residual(run, run.entries)
    if not run.options.get("debias", True):
        run.outliers = np.abs(r) > loss.delta
        return status
    return _debias(run, r, inner, None)


class _Huber:
    """Sweeps on values that are freed of their errors before each half-step."""

    def __init__(self, run: Run, fresh: bool) -> None:
        self.run = run
        self.half = HalfSteps(run.entries, run.k)
        self.factors = run.factors
        self.orders = run.entries, run.entries.transpose()
        delta = run.options.get("delta", "mad")
        self.follows = delta == "mad"
        self.delta = math.inf if self.follows else float(delta)
        density = max(run.entries.n_entries, 1) / math.prod(run.entries.shape)
        first = _START * density * float(run.factors.s[0])
        self.lam = first if self.follows and fresh else 0.0
        steps = run.options.get("cg_steps", "auto")
        self.steps = 2 if steps == "auto" else int(steps)

    def fit(self, saved: dict[str, Any] | None) -> Status:
        """Until the objective is level; with delta "mad", until delta is."""
        run = self.run
        deltas, objectives, first, work = [], [], self.lam, run.work
        if saved:
            self.delta, self.lam = saved["delta"], saved["lam"]
            deltas, objectives = saved["deltas"], saved["objectives"]
            first, objective = saved["first"], run.objective
        run.keeps["robust"] = lambda: {
            "phase": "huber", "delta": self.delta, "lam": self.lam, "first": first,
            "deltas": deltas, "objectives": objectives,
        }  # fmt: skip
        while True:
            if saved:  # the callback of a sweep was what came last
                saved = None
            else:
                rss, objective = self._half_step(False)
                self._half_step(True)
                self.lam = self.lam * _GAMMA if self.lam > _END * first else 0.0
                deltas.append(self.delta)
                objectives.append(objective)
                run.work = work + self.half.work
                run.update(self.factors, rss, objective, ridge=run.alpha)
            if not math.isfinite(objective):
                return Status.NUMERICAL_FAILURE
            if len(objectives) <= 3:
                continue
            if objectives[-1] <= 0.0:
                return Status.CONVERGED
            settled = deltas[-1] >= (1 - _LEVEL) * deltas[-4] and self.lam == 0.0
            if self.follows and run.options.get("debias", True):
                if settled or deltas[-1] <= _ENOUGH * deltas[0]:
                    return Status.CONVERGED
            elif (
                self.lam == 0.0
                and objectives[-4] - objectives[-1] <= run.tol_obj * objectives[-4]
            ):
                return Status.CONVERGED

    def _half_step(self, transposed: bool) -> tuple[float, float]:
        """Errors, then one factor; returns rss and objective from before."""
        run, f = self.run, self.factors
        side = run.entries.side(transposed)
        fixed, moved = (f.U, f.V) if transposed else (f.V, f.U)
        unknown = scaled(moved, f.s)
        r = self.orders[transposed].residual(unknown, fixed)[0]
        self.half.work += 1
        if self.follows:
            floor = _FLOOR * run.norm / math.sqrt(max(len(r), 1))
            self.delta = min(self.delta, max(_DELTA * _MAD * _median(r), floor))
        clean = np.clip(r, -self.delta, self.delta)
        excess = np.abs(r - clean)
        weight = 1.0 if side.weight is None else side.weight
        rss = float(np.sum(weight * np.square(clean, dtype=np.float64)))
        gross = self.delta * float(np.sum(weight * excess, dtype=np.float64))
        objective = 0.5 * rss + (gross if excess.any() else 0.0)
        objective += run.alpha * float(f.s.sum())
        # a value without its error is what is fitted plus the clipped residual
        freed = replace(side, val=side.val - (r - clean))
        self.half.entries = _with_side(run.entries, transposed, freed)
        lam = max(self.lam, run.alpha)
        # all may have died; the data are of size one
        d = lam / np.maximum(f.s, max(1e-6 * f.s[0], _DEAD))
        self.half.cg(transposed, fixed, unknown, d, steps=self.steps)
        self.factors = _refactor(unknown, fixed, run.k, transposed)
        return rss, objective


def _with_side(entries: Entries, transposed: bool, side: Side) -> Entries:
    return replace(entries, cols=side) if transposed else replace(entries, rows=side)


def _refactor(
    unknown: np.ndarray, fixed: np.ndarray, k: int, transposed: bool
) -> Factors:
    moved, s, W = orthonormalise(unknown, k)
    fixed = rotate(fixed, W)
    return Factors(fixed, s, moved) if transposed else Factors(moved, s, fixed)


def _debias(
    run: Run, r: np.ndarray | None, inner: Solver, saved: dict[str, Any] | None
) -> Status:
    """Least squares without outliers, which are marked anew until they stay the same.

    At first only what is far off counts as one: a row that does not fit yet must not
    lose the entries that would mend it. The bound falls as sweeps go on.
    """
    entries, status = run.entries, Status.CONVERGED
    options, run.options = run.options, {**run.options, "homotopy": 0.0}
    bound = _FAR * _MAD * _median(entries.rows.val)
    at: dict[str, Any] = {
        "phase": "debias", "far": True, "bound": bound, "sweeps": 0, "round": 0,
    }  # fmt: skip
    marked = np.zeros(entries.n_entries, bool)
    if saved:
        at, r = saved, None
        marked = np.unpackbits(saved["marked"], count=entries.n_entries).astype(bool)
    run.keeps["robust"] = lambda: {**at, "marked": np.packbits(marked)}
    try:
        while at["far"]:
            if r is not None:  # else sweeps with this bound go on
                if at["bound"] <= _gross(r):
                    break
                marked, at["sweeps"] = np.abs(r) > at["bound"], 0
            _mark(run, entries, marked)
            _sweeps(run, at)
            r, at["bound"] = _residual(run, entries), 0.5 * at["bound"]
        if r is not None:
            at["far"], marked = False, np.abs(r) > _gross(r)
        while at["round"] < _PATIENCE:
            _mark(run, entries, marked)
            run.note = ""  # of a round that had other outliers
            status = inner(run)
            r, before = _residual(run, entries), marked
            marked = np.abs(r) > _gross(r)
            if np.array_equal(marked, before):
                break
            at["round"] += 1
    finally:
        run.entries, run.options = entries, options
    run.solver = "huber, debiased"
    return status


def _mark(run: Run, entries: Entries, outliers: np.ndarray) -> None:
    """The run goes on without some of its entries."""
    run.outliers = outliers
    run.entries = subset(entries, ~outliers)
    run.norm = math.sqrt(sum_squares(run.entries.rows.val, run.entries.rows.weight))
    run.norm = run.norm or 1.0


def _residual(run: Run, entries: Entries) -> np.ndarray:
    run.work += 1
    return entries.residual(scaled(run.factors.U, run.factors.s), run.factors.V)[0]


def _gross(r: np.ndarray) -> float:
    """Ten standard deviations of the residuals that are none."""
    size = np.abs(r)
    return max(_GROSS * _MAD * float(np.median(size)), _FLOOR * float(size.max()))


def _median(r: np.ndarray) -> float:
    """Median of absolute values, of evenly spaced ones where there are many."""
    step = max(1, len(r) // _SAMPLE)
    return float(np.median(np.abs(r[::step]))) if len(r) else 0.0


def _sweeps(run: Run, at: dict[str, Any]) -> None:
    """A few plain sweeps from the factors of the run, counted in ``at``."""
    half, f = HalfSteps(run.entries, run.k), run.factors
    while at["sweeps"] < _BETWEEN:
        for transposed in (False, True):
            fixed, moved = (f.U, f.V) if transposed else (f.V, f.U)
            unknown = scaled(moved, f.s)
            d = run.alpha / np.maximum(f.s, max(1e-6 * f.s[0], _DEAD))
            half.cg(transposed, fixed, unknown, d, steps=2)
            f = _refactor(unknown, fixed, run.k, transposed)
        rss = run.entries.residual(scaled(f.U, f.s), f.V)[1]
        at["sweeps"] += 1
        run.work += half.work + 1
        half.work = 0.0
        run.update(f, rss, 0.5 * rss + run.alpha * float(f.s.sum()), ridge=run.alpha)
