"""The public function: choice of solvers, control, results, bad input."""

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

from sparseopt import Status
from sparseopt.linear_model import (
    CompositeResult,
    Huber,
    LeastSquares,
    Logistic,
    Multinomial,
    minimize_composite,
)
from sparseopt.prox import L1, MCP, GroupLasso, Penalty

from ._problems import regression


@pytest.fixture
def problem(rng):
    X, y, _ = regression(rng)
    return LeastSquares(X, y, fit_intercept=True)


class _Norm(Penalty):
    """The Euclidean norm, of no form that a solver knows."""

    def value(self, w):
        return 0.1 * float(np.linalg.norm(w))

    def prox(self, w, step=1.0, out=None):
        norm = np.linalg.norm(w)
        return w * max(0.0, 1 - 0.1 * step / norm) if norm else w

    def conjugate(self, v):
        return 0.0 if np.linalg.norm(v) <= 0.1 * (1 + 1e-14) else np.inf

    def dual_scale(self, v):
        norm = np.linalg.norm(v)
        return min(1.0, 0.1 / norm) if norm else 1.0


def test_auto_chooses_by_traits(problem, rng):
    X, y = problem.design.X, problem.y
    labels = y > np.median(y)
    cases = [
        (problem, L1(0.1), "anderson_cd"),
        (problem, MCP(0.1), "anderson_cd"),
        (problem, GroupLasso(0.1, groups=4), "group_bcd"),
        (Logistic(X, labels), L1(0.01), "prox_newton"),
        (Logistic(X, labels), GroupLasso(0.05, groups=4), "prox_newton"),
        (Huber(X, y), L1(0.1), "prox_newton"),
        (LeastSquares(aslinearoperator(X), y), L1(0.1), "prox_grad"),
        (problem, _Norm(), "prox_grad"),
    ]
    for datafit, penalty, name in cases:
        result = minimize_composite(datafit, penalty, tol=1e-5)
        assert result.solver == name
        assert result.converged


def test_solvers_agree(problem):
    reference = minimize_composite(problem, L1(0.1), tol=1e-11)
    for solver in ("anderson_cd", "prox_newton", "prox_grad"):
        result = minimize_composite(problem, L1(0.1), solver=solver, tol=1e-11)
        np.testing.assert_allclose(result.coef, reference.coef, atol=1e-4)
        assert result.objective == pytest.approx(reference.objective, rel=1e-9)


