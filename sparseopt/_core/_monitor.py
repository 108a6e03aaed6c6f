"""The one object that watches a solver: history, output, callback, limits."""

from __future__ import annotations

import math
import sys
import warnings
from array import array
from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from time import perf_counter
from types import TracebackType
from typing import Any, Self

import numpy as np

from sparseopt._core._progress import Bar, open_bar, write_line
from sparseopt._core._status import Status
from sparseopt.exceptions import ConvergenceWarning

_LINE_SECONDS = 0.5
_BAR_SECONDS = 0.1
_BAR_DELAY = 0.2  # a bar for less would only flicker
_COLUMNS = ("n_iter", "time", "objective", "residual")
_NAN = math.nan
# What to change, where the status alone says it.
_HINTS = {
    Status.MAX_ITER: "increase max_iter or tol",
    Status.TIME_LIMIT: "increase max_time or tol",
    Status.STALLED: "try another method, rescale the problem, or increase tol",
    Status.PRECISION: "increase tol or regularise more",
    Status.INFEASIBLE: "check the input data",
    Status.NUMERICAL_FAILURE: "rescale the problem, regularise more, or use float64",
    Status.INTERRUPTED: "let it run on from this result",
}

Lazy = Mapping[str, Callable[[], Any]]


class State:
    """What a callback sees of the solver: attributes that cannot be changed.

    Values that cost something are made when they are asked for, which is possible only
    while the callback runs. Arrays are read-only views: copy what is to be kept.
    """

    __slots__ = ("_lazy", "_values")

    def __init__(self, values: dict[str, Any], lazy: Lazy) -> None:
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_lazy", lazy)

    def __getattr__(self, name: str) -> Any:
        # underscored names get here only while pickle or copy builds an empty object
        if not name.startswith("_"):
            if name in self._values:
                return self._values[name]
            if name in self._lazy:
                value = self._values[name] = _read_only(self._lazy[name]())
                return value
        raise AttributeError(f"the state has no {name!r}; it has {dir(self)}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"the state is read-only; {name!r} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"the state is read-only; {name!r} cannot be deleted")

    def __dir__(self) -> list[str]:
        return sorted({*self._values, *self._lazy})

    def __repr__(self) -> str:
        shown = (f"{name}={value}" for name, value in self._values.items())
        return f"State({', '.join([*shown, *self._lazy.keys() - self._values.keys()])})"

    def _seal(self) -> None:
        object.__setattr__(self, "_lazy", {})


