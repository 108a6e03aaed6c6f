"""`complete` for arrays of other libraries on a device, where they lie."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from sparseopt._core._array_api import to_numpy
from sparseopt._core._monitor import Monitor
from sparseopt._core._random import as_generator
from sparseopt._core._status import Status
from sparseopt.completion._als import homotopy, oversampling
from sparseopt.completion._checkpoint import Checkpoint
from sparseopt.completion._fit import warn_of_gaps
from sparseopt.completion._portable_entries import (
    DeviceEntries,
    device_entries,
    library_of,
)
from sparseopt.completion._portable_steps import (
    DeviceFactors,
    DeviceRows,
    DeviceSweeps,
    given_on_device,
    random_on_device,
    spectral_on_device,
)
from sparseopt.completion._result import CompletionResult
from sparseopt.completion._run import FIELDS, Run, Stop

# Ends that a tolerance reached at the last moment turns into success.
_REACHED = (Status.MAX_ITER, Status.TIME_LIMIT)
# Values of parameters for which there is a portable method.
_ALLOWED: dict[str, tuple[Any, ...]] = {
    "solver": ("auto", "als-exact"),
    "loss": ("squared",),
    "delta": ("mad",),
    "debias": (True,),
    "biases": (None,),
    "bias_reg": (None,),
    "nonnegative": (False,),
    "reg": ("frobenius",),
    "cg_steps": ("auto",),
    "precision": ("working",),
    "validation_fraction": (0,),
    "duplicates": ("raise",),
    "n_threads": (None,),
}


class DeviceRun(Run):
    """A fit whose entries and factors lie on a device."""

    entries: Any

    def __post_init__(self) -> None:
        rows = DeviceRows(self.entries)
        self.norm = math.sqrt(rows.square_of_values(weighted=True)) or 1.0

    def certify(self) -> float:
        """Relative error of the factors, computed anew."""
        if self.factors is not self.measured:
            sweeps = DeviceSweeps(self.entries, self.factors, self.alpha)
            self.residual = math.sqrt(sweeps.measure()) / self.norm
        return self.residual

    def delivered(self) -> tuple[Any, Any, Any]:
        """U, s and V for the caller: in order, unit and type of the input."""
        e, f = self.entries, self.factors
        U = e.xp.take(f.U, e.rows.places, axis=0)
        V = e.xp.take(f.V, e.cols.places, axis=0)
        return U, e.array(f.s * e.units.value), V


def complete_portable(given: dict[str, Any]) -> CompletionResult:
    """`complete` for the arguments ``given``, checked one by one already."""
    _refuse(given)
    entries = device_entries(
        given["X"], weights=given["weights"], dtype=given["dtype"], shape=given["shape"]
    )
    k, n = int(given["n_components"]), min(entries.shape)
    if k > n:
        raise ValueError(
            "The 'n_components' parameter of sparseopt.completion.complete must be at "
            f"most min(m, n) = {n} for X of shape {entries.shape}. Got {k}."
        )
    tol = given["tol"] or (1e-8 if entries.dtype == np.float64 else 1e-5)
    monitor = Monitor(
        "completion.complete",
        tol=tol,
        max_iter=given["max_iter"],
        max_time=given["max_time"],
        verbose=given["verbose"],
        callback=given["callback"],
        fields=FIELDS,
    )
    with monitor:
        result = _fit(entries, k, tol, monitor, given)
        monitor.finish(result.status, result.message)
    _warn_of_gaps(result, entries, k)
    hint = None
    if result.status is Status.MAX_ITER:
        hint = "increase max_iter, tol, or tol_obj for data with noise"
    monitor.warn_if_not_converged(result.status, result.residual, tol, hint)
    return result


def _refuse(given: dict[str, Any]) -> None:
    """Say which parameter asks for what only arrays of the host can have."""
    X = given["X"]
    library = next(filter(None, map(library_of, X if isinstance(X, tuple) else (X,))))
    asked = {
        name: (given[name], " or ".join(map(repr, allowed)))
        for name, allowed in _ALLOWED.items()
        if given[name] not in allowed
    }
    if given["n_components"] == "auto":
        asked["n_components"] = "auto", "an int"
    if given["alpha"] == "auto":
        asked["alpha"] = "auto", "a number"
    if isinstance(given["callback"], Checkpoint):  # of states on the host
        asked["callback"] = given["callback"], "None or a callable of yours"
    init = given["init"]
    if isinstance(init, CompletionResult) and (
        init.row_bias is not None or init.col_bias is not None or init.intercept
    ):
        asked["init"] = "one with biases", "without biases"
    for name, (value, allowed) in asked.items():
        raise ValueError(
            f"The {name!r} parameter of sparseopt.completion.complete must be "
            f"{allowed} where X is made of arrays of {library} on a device: other "
            f"values are for arrays of the host. Got {value!r}."
        )


def _fit(
    entries: DeviceEntries, k: int, tol: float, monitor: Monitor, given: dict[str, Any]
) -> CompletionResult:
    rng = as_generator(given["random_state"])
    options = {"homotopy": given["homotopy"], "solver": "als-exact"}
    if options["homotopy"] is True:
        options["homotopy"] = "auto"
    elif options["homotopy"] == "auto" and not isinstance(given["init"], str):
        options["homotopy"] = False
    zero = DeviceRows(entries).square_of_values(weighted=False) == 0
    run = DeviceRun(
        entries,  # type: ignore[arg-type]
        k,
        entries.units.ridge(float(given["alpha"])),
        tol,
        given["tol_obj"],
        rng,
        monitor,
        _start(entries, k, "random" if zero else given["init"], rng),
        options,
    )
    run.units = entries.units
    run.lazy["factors"] = run.delivered
    try:
        status = _zero(run) if zero else _solve(run)
    except Stop as stop:
        status = stop.status
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    return _result(run, status, float(given["alpha"]))


def _result(run: DeviceRun, status: Status, alpha: float) -> CompletionResult:
    e = run.entries
    residual = run.certify()
    if not (math.isfinite(residual) and np.isfinite(run.factors.s).all()):
        status = Status.NUMERICAL_FAILURE
    elif run.alpha == 0 and residual <= run.tol and status in _REACHED:
        status = Status.CONVERGED
    U, s, V = run.delivered()
    few = [np.flatnonzero(side.counts < run.k) for side in (e.rows, e.cols)]
    return CompletionResult(
        U=U,
        s=s,
        V=V,
        alpha=alpha,
        solver=run.options["solver"],
        underdetermined_rows=e.array(few[0], np.int64),
        underdetermined_cols=e.array(few[1], np.int64),
        work=run.work,
        status=status,
        n_iter=run.n_iter,
        objective=run.units.callers_objective(run.objective),
        residual=residual,
        history=run.monitor.history(),
        elapsed=run.monitor.elapsed,
    )


def _warn_of_gaps(result: CompletionResult, e: DeviceEntries, k: int) -> None:
    few = [np.flatnonzero(side.counts < k) for side in (e.rows, e.cols)]
    m, n = map(range, e.shape)
    shown: Any = SimpleNamespace(
        U=m,
        s=range(k),
        V=n,
        alpha=result.alpha,
        underdetermined_rows=few[0],
        underdetermined_cols=few[1],
    )
    warn_of_gaps(shown, e.n_entries)


def _start(
    entries: DeviceEntries, k: int, init: Any, rng: np.random.Generator
) -> DeviceFactors:
    if isinstance(init, CompletionResult):
        U, s, V = map(to_numpy, (init.U, init.s, init.V))
        return given_on_device(entries, k, (U * s, V), rng)
    if not isinstance(init, str):
        return given_on_device(entries, k, init, rng)
    start = spectral_on_device if init == "spectral" else random_on_device
    return start(entries, k, rng)


def _zero(run: DeviceRun) -> Status:
    """Nothing but zeros to fit."""
    run.objective = 0.0
    return Status.CONVERGED


def _solve(run: DeviceRun) -> Status:
    """Sweeps with a ridge that fades, as `solve_als`, until a rule holds."""
    sweeps = DeviceSweeps(run.entries, run.factors, run.alpha)
    gamma = run.options["homotopy"]
    eager = gamma == "auto"
    if eager:
        gamma = 0.5 if oversampling(run) >= 4 else 0.9
    path = homotopy(sweeps, float(gamma), eager=eager)
    objectives: list[float] = []
    rss = run.norm**2
    while True:
        lam, before = path.lam, min(rss, run.norm**2)
        final = run.alpha == 0 or lam <= run.alpha
        target = (run.tol * run.norm) ** 2 if final else 0.0
        sweeps.sweep(lam, 0, target)
        run.work, rss = sweeps.work, sweeps.rss
        if not math.isfinite(rss):
            return Status.NUMERICAL_FAILURE
        if rss <= target:
            rss, run.measured = sweeps.measure(), sweeps.factors
        objectives.append(sweeps.objective)
        try:
            run.update(sweeps.factors, rss, sweeps.objective, ridge=lam)
        except Stop:
            if rss > target:
                raise
        if rss <= target:
            return Status.CONVERGED
        if not path.over():
            path.advance(sweeps, math.sqrt(rss / before) if before > 0 else 0.0)
            if path.over():
                objectives.clear()
        elif _level(objectives, run.tol_obj):
            return Status.CONVERGED


def _level(objectives: list[float], tol: float) -> bool:
    """Whether three sweeps have left the objective as it was."""
    if len(objectives) < 4:
        return False
    first, last = objectives[-4], objectives[-1]
    return first - last < tol * abs(first)
