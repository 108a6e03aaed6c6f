"""
Colours of one picture in another
=================================

The colours of a photograph are a distribution in a cube. Transport between two such
distributions repaints each photograph in the palette of the other. With two thousand
colours instead of a few dozen, and small regularisation, hues stay clean and gradients
do not break into steps.
"""

# %%
# Two photographs that ship with scikit-learn. Cutting the pixels at the median of the
# widest channel, again and again, gives 2048 groups of equal size; their mean colours
# are the points of the distribution.
import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from sklearn.datasets import load_sample_image

from sparseopt import ot


def palette(image, n_cuts=11):
    """Mean colours of 2**n_cuts groups of pixels of equal size."""
    pixels = image.reshape(-1, 3) / 255
    whole = len(pixels) >> n_cuts << n_cuts
    groups = np.random.default_rng(0).permutation(pixels)[None, :whole]
    for _ in range(n_cuts):
        widest = np.ptp(groups, axis=1).argmax(axis=1)
        keys = np.take_along_axis(groups, widest[:, None, None], axis=2)
        order = keys[..., 0].argsort(axis=1)
        groups = np.take_along_axis(groups, order[..., None], axis=1)
        groups = groups.reshape(2 * len(groups), -1, 3)
    return groups.mean(axis=1)


china, flower = (load_sample_image(f"{name}.jpg") for name in ("china", "flower"))
x, y = palette(china), palette(flower)

# %%
# One solve gives both directions.
result = ot.solve(cdist(x, y, "sqeuclidean"), reg=2e-4, reg_relative=True)
print(result)


# %%
# A pixel is shifted by what the colours nearest to it are shifted on average, so that
# detail finer than the palette is kept.
def repaint(image, colours, moved, n_near=16):
    """Add to each pixel the mean displacement of the colours near it."""
    pixels = image.reshape(-1, 3) / 255
    unique, number = np.unique(image.reshape(-1, 3), axis=0, return_inverse=True)
    _, near = KDTree(colours).query(unique / 255, k=n_near)
    shift = (moved - colours)[near].mean(axis=1)
    return np.clip(pixels + shift[number.ravel()], 0, 1).reshape(image.shape)


x_moved, y_moved = result.a_to_b(y), result.b_to_a(x)
panels = {
    "china": china,
    "flower": flower,
    "china in the colours of flower": repaint(china, x, x_moved),
    "flower in the colours of china": repaint(flower, y, y_moved),
}
fig, axes = plt.subplots(2, 2, figsize=(9, 6.2), layout="constrained")
for ax, (title, image) in zip(axes.flat, panels.items(), strict=True):
    ax.imshow(image)
    ax.set_title(title, fontsize=10)
    ax.set_axis_off()

# %%
# The same in the colour cube: the colours of the first photograph, where they are sent,
# and the colours of the second.
fig = plt.figure(figsize=(9, 3.4), layout="constrained")
cubes = {"china": x, "china, moved": x_moved, "flower": y}
for k, (title, points) in enumerate(cubes.items(), 1):
    ax = fig.add_subplot(1, 3, k, projection="3d")
    ax.scatter(*points.T, c=np.clip(points, 0, 1), s=3, linewidths=0)
    ax.set(xlim=(0, 1), ylim=(0, 1), zlim=(0, 1), title=title)
    ax.set(xlabel="red", ylabel="green", zlabel="blue")
    ax.set(xticklabels=[], yticklabels=[], zticklabels=[])
    ax.view_init(22, -50)
plt.show()
