"""Projections onto sets with a closed form: balls, boxes, planes, cones."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparseopt._core._array_api import array_namespace, device, is_numpy
from sparseopt._core._arrays import as_floats
from sparseopt._core._params import Boolean, Interval, validate_params
from sparseopt.prox._apply import (
    AXIS,
    LEVEL,
    as_floating,
    check_foreign,
    deliver,
)
from sparseopt.prox._axis import sliced
from sparseopt.prox._group import group_rows
from sparseopt.prox._inputs import as_output, as_point


@validate_params({"radius": LEVEL, "axis": AXIS, "check_finite": [Boolean]})
def project_l2_ball(
    x: Any,
    radius: float = 1.0,
    *,
    axis: int | None = None,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Nearest point of Euclidean norm at most `radius`.

    Parameters
    ----------
    x : array of any shape
        The point: one vector whatever its shape, unless `axis` is given.
    radius : float, default=1.0
        Radius of the ball, not negative.
    axis : int, optional
        Each slice along this axis is a problem of its own.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The nearest point.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    Examples
    --------
    >>> from sparseopt.prox import project_l2_ball
    >>> project_l2_ball([3.0, 4.0], 1.0)
    array([0.6, 0.8])
    """
    xp = array_namespace(x)
    if not is_numpy(xp):
        x = _as_foreign(xp, x, check_finite)
        norm = xp.sqrt(xp.sum(x * x, axis=axis, keepdims=True))
        outside = norm > radius
        ratio = radius / xp.where(outside, norm, xp.ones_like(norm))
        return deliver(out, xp.where(outside, x * ratio, x))
    return sliced(group_rows("ball", radius), x, axis, out, check_finite)


@validate_params({"radius": LEVEL, "check_finite": [Boolean]})
def project_linf_ball(
    x: Any, radius: float = 1.0, *, out: Any = None, check_finite: bool = True
) -> Any:
    """Nearest point with entries in ``[-radius, radius]``.

    Parameters
    ----------
    x : array of any shape
        The point.
    radius : float, default=1.0
        Largest magnitude allowed, not negative.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The nearest point.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    Examples
    --------
    >>> from sparseopt.prox import project_linf_ball
    >>> project_linf_ball([3.0, -0.5], 1.0)
    array([ 1. , -0.5])
    """
    xp = array_namespace(x)
    if not is_numpy(xp):
        x = _as_foreign(xp, x, check_finite)
        return deliver(out, xp.clip(x, -radius, radius))
    array = as_point(x, finite=check_finite)
    return np.clip(array, -radius, radius, out=as_output(out, array))


