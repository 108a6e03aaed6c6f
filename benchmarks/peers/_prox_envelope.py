"""The sparse envelope, simplex and l1 ball beside a copy and their peers."""

import math
from functools import partial

import _harness as h
import numpy as np
from _prox_sections import Section, apart, candidates, seconds

from sparseopt import prox

SAME = 1e-6  # as far as peers may be from ours in the table of speed
KS = (100, 10, 4, 2)  # k is n over these


def data(n, dtype=np.float64):
    """Normal entries, the same in every run."""
    return np.random.default_rng(0).normal(size=n).astype(dtype)


def ms(value):
    """Milliseconds as text."""
    return h.number(1e3 * value, 3)


def sorted_prox(x, k):
    """The textbook form, lam = 1: breakpoints sorted, sums accumulated."""
    z = np.abs(x)
    points = np.concatenate([1 / z, 2 / z])
    order = np.argsort(points)
    slopes = np.cumsum(np.concatenate([z, -z])[order])
    points = points[order]
    values = np.concatenate([[0.0], np.cumsum(np.diff(points) * slopes[:-1])])
    j = np.searchsorted(values, k) - 1
    eta = points[j] + (k - values[j]) / slopes[j]
    return np.copysign(np.clip(z - 1 / eta, 0, z / 2), x)


# -- time of the envelope -------------------------------------------------------------


