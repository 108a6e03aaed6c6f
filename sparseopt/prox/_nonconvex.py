"""Elementwise operators of penalties that are not convex: a global minimiser each."""

from __future__ import annotations

import math
from typing import Any

from sparseopt._core._params import Boolean, Interval, validate_params
from sparseopt.prox import _map_kernels as kernels
from sparseopt.prox._apply import LEVEL, POSITIVE, apply


@validate_params({"lam": LEVEL, "check_finite": [Boolean]})
def prox_l0(
    x: Any, lam: float = 1.0, *, out: Any = None, check_finite: bool = True
) -> Any:
    """Hard threshold: minimise ``lam * |w|_0 + |w - x|^2 / 2``.

    Entries of magnitude above ``sqrt(2 lam)`` stay; at a tie the result is 0.

    Parameters
    ----------
    x : array of any shape
        The point.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The minimiser.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    Examples
    --------
    >>> from sparseopt.prox import prox_l0
    >>> prox_l0([3.0, -1.0, 2.0], 2.0)
    array([3., 0., 0.])
    """
    return _hard(x, math.sqrt(2) * math.sqrt(lam), out, check_finite)


@validate_params(
    {
        "lam": LEVEL,
        "gamma": [Interval(1, None, closed="neither")],
        "step": POSITIVE,
        "check_finite": [Boolean],
    }
)
def prox_mcp(
    x: Any,
    lam: float = 1.0,
    gamma: float = 3.0,
    *,
    step: float = 1.0,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Proximal operator of the minimax concave penalty.

    The penalty of an entry is ``lam |w| - w^2 / (2 gamma)`` up to ``gamma lam`` and
    ``gamma lam^2 / 2`` beyond. For ``step >= gamma`` this is a hard threshold.

    Parameters
    ----------
    x : array of any shape
        The point.
    lam : float, default=1.0
        Slope of the penalty at 0, not negative.
    gamma : float, default=3.0
        Where the penalty becomes flat, in units of `lam`; above 1.
    step : float, default=1.0
        Step of the proximal operator: the minimised function is
        ``step * penalty(w) + |w - x|^2 / 2``.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The minimiser.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    References
    ----------
    Zhang, "Nearly unbiased variable selection under minimax concave penalty",
    Annals of Statistics 38, 2010, section 2.

    Examples
    --------
    >>> from sparseopt.prox import prox_mcp
    >>> prox_mcp([0.5, 2.0, 4.0], 1.0, gamma=3.0)
    array([0. , 1.5, 4. ])
    """
    if step >= gamma:
        return _hard(x, lam * math.sqrt(gamma) * math.sqrt(step), out, check_finite)
    params = (step * lam, 1 / (1 - step / gamma), gamma * lam)
    return apply(kernels.FIRM, x, params, out, check_finite)


@validate_params(
    {
        "lam": LEVEL,
        "gamma": [Interval(2, None, closed="neither")],
        "step": POSITIVE,
        "check_finite": [Boolean],
    }
)
def prox_scad(
    x: Any,
    lam: float = 1.0,
    gamma: float = 3.7,
    *,
    step: float = 1.0,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Proximal operator of the smoothly clipped absolute deviation penalty.

    The penalty of an entry is ``lam |w|`` up to `lam`, a quadratic up to
    ``gamma lam`` and ``lam^2 (gamma + 1) / 2`` beyond. For ``step >= gamma - 1`` the
    operator jumps.

    Parameters
    ----------
    x : array of any shape
        The point.
    lam : float, default=1.0
        Slope of the penalty at 0, not negative.
    gamma : float, default=3.7
        Where the penalty becomes flat, in units of `lam`; above 2.
    step : float, default=1.0
        Step of the proximal operator: the minimised function is
        ``step * penalty(w) + |w - x|^2 / 2``.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The minimiser.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    References
    ----------
    Fan, Li, "Variable selection via nonconcave penalized likelihood and its oracle
    properties", JASA 96, 2001, section 2.

    Examples
    --------
    >>> from sparseopt.prox import prox_scad
    >>> prox_scad([0.5, 1.5, 4.0], 1.0, gamma=3.7)
    array([0. , 0.5, 4. ])
    """
    t, high, gap = step * lam, gamma * lam, gamma - 1 - step
    if gap > 0:
        params = (t, (1 + step) * lam, high, (gamma - 1) / gap)
        return apply(kernels.SCAD, x, params, out, check_finite)
    # The middle piece is concave: the soft threshold competes with x itself.
    if step > gamma + 1:
        return _hard(x, lam * math.sqrt(step) * math.sqrt(gamma + 1), out, check_finite)
    params_firm = (t, 1.0, lam * (gamma + 1 + step) / 2)
    return apply(kernels.FIRM, x, params_firm, out, check_finite)


@validate_params({"lam": LEVEL, "eps": POSITIVE, "check_finite": [Boolean]})
def prox_log_sum(
    x: Any,
    lam: float = 1.0,
    eps: float = 1.0,
    *,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Proximal operator of ``lam * sum_i log(1 + |w_i| / eps)``.

    Parameters
    ----------
    x : array of any shape
        The point.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    eps : float, default=1.0
        Scale at which the penalty turns from linear to logarithmic, positive.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The minimiser.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    References
    ----------
    Prater-Bennette, Shen, Tripp, "The proximity operator of the log-sum penalty",
    Journal of Scientific Computing 93, 2022, section 2.

    Examples
    --------
    >>> from sparseopt.prox import prox_log_sum
    >>> prox_log_sum([0.5, 3.0], 1.0, eps=1.0)
    array([0.        , 2.73205081])
    """
    threshold = _log_sum_threshold(lam, eps)
    params = (threshold, eps, lam / eps, 2 * math.sqrt(lam))
    return apply(kernels.LOG_SUM, x, params, out, check_finite)


def _log_sum_threshold(lam: float, eps: float) -> float:
    """Magnitude up to which 0 is a minimiser.

    In units of `eps`, with c = lam / eps^2: the advantage of the positive stationary
    point over 0 grows with the magnitude, and changes sign once in the interval.
    """
    c = lam / eps / eps
    if not c > 1:
        return lam / eps
    low, high = 2 * math.sqrt(c) - 1, c
    for _ in range(200):
        m = 0.5 * (low + high)
        if not low < m < high:
            break
        # z^2 / 2 - m z + c log(1 + z) at the larger root, divided by sqrt(c)
        gap = max(m + 1 - 2 * math.sqrt(c), 0.0)
        z = 0.5 * ((m - 1) + math.sqrt(gap) * math.sqrt(m + 1 + 2 * math.sqrt(c)))
        better = (0.5 * z - m) * (z / math.sqrt(c)) + math.sqrt(c) * math.log1p(z) < 0
        low, high = (low, m) if better else (m, high)
    return eps * low


@validate_params({"lam": LEVEL, "check_finite": [Boolean]})
def prox_l_half(
    x: Any, lam: float = 1.0, *, out: Any = None, check_finite: bool = True
) -> Any:
    """Half threshold: minimise ``lam * sum_i |w_i|^(1/2) + |w - x|^2 / 2``.

    Parameters
    ----------
    x : array of any shape
        The point.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The minimiser.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    References
    ----------
    Xu, Chang, Xu, Zhang, "L1/2 regularization: a thresholding representation theory
    and a fast solver", IEEE TNNLS 23, 2012, section III.

    Examples
    --------
    >>> from sparseopt.prox import prox_l_half
    >>> prox_l_half([1.0, 3.0], 1.0)
    array([0.        , 2.69545315])
    """
    threshold = 1.5 * lam ** (2 / 3)
    return apply(kernels.HALF, x, (threshold,), out, check_finite)


@validate_params({"lam": LEVEL, "check_finite": [Boolean]})
def prox_l_two_thirds(
    x: Any, lam: float = 1.0, *, out: Any = None, check_finite: bool = True
) -> Any:
    """Proximal operator of ``lam * sum_i |w_i|^(2/3)``.

    Parameters
    ----------
    x : array of any shape
        The point.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The minimiser.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    References
    ----------
    Cao, Sun, Xu, "Fast image deconvolution using closed-form thresholding formulas of
    Lq (q = 1/2, 2/3) regularization", J. Vis. Commun. Image R. 24, 2013, section 2.

    Examples
    --------
    >>> from sparseopt.prox import prox_l_two_thirds
    >>> prox_l_two_thirds([1.0, 3.0], 1.0)
    array([0.        , 2.50941059])
    """
    threshold = _power_threshold(lam, 2 / 3)[0]
    return apply(kernels.TWO_THIRDS, x, (threshold,), out, check_finite)


@validate_params(
    {
        "lam": LEVEL,
        "q": [Interval(0, 2, closed="right")],
        "check_finite": [Boolean],
    }
)
def prox_lq(
    x: Any,
    lam: float = 1.0,
    q: float = 0.5,
    *,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Proximal operator of ``lam * sum_i |w_i|^q`` for any power in (0, 2].

    Parameters
    ----------
    x : array of any shape
        The point.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    q : float, default=0.5
        Power, in (0, 2]; the penalty is convex from 1 on.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The minimiser.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    References
    ----------
    Marjanovic, Solo, "On l_q optimization and matrix completion", IEEE TSP 60, 2012,
    theorem 1.

    Examples
    --------
    >>> from sparseopt.prox import prox_lq
    >>> prox_lq([1.0, 3.0], 1.0, q=0.5)
    array([0.        , 2.69545315])
    >>> prox_lq([1.0, 3.0], 0.5, q=2)
    array([0.5, 1.5])
    """
    if q == 2 or lam == 0:
        return apply(kernels.SOFT, x, (0.0, 1 / (1 + 2 * lam)), out, check_finite)
    if q == 1:
        return apply(kernels.SOFT, x, (lam, 1.0), out, check_finite)
    if q > 1:
        params = (math.log(lam) + math.log(q), q)
        return apply(kernels.POWER_CONVEX, x, params, out, check_finite)
    threshold, kappa = _power_threshold(lam, q)
    return apply(kernels.POWER, x, (threshold, q, kappa), out, check_finite)


def _power_threshold(lam: float, q: float) -> tuple[float, float]:
    """Magnitude up to which 0 is a minimiser, and ``lam q m^(q-2)`` there."""
    root = (2 * lam * (1 - q)) ** (1 / (2 - q))
    share = 2 * (1 - q) / (2 - q)  # of the magnitude, that the other minimiser is
    return root / share, (1 - share) * share ** (1 - q)


def _hard(x: Any, threshold: float, out: Any, finite: bool) -> Any:
    # the level of the soft threshold is above all that is below `hi`
    return apply(kernels.FIRM, x, (threshold, 1.0, threshold), out, finite)
