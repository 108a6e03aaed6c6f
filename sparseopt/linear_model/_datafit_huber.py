"""Huber's loss."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from sparseopt._core._params import Interval, check_params
from sparseopt.linear_model._datafit import Datafit, with_squares

# Rounding of dual points, relative: what their bounds may be violated by.
_SLACK = 1e-13


class Huber(Datafit):
    """Huber's loss: squares up to `delta`, linear beyond.

    ``l(y, z) = r^2 / 2`` for ``r = y - z`` up to `delta` in size, else
    ``delta |r| - delta^2 / 2``.

    Parameters
    ----------
    X : array-like, sparse matrix or LinearOperator of shape (n, p)
        Samples; never modified, sparse ones never made dense.
    y : array-like of shape (n,)
        Targets.
    delta : float, default=1.0
        Residual from which the loss is linear, in units of `y`.
    sample_weight : array-like of shape (n,), optional
        Weights of the samples, not negative; they are divided by their sum.
    fit_intercept : bool, default=False
        Whether an unpenalised intercept is added.

    References
    ----------
    .. [1] P. J. Huber, "Robust Estimation of a Location Parameter", Annals of
       Mathematical Statistics 35, 1964, Section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import Huber
    >>> Huber([[1.0], [2.0]], [1.0, 3.0], delta=1.0).value(np.zeros(2))
    1.5
    """

    curvature = 1.0

    def __init__(
        self,
        X: Any,
        y: Any,
        delta: float = 1.0,
        *,
        sample_weight: Any = None,
        fit_intercept: bool = False,
    ) -> None:
        check_params(
            type(self), {"delta": [Interval(0, None, closed="neither")]},
            {"delta": delta},
        )  # fmt: skip
        self.delta = self.width = float(delta)
        super().__init__(X, y, sample_weight=sample_weight, fit_intercept=fit_intercept)

    def _targets(self, y: Any) -> np.ndarray:
        return with_squares(super()._targets(y))

    def value(self, z: np.ndarray) -> float:
        r = np.abs(z - self.y)
        near = np.minimum(r, self.delta)
        return float(self.s @ (near * (r - 0.5 * near)))

    def gradient(self, z: np.ndarray) -> np.ndarray:
        return self.s * np.clip(z - self.y, -self.delta, self.delta)

    def hessian(self, z: np.ndarray) -> np.ndarray:
        return self.s * (np.abs(z - self.y) <= self.delta)

    def widened(self, width: float) -> Huber:
        other = copy.copy(self)
        other.delta = other.width = width
        # not of sum 1: slopes beyond the width stay as they are
        other.s = self.s * (self.delta / width)
        return other

    def secant(self, z: np.ndarray) -> np.ndarray:
        return self.s * (self.delta / np.maximum(np.abs(z - self.y), self.delta))

    def conjugate(self, theta: np.ndarray) -> float:
        inside = self.s > 0
        if np.any(theta[~inside]):
            return math.inf
        s, part = self.s[inside], theta[inside]
        if np.any(np.abs(part) > s * self.delta * (1.0 + _SLACK)):
            return math.inf
        return float(part @ self.y[inside]) + 0.5 * float(part @ (part / s))

    def inside(self, theta: np.ndarray) -> np.ndarray:
        return np.clip(theta, -self.s * self.delta, self.s * self.delta)

    def shift(self, z: np.ndarray) -> float:
        shift = 0.0
        if 2.0 * float(self.hessian(z).sum()) < float(self.s.sum()):
            shift = self._root(self.y - z)  # in the tails Newton steps are too short
        return shift + super().shift(z + shift)

    def _root(self, u: np.ndarray) -> float:
        """Where the sum of ``s clip(b - u, -delta, delta)`` over the samples vanishes.

        It is linear between its kinks, which are sorted.
        """
        kinks = np.concatenate([u - self.delta, u + self.delta])
        order = np.argsort(kinks, kind="stable")
        kinks = kinks[order]
        slopes = np.cumsum(np.concatenate([self.s, -self.s])[order])
        rises = np.cumsum(slopes[:-1] * np.diff(kinks))
        sums = np.append(0.0, rises) - self.delta * float(self.s.sum())
        k = int(np.searchsorted(sums, 0.0))
        if 0 < k < sums.size and slopes[k - 1] > 0.0:
            return float(max(kinks[k] - sums[k] / slopes[k - 1], kinks[k - 1]))
        return float(kinks[min(k, sums.size - 1)])

    def scale(self) -> float:
        return max(super().scale(), 1e-30 * self.value(np.zeros(self.design.n)))
