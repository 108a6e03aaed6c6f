"""What is measured of sparse linear models, and the bars it is judged by."""

import importlib
import statistics
import subprocess
import sys
from dataclasses import replace
from functools import partial

import _harness as h
import _linear_peers as peers
import numpy as np

TARGET = 1e-10
# The tightest gap that adelie reaches at its own tolerances.
ADELIE_TARGET = 3e-8
PACKAGES = ("sparseopt", "celer", "skglm", "adelie", "scikit-learn", "numba")
PACKAGES += ("numpy", "scipy")
PARTS = (5, 20, 100)
# Sections of files that have a script of their own, by file: their `SECTIONS` are
# functions of `quick` and `limit` that return rows and bars.
EXTRA = {"_subset_sections": ("subset", "envelope", "few-samples", "certificate")}


# -- sections -------------------------------------------------------------------------


def race(problems, candidates, target, limit):
    """Each problem with every candidate, at equal gap."""
    results = []
    for problem in problems:
        outcomes = []
        for candidate in candidates:
            error = partial(peers.error, problem)
            args = (problem, error, target, limit)
            outcomes.append(h.calibrate(problem.name, candidate, *args))
        outcomes = h.race(outcomes, repeats=7, budget=limit)
        report(outcomes, problem, target)
        results += outcomes
    return results


def report(outcomes, problem, target):
    """Table of one problem; ratios are to this library's time."""
    ours = outcomes[0].seconds
    rows = []
    for o in outcomes:
        bound = ">" if o.status == "over limit" else ""
        times = bound + h.number(o.seconds / ours)
        seconds = bound + h.number(o.seconds, 4)
        gap = h.number(o.error, 2)
        rows.append((o.candidate, o.variant, seconds, times, gap, o.runs, o.status))
    n, p = problem.X.shape
    print(f"{problem.name}  {n} x {p}, gap {target:g}")
    header = ("solver", "variant", "seconds", "ratio", "gap", "runs", "status")
    h.print_table(header, rows)


def race_lasso(problems, limit):
    """Single lasso problems, from strong to weak penalties."""
    candidates = [peers.ours(), peers.celer(), peers.skglm(), peers.sklearn()]
    return race(problems, candidates, TARGET, limit)


def race_group(problem, limit):
    """Group lasso at the gap of adelie, and at 1e-10 for ours."""
    candidates = [peers.ours(), peers.celer(), peers.skglm(), peers.adelie()]
    loose = race([problem], candidates, ADELIE_TARGET, limit)
    tight = problem._replace(name=f"{problem.name}-tight")
    # adelie does not get there: its fastest setting is the unit
    return loose + race([tight], candidates[:3], TARGET, limit)


def race_path(n_lams, limit, n, p):
    """A geometric grid down to a hundredth of the critical strength.

    Runs of the peers are long, so each has one setting, near the loosest that reaches
    the gap, and one run; what it leaves of the gap is told beside its time.
    """
    (single,) = peers.make_lasso((1,), n, p).values()
    lams = tuple(single.lams[0] * np.geomspace(1, 0.01, n_lams))
    problem = single._replace(name=f"path-{n_lams}", lams=lams)
    calls = [("sparseopt", "default", peers.ours().variants[0].prepare, 5)]
    for make, factor in ((peers.celer, 1e-2), (peers.skglm, 1e2)):
        candidate = make((factor,))
        if candidate.installed:
            variant = candidate.variants[0]
            calls.append((candidate.name, variant.label, variant.prepare, 1))
    outcomes = []
    for name, label, prepare, repeats in calls:
        call = prepare(problem, TARGET, 0)
        answer, first = h.timed(call)
        seconds = [first, *(h.timed(call)[1] for _ in range(repeats - 1))]
        found = peers.error(problem, answer)
        status = "ok" if found <= TARGET else "fails"
        outcomes.append(
            h.Outcome(
                problem.name,
                name,
                status,
                label,
                statistics.median(seconds),
                error=found,
                runs=repeats,
            )
        )
    report(outcomes, problem, TARGET)
    return outcomes


_FIRST = """
import time, sys
import numpy as np
sys.path.insert(0, {folder!r})
import _linear_peers as peers
problem = peers.make_lasso((20,))["lasso-20"]
call = peers._{name}(problem, {tol!r}, None{extra})
for _ in range(6):
    start = time.perf_counter()
    call()
    print(time.perf_counter() - start)
"""


def measure_first():
    """The first call of a fresh interpreter, and the median of the next five."""
    rows = []
    settings = {"ours": "", "celer": "", "skglm": ", factor=1e4"}
    for name, extra in settings.items():
        package = "sparseopt" if name == "ours" else name
        if h.version(package) is None:
            continue
        code = _FIRST.format(folder=str(h.HERE), name=name, tol=TARGET, extra=extra)
        seconds = []
        for _ in range(3):
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", code],
                capture_output=True,
                text=True,
                check=True,
            )
            seconds.append([float(line) for line in done.stdout.split()])
        first = statistics.median(run[0] for run in seconds)
        warm = statistics.median(s for run in seconds for s in run[1:])
        rows.append({"name": package, "first": first, "warm": warm})
    print("lasso-20: first call of an interpreter, and later ones")
    table = [(r["name"], h.number(r["first"]), h.number(r["warm"])) for r in rows]
    h.print_table(("solver", "first s", "warm s"), table)
    return rows


