"""Convex penalties that are sums over the entries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseopt._core._params import Boolean
from sparseopt.prox._elementwise import prox_elastic_net, prox_l1, prox_ridge
from sparseopt.prox._groups import Groups
from sparseopt.prox._penalty import (
    LEVEL,
    SHARE,
    Coordinate,
    Norm,
    Penalty,
    as_float64,
    broadcast_rows,
    float_type,
    nonnegative_array,
    rules,
)


def slope_distance(
    w: np.ndarray, grad: np.ndarray, slope: Any, level: Any, positive: bool = False
) -> np.ndarray:
    """Distance to the subdifferential of a sum of functions of ``|w_j|``.

    `slope` is the derivative at ``|w_j|`` where w is not zero, `level` that at 0.
    """
    at_zero = -grad if positive else np.abs(grad)
    distance = np.where(
        w == 0, np.maximum(at_zero - level, 0.0), np.abs(grad + slope * np.sign(w))
    )
    if positive:
        distance[w < 0] = math.inf
    return distance


class _Weighted:
    """Optional weights of the entries, and a form of them for each shape."""

    weights: np.ndarray | None
    positive: bool

    def _store_weights(self, weights: Any) -> None:
        self.weights = nonnegative_array(type(self), "weights", weights)
        self._cached: dict[tuple[int, ...], np.ndarray] = {}

    def _weights(self, shape: tuple[int, ...]) -> np.ndarray | None:
        if self.weights is None or self.weights.shape == shape:
            return self.weights
        if shape not in self._cached:
            self._cached.clear()
            self._cached[shape] = broadcast_rows(self.weights, shape)
        return self._cached[shape]

    def _flat_weights(self, n: int) -> np.ndarray | None:
        if self.weights is None:
            return None
        flat = self.weights.reshape(-1)
        columns = n // flat.shape[0] if flat.shape[0] and n % flat.shape[0] == 0 else 1
        return broadcast_rows(np.repeat(flat, columns) if columns > 1 else flat, (n,))

    def _sum(self, terms: np.ndarray) -> float:
        weights = self._weights(terms.shape)
        if weights is None:
            return float(terms.sum())
        return float(np.vdot(weights, terms))


class L1(_Weighted, Norm):
    """The l1 norm ``lam * sum_j weights_j |w_j|``: the lasso.

    Parameters
    ----------
    lam : float, default=1.0
        Strength, not negative.
    weights : array_like of shape (n,) or (n, n_outputs), optional
        Weight of each entry or row, not negative; ones if not given.
    positive : bool, default=False
        Whether coefficients must not be negative.

    References
    ----------
    .. [1] R. Tibshirani, "Regression shrinkage and selection via the lasso", JRSS B,
       1996.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import L1
    >>> L1(0.5).prox(np.array([2.0, -0.25, -3.0]))
    array([ 1.5,  0. , -2.5])
    >>> L1(0.5, weights=[1.0, 2.0, 0.0]).value(np.array([1.0, 1.0, 9.0]))
    1.5
    """

    sign_invariant = True
    _rules = rules(lam=LEVEL, positive=[Boolean])

    def __init__(
        self, lam: float = 1.0, *, weights: Any = None, positive: bool = False
    ) -> None:
        self.lam, self.positive = lam, positive
        self._check()
        self._store_weights(weights)
        self.sign_invariant = not self.positive

    def norm(self, w: np.ndarray) -> float:
        w = as_float64(w)
        if self.positive and np.any(w < 0):
            return math.inf
        return self._sum(np.abs(w))

    def dual_norm(self, v: np.ndarray) -> float:
        v = as_float64(v)
        size = v if self.positive else np.abs(v)
        weights = self._weights(v.shape)
        if weights is not None:
            free = weights == 0
            if np.any(size[free] > 0):
                return math.inf
            size = np.divide(size, weights, out=np.zeros_like(size), where=~free)
        return float(size.max(initial=0.0))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return prox_l1(
            w,
            step * self.lam,
            weights=self._weights(w.shape),
            positive=self.positive,
            out=out,
            check_finite=False,
        )

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        weights = self._weights(w.shape)
        level = self.lam if weights is None else self.lam * weights
        return slope_distance(
            as_float64(w), as_float64(grad), level, level, self.positive
        )

    def groups(self, n: int) -> Groups:
        return Groups.of(None, n)

    def coordinate(self, n: int) -> Coordinate:
        return Coordinate("l1", self.lam, self._flat_weights(n), (), self.positive)


class ElasticNet(_Weighted, Penalty):
    """``lam * sum_j weights_j (rho |w_j| + (1 - rho) w_j^2 / 2)``.

    Parameters
    ----------
    lam : float, default=1.0
        Strength, not negative.
    l1_ratio : float, default=0.5
        Share rho of the l1 norm, in [0, 1].
    weights : array_like of shape (n,) or (n, n_outputs), optional
        Weight of each entry or row, not negative; ones if not given.
    positive : bool, default=False
        Whether coefficients must not be negative.

    References
    ----------
    .. [1] H. Zou, T. Hastie, "Regularization and variable selection via the elastic
       net", JRSS B, 2005, Section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import ElasticNet
    >>> ElasticNet(2.0, 0.5).prox(np.array([5.0, 0.5]))
    array([2., 0.])
    """

    sign_invariant = True
    _rules = rules(lam=LEVEL, l1_ratio=SHARE, positive=[Boolean])

    def __init__(
        self,
        lam: float = 1.0,
        l1_ratio: float = 0.5,
        *,
        weights: Any = None,
        positive: bool = False,
    ) -> None:
        self.lam, self.l1_ratio, self.positive = lam, l1_ratio, positive
        self._check()
        self._store_weights(weights)
        self.sign_invariant = not self.positive

    @property
    def _l1(self) -> float:
        return self.lam * self.l1_ratio

    @property
    def _l2(self) -> float:
        return self.lam * (1.0 - self.l1_ratio)

    def value(self, w: np.ndarray) -> float:
        w = as_float64(w)
        if self.positive and np.any(w < 0):
            return math.inf
        size = np.abs(w)
        return self._sum(size * (self._l1 + 0.5 * self._l2 * size))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return prox_elastic_net(
            w,
            step * self.lam,
            self.l1_ratio,
            weights=self._weights(w.shape),
            positive=self.positive,
            out=out,
            check_finite=False,
        )

    def conjugate(self, v: np.ndarray) -> float:
        v = as_float64(v)
        weights = self._weights(v.shape)
        unit = np.ones(v.shape) if weights is None else weights
        rest = np.maximum((v if self.positive else np.abs(v)) - self._l1 * unit, 0.0)
        curved = self._l2 * unit > 0.0
        if np.any(rest[~curved] > 0.0):
            return math.inf
        rest = rest[curved]
        return 0.5 * float(rest @ (rest / (self._l2 * unit[curved])))

    def dual_scale(self, v: np.ndarray) -> float:
        if self._l2 > 0.0 and self.weights is None:
            return 1.0
        v = as_float64(v)
        weights = self._weights(v.shape)
        if self._l2 > 0.0:  # only free entries bind
            bound = v if self.positive else np.abs(v)
            return 0.0 if np.any(bound[weights == 0] > 0.0) else 1.0
        l1 = L1(self._l1, weights=weights, positive=self.positive)
        return l1.dual_scale(v)

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        w = as_float64(w)
        weights = self._weights(w.shape)
        unit = 1.0 if weights is None else weights
        slope = unit * (self._l1 + self._l2 * np.abs(w))
        level = self._l1 * unit
        return slope_distance(w, as_float64(grad), slope, level, self.positive)

    def critical_lam(self, grad: np.ndarray) -> float:
        l1 = L1(1.0, weights=self.weights, positive=self.positive)
        top = l1.critical_lam(grad)
        if top == 0.0:
            return 0.0
        return top / self.l1_ratio if self.l1_ratio > 0.0 else math.inf

    def groups(self, n: int) -> Groups:
        return Groups.of(None, n)

    def coordinate(self, n: int) -> Coordinate:
        weights = self._flat_weights(n)
        share = (float(self.l1_ratio),)
        return Coordinate("elastic_net", self.lam, weights, share, self.positive)


class Ridge(Penalty):
    """Half the squared norm, ``lam / 2 * ||w||^2``.

    Parameters
    ----------
    lam : float, default=1.0
        Strength, not negative.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import L1, Ridge
    >>> Ridge(1.0).prox(np.array([2.0, -4.0]))
    array([ 1., -2.])
    >>> L1(1.0) + Ridge(3.0)
    ElasticNet(lam=4.0, l1_ratio=0.25)
    """

    sign_invariant = True
    _rules = rules(lam=LEVEL)

    def __init__(self, lam: float = 1.0) -> None:
        self.lam = lam
        self._check()

    def value(self, w: np.ndarray) -> float:
        w = as_float64(w)
        return 0.5 * self.lam * float(np.vdot(w, w))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return prox_ridge(w, step * self.lam, out=out, check_finite=False)

    def conjugate(self, v: np.ndarray) -> float:
        v = as_float64(v)
        square = float(np.vdot(v, v))
        if self.lam == 0.0:
            return math.inf if square > 0.0 else 0.0
        return 0.5 * square / self.lam

    def dual_scale(self, v: np.ndarray) -> float:
        return 1.0 if self.lam > 0.0 or not np.any(v) else 0.0

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        return np.abs(as_float64(grad) + self.lam * as_float64(w))

    def critical_lam(self, grad: np.ndarray) -> float:
        return math.inf if np.any(grad) else 0.0

    def groups(self, n: int) -> Groups:
        return Groups.of(None, n)

    def coordinate(self, n: int) -> Coordinate:
        return Coordinate("elastic_net", self.lam, None, (0.0,), False)


class NoPenalty(Penalty):
    """The zero function: coefficients are free.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import NoPenalty
    >>> NoPenalty().prox(np.array([2.0, -4.0]))
    array([ 2., -4.])
    """

    sign_invariant = True

    def __init__(self) -> None:
        self._check()

    def value(self, w: np.ndarray) -> float:
        return 0.0

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        if out is None:
            return np.array(w, dtype=float_type(w), order="C")
        out[...] = w
        return out

    def conjugate(self, v: np.ndarray) -> float:
        return math.inf if np.any(v) else 0.0

    def dual_scale(self, v: np.ndarray) -> float:
        return 0.0 if np.any(v) else 1.0

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        return np.abs(as_float64(grad))

    def groups(self, n: int) -> Groups:
        return Groups.of(None, n)

    def coordinate(self, n: int) -> Coordinate:
        return Coordinate("none", 0.0, None, (), False)
