"""Half-steps, sweeps and the homotopy: exact rows, descent, equivariances, edges."""

import math
from dataclasses import replace

import numpy as np
import pytest

from sparseopt.completion._als import Driver, homotopy, noise_norm, solve_als
from sparseopt.completion._half_step import HalfSteps, scaled
from sparseopt.completion._problem import Entries
from sparseopt.completion._run import Factors
from sparseopt.completion._sweeps import Sweeps

from ._synthetic import dense, from_mask, problem, solve, start


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_k_steps_are_least_squares(transposed: bool, weighted: bool) -> None:
    """In exact arithmetic k CG steps solve a row; some more for rounding."""
    e, _ = problem(60, 50, 4, 3.0, noise=0.1)
    if weighted:
        rng = np.random.default_rng(1)
        e = e.with_values(e.rows.val, rng.uniform(0.1, 3.0, e.n_entries))
    f = start(e, 4).factors
    fixed, moved = (f.U, f.V) if transposed else (f.V, f.U)
    unknown = scaled(moved, f.s)
    HalfSteps(e, 4).cg(transposed, fixed, unknown, np.zeros(4), steps=20)
    side = e.side(transposed)
    for i in range(side.n_rows):
        own = slice(side.ptr[i], side.ptr[i + 1])
        w = np.ones(1) if side.weight is None else side.weight[own]
        G = fixed[side.idx[own], :4] * np.sqrt(w)[:, None]
        want = np.linalg.lstsq(G, side.val[own] * np.sqrt(w))[0]
        # rows of five entries have condition numbers of some hundred, squared in CG
        np.testing.assert_allclose(unknown[i, :4], want, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 20.0])
def test_objective_never_increases(steps: int, alpha: float) -> None:
    e, _ = problem(80, 60, 4, 2.0, noise=0.1)
    sweeps = Sweeps(e, start(e, 4).factors, alpha)
    sweeps.measure()
    values = [sweeps.objective]
    for i in range(40):
        sweeps.half_step(i % 2 == 1, 0.0, steps)
        values.append(sweeps.objective)
        # what a step takes off is known without another pass over the entries
        told = sweeps.rss
        np.testing.assert_allclose(told, sweeps.measure(), rtol=1e-9)
    assert np.all(np.diff(values) <= 1e-12 * values[0])


def test_sweeps_keep_orthonormal_frames() -> None:
    e, _ = problem(80, 60, 4, 2.0, kappa=100)
    sweeps = Sweeps(e, start(e, 4).factors, 0.0)
    for lam in (5.0, 1.0, 0.0):
        sweeps.sweep(lam, 2)
        for F in (sweeps.factors.U, sweeps.factors.V):
            np.testing.assert_allclose(F[:, :4].T @ F[:, :4], np.eye(4), atol=1e-9)


def test_ridge_of_equal_directions_is_that_of_the_nuclear_norm() -> None:
    e, _ = problem(50, 40, 3, 3.0)
    f = start(e, 3).factors
    sweeps = Sweeps(e, Factors(f.U, np.full(3, 10.0), f.V), 0.0)
    np.testing.assert_allclose(sweeps.ridge(0.5), 0.05)
    assert not sweeps.ridge(0.0).any()
    # strong directions are spared
    sweeps.factors = Factors(f.U, np.array([1000.0, 10.0, 10.0]), f.V)
    d = sweeps.ridge(0.5)
    np.testing.assert_allclose(d[0], 0.5 / 1000 * np.sqrt(10 / 1000))
    np.testing.assert_allclose(d[1:], 0.05)


@pytest.mark.parametrize("homotopy", ["auto", False, 0.5])
def test_recovers_easy_problems(homotopy: object, dtype: type) -> None:
    e, truth = problem(200, 150, 3, 5.0, dtype=dtype)
    tol = 1e-9 if dtype is np.float64 else 1e-5
    run = start(e, 3, tol=tol, homotopy=homotopy)
    assert solve(solve_als, run) == "converged"
    assert run.residual < tol
    assert truth.error(run.factors) < 10 * tol
    assert run.factors.V.dtype == dtype
    residual = e.residual(scaled(run.factors.U, run.factors.s), run.factors.V)[1]
    np.testing.assert_allclose(run.residual, np.sqrt(residual) / run.norm, rtol=1e-5)


