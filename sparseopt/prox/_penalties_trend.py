"""Trend filtering as a penalty."""

from __future__ import annotations

import math

import numpy as np

from sparseopt._core._params import Interval
from sparseopt.prox._penalty import LEVEL, Norm, as_float64, rules
from sparseopt.prox._trend import prox_trend_filter

# Rounding of a sum, in units of its terms.
_ROUNDING = 4e-16


class TrendFilter(Norm):
    """The l1 norm of differences of some order, ``lam * sum_i |(D^(order+1) w)_i|``.

    Sequences with a small value are piecewise polynomials of degree `order`.

    Parameters
    ----------
    lam : float, default=1.0
        Strength, not negative.
    order : int, default=1
        Degree of the pieces, from 0 to 3; 0 is `TV1D`.
    tol : float, default=1e-10
        Relative duality gap to which the prox is computed at least.

    See Also
    --------
    TV1D : Order 0, exact and many times faster.
    prox_trend_filter : The operator.

    Notes
    -----
    The prox is an interior-point method with a last step that is exact to rounding, if
    it finds which differences are zero.  If it does not, the objective is within `tol`
    of the least, which moves entries by the order of ``sqrt(tol)``.  There is no
    formula for the distance to the subdifferential, because differences are zero but
    for rounding: `subdiff_distance` is `fixed_point_distance`.  The conjugate is finite
    only where the dual point has no polynomial part of degree `order`.

    References
    ----------
    .. [1] S.-J. Kim, K. Koh, S. Boyd, D. Gorinevsky, "l1 trend filtering", SIAM Review,
       2009, Section 6.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import TrendFilter
    >>> penalty = TrendFilter(0.1)
    >>> penalty.value(np.array([0.0, 1.0, 2.0, 1.0, 0.0]))
    0.2
    >>> penalty.prox(np.array([0.0, 1.0, 2.0, 1.0, 0.0])).round(3)
    array([0.057, 0.986, 1.914, 0.986, 0.057])
    """

    _rules = rules(
        lam=LEVEL,
        order=[Interval(0, 3, integer=True)],
        tol=[Interval(0, 1, closed="neither")],
    )

    def __init__(self, lam: float = 1.0, order: int = 1, *, tol: float = 1e-10) -> None:
        self.lam, self.order, self.tol = lam, order, tol
        self._check()

    def norm(self, w: np.ndarray) -> float:
        flat = as_float64(w).reshape(-1)
        return float(np.abs(np.diff(flat, n=self.order + 1)).sum())

    def dual_norm(self, v: np.ndarray) -> float:
        # the only z with D' z = v, if there is one, is a repeated sum
        flow = as_float64(v).reshape(-1)
        noise = _ROUNDING * float(np.abs(flow).max(initial=0.0)) * flow.size
        for _ in range(self.order + 1):
            flow = np.cumsum(flow)
            # each sum collects the rounding of those before it
            if flow.size and abs(flow[-1]) > noise + _ROUNDING * np.abs(flow).max():
                return math.inf
            noise *= flow.size
            flow = flow[:-1]
        return float(np.abs(flow).max(initial=0.0))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return prox_trend_filter(
            w, step * self.lam, self.order, tol=self.tol, out=out, check_finite=False
        )
