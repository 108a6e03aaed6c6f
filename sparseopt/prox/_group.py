"""Operators of norms of groups: Euclidean, largest magnitude, nested."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sparseopt._core._array_api import array_namespace, device, is_numpy
from sparseopt._core._params import Boolean, Type, validate_params
from sparseopt._core._types import GroupsLike
from sparseopt.prox import _map_kernels as kernels
from sparseopt.prox._apply import (
    AXIS,
    LEVEL,
    RATIO,
    as_floating,
    check_all_finite,
    check_foreign,
    deliver,
    is_apart,
)
from sparseopt.prox._axis import Rows, sliced
from sparseopt.prox._groups import Groups
from sparseopt.prox._inputs import as_output, as_point
from sparseopt.prox._simplex import project_l1_ball

# Up to this length the kernel for groups finds the level of a clip sooner than the
# one for long vectors.
_SHORT = 2000


@validate_params({"lam": LEVEL, "axis": AXIS, "check_finite": [Boolean]})
def prox_l2(
    x: Any,
    lam: float = 1.0,
    *,
    axis: int | None = None,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Proximal operator of the Euclidean norm, ``max(1 - lam / |x|, 0) x``.

    Parameters
    ----------
    x : array of any shape
        The point: one vector whatever its shape, unless `axis` is given.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
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

    Notes
    -----
    Arrays of other libraries (array API) come back as such, on their device.

    Examples
    --------
    >>> from sparseopt.prox import prox_l2
    >>> prox_l2([3.0, 4.0], 2.5)
    array([1.5, 2. ])
    """
    xp = array_namespace(x)
    if not is_numpy(xp):
        x = as_floating(xp, x)
        if check_finite:
            check_foreign(xp, x)
        norm = xp.sqrt(xp.sum(x * x, axis=axis, keepdims=True))
        return deliver(out, x * _scale(xp, norm, lam))
    return sliced(group_rows("shrink", lam), x, axis, out, check_finite)


