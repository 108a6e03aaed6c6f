"""Coordinate descent on working sets, for least squares with separable penalties."""

from __future__ import annotations

import math

from sparseopt._core._status import Status
from sparseopt.linear_model._datafit import Datafit
from sparseopt.linear_model._forms import Coordinates
from sparseopt.linear_model._outer import Outer
from sparseopt.linear_model._quadratic import minimise
from sparseopt.linear_model._run import Run
from sparseopt.linear_model._working_set import GramSet
from sparseopt.prox import Penalty


def unfit_cd(datafit: Datafit, penalty: Penalty) -> str | None:
    """Why coordinate descent cannot solve the problem."""
    if not datafit.is_quadratic or datafit.n_outputs:
        return "it is for least squares with one output"
    if datafit.design.kind == "operator":
        return "it needs the columns of X, not an operator"
    if Coordinates.of(penalty, datafit.design.p) is None:
        return "the penalty is not separable, or of no known form"
    return None


def solve_cd(run: Run) -> Status:
    """Working sets around exact solutions of their quadratic subproblems."""
    blocks = Coordinates.of(run.penalty, run.design.p)
    assert blocks is not None
    outer = Outer(run, blocks)
    gram = GramSet(run.design, run.datafit.s, centred=run.datafit.fit_intercept)
    while True:
        grad = outer.look()
        gram.add(outer.choose(gram.cols, grad))
        cols = gram.cols
        w, g = run.w[cols], grad[cols]
        worst = minimise(run, outer.blocks.part(cols), gram.H, g, w, outer.inner_tol())
        if not math.isfinite(worst):
            return Status.NUMERICAL_FAILURE
        if outer.move(cols, w, worst):
            return Status.PRECISION
        outer.prune(gram, g)
