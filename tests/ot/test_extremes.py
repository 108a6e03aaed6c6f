"""Numbers at the ends of float64, and claims that rounding must not make false."""

import warnings

import numpy as np
import pytest

from sparseopt import Status, datasets, ot
from sparseopt.exceptions import ConvergenceWarning
from sparseopt.ot import _sinkhorn
from sparseopt.ot._plans import ScaledPlan
from sparseopt.ot._problem import Duals

METHODS = ("auto", "sinkhorn", "sns", "ssns")


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    C, a, b = rng.random((30, 25)), rng.random(30), rng.random(25)
    return C, a / a.sum(), b / b.sum()


def outside_error(result, a, b):
    plan = result.plan
    return np.abs(plan.sum(axis=1) - a).sum() + np.abs(plan.sum(axis=0) - b).sum()


# ---------------------------------------------------------------- converged is no guess


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("tol", [1e-13, 1e-15, 1e-17])
def test_converged_means_below_tol(method, tol, problem):
    limit = 1000 if method == "sinkhorn" else 100
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        result = ot.solve(*problem, 1e-2, method=method, tol=tol, max_iter=limit)
    assert result.converged == (result.marginal_error <= tol)
    assert result.marginal_error < 1e-13
    if result.converged and method in ("auto", "sinkhorn"):
        # the rows' rounding is added when all is done
        assert result.history["residual"][-1] <= result.residual


def test_the_exact_pass_has_the_last_word(problem, monkeypatch):
    """A stored plan whose error comes out too small does not end the iterations."""
    evaluate = ScaledPlan.evaluate

    def optimistic(self, duals, reg, fast=False):
        evaluate(self, duals, reg, fast)
        duals.err *= 1e-3

    monkeypatch.setattr(ScaledPlan, "evaluate", optimistic)
    result = ot.solve(*problem, 1e-2, method="sinkhorn")
    assert result.converged
    assert outside_error(result, *problem[1:]) <= 1e-9


@pytest.mark.parametrize("method", ["auto", "sinkhorn"])
def test_large_offset_of_the_cost(method, problem):
    """The plan of 1e8 + [0, 1] is exact; potentials of that size cannot tell it."""
    C, a, b = problem
    result = ot.solve(C + 1e8, a, b, 1e-2, method=method)
    assert result.converged
    rows, columns = result.plan.sum(axis=1), result.plan.sum(axis=0)
    assert np.abs(rows - a).sum() + np.abs(columns - b).sum() <= 1.01e-9
    assert outside_error(result, a, b) < 1e-5


@pytest.mark.parametrize("method", ["sinkhorn", "sns"])
def test_interrupt_between_an_update_and_its_error(method, problem, monkeypatch):
    """The error reported is that of the potentials returned."""
    C, a, b = problem
    monkeypatch.setattr(_sinkhorn, "_STORED_BYTES", 0)  # no plan is stored
    update, calls = Duals.scale_columns, []

    def interrupted(self, *args):
        update(self, *args)
        calls.append(self)
        if len(calls) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(Duals, "scale_columns", interrupted)
    with pytest.warns(UserWarning, match="interrupted"):
        result = ot.solve(C, a, b, 1e-2, method=method, tol=1e-12)
    assert result.status is Status.INTERRUPTED
    np.testing.assert_allclose(result.plan.sum(axis=1), a, rtol=1e-12)
    assert result.marginal_error == pytest.approx(outside_error(result, a, b), rel=1e-9)


@pytest.mark.parametrize("method", ["auto", "sinkhorn"])
def test_smallest_tol(method, problem):
    with pytest.warns(UserWarning, match="did not converge"):
        result = ot.solve(*problem, 0.1, method=method, tol=5e-324, max_iter=100)
    assert result.marginal_error < 1e-14


def test_passes_are_counted(problem):
    """Each iteration of Sinkhorn reads the cost or a plan stored in its place."""
    result = ot.solve(*problem, 0.1, method="sinkhorn")
    assert result.n_dense_passes >= result.n_iter > 10


# ------------------------------------------------------------------------ costs and reg


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("big", [1e3, 1e6, 1e9])
def test_prohibitive_costs(method, big, problem, certify):
    """Entries that stand for forbidden pairs take no digits from the others."""
    C, a, b = problem
    C = np.where(np.random.default_rng(1).random(C.shape) < 0.03, big, C)
    result = ot.solve(C, a, b, 1e-2, method=method, tol=1e-9)
    assert result.converged
    assert outside_error(result, a, b) < 1e-8
    assert result.plan[big == C].max() < 1e-9
    wanted = ot.solve(np.minimum(C, 40), a, b, 1e-2, tol=1e-11)
    np.testing.assert_allclose(result.plan, wanted.plan, atol=1e-8)


