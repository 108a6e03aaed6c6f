"""Method "sinkhorn": one-pass log-domain Sinkhorn iterations.

Rows, then columns, in one read of the cost: the row update of a row and its part of the
column sums need nothing of other rows.  It never overflows, for any regularisation.
"""

from __future__ import annotations

from sparseopt._core._status import Status
from sparseopt.ot._run import Run


def solve_sinkhorn(run: Run) -> Status:
    """Iterate until the column error is below the tolerance; rows are exact."""
    p = run.problem
    while True:
        run.sinkhorn_pass(run.dense, p.reg, fast=False)
        if run.duals.err <= run.tol:
            return Status.CONVERGED
        run.duals.scale_columns(p, p.reg, run.dense.floor(run.duals, p.reg))
