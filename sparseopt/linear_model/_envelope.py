"""Losses with the group sparse envelope: working sets, safe screening, exact faces.

The minimiser lives on the groups with the largest dual scores
``||X_j' theta|| / sqrt(d_j)``: at the dual optimum those above the k-th largest are
whole, those level with it shared, those below zero.  So the problem is solved on a
working set of high scores, which grows until the duality gap of the whole problem is
small.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import sparse

from sparseopt._core._status import Status
from sparseopt.linear_model._datafit import Datafit
from sparseopt.linear_model._envelope_debias import solve_debiased
from sparseopt.linear_model._envelope_part import Envelope, Part
from sparseopt.linear_model._run import Run
from sparseopt.prox import WGSEF, Penalty, wgsef_subgradient

_LEAST_SET = 60  # coordinates in the first working set
_STEPS = 2000  # gradient steps on one working set
_INNER = 0.05  # gap on the working set, as a share of the whole one
_PATIENCE = 6  # rounds on all groups without progress


def unfit(datafit: Datafit, penalty: Penalty) -> str | None:
    """Reason why `solve_envelope` cannot solve a problem."""
    if not isinstance(penalty, WGSEF) or penalty.lam == 0.0 or penalty.rows:
        return "the penalty is not a WGSEF with a positive lam, of a vector"
    if not math.isfinite(datafit.curvature) or datafit.n_outputs:
        return "the loss has no bounded curvature, or several outputs"
    if datafit.design.kind == "operator":
        return "the design is an operator without columns"
    return None


def solve_envelope(run: Run) -> Status:
    """Minimise F plus a multiple of the envelope on growing working sets.

    With a debiased envelope by proximal gradients.
    """
    if not run.penalty.is_convex:
        return solve_debiased(run)
    problem = _Problem(run)
    size, idle, best = problem.first_size(), 0, math.inf
    while True:
        theta = run.datafit.gradient(run.z)
        grad = run.design.rmatvec(theta).astype(np.float64)
        run.record(grad)
        gap = run.certificate.gap if run.certificate is not None else None
        gap = math.inf if gap is None else gap
        problem.screen(theta, grad, gap)
        chosen = problem.choose(grad, size)
        whole = chosen.size == np.count_nonzero(problem.alive)
        goal = run.tol * run.scale
        solved = problem.solve_on(
            chosen, max(0.3 * goal, 0.0 if whole else _INNER * gap)
        )
        idle = idle + 1 if gap > 0.5 * best else 0
        best = min(best, gap)
        if whole and (idle >= _PATIENCE or (solved and idle >= 2)):
            run.record()
            return Status.PRECISION if solved else Status.STALLED
        if idle or not whole:
            size = max(size, 2 * problem.n_active()) if not idle else 2 * size


class _Problem:
    """Data of the whole problem that working sets are cut from.

    Attributes
    ----------
    envelope : Envelope
        The penalty.
    alive : ndarray of bool
        Groups that screening has not shown to be zero.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.design = run, run.design
        datafit = run.datafit
        self.envelope = envelope_of(run.penalty, self.design.p)
        self.groups = self.envelope.groups
        self.alive = np.ones(self.groups.m, dtype=bool)
        self.free = self.groups.free
        self.centred = datafit.fit_intercept
        s = datafit.s.astype(self.design.dtype)
        self.mean = (
            self.design.rmatvec(s).astype(np.float64) if self.centred else np.zeros(0)
        )
        self.design.require_squares()
        squares = self.design.square_norms(datafit.s)
        if self.centred:
            # rounding may only enlarge the bound
            squares = squares * (1.0 + 1e-12) - self.mean**2
            squares = np.maximum(squares, 0.0)
        self.lengths = self.envelope.scores(np.sqrt(squares))

    def first_size(self) -> int:
        """Groups in the first working set."""
        width = self.design.p / self.groups.m
        return max(4 * self.envelope.k, math.ceil(_LEAST_SET / width))

    def n_active(self) -> int:
        """Groups that are not zero."""
        return int(np.count_nonzero(self.groups.norms(self.run.w)))

    def screen(self, theta: np.ndarray, grad: np.ndarray, gap: float) -> None:
        """Give up groups that are zero at the optimum, by the dual point of the run."""
        run = self.run
        dual = run.best_dual[1]
        if dual is None or not math.isfinite(gap) or not theta.any():
            return
        scale = float(dual @ theta) / float(theta @ theta)
        if not np.allclose(dual, scale * theta, rtol=1e-12, atol=0.0):
            return  # the best dual point is an older one
        keep = screen(
            scale * self.envelope.scores(grad),
            self.lengths,
            self.envelope.k,
            math.sqrt(2.0 * max(gap, 0.0) * run.datafit.curvature),
        )
        # a group that rounding holds above zero stays where it can be solved for
        self.alive &= keep | (self.groups.norms(run.w) > 0.0)

    def choose(self, grad: np.ndarray, size: int) -> np.ndarray:
        """Working set: the active groups and those of the largest scores."""
        score = np.where(self.alive, self.envelope.scores(grad), -1.0)
        active = self.groups.norms(self.run.w) > 0.0
        score[active] = np.inf
        count = int(np.count_nonzero(self.alive))
        size = min(max(size, self.envelope.k, int(np.count_nonzero(active))), count)
        if 2 * size > count:
            size = count
        order = np.argpartition(-score, size - 1)[:size]
        return np.sort(order)

    def solve_on(self, chosen: np.ndarray, tol: float) -> bool:
        """Solve on a working set and move the run there; whether tol was reached."""
        run, datafit = self.run, self.run.datafit
        envelope, at = self.envelope.restrict(chosen)
        columns = np.concatenate([at, self.free])
        A = self._columns(columns)
        x, offset, n_free = run.w[columns], 0.0, self.free.size
        joint = self.centred and not datafit.is_quadratic
        if joint:
            A = np.hstack([A, np.ones((A.shape[0], 1))])
            level = run.intercept + float(self.mean[columns] @ x)
            x, n_free = np.append(x, level), n_free + 1
        elif self.centred:
            offset = float(datafit.s @ datafit.y)
        part = Part(datafit, envelope, A, n_free, x, offset)
        try:
            return part.solve(tol, _STEPS, run.expired)
        finally:
            run.n_epochs += part.n_steps
            w = np.zeros(self.design.p)
            w[columns] = part.x[: columns.size]
            intercept = None
            if self.centred:
                level = part.x[-1] if joint else offset
                intercept = float(level - self.mean[columns] @ w[columns])
            run.set_point(w, intercept=intercept)
            run.extra["u"] = self._shares(w)

    def _columns(self, columns: np.ndarray) -> np.ndarray:
        A = self.design.X[:, columns]
        A = A.toarray() if sparse.issparse(A) else A
        A = A.astype(np.float64, order="F")
        if self.centred:
            A -= self.mean[columns]
        return A

    def _shares(self, w: np.ndarray) -> np.ndarray:
        return shares(self.envelope, w)


