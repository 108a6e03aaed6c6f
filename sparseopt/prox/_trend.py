"""Trend filtering: piecewise polynomial fits by an interior-point method."""

from __future__ import annotations

import warnings
from math import comb
from typing import Any

import numpy as np
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning

from sparseopt._core._params import COMMON, Boolean, Interval, validate_params
from sparseopt.prox import _sequences
from sparseopt.prox._apply import AXIS, LEVEL
from sparseopt.prox._axis import finite_rows, sliced


@validate_params(
    {
        "lam": LEVEL,
        "order": [Interval(0, 3, integer=True)],
        "tol": [Interval(0, None, closed="neither")],
        "max_iter": COMMON["max_iter"],
        "axis": AXIS,
        "check_finite": [Boolean],
    }
)
def prox_trend_filter(
    x: Any,
    lam: float = 1.0,
    order: int = 1,
    *,
    tol: float = 1e-8,
    max_iter: int = 100,
    axis: int | None = None,
    out: Any = None,
    check_finite: bool = True,
) -> np.ndarray:
    """Proximal operator of ``lam`` times the l1 norm of differences of some order.

    The result is piecewise a polynomial of degree `order`; order 0 is total variation
    and exact. Others are found by a primal-dual interior-point method on the dual,
    whose steps are banded systems, linear in the length. Where it ends, the differences
    that are not zero are known as a rule; the solution with those is exact to rounding,
    and taken if it is optimal.

    Parameters
    ----------
    x : array of any shape
        The point: one vector whatever its shape, unless `axis` is given.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    order : int, default=1
        Degree of the pieces, from 0 to 3; the penalty is on differences of order
        ``order + 1``.
    tol : float, default=1e-8
        Stops when the duality gap is at most `tol` times the objective of the best
        polynomial.
    max_iter : int, default=100
        Most interior-point steps.
    axis : int, optional
        Each slice along this axis is a problem of its own.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The minimiser, to the tolerance.

    Warns
    -----
    ConvergenceWarning
        If the gap is above the tolerance after `max_iter` steps, or rounding stops the
        method before: long sequences with order 2 or 3 and a large `lam`.

    References
    ----------
    Kim, Koh, Boyd, Gorinevsky, "l1 trend filtering", SIAM Review 51, 2009, section 6.

    Examples
    --------
    >>> from sparseopt.prox import prox_trend_filter
    >>> prox_trend_filter([0.0, 1.0, 2.0, 1.0, 0.0], 0.1).round(3)
    array([0.057, 0.986, 1.914, 0.986, 0.057])
    """

    def solve(rows: np.ndarray, result: np.ndarray) -> None:
        worst = 0.0
        for row, target in zip(rows, result, strict=True):
            target[...], gap = _filter(
                row.astype(np.float64), lam, order, tol, max_iter
            )
            worst = max(worst, gap)
        if worst > tol:
            warnings.warn(
                f"prox_trend_filter: relative gap {worst:.2g} is above tol={tol:.2g}. "
                "Increase tol, or max_iter if that is reached.",
                ConvergenceWarning,
                stacklevel=5,
            )

    return sliced(finite_rows(solve, check_finite), x, axis, out, check_finite)


def _filter(
    x: np.ndarray, lam: float, order: int, tol: float, max_iter: int
) -> tuple[np.ndarray, float]:
    """Solution and relative gap."""
    if order == 0:
        result = np.empty((1, x.size))
        _sequences.total_variation(x[None], None, lam, 0.0, result)
        return result[0], 0.0
    if x.size <= order + 1 or lam == 0:
        return x, 0.0
    # without the best polynomial, which the penalty does not see, numbers are small
    trend = _polynomial(x, order)
    rest = x - trend
    size = float(np.abs(rest).max())
    if size <= 1e-14 * float(np.abs(x).max()):
        return x, 0.0
    rest /= size
    bound = lam / size
    dual = _integrate(rest, order)
    if np.abs(dual).max() <= bound:
        return trend, 0.0
    u, gap = _InteriorPoint(rest, bound, order).run(tol, max_iter)
    return trend + size * u, gap


def _polynomial(x: np.ndarray, order: int) -> np.ndarray:
    """Least-squares polynomial, twice so that rounding is that of the rest."""
    basis = np.polynomial.legendre.legvander(np.linspace(-1, 1, x.size), order)
    basis = np.linalg.qr(basis)[0]
    fit = basis @ (basis.T @ x)
    return fit + basis @ (basis.T @ (x - fit))


def _integrate(rest: np.ndarray, order: int) -> np.ndarray:
    """The dual point whose differences are a vector without polynomial part."""
    dual = rest
    for _ in range(order + 1):
        dual = np.cumsum(dual)
    return (-1) ** (order + 1) * dual[: rest.size - order - 1]


