"""The sparse envelope, the k-support norm and the box norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseopt._core._params import Interval, public_name
from sparseopt._core._types import GroupsLike, GroupWeights
from sparseopt.prox._engine import envelope_root
from sparseopt.prox._group_structure import STRUCTURE, GroupStructure
from sparseopt.prox._groups import Groups
from sparseopt.prox._ksupport import prox_box_norm, prox_ksupport
from sparseopt.prox._penalty import LEVEL, Norm, Penalty, as_float64, rules
from sparseopt.prox._wgsef import prox_wgsef
from sparseopt.prox._wgsef_value import wgsef_conjugate, wgsef_subgradient, wgsef_value

COUNT = [Interval(1, None, integer=True)]


def check_count(penalty: Any, m: int) -> None:
    """Raise an error where a penalty is to keep more groups, or entries, than m."""
    if penalty.k > m:
        raise ValueError(
            f"The 'k' parameter of {public_name(type(penalty))} must be an int in "
            f"[1, {m}], the number of groups. Got {penalty.k}."
        )


class WGSEF(GroupStructure, Penalty):
    """The (weighted) group sparse envelope, the closest convex model of "k groups".

    ``lam * S_k(w)``, where S_k is the largest convex function below
    ``1/2 sum_j d_j ||w_j||^2`` restricted to at most k nonzero groups.

    Parameters
    ----------
    k : int
        Number of groups to aim at, at most that of all groups.
    lam : float, default=1.0
        Strength, not negative.
    groups : int, list or dict of index arrays, array of n labels, default=None
        Disjoint groups of coordinates, or of rows where coefficients are a matrix.
        None: each of its own; an int: consecutive blocks of this size; a dictionary:
        groups by their names.  Where an estimator is fitted to a data frame, names of
        columns may stand for indices.  Coordinates in no group are free.
    weights : None, "sqrt", "size" or array_like of shape (m,), default=None
        Group weights d; the words are functions of the groups' sizes, None is 1.
    debias : float, default=0.0
        Subtract ``debias / 2 * sum_j d_j ||w_j||^2`` from the envelope, in [0, 1].  The
        penalty is then not convex and shrinks less; it has a prox only for steps below
        ``1 / (debias * lam * max(d))``.
    rows : bool, default=False
        Whether the columns of a matrix of coefficients belong to the same groups; else
        each column has its own.

    References
    ----------
    .. [1] Refael, Arbel, Huleihel. Learning k-Level Structured Sparse Neural Networks
       Using Group Envelope Regularization. TMLR, 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import WGSEF
    >>> penalty = WGSEF(2)
    >>> penalty.prox(np.array([4.0, -2.0, 1.0, 0.5]))
    array([ 2., -1.,  0.,  0.])
    >>> penalty.value(np.array([3.0, 4.0, 0.0]))
    12.5
    """

    sign_invariant = True
    _rules = rules(k=COUNT, lam=LEVEL, debias=[Interval(0, 1)], **STRUCTURE)

    def __init__(
        self,
        k: int,
        lam: float = 1.0,
        *,
        groups: GroupsLike = None,
        weights: GroupWeights = None,
        debias: float = 0.0,
        rows: bool = False,
    ) -> None:
        self.k, self.lam, self.debias = k, lam, debias
        self._store_groups(groups, weights, rows)
        self._check()
        self.is_convex = self.debias == 0.0

    def _options(self, shape: tuple[int, ...]) -> dict[str, Any]:
        parts = self.parts(shape)
        check_count(self, parts.groups.m)
        return {
            "groups": parts.groups,
            "weights": parts.weights,
            "check_finite": False,
        }

    def value(self, w: np.ndarray) -> float:
        options = self._options(w.shape)
        return self.lam * wgsef_value(w, self.k, debias=self.debias, **options)

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        options = self._options(w.shape)
        return prox_wgsef(
            w, self.k, step * self.lam, debias=self.debias, out=out, **options
        )

    def conjugate(self, v: np.ndarray) -> float:
        if not self.is_convex:
            return super().conjugate(v)
        if self.lam == 0.0:
            return math.inf if np.any(v) else 0.0
        return wgsef_conjugate(v, self.k, **self._options(v.shape)) / self.lam

    def dual_scale(self, v: np.ndarray) -> float:
        if not self.is_convex:
            return super().dual_scale(v)
        bound = v if self.lam == 0.0 else np.reshape(v, -1)[self.parts(v.shape).free]
        return 0.0 if np.any(bound) else 1.0

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        parts = self.parts(w.shape)
        w, flat = as_float64(w), as_float64(grad).reshape(-1)
        check_count(self, parts.groups.m)
        slope, bound = envelope_slope(w, self.k, parts.groups, parts.weights)
        slope = slope.reshape(-1)
        if self.debias:
            d = 1.0 if parts.weights is None else parts.per_entry(parts.weights)
            slope = slope - self.debias * d * w.reshape(-1)
            slope[parts.free] = 0.0
        distance = parts.groups.norms(flat + self.lam * slope)
        zero = parts.groups.norms(w.reshape(-1)) == 0
        distance[zero] = np.maximum(distance[zero] - self.lam * bound[zero], 0.0)
        return np.append(distance, np.abs(flat[parts.free]))

    def critical_lam(self, grad: np.ndarray) -> float:
        return math.inf if np.any(grad) else 0.0

    # k couples the groups: the penalty does not separate
    def groups(self, n: int) -> None:  # type: ignore[override]
        return None


def envelope_slope(
    w: np.ndarray, k: int, groups: Groups, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """A subgradient of S_k at w, and its largest norm on each group that is zero."""
    options: dict[str, Any] = {
        "groups": groups,
        "weights": weights,
        "check_finite": False,
    }
    slope = wgsef_subgradient(w, k, **options)
    unit = 1.0 if weights is None else np.sqrt(weights)
    active = groups.norms(w.reshape(-1)) > 0
    bound = np.zeros(groups.m)
    if np.count_nonzero(active) >= k:  # with fewer, the envelope is smooth
        level = groups.norms(slope.reshape(-1)) / unit
        bound += unit * level[active].min()
    return slope, bound


class KSupport(Norm):
    """The k-support norm, not squared, ``lam * ||w||_k``.

    Its unit ball is the convex hull of the vectors with at most k nonzeros and length
    one; half its square is the envelope `WGSEF`.

    Parameters
    ----------
    k : int
        Number of nonzeros to aim at, at most that of the coefficients.
    lam : float, default=1.0
        Strength, not negative.

    References
    ----------
    .. [1] Argyriou, Foygel, Srebro. Sparse Prediction with the k-Support Norm. NIPS,
       2012. Section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import KSupport
    >>> KSupport(2, lam=2.5).prox(np.array([3.0, -4.0, 0.0]))
    array([ 1.5, -2. ,  0. ])
    """

    sign_invariant = True
    _rules = rules(k=COUNT, lam=LEVEL)

    def __init__(self, k: int, lam: float = 1.0) -> None:
        self.k, self.lam = k, lam
        self._check()

    def norm(self, w: np.ndarray) -> float:
        check_count(self, w.size)
        return math.sqrt(2.0 * wgsef_value(w, self.k, check_finite=False))

    def dual_norm(self, v: np.ndarray) -> float:
        check_count(self, v.size)
        return math.sqrt(2.0 * wgsef_conjugate(v, self.k, check_finite=False))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        check_count(self, w.size)
        return prox_ksupport(w, self.k, step * self.lam, out=out, check_finite=False)

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        w, down = as_float64(w).reshape(-1), as_float64(grad).reshape(-1)
        norm = self.norm(w)
        if norm == 0.0:  # distance to the dual ball: the prox is what is outside
            return np.array([float(np.linalg.norm(self.prox(-down)))])
        slope, bound = envelope_slope(w, self.k, Groups.of(None, w.size), None)
        share = self.lam / norm
        distance = np.abs(down + share * slope)
        zero = w == 0
        distance[zero] = np.maximum(distance[zero] - share * bound[zero], 0.0)
        return np.array([float(np.linalg.norm(distance))])


class BoxNorm(Penalty):
    """Half the squared box norm.

    ``lam / 2 * min sum_j w_j^2 / theta_j`` over ``lower <= theta <= upper`` and
    ``sum_j theta_j <= total``.

    Parameters
    ----------
    lower, upper : float
        Bounds of theta, ``0 <= lower < upper``.
    total : float
        Largest sum of theta, at least lower times the number of coefficients.
    lam : float, default=1.0
        Strength, not negative.

    References
    ----------
    .. [1] McDonald, Pontil, Stamos. Spectral k-Support Norm Regularization. NIPS,
       2014. Section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import BoxNorm
    >>> BoxNorm(0.1, 1.0, 2.0).value(np.array([3.0, 4.0]))
    12.5
    """

    sign_invariant = True
    _rules = rules(
        lower=[Interval(0, None)],
        upper=[Interval(0, None, closed="neither")],
        total=[Interval(0, None, closed="neither")],
        lam=LEVEL,
    )

    def __init__(
        self, lower: float, upper: float, total: float, lam: float = 1.0
    ) -> None:
        self.lower, self.upper, self.total, self.lam = lower, upper, total, lam
        self._check()
        if not self.lower < self.upper:
            raise ValueError(
                f"The 'lower' parameter of {public_name(type(self))} must be below "
                f"'upper', {upper}. Got {lower}."
            )

    def _theta(self, size: np.ndarray) -> tuple[np.ndarray, float]:
        """Minimising theta, ``clip(size / level, lower, upper)``, and the level."""
        width = self.upper - self.lower
        budget = (self.total - size.shape[0] * self.lower) / width
        some = size > 0
        if budget <= 0.0:
            return np.full(size.shape, self.lower), math.inf
        root = envelope_root(size, budget, self.lower / width, 1.0)
        level = math.ldexp(root.t, root.exponent) / width
        if level == 0.0:  # the total allows the upper bound wherever it is of use
            if self.lower == 0.0 and np.count_nonzero(some) >= budget:
                level = float(size[some].min(initial=math.inf)) / self.upper
            return np.where(some, self.upper, self.lower), level
        return np.clip(size / level, self.lower, self.upper), level

    def value(self, w: np.ndarray) -> float:
        size = np.abs(as_float64(w)).reshape(-1)
        theta, _ = self._theta(size)
        some = size > 0
        return 0.5 * self.lam * float(np.sum(size[some] ** 2 / theta[some]))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return prox_box_norm(
            w,
            self.lower,
            self.upper,
            self.total,
            step * self.lam,
            out=out,
            check_finite=False,
        )

    def conjugate(self, v: np.ndarray) -> float:
        squares = np.sort(as_float64(v).reshape(-1) ** 2)[::-1]
        if self.lam == 0.0:
            return math.inf if np.any(v) else 0.0
        n, span = squares.shape[0], self.upper - self.lower
        # the largest squares get the upper bound as far as the total goes
        room = (self.total - n * self.lower) / span - np.arange(n)
        theta = self.lower + span * np.clip(room, 0.0, 1.0)
        return 0.5 * float(theta @ squares) / self.lam

    def dual_scale(self, v: np.ndarray) -> float:
        return 1.0 if self.lam > 0.0 or not np.any(v) else 0.0

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        flat, down = as_float64(w), as_float64(grad)
        size = np.abs(flat).reshape(-1)
        theta, level = self._theta(size)
        some = size > 0
        slope = np.divide(flat.reshape(-1), theta, out=np.zeros_like(size), where=some)
        distance = np.abs(down.reshape(-1) + self.lam * slope)
        if self.lower == 0.0:
            bound = self.lam * level
            distance[~some] = np.maximum(distance[~some] - bound, 0.0)
        return distance.reshape(w.shape)

    def critical_lam(self, grad: np.ndarray) -> float:
        return math.inf if np.any(grad) else 0.0
