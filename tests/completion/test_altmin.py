"""The published algorithm: recovery, sample splitting, clipping; its rows elsewhere."""

import numpy as np
import pytest

from sparseopt.completion._altmin import clipped, solve_altmin, split

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
