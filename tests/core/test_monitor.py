"""Monitor: history, limits, callback and cost."""

import math
import re
import signal

import numpy as np
import pytest

from sparseopt import Status
from sparseopt._core import _monitor
from sparseopt._core._monitor import Monitor

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


def test_history_is_a_copy(iterate):
    monitor = Monitor("ot.solve")
    iterate(monitor, 2)
    before = monitor.history()
    iterate(monitor, 2)
    assert len(before) == 2
    assert len(monitor.history()) == 4


def test_history_without_updates():
    history = Monitor("ot.solve", fields=("reg",)).history()
    assert history.shape == (0,)
    assert history.dtype.names[-1] == "reg"


def test_start_forgets(clock, iterate):
    monitor = Monitor("ot.solve", max_time=1.0)
    iterate(monitor, 3)
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


def test_no_limit(iterate):
    assert iterate(Monitor("ot.solve"), 100) is None


def test_max_iter(iterate):
    monitor = Monitor("ot.solve", max_iter=3)
    assert iterate(monitor, 10) is Status.MAX_ITER
    assert monitor.history()["n_iter"].tolist() == [0, 1, 2, 3]


def test_max_time(clock, iterate):
    monitor = Monitor("ot.solve", max_time=0.7)
    assert monitor.time_left() == pytest.approx(0.7)
    assert iterate(monitor, 10, clock) is Status.TIME_LIMIT
    assert monitor.history()["n_iter"].tolist() == [0, 1, 2, 3, 4]
    assert monitor.time_left() == 0
    assert monitor.elapsed == pytest.approx(0.8)


def test_time_in_the_callback_counts(clock, iterate):
    def slow(state):
        clock.now += 2

    assert iterate(Monitor("x", max_time=1.0, callback=slow)) is Status.TIME_LIMIT


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
def test_callback_stops(answer, iterate):
    monitor = Monitor("x", callback=lambda state: answer if state.n_iter == 2 else None)
    assert iterate(monitor) is Status.STOPPED_BY_CALLBACK
    assert len(monitor.history()) == 3


@pytest.mark.parametrize("answer", [False, None, 0, np.False_])
def test_callback_goes_on(answer, iterate):
    assert iterate(Monitor("x", callback=lambda state: answer)) is None


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
def test_exception_of_the_callback(error, clock, monkeypatch, capsys, iterate):
    """It comes out as it is, after the bar was removed; the run can be finished."""
    bar = _Bar()
    monkeypatch.setattr(_monitor, "open_bar", lambda title: bar)

    def callback(state):
        clock.now += 1
        if state.n_iter == 2:
            raise error

    monitor = Monitor("ot.solve", callback=callback, verbose=1)
    with pytest.raises(BaseException) as caught:
        iterate(monitor)
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


# ------------------------------------------------------------------------------- cost


def test_a_silent_update_costs_little(stopwatch):
    monitor = Monitor("x", fields=("reg", "nnz", "step"), max_iter=10**9)
    n = 1000

    def update():
        monitor.update(1, objective=1.0, residual=0.5, reg=0.1, nnz=3, step=1.0)

    assert min(stopwatch(update, number=n)) / n < 5e-6
