"""Value, conjugate and a subgradient of the group sparse envelope."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparseopt._core._params import Boolean, Interval, validate_params
from sparseopt.prox._blocks import Blocks, make_blocks
from sparseopt.prox._engine import root
from sparseopt.prox._inputs import as_point


@validate_params({"debias": [Interval(0, 1)], "check_finite": [Boolean]})
def wgsef_value(
    w: Any,
    k: int,
    *,
    groups: Any = None,
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
    groups, weights
        As in `prox_wgsef`.
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
    top, a, t = _scaled(point, blocks)
    if top == 0:
        return 0.0
    # whole groups have u = 1, others u = a / t: no difference of large numbers
    terms = np.where(a >= t, (1.0 - debias) * a * a, a * (t - debias * a))
    with np.errstate(over="ignore"):
        return float(0.5 * terms.sum() * top * top)


def _scaled(w: np.ndarray, blocks: Blocks) -> tuple[float, np.ndarray, float]:
    """Largest a_j, all a_j over it, and the t with ``sum min(1, a / t) = k``."""
    r = blocks.groups.norms(w.reshape(-1))
    a = np.sqrt(blocks.weight) * r
    top = float(a.max())
    if top == 0 or not top < np.inf:
        return top, a, np.nan
    a /= top
    one = Blocks(blocks.groups, blocks.k)
    return top, a, root(a, one, 0.0, 0.0)


@validate_params({"check_finite": [Boolean]})
def wgsef_conjugate(
    y: Any,
    k: int,
    *,
    groups: Any = None,
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
    groups, weights
        As in `prox_wgsef`.
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
    if point[blocks.groups.free].any():
        return np.inf
    a = blocks.groups.norms(point) / np.sqrt(blocks.weight)
    top = float(a.max())
    if top == 0 or not top < np.inf:
        return top
    m, size = a.shape[0], int(k)
    largest = np.partition(a / top, m - size)[m - size :]
    with np.errstate(over="ignore"):
        return float(0.5 * (largest @ largest) * top * top)


@validate_params({"debias": [Interval(0, 1)], "check_finite": [Boolean]})
def wgsef_subgradient(
    w: Any,
    k: int,
    *,
    groups: Any = None,
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
    groups, weights
        As in `prox_wgsef`.
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
    _, a, t = _scaled(point, blocks)
    # w / u is w max(1, t / a): zero groups have w = 0 and need no division
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        inverse = np.where(a > 0, np.maximum(1.0, t / a), 1.0)
    scale = blocks.groups.spread(blocks.weight * (inverse - debias), fill=0.0)
    return (flat * scale).astype(point.dtype).reshape(point.shape)