def test_clusters_far_apart(problem):
    """Potentials of 1e6 by which mass crosses a gap."""
    C, a, b = problem
    wide = np.block([[C, C + 1e6], [C + 1e6, C]])
    a, b = np.concatenate([a, 2 * a]) / 3, np.concatenate([2 * b, b]) / 3
    result = ot.solve(wide, a, b, 1e-2, tol=1e-7)
    assert result.converged
    assert result.plan[:30, 25:].sum() + result.plan[30:, :25].sum() == pytest.approx(
        1 / 3, abs=1e-6
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("reg", [1e2, 1e5, 1e9, 1e307])
def test_large_reg(method, reg, problem):
    C, a, b = problem
    result = ot.solve(C, a, b, reg, method=method)
    assert result.converged
    assert result.n_iter < 60
    distance = np.abs(result.plan - np.outer(a, b)).sum()
    assert distance < 2 * np.ptp(C) / reg + 1e-9


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-300, 1e-307])
def test_reg_beyond_any_multiple_of_the_cost(method, scale, problem):
    C, a, b = problem
    result = ot.solve(C * scale, a, b, 1e10, method=method)
    assert result.converged
    np.testing.assert_allclose(result.plan, np.outer(a, b), atol=1e-9)


@pytest.mark.parametrize("method", ["sns", "ssns"])
@pytest.mark.parametrize("reg", [1e-4, 1e-6, 1e-9])
def test_published_methods_at_small_reg(method, reg, problem):
    """They may fail where "auto" does not, without NaN and without other warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        result = ot.solve(*problem, reg, method=method, max_iter=600)
    assert np.isfinite(result.plan).all()
    np.testing.assert_allclose(result.plan.sum(axis=1), problem[1], rtol=1e-6)
    assert result.converged == (result.marginal_error <= 1e-9)
    assert result.converged or result.status in (Status.MAX_ITER, Status.STALLED)


def test_potentials_that_no_float_holds_are_named():
    C = 1.79e308 * np.random.default_rng(2).uniform(-1, 1, size=(12, 9))
    with pytest.raises(ValueError, match=r"range of the 'C'.*too large.*divide"):
        ot.solve(C, reg=1e-2, reg_relative=True)


# ------------------------------------------------------------------------------- masses


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("decades", [30, 100, 290, 320])
def test_masses_over_many_decades(method, decades):
    rng = np.random.default_rng(decades)
    C = rng.random((40, 30))
    a, b = 10 ** rng.uniform(-decades, 0, 40), 10 ** rng.uniform(-decades, 0, 30)
    a, b = a / a.sum(), b / b.sum()
    result = ot.solve(C, a, b, 1e-2, method=method)
    assert result.converged
    assert outside_error(result, a, b) < 1e-8
    rows = result.plan.sum(axis=1)
    known = a > 1e-280
    np.testing.assert_allclose(rows[known], a[known], rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_denormal_mass(method, problem):
    C, a, b = problem
    a = a.copy()
    a[1] += a[0]
    a[0] = 5e-324
    result = ot.solve(C, a, b, 1e-2, method=method)
    assert result.converged
    wanted = ot.solve(C[1:], a[1:], b, 1e-2, tol=1e-11)
    np.testing.assert_allclose(result.plan[1:], wanted.plan, atol=1e-8)
    assert result.plan[0].max() < 1e-290
    assert np.isfinite(result.potentials[0]).all()


@pytest.mark.parametrize("mass", [1e-300, 1e-30, 1e30, 1e300])
def test_dual_gap_with_any_total_mass(mass, problem):
    C, a, b = problem
    with pytest.warns(UserWarning, match="did not converge"):
        rough = ot.solve(C, mass * a, mass * b, 0.1, method="sinkhorn", max_iter=2)
    with pytest.warns(UserWarning, match="did not converge"):
        one = ot.solve(C, a, b, 0.1, method="sinkhorn", max_iter=2)
    assert one.dual_gap > 1e-5
    assert rough.dual_gap == pytest.approx(mass * one.dual_gap, rel=1e-6)


# -------------------------------------------------------------------------- warm starts


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("constant", [1e3, 1e10, 1e300])
def test_constants_in_initial_potentials_do_not_matter(method, constant, problem):
    C, a, b = problem
    init = np.full(30, -constant), np.full(25, constant)
    result = ot.solve(C, a, b, 1e-2, method=method, init=init)
    assert result.converged
    cold = ot.solve(C, a, b, 1e-2, method=method)
    np.testing.assert_allclose(result.plan, cold.plan, atol=1e-8)


@pytest.mark.parametrize("size", [1.0, 1e2, 1e5])
def test_a_bad_start_costs_time_only(size, certify):
    p = datasets.make_clouds(50, 40, random_state=3)
    rng = np.random.default_rng(5)
    init = size * rng.normal(size=50), size * rng.normal(size=40)
    result = ot.solve(p.C, p.a, p.b, 1e-2, init=init)
    certify(result, p.C, p.a, p.b)
