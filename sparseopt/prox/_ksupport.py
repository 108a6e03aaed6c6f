"""The k-support norm and the box norm."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from sparseopt._core._params import (
    COMMON,
    Boolean,
    Interval,
    public_name,
    validate_params,
)
from sparseopt.prox._blocks import make_blocks
from sparseopt.prox._engine import shrink
from sparseopt.prox._inputs import as_output, as_point
from sparseopt.prox._norms import box_shrink, norm_multiplier, norm_rows
from sparseopt.prox._slices import fast_point, map_slices, slice_length

_SHARED: dict[str, Iterable[Any]] = {
    "axis": [Interval(None, None, integer=True), None],
    "check_finite": [Boolean],
    "n_threads": COMMON["n_threads"],
}


@validate_params({"lam": [Interval(0, None)], **_SHARED})
def prox_ksupport(
    x: Any,
    k: int,
    lam: float = 1.0,
    *,
    axis: int | None = None,
    out: np.ndarray | None = None,
    check_finite: bool = True,
    n_threads: int | None = None,
) -> np.ndarray:
    """Proximal operator of the k-support norm.

    The point w that minimises ``lam * ||w||_k + 1/2 ||w - x||^2``.  The norm's unit
    ball is the convex hull of the vectors with at most k nonzeros and length one; half
    its square is the envelope of `prox_wgsef`.

    Parameters
    ----------
    x : array_like of shape (n,) or any other
        Point, taken as one vector unless ``axis`` is given.
    k : int
        Number of nonzeros to aim at, in [1, n].
    lam : float, default=1.0
        Multiple of the norm: step times regularisation.
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
        The minimiser, of the shape of ``x``; float32 if ``x`` is, else float64.  Zero
        if the k largest entries of ``x`` together are no longer than ``lam``.

    References
    ----------
    .. [1] Argyriou, Foygel, Srebro. Sparse Prediction with the k-Support Norm. NIPS,
       2012. Section 2.

    Examples
    --------
    >>> from sparseopt.prox import prox_ksupport
    >>> prox_ksupport([3.0, -4.0, 0.0], k=2, lam=2.5)
    array([ 1.5, -2. ,  0. ])
    """
    point = as_point(x, finite=check_finite)
    w = as_output(out, point)
    if not point.size:
        return w
    n = slice_length(point, axis)
    blocks = make_blocks(prox_ksupport, n, k)

    def solve(vector: np.ndarray, into: np.ndarray) -> None:
        step = norm_multiplier(vector, blocks, lam, ball=False)
        if step == math.inf:
            into.fill(0.0)
        else:
            shrink(vector, into, blocks, step, 0.0, False, n_threads)

    def together(rows: np.ndarray, into: np.ndarray, left: np.ndarray) -> None:
        given = (blocks, lam, False, n_threads)
        norm_rows(rows, into, left, *given)

    map_slices(solve, point, w, axis, together)
    return w


@validate_params({"radius": [Interval(0, None)], **_SHARED})
def project_ksupport_ball(
    x: Any,
    k: int,
    radius: float = 1.0,
    *,
    axis: int | None = None,
    out: np.ndarray | None = None,
    check_finite: bool = True,
    n_threads: int | None = None,
) -> np.ndarray:
    """Euclidean projection onto a ball of the k-support norm.

    Parameters
    ----------
    x : array_like of shape (n,) or any other
        Point, taken as one vector unless ``axis`` is given.
    k : int
        Number of nonzeros, in [1, n].
    radius : float, default=1.0
        Radius, not negative.
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
    .. [1] Argyriou, Foygel, Srebro. Sparse Prediction with the k-Support Norm. NIPS,
       2012. Section 2: the norm.

    Examples
    --------
    >>> from sparseopt.prox import project_ksupport_ball
    >>> project_ksupport_ball([3.0, -4.0, 0.0], k=2, radius=2.5)
    array([ 1.5, -2. ,  0. ])
    """
    point = as_point(x, finite=check_finite)
    w = as_output(out, point)
    if not point.size:
        return w
    n = slice_length(point, axis)
    blocks = make_blocks(project_ksupport_ball, n, k)

    def solve(vector: np.ndarray, into: np.ndarray) -> None:
        step = norm_multiplier(vector, blocks, radius, ball=True)
        if step == math.inf:
            into.fill(0.0)
        else:
            shrink(vector, into, blocks, step, 0.0, False, n_threads)

    def together(rows: np.ndarray, into: np.ndarray, left: np.ndarray) -> None:
        given = (blocks, radius, True, n_threads)
        norm_rows(rows, into, left, *given)

    map_slices(solve, point, w, axis, together)
    return w


@validate_params(
    {
        "lower": [Interval(0, None)],
        "upper": [Interval(0, None, closed="neither")],
        "total": [Interval(0, None, closed="neither")],
        "lam": [Interval(0, None)],
        **_SHARED,
    }
)
def prox_box_norm(
    x: Any,
    lower: float,
    upper: float,
    total: float,
    lam: float = 1.0,
    *,
    axis: int | None = None,
    out: np.ndarray | None = None,
    check_finite: bool = True,
    n_threads: int | None = None,
) -> np.ndarray:
    """Proximal operator of half the squared box norm.

    The box norm is ``||w||^2 = min sum_j w_j^2 / theta_j`` over ``lower <= theta <=
    upper, sum_j theta_j <= total``.  With bounds 0 and 1 it is the k-support norm for
    k = ``total``; a positive lower bound keeps all entries from zero.

    Parameters
    ----------
    x : array_like of shape (n,) or any other
        Point, taken as one vector unless ``axis`` is given.
    lower, upper : float
        Bounds of theta, ``0 <= lower < upper``.
    total : float
        Largest sum of theta, at least ``n * lower``.
    lam : float, default=1.0
        Multiple of half the squared norm.
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
        The minimiser, of the shape of ``x``; float32 if ``x`` is, else float64.

    Raises
    ------
    ValueError
        If the bounds are not in order or no theta keeps them.

    References
    ----------
    .. [1] McDonald, Pontil, Stamos. Spectral k-Support Norm Regularization. NIPS,
       2014. Section 4.

    Examples
    --------
    >>> from sparseopt.prox import prox_box_norm
    >>> prox_box_norm([4.0, -2.0, 1.0, 0.5], 0.0, 1.0, 2.0)
    array([ 2., -1.,  0.,  0.])
    """
    point = fast_point(x)
    w = as_output(out, point)
    if not point.size:
        return w
    n = slice_length(point, axis)
    name = public_name(prox_box_norm)
    if not lower < upper:
        raise ValueError(
            f"The 'lower' parameter of {name} must be below 'upper', {upper}. "
            f"Got {lower}."
        )
    if total < n * lower:
        raise ValueError(
            f"The 'total' parameter of {name} must be at least n * lower, {n * lower}. "
            f"Got {total}."
        )

    def solve(vector: np.ndarray, into: np.ndarray) -> None:
        box_shrink(vector, into, lower, upper, total, lam, check_finite, n_threads)

    map_slices(solve, point, w, axis)
    return w