class _InteriorPoint:
    """Minimise ``|D' z|^2 / 2 - z' D x`` over ``|z| <= bound``; then u = x - D' z."""

    def __init__(self, x: np.ndarray, bound: float, order: int) -> None:
        self.x, self.bound, self.order = x, bound, order
        self.width = order + 1
        self.differences = self._forward(x)
        m = self.differences.size
        # rows of D D' are the binomial coefficients of twice the order, alternating
        self.band = np.zeros((self.width + 1, m))
        for k in range(self.width + 1):
            self.band[k] = (-1) ** k * comb(2 * self.width, self.width + k)
        self.scale = 0.5 * float(x @ x)

    def _forward(self, u: np.ndarray) -> np.ndarray:
        return np.diff(u, n=self.width)

    def _backward(self, z: np.ndarray) -> np.ndarray:
        for _ in range(self.width):
            z = -np.diff(z, prepend=0.0, append=0.0)
        return z

    def gap(self, z: np.ndarray) -> tuple[np.ndarray, float]:
        """Primal point and relative gap of a dual point in the box."""
        u = self.x - self._backward(z)
        bends = self._forward(u)
        gap = self.bound * float(np.abs(bends).sum()) - float(z @ bends)
        return u, gap / self.scale

    def run(self, tol: float, max_iter: int) -> tuple[np.ndarray, float]:
        m = self.differences.size
        z = np.zeros(m)
        mu = np.ones((2, m))  # multipliers of z <= bound and -z <= bound
        sharp = 1e-10
        best, best_gap = self.x, np.inf
        for _ in range(max_iter):
            u, gap = self.gap(z)
            if gap < best_gap:
                best, best_gap = u, gap
            if gap <= tol:
                break
            slack = np.stack([self.bound - z, self.bound + z])
            surrogate = float((mu * slack).sum())
            sharp = max(2 * m * 2 / surrogate, 1.2 * sharp)
            step = self._step(z, mu, slack, sharp)
            if step is None:
                break
            z, mu = step
        u, gap = self._polished(z)
        if gap <= max(best_gap, tol):
            best, best_gap = u, gap
        return best, max(best_gap, 0.0)

    def _polished(self, z: np.ndarray) -> tuple[np.ndarray, float]:
        """The solution and its gap, if z shows which of its entries are at the bound.

        Those are fixed there, and the others solve the normal equations of differences
        that are zero.  The gap is infinite if the result breaks an optimality
        condition.
        """
        bends = self._forward(self.x - self._backward(z))
        top = float(np.abs(bends).max())
        at = (self.bound - np.abs(z)) * top <= np.abs(bends) * self.bound
        fixed = np.where(at, self.bound * np.sign(bends), 0.0)
        free = np.flatnonzero(~at)
        point = fixed.copy()
        if free.size:
            right = self._forward(self.x - self._backward(fixed))[free]
            try:
                point[free] = linalg.solveh_banded(
                    self._among(free), right, lower=True, check_finite=False
                )
            except linalg.LinAlgError:
                return self.x, np.inf
        if not np.abs(point).max() <= self.bound * (1 + 1e-10):
            return self.x, np.inf
        u, gap = self.gap(np.clip(point, -self.bound, self.bound))
        same = (self._forward(u) * fixed)[at] >= -1e-12 * self.bound * top
        return u, gap if same.all() else np.inf

    def _among(self, free: np.ndarray) -> np.ndarray:
        """The rows and columns of D D' with these numbers, which stay a band."""
        band = np.zeros((self.width + 1, free.size))
        for k in range(min(self.width + 1, free.size)):
            apart = free[k:] - free[: free.size - k]
            near = apart <= self.width
            band[k, : apart.size][near] = self.band[apart[near], 0]
        return band

    def _residual(self, z, mu, sharp) -> float:
        slack = np.stack([self.bound - z, self.bound + z])
        dual = self._forward(self._backward(z) - self.x) + mu[0] - mu[1]
        centre = mu * slack - 1 / sharp
        return float(np.sqrt(dual @ dual + (centre * centre).sum()))

    def _step(self, z, mu, slack, sharp) -> tuple[np.ndarray, np.ndarray] | None:
        """Newton step to the central path, shortened until the residual falls."""
        matrix = self.band.copy()
        matrix[0] += (mu / slack).sum(axis=0)
        bends = self._forward(self.x - self._backward(z))
        right = bends - (1 / slack[0] - 1 / slack[1]) / sharp
        try:
            move = linalg.solveh_banded(
                matrix, right, lower=True, overwrite_ab=True, check_finite=False
            )
        except linalg.LinAlgError:
            return None
        sides = np.stack([move, -move])
        change = (1 / sharp + mu * sides) / slack - mu
        falling = change < 0
        length = 1.0
        if falling.any():
            length = min(1.0, 0.99 * float((-mu[falling] / change[falling]).min()))
        closing = sides > 0
        if closing.any():
            room = float((slack[closing] / sides[closing]).min())
            length = min(length, 0.99 * room)
        before = self._residual(z, mu, sharp)
        for _ in range(30):
            point = z + length * move, mu + length * change
            if self._residual(*point, sharp) <= (1 - 0.01 * length) * before:
                return point
            length *= 0.5
        return None
