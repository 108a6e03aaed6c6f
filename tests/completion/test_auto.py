"""The policy: recovery on small grids, noise at its oracle rate, and what it costs."""

import math
from dataclasses import replace

import numpy as np
import pytest

from sparseopt.completion._als import solve_als
from sparseopt.completion._auto import _structure, solve_auto
from sparseopt.completion._half_step import scaled
from sparseopt.completion._sweeps import Sweeps

from ._synthetic import Truth, dense, from_mask, problem, solve, start


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("k", "oversampling", "kappa"),
    [(3, 4.0, 1.0), (3, 1.7, 1.0), (4, 2.5, 100.0), (4, 3.0, 1e4), (1, 2.0, 1.0)],
)
def test_recovers(k: int, oversampling: float, kappa: float, seed: int) -> None:
    e, truth = problem(300, 260, k, oversampling, kappa=kappa, seed=seed)
    run = start(e, k, tol=1e-10)
    assert solve(solve_auto, run) == "converged"
    assert truth.error(run.factors) < 1e-8
    assert run.residual < 1e-10
    f = run.factors
    rss = e.residual(scaled(f.U, f.s), f.V)[1]
    np.testing.assert_allclose(run.residual, math.sqrt(rss) / run.norm, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("k", "oversampling", "kappa", "least"),
    [(5, 1.3, 1.0, 18), (10, 2.0, 1e3, 20), (5, 2.0, 1e3, 20), (5, 2.0, 100.0, 19)],
)
def test_recovers_near_the_limit(
    k: int, oversampling: float, kappa: float, least: int
) -> None:
    found = 0
    for seed in range(20):
        e, truth = problem(1000, 1000, k, oversampling, kappa=kappa, seed=seed)
        run = start(e, k)
        solve(solve_auto, run)
        found += truth.error(run.factors) < 1e-8
    assert found >= least


@pytest.mark.parametrize("noise", [1e-3, 1e-1])
def test_noise_at_the_oracle_rate(noise: float) -> None:
    k, m, n = 4, 400, 300
    e, truth = problem(m, n, k, 5.0, noise=noise)
    run = start(e, k)
    assert solve(solve_auto, run) == "converged"
    assert run.n_restarts == 0
    oracle = noise * math.sqrt(k * (m + n - k) / e.n_entries)
    assert truth.error(run.factors) < 1.3 * oracle


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_easy_problems_cost_as_much_as_plain_sweeps(noise: float) -> None:
    e, _ = problem(600, 500, 8, 5.0, noise=noise)
    work, objectives = [], []
    for solver, options in ((solve_auto, {}), (solve_als, {"homotopy": False})):
        run = start(e, 8, **options)
        assert solve(solver, run) == "converged"
        work.append(run.work)
        objectives.append(run.objective)
    assert work[0] <= 1.25 * work[1]
    if noise:  # both end where three sweeps take off a part of 1e-5
        assert objectives[0] == pytest.approx(objectives[1], rel=1e-4)


@pytest.mark.parametrize("seed", [1, 7, 10])
def test_minimum_at_infinity(seed: int) -> None:
    """Starts whose factors grow without end, at a few percent of the values."""
    e, truth = problem(200, 200, 2, 2.2, kappa=3.0, seed=seed)
    run = start(e, 2)
    assert solve(solve_auto, run) == "converged"
    assert run.n_restarts == 2
    assert truth.error(run.factors) < 1e-8


@pytest.mark.parametrize(("oversampling", "kappa"), [(1.5, 1.0), (2.0, 100.0)])
def test_small_matrices_take_few_iterations(oversampling: float, kappa: float) -> None:
    counts = []
    for seed in range(5):
        e, truth = problem(50, 40, 3, oversampling, kappa=kappa, seed=seed)
        run = start(e, 3)
        solve(solve_auto, run)
        assert truth.error(run.factors) < 1e-8
        counts.append(run.n_iter)
    # a ridge that falls by a twentieth in each sweep would take 180 for its path
    assert np.median(counts) <= 100


def test_rank_over_specified() -> None:
    e, truth = problem(300, 300, 2, 12.0)
    run = start(e, 6)
    assert solve(solve_auto, run) == "converged"
    assert truth.error(run.factors) < 1e-7


def test_what_is_not_low_rank_is_fitted_once() -> None:
    e, _ = problem(120, 100, 20, 2.5)
    run = start(e, 3)
    assert solve(solve_auto, run) == "converged"
    # a second look with a slow ridge, but no hunt for another minimum
    assert run.n_restarts <= 1
    assert run.residual > 0.3


