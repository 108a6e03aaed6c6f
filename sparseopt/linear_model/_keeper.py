"""Points of first-order methods, which do not improve in every iteration."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseopt.linear_model._run import Run

# Iterations that are all recorded; later ones only now and then, as a record costs
# about half an iteration.
_FIRST, _EVERY = 10, 10


class Keeper:
    """Records points of a run: all of the first iterations, later only some."""

    def __init__(self, run: Run, every: int = _EVERY) -> None:
        self.run, self.every = run, every
        self.steps = 0

    def begin(self) -> None:
        """Record the point that the run starts from."""
        self.record(self.run.w, self.run.z, self.run.intercept)

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
