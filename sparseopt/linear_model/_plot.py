"""Pictures of paths; matplotlib is imported when one is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparseopt._core._optional import require

_NAMED = 12


def plot_path(model: Any, ax: Any = None) -> Any:
    """Draw the coefficients along a path of strengths.

    Parameters
    ----------
    model : PathResult, ProximalRegressorCV or ProximalClassifierCV
        A path, or a fitted estimator that chose its strength on one.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.

    Notes
    -----
    With several classes the length of a feature's coefficients is drawn.  A dashed line
    is the strength that the estimator chose, and the features it kept, if they are few,
    are named at the end of their curves.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import LeastSquares, path, plot_path
    >>> from sparseopt.prox import L1
    >>> found = path(LeastSquares(np.eye(3), [3.0, 0.1, -2.0]), L1(), n_lams=5)
    >>> plot_path(found).get_xscale()
    'log'
    """
    fitted = hasattr(model, "path_")
    lams = model.lams_ if fitted else model.lams
    coef = model.path_ if fitted else model.coef
    if coef.ndim == 3:
        coef = np.linalg.norm(coef, axis=1 if fitted else 2)
    if ax is None:
        pyplot = require("matplotlib.pyplot", "plots", extra="examples")
        ax = pyplot.subplots(layout="constrained")[1]
    used = np.flatnonzero(np.any(coef != 0, axis=0))
    shown = model.support_ if fitted else used
    for j in used:
        kept = j in shown
        ax.plot(lams, coef[:, j], lw=1.6 if kept else 0.8, alpha=1.0 if kept else 0.4)
    if np.all(lams > 0) and len(lams) > 1:
        ax.set_xscale("log")
    ax.invert_xaxis()
    if fitted:
        ax.axvline(model.lam_, color="0.4", ls="--", lw=1)
    if shown.size <= _NAMED:
        names = getattr(model, "feature_names_in_", None)
        for j in shown:
            text = str(j if names is None else names[j])
            ax.annotate(
                f" {text}", (lams[-1], coef[-1, j]), va="center", fontsize="small",
                annotation_clip=False,
            )  # fmt: skip
    ax.axhline(0.0, color="0.7", lw=0.8, zorder=0)
    ax.set(xlabel="strength of the penalty", ylabel="coefficient")
    return ax
