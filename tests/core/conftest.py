"""Fixtures of the tests of the core."""

import sys
from types import SimpleNamespace

import pytest

from sparseopt._core import _monitor


@pytest.fixture
def clock(monkeypatch):
    """Clock of monitors in seconds, moved by hand."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(_monitor, "perf_counter", lambda: clock.now)
    return clock


@pytest.fixture
def iterate():
    """Function that runs a monitor: the residual falls tenfold in each iteration."""

    def iterate(monitor, n=5, clock=None, seconds=0.2):
        status = None
        for n_iter in range(n):
            status = monitor.update(
                n_iter, objective=n_iter / 4, residual=10.0**-n_iter
            )
            if status is not None:
                break
            if clock is not None:
                clock.now += seconds
        return status

    return iterate


@pytest.fixture
def stopwatch():
    """`timeit.repeat`, where a timing means something."""
    from timeit import repeat

    if sys.gettrace() is not None:
        pytest.skip("each line is traced")
    return repeat
