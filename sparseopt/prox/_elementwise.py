"""Convex elementwise operators."""

from __future__ import annotations

from typing import Any

from sparseopt._core._params import Boolean, validate_params
from sparseopt.prox import _map_kernels as kernels
from sparseopt.prox._apply import LEVEL, RATIO, apply, check_weights


@validate_params({"lam": LEVEL, "positive": [Boolean], "check_finite": [Boolean]})
def prox_l1(
    x: Any,
    lam: float = 1.0,
    *,
    weights: Any = None,
    positive: bool = False,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Soft threshold: minimise ``lam * sum_i weights_i |w_i| + |w - x|^2 / 2``.

    Parameters
    ----------
    x : array of any shape
        The point.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    weights : array of the shape of x, optional
        Weight of each entry, not negative; ones if not given.
    positive : bool, default=False
        Whether entries must not be negative.
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
    >>> from sparseopt.prox import prox_l1
    >>> prox_l1([3.0, -0.5, -2.0], 1.0)
    array([ 2.,  0., -1.])
    """
    return _soft(x, lam, 0.0, weights, positive, out, check_finite)


@validate_params(
    {
        "lam": LEVEL,
        "l1_ratio": RATIO,
        "positive": [Boolean],
        "check_finite": [Boolean],
    }
)
def prox_elastic_net(
    x: Any,
    lam: float = 1.0,
    l1_ratio: float = 0.5,
    *,
    weights: Any = None,
    positive: bool = False,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Proximal operator of ``lam * sum_i weights_i (rho |w_i| + (1 - rho) w_i^2 / 2)``.

    Here rho is `l1_ratio`: 1 is the soft threshold, 0 ridge.

    Parameters
    ----------
    x : array of any shape
        The point.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    l1_ratio : float, default=0.5
        Share of the l1 norm, in [0, 1].
    weights : array of the shape of x, optional
        Weight of each entry, not negative; ones if not given.
    positive : bool, default=False
        Whether entries must not be negative.
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
    >>> from sparseopt.prox import prox_elastic_net
    >>> prox_elastic_net([3.0, -0.5, -2.0], 1.0, l1_ratio=0.5)
    array([ 1.66666667,  0.        , -1.        ])
    """
    l1, l2 = lam * l1_ratio, lam * (1 - l1_ratio)
    return _soft(x, l1, l2, weights, positive, out, check_finite)


@validate_params({"lam": LEVEL, "check_finite": [Boolean]})
def prox_ridge(
    x: Any, lam: float = 1.0, *, out: Any = None, check_finite: bool = True
) -> Any:
    """Proximal operator of half the squared norm: ``x / (1 + lam)``.

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
    >>> from sparseopt.prox import prox_ridge
    >>> prox_ridge([3.0, -1.0], 1.0)
    array([ 1.5, -0.5])
    """
    return _soft(x, 0.0, lam, None, False, out, check_finite)


def _soft(x, l1, l2, weights, positive, out, finite) -> Any:
    """Prox of ``sum_i weights_i (l1 |w_i| + l2 w_i^2 / 2)``."""
    if weights is None:
        kind = kernels.SOFT_POS if positive else kernels.SOFT
        return apply(kind, x, (l1, 1 / (1 + l2)), out, finite)
    kind = kernels.WSOFT_POS if positive else kernels.WSOFT
    return apply(kind, x, (l1, 1.0, l2), out, finite, weights, "weights", check_weights)
