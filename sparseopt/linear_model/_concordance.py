"""Harrell's concordance index."""

from __future__ import annotations

import numpy as np


def concordance(
    time: np.ndarray,
    event: np.ndarray,
    risk: np.ndarray,
    weight: np.ndarray,
    strata: np.ndarray | None = None,
) -> float:
    """Share of comparable pairs in which the higher risk had the earlier event.

    A pair is comparable if the earlier time is that of an event; at equal times, if one
    is an event and the other is not; and only within a stratum.  Equal risks count one
    half, and pairs by the product of their weights.  NaN where no pair is comparable.
    """
    columns = time, event, risk, weight
    if strata is None:
        found, total = _pairs(*columns)
    else:
        inside = (strata == stratum for stratum in np.unique(strata))
        counts = [_pairs(*(column[i] for column in columns)) for i in inside]
        found, total = np.sum(counts, axis=0)
    return float(found / total) if total > 0.0 else float("nan")


def _pairs(
    time: np.ndarray, event: np.ndarray, risk: np.ndarray, weight: np.ndarray
) -> tuple[float, float]:
    """Weights of the pairs that are ordered rightly, and of all comparable ones."""
    # those that a sample is compared with have smaller positions
    order = np.lexsort((event, -time))
    time, event = time[order], event[order]
    risk, weight = risk[order], weight[order]
    later = np.r_[False, (time[1:] != time[:-1]) | (event[1:] != event[:-1])]
    place = np.cumsum(later)
    below = np.cumsum(weight)
    before = np.r_[0.0, below][np.searchsorted(place, place)]
    ranks = np.unique(risk, return_inverse=True)[1]
    # within a place higher risks come first, so that no one there counts as lower
    inner = np.lexsort((-ranks, place))
    lower = np.empty(len(ranks))
    lower[inner] = _lower_before(ranks[inner], weight[inner])
    equal = _equal_before(ranks, place, weight)
    total = float(np.sum((weight * before)[event]))
    found = float(np.sum((weight * (lower + 0.5 * equal))[event]))
    return found, total


def _lower_before(ranks: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """For each entry the weight of the earlier ones of lower rank.

    Merge sort from below, all blocks of one size at once.
    """
    n = len(ranks)
    at, total, size = np.arange(n), np.zeros(n), 1
    while size < n:
        pair, right = at // (2 * size), (at // size) % 2 == 1
        order = np.lexsort((~right, ranks, pair))  # equal ranks: the right one first
        left = np.where(right, 0.0, weight)[order]
        sums = np.cumsum(left)
        start = np.r_[0.0, sums][pair * (2 * size)]
        inside = right[order]
        total[order[inside]] += (sums - start)[inside]
        size *= 2
    return total


def _equal_before(
    ranks: np.ndarray, place: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """For each entry the weight of those of equal rank at an earlier place."""
    order = np.lexsort((place, ranks))
    ranks, place = ranks[order], place[order]
    sums = np.r_[0.0, np.cumsum(weight[order])]
    new = np.r_[True, ranks[1:] != ranks[:-1]]
    change = new | np.r_[True, place[1:] != place[:-1]]
    positions = np.arange(len(ranks))
    first = np.maximum.accumulate(np.where(change, positions, 0))
    start = np.maximum.accumulate(np.where(new, positions, 0))
    out = np.empty(len(ranks))
    out[order] = sums[first] - sums[start]
    return out
