"""
The shape of sparsity
=====================

What a penalty does is visible in one dimension: its proximal operator moves small
values to zero and leaves large ones more or less alone. In two dimensions its level
sets show where solutions like to be.
"""

# %%
# Thresholds
# ----------
# The l1 norm moves everything by the same amount. The others leave large values alone,
# at the price of convexity; where an operator jumps, two minimisers are equally good.
import matplotlib.pyplot as plt
import numpy as np

from sparseopt import prox

x = np.linspace(-4, 4, 2001)
operators = {
    "l1": prox.prox_l1(x, 1.0),
    "MCP": prox.prox_mcp(x, 1.0, 2.5),
    "SCAD": prox.prox_scad(x, 1.0, 3.7),
    "log-sum": prox.prox_log_sum(x, 1.2, 0.6),
    "l 1/2": prox.prox_l_half(x, 1.0),
    "l0": prox.prox_l0(x, 1.0),
}
fig, axes = plt.subplots(2, 3, figsize=(9, 6), sharex=True, sharey=True)
for ax, (name, y) in zip(axes.flat, operators.items(), strict=True):
    ax.plot(x, x, color="0.8", lw=1)
    jumps = np.flatnonzero(np.abs(np.diff(y)) > 0.1)
    ax.plot(x, np.insert(y, jumps + 1, np.nan)[: len(x)], lw=2)
    ax.set_title(name)
    ax.set_aspect("equal")
fig.supxlabel("x")
fig.supylabel("prox(x)")
fig.tight_layout()

# %%
# Between lasso and ridge
# -----------------------
# The envelope of "at most k coefficients" interpolates between the squared l1 norm (k =
# 1) and the squared Euclidean norm (k = n). The level set for k = 2 in three dimensions
# is the convex hull of three discs: its flat faces are where one coordinate is zero.
grid = np.linspace(-1.3, 1.3, 53)
fig, axes = plt.subplots(1, 3, figsize=(9, 3.4), sharey=True)
for ax, k in zip(axes, (1, 2, 3), strict=True):
    for third, alpha in ((0.0, 1.0), (0.6, 0.55), (0.9, 0.3)):
        values = [
            [prox.wgsef_value(np.array([u, v, third]), k) for u in grid] for v in grid
        ]
        ax.contour(grid, grid, values, levels=[0.5], colors="C0", alpha=alpha)
    ax.set_title(f"k = {k}")
    ax.set_aspect("equal")
fig.suptitle("Level sets of the envelope, at heights 0, 0.6 and 0.9")
fig.tight_layout()

# %%
# How many survive
# ----------------
# The operator keeps at least k of the coordinates. With strong regularisation it keeps
# nearly exactly k, and shrinks them; with weak regularisation it keeps more.
rng = np.random.default_rng(0)
z = rng.standard_t(3, size=100_000)
strengths = np.geomspace(1e-3, 1e3, 25)
fig, ax = plt.subplots(figsize=(6, 3.6))
for k in (100, 1000, 10_000):
    kept = [np.count_nonzero(prox.prox_wgsef(z, k, lam)) for lam in strengths]
    ax.loglog(strengths, kept, label=f"k = {k}")
    ax.axhline(k, color="0.8", lw=1, zorder=0)
ax.set_xlabel("lam")
ax.set_ylabel("coordinates kept")
ax.legend()
fig.tight_layout()
