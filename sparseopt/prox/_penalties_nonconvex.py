"""Penalties that are sums over the entries and not convex."""

from __future__ import annotations

import math

import numpy as np

from sparseopt._core._params import Interval
from sparseopt.prox._groups import Groups
from sparseopt.prox._nonconvex import (
    prox_l0,
    prox_l_half,
    prox_l_two_thirds,
    prox_log_sum,
    prox_lq,
    prox_mcp,
    prox_scad,
)
from sparseopt.prox._penalties_separable import slope_distance
from sparseopt.prox._penalty import LEVEL, Coordinate, Penalty, as_float64, rules


class _Concave(Penalty):
    """Sum of a function h of ``|w_j|``, with ``h(0) = 0``, that is not convex."""

    is_convex = False
    sign_invariant = True
    lam: float

    def _slope(self, size: np.ndarray) -> np.ndarray:
        """Derivative of h; at 0 that from the right."""
        raise NotImplementedError

    def _level(self) -> float:
        """Slope of h at 0, infinity allowed."""
        raise NotImplementedError

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        w = as_float64(w)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(w == 0, 0.0, self._slope(np.abs(w)))
        return slope_distance(w, as_float64(grad), slope, self._level())

    def groups(self, n: int) -> Groups:
        return Groups.of(None, n)


class MCP(_Concave):
    """Minimax concave penalty, an l1 norm that flattens out.

    ``lam |w| - w^2 / (2 gamma)`` up to ``|w| = gamma lam``, constant beyond.

    Parameters
    ----------
    lam : float, default=1.0
        Slope at 0, not negative.
    gamma : float, default=3.0
        Where the penalty becomes flat, in units of `lam`; above 1.

    References
    ----------
    .. [1] C.-H. Zhang, "Nearly unbiased variable selection under minimax concave
       penalty", Annals of Statistics, 2010, Section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import MCP
    >>> MCP(1.0, gamma=3.0).prox(np.array([0.5, 2.0, 5.0]))
    array([0. , 1.5, 5. ])
    """

    _rules = rules(lam=LEVEL, gamma=[Interval(1, None, closed="neither")])

    def __init__(self, lam: float = 1.0, gamma: float = 3.0) -> None:
        self.lam, self.gamma = lam, gamma
        self._check()

    def value(self, w: np.ndarray) -> float:
        size = np.minimum(np.abs(as_float64(w)), self.gamma * self.lam)
        return float(np.sum(size * (self.lam - size / (2.0 * self.gamma))))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return prox_mcp(w, self.lam, self.gamma, step=step, out=out, check_finite=False)

    def _slope(self, size: np.ndarray) -> np.ndarray:
        return np.maximum(self.lam - size / self.gamma, 0.0)

    def _level(self) -> float:
        return self.lam

    def critical_lam(self, grad: np.ndarray) -> float:
        return float(np.abs(as_float64(grad)).max(initial=0.0))

    def coordinate(self, n: int) -> Coordinate:
        return Coordinate("mcp", self.lam, None, (float(self.gamma),), False)


class SCAD(_Concave):
    """Smoothly clipped absolute deviation, an l1 norm that flattens out.

    ``lam |w|`` up to lam, a quadratic up to ``gamma lam``, constant beyond.

    Parameters
    ----------
    lam : float, default=1.0
        Slope at 0, not negative.
    gamma : float, default=3.7
        Where the penalty becomes flat, in units of `lam`; above 2.

    References
    ----------
    .. [1] J. Fan, R. Li, "Variable selection via nonconcave penalized likelihood and
       its oracle properties", JASA, 2001, Section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import SCAD
    >>> SCAD(1.0).prox(np.array([1.5, 5.0]))
    array([0.5, 5. ])
    """

    _rules = rules(lam=LEVEL, gamma=[Interval(2, None, closed="neither")])

    def __init__(self, lam: float = 1.0, gamma: float = 3.7) -> None:
        self.lam, self.gamma = lam, gamma
        self._check()

    def value(self, w: np.ndarray) -> float:
        size = np.abs(as_float64(w))
        lam, bend = self.lam, self.lam * self.gamma
        part = np.clip(size, lam, bend) - lam  # where the slope falls
        curved = part * (lam - part / (2.0 * (self.gamma - 1.0)))
        return float(np.sum(lam * np.minimum(size, lam) + curved))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return prox_scad(
            w, self.lam, self.gamma, step=step, out=out, check_finite=False
        )

    def _slope(self, size: np.ndarray) -> np.ndarray:
        falling = (self.gamma * self.lam - size) / (self.gamma - 1.0)
        return np.clip(falling, 0.0, self.lam)

    def _level(self) -> float:
        return self.lam

    def critical_lam(self, grad: np.ndarray) -> float:
        return float(np.abs(as_float64(grad)).max(initial=0.0))

    def coordinate(self, n: int) -> Coordinate:
        return Coordinate("scad", self.lam, None, (float(self.gamma),), False)


