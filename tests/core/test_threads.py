"""How many threads are used, in every situation that limits them."""

import json
import os
import subprocess
import sys
import threading

import joblib
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from sparseopt._core import _threads
from sparseopt._core._threads import blas_limit, effective_n_threads

N_PROCESSORS = joblib.cpu_count()


def _n_threads_of(user_api):
    return {
        pool["num_threads"]
        for pool in threadpool_info()
        if pool["user_api"] == user_api
    }


def test_explicit_number_is_taken_as_it_is():
    for n_threads in (1, 2, N_PROCESSORS + 5, np.int64(3)):
        assert effective_n_threads(n_threads) == n_threads
    assert type(effective_n_threads(np.int64(3))) is int


def test_minus_one_is_all_processors():
    assert effective_n_threads(-1) == N_PROCESSORS
    with threadpool_limits(1):
        assert effective_n_threads(-1) == N_PROCESSORS


@pytest.mark.parametrize("n_threads", [0, -2, 1.5, "2", True, np.array([2])])
def test_refused(n_threads):
    with pytest.raises(ValueError, match=r"must be an int >= 1, -1 or None\. Got "):
        effective_n_threads(n_threads)
    with pytest.raises(ValueError):  # however small the work
        effective_n_threads(n_threads, work_seconds=0)


@pytest.mark.parametrize(
    ("work", "wanted"),
    [(0, 1), (49e-6, 1), (50.1e-6, 2), (80e-6, 3), (100.1e-6, 4), (1, 8), (np.inf, 8)],
)
def test_no_more_than_the_work_justifies(work, wanted):
    assert effective_n_threads(8, work) == wanted
    assert effective_n_threads(1, work) == 1


def test_small_work_of_any_request():
    assert effective_n_threads(None, 1e-6) == effective_n_threads(-1, 1e-6) == 1


def test_limit_of_threadpoolctl(thread_limit):
    assert effective_n_threads(None) == min(thread_limit, N_PROCESSORS)


def test_limit_of_one_api():
    with threadpool_limits(1, "openmp"):
        assert effective_n_threads(None) == 1
    with threadpool_limits(1, "blas"):
        assert effective_n_threads(None) == effective_n_threads(None)


_PRINT = """
import json, os, sys
{setup}
from sparseopt._core._threads import effective_n_threads
print(json.dumps([effective_n_threads(None), effective_n_threads(-1)]))
"""


def _in_new_process(setup="", **environment):
    environment = {**os.environ, **environment}
    command = [sys.executable, "-P", "-c", _PRINT.format(setup=setup)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_omp_num_threads():
    assert _in_new_process(OMP_NUM_THREADS="1") == [1, N_PROCESSORS]
    # never more than there are processors
    assert _in_new_process(OMP_NUM_THREADS="999") == [N_PROCESSORS] * 2


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="no affinity on this system"
)
def test_processors_of_the_process():
    one = min(os.sched_getaffinity(0))
    assert _in_new_process(f"os.sched_setaffinity(0, {{{one}}})") == [1, 1]


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="no affinity on this system"
)
def test_affinity_may_change_while_running():
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        assert effective_n_threads(-1) == effective_n_threads(None) == 1
    finally:
        os.sched_setaffinity(0, processors)
    assert effective_n_threads(-1) == N_PROCESSORS


def test_system_without_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "3")  # joblib warns if it has to guess
    _threads._count_processors.cache_clear()
    assert effective_n_threads(-1) == min(3, os.cpu_count())
    _threads._count_processors.cache_clear()


def _default(_):
    return effective_n_threads(None)


