"""What is measured of entropic transport, and the bars it is judged by."""

import math
import statistics
import subprocess
import sys
from functools import partial

import _harness as h
import _ot_peers as peers
import numpy as np

from sparseopt.datasets import make_assignment, ot_benchmark_names, ot_benchmark_set

TARGET, POT_TARGET = 1e-10, 1e-9
PACKAGES = ("sparseopt", "regot", "POT", "ott-jax", "jax", "mdot-tnt", "torch")
PACKAGES += ("numpy", "scipy", "scikit-learn", "scikit-image")
POT_PROBLEMS = ("grid-l2-784", "grid-l1-784", "clouds-1000", "grid-l2-2025")
SWEEPS = ("grid-l2-784", "assignment-1000")
GROWTH = {
    "assignment": (500, 1000, 2000, 4000),
    "grid-l2": (784, 2025, 4096),
    "grid-l1": (784, 2025, 4096),
    "clouds": (1000, 2000, 4000),
}
REGS = ("1e-01", "1e-02", "", "1e-04")  # "" is the base problem, about 1e-3


def load(name):
    """One problem of the benchmark set."""
    return next(iter(ot_benchmark_set(names=[name])))


# -- sections -------------------------------------------------------------------------


def race_regot(names, limit):
    """Every problem against all of regot, with exact transport for scale."""
    results = []
    for name in names:
        problem = load(name)
        measure = partial(h.calibrate, name, problem=problem, target=TARGET)
        error = partial(peers.marginal_error, problem)
        mine = measure(peers.ours(), error=error, limit=limit)
        with_plan = peers.ours("sparseopt + plan", with_plan=True)
        outcomes = [mine, measure(with_plan, error=error, limit=limit)]
        outcomes.append(measure(peers.regot_ssns(), error=error, limit=limit))
        # the others only matter when they come near
        near = min(limit, 10 * mine.seconds + 0.3) if mine.status == "ok" else limit
        for candidate in peers.regot_others():
            outcomes.append(measure(candidate, error=error, limit=near))
        exact = measure(peers.pot_emd(), error=lambda plan: 0.0, limit=limit)
        outcomes = h.race([*outcomes, exact], budget=limit / 2)
        report(outcomes, problem)
        results += outcomes
    return results


def race_pot(names, limit):
    """POT, ott-jax and MDOT-TNT at regularisation 1e-3."""
    candidates = [peers.ours(), *peers.pot_solvers()]
    # those with threads of their own come last: after them no process can be forked
    candidates += [peers.mdot_tnt(), peers.ott_jax()]
    problems = {name: load(name) for name in names}
    outcomes = {name: [] for name in names}
    limits = dict.fromkeys(names, limit)
    for candidate in candidates:
        for name, problem in problems.items():
            error = partial(peers.marginal_error, problem)
            args = (problem, error, POT_TARGET, limits[name])
            outcomes[name].append(h.calibrate(name, candidate, *args))
            # enough to show the ratios that are asked for
            limits[name] = min(limit, 150 * outcomes[name][0].seconds + 5)
    results = []
    for name, problem in problems.items():
        raced = h.race(outcomes[name], budget=limit / 2)
        report(raced, problem)
        results += raced
    return results


def report(outcomes, problem):
    """Table of one problem; ratios are to this library's time."""
    ours = outcomes[0].seconds
    rows = []
    for o in outcomes:
        bound = ">" if o.status == "over limit" else ""
        seconds = bound + h.number(o.seconds, 4)
        times = "" if o.status == "fails" else bound + h.number(o.seconds / ours)
        error = h.number(o.error, 2)
        rows.append((o.candidate, o.variant, seconds, times, error, o.runs, o.status))
    n, m = problem.C.shape
    print(f"{problem.name}  {n} x {m}  reg {problem.reg:.3g}")
    header = ("solver", "variant", "seconds", "ratio", "error", "runs", "status")
    h.print_table(header, rows)


