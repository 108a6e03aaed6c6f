"""Deviances of positive rates ``exp(z)``: Poisson, Gamma and Tweedie."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import xlogy

from sparseopt._core._arrays import as_vector
from sparseopt._core._params import Interval, check_params
from sparseopt.linear_model._datafit import Datafit

# Least unit of the gap of a loss that cancels, relative to its terms.
_LEAST_SHARE = 1e-6


class Rates(Datafit):
    """Half a unit deviance of rates ``exp(z + offset)``, of variance ``rate^power``.

    Its derivative is ``exp((2 - power) u) - y exp((1 - power) u)`` at
    ``u = z + offset``.
    """

    power: float

    def __init__(
        self,
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        fit_intercept: bool = False,
        offset: Any = None,
        exposure: Any = None,
    ) -> None:
        self._given_offset = offset, exposure
        super().__init__(X, y, sample_weight=sample_weight, fit_intercept=fit_intercept)

    def _targets(self, y: Any) -> np.ndarray:
        y = super()._targets(y)
        name = type(self).__name__
        if y.min() < 0 or (y.min() == 0 and self.power >= 2):
            must = "be positive" if self.power >= 2 else "not be negative"
            raise ValueError(
                f"The 'y' array must {must} for {name}. Got a minimum of {y.min():.6g}."
            )
        if not self.s @ y > 0:
            raise ValueError(
                "The 'y' array must have a positive entry with a positive weight for "
                f"{name}. Got a weighted sum of {self.s @ y}."
            )
        self.offset = joint_offset(*self._given_offset, self.design.n)
        del self._given_offset
        self._base = self._constant(y)
        return y

    def _constant(self, y: np.ndarray) -> float:
        """What F has besides terms of z."""
        raise NotImplementedError

    def _terms(self) -> np.ndarray:
        """Sizes of what cancels in F at zero."""
        raise NotImplementedError

    def _moved(self, z: np.ndarray) -> np.ndarray:
        """Logarithms of the rates."""
        return z if self.offset is None else z + self.offset

    def gradient(self, z: np.ndarray) -> np.ndarray:
        u, p = self._moved(z), self.power
        with np.errstate(over="ignore"):
            return self.s * (np.exp((2.0 - p) * u) - self.y * np.exp((1.0 - p) * u))

    def hessian(self, z: np.ndarray) -> np.ndarray:
        u, p = self._moved(z), self.power
        with np.errstate(over="ignore"):
            right = (2.0 - p) * np.exp((2.0 - p) * u) if p < 2.0 else 0.0
            left = (p - 1.0) * self.y * np.exp((1.0 - p) * u) if p > 1.0 else 0.0
            return self.s * (right + left)

    def conjugate(self, theta: np.ndarray) -> float:
        inside = self.s > 0
        if np.any(theta[~inside]):
            return math.inf
        s = self.s[inside]
        value = float(s @ self._conjugate(theta[inside] / s, self.y[inside]))
        if self.offset is not None and value < math.inf:
            value -= float(theta @ self.offset)
        return value - self._base

    def _conjugate(self, slope: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Conjugates of the terms of z of single samples, without offset."""
        raise NotImplementedError

    def shift(self, z: np.ndarray) -> float:
        u, p = self._moved(z), self.power
        inside = self.s > 0
        u, s, y = u[inside], self.s[inside], self.y[inside]
        return _log_mean(s * y, (1.0 - p) * u) - _log_mean(s, (2.0 - p) * u)

    def scale(self) -> float:
        terms = self._terms()
        if self.offset is not None:  # rates of one are no middle any more
            z = self.zero()
            z = z + self.shift(z) if self.fit_intercept else z
            u, p = self._moved(z), self.power
            with np.errstate(over="ignore"):
                terms = terms + np.exp((2.0 - p) * u) + self.y * np.exp((1.0 - p) * u)
        return max(super().scale(), _LEAST_SHARE * float(self.s @ terms))


