"""Value, conjugate and a subgradient of the group sparse envelope."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparseopt._core._params import Boolean, Interval, validate_params
from sparseopt._core._types import GroupsLike
from sparseopt.prox._blocks import Blocks, make_blocks
from sparseopt.prox._engine import envelope_root, group_norms, kernel, unit_scale
from sparseopt.prox._inputs import as_point
from sparseopt.prox._norms import largest_squares


@validate_params({"debias": [Interval(0, 1)], "check_finite": [Boolean]})
def wgsef_value(
    w: Any,
    k: int,
    *,
    groups: GroupsLike = None,
    weights: Any = None,
    debias: float = 0.0,
    check_finite: bool = True,
) -> float:
    """Value of the (weighted) group sparse envelope.

    S_k(w), the largest convex function below ``1/2 sum_j d_j ||w_j||^2`` restricted to
    at most k nonzero groups, less ``debias / 2 * sum_j d_j ||w_j||^2``.  For groups of
    one and equal weights ``sqrt(2 S_k)`` is the k-support norm.

    Parameters
    ----------
    w : array_like of shape (n,) or any other
        Point, taken as one vector.
    k : int
        Number of groups, in [1, m].
    groups : None, int, list of index arrays or array of n labels, default=None
        Disjoint groups, as in `prox_wgsef`.
    weights : None, "sqrt", "size" or array_like of shape (m,), default=None
        Group weights d, as in `prox_wgsef`.
    debias : float in [0, 1], default=0.0
        Multiple of ``1/2 sum_j d_j ||w_j||^2`` that is taken off.  With 1 the value is
        zero if and only if at most k groups are nonzero.
    check_finite : bool, default=True
        Reject NaN and infinity.

    Returns
    -------
    float
        The value, not negative.

    References
    ----------
    .. [1] Argyriou, Foygel, Srebro. Sparse Prediction with the k-Support Norm. NIPS,
       2012. Section 2: closed form for groups of one.

    Examples
    --------
    >>> from sparseopt.prox import wgsef_value
    >>> wgsef_value([3.0, 4.0, 0.0], 2)  # two nonzeros: half the squared norm
    12.5
    >>> wgsef_value([3.0, 4.0, 0.0], 1)  # half the squared l1 norm
    24.5
    """
    point = as_point(w, finite=check_finite, name="w")
    if not point.size:
        return 0.0
    blocks = make_blocks(wgsef_value, point.size, k, groups, weights)
    a, t, exponent = _scaled(point, blocks)
    # whole groups have u = 1, others u = a / t
    _, _, sums, whole, part = kernel("moments", a)(a, 0.0, t)
    value = (1.0 - debias) * whole + max(t * sums - debias * part, 0.0)
    return _ldexp(0.5 * value, 2 * exponent)


def _ldexp(value: float, exponent: int) -> float:
    with np.errstate(over="ignore"):
        return float(np.ldexp(value, exponent))


def _slopes(w: np.ndarray, blocks: Blocks) -> np.ndarray:
    """``sqrt(d_j) ||w_j||`` for each group, or w for single entries of weight 1."""
    flat = w.reshape(-1)
    if blocks.single and blocks.uniform and blocks.weight == 1.0:
        return flat
    return np.sqrt(blocks.weight) * group_norms(flat, blocks)


def _moderate(a: np.ndarray) -> tuple[np.ndarray, int]:
    """Entries over a power of two, so that their squares are no extreme numbers."""
    top = max(float(a.max()), -float(a.min()))
    if 1e-100 < top < 1e100 or top == 0 or not top < np.inf:
        return a, 0
    return unit_scale(a.astype(np.float64))


def _scaled(w: np.ndarray, blocks: Blocks) -> tuple[np.ndarray, float, int]:
    """The a_j over a power of two, and the t with ``sum min(1, a / t) = k``."""
    a, exponent = _moderate(_slopes(w, blocks))
    return a, envelope_root(a, blocks.k, 0.0, 1.0).t, exponent


@validate_params({"check_finite": [Boolean]})
def wgsef_conjugate(
    y: Any,
    k: int,
    *,
    groups: GroupsLike = None,
    weights: Any = None,
    check_finite: bool = True,
) -> float:
    """Convex conjugate of the (weighted) group sparse envelope.

    Half the sum of the k largest ``||y_j||^2 / d_j``; finite everywhere.  That of
    ``lam * S_k`` is this over ``lam``.  Coordinates in no group, which the envelope
    does not penalise, have to be zero: else the conjugate is infinite.

    Parameters
    ----------
    y : array_like of shape (n,) or any other
        Point, taken as one vector.
    k : int
        Number of groups, in [1, m].
    groups : None, int, list of index arrays or array of n labels, default=None
        Disjoint groups, as in `prox_wgsef`.
    weights : None, "sqrt", "size" or array_like of shape (m,), default=None
        Group weights d, as in `prox_wgsef`.
    check_finite : bool, default=True
        Reject NaN and infinity.

    Returns
    -------
    float
        The value.

    References
    ----------
    .. [1] Beck, Refael. Sparse Regularization via Bidualization. Journal of Global
       Optimization, 2022. Section 2.

    Examples
    --------
    >>> from sparseopt.prox import wgsef_conjugate
    >>> wgsef_conjugate([3.0, -4.0, 1.0], 2)
    12.5
    """
    point = as_point(y, finite=check_finite, name="y").reshape(-1)
    if not point.size:
        return 0.0
    blocks = make_blocks(wgsef_conjugate, point.size, k, groups, weights)
    if blocks.groups.size is None and point[blocks.groups.free].any():
        return np.inf
    if blocks.single and blocks.uniform:
        r = point
    else:
        r = group_norms(point, blocks) / np.sqrt(blocks.weight)
    r, exponent = _moderate(r)
    if not np.isfinite(r).all():
        return np.nan
    return _ldexp(0.5 * largest_squares(r, int(k)), 2 * exponent)


@validate_params({"debias": [Interval(0, 1)], "check_finite": [Boolean]})
def wgsef_subgradient(
    w: Any,
    k: int,
    *,
    groups: GroupsLike = None,
    weights: Any = None,
    debias: float = 0.0,
    check_finite: bool = True,
) -> np.ndarray:
    """A subgradient of the (weighted) group sparse envelope.

    ``d_j w_j / u_j`` on nonzero groups and zero elsewhere, where the shares u solve the
    envelope's variational form; less ``debias * d_j w_j``.

    Parameters
    ----------
    w : array_like of shape (n,) or any other
        Point, taken as one vector.
    k : int
        Number of groups, in [1, m].
    groups : None, int, list of index arrays or array of n labels, default=None
        Disjoint groups, as in `prox_wgsef`.
    weights : None, "sqrt", "size" or array_like of shape (m,), default=None
        Group weights d, as in `prox_wgsef`.
    debias : float in [0, 1], default=0.0
        As in `wgsef_value`.
    check_finite : bool, default=True
        Reject NaN and infinity.

    Returns
    -------
    ndarray
        Of the shape of ``w``, float32 if ``w`` is, else float64.

    References
    ----------
    .. [1] Argyriou, Foygel, Srebro. Sparse Prediction with the k-Support Norm. NIPS,
       2012. Section 2.

    Examples
    --------
    >>> from sparseopt.prox import wgsef_subgradient
    >>> wgsef_subgradient([3.0, 4.0, 0.0], 1)
    array([7., 7., 0.])
    """
    point = as_point(w, finite=check_finite, name="w")
    if not point.size:
        return point.copy()
    flat = point.reshape(-1)
    blocks = make_blocks(wgsef_subgradient, flat.size, k, groups, weights)
    a, t, _ = _scaled(point, blocks)
    # w / u is w max(1, t / a): zero groups have w = 0 and need no division
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        inverse = np.where(a != 0, np.maximum(1.0, t / np.abs(a)), 1.0)
    scale = blocks.groups.spread(blocks.weight * (inverse - debias), fill=0.0)
    return (flat * scale).astype(point.dtype).reshape(point.shape)
