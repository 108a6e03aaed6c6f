"""Monitor: what is printed when, and warnings."""

import logging
import math
import re
import warnings

import pytest

from sparseopt import Status
from sparseopt._core._monitor import Monitor
from sparseopt.exceptions import ConvergenceWarning

# ----------------------------------------------------------------------------- output


SUMMARY = "ot.solve: max_iter in 4 iterations, 0.8 s, residual 0.0001 (tol 1e-09), "
ADVICE = f"objective 1. {Status.MAX_ITER.advice}\n"


@pytest.fixture
def printed(clock, capsys, iterate):
    """Function that returns what a run prints to standard error."""

    def printed(verbose):
        monitor = Monitor("ot.solve", tol=1e-9, max_iter=4, verbose=verbose)
        monitor.finish(iterate(monitor, 10, clock))
        out, err = capsys.readouterr()
        assert out == ""
        return err

    return printed


def test_verbose_0(printed):
    assert printed(0) == ""


@pytest.mark.parametrize("verbose", [1, True])
def test_verbose_1(printed, verbose):
    assert printed(verbose) == SUMMARY + ADVICE


HEADER = "ot.solve    iter       time  objective   residual\n"
LINES = [
    "               0      0.00s          0          1\n",
    "               1      0.20s  2.500e-01  1.000e-01\n",
    "               2      0.40s  5.000e-01  1.000e-02\n",
    "               3      0.60s  7.500e-01  1.000e-03\n",
    "               4      0.80s          1  1.000e-04\n",
]


def test_verbose_2_is_at_most_every_half_second(printed):
    wanted = HEADER + LINES[0] + LINES[3] + SUMMARY + ADVICE
    assert printed(2) == wanted


@pytest.mark.parametrize("verbose", [3, 10])
def test_verbose_3_is_every_iteration(printed, verbose):
    wanted = HEADER + "".join(LINES) + SUMMARY + ADVICE
    assert printed(verbose) == wanted


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
    monitor.finish(Status.CONVERGED, Status.CONVERGED.advice)  # as a result has it
    monitor.finish(Status.STALLED, "no descent direction")
    Monitor("prox.fit", verbose=1).finish(Status.INFEASIBLE)
    converged = (
        "ot.solve: converged in 1 iteration, 1.5 s, residual 1e-12, objective 0.125"
    )
    assert capsys.readouterr().err.splitlines() == [
        converged,
        converged,
        "ot.solve: stalled in 1 iteration, 1.5 s, residual 1e-12, objective 0.125. "
        "no descent direction",
        "prox.fit: infeasible in 0 iterations, 0 s, residual nan, objective nan. "
        + Status.INFEASIBLE.advice,
    ]


def test_output_follows_a_redirected_stderr(capsys, monkeypatch):
    # in this order: what monkeypatch puts back must not be closed by capsys before
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


def test_logger_takes_the_place_of_stderr(printed, records):
    assert printed(3) == ""
    wanted = (HEADER + "".join(LINES) + SUMMARY + ADVICE).splitlines()
    assert [record.getMessage() for record in records] == wanted
    assert {record.levelname for record in records} == {"INFO"}


def test_percent_signs_are_no_format(records):
    Monitor("100 % sure %s", verbose=1).finish(Status.CONVERGED)
    assert records[0].getMessage().startswith("100 % sure %s: converged")


def test_logger_without_handler_is_not_used(printed):
    # pytest has handlers on the root logger: they are not ours to write to
    assert logging.getLogger().handlers
    assert printed(1) == SUMMARY + ADVICE


# --------------------------------------------------------------------------- warnings


def _warning(monitor, *args, **kwargs):
    with pytest.warns(ConvergenceWarning) as caught:
        monitor.warn_if_not_converged(*args, **kwargs)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    return str(caught[0].message)


def test_warning(iterate):
    monitor = Monitor("ot.solve", tol=1e-9, max_iter=3)
    iterate(monitor)
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
