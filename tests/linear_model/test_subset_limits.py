"""Time limits of subset searches: the clock is read inside long steps."""

from time import thread_time

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from sparseopt import Status
from sparseopt.exceptions import ConvergenceWarning
from sparseopt.linear_model import (
    LeastSquares,
    Logistic,
    SparseEnvelopeClassifier,
    SparseEnvelopeRegressor,
    best_subset,
)
from sparseopt.linear_model._refit import refit
from sparseopt.linear_model._subset import Found, Pool, Watch, search
from sparseopt.linear_model._subset_columns import Blocks, Columns
from sparseopt.linear_model._subset_newton import search_by_models
from sparseopt.prox import Groups

# The searches below take 5 to 60 times as long without a limit.
LIMIT, SLACK = 0.1, 3.0


@pytest.fixture
def seconds():
    """Seconds of this thread, which other work on the machine does not lengthen."""
    with threadpool_limits(1):
        start = thread_time()
        yield lambda: thread_time() - start


def large(seed=0, n=600, p=2000):
    rng = np.random.default_rng(seed)
    X, w = rng.standard_normal((n, p)), np.zeros(p)
    w[rng.permutation(p)[: p // 7]] = rng.standard_normal(p // 7)
    return X, X @ w + rng.standard_normal(n)


def clock(asks):
    """Time is over after it was looked at so often."""
    count = iter(range(10**9))
    return lambda: next(count) >= asks


def columns_of(X, y, groups=None):
    blocks = Blocks.of(Groups.of(groups, X.shape[1]))
    datafit = LeastSquares(X, y)
    return Columns(datafit.design, datafit.y, datafit.s, blocks, centred=False)


def loss(X, y, at):
    r = y - X[:, at] @ np.linalg.lstsq(X[:, at], y, rcond=None)[0]
    return float(r @ r) / len(y)


@pytest.mark.parametrize("extra", [0, 8])
@pytest.mark.parametrize("asks", [0, 1, 2, 3, 5, 30])
def test_exchanges_that_are_cut_keep_a_subset_and_its_loss(asks, extra):
    X, y = large(1, n=250, p=500)
    pool = Pool(columns_of(X, y, 10))  # with groups the clock is asked more often
    pool.add(np.arange(50))
    pool.expired = clock(asks)
    start = np.arange(0, 18, 2)
    blocks, rss = pool.exchange(start, 20, extra=extra, patience=20, tenure=7)
    assert len(np.unique(blocks)) == len(blocks) <= 20
    at = (blocks[:, None] * 10 + np.arange(10)).ravel()
    if np.isinf(rss):  # there was not even time for the start
        assert asks <= 1
        np.testing.assert_array_equal(np.sort(blocks), start)
    else:
        assert rss == pytest.approx(loss(X, y, at), rel=1e-8)


@pytest.mark.parametrize("asks", [0, 1, 2, 5, 20, 100])
@pytest.mark.parametrize("groups", [None, 5])
def test_searches_that_are_cut_answer_their_best(asks, groups):
    X, y = large(2, n=200, p=400)
    found = search(
        columns_of(X, y, groups), 20, starts=[np.arange(4)],
        watch=Watch(expired=clock(asks)),
    )  # fmt: skip
    assert asks > 5 or not found.is_local
    size = groups or 1
    at = (found.blocks[:, None] * size + np.arange(size)).ravel()
    assert 0 < found.blocks.size <= 20
    if np.isfinite(found.rss):
        assert found.rss == pytest.approx(loss(X, y, at), rel=1e-8)


@pytest.mark.parametrize("asks", [0, 1, 5, 20, 100, 10**6])
def test_model_searches_that_are_cut_keep_a_fit_of_their_subset(asks):
    X, y = large(3, n=150, p=200)
    datafit = Logistic(X, np.sign(y), fit_intercept=True)
    blocks = Blocks.of(Groups.of(None, 200))
    found = Found()
    search_by_models(
        datafit, blocks, 5, np.full(200, 0.1), [np.arange(3)],
        found=found, watch=Watch(expired=clock(asks)),
    )  # fmt: skip
    fit = found.fit
    assert set(np.flatnonzero(fit.w)) <= set(found.blocks)
    value = datafit.value(X @ fit.w + fit.intercept) + 0.05 * fit.w @ fit.w
    assert fit.objective == pytest.approx(value, rel=1e-12)
    assert 0.5 * found.rss == pytest.approx(value, rel=1e-12)
    if asks == 10**6:
        best = refit(datafit, found.blocks, 0.1).objective
        assert found.is_local and value == pytest.approx(best, rel=1e-10)


def test_large_subsets_are_not_made_anew_at_each_step():
    """The tableau of more than 200 coordinates counted as stale as soon as made."""
    X, y = large(4, n=400, p=700)
    pool = Pool(columns_of(X, y))
    pool.add(np.arange(700))
    seen = []

    def expired():
        seen.append(1)
        return False

    pool.expired = expired
    blocks, rss = pool.exchange(np.arange(250), 250, max_steps=30)
    assert rss == pytest.approx(loss(X, y, blocks), rel=1e-8)
    # each loading of the tableau asks once in each chunk
    assert len(seen) < 150


@pytest.mark.parametrize("loss", ["squares", "logistic"])
def test_best_subset_honours_its_limit(loss, seconds):
    X, y = large()
    datafit = LeastSquares(X, y) if loss == "squares" else Logistic(X, np.sign(y))
    with pytest.warns(ConvergenceWarning, match="max_time"):
        result = best_subset(datafit, 200, lam=0.01, max_time=LIMIT)
    assert result.status is Status.TIME_LIMIT and not result.is_local
    assert seconds() < LIMIT + SLACK
    assert 0 < result.group_support.size <= 200
    ridge = 0.005 * result.coef @ result.coef
    value = datafit.value(X @ result.coef + result.intercept) + ridge
    assert result.objective == pytest.approx(value, rel=1e-10)
    assert value < datafit.scale()


@pytest.mark.filterwarnings("ignore::sparseopt.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("refit", ["splice", None])
def test_envelopes_honour_one_limit_for_the_whole_fit(refit, seconds):
    X, y = large()
    model = SparseEnvelopeRegressor(200, refit=refit, max_time=LIMIT).fit(X, y)
    assert seconds() < LIMIT + SLACK
    assert model.lower_bound_ <= model.upper_bound_ < np.inf


@pytest.mark.filterwarnings("ignore::sparseopt.exceptions.ConvergenceWarning")
def test_the_limit_is_that_of_all_classes(seconds):
    X, y = large()
    model = SparseEnvelopeClassifier(50, refit="splice", max_time=LIMIT)
    model.fit(X, np.digitize(y, np.arange(-12, 15, 3)))
    assert seconds() < LIMIT + SLACK
    assert np.all(model.lower_bound_ <= model.upper_bound_)
