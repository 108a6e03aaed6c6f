"""Cross entropy of several classes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import xlogy

from sparseopt._core._arrays import as_floats, check_finite
from sparseopt.linear_model._datafit import Datafit

# Rounding of sums of targets, relative: what a constraint may be violated by.
_SLACK = 1e-13


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
