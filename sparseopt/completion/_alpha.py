"""The nuclear norm penalty that predicts held-out entries best."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from sparseopt._core._monitor import Monitor, caller_level
from sparseopt._core._status import Status
from sparseopt.completion._fit import fit_entries
from sparseopt.completion._init import spectral
from sparseopt.completion._orders import from_csr
from sparseopt.completion._problem import Entries
from sparseopt.completion._run import FIELDS
from sparseopt.exceptions import ConvergenceWarning

_HELD_OUT = 0.1
# From the penalty that leaves nothing down to one that does nothing.
_GRID = np.geomspace(1.0, 1e-4, 13)
# Steps of the grid that may be worse than the best before the search ends.
_PATIENCE = 3
# Share of the weight of held-out entries that may be gross errors.
_TRIMMED = 0.25
# Values beyond so many medians may be some, too.
_CUT = 5.0
# The search has this part of the time, the fit that follows the rest.
_SHARE = 0.75


def hold_out(
    entries: Entries, share: float, rng: np.random.Generator
) -> tuple[Entries, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]]:
    """Entries without a random part, and that part: rows, columns, values, weights.

    Rows and columns that would lose all of theirs keep them.
    """
    side = entries.rows
    rows = np.repeat(np.arange(side.n_rows), np.diff(side.ptr))
    out = rng.random(entries.n_entries) < share
    for ids, size in ((rows, entries.shape[0]), (side.idx, entries.shape[1])):
        emptied = np.bincount(ids[~out], minlength=size) == 0
        out &= ~emptied[ids]
    kept = ~out
    ptr = np.concatenate(
        [[0], np.cumsum(np.bincount(rows[kept], minlength=side.n_rows))]
    )
    rest = from_csr(
        ptr.astype(np.int64),
        side.idx[kept],
        side.val[kept],
        entries.shape,
        weight=None if side.weight is None else side.weight[kept],
        n_threads=entries.n_threads,
    )
    weight = None if side.weight is None else side.weight[out]
    return rest, (rows[out], side.idx[out], side.val[out], weight)


def choose_alpha(
    entries: Entries,
    k: int,
    rng: np.random.Generator,
    options: dict[str, Any],
    whole: Monitor,
) -> float:
    """Penalty from a descending grid, each fit started at the one before.

    ``whole`` is the monitor of the fit that follows: the search has a part of its time.
    An interrupt is raised, as there is no iterate yet that could be an answer.
    """
    rest, (rows, cols, values, weight) = hold_out(entries, _HELD_OUT, rng)
    if not len(values) or (weight is not None and not weight.any()):
        return 0.0
    largest = _largest(_clipped(rest) if options["loss"] == "huber" else rest, rng)
    best, best_error, worse = largest, math.inf, 0
    start: Any = "spectral"
    spared = math.inf if whole.max_time is None else whole.max_time
    spared *= 1 - _SHARE
    for alpha in largest * _GRID:
        left = whole.time_left() - spared if spared < math.inf else math.inf
        if left <= 0:
            _warn_of_time(whole)
            break
        fit = fit_entries(
            rest,
            k,
            alpha=alpha,
            tol=1e-6,
            tol_obj=1e-4,
            init=start,
            rng=rng,
            monitor=Monitor("alpha", max_iter=40, max_time=left, fields=FIELDS),
            options={**options, "homotopy": False},
        )
        if fit.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        squares = np.square(fit.predict(rows, cols) - values)
        if options["loss"] == "huber":
            error = _trimmed(squares, weight)
        else:
            error = float(np.average(squares, weights=weight))
        if error < best_error:
            best, best_error, worse = alpha, error, 0
        else:
            worse += 1
        if worse == _PATIENCE:
            break
        start = fit
    # the held-out part is a tenth more data
    return float(best)


def _clipped(entries: Entries) -> Entries:
    """Entries cut off where gross errors begin, as their gradients are."""
    side = entries.rows
    size = np.abs(side.val)
    most = _CUT * float(np.median(size[size > 0])) if size.any() else 0.0
    return entries.with_values(np.clip(side.val, -most, most), side.weight)


def _trimmed(squares: np.ndarray, weight: np.ndarray | None) -> float:
    """Mean of the least of them, that have most of the weight: no gross errors."""
    order = np.argsort(squares)
    squares = squares[order]
    w = np.ones(len(squares)) if weight is None else weight[order]
    inside = np.cumsum(w) <= (1 - _TRIMMED) * w.sum()
    if not w[inside].any():
        inside[:] = True
    return float(np.average(squares[inside], weights=w[inside]))


def _largest(entries: Entries, rng: np.random.Generator) -> float:
    """About the smallest penalty that leaves nothing."""
    side = entries.rows
    if side.weight is not None:  # the penalty is one of their unit
        entries = entries.with_values(side.val * side.weight, side.weight)
    density = entries.n_entries / math.prod(entries.shape)
    return float(spectral(entries, 1, rng)[1][0]) * density


def _warn_of_time(monitor: Monitor) -> None:
    warnings.warn(
        f"The choice of alpha='auto' of {monitor.name} reached its part of max_time="
        f"{monitor.max_time:g} before the error rose; the best of the penalties tried "
        "is taken. To change that, increase max_time or give alpha.",
        ConvergenceWarning,
        stacklevel=caller_level(),
    )
