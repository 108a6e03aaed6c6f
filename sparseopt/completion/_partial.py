"""Ratings that arrive later: entries merged, touched rows first, then everything."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from sparseopt._core._monitor import Monitor
from sparseopt.completion import _biases
from sparseopt.completion._biases import Ridges
from sparseopt.completion._half_step import HalfSteps
from sparseopt.completion._kernels import aligned
from sparseopt.completion._orders import from_csr
from sparseopt.completion._problem import Entries, Side, padded, sum_squares
from sparseopt.completion._ratings import Fit, given_start, make_ridges, shifted
from sparseopt.completion._run import Factors
from sparseopt.completion._scaling import Units, in_units, times

# below the rounding of a solve
_TOL = {4: 1e-6, 8: 1e-13}


def merge(old: Entries, new: Entries, *, forget: float = 1.0) -> Entries:
    """Entries of both, the new ones in the place of old ones.

    Parameters
    ----------
    old, new : Entries
        Their shapes may differ: the result has the larger of both numbers of rows and
        of columns.
    forget : float
        What the weights of the old entries are multiplied by.
    """
    m, n = (max(a, b) for a, b in zip(old.shape, new.shape, strict=True))
    keys = [_keys(e, n) for e in (old, new)]
    kept = ~np.isin(keys[0], keys[1], assume_unique=True)
    key = np.concatenate([keys[0][kept], keys[1]])
    order = np.argsort(key, kind="stable")
    val = np.concatenate([old.rows.val[kept], new.rows.val.astype(old.dtype)])[order]
    weight = None
    if forget != 1.0 or old.rows.weight is not None or new.rows.weight is not None:
        parts = [_weights(old)[kept] * forget, _weights(new)]
        weight = np.concatenate(parts)[order].astype(old.dtype)
    rows, cols = np.divmod(key[order], n)
    ptr = np.zeros(m + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=m), out=ptr[1:])
    return from_csr(
        ptr, cols.astype(np.int32), val, (m, n), weight=weight, n_threads=old.n_threads
    )


def _keys(entries: Entries, n: int) -> np.ndarray:
    """One number for each place, ascending in row order."""
    ids = np.repeat(np.arange(entries.shape[0]), np.diff(entries.rows.ptr))
    return ids * n + entries.rows.idx


def _weights(entries: Entries) -> np.ndarray:
    weight = entries.rows.weight
    return np.ones(entries.n_entries) if weight is None else weight


def grown(factors: Factors, shape: tuple[int, int]) -> Factors:
    """The same factors for more rows and columns, whose own are zero."""

    def more(a: Any, size: int) -> Any:
        if a is None or len(a) == size:
            return a
        out = aligned((size, *a.shape[1:]), a.dtype)
        out[: len(a)] = a
        return out

    m, n = shape
    return replace(
        factors,
        U=more(factors.U, m),
        V=more(factors.V, n),
        row_bias=more(factors.row_bias, m),
        col_bias=more(factors.col_bias, n),
    )


def update(
    entries: Entries,
    factors: Factors,
    touched: tuple[np.ndarray, np.ndarray],
    alpha: float,
    options: dict[str, Any],
    *,
    n_sweeps: int = 1,
    rng: np.random.Generator,
    monitor: Monitor | None = None,
) -> Factors:
    """Factors after new entries: touched rows and columns, then sweeps over all.

    Parameters
    ----------
    entries : Entries
        All of them, see `merge`.
    factors : Factors
        Of the fit before, ``s = 1``; may have fewer rows and columns.
    touched : tuple of two int arrays
        Rows and columns that have new entries.
    alpha, options : optional
        As for `solve_ratings`.
    n_sweeps : int
        Sweeps over all rows and columns.
    rng : Generator
        For the start of columns whose rows are new too.
    monitor : Monitor, optional
        Told of each sweep; may end them.
    """
    entries, factors, units = _in_units(entries, grown(factors, entries.shape))
    options = {**options, "units": units}
    norm = math.sqrt(sum_squares(entries.rows.val, entries.rows.weight)) or 1.0
    ridges = make_ridges(entries, factors.k, alpha, options)
    entries = shifted(entries, factors.intercept)
    L, R = _biases.blank(entries, ridges)
    given_start(factors, ridges, L, R)
    rows, cols = (np.unique(ids) for ids in touched)
    # rows and columns that are both new would hold each other at zero
    empty = cols[~R[cols, : ridges.k].any(axis=1)]
    R[empty, : ridges.k] = rng.standard_normal((len(empty), ridges.k)) * _small(R)
    _solve_some(entries, ridges, False, rows, L, R)
    _solve_some(entries, ridges, True, cols, R, L)
    fit = Fit(entries, ridges, L, R, factors.intercept)
    for n in range(n_sweeps):
        rss = fit.sweep()
        if monitor is None:
            continue
        stop = monitor.update(
            n + 1,
            objective=units.callers_objective(0.5 * (rss + sum(fit.penalty))),
            residual=math.sqrt(rss) / norm,
            state={"factors": lambda: _unpadded(_times(fit.factors(), units.value))},
            ridge=alpha,
        )
        if stop is not None:
            break
    return _times(fit.factors(), units.value)


def _in_units(entries: Entries, factors: Factors) -> tuple[Entries, Factors, Units]:
    """As `in_units`, with factors and biases of the values."""
    entries, units = in_units(entries)
    return entries, _times(factors, 1 / units.value), units


def _times(f: Factors, unit: float) -> Factors:
    """Factors and biases of values that are multiplied by ``unit``."""
    if unit == 1.0:
        return f
    root = f.V.dtype.type(math.sqrt(unit))
    row, col = (None if b is None else times(b, unit) for b in (f.row_bias, f.col_bias))
    return Factors(f.U * root, f.s, f.V * root, row, col, f.intercept * unit)


def _unpadded(f: Factors) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return f.U[:, : f.k], f.s, f.V[:, : f.k]


def _small(R: np.ndarray) -> float:
    """A tenth of the root mean square of a factor's numbers."""
    return 0.1 * math.sqrt(float(np.square(R, dtype=np.float64).mean()))