def run_envelope(quick):
    """float64 and float32 against a copy, for several sizes and k."""
    rows = []
    for n in (10**4, 10**6) if quick else (10**4, 10**5, 10**6, 10**7):
        for part in KS:
            calls = {}
            for name, dtype in (("float64", np.float64), ("float32", np.float32)):
                x, out = data(n, dtype), np.zeros(n, dtype)
                calls[name] = partial(prox.prox_wgsef, x, n // part, out=out)
                if dtype is np.float64:
                    calls["copy"] = partial(np.copyto, out.copy(), x)
                    calls["new array"] = partial(prox.prox_wgsef, x, n // part)
            times = seconds(calls)
            rows.append({"n": n, "k": f"n/{part}", "times": times})
    header = ("n", "k", "copy ms", "float64 ms", "/ copy", "float32 ms", "/ float64")
    table = []
    for row in rows:
        copy, wide, narrow, new = (
            row["times"][name]["median"]
            for name in ("copy", "float64", "float32", "new array")
        )
        ratio = h.number(wide / copy), h.number(narrow / wide)
        cells = (row["n"], row["k"], ms(copy), ms(wide), ratio[0], ms(narrow))
        table.append((*cells, ratio[1], ms(new)))
    h.print_table((*header, "new array ms"), table)
    return rows


def envelope_bars(rows):
    """Beside a copy at 1e7, 0.03 ms at 1e4, float32, growth."""

    def time(row, name):
        return row["times"][name]["median"]

    bars = []
    for n, target in ((10**7, 3.0),):
        of_n = [row for row in rows if row["n"] == n]
        for row in of_n:
            ratio = time(row, "float64") / time(row, "copy")
            name = f"envelope n={n:.0e} k={row['k']} / copy"
            bars.append(
                h.Bar(name, f"<= {target:g}x", f"{ratio:.2f}x", ratio <= target)
            )
    small = [1e3 * time(row, "float64") for row in rows if row["n"] == 10**4]
    text = f"{max(small):.4f} ms at worst"
    bars.append(h.Bar("envelope n=1e4", "<= 0.03 ms", text, max(small) <= 0.03))
    for n in (10**6, 10**7):
        ratios = [
            time(row, "float32") / time(row, "float64") for row in rows if row["n"] == n
        ]
        if ratios:
            text = f"{max(ratios):.2f} at worst"
            name = f"envelope float32 / float64 n={n:.0e}"
            bars.append(h.Bar(name, "<= 0.6", text, max(ratios) <= 0.6))
    ends = [
        [time(row, "float64") for row in rows if row["n"] == n] for n in (10**5, 10**7)
    ]
    if all(ends):
        slope = max(math.log(b / a) for a, b in zip(*ends, strict=True)) / math.log(100)
        name = "envelope log-slope 1e5 to 1e7"
        bars.append(h.Bar(name, "<= 1.1", f"{slope:.2f} at worst", slope <= 1.1))
    return bars


# -- peers ----------------------------------------------------------------------------


def run_peers(quick):
    """The k-support prox of modopt and the sorted form, k = n/10, lam = 1."""
    rows, records = [], []
    for n in (10**4,) if quick else (10**4, 10**6):
        x, k = data(n), n // 10
        calls = {"sparseopt": partial(prox.prox_wgsef, x, k)}
        calls["sorted"] = partial(sorted_prox, x, k)
        if h.version("modopt"):
            from modopt.opt.proximity import KSupportNorm

            calls["modopt"] = partial(KSupportNorm(beta=1.0, k_value=k).op, x)
        mine = calls["sparseopt"]()
        times = seconds(calls, repeats=5 if n > 10**5 else None)
        for name, call in calls.items():
            error = float(np.abs(call() - mine).max())
            entry = {"n": n, "solver": name, "difference": error}
            rows.append(entry | {"seconds": times[name]["median"]})
        problem = f"prox of the envelope (squared k-support norm), n = {n}, k = n/10"
        medians = {name: times[name]["median"] for name in calls if name != "sorted"}
        far = {name: apart(calls[name](), mine) for name in medians}
        records += candidates(problem, medians, far, SAME)
    print_peers(rows)
    return rows + records


def print_peers(rows):
    """Times, and ratios to ours."""
    ours = {(r["n"], r.get("set")): r["seconds"] for r in rows[::-1]}
    ours |= {
        (r["n"], r.get("set")): r["seconds"] for r in rows if r["solver"] == "sparseopt"
    }
    table = [
        (
            f"{r.get('set', 'envelope')} {r['n']}",
            r["solver"],
            ms(r["seconds"]),
            h.number(r["seconds"] / ours[r["n"], r.get("set")]),
            h.number(r["difference"], 2),
        )
        for r in rows
    ]
    h.print_table(("problem", "solver", "ms", "ratio", "difference"), table)


def peer_bars(rows):
    """At least 250 times modopt, 150 times the sort."""
    bars = []
    times = {(r["n"], r["solver"]): r["seconds"] for r in rows}
    for peer, target in (("modopt", 250), ("sorted", 150)):
        name = f"envelope n=1e6 k=n/10, {peer}".replace(", ", " ")
        if (10**6, peer) in times:
            ratio = times[10**6, peer] / times[10**6, "sparseopt"]
            text, met = f"{ratio:.0f}x", ratio >= target
        elif h.version("modopt") is None and peer == "modopt":
            text, met = "not installed", False
        else:
            continue
        bars.append(h.Bar(name, f">= {target}x", text, met))
    return bars


def simplex_calls(x, which):
    """Projections by package; the l1 ball has a tenth of the norm of x as radius."""
    n = x.size
    radius = 1.0 if which == "simplex" else 0.1 * float(np.abs(x).sum())
    ours = prox.project_simplex if which == "simplex" else prox.project_l1_ball
    calls = {"sparseopt": partial(ours, x, radius)}
    if h.version("copt"):
        from copt import constraint

        project = {
            "simplex": constraint.euclidean_proj_simplex,
            "l1 ball": constraint.euclidean_proj_l1ball,
        }
        calls["copt"] = partial(project[which], x, radius)
    if h.version("pyproximal"):
        import pyproximal

        if which == "simplex":
            numba = pyproximal.Simplex(n, radius, engine="numba")
            calls["pyproximal numba"] = partial(numba.prox, x, 1.0)
        else:
            calls["pyproximal"] = partial(pyproximal.L1Ball(n, radius).prox, x, 1.0)
    if h.version("proxop"):
        import proxop

        if which == "simplex":
            calls["proxop"] = partial(proxop.Simplex(eta=radius).prox, x)
        else:
            calls["proxop"] = partial(proxop.L1Ball(eta=radius).prox, x)
    return calls


def run_simplex(quick):
    """Simplex and l1 ball."""
    rows, records = [], []
    n = 10**5 if quick else 10**6
    x = data(n)
    for which in ("simplex", "l1 ball"):
        calls = simplex_calls(x, which)
        answers = {}
        for name in list(calls):
            try:
                answers[name] = calls[name]()
            except Exception as failure:  # a peer that does not run with this NumPy
                print(f"{name} fails: {type(failure).__name__} {failure}"[:100])
                del calls[name]
        times = seconds(calls, repeats=7)
        for name in calls:
            error = float(np.abs(answers[name] - answers["sparseopt"]).max())
            entry = {"n": n, "set": which, "solver": name, "difference": error}
            rows.append(entry | {"seconds": times[name]["median"]})
        title = "radius a tenth of the norm" if which == "l1 ball" else "sum 1"
        problem = f"projection onto the {which}, n = {n}, {title}"
        medians = {name: times[name]["median"] for name in calls}
        far = {name: apart(answers[name], answers["sparseopt"]) for name in calls}
        records += candidates(problem, medians, far, SAME)
    print_peers(rows)
    return rows + records


def simplex_bars(rows):
    """A tenth of the best peer."""
    bars = []
    for which in ("simplex", "l1 ball"):
        of_set = {r["solver"]: r["seconds"] for r in rows if r["set"] == which}
        ours = of_set.pop("sparseopt")
        name = f"{which} n={rows[0]['n']:.0e}"
        if not of_set:
            bars.append(h.Bar(name, ">= 10x the best peer", "not installed", False))
            continue
        peer = min(of_set, key=of_set.get)
        ratio = of_set[peer] / ours
        text = f"{ratio:.1f}x ({peer})"
        bars.append(h.Bar(name, ">= 10x the best peer", text, ratio >= 10))
    return bars


# -- groups and memory ----------------------------------------------------------------


def run_groups(quick):
    """Weights, costs and groups beside the plain form."""
    n = 10**5 if quick else 10**6
    x, out, k = data(n), np.zeros(n), n // 100
    d = np.random.default_rng(1).uniform(0.5, 2.0, size=n)
    lists = prox.Groups.of(np.arange(n) % (n // 10), n)
    calls = {
        "single": partial(prox.prox_wgsef, x, k, out=out),
        "weights": partial(prox.prox_wgsef, x, k, weights=d, out=out),
        "costs": partial(prox.prox_wgsef, x, k, costs=d, out=out),
        "groups of 10": partial(prox.prox_wgsef, x, k, groups=10, out=out),
        "scattered groups": partial(prox.prox_wgsef, x, k, groups=lists, out=out),
        "value": partial(prox.wgsef_value, x, k),
        "conjugate": partial(prox.wgsef_conjugate, x, k),
        "norm prox": partial(prox.prox_ksupport, x, k, 10.0, out=out),
        "norm ball": partial(prox.project_ksupport_ball, x, k, 10.0, out=out),
    }
    times = seconds(calls)
    rows = [{"form": name, "n": n, "seconds": times[name]["median"]} for name in calls]
    base = rows[0]["seconds"]
    table = [
        (r["form"], r["n"], ms(r["seconds"]), h.number(r["seconds"] / base))
        for r in rows
    ]
    h.print_table(("form", "n", "ms", "/ single"), table)
    return rows


WORST = {
    "typical": "x = rng.normal(size=n)",
    "ties": "x = rng.integers(1, 4, size=n) * 1.0",
    "heavy tails": "x = rng.standard_cauchy(size=n)",
}


def run_memory(quick):
    """Peak memory of a call beyond its input and output, in units of the vector."""
    n = 2 * 10**6 if quick else 10**7
    rows = []
    rng = np.random.default_rng(0)
    for kind, source in WORST.items():
        scope = {"rng": rng, "n": n}
        exec(source, scope)
        peaks = {}
        for name, call in (
            ("before", ""),
            ("call", "prox_wgsef(x, x.size // 10, out=w)"),
        ):
            script = "from sparseopt.prox import prox_wgsef\nw = np.zeros_like(x)\n"
            script += "w += 1\nprox_wgsef(x[:10], 3)\n" + call
            peaks[name] = h.peak_memory(script, {"x": scope["x"]})
        extra = (peaks["call"] - peaks["before"]) / scope["x"].nbytes
        rows.append({"data": kind, "n": n, "extra": extra})
    table = [(r["data"], r["n"], h.number(r["extra"])) for r in rows]
    h.print_table(("data", "n", "extra memory / vector"), table)
    return rows


def memory_bars(rows):
    """0.2 of the vector for typical data, 0.6 at worst."""
    typical = rows[0]["extra"]
    worst = max(row["extra"] for row in rows)
    name = "envelope extra memory"
    return [
        h.Bar(f"{name} typical", "<= 0.2 x", f"{typical:.3f} x", typical <= 0.2),
        h.Bar(f"{name} worst", "<= 0.6 x", f"{worst:.3f} x", worst <= 0.6),
    ]


SECTIONS = [
    Section("envelope", run_envelope, envelope_bars),
    Section("envelope peers", run_peers, peer_bars),
    Section("simplex", run_simplex, simplex_bars),
    Section("groups", run_groups, lambda rows: []),
    Section("memory", run_memory, memory_bars),
]
