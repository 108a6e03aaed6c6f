"""Monitor: history, limits, callback, warnings, and what is printed when."""

import logging
import math
import re
import signal
import warnings
from timeit import repeat
from types import SimpleNamespace

import numpy as np
import pytest

from sparseopt import Status
from sparseopt._core import _monitor
from sparseopt._core._monitor import Monitor
from sparseopt.exceptions import ConvergenceWarning


@pytest.fixture
def clock(monkeypatch):
    """Clock of the monitor, moved by hand."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(_monitor, "perf_counter", lambda: clock.now)
    return clock


def _run(monitor, n=5, clock=None, seconds=0.2):
    """Iterate until told to stop; the residual falls tenfold in each iteration."""
    status = None
    for n_iter in range(n):
        status = monitor.update(n_iter, objective=n_iter / 4, residual=10.0**-n_iter)
        if status is not None:
            break
        if clock is not None:
            clock.now += seconds
    return status


# ---------------------------------------------------------------------------- history


def test_history(clock):
    monitor = Monitor("ot.solve", fields=("reg", "nnz"))
    monitor.update(0, objective=2.0, residual=1.0, reg=0.5, nnz=3)
    clock.now += 0.25
    monitor.update(3, objective=np.float32(1.5), nnz=np.int64(7))
    history = monitor.history()
    assert history.dtype.names == (
        *("n_iter", "time", "objective", "residual"),
        *("reg", "nnz"),
    )
    assert history["n_iter"].dtype == np.int64
    assert history["n_iter"].tolist() == [0, 3]
    assert history["time"].tolist() == [0, 0.25]
    assert history["objective"].tolist() == [2, 1.5]
    np.testing.assert_array_equal(history["residual"], [1, np.nan])
    np.testing.assert_array_equal(history["reg"], [0.5, np.nan])
    assert history["nnz"].tolist() == [3, 7]


def test_history_is_a_copy():
    monitor = Monitor("ot.solve")
    _run(monitor, 2)
    before = monitor.history()
    _run(monitor, 2)
    assert len(before) == 2
    assert len(monitor.history()) == 4


def test_history_without_updates():
    history = Monitor("ot.solve", fields=("reg",)).history()
    assert history.shape == (0,)
    assert history.dtype.names[-1] == "reg"


def test_start_forgets(clock):
    monitor = Monitor("ot.solve", max_time=1.0)
    _run(monitor, 3)
    clock.now += 5
    assert monitor.start() is monitor
    assert monitor.elapsed == 0
    assert len(monitor.history()) == 0
    assert monitor.update(0) is None


def test_unknown_field():
    monitor = Monitor("ot.solve", fields=("reg",))
    with pytest.raises(TypeError, match=r"\['ngg'\] are not in fields"):
        monitor.update(0, ngg=1)
    assert len(monitor.history()) == 0


# ----------------------------------------------------------------------------- limits


def test_no_limit():
    assert _run(Monitor("ot.solve"), 100) is None


def test_max_iter():
    monitor = Monitor("ot.solve", max_iter=3)
    assert _run(monitor, 10) is Status.MAX_ITER
    assert monitor.history()["n_iter"].tolist() == [0, 1, 2, 3]


def test_max_time(clock):
    monitor = Monitor("ot.solve", max_time=0.7)
    assert monitor.time_left() == pytest.approx(0.7)
    assert _run(monitor, 10, clock) is Status.TIME_LIMIT
    assert monitor.history()["n_iter"].tolist() == [0, 1, 2, 3, 4]
    assert monitor.time_left() == 0
    assert monitor.elapsed == pytest.approx(0.8)


def test_time_in_the_callback_counts(clock):
    def slow(state):
        clock.now += 2

    assert _run(Monitor("x", max_time=1.0, callback=slow)) is Status.TIME_LIMIT


def test_no_time_limit():
    assert Monitor("ot.solve").time_left() == math.inf


def test_elapsed_stops_with_finish(clock):
    monitor = Monitor("ot.solve")
    clock.now += 1
    monitor.finish(Status.CONVERGED)
    clock.now += 1
    assert monitor.elapsed == 1


def test_first_reason_is_told(clock):
    monitor = Monitor("x", max_iter=1, max_time=0.1, callback=lambda state: True)
    clock.now += 1
    assert monitor.update(1) is Status.STOPPED_BY_CALLBACK
    monitor = Monitor("x", max_iter=1, max_time=0.1)
    clock.now += 1
    assert monitor.update(1) is Status.TIME_LIMIT


# --------------------------------------------------------------------------- callback


def test_callback_sees_each_iteration():
    seen = []
    monitor = Monitor("ot.solve", callback=seen.append, fields=("reg",))
    for n_iter in range(3):
        monitor.update(n_iter, objective=1.0, residual=0.1, reg=n_iter / 2)
    assert [state.n_iter for state in seen] == [0, 1, 2]
    assert [type(state.n_iter) for state in seen] == [int] * 3
    assert [state.reg for state in seen] == [0, 0.5, 1]
    assert seen[0].objective == 1.0
    assert seen[0].residual == 0.1
    assert seen[2].elapsed >= seen[0].elapsed >= 0


@pytest.mark.parametrize("answer", [True, np.True_, 1])
def test_callback_stops(answer):
    monitor = Monitor("x", callback=lambda state: answer if state.n_iter == 2 else None)
    assert _run(monitor) is Status.STOPPED_BY_CALLBACK
    assert len(monitor.history()) == 3


@pytest.mark.parametrize("answer", [False, None, 0, np.False_])
def test_callback_goes_on(answer):
    assert _run(Monitor("x", callback=lambda state: answer)) is None


def test_state_is_read_only():
    f = np.arange(3.0)
    tried = []

    def meddle(state):
        for change in (
            lambda: setattr(state, "n_iter", 7),
            lambda: setattr(state, "anything", 7),
            lambda: delattr(state, "n_iter"),
        ):
            with pytest.raises(AttributeError, match="the state is read-only"):
                change()
        for array in (state.weights, state.potentials[0]):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 7
        tried.append(state)

    lazy = {"weights": lambda: f, "potentials": lambda: (f, f[1:])}
    Monitor("x", callback=meddle, state=lazy).update(0)
    assert len(tried) == 1
    assert f.tolist() == [0, 1, 2]


def test_arrays_of_the_solver_stay_writeable():
    f = np.zeros(3)
    monitor = Monitor("x", callback=lambda s: s.f.sum() > 2, state={"f": lambda: f})
    assert monitor.update(0) is None
    f[:] = 1
    assert monitor.update(1) is Status.STOPPED_BY_CALLBACK


def test_lazy_state_is_made_once_and_only_if_asked():
    calls = []

    def costly():
        calls.append("costly")
        return 3.0

    def look(state):
        if state.n_iter == 1:
            assert state.cost + state.cost == 6

    monitor = Monitor("x", callback=look, state={"cost": costly})
    monitor.update(0)
    assert calls == []
    monitor.update(1)
    assert calls == ["costly"]


def test_lazy_state_of_one_update():
    seen = []
    monitor = Monitor("x", callback=lambda s: seen.append(s.a + s.b), state={"a": int})
    monitor.update(0, state={"b": lambda: 5})
    assert seen == [5]


def test_lazy_state_is_gone_after_the_callback():
    kept = []
    monitor = Monitor("x", callback=kept.append, state={"plan": lambda: 1})
    monitor.update(4)
    assert kept[0].n_iter == 4
    with pytest.raises(AttributeError, match="no 'plan'; it has"):
        kept[0].plan  # noqa: B018


def test_state_tells_what_it_has():
    texts = []

    def look(state):
        texts.append(repr(state))
        assert dir(state) == [
            *("elapsed", "n_iter", "objective", "plan", "reg", "residual")
        ]
        with pytest.raises(AttributeError, match=r"no 'regg'; it has \['elapsed'"):
            state.regg  # noqa: B018
        assert not hasattr(state, "__array__")

    lazy = {"plan": lambda: 1}
    Monitor("x", callback=look, fields=("reg",), state=lazy).update(2, reg=0.5)
    assert re.fullmatch(r"State\(n_iter=2, elapsed=.*, reg=0.5, plan\)", texts[0])


class _Bar:
    closed = 0

    def show(self, fraction, text):
        pass

    def close(self):
        self.closed += 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError("mine"), SystemExit])
def test_exception_of_the_callback(error, clock, monkeypatch, capsys):
    """It comes out as it is, after the bar was removed; the run can be finished."""
    bar = _Bar()
    monkeypatch.setattr(_monitor, "open_bar", lambda title: bar)

    def callback(state):
        clock.now += 1
        if state.n_iter == 2:
            raise error

    monitor = Monitor("ot.solve", callback=callback, verbose=1)
    with pytest.raises(BaseException) as caught:
        _run(monitor)
    assert caught.value is error or caught.type is error
    assert bar.closed == 1
    assert len(monitor.history()) == 3
    monitor.finish(Status.INTERRUPTED)
    assert bar.closed == 1
    assert capsys.readouterr().err.startswith("ot.solve: interrupted in 2 iterations")


def test_control_c_in_the_callback():
    monitor = Monitor("x", callback=lambda state: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        monitor.update(0)


def test_monitor_installs_no_signal_handler():
    before = signal.getsignal(signal.SIGINT)
    monitor = Monitor("x", verbose=0, callback=lambda state: False)
    monitor.update(0)
    assert signal.getsignal(signal.SIGINT) is before


def test_context_removes_the_bar(clock, monkeypatch):
    bar = _Bar()
    monkeypatch.setattr(_monitor, "open_bar", lambda title: bar)
    with pytest.raises(ZeroDivisionError), Monitor("x", verbose=1) as monitor:
        clock.now += 1
        monitor.update(0, residual=1.0)
        assert bar.closed == 0
        raise ZeroDivisionError
    assert bar.closed == 1


# ----------------------------------------------------------------------------- output


SUMMARY = "ot.solve: max_iter in 4 iterations, 0.8 s, residual 0.0001 (tol 1e-09), "
ADVICE = f"objective 1. {Status.MAX_ITER.advice}\n"


def _printed(clock, capsys, verbose, seconds=0.2):
    monitor = Monitor("ot.solve", tol=1e-9, max_iter=4, verbose=verbose)
    monitor.finish(_run(monitor, 10, clock, seconds))
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_verbose_0(clock, capsys):
    assert _printed(clock, capsys, 0) == ""


@pytest.mark.parametrize("verbose", [1, True])
def test_verbose_1(clock, capsys, verbose):
    assert _printed(clock, capsys, verbose) == SUMMARY + ADVICE


HEADER = "ot.solve    iter       time  objective   residual\n"
LINES = [
    "               0      0.00s          0          1\n",
    "               1      0.20s  2.500e-01  1.000e-01\n",
    "               2      0.40s  5.000e-01  1.000e-02\n",
    "               3      0.60s  7.500e-01  1.000e-03\n",
    "               4      0.80s          1  1.000e-04\n",
]


def test_verbose_2_is_at_most_every_half_second(clock, capsys):
    wanted = HEADER + LINES[0] + LINES[3] + SUMMARY + ADVICE
    assert _printed(clock, capsys, 2) == wanted


@pytest.mark.parametrize("verbose", [3, 10])
def test_verbose_3_is_every_iteration(clock, capsys, verbose):
    wanted = HEADER + "".join(LINES) + SUMMARY + ADVICE
    assert _printed(clock, capsys, verbose) == wanted


def test_columns_of_fields(clock, capsys):
    fields = ("reg", "a_rather_long_name", "nnz")
    monitor = Monitor("bilevel.run", verbose=3, fields=fields)
    monitor.update(0, objective=-1e-12, reg=0.1, nnz=123456)
    monitor.update(1_000_000, objective=1e10, residual=math.inf, nnz=2e9)
    lines = capsys.readouterr().err.splitlines()
    assert {len(line) for line in lines} == {len(lines[0])}
    assert lines[0].split() == [
        *("bilevel.run", "iter", "time", "objective", "residual"),
        *fields,
    ]
    assert lines[1].split() == [
        *("0", "0.00s", "-1.000e-12", "nan", "1.000e-01", "nan", "123456")
    ]
    assert lines[2].split() == [
        *("1000000", "0.00s", "1.000e+10", "inf", "nan", "nan", "2.000e+09")
    ]


def test_summary(clock, capsys):
    monitor = Monitor("ot.solve", verbose=1)
    monitor.update(1, objective=0.125, residual=1e-12)
    clock.now += 1.5
    monitor.finish(Status.CONVERGED)
    monitor.finish(Status.STALLED, "no descent direction")
    Monitor("prox.fit", verbose=1).finish(Status.INFEASIBLE)
    assert capsys.readouterr().err.splitlines() == [
        "ot.solve: converged in 1 iteration, 1.5 s, residual 1e-12, objective 0.125",
        "ot.solve: stalled in 1 iteration, 1.5 s, residual 1e-12, objective 0.125. "
        "no descent direction",
        "prox.fit: infeasible in 0 iterations, 0 s, residual nan, objective nan. "
        + Status.INFEASIBLE.advice,
    ]


def test_output_follows_a_redirected_stderr(monkeypatch, capsys):
    monitor = Monitor("x", verbose=1)
    monkeypatch.setattr("sys.stderr", None)  # as under pythonw
    monitor.finish(Status.CONVERGED)
    assert capsys.readouterr().err == ""


@pytest.fixture
def records():
    """What a handler of logger "sparseopt" receives."""
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("sparseopt")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield records
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_logger_takes_the_place_of_stderr(clock, capsys, records):
    assert _printed(clock, capsys, 3) == ""
    wanted = (HEADER + "".join(LINES) + SUMMARY + ADVICE).splitlines()
    assert [record.getMessage() for record in records] == wanted
    assert {record.levelname for record in records} == {"INFO"}


def test_percent_signs_are_no_format(records):
    Monitor("100 % sure %s", verbose=1).finish(Status.CONVERGED)
    assert records[0].getMessage().startswith("100 % sure %s: converged")


def test_logger_without_handler_is_not_used(clock, capsys):
    # pytest has handlers on the root logger: they are not ours to write to
    assert logging.getLogger().handlers
    assert _printed(clock, capsys, 1) == SUMMARY + ADVICE


# --------------------------------------------------------------------------- warnings


def _warning(monitor, *args, **kwargs):
    with pytest.warns(ConvergenceWarning) as caught:
        monitor.warn_if_not_converged(*args, **kwargs)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    return str(caught[0].message)


def test_warning():
    monitor = Monitor("ot.solve", tol=1e-9, max_iter=3)
    _run(monitor)
    assert _warning(monitor, Status.MAX_ITER, 1e-3) == (
        "ot.solve did not converge (max_iter) in 3 iterations: residual 0.001, "
        "tol 1e-09. To change that, increase max_iter or tol."
    )
    hint = "increase n_sinkhorn"
    assert _warning(monitor, Status.STALLED, 0.5, 1e-2, hint) == (
        "ot.solve did not converge (stalled) in 3 iterations: residual 0.5, "
        "tol 0.01. To change that, increase n_sinkhorn."
    )


@pytest.mark.parametrize("status", set(Status) - {Status.CONVERGED})
def test_warning_names_residual_tol_and_what_to_do(status):
    monitor = Monitor("x", tol=1e-5)
    if status is Status.STOPPED_BY_CALLBACK:
        monitor.warn_if_not_converged(status, 0.25)
        return
    text = _warning(monitor, status, 0.25)
    assert f"({status})" in text
    assert "residual 0.25, tol 1e-05" in text
    assert re.search(r"To change that, [a-z].*\.$", text)


def test_no_warning_when_converged():
    Monitor("x", tol=1e-9).warn_if_not_converged(Status.CONVERGED, 1.0)


def test_warning_points_outside_sparseopt():
    """Also through any number of frames of the library."""
    source = """
