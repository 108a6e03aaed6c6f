"""Callbacks, limits, interrupts, output, storage: what surrounds the iterations."""

import copy
import os
import pickle
import signal
import threading
import time
import warnings

import numpy as np
import pytest

from sparseopt import Status, ot
from sparseopt.datasets import make_clouds
from sparseopt.exceptions import ConvergenceWarning

METHODS = ("auto", "sinkhorn", "sns", "ssns")


@pytest.fixture
def cost():
    return np.random.default_rng(0).random((60, 50))


@pytest.fixture
def slow():
    """A problem that Sinkhorn cannot finish in the time of a test."""
    return np.random.default_rng(1).random((700, 700))


def assert_usable(result, C):
    """Whatever ended the run, the plan has exact rows and a certified gap."""
    n, m = C.shape
    np.testing.assert_allclose(result.plan.sum(axis=1), 1 / n, rtol=1e-12)
    error = np.abs(result.plan.sum(axis=0) - 1 / m).sum()
    assert result.marginal_error == pytest.approx(error, rel=1e-6, abs=1e-14)
    assert 0 <= result.gap < np.inf
    assert len(result.history) == result.n_iter


@pytest.mark.parametrize("method", METHODS)
def test_callback_sees_every_iteration_and_can_stop(method, cost):
    seen = []

    def callback(state):
        f, g = state.potentials
        assert f.shape == (60,) and g.shape == (50,)
        assert not g.flags.writeable
        seen.append((state.n_iter, state.residual, state.reg))
        return state.n_iter == 3

    result = ot.solve(cost, reg=1e-3, method=method, tol=1e-12, callback=callback)
    assert result.status is Status.STOPPED_BY_CALLBACK
    assert [n for n, _, _ in seen] == [1, 2, 3]
    assert result.n_iter == 3
    assert_usable(result, cost)


def test_callback_state_cannot_be_changed(cost):
    def callback(state):
        with pytest.raises(AttributeError, match="read-only"):
            state.residual = 0.0
        return True

    ot.solve(cost, reg=1e-2, callback=callback)


def test_exception_of_a_callback_comes_through(cost):
    def callback(state):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ot.solve(cost, reg=1e-2, callback=callback)
    assert ot.solve(cost, reg=1e-2).converged


@pytest.mark.parametrize("method", METHODS)
def test_iteration_limit(method, cost):
    with pytest.warns(ConvergenceWarning, match="residual .*tol .*max_iter"):
        result = ot.solve(cost, reg=1e-4, method=method, tol=1e-12, max_iter=2)
    assert result.status is Status.MAX_ITER
    assert result.n_iter == 2
    assert_usable(result, cost)


def test_limit_reached_at_the_last_iteration_is_success(cost):
    full = ot.solve(cost, reg=0.1, method="sinkhorn", tol=1e-9)
    again = ot.solve(cost, reg=0.1, method="sinkhorn", tol=1e-9, max_iter=full.n_iter)
    assert again.status is Status.CONVERGED


@pytest.mark.parametrize("method", ["sinkhorn", "sns", "ssns"])
def test_time_limit(method, slow):
    options = {"n_sinkhorn": 10**6} if method == "sns" else {}
    start = time.perf_counter()
    with pytest.warns(ConvergenceWarning, match="max_time"):
        result = ot.solve(
            slow, reg=1e-4, method=method, tol=1e-13, max_time=0.2, **options
        )
    assert result.status is Status.TIME_LIMIT
    assert time.perf_counter() - start < 5  # a hang guard, not a timing
    assert_usable(result, slow)


def test_tiny_time_limit_keeps_an_iterate(cost):
    with pytest.warns(ConvergenceWarning):
        result = ot.solve(cost, reg=1e-4, max_time=1e-9)
    assert result.status is Status.TIME_LIMIT
    assert_usable(result, cost)


@pytest.mark.parametrize("method", METHODS)
def test_interrupt_from_a_callback(method, cost):
    def callback(state):
        if state.n_iter == 2:
            raise KeyboardInterrupt

    with pytest.warns(ConvergenceWarning, match="interrupted"):
        result = ot.solve(cost, reg=1e-3, method=method, tol=1e-12, callback=callback)
    assert result.status is Status.INTERRUPTED
    assert_usable(result, cost)


def test_real_interrupt(slow):
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        result = ot.solve(slow, reg=1e-5, method="sinkhorn", tol=1e-14)
    timer.join()
    assert result.status is Status.INTERRUPTED
    assert result.n_iter > 0
    assert_usable(result, slow)


def test_time_limit_of_auto():
    """An answer within about a second, however large the problem."""
    C = np.random.default_rng(2).random((2500, 2500))
    start = time.perf_counter()
    with pytest.warns(ConvergenceWarning, match="max_time"):
        result = ot.solve(C, reg=1e-4, tol=1e-12, max_time=0.05)
    assert time.perf_counter() - start < 5  # a hang guard, not a timing
    assert result.status is Status.TIME_LIMIT
    assert_usable(result, C)


