"""Separable and group penalties on a working set: values, slopes, sweeps, Newton steps.

A part is a penalty restricted to the m coefficients of a working set.  All parts
minimise ``w'Hw / 2 - c'w + P(w)`` and keep ``g = Hw - c``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sparseopt.linear_model import _kernels
from sparseopt.linear_model._face import Walk, cholesky
from sparseopt.linear_model._working_set import Products
from sparseopt.prox import Penalty

# Kinds whose slope jumps at zero, so that Newton steps stop there.
_SMOOTH_AT_ZERO = ("box", "none")
# Slopes from that share of the kink on count as nearly active.
_NEAR = 0.9
# Shares of Newton steps that are tried.
_SHARES = 1.0, 0.3, 0.1, 0.03


@dataclass(frozen=True)
class Coordinates:
    """Separable penalty ``sum_j weights_j lam h(w_j)`` of a known form.

    Attributes
    ----------
    kind : str
        A key of `_kernels.KINDS`.
    lam : float
    weights : ndarray
        One for each coordinate.
    params : tuple of two floats
    positive : bool
    is_convex : bool
    """

    kind: str
    lam: float
    weights: np.ndarray
    params: tuple[float, float]
    positive: bool
    is_convex: bool

    @classmethod
    def of(cls, penalty: Penalty, n: int) -> Coordinates | None:
        """Form of a penalty for n coordinates, None if it has none."""
        form = penalty.coordinate(n) if isinstance(penalty, Penalty) else None
        if form is None or form.kind not in _kernels.KINDS:
            return None
        weights = np.ones(n) if form.weights is None else form.weights
        first, second = (*map(float, form.params), 0.0, 0.0)[:2]
        return cls(
            form.kind,
            float(form.lam),
            np.ascontiguousarray(weights, dtype=np.float64),
            (first, second),
            bool(form.positive),
            penalty.is_convex,
        )

    @property
    def is_smooth(self) -> bool:
        """Whether there is no kink at zero: also of a ridge, which has no l1 part."""
        ridge = self.kind == "elastic_net" and self.params[0] == 0.0
        return self.kind in _SMOOTH_AT_ZERO or (ridge and not self.positive)

    def part(self, cols: np.ndarray) -> Coordinates:
        """The penalty of some coordinates."""
        return replace(self, weights=self.weights[cols])

    def times(self, factor: float) -> Coordinates:
        """The penalty with another strength."""
        return replace(self, lam=factor * self.lam)

    def excess(self, w: np.ndarray, grad: np.ndarray) -> float:
        """Largest slope at a zero over that which the penalty holds, at least 1."""
        if self.kind not in _NORMS or not self.lam > 0:
            return 1.0
        push = -grad if self.positive else np.abs(grad)
        ratio = self.params[0] if self.kind == "elastic_net" else 1.0
        bound = self.weights * (ratio * self.lam)
        inside = (bound > 0) & (w == 0)
        return float(np.max(push[inside] / bound[inside], initial=1.0))

    @property
    def arguments(self) -> tuple[int, float, float, float, bool]:
        """What kernels are told after the weights."""
        first, second = self.params
        return (_kernels.KINDS[self.kind], self.lam, first, second, self.positive)

    def prox(self, u: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Minimisers of ``steps_j P_j(v) + (v - u_j)^2 / 2``."""
        out = np.empty_like(u)
        _kernels.prox_coordinates(u, steps * self.weights, *self.arguments, out)
        return out

    def distance(self, w: np.ndarray, g: np.ndarray, square: np.ndarray) -> np.ndarray:
        """Optimality violation of each coordinate.

        The distance of ``-g`` to the subdifferential; at zero, for penalties that are
        not convex, the length of a coordinate step times the curvature: many have
        every slope at zero in their subdifferential.
        """
        if self.kind == "none":
            return np.abs(g)
        if self.kind == "box":
            low, high = self.params
            inward = np.where(w <= low, -g, np.where(w >= high, g, np.abs(g)))
            return np.maximum(inward, 0.0)
        inside = w != 0
        away = np.abs(g + self.slope(w))
        if self.is_convex:
            ratio = self.params[0] if self.kind == "elastic_net" else 1.0
            push = -g if self.positive else np.abs(g)
            return np.where(
                inside, away, np.maximum(push - ratio * self.lam * self.weights, 0.0)
            )
        scale = np.where(square > 0, square, 1.0)
        moved = np.abs(w - self.prox(w - g / scale, 1.0 / scale)) * scale
        return np.where(inside & (moved > 0), np.minimum(away, moved), moved)

    def scores(self, w: np.ndarray, grad: np.ndarray, square: np.ndarray) -> np.ndarray:
        """Violation of each block of the whole problem."""
        return self.distance(w, grad, square)

    def choose(
        self, w: np.ndarray, scores: np.ndarray, cols: np.ndarray, first: int
    ) -> np.ndarray:
        """Columns to add to a working set: all active, and the worst outside."""
        active = np.zeros(w.size, dtype=bool)
        active[self.active(w)] = True
        outside = (scores > 0) & ~active
        outside[cols] = False
        worst = np.flatnonzero(outside)
        size = max(first, int(np.count_nonzero(active)))
        if worst.size > size:
            order = np.argpartition(-scores[worst], size)[:size]
            worst = np.sort(worst[order])
        return np.concatenate([np.flatnonzero(active), worst])

    def near(self, w: np.ndarray, cols: np.ndarray, g: np.ndarray) -> np.ndarray:
        """Which columns of a working set are active or nearly so."""
        if self.is_smooth:
            return np.ones(cols.size, dtype=bool)
        ratio = self.params[0] if self.kind == "elastic_net" else 1.0
        push = -g if self.positive else np.abs(g)
        return (w[cols] != 0) | (push > _NEAR * ratio * self.lam * self.weights[cols])

    def screen(self, grad: np.ndarray, reach: np.ndarray) -> np.ndarray:
        """Coordinates that may be non-zero if the dual moves by `reach`."""
        if self.kind != "l1":
            return np.ones(grad.size, dtype=bool)
        push = -grad if self.positive else np.abs(grad)
        return push + reach >= self.lam * self.weights

    def active(self, w: np.ndarray) -> np.ndarray:
        """Coordinates at which the penalty is smooth."""
        if self.is_smooth and self.kind != "box":
            return np.arange(w.size)
        if self.kind == "box":
            return np.flatnonzero((w > self.params[0]) & (w < self.params[1]))
        return np.flatnonzero(w)

    def value(self, w: np.ndarray) -> float:
        """Sum of the penalties."""
        return float(self.weights @ self._h(np.abs(w)))

    def _h(self, a: np.ndarray) -> np.ndarray:
        lam, (p0, _) = self.lam, self.params
        if self.kind == "l1":
            return lam * a
        if self.kind == "elastic_net":
            return lam * (p0 * a + 0.5 * (1.0 - p0) * a * a)
        if self.kind == "mcp":
            return np.where(
                a <= p0 * lam, lam * a - a * a / (2 * p0), p0 * lam * lam / 2.0
            )
        if self.kind == "scad":
            middle = (2 * p0 * lam * a - a * a - lam * lam) / (2 * (p0 - 1))
            top = 0.5 * lam * lam * (p0 + 1)
            return np.where(a <= lam, lam * a, np.where(a <= p0 * lam, middle, top))
        if self.kind == "log_sum":
            return lam * np.log1p(a / p0)
        if self.kind in ("l_half", "l_two_thirds"):
            return lam * a ** _EXPONENT[self.kind]
        return lam * (a > 0) if self.kind == "l0" else np.zeros_like(a)

    def slope(self, w: np.ndarray) -> np.ndarray:
        """Derivative where the penalty is smooth; at zero 0."""
        lam, (p0, _), a = self.lam, self.params, np.abs(w)
        if self.kind == "l1":
            rise: Any = lam
        elif self.kind == "elastic_net":
            rise = lam * (p0 + (1.0 - p0) * a)
        elif self.kind == "mcp":
            rise = np.maximum(lam - a / p0, 0.0)
        elif self.kind == "scad":
            rise = np.clip((p0 * lam - a) / (p0 - 1), 0.0, lam)
        elif self.kind == "log_sum":
            rise = lam / (a + p0)
        elif self.kind in _EXPONENT:
            q = _EXPONENT[self.kind]
            rise = lam * q * np.where(a > 0, a, 1.0) ** (q - 1)
        else:
            return np.zeros_like(w)
        return np.sign(w) * self.weights * rise

    def bend(self, w: np.ndarray) -> np.ndarray:
        """Second derivative where the penalty is smooth."""
        lam, (p0, _), a = self.lam, self.params, np.abs(w)
        if self.kind == "elastic_net":
            return lam * (1.0 - p0) * self.weights
        if self.kind == "mcp":
            return np.where(a < p0 * lam, -self.weights / p0, 0.0)
        if self.kind == "scad":
            middle = (a > lam) & (a < p0 * lam)
            return np.where(middle, -self.weights / (p0 - 1), 0.0)
        if self.kind == "log_sum":
            return -lam * self.weights / (a + p0) ** 2
        if self.kind in _EXPONENT:
            q = _EXPONENT[self.kind]
            a = np.where(a > 0, a, 1.0)
            return lam * q * (q - 1) * self.weights * a ** (q - 2)
        return np.zeros_like(w)

    def pattern(self, w: np.ndarray) -> np.ndarray:
        """What a Newton step assumes to stay as it is."""
        if self.kind == "box":
            low, high = self.params
            return (w >= high).astype(np.int8) - (w <= low).astype(np.int8)
        return np.sign(w).astype(np.int8)

    def sweep(
        self, H: np.ndarray, g: np.ndarray, w: np.ndarray, n_epochs: int, tol: float
    ) -> int:
        """Coordinate descent with a Gram matrix, in place."""
        return _kernels.cd_gram(H, g, w, self.weights, *self.arguments, n_epochs, tol)[
            0
        ]

    def newton(self, gram: Products, g: np.ndarray, w: np.ndarray) -> int:
        """Newton step on the smooth coordinates, in place.

        Coordinates that would cross a kink stop there; the step is shortened until
        the objective falls, or for convex penalties goes on from kink to kink.
        Returns how many stopped, or -1 if there was no step, or not to its end.
        """
        A = self.active(w)
        if not A.size:
            return 0
        walks, H = self.kind in _PIECEWISE, gram.H
        A, direction = self._direction(H, g, w, A)
        if direction is None:
            return Walk(self, gram, g, w).run() if walks else -1
        old, slope = w[A], g[A]
        part, inner = self.part(A), H[np.ix_(A, A)]
        value = part.value(old)
        for t in (1.0,) if walks else _SHARES:
            new = part.clip(old, old + t * direction)
            step = new - old
            change = step @ slope + 0.5 * (step @ (inner @ step))
            change += part.value(new) - value
            stopped = int(np.count_nonzero(new != old + t * direction))
            # without a kink in the way the step is exact; rounding must not refuse it
            if change < 0.0 or (walks and not stopped):
                w[A] = new
                _kernels.add_rows(H, A, step, g)
                return stopped if t == 1.0 else max(stopped, 1)
        return Walk(self, gram, g, w).run() if walks else -1

    def _direction(
        self, H: np.ndarray, g: np.ndarray, w: np.ndarray, A: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Smooth coordinates and the Newton direction in them, None if there is none.

        Where the penalty bends down more than the quadratic bends up, those
        coordinates are left to the sweeps.
        """
        old, part = w[A], self.part(A)
        bend = part.bend(old)
        rise = g[A] + part.slope(old)
        direction = newton_direction(H[np.ix_(A, A)], rise, bend)
        if direction is not None or self.kind in _PIECEWISE:
            return A, direction
        up = bend >= 0.0
        if up.all() or not up.any():
            return A, None
        B = A[up]
        return B, newton_direction(H[np.ix_(B, B)], rise[up], bend[up])

    def reach(self, old: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Multiples of a step at which coordinates meet a kink."""
        to = self.kink(step) - old
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(to * step > 0.0, to / step, np.inf)

    def kink(self, step: np.ndarray) -> np.ndarray:
        """The kink that lies in the direction of a step, infinity if there is none."""
        if self.kind == "box":
            return np.where(step > 0.0, self.params[1], self.params[0])
        if self.is_smooth:
            return np.where(step > 0.0, np.inf, -np.inf)
        return np.zeros_like(step)

    def allows(self, w: np.ndarray) -> bool:
        """Whether the penalty is finite."""
        if self.kind == "box":
            low, high = self.params
            return bool(np.all((w >= low) & (w <= high)))
        return not self.positive or bool(np.all(w >= 0.0))

    def clip(self, old: np.ndarray, new: np.ndarray) -> np.ndarray:
        """`new`, stopped at the kinks between it and `old`."""
        if self.kind == "box":
            return np.clip(new, *self.params)
        if self.is_smooth:
            return new
        # a coordinate that ends at its kink is there but for rounding
        inside = (new * old > 0) & (np.abs(new) > 1e-15 * np.abs(old))
        return np.where(inside, new, 0.0)


_EXPONENT = {"l_half": 0.5, "l_two_thirds": 2.0 / 3.0}
# Kinds that are linear or quadratic between their kinks.
_NORMS = ("l1", "elastic_net")
_PIECEWISE = ("l1", "elastic_net", "box", "none")


def first_kink(old: np.ndarray, direction: np.ndarray) -> float:
    """Share of the direction at which the first coordinate is zero, at most 1."""
    ahead = direction * old < 0
    return float(np.min(-old[ahead] / direction[ahead], initial=1.0))


def newton_direction(
    H: np.ndarray, slope: np.ndarray, bend: np.ndarray
) -> np.ndarray | None:
    """Solution of ``(H + diag(bend)) d = -slope``, None where rounding hides it."""
    factor = cholesky(H, bend)
    if factor is None:
        return None
    d = -factor.solve(slope)
    return d if np.isfinite(d).all() else None
