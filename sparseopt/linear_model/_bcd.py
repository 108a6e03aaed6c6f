"""Block coordinate descent on working sets, for least squares with group penalties."""

from __future__ import annotations

from sparseopt._core._status import Status
from sparseopt.linear_model._cd import solve_quadratic
from sparseopt.linear_model._datafit import Datafit
from sparseopt.linear_model._group_forms import GroupBlocks
from sparseopt.linear_model._run import Run
from sparseopt.prox import GroupLasso, Penalty, SparseGroupLasso


def unfit_bcd(datafit: Datafit, penalty: Penalty) -> str | None:
    """Why block coordinate descent cannot solve the problem."""
    if not datafit.is_quadratic or datafit.n_outputs:
        return "it is for least squares with one output"
    if datafit.design.kind == "operator":
        return "it needs the columns of X, not an operator"
    if not isinstance(penalty, (GroupLasso, SparseGroupLasso)):
        return "the penalty is no group lasso or sparse group lasso"
    return None


def solve_bcd(run: Run) -> Status:
    """Working sets of groups around exact solutions of their subproblems."""
    blocks = GroupBlocks.of(run.penalty, run.design.p)
    assert blocks is not None
    return solve_quadratic(run, blocks)
