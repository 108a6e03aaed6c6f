"""How many threads to use, and limits on those that BLAS starts."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache
from time import perf_counter
from typing import Any, TypeVar

import joblib
import numpy as np
from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController

from sparseopt._core import _openmp

T = TypeVar("T")

# Below this a parallel region costs more than it saves; twice the share of a thread.
_WORTH_TWO_THREADS = 50e-6


def effective_n_threads(n_threads: int | None, work_seconds: float = math.inf) -> int:
    """Threads for a kernel whose work would take one thread ``work_seconds``.

    None is what OpenMP would take (``OMP_NUM_THREADS``, limits set by threadpoolctl),
    at most the processors that this process may use, and 1 inside a joblib worker that
    was given no number of its own. -1 is all processors; any other number is taken as
    it is. No count is larger than the work justifies, and a forked process has one.
    """
    if n_threads is not None:
        _check(n_threads)
    if _is_forked or work_seconds < _WORTH_TWO_THREADS:
        return 1
    if n_threads is None:
        count = _default_n_threads()
    else:
        count = _n_processors() if n_threads == -1 else int(n_threads)
    return int(min(count, 2 * work_seconds / _WORTH_TWO_THREADS))


class Pace:
    """Threads for kernels that are called often: as many as help at present.

    Where other processes want the processors, each parallel region waits for a thread
    that is not running, for milliseconds.  Kernels of this library give the same bits
    for any number of threads, so the number can follow what is measured: the first call
    of a kind takes one thread, and where many turn out slower twice in a row, all kinds
    take one for a while, longer each time.

    Parameters
    ----------
    n_threads : int
        The largest number to use.
    """

    _SLOWER, _STRIKES, _FIRST_PAUSE, _LONGEST_PAUSE = 1.2, 2, 0.1, 10.0

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self._alone: dict[str, float] = {}  # seconds for a unit of work in one thread
        self._pause = self._FIRST_PAUSE
        self._alone_until = -math.inf
        self._strikes = 0

    def run(
        self,
        kind: str,
        work: float,
        kernel: Callable[[int], T],
        *,
        most: int | None = None,
    ) -> T:
        """Call ``kernel(n_threads)``, which does ``work`` units of one kind of work."""
        many = self.n_threads if most is None else min(most, self.n_threads)
        if many == 1 or work <= 0:
            return kernel(1)
        start = perf_counter()
        alone = kind not in self._alone or start < self._alone_until
        result = kernel(1 if alone else many)
        end = perf_counter()
        pace = (end - start) / work
        if alone:
            self._alone[kind] = min(pace, self._alone.get(kind, math.inf))
        elif pace <= self._SLOWER * self._alone[kind]:
            self._strikes = 0
        else:
            self._strikes += 1
            if self._strikes >= self._STRIKES:
                self._alone_until = end + self._pause
                self._pause = min(2.0 * self._pause, self._LONGEST_PAUSE)
        return result


def blas_limit(n_threads: int = 1) -> AbstractContextManager[Any]:
    """Context in which BLAS uses at most ``n_threads`` threads.

    To be held around parallel regions that call BLAS from each thread.
    """
    if _is_forked:
        n_threads = 1
    return _controller().limit(limits=n_threads, user_api="blas")


_is_forked = False


def _after_fork() -> None:
    """Use one thread from now on.

    Of the parent's threads only the one that forked is left, while the pools of OpenMP
    (libgomp) count on all of them: the next parallel region would wait for ever. It may
    have its number of threads from an object that was made before.
    """
    global _is_forked
    _is_forked = True
    _openmp.one_thread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _check(n_threads: Any) -> None:
    is_int = isinstance(n_threads, (int, np.integer))
    if not is_int or isinstance(n_threads, bool) or (n_threads < 1 and n_threads != -1):
        raise ValueError(f"n_threads must be an int >= 1, -1 or None. Got {n_threads}.")


def _default_n_threads() -> int:
    if _is_uncapped_joblib_worker():
        return 1
    pools = _controller().lib_controllers
    limits = [pool.num_threads for pool in pools if pool.user_api == "openmp"]
    return max(1, min([_n_processors(), *(limits or _limit_of_environment())]))


def _limit_of_environment() -> list[int]:
    # what OpenMP will read when it is loaded; numbers for nested regions may follow
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return [int(first)] if first.isdecimal() else []


def _is_uncapped_joblib_worker() -> bool:
    """Whether joblib runs us beside others without having divided the processors.

    Its loky backend sets OMP_NUM_THREADS in the workers; threads and forked workers
    see the limits of the whole process.
    """
    backend, _ = get_active_backend()
    if not backend.nesting_level:
        return False
    in_thread = threading.current_thread() is not threading.main_thread()
    return in_thread or "OMP_NUM_THREADS" not in os.environ


def _n_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return _count_processors(frozenset(os.sched_getaffinity(0)))
    return _count_processors(None)


@lru_cache(maxsize=8)
def _count_processors(affinity: frozenset[int] | None) -> int:
    """Processors within the affinity and container limits; slow, as files are read."""
    return int(joblib.cpu_count())


def _controller() -> ThreadpoolController:
    """Thread pools of the loaded libraries, searched again when modules were added."""
    return _find_pools(len(sys.modules))


@lru_cache(maxsize=1)
def _find_pools(n_modules: int) -> ThreadpoolController:
    return ThreadpoolController()
