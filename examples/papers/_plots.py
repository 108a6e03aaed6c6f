"""The picture that every paper gets: each claim's measured over published value."""

import numpy as np

_MARKS = {"better": "#009E73", "within": "#0072B2", "worse": "#D55E00"}


def plot_claims(outcomes, path):
    """Draw the ratios of all measured claims on one logarithmic axis."""
    import matplotlib.pyplot as plt

    measured = [outcome for outcome in outcomes if outcome.ratio is not None]
    fig, ax = plt.subplots(figsize=(9, 0.9 + 0.3 * len(measured)))
    rows = np.arange(len(measured))[::-1]
    for row, outcome in zip(rows, measured, strict=True):
        claim = outcome.claim
        low, high = claim.accept
        if high > low:
            ax.barh(row, high - low, left=low, height=0.5, color="C6", alpha=0.25)
        else:
            ax.plot([low, low], [row - 0.25, row + 0.25], color="C6")
        # the value is known only from below: an arrow instead of a dot
        marker = ">" if outcome.at_least else "o"
        colour = _MARKS.get(outcome.verdict, "C6")
        ax.plot(outcome.ratio, row, marker, color=colour, markersize=7)
    labels = [
        f"{o.claim.text} ({'less' if o.claim.better == 'lower' else 'more'} is better)"
        f"\n{o.claim.setting}"
        for o in measured
    ]
    ax.set_yticks(rows, labels, fontsize=7.5, linespacing=1.1)
    ax.axvline(1, color="C6", linewidth=1)
    ax.set_xscale("log")
    ax.set_xlabel("measured here / published")
    ax.set_title("Published claims, measured again")
    handles = [
        plt.Line2D([], [], marker="o", linestyle="", color=c, label=name)
        for name, c in _MARKS.items()
        if any(o.verdict == name for o in measured)
    ]
    ax.legend(handles=handles, loc="best")
    fig.savefig(path)
    plt.close(fig)
