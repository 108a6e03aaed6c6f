"""Group descent: certificates, cvxpy, and the cases it shares with coordinates."""

import cvxpy as cp
import numpy as np
import pytest
from scipy import sparse

from sparseopt.linear_model import LeastSquares, minimize_composite
from sparseopt.linear_model._group_forms import GroupBlocks
from sparseopt.prox import L1, GroupLasso, SparseGroupLasso

from ._problems import regression


def _solve(X, y, penalty, tol=1e-10, **options):
    datafit = LeastSquares(X, y, fit_intercept=True)
    return minimize_composite(datafit, penalty, solver="group_bcd", tol=tol, **options)


def _gap(X, y, w, b, lam, groups, weights):
    """Relative duality gap of a group lasso, from its definition."""
    n = len(y)
    r = y - X @ w - b
    r = (r - r.mean()) / n
    norms = [
        np.linalg.norm(X[:, g].T @ r) / d for g, d in zip(groups, weights, strict=True)
    ]
    scale = min(1.0, lam / max(norms))
    parts = [d * np.linalg.norm(w[g]) for g, d in zip(groups, weights, strict=True)]
    primal = 0.5 * np.mean((y - X @ w - b) ** 2) + lam * sum(parts)
    best = min(max(r @ y / (n * r @ r), -scale), scale)
    dual = best * (r @ y) - 0.5 * n * best**2 * (r @ r)
    return (primal - dual) / (0.5 * np.var(y))


@pytest.mark.parametrize("lam", [0.3, 0.03, 0.002])
def test_gap_at_exit_is_true(lam, rng):
    X, y, _ = regression(rng, p=100)
    result = _solve(X, y, GroupLasso(lam, groups=5))
    groups = np.arange(100).reshape(20, 5)
    gap = _gap(X, y, result.coef, result.intercept, lam, groups, [5**0.5] * 20)
    assert result.converged
    assert gap <= 1e-10


def test_uneven_groups_against_cvxpy(rng):
    X, y, _ = regression(rng, p=12)
    groups = [[0, 5, 7], [1], [2, 3, 4, 6], [9, 8]]  # 10 and 11 are free
    weights = rng.uniform(0.5, 2.0, size=4)
    penalty = GroupLasso(0.2, groups=groups, weights=weights)
    result = _solve(X, y, penalty)
    w, b = cp.Variable(12), cp.Variable()
    norms = sum(d * cp.norm(w[g]) for d, g in zip(weights, groups, strict=True))
    loss = cp.sum_squares(y - X @ w - b) / (2 * len(y))
    cp.Problem(cp.Minimize(loss + 0.2 * norms)).solve()
    assert result.converged
    # the oracle's own tolerance
    np.testing.assert_allclose(result.coef, w.value, atol=1e-4)


@pytest.mark.parametrize("ratio", [0.3, 0.8])
def test_sparse_groups_against_cvxpy(ratio, rng):
    X, y, _ = regression(rng, p=20)
    result = _solve(X, y, SparseGroupLasso(0.1, ratio, groups=4, weights=None))
    w, b = cp.Variable(20), cp.Variable()
    norms = sum(cp.norm(w[4 * j : 4 * j + 4]) for j in range(5))
    loss = cp.sum_squares(y - X @ w - b) / (2 * len(y))
    cost = loss + 0.1 * (ratio * cp.norm1(w) + (1 - ratio) * norms)
    cp.Problem(cp.Minimize(cost)).solve()
    assert result.converged
    # the oracle's own tolerance
    np.testing.assert_allclose(result.coef, w.value, atol=1e-4)


def test_groups_of_one_are_a_lasso(rng):
    X, y, _ = regression(rng)
    datafit = LeastSquares(X, y, fit_intercept=True)
    lasso = minimize_composite(datafit, L1(0.05), tol=1e-12)
    group = _solve(X, y, GroupLasso(0.05, groups=1), tol=1e-12)
    np.testing.assert_allclose(group.coef, lasso.coef, atol=1e-9)


def test_layouts_and_types(rng):
    X, y, _ = regression(rng)
    penalty = GroupLasso(0.05, groups=4)
    reference = _solve(X, y, penalty)
    for matrix in (np.asfortranarray(X), sparse.csr_array(X)):
        result = _solve(matrix, y, penalty)
        np.testing.assert_allclose(result.coef, reference.coef, atol=1e-9)
    result = _solve(X.astype(np.float32), y, penalty)
    assert result.coef.dtype == np.float32
    np.testing.assert_allclose(result.coef, reference.coef, atol=1e-5)


def test_degenerate_designs(rng):
    X, y, _ = regression(rng)
    X[:, :4], X[:, 8:12], X[:, 20] = 0.0, X[:, 12:16], 3.0
    result = _solve(X, y, GroupLasso(0.01, groups=4))
    assert result.converged
    assert not result.coef[:4].any()
    one = _solve(X[:1], y[:1], GroupLasso(0.01, groups=4))
    assert one.converged


def test_scrambled_groups_are_the_same_problem(rng):
    X, y, _ = regression(rng)
    order = rng.permutation(80)
    labels = np.empty(80, dtype=int)
    labels[order] = np.repeat(np.arange(20), 4)
    plain = _solve(X[:, order], y, GroupLasso(0.05, groups=4), tol=1e-12)
    mixed = _solve(X, y, GroupLasso(0.05, groups=labels), tol=1e-12)
    np.testing.assert_allclose(mixed.coef[order], plain.coef, atol=1e-8)


@pytest.mark.parametrize("groups", [4, [[3, 0], [1, 2, 5], [7, 4]]])
def test_screening_bounds_every_move_of_the_dual(groups, rng):
    penalty = GroupLasso(0.7, groups=groups)
    blocks = GroupBlocks.of(penalty, 8)
    X, theta = rng.standard_normal((6, 8)), 0.2 * rng.standard_normal(6)
    reach = 0.3 * np.linalg.norm(X, axis=0)
    alive = blocks.screen(X.T @ theta, reach)
    for _ in range(200):
        step = rng.standard_normal(6)
        moved = X.T @ (theta + 0.3 * step / np.linalg.norm(step))
        for part, weight in zip(
            penalty.groups(8).lists(), np.sqrt(penalty.groups(8).sizes), strict=True
        ):
            if np.linalg.norm(moved[part]) >= 0.7 * weight:
                assert alive[part].all()
    free = np.setdiff1d(np.arange(8), np.concatenate(penalty.groups(8).lists()))
    assert alive[free].all()


def test_warm_start_is_quick(rng):
    X, y, _ = regression(rng)
    penalty = GroupLasso(0.05, groups=4)
    first = _solve(X, y, penalty)
    again = _solve(X, y, penalty, init=first)
    assert again.n_iter == 1
