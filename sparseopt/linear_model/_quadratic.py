"""Minimisers of a quadratic plus a penalty on a working set.

Coordinate descent finds the support, Newton steps on it finish: where columns are
correlated and the penalty is weak, sweeps alone would be many thousands.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from sparseopt.linear_model._run import Run
from sparseopt.linear_model._working_set import Products

# Multiply-adds between looks at the clock, about a tenth of a second.
_WORK = 3e8
_SWEEPS = 5
_ROUNDS = 1000
# Share of the support that may still change between Newton steps.
_SETTLED = 0.02
_STALE = 10


class Part(Protocol):
    """Penalty on a working set; `_forms` and `_group_forms` have those."""

    def sweep(self, H: Any, g: Any, w: Any, n_epochs: int, tol: float) -> int:
        """Descend over the blocks in place; returns the number of sweeps."""

    def newton(self, gram: Products, g: Any, w: Any) -> int:
        """Newton step in place: 0 if it was a whole one, -1 if there was none."""

    def distance(self, w: Any, g: Any, square: Any) -> np.ndarray:
        """Violation of optimality."""

    def pattern(self, w: Any) -> np.ndarray:
        """What a Newton step assumes to stay."""


def minimise(
    run: Run, part: Part, gram: Products, g: np.ndarray, w: np.ndarray, tol: float
) -> float:
    """Lower every violation to `tol`, in place; returns the largest that is left.

    A Newton step is tried when hardly any coefficient changes its sign, and after one
    that did not help only when the next sweeps have settled for longer.
    """
    H = gram.H
    square = np.ascontiguousarray(H.diagonal())
    pattern = part.pattern(w)
    n_sweeps = int(max(1, min(_SWEEPS, _WORK / max(1, w.size**2))))
    patience, waited, quiet = 1, 1, False
    worst = best = np.inf
    tiny = 1e-3 * tol
    stale = 0  # Newton steps without progress: what is left is rounding
    # beyond the tolerance as long as that is cheaper than the pass over the design
    # that it may save
    budget = 1.0 * run.design.n * run.design.p
    for _ in range(_ROUNDS):
        run.n_epochs += part.sweep(H, g, w, n_sweeps, 0.0)
        worst = float(part.distance(w, g, square).max(initial=0.0))
        if run.expired() or not np.isfinite(worst):
            return worst
        before, pattern = pattern, part.pattern(w)
        n_active = int(np.count_nonzero(pattern))
        budget -= n_sweeps * w.size * n_active
        changes = int(np.count_nonzero(before != pattern))
        few = changes <= max(1, _SETTLED * n_active)
        settled, quiet = changes == 0 or (few and quiet), few
        waited += 1
        if worst <= tol and (budget < 0 or worst <= tiny):
            return worst
        if settled and waited >= patience:
            outcome = part.newton(gram, g, w)
            waited, patience = 0, 1 if outcome >= 0 else min(2 * patience, 64)
            pattern = part.pattern(w)
            if outcome >= 0:
                worst = float(part.distance(w, g, square).max(initial=0.0))
            stale = 0 if worst < 0.5 * best else stale + (outcome >= 0)
            best = min(best, worst)
            budget -= n_active**3 / 3
            if outcome == 0 and worst <= tol:
                return worst
        if stale > _STALE:
            return worst
    return worst