def race_kernels(sizes):
    """One pass of either form against NumPy's exp and BLAS, one thread and two."""
    rows = []
    for n in sizes:
        calls = kernel_calls(n)
        for call in calls.values():
            call()
        seconds = h.interleave(list(calls.values()), repeats=15)
        # the least: a pass takes milliseconds, and a neighbour's work only adds to it
        row = dict(zip(calls, map(min, seconds), strict=True))
        row |= {"n": n, "log / exp": row["log"] / row["np.exp"]}
        row["log, speed-up"] = row["log"] / row["log, 2"]
        row["scaling / gemv"] = row["scaling"] / row["2 gemv"]
        row["scaling, speed-up"] = row["scaling"] / row["scaling, 2"]
        rows.append(row)
    print("one pass over n x n entries: seconds, one thread and two")
    header = list(rows[0])
    header.insert(0, header.pop(header.index("n")))
    h.print_table(header, [[h.number(row[key]) for key in header] for row in rows])
    return rows


def kernel_calls(n):
    """The passes of this library and what bounds them, on the same n x n problem."""
    from sparseopt.ot import _kernels as k

    C, a = make_assignment(n, random_state=0)[:2]
    f, u, loga, blocks = np.zeros(n), np.zeros(n), np.log(a), k.row_blocks(n, n)
    g, c = np.zeros(k.padded(n)), np.zeros(k.padded(n))
    log_args = (C, a, loga, 1200.0, f, g, c, blocks, False)
    # exponents that NumPy's exp is fastest on: none of them underflows
    exponents, out = -20.0 * C, np.empty_like(C)
    K, v = np.exp(exponents), np.ones(n)
    scaling_args = (K, a, v, u, c, blocks)

    def two_gemv():
        K.T @ (a / (K @ v))

    return {
        "log": partial(k.dense_pass, *log_args, 1),
        "log, 2": partial(k.dense_pass, *log_args, 2),
        "np.exp": partial(np.exp, exponents, out=out),
        "scaling": partial(k.scaling_pass, *scaling_args, 1),
        "scaling, 2": partial(k.scaling_pass, *scaling_args, 2),
        "2 gemv": two_gemv,
    }


def race_threads(names):
    """Whole solves with one thread and two."""
    rows = []
    for name in names:
        problem = load(name)
        calls = [
            peers.ours(n_threads=k).variants[0].prepare(problem, TARGET, 0)
            for k in (1, 2)
        ]
        for call in calls:
            call()
        one, two = map(statistics.median, h.interleave(calls, repeats=5))
        rows.append({"name": name, "one": one, "two": two, "speed_up": one / two})
    print("whole solves, one thread and two")
    table = [(r["name"], *map(h.number, list(r.values())[1:])) for r in rows]
    h.print_table(("problem", "1 thread", "2 threads", "speed-up"), table)
    return rows


def measure_memory(names):
    """Peak resident memory of a process that loads a cost and solves."""
    source = (
        "import sparseopt.ot\n"
        "result = sparseopt.ot.solve(C, a, b, float(reg), tol=1e-10, n_threads=1)\n"
    )
    rows = []
    for name in names:
        problem = load(name)
        arrays = {"C": problem.C, "a": problem.a, "b": problem.b, "reg": problem.reg}
        peak = h.peak_memory(source, arrays) / 2**20
        rows.append({"name": name, "cost": problem.C.nbytes / 2**20, "peak": peak})
    print("peak memory, MiB")
    table = [(r["name"], *(f"{x:.0f}" for x in list(r.values())[1:])) for r in rows]
    h.print_table(("problem", "cost matrix", "peak"), table)
    return rows


def measure_import():
    """Seconds of imports in fresh interpreters, median of five."""
    rows = []
    for module in ("sparseopt", "sparseopt.ot", "numpy, scipy, sklearn"):
        code = (
            "import time; start = time.perf_counter()\n"
            f"import {module}\n"
            "print(time.perf_counter() - start)"
        )
        command = [sys.executable, "-P", "-c", code]
        runs = [
            float(subprocess.run(command, capture_output=True, check=True).stdout)
            for _ in range(6)
        ]
        rows.append({"module": module, "seconds": statistics.median(runs[1:])})
    print("import")
    h.print_table(
        ("module", "seconds"), [(r["module"], h.number(r["seconds"])) for r in rows]
    )
    return rows


