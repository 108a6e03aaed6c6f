"""
Train here, predict there
=========================

A classifier learned on one set of points fails on another that a different sensor
recorded: shifted, sheared and a little turned, and without labels. Transport moves the
labelled points onto the new ones, and a classifier trained on the moved points fits.
"""

# %%
# Two half moons with labels; the second sensor sees them distorted.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from sparseopt.ot import SinkhornTransport

Xs, ys = make_moons(600, noise=0.07, random_state=0)
Xt, yt = make_moons(600, noise=0.07, random_state=1)

turn = np.deg2rad(15)
rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
shear = np.array([[1.3, 0.6], [0.6, 1.1]])
Xt = Xt @ shear @ rotation + [0.4, 0.5]

# %%
# Before: trained on the first sensor alone.
before = SVC(gamma=2.0).fit(Xs, ys)
print(f"accuracy without transport: {before.score(Xt, yt):.3f}")

# %%
# After: transport is a step of a pipeline. It is fitted to the points of both sensors
# (the labels of the second are never seen) and hands moved points to the classifier.
#
# To predict, points of the second sensor must stay where they are: they lie where the
# moved points lie. The step's default is to move whatever it is given, as if it came
# from the first sensor; with ``out_of_sample="identity"`` it moves the points that it
# was fitted on and no others, so that the pipeline's own ``score`` is the right call.
move = SinkhornTransport(reg=1e-3, out_of_sample="identity")
model = Pipeline([("move", move), ("classify", SVC(gamma=2.0))])
model.fit(Xs, ys, move__Xt=Xt)
after = model["classify"]
print(f"accuracy with transport:    {model.score(Xt, yt):.3f}")

# %%
# Points of the second sensor, coloured by their true label, on the decisions of both
# classifiers; between them, how the labelled points moved.
moved = model["move"].transform(Xs)
fig, axes = plt.subplots(1, 3, figsize=(11, 4), layout="constrained")
points = {"cmap": "RdBu", "s": 12, "edgecolors": "k", "linewidths": 0.3}
for ax, (name, classifier) in zip(
    axes[[0, 2]], {"before": before, "after": after}.items(), strict=True
):
    everything = np.r_[Xs, Xt]
    DecisionBoundaryDisplay.from_estimator(
        classifier, everything, ax=ax, cmap="RdBu", alpha=0.35, grid_resolution=300
    )
    ax.scatter(*Xt.T, c=yt, **points)
    ax.set_title(f"{name}: {classifier.score(Xt, yt):.1%} right", fontsize=10)

for start, end in zip(Xs[::5], moved[::5], strict=True):
    axes[1].plot(*np.c_[start, end], color="0.75", linewidth=0.6, zorder=0)
axes[1].scatter(*Xs.T, c=ys, alpha=0.25, **points | {"linewidths": 0})
axes[1].scatter(*moved.T, c=ys, **points)
axes[1].set_title("labelled points, moved", fontsize=10)
for ax in axes:
    ax.set(xticks=[], yticks=[], aspect="equal")
    ax.set(xlim=axes[0].get_xlim(), ylim=axes[0].get_ylim())
plt.show()

# %%
# The default is for points of the first sensor that were not there when the transport
# was fitted: they move too, by the entropic map, which is defined everywhere.
fresh, labels = make_moons(200, noise=0.07, random_state=2)
model["move"].set_params(out_of_sample="softmin")
carried = model["move"].transform(fresh)
print(f"new points on their side after moving: {after.score(carried, labels):.1%}")
