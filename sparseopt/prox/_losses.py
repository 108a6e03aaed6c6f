"""Proximal operators of losses, elementwise in predictions z and targets y."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseopt._core._params import Boolean, Interval, validate_params
from sparseopt.prox import _map_kernels as kernels
from sparseopt.prox._apply import (
    LEVEL,
    POSITIVE,
    apply,
    check_all_finite,
    check_weights,
)


def check_labels(array: np.ndarray, name: str) -> None:
    """Raise an error that names the first label that is not -1 or 1."""
    flat = array.reshape(-1)
    bad = np.abs(flat) != 1
    if bad.any():
        index = int(bad.argmax())
        raise ValueError(
            f"The {name!r} array must hold labels -1 and 1. "
            f"Got {flat[index]} at index {index}."
        )


@validate_params({"lam": LEVEL, "delta": POSITIVE, "check_finite": [Boolean]})
def prox_huber(
    z: Any,
    y: Any,
    lam: float = 1.0,
    *,
    delta: float = 1.0,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Proximal operator of the Huber loss of ``z - y``.

    The loss of a residual r is ``r^2 / 2`` up to `delta` and
    ``delta |r| - delta^2 / 2`` beyond.

    Parameters
    ----------
    z : array of any shape
        Predictions.
    y : array of the shape of z, or float
        Targets.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    delta : float, default=1.0
        Where the loss becomes linear, positive.
    out : array, optional
        Where the result goes; it may be `z` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `z` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of z
        The minimiser.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    Examples
    --------
    >>> from sparseopt.prox import prox_huber
    >>> prox_huber([4.0, 1.0], [0.0, 0.0], 1.0)
    array([3. , 0.5])
    """
    params = (lam, delta)
    return _loss(kernels.HUBER, z, params, out, check_finite, y, check_all_finite)


@validate_params({"lam": LEVEL, "check_finite": [Boolean]})
def prox_hinge(
    z: Any, y: Any, lam: float = 1.0, *, out: Any = None, check_finite: bool = True
) -> Any:
    """Proximal operator of the hinge loss ``max(1 - y z, 0)``.

    Parameters
    ----------
    z : array of any shape
        Predictions.
    y : array of the shape of z, or float
        Labels -1 and 1.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    out : array, optional
        Where the result goes; it may be `z` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `z` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of z
        The minimiser.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    Examples
    --------
    >>> from sparseopt.prox import prox_hinge
    >>> prox_hinge([-1.0, 0.5, 2.0], [1, 1, 1], 1.0)
    array([0., 1., 2.])
    """
    return _loss(kernels.HINGE, z, (lam,), out, check_finite, y, check_labels)


@validate_params({"lam": LEVEL, "check_finite": [Boolean]})
def prox_squared_hinge(
    z: Any, y: Any, lam: float = 1.0, *, out: Any = None, check_finite: bool = True
) -> Any:
    """Proximal operator of the squared hinge loss ``max(1 - y z, 0)^2``.

    Parameters
    ----------
    z : array of any shape
        Predictions.
    y : array of the shape of z, or float
        Labels -1 and 1.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    out : array, optional
        Where the result goes; it may be `z` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `z` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of z
        The minimiser.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    Examples
    --------
    >>> from sparseopt.prox import prox_squared_hinge
    >>> prox_squared_hinge([-1.0, 2.0], [1, 1], 0.5)
    array([0., 2.])
    """
    params = (lam / (0.5 + lam),)
    return _loss(kernels.SQ_HINGE, z, params, out, check_finite, y, check_labels)


@validate_params(
    {
        "lam": LEVEL,
        "quantile": [Interval(0, 1, closed="neither")],
        "check_finite": [Boolean],
    }
)
def prox_pinball(
    z: Any,
    y: Any,
    lam: float = 1.0,
    *,
    quantile: float = 0.5,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Proximal operator of the loss of quantile regression.

    The loss is ``q (y - z)`` where z is below y and ``(1 - q) (z - y)`` above it.

    Parameters
    ----------
    z : array of any shape
        Predictions.
    y : array of the shape of z, or float
        Targets.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    quantile : float, default=0.5
        The quantile q, strictly between 0 and 1.
    out : array, optional
        Where the result goes; it may be `z` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `z` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of z
        The minimiser.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    Examples
    --------
    >>> from sparseopt.prox import prox_pinball
    >>> prox_pinball([3.0, 0.1, -3.0], [0.0, 0.0, 0.0], 1.0, quantile=0.75)
    array([ 2.75,  0.  , -2.25])
    """
    params = (-lam * quantile, lam * (1 - quantile))
    return _loss(kernels.PINBALL, z, params, out, check_finite, y, check_all_finite)


@validate_params({"lam": LEVEL, "check_finite": [Boolean]})
def prox_logistic(
    z: Any, y: Any, lam: float = 1.0, *, out: Any = None, check_finite: bool = True
) -> Any:
    """Proximal operator of the logistic loss ``log(1 + exp(-y z))``.

    Parameters
    ----------
    z : array of any shape
        Predictions.
    y : array of the shape of z, or float
        Labels -1 and 1.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    out : array, optional
        Where the result goes; it may be `z` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `z` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of z
        The minimiser.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    Examples
    --------
    >>> from sparseopt.prox import prox_logistic
    >>> prox_logistic([0.0, 0.0], [1, -1], 1.0)
    array([ 0.40105814, -0.40105814])
    """
    params = (lam, math.log(lam) if lam > 0 else -math.inf)
    return _loss(kernels.LOGISTIC, z, params, out, check_finite, y, check_labels)


@validate_params({"lam": LEVEL, "check_finite": [Boolean]})
def prox_kl(
    z: Any, y: Any, lam: float = 1.0, *, out: Any = None, check_finite: bool = True
) -> Any:
    """Proximal operator of the Kullback-Leibler loss ``z - y log z`` of counts y.

    Parameters
    ----------
    z : array of any shape
        Predictions.
    y : array of the shape of z, or float
        Counts, not negative.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    out : array, optional
        Where the result goes; it may be `z` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `z` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of z
        The minimiser.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    Examples
    --------
    >>> from sparseopt.prox import prox_kl
    >>> prox_kl([1.0, 3.0], [4.0, 0.0], 1.0)
    array([2., 2.])
    """
    return _loss(kernels.KL, z, (lam,), out, check_finite, y, check_weights)


def _loss(kind, z, params, out, finite, y, check) -> Any:
    if y is None:  # for the kernels: no second array
        raise TypeError(
            "The 'y' array must be that of the targets, or a number. Got None."
        )
    return apply(kind, z, params, out, finite, y, "y", check, x_name="z")
