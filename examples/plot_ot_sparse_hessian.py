"""
Why sparse Newton steps work
============================

Newton's method on the dual of entropic transport needs the Hessian, an n x n matrix
that is dense in principle. As the regularisation falls it empties: almost all of its
entries drop below what double precision can see. The pictures here show it happen.
"""

# %%
# Two images of 28 x 28 pixels as distributions on one grid.
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm

from sparseopt import ot
from sparseopt.datasets import make_grid_pair

size = 28
C, a, b, name = make_grid_pair(size)
reg = 2e-4
print(name)

# %%
# A callback looks at the solver after each iteration. The potentials are made only when
# they are asked for; here one snapshot is kept for each level of regularisation.
snapshots = {}


def watch(state):
    f, g = state.potentials
    snapshots[state.reg] = (f.copy(), g.copy(), state.n_iter, state.residual)


result = ot.solve(C, a, b, reg, callback=watch)
print(result)


# %%
# The Hessian of the semi-dual couples two columns of the plan by the rows they share.
# Off-diagonal entries are divided by the diagonal ones.
def hessian(f, g, reg):
    """Normalised absolute entries of diag(c) - P' diag(1/a) P."""
    P = np.exp((f[:, None] + g - C) / reg)
    c = P.sum(axis=0)
    H = (P / P.sum(axis=1)[:, None]).T @ P
    return H / np.sqrt(np.outer(c, c))


levels = sorted(snapshots, reverse=True)
chosen = [levels[k] for k in np.linspace(0, len(levels) - 1, 4).round().astype(int)]
fig, axes = plt.subplots(1, 4, figsize=(12, 3.5), layout="constrained")
for ax, level in zip(axes, chosen, strict=True):
    f, g, n_iter, residual = snapshots[level]
    H = hessian(f, g, level)
    picture = ax.imshow(
        np.maximum(H, 1e-17), norm=LogNorm(1e-16, 1), cmap="magma", interpolation="none"
    )
    share = (H > 1e-16).mean()
    ax.set_title(
        f"reg {level:.1e}, iteration {n_iter}\n{share:.1%} of entries", fontsize=9
    )
    ax.set(xticks=[], yticks=[])
fig.colorbar(picture, ax=axes, label="entry / diagonal", shrink=0.8)

# %%
# Bands are pixels of neighbouring image rows: mass moves only a little way, so a pixel
# shares targets with its neighbours alone. Below, the entries that the solver works on
# and the error, iteration by iteration; the last iteration reads all entries once more,
# to certify the error.
history = result.history
fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
ax.semilogy(history["n_iter"], history["residual"], "o-", markersize=4)
ax.set(xlabel="iteration", ylabel="marginal error")
stored = ax.twinx()
share = history["nnz"] / C.size
stored.plot(history["n_iter"], share, color="C1", drawstyle="steps-mid")
stored.set_ylabel("entries in use, share of all", color="C1")
stored.set_ylim(0)

# %%
# The plan at the end, seen from single pixels: where the mass of six pixels goes.
plan = result.sparse_plan
middle = [size // 4, size // 2, 3 * size // 4]
pixels = [r * size + c for r in middle[:2] for c in middle]
fig, axes = plt.subplots(1, 6, figsize=(12, 2.3), layout="constrained")
for ax, i in zip(axes, pixels, strict=True):
    target = plan[[i]].toarray().reshape(size, size)
    ax.imshow(b.reshape(size, size), cmap="gray_r", alpha=0.35)
    ax.imshow(np.ma.masked_less(target / target.max(), 1e-3), cmap="viridis")
    ax.plot(i % size, i // size, "o", color="C3", markersize=5)
    ax.set(xticks=[], yticks=[])
plt.show()