@validate_params({"lam": LEVEL, "axis": AXIS, "check_finite": [Boolean]})
def prox_linf(
    x: Any,
    lam: float = 1.0,
    *,
    axis: int | None = None,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Proximal operator of the largest magnitude: clips at the level that sums to lam.

    Parameters
    ----------
    x : array of any shape
        The point: one vector whatever its shape, unless `axis` is given.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
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

    Examples
    --------
    >>> from sparseopt.prox import prox_linf
    >>> prox_linf([3.0, -1.0, 2.0], 1.0)
    array([ 2., -1.,  2.])
    """
    short = group_rows("clip", lam)

    def solve(rows: np.ndarray, result: np.ndarray) -> None:
        if rows.shape[1] <= _SHORT:
            short(rows, result)
            return
        for row, target in zip(rows, result, strict=True):
            rest = project_l1_ball(row, lam, check_finite=False)
            top = int(np.abs(row).argmax())
            level = np.abs(row[top] - rest[top])
            np.clip(row, -level, level, out=target)

    return sliced(solve, x, axis, out, check_finite)


def group_rows(kind: str, lam: float) -> Rows:
    """Map with each row of a matrix as one group: "shrink", "clip" or "ball"."""
    code = {"shrink": kernels.SHRINK, "clip": kernels.CLIP, "ball": kernels.BALL}[kind]

    def solve(rows: np.ndarray, result: np.ndarray) -> None:
        m, g = rows.shape
        flat, target = rows.reshape(-1), result.reshape(-1)
        kernels.group_map(code, m, g, None, None, flat, None, lam, 0.0, g, target)

    return solve


@validate_params({"lam": LEVEL, "check_finite": [Boolean]})
def prox_group_lasso(
    x: Any,
    lam: float = 1.0,
    *,
    groups: GroupsLike = None,
    weights: Any = None,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Proximal operator of ``lam * sum_j weights_j |w_j|``, w_j the entries of group j.

    Entries in no group stay as they are.

    Parameters
    ----------
    x : array of any shape
        The point, one vector whatever its shape.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    groups : None, int, list of index arrays or label array, optional
        Disjoint groups of the entries; an int is the size of consecutive blocks.
    weights : {"sqrt", "size"} or array, optional
        Weight of each group, positive: the square root of its size, its size, or
        given; ones by default.
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
    Arrays of other libraries (array API) come back as such, on their device; their
    groups must be blocks.

    References
    ----------
    Yuan, Lin, "Model selection and estimation in regression with grouped variables",
    JRSS B 68, 2006, section 2.

    Examples
    --------
    >>> from sparseopt.prox import prox_group_lasso
    >>> prox_group_lasso([3.0, 4.0, 0.1, 0.2], 2.5, groups=2)
    array([1.5, 2. , 0. , 0. ])
    """
    return _grouped(kernels.SHRINK, x, lam, 0.0, groups, weights, out, check_finite)


@validate_params({"lam": LEVEL, "l1_ratio": RATIO, "check_finite": [Boolean]})
def prox_sparse_group_lasso(
    x: Any,
    lam: float = 1.0,
    l1_ratio: float = 0.5,
    *,
    groups: GroupsLike = None,
    weights: Any = None,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Proximal operator of a mix of the l1 norm and the norms of groups.

    The penalty is ``lam * (rho |w|_1 + (1 - rho) sum_j weights_j |w_j|)`` with rho =
    `l1_ratio`; entries in no group are in neither sum.

    Parameters
    ----------
    x : array of any shape
        The point, one vector whatever its shape.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    l1_ratio : float, default=0.5
        Share of the l1 norm, in [0, 1].
    groups : None, int, list of index arrays or label array, optional
        Disjoint groups of the entries; an int is the size of consecutive blocks.
    weights : {"sqrt", "size"} or array, optional
        Weight of each group, positive: the square root of its size, its size, or
        given; ones by default.
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
    Arrays of other libraries (array API) come back as such, on their device; their
    groups must be blocks.

    References
    ----------
    Simon, Friedman, Hastie, Tibshirani, "A sparse-group lasso", JCGS 22, 2013,
    section 3.

    Examples
    --------
    >>> from sparseopt.prox import prox_sparse_group_lasso
    >>> prox_sparse_group_lasso([4.0, 5.0, 0.1, 2.0], 2.0, groups=2)
    array([2.4, 3.2, 0. , 0. ])
    """
    l1, l2 = lam * l1_ratio, lam * (1 - l1_ratio)
    return _grouped(kernels.SHRINK, x, l2, l1, groups, weights, out, check_finite)


@validate_params({"lam": LEVEL, "check_finite": [Boolean]})
def prox_group_linf(
    x: Any,
    lam: float = 1.0,
    *,
    groups: GroupsLike = None,
    weights: Any = None,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Proximal operator of ``lam * sum_j weights_j max_i |w_ji|`` over groups j.

    Parameters
    ----------
    x : array of any shape
        The point, one vector whatever its shape.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    groups : None, int, list of index arrays or label array, optional
        Disjoint groups of the entries; an int is the size of consecutive blocks.
    weights : {"sqrt", "size"} or array, optional
        Weight of each group, positive: the square root of its size, its size, or
        given; ones by default.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The minimiser.

    Examples
    --------
    >>> from sparseopt.prox import prox_group_linf
    >>> prox_group_linf([3.0, 1.0, 0.2, 0.1], 1.0, groups=2)
    array([2., 1., 0., 0.])
    """
    return _grouped(kernels.CLIP, x, lam, 0.0, groups, weights, out, check_finite)


@validate_params(
    {
        "lam": LEVEL,
        "levels": [Type(Sequence, np.ndarray)],
        "weights": [Type(Sequence, np.ndarray), None],
        "check_finite": [Boolean],
    }
)
def prox_tree(
    x: Any,
    lam: float = 1.0,
    *,
    levels: Sequence[Any],
    weights: Sequence[Any] | None = None,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Proximal operator of a sum of Euclidean norms of nested groups.

    Each level holds disjoint groups; a group of a higher level contains every group
    of a lower level that it meets. The operator is that of each level in turn, from
    the leaves to the root.

    Parameters
    ----------
    x : array of any shape
        The point, one vector whatever its shape.
    lam : float, default=1.0
        Step times the weight of the penalty, not negative.
    levels : sequence of groups
        Groups of each level, leaves first, each in a form that `prox_group_lasso`
        takes.
    weights : sequence of weights, optional
        Weights of the groups of each level, as `prox_group_lasso` takes them.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The minimiser.

    Raises
    ------
    ValueError
        If a group is not inside the group of the next level that it meets.

    References
    ----------
    Jenatton, Mairal, Obozinski, Bach, "Proximal methods for hierarchical sparse
    coding", JMLR 12, 2011, section 3.

    Examples
    --------
    >>> from sparseopt.prox import prox_tree
    >>> prox_tree([4.0, 0.5, 0.0, 0.0], 1.0, levels=[None, 2])
    array([2., 0., 0., 0.])
    """
    array = as_point(x, finite=False)
    n = array.size
    for name, value in (("levels", levels), ("weights", weights)):
        if isinstance(value, str) or (value is not None and not np.iterable(value)):
            raise TypeError(
                f"The {name!r} parameter of sparseopt.prox.prox_tree must be a "
                f"sequence with one entry for each level. Got {value!r}."
            )
    parts = [Groups.of(level, n) for level in levels] if n else []
    if weights is not None and len(weights) != len(levels):
        raise ValueError(
            f"The 'weights' parameter must have one entry for each of {len(levels)} "
            f"levels. Got {len(weights)}."
        )
    for number in range(1, len(parts)):
        _check_nested(parts[:number], parts[number], number)
    result = _grouped(kernels.SHRINK, x, 0.0, 0.0, None, None, out, check_finite)
    for number, part in enumerate(parts):
        weight = None if weights is None else weights[number]
        result = _grouped(kernels.SHRINK, result, lam, 0.0, part, weight, result, False)
    return result


def _check_nested(lower: list[Groups], upper: Groups, number: int) -> None:
    """Each group below must lie in one group of the level, or in none."""
    owner = np.full(upper.n, -1)
    for j, indices in enumerate(upper.lists()):
        owner[indices] = j
    for level, part in enumerate(lower):
        for j, indices in enumerate(part.lists()):
            owners = owner[indices]
            if (owners != owners[0]).any():
                raise ValueError(
                    "The 'levels' parameter must hold nested groups, leaves first. "
                    f"Got group {j} of level {level}, which is not inside one group "
                    f"of level {number}."
                )


def _grouped(kind, x, lam, l1, groups, weights, out, finite) -> Any:
    """Clip or shrink groups of any form."""
    xp = array_namespace(x)
    if not is_numpy(xp) and kind == kernels.SHRINK:
        return _grouped_foreign(xp, x, lam, l1, groups, weights, out, finite)
    array = as_point(x, finite=False)
    result = as_output(out, array)
    if not array.size:
        return result
    parts = Groups.of(groups, array.size)
    level = parts.weights(weights)
    in_place = result is x and result.flags.c_contiguous
    if finite and (in_place or parts.size is None):
        check_all_finite(array)
    apart = in_place or is_apart(result, array)
    work = result if apart else np.empty_like(array)
    if parts.size is None and work is not array:
        np.copyto(work, array)  # entries in no group
    good = kernels.group_map(
        kind,
        parts.m,
        parts.size or 0,
        parts.indices,
        parts.indptr,
        array.reshape(-1),
        level,
        lam,
        l1,
        parts.size or int(parts.sizes.max()),
        work.reshape(-1),
    )
    if finite and not good:
        check_all_finite(array)
    if work is not result:
        result[...] = work
    return result


def _grouped_foreign(xp, x, lam, l1, groups, weights, out, finite) -> Any:
    x = as_floating(xp, x)
    if finite:
        check_foreign(xp, x)
    flat = xp.reshape(x, (-1,))
    parts = Groups.of(groups, flat.shape[0]) if flat.shape[0] else None
    if parts is None:
        return deliver(out, x)
    if parts.size is None:
        raise ValueError(
            "The 'groups' parameter must be None or a block size for arrays of "
            f"{xp.__name__.rpartition('.')[2]}. Got index arrays or labels."
        )
    blocks = xp.reshape(flat, (parts.m, parts.size))
    if l1 > 0:
        blocks = blocks - xp.clip(blocks, -l1, l1)
    level = parts.weights(weights)
    if level is not None:
        level = xp.asarray(level, dtype=x.dtype, device=device(x))[:, None]
    norms = xp.sqrt(xp.sum(blocks * blocks, axis=1, keepdims=True))
    shrunk = blocks * _scale(xp, norms, lam if level is None else lam * level)
    return deliver(out, xp.reshape(shrunk, x.shape))


def _scale(xp, norm, level) -> Any:
    """``max(1 - level / norm, 0)``, 0 at 0 / 0; NaN stays."""
    under = norm <= level
    ratio = level / xp.where(under, xp.ones_like(norm), norm)
    return xp.where(under, xp.zeros_like(norm), 1 - ratio)
