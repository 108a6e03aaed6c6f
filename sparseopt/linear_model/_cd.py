"""Coordinate descent on working sets, for least squares with separable penalties."""

from __future__ import annotations

import math
from typing import Any

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
    """Working sets of coordinates around exact solutions of their subproblems."""
    blocks = Coordinates.of(run.penalty, run.design.p)
    assert blocks is not None
    return solve_quadratic(run, blocks)


def solve_quadratic(run: Run, blocks: Any) -> Status:
    """Working sets for least squares, of coordinates or of groups."""
    outer = Outer(run, blocks)
    gram = run.cache.get("gram")
    if gram is None:
        gram = GramSet(run.design, run.datafit.s, centred=run.datafit.fit_intercept)
        run.cache["gram"] = gram
    while True:
        grad = outer.look()
        gram.add(outer.choose(gram.cols))
        cols = gram.cols
        w, g = run.w[cols], grad[cols]
        part = outer.blocks.part(cols)
        worst = minimise(run, part, gram.H, g, w, outer.inner_tol())
        if not math.isfinite(worst):
            return Status.NUMERICAL_FAILURE
        if outer.move(cols, w):
            return Status.PRECISION
        outer.prune(gram, g)
