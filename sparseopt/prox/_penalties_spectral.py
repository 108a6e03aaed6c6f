"""Penalties of the singular values of a matrix, beside the nuclear norm."""

from __future__ import annotations

import math

import numpy as np

from sparseopt.prox._groups import Groups
from sparseopt.prox._penalties_envelope import (
    COUNT,
    BoxNorm,
    KSupport,
    envelope_slope,
)
from sparseopt.prox._penalty import (
    LEVEL,
    Norm,
    Penalty,
    as_float64,
    float_type,
    rules,
)
from sparseopt.prox._spectral import spectral


class SpectralKSupport(Norm):
    """The k-support norm of the singular values, not squared, ``lam * ||s(W)||_k``.

    Its unit ball is the convex hull of the matrices with rank at most k and Frobenius
    norm one.  With k = 1 it is the nuclear norm, with the largest k the Frobenius norm.

    Parameters
    ----------
    k : int
        Rank to aim at, at most the smaller number of rows and columns.
    lam : float, default=1.0
        Strength, not negative.

    See Also
    --------
    Nuclear : Shrinks large singular values as much as small ones.
    SpectralBoxNorm : Half the square.

    References
    ----------
    .. [1] A. McDonald, M. Pontil, D. Stamos, "Spectral k-support norm regularization",
       NIPS 2014, Section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import SpectralKSupport
    >>> SpectralKSupport(2, lam=2.5).prox(np.diag([3.0, 4.0, 0.0]))
    array([[1.5, 0. , 0. ],
           [0. , 2. , 0. ],
           [0. , 0. , 0. ]])
    """

    _rules = rules(k=COUNT, lam=LEVEL)

    def __init__(self, k: int, lam: float = 1.0) -> None:
        self.k, self.lam = k, lam
        self._check()

    def _vector(self) -> KSupport:
        return KSupport(self.k, self.lam)

    def norm(self, w: np.ndarray) -> float:
        return self._vector().norm(_values(w))

    def dual_norm(self, v: np.ndarray) -> float:
        return self._vector().dual_norm(_values(v))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        vector = self._vector()
        return spectral(lambda s: vector.prox(s, step), w, out, finite=False)

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        def slope(s: np.ndarray) -> tuple[np.ndarray, float]:
            norm = self._vector().norm(s)
            single = Groups.of(None, s.shape[0])
            slopes, bounds = envelope_slope(s, self.k, single, None)
            return self.lam / norm * slopes, self.lam / norm * float(bounds[-1])

        if not np.any(w):  # distance to the dual ball: the prox is what is outside
            return np.array([float(np.linalg.norm(self.prox(as_float64(grad))))])
        return _spectral_distance(w, grad, slope)


class SpectralBoxNorm(Penalty):
    """Half the squared box norm of the singular values.

    ``lam / 2 * min sum_j s_j(W)^2 / theta_j`` over ``lower <= theta <= upper`` and
    ``sum_j theta_j <= total``.  With bounds 0 and 1 and an integer total k it is half
    the squared spectral k-support norm: the closest convex function below half the
    squared Frobenius norm of matrices with rank at most k.

    Parameters
    ----------
    lower, upper : float
        Bounds of theta, ``0 <= lower < upper``.
    total : float
        Largest sum of theta, at least lower times the number of singular values.
    lam : float, default=1.0
        Strength, not negative.

    See Also
    --------
    SpectralKSupport : The norm itself, for bounds 0 and 1.

    References
    ----------
    .. [1] A. McDonald, M. Pontil, D. Stamos, "Spectral k-support norm regularization",
       NIPS 2014, Section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import SpectralBoxNorm
    >>> SpectralBoxNorm(0.0, 1.0, 1.0).prox(np.diag([4.0, 1.0]))
    array([[2., 0.],
           [0., 0.]])
    """

    _rules = BoxNorm._rules

    def __init__(
        self, lower: float, upper: float, total: float, lam: float = 1.0
    ) -> None:
        self.lower, self.upper, self.total, self.lam = lower, upper, total, lam
        self._check()
        self._vector()

    def _vector(self) -> BoxNorm:
        return BoxNorm(self.lower, self.upper, self.total, self.lam)

    def value(self, w: np.ndarray) -> float:
        return self._vector().value(_values(w))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        vector = self._vector()
        return spectral(lambda s: vector.prox(s, step), w, out, finite=False)

    def conjugate(self, v: np.ndarray) -> float:
        return self._vector().conjugate(_values(v))

    def dual_scale(self, v: np.ndarray) -> float:
        return self._vector().dual_scale(v)

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        def slope(s: np.ndarray) -> tuple[np.ndarray, float]:
            theta, level = self._vector()._theta(s)
            some = s > 0
            slopes = np.divide(s, theta, out=np.zeros_like(s), where=some)
            bound = self.lam * level if self.lower == 0.0 else 0.0
            return self.lam * slopes, bound

        return _spectral_distance(w, grad, slope)

    def critical_lam(self, grad: np.ndarray) -> float:
        return math.inf if np.any(grad) else 0.0


def _values(w: np.ndarray) -> np.ndarray:
    return np.linalg.svd(as_float64(w), compute_uv=False)


def _spectral_distance(w: np.ndarray, grad: np.ndarray, slope) -> np.ndarray:
    """Distance of -grad to the subdifferential, from the one of the singular values.

    `slope` gives the subgradient at the singular values, and its bound where they are
    zero: there it may have any singular vectors outside the spaces of w.
    """
    tiny = np.finfo(float_type(w)).eps * max(w.shape)
    w, down = as_float64(w), -as_float64(grad)
    left, s, right = np.linalg.svd(w, full_matrices=False)
    rank = int(np.count_nonzero(s > tiny * s.max(initial=0.0)))
    slopes, bound = slope(np.where(np.arange(s.shape[0]) < rank, s, 0.0))
    left, right = left[:, :rank], right[:rank]
    rest = down - left @ (left.T @ down)
    outside = rest - (rest @ right.T) @ right
    fixed = down - outside - (left * slopes[:rank]) @ right
    over = np.maximum(np.linalg.svd(outside, compute_uv=False) - bound, 0.0)
    return np.array([math.sqrt(float(np.vdot(fixed, fixed)) + float(over @ over))])
