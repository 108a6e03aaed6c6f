"""Projections onto vectors with few entries, or groups, that are not zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparseopt._core._params import Boolean, Interval, validate_params
from sparseopt._core._types import GroupsLike
from sparseopt.prox._apply import AXIS
from sparseopt.prox._axis import sliced
from sparseopt.prox._groups import Groups
from sparseopt.prox._inputs import as_output, as_point

# Rows up to the first length are taken together, about so many entries at a time.
_LONG, _ENTRIES = 4096, 1 << 16


@validate_params(
    {"k": [Interval(0, None, integer=True)], "axis": AXIS, "check_finite": [Boolean]}
)
def project_l0_ball(
    x: Any,
    k: int,
    *,
    axis: int | None = None,
    out: Any = None,
    check_finite: bool = True,
) -> np.ndarray:
    """Nearest point with at most `k` entries that are not zero.

    The entries of largest magnitude stay; of equal ones those of lowest index.

    Parameters
    ----------
    x : array of any shape
        The point: one vector whatever its shape, unless `axis` is given.
    k : int
        Number of entries kept, not negative.
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
    >>> from sparseopt.prox import project_l0_ball
    >>> project_l0_ball([1.0, -3.0, 2.0, -2.0], 2)
    array([ 0., -3.,  2.,  0.])
    """

    def keep(rows: np.ndarray, result: np.ndarray) -> None:
        if rows.shape[1] > _LONG:
            for row, target in zip(rows, result, strict=True):
                kept = largest(np.abs(row), k)
                if kept.dtype == bool:
                    target[...] = np.where(kept, row, 0)
                else:
                    target.fill(np.nan)
            return
        some = _ENTRIES // rows.shape[1]
        for start in range(0, len(rows), some):
            part = rows[start : start + some]
            _keep_largest(part, k, result[start : start + some])

    return sliced(keep, x, axis, out, check_finite)


@validate_params({"k": [Interval(0, None, integer=True)], "check_finite": [Boolean]})
def project_group_l0_ball(
    x: Any,
    k: int,
    *,
    groups: GroupsLike = None,
    weights: Any = None,
    out: Any = None,
    check_finite: bool = True,
) -> np.ndarray:
    """Nearest point with at most `k` groups that are not zero.

    Nearest is meant in the norm ``sum_j weights_j |w_j|^2``: the groups of largest
    ``weights_j |x_j|^2`` stay, of equal ones those of lowest index. Entries in no group
    stay.

    Parameters
    ----------
    x : array of any shape
        The point, one vector whatever its shape.
    k : int
        Number of groups kept, from 0 to the number of groups.
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
        The nearest point.

    Examples
    --------
    >>> from sparseopt.prox import project_group_l0_ball
    >>> project_group_l0_ball([1.0, 1.0, 3.0, 0.0], 1, groups=2)
    array([0., 0., 3., 0.])
    """
    array = as_point(x, finite=check_finite)
    result = as_output(out, array)
    if not array.size:
        return result
    parts = Groups.of(groups, array.size)
    if k > parts.m:
        raise ValueError(
            "The 'k' parameter of sparseopt.prox.project_group_l0_ball must be an int "
            f"in [0, {parts.m}]. Got {k}."
        )
    level = parts.weights(weights)
    scores = parts.norms(array.reshape(-1))
    if level is not None:
        scores = scores * np.sqrt(level)
    kept = largest(scores, k)
    if kept.dtype != bool:
        result[...] = np.nan
        return result
    inside = parts.spread(kept, True).reshape(array.shape)
    result[...] = np.where(inside, array, 0)
    return result


def _keep_largest(rows: np.ndarray, k: int, result: np.ndarray) -> None:
    """Each row with its k largest magnitudes, ties to the lowest index."""
    n = rows.shape[1]
    scores = np.abs(rows)
    bad = np.isnan(scores).any(axis=1)
    if k >= n:
        result[...] = rows
    elif k == 0:
        result[...] = 0
    else:
        level = np.partition(scores, n - k, axis=1)[:, n - k, None]
        kept = scores > level
        ties = scores == level
        room = k - np.count_nonzero(kept, axis=1)
        crowded = np.flatnonzero(np.count_nonzero(ties, axis=1) > room)
        kept |= ties
        for row in crowded:
            at = np.flatnonzero(ties[row])
            kept[row, at[room[row] :]] = False
        result[...] = np.where(kept, rows, 0)
    result[bad] = np.nan


def largest(scores: np.ndarray, k: int) -> np.ndarray:
    """Mask of the k largest scores, ties to the lowest index; NaN for any NaN."""
    n = scores.shape[0]
    if np.isnan(scores).any():
        return np.full(n, np.nan, dtype=scores.dtype)
    if k >= n:
        return np.ones(n, dtype=bool)
    if k == 0:
        return np.zeros(n, dtype=bool)
    level = np.partition(scores, n - k)[n - k]
    kept = scores > level
    ties = np.flatnonzero(scores == level)
    kept[ties[: k - np.count_nonzero(kept)]] = True
    return kept
