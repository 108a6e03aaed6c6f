"""Penalties on the order of entries, on neighbours and on singular values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseopt._core._arrays import plain_array
from sparseopt._core._params import Interval, describe, public_name
from sparseopt.prox._penalty import (
    LEVEL,
    SHARE,
    Norm,
    as_float64,
    float_type,
    nonnegative_array,
    rules,
)
from sparseopt.prox._slope import prox_slope
from sparseopt.prox._spectral import prox_nuclear
from sparseopt.prox._tv import prox_fused_lasso, prox_isotonic, prox_tv1d
from sparseopt.prox._tv2d import prox_tv2d


class SLOPE(Norm):
    """Sorted l1 norm, ``lam * sum_i weights_i |w|_(i)``, magnitudes in falling order.

    Parameters
    ----------
    lam : float or array_like of shape (n,), default=1.0
        Strength, not negative; or the products of strength and weights.
    weights : array_like of shape (n,), optional
        Weights, not negative and not increasing, such as those of `slope_weights`; ones
        if not given: the l1 norm.

    References
    ----------
    .. [1] M. Bogdan, E. van den Berg, C. Sabatti, W. Su, E. Candès, "SLOPE: adaptive
       variable selection via convex optimization", Annals of Applied Statistics, 2015,
       Section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import SLOPE
    >>> SLOPE([2.0, 1.0, 0.0]).prox(np.array([3.0, -2.5, 0.5]))
    array([ 1.25, -1.25,  0.5 ])
    """

    sign_invariant = True
    _rules = rules(lam=LEVEL)

    def __init__(self, lam: Any = 1.0, *, weights: Any = None) -> None:
        owner = type(self)
        lam = lam if isinstance(lam, (int, float)) else plain_array(lam, "lam")[()]
        if np.ndim(lam):
            if weights is not None:
                raise ValueError(
                    f"The 'weights' parameter of {public_name(owner)} must be None "
                    f"where 'lam' is an array. Got {describe(weights)}."
                )
            levels = nonnegative_array(owner, "lam", lam)
            assert levels is not None
            lam = float(levels.max(initial=0.0))
            weights = levels / lam if lam > 0.0 else np.ones_like(levels)
        self.lam = lam
        self._check()
        self.weights = nonnegative_array(owner, "weights", weights)
        if self.weights is None:
            return
        if self.weights.ndim != 1:
            raise ValueError(
                f"The 'weights' array of {public_name(owner)} must have 1 dimension. "
                f"Got shape {self.weights.shape}."
            )
        rises = self.weights[1:] > self.weights[:-1]
        if rises.any():
            raise ValueError(
                f"The 'weights' array of {public_name(owner)} must not increase. Got "
                f"an increase after index {rises.argmax()}."
            )

    def _levels(self, n: int) -> np.ndarray:
        if self.weights is None:
            return np.ones(n)
        if self.weights.shape != (n,):
            raise ValueError(
                f"Coefficients must be as many as the penalty's weights, "
                f"{self.weights.shape[0]}. Got {n}."
            )
        return self.weights

    def norm(self, w: np.ndarray) -> float:
        size = np.sort(np.abs(as_float64(w)).reshape(-1))[::-1]
        return float(size @ self._levels(size.shape[0]))

    def dual_norm(self, v: np.ndarray) -> float:
        sums = np.cumsum(np.sort(np.abs(as_float64(v)).reshape(-1))[::-1])
        if not sums.size or sums[0] == 0.0:
            return 0.0
        bounds = np.cumsum(self._levels(sums.shape[0]))
        if bounds[0] == 0.0:
            return math.inf
        return float(np.max(sums / bounds))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        levels = self._levels(w.size)
        return prox_slope(w, levels, step=step * self.lam, out=out, check_finite=False)

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        flat, down = as_float64(w).reshape(-1), -as_float64(grad).reshape(-1)
        size = np.abs(flat)
        order = np.argsort(-size, kind="stable")
        levels = self.lam * self._levels(size.shape[0])
        # entries of equal magnitude share the levels of their ranks
        size, down = size[order], down[order]
        toward = np.where(size > 0, down * np.sign(flat[order]), np.abs(down))
        starts = np.flatnonzero(np.diff(size, prepend=math.inf))
        counts = np.diff(starts, append=size.shape[0])
        alone = starts[(counts == 1) & (size[starts] > 0)]
        total = float(np.sum((toward[alone] - levels[alone]) ** 2))
        others = (counts > 1) | (size[starts] == 0)
        for start, count in zip(starts[others], counts[others], strict=True):
            part = slice(start, start + count)
            if size[start] == 0.0:
                rest = prox_slope(toward[part], levels[part], check_finite=False)
            else:
                ranked = np.sort(toward[part])[::-1] - levels[part]
                rest = prox_isotonic(ranked, increasing=False, check_finite=False)
            total += float(rest @ rest)
        return np.array([math.sqrt(total)])


class TV1D(Norm):
    """Total variation of a sequence, ``lam * sum_i weights_i |w_{i+1} - w_i|``.

    Parameters
    ----------
    lam : float, default=1.0
        Strength, not negative.
    weights : array_like of shape (n - 1,), optional
        Weight of each difference, not negative; ones if not given.

    Notes
    -----
    The conjugate is finite only where the dual point has sum zero.

    References
    ----------
    .. [1] L. Rudin, S. Osher, E. Fatemi, "Nonlinear total variation based noise removal
       algorithms", Physica D, 1992.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import TV1D
    >>> TV1D(1.0).prox(np.array([0.0, 0.0, 6.0, 6.0]))
    array([0.5, 0.5, 5.5, 5.5])
    """

    _rules = rules(lam=LEVEL)

    def __init__(self, lam: float = 1.0, *, weights: Any = None) -> None:
        self.lam = lam
        self._check()
        self.weights = nonnegative_array(type(self), "weights", weights)

    def _need(self, n: int) -> None:
        """Weights have to be one fewer than the n coefficients."""
        if self.weights is not None and self.weights.shape != (max(0, n - 1),):
            raise ValueError(
                f"The 'weights' array of {public_name(type(self))} must have one "
                f"number for each difference of {n} coefficients. Got shape "
                f"{self.weights.shape}."
            )

    def norm(self, w: np.ndarray) -> float:
        self._need(np.size(w))
        jumps = np.abs(np.diff(as_float64(w).reshape(-1)))
        return float(jumps.sum() if self.weights is None else jumps @ self.weights)

    def dual_norm(self, v: np.ndarray) -> float:
        self._need(np.size(v))
        flow = np.cumsum(as_float64(v).reshape(-1))
        size = np.abs(flow)
        top = float(size.max(initial=0.0))
        scale = max(top, float(np.abs(v).max(initial=0.0)))
        if flow.size and size[-1] > 4e-16 * flow.size * scale:
            return math.inf
        size = size[:-1]
        if self.weights is not None:
            cut = self.weights == 0
            if np.any(size[cut] > 4e-16 * flow.size * scale):
                return math.inf
            size = size[~cut] / self.weights[~cut]
        return float(size.max(initial=0.0))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return prox_tv1d(
            w, step * self.lam, weights=self.weights, out=out, check_finite=False
        )

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        rest = _rest_between_jumps(
            as_float64(w).reshape(-1),
            as_float64(grad).reshape(-1),
            self.lam,
            self.weights,
        )
        return np.array([float(np.linalg.norm(rest))])


def _rest_between_jumps(
    w: np.ndarray, grad: np.ndarray, lam: float, weights: np.ndarray | None
) -> np.ndarray:
    """What of -grad the total variation's subgradients at w cannot take up.

    At jumps the subgradient is fixed.  Between them the nearest one is what the prox of
    the total variation, cut at the jumps, takes away.
    """
    jumps = np.diff(w)
    levels = np.full(jumps.shape, lam) if weights is None else lam * weights
    fixed = levels * np.sign(jumps)
    rest = -grad
    rest[:-1] += fixed
    rest[1:] -= fixed
    if rest.shape[0] < 2:
        return rest
    cut = np.where(jumps == 0, levels, 0.0)
    return prox_tv1d(rest, 1.0, weights=cut, check_finite=False)


class FusedLasso(Norm):
    """``lam * (rho ||w||_1 + (1 - rho) sum_i |w_{i+1} - w_i|)``.

    Parameters
    ----------
    lam : float, default=1.0
        Strength, not negative.
    l1_ratio : float, default=0.5
        Share rho of the l1 norm, in [0, 1].

    References
    ----------
    .. [1] R. Tibshirani, M. Saunders, S. Rosset, J. Zhu, K. Knight, "Sparsity and
       smoothness via the fused lasso", JRSS B, 2005, Section 1.
    .. [2] J. Friedman, T. Hastie, H. Höfling, R. Tibshirani, "Pathwise coordinate
       optimization", Annals of Applied Statistics, 2007, Section 5 (prox).

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import FusedLasso
    >>> FusedLasso(2.0, 0.5).prox(np.array([0.0, 0.0, 6.0, 6.0]))
    array([0. , 0. , 4.5, 4.5])
    """

    _rules = rules(lam=LEVEL, l1_ratio=SHARE)

    def __init__(self, lam: float = 1.0, l1_ratio: float = 0.5) -> None:
        self.lam, self.l1_ratio = lam, l1_ratio
        self._check()

    def norm(self, w: np.ndarray) -> float:
        w = as_float64(w).reshape(-1)
        l1, tv = np.abs(w).sum(), np.abs(np.diff(w)).sum()
        return float(self.l1_ratio * l1 + (1.0 - self.l1_ratio) * tv)

    def dual_norm(self, v: np.ndarray) -> float:
        if self.l1_ratio == 0.0:  # bounded on sequences of sum zero only
            return TV1D().dual_norm(v)
        return super().dual_norm(v)

    def conjugate(self, v: np.ndarray) -> float:
        if self.l1_ratio == 0.0 or np.isnan(v).any():
            return super().conjugate(v)
        # the dual ball is what the prox takes to zero
        return math.inf if np.any(self.prox(as_float64(v))) else 0.0

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        l1 = step * self.lam * self.l1_ratio
        return prox_fused_lasso(
            w, step * self.lam * (1.0 - self.l1_ratio), l1, out=out, check_finite=False
        )

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        flat, slope = as_float64(w).reshape(-1), as_float64(grad).reshape(-1)
        l1 = self.lam * self.l1_ratio
        slope = slope + l1 * np.sign(flat)
        rest = _rest_between_jumps(flat, slope, self.lam * (1.0 - self.l1_ratio), None)
        shrunk = np.maximum(np.abs(rest) - l1, 0.0)
        rest = np.where(flat == 0, shrunk, rest)
        return np.array([float(np.linalg.norm(rest))])


class TV2D(Norm):
    """Anisotropic total variation of an image.

    ``lam`` times the sum of the magnitudes of all differences between neighbours in
    rows and in columns.

    Parameters
    ----------
    lam : float, default=1.0
        Strength, not negative.
    tol : float, default=1e-12
        Relative duality gap to which the prox is computed.

    References
    ----------
    .. [1] A. Chambolle, "An algorithm for total variation minimization and
       applications", JMIV, 2004.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import TV2D
    >>> TV2D(1.0).value(np.array([[0.0, 1.0], [0.0, 3.0]]))
    6.0
    """

    _rules = rules(lam=LEVEL, tol=[Interval(0, 1, closed="neither")])

    def __init__(self, lam: float = 1.0, *, tol: float = 1e-12) -> None:
        self.lam, self.tol = lam, tol
        self._check()

    def norm(self, w: np.ndarray) -> float:
        w = as_float64(w)
        return float(sum(np.abs(np.diff(w, axis=axis)).sum() for axis in (0, 1)))

    def dual_norm(self, v: np.ndarray) -> float:
        raise NotImplementedError("TV2D has no known conjugate")

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return prox_tv2d(
            w,
            step * self.lam,
            tol=self.tol,
            max_iter=10_000,
            out=out,
            check_finite=False,
        )

    def critical_lam(self, grad: np.ndarray) -> float:
        raise NotImplementedError("TV2D has no known conjugate")


class Nuclear(Norm):
    """Nuclear norm of a matrix, ``lam`` times the sum of its singular values.

    Parameters
    ----------
    lam : float, default=1.0
        Strength, not negative.

    References
    ----------
    .. [1] J.-F. Cai, E. Candès, Z. Shen, "A singular value thresholding algorithm for
       matrix completion", SIAM J. Optimization, 2010, Section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import Nuclear
    >>> Nuclear(1.0).prox(np.diag([3.0, 0.5]))
    array([[2., 0.],
           [0., 0.]])
    """

    _rules = rules(lam=LEVEL)

    def __init__(self, lam: float = 1.0) -> None:
        self.lam = lam
        self._check()

    def norm(self, w: np.ndarray) -> float:
        return float(self._singular(w).sum())

    def dual_norm(self, v: np.ndarray) -> float:
        return float(self._singular(v).max(initial=0.0))

    def _singular(self, w: np.ndarray) -> np.ndarray:
        if np.ndim(w) != 2:
            raise ValueError(
                f"{public_name(type(self))} is a penalty of matrices, of coefficients "
                f"with several outputs. Got 'coef' of shape {np.shape(w)}."
            )
        return np.asarray(np.linalg.svd(as_float64(w), compute_uv=False))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return prox_nuclear(w, step * self.lam, out=out, check_finite=False)

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        tiny = np.finfo(float_type(w)).eps * max(w.shape)
        w, down = as_float64(w), -as_float64(grad)
        left, s, right = np.linalg.svd(w, full_matrices=False)
        rank = int(np.count_nonzero(s > tiny * s.max(initial=0.0)))
        left, right = left[:, :rank], right[:rank]
        # the part of -grad outside the row and column spaces is free up to lam
        rest = down - left @ (left.T @ down)
        outside = rest - (rest @ right.T) @ right
        fixed = down - outside - self.lam * (left @ right)
        over = np.linalg.svd(outside, compute_uv=False) - self.lam
        total = float(np.vdot(fixed, fixed)) + float(np.sum(np.maximum(over, 0.0) ** 2))
        return np.array([math.sqrt(total)])
