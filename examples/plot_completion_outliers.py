"""
Find what is wrong in a matrix
==============================

Some entries of a low-rank matrix are known, some of those are grossly wrong, and
nobody says which. With ``loss="huber"`` the fit finds them, leaves them out, and
returns their places.
"""

# %%
# A surface of rank three. A third of it is known; one known entry in eight is not a
# measurement but a scribble.
import matplotlib.pyplot as plt
import numpy as np

from sparseopt.completion import complete

n = 240
x, y = np.linspace(-2, 2, n), np.linspace(-2, 2, n)[:, None]
surface = (
    np.exp(-((x - 0.6) ** 2)) * np.sin(2 * y)
    + np.cos(3 * x) * np.exp(-(y**2))
    + 0.3 * x * np.tanh(2 * y)
)
assert np.linalg.matrix_rank(surface) == 3

rng = np.random.default_rng(0)
known = rng.random(surface.shape) < 0.35
rows, cols = np.indices(surface.shape)
# two crossing strokes and a ring, hit by half, and single entries everywhere
drawn = (np.abs(rows - cols) < 5) | (np.abs(rows + cols - n) < 5)
drawn |= np.abs(np.hypot(rows - n / 2, cols - n / 2) - 80) < 5
wrong = known & (
    (drawn & (rng.random(surface.shape) < 0.5)) | (rng.random(surface.shape) < 0.04)
)
X = np.where(known, surface, np.nan)
X[wrong] += rng.choice([-1, 1], wrong.sum()) * rng.uniform(2, 5, wrong.sum())
print(f"{wrong.sum()} of {known.sum()} known entries are wrong")

# %%
# Least squares spreads each error over its row and its column. The Huber fit does not.
plain = complete(X, 3, random_state=0)
robust = complete(X, 3, loss="huber", random_state=0)
found = robust.outlier_mask
print(f"{(found & wrong).sum()} found, {(found & ~wrong).sum()} false alarms")


def error(result):
    """Relative error over all entries."""
    return np.linalg.norm(result.reconstruct() - surface) / np.linalg.norm(surface)


# %%
fig, axes = plt.subplots(1, 4, figsize=(13, 3.7))
look = {"cmap": "RdBu_r", "vmin": -1.6, "vmax": 1.6}
for ax, picture, title in (
    (axes[0], X, "known entries"),
    (axes[1], plain.reconstruct(), f"least squares, error {error(plain):.1e}"),
    (axes[2], robust.reconstruct(), f"huber, error {error(robust):.1e}"),
):
    ax.imshow(picture, **look)
    ax.set_title(title)
axes[3].imshow(found, cmap="gray_r", interpolation="none")
axes[3].set_title("outlier mask")
for ax in axes:
    ax.set_xticks([])
    ax.set_yticks([])
fig.tight_layout()
