"""Proximal operator of the group sparse envelope."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from sparseopt._core._array_api import (
    array_namespace,
    from_numpy_like,
    is_numpy,
    is_on_host,
    to_numpy,
)
from sparseopt._core._params import (
    COMMON,
    Boolean,
    Interval,
    public_name,
    validate_params,
)
from sparseopt._core._types import GroupsLike
from sparseopt.prox._blocks import Blocks, make_blocks
from sparseopt.prox._engine import Shares, shrink, shrink_rows
from sparseopt.prox._inputs import as_output
from sparseopt.prox._slices import fast_point, map_slices, slice_length
from sparseopt.prox._wgsef_array import Masks, array_prox


@dataclass(frozen=True)
class EnvelopeInfo:
    """What `prox_wgsef` found out besides the point.

    With ``axis`` the fields have one entry, or one row, for each slice.

    Parameters
    ----------
    u : ndarray of shape (m,)
        Share of each group in the support: 1 where it is kept whole, 0 where it is
        zero.  The shares add up to k unless fewer groups are nonzero in the input.
    eta : float
        The multiplier: u is a function of it; infinity if at most k groups are
        nonzero in the input.
    n_groups : int
        Number of groups that are kept.

    Examples
    --------
    >>> from sparseopt.prox import prox_wgsef
    >>> _, info = prox_wgsef([4.0, 1.0, 0.5], 1, 0.5, return_info=True)
    >>> info.u
    array([1., 0., 0.])
    >>> info.n_groups
    1
    """

    u: np.ndarray
    eta: Any
    n_groups: Any


@validate_params(
    {
        "lam": [Interval(0, None)],
        "debias": [Interval(0, 1)],
        "axis": [Interval(None, None, integer=True), None],
        "check_finite": [Boolean],
        "return_info": [Boolean],
        "n_threads": COMMON["n_threads"],
    }
)
def prox_wgsef(
    x: Any,
    k: int,
    lam: float = 1.0,
    *,
    groups: GroupsLike = None,
    weights: Any = None,
    debias: float = 0.0,
    costs: Any = None,
    axis: int | None = None,
    out: np.ndarray | None = None,
    check_finite: bool = True,
    n_threads: int | None = None,
    return_info: bool = False,
) -> Any:
    """Proximal operator of the (weighted) group sparse envelope.

    The point w that minimises ``lam * S_k(w) + 1/2 ||w - x||^2``.  S_k is the largest
    convex function below ``1/2 sum_j d_j ||w_j||^2`` restricted to at most k nonzero
    groups w_j: the closest convex model of "k groups".

    Parameters
    ----------
    x : array_like of shape (n,) or any other
        Point, taken as one vector unless ``axis`` is given.  Arrays of torch, CuPy and
        other libraries of the array API are accepted, and the result is of their kind,
        on their device, and differentiable if they record gradients.
    k : int
        Number of groups to aim at, at most m.  A budget, any positive number, if
        ``costs`` are given.
    lam : float, default=1.0
        Multiple of the envelope: step times regularisation.
    groups : None, int, list of index arrays or array of n labels, default=None
        Disjoint groups.  None: each coordinate; an int: consecutive blocks of this
        size.  Coordinates in no group are not changed.
    weights : None, "sqrt", "size" or array_like of shape (m,), default=None
        Group weights d; None is 1, the words are functions of the groups' sizes.
    debias : float in [0, 1], default=0.0
        Subtract ``debias / 2 * sum_j d_j ||w_j||^2`` from the envelope.  The penalty
        is then not convex, shrinks the kept groups less, and at 1 not at all.
    costs : array_like of shape (m,), default=None
        Cost of each group in the budget: ``sum_j costs_j u_j <= k``.  This is the
        linear relaxation of a knapsack and no longer the biconjugate.
    axis : int, default=None
        Treat each slice along this axis as a vector of its own.
    out : ndarray, default=None
        Where to write the result; may be ``x``.
    check_finite : bool, default=True
        Reject NaN and infinity.  If False they make the whole vector NaN.
    n_threads : int, default=None
        Threads for long vectors; the result does not depend on them.
    return_info : bool, default=False
        Return also the shares u, the multiplier and the number of kept groups.

    Returns
    -------
    w : ndarray
        The minimiser, of the shape of ``x``; float32 if ``x`` is, else float64.
    info : EnvelopeInfo
        Only if ``return_info``.

    Raises
    ------
    ValueError
        If k is not in [1, m], or ``debias * lam * max(d) >= 1``.

    Notes
    -----
    With ``a_j = sqrt(d_j) ||x_j||``, ``b_j = lam d_j`` and ``c_j = 1 - debias lam d_j``
    the shares are ``u_j = clip((eta a_j - b_j) / c_j, 0, 1)``, where eta makes them add
    up to k, and ``w_j = x_j u_j / (c_j u_j + b_j)``.  Eta is found exactly, without
    sorting, in expected linear time.

    At least k groups survive if so many are nonzero in ``x``; exactly k if and only if
    (equal weights, no debias) the k-th largest group norm is at least
    ``(1 + lam) / lam`` times the next.  A small ``lam`` keeps many groups, a large one
    keeps nearly the top k and divides them by ``1 + lam``.

    References
    ----------
    .. [1] Refael, Arbel, Huleihel. Learning k-Level Structured Sparse Neural Networks
       Using Group Envelope Regularization. TMLR, 2024.
    .. [2] Beck, Refael. Sparse Regularization via Bidualization. Journal of Global
       Optimization, 2022. Section 4: the prox for groups of one.

    Examples
    --------
    >>> from sparseopt.prox import prox_wgsef
    >>> prox_wgsef([4.0, -2.0, 1.0, 0.5], k=2, lam=1.0)
    array([ 2., -1.,  0.,  0.])
    >>> prox_wgsef([3.0, 4.0, 0.1, 0.2], k=1, lam=1.0, groups=2)
    array([1.5, 2. , 0. , 0. ])
    """
    xp = np if type(x) is np.ndarray else array_namespace(x)
    if xp is not np and not is_numpy(xp):
        given = (groups, weights, debias, costs, axis, out, check_finite)
        return _foreign(xp, x, k, lam, given, n_threads, return_info)
    point = fast_point(x)
    w = as_output(out, point)
    if not point.size:
        return (w, EnvelopeInfo(np.empty(0), np.inf, 0)) if return_info else w
    n = slice_length(point, axis)
    blocks = make_blocks(prox_wgsef, n, k, groups, weights, costs)
    if debias:
        check_debias(prox_wgsef, blocks, lam, debias)

    def solve(vector: np.ndarray, into: np.ndarray) -> Shares:
        given = (blocks, lam, debias, check_finite, n_threads, return_info)
        return shrink(vector, into, *given)

    def together(rows: np.ndarray, into: np.ndarray, left: np.ndarray) -> None:
        shrink_rows(rows, into, left, blocks, lam, debias, n_threads)

    found = map_slices(solve, point, w, axis, None if return_info else together)
    if not return_info:
        return w
    counts = [int(np.count_nonzero(each.u)) for each in found]
    if axis is None:
        return w, EnvelopeInfo(found[0].u, found[0].eta, counts[0])
    etas = np.array([each.eta for each in found])
    u = np.array([each.u for each in found])
    return w, EnvelopeInfo(u, etas, np.array(counts))


def _foreign(
    xp: ModuleType,
    x: Any,
    k: int,
    lam: float,
    given: tuple[Any, ...],
    n_threads: int | None,
    return_info: bool,
) -> Any:
    """The prox for arrays of other libraries: on the host by the kernels, else by xp.

    Arrays that record operations for automatic differentiation always take the latter.
    """
    groups, weights, debias, costs, axis, out, finite = given
    if out is not None:
        raise TypeError(
            f"The 'out' parameter of {public_name(prox_wgsef)} must be None for arrays "
            f"of {xp.__name__}. Got {type(out).__name__}."
        )
    recorded = bool(getattr(x, "requires_grad", False))
    on_host = is_on_host(x)
    if on_host and not recorded:
        options = {"groups": groups, "weights": weights, "debias": debias}
        options |= {"costs": costs, "axis": axis, "check_finite": finite}
        options |= {"n_threads": n_threads, "return_info": return_info}
        result = prox_wgsef(to_numpy(x), k, lam, **options)
        if not return_info:
            return from_numpy_like(result, x)
        w, info = result
        u = from_numpy_like(info.u, x)
        return from_numpy_like(w, x), EnvelopeInfo(u, info.eta, info.n_groups)
    if axis is not None:
        raise NotImplementedError(
            f"The 'axis' parameter of {public_name(prox_wgsef)} must be None for "
            f"arrays of {xp.__name__} on a device or with gradients. Got {axis}."
        )
    if not xp.isdtype(x.dtype, "real floating"):
        raise ValueError(
            "The 'x' array must be real floating. Complex data not supported; "
            f"got {x.dtype}."
        )
    if finite and not bool(xp.all(xp.isfinite(x))):
        raise ValueError("The 'x' array must be finite. Got NaN or infinity.")
    n = math.prod(x.shape)
    if n == 0:
        return (x, EnvelopeInfo(np.empty(0), np.inf, 0)) if return_info else x
    blocks = make_blocks(prox_wgsef, n, k, groups, weights, costs)
    if debias:
        check_debias(prox_wgsef, blocks, lam, debias)
    masks = _host_masks(x, blocks, lam, debias, n_threads) if on_host else None
    flat, u, eta = array_prox(
        xp,
        xp.reshape(x, (-1,)),
        blocks,
        lam,
        debias,
        masks=masks,
        want_shares=return_info,
    )
    w = xp.reshape(flat, x.shape)
    if not return_info:
        return w
    number = int(xp.sum(xp.astype(u > 0, xp.int64)))
    return w, EnvelopeInfo(u, float(to_numpy(eta)), number)


def _host_masks(
    x: Any, blocks: Blocks, lam: float, debias: float, n_threads: int | None
) -> Masks:
    """Whole and partial groups by the kernels, in the precision of `array_prox`.

    The operations that are recorded are then those of the result alone.
    """
    point = np.ascontiguousarray(to_numpy(x), dtype=np.float64).reshape(-1)
    unused = np.empty_like(point)
    u = shrink(point, unused, blocks, lam, debias, False, n_threads, True).u
    assert u is not None
    masks = (from_numpy_like(mask, x) for mask in (u >= 1.0, (u > 0.0) & (u < 1.0)))
    return Masks(*masks)


def check_debias(owner: Any, blocks: Blocks, lam: float, debias: float) -> None:
    """Raise an error where the problem with this step has no unique solution."""
    largest = lam * float(np.max(blocks.weight))
    if debias * largest >= 1:
        raise ValueError(
            f"The 'debias' parameter of {public_name(owner)} must be below "
            f"1 / (lam * max(weights)) = {1 / largest:.6g}: it is too strong for the "
            f"step. Got {debias}."
        )
