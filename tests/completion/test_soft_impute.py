"""The nuclear-norm problem: conditions of optimality, gap, and cvxpy's objective."""

import cvxpy as cp
import numpy as np
import pytest
from scipy import sparse

from sparseopt._core._monitor import Monitor
from sparseopt._core._status import Status
from sparseopt.completion import soft_impute
from sparseopt.completion._half_step import scaled
from sparseopt.completion._init import spectral
from sparseopt.completion._orders import from_triplets
from sparseopt.completion._run import Factors, Run
from sparseopt.completion._soft_impute import solve_soft_impute
from sparseopt.completion._spectrum import norm_bound
from sparseopt.datasets import make_low_rank


def make_run(m, n, alpha, *, k=None, seed=0, real=np.float64, weighted=False, tol=1e-6):
    """A noisy matrix of rank 4; alpha as a part of the one whose solution is zero."""
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((m, 4)) @ rng.standard_normal((4, n))
    M += 0.3 * rng.standard_normal((m, n))
    seen = rng.random((m, n)) < 0.5
    rows, cols = np.nonzero(seen)
    w = (rng.random(len(rows)) + 0.5).astype(real) if weighted else None
    x = M[rows, cols].astype(real)
    entries = from_triplets(rows, cols, x, (m, n), weight=w)
    k = min(m, n) if k is None else k
    X, W = np.zeros((m, n)), np.zeros((m, n))
    X[rows, cols], W[rows, cols] = x, 1.0 if w is None else w
    alpha *= np.linalg.norm(W * X, 2)
    start = Factors(*spectral(entries, k, rng))
    monitor = Monitor("test", max_iter=500, fields=("ridge",))
    return Run(entries, k, alpha, tol, 1e-7, rng, monitor, start), X, W


def solution(run):
    f = run.factors
    return scaled(f.U, f.s) @ f.V.T


def assert_optimal(run, X, W, tol):
    Z, f, alpha = solution(run), run.factors, run.alpha
    E = W * (X - Z)
    U, V = f.U[:, : f.k], f.V[:, : f.k]
    assert np.linalg.norm(E, 2) <= alpha * (1 + tol)
    np.testing.assert_allclose(U.T @ E @ V, alpha * np.eye(f.k), atol=10 * tol * alpha)
    nuclear = np.linalg.norm(Z, "nuc")
    objective = 0.5 * np.sum(W * (X - Z) ** 2) + alpha * nuclear
    assert run.objective == pytest.approx(objective, rel=1e-9)
    Y = E * min(1, alpha / np.linalg.norm(E, 2))
    dual = np.sum(Y * X) - 0.5 * np.sum(Y[W > 0] ** 2 / W[W > 0])
    assert run.gap == pytest.approx(objective - dual, abs=1e-9 * objective)
    assert 0 <= run.gap + 1e-12 * objective
    assert run.gap <= 10 * tol * objective


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.6])
def test_against_cvxpy(alpha, weighted):
    run, X, W = make_run(30, 20, alpha, weighted=weighted)
    assert solve_soft_impute(run) is Status.CONVERGED
    assert_optimal(run, X, W, 1e-6)
    Z = cp.Variable(X.shape)
    loss = 0.5 * cp.sum_squares(cp.multiply(np.sqrt(W), X - Z))
    problem = cp.Problem(cp.Minimize(loss + run.alpha * cp.normNuc(Z)))
    problem.solve(solver=cp.SCS, eps=1e-7, max_iters=20000)
    # SCS stops at some 1e-6
    assert run.objective == pytest.approx(problem.value, rel=1e-5)
    np.testing.assert_allclose(solution(run), Z.value, atol=1e-2)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("alpha", [0.1, 0.3])
def test_conditions_where_norms_come_from_lanczos(alpha, seed):
    run, X, W = make_run(320, 260, alpha, k=40, seed=seed)
    assert solve_soft_impute(run) is Status.CONVERGED
    assert_optimal(run, X, W, 1e-6)


def test_rank_grows_from_a_start_that_is_too_small():
    run, X, W = make_run(60, 50, 0.1)
    f = run.factors
    run.factors = Factors(f.U[:, :8] * 1, f.s[:1], f.V[:, :8] * 1)
    run.factors.U[:, 1:] = 0
    run.factors.V[:, 1:] = 0
    assert solve_soft_impute(run) is Status.CONVERGED
    assert run.factors.k > 1
    assert_optimal(run, X, W, 1e-6)


def test_a_rank_too_small_is_said():
    run, _, _ = make_run(60, 50, 0.05, k=2)
    assert solve_soft_impute(run) is Status.STALLED
    assert run.factors.k == 2
    assert run.gap > 0


