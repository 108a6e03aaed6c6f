"""What one solve carries along: problem, potentials, counters, monitor."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sparseopt._core._monitor import Monitor
from sparseopt._core._status import Status
from sparseopt.ot._plans import DensePlan, ScaledPlan, Support
from sparseopt.ot._problem import Duals, Problem


class Stop(Exception):
    """Ends a solve from any depth; the potentials of the run are its answer."""

    def __init__(self, status: Status) -> None:
        super().__init__(str(status))
        self.status = status


@dataclass
class Run:
    """State of one solve; algorithms change `duals` and the counters through it."""

    problem: Problem
    duals: Duals
    tol: float
    memory: float  # bytes that supports may take
    warm_started: bool = False
    options: dict = field(default_factory=dict)  # of single methods
    monitor: Monitor = field(init=False)
    n_iter: int = 0
    n_newton: int = 0
    n_cg: int = 0
    dense: DensePlan = field(init=False)

    def __post_init__(self) -> None:
        self.dense = DensePlan(self.problem)

    def record(self, reg: float, nnz: int, step: float = 1.0) -> None:
        """Tell the monitor about one iteration; raises `Stop` when it says so."""
        self.n_iter += 1
        d = self.duals
        if not math.isfinite(d.err):
            raise Stop(Status.NUMERICAL_FAILURE)
        unit, mass, offset = (self.problem.unit, self.problem.mass, self.problem.offset)
        status = self.monitor.update(
            self.n_iter,
            objective=mass * (unit * (d.value + reg * (math.log(mass) - 1.0)) + offset),
            residual=d.err,
            reg=reg * unit,
            nnz=nnz,
            step=step,
        )
        done = reg == self.problem.reg and d.err <= self.tol
        if status is not None and not done:
            raise Stop(status)

    def expired(self) -> bool:
        """Whether the time limit is over: asked inside long inner loops."""
        return self.monitor.time_left() <= 0

    def watch(self) -> None:
        """Stop if the time limit is over; the potentials shared last are the answer."""
        if self.expired():
            raise Stop(Status.TIME_LIMIT)

    def sinkhorn_pass(self, plan: DensePlan | Support, reg: float, fast: bool) -> None:
        """Row update and error at `reg`; the column update is the caller's."""
        plan.evaluate(self.duals, reg, fast)
        self.dense.n_passes += isinstance(plan, ScaledPlan)
        self.record(reg, plan.nnz)

    def fits(self, n_blocks: int) -> bool:
        """Whether a support of so many blocks fits: plan entries, weights, indices."""
        return (8 * (8 + 4) + 8) * n_blocks <= self.memory

    def width(self, err: float) -> float:
        """Support width at which what is left out is far below the error `err`."""
        m = self.problem.shape[1]
        return min(38.0, math.log(m / max(err, 1e-300)) + 7.0)
