"""What is measured of the operators of the catalogue: elementwise, TV, SLOPE.

Sections of `prox.py`: each prints a table and returns its rows. Peers are warm, and
the distance of their answers from ours is shown.
"""

import importlib
import statistics
from functools import partial

import _harness as h
import numpy as np
from _prox_sections import Section, apart, candidates

from sparseopt import prox

REPEATS = 9
SAME = 1e-6  # as far as peers may be from ours in the table of speed
# What is in that table: levels of total variation, weights of SLOPE.
LEVELS = (1.0, 100.0)
WEIGHTS = {
    "bh": "weights of the false discovery rate",
    "line to 0": "weights on a line to 0",
}


def load(package, module, name):
    """A peer's function, or None where the package is not installed."""
    if h.version(package) is None:
        return None
    return getattr(importlib.import_module(module), name)


def race(calls, repeats=REPEATS):
    """Least and median seconds of each call, taken in turns; None stays.

    The tables here show the least and not the median: these take milliseconds, and a
    neighbour's work only adds to them.
    """
    present = {name: call for name, call in calls.items() if call is not None}
    for call in present.values():
        h.timed(call)
    seconds = h.interleave(list(present.values()), repeats)
    runs = dict(zip(present, seconds, strict=True))

    def by_name(pick):
        return {name: pick(runs[name]) if name in runs else None for name in calls}

    return by_name(min), by_name(statistics.median)


def as_records(times):
    """Times by the names that the table of speed knows."""
    return {"sparseopt" if key == "ours" else key: s for key, s in times.items()}


def table(title, rows):
    """Print rows of equal keys: milliseconds, ratios and words."""
    print(title)
    cells = [
        [h.number(v) if isinstance(v, int | float) else str(v) for v in row.values()]
        for row in rows
    ]
    h.print_table(list(rows[0]), cells)


def milliseconds(seconds):
    return "not installed" if seconds is None else 1e3 * seconds


def quotient(ours, peer):
    return "" if peer is None else ours / peer


# -- elementwise ----------------------------------------------------------------------


def race_elementwise(quick=False):
    """Passes over n entries against a copy of them."""
    rows = []
    rng = np.random.default_rng(0)
    for n in (10**4, 10**6) if quick else (10**4, 10**6, 10**7):
        for dtype in (np.float64, np.float32):
            x = rng.standard_normal(n).astype(dtype)
            y = np.where(x < 0, -1, 1).astype(dtype)
            calls = elementwise_calls(x, y, np.empty_like(x))
            least, _ = race(calls, 5 if n > 10**6 else REPEATS)
            copy = least.pop("copy")
            for name, seconds in least.items():
                row = {"operator": name, "n": n, "type": x.dtype.name}
                row |= {"ms": 1e3 * seconds, "copies": seconds / copy}
                rows.append(row)
    table("elementwise operators, in units of np.copyto", rows)
    return rows


def elementwise_calls(x, y, out):
    """One call for each kind of kernel; the public functions, checks included."""
    weights = np.abs(x)
    functions = {
        "l1": partial(prox.prox_l1, x, 0.5),
        "weighted l1": partial(prox.prox_l1, x, 0.5, weights=weights),
        "l0": partial(prox.prox_l0, x, 0.5),
        "MCP": partial(prox.prox_mcp, x, 0.5),
        "SCAD": partial(prox.prox_scad, x, 0.5),
        "log sum": partial(prox.prox_log_sum, x, 0.5),
        "l 1/2": partial(prox.prox_l_half, x, 0.5),
        "l 2/3": partial(prox.prox_l_two_thirds, x, 0.5),
        "l q": partial(prox.prox_lq, x, 0.5, 0.3),
        "group lasso, 5": partial(prox.prox_group_lasso, x, 0.5, groups=5),
        "linf": partial(prox.prox_linf, x, 0.5),
        "Huber": partial(prox.prox_huber, x, y, 0.5),
        "hinge": partial(prox.prox_hinge, x, y, 0.5),
        "logistic": partial(prox.prox_logistic, x, y, 0.5),
    }
    calls = {name: partial(call, out=out) for name, call in functions.items()}
    return {"copy": partial(np.copyto, out, x)} | calls


# -- total variation ------------------------------------------------------------------


