"""Proximal estimators; scikit-learn's own checks of default ones are elsewhere."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import ElasticNet as SkElasticNet
from sklearn.linear_model import (
    HuberRegressor,
    Lasso,
    LogisticRegression,
    PoissonRegressor,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparseopt.exceptions import ConvergenceWarning
from sparseopt.linear_model import (
    Composed,
    ProximalClassifier,
    ProximalRegressor,
    ProximalRegressorCV,
)
from sparseopt.prox import L1, MCP, ElasticNet, GroupLasso

N, P = 80, 10


@pytest.fixture
def X(rng):
    return rng.normal(size=(N, P)) + 0.3


@pytest.fixture
def signal(X):
    return X[:, 0] - 2 * X[:, 3] + 0.5 * X[:, 7]


# targets of some checks are noise, of which sparse models keep no feature
@pytest.mark.filterwarnings("ignore:No features were selected:UserWarning")
@parametrize_with_checks(
    [
        ProximalRegressor(loss="poisson"),
        ProximalRegressor(loss="huber", penalty="elastic_net"),
        ProximalClassifier(loss="multinomial", penalty="group_rows"),
    ]
)
def test_sklearn_check(estimator, check):
    if "sample_weight_equivalence" in check.func.__name__:
        # weights have to be repetitions to 1e-7, a relative gap bounds them by its root
        estimator = clone(estimator).set_params(tol=1e-14)
    check(estimator)


def test_lasso_and_elastic_net(X, signal, rng):
    y = signal + 1 + rng.normal(size=N)
    weights = rng.random(N) + 0.1
    ours = ProximalRegressor("l1", 0.1, tol=1e-12).fit(X, y, sample_weight=weights)
    theirs = Lasso(0.1, tol=1e-14, max_iter=10**5).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-8)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-7)
    ours = ProximalRegressor(ElasticNet(0.2, 0.3), tol=1e-13).fit(X, y)
    theirs = SkElasticNet(alpha=0.2, l1_ratio=0.3, tol=1e-14, max_iter=10**5).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-7)


def test_poisson_predicts_rates(X, signal, rng):
    y = rng.poisson(np.exp(0.5 * signal))
    ours = ProximalRegressor("ridge", 0.1, loss="poisson", tol=1e-13).fit(X, y)
    theirs = PoissonRegressor(alpha=0.1, tol=1e-12, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-4)
    assert ours.predict(X).min() > 0


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_are_those_of_sklearn(weighted, X, signal, rng):
    weights = rng.uniform(0.1, 2.0, N) if weighted else None
    y = rng.poisson(np.exp(0.5 * signal))
    ours = ProximalRegressor("ridge", 0.1, loss="poisson").fit(X, y)
    theirs = PoissonRegressor().fit(X, y)
    theirs.coef_, theirs.intercept_ = ours.coef_, ours.intercept_
    expected = theirs.score(X, y, weights)
    assert ours.score(X, y, weights) == pytest.approx(expected, rel=1e-12)
    cv = ProximalRegressorCV(loss="poisson", n_lams=5).fit(X, y)
    theirs.coef_, theirs.intercept_ = cv.coef_, cv.intercept_
    assert cv.score(X, y) == pytest.approx(theirs.score(X, y), rel=1e-12)
    y = signal + rng.normal(size=N)
    ours = ProximalRegressor(loss="huber").fit(X, y)
    theirs = HuberRegressor().fit(X, y)
    theirs.coef_, theirs.intercept_ = ours.coef_, ours.intercept_
    expected = theirs.score(X, y, weights)
    assert ours.score(X, y, weights) == pytest.approx(expected, rel=1e-12)


def test_poisson_score_at_the_edges(X, signal, rng):
    y = rng.poisson(np.exp(0.5 * signal))
    model = ProximalRegressor("l1", 1e3, loss="poisson").fit(X, y)
    assert model.score(X, y) == pytest.approx(0.0, abs=1e-12)  # the mean alone
    assert model.score(X, np.full(N, y.mean())) == 1.0
    assert model.score(X, np.full(N, 7.0)) == 0.0  # they do not vary
    assert model.score(X, np.zeros(N)) == 0.0
    model.coef_ = np.full(P, -1e3)  # rates underflow
    assert model.score(np.abs(X), y) < -10
    with pytest.raises(ValueError, match="must not be negative"):
        model.score(X, signal)
    with pytest.raises(ValueError, match="zero weights"):
        model.score(X, y, np.zeros(N))


def test_huber_does_not_follow_outliers(X, signal, rng):
    y = signal + 0.1 * rng.normal(size=N)
    y[:8] += 100
    robust = ProximalRegressor("l1", 0.01, loss="huber", delta=0.5).fit(X, y)
    squared = ProximalRegressor("l1", 0.01).fit(X, y)
    truth = np.zeros(P)
    truth[[0, 3, 7]] = [1, -2, 0.5]
    assert np.abs(robust.coef_ - truth).max() < 0.1
    assert np.abs(squared.coef_ - truth).max() > 1


def test_logistic_regression_of_two_and_more_classes(X, signal, rng):
    y = np.where(rng.random(N) < 1 / (1 + np.exp(-signal)), "yes", "no")
    ours = ProximalClassifier("ridge", 0.1, tol=1e-13).fit(X, y)
    theirs = LogisticRegression(C=1 / (0.1 * N), tol=1e-10, max_iter=10**4).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
    assert ours.coef_.shape == (1, P)
    y = np.digitize(signal + rng.normal(size=N), [-1, 1])
    ours = ProximalClassifier("ridge", 0.1, tol=1e-13).fit(X, y)
    theirs = LogisticRegression(C=1 / (0.1 * N), tol=1e-10, max_iter=10**4).fit(X, y)
    np.testing.assert_allclose(
        ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5
    )
    assert ours.coef_.shape == (3, P)
    np.testing.assert_allclose(
        ours.predict_log_proba(X), np.log(ours.predict_proba(X)), atol=1e-12
    )


def test_two_classes_by_cross_entropy(X, signal):
    y = (signal > 0).astype(int)
    model = ProximalClassifier("group_rows", 0.02, loss="multinomial").fit(X, y)
    assert model.coef_.shape == (2, P)
    assert model.decision_function(X).shape == (N,)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    assert model.score(X, y) > 0.9


def test_rows_are_used_by_all_classes_or_none(X, signal):
    y = np.digitize(signal, [-2, 2])
    model = ProximalClassifier(GroupLasso(0.1, weights=None, rows=True)).fit(X, y)
    zero = model.coef_ == 0
    np.testing.assert_array_equal(zero.any(axis=0), zero.all(axis=0))
    assert 0 < model.support_.size < P
    named = ProximalClassifier("group_rows", 0.1).fit(X, y)
    np.testing.assert_array_equal(named.coef_, model.coef_)


@pytest.mark.parametrize("kind", [ProximalRegressor, ProximalClassifier])
def test_sparse_and_float32(kind, X, signal):
    X = X * (np.abs(X) > 0.7)
    y = signal if kind is ProximalRegressor else np.digitize(signal, [-1, 1])
    dense = kind(lam=0.05).fit(X, y)
    for form in (sparse.csr_matrix, sparse.csc_array):
        model = kind(lam=0.05).fit(form(X), y)
        np.testing.assert_allclose(model.coef_, dense.coef_, atol=1e-4)
        np.testing.assert_array_equal(
            model.predict(form(X)).round(2), dense.predict(X).round(2)
        )
    single = kind(lam=0.05).fit(X.astype(np.float32), y)
    assert single.coef_.dtype == np.float32
    if kind is ProximalRegressor:
        assert single.predict(X.astype(np.float32)).dtype == np.float32
    else:
        assert single.predict_proba(X.astype(np.float32)).dtype == np.float32


def test_names_of_columns(X, signal):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=[f"f{j}" for j in range(P)])
    model = ProximalRegressor().fit(table, signal)
    assert list(model.feature_names_in_) == list(table.columns)
    with pytest.warns(UserWarning, match="feature names"):
        model.predict(X)


def test_sums_of_penalties(X, signal):
    D = np.diff(np.eye(P), axis=0)
    penalty = [L1(0.05), Composed(L1(0.1), 2 * D)]
    model = ProximalRegressor(penalty).fit(X, signal)
    assert model.result_.solver == "admm"
    assert model.dual_gap_ < 1e-6
    again = clone(model).fit(X, signal)
    np.testing.assert_array_equal(again.coef_, model.coef_)
    with pytest.raises(ValueError, match="'lam' parameter"):
        ProximalRegressor([L1(0.05)], lam=1.0).fit(X, signal)


def test_strength_of_an_object(X, signal):
    a = ProximalRegressor(L1(5.0), lam=0.1).fit(X, signal)
    b = ProximalRegressor("l1", lam=0.1).fit(X, signal)
    np.testing.assert_array_equal(a.coef_, b.coef_)


def test_search_over_penalties(X, signal, rng):
    y = signal + rng.normal(size=N)
    grid = {"proximalregressor__penalty": ["l1", "mcp", MCP(1.0, 2.0)]}
    pipe = make_pipeline(StandardScaler(), ProximalRegressor(lam=0.1))
    search = GridSearchCV(pipe, grid, cv=3).fit(X, y)
    assert search.best_score_ > 0.5


def test_warm_start(X, signal):
    model = ProximalRegressor("l1", 0.1, warm_start=True, solver="prox_grad")
    cold = model.fit(X, signal).n_iter_
    assert model.fit(X, signal).n_iter_ < cold
    model.set_params(lam=0.09).fit(X, signal)
    fresh = ProximalRegressor("l1", 0.09, solver="prox_grad").fit(X, signal)
    # a relative gap of 1e-8 bounds coefficients by its root
    np.testing.assert_allclose(model.coef_, fresh.coef_, atol=2e-4)
    model.fit(X[:, :3], signal)  # of another shape: starts afresh
    assert model.coef_.shape == (3,)


def test_not_converged_warns(X, signal):
    model = ProximalRegressor("l1", 1e-3, max_iter=2, solver="prox_grad")
    with pytest.warns(ConvergenceWarning, match="increase max_iter or tol"):
        model.fit(X, signal)
    assert not model.result_.converged


@pytest.mark.parametrize("solver", ["saga", "prox_svrg", "prox_grad", "admm", "pdhg"])
def test_solvers_of_the_estimators(solver, X, signal):
    model = ProximalRegressor("l1", 0.1, solver=solver, tol=1e-9).fit(X, signal)
    exact = ProximalRegressor("l1", 0.1, tol=1e-12).fit(X, signal)
    # a relative gap of 1e-9 bounds coefficients by its root
    np.testing.assert_allclose(model.coef_, exact.coef_, atol=1e-4)


@pytest.mark.parametrize(
    ("model", "error", "match"),
    [
        (ProximalRegressor("lasso"), ValueError, "'penalty' parameter"),
        (ProximalRegressor(penalty=3), TypeError, "'penalty' parameter"),
        (ProximalRegressor(lam=-1), ValueError, "'lam' parameter"),
        (ProximalRegressor(loss="logistic"), ValueError, "'loss' parameter"),
        (ProximalRegressor(solver="newton"), ValueError, "'solver' parameter"),
        (ProximalRegressor(tol=0), ValueError, "'tol' parameter"),
        (ProximalRegressor(loss="huber", delta=0), ValueError, "'delta' parameter"),
        (ProximalRegressor(fit_intercept="yes"), TypeError, "'fit_intercept'"),
        (ProximalRegressor(MCP(0.1), solver="admm"), ValueError, "convex penalties"),
    ],
)
def test_bad_parameters(model, error, match, X, signal):
    with pytest.raises(error, match=match):
        model.fit(X, signal)


def test_bad_data(X, signal):
    with pytest.raises(ValueError, match="must not be negative for Poisson"):
        ProximalRegressor(loss="poisson").fit(X, signal)
    with pytest.raises(ValueError, match="zero weights"):
        ProximalRegressor().fit(X, signal, sample_weight=np.zeros(N))
    with pytest.raises(ValueError, match="at least two classes"):
        ProximalClassifier().fit(X, np.ones(N, dtype=int))
    with pytest.raises(ValueError, match="more than two classes"):
        ProximalClassifier(loss="logistic").fit(X, np.arange(N) % 3)
