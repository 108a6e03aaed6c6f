"""Side-by-side timing of solvers at equal accuracy; knows nothing of any family.

A script describes a problem, an `error(answer)` measured from outside, and candidates
with one or more variants each.  `calibrate` finds, for every candidate, the variant and
the loosest tolerance with which it reaches the target, in a forked child that is killed
when it takes too long; `race` then times the winners in turns in this process.
"""

import argparse
import importlib.metadata
import json
import math
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

TOLS = (1.0, 0.3, 0.1, 0.03, 0.01, 1e-3)  # asked of a solver, times the target
PILOT = 20  # iterations that tell the cost of one
GRACE = 1.0  # seconds for start, conversion and error measurement in a child
HERE = Path(__file__).resolve().parent
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


@dataclass(frozen=True)
class Variant:
    """One setting of a solver; `prepare(problem, tol, max_iter)` makes the timed call.

    What `prepare` does, such as moving data to the layout the package wants, is not
    timed.
    """

    label: str
    prepare: Callable[[Any, float, int], Callable[[], Any]]
    max_iter: int = 10_000
    can_fork: bool = True


@dataclass(frozen=True)
class Candidate:
    """A solver of a package, in all the variants from which the best is taken."""

    name: str
    package: str
    variants: Sequence[Variant]

    @property
    def installed(self):
        return version(self.package) is not None


@dataclass(frozen=True)
class Outcome:
    """What one candidate did on one problem.

    `status` is "ok", "fails" (ran, but stayed above the target error), "over limit" or
    "not installed"; for "over limit" the seconds are a lower bound.
    """

    problem: str
    candidate: str
    status: str
    variant: str = ""
    seconds: float = math.nan
    spread: float = math.nan
    error: float = math.nan
    runs: int = 0
    info: dict = field(default_factory=dict)
    call: Callable[[], Any] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Bar:
    """A performance bar of the specification and what was measured."""

    name: str
    target: str
    measured: str
    met: bool

    def __str__(self):
        verdict = "met" if self.met else "short"
        return f"{self.name}, {self.target}, {self.measured}, {verdict}"


# -- environment ----------------------------------------------------------------------


