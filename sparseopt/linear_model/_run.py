"""What one solve of a composite problem carries along."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np

from sparseopt._core._monitor import Monitor
from sparseopt._core._status import Status
from sparseopt.linear_model._best import Best
from sparseopt.linear_model._composed import Terms
from sparseopt.linear_model._correct import SlopeBounds
from sparseopt.linear_model._datafit import Datafit
from sparseopt.linear_model._design import Design
from sparseopt.linear_model._free import FreeColumns
from sparseopt.linear_model._gap import (
    Certificate,
    dual_point,
    has_conjugate,
    stationarity,
)
from sparseopt.linear_model._margin import exact_margin, lengths_of, margin_of
from sparseopt.linear_model._units import Units
from sparseopt.prox import Penalty

# Share of the tolerance that a margin for the origin of features may take.
_SHARE = 0.1
# Columns of the history of every solver.
FIELDS = ("n_nonzero",)


class Stop(Exception):
    """Ends a solve from any depth; the coefficients of the run are its answer."""

    def __init__(self, status: Status) -> None:
        super().__init__(str(status))
        self.status = status


class Run:
    """State of one solve: algorithms change coefficients and counters through it.

    A solver is a function of a run that returns a status.  It calls `set_point` and
    then `record` once an iteration; `record` raises `Stop` when the tolerance is
    reached or the monitor says so.

    Attributes
    ----------
    datafit, penalty : Datafit, Penalty
        The problem, in the units of the run.
    given : Datafit
        The loss with the data as they were given.
    units : Units
        What these were divided by; all other attributes are in these units.
    w, intercept, z : ndarray, float or ndarray, ndarray
        The point, float64, and its predictions ``X w + intercept``.
    tol : float
        Bound of `Certificate.residual`.
    scale : float
        Unit of the residual: F(0) for gaps, else the largest gradient at 0.
    has_gap : bool
        Whether the residual is a duality gap.
    bounds : SlopeBounds or None
        Bounds of single slopes of the dual point, where it may be corrected.
    free : FreeColumns or None
        Those of coefficients that the penalty does not see, where there is a gap.
    reduced : bool
        Whether dual points are feasible for the columns only that screening left.
    best : Best
        The best recorded point.
    certificate : Certificate or None
        That of the last record.
    best_dual : tuple of (float, ndarray or None)
        Largest dual value so far, with its point.
    last_dual : tuple of (float, ndarray or None)
        Those of the last certificate.
    options, extra, cache : dict
        Options of single solvers; fields they add to the result (``u``); what a
        following run can use again.
    n_iter, n_epochs : int
        Records, and passes over the coordinates of a working set.
    """

    def __init__(
        self,
        datafit: Datafit,
        penalty: Penalty,
        *,
        tol: float,
        w: np.ndarray | None = None,
        intercept: Any = None,
        options: dict[str, Any] | None = None,
        n_threads: int = 1,
        rng: Any = None,
    ) -> None:
        self.options: dict[str, Any] = dict(options or {})
        # options of solvers have the units of the data
        self.units = Units.of(datafit, None if self.options else penalty)
        self.given = datafit
        if self.units:
            penalty = self.units.penalty(penalty, datafit)
            datafit = self.units.datafit(datafit)
            self.options = self.units.options(self.options)
            w = self.units.own_coef(w)
            intercept = self.units.own_intercept(intercept, w)
        self.datafit, self.penalty, self.tol = datafit, penalty, float(tol)
        self.extra: dict[str, Any] = {}
        self.cache: dict[str, Any] = {}
        self.n_threads, self.rng = n_threads, rng
        self.n_iter = self.n_epochs = 0
        self.monitor = Monitor("sparseopt.linear_model", fields=FIELDS)
        self.certificate: Certificate | None = None
        self.best_dual: tuple[float, np.ndarray | None] = (-math.inf, None)
        self.last_dual: tuple[float, np.ndarray | None] = (-math.inf, None)
        self.w = np.zeros(self.shape) if w is None else np.array(w, dtype=np.float64)
        self.z = datafit.zero()
        self.intercept = _zero_intercept(datafit) if intercept is None else intercept
        if np.any(self.w):
            self.z = self.z + self.design.matvec(self.w)
        self.z = self.z + self.intercept
        if datafit.fit_intercept:
            self.fit_intercept()
        self._scale: float | None = None
        self._begin(penalty)

    def follow(self, penalty: Penalty) -> Run:
        """A run of another penalty from this point, that keeps what is in `cache`."""
        other = copy.copy(self)
        if self.units:
            penalty = self.units.penalty(penalty, self.given)
        other.extra, other.certificate = {}, None
        other.n_iter = other.n_epochs = 0
        other.best_dual = other.last_dual = (-math.inf, None)
        other._begin(penalty)
        if other.has_gap != self.has_gap:
            other._scale = None
        return other

    def _begin(self, penalty: Penalty) -> None:
        """Take a penalty, and find out what its certificate is."""
        self.penalty, self.best, self.reduced = penalty, Best(), False
        self._margin: tuple[float, float] | None = None
        self.free: FreeColumns | None = None
        self.has_gap = has_conjugate(penalty, self.shape)
        if not self.has_gap:
            self.free = FreeColumns.of(self.datafit, penalty, self.cache.get("free"))
            self.has_gap = self.free is not None
            self.cache["free"] = self.free
        self.bounds: SlopeBounds | None = None
        bounds = SlopeBounds.of(self.datafit, penalty)
        if bounds is not None and self.free is None:
            self.has_gap = self.has_gap or bounds.form.kind == "box"
            self.bounds = bounds if self.has_gap else None

    @property
    def design(self) -> Design:
        """The design matrix."""
        return self.datafit.design

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the coefficients."""
        p, k = self.design.p, self.datafit.n_outputs
        return (p, k) if k else (p,)

    @property
    def scale(self) -> float:
        """Unit of the residual."""
        if self._scale is None:
            self._scale = self.datafit.scale() if self.has_gap else self._top_slope()
        return self._scale

    def _top_slope(self) -> float:
        """Largest entry of the gradient at ``w = 0`` and the best intercept."""
        z = self.datafit.zero()
        if self.datafit.fit_intercept:
            z = z + self.datafit.shift(z)
        grad = self._transposed(self.datafit.gradient(z))
        return float(np.abs(grad).max(initial=0.0))

    def set_point(
        self, w: np.ndarray, z: np.ndarray | None = None, intercept: Any = None
    ) -> None:
        """Move to `w`; predictions are computed unless they are given.

        `z`, if given, includes the intercept.
        """
        self.w = w
        if intercept is not None:
            self.intercept = intercept
        self.z = self.design.matvec(w) + self.intercept if z is None else z

    def fit_intercept(self) -> None:
        """Move to the best intercept for the present coefficients.

        Where features lie far from zero, predictions cancel against the intercept;
        what rounding of the large ones leaves is then taken off by another step.
        """
        top = float(np.abs(self.z).max(initial=0.0))
        for _ in range(3):
            shift = self.datafit.shift(self.z)
            if not np.any(np.abs(shift) > 2e-16 * top):
                return
            self.intercept = self.intercept + shift
            self.z = self.z + shift
            before, top = top, float(np.abs(self.z).max(initial=0.0))
            if not top < 0.1 * before:
                return

    def gradient(self) -> np.ndarray:
        """Gradient of F with respect to the coefficients at the present point."""
        return self._transposed(self.datafit.gradient(self.z))

    def _transposed(self, theta: np.ndarray) -> np.ndarray:
        if theta.ndim == 1:
            return self.design.gradient(theta, None, self.n_threads)
        return self.design.rmatvec(theta)

    def objective(self) -> float:
        """F + P at the present point."""
        return self.datafit.value(self.z) + self.penalty.value(self.w)

    def certify(self, grad: np.ndarray | None = None) -> Certificate:
        """Certificate of the present point, at its best intercept.

        `grad` saves a pass over the design where the solver has the gradient at this
        point; with an intercept it is used only if that is already the best one.
        """
        if self.datafit.fit_intercept:
            before = self.z
            self.fit_intercept()
            if grad is not None and _moved(before, self.z):
                grad = None
        theta = self.datafit.gradient(self.z)
        if grad is None:
            grad = self._transposed(theta)
        objective = self.objective()
        if self.free is not None:
            theta, grad = self._orthogonal(theta, grad)
        if not self.has_gap:
            distance = stationarity(self.penalty, self.w, grad)
            residual = self.relative(distance)
            return Certificate(objective, residual, None, -math.inf, None)
        value, point = self.dual_point(theta, grad)
        self.last_dual = value, point
        if value > self.best_dual[0] or self.best_dual[1] is None:
            self.best_dual = value, point
        if not self._done(objective):
            self._narrow(objective, theta, grad)
        if not self._done(objective) and self._correct(theta, grad):
            return self.certify(grad)
        gap = objective - self.best_dual[0]
        return Certificate(objective, self.relative(gap), gap, *self.best_dual)

    def _done(self, objective: float) -> bool:
        """Whether the best dual point proves an objective."""
        return self.relative(objective - self.best_dual[0]) <= self.tol

    def _narrow(self, objective: float, theta: np.ndarray, grad: np.ndarray) -> None:
        """Take the margin from what is summed, where that of lengths is in the way.

        Samples of large entries may have next to no weight in theta.
        """
        if self._margin is None or not self._margin[0] > 0.0 or not np.any(theta):
            return
        problem = self.datafit, self.penalty, theta, grad
        if not self.relative(objective - dual_point(*problem)[0]) <= self.tol:
            return
        free = None if self.free is None else self.free.mask
        margin = exact_margin(self.design, self.penalty, theta, free)
        best = dual_point(*problem, margin)
        if best[0] > self.best_dual[0]:
            self.best_dual = best

    def _correct(self, theta: np.ndarray, grad: np.ndarray) -> bool:
        """Look for a better dual point near theta where it may show convergence.

        Where there is none, and multiples of theta are no points either, as rays of
        zero loss leave it, the gap is given up; returns whether it was.
        """
        bounds, scale = self.bounds, self.scale
        if bounds is None or not np.any(theta):
            return False
        for origin in (self.units.origin, None):  # of features far from zero: if it can
            margin = bounds.margins(theta, lengths_of(self.design, origin))
            if bounds.first_order(self.w, grad, margin) <= self.tol * scale:
                break
        else:
            return False
        found = bounds.point(self.datafit, self.z, theta, grad, margin)
        if found is not None:
            value = -self.datafit.conjugate(found[0]) - bounds.conjugate(found[1])
            if value > self.best_dual[0]:
                self.best_dual = value, found[0]
        elif bounds.form.kind == "box":
            self.bounds, self.has_gap, self._scale = None, False, None
            return True
        return False

    def dual_point(
        self, theta: np.ndarray, grad: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Dual value and feasible point from ``theta`` and ``X' theta``."""
        if self.bounds is not None and self.bounds.form.kind == "box":
            zero = np.zeros_like(theta)  # multiples of theta have no margin
            return -self.datafit.conjugate(zero), zero
        if self._margin is None:
            self._margin = 0.0, 0.0
            if self.design.kind != "operator" and not isinstance(self.penalty, Terms):
                free = None if self.free is None else self.free.mask
                problem = self.design, self.penalty, self.shape, free
                self._margin = (
                    margin_of(*problem),
                    margin_of(*problem, self.units.origin),
                )
        least, most = self._margin
        if most > least:
            # products with features far from zero: where that is not the tolerance
            cost = self.penalty.value(self.w) * float(np.linalg.norm(theta))
            room = _SHARE * self.tol * self.scale
            least = min(most, least + room / cost) if cost > 0.0 else most
        return dual_point(self.datafit, self.penalty, theta, grad, least)

    def _orthogonal(
        self, theta: np.ndarray, grad: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Dual point of free coefficients with its gradient; gives up the gap if none.

        There is none where the columns of free coefficients nearly depend on one
        another.
        """
        assert self.free is not None
        point = self.free.project(self.z, theta)
        if point is None:
            self.free, self.has_gap, self._scale = None, False, None
            return theta, grad
        grad = self._transposed(point)
        grad[self.free.mask] = 0.0
        return point, grad

    def relative(self, value: float) -> float:
        """Residual of a gap or a distance; gaps below zero are rounding."""
        if value <= 0.0:
            return 0.0
        return value / self.scale if self.scale > 0.0 else math.inf

    def record(
        self, grad: np.ndarray | None = None, *, least: float = 0.0, **values: Any
    ) -> None:
        """Certify the point and tell the monitor; raises `Stop` when it says so.

        `least` is a violation that the solver knows of: where there is no gap the
        residual is no smaller.
        """
        self.n_iter += 1
        proof = self.certify(grad)
        if not self.has_gap and self.relative(least) > proof.residual:
            proof = replace(proof, residual=self.relative(least))
        self.certificate = proof
        self.best.see(self, proof)
        if not math.isfinite(proof.objective) or proof.residual != proof.residual:
            raise Stop(Status.NUMERICAL_FAILURE)
        status = self.monitor.update(
            self.n_iter,
            objective=self.units.given_loss(proof.objective),
            residual=proof.residual,
            n_nonzero=int(np.count_nonzero(self.w)),
            **values,
        )
        done = proof.residual <= self.tol and not (self.n_iter == 1 and self._leaves())
        if done and status is not Status.STOPPED_BY_CALLBACK:
            raise Stop(Status.CONVERGED)
        if status is not None:
            raise Stop(status)

    def _leaves(self) -> bool:
        """Whether zero, where the run is, is no solution for any strength.

        A ridge that is strong makes coefficients so small that the gap of zero is, too.
        """
        if np.any(self.w) or not self.penalty.sign_invariant:
            return False
        try:
            return self.penalty.critical_lam(self.gradient()) == math.inf
        except NotImplementedError:
            return False

    def expired(self) -> bool:
        """Whether the time limit is over: asked inside long inner loops."""
        return self.monitor.time_left() <= 0


def _zero_intercept(datafit: Datafit) -> Any:
    return np.zeros(datafit.n_outputs) if datafit.n_outputs else 0.0


def _moved(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether predictions differ by more than their rounding."""
    top = float(np.abs(after).max(initial=0.0))
    return float(np.abs(after - before).max(initial=0.0)) > 1e-14 * top
