"""Paths: every point is the solution of its own problem."""

import time

import numpy as np
import pytest

from sparseopt import Status
from sparseopt.exceptions import ConvergenceWarning
from sparseopt.linear_model import (
    LeastSquares,
    Logistic,
    Multinomial,
    PathResult,
    minimize_composite,
    path,
)
from sparseopt.linear_model._path import critical_lam
from sparseopt.prox import (
    L1,
    MCP,
    Box,
    ElasticNet,
    GroupLasso,
    NonNegative,
    Penalty,
    Ridge,
)

from ._problems import lasso_gap, regression


@pytest.fixture
def problem(rng):
    X, y, _ = regression(rng)
    return LeastSquares(X, y, fit_intercept=True)


def test_every_gap_is_true(problem):
    result = path(problem, L1(), n_lams=12, eps=1e-3, tol=1e-10)
    X, y = problem.design.X, problem.y
    top = np.abs(X.T @ (y - y.mean())).max() / len(y)
    np.testing.assert_allclose(result.lams, top * np.geomspace(1, 1e-3, 12))
    assert result.converged
    assert result.n_nonzero[0] == 0
    assert result.n_nonzero[1] > 0
    for lam, w, b in zip(result.lams, result.coef, result.intercept, strict=True):
        assert lasso_gap(X, y, w, b, lam) <= 1e-10


@pytest.mark.parametrize(
    "penalty", [ElasticNet(1.0, 0.5), GroupLasso(1.0, groups=4), MCP(1.0)]
)
@pytest.mark.parametrize("loss", ["squares", "logistic"])
def test_points_are_those_of_single_solves(penalty, loss, problem):
    datafit = problem
    if loss == "logistic" and penalty.is_convex:
        datafit = Logistic(problem.design, problem.y > 1, fit_intercept=True)
    result = path(datafit, penalty, n_lams=4, eps=0.2, tol=1e-10)
    assert result.converged
    for lam, w, value in zip(result.lams, result.coef, result.objectives, strict=True):
        single = minimize_composite(datafit, penalty.with_lam(lam), tol=1e-10)
        if penalty.is_convex:
            np.testing.assert_allclose(w, single.coef, atol=1e-5)
        assert value == pytest.approx(single.objective, rel=1e-2)


def test_given_strengths_and_given_penalties(problem):
    lams = [0.3, 0.1, 0.2]
    result = path(problem, L1(), lams, tol=1e-10)
    np.testing.assert_array_equal(result.lams, lams)
    other = path(problem, [L1(lam) for lam in lams], tol=1e-10)
    np.testing.assert_allclose(other.coef, result.coef, atol=1e-9)


def test_penalties_without_a_critical_strength(problem):
    top = critical_lam(problem, Ridge())
    result = minimize_composite(problem, Ridge(top))
    explained = (
        1
        - problem.value(problem.design.matvec(result.coef) + result.intercept)
        / problem.scale()
    )
    assert 0.002 < explained < 0.05


def test_several_outputs(rng):
    X, y, _ = regression(rng, p=10)
    datafit = Multinomial(X, np.digitize(y, [0, 2]), fit_intercept=True)
    result = path(datafit, L1(), n_lams=3, eps=0.3, tol=1e-6)
    assert result.coef.shape == (3, 10, 3)
    assert result.intercept.shape == (3, 3)


def test_path_of_a_constant_target():
    datafit = LeastSquares(np.eye(4), np.ones(4), fit_intercept=True)
    result = path(datafit, L1(), n_lams=3)
    assert result.converged
    assert not result.coef.any()


def test_control(problem, tmp_path):
    seen = []
    result = path(problem, L1(), n_lams=5, callback=lambda s: seen.append(s.n_iter))
    assert len(seen) == result.n_iter == result.n_iters.sum()
    stopped = path(problem, L1(), n_lams=5, callback=lambda s: s.n_iter == 2)
    assert stopped.status is Status.STOPPED_BY_CALLBACK
    assert len(stopped.coef) < 5
    result.save(tmp_path / "p.npz")
    np.testing.assert_array_equal(PathResult.load(tmp_path / "p.npz").lams, result.lams)


