"""Coefficients of constant columns beside an intercept are zero, and not rounding."""

from __future__ import annotations

import numpy as np

from sparseopt.linear_model._design import Design
from sparseopt.linear_model._run import Run

_CHUNK = 256


def constant_levels(
    design: Design, rows: np.ndarray, cols: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Those of some columns that are constant on `rows` (a mask), and their values."""
    if design.kind == "sparse":
        filled = np.diff(design.X.indptr)[cols]
        some = cols[(filled == 0) | (filled >= np.count_nonzero(rows))]
    else:
        ends = np.flatnonzero(rows)[[0, -1]]
        first, last = design.X[ends[0], cols], design.X[ends[1], cols]
        some = cols[first == last]
    found, levels = [], []
    for start in range(0, some.size, _CHUNK):
        part = some[start : start + _CHUNK]
        X = design.columns(part)
        X = (X.toarray() if design.kind == "sparse" else X)[rows]
        same = np.all(X == X[0], axis=0)
        found.append(part[same])
        levels.append(X[0, same].astype(np.float64))
    if not found:
        return np.empty(0, dtype=np.int64), np.empty(0)
    return np.concatenate(found), np.concatenate(levels)


def leave_to_intercept(run: Run) -> None:
    """Let the intercept take over what constant columns add to the predictions.

    Predictions stay, so that the certificate of the point does; a penalty for which
    zeros cost more, such as a constraint on a sum, keeps its coefficients.
    """
    if not run.datafit.fit_intercept or run.design.kind == "operator":
        return
    w = run.w
    rows = np.flatnonzero(w if w.ndim == 1 else np.any(w != 0.0, axis=1))
    if not rows.size:
        return
    cols, levels = constant_levels(run.design, run.datafit.s > 0.0, rows)
    if not cols.size:
        return
    less = w.copy()
    less[cols] = 0.0
    if run.penalty.value(less) <= run.penalty.value(w):
        run.set_point(less, z=run.z, intercept=run.intercept + levels @ w[cols])