def test_mixed_precision_ends_where_double_does() -> None:
    e, truth = problem(200, 150, 3, 5.0)
    run = start(e, 3, precision="mixed")
    assert solve(solve_als, run) == "converged"
    assert run.factors.V.dtype == np.float64
    assert truth.error(run.factors) < 1e-8


def test_mixed_precision_of_noise_levels_off() -> None:
    e, truth = problem(200, 150, 3, 5.0, noise=0.1)
    errors = []
    for precision in ("mixed", "double"):
        run = start(e, 3, precision=precision)
        assert solve(solve_als, run) == "converged"
        errors.append(truth.error(run.factors))
    # both stop on a level objective, at slightly different sweeps
    np.testing.assert_allclose(errors[0], errors[1], rtol=1e-2)


def test_full_observation_is_the_truncated_svd() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 30)) * np.geomspace(1, 0.01, 30)
    run = start(from_mask(X, np.ones(X.shape, bool)), 4, tol_obj=1e-15)
    assert solve(solve_als, run) == "converged"
    u, s, vt = np.linalg.svd(X)
    # a level objective leaves errors of its square root in the factors
    np.testing.assert_allclose(
        dense(run.factors), (u[:, :4] * s[:4]) @ vt[:4], atol=1e-6 * s[0]
    )
    np.testing.assert_allclose(run.objective, 0.5 * np.sum(s[4:] ** 2), rtol=1e-8)


def test_full_observation_with_ridge_is_soft_thresholding() -> None:
    X = np.random.default_rng(0).standard_normal((40, 30))
    u, s, vt = np.linalg.svd(X, full_matrices=False)
    alpha = float(s[3] + s[4]) / 2  # at a singular value convergence is sublinear
    run = start(from_mask(X, np.ones(X.shape, bool)), 8, alpha=alpha, tol_obj=1e-10)
    assert solve(solve_als, run) == "converged"
    kept = np.maximum(s - alpha, 0)
    value = 0.5 * np.sum((s - kept) ** 2) + alpha * kept.sum()
    # the four directions that are too many stay at a millionth of the first; the matrix
    # is off by the root of what that costs the objective
    assert 0 <= run.objective - value <= 4e-6 * s[0] * alpha
    np.testing.assert_allclose(dense(run.factors), (u * kept) @ vt, atol=1e-4)


# Fits end at a relative error of 1e-11, or where noise and a ridge leave one at an
# objective level to 1e-13: matrices with entries of size one agree to its root.


def _solution(e: Entries, k: int = 3, alpha: float = 0.0) -> np.ndarray:
    run = start(e, k, tol=1e-11, alpha=alpha, tol_obj=1e-13)
    assert solve(solve_als, run) == "converged"
    return dense(run.factors)


def test_transposed_data_give_the_transposed_matrix() -> None:
    e, _ = problem(90, 60, 3, 4.0)
    turned = Entries(e.shape[::-1], e.cols, e.rows, np.argsort(e.perm).astype(np.int32))
    np.testing.assert_allclose(_solution(turned), _solution(e).T, atol=1e-9)


def test_permuted_rows_give_the_permuted_matrix() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3)) @ rng.standard_normal((3, 50))
    mask = rng.random(X.shape) < 0.5
    p, q = rng.permutation(60), rng.permutation(50)
    one = _solution(from_mask(X, mask))
    two = _solution(from_mask(X[p][:, q], mask[p][:, q]))
    np.testing.assert_allclose(two, one[p][:, q], atol=1e-9)


@pytest.mark.parametrize("c", [1e-150, 1e150])
@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_scaled_data_give_the_scaled_matrix(c: float, alpha: float) -> None:
    e, _ = problem(90, 60, 3, 4.0, noise=0.01 if alpha else 0.0)
    large = e.with_values(c * e.rows.val)
    np.testing.assert_allclose(
        _solution(large, alpha=c * alpha) / c, _solution(e, alpha=alpha), atol=1e-6
    )


