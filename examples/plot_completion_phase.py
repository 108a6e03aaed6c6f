"""
How many entries are enough
===========================

A matrix of rank k has ``k (m + n - k)`` degrees of freedom. With fewer entries than
that nothing can be recovered; how many more it takes depends on the method.
"""

# %%
# Matrices of 60 x 60, for every rank and every share of known entries: in how many
# of the trials are all entries recovered?
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sparseopt.completion import complete
from sparseopt.datasets import make_low_rank

SIDE, TRIALS = 60, 3
ranks = np.arange(1, 10, 2)
shares = np.linspace(0.06, 0.42, 10)


def recovered(rank, share, **options):
    """Part of the trials with a relative error below 1e-4."""
    rate = share * SIDE**2 / (rank * (2 * SIDE - rank))
    if rate < 1:
        return 0.0
    hits = 0
    for trial in range(TRIALS):
        problem = make_low_rank(
            SIDE, SIDE, int(rank), oversampling=rate, random_state=trial
        )
        with warnings.catch_warnings():  # failures are what we count
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", UserWarning)
            fit = complete(problem.X, int(rank), random_state=0, **options)
        hits += problem.relative_error(fit.U * fit.s, fit.V) < 1e-4
    return hits / TRIALS


classical = {"solver": "als-exact", "homotopy": False, "max_iter": 200}
maps = {
    "exact alternating minimisation": classical,
    "complete, as it is": {},
}

# %%
# Yellow: always recovered. Below the line there are fewer entries than degrees of
# freedom. Exact alternating minimisation from a spectral start needs a margin above it;
# the ridge that fades and the Gauss-Newton steps of `complete` need hardly any.
fig, axes = plt.subplots(1, 2, figsize=(11, 4.4), sharey=True)
for ax, (title, options) in zip(axes, maps.items(), strict=True):
    share_found = [[recovered(k, p, **options) for k in ranks] for p in shares]
    picture = ax.pcolormesh(
        ranks, shares, share_found, cmap="cividis", vmin=0, vmax=1, shading="nearest"
    )
    k = np.linspace(0, 10, 100)
    ax.plot(k, k * (2 * SIDE - k) / SIDE**2, "w--", lw=2, label="degrees of freedom")
    ax.set_xlim(0, 10)
    ax.set_ylim(shares[0] - 0.02, shares[-1] + 0.02)
    ax.set_title(title)
    ax.set_xlabel("rank")
axes[0].set_ylabel("share of entries known")
axes[0].legend(loc="lower right", labelcolor="white", frameon=False)
fig.colorbar(picture, ax=axes, label="recovered")
