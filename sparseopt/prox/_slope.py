"""Ordered weighted l1 norm (SLOPE, OWL, OSCAR)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from sparseopt._core._arrays import as_floats
from sparseopt._core._params import Boolean, Interval, Options, validate_params
from sparseopt.prox import _sequences
from sparseopt.prox._apply import AXIS, LEVEL, POSITIVE
from sparseopt.prox._axis import ScaledRows, sliced_scaled
from sparseopt.prox._elementwise import prox_l1


@validate_params({"step": POSITIVE, "axis": AXIS, "check_finite": [Boolean]})
def prox_slope(
    x: Any,
    lam: Any,
    *,
    step: float = 1.0,
    axis: int | None = None,
    out: Any = None,
    check_finite: bool = True,
) -> np.ndarray:
    """Proximal operator of the sorted l1 norm ``step * sum_i lam_i |w|_(i)``.

    Here ``|w|_(1) >= |w|_(2) >= ...`` are the magnitudes in order. Only entries that
    may stay above zero are sorted.

    Parameters
    ----------
    x : array of any shape
        The point: one vector whatever its shape, unless `axis` is given.
    lam : array or float
        Weights, one for each place in the order, nonincreasing and not negative; a
        number is the same weight for all, which is the l1 norm.
    step : float, default=1.0
        Factor of all weights, positive.
    axis : int, optional
        Each slice along this axis is a problem of its own.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The minimiser.

    References
    ----------
    Bogdan, van den Berg, Sabatti, Su, Candès, "SLOPE: adaptive variable selection via
    convex optimization", Annals of Applied Statistics 9, 2015, section 2.

    Examples
    --------
    >>> from sparseopt.prox import prox_slope
    >>> prox_slope([5.0, -4.0, 1.0], [3.0, 1.0, 1.0])
    array([ 2.5, -2.5,  0. ])
    """
    weights = as_floats(lam, "lam", ndim=None, dtype=np.float64)
    if weights.ndim == 0:
        return prox_l1(x, step * _level(weights), out=out, check_finite=check_finite)
    return sliced_scaled(_rows(weights, step), x, axis, out, check_finite)


def _level(lam: np.ndarray) -> float:
    if not 0 <= lam < np.inf:
        raise ValueError(
            "The 'lam' parameter of sparseopt.prox.prox_slope must be a float in "
            f"[0, inf), or an array. Got {float(lam)!r}."
        )
    return float(lam)


def _rows(lam: np.ndarray, step: float) -> ScaledRows:
    weights = np.ascontiguousarray(lam)

    def solve(rows: np.ndarray, result: np.ndarray, exponent: int) -> None:
        if weights.shape != (rows.shape[1],):
            raise ValueError(
                f"The 'lam' array must have shape ({rows.shape[1]},). "
                f"Got {weights.shape}."
            )
        if not _sequences.slope_weights_valid(weights):
            raise ValueError(
                "The 'lam' array must be finite, not negative and nonincreasing. "
                f"Got {_offender(weights)}."
            )
        levels = np.ldexp(weights, -exponent) if exponent else weights
        _sequences.slope_rows(rows, levels, step, result)

    return solve


def _offender(lam: np.ndarray) -> str:
    """What is wrong with weights that are not valid."""
    finite = np.isfinite(lam)
    if not finite.all():
        index = int(finite.argmin())
        return f"{lam[index]} at index {index}"
    rises = np.flatnonzero(np.diff(lam) > 0)
    if rises.size:
        index = int(rises[0])
        return f"{lam[index]} before {lam[index + 1]} at index {index + 1}"
    return f"{lam[-1]} at index {lam.size - 1}"


@validate_params(
    {
        "n": [Interval(0, None, integer=True)],
        "kind": [Options("bh", "oscar", "linear")],
        "q": [Interval(0, 1, closed="neither")],
        "slope": LEVEL,
    }
)
def slope_weights(
    n: int, kind: str = "bh", *, q: float = 0.1, slope: float = 1.0
) -> np.ndarray:
    """Nonincreasing weights for `prox_slope`.

    Parameters
    ----------
    n : int
        Number of weights.
    kind : {"bh", "oscar", "linear"}, default="bh"
        "bh" are the normal quantiles of ``1 - i q / (2 n)``, which control the false
        discovery rate at q with orthogonal designs and unit noise; "oscar" are
        ``1 + slope (n - i)``, for which equal magnitudes form; "linear" falls from 1
        to ``1 / n``.
    q : float, default=0.1
        Target false discovery rate of "bh", in (0, 1).
    slope : float, default=1.0
        Difference of successive weights of "oscar", not negative.

    Returns
    -------
    ndarray of shape (n,)
        The weights.

    References
    ----------
    Bogdan, van den Berg, Sabatti, Su, Candès, "SLOPE: adaptive variable selection via
    convex optimization", Annals of Applied Statistics 9, 2015, section 1.

    Bondell, Reich, "Simultaneous regression shrinkage, variable selection, and
    supervised clustering of predictors with OSCAR", Biometrics 64, 2008, section 2.

    Examples
    --------
    >>> from sparseopt.prox import slope_weights
    >>> slope_weights(4, "oscar", slope=0.5)
    array([2.5, 2. , 1.5, 1. ])
    >>> slope_weights(4).round(3)
    array([2.241, 1.96 , 1.78 , 1.645])
    """
    place = np.arange(1, n + 1)
    if kind == "oscar":
        return 1 + slope * (n - place)
    if kind == "linear":
        return (n + 1 - place) / max(n, 1)
    return -special.ndtri(place * (q / (2 * max(n, 1))))