class LogSum(_Concave):
    """Sum of logarithms, ``lam * sum_j log(1 + |w_j| / eps)``.

    Parameters
    ----------
    lam : float, default=1.0
        Strength, not negative.
    eps : float, default=1.0
        Scale at which the penalty turns from linear to logarithmic, positive.

    References
    ----------
    .. [1] E. Candès, M. Wakin, S. Boyd, "Enhancing sparsity by reweighted l1
       minimization", JFAA, 2008, Section 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import LogSum
    >>> LogSum(1.0).value(np.array([0.0, np.e - 1.0]))
    1.0
    """

    _rules = rules(lam=LEVEL, eps=[Interval(0, None, closed="neither")])

    def __init__(self, lam: float = 1.0, eps: float = 1.0) -> None:
        self.lam, self.eps = lam, eps
        self._check()

    def value(self, w: np.ndarray) -> float:
        return self.lam * float(np.log1p(np.abs(as_float64(w)) / self.eps).sum())

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return prox_log_sum(w, step * self.lam, self.eps, out=out, check_finite=False)

    def _slope(self, size: np.ndarray) -> np.ndarray:
        return self.lam / (self.eps + size)

    def _level(self) -> float:
        return self.lam / self.eps

    def critical_lam(self, grad: np.ndarray) -> float:
        return self.eps * float(np.abs(as_float64(grad)).max(initial=0.0))

    def coordinate(self, n: int) -> Coordinate:
        return Coordinate("log_sum", self.lam, None, (float(self.eps),), False)


class L0(_Concave):
    """Number of entries that are not zero, ``lam * ||w||_0``.

    Parameters
    ----------
    lam : float, default=1.0
        Price of an entry, not negative.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import L0
    >>> L0(2.0).prox(np.array([3.0, -1.0]))
    array([3., 0.])
    """

    _rules = rules(lam=LEVEL)

    def __init__(self, lam: float = 1.0) -> None:
        self.lam = lam
        self._check()

    def value(self, w: np.ndarray) -> float:
        return self.lam * float(np.count_nonzero(w))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return prox_l0(w, step * self.lam, out=out, check_finite=False)

    def _slope(self, size: np.ndarray) -> np.ndarray:
        return np.zeros_like(size)

    def _level(self) -> float:
        return math.inf if self.lam > 0.0 else 0.0

    def coordinate(self, n: int) -> Coordinate:
        return Coordinate("l0", self.lam, None, (), False)


class Lq(_Concave):
    """Sum of powers, ``lam * sum_j |w_j|^q``.

    Parameters
    ----------
    lam : float, default=1.0
        Strength, not negative.
    q : float, default=0.5
        Power in (0, 2]; the penalty is convex from 1 on.

    References
    ----------
    .. [1] Z. Xu, X. Chang, F. Xu, H. Zhang, "L1/2 regularization: a thresholding
       representation theory and a fast solver", IEEE TNNLS, 2012, Section III.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import Lq
    >>> Lq(1.0, 0.5).value(np.array([4.0, -9.0, 0.0]))
    5.0
    """

    _rules = rules(lam=LEVEL, q=[Interval(0, 2, closed="right")])

    def __init__(self, lam: float = 1.0, q: float = 0.5) -> None:
        self.lam, self.q = lam, q
        self._check()
        self.is_convex = self.q >= 1.0

    def value(self, w: np.ndarray) -> float:
        return self.lam * float(np.sum(np.abs(as_float64(w)) ** self.q))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        lam = step * self.lam
        if self.q == 0.5:
            return prox_l_half(w, lam, out=out, check_finite=False)
        if self.q == 2.0 / 3.0:
            return prox_l_two_thirds(w, lam, out=out, check_finite=False)
        return prox_lq(w, lam, self.q, out=out, check_finite=False)

    def conjugate(self, v: np.ndarray) -> float:
        if self.q < 1.0:
            return super().conjugate(v)
        size, lam, q = np.abs(as_float64(v)), self.lam, self.q
        top = float(size.max(initial=0.0))
        if lam == 0.0 or q == 1.0:
            return 0.0 if top <= lam else math.inf
        dual = q / (q - 1.0)
        terms = (size / (lam * q)) ** dual
        return lam * (q - 1.0) * float(terms.sum())

    def dual_scale(self, v: np.ndarray) -> float:
        if self.q < 1.0:
            return super().dual_scale(v)
        top = float(np.abs(as_float64(v)).max(initial=0.0))
        if top <= self.lam or (self.q > 1.0 and self.lam > 0.0):
            return 1.0
        scale = self.lam / top
        return scale if scale * top <= self.lam else math.nextafter(scale, 0.0)

    def _slope(self, size: np.ndarray) -> np.ndarray:
        return self.lam * self.q * size ** (self.q - 1.0)

    def _level(self) -> float:
        if self.lam == 0.0 or self.q > 1.0:
            return 0.0
        return self.lam if self.q == 1.0 else math.inf

    def critical_lam(self, grad: np.ndarray) -> float:
        top = float(np.abs(as_float64(grad)).max(initial=0.0))
        if top == 0.0 or self.q < 1.0:
            return 0.0
        return top if self.q == 1.0 else math.inf

    def coordinate(self, n: int) -> Coordinate | None:
        kinds = {0.5: "l_half", 2.0 / 3.0: "l_two_thirds", 1.0: "l1"}
        kind = kinds.get(self.q)
        return Coordinate(kind, self.lam, None, (), False) if kind else None
