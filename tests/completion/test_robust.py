"""Low rank under gross errors: exact recovery, Huber's objective, outlier masks."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import linalg

from sparseopt._core._monitor import Monitor
from sparseopt._core._status import Status
from sparseopt.completion import complete
from sparseopt.completion._half_step import scaled
from sparseopt.completion._init import spectral
from sparseopt.completion._orders import from_triplets
from sparseopt.completion._robust import solve_robust
from sparseopt.completion._run import Factors, Run
from sparseopt.datasets import make_low_rank


def corrupted(m, n, k, oversampling, share, seed=0, noise=0.0, real=np.float64):
    """Entries of a rank-k matrix, a share of them off by ten standard deviations."""
    rng = np.random.default_rng(seed)
    U, V = (linalg.qr(rng.standard_normal((s, k)), mode="economic")[0] for s in (m, n))
    M = U @ V.T * np.sqrt(m * n / k)
    N = int(oversampling * k * (m + n - k))
    rows, cols = np.divmod(np.sort(rng.choice(m * n, N, replace=False)), n)
    x = M[rows, cols]
    sigma = x.std()
    x = x + noise * sigma * rng.standard_normal(N)
    wrong = rng.random(N) < share
    x[wrong] += rng.choice([-10.0, 10.0], wrong.sum()) * sigma
    return M, wrong, from_triplets(rows, cols, x.astype(real), (m, n))


def make_run(entries, k, *, alpha=0.0, tol=1e-11, **options):
    rng = np.random.default_rng(0)
    start = Factors(*spectral(entries, k, rng))
    monitor = Monitor("test", max_iter=1000, fields=("ridge",))
    return Run(entries, k, alpha, tol, 1e-7, rng, monitor, start, options)


def rel_err(run, M):
    f = run.factors
    return np.linalg.norm(scaled(f.U, f.s) @ f.V.T - M) / np.linalg.norm(M)


@pytest.mark.parametrize(
    ("share", "oversampling"), [(0.05, 5.0), (0.1, 5.0), (0.2, 8.0)]
)
def test_recovers_exactly_from_gross_errors(share, oversampling):
    M, wrong, entries = corrupted(800, 800, 8, oversampling, share)
    run = make_run(entries, 8)
    assert solve_robust(run) is Status.CONVERGED
    np.testing.assert_array_equal(run.outliers, wrong)
    assert rel_err(run, M) <= 1e-9
    assert run.entries is entries


def test_noise_is_not_taken_for_outliers():
    M, wrong, entries = corrupted(300, 200, 4, 8.0, 0.1, noise=0.01)
    run = make_run(entries, 4)
    assert solve_robust(run) is Status.CONVERGED
    np.testing.assert_array_equal(run.outliers, wrong)
    # the rate of an oracle that knows the outliers, sqrt(df / N), times 1.3
    assert rel_err(run, M) <= 1.3 * 0.01 * np.sqrt(1 / 8.0 / 0.9)


@pytest.mark.parametrize("weighted", [False, True])
def test_hubers_objective_never_increases(weighted):
    _, _, entries = corrupted(120, 90, 3, 5.0, 0.1, noise=0.1)
    if weighted:
        w = np.random.default_rng(1).random(entries.n_entries) + 0.2
        entries = entries.with_values(entries.rows.val, w)
    delta, alpha = 0.3, 0.5
    run = make_run(entries, 3, alpha=alpha, delta=delta, debias=False)
    seen, last = [], []

    def watch(factors, rss, objective, **fields):
        seen.append(objective)
        last.append(factors)
        return Run.update(run, factors, rss, objective, **fields)

    run.update = watch
    assert solve_robust(run) is Status.CONVERGED
    f, side = last[-2], entries.rows
    r = entries.residual(scaled(f.U, f.s), f.V)[0]
    w = 1.0 if side.weight is None else side.weight
    huber = np.where(abs(r) <= delta, r**2 / 2, delta * abs(r) - delta**2 / 2)
    # what is reported is the objective before a sweep
    assert seen[-1] == pytest.approx(np.sum(w * huber) + alpha * f.s.sum(), rel=1e-12)
    assert all(b <= a * (1 + 1e-12) for a, b in pairwise(seen))
    r = run.entries.residual(scaled(run.factors.U, run.factors.s), run.factors.V)[0]
    np.testing.assert_array_equal(run.outliers, abs(r) > delta)


def test_single_precision():
    M, wrong, entries = corrupted(300, 200, 4, 8.0, 0.1, real=np.float32)
    run = make_run(entries, 4, tol=1e-5)
    assert solve_robust(run) is Status.CONVERGED
    assert run.outliers[wrong].all()
    assert rel_err(run, M) <= 3e-5


@pytest.mark.parametrize("seed", [2, 3])
def test_advice_is_about_the_entries_that_are_no_outliers(seed):
    """At the true rank nothing is left but noise: no larger rank fits better."""
    X = make_low_rank(100, 80, 3, oversampling=6, noise=0.01, random_state=seed).X
    rng = np.random.default_rng(seed)
    gross = rng.random(X.nnz) < 0.05
    X.data[gross] += rng.normal(0, np.std(X.data), gross.sum())
    result = complete(X, 3, loss="huber", random_state=0)
    assert result.converged and "larger rank" not in result.message