def test_structure_tells_a_missing_direction_from_noise() -> None:
    rng = np.random.default_rng(0)
    e, _ = problem(300, 200, 3, 6.0, noise=0.1)
    good = start(e, 3)
    assert solve(solve_als, good) == "converged"
    small = start(e, 2)
    assert solve(solve_als, small) == "converged"
    values = []
    for run in (good, small):
        sweeps = Sweeps(e, run.factors, 0.0)
        sweeps.measure()
        values.append(_structure(sweeps, rng))
    assert values[0] < 1.2 < 2.0 < values[1]


def test_power_law_degrees() -> None:
    rng = np.random.default_rng(0)
    m, n, k = 500, 300, 3
    p = np.outer(np.arange(1, m + 1.0) ** -0.9, np.arange(1, n + 1.0) ** -0.6)
    mask = rng.random((m, n)) < np.minimum(1, p * 12)
    for M in (mask, mask.T):
        for i in range(len(M)):
            M[i, rng.choice(M.shape[1], 2 * k, replace=False)] = True
    L, R = rng.standard_normal((m, k)), rng.standard_normal((n, k))
    e = from_mask(L @ R.T, mask)
    assert np.diff(e.rows.ptr).max() > 8 * np.diff(e.rows.ptr).mean()
    run = start(e, k)
    assert solve(solve_auto, run) == "converged"
    assert Truth(L, R).error(run.factors) < 1e-8


@pytest.mark.parametrize("precision", ["double", "mixed"])
def test_small_matrices(precision: str) -> None:
    e, truth = problem(50, 40, 3, 2.5)
    run = start(e, 3, precision=precision)
    assert solve(solve_auto, run) == "converged"
    assert truth.error(run.factors) < 1e-8


def test_mixed_precision_of_few_entries() -> None:
    """Where Gauss-Newton steps are needed, to more digits than float32 has."""
    e, truth = problem(300, 260, 5, 1.8)
    run = start(e, 5, tol=1e-12, precision="mixed")
    assert solve(solve_auto, run) == "converged"
    assert np.isfinite(run.monitor.history()["inner"]).any()
    assert truth.error(run.factors) < 1e-11


def test_single_precision() -> None:
    e, truth = problem(300, 260, 3, 2.0, dtype=np.float32)
    run = start(e, 3, tol=1e-5)
    assert solve(solve_auto, run) == "converged"
    assert run.factors.V.dtype == np.float32
    assert truth.error(run.factors) < 1e-3


@pytest.mark.parametrize("X", [np.ones((1, 6)), np.zeros((5, 4)), np.full((9, 8), 3.0)])
def test_trivial_matrices(X: np.ndarray) -> None:
    run = start(from_mask(X, np.ones(X.shape, bool)), 1)
    assert solve(solve_auto, run) == "converged"
    # fits end at a relative error of 1e-9 over all entries
    np.testing.assert_allclose(dense(run.factors), X, atol=1e-7)


def test_limits_leave_a_complete_iterate() -> None:
    e, _ = problem(300, 260, 3, 1.7)
    for limit in (1, 3, 8):
        run = start(e, 3, max_iter=limit)
        assert solve(solve_auto, run) == "max_iter"
        assert run.n_iter == limit
        f = run.factors
        np.testing.assert_allclose(f.U[:, :3].T @ f.U[:, :3], np.eye(3), atol=1e-9)


def test_same_seed_same_bits_for_any_number_of_threads() -> None:
    results = []
    for threads in (1, 2):
        e, _ = problem(120, 100, 4, 4.0, kappa=10, noise=1e-3)
        run = start(replace(e, n_threads=threads), 4, max_iter=20)
        assert solve(solve_auto, run) in ("converged", "max_iter")
        results.append(dense(run.factors))
    assert np.array_equal(*results)


def test_user_ridge_is_the_end_of_the_homotopy() -> None:
    """Same objective as sweeps to a level objective from the plain start."""
    e, _ = problem(120, 100, 4, 4.0, noise=0.2)
    values = []
    for solver in (solve_auto, solve_als):
        run = start(e, 4, alpha=3.0, tol_obj=1e-11)
        assert solve(solver, run) == "converged"
        values.append(run.objective)
    np.testing.assert_allclose(values[0], values[1], rtol=1e-7)
