"""The parts of the published Newton methods, "sns" and "ssns"."""

import numpy as np
import pytest
from scipy import sparse

from sparseopt import datasets, ot
from sparseopt.ot import _schur, _sns, _ssns
from sparseopt.ot._full_dual import FullDual
from sparseopt.ot._problem import make_problem
from sparseopt.ot._schur import solve_shifted


def watch():
    """The clock of tests, which stands still."""


@pytest.fixture
def point(rng):
    """Full dual of a small problem at potentials near a solution."""
    C, a, b = rng.random((9, 7)), rng.random(9), rng.random(7)
    a, b = a / a.sum(), b / b.sum()
    f, g = ot.solve(C, a, b, 0.3).potentials
    z = np.concatenate([f, g]) + 0.05 * rng.normal(size=16)
    return FullDual(make_problem(C, a, b, 0.3, 1), z)


def test_gradient_and_hessian_are_derivatives(point):
    """Of the dual value ``<a, f> + <b, g> - reg sum P``."""
    step = 1e-5

    def at(j, sign):
        z = point.z.copy()
        z[j] += sign * step
        return FullDual(point.problem, z)

    pairs = [(at(j, 1), at(j, -1)) for j in range(16)]
    slopes = [(up.value - down.value) / (2 * step) for up, down in pairs]
    np.testing.assert_allclose(point.gradient, slopes, atol=1e-9)
    rows = [(up.gradient - down.gradient) / (2 * step) for up, down in pairs]
    H = point.hessian(_sns._largest(point.plan, point.plan.size)).toarray()
    np.testing.assert_allclose(-H / point.problem.reg, rows, atol=1e-8)
    assert np.linalg.eigvalsh(H).min() >= -1e-14
    np.testing.assert_allclose(H @ np.r_[np.ones(9), -np.ones(7)], 0, atol=1e-15)


def test_line_search_takes_the_first_sufficient_length(point):
    slope = float(point.gradient @ point.gradient)
    trial, step = point.line(point.gradient, slope, [1e6, 1e-2, 1e-3], watch)
    assert step == 1e-2
    assert trial.value >= point.value + 1e-6 * slope
    assert point.line(-point.gradient, slope, [1.0, 0.1], watch) == (None, 0.0)


@pytest.mark.parametrize("keep", [1, 10, 63])
def test_largest_entries(point, keep):
    thin = _sns._largest(point.plan, keep)
    assert thin.nnz == keep
    smallest = np.sort(point.plan, axis=None)[-keep]
    wanted = np.where(point.plan >= smallest, point.plan, 0)
    np.testing.assert_array_equal(thin.toarray(), wanted)


@pytest.mark.parametrize("keep", [63, 20, 5])
def test_direction_solves_the_thinned_system(point, keep):
    H = point.hessian(_sns._largest(point.plan, keep)).toarray()
    x = _sns._newton_direction(point, keep, watch)
    residual = np.linalg.norm(H @ x - point.gradient)
    assert residual <= 1e-9 * np.linalg.norm(point.gradient)


@pytest.mark.parametrize("delta", [0.0, 1e-4, 1e-3, 1e-2, 0.1])
@pytest.mark.parametrize("spread", [0.5, 3.0])
def test_thinning_keeps_the_mass_of_rows_and_columns(delta, spread, rng):
    plan = np.exp(spread * rng.normal(size=(30, 40)))
    plan[3] *= 1e-3  # a row that would lose most of its mass
    plan /= plan.sum()
    kept = _ssns._thinned(plan, delta, watch)
    lost = plan - kept
    assert ((kept == 0) | (kept == plan)).all()
    assert lost.sum(axis=0).max() <= delta + 1e-15
    assert lost.sum(axis=1).max() <= 2 * delta + 1e-15
    if delta >= 1e-3:
        assert (kept == 0).sum() > 20


@pytest.mark.parametrize("shift", [1e-6, 1e-3, 1.0])
def test_schur_complement_solves_the_shifted_system(point, shift):
    kept = _ssns._thinned(point.plan, 1e-3, watch)
    H = point.hessian(sparse.csr_array(kept)).toarray()[:-1, :-1] + shift * np.eye(15)
    x = solve_shifted(point, kept, shift, watch)
    assert x[-1] == 0
    wanted = np.linalg.solve(H, point.gradient[:-1])
    np.testing.assert_allclose(x[:-1], wanted, rtol=1e-9, atol=1e-12)


def test_sns_does_its_sinkhorn_iterations_first():
    p = datasets.make_assignment(60, random_state=0)
    h = ot.solve(p.C, reg=0.02, method="sns", n_sinkhorn=17).history
    assert (h["nnz"][:17] == p.C.size).all()
    assert len(h) > 18
    assert (h["nnz"][17:] == 2 * (60 + 60)).all()  # half of density (n + m)^2 entries


def test_sns_density():
    p = datasets.make_assignment(60, random_state=0)
    options = {"reg": 0.02, "method": "sns"}
    dense = ot.solve(p.C, density=1.0, **options)
    thin = ot.solve(p.C, density=0.02, **options)
    assert dense.history["nnz"][-1] == 3600
    assert thin.history["nnz"][-1] == 0.02 * 120**2 / 2
    assert dense.n_newton < thin.n_newton


def test_sns_falls_back_where_its_steps_fail(certify):
    """One entry of the Hessian is no help on a problem of ties."""
    C = np.abs(np.arange(25.0)[:, None] - np.arange(20.0))
    result = ot.solve(C, reg=0.05, method="sns", n_sinkhorn=1, density=1e-9, tol=1e-8)
    certify(result, C, tol=1e-8)


@pytest.mark.parametrize("side", [3, 70, 400])
def test_schur_complement_by_pieces(side, rng, monkeypatch):
    """Products and factors in pieces of any size are those of the whole."""
    B = np.where(rng.random((50, side)) < 0.3, rng.random((50, side)), 0.0)
    rows = 1 + rng.random(50)
    wanted = B.T @ (B / rows[:, None])
    for piece in (1e9, 1e5):
        monkeypatch.setattr(_schur, "_PIECE", piece)
        found = _schur._minus_product(B, rows, watch)
        np.testing.assert_allclose(-found, wanted, atol=1e-12)
        A = wanted + np.eye(side)
        factor = np.tril(_schur._cholesky(A.copy(), watch))
        np.testing.assert_allclose(factor @ factor.T, A, atol=1e-11)
    with pytest.raises(np.linalg.LinAlgError):
        _schur._cholesky(-np.eye(side), watch)