@pytest.mark.parametrize(
    ("solver", "loss", "penalty", "reason"),
    [
        ("anderson_cd", "logistic", L1(0.1), "least squares with one output"),
        ("anderson_cd", "squares", GroupLasso(0.1, groups=4), "not separable"),
        ("anderson_cd", "operator", L1(0.1), "needs the columns"),
        ("group_bcd", "squares", L1(0.1), "no group lasso"),
        ("group_bcd", "logistic", GroupLasso(0.1, groups=4), "least squares"),
        ("prox_newton", "multinomial", L1(0.1), "one output"),
        ("prox_newton", "squares", _Norm(), "not separable, nor a group lasso"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(solver, loss, penalty, reason, problem):
    X, y = problem.design.X, problem.y
    datafit = {
        "squares": lambda: problem,
        "logistic": lambda: Logistic(X, y > 1),
        "multinomial": lambda: Multinomial(X, np.digitize(y, [0, 2])),
        "operator": lambda: LeastSquares(aslinearoperator(X), y),
    }[loss]()
    names = f"{type(datafit).__name__} with {type(penalty).__name__}"
    with pytest.raises(ValueError, match=f"'{solver}' for {names}: .*{reason}"):
        minimize_composite(datafit, penalty, solver=solver)


def test_result(problem, tmp_path):
    result = minimize_composite(problem, L1(0.1))
    assert isinstance(result, CompositeResult)
    np.testing.assert_array_equal(result.support, np.flatnonzero(result.coef))
    assert result.residual <= 1e-8
    assert result.history["residual"][-1] == result.residual
    assert result.history["n_nonzero"][-1] == result.support.size
    assert "anderson_cd" in repr(result)
    result.save(tmp_path / "r.npz")
    again = CompositeResult.load(tmp_path / "r.npz")
    np.testing.assert_array_equal(again.coef, result.coef)
    assert again.solver == result.solver


@pytest.mark.parametrize("solver", ["anderson_cd", "prox_newton"])
class TestControl:
    def test_max_iter(self, solver, problem):
        with pytest.warns(UserWarning, match=r"did not converge \(max_iter\)"):
            result = minimize_composite(
                problem, L1(0.001), solver=solver, max_iter=2, tol=1e-12
            )
        assert result.status is Status.MAX_ITER
        assert result.n_iter == 2
        assert result.residual > 1e-12

    def test_max_time(self, solver, problem):
        with pytest.warns(UserWarning, match="time_limit"):
            result = minimize_composite(
                problem, L1(0.001), solver=solver, max_time=1e-9, tol=1e-12
            )
        assert result.status is Status.TIME_LIMIT

    def test_callback_sees_and_stops(self, solver, problem):
        seen = []

        def callback(state):
            seen.append((state.n_iter, state.objective, state.residual, state.coef))
            with pytest.raises(ValueError, match="read-only"):
                state.coef[0] = 1.0
            return state.n_iter == 2

        result = minimize_composite(
            problem, L1(0.01), solver=solver, callback=callback, tol=1e-12
        )
        assert result.status is Status.STOPPED_BY_CALLBACK
        assert [entry[0] for entry in seen] == [1, 2]
        assert seen[1][1] == result.objective

    def test_interrupt_keeps_the_best_point(self, solver, problem):
        def callback(state):
            if state.n_iter == 2:
                raise KeyboardInterrupt

        with pytest.warns(UserWarning, match="interrupted"):
            result = minimize_composite(
                problem, L1(0.01), solver=solver, callback=callback, tol=1e-12
            )
        assert result.status is Status.INTERRUPTED
        assert result.objective < problem.scale()

    def test_start(self, solver, problem, rng):
        first = minimize_composite(problem, L1(0.05), solver=solver, tol=1e-10)
        for start in (
            {"init": first},
            {"init": (first.coef, first.intercept)},
            {"w0": first.coef},
        ):
            result = minimize_composite(
                problem, L1(0.05), solver=solver, tol=1e-10, **start
            )
            assert result.n_iter <= 2
        far = minimize_composite(
            problem, L1(0.05), rng.standard_normal(80), solver=solver, tol=1e-10
        )
        np.testing.assert_allclose(far.coef, first.coef, atol=1e-5)


def test_verbose(problem, capsys):
    minimize_composite(problem, L1(0.1), verbose=1)
    text = "".join(capsys.readouterr())
    assert "sparseopt.linear_model.minimize_composite: converged in" in text


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"datafit": 1}, TypeError, "'datafit' parameter"),
        ({"penalty": "l1"}, TypeError, "'penalty' parameter"),
        ({"solver": "newton"}, ValueError, "'solver' parameter .* one of"),
        ({"tol": 0}, ValueError, "'tol' parameter"),
        ({"tol": np.nan}, ValueError, "'tol' parameter"),
        ({"max_iter": 0}, ValueError, "'max_iter' parameter"),
        ({"max_iter": 1.5}, TypeError, "'max_iter' parameter"),
        ({"max_time": -1}, ValueError, "'max_time' parameter"),
        ({"callback": 3}, TypeError, "'callback' parameter"),
        ({"n_threads": 0}, ValueError, "'n_threads' parameter"),
        ({"w0": np.ones(3)}, ValueError, r"'w0' array .* shape \(80,\). Got \(3,\)"),
        ({"w0": np.full(80, np.nan)}, ValueError, "'w0' array must be finite"),
        ({"init": 5}, TypeError, "'init' parameter"),
        ({"init": (np.ones(80), np.inf)}, ValueError, "intercept in the 'init'"),
        ({"init": (np.ones(80), [1.0])}, ValueError, "intercept in the 'init'"),
        ({"init": (np.ones(80), 0), "w0": np.ones(80)}, ValueError, "exclude"),
        ({"options": 3}, TypeError, "'options' parameter"),
    ],
)
def test_bad_input(arguments, error, match, problem):
    arguments = {"datafit": problem, "penalty": L1(0.1)} | arguments
    with pytest.raises(error, match=match):
        minimize_composite(**arguments)
