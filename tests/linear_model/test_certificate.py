"""Bounds for the best k groups, against exhaustive search."""

from itertools import combinations

import numpy as np
import pytest

from sparseopt.linear_model import (
    LeastSquares,
    Logistic,
    SparseEnvelopeClassifier,
    SparseEnvelopeRegressor,
)
from sparseopt.linear_model._certificate import round_shares
from sparseopt.linear_model._refit import refit
from sparseopt.prox import Groups


def problem(seed, n=40, p=14):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) + 0.7 * rng.standard_normal((n, 1))
    return X, X[:, :4] @ [1.0, -1.0, 2.0, 0.5] + 2.0 * rng.standard_normal(n)


def exhaustive(X, y, k, lam, groups=None, d=None):
    """Least ridge objective over all subsets of k groups, with an intercept."""
    parts = Groups.of(groups, X.shape[1])
    ridge = lam * parts.spread(np.ones(parts.m) if d is None else d)
    X, y = X - X.mean(axis=0), y - y.mean()
    n, best = len(y), (np.inf, None)
    G, c, total = X.T @ X / n + np.diag(ridge), X.T @ y / n, y @ y / n
    lists = parts.lists()
    for subset in combinations(range(parts.m), k):
        at = np.concatenate([lists[j] for j in subset])
        value = total - c[at] @ np.linalg.solve(G[np.ix_(at, at)], c[at])
        best = min(best, (value / 2, subset))
    return best


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("lam", [0.05, 0.5, 5.0, 50.0])
@pytest.mark.parametrize("refit_", ["ridge", "splice"])
def test_interval_holds_the_optimum(seed, lam, refit_):
    X, y = problem(seed)
    model = SparseEnvelopeRegressor(k=4, lam=lam, refit=refit_, tol=1e-12).fit(X, y)
    best, subset = exhaustive(X, y, 4, lam)
    slack = 1e-9 * y.var()
    assert model.lower_bound_ <= best + slack
    assert model.upper_bound_ >= best - slack
    if model.certified_:
        assert model.upper_bound_ == pytest.approx(best, rel=1e-8)
        if refit_ == "ridge":
            assert tuple(model.group_support_) == subset


def test_some_are_certified_and_intervals_shrink():
    widths = []
    for lam in (0.05, 0.5, 50.0):
        models = [
            SparseEnvelopeRegressor(k=4, lam=lam, refit="ridge").fit(*problem(seed))
            for seed in range(12)
        ]
        widths.append(np.mean([1 - m.lower_bound_ / m.upper_bound_ for m in models]))
    assert widths[0] > widths[1] > widths[2]
    assert any(model.certified_ for model in models)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("lam", [0.1, 2.0])
def test_groups_and_weights(seed, lam):
    X, y = problem(seed)
    groups = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4, 5, 6, 7, 7, 8])
    d = np.random.default_rng(seed).uniform(0.5, 2.0, 9)
    model = SparseEnvelopeRegressor(
        k=3, lam=lam, refit="ridge", groups=groups, weights=d, tol=1e-12
    ).fit(X, y)
    best, _ = exhaustive(X, y, 3, lam, groups, d)
    slack = 1e-9 * y.var()
    assert model.lower_bound_ - slack <= best <= model.upper_bound_ + slack
    if model.certified_:
        assert model.upper_bound_ == pytest.approx(best, rel=1e-8)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lam", [0.01, 0.3])
def test_logistic(seed, lam):
    X, z = problem(seed, p=8)
    y = np.where(z > 0, 1.0, -1.0)
    model = SparseEnvelopeClassifier(k=2, lam=lam, refit="splice", tol=1e-12).fit(X, y)
    datafit = Logistic(X, y, fit_intercept=True)
    best = min(
        refit(datafit, np.array(a), lam).objective for a in combinations(range(8), 2)
    )
    assert model.lower_bound_ <= best + 1e-10
    assert model.upper_bound_ >= best - 1e-10
    if model.certified_:
        assert model.upper_bound_ == pytest.approx(best, rel=1e-8)


def test_few_groups_in_the_solution_are_certified():
    # orthogonal features with separated signals: the envelope keeps exactly k
    X = np.linalg.qr(np.random.default_rng(0).standard_normal((40, 10)))[0] * 40**0.5
    y = X @ [5.0, -4.0, 3.0, *[0.01] * 7]
    model = SparseEnvelopeRegressor(k=3, lam=1.0, fit_intercept=False).fit(X, y)
    assert model.certified_
    assert list(model.group_support_) == [0, 1, 2]
    assert model.u_[:3] == pytest.approx(np.ones(3))


def test_rounding_takes_shares_then_norms():
    u = np.array([1.0, 0.4, 1.0, 0.4, 0.0])
    norms = np.array([1.0, 2.0, 3.0, 4.0, 0.0])
    assert list(round_shares(u, norms, 3)) == [0, 2, 3]
    assert list(round_shares(u, norms, 5)) == [0, 1, 2, 3]


# --------------------------------------------------------------------------- refits


def test_least_squares_refit():
    X, y = problem(0)
    at = np.array([1, 5, 9])
    fit = refit(LeastSquares(X, y, fit_intercept=True), at)
    A = np.column_stack([X[:, at], np.ones(40)])
    expected = np.linalg.lstsq(A, y, rcond=None)[0]
    assert np.append(fit.w[at], fit.intercept) == pytest.approx(expected)
    assert fit.objective == pytest.approx(np.mean((y - A @ expected) ** 2) / 2)
    assert np.count_nonzero(fit.w) == 3


@pytest.mark.parametrize("scale", [1e-140, 1e140])
def test_refit_at_extreme_scales(scale):
    X, y = problem(0)
    at = np.array([1, 5, 9])
    plain = refit(LeastSquares(X, y, fit_intercept=True), at)
    fit = refit(LeastSquares(X * scale, y, fit_intercept=True), at)
    assert fit.w * scale == pytest.approx(plain.w, rel=1e-10)


def test_logistic_refit_is_stationary():
    X, z = problem(0)
    datafit = Logistic(X, np.sign(z), fit_intercept=True)
    fit = refit(datafit, np.array([1, 5, 9]), np.array([0.1, 0.0, 0.3]))
    theta = datafit.gradient(fit.z)
    grad = X[:, [1, 5, 9]].T @ theta + [0.1, 0.0, 0.3] * fit.w[[1, 5, 9]]
    assert np.append(grad, theta.sum()) == pytest.approx(np.zeros(4), abs=1e-9)


def test_refit_of_separable_classes_ends():
    X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    fit = refit(Logistic(X, [0, 0, 1, 1]), np.array([0]))
    assert np.isfinite(fit.w).all() and fit.objective < 1e-6
