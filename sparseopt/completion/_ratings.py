"""Alternating least squares for ratings: unbalanced factors, biases, ridge by count."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np

from sparseopt._core._status import Status
from sparseopt.completion import _biases
from sparseopt.completion._biases import Ridges, has
from sparseopt.completion._frames import column_squares
from sparseopt.completion._half_step import HalfSteps
from sparseopt.completion._kernels import aligned
from sparseopt.completion._problem import Entries, padded
from sparseopt.completion._run import Factors, Run
from sparseopt.completion._scaling import Units

REGS = ("frobenius", "count")
_WINDOW = 3
_CG_STEPS = 2
_BIAS_REG = 5.0


def solve_ratings(run: Run) -> Status:
    """Minimise the squared errors of ``mu + b_i + c_j + L_i.R_j`` with its ridges.

    ``1/2 sum w (x - mu - b_i - c_j - L_i.R_j)^2 + alpha/2 (sum_i s_i ||L_i||^2 +
    sum_j s_j ||R_j||^2) + bias_reg/2 (sum_i b_i^2 + sum_j c_j^2)`` with s = 1 (reg
    "frobenius") or the number of entries of the row or column ("count"). ``mu`` is the
    mean; everything else is solved for together. Each half-step lowers the objective.

    The factors of the run are left as ``U = L``, ``s = 1``, ``V = R``: a ridge by count
    tells L D and R / D apart. They are the start too, unless their ``s`` is zero.

    Options: "biases", "reg", "bias_reg" (a number, or one for rows and one for
    columns), "cg_steps".
    """
    run.solver = "als-ratings"
    saved, work = run.saved.pop("ratings", None), run.work
    fit = Fit.start(run)
    objectives: deque[float] = deque(maxlen=_WINDOW + 1)
    if saved:
        objectives.extend(saved["objectives"])
    run.keeps["ratings"] = lambda: {"objectives": list(objectives)}
    while True:
        if saved:  # the callback of a sweep was what came last
            saved = None
        else:
            rss = fit.sweep()
            objectives.append(0.5 * (rss + sum(fit.penalty)))
            run.work = work + fit.steps.work * fit.ridges.width / run.k
            run.update(fit.factors(), rss, objectives[-1], ridge=run.alpha)
        level = run.residual <= run.tol or _levelled(objectives, run.tol_obj)
        if level or run.stale:
            return Status.CONVERGED


def _levelled(objectives: deque[float], tol: float) -> bool:
    """Whether the last sweeps lowered the objective by less than ``tol`` of itself."""
    if len(objectives) <= _WINDOW:
        return False
    return objectives[0] - objectives[-1] <= tol * abs(objectives[-1])


def error(entries: Entries, L: np.ndarray, R: np.ndarray) -> float:
    """Root mean squared error at the entries, weighted."""
    total = _biases.counts(entries, False).sum()
    return math.sqrt(entries.residual(L, R)[1] / total) if total > 0 else math.nan


def shifted(entries: Entries, intercept: float) -> Entries:
    """The same entries with ``intercept`` subtracted from their values."""
    if intercept == 0.0:
        return entries
    shift = entries.dtype.type(intercept)
    rows, cols = (
        replace(side, val=side.val - shift) for side in (entries.rows, entries.cols)
    )
    return replace(entries, rows=rows, cols=cols)


def power_of(reg: str | float) -> float:
    """Power of the number of its entries that multiplies a row's ridge."""
    return {"frobenius": 0.0, "count": 1.0}[reg] if isinstance(reg, str) else reg


def bias_ridges(options: Any) -> tuple[float, float]:
    """Ridges of the biases of rows and of columns."""
    lam = options.get("bias_reg")
    both = np.broadcast_to(_BIAS_REG if lam is None else lam, 2)
    return float(both[0]), float(both[1])


def make_ridges(entries: Entries, k: int, alpha: float, options: Any) -> Ridges:
    """Ridges from the options of a run; these are in the caller's where "units" are."""
    biases, power = options.get("biases"), power_of(options.get("reg", "frobenius"))
    units = options.get("units", Units())
    scales: Any = (None, None)
    if power:
        scales = tuple(_biases.counts(entries, t) ** power for t in (False, True))
    row, col = (b / units.weight for b in bias_ridges(options))
    return Ridges(k, units.ridge(alpha, power), (row, col), biases, scales)