# -- bars -----------------------------------------------------------------------------


def by_problem(outcomes):
    """Outcomes as `table[problem][candidate]`."""
    table = {}
    for outcome in outcomes:
        table.setdefault(outcome.problem, {})[outcome.candidate] = outcome
    return table


def _ratio_bar(name, ours, others, bound):
    """Bar on our time over that of the best of others."""
    ready = [o for o in others if o.status == "ok"]
    target = f"<= {bound}x"
    if ours.status != "ok" or not ready:
        return h.Bar(name, target, f"{ours.status}, no peer reaches the gap", not ready)
    best = min(ready, key=lambda o: o.seconds)
    ratio = ours.seconds / best.seconds
    return h.Bar(name, target, f"{ratio:.2f}x {best.candidate}", ratio <= bound)


def lasso_bars(outcomes):
    """At most 0.8 of the best of celer and skglm at every strength."""
    return [
        _ratio_bar(f"{name} gap 1e-10", row["sparseopt"], _peers(row), 0.8)
        for name, row in by_problem(outcomes).items()
    ]


def _peers(row):
    return [row[name] for name in ("celer", "skglm") if name in row]


def group_bars(outcomes):
    """At most 0.9 of adelie at its gap, and 1e-10 within twice its time."""
    table = by_problem(outcomes)
    bars = []
    for name, row in table.items():
        if "adelie" not in row:
            continue
        bars.append(
            _ratio_bar(f"{name} gap 3e-8", row["sparseopt"], [row["adelie"]], 0.9)
        )
        tight = table.get(f"{name}-tight", {}).get("sparseopt")
        if tight is not None:
            unit = replace(row["adelie"])
            bars.append(_ratio_bar(f"{name} gap 1e-10", tight, [unit], 2.0))
    return bars


def path_bars(outcomes):
    """The whole path at most 0.8 of the best peer, at whatever gap that has."""
    bars = []
    for name, row in by_problem(outcomes).items():
        ours, others = row["sparseopt"], _peers(row)
        if not others:
            bars.append(h.Bar(f"{name} gap 1e-10", "<= 0.8x", "no peer", False))
            continue
        best = min(others, key=lambda o: o.seconds)
        ratio = ours.seconds / best.seconds
        text = f"{ratio:.2f}x {best.candidate}, which leaves {best.error:.1e}"
        met = ours.status == "ok" and ratio <= 0.8
        bars.append(h.Bar(f"{name} gap 1e-10", "<= 0.8x", text, met))
    return bars


def first_bars(rows):
    """The first call is as fast as later ones; reading libraries costs a little."""
    bars = []
    for row in rows[:1]:
        extra = row["first"] - row["warm"]
        text = f"{row['first']:.3g} s against {row['warm']:.3g} s"
        met = extra <= 0.05 + 0.3 * row["warm"]
        bars.append(h.Bar("first call", "<= 1.3x warm + 50 ms", text, met))
    return bars


# -- all ------------------------------------------------------------------------------


def sections(args):
    """Name, work and bars of every section, in order."""
    chosen = partial(h.wanted, only=args.only)
    limit = args.limit or (10.0 if args.quick else 60.0)
    size = (200, 2000) if args.quick else (500, 10_000)
    lasso = peers.make_lasso(PARTS, *size)
    some = [p for p in lasso.values() if chosen(p.name) or chosen("lasso")]
    yield "lasso", some, partial(race_lasso, some, limit), lasso_bars
    group = ["group"] if chosen("group") else []
    work = partial(race_group, peers.make_group(*size), limit)
    yield "group", group, work, group_bars
    path = ["path"] if chosen("path") else []
    n_lams = 20 if args.quick else 50
    yield "path", path, partial(race_path, n_lams, limit, *size), path_bars
    first = ["first"] if chosen("first") else []
    yield "first", first, measure_first, first_bars


def extra_sections(args):
    """Name and work of the sections of other files that are wanted."""
    for module, names in EXTRA.items():
        for name in names:
            if h.wanted(name, args.only):
                run = importlib.import_module(module).SECTIONS[name]
                yield name, partial(run, args.quick, args.limit)


def main(args):
    """Run the chosen sections and print the bars last."""
    env = h.environment(PACKAGES)
    h.print_environment(env)
    results, bars = {}, []
    for name, items, work, judge in sections(args):
        if items:
            results[name] = work()
            bars += judge(results[name])
    for name, work in extra_sections(args):
        results[name], found = work()
        bars += found
    h.print_bars(bars)
    if args.json:
        h.write_json(args.json, env, results, bars)