def test_nothing_is_left_above_the_largest_penalty():
    run, _, _ = make_run(30, 20, 1.01)
    assert solve_soft_impute(run) is Status.CONVERGED
    assert np.linalg.norm(solution(run)) <= 1e-6


def test_single_precision_in_and_out():
    run, X, W = make_run(60, 50, 0.2, real=np.float32)
    assert solve_soft_impute(run) is Status.CONVERGED
    assert run.factors.U.dtype == np.float32
    assert run.entries.dtype == np.float32
    E = W * (X - solution(run))
    assert np.linalg.norm(E, 2) <= run.alpha * (1 + 1e-5)


def test_many_equal_singular_values_of_the_residuals():
    # Lanczos' method found the norm of the residuals only by luck: at the solution
    # as many of their singular values are alpha as it has directions
    p = make_low_rank(400, 300, 5, oversampling=6, noise=0.3, random_state=0)
    result = soft_impute(p.X, 3.0, random_state=0)
    assert result.converged and len(result.s) > 20
    E = p.X.copy()
    rows, cols = E.tocoo().coords
    E.data = p.X.tocoo().data - result.predict(rows, cols)
    assert np.linalg.norm(E.toarray(), 2) <= 3.0 * (1 + 2e-6)
    assert 0 <= result.gap <= 1e-6 * result.objective


def test_start_is_not_as_wide_as_the_matrix():
    # it had as many directions as the matrix has rows: time grew with their cube
    p = make_low_rank(600, 500, 3, oversampling=8, noise=0.1, random_state=0)
    widths = []

    def watch(state):
        widths.append(state.factors[1].size)

    first = soft_impute(p.X, 12.0, callback=watch, random_state=0)
    for init in ("random", first, (first.U[:, :2] * first.s[:2], first.V[:, :2])):
        again = soft_impute(p.X, 12.0, init=init, callback=watch, random_state=0)
        # both have their objective to tol and more
        assert again.objective == pytest.approx(first.objective, rel=1e-9)
    assert max(widths) <= 128


@pytest.mark.parametrize("rank", [1, 3, 4])
def test_norm_bound(rank):
    rng = np.random.default_rng(rank)
    E = sparse.random_array((60, 50), density=0.3, rng=rng, dtype=np.float64).tocsr()
    frames = [np.linalg.qr(rng.standard_normal((n, rank)))[0] for n in E.shape]
    if rank == 4:  # singular vectors: the bound is exact
        u, _, vt = np.linalg.svd(E.toarray())
        frames = [u[:, :4], vt[:4].T]
    U, V = frames
    P, Q = np.eye(60) - U @ U.T, np.eye(50) - V @ V.T
    bound = norm_bound(E, U, V, np.linalg.norm(P @ E.toarray() @ Q, 2))
    exact = np.linalg.norm(E.toarray(), 2)
    assert bound >= exact * (1 - 1e-13)
    if rank == 4:
        assert bound == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("tol", [1e-6, 1e-8])
def test_weak_directions_do_not_come_and_go(tol):
    """Of the 83 directions some have a thousandth of the first one's weight."""
    X = make_low_rank(400, 300, 5, oversampling=6, noise=0.3, random_state=0).X
    r = soft_impute(X, 1.0, tol=tol, random_state=0, max_iter=100)
    assert r.converged and r.gap <= 1e-6 * r.objective
    # no step makes it worse, but by rounding
    objective = r.history["objective"]
    assert (np.diff(objective) <= 1e-12 * objective[0]).all()


@pytest.mark.parametrize("part", [0.5, 0.05, 1e-3, 1e-5])
def test_small_tables_with_weights_reach_the_optimum(part):
    """The problem is convex: the gap, recomputed, says how far off a fit is."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        shape = ((150, 4), (12, 5))[seed % 2]
        X = rng.standard_normal((shape[0], 2)) @ rng.standard_normal((2, shape[1]))
        X += 0.2 * rng.standard_normal(shape) + 3.0
        X[rng.random(shape) < 0.3] = np.nan
        seen = ~np.isnan(X)
        W = rng.uniform(0.1, 5.0, shape)
        filled = np.where(seen, X, 0.0)
        alpha = part * np.linalg.norm(W * filled, 2)
        result = soft_impute(X, alpha, weights=W, random_state=0)
        Z = result.reconstruct()
        Y = W * np.where(seen, X - Z, 0.0)
        primal = 0.5 * float(np.sum(Y**2 / W))
        primal += alpha * np.linalg.svd(Z, compute_uv=False).sum()
        Y *= min(1.0, alpha / np.linalg.norm(Y, 2))
        dual = float(np.sum(Y * filled)) - 0.5 * float(np.sum(Y**2 / W))
        assert result.converged
        assert primal - dual <= 1e-6 * primal