class Fit:
    """Factors with their bias columns, and what half-steps on them need.

    Parameters
    ----------
    entries : Entries
        With ``intercept`` subtracted.
    ridges : Ridges
    L, R : ndarray
        Changed in place.
    """

    def __init__(
        self,
        entries: Entries,
        ridges: Ridges,
        L: np.ndarray,
        R: np.ndarray,
        intercept: float = 0.0,
        cg_steps: int = _CG_STEPS,
    ) -> None:
        self.steps = HalfSteps(entries, ridges.width)
        self.ridges, self.L, self.R = ridges, L, R
        self.intercept, self.cg_steps = intercept, cg_steps
        self.penalty, self.curvature = [0.0, 0.0], [np.ones(0), np.ones(0)]
        # what sums of squares are weighted with: entries, scale of the ridge, one
        self.columns = []
        for transposed in (False, True):
            n, scale = _biases.counts(entries, transposed), ridges.scales[transposed]
            one = np.ones(len(n))
            columns = [n, one if scale is None else scale, one]
            self.columns.append(np.stack(columns, axis=1))
            self._measure(transposed)

    @classmethod
    def start(cls, run: Run) -> Fit:
        """From the factors of the run, or small random ones beside shrunken means."""
        entries = run.entries
        ridges = make_ridges(entries, run.k, run.alpha, run.options)
        given = run.factors if np.any(run.factors.s) else None
        intercept = 0.0
        if given is not None:
            intercept = given.intercept
        elif ridges.biases is not None:
            intercept = _biases.mean(entries)
        entries = shifted(entries, intercept)
        L, R = _biases.blank(entries, ridges)
        if given is not None:
            given_start(given, ridges, L, R)
        else:
            random_start(entries, ridges, R, run.rng)
            if ridges.biases is not None:
                # a start: three sweeps leave less than the factors will take
                b, c = _biases.shrunken_means(entries, ridges.biases, ridges.bias, 3)
                L[:, run.k], R[:, run.k + 1] = b, c
        steps = run.options.get("cg_steps", "auto")
        steps = _CG_STEPS if steps == "auto" else int(steps)
        return cls(entries, ridges, L, R, intercept, steps)

    def sweep(self) -> float:
        """Rows, then columns; returns the weighted sum of squared errors after it."""
        self.half_step(False)
        return self.half_step(True)

    def half_step(self, transposed: bool) -> float:
        """One side refitted; returns the sum of squared errors after it."""
        fixed, unknown = (self.L, self.R) if transposed else (self.R, self.L)
        rss = self.steps.cg(
            transposed,
            fixed,
            unknown,
            steps=self.cg_steps,
            curvature=self.curvature[not transposed],
            **self.ridges.arguments(transposed),
        )
        before = self.penalty[transposed]
        self._measure(transposed)
        # the drop is that of errors and ridge together
        after = rss + before - self.penalty[transposed] - self.steps.drop(transposed)
        return max(0.0, after)

    def _measure(self, transposed: bool) -> None:
        """Sums of squares over a side's factor: its ridge term and its curvature."""
        F = self.R if transposed else self.L
        width = self.ridges.width
        squares = column_squares(F, width, self.columns[transposed])
        self.penalty[transposed] = self.ridges.value(transposed, squares)
        total = max(1.0, self.columns[transposed][:, 0].sum())
        self.curvature[transposed] = squares[:, 0] / total

    def factors(self) -> Factors:
        """A copy without the bias columns."""
        k, biases = self.ridges.k, self.ridges.biases
        out = []
        for F in (self.L, self.R):
            U = aligned((len(F), padded(k, F.dtype)), F.dtype)
            U[:, :k] = F[:, :k]
            out.append(U)
        row = self.L[:, k].copy() if has(biases, False) else None
        col = self.R[:, k + 1].copy() if has(biases, True) else None
        return Factors(out[0], np.ones(k), out[1], row, col, self.intercept)


def random_start(
    entries: Entries, ridges: Ridges, R: np.ndarray, rng: np.random.Generator
) -> None:
    """Gaussian column factors of norm about 1; zero for columns without entries."""
    k = ridges.k
    R[:, :k] = rng.standard_normal((len(R), k), dtype=R.dtype) / math.sqrt(k)
    R[_biases.counts(entries, True) == 0, :k] = 0


def given_start(given: Factors, ridges: Ridges, L: np.ndarray, R: np.ndarray) -> None:
    k = min(ridges.k, given.k)
    root = np.sqrt(given.s[:k])
    L[:, :k] = given.U[:, :k] * root
    R[:, :k] = given.V[:, :k] * root
    if has(ridges.biases, False) and given.row_bias is not None:
        L[:, ridges.k] = given.row_bias
    if has(ridges.biases, True) and given.col_bias is not None:
        R[:, ridges.k + 1] = given.col_bias