@pytest.mark.parametrize(
    ("X", "k"),
    [
        (np.ones((1, 6)), 1),
        (np.ones((6, 1)), 1),
        (np.full((5, 4), 3.0), 2),
        (np.zeros((5, 4)), 2),
        (np.arange(20.0).reshape(5, 4), 4),
    ],
    ids=["row", "column", "constant", "zero", "full rank"],
)
def test_small_matrices(X: np.ndarray, k: int) -> None:
    run = start(from_mask(X, np.ones(X.shape, bool)), k)
    assert solve(solve_als, run) == "converged"
    # fits end at a relative error of 1e-9 over all 20 entries together
    np.testing.assert_allclose(dense(run.factors), X, atol=1e-8 * max(1, X.max()))


def test_empty_rows_and_a_single_entry() -> None:
    X = np.zeros((7, 5))
    X[2, 3] = 4.0
    mask = X > 0
    run = start(from_mask(X, mask), 2)
    assert solve(solve_als, run) == "converged"
    Z = dense(run.factors)
    np.testing.assert_allclose(Z[mask], 4.0, rtol=1e-6)
    assert np.isfinite(Z).all()


def test_rank_over_specified_leaves_the_rest_asleep() -> None:
    e, truth = problem(300, 300, 2, 12.0)
    run = start(e, 6)
    assert solve(solve_als, run) == "converged"
    assert truth.error(run.factors) < 1e-7
    assert run.factors.s[2] < 1e-7 * run.factors.s[0]


def test_threads_do_not_change_the_result() -> None:
    e, _ = problem(90, 60, 3, 4.0)
    results = []
    for threads in (1, 2):
        run = start(replace(e, n_threads=threads), 3, max_iter=6)
        assert solve(solve_als, run) == "max_iter"
        results.append(dense(run.factors))
    assert np.array_equal(*results)


def path(sweeps, **options):
    """Ridges of a schedule whose sweeps all have the same factors and errors."""
    h = homotopy(sweeps, 0.9, **options)
    out = [h.lam]
    while not h.over():
        h.advance(sweeps, 0.9)
        out.append(h.lam)
    return np.array(out)


def test_schedules():
    e, _ = problem(60, 50, 3, 5.0, noise=1e-3)
    sweeps = Sweeps(e, start(e, 3).factors, 0.0)
    for _ in range(30):
        sweeps.sweep(0.0, 3)
    sweeps.measure()
    plain, free = path(sweeps), path(sweeps, fixed=False)
    # to 1e-4 of its start, then none
    np.testing.assert_allclose(plain[1:-1] / plain[:-2], 0.9)
    assert len(plain) == math.ceil(math.log(1e-4) / math.log(0.9)) + 1
    assert plain[-1] == free[-1] == 0.0
    ratios = free[1:-1] / free[:-2]
    placed = free[:-2] < 0.1 * sweeps.weakest
    np.testing.assert_allclose(ratios, np.where(placed, 0.7, 0.9))
    # the residuals are noise, a tenth of which is more than a ridge that matters
    level = 0.1 * noise_norm(sweeps)
    assert free[-2] > level >= 0.7 * free[-2]
    assert level > plain[-2]


def test_a_ridge_goes_on_while_directions_sleep():
    e, _ = problem(60, 50, 3, 5.0)
    f = start(e, 3).factors
    weak = replace(f, s=f.s * np.array([1.0, 1.0, 1e-6]))
    sweeps = Sweeps(e, weak, 0.0)
    sweeps.measure()
    lam = path(sweeps, fixed=False)
    # past its end, to where the ridge lets the weakest be
    assert (0.3 * lam[:-2] > sweeps.weakest).all()
    assert 0 < lam[-2] < 1e-4 * lam[0]


def test_what_is_left():
    driver = Driver(start(problem(30, 20, 2, 3.0)[0], 2))
    assert driver.left() == math.inf
    driver.objectives = [10.0 + 2.0**-i for i in range(8)]
    # 2^-7 is left of the series
    assert driver.left() == pytest.approx(2.0**-7 / driver.objectives[-1])
    driver.objectives = [3.0, 2.0, 1.0]  # by as much each time: to the end
    assert driver.left() == math.inf
