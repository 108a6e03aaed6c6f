"""Best subsets: kernels against plain NumPy, local optima by brute force."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from sparseopt import Status
from sparseopt.exceptions import ConvergenceWarning
from sparseopt.linear_model import LeastSquares, Logistic, best_subset
from sparseopt.linear_model import _subset as module
from sparseopt.linear_model._subset import Pool, search
from sparseopt.linear_model._subset_columns import Blocks, Columns
from sparseopt.linear_model._subset_kernels import (
    exchange,
    set_simd_level,
    work_sizes,
)
from sparseopt.prox import Groups

LABELS = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4, 5, 6, 7, 7, 8])


def problem(seed, n=40, p=14, k=4, rho=0.6, noise=1.0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    for j in range(1, p):
        X[:, j] = rho * X[:, j - 1] + np.sqrt(1 - rho**2) * X[:, j]
    w = np.zeros(p)
    w[rng.choice(p, k, replace=False)] = rng.choice([-1.0, 1.0], k)
    return X, X @ w + noise * rng.standard_normal(n)


def loss(X, y, columns, s=None, intercept=True, ridge=0.0):
    """Twice the least objective on some columns, by a plain solve."""
    n = len(y)
    s = np.full(n, 1 / n) if s is None else s / s.sum()
    A = X[:, columns].astype(float)
    if intercept:
        A, y = A - s @ A, y - s @ y
    root = np.sqrt(s)
    left = np.vstack([root[:, None] * A, np.sqrt(ridge) * np.eye(A.shape[1])])
    right = np.append(root * y, np.zeros(A.shape[1]))
    r = right - left @ np.linalg.lstsq(left, right, rcond=None)[0]
    return float(r @ r)


def columns_of(groups, subset):
    lists = Groups.of(groups, 14).lists()
    return np.concatenate([lists[j] for j in subset]) if len(subset) else []


# ------------------------------------------------------------------------- kernels


def plain_descent(G, c, ptr, active):
    """Twin of the compiled descent: best exchange by refits, until none helps."""

    def rss(subset):
        at = np.concatenate([np.arange(ptr[j], ptr[j + 1]) for j in subset])
        return -c[at] @ np.linalg.lstsq(G[np.ix_(at, at)], c[at], rcond=None)[0]

    active, steps = list(active), 0
    while True:
        trials = [
            (rss([*(a for a in active if a != i), j]), i, j)
            for i in active
            for j in range(len(ptr) - 1)
            if j not in active
        ]
        value, i, j = min(trials)
        if value >= rss(active) - 1e-10:
            return set(active), steps, rss(active)
        active[active.index(i)] = j
        steps += 1


@pytest.fixture(params=[0, 1, 2])
def simd_level(request):
    yield set_simd_level(request.param)
    set_simd_level(2)


@pytest.mark.parametrize("labels", [np.arange(14), LABELS], ids=["single", "groups"])
@pytest.mark.parametrize("seed", range(4))
def test_descent_is_that_of_its_twin(labels, seed, simd_level):
    X, y = problem(seed)
    X = X / np.linalg.norm(X, axis=0)
    G, c = np.ascontiguousarray(X.T @ X), X.T @ y
    ptr = np.searchsorted(labels, np.arange(labels[-1] + 2))
    q, w = len(ptr) - 1, int(np.diff(ptr).max())
    active = np.array([0, 3, 5])
    n_work, n_marks = work_sizes(14, q, w, 3)
    work, marks = np.empty(n_work), np.empty(n_marks, dtype=np.int64)
    expected = plain_descent(G, c, ptr, active)
    count, steps, rss = exchange(
        G, c, y @ y, ptr, labels.astype(np.int64), active, 3, 0, 3, 1e-10, 0, 7, 999,
        work, marks, lambda: False,
    )  # fmt: skip
    assert (count, steps) == (3, expected[1])
    assert set(active) == expected[0]
    assert rss == pytest.approx(y @ y + expected[2], rel=1e-10)


@pytest.mark.parametrize("groups", [None, LABELS, 2], ids=["single", "lists", "blocks"])
@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_gains_are_those_of_refits(groups, ridge):
    X, y = problem(1)
    s = np.random.default_rng(0).uniform(0.5, 2.0, 40)
    datafit = LeastSquares(X, y, sample_weight=s, fit_intercept=True)
    blocks = Blocks.of(Groups.of(groups, 14))
    columns = Columns(
        datafit.design, datafit.y, datafit.s, blocks, centred=True, ridge=ridge
    )
    pool, subset = Pool(columns), np.array([1, 4])
    pool.add(np.array([4, 0, 1]))
    gains = pool.gains(subset)
    before = loss(X, y, columns_of(groups, subset), s, ridge=ridge)
    for j in range(blocks.n_blocks):
        if j in subset:
            assert gains[j] == -np.inf
            continue
        after = min(
            loss(X, y, columns_of(groups, [i, j]), s, ridge=ridge) for i in subset
        )
        assert gains[j] == pytest.approx(before - after, abs=1e-10)


def test_sweeps_without_end_stay_exact():
    X, y = problem(3, n=60, p=30)
    datafit = LeastSquares(X, y)
    blocks = Blocks.of(Groups.of(None, 30))
    columns = Columns(datafit.design, datafit.y, datafit.s, blocks, centred=False)
    found = search(columns, 6, patience=2000)
    assert found.n_steps > 2000
    exact = loss(X, y, found.blocks, intercept=False)
    assert found.rss == pytest.approx(exact, rel=1e-12)


# -------------------------------------------------------------------- local optima


def assert_local(X, y, subset, groups=None, s=None, ridge=0.0, intercept=True):
    """No exchange of one group for another lowers the loss."""
    m = Groups.of(groups, X.shape[1]).m
    lists = Groups.of(groups, X.shape[1]).lists()

    def value(chosen):
        at = np.concatenate([lists[j] for j in chosen])
        return loss(X, y, at, s, intercept, ridge)

    base = value(subset)
    for i in subset:
        for j in set(range(m)) - set(subset):
            assert value([*(a for a in subset if a != i), j]) > base * (1 - 1e-9)
    return base


@pytest.mark.parametrize("groups", [None, LABELS, 2], ids=["single", "lists", "blocks"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("lam", [0.0, 0.2])
def test_result_is_a_local_optimum(groups, seed, intercept, lam):
    X, y = problem(seed, noise=2.0)
    s = np.random.default_rng(seed).integers(1, 4, 40).astype(float)
    X, y = X + 3.0, y + 10.0
    datafit = LeastSquares(X, y, sample_weight=s, fit_intercept=intercept)
    result = best_subset(datafit, 3, groups=groups, lam=lam)
    assert result.is_local and result.status is Status.CONVERGED
    assert result.residual == 0.0
    base = assert_local(X, y, result.group_support, groups, s, lam, intercept)
    assert 2 * result.objective == pytest.approx(base, rel=1e-9)


def test_pool_grows_until_the_whole_design_has_nothing_better(monkeypatch):
    X, y = problem(5, n=50, p=200, k=8, rho=0.8)
    whole = best_subset(LeastSquares(X, y, fit_intercept=True), 8)
    monkeypatch.setattr(module, "_POOL", 16)
    monkeypatch.setattr(module, "_GROWTH", 8)
    result = best_subset(LeastSquares(X, y, fit_intercept=True), 8)
    assert result.n_iter > 1
    assert_local(X, y, result.group_support)
    assert result.objective <= whole.objective * 1.1


@pytest.mark.parametrize("seed", range(20))
def test_exhaustive_search_finds_no_better_one(seed):
    X, y = problem(seed, p=12, noise=2.0)
    result = best_subset(LeastSquares(X, y, fit_intercept=True), 4)
    best = min(loss(X, y, list(a)) for a in combinations(range(12), 4))
    assert 2 * result.objective == pytest.approx(best, rel=1e-10)


def test_weighted_groups_in_the_ridge():
    X, y = problem(2)
    d = np.linspace(0.5, 3.0, 14)
    datafit = LeastSquares(X, y)
    result = best_subset(datafit, 3, lam=0.4, weights=d)
    # weights move into the columns
    scaled = best_subset(LeastSquares(X / np.sqrt(d), y), 3, lam=0.4)
    assert np.array_equal(result.support, scaled.support)
    assert result.objective == pytest.approx(scaled.objective, rel=1e-12)
    assert result.coef == pytest.approx(scaled.coef / np.sqrt(d))


def test_free_features_always_belong():
    X, y = problem(2)
    labels = np.array([-1, -1, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
    result = best_subset(LeastSquares(X, y, fit_intercept=True), 2, groups=labels)
    assert {0, 1} <= set(result.support) and len(result.support) == 6
    best = min(
        loss(X, y, np.flatnonzero(np.isin(labels, [-1, *pair])))
        for pair in combinations(range(6), 2)
    )
    assert 2 * result.objective == pytest.approx(best, rel=1e-10)


# ---------------------------------------------------------------------- edge cases


def test_one_feature_is_the_most_correlated():
    X, y = problem(7)
    result = best_subset(LeastSquares(X, y, fit_intercept=True), 1)
    corr = [abs(np.corrcoef(x, y)[0, 1]) for x in X.T]
    assert result.support == [int(np.argmax(corr))]


def test_all_features_are_least_squares():
    X, y = problem(7)
    result = best_subset(LeastSquares(X, y), 14)
    assert result.coef == pytest.approx(np.linalg.lstsq(X, y, rcond=None)[0])
    assert result.is_local


def test_more_groups_than_samples_are_not_needed():
    X, y = problem(0, n=6)
    result = best_subset(LeastSquares(X, y), 10)
    assert result.objective < 1e-20
    assert result.support.size <= 6


def test_constant_and_repeated_columns():
    X, y = problem(4)
    X = np.hstack([X, np.full((40, 2), 7.0), X[:, :3], np.zeros((40, 1))])
    result = best_subset(LeastSquares(X, y, fit_intercept=True), 5)
    assert not np.isin([14, 15, 19], result.support).any()
    single = best_subset(LeastSquares(X[:, :14], y, fit_intercept=True), 5)
    assert result.objective == pytest.approx(single.objective, rel=1e-10)


def test_large_means_cost_no_digits():
    X, y = problem(4)
    shifted = best_subset(LeastSquares(X + 1e7, y, fit_intercept=True), 4)
    plain = best_subset(LeastSquares(X, y, fit_intercept=True), 4)
    assert np.array_equal(shifted.support, plain.support)
    assert shifted.objective == pytest.approx(plain.objective, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-140, 1e-20, 1e20, 1e140])
def test_scale_of_the_features_does_not_matter(scale):
    X, y = problem(4)
    plain = best_subset(LeastSquares(X, y, fit_intercept=True), 4)
    scaled = best_subset(LeastSquares(X * scale, y, fit_intercept=True), 4)
    assert np.array_equal(scaled.support, plain.support)
    assert scaled.coef * scale == pytest.approx(plain.coef, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_exact_fits_on_few_samples_end(seed):
    rng = np.random.default_rng(seed)
    many = rng.integers(0, 15, 50)
    X = rng.standard_normal((15, 30))[many]
    y = rng.integers(0, 3, 15)[many]
    result = best_subset(LeastSquares(X, y, fit_intercept=True), 14)
    assert result.is_local and result.objective < 1e-8


def test_target_without_signal():
    X, _ = problem(4)
    result = best_subset(LeastSquares(X, np.full(40, 3.0), fit_intercept=True), 2)
    assert result.objective == pytest.approx(0.0, abs=1e-20)
    assert result.intercept == pytest.approx(3.0)


def test_types_and_layouts_agree(layout, dtype):
    X, y = problem(4, noise=0.3)
    expected = best_subset(LeastSquares(X, y, fit_intercept=True), 4)
    X = layout(X.astype(dtype))
    before = X.copy()
    result = best_subset(LeastSquares(X, y, fit_intercept=True), 4)
    assert np.array_equal(X, before)
    assert result.coef.dtype == dtype
    assert np.array_equal(result.support, expected.support)
    assert result.coef == pytest.approx(expected.coef, rel=1e-4)


@pytest.mark.parametrize("make", [sparse.csr_array, sparse.csc_matrix])
def test_sparse_designs_agree(make):
    X, y = problem(6)
    X[np.random.default_rng(0).random(X.shape) < 0.6] = 0.0
    dense = best_subset(LeastSquares(X, y, fit_intercept=True), 4, groups=LABELS)
    result = best_subset(LeastSquares(make(X), y, fit_intercept=True), 4, groups=LABELS)
    assert np.array_equal(result.support, dense.support)
    assert result.coef == pytest.approx(dense.coef, rel=1e-9)


def test_weights_are_repetitions():
    X, y = problem(6)
    s = np.random.default_rng(1).integers(0, 4, 40)
    many = np.repeat(np.arange(40), s)
    a = best_subset(LeastSquares(X, y, sample_weight=s, fit_intercept=True), 4)
    b = best_subset(LeastSquares(X[many], y[many], fit_intercept=True), 4)
    assert np.array_equal(a.support, b.support)
    assert a.coef == pytest.approx(b.coef, rel=1e-9)


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(5, 40),
    p=st.integers(2, 12),
    size=st.integers(1, 3),
    lam=st.sampled_from([0.0, 0.1]),
)
@settings(max_examples=30)
def test_more_groups_are_never_worse(seed, n, p, size, lam):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, p * size)), rng.standard_normal(n)
    datafit = LeastSquares(X, y, fit_intercept=True)
    last, init = datafit.scale(), None
    for k in range(1, p + 1):
        result = best_subset(datafit, k, groups=size, lam=lam, init=init)
        assert result.group_support.size <= k
        assert result.objective <= last * (1 + 1e-9) + 1e-12
        last, init = result.objective, result.group_support


def test_start_is_not_made_worse():
    X, y = problem(9, n=30, p=80, k=6)
    init = [3, 9, 17, 40, 60, 75]
    result = best_subset(LeastSquares(X, y), 6, init=init)
    assert 2 * result.objective <= loss(X, y, init, intercept=False)


# --------------------------------------------------------------------- other losses


def logistic_loss(X, y, columns, lam):
    datafit = Logistic(X[:, columns], y, fit_intercept=True)
    A = np.column_stack([X[:, columns], np.ones(len(y))])
    ridge = lam * np.append(np.ones(len(columns)), 0.0)
    x = np.zeros(A.shape[1])
    for _ in range(50):
        grad = A.T @ datafit.gradient(A @ x) + ridge * x
        H = A.T @ (datafit.hessian(A @ x)[:, None] * A) + np.diag(ridge)
        x -= np.linalg.solve(H, grad)
    return datafit.value(A @ x) + 0.5 * ridge @ x**2


@pytest.mark.parametrize("seed", range(4))
def test_logistic_subsets_against_exhaustive_search(seed):
    X, z = problem(seed, n=60, p=8, k=2)
    y = np.where(z > 0, 1, -1)
    result = best_subset(Logistic(X, y, fit_intercept=True), 2, lam=0.05)
    best = min(logistic_loss(X, y, list(a), 0.05) for a in combinations(range(8), 2))
    assert result.status is Status.CONVERGED
    assert result.objective == pytest.approx(best, rel=1e-8)


def test_logistic_groups_and_start():
    X, z = problem(2, n=80)
    y = np.where(z > 0, "b", "a")
    datafit = Logistic(X, y, fit_intercept=True)
    result = best_subset(datafit, 3, groups=LABELS, lam=0.01, init=[1, 2, 3])
    at = columns_of(LABELS, [1, 2, 3])
    assert result.objective <= logistic_loss(X, datafit.y, at, 0.01) + 1e-12
    assert result.group_support.size == 3


# -------------------------------------------------------------------------- control


def test_limits_and_callback():
    X, y = problem(5, n=50, p=200, k=8, rho=0.8)
    datafit = LeastSquares(X, y)
    seen = []
    result = best_subset(datafit, 8, callback=lambda state: seen.append(state.n_iter))
    assert seen == list(range(1, result.n_iter + 1))
    assert len(result.history) == result.n_iter
    stopped = best_subset(datafit, 8, callback=lambda state: len(state.groups) == 8)
    assert stopped.status in (Status.STOPPED_BY_CALLBACK, Status.CONVERGED)
    assert stopped.group_support.size == 8


def test_keyboard_interrupt_keeps_the_best(monkeypatch):
    X, y = problem(5, n=50, p=200, k=8, rho=0.8)

    def interrupt(pool, *args):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_descend", interrupt)
    with pytest.warns(ConvergenceWarning, match="best_subset"):
        result = best_subset(LeastSquares(X, y), 8)
    assert result.status is Status.INTERRUPTED
    assert result.group_support.size == 8
    assert np.isfinite(result.objective)


def test_same_result_every_time():
    X, y = problem(5, n=50, p=200, k=8, rho=0.8)
    a, b = (best_subset(LeastSquares(X, y), 8) for _ in range(2))
    assert np.array_equal(a.coef, b.coef) and a.n_steps == b.n_steps


@pytest.mark.parametrize(
    ("k", "options", "error", "text"),
    [
        (-1, {}, ValueError, r"'k' .* an int in \[0, 14\]. Got -1"),
        (15, {}, ValueError, r"'k' .* an int in \[0, 14\]. Got 15"),
        (8, {"groups": 2}, ValueError, r"'k' .* an int in \[0, 7\]. Got 8"),
        (1.5, {}, TypeError, "'k'"),
        (True, {}, TypeError, "'k'"),
        (2, {"lam": -1.0}, ValueError, "'lam'"),
        (2, {"lam": np.nan}, ValueError, "'lam'"),
        (2, {"weights": np.zeros(14)}, ValueError, "'weights'"),
        (2, {"init": [1, 2, 3]}, ValueError, "'init' .* at most 2"),
        (2, {"init": [14]}, ValueError, r"'init' .* \[0, 13\]. Got 14"),
        (2, {"init": [0.5]}, ValueError, "'init'"),
        (2, {"groups": [[0, 1], [1, 2]]}, ValueError, "disjoint"),
    ],
)
def test_bad_input(k, options, error, text):
    X, y = problem(0)
    with pytest.raises(error, match=text):
        best_subset(LeastSquares(X, y), k, **options)


def test_operators_have_no_columns():
    from scipy.sparse.linalg import aslinearoperator

    X, y = problem(0)
    with pytest.raises(TypeError, match="operator"):
        best_subset(LeastSquares(aslinearoperator(X), y), 2)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [3, 5])
def test_best_of_all_sets_of_groups(size, seed):
    """Signals well above the noise: the search ends at the best of all sets."""
    n_groups, k = 8, 3
    X, y = problem(seed, n=80, p=n_groups * size, k=3 * size, noise=0.5)
    result = best_subset(LeastSquares(X, y, fit_intercept=True), k, groups=size)

    def rss(subset):
        at = np.asarray(subset)[:, None] * size + np.arange(size)
        return loss(X, y, at.ravel())

    best = min(map(rss, combinations(range(n_groups), k)))
    # equal up to the rounding of two different solves
    assert rss(result.group_support) == pytest.approx(best, rel=1e-9)
