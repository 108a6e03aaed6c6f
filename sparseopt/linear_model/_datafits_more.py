"""Smooth data-fitting terms beyond squares and two classes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import xlogy

from sparseopt._core._arrays import as_floats, as_vector, check_finite
from sparseopt.linear_model._datafit import Datafit

# Rounding of sums of targets, relative: what a constraint may be violated by.
_SLACK = 1e-13
# Least unit of the gap of a loss that cancels, relative to its terms.
_LEAST_SHARE = 1e-6


class Poisson(Datafit):
    """Half the Poisson deviance, ``l(y, z) = exp(z) - y z + y log(y) - y``.

    The rate of a sample is ``exp(z)``.  The loss has no bounded second derivative, so
    solvers have to search for their steps.

    Parameters
    ----------
    X : array-like, sparse matrix or LinearOperator of shape (n, p)
        Samples; never modified, sparse ones never made dense.
    y : array-like of shape (n,)
        Counts, or rates with exposures as weights; not negative, with a positive sum.
    sample_weight : array-like of shape (n,), optional
        Weights of the samples, not negative; they are divided by their sum.
    fit_intercept : bool, default=False
        Whether an unpenalised intercept is added.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import Poisson
    >>> datafit = Poisson([[1.0], [2.0]], [1, 1])
    >>> datafit.value(np.zeros(2))
    0.0
    """

    def _targets(self, y: Any) -> np.ndarray:
        y = super()._targets(y)
        if y.min() < 0:
            raise ValueError(
                "The 'y' array must not be negative for Poisson. "
                f"Got a minimum of {y.min():.6g}."
            )
        if not self.s @ y > 0:
            raise ValueError(
                "The 'y' array must have a positive entry with a positive weight for "
                f"Poisson. Got a weighted sum of {self.s @ y}."
            )
        self._base = float(self.s @ (xlogy(y, y) - y))
        return y

    def value(self, z: np.ndarray) -> float:
        with np.errstate(over="ignore"):
            return float(self.s @ (np.exp(z) - self.y * z)) + self._base

    def gradient(self, z: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return self.s * (np.exp(z) - self.y)

    def hessian(self, z: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return self.s * np.exp(z)

    def conjugate(self, theta: np.ndarray) -> float:
        inside = self.s > 0
        if np.any(theta[~inside]):
            return math.inf
        s = self.s[inside]
        rate = self.y[inside] + theta[inside] / s
        if rate.min() < 0.0:
            return math.inf
        return float(s @ (xlogy(rate, rate) - rate)) - self._base

    def shift(self, z: np.ndarray) -> float:
        top = float(z.max())
        return math.log(self.s @ self.y) - math.log(self.s @ np.exp(z - top)) - top

    def scale(self) -> float:
        terms = np.abs(xlogy(self.y, self.y)) + self.y
        return max(super().scale(), _LEAST_SHARE * float(self.s @ terms))


class Multinomial(Datafit):
    """Cross entropy of classes, ``l(y, z) = log(sum_k exp(z_k)) - z_y``.

    Coefficients have a column for each class; nothing breaks the symmetry between
    classes but the penalty.

    Parameters
    ----------
    X : array-like, sparse matrix or LinearOperator of shape (n, p)
        Samples; never modified, sparse ones never made dense.
    y : array-like of shape (n,) or (n, n_classes)
        Labels, or probabilities of the classes, each row of sum 1.
    sample_weight : array-like of shape (n,), optional
        Weights of the samples, not negative; they are divided by their sum.
    fit_intercept : bool, default=False
        Whether unpenalised intercepts are added, of sum zero.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        The labels in the order of the columns.

    Notes
    -----
    `hessian` is twice the diagonal ``s p (1 - p)``: that bounds the second derivative,
    whose rows are diagonally dominant.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import Multinomial
    >>> datafit = Multinomial([[1.0], [2.0], [3.0]], ["a", "b", "c"])
    >>> datafit.classes.tolist(), datafit.n_outputs
    (['a', 'b', 'c'], 3)
    >>> bool(np.isclose(datafit.value(np.zeros((3, 3))), np.log(3)))
    True
    """

    curvature = 0.5
    has_hessian = False

    def _targets(self, y: Any) -> np.ndarray:
        labels = np.asarray(y)
        if labels.ndim == 2:
            return self._probabilities(labels)
        n = self.design.n
        if labels.shape != (n,):
            raise ValueError(
                f"The 'y' array must have shape ({n},) or ({n}, n_classes). "
                f"Got {labels.shape}."
            )
        if labels.dtype.kind == "f":
            check_finite(labels, "y")
        self.classes, codes = np.unique(labels, return_inverse=True)
        self.n_outputs = len(self.classes)
        if self.n_outputs < 2:
            raise ValueError(
                "The 'y' array must hold at least two classes. "
                f"Got one, {self.classes[0]!r}."
            )
        hot = np.zeros((n, self.n_outputs))
        hot[np.arange(n), codes] = 1.0
        return hot

    def _probabilities(self, y: np.ndarray) -> np.ndarray:
        y = as_floats(y, "y", ndim=2).astype(np.float64)
        check_finite(y, "y")
        sums = y.sum(axis=1)
        if y.shape[0] != self.design.n or y.min() < 0 or np.abs(sums - 1).max() > 1e-6:
            raise ValueError(
                f"The 'y' array of probabilities must have {self.design.n} rows of sum "
                f"1, not negative. Got {y.shape[0]} rows, a minimum of {y.min():.6g} "
                f"and sums in [{sums.min():.6g}, {sums.max():.6g}]."
            )
        self.n_outputs = y.shape[1]
        self.classes = np.arange(self.n_outputs)
        return y / sums[:, None]

    def value(self, z: np.ndarray) -> float:
        top = z.max(axis=1)
        shifted = z - top[:, None]
        loss = np.log(np.exp(shifted).sum(axis=1)) - (self.y * shifted).sum(axis=1)
        return float(self.s @ loss)

    def probabilities(self, z: np.ndarray) -> np.ndarray:
        """Return the probabilities of the classes.

        Parameters
        ----------
        z : ndarray of shape (n, n_classes)
            Predictions.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Exponentials of z, divided by their sums over the classes.
        """
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        return p

    def gradient(self, z: np.ndarray) -> np.ndarray:
        return self.s[:, None] * (self.probabilities(z) - self.y)

    def hessian(self, z: np.ndarray) -> np.ndarray:
        p = self.probabilities(z)
        return 2.0 * self.s[:, None] * p * (1.0 - p)

    def conjugate(self, theta: np.ndarray) -> float:
        inside = self.s > 0
        if np.any(theta[~inside]):
            return math.inf
        s = self.s[inside]
        p = self.y[inside] + theta[inside] / s[:, None]
        if p.min() < -_SLACK or np.abs(p.sum(axis=1) - 1.0).max() > 1e-9:
            return math.inf
        p = np.maximum(p, 0.0)
        return float(s @ xlogy(p, p).sum(axis=1))

    def shift(self, z: np.ndarray) -> np.ndarray:
        mean = self.s @ self.y
        if mean.min() <= 0:
            k = int(mean.argmin())
            raise ValueError(
                "The 'y' array must hold every class with a positive weight where an "
                f"intercept is fitted. Got none of class {self.classes[k]!r}."
            )
        shift = np.zeros(self.n_outputs)
        for _ in range(100):
            p = self.probabilities(z + shift)
            weighted = self.s[:, None] * p
            slope = weighted.sum(axis=0) - mean
            if np.abs(slope).max() <= 1e-15:
                break
            bend = np.diag(weighted.sum(axis=0)) - p.T @ weighted
            step = -np.linalg.solve(bend + 1.0 / self.n_outputs, slope)
            size = float(np.abs(step).max())
            if size > 0.5:
                step *= min(1.0, 2.0 / size)
                step *= self._shorter(z + shift, slope, step)
            shift = shift + step
            if size <= 1e-8:  # the next would be about its square
                break
        return shift - shift.mean()

    def _shorter(self, z: np.ndarray, slope: np.ndarray, step: np.ndarray) -> float:
        """Share of a step of the intercepts with which the loss falls enough."""
        t, value, gain = 1.0, self.value(z), float(slope @ step)
        while t > 1e-8 and self.value(z + t * step) > value + 1e-4 * t * gain:
            t *= 0.5
        return t


class Cox(Datafit):
    """Negative log partial likelihood of survival times, with Breslow's ties.

    ``F(z) = sum_i s_i d_i [log(sum_j s_j exp(z_j)) - z_i - log(s_i)]``, the inner sum
    over all j still at risk at the time of event i, ``t_j >= t_i``.  With equal weights
    that is the partial likelihood divided by the number of samples.

    Parameters
    ----------
    X : array-like, sparse matrix or LinearOperator of shape (n, p)
        Samples; never modified, sparse ones never made dense.
    y : array-like of shape (n, 2), or structured array of shape (n,)
        Time, and whether it is that of an event (1) or of the end of observation (0).
        A structured array has one boolean field and one of times, in any order.
    sample_weight : array-like of shape (n,), optional
        Weights of the samples, not negative; they are divided by their sum.
    fit_intercept : bool, default=False
        Must be False: the likelihood does not depend on an intercept.

    Attributes
    ----------
    time : ndarray of shape (n,)
        Times.
    event : ndarray of bool of shape (n,)
        Whether they are those of events.

    Notes
    -----
    All methods cost O(n) after one sort.  `hessian` is the diagonal without the
    negative rank-one terms, an upper bound of the second derivative.  The conjugate is
    closed: with ``mu = theta + s d``, and over the distinct event times k the sums
    ``d_k`` of weights of events, ``M_k`` of mu from time k to the next,
    ``r_k = sum_{i <= k} (d_i - M_i)`` and ``m_k = r_k + M_k``, it is
    ``sum mu log(mu / s) + sum_k (r_k log r_k - m_k log m_k) + sum s d log s``,
    finite where all mu and r are not negative, mu is 0 before the first event, and the
    last r is 0.

    References
    ----------
    .. [1] D. R. Cox, "Regression Models and Life-Tables", JRSS B 34, 1972, Section 5.
    .. [2] N. Breslow, "Covariance Analysis of Censored Survival Data", Biometrics 30,
       1974, Section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import Cox
    >>> datafit = Cox([[1.0], [2.0]], [[3.0, 1], [5.0, 0]])
    >>> bool(np.isclose(datafit.value(np.zeros(2)), np.log(2) / 2))
    True
    """

    has_hessian = False

    def __init__(
        self, X: Any, y: Any, *, sample_weight: Any = None, fit_intercept: bool = False
    ) -> None:
        if fit_intercept:
            raise ValueError(
                "The 'fit_intercept' parameter of sparseopt.linear_model.Cox must be "
                "False: the partial likelihood does not depend on an intercept. "
                "Got True."
            )
        super().__init__(X, y, sample_weight=sample_weight)

    def _targets(self, y: Any) -> np.ndarray:
        self.time, self.event = _survival(y, self.design.n)
        if not (self.s * self.event).any():
            raise ValueError(
                "The 'y' array must hold an event with a positive weight for Cox. "
                "Got none."
            )
        # Increasing times; everyone from start[k] on is at risk at the k-th event.
        self._order = np.argsort(self.time, kind="stable")
        times = self.time[self._order]
        weights = (self.s * self.event)[self._order]
        events = np.unique(times[weights > 0])
        self._start = np.searchsorted(times, events, side="left")
        # samples of sorted rank i have passed the first _passed[i] events
        self._passed = np.searchsorted(events, times, side="right")
        self._d = np.bincount(
            self._passed[weights > 0] - 1, weights[weights > 0], len(events)
        )
        self._base = float(xlogy(weights, weights).sum())
        return np.stack([self.time, self.event.astype(np.float64)], axis=1)

    def _risks(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logarithm of ``s exp(z)`` in the order of times, and of its risk sums."""
        with np.errstate(divide="ignore"):
            terms = np.log(self.s[self._order]) + z[self._order]
        top = float(terms.max())
        if top - float(z.min()) < 500.0:  # sums of positive terms keep their digits
            sums = np.cumsum(np.exp(terms - top)[::-1])[::-1]
            with np.errstate(divide="ignore"):
                return terms, np.log(sums[self._start]) + top
        return terms, np.logaddexp.accumulate(terms[::-1])[::-1][self._start]

    def value(self, z: np.ndarray) -> float:
        _, logs = self._risks(z)
        return float(self._d @ logs) - float((self.s * self.event) @ z) - self._base

    def _hazards(self, z: np.ndarray) -> np.ndarray:
        """``s exp(z)`` times the hazard accumulated until each time."""
        terms, logs = self._risks(z)
        hazard = np.logaddexp.accumulate(np.log(self._d) - logs)
        # nothing has happened before the first event
        known = np.append(-math.inf, hazard)[self._passed]
        out = np.empty_like(terms)
        out[self._order] = np.exp(terms + known)
        return out

    def gradient(self, z: np.ndarray) -> np.ndarray:
        return self._hazards(z) - self.s * self.event

    def hessian(self, z: np.ndarray) -> np.ndarray:
        return self._hazards(z)

    def conjugate(self, theta: np.ndarray) -> float:
        mu = theta + self.s * self.event
        total = float(self._d.sum())
        if np.any(theta[self.s == 0]) or mu.min() < -_SLACK * total:
            return math.inf
        mu = np.maximum(mu, 0.0)[self._order]
        M = np.bincount(self._passed, mu, len(self._d) + 1)
        r = np.cumsum(self._d - M[1:])
        if M[0] > 0 or r.min() < -_SLACK * total or abs(r[-1]) > 1e-10 * total:
            return math.inf
        r = np.maximum(r, 0.0)
        r[-1] = 0.0
        m = r + M[1:]
        s = self.s[self._order]
        entropy = xlogy(mu, mu).sum() - xlogy(mu, s).sum()
        return float(entropy + xlogy(r, r).sum() - xlogy(m, m).sum()) + self._base

    def lipschitz(self) -> float:
        return self.design.square_norm(self.hessian(np.zeros(self.design.n)))


