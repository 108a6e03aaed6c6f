"""The published algorithm: row solvers, sketches, sample splitting, recovery."""

import numpy as np
import pytest

from sparseopt.completion._altmin import (
    by_cholesky,
    clipped,
    hadamard_rows,
    sketched,
    solve_altmin,
    split,
)

from ._synthetic import problem, solve, start


@pytest.mark.parametrize("solver", ["cg", "sketch", "cholesky"])
def test_recovers(solver: str) -> None:
    e, truth = problem(150, 120, 3, 6.0)
    run = start(e, 3, n_outer=40, row_solver=solver)
    assert solve(solve_altmin, run) == "converged"
    assert truth.error(run.factors) < 1e-8
    assert run.work > 0


def test_row_solvers_take_the_same_steps() -> None:
    rng = np.random.default_rng(0)
    e, _ = problem(100, 80, 3, 5.0)
    e = e.with_values(e.rows.val, rng.uniform(0.5, 2.0, e.n_entries))
    runs = [
        start(e, 3, n_outer=3, row_solver=s, row_tol=1e-13)
        for s in ("cg", "sketch", "cholesky")
    ]
    for run in runs:
        assert solve(solve_altmin, run) == "max_iter"
        assert run.n_iter == 3
    for run in runs[1:]:
        np.testing.assert_allclose(run.residual, runs[0].residual, rtol=1e-6)


def test_sample_splitting_takes_fresh_entries_each_time() -> None:
    e, truth = problem(200, 200, 2, 40.0)
    run = start(e, 2, n_outer=4, sample_splitting=True)
    assert solve(solve_altmin, run) == "max_iter"
    assert truth.error(run.factors) < 1e-2


def test_parts_are_a_partition() -> None:
    e, _ = problem(30, 20, 2, 5.0)
    e = e.with_values(e.rows.val, np.arange(1.0, e.n_entries + 1))
    parts = split(e, 4, np.random.default_rng(0))
    values = np.concatenate([p.rows.val for p in parts])
    assert np.array_equal(np.sort(values), np.sort(e.rows.val))
    weights = np.concatenate([p.rows.weight for p in parts])
    assert np.array_equal(np.sort(weights), np.arange(1.0, e.n_entries + 1))
    for p in parts:
        assert abs(p.n_entries - e.n_entries / 4) < 1
        assert np.array_equal(p.rows.val[p.perm], p.cols.val)


def test_clipping_removes_large_entries() -> None:
    U = np.linalg.qr(np.random.default_rng(0).standard_normal((100, 3)))[0]
    U = np.pad(U, ((0, 0), (0, 5)))
    assert clipped(U, 3, None) is U
    spiky = U.copy()
    spiky[7, 0] = 0.9
    out = clipped(spiky, 3, 3.0)
    assert out[7, :3] @ out[7, :3] < 0.1
    np.testing.assert_allclose(out[:, :3].T @ out[:, :3], np.eye(3), atol=1e-12)


@pytest.mark.parametrize("n", [3, 5, 40, 500])
@pytest.mark.parametrize("solver", [sketched, by_cholesky])
def test_rows_against_lstsq(solver: object, n: int) -> None:
    rng = np.random.default_rng(n)
    A, b = rng.standard_normal((n, 5)), rng.standard_normal(n)
    x = solver(A, b, 1e-13, rng)
    np.testing.assert_allclose(x, np.linalg.lstsq(A, b)[0], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("solver", [sketched, by_cholesky])
def test_dependent_columns_give_the_least_solution(solver: object) -> None:
    rng = np.random.default_rng(0)
    A = rng.standard_normal((300, 4))
    A[:, 3] = A[:, 0]
    b = rng.standard_normal(300)
    x = solver(A, b, 1e-13, rng)
    np.testing.assert_allclose(x, np.linalg.lstsq(A, b)[0], atol=1e-10)


def test_sketch_keeps_lengths() -> None:
    """A row that holds all the mass is spread: what uniform sampling would miss."""
    rng = np.random.default_rng(0)
    A = np.zeros((1000, 3))
    A[17] = [1.0, 2.0, 3.0]
    sizes = [np.linalg.norm(hadamard_rows(A, 64, rng)[:, 2]) for _ in range(5)]
    np.testing.assert_allclose(sizes, 3.0)
    # all rows of an orthogonal transform keep every length
    B = rng.standard_normal((64, 3))
    np.testing.assert_allclose(
        np.linalg.svd(hadamard_rows(B, 64, rng))[1], np.linalg.svd(B)[1]
    )
