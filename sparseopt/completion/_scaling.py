"""Units in which a fit works: values of size one, and weights of mean one.

Neither squares of values nor ridges made from the density of the entries may depend on
the unit that the caller's numbers happen to have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparseopt.completion._folds import subset
from sparseopt.completion._problem import Entries

# Values are divided by a power of two beyond these, so that squares are normal numbers.
_SMALL, _LARGE = 2.0**-30, 2.0**30
_LEAST, _MOST = -1021, 1023  # exponents of numbers that have a float and an inverse


@dataclass(frozen=True)
class Units:
    """What values and weights of a fit were divided by."""

    value: float = 1.0
    weight: float = 1.0

    def ridge(self, alpha: float, power: float = 0.0) -> float:
        """The caller's ridge in these units; sums of weights have ``power`` in it."""
        return alpha / self.value / self.weight ** (1.0 - power)

    def callers_ridge(self, ridge: float, power: float = 0.0) -> float:
        """The inverse of `ridge`."""
        return ridge * self.value * self.weight ** (1.0 - power)

    def callers_objective(self, objective: float) -> float:
        """Infinite where no float holds it."""
        return objective * self.weight * self.value * self.value


def in_units(entries: Entries) -> tuple[Entries, Units]:
    """Entries with values of size about one and weights of mean one, and the units.

    Values are divided by a power of two, and only where they are far from one; equal
    weights are as good as none.
    """
    side = entries.rows
    if not entries.n_entries:
        return entries, Units()
    value = unit_of(max(float(side.val.max()), -float(side.val.min())))
    weights, weight = _mean_one(side.weight)
    if value == 1.0 and weights is side.weight:
        return entries, Units()
    values = side.val
    if value != 1.0:
        # not a product: of the smallest numbers the inverse has no float
        values = np.ldexp(values, 1 - math.frexp(value)[1])
    return entries.with_values(values, weights), Units(value, weight)


def _mean_one(weights: np.ndarray | None) -> tuple[np.ndarray | None, float]:
    if weights is None:
        return None, 1.0
    if weights.min() == weights.max():
        return None, float(weights[0])
    mean = float(weights.mean(dtype=np.float64))
    return (weights, 1.0) if mean == 1.0 else (weights / weights.dtype.type(mean), mean)


def unit_of(largest: float) -> float:
    """The power of two to divide values by, of which this is the largest."""
    if largest == 0 or _SMALL <= largest <= _LARGE:
        return 1.0
    return math.ldexp(1.0, min(max(math.frexp(largest)[1], _LEAST), _MOST))


def times(x: np.ndarray, unit: float) -> np.ndarray:
    """Numbers in another unit, which may be more than its type holds."""
    return (x.astype(np.float64) * unit).astype(x.dtype)


def weighty(entries: Entries) -> tuple[Entries, np.ndarray | None]:
    """The entries whose weight is not zero, and which of all they are, None for all.

    The others are no observations: a row that has only such ones is not determined.
    """
    weight = entries.rows.weight
    if weight is None or weight.all():
        return entries, None
    counts = weight > 0
    return subset(entries, counts), counts


def among(mask: np.ndarray | None, counts: np.ndarray | None) -> np.ndarray | None:
    """A mask of the entries that `weighty` left, as one of all."""
    if mask is None or counts is None:
        return mask
    out = np.zeros(len(counts), bool)
    out[counts] = mask
    return out
