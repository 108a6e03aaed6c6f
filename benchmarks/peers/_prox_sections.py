"""The sections of the proximal benchmark: each module of `MODULES` brings some.

A section is a `Section`: a name, `run(quick)` that prints a table and returns its rows,
and `bars(rows)`.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import _harness as h
import numpy as np

# Modules with a list SECTIONS, in the order of the report.
MODULES = ("_prox_envelope", "_prox_catalogue")
PACKAGES = ("sparseopt", "modopt", "copt", "pyproximal", "proxop", "skglm", "numba")
PACKAGES += ("numpy", "scipy")


@dataclass(frozen=True)
class Section:
    """A part of the report that can be chosen by `--only`."""

    name: str
    run: Callable[[bool], list[dict]]
    bars: Callable[[list[dict]], list[h.Bar]]


def sections():
    """Those of all modules that are there."""
    for name in MODULES:
        if importlib.util.find_spec(name):
            yield from importlib.import_module(name).SECTIONS


def main(args):
    """Run the chosen sections and print the bars last."""
    env = h.environment(PACKAGES)
    h.print_environment(env)
    results, bars = {}, []
    for section in sections():
        if h.wanted(section.name, args.only):
            print(section.name)
            results[section.name] = section.run(args.quick)
            bars += section.bars(measured(results[section.name]))
    h.print_bars(bars)
    if args.json:
        h.write_json(args.json, env, results, bars)


def candidates(problem, seconds, distances, most):
    """Records of one race for the table of speed; `seconds` by name, None for absent.

    Answers that are farther than `most` from ours, relative to its largest entry, count
    as failures.
    """
    records = []
    for name, time in seconds.items():
        record = {"problem": problem, "candidate": name, "status": "not installed"}
        if time is not None:
            near = distances.get(name, 0.0) <= most
            record["status"] = "ok" if near else "fails"
            record["error"] = distances.get(name, 0.0)
        records.append(record | {"seconds": time})
    return records


def apart(answer, ours):
    """Largest difference, relative to the largest of our entries."""
    return float(np.abs(answer - ours).max() / (np.abs(ours).max() or 1))


def measured(rows):
    """The rows of a section without the records for the table of speed."""
    return [row for row in rows if "candidate" not in row]


def seconds(calls, budget=2.0, repeats=None):
    """Median and least seconds of calls by name, taken in turns.

    Each run of a short call is repeated until a clock can measure it.
    """
    inner, warm = {}, {}
    for name, call in calls.items():
        call()
        _, warm[name] = h.timed(call)
        inner[name] = max(1, int(2e-3 / max(warm[name], 1e-7)))
    rounds = repeats or int(min(41, max(5, budget / max(sum(warm.values()), 1e-2))))
    order = list(calls)

    def many(name):
        def run():
            for _ in range(inner[name]):
                calls[name]()

        return run

    runs = h.interleave([many(name) for name in order], rounds)
    return {
        name: {
            "median": sorted(times)[len(times) // 2] / inner[name],
            "least": min(times) / inner[name],
        }
        for name, times in zip(order, runs, strict=True)
    }