# -- bars -----------------------------------------------------------------------------


def at_least(name, target, pairs):
    """Bar on the smallest ratio of (label, peer, ours); a peer that fails has none."""
    ratios, failed, bounds = [], 0, 0
    for label, peer, ours in pairs:
        if ours.status != "ok":
            return h.Bar(
                name, f">= {target:g}x", f"ours {ours.status} ({label})", False
            )
        if peer.status == "fails":
            failed += 1
        elif peer.status != "not installed":
            value, is_bound = h.ratio(peer, ours)
            ratios.append((value, label, is_bound))
            bounds += is_bound
    if not ratios:
        text = f"fails on all {failed} rows" if failed else "not measured"
        return h.Bar(name, f">= {target:g}x", text, failed > 0)
    value, label, is_bound = min(ratios)
    text = f"{'>' if is_bound else ''}{value:.3g}x at worst ({label}) of {len(ratios)}"
    text += f"; {bounds} over the limit" if bounds else ""
    text += f"; fails on {failed}" if failed else ""
    return h.Bar(name, f">= {target:g}x", text, value >= target)


def regot_bars(outcomes):
    """G1: beside SSNS by size, and never slower than anything in regot."""
    table = by_problem(outcomes)
    others = [
        (f"{name}, {candidate}", outcome, row["sparseopt"])
        for name, row in table.items()
        for candidate, outcome in row.items()
        if candidate.startswith("regot")
    ]
    bars = [at_least("G1 any regot solver, unseen problems included", 1, others)]
    sizes = {name: max(load(name).C.shape) for name in table if "unseen" not in name}
    for target, low, high in ((12, 700, 2000), (20, 2000, math.inf)):
        for mine, note in (("sparseopt", ""), ("sparseopt + plan", ", dense plan too")):
            pairs = [
                (name, table[name]["regot ssns"], table[name][mine])
                for name, size in sizes.items()
                if low <= size < high
            ]
            if pairs:
                bars.append(at_least(f"G1 regot ssns n>={low}{note}", target, pairs))
    return bars


def pot_bars(outcomes):
    """G2: beside POT, ott-jax and MDOT-TNT."""
    targets = {"POT sinkhorn_log": 100, "POT stabilized": 3, "POT epsilon_scaling": 3}
    targets |= {"ott-jax": 3, "MDOT-TNT": 3}
    table = by_problem(outcomes)
    return [
        at_least(
            f"G2 {peer}",
            target,
            [(name, row[peer], row["sparseopt"]) for name, row in table.items()],
        )
        for peer, target in targets.items()
    ]


def kernel_bars(rows):
    """G3: passes beside NumPy's exp and BLAS, and their second thread."""
    in_cache = [row for row in rows if row["n"] <= 1000]
    large = [row for row in rows if row["n"] >= 1000]
    from_memory = [row for row in rows if row["n"] >= 2000]
    bars = []
    for key, rows_of, target, worst in (
        ("log / exp", large, 1.1, max),
        ("scaling / gemv", in_cache, 1.0, max),
        ("scaling / gemv", from_memory, 0.8, max),
        ("log, speed-up", large, 1.8, min),
        ("scaling, speed-up", from_memory, 1.6, min),
    ):
        if rows_of:
            value = worst(row[key] for row in rows_of)
            met = value <= target if worst is max else value >= target
            sign = "<=" if worst is max else ">="
            name = f"G3 {key}, n={'/'.join(str(row['n']) for row in rows_of)}"
            bars.append(
                h.Bar(name.replace(", ", " "), f"{sign} {target}", f"{value:.3g}", met)
            )
    return bars


def thread_bars(rows):
    """Second thread on whole solves."""
    worst = min(rows, key=lambda r: r["speed_up"])
    text = f"{worst['speed_up']:.3g}x at worst ({worst['name']}) of {len(rows)}"
    met = worst["speed_up"] >= 1.5
    return [h.Bar("threads, whole solves n>=2000, 2 threads", ">= 1.5x", text, met)]


