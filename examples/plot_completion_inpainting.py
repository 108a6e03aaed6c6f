"""
A picture from half of its pixels
=================================

Photographs are matrices of roughly low rank: their rows are mixtures of a few patterns.
Half of the pixels are enough to find these.
"""

# %%
# The moon in 512 x 512 pixels, half of them unknown.
import time

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

from sparseopt.completion import complete

image = data.moon() / 255
rng = np.random.default_rng(0)
known = rng.random(image.shape) < 0.5
X = np.where(known, image, np.nan)

# %%
# The penalty is chosen by what predicts pixels that are held out, up to rank 30.
result = complete(X, 30, alpha="auto", random_state=0)
ours = np.where(known, image, np.clip(result.reconstruct(), 0, 1))
print(f"alpha {result.alpha:.2f}, {result.n_iter} iterations, {result.elapsed:.2f} s")

# %%
# Beside it two fills that fit in a few lines: the mean of each column, and the
# truncated singular value decomposition, repeated until it agrees with its own fill.
means = np.where(known, image, np.nanmean(X, axis=0))


def svd_fill(X, known, start, rank, n_iter=60):
    """Fill by the truncated SVD of the last fill."""
    Z = start.copy()
    for _ in range(n_iter):
        U, s, Vt = np.linalg.svd(Z, full_matrices=False)
        Z = np.where(known, X, (U[:, :rank] * s[:rank]) @ Vt[:rank])
    return np.clip(Z, 0, 1)


start = time.perf_counter()
repeated = svd_fill(X, known, means, 30)
print(f"repeated SVD: {time.perf_counter() - start:.2f} s")


def psnr(picture):
    """Peak signal-to-noise ratio of the unknown pixels."""
    return -10 * np.log10(np.mean((picture - image)[~known] ** 2))


# %%
# The repeated SVD fits thirty directions to the known pixels without a penalty, and
# each of its rounds decomposes the whole picture. The penalty shrinks what the pixels
# do not support, and rounds go over known pixels only.
fig, axes = plt.subplots(2, 4, figsize=(12, 6.2))
part = np.s_[60:210, 290:440]
for column, (picture, title) in zip(
    axes.T,
    (
        (np.where(known, image, 0), "known pixels"),
        (means, f"column means, {psnr(means):.1f} dB"),
        (repeated, f"SVD of rank 30, {psnr(repeated):.1f} dB"),
        (ours, f"complete, {psnr(ours):.1f} dB"),
    ),
    strict=True,
):
    column[0].imshow(picture, cmap="gray", vmin=0.2, vmax=0.7)
    column[1].imshow(picture[part], cmap="gray", vmin=0.2, vmax=0.7)
    column[0].set_title(title)
    for ax in column:
        ax.axis("off")
fig.tight_layout()