class Monitor:
    """Record, show and limit the iterations of one run of a solver.

    The solver calls `update` once an outer iteration and stops with the status that it
    returns, if any; `finish` once at the end. Verbosity: 0 nothing, 1 a summary line
    and on a terminal a progress bar, 2 a line at most every half second, 3 every line.

    Parameters
    ----------
    name : str
        Name of the function, as "ot.solve".
    tol : float, optional
        Where the residual has to get; for the bar and messages only.
    max_iter, max_time : optional
        Limits in iterations and seconds; None is no limit.
    verbose : int
    callback : callable, optional
        Called with a `State`; a true value stops the solver.
    fields : tuple of str
        Further numbers that `update` is given: columns of the history.
    state : mapping of callables, optional
        Further attributes of the state, made by calls without arguments if asked for.
    """

    def __init__(
        self,
        name: str,
        *,
        tol: float | None = None,
        max_iter: int | None = None,
        max_time: float | None = None,
        verbose: int = 0,
        callback: Callable[[State], Any] | None = None,
        fields: tuple[str, ...] = (),
        state: Lazy | None = None,
    ) -> None:
        self.name = name
        self.tol = tol
        self.max_iter = max_iter
        self.max_time = max_time
        self.verbose = int(verbose)
        self.fields = tuple(fields)
        self._known = frozenset(fields)
        self._callback = callback
        self._lazy: Lazy = state or {}
        self._bar: Bar | None = None
        self._n_columns = len(_COLUMNS) + len(self.fields)
        self.start()

    def start(self) -> Self:
        """Start the clock, with an empty history."""
        self.close()
        self._rows = array("d")
        self._last_shown = -math.inf
        self._first_residual = _NAN
        self._elapsed: float | None = None
        self._start = perf_counter()
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def elapsed(self) -> float:
        """Seconds since the start; after `finish`, of the whole run."""
        if self._elapsed is not None:
            return self._elapsed
        return perf_counter() - self._start

    def time_left(self) -> float:
        """Seconds until the time limit, infinite without one, never negative."""
        if self.max_time is None:
            return math.inf
        return max(0.0, self.max_time - self.elapsed)

    def update(
        self,
        n_iter: int,
        *,
        objective: float = _NAN,
        residual: float = _NAN,
        state: Lazy | None = None,
        **values: float,
    ) -> Status | None:
        """Record an iteration; return why to stop, or None to go on.

        The limit on iterations is reached with ``n_iter`` itself, so a solver looks
        whether it has converged before it takes the answer.
        """
        now = perf_counter() - self._start
        if not self._known.issuperset(values):
            raise TypeError(f"{sorted(values.keys() - self._known)} are not in fields")
        extra = map(values.get, self.fields, repeat(_NAN))
        self._rows.extend((n_iter, now, objective, residual, *extra))
        if self.verbose:
            self._show(now, residual)
        if self._callback is not None and self._ask(self._callback, state):
            return Status.STOPPED_BY_CALLBACK
        if self.max_time is not None and self.elapsed >= self.max_time:
            return Status.TIME_LIMIT
        if self.max_iter is not None and n_iter >= self.max_iter:
            return Status.MAX_ITER
        return None

    def finish(
        self,
        status: Status,
        message: str = "",
        *,
        objective: float | None = None,
        residual: float | None = None,
    ) -> None:
        """Stop the clock, remove the bar and print the summary.

        The last update's objective and residual are printed unless the result has
        others: of a final check, or of the problem where the update was of a stage.
        """
        self._elapsed = self.elapsed
        self.close()
        if self.verbose:
            write_line(self._summary(status, message, objective, residual))

    def close(self) -> None:
        """Remove the progress bar, if there is one."""
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()

    def history(self) -> np.ndarray:
        """Structured array with a row for each update."""
        table = np.array(self._rows).reshape(-1, self._n_columns)
        names = (*_COLUMNS, *self.fields)
        types = [np.int64, *repeat(np.float64, len(names) - 1)]
        rows = np.empty(len(table), dtype=list(zip(names, types, strict=True)))
        for name, column in zip(names, table.T, strict=True):
            rows[name] = column
        return rows

    def warn_if_not_converged(
        self,
        status: Status,
        residual: float,
        tol: float | None = None,
        hint: str | None = None,
        stacklevel: int | None = None,
    ) -> None:
        """Warn with what was reached and what to change.

        A stop that the caller's own callback asked for is no surprise, so there is no
        warning. The warning points to the first frame outside sparseopt, or to
        ``stacklevel`` counted from the caller as in `warnings.warn`.
        """
        if status in (Status.CONVERGED, Status.STOPPED_BY_CALLBACK):
            return
        tol = self.tol if tol is None else tol
        bound = "" if tol is None else f", tol {tol:.3g}"
        text = (
            f"{self.name} did not converge ({status}) in {self._count()}: "
            f"residual {residual:.3g}{bound}. To change that, {hint or _HINTS[status]}."
        )
        level = caller_level() if stacklevel is None else stacklevel + 1
        warnings.warn(text, ConvergenceWarning, stacklevel=level)

    # ------------------------------------------------------------------ the callback

    def _ask(self, callback: Callable[[State], Any], lazy: Lazy | None) -> bool:
        names = ("n_iter", "elapsed", "objective", "residual", *self.fields)
        values = dict(zip(names, self._last_row(), strict=True))
        values["n_iter"] = int(values["n_iter"])
        state = State(values, {**self._lazy, **lazy} if lazy else self._lazy)
        try:
            return _truth(callback(state))
        except BaseException:
            self.close()
            raise
        finally:
            state._seal()

    def _last_row(self) -> array[float]:
        return self._rows[-self._n_columns :]

    # -------------------------------------------------------------------- the output

    def _show(self, now: float, residual: float) -> None:
        if math.isnan(self._first_residual) and 0 < residual < math.inf:
            self._first_residual = residual
        if self.verbose == 1:
            if now >= max(_BAR_DELAY, self._last_shown + _BAR_SECONDS):
                self._show_bar(residual)
                self._last_shown = now
        elif self.verbose >= 3 or now >= self._last_shown + _LINE_SECONDS:
            if self._last_shown == -math.inf:
                write_line(self._header())
            write_line(self._line())
            self._last_shown = now

    def _show_bar(self, residual: float) -> None:
        if self._last_shown == -math.inf:
            self._bar = open_bar(self.name)
        if self._bar is not None:
            target = "" if self.tol is None else f" -> {self.tol:.1e}"
            text = f"iter {int(self._last_row()[0])}, residual {residual:.2e}{target}"
            self._bar.show(self._fraction(residual), text)

    def _fraction(self, residual: float) -> float:
        """Position of the residual between its first value and tol, in logarithms."""
        if self.tol is None or not 0 < residual < math.inf:
            return float(residual == 0)
        if residual <= self.tol:
            return 1.0
        span = math.log(self._first_residual / self.tol)
        done = math.log(self._first_residual / residual)
        return min(max(done / span, 0.0), 1.0) if span > 0 else 0.0

    def _header(self) -> str:
        names = ("iter", "time", *_COLUMNS[2:], *self.fields)
        return f"{self.name} " + " ".join(_cells(names, names))

    def _line(self) -> str:
        n_iter, time, *rest = self._last_row()
        texts = [f"{int(n_iter)}", f"{time:.2f}s", *map(_number, rest)]
        names = ("iter", "time", *_COLUMNS[2:], *self.fields)
        return f"{'':{len(self.name)}} " + " ".join(_cells(names, texts))

    def _summary(
        self,
        status: Status,
        message: str,
        objective: float | None,
        residual: float | None,
    ) -> str:
        last = self._last_row()[2:4] or (_NAN, _NAN)
        objective = last[0] if objective is None else objective
        residual = last[1] if residual is None else residual
        bound = "" if self.tol is None else f" (tol {self.tol:.3g})"
        message = message or status.advice
        news = message != Status.CONVERGED.advice
        return (
            f"{self.name}: {status} in {self._count()}, {self.elapsed:.3g} s, "
            f"residual {residual:.3g}{bound}, objective {objective:.10g}"
            + (f". {message}" if news else "")
        )

    def _count(self) -> str:
        n = int(self._last_row()[0]) if self._rows else 0
        return f"{n} iteration{'s' * (n != 1)}"


def _cells(names: tuple[str, ...], texts: Any) -> Iterator[str]:
    for name, text in zip(names, texts, strict=True):
        width = 7 if name == "iter" else max(10, len(name))
        yield f"{text:>{width}}"


def _number(value: float) -> str:
    short = value.is_integer() and abs(value) < 1e9
    return f"{value:.0f}" if short else f"{value:.3e}"


def _truth(answer: Any) -> bool:
    try:
        return bool(answer)
    except ValueError:  # an array
        raise TypeError(
            f"The 'callback' must return a bool or None. Got {type(answer).__name__}."
        ) from None


def _read_only(value: Any) -> Any:
    """Replace arrays, also those in tuples, by views that cannot be written to."""
    if isinstance(value, np.ndarray):
        view = value.view()
        view.flags.writeable = False
        return view
    if type(value) is tuple:
        return tuple(map(_read_only, value))
    return value


def caller_level() -> int:
    """Stack level of the first frame outside sparseopt, seen from our caller."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    return level


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "sparseopt"
