"""Points of first-order methods, which do not improve in every iteration."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any, Self

import numpy as np

from sparseopt._core._status import Status
from sparseopt.linear_model._composed import Terms
from sparseopt.linear_model._run import Run, Stop

# Iterations that are all recorded; later ones only now and then, as a record costs
# about half an iteration.
_FIRST, _EVERY = 10, 10


class Keeper:
    """Records points of a run and leaves it at the best one.

    A context: a run that is stopped by a limit or the keyboard ends at the recorded
    point of the least objective; one that converged, or whose callback stopped it, at
    the point that was looked at last.
    """

    def __init__(self, run: Run, every: int = _EVERY) -> None:
        self.run, self.every = run, every
        self.steps = 0
        self._best: tuple[float, Any, Any] = (math.inf, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        kept = (Status.CONVERGED, Status.STOPPED_BY_CALLBACK)
        if isinstance(error, Stop) and error.status in kept:
            return
        _, point, duals = self._best
        if point is not None:
            self.run.set_point(*point)
            if isinstance(self.run.penalty, Terms):
                self.run.penalty.leave(duals)

    def begin(self) -> None:
        """Record the point that the run starts from, moved to where P is finite."""
        run = self.run
        if not isinstance(run.penalty, Terms) and run.penalty.value(run.w) == math.inf:
            run.set_point(run.penalty.prox(run.w, 1.0))
        self.record(run.w, run.z, run.intercept)

    def due(self) -> bool:
        """Count an iteration; whether it has to be recorded."""
        self.steps += 1
        done = self.run.n_iter + self.steps
        limit = self.run.monitor.max_iter
        return (
            done <= _FIRST
            or self.steps >= self.every
            or (limit is not None and done >= limit)
            or self.run.expired()
        )

    def record(
        self,
        w: np.ndarray,
        z: np.ndarray | None = None,
        intercept: Any = None,
        *,
        settled: bool = True,
    ) -> None:
        """Move the run to a point and certify it, after the iterations counted.

        The run does not end as converged at a point that is not `settled`, although
        stationary: penalties of infinite slope at zero make every zero so.
        """
        run = self.run
        run.set_point(w, z, intercept)
        run.n_iter += max(self.steps, 1) - 1
        self.steps = 0
        tol = run.tol
        try:
            run.tol = tol if settled else -math.inf
            run.record()
        finally:
            run.tol = tol
            self._compare()

    def _compare(self) -> None:
        """Remember the point if it is the best so far.

        For sums of penalties without a gap, points of low objective may be far from
        their optimality conditions.
        """
        run, proof = self.run, self.run.certificate
        if proof is None:
            return
        terms = run.penalty if isinstance(run.penalty, Terms) else None
        split = terms is not None and not run.has_gap
        value = proof.residual if split else proof.objective
        if value < self._best[0]:
            duals = None if terms is None else terms.duals()
            self._best = value, (run.w.copy(), run.z, run.intercept), duals
