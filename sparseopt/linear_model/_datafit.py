"""Smooth data-fitting terms: what solvers ask of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseopt._core._arrays import as_vector
from sparseopt.linear_model._design import Design


class Datafit:
    """Mean loss ``F(z) = sum_i s_i l(y_i, z_i)`` of predictions z.

    Predictions are ``z = X w + intercept``; the sample weights s are normalised to sum
    1.  A datafit holds data only: what an iteration changes is the solver's.

    Attributes
    ----------
    design : Design
        The samples.
    y : ndarray
        Targets, float64; shape (n,), or (n, n_outputs).
    s : ndarray of shape (n,)
        Sample weights of sum 1, float64.
    fit_intercept : bool
        Whether an unpenalised intercept is added.
    n_outputs : int
        Columns of the coefficients; 0 where they are a vector.
    curvature : float
        Largest second derivative of l, infinity if there is none.
    """

    n_outputs: int = 0
    curvature: float = math.inf

    def __init__(
        self, X: Any, y: Any, *, sample_weight: Any = None, fit_intercept: bool = False
    ) -> None:
        self.design = Design(X)
        self.y = self._targets(y)
        self.s = _sample_weights(sample_weight, self.design.n)
        self.fit_intercept = bool(fit_intercept)

    def _targets(self, y: Any) -> np.ndarray:
        return as_vector(y, "y", self.design.n).astype(np.float64)

    def value(self, z: np.ndarray) -> float:
        """F(z)."""
        raise NotImplementedError

    def gradient(self, z: np.ndarray) -> np.ndarray:
        """Derivatives of F with respect to z, float64, of z's shape."""
        raise NotImplementedError

    def hessian(self, z: np.ndarray) -> np.ndarray:
        """Diagonal of the second derivative of F, or an upper bound of it."""
        raise NotImplementedError

    def conjugate(self, theta: np.ndarray) -> float:
        """``sup_z <theta, z> - F(z)``; infinity outside the domain."""
        raise NotImplementedError

    def lipschitz(self) -> float:
        """Estimate, from below, of the Lipschitz constant of the gradient in w."""
        return self.curvature * self.design.square_norm(
            self.s, centred=self.fit_intercept
        )


class LeastSquares(Datafit):
    """Squared error ``l(y, z) = (y - z)^2 / 2``."""

    curvature = 1.0

    def value(self, z: np.ndarray) -> float:
        r = z - self.y
        return 0.5 * float(r @ (self.s * r))

    def gradient(self, z: np.ndarray) -> np.ndarray:
        return self.s * (z - self.y)

    def hessian(self, z: np.ndarray) -> np.ndarray:
        return self.s

    def conjugate(self, theta: np.ndarray) -> float:
        inside = self.s > 0
        if np.any(theta[~inside]):
            return math.inf
        theta, s = theta[inside], self.s[inside]
        return float(theta @ self.y[inside]) + 0.5 * float(theta @ (theta / s))


def _sample_weights(weights: Any, n: int) -> np.ndarray:
    if weights is None:
        return np.full(n, 1.0 / n)
    array = as_vector(weights, "sample_weight", n).astype(np.float64)
    if array.min() < 0 or not array.sum() > 0:
        raise ValueError(
            "The 'sample_weight' array must not be negative, with a positive sum. "
            f"Got a minimum of {array.min()} and a sum of {array.sum()}."
        )
    return array / array.sum()