def test_joblib_threads_use_one_each(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # meant for the process, not for each
    with joblib.parallel_config("threading", n_jobs=2):
        found = joblib.Parallel()(joblib.delayed(_default)(i) for i in range(4))
    assert found == [1] * 4


def test_joblib_sequential_uses_all():
    found = joblib.Parallel(n_jobs=1)(joblib.delayed(_default)(i) for i in range(2))
    assert found == [effective_n_threads(None)] * 2


_LOKY = """
import joblib, sys
from sparseopt._core._threads import effective_n_threads
if __name__ == "__main__":
    with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads={inner}):
        print(*joblib.Parallel()(joblib.delayed(effective_n_threads)(None)
                                 for _ in range(2)))
"""


@pytest.mark.parametrize("inner", [1, 2])
def test_joblib_processes_use_their_share(inner, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_LOKY.format(inner=inner))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    share = min(inner, N_PROCESSORS)
    assert done.stdout.split() == [str(share)] * 2


def test_forked_joblib_workers_use_one(monkeypatch):
    """Nobody has divided the processors among them."""
    worker = type("Backend", (), {"nesting_level": 1})()
    monkeypatch.setattr(_threads, "get_active_backend", lambda: (worker, None))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert effective_n_threads(None) == 1
    assert effective_n_threads(3) == 3


def test_other_threads_of_python_are_not_limited():
    found = []
    thread = threading.Thread(target=lambda: found.append(effective_n_threads(None)))
    thread.start()
    thread.join()
    assert found == [effective_n_threads(None)]


def test_without_openmp(monkeypatch):
    class Controller:
        lib_controllers = ()

    monkeypatch.setattr(_threads, "_controller", Controller)
    for value, wanted in [("1", 1), ("1,4", 1), ("99", N_PROCESSORS), ("x", 2)]:
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert effective_n_threads(None) == min(wanted, N_PROCESSORS)
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert effective_n_threads(None) == N_PROCESSORS


def test_blas_limit():
    np.ones((2, 2)) @ np.ones((2, 2))
    openmp, blas = _n_threads_of("openmp"), _n_threads_of("blas")
    with blas_limit():
        assert _n_threads_of("blas") == {1}
        assert _n_threads_of("openmp") == openmp
    assert _n_threads_of("blas") == blas


def test_blas_limit_is_lifted_by_an_error():
    blas = _n_threads_of("blas")
    with pytest.raises(ZeroDivisionError), blas_limit(1):
        raise ZeroDivisionError
    assert _n_threads_of("blas") == blas


def test_pools_are_searched_again_after_an_import(monkeypatch):
    first = _threads._controller()
    assert _threads._controller() is first
    monkeypatch.setitem(sys.modules, "a_new_module", threading)
    assert _threads._controller() is not first


class _Clock:
    """A clock that a kernel moves: a second for each unit and thread count."""

    def __init__(self, monkeypatch, seconds):
        self.now, self.seconds, self.used = 0.0, seconds, []
        monkeypatch.setattr(_threads, "perf_counter", lambda: self.now)

    def kernel(self, n_threads):
        self.used.append(n_threads)
        self.now += self.seconds[n_threads]
        return n_threads


def test_pace_uses_threads_that_help(monkeypatch):
    clock = _Clock(monkeypatch, {1: 1.0, 4: 0.4})
    pace = _threads.Pace(4)
    for _ in range(5):
        pace.run("sweep", 10, clock.kernel)
    assert clock.used == [1, 4, 4, 4, 4]


def test_pace_goes_on_alone_where_threads_wait(monkeypatch):
    clock = _Clock(monkeypatch, {1: 0.01, 2: 0.05})
    pace = _threads.Pace(2)
    for _ in range(200):
        pace.run("sweep", 10, clock.kernel)
    tries = [i for i, used in enumerate(clock.used) if used == 2]
    # two tries, pauses of 0.1 s, 0.2 s, ...: each about twice as long
    assert tries[:2] == [1, 2]
    assert list(np.diff(tries)[1:4]) == [11, 21, 41]
    # another kind is spared while the pause lasts
    clock.used.clear()
    pace.run("other", 1, clock.kernel)
    pace.run("other", 1, clock.kernel)
    assert clock.used == [1, 1]


def test_pace_overlooks_a_single_delay(monkeypatch):
    clock = _Clock(monkeypatch, {1: 0.01, 2: 0.006})
    pace = _threads.Pace(2)
    for call in range(20):
        clock.seconds[2] = 0.05 if call % 4 == 3 else 0.006
        pace.run("sweep", 10, clock.kernel)
    assert clock.used == [1] + 19 * [2]


def test_pace_compares_work_not_calls(monkeypatch):
    clock = _Clock(monkeypatch, {1: 1.0, 2: 6.0})
    pace = _threads.Pace(2)
    for work in (1, 10, 10, 10):  # ten times the work in six times the time
        pace.run("sweep", work, clock.kernel)
    assert clock.used == [1, 2, 2, 2]


def test_pace_with_one_thread_or_a_smaller_limit(monkeypatch):
    clock = _Clock(monkeypatch, {1: 1.0, 2: 0.5, 3: 0.1})
    assert _threads.Pace(1).run("sweep", 1, clock.kernel) == 1
    pace = _threads.Pace(3)
    pace.run("sweep", 1, clock.kernel)
    assert pace.run("sweep", 1, clock.kernel, most=2) == 2
    assert pace.run("sweep", 1, clock.kernel, most=1) == 1


def test_a_forked_process_has_one(monkeypatch):
    """Workers that really fork are in tests/test_processes.py."""
    monkeypatch.setattr(_threads, "_is_forked", True)
    for n_threads in (None, -1, 1, 4):
        assert effective_n_threads(n_threads) == 1
    with pytest.raises(ValueError):
        effective_n_threads(0)
    with blas_limit(4):
        assert _n_threads_of("blas") == {1}
