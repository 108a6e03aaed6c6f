"""Projections with one multiplier: simplex, l1 ball, capped simplex."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from sparseopt._core._arrays import plain_array
from sparseopt._core._params import COMMON, Boolean, Interval, validate_params
from sparseopt.prox._blocks import positive
from sparseopt.prox._inputs import as_output
from sparseopt.prox._slices import fast_point, map_slices, slice_length
from sparseopt.prox._thresholds import threshold, threshold_rows, threshold_weighted

_SHARED: dict[str, Iterable[Any]] = {
    "axis": [Interval(None, None, integer=True), None],
    "check_finite": [Boolean],
    "n_threads": COMMON["n_threads"],
}


@validate_params({"total": [Interval(0, None)], **_SHARED})
def project_simplex(
    x: Any,
    total: float = 1.0,
    *,
    weights: Any = None,
    axis: int | None = None,
    out: np.ndarray | None = None,
    check_finite: bool = True,
    n_threads: int | None = None,
) -> np.ndarray:
    """Euclidean projection onto a simplex.

    The nearest point of ``{u : u >= 0, sum_j weights_j u_j = total}``.

    Parameters
    ----------
    x : array_like of shape (n,) or any other
        Point, taken as one vector unless ``axis`` is given.
    total : float, default=1.0
        Sum of the result, not negative.
    weights : array_like of shape (n,), default=None
        Positive weights in the sum; None is 1.
    axis : int, default=None
        Treat each slice along this axis as a vector of its own.
    out : ndarray, default=None
        Where to write the result; may be ``x``.
    check_finite : bool, default=True
        Reject NaN and infinity.  If False they make the whole vector NaN.
    n_threads : int, default=None
        Threads for long vectors; the result does not depend on them.

    Returns
    -------
    ndarray
        The projection, of the shape of ``x``; float32 if ``x`` is, else float64.

    References
    ----------
    .. [1] Condat. Fast projection onto the simplex and the l1 ball. Mathematical
       Programming, 2016: the problem and other algorithms.

    Examples
    --------
    >>> from sparseopt.prox import project_simplex
    >>> project_simplex([0.9, 0.5, -0.3])
    array([0.7, 0.3, 0. ])
    """
    point = fast_point(x)
    w = as_output(out, point)
    if not point.size:
        return w
    q = (
        None
        if weights is None
        else positive(weights, "weights", slice_length(point, axis))
    )

    def solve(vector: np.ndarray, into: np.ndarray) -> None:
        if q is None:
            threshold(vector, into, total, np.inf, False, check_finite, n_threads)
        else:
            threshold_weighted(vector, into, total, q, None, check_finite)

    def together(rows: np.ndarray, into: np.ndarray, left: np.ndarray) -> None:
        threshold_rows(rows, into, left, total, np.inf, False, n_threads)

    map_slices(solve, point, w, axis, together if q is None else None)
    return w


@validate_params({"radius": [Interval(0, None)], **_SHARED})
def project_l1_ball(
    x: Any,
    radius: float = 1.0,
    *,
    weights: Any = None,
    axis: int | None = None,
    out: np.ndarray | None = None,
    check_finite: bool = True,
    n_threads: int | None = None,
) -> np.ndarray:
    """Euclidean projection onto an l1 ball.

    The nearest point of ``{u : sum_j weights_j |u_j| <= radius}``.

    Parameters
    ----------
    x : array_like of shape (n,) or any other
        Point, taken as one vector unless ``axis`` is given.
    radius : float, default=1.0
        Radius, not negative.
    weights : array_like of shape (n,), default=None
        Positive weights in the norm; None is 1.
    axis : int, default=None
        Treat each slice along this axis as a vector of its own.
    out : ndarray, default=None
        Where to write the result; may be ``x``.
    check_finite : bool, default=True
        Reject NaN and infinity.  If False they make the whole vector NaN.
    n_threads : int, default=None
        Threads for long vectors; the result does not depend on them.

    Returns
    -------
    ndarray
        The projection, of the shape of ``x``; float32 if ``x`` is, else float64.

    References
    ----------
    .. [1] Duchi, Shalev-Shwartz, Singer, Chandra. Efficient Projections onto the
       l1-Ball for Learning in High Dimensions. ICML, 2008. Section 4.

    Examples
    --------
    >>> from sparseopt.prox import project_l1_ball
    >>> project_l1_ball([3.0, -1.0, 0.5], radius=2.0)
    array([2., 0., 0.])
    """
    point = fast_point(x)
    w = as_output(out, point)
    if not point.size:
        return w
    q = (
        None
        if weights is None
        else positive(weights, "weights", slice_length(point, axis))
    )

    def solve(vector: np.ndarray, into: np.ndarray) -> None:
        if q is None:
            threshold(vector, into, radius, np.inf, True, check_finite, n_threads)
            return
        size = np.abs(vector)
        if q @ size <= radius:
            into[...] = vector
            return
        sign = np.sign(vector)
        threshold_weighted(size, into, radius, q, None, check_finite)
        np.multiply(into, sign, out=into)

    def together(rows: np.ndarray, into: np.ndarray, left: np.ndarray) -> None:
        threshold_rows(rows, into, left, radius, np.inf, True, n_threads)

    map_slices(solve, point, w, axis, together if q is None else None)
    return w


@validate_params({"total": [Interval(0, None)], **_SHARED})
def project_capped_simplex(
    x: Any,
    total: float,
    *,
    upper: Any = 1.0,
    axis: int | None = None,
    out: np.ndarray | None = None,
    check_finite: bool = True,
    n_threads: int | None = None,
) -> np.ndarray:
    """Euclidean projection onto a capped simplex.

    The nearest point of ``{u : 0 <= u <= upper, sum_j u_j = total}``: with the default
    the convex hull of the 0-1 vectors with ``total`` ones.

    Parameters
    ----------
    x : array_like of shape (n,) or any other
        Point, taken as one vector unless ``axis`` is given.
    total : float
        Sum of the result, at most that of the caps.
    upper : float or array_like of shape (n,), default=1.0
        Caps, positive.
    axis : int, default=None
        Treat each slice along this axis as a vector of its own.
    out : ndarray, default=None
        Where to write the result; may be ``x``.
    check_finite : bool, default=True
        Reject NaN and infinity.  If False they make the whole vector NaN.
    n_threads : int, default=None
        Threads for long vectors; the result does not depend on them.

    Returns
    -------
    ndarray
        The projection, of the shape of ``x``; float32 if ``x`` is, else float64.

    Raises
    ------
    ValueError
        If ``total`` is more than the caps allow.

    References
    ----------
    .. [1] Wang, Lu. Projection onto the capped simplex. arXiv:1503.01002, 2015: the
       problem and another algorithm.

    Examples
    --------
    >>> from sparseopt.prox import project_capped_simplex
    >>> project_capped_simplex([2.0, 0.6, 0.2, -1.0], total=2.0)
    array([1. , 0.7, 0.3, 0. ])
    """
    point = fast_point(x)
    w = as_output(out, point)
    n = slice_length(point, axis)
    caps = _caps(upper, n)
    most = float(np.sum(caps)) if isinstance(caps, np.ndarray) else caps * n
    if total > most:
        raise ValueError(
            "The 'total' parameter of sparseopt.prox.project_capped_simplex must be at "
            f"most the sum of the caps, {most}. Got {total}."
        )
    if not point.size:
        return w

    def solve(vector: np.ndarray, into: np.ndarray) -> None:
        if isinstance(caps, np.ndarray):
            ones = np.ones(n)
            threshold_weighted(vector, into, total, ones, caps, check_finite)
        else:
            threshold(vector, into, total, caps, False, check_finite, n_threads)

    def together(rows: np.ndarray, into: np.ndarray, left: np.ndarray) -> None:
        threshold_rows(rows, into, left, total, caps, False, n_threads)

    single = isinstance(caps, float)
    map_slices(solve, point, w, axis, together if single else None)
    return w


def _caps(upper: Any, n: int) -> Any:
    if np.ndim(plain_array(upper, "upper")):
        return positive(upper, "upper", n)
    if isinstance(upper, bool) or not isinstance(upper, (int, float, np.number)):
        raise TypeError(
            "The 'upper' parameter of sparseopt.prox.project_capped_simplex must be a "
            f"positive number or array. Got {upper!r}."
        )
    if not 0 < upper <= sys.float_info.max:
        raise ValueError(
            "The 'upper' parameter of sparseopt.prox.project_capped_simplex must be "
            f"positive and finite. Got {upper}."
        )
    return float(upper)