def api(monitor, status):
    return solver(monitor, status)
def solver(monitor, status):
    monitor.warn_if_not_converged(status, 1.0)
"""
    library = {"__name__": "sparseopt.ot._api"}
    exec(compile(source, "inside.py", "exec"), library)
    with pytest.warns(ConvergenceWarning) as caught:
        library["api"](Monitor("x"), Status.STALLED)
    assert caught[0].filename == __file__


def test_warning_with_a_given_level():
    def inner(level):
        Monitor("x").warn_if_not_converged(Status.STALLED, 1.0, stacklevel=level)

    first = inner.__code__.co_firstlineno
    with pytest.warns(ConvergenceWarning) as caught:
        inner(1)
        inner(2)
    assert [warning.lineno - first for warning in caught] == [1, 6]


def test_warning_can_be_an_error():
    with warnings.catch_warnings(), pytest.raises(ConvergenceWarning):
        warnings.simplefilter("error")
        Monitor("x").warn_if_not_converged(Status.STALLED, 1.0)


# ------------------------------------------------------------------------------- cost


def test_a_silent_update_costs_little():
    monitor = Monitor("x", fields=("reg", "nnz", "step"), max_iter=10**9)
    n = 1000

    def update():
        monitor.update(1, objective=1.0, residual=0.5, reg=0.1, nnz=3, step=1.0)

    assert min(repeat(update, number=n)) / n < 5e-6