def test_real_interrupt_of_auto():
    """Wherever it strikes the answer and its error belong together."""
    C = np.random.default_rng(3).random((1500, 1200))
    whole = time.perf_counter()
    assert ot.solve(C, reg=1e-4, tol=1e-10, n_threads=1).converged
    whole = time.perf_counter() - whole
    for share in (0.1, 0.3, 0.6):
        timer = threading.Timer(share * whole, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                result = ot.solve(C, reg=1e-4, tol=1e-10, n_threads=1)
            timer.join()
        except KeyboardInterrupt:  # struck after the solver was done, or before
            continue
        assert result.status in (Status.INTERRUPTED, Status.CONVERGED)
        assert_usable(result, C)


def test_silent_by_default(cost, capfd):
    ot.solve(cost, reg=1e-3)
    out, err = capfd.readouterr()
    assert out == "" and err == ""


def test_verbose_writes_to_standard_error(cost, capfd):
    result = ot.solve(cost, reg=1e-3, verbose=3)
    out, err = capfd.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == result.n_iter + 2  # header and summary
    assert "converged" in lines[-1]


@pytest.mark.parametrize("verbose", [1, True])
def test_verbose_one_is_a_summary(cost, capfd, verbose):
    result = ot.solve(cost, reg=1e-3, verbose=verbose)
    out, err = capfd.readouterr()
    (line,) = err.splitlines()  # no bar where there is no terminal
    assert out == ""
    assert line.startswith("ot.solve: converged in ")
    assert f"{result.n_iter} iterations" in line
    assert "residual" in line and "tol 1e-09" in line


def test_verbose_two_prints_at_most_each_half_second(cost, capfd):
    ot.solve(cost, reg=1e-3, verbose=2)
    lines = capfd.readouterr().err.splitlines()
    assert 2 < len(lines) < 10
    assert "reg" in lines[0] and "nnz" in lines[0]


def test_verbose_tells_why_it_stopped(cost, capfd):
    with pytest.warns(ConvergenceWarning):
        ot.solve(cost, reg=1e-4, verbose=1, max_iter=3)
    assert "max_iter in 3 iterations" in capfd.readouterr().err


def test_history_tells_the_run(cost):
    h = ot.solve(cost, reg=1e-3, tol=1e-10).history
    assert h.dtype.names == (
        "n_iter", "time", "objective", "residual", "reg", "nnz", "step",
    )  # fmt: skip
    assert (np.diff(h["n_iter"]) == 1).all()
    assert (np.diff(h["time"]) >= 0).all()
    assert (np.diff(h["reg"]) <= 0).all()
    assert h["reg"][-1] == pytest.approx(1e-3)
    assert h["residual"][-1] <= 1e-10
    last = h[h["reg"] == h["reg"][-1]]
    assert last["objective"][-1] >= last["objective"].max() - 1e-12


def test_history_objective_ends_at_the_value():
    C = np.random.default_rng(3).random((30, 20))
    a = np.random.default_rng(4).random(30)
    b = np.random.default_rng(5).random(20)
    b *= a.sum() / b.sum()
    result = ot.solve(C, a, b, reg=0.05, tol=1e-12)
    assert result.history["objective"][-1] == pytest.approx(
        result.value_entropic, rel=1e-10
    )


@pytest.mark.parametrize("as_tuple", [False, True])
def test_warm_start_saves_iterations(as_tuple, cost):
    cold = ot.solve(cost, reg=1e-3, tol=1e-10)
    init = cold.potentials if as_tuple else cold
    warm = ot.solve(cost, reg=9e-4, tol=1e-10, init=init)
    assert warm.converged
    assert warm.n_iter < ot.solve(cost, reg=9e-4, tol=1e-10).n_iter


def test_warm_start_with_masses_and_zeros():
    rng = np.random.default_rng(6)
    C, a, b = rng.random((12, 9)), rng.random(12), rng.random(9)
    a[3], b[[0, 5]] = 0, 0
    b *= a.sum() / b.sum()
    for matrix in (C, np.asfortranarray(C)):
        cold = ot.solve(matrix, a, b, reg=0.01, tol=1e-11)
        warm = ot.solve(matrix, a, b, reg=0.01, tol=1e-11, init=cold)
        assert warm.n_iter <= 3
        np.testing.assert_allclose(warm.plan, cold.plan, atol=1e-10)


def test_results_can_be_copied_and_pickled(cost):
    result = ot.solve(cost, reg=1e-2)
    for twin in (copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        np.testing.assert_array_equal(twin.plan, result.plan)
        assert twin.status is result.status


def test_save_and_load(cost, tmp_path):
    result = ot.solve(cost, reg=1e-2)
    path = tmp_path / "result.npz"
    result.save(path)
    loaded = ot.OTResult.load(path)
    for mine, theirs in zip(loaded.potentials, result.potentials, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert loaded.status is Status.CONVERGED
    assert loaded.gap == result.gap
    np.testing.assert_array_equal(loaded.history, result.history)
    with pytest.raises(ValueError, match="files do not hold the cost"):
        loaded.plan  # noqa: B018  the access is what raises
    again = ot.solve(cost, reg=1e-2, init=loaded)
    assert again.converged


def test_results_cannot_be_changed(cost):
    result = ot.solve(cost, reg=1e-2)
    with pytest.raises(AttributeError):
        result.value = 0.0


def test_summary_is_of_the_target_problem(capsys):
    """Stopped at a level of larger reg, "auto" prints the error that it returns."""
    C = make_clouds(40, random_state=0)[0]
    result = ot.solve(C, reg=1e-4, verbose=1, callback=lambda state: state.n_iter == 3)
    assert result.history["reg"][-1] > 1e-4
    assert f"residual {result.residual:.3g}" in capsys.readouterr().err