def _solve_some(
    entries: Entries,
    ridges: Ridges,
    transposed: bool,
    ids: np.ndarray,
    unknown: np.ndarray,
    fixed: np.ndarray,
) -> None:
    """Exact half-step for some rows (columns if ``transposed``), in place."""
    part = only(entries, transposed, ids)
    rows = unknown[ids]
    solve_rows(part, ridges, transposed, rows, fixed, ridges.scales[transposed], ids)
    unknown[ids] = rows


def solve_rows(
    part: Entries,
    ridges: Ridges,
    transposed: bool,
    unknown: np.ndarray,
    fixed: np.ndarray,
    scale: np.ndarray | None,
    ids: np.ndarray | None = None,
) -> None:
    """Conjugate gradients to rounding for the rows of ``part``, in place."""
    k = ridges.width
    arguments = ridges.arguments(transposed)
    if scale is not None:
        arguments["scale"] = np.ascontiguousarray(scale if ids is None else scale[ids])
    kept = aligned(unknown.shape, unknown.dtype)
    kept[:] = unknown
    HalfSteps(part, k).cg(
        False,
        fixed,
        kept,
        # in exact arithmetic k steps are enough
        steps=4 * k + 20,
        curvature=np.square(fixed[:, :k], dtype=np.float64).mean(axis=0),
        tol=_TOL[part.dtype.itemsize],
        **arguments,
    )
    unknown[:] = kept


def only(entries: Entries, transposed: bool, ids: np.ndarray) -> Entries:
    """Entries of some rows (columns if ``transposed``), as rows; no other order."""
    side = entries.side(transposed)
    counts = np.diff(side.ptr)[ids]
    ptr = np.zeros(len(ids) + 1, np.int64)
    np.cumsum(counts, out=ptr[1:])
    at = np.arange(ptr[-1]) + np.repeat(side.ptr[ids] - ptr[:-1], counts)
    weight = None if side.weight is None else side.weight[at]
    rows = Side(ptr, side.idx[at], side.val[at], weight)
    others = entries.shape[not transposed]
    none = Side(
        np.zeros(others + 1, np.int64),
        side.idx[:0],
        side.val[:0],
        None if weight is None else weight[:0],
    )
    return Entries((len(ids), others), rows, none, entries.perm[:0], entries.n_threads)


def fold_in_rows(
    entries: Entries, factors: Factors, alpha: float, options: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Factor rows and biases of new rows while columns are held.

    Parameters
    ----------
    entries : Entries
        New rows; as many columns as the fit.
    factors : Factors
        Of the fit, ``s = 1``.

    Returns
    -------
    L : ndarray of shape (m_new, k)
    row_bias : ndarray of shape (m_new,) or None
    """
    k = factors.k
    entries, factors, units = _in_units(entries, factors)
    ridges = make_ridges(entries, k, alpha, {**options, "units": units})
    entries = shifted(entries, factors.intercept)
    L, R = _biases.blank(entries, ridges)
    held = replace(factors, U=aligned((len(L), padded(k, L.dtype)), L.dtype),
                   row_bias=None)  # fmt: skip
    given_start(held, ridges, L, R)
    solve_rows(entries, ridges, False, L, R, ridges.scales[False])
    out = replace(
        held, U=L, row_bias=L[:, k] if _biases.has(ridges.biases, False) else None
    )
    out = _times(out, units.value)
    bias = None if out.row_bias is None else out.row_bias.copy()
    return np.ascontiguousarray(out.U[:, :k]), bias
