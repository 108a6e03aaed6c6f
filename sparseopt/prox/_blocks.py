"""Groups, weights and budget of a sparse envelope, validated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sparseopt._core._arrays import plain_array
from sparseopt._core._params import Interval, check_params
from sparseopt._core._types import GroupsLike
from sparseopt.prox._groups import Groups


class Blocks(NamedTuple):
    """What S_k is made of.

    `weight` are the group weights d: one number where all are equal, else an array of
    float64; `costs` is None where each group counts as one in the budget k.
    """

    groups: Groups
    k: float
    weight: Any = 1.0
    costs: np.ndarray | None = None

    @property
    def single(self) -> bool:
        """Whether each coordinate is a group."""
        return self.groups.size == 1

    @property
    def uniform(self) -> bool:
        """Whether all groups have the same weight and cost."""
        return isinstance(self.weight, float) and self.costs is None


def make_blocks(
    owner: Callable[..., Any],
    n: int,
    k: Any,
    groups: GroupsLike = None,
    weights: Any = None,
    costs: Any = None,
) -> Blocks:
    """Validate what a function `owner` was given for a vector of length n."""
    parts = Groups.of(groups, n)
    if type(k) is int and 1 <= k <= parts.m:
        pass  # the common case, without the cost of a report
    elif costs is None:
        check_params(owner, {"k": [Interval(1, parts.m, integer=True)]}, {"k": k})
    else:
        check_params(owner, {"k": [Interval(0, None, closed="neither")]}, {"k": k})
    if costs is not None:
        costs = positive(costs, "costs", parts.m)
    return Blocks(parts, float(k), _weight(parts, weights), costs)


def _weight(parts: Groups, weights: Any) -> Any:
    d = parts.weights(weights)
    if d is None:
        return 1.0
    if isinstance(weights, str) and parts.size is not None:
        return float(d[0])
    return d


def positive(values: Any, name: str, m: int) -> np.ndarray:
    """Array of m positive finite numbers, float64."""
    array = plain_array(values, name)
    if array.dtype.kind not in "fiu":
        raise TypeError(
            f"The {name!r} array must hold real numbers. Got dtype {array.dtype}."
        )
    if array.shape != (m,):
        raise ValueError(
            f"The {name!r} array must have shape ({m},). Got {array.shape}."
        )
    array = np.ascontiguousarray(array, dtype=np.float64)
    # a NaN is the least and the largest, and no array of booleans is needed
    if array.size and not (array.min() > 0 and array.max() < np.inf):
        j = int(np.argmin((array > 0) & (array < np.inf)))
        raise ValueError(
            f"The {name!r} array must be positive and finite. "
            f"Got {array[j]} at index {j}."
        )
    return array