def _survival(y: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and events of a survival target."""
    array = np.asarray(y)
    if array.dtype.names is not None:
        names = array.dtype.names
        flags = [name for name in names if array.dtype[name].kind == "b"]
        if len(names) != 2 or len(flags) != 1 or array.shape != (n,):
            raise ValueError(
                f"The structured 'y' array must have shape ({n},), a boolean field and "
                f"one of times. Got shape {array.shape} and {array.dtype}."
            )
        (other,) = (name for name in names if name != flags[0])
        return as_vector(array[other], "y", n).astype(np.float64), array[flags[0]]
    array = as_floats(y, "y", ndim=2).astype(np.float64)
    check_finite(array, "y")
    if array.shape != (n, 2):
        raise ValueError(
            f"The 'y' array must have shape ({n}, 2), times and 0 or 1 for events. "
            f"Got shape {array.shape}."
        )
    neither = (array[:, 1] != 0) & (array[:, 1] != 1)
    if neither.any():
        row = int(neither.argmax())
        raise ValueError(
            "The 'y' array must hold times and 0 or 1 for events, in this order. "
            f"Got the event {array[row, 1]} in row {row}."
        )
    return np.array(array[:, 0]), array[:, 1] == 1


__all__ = ["Cox", "Multinomial", "Poisson"]
