"""Proximal Newton on working sets, for losses with a second derivative."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseopt._core._status import Status
from sparseopt.linear_model._datafit import Datafit, curvatures
from sparseopt.linear_model._forms import Coordinates
from sparseopt.linear_model._group_forms import GroupBlocks
from sparseopt.linear_model._outer import Outer
from sparseopt.linear_model._quadratic import minimise
from sparseopt.linear_model._run import Run
from sparseopt.linear_model._smoothing import approach
from sparseopt.linear_model._working_set import GramSet, MatrixSet, Products
from sparseopt.prox import Penalty

_STEPS = 20  # Newton steps on one working set
_SHRINK, _SLOPE, _TRIALS, _FEW = 0.5, 1e-4, 40, 8
# Least second derivative, relative to the largest: flat tails leave none.
_FLAT = 1e-100
_ROUNDING = 1e-14
_CUT = 0.6
# Columns from which second derivatives of coupled losses cost more than they save.
_MANY = 2000
_PATIENCE, _DAMPED = 5, 1e6


def unfit_newton(datafit: Datafit, penalty: Penalty) -> str | None:
    """Why proximal Newton cannot solve the problem."""
    if datafit.n_outputs:
        return "it is for losses with one output"
    if datafit.design.kind == "operator":
        return "it needs the columns of X, not an operator"
    if _blocks(datafit, penalty) is None:
        return "the penalty is not separable, nor a group lasso"
    return None


def is_slow(datafit: Datafit, penalty: Penalty) -> bool:
    """Whether other solvers are faster: where the matrix is large from the start."""
    if not datafit.is_coupled or datafit.design.p <= _MANY:
        return False
    return bool(getattr(_blocks(datafit, penalty), "is_smooth", False))


def _blocks(datafit: Datafit, penalty: Penalty) -> Any:
    p = datafit.design.p
    blocks = Coordinates.of(penalty, p)
    return GroupBlocks.of(penalty, p) if blocks is None else blocks


def solve_newton(run: Run) -> Status:
    """Newton steps with a line search on working sets, until the gap is small."""
    approach(run, _solve)
    return _solve(run)


def _solve(run: Run) -> Status:
    outer = Outer(run, _blocks(run.datafit, run.penalty))
    cols = np.empty(0, dtype=np.int64)
    while True:
        grad = outer.look()
        cols = outer.merge(cols, grad)
        w = run.w[cols]
        before = w.copy()
        worst = _descend(run, outer, cols, w, grad[cols])
        if not math.isfinite(worst):
            return Status.NUMERICAL_FAILURE
        if outer.settle(not np.array_equal(before, w)):
            return Status.PRECISION


def _descend(
    run: Run, outer: Outer, cols: np.ndarray, w: np.ndarray, g: np.ndarray
) -> float:
    """Newton steps on the columns, for `w` in place and the point of the run."""
    datafit, part = run.datafit, outer.blocks.part(cols)
    tol, worst, damping = outer.inner_tol(), math.inf, 1.0
    idle, refused, short = 0, False, False
    for _ in range(_STEPS):
        d = _curvatures(run, damping, short)
        if not np.isfinite(d).all():
            return math.inf
        gram = _products(run, cols, d, damping)
        before = worst
        worst = float(part.distance(w, g, gram.H.diagonal()).max(initial=0.0))
        idle = idle + 1 if worst >= before and not refused else 0
        if worst <= tol or run.expired() or idle > _PATIENCE:
            break
        new, slope = w.copy(), g.copy()
        with np.errstate(over="ignore", invalid="ignore"):  # such steps are refused
            minimise(run, part, gram, slope, new, max(0.05 * worst, 0.1 * tol))
            t = _search(run, part, cols, w, new - w, g)
        flat = datafit.secant(run.z) is not None
        short, bounded = flat and not short and t < _CUT, short
        if not t and short:
            continue
        if not t:
            if part.is_convex or bounded or damping > _DAMPED:
                break
            damping, refused = 4.0 * damping, True
            continue
        refused = False
        g = run.design.gradient(datafit.gradient(run.z), cols, run.n_threads)
    return worst


def _products(run: Run, cols: np.ndarray, d: np.ndarray, damping: float) -> Products:
    """Second derivative of the loss along columns, at its best intercept."""
    if run.datafit.is_coupled:
        A = run.design.columns(cols)
        return MatrixSet(damping * run.datafit.curvature_matrix(run.z, A))
    gram = GramSet(run.design, d, centred=run.datafit.fit_intercept)
    gram.add(cols)
    return gram


def _curvatures(run: Run, damping: float, short: bool) -> np.ndarray:
    """Second derivatives, raised where a step was refused: at most to their bound.

    After a step that was cut `short`, those of a quadratic above the loss.
    """
    datafit = run.datafit
    secant = datafit.secant(run.z)
    if secant is not None:
        return secant if short else curvatures(datafit, run.z)
    if damping > 1.0 and datafit.curvature < math.inf:
        return datafit.curvature * datafit.s
    d = damping * datafit.hessian(run.z)
    return np.maximum(d, _FLAT * float(d.max(initial=0.0)))


def _search(
    run: Run,
    part: Any,
    cols: np.ndarray,
    w: np.ndarray,
    step: np.ndarray,
    g: np.ndarray,
) -> float:
    """Move `w` and the run along the step; the share of it, 0 if none made F + P fall.

    Penalties that are not convex may rise between the ends of a step that pays: then
    few shares are tried, where the loss is nearly linear, or only the whole step, and
    the caller takes a larger second derivative.
    """
    datafit = run.datafit
    full = np.zeros(run.design.p)
    full[cols] = step
    change = run.design.predict(full)
    start, intercept = run.z, run.intercept

    def at(t: float) -> tuple[float, np.ndarray, Any]:
        """F + P, predictions and change of the intercept at a share of the step."""
        z = start + t * change
        shift = datafit.shift(z) if datafit.fit_intercept else 0.0
        z = z + shift
        return datafit.value(z) + part.value(w + t * step), z, shift

    old = datafit.value(start) + part.value(w)
    predicted = float(g @ step) + part.value(w + step) - part.value(w)
    # close to the end values are equal up to rounding, and whole steps are right
    slack = _ROUNDING * max(abs(old), run.scale)
    if not np.any(step) or predicted > slack:
        return 0.0
    t = 1.0
    flat = datafit.secant(start) is not None
    for _ in range(_TRIALS if part.is_convex else _FEW if flat else 1):
        point = at(t)
        if point[0] <= old + _SLOPE * t * min(predicted, 0.0) + slack:
            break
        t *= _SHRINK
    else:
        return 0.0
    # a quadratic says nothing about how far the linear pieces of a loss go on
    while flat and t >= 1.0 and part.allows(w + 2.0 * t * step):
        longer = at(2.0 * t)
        if not longer[0] < point[0] - slack:
            break
        t, point = 2.0 * t, longer
    w += t * step
    if getattr(part, "kind", "") == "box":  # rounding may step over a bound
        w[:] = part.clip(w, w)
    coef = run.w.copy()
    coef[cols] = w
    run.set_point(coef, point[1], intercept + point[2])
    return t
