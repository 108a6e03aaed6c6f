"""Proximal steps in a metric with a precision of its own for each entry.

The step minimises ``sum_i p_i / 2 (w_i - z_i)^2 + lam P(w)``.  A penalty of group norms
couples the entries of a group through one number: with the slopes ``a_i = p_i z_i``

    w_i = a_i u_j / (c_i u_j + b_j)

where u_j is the share of the group in the support, or its norm, and solves a secular
equation ``F_j(u) = (sum_i (a_i / (c_i u + b_j))^2)^(-1/2) = target_j``.  F_j is
increasing and concave, so Newton's method from the left never passes the root.  Where
the precisions of a group are equal, F_j is affine: the closed form of that case.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from sparseopt.torch._terms import BallTerm, NormTerm, Term, WGSEFTerm

_EPS = 2.0**-52
_MOST_STEPS = 100
# A debiased step is exact as long as all c_i are positive; those of groups that are
# zero already do not matter.
_LEAST = 0.05

Parts = list[list[Any]]  # tensors of each layer, None where it has no entries


class Entries:
    """The entries of a unit, in float64, with their precisions and slopes.

    A unit has layers, each with a layout and tensors; group values are one vector.
    """

    def __init__(self, unit: Any, precisions: list[Any]) -> None:
        self.unit = unit
        self.layers = [
            (layout, group["params"])
            for layout, group in zip(unit.layouts, unit.groups, strict=True)
        ]
        self.p: Parts = [
            [
                _spread(precision, layout, i, param) if i in layout.joined else None
                for i, param in enumerate(params)
            ]
            for precision, (layout, params) in zip(precisions, self.layers, strict=True)
        ]
        self.a = self.map(lambda p, z: p * z.double(), self.p, self._params())

    def _params(self) -> Parts:
        return [list(params) for _, params in self.layers]

    def map(self, function: Any, *parts: Parts) -> Parts:
        """The function of the tensors of several lists, where there are entries."""
        return [
            [
                function(*(part[i] for part in layer)) if i in layout.joined else None
                for i in range(len(params))
            ]
            for (layout, params), *layer in zip(self.layers, *parts, strict=True)
        ]

    def sums(self, parts: Parts) -> torch.Tensor:
        """Sum over each group."""
        return self.unit._join(
            [
                layout.sums(part)
                for (layout, _), part in zip(self.layers, parts, strict=True)
            ]
        )

    def least(self) -> torch.Tensor:
        """Smallest precision of each group."""
        return self.unit._join(
            [
                layout.least(part)
                for (layout, _), part in zip(self.layers, self.p, strict=True)
            ]
        )

    def spread(self, values: torch.Tensor) -> Parts:
        """The value of its group for each entry."""
        parts = self.unit._split(values)
        return [
            [
                layout.spread(part, i, param) if i in layout.joined else None
                for i, param in enumerate(params)
            ]
            for part, (layout, params) in zip(parts, self.layers, strict=True)
        ]

    def shrink_(self, term: Term, lam: float, r: torch.Tensor) -> None:
        """The proximal step, in place; what is not finite makes all of it NaN."""
        finite = self.sums(self.map(torch.abs, self.a)).isfinite().all()
        if not bool(finite):
            kept, w = torch.zeros_like(r), self.map(lambda a: a * math.nan, self.a)
        elif isinstance(term, BallTerm):
            energy = self.sums(self.map(lambda p, a: a * a / p, self.p, self.a))
            kept = torch.zeros_like(energy)
            kept[energy.topk(term.k).indices] = 1.0
            w = self.map(torch.zeros_like, self.a)
        elif isinstance(term, NormTerm):
            b = _level(term, lam, r)
            u = Secular(self, self.p, b).root(torch.ones_like(b), math.inf)
            w, kept = self._point(self.p, u, b), torch.zeros_like(u)
        else:
            assert isinstance(term, WGSEFTerm)
            largest = term.debias * float(term._largest(r, self.least()))
            if largest > 0:
                lam = min(lam, (1.0 - _LEAST) / largest)
            b = _level(term, lam, r)
            bias = self.spread(term.debias * b)
            c = self.map(lambda p, d: torch.maximum(p - d, _LEAST * p), self.p, bias)
            u = _shares(Secular(self, c, b), b, term.k)
            w, kept = self._point(c, u, b), torch.zeros_like(u)
            if len(self.layers) > 1:
                kept = self._alone(u, r)
        # free entries are filled with ones when groups are spread: they stay, too
        for (layout, params), new, stays in zip(
            self.layers, w, self.spread(kept), strict=True
        ):
            for i in layout.joined:
                z = params[i].double()
                params[i].copy_(torch.where(stays[i] > 0, z, new[i]))

    def _point(self, c: Parts, u: torch.Tensor, b: torch.Tensor) -> Parts:
        """``a u / (c u + b)``, and +0 where u is 0."""
        return self.map(
            lambda a, c, u, b: torch.where(u > 0, a * u / (c * u + b), 0.0),
            *(self.a, c, self.spread(u), self.spread(b)),
        )

    def _alone(self, u: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        """The largest group of each layer of which all would go, as in `Unit`."""
        stays = []
        for part, norms in zip(self.unit._split(u), self.unit._split(r), strict=True):
            alone = torch.zeros_like(part)
            alone[norms.argmax()] = float(part.max() <= 0)
            stays.append(alone)
        return self.unit._join(stays)


class Secular:
    """The functions F_j of all groups, for coefficients c of entries and b of groups.

    Groups without slopes have no root; what they get is zero.
    """

    def __init__(self, entries: Entries, c: Parts, b: torch.Tensor) -> None:
        self.entries, self.c = entries, c
        self.b = entries.spread(b)
        self.active = torch.ones_like(b, dtype=torch.bool)
        ends = self.at(torch.zeros_like(b))[0], self.at(torch.ones_like(b))[0]
        self.active = ends[0].isfinite() & ends[1].isfinite()

    def at(self, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Values and derivatives."""
        entries = self.entries
        y = entries.map(lambda c, u, b: c * u + b, self.c, entries.spread(u), self.b)
        squares = entries.map(lambda a, y: (a / y) ** 2, entries.a, y)
        total = entries.sums(squares)
        value = total.rsqrt()
        slopes = entries.map(lambda s, c, y: s * c / y, squares, self.c, y)
        slope = value * (entries.sums(slopes) / total)
        return value, torch.where(self.active, slope, 1.0)

    def root(
        self, target: torch.Tensor, top: float, start: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The u in [0, top] at which F is the target, or the nearest end."""
        u = torch.zeros_like(target) if start is None else start
        for _ in range(_MOST_STEPS):
            value, slope = self.at(u)
            miss = target - value
            # at the left end F is above the target, or has none
            new = (u + miss / slope).clamp(min=0.0, max=top)
            new = torch.where(self.active, new, 0.0)
            settled = (miss.abs() <= 4 * _EPS * value) | (new == u) | new.isnan()
            u = new
            if bool(settled.all()):
                break
        return u


def _shares(secular: Secular, b: torch.Tensor, k: int) -> torch.Tensor:
    """Shares of the groups: ``F_j(u_j) = tau sqrt(b_j)`` inside, with sum k.

    Tau is found by Newton's method in a bracket, from the root of the chords of F_j.
    """
    active, unit = secular.active, b.sqrt()
    if int(active.sum()) <= k:
        return active.to(b.dtype)
    enter = secular.at(torch.zeros_like(b))[0] / unit
    full = secular.at(torch.ones_like(b))[0] / unit
    lo, hi = float(enter[active].min()), float(full[active].max())
    tau = _chord_root(enter[active], full[active], k)
    u = ((tau - enter) / (full - enter)).clamp(0.0, 1.0)
    u = torch.where(active, u, 0.0)
    for _ in range(_MOST_STEPS):
        u = secular.root(tau * unit, 1.0, u)
        u = torch.where(tau <= enter, 0.0, torch.where(tau >= full, 1.0, u))
        inside = (u > 0) & (u < 1)
        rates = torch.where(inside, unit / secular.at(u)[1], 0.0)
        excess, rate = float(u.sum()) - k, float(rates.sum())
        lo, hi = (tau, hi) if excess <= 0 else (lo, tau)
        if abs(excess) <= 4 * _EPS * k or math.isnan(excess):
            break
        better = tau - excess / rate if rate > 0 else math.inf
        better = better if lo < better < hi else 0.5 * (lo + hi)
        if abs(better - tau) <= _EPS * tau:
            break
        tau = better
    return u


def _chord_root(enter: torch.Tensor, full: torch.Tensor, k: int) -> float:
    """The tau with ``sum_j clip((tau - enter_j) / (full_j - enter_j), 0, 1) = k``."""
    rise = 1.0 / (full - enter)
    points, order = torch.cat([enter, full]).sort()
    slopes = torch.cat([rise, -rise])[order].cumsum(0)
    heights = (slopes[:-1] * points.diff()).cumsum(0)
    place = int((heights < k).sum().clamp(max=len(heights) - 1))
    before = float(heights[place - 1]) if place else 0.0
    slope = float(slopes[place])
    move = (k - before) / slope if slope > 0 else 0.0
    return min(float(points[place]) + move, float(points[place + 1]))


def _level(term: WGSEFTerm | NormTerm, lam: float, r: torch.Tensor) -> torch.Tensor:
    d = torch.ones_like(r) if term.d is None else term.d
    return lam * d.to(r.device, torch.float64)


def _spread(precision: Any, layout: Any, i: int, param: torch.Tensor) -> torch.Tensor:
    """Precisions of the entries of a tensor, whatever they are given for."""
    if isinstance(precision, list):
        return precision[i].double()
    if torch.is_tensor(precision):
        precision = layout.spread(precision.double(), i, param)
    return torch.zeros_like(param, dtype=torch.float64) + precision
