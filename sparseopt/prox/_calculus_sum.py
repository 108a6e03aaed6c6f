"""Sums of penalties that have an exact proximal operator."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sparseopt._core._params import Interval
from sparseopt.prox._calculus import PENALTY, Wrapped, into
from sparseopt.prox._groups import Groups
from sparseopt.prox._penalties_group import GroupLasso, SparseGroupLasso
from sparseopt.prox._penalties_nonconvex import L0, LogSum, Lq
from sparseopt.prox._penalties_separable import L1, ElasticNet, NoPenalty, Ridge
from sparseopt.prox._penalties_sets import Box, NonNegative, Simplex
from sparseopt.prox._penalties_structured import TV1D, TV2D, FusedLasso
from sparseopt.prox._penalty import Coordinate, Penalty, as_float64, rules


class PlusRidge(Wrapped):
    """A penalty and a ridge, ``P(w) + ridge / 2 * ||w||^2``.

    Parameters
    ----------
    penalty : Penalty
        The penalty P.
    ridge : float
        Strength of the ridge, positive.

    Examples
    --------
    >>> from sparseopt.prox import GroupLasso, Ridge
    >>> GroupLasso(1.0, groups=2) + Ridge(0.5)
    PlusRidge(penalty=GroupLasso(lam=1.0, groups=2), ridge=0.5)
    """

    _rules = rules(penalty=PENALTY, ridge=[Interval(0, None, closed="neither")])

    def __init__(self, penalty: Penalty, ridge: float) -> None:
        self.penalty, self.ridge = penalty, ridge
        self._check()
        self.sign_invariant = penalty.sign_invariant

    def value(self, w: np.ndarray) -> float:
        w = as_float64(w)
        return self.penalty.value(w) + 0.5 * self.ridge * float(np.vdot(w, w))

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        shrink = 1.0 / (1.0 + step * self.ridge)
        return into(out, self.penalty.prox(shrink * w, shrink * step), w)

    def conjugate(self, v: np.ndarray) -> float:
        if not self.is_convex:
            return super().conjugate(v)
        # the maximiser of <v, w> - P(w) - ridge / 2 ||w||^2 is a proximal point
        u = self.penalty.prox(as_float64(v) / self.ridge, 1.0 / self.ridge)
        return float(np.vdot(v, u)) - self.value(u)

    def dual_scale(self, v: np.ndarray) -> float:
        return 1.0 if self.is_convex else super().dual_scale(v)

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        w = as_float64(w)
        return self.penalty.subdiff_distance(w, as_float64(grad) + self.ridge * w)

    def groups(self, n: int) -> Groups | None:
        return self.penalty.groups(n)

    def critical_lam(self, grad: np.ndarray) -> float:
        return self.penalty.critical_lam(grad)


class Positive(Wrapped):
    """A penalty of magnitudes on nonnegative coefficients.

    Parameters
    ----------
    penalty : Penalty
        A penalty with `sign_invariant`.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import MCP, NonNegative
    >>> (MCP(1.0) + NonNegative()).prox(np.array([2.0, -5.0]))
    array([1.5, 0. ])
    """

    _rules = rules(penalty=PENALTY)

    def __init__(self, penalty: Penalty) -> None:
        self.penalty = penalty
        self._check()
        if not penalty.sign_invariant:
            raise ValueError(
                "The 'penalty' parameter of sparseopt.prox.Positive must depend on "
                f"magnitudes only. Got {penalty!r}."
            )

    @property
    def is_indicator(self) -> bool:  # type: ignore[override]
        """Whether P is 0 on a set and infinite elsewhere."""
        return self.penalty.is_indicator

    def value(self, w: np.ndarray) -> float:
        return math.inf if np.any(np.asarray(w) < 0) else self.penalty.value(w)

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return self.penalty.prox(np.maximum(w, 0), step, out)

    def conjugate(self, v: np.ndarray) -> float:
        return self.penalty.conjugate(np.maximum(v, 0))

    def dual_scale(self, v: np.ndarray) -> float:
        return self.penalty.dual_scale(np.maximum(v, 0))

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        w, grad = as_float64(w), as_float64(grad)
        # at zero the cone of the orthant takes up any rise
        distance = self.penalty.subdiff_distance(
            w, np.where(w == 0, np.minimum(grad, 0.0), grad)
        )
        return np.full_like(distance, math.inf) if np.any(w < 0) else distance

    def groups(self, n: int) -> Groups | None:
        return self.penalty.groups(n)

    def critical_lam(self, grad: np.ndarray) -> float:
        return self.penalty.critical_lam(np.minimum(grad, 0.0))

    def coordinate(self, n: int) -> Coordinate | None:
        form = self.penalty.coordinate(n)
        return None if form is None else form._replace(positive=True)


class Clipped(Wrapped):
    """A penalty whose prox may be followed by a map of each entry.

    The map is the prox of a convex function of one variable, the same for each entry:
    bounds, an l1 norm or both.  That holds for sums of convex functions of the entries
    (with bounds), and for total variations.

    Parameters
    ----------
    penalty : Penalty
        The penalty whose prox comes first.
    last : Penalty
        The penalty whose prox comes last.

    References
    ----------
    .. [1] Y. Yu, "On decomposing the proximal map", NIPS 2013, Theorem 1 and Section
       3.3 (when the prox of a sum is the composition).

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.prox import TV1D, Box
    >>> (TV1D(1.0) + Box(0.0, 5.0)).prox(np.array([0.0, 0.0, 6.0, 6.0]))
    array([0.5, 0.5, 5. , 5. ])
    """

    _rules = rules(penalty=PENALTY, last=PENALTY)

    def __init__(self, penalty: Penalty, last: Penalty) -> None:
        self.penalty, self.last = penalty, last
        self._check()

    def value(self, w: np.ndarray) -> float:
        return self.last.value(w) + self.penalty.value(w)

    def prox(
        self, w: np.ndarray, step: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        return self.last.prox(self.penalty.prox(w, step), step, out)


def add(p: Penalty, q: Penalty) -> Penalty:
    """The sum of two penalties, if it has an exact proximal operator."""
    for rule in _RULES:
        for first, second in ((p, q), (q, p)):
            total = rule(first, second)
            if total is not None:
                return total
    advice = (
        "Minimise with the splitting solvers 'admm' or 'pdhg' of minimize_composite, "
        "or use ProximalAverage."
    )
    if not (p.is_convex and q.is_convex):
        advice = (
            "The splitting solvers 'admm' and 'pdhg' of minimize_composite could take "
            "both, but need convex penalties: replace the one that is not."
        )
    raise NotImplementedError(
        f"The sum of {p!r} and {q!r} has no exact proximal operator. {advice}"
    )


def _zero(p: Any, q: Any) -> Penalty | None:
    return q if isinstance(p, NoPenalty) else None


def _same(p: Any, q: Any) -> Penalty | None:
    """Sums within a family that is closed under addition."""
    if type(p) is not type(q):
        return None
    if isinstance(p, L1):
        return _l1_sum(p, q)
    if isinstance(p, (GroupLasso, SparseGroupLasso)):
        return _group_sum(p, q)
    if isinstance(p, (TV1D, LogSum, Lq)):
        same = _same_parameters(p, q)
    else:
        same = isinstance(p, (Ridge, L0, TV2D)) and _same_parameters(p, q)
    if same:
        return p.with_lam(p.lam + q.lam)
    if isinstance(p, ElasticNet) and _plain(p) and _plain(q):
        return _net(p._l1 + q._l1, p._l2 + q._l2, p.positive or q.positive)
    return None


def _l1_sum(p: L1, q: L1) -> L1 | None:
    positive = p.positive or q.positive
    if p.weights is None and q.weights is None:
        return L1(p.lam + q.lam, positive=positive)
    parts = [x.lam * (np.ones(()) if x.weights is None else x.weights) for x in (p, q)]
    if parts[0].ndim and parts[1].ndim and parts[0].shape != parts[1].shape:
        return None
    return L1(1.0, weights=parts[0] + parts[1], positive=positive)


def _group_sum(p: Any, q: Any) -> Penalty | None:
    if not _same_structure(p, q) or getattr(p, "l1_ratio", 0) != getattr(
        q, "l1_ratio", 0
    ):
        return None
    return p.with_lam(p.lam + q.lam)


def _same_parameters(p: Penalty, q: Penalty) -> bool:
    """Whether two penalties of a class differ in their strength only."""
    names = [name for name in vars(p) if name != "lam" and not name.startswith("_")]
    return all(_equal(getattr(p, name), getattr(q, name)) for name in names)


def _same_structure(p: Any, q: Any) -> bool:
    return (
        p.rows == q.rows and _equal(p._given, q._given) and _equal(p.weights, q.weights)
    )


def _equal(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(_equal(a[name], b[name]) for name in a)
    if isinstance(a, Groups) or isinstance(b, Groups):
        return False
    return type(a) is type(b) and np.array_equal(a, b)


def _plain(p: Any) -> bool:
    return p.weights is None


def _net(l1: float, l2: float, positive: bool) -> Penalty:
    """Elastic net from the strengths of its two parts."""
    lam = l1 + l2
    if lam == 0.0:
        return ElasticNet(0.0, positive=positive)
    return ElasticNet(lam, l1 / lam, positive=positive)


def _elastic(p: Any, q: Any) -> Penalty | None:
    """L1 and elastic nets with one another or a ridge."""
    if not isinstance(p, (L1, ElasticNet)) or not _plain(p):
        return None
    parts = (p.lam, 0.0) if isinstance(p, L1) else (p._l1, p._l2)
    if isinstance(q, Ridge):
        return _net(parts[0], parts[1] + q.lam, p.positive)
    if isinstance(q, L1) and _plain(q) and isinstance(p, ElasticNet):
        return _net(parts[0] + q.lam, parts[1], p.positive or q.positive)
    return None


def _sparse_group(p: Any, q: Any) -> Penalty | None:
    """An l1 norm and a group lasso: it has to cover all coordinates."""
    if not isinstance(q, L1) or not _plain(q):
        return None
    if isinstance(p, GroupLasso):
        group, l1 = p.lam, q.lam
    elif isinstance(p, SparseGroupLasso):
        group, l1 = p.lam * (1.0 - p.l1_ratio), p.lam * p.l1_ratio + q.lam
    else:
        return None
    # free coordinates are free of both norms, but have the l1 norm of the sum
    if p._given is not None and not isinstance(p._given, (int, np.integer)):
        return None
    lam = group + l1
    ratio = l1 / lam if lam > 0.0 else 0.0
    total = SparseGroupLasso(
        lam, ratio, groups=p._given, weights=p.weights, rows=p.rows
    )
    return Positive(total) if q.positive else total


def _fused(p: Any, q: Any) -> Penalty | None:
    if not isinstance(q, L1) or not _plain(q):
        return None
    if isinstance(p, FusedLasso) or (isinstance(p, TV1D) and p.weights is None):
        share = p.l1_ratio if isinstance(p, FusedLasso) else 0.0
        tv, l1 = p.lam * (1.0 - share), p.lam * share + q.lam
        lam = tv + l1
        total = FusedLasso(lam, l1 / lam if lam > 0.0 else 0.0)
        return Clipped(total, NonNegative()) if q.positive else total
    return Clipped(p, q) if isinstance(p, (TV1D, TV2D)) else None


def _boxes(p: Any, q: Any) -> Penalty | None:
    if not (isinstance(p, Box) and isinstance(q, Box)):
        return None
    lower, upper = np.maximum(p.lower, q.lower), np.minimum(p.upper, q.upper)
    if np.ndim(lower) == 0 and (lower, upper) == (0.0, math.inf):
        return NonNegative()
    return Box(lower, upper)


def _positive(p: Any, q: Any) -> Penalty | None:
    if not isinstance(q, NonNegative):
        return None
    if isinstance(p, (L1, ElasticNet)):
        other = copy.copy(p)
        other.positive, other.sign_invariant = True, False
        return other
    if isinstance(p, (Positive, Simplex)):
        return p
    return Positive(p) if p.sign_invariant else None


def _clipped(p: Any, q: Any) -> Penalty | None:
    """Bounds on a sum over entries, or equal bounds on a total variation."""
    if not isinstance(q, Box) or not p.is_convex:
        return None
    if isinstance(p, (L1, ElasticNet, Ridge, Lq)):
        return Clipped(p, q)
    equal = not (isinstance(q.lower, np.ndarray) or isinstance(q.upper, np.ndarray))
    if equal and isinstance(p, (TV1D, TV2D, FusedLasso)):
        return Clipped(p, q)
    return None


def _ridge(p: Any, q: Any) -> Penalty | None:
    if not isinstance(q, Ridge):
        return None
    if q.lam == 0.0:
        return p
    if isinstance(p, PlusRidge):
        return PlusRidge(p.penalty, p.ridge + q.lam)
    return PlusRidge(p, q.lam)


_RULES: tuple[Callable[[Any, Any], Penalty | None], ...] = (
    _zero,
    _same,
    _elastic,
    _sparse_group,
    _fused,
    _boxes,
    _positive,
    _clipped,
    _ridge,
)
