"""Gauss-Newton: normal matrix and step against dense algebra, gradient, convergence."""

import numpy as np
import pytest
from scipy import linalg

from sparseopt.completion import _gn, _tangent
from sparseopt.completion._gn import GaussNewton, solve_gn
from sparseopt.completion._half_step import scaled
from sparseopt.completion._run import Factors
from sparseopt.completion._sweeps import Sweeps
from sparseopt.completion._tangent import Tangent, product_svd

from ._synthetic import dense, problem, solve, start

K = 3


def jacobian(e: object, f: Factors) -> np.ndarray:
    """Derivative of the entries by (A, B), dense: one row for each entry."""
    m, n = e.shape
    row = np.repeat(np.arange(m), np.diff(e.rows.ptr))
    J = np.zeros((e.n_entries, m + n, K))
    each = np.arange(e.n_entries)
    J[each, row] = f.V[e.rows.idx, :K]
    J[each, m + e.rows.idx] = f.U[row, :K]
    return J.reshape(e.n_entries, -1)


def unpad(x: np.ndarray) -> np.ndarray:
    return x[:, :K].ravel()


@pytest.fixture(params=[False, True], ids=["plain", "weighted"])
def case(request: pytest.FixtureRequest) -> tuple:
    e, _ = problem(20, 15, K, 1.8, noise=0.1, seed=1)
    w = np.ones(e.n_entries)
    if request.param:
        w = np.random.default_rng(0).uniform(0.3, 2.0, e.n_entries)
        e = e.with_values(e.rows.val, w)
    run = start(e, K)
    return e, run, w, jacobian(e, run.factors)


def test_normal_matrix_and_gradient(case: tuple) -> None:
    e, run, w, J = case
    tangent = Tangent(e, run.factors)
    p = np.zeros((35, run.factors.V.shape[1]))
    p[:, :K] = np.random.default_rng(0).standard_normal((35, K))
    q, curvature = tangent.normal(p)
    np.testing.assert_allclose(unpad(q), J.T @ (w * (J @ unpad(p))), atol=1e-12)
    np.testing.assert_allclose(curvature, np.sum(w * (J @ unpad(p)) ** 2))
    f = run.factors
    r = e.residual(scaled(f.U, f.s), f.V)[0]
    np.testing.assert_allclose(
        unpad(tangent.gradient(r)), J.T @ (w * r), atol=1e-12 * run.norm
    )


def test_gradient_is_that_of_finite_differences(case: tuple) -> None:
    e, run, _, _ = case
    tangent, f = Tangent(e, run.factors), run.factors
    step = np.zeros((35, f.V.shape[1]))
    step[:, :K] = np.random.default_rng(0).standard_normal((35, K))

    def value(t: float) -> float:
        g = tangent.move(step, t)
        return 0.5 * e.residual(scaled(g.U, g.s), g.V)[1]

    h = 1e-5
    slope = (value(h) - value(-h)) / (2 * h)
    r = e.residual(scaled(f.U, f.s), f.V)[0]
    want = -np.vdot(tangent.gradient(r), step)
    # central differences: h^2 of truncation, and rounding of values / h
    np.testing.assert_allclose(slope, want, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.7])
