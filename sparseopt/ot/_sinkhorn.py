"""Method "sinkhorn": one-pass Sinkhorn iterations that never overflow.

Rows, then columns, in one read: the row update of a row and its part of the column sums
need nothing of other rows.  On a stored and rescaled plan where that fits in memory, in
the logarithmic domain otherwise.
"""

from __future__ import annotations

from sparseopt._core._status import Status
from sparseopt.ot._plans import ScaledPlan
from sparseopt.ot._run import Run

_STORED_BYTES = 1e9


def solve_sinkhorn(run: Run) -> Status:
    """Iterate until the column error is below the tolerance; rows are exact."""
    p = run.problem
    plan = ScaledPlan(p) if 8.0 * p.C.size <= _STORED_BYTES else run.dense
    while True:
        run.sinkhorn_pass(plan, p.reg, fast=False)
        if run.duals.err <= run.tol:
            if plan is run.dense:
                return Status.CONVERGED
            plan = run.dense  # has the last word: a stored plan adds rounding
            continue
        run.duals.scale_columns(p, p.reg, plan.floor(run.duals, p.reg))
