"""Exact operators of sequences: total variation, fused lasso, monotone fits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseopt._core._arrays import as_floats
from sparseopt._core._params import Boolean, validate_params
from sparseopt.prox import _sequences
from sparseopt.prox._apply import AXIS, LEVEL, check_weights
from sparseopt.prox._axis import ScaledRows, sliced_scaled


@validate_params({"lam": LEVEL, "axis": AXIS, "check_finite": [Boolean]})
def prox_tv1d(
    x: Any,
    lam: float = 1.0,
    *,
    weights: Any = None,
    axis: int | None = None,
    out: Any = None,
    check_finite: bool = True,
) -> np.ndarray:
    """Proximal operator of ``lam * sum_i weights_i |w_(i+1) - w_i|``.

    Exact, and linear in the length for any data.

    Parameters
    ----------
    x : array of any shape
        The point: one vector whatever its shape, unless `axis` is given.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    weights : array of one entry less than a sequence, optional
        Weight of each difference, not negative; ones if not given.
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
    Davies, Kovac, "Local extremes, runs, strings and multiresolution", Annals of
    Statistics 29, 2001, section 2.

    Condat, "A direct algorithm for 1-D total variation denoising", IEEE Signal
    Processing Letters 20, 2013.

    Examples
    --------
    >>> from sparseopt.prox import prox_tv1d
    >>> prox_tv1d([0.0, 0.0, 3.0, 3.0], 1.0)
    array([0.5, 0.5, 2.5, 2.5])
    """
    solve = _variation(lam, 0.0, weights)
    return sliced_scaled(solve, x, axis, out, check_finite)


@validate_params(
    {"lam_tv": LEVEL, "lam_l1": LEVEL, "axis": AXIS, "check_finite": [Boolean]}
)
def prox_fused_lasso(
    x: Any,
    lam_tv: float = 1.0,
    lam_l1: float = 1.0,
    *,
    weights: Any = None,
    axis: int | None = None,
    out: Any = None,
    check_finite: bool = True,
) -> np.ndarray:
    """Proximal operator of total variation plus l1 norm.

    The penalty is ``lam_tv * sum_i weights_i |w_(i+1) - w_i| + lam_l1 * |w|_1``. The
    operator is that of total variation, then a soft threshold.

    Parameters
    ----------
    x : array of any shape
        The point: one vector whatever its shape, unless `axis` is given.
    lam_tv : float, default=1.0
        Step times the weight of the differences, not negative.
    lam_l1 : float, default=1.0
        Step times the weight of the l1 norm, not negative.
    weights : array of one entry less than a sequence, optional
        Weight of each difference, not negative; ones if not given.
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
    Friedman, Hastie, Höfling, Tibshirani, "Pathwise coordinate optimization", Annals
    of Applied Statistics 1, 2007, section 4.

    Examples
    --------
    >>> from sparseopt.prox import prox_fused_lasso
    >>> prox_fused_lasso([0.0, 0.0, 3.0, 3.0], 1.0, 1.0)
    array([0. , 0. , 1.5, 1.5])
    """
    solve = _variation(lam_tv, lam_l1, weights)
    return sliced_scaled(solve, x, axis, out, check_finite)


def _variation(lam: float, l1: float, weights: Any) -> ScaledRows:
    def solve(rows: np.ndarray, result: np.ndarray, exponent: int) -> None:
        w = _row_weights(weights, rows, rows.shape[1] - 1)
        levels = math.ldexp(lam, -exponent), math.ldexp(l1, -exponent)
        if w is None:  # entries up to 2^900 are all equal long before
            levels = min(levels[0], 2.0**970), levels[1]
        if np.may_share_memory(rows, result):  # entries are read more than once
            rows = rows.copy()
        _sequences.total_variation(rows, w, *levels, result)

    return solve


@validate_params({"increasing": [Boolean], "axis": AXIS, "check_finite": [Boolean]})
def prox_isotonic(
    x: Any,
    *,
    weights: Any = None,
    increasing: bool = True,
    axis: int | None = None,
    out: Any = None,
    check_finite: bool = True,
) -> np.ndarray:
    """Nearest monotone sequence, by pooling adjacent violators.

    Parameters
    ----------
    x : array of any shape
        The point: one vector whatever its shape, unless `axis` is given.
    weights : array of the length of a sequence, optional
        Weights of the squared distances, positive; ones if not given.
    increasing : bool, default=True
        Whether the result must not fall, else it must not rise.
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
    Best, Chakravarti, "Active set algorithms for isotonic regression; a unifying
    framework", Mathematical Programming 47, 1990, section 3.

    Examples
    --------
    >>> from sparseopt.prox import prox_isotonic
    >>> prox_isotonic([1.0, 3.0, 2.0, 4.0])
    array([1. , 2.5, 2.5, 4. ])
    """

    def solve(rows: np.ndarray, result: np.ndarray, _: int) -> None:
        w = _row_weights(weights, rows, rows.shape[1])
        if w is not None and not w.min() > 0:
            index = int(w.argmin())
            raise ValueError(
                "The 'weights' array must be positive. "
                f"Got {w[index]} at index {index}."
            )
        if w is not None:
            unit = math.frexp(float(w.max()))[1]
            w = np.ldexp(w, -unit) if abs(unit) > 100 else w
        _sequences.isotonic(rows, w, increasing, result)

    limit = 900 if weights is None else 600
    return sliced_scaled(solve, x, axis, out, check_finite, limit)


def _row_weights(weights: Any, rows: np.ndarray, length: int) -> np.ndarray | None:
    """Weights of a row in the type of the rows, checked."""
    if weights is None:
        return None
    array = as_floats(weights, "weights", ndim=None, dtype=rows.dtype, order="C")
    if array.shape != (length,):
        raise ValueError(
            f"The 'weights' array must have shape ({length},). Got {array.shape}."
        )
    check_weights(array, "weights")
    return array if length else None