def fix_threads(n_threads=1):
    """Start this script again with every thread pool limited, unless it already is.

    The limits must stand before numerical libraries are loaded.
    """
    wanted = dict.fromkeys(THREAD_VARIABLES, str(n_threads))
    wanted["XLA_FLAGS"] = (
        "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    )
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.environ.update(wanted)
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def parse_args(description):
    """Command line that every peer script has."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=form)
    parser.add_argument("--quick", action="store_true", help="small problems only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write results here")
    parser.add_argument(
        "--only",
        default="",
        metavar="WORDS",
        help="comma-separated parts of problem or section names; others are skipped",
    )
    parser.add_argument(
        "--limit", type=float, help="seconds after which one peer run is given up"
    )
    args = parser.parse_args()
    args.only = [word for word in args.only.split(",") if word]
    return args


def wanted(name, only):
    """Whether a problem or section is selected by `--only`."""
    return not only or any(word in name for word in only)


def version(package):
    """Version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def environment(packages):
    """Hardware, commit and versions that made the numbers."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    git = ["git", "-C", str(HERE), "rev-parse", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load_at_start": round(os.getloadavg()[0], 2),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "commit": commit or "unknown",
        "date": time.strftime("%Y-%m-%d"),
        "threads": os.environ.get("OMP_NUM_THREADS", "not fixed"),
        "versions": {name: version(name) or "not installed" for name in packages},
    }


# -- timing ---------------------------------------------------------------------------


def timed(call):
    """Answer and seconds of one call, silent.

    Seconds are the lesser of wall and CPU time: on a machine with other work the wall
    clock counts waiting, and with several threads the CPU clock counts each of them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wall, cpu = time.perf_counter(), time.process_time()
        answer = call()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return answer, min(wall, cpu)


def interleave(calls, repeats=5, budget=math.inf):
    """Seconds of every call, taken in turns and in alternating order.

    A call whose runs have used up `budget` seconds sits out the remaining rounds, so a
    slow peer has fewer runs than the fast ones; each has at least one.
    """
    seconds = [[] for _ in calls]
    order = list(range(len(calls)))
    for _ in range(repeats):
        for k in order:
            if sum(seconds[k]) < budget:
                seconds[k].append(timed(calls[k])[1])
        order.reverse()
    return seconds


def in_child(function, limit):
    """Result of `function()` in a forked child, or None when it runs past `limit`."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def work():
        sender.send(function())
        sender.close()
        os._exit(0)

    child = context.Process(target=work, daemon=True)
    child.start()
    sender.close()
    try:
        return receiver.recv() if receiver.poll(limit + GRACE) else None
    except EOFError:  # the process died
        return {"seconds": math.nan, "error": math.inf, "info": {"raised": "crash"}}
    finally:
        child.kill()
        child.join()


def calibrate(name, candidate, problem, error, target, limit):
    """Fastest way of a candidate to `error(answer) <= target`, each run within `limit`.

    Returns an `Outcome` of one run, with the call to repeat it.
    """
    if not candidate.installed:
        return Outcome(name, candidate.name, "not installed")
    outcomes = []
    for variant in candidate.variants:
        found = _calibrate_variant(variant, problem, error, target, limit)
        outcome = Outcome(name, candidate.name, variant=variant.label, runs=1, **found)
        if outcome.status == "ok":
            limit = min(limit, 3 * outcome.seconds + 0.5)
            settings = outcome.info["tol"], outcome.info["max_iter"]
            outcome = replace(outcome, call=variant.prepare(problem, *settings))
        outcomes.append(outcome)
    return min(outcomes, key=_rank)


def _calibrate_variant(variant, problem, error, target, limit):
    """Loosest tolerance that reaches the target, with as many iterations as fit.

    Fields of an `Outcome`.
    """

    def attempt(tol, max_iter):
        args = (variant.prepare, problem, tol, max_iter, error)
        if not variant.can_fork:
            return _attempt(*args)
        return in_child(lambda: _attempt(*args), limit)

    best = {"status": "over limit", "seconds": limit}
    cap = min(PILOT, variant.max_iter)
    for scale in TOLS:
        last = None
        while True:
            found = attempt(scale * target, cap)
            if found is None:
                return best | {"status": "over limit", "seconds": limit}
            found["info"] |= {"tol": scale * target, "max_iter": cap}
            if found["error"] <= target:
                return found | {"status": "ok"}
            if found["error"] < best.get("error", math.inf) or "error" not in best:
                best = found | {"status": "fails"}
            if "raised" in found["info"]:
                return best
            room = 0.9 * limit / max(found["seconds"], 1e-6)
            if room < 1.3 and cap < variant.max_iter:  # stopped by us
                return best | {"status": "over limit", "seconds": found["seconds"]}
            if room < 1.3 or cap == variant.max_iter or found["error"] == last:
                break  # stopped by itself: ask for more
            last, cap = found["error"], int(min(variant.max_iter, room * cap))
    return best


def _attempt(prepare, problem, tol, max_iter, error):
    call = prepare(problem, tol, max_iter)
    try:
        answer, seconds = timed(call)
        return {"seconds": seconds, "error": float(error(answer)), "info": {}}
    except Exception as failure:
        info = {"raised": str(failure)[:200]}
        return {"seconds": math.nan, "error": math.inf, "info": info}


def _rank(outcome):
    """Fastest first, then the most accurate failure, then what never came back."""
    if outcome.status == "ok":
        return 0, outcome.seconds
    return (1, outcome.error) if outcome.error < math.inf else (2, 0.0)


def race(outcomes, repeats=5, budget=30.0):
    """Time the outcomes that are "ok" in turns and return all with their medians."""
    ready = [outcome for outcome in outcomes if outcome.status == "ok"]
    for outcome in ready:
        if outcome.seconds < 1:  # calibration warmed a child, not this process
            timed(outcome.call)
    seconds = interleave([outcome.call for outcome in ready], repeats, budget)
    finished = {
        outcome.candidate: replace(
            outcome,
            seconds=statistics.median(runs),
            spread=(max(runs) - min(runs)) / statistics.median(runs),
            runs=len(runs),
        )
        for outcome, runs in zip(ready, seconds, strict=True)
    }
    return [finished.get(outcome.candidate, outcome) for outcome in outcomes]


def ratio(peer, ours):
    """How many times slower a peer is, and whether that is only a lower bound."""
    return peer.seconds / ours.seconds, peer.status == "over limit"


# -- memory ---------------------------------------------------------------------------

_PEAK = """
import sys
from pathlib import Path
status = Path("/proc/self/status")
if status.exists():  # ru_maxrss also counts the parent that forked this process
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    peak = int(fields["VmHWM"].split()[0]) * 1024
else:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak, file=sys.stderr)
"""


def peak_memory(source, arrays, limit=600.0):
    """Peak resident bytes of a fresh interpreter that runs `source`.

    The arrays are in its namespace, loaded one by one from files so that making them
    leaves no trace in the peak.
    """
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        lines = ["import numpy as np"]
        for name, array in arrays.items():
            path = Path(folder) / f"{name}.npy"
            np.save(path, array)
            lines.append(f"{name} = np.load({str(path)!r})")
        script = "\n".join([*lines, source, _PEAK])
        done = subprocess.run(
            [sys.executable, "-P", "-W", "ignore", "-c", script],
            capture_output=True,
            text=True,
            timeout=limit,
            cwd=folder,
        )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return int(done.stderr.strip().splitlines()[-1])


# -- report ---------------------------------------------------------------------------


def number(value, digits=3):
    """Short text for a number, empty for nan."""
    if isinstance(value, int):
        return str(value)
    return "" if math.isnan(value) else f"{value:.{digits}g}"


def print_table(header, rows):
    """Columns as wide as their widest cell; the first is left-aligned."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for i, row in enumerate(cells):
        first, *rest = (
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *rest]).rstrip())
        if i == 0:
            print("  ".join("-" * width for width in widths))
    print(flush=True)


def print_environment(env):
    """Header of a report."""
    for key in ("cpu", "cores", "load_at_start", "threads", "python", "commit"):
        print(f"{key:14s} {env[key]}")
    print_table(("package", "version"), env["versions"].items())


def print_bars(bars):
    """The last lines of every script."""
    for bar in bars:
        print(bar)


def write_json(path, env, sections, bars):
    """Results with what made them; calls are left out and nan is null."""
    report = {"environment": env, "sections": sections, "bars": bars}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_plain(report), indent=1, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _plain(value):
    if isinstance(value, Outcome | Bar):
        fields = vars(value)
        return _plain({key: fields[key] for key in fields if key != "call"})
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):  # a scalar of NumPy, which is not imported here
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
