#!/usr/bin/env python
"""Run the tests as other machines would: BLAS kernels, SIMD levels, random examples.

    python .ci/portability.py            every setting, all tests; before a release
    python .ci/portability.py --quick    five settings, a fifth of the tests each

The interpreter is that of the environment in which sparseopt is installed, with the
extra `test`.  The rest goes to pytest: `python .ci/portability.py tests/ot -x`.
Kernels that this processor or this BLAS does not have are listed as such.  Ends with
status 1 if any test failed.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CORE_TYPES = ("Prescott", "Sandybridge", "Haswell", "Zen", "SkylakeX")
# What OpenBLAS calls the kernels it then takes: an old name, and those of another.
REPORTED = {"Prescott": ("Prescott", "Katmai"), "Zen": ("Zen", "Haswell")}
LEVELS = ("baseline", "v3", "v4")
SEEDS = (1, 2)

# The kernels that OpenBLAS really took, after some work with them.
_PROBE = """
import numpy, scipy.linalg, threadpoolctl
a = numpy.random.default_rng(0).normal(size=(200, 200))
assert abs(scipy.linalg.inv(a) @ a - numpy.eye(200)).max() < 1e-6
pools = threadpoolctl.threadpool_info()
print(*{p["architecture"] for p in pools if p["internal_api"] == "openblas"})
"""


class Setting(NamedTuple):
    """Name, environment variables and pytest's arguments of one run."""

    name: str
    core: str | None = None
    level: str | None = None
    seed: int | None = None

    @property
    def environment(self) -> dict[str, str]:
        pairs = {"OPENBLAS_CORETYPE": self.core, "SPARSEOPT_SIMD": self.level}
        return os.environ | {name: word for name, word in pairs.items() if word}

    @property
    def arguments(self) -> list[str]:
        if self.seed is None:
            return []
        return ["--hypothesis-profile=seeded", f"--hypothesis-seed={self.seed}"]


def all_settings() -> list[Setting]:
    return [
        *(Setting(f"core {name}", core=name) for name in CORE_TYPES),
        *(Setting(f"level {name}", level=name) for name in LEVELS),
        *(Setting(f"seed {seed}", seed=seed) for seed in SEEDS),
    ]


def quick_settings() -> list[Setting]:
    """Each kernel with the level of its time, and examples of its own."""
    levels = ("baseline", "baseline", "v3", "v3", "v4")
    pairs = enumerate(zip(CORE_TYPES, levels, strict=True), start=1)
    return [Setting(f"{c}, {v}, seed {k}", c, v, k) for k, (c, v) in pairs]


def is_here(core: str | None) -> bool:
    """Whether both copies of OpenBLAS run on these kernels; None: their choice."""
    if core is None:
        return True
    command = [sys.executable, "-P", "-c", _PROBE]
    env = os.environ | {"OPENBLAS_CORETYPE": core}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    found, allowed = set(done.stdout.split()), set(REPORTED.get(core, (core,)))
    return done.returncode == 0 and found != set() and found <= allowed


def run(setting: Setting, arguments: list[str]) -> tuple[int, str]:
    """Exit status and last line of pytest; its output is shown as it comes."""
    pytest = Path(sys.executable).with_name("pytest")
    command = [str(pytest), "-q", *setting.arguments, *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, env=setting.environment, stdout=subprocess.PIPE, text=True
    )
    last = ""
    for line in process.stdout:
        if not re.fullmatch(r"[.sxX]+ +\[ *\d+%\]\n", line):
            print(line, end="", flush=True)
        last = line.strip() or last
    return process.wait(), last


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    options, rest = parser.parse_known_args()
    settings = quick_settings() if options.quick else all_settings()
    folders = [str(path) for path in sorted(ROOT.glob("tests/[!_]*/"))]
    rows, failed = [], False
    for k, setting in enumerate(settings):
        print(f"\n--- {setting.name}", flush=True)
        start = time.monotonic()
        if is_here(setting.core):
            chosen = [f"--slice={k}/{len(settings)}", *folders] if options.quick else []
            status, last = run(setting, [*chosen, *rest])
            failed |= status != 0
        else:
            last = "not run: this processor or BLAS has no such kernels"
        rows.append(f"{setting.name:<32}{time.monotonic() - start:6.0f} s  {last}")
    print("\n" + "\n".join(rows))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
