"""Fixtures of all tests: seeds, dtypes, memory layouts, array libraries, threads."""

import os

# SciPy reads it when first imported; without it scikit-learn's array checks skip.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import shutil
import signal
from collections.abc import Callable
from zlib import crc32

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

settings.register_profile(
    "ci",
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", max_examples=1000, deadline=None, database=None)
# as in CI, with examples that --hypothesis-seed chooses
settings.register_profile(
    "seeded", settings.get_profile("ci"), derandomize=False, print_blob=True
)
settings.load_profile("ci")

# A shell that runs the tests in the background lets them ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slice",
        metavar="K/N",
        default="0/1",
        help="run the tests of one of N slices, K = 0, ..., N - 1; names decide which",
    )


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    k, n = map(int, config.getoption("--slice").split("/"))
    others = [item for item in items if crc32(item.nodeid.encode()) % n != k]
    if others:
        items[:] = [item for item in items if item not in set(others)]
        config.hook.pytest_deselected(items=others)
    if shutil.which("nvidia-smi") is None:
        skip = pytest.mark.skip(reason="needs a CUDA device")
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(skip)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20240501)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> type[np.floating]:
    return request.param


@pytest.fixture(params=[np.int32, np.int64], ids=["int32", "int64"])
def index_dtype(request: pytest.FixtureRequest) -> type[np.integer]:
    """Index width of sparse matrices."""
    return request.param


def _strided(array: np.ndarray) -> np.ndarray:
    wide = np.empty(tuple(2 * size for size in array.shape), dtype=array.dtype)
    view = wide[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def _read_only(array: np.ndarray) -> np.ndarray:
    copy = np.array(array, order="C")
    copy.flags.writeable = False
    return copy


_LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": _strided,
    "reversed": lambda array: np.array(array[::-1])[::-1],
    "read-only": _read_only,
}


@pytest.fixture(params=_LAYOUTS)
def layout(request: pytest.FixtureRequest) -> Callable[[np.ndarray], np.ndarray]:
    """Function that lays an array out in memory in another way."""
    return _LAYOUTS[request.param]


@pytest.fixture(params=["numpy", "array_api_strict", "torch"])
def xp(request: pytest.FixtureRequest):
    """Array namespaces; those that are not installed are skipped."""
    return pytest.importorskip(request.param)


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def thread_limit(request: pytest.FixtureRequest):
    """Run the test under a limit on BLAS and OpenMP threads; the value is the limit."""
    with threadpool_limits(limits=request.param):
        yield request.param
