"""
Move one shape onto another
===========================

Optimal transport finds the cheapest way to turn one distribution into another. Here
points of a spiral move onto a ring. At small regularisation the plan is nearly a
matching, and every point travels to one place.
"""

# %%
# Two clouds of points. The cost of moving one point is its squared distance.
import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial.distance import cdist

from sparseopt import ot

rng = np.random.default_rng(0)
n, m = 1500, 1200

angle = 4 * np.pi * np.sqrt(rng.random(n))
spiral = np.c_[np.cos(angle), np.sin(angle)] * (angle / (4 * np.pi))[:, None]
spiral += 0.02 * rng.normal(size=(n, 2))

turn = 2 * np.pi * rng.random(m)
ring = np.c_[np.cos(turn), np.sin(turn)] * (1 + 0.08 * rng.normal(size=m))[:, None]
ring += [3.5, 0.0]

C = cdist(spiral, ring, "sqeuclidean")

# %%
# One call solves the problem; no weights means uniform ones. The result prints as a
# table: the status, the values, and certificates of both.
result = ot.solve(C, reg=1e-4, reg_relative=True)
print(result)

# %%
# ``a_to_b`` carries every source point to the mean of where its mass goes. Between
# start and end, points move on straight lines. Colours are those of the start.
moved = result.a_to_b(ring)

fig, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
colours = plt.colormaps["turbo"](angle / angle.max())
for t in np.linspace(0, 1, 5):
    at = (1 - t) * spiral + t * moved
    ax.scatter(*at.T, s=6, c=colours, alpha=1.0 if t in (0, 1) else 0.35, linewidths=0)
for i in range(0, n, 25):
    ax.plot(*np.c_[spiral[i], moved[i]], color=colours[i], alpha=0.25, linewidth=0.8)
ax.set_aspect("equal")
ax.set_axis_off()

# %%
# The regularisation decides how much the mass of a point is spread. The plan, sorted by
# angle on both sides, goes from a blur to a curve; dark is less than a thousandth of
# the largest entry.
regs = (1e-1, 1e-2, 1e-4)
fig, axes = plt.subplots(1, 3, figsize=(9, 3.1), layout="constrained")
rows, columns = np.argsort(angle), np.argsort(turn)
for ax, reg in zip(axes, regs, strict=True):
    result = ot.solve(C, reg=reg, reg_relative=True)
    plan = result.plan[np.ix_(rows, columns)]
    shades = np.log10(np.maximum(plan / plan.max(), 1e-3))
    ax.imshow(shades, cmap="magma", aspect="auto", interpolation="nearest")
    share = (plan > 1e-3 * plan.max()).mean()
    ax.set_title(f"reg = {reg:g} of the range, {share:.1%} not dark", fontsize=9)
    ax.set(xticks=[], yticks=[], xlabel="ring, by angle")
axes[0].set_ylabel("spiral, by angle")

# %%
# The solver's history shows what it did: regularisation falls in steps, and at the last
# level Newton's method takes the error down to rounding.
history = result.history
fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.semilogy(history["n_iter"], history["residual"], "o-", markersize=4)
ax.set(xlabel="iteration", ylabel="marginal error")
levels = ax.twinx()
levels.semilogy(history["n_iter"], history["reg"], color="C1", drawstyle="steps-mid")
levels.set_ylabel("regularisation", color="C1")
plt.show()