def signals(n):
    """Noise alone, and noise on steps and on a walk."""
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(n)
    steps = np.repeat(3 * rng.standard_normal(n // 1000), 1000)
    walk = np.cumsum(0.1 * rng.standard_normal(n))
    return {"noise": noise, "steps": steps + 0.3 * noise, "walk": walk + noise}


def race_variation(quick=False):
    """copt's taut string (numba), n = 10^6; the relative distance of the answers."""
    n = 10**5 if quick else 10**6
    peer = load("copt", "copt.tv_prox", "prox_tv1d")
    rows, records = [], []
    for name, x in signals(n).items():
        for lam in (0.1, 1.0, 10.0, 100.0):
            out = np.empty_like(x)
            calls = {
                "ours": partial(prox.prox_tv1d, x, lam, out=out),
                "copt": peer and partial(peer, x, lam),
            }
            least, medians = race(calls, 5)
            other = None if peer is None else peer(x, lam)
            far = "" if other is None else np.abs(out - other).max()
            row = {"signal": name, "lam": lam, "ms": 1e3 * least["ours"]}
            row |= {"copt": milliseconds(least["copt"])}
            row |= {"ratio": quotient(*least.values()), "apart": far}
            rows.append(row)
            if lam in LEVELS:
                problem = f"total variation in 1-D, {name}, n = {n}, lam = {lam:g}"
                far = {} if other is None else {"copt": apart(other, out)}
                records += candidates(problem, as_records(medians), far, SAME)
    table(f"total variation, n = {n}", rows)
    return rows + records


def variation_bars(rows):
    """Half of copt's time."""
    ratios = [row["ratio"] for row in rows if row["ratio"] != ""]
    return [bar("TV-1D against copt", ratios, 0.5)]


def bar(name, ratios, target):
    """The bar is met where all ratios are; the range of them is shown."""
    if not ratios:
        return h.Bar(name, f"<= {target}", "peer not installed", False)
    low, high = min(ratios), max(ratios)
    middle = float(np.median(ratios))
    measured = f"{low:.2f} to {high:.2f}, median {middle:.2f}"
    return h.Bar(name, f"<= {target}", measured, high <= target)


# -- SLOPE ----------------------------------------------------------------------------


def slope_weights(n):
    """False discovery rate, straight lines to zero and to half, nearly the l1 norm."""
    return {
        "bh": prox.slope_weights(n),
        "line to 0": np.linspace(2, 0, n),
        "small": np.linspace(0.1, 0.05, n),
        "nearly equal": np.linspace(1, 0.99, n),
    }


def race_slope(quick=False):
    """skglm's pooling of sorted entries, and the whole operator with its sorting."""
    pooling = load("skglm", "skglm.utils.prox_funcs", "prox_SLOPE")
    rng = np.random.default_rng(2)
    rows, records = [], []
    for n in (10**5, 10**6) if quick else (10**6, 10**7):
        x = rng.standard_normal(n)
        ordered = np.sort(np.abs(x))[::-1].copy()
        for name, lam in slope_weights(n).items():
            out, again = np.empty_like(x), np.empty_like(x)
            calls = {
                "ours": partial(prox.prox_slope, x, lam, out=out),
                "ours, sorted": partial(prox.prox_slope, ordered, lam, out=again),
                "skglm, sorted": pooling and partial(pooling, ordered, lam),
                "skglm": pooling and partial(whole_slope, pooling, x, lam),
            }
            least, medians = race(calls, 3)
            far, errors = "", {}
            if pooling is not None:
                other = whole_slope(pooling, x, lam)
                far, errors = np.abs(out - other).max(), {"skglm": apart(other, out)}
            row = {"weights": name, "n": n} | {
                key: milliseconds(seconds) for key, seconds in least.items()
            }
            row["ratio"] = quotient(least["ours"], least["skglm"])
            sorted_times = least["ours, sorted"], least["skglm, sorted"]
            row |= {"ratio, sorted": quotient(*sorted_times), "apart": far}
            rows.append(row)
            if name in WEIGHTS:
                problem = f"prox of SLOPE, {WEIGHTS[name]}, n = {n}"
                whole = {key: medians[key] for key in ("ours", "skglm")}
                records += candidates(problem, as_records(whole), errors, SAME)
    table("SLOPE, milliseconds", rows)
    return rows + records


def slope_bars(rows):
    """0.7 of skglm's time, for the operator and where the input is sorted already."""
    bars = []
    for key, title in (("ratio", "SLOPE"), ("ratio, sorted", "SLOPE, sorted input")):
        ratios = [row[key] for row in rows if row[key] != ""]
        bars.append(bar(f"{title} against skglm", ratios, 0.7))
    return bars


def whole_slope(pooling, x, lam):
    """As skglm's penalty does it: sort, pool, put back."""
    magnitude = np.abs(x)
    order = np.argsort(magnitude)[::-1]
    result = np.zeros_like(x)
    result[order] = pooling(magnitude[order], lam)
    return np.sign(x) * result


SECTIONS = [
    Section("elementwise", race_elementwise, lambda rows: []),
    Section("total variation", race_variation, variation_bars),
    Section("slope", race_slope, slope_bars),
]
