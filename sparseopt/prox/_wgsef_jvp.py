"""Derivative of the envelope's prox."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparseopt._core._array_api import (
    array_namespace,
    from_numpy_like,
    is_numpy,
    is_on_host,
    to_numpy,
)
from sparseopt._core._params import Interval, validate_params
from sparseopt._core._types import GroupsLike
from sparseopt.prox._blocks import Blocks, make_blocks
from sparseopt.prox._engine import shrink
from sparseopt.prox._inputs import as_point
from sparseopt.prox._wgsef import check_debias
from sparseopt.prox._wgsef_array import Layout, Terms, array_prox, make_terms


@validate_params({"lam": [Interval(0, None)], "debias": [Interval(0, 1)]})
def prox_wgsef_jvp(
    x: Any,
    v: Any,
    k: int,
    lam: float = 1.0,
    *,
    groups: GroupsLike = None,
    weights: Any = None,
    debias: float = 0.0,
    costs: Any = None,
) -> Any:
    """Directional derivative of `prox_wgsef`.

    The Jacobian J of the prox at x is symmetric, so ``J v`` serves forward and backward
    differentiation alike.  The prox is piecewise smooth; on the boundary of two pieces
    the derivative is that of one of them.

    Parameters
    ----------
    x : array_like of shape (n,) or any other
        Point, taken as one vector; as in `prox_wgsef` also arrays of other libraries.
    v : array_like of the shape of x
        Direction, of the same library.
    k : int
        Number of groups, as in `prox_wgsef`.
    lam : float, default=1.0
        Multiple of the envelope.
    groups : None, int, list of index arrays or array of n labels, default=None
        Disjoint groups, as in `prox_wgsef`.
    weights : None, "sqrt", "size" or array_like of shape (m,), default=None
        Group weights d, as in `prox_wgsef`.
    debias : float in [0, 1], default=0.0
        As in `prox_wgsef`.
    costs : array_like of shape (m,), default=None
        As in `prox_wgsef`.

    Returns
    -------
    ndarray
        The derivative of ``prox_wgsef(x + s v)`` by s at 0, of the kind of ``x``.

    Notes
    -----
    Whole groups are divided by a constant, zero ones stay zero, and a partial one is
    ``w_j = x_j (1 - b_j t / a_j) / c_j``.  A change of x changes its norm and also
    ``t = 1 / eta``, which is the same number for all partial groups: the Jacobian is
    block diagonal plus a matrix of rank one.

    Examples
    --------
    >>> from sparseopt.prox import prox_wgsef_jvp
    >>> prox_wgsef_jvp([4.0, -2.0, 1.0, 0.5], [1.0, 0.0, 1.0, 0.0], k=2)
    array([0.5, 0. , 0. , 0. ])
    """
    xp = array_namespace(x)
    if is_numpy(xp):
        point, along = as_point(x), as_point(v, name="v")
        if point.shape != along.shape:
            raise ValueError(
                f"The 'v' array must have the shape of x, {point.shape}. "
                f"Got {along.shape}."
            )
        if not point.size:
            return point.copy()
        flat = point.reshape(-1)
        blocks = make_blocks(prox_wgsef_jvp, flat.size, k, groups, weights, costs)
        check_debias(prox_wgsef_jvp, blocks, lam, debias)
        w = np.empty_like(flat)
        eta, u = shrink(flat, w, blocks, lam, debias, want_shares=True)
        direction = along.reshape(-1).astype(np.float64)
        wide = flat.astype(np.float64)
        slope = _derivative(np, wide, direction, u, eta, blocks, lam, debias)
        return slope.astype(point.dtype).reshape(point.shape)
    if is_on_host(x) and is_on_host(v):
        options = {"groups": groups, "weights": weights, "debias": debias}
        slope = prox_wgsef_jvp(to_numpy(x), to_numpy(v), k, lam, costs=costs, **options)
        return from_numpy_like(slope, x)
    flat, along = xp.reshape(x, (-1,)), xp.reshape(v, (-1,))
    if hasattr(x, "detach"):
        flat, along = flat.detach(), along.detach()
    blocks = make_blocks(prox_wgsef_jvp, flat.shape[0], k, groups, weights, costs)
    check_debias(prox_wgsef_jvp, blocks, lam, debias)
    _, u, eta = array_prox(xp, flat, blocks, lam, debias)
    wide, direction = xp.astype(flat, xp.float64), xp.astype(along, xp.float64)
    slope = _derivative(xp, wide, direction, u, eta, blocks, lam, debias)
    return xp.reshape(xp.astype(slope, x.dtype), x.shape)


def _derivative(
    xp: Any,
    x: Any,
    v: Any,
    u: Any,
    eta: Any,
    blocks: Blocks,
    lam: float,
    debias: float,
) -> Any:
    """J v for flat arrays, from the shares and the multiplier at x."""
    if lam == 0:
        return v * 1.0
    terms = make_terms(xp, blocks, lam, debias, x)
    if blocks.single and terms.uniform:
        return _derivative_of_entries(xp, x, v, u, terms)
    layout = Layout(xp, blocks, x)
    alpha, b, c, q = terms
    # in units of the largest entry, so that squares are no extreme numbers
    top = xp.max(xp.abs(x))
    top = xp.where(top > 0, top, xp.ones_like(top))
    y = x / top
    r = xp.sqrt(layout.dots(y, y))
    zero, one = xp.zeros_like(r), xp.ones_like(r)
    whole, part = u >= 1.0, (u > 0.0) & (u < 1.0)
    safe = xp.where(part, r, one)
    a = alpha * safe
    # change of a, then of t, which keeps the sum of shares
    da = alpha * layout.dots(y, v) / safe
    rise = xp.sum(xp.where(part, q / c * a, zero))
    some = rise > 0
    change = xp.sum(xp.where(part, q / c * da, zero)) / xp.where(some, rise, rise + 1.0)
    t = xp.where(some, 1.0 / (eta * top), xp.zeros_like(rise))
    factor = xp.where(part, (1.0 - b * t / a) / c, zero)
    factor = xp.where(whole, 1.0 / (b + c) * one, factor)
    radial = xp.where(part, b * t / (c * a) * (da / a - change), zero)
    return v * layout.spread(factor, 1.0) + y * layout.spread(radial, 0.0)


def _derivative_of_entries(xp: Any, x: Any, v: Any, u: Any, terms: Terms) -> Any:
    """J v where each entry is a group, and all have one weight.

    A partial entry is ``(x_j - b t sign(x_j)) / c``, and the signed changes of those
    entries have the sum that the change of t needs.
    """
    part = xp.astype((u > 0.0) & (u < 1.0), x.dtype)
    signs = part * xp.sign(x)
    # t is the sum of the partial magnitudes over k - (whole) + (partial) b / c, and
    # the sum of their shares says what that is
    count, shares = xp.sum(part), xp.sum(part * u)
    level = shares * terms.c + count * terms.b
    level = xp.where(level > 0, level, xp.ones_like(level))
    change = terms.b * xp.sum(signs * v) / level
    kept = part / terms.c + xp.astype(u >= 1.0, x.dtype) / (terms.b + terms.c)
    return kept * v - change / terms.c * signs
