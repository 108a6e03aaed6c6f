"""Optimality certificates of composite problems."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
    datafit: Datafit, penalty: Penalty, theta: np.ndarray, grad: np.ndarray
) -> tuple[float, np.ndarray]:
    """Dual value and feasible point from ``theta = F'(z)`` and ``grad = X' theta``.

    The dual of ``min F(Xw + b) + P(w)`` is the maximum over theta, of sum zero where
    there is an intercept, of ``-F*(theta) - P*(-X' theta)``.  The residual of a primal
    point is scaled: down to where the conjugate is finite, and for quadratic losses
    with the best factor if P* is an indicator or quadratic.
    """
    scale = _safe_scale(penalty, grad)
    tries = [scale]
    if datafit.is_quadratic:
        tries.append(_best_scale(datafit, penalty, theta, grad, scale))
    values = [_dual_value(datafit, penalty, theta, grad, t) for t in tries]
    best = int(np.argmax(values))
    return values[best], tries[best] * theta


def _best_scale(datafit, penalty, theta, grad, scale) -> float:
    """Maximiser of the dual on the ray of theta if P* is 0 or quadratic on it."""
    inside = datafit.s > 0
    part = theta[inside]
    linear = float(np.vdot(part, datafit.y[inside]))
    s = datafit.s[inside].reshape(-1, *[1] * (theta.ndim - 1))
    square = float(np.vdot(part, part / s))
    if scale > 0.0:
        square += 2.0 * penalty.conjugate(-scale * grad) / scale**2
    if not 0.0 < square < math.inf:
        return 0.0
    # dual_scale answers in [0, 1]; beyond one the ray may go on
    best = max(0.0, -linear / square)
    if best > 1.0:
        best *= _safe_scale(penalty, best * grad)
        return best
    return min(best, scale) if scale < 1.0 else best


def _safe_scale(penalty, grad) -> float:
    """Scale after whose rounding the conjugate is finite."""
    scale = float(penalty.dual_scale(-grad))
    for less in (0.0, 5e-16, 1e-14, 1e-12):
        if math.isfinite(penalty.conjugate((less - 1.0) * scale * grad)):
            return (1.0 - less) * scale
    return 0.0


def _dual_value(datafit, penalty, theta, grad, scale) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        value = -datafit.conjugate(scale * theta) - penalty.conjugate(-scale * grad)
    return value if value == value else -math.inf


def stationarity(penalty: Penalty, w: np.ndarray, grad: np.ndarray) -> float:
    """Largest distance of ``-grad`` to the subdifferential over the blocks."""
    return float(np.max(penalty.subdiff_distance(w, grad), initial=0.0))


def has_conjugate(penalty: Penalty, shape: tuple[int, ...]) -> bool:
    """Whether a duality gap can be computed that vanishes at the optimum."""
    if not penalty.is_convex:
        return False
    try:
        zero = np.zeros(shape)
        penalty.conjugate(zero)
        # zero must be inside the domain, or no residual can be scaled into it
        return all(penalty.dual_scale(zero + sign) > 0.0 for sign in (-1.0, 1.0))
    except NotImplementedError:
        return False
