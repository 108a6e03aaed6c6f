"""Dual points that bounds on single slopes allow, by small corrections.

A residual theta is nearly feasible at the end: some slopes ``x_j' theta`` are beyond
their bounds, by rounding or by what is left to descend.  Scaling theta until all are
inside costs much where bounds are near zero, or where samples lie in linear pieces of
the loss, and brings nothing where a bound is zero.  Here theta is moved by a
combination of those columns alone, in the metric of the second derivative of the loss:
samples in linear pieces stay, and the dual value changes by the products of
coefficients and moves of their slopes.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse
from scipy.linalg import qr, solve_triangular

from sparseopt.linear_model._datafit import Datafit
from sparseopt.linear_model._forms import Coordinates
from sparseopt.linear_model._margin import roundings
from sparseopt.prox import Penalty

_WORK = 3e8  # multiplications of a factorisation
_ROUNDS = 5
_RANK = 1e-12
_ROOM = 2.0  # margins that corrected slopes keep
# Moves of slopes, in margins, that are rounding.
_NEAR = 100.0


class SlopeBounds:
    """Bounds ``low <= X' theta <= high`` of dual points.

    Attributes
    ----------
    low, high : ndarray of shape (p,)
        They are infinite where there is none.
    """

    def __init__(self, form: Coordinates, low: np.ndarray, high: np.ndarray) -> None:
        self.form, self.low, self.high = form, low, high

    @classmethod
    def of(cls, datafit: Datafit, penalty: Penalty) -> SlopeBounds | None:
        """Those of a penalty, None if it has others."""
        design, p = datafit.design, datafit.design.p
        if datafit.n_outputs or datafit.is_coupled or design.kind == "operator":
            return None
        form = Coordinates.of(penalty, p)
        if form is None or form.kind not in ("l1", "box"):
            return None
        if form.kind == "l1":
            level = form.lam * form.weights
            return cls(form, -level, np.full(p, np.inf) if form.positive else level)
        sides = [0.0 if math.isinf(b) else math.inf for b in form.params]
        if sides == [math.inf, math.inf]:
            return None
        # slopes of w without an upper bound are not negative at the end
        return cls(form, np.full(p, -sides[1]), np.full(p, sides[0]))

    def conjugate(self, grad: np.ndarray) -> float:
        """``P*(-grad)`` of slopes that are within the bounds but for rounding."""
        if self.form.kind == "l1":
            return 0.0
        v = -np.clip(grad, self.low, self.high)
        moved = v != 0.0
        low, high = self.form.params
        return float(np.sum(v[moved] * np.where(v[moved] > 0.0, high, low)))

    def first_order(self, w: np.ndarray, grad: np.ndarray, margin: np.ndarray) -> float:
        """The gap that slopes within the bounds would leave, to first order.

        Infinity where multiples of the residual may still become better points.
        """
        aim = self.targets(grad, margin)
        if self.form.kind == "l1" and np.any(np.abs(aim - grad) > _NEAR * margin):
            return math.inf  # better coefficients bring more
        value = self.form.value(w) if self.form.kind == "l1" else 0.0
        return value + float(w @ aim) + self.conjugate(aim)

    def margins(self, theta: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """What products with theta may differ by, with some room."""
        size = _ROOM * roundings(len(theta)) * float(np.linalg.norm(theta))
        return size * lengths

    def targets(self, grad: np.ndarray, margin: np.ndarray) -> np.ndarray:
        """The slopes, moved to within their bounds; to the middle of narrow ones."""
        low, high = self.low + margin, self.high - margin
        narrow = low > high
        low[narrow] = high[narrow] = 0.0
        return np.clip(grad, low, high)

    def point(
        self,
        datafit: Datafit,
        z: np.ndarray,
        theta: np.ndarray,
        grad: np.ndarray,
        margin: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """A feasible point near theta with its slopes, None if none is found."""
        design = datafit.design
        metric = np.sqrt(np.maximum(datafit.hessian(z), 0.0))
        moved = np.zeros(grad.size, dtype=bool)
        for _ in range(_ROUNDS):
            aim = self.targets(grad, margin)
            moved |= aim != grad
            at = np.flatnonzero(moved)
            if not at.size:
                break
            if design.n * at.size * min(design.n, at.size) > _WORK:
                return None
            step = _step(datafit, metric, at, (aim - grad)[at], float(theta.sum()))
            theta = theta + step
            inside = datafit.inside(theta)
            metric[inside != theta] = 0.0
            theta = inside
            if not math.isfinite(datafit.conjugate(theta)):
                return None
            grad = design.gradient(theta)
            if self._holds(datafit, theta, grad, margin):
                return theta, grad
        return None if moved.any() else (theta, grad)

    def _holds(
        self,
        datafit: Datafit,
        theta: np.ndarray,
        grad: np.ndarray,
        margin: np.ndarray,
    ) -> bool:
        half = margin / _ROOM  # rounding of the products here
        fits = np.abs(self.targets(grad, margin) - grad) <= half
        least = 1e-15 * float(np.abs(theta).sum())
        centred = not datafit.fit_intercept or abs(float(theta.sum())) <= least
        return bool(fits.all()) and centred


def _step(
    datafit: Datafit, metric: np.ndarray, at: np.ndarray, want: np.ndarray, total: float
) -> np.ndarray:
    """Least change in the metric that moves slopes by `want`, and the sum to 0."""
    A = datafit.design.columns(at)
    A = np.asarray(A.toarray() if sparse.issparse(A) else A, dtype=np.float64)
    if datafit.fit_intercept:
        A, want = np.column_stack([A, np.ones(len(A))]), np.append(want, -total)
    A = metric[:, None] * A
    unit = np.sqrt(np.einsum("ij,ij->j", A, A))
    unit = np.where(unit > 0.0, unit, 1.0)
    Q, R, order = qr(A / unit, mode="economic", pivoting=True, check_finite=False)
    sizes = np.abs(R.diagonal())
    rank = int(np.count_nonzero(sizes > _RANK * sizes.max(initial=0.0)))
    right = (want / unit)[order[:rank]]
    return metric * (Q[:, :rank] @ solve_triangular(R[:rank, :rank], right, trans="T"))
