"""Two looks for every figure, so that pages suit a light and a dark screen."""

from contextlib import contextmanager

# Okabe-Ito hues, told apart by readers with any colour vision.
HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8a8a8a")

_COMMON = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 144,
}
_INK = {
    "light": {
        "paper": "#ffffff",
        "ink": "#1f2328",
        "muted": "#59636e",
        "grid": "#e4e8ec",
    },
    "dark": {
        "paper": "#14181d",
        "ink": "#e6edf3",
        "muted": "#9aa4af",
        "grid": "#2a313a",
    },
}


@contextmanager
def theme(name):
    """Matplotlib settings of the ``"light"`` or ``"dark"`` look."""
    import matplotlib as mpl
    from cycler import cycler

    ink = _INK[name]
    colours = {
        "figure.facecolor": ink["paper"],
        "axes.facecolor": ink["paper"],
        "savefig.facecolor": ink["paper"],
        "text.color": ink["ink"],
        "axes.labelcolor": ink["muted"],
        "axes.edgecolor": ink["muted"],
        "axes.titlecolor": ink["ink"],
        "xtick.color": ink["muted"],
        "ytick.color": ink["muted"],
        "grid.color": ink["grid"],
        "axes.prop_cycle": cycler(color=HUES),
    }
    with mpl.rc_context(_COMMON | colours):
        yield
