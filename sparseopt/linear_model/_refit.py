"""Fits of few features: least squares by QR, other losses by Newton's method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg, sparse

from sparseopt.linear_model._datafit import Datafit, curvatures

_NEWTON = 100
_RANK = 1e-12
# Inverse of the condition number above which columns are surely independent.
_SURE = 1e-9
# Ridge on Newton's matrix, relative to its diagonal: for columns that depend.
_FLAT = 1e-13


class Fit(NamedTuple):
    """Coefficients on some features.

    Attributes
    ----------
    w : ndarray of shape (p,)
        Coefficients, zero elsewhere.
    intercept : float
        Intercept.
    z : ndarray of shape (n,)
        Predictions.
    objective : float
        F, and half the ridge.
    """

    w: np.ndarray
    intercept: float
    z: np.ndarray
    objective: float


def refit(
    datafit: Datafit,
    at: np.ndarray,
    ridge: np.ndarray | float = 0.0,
    expired: Callable[[], bool] = lambda: False,
) -> Fit:
    """Minimise ``F + sum_j ridge_j w_j^2 / 2`` over the coefficients of features `at`.

    `ridge` is a number, or one for each of them.  Newton's method ends once the time
    is over.
    """
    A = datafit.design.X[:, at]
    A = np.asarray(A.toarray() if sparse.issparse(A) else A, dtype=np.float64)
    weight = np.broadcast_to(np.asarray(ridge, dtype=np.float64), at.size)
    # powers of two change no digits; squares of what is left do not overflow
    unit = np.exp2(np.frexp(np.abs(A).max(axis=0, initial=0.0))[1].astype(np.float64))
    A = A / unit
    mean = datafit.s @ A if datafit.fit_intercept else np.zeros(at.size)
    A = A - mean
    if datafit.fit_intercept and at.size:
        # what rounding leaves of constant columns is none
        A[:, np.ptp(A[datafit.s > 0.0], axis=0) == 0.0] = 0.0
    weight = weight / unit / unit
    if datafit.is_quadratic:
        coef, level = _least_squares(datafit, A, weight)
    else:
        coef, level = _newton(datafit, A, weight, expired)
    w = np.zeros(datafit.design.p)
    w[at] = coef / unit
    z = A @ coef + level
    objective = datafit.value(z) + 0.5 * float(weight @ coef**2)
    return Fit(w, float(level - mean @ coef), z, objective)


def _least_squares(datafit, A, weight):
    root = np.sqrt(datafit.s)
    level = float(datafit.s @ datafit.y) if datafit.fit_intercept else 0.0
    lengths = np.sqrt(np.einsum("i,ij,ij->j", datafit.s, A, A) + weight)
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0.0)
    left = (root[:, None] * A) * scale
    right = root * (datafit.y - level)
    if weight.any():
        left = np.vstack([left, np.diag(np.sqrt(weight) * scale)])
        right = np.append(right, np.zeros(weight.size))
    if not left.size:
        return np.zeros(0), level
    return _solve_least(left, right) * scale, level


def _solve_least(left, right):
    """Least squares of least length; without pivots, which are slow, if none matter."""
    k = left.shape[1]
    if k <= left.shape[0]:
        R: Any = np.linalg.qr(np.column_stack([left, right]), mode="r")
        if k and linalg.lapack.dtrcon(R[:k, :k])[0] > _SURE:
            return linalg.solve_triangular(R[:k, :k], R[:k, k])
    return linalg.lstsq(left, right, cond=_RANK, lapack_driver="gelsy")[0]


def _newton(datafit, A, weight, expired):
    """Damped Newton steps for the coefficients and the level of the predictions."""
    free = int(datafit.fit_intercept)
    B = np.hstack([A, np.ones((A.shape[0], free))])
    ridge = np.append(weight, np.zeros(free))
    x = np.zeros(B.shape[1])
    if free:
        x[-1] = datafit.shift(np.zeros(A.shape[0]))

    def objective(x):
        return datafit.value(B @ x) + 0.5 * float(ridge @ x**2)

    value = objective(x)
    for _ in range(_NEWTON if x.size else 0):
        z = B @ x
        grad = B.T @ datafit.gradient(z) + ridge * x
        H = B.T @ (curvatures(datafit, z)[:, None] * B) + np.diag(ridge)
        H.flat[:: x.size + 1] += _FLAT * np.trace(H) / x.size + 1e-300
        step = -_solve(H, grad)
        slope, length = float(grad @ step), 1.0
        if not slope < 0.0:
            break
        while length > 1e-10:
            new = objective(x + length * step)
            if new <= value + 1e-4 * length * slope:
                break
            length *= 0.5
        else:
            break
        x = x + length * step
        fall, value = value - new, new
        if fall <= 1e-16 * abs(value) + 1e-300 or expired():
            break
    return x[: x.size - free], float(x[-1]) if free else 0.0


def _solve(H, grad):
    """Newton's equations; by singular values where there is no factor."""
    try:
        factor = linalg.cho_factor(H, lower=True, check_finite=False)
        return linalg.cho_solve(factor, grad, check_finite=False)
    except linalg.LinAlgError:
        return linalg.lstsq(H, grad, cond=1e-15)[0]
