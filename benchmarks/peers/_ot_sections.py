"""What is measured of entropic transport, and the bars it is judged by."""

import math
import statistics
import subprocess
import sys
from functools import partial

import _harness as h
import _ot_peers as peers
import numpy as np

from sparseopt.datasets import ot_benchmark_names, ot_benchmark_set

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
    for candidate in candidates:
        for name, problem in problems.items():
            error = partial(peers.marginal_error, problem)
            args = (problem, error, POT_TARGET, limit)
            outcomes[name].append(h.calibrate(name, candidate, *args))
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
        times = bound + h.number(o.seconds / ours)
        error = h.number(o.error, 2)
        rows.append((o.candidate, o.variant, seconds, times, error, o.runs, o.status))
    n, m = problem.C.shape
    print(f"{problem.name}  {n} x {m}  reg {problem.reg:.3g}")
    header = ("solver", "variant", "seconds", "ratio", "error", "runs", "status")
    h.print_table(header, rows)


def race_kernels(sizes):
    """One log-domain pass against `numpy.exp` of the matrix, one thread and two."""
    from sparseopt.ot import _kernels as k

    rows = []
    for n in sizes:
        problem = load(f"assignment-{n}")
        C, a = problem.C, problem.a
        f, g, c = np.zeros(n), np.zeros(k.padded(n)), np.zeros(k.padded(n))
        blocks, loga, out = k.row_blocks(n, n), np.log(a), np.empty_like(C)

        def one_pass(threads, C=C, a=a, loga=loga, f=f, g=g, c=c, blocks=blocks):
            k.dense_pass(C, a, loga, 1 / 1200, f, g, c, blocks, False, threads)

        scaled = C * -1200.0
        calls = [
            partial(one_pass, 1),
            partial(one_pass, 2),
            partial(np.exp, scaled, out=out),
        ]
        for call in calls:
            call()
        one, two, exp = map(statistics.median, h.interleave(calls, repeats=15))
        rows.append({"n": n, "pass": one, "pass_2": two, "exp": exp})
    print("one log-domain pass")
    for r in rows:
        r |= {"to_exp": r["pass"] / r["exp"], "speed_up": r["pass"] / r["pass_2"]}
    table = [(r["n"], *map(h.number, list(r.values())[1:])) for r in rows]
    h.print_table(("n", "pass", "2 threads", "np.exp", "/exp", "speed-up"), table)
    return rows


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
    """G3: the pass beside `numpy.exp`, and its second thread."""
    rows = [r for r in rows if r["n"] >= 1000]
    worst = max(r["to_exp"] for r in rows)
    least = min(r["speed_up"] for r in rows)
    return [
        h.Bar("G3 log-domain pass / np.exp", "<= 1.1", f"{worst:.3g}", worst <= 1.1),
        h.Bar(
            "G3 log-domain pass, 2 threads", ">= 1.8x", f"{least:.3g}x", least >= 1.8
        ),
    ]


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
