"""Indicators of sets: 0 inside, infinite outside; their prox is the projection."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sparseopt._core._arrays import plain_array
from sparseopt._core._params import Callable_, Interval, public_name
from sparseopt.prox._cardinality import project_l0_ball
from sparseopt.prox._groups import Groups
from sparseopt.prox._penalty import (
    Coordinate,
    Penalty,
    as_float64,
    broadcast_rows,
    float_type,
    rules,
)
from sparseopt.prox._sets import project_box
from sparseopt.prox._simplex import project_l1_ball, project_simplex

POSITIVE = [Interval(0, None, closed="neither")]
# Relative distance to a set up to which a point counts as inside: what rounding does.
_SLACK = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-10}


def slack(w: Any) -> float:
    """Relative distance to a set that is put down to rounding."""
    return _SLACK.get(np.asarray(w).dtype, 1e-10)


class Indicator(Penalty):
    """Indicator of a set."""

    is_indicator = True

    def contains(self, w: np.ndarray) -> bool:
        """Whether w is in the set, up to rounding.

        Parameters
        ----------
        w : ndarray
            Coefficients.

        Returns
        -------
        bool
            Whether the value at w is 0.
        """
        raise NotImplementedError

    def value(self, w: np.ndarray) -> float:
        return 0.0 if self.contains(w) else math.inf


class Box(Indicator):
    """Bounds on each coefficient, ``lower <= w <= upper``.

    Parameters
    ----------
    lower, upper : float or array_like of shape (n,) or (n, n_outputs)
        Bounds; infinite ones are none.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import Box
    >>> Box(-1.0, 2.0).prox(np.array([-3.0, 0.5, 5.0]))
    array([-1. ,  0.5,  2. ])
    """

    def __init__(self, lower: Any = -math.inf, upper: Any = math.inf) -> None:
        self.lower = _bound(type(self), "lower", lower)
        self.upper = _bound(type(self), "upper", upper)
        _check_order(type(self), self.lower, self.upper)

    def _bounds(self, shape: tuple[int, ...]) -> tuple[Any, Any]:
        bounds = self.lower, self.upper
        return tuple(  # type: ignore[return-value]
            broadcast_rows(bound, shape) if isinstance(bound, np.ndarray) else bound
            for bound in bounds
        )

    def contains(self, w: np.ndarray) -> bool:
        lower, upper = self._bounds(w.shape)
        w = np.asarray(w)
        return bool(np.all(w >= _as_type(lower, w)) and np.all(w <= _as_type(upper, w)))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        lower, upper = self._bounds(w.shape)
        return project_box(w, lower, upper, out=out, check_finite=False)

    def conjugate(self, v: np.ndarray) -> float:
        v = as_float64(v)
        bounds = self._bounds(v.shape)
        bound = np.where(v > 0, bounds[1], bounds[0])
        moved = v != 0  # 0 times an infinite bound is 0
        return float(np.sum(v[moved] * bound[moved]))

    def dual_scale(self, v: np.ndarray) -> float:
        return 1.0 if self.conjugate(v) < math.inf else 0.0

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        lower, upper = (_as_type(bound, w) for bound in self._bounds(w.shape))
        down = as_float64(grad)
        # -grad may be anything negative at a lower bound, positive at an upper one
        distance = np.where(w > lower, np.maximum(down, 0.0), 0.0)
        distance = np.maximum(distance, np.where(w < upper, -down, 0.0))
        return np.where((w < lower) | (w > upper), math.inf, distance)

    def groups(self, n: int) -> Groups:
        return Groups.of(None, n)

    def coordinate(self, n: int) -> Coordinate | None:
        if isinstance(self.lower, np.ndarray) or isinstance(self.upper, np.ndarray):
            return None
        return Coordinate("box", 0.0, None, (self.lower, self.upper), False)


class NonNegative(Box):
    """The nonnegative orthant, ``w >= 0``.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import L1, NonNegative
    >>> NonNegative().prox(np.array([-3.0, 0.5]))
    array([0. , 0.5])
    >>> L1(0.1) + NonNegative()
    L1(lam=0.1, positive=True)
    """

    def __init__(self) -> None:
        super().__init__(0.0, math.inf)


class Simplex(Indicator):
    """The simplex, ``w >= 0`` and ``sum w = total``.

    Parameters
    ----------
    total : float, default=1.0
        Sum of the coefficients, positive.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import Simplex
    >>> Simplex().prox(np.array([2.0, 1.5, 0.0]))
    array([0.75, 0.25, 0.  ])
    """

    _rules = rules(total=POSITIVE)

    def __init__(self, total: float = 1.0) -> None:
        self.total = total
        self._check()

    def contains(self, w: np.ndarray) -> bool:
        w = np.asarray(w)
        off = abs(float(w.sum(dtype=np.float64)) - self.total)
        return bool(np.all(w >= 0) and off <= slack(w) * self.total)

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return project_simplex(w, self.total, out=out, check_finite=False)

    def conjugate(self, v: np.ndarray) -> float:
        return self.total * float(np.max(v)) if np.size(v) else 0.0

    def dual_scale(self, v: np.ndarray) -> float:
        return 1.0

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        if not self.contains(w):
            return np.array([math.inf])
        flat, down = np.reshape(w, -1), -as_float64(grad).reshape(-1)
        inside = flat > 0
        return np.array([_level_distance(down[inside], down[~inside], -math.inf)])


class L1Ball(Indicator):
    """The l1 ball, ``||w||_1 <= radius``.

    Parameters
    ----------
    radius : float, default=1.0
        Radius, positive.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import L1Ball
    >>> L1Ball(1.0).prox(np.array([2.0, -1.5, 0.0]))
    array([ 0.75, -0.25,  0.  ])
    """

    _rules = rules(radius=POSITIVE)

    def __init__(self, radius: float = 1.0) -> None:
        self.radius = radius
        self._check()

    def contains(self, w: np.ndarray) -> bool:
        size = float(np.abs(w).sum(dtype=np.float64))
        return size <= self.radius * (1.0 + slack(w))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return project_l1_ball(w, self.radius, out=out, check_finite=False)

    def conjugate(self, v: np.ndarray) -> float:
        return self.radius * float(np.abs(as_float64(v)).max(initial=0.0))

    def dual_scale(self, v: np.ndarray) -> float:
        return 1.0

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        if not self.contains(w):
            return np.array([math.inf])
        flat, down = as_float64(w).reshape(-1), -as_float64(grad).reshape(-1)
        if np.abs(flat).sum() < self.radius * (1.0 - slack(w)):
            return np.array([float(np.linalg.norm(down))])
        inside = flat != 0
        toward = down[inside] * np.sign(flat[inside])
        return np.array([_level_distance(toward, np.abs(down[~inside]), 0.0)])


class L0Ball(Indicator):
    """Vectors with at most k nonzero entries.

    The set is not convex; its projection keeps the k largest magnitudes, at a tie those
    of the lowest index.

    Parameters
    ----------
    k : int
        Number of entries, not negative.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import L0Ball
    >>> L0Ball(1).prox(np.array([1.0, -3.0, 2.0]))
    array([ 0., -3.,  0.])
    """

    is_convex = False
    sign_invariant = True
    _rules = rules(k=[Interval(0, None, integer=True)])

    def __init__(self, k: int) -> None:
        self.k = k
        self._check()

    def contains(self, w: np.ndarray) -> bool:
        return int(np.count_nonzero(w)) <= self.k

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return project_l0_ball(w, min(self.k, w.size), out=out, check_finite=False)

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        count = int(np.count_nonzero(w))
        size = np.abs(as_float64(grad))
        if count > self.k:
            return np.full(w.shape, math.inf)
        # with fewer than k entries others may come in: the slope there counts
        return size if count < self.k else np.where(w != 0, size, 0.0)


class ConvexSet(Indicator):
    """A convex set that is given by its projection.

    Parameters
    ----------
    projection : callable
        Function that takes coefficients to the nearest point of the set, such as one
        that calls `project_halfspace`.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import Box, ConvexSet, Intersection, project_halfspace
    >>> half = ConvexSet(lambda w: project_halfspace(w, [1.0, 1.0], 1.0))
    >>> Intersection([half, Box(0.0, 1.0)]).prox(np.array([2.0, 0.5])).round(6)
    array([1., 0.])
    """

    _rules = rules(projection=[Callable_])

    def __init__(self, projection: Callable[[np.ndarray], np.ndarray]) -> None:
        self.projection = projection
        self._check()

    def contains(self, w: np.ndarray) -> bool:
        away = float(np.abs(self._project(w) - w).max(initial=0.0))
        return away <= slack(w) * max(1.0, float(np.abs(w).max(initial=0.0)))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        result = self._project(w)
        if out is None:
            return np.asarray(result, dtype=float_type(w))
        out[...] = result
        return out

    def _project(self, w: np.ndarray) -> np.ndarray:
        point = np.asarray(self.projection(w))
        if point.shape != np.shape(w):
            raise ValueError(
                f"The 'projection' of {public_name(type(self))} must return an array "
                f"of the shape {np.shape(w)} of its argument. Got {point.shape}."
            )
        return point


def _level_distance(fixed: np.ndarray, below: np.ndarray, lowest: float) -> float:
    """Least ``sqrt(sum (fixed - t)^2 + sum (below - t)_+^2)`` over ``t >= lowest``."""
    # the mean of `fixed` and of the largest of `below` that are above that mean
    ordered = np.sort(below)[::-1]
    counts = fixed.size + np.arange(ordered.size + 1)
    sums = fixed.sum() + np.append(0.0, np.cumsum(ordered))
    means = np.divide(
        sums, counts, out=np.full(counts.shape, -math.inf), where=counts > 0
    )
    taken = int(np.count_nonzero(ordered > means[:-1]))
    level = max(float(means[taken]), lowest)
    over = np.maximum(ordered - level, 0.0)
    return math.hypot(float(np.linalg.norm(fixed - level)), float(np.linalg.norm(over)))


def _bound(owner: type, name: str, value: Any) -> Any:
    array = plain_array(value, name)
    if array.dtype.kind not in "fiu" or array.ndim > 2:
        raise TypeError(
            f"The {name!r} parameter of {public_name(owner)} must be a float or an "
            f"array of them. Got dtype {array.dtype}, {array.ndim} dimensions."
        )
    array = np.array(array, dtype=np.float64, order="C")
    if np.isnan(array).any():
        raise ValueError(
            f"The {name!r} parameter of {public_name(owner)} must not be NaN. "
            f"Got NaN at index {np.isnan(array).argmax()}."
        )
    if array.ndim == 0:
        return float(array)
    array.flags.writeable = False
    return array


def _check_order(owner: type, lower: Any, upper: Any) -> None:
    try:
        bad = np.broadcast_arrays(lower, upper)
    except ValueError as error:
        raise ValueError(
            f"The 'lower' and 'upper' arrays of {public_name(owner)} must have one "
            f"shape. Got {np.shape(lower)} and {np.shape(upper)}."
        ) from error
    wrong = (bad[0] > bad[1]) | (bad[0] == math.inf) | (bad[1] == -math.inf)
    if np.any(wrong):
        k = int(np.argmax(wrong))
        raise ValueError(
            f"The 'lower' parameter of {public_name(owner)} must not be above 'upper'. "
            f"Got {bad[0].flat[k]} and {bad[1].flat[k]}."
        )


def _as_type(bound: Any, w: np.ndarray) -> Any:
    """The bound as rounded to the type of w, as projections have it."""
    return np.asarray(bound, dtype=float_type(np.asarray(w)))