def growth_bars(outcomes):
    """G5 and G6: exponent of time in n, and time over four decades of reg."""
    table, bars = by_problem(outcomes), []
    seconds = {name: row["sparseopt"].seconds for name, row in table.items()}
    exponents = {}
    for kind, sizes in GROWTH.items():
        have = [n for n in sizes if f"{kind}-{n}" in seconds]
        if len(have) > 1:
            times = [seconds[f"{kind}-{n}"] for n in have]
            exponents[kind] = np.polyfit(np.log(have), np.log(times), 1)[0]
    if exponents:
        worst = max(exponents.values())
        text = " ".join(f"{kind} {value:.2f}" for kind, value in exponents.items())
        bars.append(h.Bar("G5 time exponent in n", "<= 2.3", text, worst <= 2.3))
    for base in SWEEPS:
        names = [f"{base}-reg{reg}" if reg else base for reg in REGS]
        if all(name in seconds for name in names):
            times = [seconds[name] for name in names]
            growth = max(times) / times[0]
            name = f"G6 reg 1e-1 to 1e-4, {base}"
            bars.append(h.Bar(name, "<= 6x", f"{growth:.3g}x", growth <= 6))
    return bars


def memory_bars(rows):
    """G5: peak memory over the cost matrix."""
    excess = {r["name"]: r["peak"] - 1.35 * r["cost"] for r in rows}
    name, worst = max(excess.items(), key=lambda item: item[1])
    text = f"1.35 C + {worst:.0f} MiB ({name})"
    met = worst <= 200e6 / 2**20
    return [h.Bar("G5 peak memory", "<= 1.35 C + 200 MB", text, met)]


def import_bars(rows):
    """G8: import time."""
    return [
        h.Bar(
            f"G8 import {r['module']}",
            "< 0.3 s",
            f"{r['seconds']:.3g} s",
            r["seconds"] < 0.3,
        )
        for r in rows[:2]
    ]


def by_problem(outcomes):
    """Outcomes as `table[problem][candidate]`."""
    table = {}
    for outcome in outcomes:
        table.setdefault(outcome.problem, {})[outcome.candidate] = outcome
    return table


def sections(args):
    """Name, work and bars of every section, in order."""
    chosen = partial(h.wanted, only=args.only)
    limit = args.limit or (20.0 if args.quick else 60.0)
    names = list(ot_benchmark_names(args.quick))
    at_limit = [name for name in names if chosen(name) or chosen("regot")]
    pot = [name for name in POT_PROBLEMS if name in names]
    pot = [name for name in pot if chosen(f"pot-{name}")]
    big = [name for name in ot_benchmark_names() if name.endswith(("-2000", "-2025"))]
    yield "regot", at_limit, partial(race_regot, at_limit, limit)
    yield "pot", pot, partial(race_pot, pot, limit)
    sizes = (500, 1000) if args.quick else (500, 1000, 2000, 4000)
    extra = {
        "kernels": partial(race_kernels, sizes),
        "threads": partial(race_threads, big),
        "memory": partial(measure_memory, big if args.quick else memory_names()),
        "import": measure_import,
    }
    for name, work in extra.items():
        yield name, [name] if chosen(name) else [], work


def memory_names():
    """The largest problems of every kind."""
    return [f"{kind}-{sizes[-1]}" for kind, sizes in GROWTH.items()]


BARS = {
    "regot": lambda rows: [*regot_bars(rows), *growth_bars(rows)],
    "pot": pot_bars,
    "kernels": kernel_bars,
    "threads": thread_bars,
    "memory": memory_bars,
    "import": import_bars,
}


def main(args):
    """Run the chosen sections and print the bars last."""
    env = h.environment(PACKAGES)
    h.print_environment(env)
    results, bars = {}, []
    for name, items, work in sections(args):
        if items:
            results[name] = work()
            bars += BARS[name](results[name])
    h.print_bars(bars)
    if args.json:
        h.write_json(args.json, env, results, bars)
