"""
Paths: lasso, MCP and the envelope
==================================

As the penalty weakens, coefficients enter one by one. The lasso pays for its zeros with
coefficients that are too small; penalties that are not convex do not, and the envelope
holds the count of features rather than their size.
"""

# %%
# Two hundred samples, a thousand correlated features, eight of them relevant.
import matplotlib.pyplot as plt

from sparseopt.datasets import make_sparse_regression
from sparseopt.linear_model import LeastSquares, path
from sparseopt.prox import L1, MCP

X, y, truth, groups, name = make_sparse_regression(
    200, 1000, 8, rho=0.7, snr=4.0, random_state=1
)
print(name)
datafit = LeastSquares(X, y)

# %%
# Each path is solved from strong to weak, starting from the neighbour's solution. The
# true features are in colour.
relevant = truth != 0
fig, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
for ax, penalty in zip(axes, (L1(1.0), MCP(1.0, gamma=3.0)), strict=True):
    result = path(datafit, penalty, n_lams=60, eps=0.05)
    coefs = result.coef
    ax.plot(result.lams, coefs[:, ~relevant], color="0.8", lw=0.8)
    ax.plot(result.lams, coefs[:, relevant], lw=1.8)
    for value in (-1, 1):
        ax.axhline(value, color="k", lw=0.8, ls=":")
    ax.set_xscale("log")
    ax.invert_xaxis()
    ax.set_title(type(penalty).__name__)
    ax.set_xlabel("lam")
axes[0].set_ylabel("coefficients (truth: dotted)")
fig.tight_layout()
