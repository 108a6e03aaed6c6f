"""Ranks estimated from entries: exact, noisy, hidden by strong directions, none."""

import numpy as np
import pytest
from scipy import linalg

from sparseopt.completion import complete
from sparseopt.completion._orders import from_triplets
from sparseopt.completion._rank import count_directions, estimate_rank


def entries_of(m, n, k, oversampling, *, kappa=1.0, noise=0.0, seed=0, real=np.float64):
    rng = np.random.default_rng(seed)
    U, V = (linalg.qr(rng.standard_normal((s, k)), mode="economic")[0] for s in (m, n))
    M = U * np.geomspace(kappa, 1, k) @ V.T
    N = int(oversampling * k * (m + n - k))
    rows, cols = np.divmod(np.sort(rng.choice(m * n, N, replace=False)), n)
    x = M[rows, cols]
    x = x + noise * x.std() * rng.standard_normal(N)
    return from_triplets(rows, cols, x.astype(real), (m, n))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [1, 4, 9])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_rank_is_found(k, noise, seed):
    entries = entries_of(400, 300, k, 5.0, noise=noise, seed=seed)
    rng = np.random.default_rng(0)
    assert count_directions(entries, entries.rows.val, rng, 50) == k
    assert estimate_rank(entries, rng) == k


@pytest.mark.parametrize("seed", range(3))
def test_weak_directions_behind_strong_ones(seed):
    entries = entries_of(400, 300, 5, 5.0, kappa=30.0, seed=seed)
    rng = np.random.default_rng(0)
    assert count_directions(entries, entries.rows.val, rng, 50) < 5
    assert estimate_rank(entries, rng) == 5


def test_the_count_is_of_negative_eigenvalues():
    """The singular values stand for the Bethe Hessian itself."""
    entries = entries_of(40, 30, 2, 4.0, noise=0.3)
    rng = np.random.default_rng(0)
    found = count_directions(entries, entries.rows.val, rng, 50, edge=1.0)
    side = entries.rows
    x = np.clip(side.val / np.sqrt(np.mean(side.val**2)), -5, 5)
    low, high = 0.0, 2.0
    for _ in range(60):  # bisection for beta
        beta = (low + high) / 2
        cold = np.sum(np.tanh(beta * x) ** 2) > np.sqrt(40 * 30)
        low, high = (low, beta) if cold else (beta, high)
    H = np.zeros((70, 70))
    rows = np.repeat(np.arange(40), np.diff(side.ptr))
    H[rows, 40 + side.idx] = -0.5 * np.sinh(2 * beta * x)
    H += H.T
    weight = np.zeros_like(H)
    weight[rows, 40 + side.idx] = np.sinh(beta * x) ** 2
    H += np.diag(1 + (weight + weight.T).sum(axis=1))
    assert found == np.count_nonzero(np.linalg.eigvalsh(H) < 0)


def test_single_precision_and_limits():
    entries = entries_of(400, 300, 4, 5.0, real=np.float32)
    assert estimate_rank(entries, np.random.default_rng(0)) == 4
    assert estimate_rank(entries, np.random.default_rng(0), largest=2) == 2


@pytest.mark.parametrize("values", ["zero", "noise", "single"])
def test_at_least_one(values):
    rng = np.random.default_rng(5)
    x = rng.standard_normal(3000) * (values == "noise")
    rows, cols = np.divmod(rng.choice(300 * 200, 3000, replace=False), 200)
    if values == "single":
        rows, cols, x = rows[:1], cols[:1], np.ones(1)
    entries = from_triplets(rows, cols, x, (300, 200))
    assert estimate_rank(entries, rng) == 1


# of eight columns some rows have less than two entries
@pytest.mark.filterwarnings("ignore:The completion is not determined")
@pytest.mark.parametrize("observed", [1.0, 0.6])
@pytest.mark.parametrize("shape, k", [((2000, 25), 3), ((400, 8), 2), ((25, 2000), 3)])
def test_few_columns_or_few_rows(shape, k, observed):
    """The rank is that which the matrix was made with; its weakest part is no noise."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((shape[0], k)) @ rng.standard_normal((k, shape[1]))
        X += 0.4 * rng.standard_normal(shape)
        X[rng.random(shape) >= observed] = np.nan
        assert complete(X, "auto", random_state=0).rank == k
