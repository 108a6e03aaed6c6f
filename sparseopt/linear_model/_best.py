"""The best point of a run, which is its answer where it did not converge."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from sparseopt.linear_model._composed import Terms
from sparseopt.linear_model._gap import Certificate

# Objectives closer than this, relatively, are equal up to rounding.
_ROUNDING = 1e-14


class Best:
    """Remembers the recorded point of the least objective, with its certificate.

    Solvers do not improve in every iteration: momentum overshoots, steps are
    stochastic, and working sets begin with stronger penalties.  Where objectives are
    equal up to rounding the smaller residual decides.

    For sums of penalties without a gap, points of low objective may be far from their
    constraints: there the smallest residual does.
    """

    def __init__(self) -> None:
        self._least = math.inf
        self._proof: Certificate | None = None
        self._point: tuple[Any, Any, Any] = (None, None, None)
        self._extra: dict[str, Any] = {}
        self._duals: Any = None
        self._last: Any = None

    def see(self, run: Any, proof: Certificate) -> None:
        """Remember the point of the run if it is the best so far."""
        self._last = run.w
        objective, residual = proof.objective, proof.residual
        if not math.isfinite(objective) or residual != residual:
            return
        terms = run.penalty if isinstance(run.penalty, Terms) else None
        split = terms is not None and not run.has_gap
        value = residual if split else objective
        slack = 0.0 if split else _ROUNDING * abs(self._least)
        if self._proof is not None:
            if value > self._least + slack:
                return
            if value >= self._least - slack and residual >= self._proof.residual:
                self._least = min(self._least, value)
                return
        self._least = min(self._least, value)
        self._proof = proof
        self._point = run.w.copy(), run.z, run.intercept
        self._extra = dict(run.extra)
        self._duals = None if terms is None else terms.duals()

    def restore(self, run: Any) -> Certificate:
        """Move the run to its best point and return the certificate of that.

        The point at which the run ended takes part, even if it was not recorded.
        """
        if self._proof is None or run.w is not self._last:
            self.see(run, run.certify())
        if self._proof is None:  # nothing finite was seen
            return run.certify()
        run.set_point(*self._point)
        run.extra = dict(self._extra)
        if self._duals is not None:
            run.penalty.leave(self._duals)
        if run.reduced:
            # the dual points that were seen are those of fewer columns
            run.best_dual = (-math.inf, None)
            return run.certify()
        if not run.has_gap:
            return self._proof
        value, point = run.best_dual
        gap = self._proof.objective - value
        return replace(
            self._proof, residual=run.relative(gap), gap=gap,
            dual_value=value, dual=point,
        )  # fmt: skip
