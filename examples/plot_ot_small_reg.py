"""
How small may the regularisation be?
====================================

The entropic plan tends to an optimal plan of the linear problem as the regularisation
falls. Each result brackets the linear optimum between a dual bound and the cost of a
feasible plan, so the price of regularisation is known without solving that problem.
"""

# %%
# A random assignment problem, whose optimum SciPy finds exactly, and two images on a
# grid, solved over six decades of regularisation.
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import linear_sum_assignment

from sparseopt import ot
from sparseopt.datasets import make_assignment, make_grid_pair

regs = np.geomspace(1e-1, 1e-7, 13)
problems = {
    "assignment, 300 x 300": make_assignment(300, random_state=0),
    "images of 20 x 20, squared L2": make_grid_pair(20),
    "images of 20 x 20, L1": make_grid_pair(20, "cityblock"),
}
results = {
    name: [ot.solve(p.C, p.a, p.b, reg, reg_relative=True) for reg in regs]
    for name, p in problems.items()
}

# %%
# The bracket closes on the optimum from both sides. The lower end meets it exactly when
# the potentials are those of an optimal vertex; the upper end goes as far as ``tol``
# allows.
name, problem = next(iter(problems.items()))
rows, columns = linear_sum_assignment(problem.C)
exact = problem.C[rows, columns].mean()
lower = np.array([result.lower_bound for result in results[name]])
upper = lower + [result.gap for result in results[name]]

fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
axes[0].fill_between(regs, lower, upper, alpha=0.25, label="certified bracket")
axes[0].axhline(exact, color="C1", label="exact optimum (SciPy)")
axes[0].set(xscale="log", ylabel="transport cost", title=name)
axes[0].set_ylim(0, 4 * exact)
axes[1].loglog(regs, upper / exact - 1, "o-", markersize=4, label="above the optimum")
axes[1].loglog(regs, 1 - lower / exact, "o-", markersize=4, label="below the optimum")
axes[1].set(title="distance of both ends, relative", ylim=(1e-9, 10))
for ax in axes:
    ax.set_xlabel("reg, share of the range of the cost")
    ax.invert_xaxis()
    ax.legend(fontsize=8)

# %%
# The relative width of the bracket falls in proportion to the regularisation, and the
# work grows slowly: most of it is a few more levels on the way down. Sinkhorn's
# iteration would need about ten times as many steps for each tenth of regularisation.
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for name, found in results.items():
    width = [result.gap / abs(result.value_linear) for result in found]
    axes[0].loglog(regs, width, "o-", markersize=4, label=name)
    axes[1].semilogx(regs, [result.n_iter for result in found], "o-", markersize=4)
    print(f"{name}: all converged: {all(result.converged for result in found)}")
axes[0].set_title("gap / cost", fontsize=10)
axes[1].set_title("iterations", fontsize=10)
axes[0].legend(fontsize=8)
for ax in axes:
    ax.set_xlabel("reg, share of the range of the cost")
    ax.invert_xaxis()
plt.show()