@pytest.mark.parametrize("blocks", [True, False], ids=["blocks", "diagonal"])
def test_step_is_the_dense_one(
    case: tuple, alpha: float, blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Solved to the end, CG from zero gives the least preconditioned increment."""
    e, run, w, J = case
    run.alpha = alpha
    monkeypatch.setattr(_gn, "_ETA", (1e-14, 1e-14))
    if not blocks:  # no room for them
        monkeypatch.setattr(_tangent, "_MOST", 0)
    newton, f = GaussNewton(run), run.factors
    newton.blocks = blocks
    tangent = Tangent(e, f)
    got = unpad(newton._solve(tangent, give_up=False)[0])
    r = np.sqrt(w) * e.residual(scaled(f.U, f.s), f.V)[0]
    G = np.sqrt(w)[:, None] * J
    H, g = G.T @ G, G.T @ r
    if alpha:
        H += np.diag(np.tile(alpha / f.s, 35))
        g -= alpha * np.concatenate([unpad(f.U), unpad(f.V)])
    parts = [np.diag(d) for d in tangent.curvature()[:, None] + alpha / f.s]
    if blocks:
        parts = [H[i : i + K, i : i + K] for i in range(0, 35 * K, K)]
    root = linalg.block_diag(*(linalg.sqrtm(linalg.inv(b)).real for b in parts))
    want = root @ np.linalg.pinv(root @ H @ root, rcond=1e-7) @ root @ g
    # conjugate gradients on a singular system, against a cut at 1e-7 of its spectrum;
    # blocks are kept in float32, which moves what is free
    np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())


def test_a_diagonal_gives_way_to_blocks(
    case: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a step: what it does at the entries is the same."""
    e, run, w, J = case
    monkeypatch.setattr(_gn, "_ETA", (1e-14, 1e-14))
    monkeypatch.setattr(_gn, "_TRIAL", 2)
    newton, f = GaussNewton(run), run.factors
    x, inner = newton._solve(Tangent(e, f), give_up=False)
    assert newton.blocks and inner > K / 2 + 2
    r = np.sqrt(w) * e.residual(scaled(f.U, f.s), f.V)[0]
    A = np.sqrt(w)[:, None] * J
    want = A @ np.linalg.lstsq(A, r, rcond=1e-12)[0]
    # the square of what CG leaves of the gradient
    np.testing.assert_allclose(A @ unpad(x), want, atol=1e-8 * np.abs(want).max())


@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_increments_in_float32(case: tuple, alpha: float) -> None:
    """As in float64, up to the digits that CG asks for; for tiny numbers too."""
    e = case[0]
    for unit in (1.0, 1e-25):
        e = e.with_values(e.rows.val * unit, e.rows.weight)
        run = start(e, K, alpha=alpha * unit)
        steps = []
        for single in (None, e.astype(np.float32)):
            tangent = Tangent(e, run.factors, single)
            newton = GaussNewton(run, single)
            steps.append(newton._solve(tangent, give_up=False)[0][:, :K])
        size = np.abs(steps[0]).max()
        assert steps[1].dtype == np.float64 and size > 0
        # singular systems: directions without curvature are rounding
        np.testing.assert_allclose(steps[1], steps[0], atol=1e-3 * size)


def test_product_svd_keeps_the_product() -> None:
    rng = np.random.default_rng(0)
    for small in (1.0, 1e-4, 1e-10):
        L, R = np.zeros((30, 8)), np.zeros((20, 8))
        L[:, :4], R[:, :4] = rng.standard_normal((30, 4)), rng.standard_normal((20, 4))
        L[:, 3] *= small
        f = product_svd(L, R, 4)
        np.testing.assert_allclose(dense(f), L @ R.T, atol=1e-13)
        for F in (f.U, f.V):
            np.testing.assert_allclose(F[:, :4].T @ F[:, :4], np.eye(4), atol=1e-9)


@pytest.mark.parametrize("single", [False, True])
def test_converges_quadratically_near_the_solution(single: bool) -> None:
    """Increments in float32 lose no digit of the solution."""
    e, truth = problem(100, 80, K, 3.0)
    run = start(e, K, tol=1e-13)
    sweeps = Sweeps(e, run.factors, 0.0)
    for _ in range(12):
        sweeps.sweep(0.0, 2)
    run.factors = sweeps.factors
    first = truth.error(run.factors)
    newton = GaussNewton(run, e.astype(np.float32) if single else None)
    newton.step()
    assert run.factors.V.dtype == np.float64
    second = truth.error(run.factors)
    # CG stops at a thousandth; then 3 digits a step
    assert second < 1e-2 * first
    assert newton.finish()
    assert truth.error(run.factors) < 1e-12


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_objective_never_increases(alpha: float) -> None:
    e, _ = problem(60, 50, K, 1.5, noise=0.3)
    run = start(e, K, alpha=alpha, max_iter=30)
    assert solve(solve_gn, run) in ("converged", "max_iter")
    values = run.monitor.history()["objective"]
    assert len(values) > 2
    assert np.all(np.diff(values) < 0)
    f = run.factors
    rss = e.residual(scaled(f.U, f.s), f.V)[1]
    np.testing.assert_allclose(run.objective, 0.5 * rss + alpha * f.s.sum(), rtol=1e-9)


def test_solves_alone_what_is_easy(dtype: type) -> None:
    e, truth = problem(200, 150, K, 5.0, dtype=dtype)
    tol = 1e-9 if dtype is np.float64 else 1e-5
    run = start(e, K, tol=tol)
    assert solve(solve_gn, run) == "converged"
    assert truth.error(run.factors) < 10 * tol


def test_hopeless_step_is_given_up() -> None:
    """At a least-squares fit of noise there is nothing left to gain."""
    e, _ = problem(100, 80, K, 4.0, noise=0.1)
    run = start(e, K)
    sweeps = Sweeps(e, run.factors, 0.0)
    for _ in range(60):
        sweeps.sweep(0.0, 3)
    run.factors = sweeps.factors
    before = run.work
    assert not GaussNewton(run).finish(give_up=True)
    assert run.factors is sweeps.factors
    assert run.work - before < 40
