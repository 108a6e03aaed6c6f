"""Penalties of linear images, averages of prox and intersections of sets."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sparseopt._core._arrays import as_matrix
from sparseopt._core._params import Interval, Type, check_params, public_name
from sparseopt.prox._calculus import PENALTY, POSITIVE, Wrapped, into
from sparseopt.prox._penalties_sets import Indicator
from sparseopt.prox._penalty import (
    Penalty,
    as_float64,
    float_type,
    largest_scale,
    nonnegative_array,
    rules,
)


class Orthonormal(Wrapped):
    """A penalty of transformed coefficients, ``w -> P(Q w)`` with ``Q Q' = I``.

    Parameters
    ----------
    penalty : Penalty
        The penalty P.
    matrix : array_like of shape (m, n)
        The map Q with orthonormal rows, such as a wavelet or cosine basis.

    References
    ----------
    .. [1] P. Combettes, J.-C. Pesquet, "Proximal splitting methods in signal
       processing", 2011, Table 10.1 (x).

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import L1, Orthonormal
    >>> Q = np.array([[0.6, 0.8], [-0.8, 0.6]])
    >>> Orthonormal(L1(1.0), Q).prox(np.array([3.0, 4.0]))
    array([2.4, 3.2])
    """

    _rules = rules(penalty=PENALTY, matrix=[Type(np.ndarray)])

    def __init__(self, penalty: Penalty, matrix: Any) -> None:
        self.penalty = penalty
        # a copy: what was tested must not be changed later
        self.matrix = np.array(as_matrix(matrix, "matrix", dtype=np.float64))
        self.matrix.flags.writeable = False
        self._check()
        off = self.matrix @ self.matrix.T - np.eye(self.matrix.shape[0])
        worst = float(np.abs(off).max())
        if worst > 1e-8:
            raise ValueError(
                f"The 'matrix' array of {public_name(type(self))} must have "
                f"orthonormal rows. Got an entry of Q Q' that is off by {worst:.3g}."
            )

    @property
    def is_indicator(self) -> bool:  # type: ignore[override]
        """Whether P is 0 on a set and infinite elsewhere."""
        return self.penalty.is_indicator

    def _image(self, w: np.ndarray) -> np.ndarray:
        if np.shape(w)[:1] != self.matrix.shape[1:]:
            raise ValueError(
                f"The 'matrix' array of {public_name(type(self))} must have a column "
                f"for each coefficient. Got shape {self.matrix.shape} for coefficients "
                f"of shape {np.shape(w)}."
            )
        return self.matrix @ w

    def value(self, w: np.ndarray) -> float:
        return self.penalty.value(self._image(w))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        image = self._image(as_float64(w))
        change = self.penalty.prox(image, step) - image
        return into(out, w + self.matrix.T @ change, w)

    def conjugate(self, v: np.ndarray) -> float:
        image = self._image(v)
        if float(np.abs(self._outside(v, image)).max(initial=0.0)) > 0.0:
            return math.inf
        return self.penalty.conjugate(image)

    def dual_scale(self, v: np.ndarray) -> float:
        image = self._image(v)
        if float(np.abs(self._outside(v, image)).max(initial=0.0)) > 0.0:
            return 0.0
        return largest_scale(self, v, self.penalty.dual_scale(image))

    def _outside(self, v: np.ndarray, image: np.ndarray) -> np.ndarray:
        """What of v is orthogonal to the rows; rounding counts as nothing."""
        rest = v - self.matrix.T @ image
        if self.matrix.shape[0] == self.matrix.shape[1]:
            return np.zeros_like(rest)
        size = 1e-13 * float(np.abs(v).max(initial=0.0)) * self.matrix.shape[1]
        return np.where(np.abs(rest) <= size, 0.0, rest)

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        image, at = self._image(grad), self._image(w)
        # entries that are zero but for the rounding of the product count as zero
        tiny = 4.0 * np.finfo(float_type(w)).eps * float(np.abs(w).max(initial=0.0))
        at[np.abs(at) <= tiny * math.sqrt(w.shape[0])] = 0.0
        inner = self.penalty.subdiff_distance(at, image)
        outside = self._outside(as_float64(grad), image)
        return np.append(inner, float(np.linalg.norm(outside)))

    def critical_lam(self, grad: np.ndarray) -> float:
        image = self._image(grad)
        if np.any(self._outside(as_float64(grad), image)):
            return math.inf
        return self.penalty.critical_lam(image)


class ProximalAverage(Penalty):
    """The function whose prox is the average of those of several penalties.

    For one step it is the proximal average: a convex function between the harmonic and
    the arithmetic mean of the penalties, whose prox ``sum_i weights_i prox_i`` is cheap
    where that of their sum is not.  With another step it is another function, so `prox`
    accepts no other.

    Parameters
    ----------
    penalties : sequence of Penalty
        Convex penalties.
    weights : array_like, optional
        Weights, not negative; they are divided by their sum.  Equal if not given.
    step : float, default=1.0
        The step, positive.

    References
    ----------
    .. [1] Y. Yu, "Better approximation and faster algorithm using the proximal
       average", NIPS 2013, Section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import L1, NoPenalty, ProximalAverage
    >>> penalty = ProximalAverage([L1(1.0), NoPenalty()])
    >>> penalty.prox(np.array([3.0, -0.5]))
    array([ 2.5 , -0.25])
    """

    _rules = rules(penalties=[Type(list, tuple)], step=POSITIVE)

    def __init__(
        self, penalties: Sequence[Penalty], weights: Any = None, step: float = 1.0
    ) -> None:
        self.penalties, self.step = penalties, step
        self._check()
        _check_parts(type(self), self.penalties)
        self.penalties = list(penalties)
        count = len(self.penalties)
        weights = nonnegative_array(type(self), "weights", weights)
        if weights is None:
            weights = np.ones(count)
        if weights.shape != (count,) or not weights.sum() > 0:
            raise ValueError(
                f"The 'weights' array of {public_name(type(self))} must have shape "
                f"({count},) and a positive sum. Got shape {weights.shape}, sum "
                f"{weights.sum()}."
            )
        self.weights = weights / weights.sum()

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        if step != self.step:
            raise ValueError(
                f"The 'step' parameter of {public_name(type(self))}.prox must be that "
                f"of the average, {self.step}. Got {step}."
            )
        total = np.zeros(w.shape)
        for weight, penalty in zip(self.weights, self.penalties, strict=True):
            total += weight * penalty.prox(w, step)
        return into(out, total, w)

    def envelope(self, w: np.ndarray) -> float:
        """Moreau envelope of the average, the average of the envelopes.

        Parameters
        ----------
        w : ndarray
            Coefficients.

        Returns
        -------
        float
            ``min_u A(u) + ||u - w||^2 / (2 step)`` for the average A.
        """
        total = 0.0
        for weight, penalty in zip(self.weights, self.penalties, strict=True):
            u = penalty.prox(w, self.step)
            square = float(np.vdot(u - w, u - w))
            total += weight * (penalty.value(u) + square / (2.0 * self.step))
        return total

    def fixed_point_distance(
        self, w: np.ndarray, grad: np.ndarray, step: float = 1.0
    ) -> np.ndarray:
        return super().fixed_point_distance(w, grad, self.step)


class Intersection(Indicator):
    """Intersection of convex sets, projected on by Dykstra's algorithm.

    Parameters
    ----------
    sets : sequence of Penalty
        Indicators of convex sets, such as `Box` and `L1Ball`.
    tol : float, default=1e-12
        Largest change in a round of projections, relative to the point, at which the
        projection ends.
    max_iter : int, default=10000
        Largest number of rounds.

    Warns
    -----
    ConvergenceWarning
        By `prox`, if `tol` is not reached; the sets may have no common point.

    References
    ----------
    .. [1] J. Boyle, R. Dykstra, "A method for finding projections onto the intersection
       of convex sets in Hilbert spaces", 1986.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import Box, Intersection, L1Ball
    >>> both = Intersection([L1Ball(2.0), Box(-1.0, 1.0)])
    >>> both.prox(np.array([5.0, 1.5, 0.0]))
    array([1., 1., 0.])
    """

    _rules = rules(
        sets=[Type(list, tuple)],
        tol=POSITIVE,
        max_iter=[Interval(1, None, integer=True)],
    )

    def __init__(
        self, sets: Sequence[Penalty], tol: float = 1e-12, max_iter: int = 10_000
    ) -> None:
        self.sets, self.tol, self.max_iter = sets, tol, max_iter
        self._check()
        _check_parts(type(self), self.sets, "sets")
        other = next((part for part in self.sets if not part.is_indicator), None)
        if other is not None:
            raise ValueError(
                f"The 'sets' parameter of {public_name(type(self))} must hold "
                f"indicators of sets. Got {other!r}."
            )
        self.sets = list(sets)
        self.sign_invariant = all(part.sign_invariant for part in self.sets)

    def contains(self, w: np.ndarray) -> bool:
        # a projection on the intersection is only as near to each set as its tolerance
        w = as_float64(w)
        size = max(1.0, float(np.abs(w).max(initial=0.0)))
        return all(
            float(np.abs(part.prox(w) - w).max(initial=0.0)) <= 1e-6 * size
            for part in self.sets
        )

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        x = np.array(w, dtype=np.float64)
        if not np.isfinite(x).all():
            return into(out, np.full(x.shape, np.nan), w)
        size = max(1.0, float(np.abs(x).max(initial=0.0)))
        corrections = [np.zeros_like(x) for _ in self.sets]
        for _ in range(self.max_iter):
            change = 0.0
            for k, part in enumerate(self.sets):
                target = x + corrections[k]
                moved = part.prox(target)
                fresh = target - moved
                # the corrections settle later than the point: both have to
                change = max(
                    change, float(np.abs(fresh - corrections[k]).max(initial=0.0))
                )
                corrections[k], x = fresh, moved
            if change <= self.tol * size:
                return into(out, x, w)
        warnings.warn(
            f"Dykstra's algorithm reached a change of {change / size:.3g} after "
            f"max_iter={self.max_iter} rounds, above tol={self.tol}. Increase "
            "'max_iter', or check that the sets have a common point.",
            ConvergenceWarning,
            stacklevel=2,
        )
        return into(out, x, w)


def _check_parts(
    owner: type, parts: Sequence[Penalty], name: str = "penalties"
) -> None:
    if not parts:
        raise ValueError(
            f"The {name!r} parameter of {public_name(owner)} must not be empty. Got []."
        )
    for part in parts:
        check_params(owner, {name: PENALTY}, {name: part})
        if not part.is_convex:
            raise ValueError(
                f"The {name!r} parameter of {public_name(owner)} must hold "
                f"convex ones. Got {part!r}."
            )
