"""Optimality certificates of composite problems."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.linear_model._datafit import Datafit
from sparseopt.prox import Penalty


@dataclass(frozen=True)
class Certificate:
    """How far a point is from optimal, measured at its best intercept.

    Attributes
    ----------
    objective : float
        F + P.
    residual : float
        The quantity that the tolerance bounds: relative gap, or relative distance to
        stationarity where there is no gap.
    gap : float or None
        Objective minus the dual value.
    dual_value : float
        Lower bound of the optimum, -infinity if none is known.
    dual : ndarray or None
        The dual feasible point of that value.
    """

    objective: float
    residual: float
    gap: float | None
    dual_value: float
    dual: np.ndarray | None


def dual_point(
    datafit: Datafit,
    penalty: Penalty,
    theta: np.ndarray,
    grad: np.ndarray,
    margin: float = 0.0,
) -> tuple[float, np.ndarray]:
    """Dual value and feasible point from ``theta = F'(z)`` and ``grad = X' theta``.

    The dual of ``min F(Xw + b) + P(w)`` is the maximum over theta, of sum zero where
    there is an intercept, of ``-F*(theta) - P*(-X' theta)``.  The residual of a primal
    point is scaled: down to where the conjugate is finite, and for quadratic losses
    with the best factor if P* is an indicator or quadratic.  `margin`, of `margin_of`,
    keeps it feasible for other products with X.
    """
    longest = float(penalty.dual_scale(-grad))
    scale = _inward(longest, theta, margin)
    if scale > 0.0 and not math.isfinite(datafit.conjugate(scale * theta)):
        scale = _inside(datafit, theta, scale)
    bound = penalty.conjugate(-scale * grad) if scale > 0.0 else 0.0
    value = -bound - datafit.conjugate(scale * theta)
    best, best_scale = (value, scale) if value == value else (-math.inf, 0.0)
    if datafit.is_quadratic:
        other = _best_scale(datafit, theta, scale, bound)
        if other > scale and longest == 1.0 < other:  # the ray may go on beyond 1
            longest = other * float(penalty.dual_scale(-other * grad))
            other = _inward(longest, theta, margin)
        elif other > scale:
            other = scale
        # an indicator is zero on the whole ray
        inside = bound == 0.0 and 0.0 <= other <= scale
        bound = 0.0 if inside else penalty.conjugate(-other * grad)
        value = -bound - datafit.conjugate(other * theta)
        if value > best:
            best, best_scale = value, other
    return best, best_scale * theta


def _inside(datafit: Datafit, theta: np.ndarray, top: float) -> float:
    """Largest factor up to `top`, nearly, that is in the domain of the conjugate.

    Residuals are inside; points that were made orthogonal to columns may not be.
    """
    low, high = 0.0, top
    for _ in range(50):
        middle = 0.5 * (low + high)
        if math.isfinite(datafit.conjugate(middle * theta)):
            low = middle
        else:
            high = middle
    return low


def _inward(scale: float, theta: np.ndarray, margin: float) -> float:
    """A factor of theta, less the share that its margin takes."""
    return scale * (1.0 - min(0.5, scale * margin * float(np.linalg.norm(theta))))


def _best_scale(datafit: Any, theta: np.ndarray, scale: float, bound: float) -> float:
    """Maximiser of the dual on the ray of theta if P* is 0 or quadratic on it."""
    inside = datafit.s > 0
    part = theta[inside]
    linear = float(np.vdot(part, datafit.y[inside]))
    s = datafit.s[inside].reshape(-1, *[1] * (theta.ndim - 1))
    square = float(np.vdot(part, part / s))
    if scale > 0.0:
        square += 2.0 * bound / scale / scale  # its square may be 0
    return max(0.0, -linear / square) if 0.0 < square < math.inf else 0.0


def stationarity(penalty: Penalty, w: np.ndarray, grad: np.ndarray) -> float:
    """Largest distance of ``-grad`` to the subdifferential over the blocks."""
    return float(np.max(penalty.subdiff_distance(w, grad), initial=0.0))


def has_conjugate(
    penalty: Penalty, shape: tuple[int, ...], seen: np.ndarray | None = None
) -> bool:
    """Whether a duality gap can be computed that vanishes at the optimum.

    Of a penalty that leaves coefficients free, those that it sees are given.
    """
    if not penalty.is_convex:
        return False
    try:
        zero = np.zeros(shape)
        penalty.conjugate(zero)
        # zero must be inside the domain, or no residual can be scaled into it
        ones = np.ones(shape) if seen is None else seen.astype(np.float64)
        return all(penalty.dual_scale(zero + sign * ones) > 0.0 for sign in (-1, 1))
    except NotImplementedError:
        return False