class Poisson(Rates):
    """Half the Poisson deviance, ``l(y, u) = exp(u) - y u + y log(y) - y``.

    The rate of a sample is ``exp(u)``, ``u = z + offset + log(exposure)``.  The loss
    has no bounded second derivative, so solvers have to search for their steps.

    Parameters
    ----------
    X : array-like, sparse matrix or LinearOperator of shape (n, p)
        Samples; never modified, sparse ones never made dense.
    y : array-like of shape (n,)
        Counts, not negative, with a positive sum; or rates with exposures as weights,
        which gives the same coefficients.
    sample_weight : array-like of shape (n,), optional
        Weights of the samples, not negative; they are divided by their sum.
    fit_intercept : bool, default=False
        Whether an unpenalised intercept is added.
    offset : array-like of shape (n,), optional
        Added to the predictions z.
    exposure : array-like of shape (n,), optional
        Positive times, areas or populations in which y was counted: their logarithms
        are added to the predictions.

    Attributes
    ----------
    offset : ndarray of shape (n,) or None
        What is added to the predictions, exposures included.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import Poisson
    >>> datafit = Poisson([[1.0], [2.0]], [1, 1])
    >>> datafit.value(np.zeros(2))
    0.0
    >>> counts = Poisson([[1.0], [2.0]], [3, 5], exposure=[3, 5])
    >>> bool(abs(counts.value(np.zeros(2))) < 1e-12)
    True
    """

    power = 1.0

    def _constant(self, y: np.ndarray) -> float:
        return float(self.s @ (xlogy(y, y) - y))

    def _terms(self) -> np.ndarray:
        return np.abs(xlogy(self.y, self.y)) + self.y

    def value(self, z: np.ndarray) -> float:
        u = self._moved(z)
        with np.errstate(over="ignore"):
            return float(self.s @ (np.exp(u) - self.y * u)) + self._base

    def _conjugate(self, slope: np.ndarray, y: np.ndarray) -> np.ndarray:
        rate = y + slope
        if rate.min(initial=0.0) < 0.0:
            return np.full(len(y), math.inf)
        return xlogy(rate, rate) - rate


class Gamma(Rates):
    """Half the Gamma deviance, ``l(y, u) = y exp(-u) + u - log(y) - 1``.

    For positive amounts whose standard deviation grows with their mean ``exp(u)``,
    ``u = z + offset + log(exposure)``: claims, times, incomes.

    Parameters
    ----------
    X : array-like, sparse matrix or LinearOperator of shape (n, p)
        Samples; never modified, sparse ones never made dense.
    y : array-like of shape (n,)
        Amounts, positive.
    sample_weight : array-like of shape (n,), optional
        Weights of the samples, not negative; they are divided by their sum.
    fit_intercept : bool, default=False
        Whether an unpenalised intercept is added.
    offset : array-like of shape (n,), optional
        Added to the predictions z.
    exposure : array-like of shape (n,), optional
        Positive; the logarithms are added to the predictions.

    Attributes
    ----------
    offset : ndarray of shape (n,) or None
        What is added to the predictions, exposures included.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import Gamma
    >>> datafit = Gamma([[1.0], [2.0]], [1.0, 2.0], fit_intercept=True)
    >>> bool(np.isclose(np.exp(datafit.shift(np.zeros(2))), 1.5))
    True
    """

    power = 2.0

    def _constant(self, y: np.ndarray) -> float:
        return -float(self.s @ (np.log(y) + 1.0))

    def _terms(self) -> np.ndarray:
        return 1.0 + np.abs(np.log(self.y))

    def value(self, z: np.ndarray) -> float:
        u = self._moved(z)
        with np.errstate(over="ignore"):
            return float(self.s @ (self.y * np.exp(-u) + u)) + self._base

    def _conjugate(self, slope: np.ndarray, y: np.ndarray) -> np.ndarray:
        ratio = 1.0 - slope  # of the amount to its rate
        if ratio.min(initial=0.0) < 0.0:
            return np.full(len(y), math.inf)
        return xlogy(ratio, ratio) - ratio * (np.log(y) + 1.0)


