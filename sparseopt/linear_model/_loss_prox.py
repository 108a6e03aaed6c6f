"""Proximal operators of losses, sample by sample, for solvers that split."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, wrightomega

from sparseopt.linear_model._datafit import Datafit, LeastSquares, Logistic
from sparseopt.linear_model._datafit_huber import Huber
from sparseopt.linear_model._datafit_rates import Gamma, Poisson
from sparseopt.linear_model._datafits_more import Multinomial


def known(datafit: Datafit) -> bool:
    """Whether the loss has a proximal operator here."""
    return type(datafit) in _PROX


def loss_prox(datafit: Datafit, c: np.ndarray, rho: float) -> np.ndarray:
    """Minimiser over z of ``l(y_i, z_i) + rho |z_i - c_i|^2 / 2`` for each sample."""
    return _PROX[type(datafit)](datafit, c, rho)


def _squares(datafit: Any, c: np.ndarray, rho: float) -> np.ndarray:
    return (datafit.y + rho * c) / (1.0 + rho)


def _huber(datafit: Any, c: np.ndarray, rho: float) -> np.ndarray:
    r = c - datafit.y
    near = datafit.y + r * (rho / (1.0 + rho))
    far = c - np.copysign(datafit.delta / rho, r)
    return np.where(np.abs(r) <= datafit.delta * (1.0 + 1.0 / rho), near, far)


def _logistic(datafit: Any, c: np.ndarray, rho: float) -> np.ndarray:
    """Newton's method for ``rho (u - d) = sigma(-u)``, u and d in units of y.

    The slope of sigma bends at 0, and the root is in [d, d + 1 / rho].  From 0, or the
    bound between it and the root, all steps go towards the root and none beyond.
    """
    d = datafit.y * c
    u = np.where(rho * d > -0.5, np.maximum(d, 0.0), np.minimum(d + 1.0 / rho, 0.0))
    for _ in range(100):
        p = expit(-u)
        step = (rho * (u - d) - p) / (rho + p * (1.0 - p))
        u = u - step
        # the next error is about the square of this step
        if np.all(np.abs(step) <= 1e-8 * (1.0 + np.abs(u))):
            break
    return datafit.y * u


def _poisson(datafit: Any, c: np.ndarray, rho: float) -> np.ndarray:
    offset = 0.0 if datafit.offset is None else datafit.offset
    q = c + datafit.y / rho
    return q - wrightomega(q + offset - np.log(rho)).real


def _gamma(datafit: Any, c: np.ndarray, rho: float) -> np.ndarray:
    offset = 0.0 if datafit.offset is None else datafit.offset
    q = c - 1.0 / rho
    return q + wrightomega(np.log(datafit.y) - offset - q - np.log(rho)).real


def _multinomial(datafit: Any, c: np.ndarray, rho: float) -> np.ndarray:
    """Damped Newton's method in each row; the matrix is diagonal minus rank one."""
    y = datafit.y
    z = c + (y - datafit.probabilities(c)) / (rho + 0.5)

    def value(z: np.ndarray) -> np.ndarray:
        top = z.max(axis=1, keepdims=True)
        loss = np.log(np.exp(z - top).sum(axis=1)) + top[:, 0] - (y * z).sum(axis=1)
        return loss + 0.5 * rho * ((z - c) ** 2).sum(axis=1)

    for _ in range(50):
        p = datafit.probabilities(z)
        slope = p - y + rho * (z - c)
        diagonal = p + rho
        g, v = slope / diagonal, p / diagonal
        inner = (p * g).sum(axis=1) / (1.0 - (p * v).sum(axis=1))
        step = g + v * inner[:, None]
        decrement = (slope * step).sum(axis=1)
        t = np.ones(len(z))
        old = value(z)
        for _ in range(30):
            short = value(z - t[:, None] * step) > old - 0.25 * t * decrement
            short &= decrement > 1e-14 * (1.0 + np.abs(old))  # else rounding decides
            if not short.any():
                break
            t[short] *= 0.5
        z = z - t[:, None] * step
        if np.abs(step).max() <= 1e-9 * (1.0 + np.abs(z).max()):
            break
    return z


_PROX: dict[type, Any] = {
    LeastSquares: _squares,
    Huber: _huber,
    Logistic: _logistic,
    Poisson: _poisson,
    Gamma: _gamma,
    Multinomial: _multinomial,
}
