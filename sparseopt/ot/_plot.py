"""Pictures of a transport result; matplotlib is imported when one is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparseopt._core._optional import require

_PIXELS = 600


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    pyplot = require("matplotlib.pyplot", "plots", extra="plot")
    return pyplot.subplots(layout="constrained")[1]


def plot_plan(result, ax: Any = None) -> Any:
    """Image of the plan; entries are summed in blocks if it has more than 600 rows."""
    ax = _axes(ax)
    colors = require("matplotlib.colors", "plots", extra="plot")
    plan = np.asarray(result.plan, dtype=np.float64)
    for axis in (0, 1):
        step = -(-plan.shape[axis] // _PIXELS)
        if step > 1:
            starts = np.arange(0, plan.shape[axis], step)
            plan = np.add.reduceat(plan, starts, axis=axis)
    top = float(plan.max())
    norm = colors.LogNorm(vmin=top * 1e-8, vmax=top)
    n, m = result.plan.shape
    image = ax.imshow(
        np.maximum(plan, top * 1e-8), norm=norm, cmap="magma",
        extent=(-0.5, m - 0.5, n - 0.5, -0.5), interpolation="nearest",
    )  # fmt: skip
    ax.figure.colorbar(image, ax=ax, label="mass")
    ax.set(xlabel="target", ylabel="source", title=f"plan, reg = {result.reg:.3g}")
    return ax


def plot_convergence(result, ax: Any = None) -> Any:
    """Marginal error over time, with the level of reg behind it."""
    ax = _axes(ax)
    h = result.history
    ms = 1e3 * h["time"]
    ax.semilogy(ms, h["residual"], "o-", ms=3, label="marginal error")
    ax.semilogy(ms, h["reg"], drawstyle="steps-post", color="0.6", label="reg")
    ax.set(xlabel="time (ms)", ylabel="marginal error, reg", title=str(result.status))
    ax.legend()
    return ax