@validate_params({"check_finite": [Boolean]})
def project_box(
    x: Any,
    lower: Any = 0.0,
    upper: Any = 1.0,
    *,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Nearest point with ``lower <= w <= upper``.

    Parameters
    ----------
    x : array of any shape
        The point.
    lower : float or array of the shape of x, default=0.0
        Lower bounds; minus infinity where there is none.
    upper : float or array of the shape of x, default=1.0
        Upper bounds, not below the lower ones; infinity where there is none.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The nearest point.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    Examples
    --------
    >>> from sparseopt.prox import project_box
    >>> project_box([3.0, -0.5, 0.5])
    array([1. , 0. , 0.5])
    """
    xp = array_namespace(x)
    if not is_numpy(xp):
        x = _as_foreign(xp, x, check_finite)
        low = xp.zeros_like(x) + xp.asarray(lower, dtype=x.dtype, device=device(x))
        high = xp.zeros_like(x) + xp.asarray(upper, dtype=x.dtype, device=device(x))
        if not bool(xp.all(low <= high)):
            raise ValueError("The 'lower' parameter must not be above 'upper'.")
        return deliver(out, xp.where(x < low, low, xp.where(x > high, high, x)))
    array = as_point(x, finite=check_finite)
    low, high = _bound(lower, array, "lower"), _bound(upper, array, "upper")
    with np.errstate(invalid="ignore"):
        bad = ~np.atleast_1d(low <= high)
    if bad.any():
        index = int(bad.reshape(-1).argmax())
        values = [np.broadcast_to(v, bad.shape).reshape(-1)[index] for v in (low, high)]
        raise ValueError(
            "The 'lower' parameter must not be above 'upper', and neither may be NaN. "
            f"Got {values[0]} and {values[1]} at index {index}."
        )
    return np.clip(array, low, high, out=as_output(out, array))


@validate_params({"b": [Interval(None, None)], "check_finite": [Boolean]})
def project_halfspace(
    x: Any, a: Any, b: float = 0.0, *, out: Any = None, check_finite: bool = True
) -> Any:
    """Nearest point with ``<a, w> <= b``.

    Parameters
    ----------
    x : array of any shape
        The point, one vector whatever its shape.
    a : array of the shape of x
        Normal of the half-space, not zero.
    b : float, default=0.0
        Bound.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The nearest point.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    Examples
    --------
    >>> from sparseopt.prox import project_halfspace
    >>> project_halfspace([3.0, 1.0], [1.0, 1.0], 2.0)
    array([2., 0.])
    """
    return _project_plane(x, a, b, out, check_finite, half=True)


@validate_params({"b": [Interval(None, None)], "check_finite": [Boolean]})
def project_hyperplane(
    x: Any, a: Any, b: float = 0.0, *, out: Any = None, check_finite: bool = True
) -> Any:
    """Nearest point with ``<a, w> = b``.

    Parameters
    ----------
    x : array of any shape
        The point, one vector whatever its shape.
    a : array of the shape of x
        Normal of the plane, not zero.
    b : float, default=0.0
        Value.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The nearest point.

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    Examples
    --------
    >>> from sparseopt.prox import project_hyperplane
    >>> project_hyperplane([0.0, 0.0], [1.0, 1.0], 2.0)
    array([1., 1.])
    """
    return _project_plane(x, a, b, out, check_finite, half=False)


@validate_params({"axis": AXIS, "check_finite": [Boolean]})
def project_soc(
    x: Any,
    *,
    axis: int | None = None,
    out: Any = None,
    check_finite: bool = True,
) -> np.ndarray:
    """Nearest point of the second-order cone ``|w[1:]| <= w[0]``.

    Parameters
    ----------
    x : array of any shape
        The point: one vector whatever its shape, unless `axis` is given.
    axis : int, optional
        Each slice along this axis is a problem of its own.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The nearest point.

    Examples
    --------
    >>> from sparseopt.prox import project_soc
    >>> project_soc([0.0, 3.0, 4.0])
    array([2.5, 1.5, 2. ])
    """
    return sliced(_soc_rows, x, axis, out, check_finite)


def _soc_rows(rows: np.ndarray, result: np.ndarray) -> None:
    with np.errstate(invalid="ignore"):  # of infinities, if they are allowed
        top = np.abs(rows).max(axis=1, keepdims=True)
        # a power of two: exact, and squares stay in range
        unit = np.ldexp(1.0, np.frexp(top)[1] - 1)
        scaled = rows / unit
        t, v = scaled[:, :1], scaled[:, 1:]
        norm = np.sqrt(np.square(v).sum(axis=1, keepdims=True))
        mean = 0.5 * (t + norm)
        share = mean / np.where(norm > 0, norm, 1)
        moved = np.concatenate([mean, share * v], axis=1) * unit
        moved[(norm <= -t)[:, 0]] = 0
        result[...] = np.where(norm <= t, rows, moved)


@validate_params({"check_finite": [Boolean]})
def project_psd(X: Any, *, out: Any = None, check_finite: bool = True) -> np.ndarray:
    """Nearest symmetric positive semidefinite matrix.

    Parameters
    ----------
    X : array of shape (n, n)
        The point; its antisymmetric part is dropped.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `X` are errors; if not, they give NaN.

    Returns
    -------
    array of the shape and type of x
        The nearest point.

    Examples
    --------
    >>> from sparseopt.prox import project_psd
    >>> project_psd([[2.0, 0.0], [0.0, -1.0]])
    array([[2., 0.],
           [0., 0.]])
    """
    array = as_point(X, finite=check_finite, name="X")
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise ValueError(f"The 'X' array must be square. Got shape {array.shape}.")
    result = as_output(out, array)
    if not array.size:
        return result
    if not check_finite and not np.isfinite(array).all():
        result[...] = np.nan
        return result
    symmetric = 0.5 * array + 0.5 * array.T
    values, vectors = np.linalg.eigh(symmetric)
    positive = values > 0
    if 2 * np.count_nonzero(positive) <= values.size:
        part = vectors[:, positive] * np.sqrt(values[positive])
        result[...] = part @ part.T
    else:
        part = vectors[:, ~positive] * np.sqrt(-values[~positive])
        result[...] = symmetric + part @ part.T
    return result


def _project_plane(x, a, b, out, finite, half) -> Any:
    xp = array_namespace(x)
    if not is_numpy(xp):
        x = _as_foreign(xp, x, finite)
        a = xp.asarray(a, dtype=x.dtype, device=device(x))
        step = (xp.sum(a * x) - b) / xp.sum(a * a)
        if half:
            step = xp.where(step < 0, xp.zeros_like(step), step)
        return deliver(out, x - step * a)
    array = as_point(x, finite=finite)
    normal = as_point(a, name="a").astype(array.dtype, copy=False)
    if normal.shape != array.shape:
        raise ValueError(
            f"The 'a' array must have shape {array.shape}, that of 'x'. "
            f"Got {normal.shape}."
        )
    result = as_output(out, array)
    if not array.size:
        return result
    top = float(np.abs(normal).max())
    if top == 0:
        raise ValueError("The 'a' array must not be zero.")
    # the scale of the normal is taken out, so that its square is in range
    unit = (normal / top).reshape(-1)
    flat = array.reshape(-1)
    gap = _dot(unit, flat) - b / top
    step = gap / _dot(unit, unit)
    if half and step < 0:
        step = 0.0
    np.subtract(array, (array.dtype.type(step) * unit).reshape(array.shape), out=result)
    return result


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return float(
        np.dot(a.astype(np.float64, copy=False), b.astype(np.float64, copy=False))
    )


def _bound(value: Any, like: np.ndarray, name: str) -> np.ndarray:
    bound = as_floats(value, name, ndim=None, dtype=like.dtype)
    if bound.ndim and bound.shape != like.shape:
        raise ValueError(
            f"The {name!r} parameter must be a float or have shape {like.shape}, that "
            f"of 'x'. Got shape {bound.shape}."
        )
    return bound


def _as_foreign(xp: Any, x: Any, finite: bool) -> Any:
    x = as_floating(xp, x)
    if finite:
        check_foreign(xp, x)
    return x