def shares(envelope: Envelope, w: np.ndarray) -> np.ndarray:
    """The u in [0, 1] of each group for which the envelope takes its value at w."""
    slope = wgsef_subgradient(
        w, envelope.k, groups=envelope.groups, weights=envelope.weights
    )
    norms, slopes = envelope.groups.norms(w), envelope.groups.norms(slope)
    inside = norms > 0.0
    u = np.zeros(envelope.groups.m)
    u[inside] = np.minimum(1.0, envelope.d[inside] * norms[inside] / slopes[inside])
    return u


def screen(
    scores: np.ndarray, lengths: np.ndarray, k: int, radius: float
) -> np.ndarray:
    """Groups that may be active at the optimum.

    `scores` are those of a dual point within `radius` of the optimal one, `lengths`
    bound their change by distance.  A group whose score cannot reach the k-th largest
    is zero.
    """
    low, high = scores - radius * lengths, scores + radius * lengths
    level = np.partition(low, low.size - k)[low.size - k]
    slack = 1e-10 * float(np.max(np.abs(scores), initial=0.0))
    return high >= level - slack


def envelope_of(penalty: Any, n: int) -> Envelope:
    """Parameters of a WGSEF penalty for n coefficients."""
    parts = penalty.parts((n,))
    d = np.ones(parts.groups.m) if parts.weights is None else parts.weights
    return Envelope.of(int(penalty.k), float(penalty.lam), parts.groups, d)
