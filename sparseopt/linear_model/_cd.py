"""Coordinate descent on working sets, for least squares with separable penalties."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseopt._core._status import Status
from sparseopt.linear_model._datafit import Datafit
from sparseopt.linear_model._forms import Coordinates
from sparseopt.linear_model._group_columns import GroupColumns, minimise_groups
from sparseopt.linear_model._group_forms import GroupBlocks
from sparseopt.linear_model._outer import Outer
from sparseopt.linear_model._quadratic import minimise
from sparseopt.linear_model._residual import minimise_columns
from sparseopt.linear_model._run import Run
from sparseopt.linear_model._working_set import GramSet
from sparseopt.prox import Penalty

# Columns of the largest Gram matrix, twice as many where samples are more.
_GRAM_LIMIT = 3000
# Columns of groups, relative to the samples, from which on sweeps over them are better.
_GRAM_SHARE = 0.25


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


def _too_many(run: Run, gram: GramSet, new: np.ndarray) -> bool:
    """Whether sweeps over columns are better than a Gram matrix."""
    m = gram.m + int(np.count_nonzero(gram.places(new) < 0))
    return m > max(_GRAM_LIMIT, min(2 * _GRAM_LIMIT, run.design.n))


def _group_columns(run: Run, blocks: Any, m: int) -> GroupColumns | None:
    """Columns for sweeps over groups, once their Gram matrix would be no small one."""
    if not isinstance(blocks, GroupBlocks) or blocks.level1.any():
        return None
    columns = run.cache.get("columns")
    if columns is None and m > _GRAM_SHARE * run.design.n:
        centred = run.datafit.fit_intercept
        columns = GroupColumns(run.design, run.datafit.s, centred=centred)
        run.cache["columns"] = columns
    return columns


def solve_quadratic(run: Run, blocks: Any) -> Status:
    """Working sets for least squares, of coordinates or of groups."""
    outer, exact = Outer(run, blocks), False
    gram = run.cache.get("gram")
    if gram is None:
        gram = GramSet(run.design, run.datafit.s, centred=run.datafit.fit_intercept)
        run.cache["gram"] = gram
    while True:
        grad = outer.look()
        new = outer.choose(gram.cols)
        columns = None if exact else _group_columns(run, blocks, gram.m + new.size)
        if columns is not None:
            columns.add(outer.choose(columns.cols), outer.blocks)
            part = outer.blocks.part(columns.cols)
            w, fine = minimise_groups(run, part, columns, outer.inner_tol())
            if outer.move(columns.cols, w) or not fine:
                # where columns nearly depend, exact equations get further
                exact, outer = True, Outer(run, blocks)
            continue
        if isinstance(blocks, Coordinates) and _too_many(run, gram, new):
            cols = np.union1d(gram.cols, new)
            part = outer.blocks.part(cols)
            w, worst = minimise_columns(run, part, cols, outer.inner_tol())
            if outer.move(cols, w):
                return Status.PRECISION
            continue
        gram.add(new)
        cols = gram.cols
        w, g = run.w[cols], grad[cols]
        part = outer.blocks.part(cols)
        worst = minimise(run, part, gram, g, w, outer.inner_tol())
        if not math.isfinite(worst):
            return Status.NUMERICAL_FAILURE
        if outer.move(cols, w):
            return Status.PRECISION
        outer.prune(gram, g)