class Tweedie(Rates):
    """Half the Tweedie deviance of a power between Poisson's (1) and Gamma's (2).

    For sums of a random number of amounts, many of them zero: insurance claims by
    contract, rain by day.  The variance grows with ``rate^power``, the rate is
    ``exp(u)``, ``u = z + offset + log(exposure)``, and the loss
    ``exp((2 - p) u) / (2 - p) + y exp((1 - p) u) / (p - 1)`` and a constant.

    Parameters
    ----------
    X : array-like, sparse matrix or LinearOperator of shape (n, p)
        Samples; never modified, sparse ones never made dense.
    y : array-like of shape (n,)
        Amounts, not negative, with a positive sum.
    power : float, default=1.5
        Power of the variance, more than 1 and less than 2.
    sample_weight : array-like of shape (n,), optional
        Weights of the samples, not negative; they are divided by their sum.
    fit_intercept : bool, default=False
        Whether an unpenalised intercept is added.
    offset : array-like of shape (n,), optional
        Added to the predictions z.
    exposure : array-like of shape (n,), optional
        Positive; the logarithms are added to the predictions.

    Attributes
    ----------
    offset : ndarray of shape (n,) or None
        What is added to the predictions, exposures included.
    power : float
        Power of the variance.

    Notes
    -----
    The conjugate needs the root v of ``v - t v^(power - 1) = y`` for each sample, which
    Newton's method finds from one side.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import Tweedie
    >>> datafit = Tweedie([[1.0], [2.0]], [0.0, 2.0], 1.3, fit_intercept=True)
    >>> bool(np.isclose(np.exp(datafit.shift(np.zeros(2))), 1.0))
    True
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        power: float = 1.5,
        *,
        sample_weight: Any = None,
        fit_intercept: bool = False,
        offset: Any = None,
        exposure: Any = None,
    ) -> None:
        check_params(type(self), POWER, {"power": power})
        self.power = float(power)
        super().__init__(
            X,
            y,
            sample_weight=sample_weight,
            fit_intercept=fit_intercept,
            offset=offset,
            exposure=exposure,
        )

    def _constant(self, y: np.ndarray) -> float:
        p = self.power
        return -float(self.s @ y ** (2.0 - p)) / ((2.0 - p) * (p - 1.0))

    def _terms(self) -> np.ndarray:
        p = self.power
        return self.y ** (2.0 - p) / ((2.0 - p) * (p - 1.0))

    def value(self, z: np.ndarray) -> float:
        u, p = self._moved(z), self.power
        with np.errstate(over="ignore"):
            terms = np.exp((2.0 - p) * u) / (2.0 - p)
            terms += self.y * np.exp((1.0 - p) * u) / (p - 1.0)
        return float(self.s @ terms) + self._base

    def _conjugate(self, slope: np.ndarray, y: np.ndarray) -> np.ndarray:
        p = self.power
        if np.any(slope[y == 0.0] < 0.0):
            return np.full(len(y), math.inf)
        rate = np.where(y > 0.0, 1.0, np.maximum(slope, 0.0) ** (1.0 / (2.0 - p)))
        some = y > 0.0
        rate[some] = _tweedie_rate(slope[some], y[some], p - 1.0)
        right = rate ** (2.0 - p) / (2.0 - p)
        out = -right
        with np.errstate(divide="ignore"):
            left = y[some] * rate[some] ** (1.0 - p) / (p - 1.0)
            out[some] += slope[some] * np.log(rate[some]) - left
        none = ~some & (slope > 0.0)
        out[none] += slope[none] * np.log(rate[none])
        return out


POWER = {"power": [Interval(1, 2, closed="neither")]}


def joint_offset(offset: Any, exposure: Any, n: int) -> np.ndarray | None:
    """Offset plus the logarithm of the exposure; None where there is neither."""
    total = None
    if offset is not None:
        total = as_vector(offset, "offset", n).astype(np.float64)
    if exposure is not None:
        times = as_vector(exposure, "exposure", n).astype(np.float64)
        if times.min() <= 0:
            raise ValueError(
                "The 'exposure' array must be positive. "
                f"Got a minimum of {times.min():.6g}."
            )
        total = np.log(times) if total is None else total + np.log(times)
    return total


def _log_mean(weights: np.ndarray, u: np.ndarray) -> float:
    """Logarithm of ``weights' exp(u)``."""
    top = float(u.max())
    return math.log(weights @ np.exp(u - top)) + top


def _tweedie_rate(t: np.ndarray, y: np.ndarray, a: float) -> np.ndarray:
    """Root v of ``v - t v^a = y``, for positive y and a in (0, 1).

    For positive t the left side is convex beyond its minimum, and the start lies above
    the root; for others it is concave and rises, and the start lies below: Newton's
    steps go towards the root and none beyond.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        above = (2.0 * np.maximum(t, 0.0)) ** (1.0 / (1.0 - a)) + 2.0 * y
        below = np.minimum(0.5 * y, (y / (2.0 * np.abs(t))) ** (1.0 / a))
        v = np.maximum(np.where(t > 0.0, above, below), 1e-300)
        for _ in range(100):
            power = v**a
            step = (v - t * power - y) / (1.0 - a * t * power / v)
            v = np.maximum(v - step, 1e-300)
            if np.all(np.abs(step) <= 1e-15 * v):
                break
    return v