def test_time_limit_ends_the_path(problem):
    with pytest.warns(ConvergenceWarning, match=r"1 of 50 problems \(time_limit\)"):
        result = path(problem, L1(), n_lams=50, max_time=1e-9)
    assert result.status is Status.TIME_LIMIT
    assert 1 <= len(result.coef) < 50


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"penalty": []}, TypeError, "not empty"),
        ({"penalty": [1]}, TypeError, "sequence"),
        ({"lams": [-1.0]}, ValueError, "'lams' array .* negative"),
        ({"lams": [np.nan]}, ValueError, "finite"),
        ({"n_lams": 0}, ValueError, "'n_lams'"),
        ({"eps": 1.0}, ValueError, "'eps'"),
        ({"penalty": [L1()], "lams": [1.0]}, ValueError, "'lams' .* None"),
    ],
)
def test_bad_input(arguments, error, match, problem):
    with pytest.raises(error, match=match):
        path(**({"datafit": problem, "penalty": L1()} | arguments))


def test_penalty_without_a_strength(problem):
    with pytest.raises(ValueError, match=r"'penalty'.*linear_model\.path.*'lam'.*Box"):
        path(problem, Box(0.0, 1.0))


@pytest.mark.parametrize("loss", ["squares", "logistic", "classes"])
@pytest.mark.parametrize("intercept", [False, True])
def test_free_coefficients_are_fitted_from_the_start(loss, intercept, problem):
    """As an intercept is: the grid begins where all others leave zero."""
    X, y = problem.design.X, problem.y
    datafit = {
        "squares": lambda: LeastSquares(X, y, fit_intercept=intercept),
        "logistic": lambda: Logistic(X, y > 1, fit_intercept=intercept),
        "classes": lambda: Multinomial(
            X, np.digitize(y, [0, 2]), fit_intercept=intercept
        ),
    }[loss]()
    weights = np.ones(80)
    weights[[2, 30]] = 0.0
    result = path(datafit, L1(weights=weights), n_lams=3, eps=0.5, tol=1e-10)
    assert result.converged and result.gap is not None
    used = result.coef.reshape(3, 80, -1).any(axis=2)
    assert used[:, [2, 30]].all()
    # the free columns are fitted to a gap of 1e-10, slopes to its root
    seen = np.setdiff1d(np.arange(80), [2, 30])
    assert np.abs(result.coef[0][seen]).max() < 1e-4
    assert used[1][seen].any()
    groups = GroupLasso(groups=[[j, j + 1] for j in range(2, 80, 2)])
    result = path(datafit, groups, n_lams=2, eps=0.5)
    assert result.coef[0][:2].all() and result.lams[0] < 10


def test_stopped_path_says_so(problem):
    result = path(problem, L1(), n_lams=3, callback=lambda state: True)
    assert result.status is Status.STOPPED_BY_CALLBACK
    assert len(result.lams) == 1 and "best point" in result.message


@pytest.mark.parametrize("solver", ["anderson_cd", "prox_newton", "prox_grad"])
def test_start_outside_of_the_domain(solver, problem):
    """The solution of one set is no point of the next."""
    sets = [Box(-1e3, 1e3), Box(-0.1, 0.05), NonNegative()]
    result = path(problem, sets, solver=solver, tol=1e-7)
    assert result.converged
    for penalty, w, value in zip(sets, result.coef, result.objectives, strict=True):
        assert penalty.value(w) == 0.0
        single = minimize_composite(problem, penalty, tol=1e-9)
        assert value == pytest.approx(single.objective, abs=1e-6 * problem.scale())


def test_limits_of_single_problems_do_not_hide_an_early_end(problem):
    """A problem that is not solved, then some that are, then no time is left."""
    seen = []

    def callback(state):
        seen.append(state.n_iter)
        time.sleep(0.02 if len(seen) > 3 else 0.0)

    penalties = [L1(0.01), *[L1(1e3)] * 100]
    with pytest.warns(ConvergenceWarning) as caught:
        result = path(
            problem, penalties, max_iter=1, max_time=0.3, callback=callback, tol=1e-10
        )
    assert result.status is Status.TIME_LIMIT and len(result.lams) < 101
    assert any(" of 101 problems (time_limit)" in str(w.message) for w in caught)


class _Own(Penalty):
    """What users need for a penalty of their own: a value and a prox."""

    def __init__(self, lam=1.0):
        self.lam = lam

    def value(self, w):
        return self.lam * np.abs(w).sum()

    def prox(self, w, step=1.0, out=None):
        return L1(self.lam).prox(w, step, out)


def test_penalties_of_users(problem):
    with pytest.raises(ValueError, match=r"'lams' parameter .* required for _Own"):
        path(problem, _Own())
    result = path(problem, _Own(), [0.5, 0.1], tol=1e-8)
    expected = path(problem, L1(), [0.5, 0.1], tol=1e-12)
    assert result.converged and result.gap is None
    # the residual is that of the gradient, coefficients follow it
    np.testing.assert_allclose(result.coef, expected.coef, atol=1e-5)
