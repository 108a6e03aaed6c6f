"""Pictures of paths; matplotlib is imported when one is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sparseopt._core._optional import require
from sparseopt._core._params import describe
from sparseopt.linear_model._path import PathResult

_NAMED = 12


def plot_path(model: Any, ax: Any = None, *, names: Sequence[str] | None = None) -> Any:
    """Draw the coefficients along a path of strengths.

    Parameters
    ----------
    model : PathResult, ProximalRegressorCV or ProximalClassifierCV
        A path, or a fitted estimator that chose its strength on one.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if not given.
    names : sequence of str, optional
        Names of the features; if not given those of the data frame that an estimator
        was fitted to, else their positions.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.

    Raises
    ------
    TypeError
        For a model without a path of strengths.
    ValueError
        For another number of names than of features.

    Notes
    -----
    With several classes the length of a feature's coefficients is drawn.  Penalties
    whose strengths do not differ are drawn in their order.  A dashed line is the
    strength that the estimator chose.  Curves have the names of their features at the
    end, those of the largest coefficients where there are many: of the features that
    the estimator kept, or of all that are used.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import LeastSquares, path, plot_path
    >>> from sparseopt.prox import L1
    >>> found = path(LeastSquares(np.eye(3), [3.0, 0.1, -2.0]), L1(), n_lams=5)
    >>> plot_path(found).get_xscale()
    'log'
    """
    fitted = hasattr(model, "path_") and hasattr(model, "lams_")
    if not fitted and not isinstance(model, PathResult):
        raise TypeError(
            "The 'model' parameter of sparseopt.linear_model.plot_path must be a "
            "PathResult or a fitted ProximalRegressorCV or ProximalClassifierCV. "
            f"Got {describe(model)}."
        )
    lams = model.lams_ if fitted else model.lams
    # of penalties without a strength it is NaN
    placed = np.unique(lams).size < len(lams) or bool(np.isnan(lams).any())
    lams = np.arange(len(lams)) if placed else lams
    coef = model.path_ if fitted else model.coef
    if coef.ndim == 3:
        coef = np.linalg.norm(coef, axis=1 if fitted else 2)
    if names is not None and len(names) != coef.shape[1]:
        raise ValueError(
            "The 'names' parameter of sparseopt.linear_model.plot_path must have one "
            f"for each of {coef.shape[1]} features. Got {len(names)}."
        )
    if ax is None:
        pyplot = require("matplotlib.pyplot", "plots", extra="plot")
        ax = pyplot.subplots(layout="constrained")[1]
    used = np.flatnonzero(np.any(coef != 0, axis=0))
    shown = model.support_ if fitted else used
    for j in used:
        kept = j in shown
        ax.plot(lams, coef[:, j], lw=1.6 if kept else 0.8, alpha=1.0 if kept else 0.4)
    if np.all(lams > 0) and len(lams) > 1 and not placed:
        ax.set_xscale("log")
    if not placed:
        ax.invert_xaxis()
    if fitted:
        ax.axvline(model.lam_, color="0.4", ls="--", lw=1)
    if names is None:
        names = getattr(model, "feature_names_in_", None)
    largest = np.argsort(-np.abs(coef[-1, shown]), kind="stable")[:_NAMED]
    for j in shown[largest]:
        text = str(j if names is None else names[j])
        ax.annotate(
            f" {text}", (lams[-1], coef[-1, j]), va="center", fontsize="small",
            annotation_clip=False,
        )  # fmt: skip
    ax.axhline(0.0, color="0.7", lw=0.8, zorder=0)
    label = "position on the path" if placed else "strength of the penalty"
    ax.set(xlabel=label, ylabel="coefficient")
    return ax
