"""
Best subsets with a certificate
===============================

Which k features explain the target best? The convex envelope gives a number that no
subset of k features can beat, rounding it gives a subset, and the two together an
interval. Where it closes, the subset is proved to be the best.
"""

# %%
# Ten measurements of 442 patients, and all their pairwise products: 65 features.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from sparseopt.linear_model import SparseEnvelopeRegressor

data = load_diabetes()
poly = PolynomialFeatures(2, include_bias=False).fit(data.data)
X = StandardScaler().fit_transform(poly.transform(data.data))
y = (data.target - data.target.mean()) / data.target.std()
names = poly.get_feature_names_out(data.feature_names)
print(X.shape)

# %%
# For each k and each strength the interval of the ridge objective over subsets of k.
strengths = np.geomspace(1e-2, 30, 11)
fig, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True)
for ax, k in zip(axes, (2, 5, 10), strict=True):
    fits = [
        SparseEnvelopeRegressor(k=k, lam=lam, refit="ridge").fit(X, y)
        for lam in strengths
    ]
    lower = np.array([fit.lower_bound_ for fit in fits])
    upper = np.array([fit.upper_bound_ for fit in fits])
    certified = np.array([fit.certified_ for fit in fits])
    ax.fill_between(strengths, lower, upper, alpha=0.3)
    ax.plot(strengths, upper, label="subset found")
    ax.plot(strengths, lower, label="no subset is below")
    ax.plot(strengths[certified], upper[certified], "k*", label="proved optimal")
    ax.set_xscale("log")
    ax.set_title(f"k = {k}")
    ax.set_xlabel("lam")
axes[0].set_ylabel("objective")
axes[0].legend()
fig.tight_layout()

# %%
# The subset of five, and how the fit grows with k. The exchange finish ("splice")
# minimises the squared error of the subset itself.
best = SparseEnvelopeRegressor(k=5, lam=0.05, refit="splice").fit(X, y)
print([str(name) for name in names[best.support_]])

ks = np.arange(1, 16)
scores = [
    SparseEnvelopeRegressor(k=int(k), lam=0.05, refit="splice").fit(X, y).score(X, y)
    for k in ks
]
fig, ax = plt.subplots(figsize=(6, 3.4))
ax.plot(ks, scores, "o-")
ax.set_xlabel("features")
ax.set_ylabel("explained variance")
fig.tight_layout()
