"""
Signals in pieces
=================

Total variation and its relatives find pieces: constant ones, linear ones, monotone
ones. All operators here are exact; the one-dimensional ones take linear time.
"""

# %%
# A noisy signal with twelve levels. Total variation finds them, and shrinks their
# differences a little.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from sparseopt import prox
from sparseopt.datasets import make_piecewise_constant

noisy, signal = make_piecewise_constant(2000, 12, noise=0.5, random_state=3)
pieces = prox.prox_tv1d(noisy, lam=8.0)

# %%
# A signal with kinks: trend filtering penalises the second differences, so its pieces
# are linear. The isotonic operator gives the nearest increasing signal.
t = np.linspace(0, 1, 2000)
kinks = np.interp(t, [0, 0.2, 0.5, 0.55, 1.0], [0, 1.2, 0.4, 1.6, 2.0])
rng = np.random.default_rng(0)
measured = kinks + 0.25 * rng.standard_normal(t.size)
linear = prox.prox_trend_filter(measured, lam=300.0)
monotone = prox.prox_isotonic(measured)

fig, axes = plt.subplots(1, 3, figsize=(12, 3.6))
for ax, data, fit, truth, title in (
    (axes[0], noisy, pieces, signal, "total variation"),
    (axes[1], measured, linear, kinks, "trend filter"),
    (axes[2], measured, monotone, kinks, "isotonic"),
):
    ax.plot(t, data, ".", ms=1.5, color="0.7")
    ax.plot(t, truth, color="k", lw=1, label="truth")
    ax.plot(t, fit, color="C3", lw=1.8, label="operator")
    error = np.sqrt(np.mean((fit - truth) ** 2))
    ax.set_title(f"{title}, RMSE {error:.3f}")
axes[0].legend(loc="lower right")
fig.tight_layout()

# %%
# In two dimensions total variation removes noise and keeps edges.
image = load_sample_image("china.jpg").mean(axis=2)[100:300, 150:400] / 255
grainy = image + 0.12 * rng.standard_normal(image.shape)
clean = prox.prox_tv2d(grainy, lam=0.08)


def psnr(picture):
    """Peak signal-to-noise ratio against the original."""
    return -10 * np.log10(np.mean((picture - image) ** 2))


fig, axes = plt.subplots(1, 3, figsize=(12, 3.6))
for ax, picture, title in (
    (axes[0], image, "original"),
    (axes[1], grainy, f"noisy, {psnr(grainy):.1f} dB"),
    (axes[2], clean, f"total variation, {psnr(clean):.1f} dB"),
):
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    ax.set_title(title)
    ax.axis("off")
fig.tight_layout()
