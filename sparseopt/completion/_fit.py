"""From entries and options to a result: units, start, method, certificate."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from sparseopt._core._array_api import from_numpy_like, to_numpy
from sparseopt._core._monitor import Monitor, caller_level
from sparseopt._core._status import Status
from sparseopt.completion._als import solve_als
from sparseopt.completion._auto import solve_auto
from sparseopt.completion._init import given, random_start, spectral
from sparseopt.completion._nonnegative import solve_nonnegative
from sparseopt.completion._problem import Entries
from sparseopt.completion._ratings import bias_ridges, power_of, solve_ratings
from sparseopt.completion._result import CompletionResult
from sparseopt.completion._resume import SavedFit, marker, restore, snapshot
from sparseopt.completion._robust import solve_robust
from sparseopt.completion._run import Factors, Run, Stop
from sparseopt.completion._scaling import Units, in_units, times
from sparseopt.completion._validation import HeldOut, hold_out

PLAIN: dict[str, Callable[[Run], Status]] = {
    "auto": solve_auto,
    "als": solve_als,
    "als-exact": solve_als,
}
# Directions of a start to which others are added, and at most: more where their number
# squared, times rows and columns, is below _CHEAP.
_FEW, _SOME, _CHEAP = 16, 128, 2e8
# Ends that a tolerance reached at the last moment turns into success.
_REACHED = (Status.MAX_ITER, Status.STALLED, Status.PRECISION, Status.TIME_LIMIT)


def fit_entries(
    entries: Entries,
    k: int,
    *,
    alpha: float,
    tol: float,
    tol_obj: float,
    init: Any,
    rng: np.random.Generator,
    monitor: Monitor,
    options: dict[str, Any],
    method: Callable[[Run], Status] | None = None,
    narrow: bool = False,
    mark: Callable[[], dict[str, Any]] | None = None,
    like: Any = None,
) -> CompletionResult:
    """Run a method, or that which the options ask for; return its last iterate.

    With the option "validation_fraction" some of the entries are held out, and it is
    the iterate that had the least error there. Whatever ends a run, be it an interrupt,
    the iterate is a complete one. ``narrow`` is for methods that add directions
    themselves: they start with few. ``mark`` tells fits apart, for checkpoints. A
    callback sees factors of the library of ``like``; those of the result are NumPy's.
    """
    scaled, units = in_units(entries)
    unit, power = units.value, power_of(options.get("reg", "frobenius"))
    ridge = units.ridge(alpha, power)
    held_out: HeldOut | None = None
    fraction = options.get("validation_fraction", 0.0)
    if fraction:
        saved = init.fit["methods"] if isinstance(init, SavedFit) else None
        scaled, held_out = hold_out(scaled, k, alpha, fraction, rng, saved)
    options = _in_units(options, units)
    if options.get("homotopy") == "auto" and not isinstance(init, str):
        # a checkpoint has its own, see `restore`
        options = {**options, "homotopy": False}
    method = method or _method(options)
    interrupted = False
    try:
        if narrow:
            start = _narrow_start(scaled, k, init, rng, unit, ridge, monitor)
        else:
            start = _start(scaled, k, init, rng, unit, method is solve_ratings)
    except KeyboardInterrupt:  # zero is an iterate too
        interrupted = True
        U, s, V = random_start(scaled, 1 if narrow else k, rng)
        start = Factors(U, np.zeros_like(s), V)
    run = Run(scaled, k, ridge, tol, tol_obj, rng, monitor, start, options)
    run.held_out, run.units, run.power = held_out, units, power
    run.lazy["factors"] = lambda: _shown(_unpadded(run.factors, unit), like)
    mark = mark or marker("", {}, entries)
    run.lazy["checkpoint"] = lambda: snapshot(run, unit, alpha, mark())
    if isinstance(init, SavedFit):
        restore(run, init)
    if held_out is not None:
        if "held_out" in run.saved:
            held_out.restore(run.saved.pop("held_out"))
        run.keeps["held_out"] = held_out.keep
    status = Status.INTERRUPTED if interrupted else _solve(run, method)
    run.take_best()
    mask = None
    if fraction:
        run.note = f"{run.note} {_choice(run)}".strip()
        none = np.zeros(entries.n_entries, bool)
        mask = none if held_out is None else held_out.mask
    return replace(_result(run, status, alpha), held_out_mask=mask)


def _choice(run: Run) -> str:
    """Which iterate was taken, for the message of the result."""
    held_out = run.held_out
    if held_out is None:
        return "No entry could be held out."
    return (
        f"Taken is iterate {held_out.at}, the best at {held_out.entries.n_entries} "
        f"held-out entries; objective and residual are of the {run.entries.n_entries} "
        "others."
    )


def _method(options: dict[str, Any]) -> Callable[[Run], Status]:
    if options["nonnegative"]:
        return solve_nonnegative
    if options["loss"] == "huber":
        return solve_robust
    if options["biases"] or options["reg"] != "frobenius":
        return solve_ratings
    return PLAIN[options["solver"]]


def _solve(run: Run, method: Callable[[Run], Status]) -> Status:
    if not run.entries.rows.val.any():
        f = run.factors
        run.objective = 0.0
        if method is solve_nonnegative:  # frames have signs, zeros or not
            run.factors = replace(f, U=np.abs(f.U), V=np.abs(f.V))
        return Status.CONVERGED
    limit = run.monitor.max_iter
    if limit is not None and run.n_iter >= limit:  # of a fit that goes on
        return Status.MAX_ITER
    try:
        return method(run)
    except Stop as stop:
        return stop.status
    except KeyboardInterrupt:
        return Status.INTERRUPTED


def _in_units(options: dict[str, Any], units: Units) -> dict[str, Any]:
    if units == Units():
        return options
    changed: dict[str, Any] = {}
    if options.get("delta", "mad") != "mad":
        changed["delta"] = options["delta"] / units.value
    if options.get("biases"):
        changed["bias_reg"] = [b / units.weight for b in bias_ridges(options)]
    return {**options, **changed}


def _start(
    entries: Entries,
    k: int,
    init: Any,
    rng: np.random.Generator,
    unit: float,
    ratings: bool,
) -> Factors:
    of_no_use = isinstance(init, SavedFit) or (ratings and isinstance(init, str))
    if not entries.rows.val.any() or of_no_use:
        # ratings: means come first, and the spectrum is that of what they leave
        U, s, V = random_start(entries, k, rng)
        return Factors(U, np.zeros_like(s), V)
    if isinstance(init, str):
        start = spectral if init == "spectral" else random_start
        return Factors(*start(entries, k, rng))
    if isinstance(init, CompletionResult):
        U, s, V = map(to_numpy, (init.U, init.s, init.V))
        pair = U * s.astype(U.dtype), V
        U, s, V = given(entries, k, pair, rng)
        return Factors(U, s / unit, V, *_biases(init, unit))
    U, s, V = given(entries, k, init, rng)
    return Factors(U, s / unit, V)


def _narrow_start(
    entries: Entries,
    k: int,
    init: Any,
    rng: np.random.Generator,
    unit: float,
    alpha: float,
    monitor: Monitor,
) -> Factors:
    """A start of few directions, for methods that add what is missing.

    A spectral one is widened until it has those of the zero-filled matrix that are
    above the penalty, as far as a start is worth: the others would be shrunk away at
    once, and all of them cost more than the solution.
    """
    width = _FEW
    if isinstance(init, SavedFit):
        width = 1  # its own factors come later
    elif isinstance(init, CompletionResult):
        width = len(init.s)
    elif not isinstance(init, str):
        width = max((F.shape[-1] for F in init if np.ndim(F) == 2), default=k)
    width = min(max(width, 1), k)
    density = max(entries.n_entries, 1) / math.prod(entries.shape)
    most = min(k, max(_SOME, math.isqrt(int(_CHEAP / sum(entries.shape)))))
    while True:
        start = _start(entries, width, init, rng, unit, False)
        if not (isinstance(init, str) and init == "spectral" and width < most):
            return start
        if float(start.s[-1]) * density <= alpha or monitor.time_left() <= 0.0:
            return start
        width = min(most, 2 * width)


def _biases(init: CompletionResult, unit: float) -> tuple[Any, Any, float]:
    row, col = (
        None if bias is None else to_numpy(bias) / unit
        for bias in (init.row_bias, init.col_bias)
    )
    return row, col, init.intercept / unit


def _unpadded(f: Factors, unit: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    U, V = (np.ascontiguousarray(F[:, : f.k]) for F in (f.U, f.V))
    with np.errstate(over="ignore"):  # the status says so
        return U, f.s * unit, V


def _shown(
    factors: tuple[np.ndarray, np.ndarray, np.ndarray], like: Any
) -> tuple[Any, ...]:
    """Factors for a callback: copies where their library has no read-only arrays."""
    if like is None:
        return factors
    dtype = factors[0].dtype
    return tuple(from_numpy_like(np.array(x, dtype=dtype), like) for x in factors)


def _result(run: Run, status: Status, alpha: float) -> CompletionResult:
    f, unit = run.factors, run.units.value
    U, s, V = _unpadded(f, unit)
    residual = run.certify()
    if not (math.isfinite(residual) and np.isfinite(s).all()):
        status = Status.NUMERICAL_FAILURE
    elif run.alpha == 0 and residual <= run.tol and status in _REACHED:
        status = Status.CONVERGED
    note = run.note
    # what converged is the residual, optimality (with a gap), what huber marks, or:
    plain = run.outliers is None and run.held_out is None and math.isnan(run.gap)
    if plain and status is Status.CONVERGED and residual > run.tol:
        note = (
            f"{note} It is tol_obj: the objective levelled off, at a residual of "
            f"{residual:.3g}."
        ).strip()
    biases = [None if b is None else times(b, unit) for b in (f.row_bias, f.col_bias)]
    counts = [np.diff(side.ptr) for side in (run.entries.rows, run.entries.cols)]
    few = [np.flatnonzero(count < f.k) for count in counts]
    return CompletionResult(
        U=U,
        s=s,
        V=V,
        row_bias=biases[0],
        col_bias=biases[1],
        intercept=f.intercept * unit,
        alpha=alpha,
        # plain methods go by the name they were asked for
        solver=run.solver or run.options.get("solver", ""),
        n_restarts=run.n_restarts,
        outlier_mask=run.outliers,
        underdetermined_rows=few[0],
        underdetermined_cols=few[1],
        work=run.work,
        status=status,
        message=f"{status.advice} {note}" if note else "",
        n_iter=run.n_iter,
        objective=run.units.callers_objective(run.objective),
        residual=residual,
        gap=run.units.callers_objective(run.gap) if math.isfinite(run.gap) else None,
        history=run.monitor.history(),
        elapsed=run.monitor.elapsed,
    )


def warn_of_gaps(result: CompletionResult, n_entries: int) -> None:
    """Tell which predictions the data do not determine."""
    m, n, k = len(result.U), len(result.V), len(result.s)
    if result.alpha > 0:
        return
    parts = []
    if n_entries < k * (m + n - k):
        parts.append(
            f"{n_entries} entries are fewer than the {k * (m + n - k)} degrees of "
            f"freedom of a {m} x {n} matrix of rank {k}"
        )
    sides = {
        "rows": result.underdetermined_rows,
        "columns": result.underdetermined_cols,
    }
    for name, few in sides.items():
        if len(few):
            shown = ", ".join(map(str, few[:5])) + ", ..." * (len(few) > 5)
            parts.append(
                f"{len(few)} {name} ({shown}) have fewer entries than the rank"
            )
    if parts:
        warnings.warn(
            "The completion is not determined by the data: " + "; ".join(parts) + ". "
            "Predictions there are of minimum norm; lower n_components or set alpha.",
            UserWarning,
            stacklevel=caller_level(),
        )
