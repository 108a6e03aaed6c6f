"""What a bug report needs to know about this installation."""

import importlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

_REQUIRED = (
    "numpy",
    "scipy",
    "scikit-learn",
    "joblib",
    "threadpoolctl",
    "array-api-compat",
)
_ARRAY_LIBRARIES = ("torch", "cupy", "jax", "dask", "array-api-strict")
_BUILD_VARIABLES = ("SPARSEOPT_SIMD",)
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "SCIPY_ARRAY_API",
)

Rows = Iterator[tuple[str, object]]


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _variables(names: tuple[str, ...]) -> Rows:
    for name in names:
        if name in os.environ:
            yield name, os.environ[name]


def _system() -> Rows:
    yield "python", sys.version.replace("\n", " ")
    yield "executable", sys.executable
    yield "platform", platform.platform()
    yield "processor", _processor()
    yield "logical cores", os.cpu_count()


def _build() -> Rows:
    from sparseopt._version import build, version

    yield "version", version
    yield from build.items()
    yield "simd in use", importlib.import_module("sparseopt._core._simd").level_name()
    yield from _variables(_BUILD_VARIABLES)


def _requirements() -> Rows:
    for name in _REQUIRED:
        yield name, _version(name)


def _threads() -> Rows:
    from sparseopt._core._threads import effective_n_threads

    yield "n_threads=None", effective_n_threads(None)
    yield from _variables(_THREAD_VARIABLES)


def _thread_pools() -> Rows:
    from threadpoolctl import threadpool_info

    for library in ("numpy.linalg", "scipy.linalg"):  # each brings a BLAS of its own
        importlib.import_module(library)
    for pool in threadpool_info():
        facts = (
            pool["version"],
            pool.get("architecture"),
            f"{pool['num_threads']} threads",
            Path(pool["filepath"]).name,
        )
        yield pool["internal_api"], ", ".join(fact for fact in facts if fact)


def _array_libraries() -> Rows:
    for name in _ARRAY_LIBRARIES:
        yield name, _version(name)
    for device in _nvidia_devices():
        yield "device", device


def _nvidia_devices() -> list[str]:
    """Ask the driver: importing an array library to find out takes seconds."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=5, check=True)
    return done.stdout.splitlines()


_SECTIONS: dict[str, Callable[[], Rows]] = {
    "System": _system,
    "sparseopt": _build,
    "Requirements": _requirements,
    "Threads": _threads,
    "Thread pools": _thread_pools,
    "Array libraries": _array_libraries,
}


def _collect(section: Callable[[], Rows]) -> Rows:
    """Rows of one section; what cannot be found out becomes a row that says why."""
    try:
        yield from section()
    except Exception as error:
        yield "unknown", f"{type(error).__name__}: {error}"


def show_versions() -> None:
    """Print versions, build settings, instruction set, threads, BLAS and devices.

    Paste the output into bug reports. Optional packages are looked up without
    importing them, so the call takes well under a second.

    Examples
    --------
    >>> import sparseopt
    >>> sparseopt.show_versions()
    System:
    ...
    """
    for title, section in _SECTIONS.items():
        print(f"{title}:")
        for name, value in _collect(section):
            print(f"  {name:>16}: {value}")
