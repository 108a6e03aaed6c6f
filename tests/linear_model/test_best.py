"""Runs that do not converge end at the best point that was looked at."""

import numpy as np
import pytest

from sparseopt import Status
from sparseopt.exceptions import ConvergenceWarning
from sparseopt.linear_model import (
    Composed,
    Huber,
    LeastSquares,
    Logistic,
    Multinomial,
    minimize_composite,
)
from sparseopt.linear_model._solvers import _SOLVERS, Solver
from sparseopt.prox import L1, MCP, WGSEF, GroupLasso

from ._problems import regression

D = np.diff(np.eye(80), axis=0)


@pytest.fixture
def data(rng):
    X, y, _ = regression(rng)
    return X, y


def problems(X, y):
    """A problem for each solver."""
    squares = LeastSquares(X, y, fit_intercept=True)
    logistic = Logistic(X, y > np.median(y), fit_intercept=True)
    classes = Multinomial(X, np.digitize(y, [0, 2]), fit_intercept=True)
    return {
        "anderson_cd": (squares, L1(0.01)),
        "anderson_cd, not convex": (squares, MCP(0.05)),
        "group_bcd": (squares, GroupLasso(0.01, groups=4)),
        "prox_newton": (logistic, L1(0.003)),
        "prox_newton, huber": (Huber(X, y, 0.5, fit_intercept=True), L1(0.003)),
        "prox_grad": (squares, L1(0.01)),
        "prox_grad, not convex": (squares, MCP(0.05)),
        "saga": (squares, L1(0.01)),
        "prox_svrg": (squares, L1(0.01)),
        "prox_svrg, batches": (squares, GroupLasso(0.01, groups=4)),
        "admm": (squares, [L1(0.01), Composed(L1(0.01), D)]),
        "pdhg": (squares, [L1(0.01), Composed(L1(0.01), D)]),
        "multinomial_cd": (classes, L1(0.003)),
        "envelope": (squares, WGSEF(4, 0.01)),
        "envelope, not convex": (squares, WGSEF(4, 0.01, debias=0.5)),
    }


NAMES = list(problems(np.eye(80)[:40], np.arange(40.0)))


def value(penalty, w):
    terms = penalty if isinstance(penalty, list) else [penalty]
    return sum(term.value(w) for term in terms)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", NAMES)
def test_stopped_at_any_moment(name, data):
    datafit, penalty = problems(*data)[name]
    for last in (1, 2, 3, 5, 8, 13):
        seen = []

        def callback(state, seen=seen, last=last):
            seen.append(state.objective)
            return state.n_iter >= last

        result = minimize_composite(
            datafit,
            penalty,
            solver=name.partition(",")[0],
            tol=1e-15,
            callback=callback,
        )
        # equal up to rounding: then the smaller residual decides
        least = min(seen)
        assert result.objective <= least + 2e-14 * abs(least)
        # what is reported is of the point that is returned
        z = datafit.design.matvec(result.coef) + result.intercept
        again = datafit.value(z) + value(penalty, result.coef)
        assert again == pytest.approx(result.objective, rel=1e-12)
        if result.gap is not None:
            scale = datafit.scale()
            assert result.residual == pytest.approx(max(result.gap, 0) / scale)
            assert result.gap >= -1e-14 * scale
        if result.status is Status.STOPPED_BY_CALLBACK:
            assert "best point" in result.message


def wander(end):
    """A solver that passes a good point, and ends by `end` at a bad one."""

    def solve(run):
        for size in (0.0, 0.5, 3.0, 40.0):
            w = np.zeros(run.shape)
            w[0] = size
            run.set_point(w)
            run.record()
        if end == "interrupt":
            run.w[0] = 70.0  # within an update
            raise KeyboardInterrupt
        return end

    return solve


@pytest.mark.parametrize(
    ("status", "end", "options"),
    [
        (Status.STOPPED_BY_CALLBACK, None, {"callback": lambda s: s.n_iter == 4}),
        (Status.MAX_ITER, None, {"max_iter": 4}),
        (Status.INTERRUPTED, "interrupt", {}),
        (Status.PRECISION, Status.PRECISION, {}),
        (Status.STALLED, Status.STALLED, {}),
        (Status.NUMERICAL_FAILURE, Status.NUMERICAL_FAILURE, {}),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_end(status, end, options, data, monkeypatch):
    X, y = data
    y = 0.5 * X[:, 0] + 0.1 * y
    monkeypatch.setitem(_SOLVERS, "prox_grad", Solver(wander(end), lambda *_: None))
    datafit = LeastSquares(X, y)
    result = minimize_composite(datafit, L1(0.01), solver="prox_grad", **options)
    assert result.status is status
    assert result.coef[0] == 0.5
    assert result.objective == result.history["objective"].min()
    theta = result.dual
    assert np.abs(X.T @ theta).max() <= 0.01 * (1 + 1e-12)
    dual = -datafit.conjugate(theta)
    assert result.gap == pytest.approx(result.objective - dual, rel=1e-12)


def test_time_limit(data):
    datafit, penalty = problems(*data)["prox_grad"]
    with pytest.warns(ConvergenceWarning, match="time_limit"):
        result = minimize_composite(
            datafit, penalty, solver="prox_grad", tol=1e-15, max_time=0.01
        )
    assert result.objective == pytest.approx(result.history["objective"].min())


def test_keyboard_between_two_looks(data):
    """The point that was reached counts too, if it is better."""

    class Impatient(L1):
        calls = 0

        def prox(self, w, step=1.0, out=None):
            self.calls += 1
            if self.calls == 38:
                raise KeyboardInterrupt
            return super().prox(w, step, out)

    datafit, _ = problems(*data)["prox_grad"]
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        result = minimize_composite(
            datafit, Impatient(0.01), solver="prox_grad", tol=1e-15
        )
    assert result.objective <= result.history["objective"].min() * (1 + 1e-14)
    assert "best point" in result.message


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_dual_of_a_stopped_run_is_feasible_for_all_columns(rng):
    """Also while screening leaves columns out."""
    X, y, _ = regression(rng, n=60, p=3000, k=20)
    datafit = LeastSquares(X, y, fit_intercept=True)
    for last in range(4, 14):
        result = minimize_composite(datafit, L1(0.003), tol=1e-15, max_iter=last)
        assert np.abs(X.T @ result.dual).max() <= 0.003 * (1 + 1e-12)
        dual = -datafit.conjugate(result.dual)
        assert result.objective - dual == pytest.approx(result.gap, abs=1e-13)


def test_sum_of_penalties_without_a_gap_ends_at_the_least_residual(data):
    datafit = LeastSquares(*data)
    for solver in ("admm", "pdhg"):
        with pytest.warns(ConvergenceWarning):
            result = minimize_composite(
                datafit, Composed(L1(0.05), D), solver=solver, max_iter=30, tol=1e-14
            )
        assert result.gap is None
        assert result.residual == result.history["residual"].min()
