"""Which algorithms exist, which problems each can solve, and one solve."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sparseopt._core._monitor import Monitor
from sparseopt._core._params import Interval, describe
from sparseopt._core._status import Status
from sparseopt.linear_model import _admm, _envelope, _fista, _multinomial_cd, _pdhg
from sparseopt.linear_model._bcd import solve_bcd, unfit_bcd
from sparseopt.linear_model._cd import solve_cd, unfit_cd
from sparseopt.linear_model._composed import Terms
from sparseopt.linear_model._constant import leave_to_intercept
from sparseopt.linear_model._datafit import Datafit
from sparseopt.linear_model._prox_newton import is_slow, solve_newton, unfit_newton
from sparseopt.linear_model._result import CompositeResult
from sparseopt.linear_model._run import FIELDS, Run, Stop
from sparseopt.linear_model._saga import (
    solve_saga,
    solve_svrg,
    unfit_saga,
    unfit_svrg,
)
from sparseopt.prox import Penalty

# Ends that a tolerance reached at the last moment turns into success.
_REACHED = (Status.MAX_ITER, Status.STALLED, Status.PRECISION, Status.TIME_LIMIT)
# Solvers that do not converge answer the best of the points that were looked at.
MESSAGES = {
    Status.STOPPED_BY_CALLBACK: "The callback asked to stop; this is the best point "
    "that it saw.",
    Status.INTERRUPTED: "The run was interrupted from the keyboard; this is the best "
    "point so far.",
}


class Solver(NamedTuple):
    """An algorithm: how to run it, and what it cannot do.

    `unfit` returns the reason why it cannot solve a problem, or None if it can.
    """

    solve: Callable[[Run], Status]
    unfit: Callable[[Datafit, Penalty], str | None]
    max_iter: int = 10_000


_SOLVERS: dict[str, Solver] = {
    "anderson_cd": Solver(solve_cd, unfit_cd, 1000),
    "group_bcd": Solver(solve_bcd, unfit_bcd, 1000),
    "prox_newton": Solver(solve_newton, unfit_newton, 1000),
    "envelope": Solver(_envelope.solve_envelope, _envelope.unfit, 1000),
    "multinomial_cd": Solver(_multinomial_cd.solve, _multinomial_cd.unfit, 1000),
    "prox_grad": Solver(_fista.solve, _fista.unfit, 50_000),
    "saga": Solver(solve_saga, unfit_saga, 2000),
    "prox_svrg": Solver(solve_svrg, unfit_svrg, 1000),
    "admm": Solver(_admm.solve, _admm.unfit, 20_000),
    "pdhg": Solver(_pdhg.solve, _pdhg.unfit, 100_000),
}
_POSITIVE = Interval(0, None, closed="neither")
_OPTIONS: dict[str, dict[str, Interval]] = {
    "saga": {"step": _POSITIVE},
    "prox_svrg": {"step": _POSITIVE, "batch": Interval(1, None, integer=True)},
    "admm": {"rho": _POSITIVE},
    "pdhg": {"ratio": _POSITIVE},
}
# Samples from which on full gradients are faster than the descent on classes.
_MANY = 200
# The order in which "auto" looks for an algorithm that fits.
_PREFERENCE = (
    "anderson_cd",
    "group_bcd",
    "prox_newton",
    "envelope",
    "multinomial_cd",
    "prox_grad",
    "admm",
    "pdhg",
)
NAMES = (
    *("auto", "prox_grad", "anderson_cd", "group_bcd", "prox_newton", "saga"),
    *("prox_svrg", "admm", "pdhg", "envelope", "multinomial_cd"),
)


def choose(datafit: Datafit, penalty: Penalty, solver: str, owner: str) -> str:
    """Name of the algorithm to use; an error that says why if there is none."""
    if solver == "auto":
        for name in _PREFERENCE:
            if name == "multinomial_cd" and datafit.design.n > _MANY:
                continue  # products with all of X pay
            if name == "prox_newton" and is_slow(datafit, penalty):
                continue
            if name == "admm" and _admm.is_slow(datafit, penalty):
                continue
            if name in _SOLVERS and _SOLVERS[name].unfit(datafit, penalty) is None:
                return name
        reasons = "; ".join(
            f"{name}: {_SOLVERS[name].unfit(datafit, penalty)}"
            for name in _PREFERENCE
            if name in _SOLVERS
        )
        raise ValueError(
            f"No solver of {owner} fits {type(datafit).__name__} with "
            f"{_kind(penalty)}. Got {reasons}."
        )
    if solver not in _SOLVERS:
        raise ValueError(f"The 'solver' {solver!r} of {owner} is not available.")
    reason = _SOLVERS[solver].unfit(datafit, penalty)
    if reason is not None:
        raise ValueError(
            f"The 'solver' parameter of {owner} must fit the problem. Got {solver!r} "
            f"for {type(datafit).__name__} with {_kind(penalty)}: {reason}."
        )
    return solver


def _kind(penalty: Penalty) -> str:
    return "a sum" if isinstance(penalty, Terms) else type(penalty).__name__


def solve(
    run: Run,
    name: str,
    *,
    owner: str,
    max_iter: int | None = None,
    max_time: float | None = None,
    callback: Any = None,
    verbose: int = 0,
    warn: bool = True,
) -> CompositeResult:
    """Run an algorithm; its answer is the point of `run` that converged, or the best.

    Whatever ends it, the run is left at that point.
    """
    _check_options(run.options, name, owner)
    run.given.design.require_squares()
    run.monitor = Monitor(
        owner,
        tol=run.tol,
        max_iter=max_iter or _SOLVERS[name].max_iter,
        max_time=max_time,
        verbose=verbose,
        callback=callback,
        fields=FIELDS,
        state={
            "coef": lambda: run.units.given_coef(run.w),
            "intercept": lambda: run.units.given_intercept(run.intercept, run.w),
        },
    )
    with run.monitor:
        try:
            _enter_domain(run)
            status = _SOLVERS[name].solve(run)
        except Stop as stop:
            status = stop.status
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
            run.set_point(run.w)  # perhaps within an update
        result = _result(run, status, name)
        run.monitor.finish(
            result.status,
            result.message,
            objective=result.objective,
            residual=result.residual,
        )
    if warn:
        run.monitor.warn_if_not_converged(result.status, result.residual, run.tol)
    return result


def _enter_domain(run: Run) -> None:
    """Move a start at which the penalty is infinite to where it is not."""
    if not isinstance(run.penalty, Terms) and run.penalty.value(run.w) == math.inf:
        run.set_point(run.penalty.prox(run.w, 1.0))


def _check_options(options: dict[str, Any], name: str, owner: str) -> None:
    known = _OPTIONS.get(name, {})
    for key, value in options.items():
        if key not in known:
            raise ValueError(
                f"The 'options' parameter of {owner} must hold settings of the solver "
                f"{name!r}, {sorted(known) or 'which has none'}. Got {key!r}."
            )
        if not known[key].accepts(value):
            raise ValueError(
                f"The {key!r} entry in the 'options' parameter of {owner} must be "
                f"{known[key]}. Got {describe(value)}."
            )


def _result(run: Run, status: Status, name: str) -> CompositeResult:
    proof = run.certificate
    if status is not Status.CONVERGED or proof is None:
        proof = run.best.restore(run)
    if not np.isfinite(proof.objective):
        status = Status.NUMERICAL_FAILURE
    elif proof.residual <= run.tol and status in _REACHED:
        status = Status.CONVERGED
    elif proof.residual > run.tol and status is Status.CONVERGED:
        status = Status.PRECISION
    leave_to_intercept(run)
    coef = run.units.given_coef(run.w, run.design.dtype)
    rows = coef != 0 if coef.ndim == 1 else np.any(coef != 0, axis=1)
    vector = bool(run.datafit.n_outputs)
    intercept = run.units.given_intercept(run.intercept, run.w)
    return CompositeResult(
        coef=coef,
        intercept=np.array(intercept) if vector else float(intercept),
        support=np.flatnonzero(rows),
        dual=run.units.given_dual(proof.dual),
        u=run.extra.get("u"),
        solver=name,
        n_epochs=run.n_epochs,
        status=status,
        message=MESSAGES.get(status, ""),
        n_iter=run.n_iter,
        objective=run.units.given_loss(proof.objective),
        residual=proof.residual,
        gap=run.units.given_loss(proof.gap),
        history=run.monitor.history(),
        elapsed=run.monitor.elapsed,
    )
