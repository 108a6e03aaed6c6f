"""Sparse envelope estimators: parameters, attributes, refits, grids."""

import numpy as np
import pytest
from joblib import parallel_config
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression

from sparseopt.exceptions import ConvergenceWarning
from sparseopt.linear_model import (
    LeastSquares,
    Logistic,
    SparseEnvelopeClassifier,
    SparseEnvelopeClassifierCV,
    SparseEnvelopeRegressor,
    SparseEnvelopeRegressorCV,
    minimize_composite,
)
from sparseopt.linear_model._envelope_search import (
    default_counts,
    first_best,
    information,
)
from sparseopt.prox import WGSEF

TRUE = [2, 7, 11]
BOTH = [SparseEnvelopeRegressor, SparseEnvelopeClassifier]
CVS = [SparseEnvelopeRegressorCV, SparseEnvelopeClassifierCV]
ids = [cls.__name__ for cls in BOTH]


def problem(seed=0, n=80, p=30, noise=0.5, classify=False):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    y = X[:, TRUE] @ [2.0, -1.5, 1.0] + noise * rng.standard_normal(n) + 1.0
    return X, np.where(y > 1, "yes", "no") if classify else y


def data_for(cls, **options):
    return problem(classify="Classifier" in cls.__name__, **options)


# ---------------------------------------------------------------------- regression


def test_splice_finds_the_features():
    X, y = problem()
    model = SparseEnvelopeRegressor(k=3).fit(X, y)
    assert list(model.support_) == TRUE and list(model.group_support_) == TRUE
    plain = LinearRegression().fit(X[:, TRUE], y)
    assert model.coef_[TRUE] == pytest.approx(plain.coef_)
    assert model.intercept_ == pytest.approx(plain.intercept_)
    assert model.predict(X) == pytest.approx(plain.predict(X[:, TRUE]))
    assert model.u_.shape == (30,) and model.u_.sum() <= 3 + 1e-9
    assert 0 <= model.dual_gap_ <= 1e-8 * y.var()
    assert 0 <= model.lower_bound_ <= model.upper_bound_
    assert isinstance(model.certified_, bool) and model.n_iter_ >= 1


def test_without_refit_it_is_the_convex_problem():
    X, y = problem()
    model = SparseEnvelopeRegressor(k=3, lam=0.3, refit=None, tol=1e-10).fit(X, y)
    datafit = LeastSquares(X, y, fit_intercept=True)
    result = minimize_composite(datafit, WGSEF(3, 0.3), tol=1e-10)
    assert model.coef_ == pytest.approx(result.coef, abs=1e-8)
    assert model.u_ == pytest.approx(result.u, abs=1e-6)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_ridge_and_ols(fit_intercept):
    X, y = problem()
    options = {"k": 3, "lam": 0.3, "fit_intercept": fit_intercept}
    ridge = SparseEnvelopeRegressor(refit="ridge", **options).fit(X, y)
    A, b = X[:, TRUE], y
    if fit_intercept:
        A, b = A - A.mean(axis=0), b - b.mean()
    expected = np.linalg.solve(A.T @ A / 80 + 0.3 * np.eye(3), A.T @ b / 80)
    assert ridge.coef_[TRUE] == pytest.approx(expected)
    objective = np.mean((b - A @ expected) ** 2) / 2 + 0.15 * expected @ expected
    assert ridge.upper_bound_ == pytest.approx(objective)
    ols = SparseEnvelopeRegressor(refit="ols", **options).fit(X, y)
    plain = LinearRegression(fit_intercept=fit_intercept).fit(X[:, TRUE], y)
    assert ols.coef_[TRUE] == pytest.approx(plain.coef_)


def test_debias_shrinks_less():
    X, y = problem()
    norms = [
        np.linalg.norm(
            SparseEnvelopeRegressor(k=3, lam=1.0, refit=None, debias=debias)
            .fit(X, y)
            .coef_
        )
        for debias in (0.0, 0.5, 0.9)
    ]
    assert norms[0] < norms[1] < norms[2]


def test_fractions_round_up():
    X, y = problem()
    for k, count in ((0.1, 3), (0.11, 4), (1e-9, 1), (1.0, 30)):
        model = SparseEnvelopeRegressor(k=k, refit="ridge").fit(X, y)
        assert len(model.support_) == count
    model = SparseEnvelopeRegressor(k=0.34, groups=10, refit="ridge").fit(X, y)
    assert len(model.group_support_) == 2  # of 3


def test_groups_weights_and_free_features():
    X, y = problem()
    groups = np.repeat(np.arange(10), 3)
    model = SparseEnvelopeRegressor(k=3, groups=groups, weights="sqrt").fit(X, y)
    assert list(model.group_support_) == [0, 2, 3]
    assert model.u_.shape == (10,)
    groups[:3] = -1
    model = SparseEnvelopeRegressor(k=2, groups=groups, weights="size").fit(X, y)
    assert set(range(3)) <= set(model.support_)
    assert len(model.support_) == 9
    assert model.lower_bound_ <= model.upper_bound_


def test_sample_weights_are_repetitions():
    X, y = problem()
    s = np.random.default_rng(1).integers(0, 3, 80)
    many = np.repeat(np.arange(80), s)
    for refit in (None, "splice", "ridge"):
        model = SparseEnvelopeRegressor(k=3, refit=refit, tol=1e-12)
        a = clone(model).fit(X, y, sample_weight=s)
        b = clone(model).fit(X[many], y[many])
        assert a.coef_ == pytest.approx(b.coef_, abs=1e-8)
        assert a.lower_bound_ == pytest.approx(b.lower_bound_, rel=1e-8)


def test_warm_start_takes_less_and_agrees():
    X, y = problem()
    model = SparseEnvelopeRegressor(k=3, refit=None, warm_start=True, tol=1e-12)
    model.fit(X, y)
    cold = model.coef_.copy()
    model.fit(X, y)
    assert model.n_iter_ == 1
    assert model.coef_ == pytest.approx(cold, abs=1e-10)
    model.fit(X[:, :20], y)  # another shape starts anew
    assert model.coef_.shape == (20,)


def test_limits_warn():
    X, y = problem(n=100, p=400)
    with pytest.warns(ConvergenceWarning, match="SparseEnvelopeRegressor"):
        SparseEnvelopeRegressor(k=5, lam=0.05, max_iter=1, refit=None).fit(X, y)


# ------------------------------------------------------------------- classification


@pytest.mark.parametrize("refit", [None, "ridge", "splice"])
def test_two_classes(refit):
    X, y = problem(classify=True)
    model = SparseEnvelopeClassifier(k=3, refit=refit).fit(X, y)
    assert list(model.classes_) == ["no", "yes"]
    assert model.coef_.shape == (1, 30) and model.intercept_.shape == (1,)
    assert set(TRUE) <= set(model.support_)
    p = model.predict_proba(X)
    assert p.shape == (80, 2) and p.sum(axis=1) == pytest.approx(np.ones(80))
    assert np.array_equal(model.predict(X) == "yes", model.decision_function(X) > 0)
    assert model.score(X, y) > 0.9
    assert model.lower_bound_ <= model.upper_bound_


def test_ridge_refit_of_classes_is_stationary():
    X, y = problem(classify=True)
    model = SparseEnvelopeClassifier(k=3, lam=0.05).fit(X, y)
    datafit = Logistic(X, y, fit_intercept=True)
    theta = datafit.gradient(model.decision_function(X))
    at = model.support_
    slope = X[:, at].T @ theta + 0.05 * model.coef_[0, at]
    assert np.append(slope, theta.sum()) == pytest.approx(np.zeros(4), abs=1e-9)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_three_classes(n_jobs):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((90, 12))
    y = np.repeat([3, 1, 2], 30)
    X[np.arange(90), y] += 4.0
    with parallel_config(backend="threading"):  # no processes to start
        model = SparseEnvelopeClassifier(k=2, n_jobs=n_jobs).fit(X, y)
    assert model.coef_.shape == (3, 12) and model.u_.shape == (3, 12)
    assert model.lower_bound_.shape == model.certified_.shape == (3,)
    assert np.all(model.lower_bound_ <= model.upper_bound_)
    assert np.all(np.count_nonzero(model.coef_, axis=1) <= 2)
    assert {1, 2, 3} <= set(model.support_)
    assert model.score(X, y) > 0.9
    assert model.predict_proba(X).sum(axis=1) == pytest.approx(np.ones(90))
    again = clone(model).set_params(warm_start=True, n_jobs=None)
    again.fit(X, y).fit(X, y)
    assert again.coef_ == pytest.approx(model.coef_, abs=1e-7)


def test_far_points_have_probabilities():
    X, y = problem(classify=True)
    model = SparseEnvelopeClassifier(k=3).fit(X, y)
    p = model.predict_proba(X * 1e6)
    assert np.isfinite(p).all() and p.sum(axis=1) == pytest.approx(np.ones(80))


# --------------------------------------------------------------------- all of them


@pytest.mark.parametrize("cls", BOTH, ids=ids)
def test_sparse_and_float32(cls):
    X, y = data_for(cls)
    X[np.abs(X) < 0.4] = 0.0
    dense = cls(k=3).fit(X, y)
    for given in (sparse.csr_matrix(X), sparse.csc_array(X)):
        model = cls(k=3).fit(given, y)
        assert model.coef_ == pytest.approx(dense.coef_, abs=1e-6)
        assert model.predict(given).shape == y.shape
    model = cls(k=3).fit(X.astype(np.float32), y)
    assert model.coef_.dtype == np.float32
    assert model.coef_ == pytest.approx(dense.coef_, abs=1e-3)


@pytest.mark.parametrize("cls", [*BOTH, *CVS])
def test_predict_needs_fit(cls):
    with pytest.raises(NotFittedError):
        cls().predict(np.zeros((2, 3)))


@pytest.mark.parametrize("cls", BOTH, ids=ids)
@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"k": 0}, ValueError, r"'k' .* \[1, 30\].* Got 0"),
        ({"k": 31}, ValueError, r"'k' .* \[1, 30\].* Got 31"),
        ({"k": 8, "groups": 5}, ValueError, r"'k' .* \[1, 6\].* Got 8"),
        ({"k": 1.5}, TypeError, r"'k' .* fraction .* Got 1.5"),
        ({"k": 0.0}, ValueError, "'k' .* Got 0.0"),
        ({"k": np.nan}, ValueError, "'k' .* Got nan"),
        ({"k": True}, TypeError, "'k'"),
        ({"k": "3"}, TypeError, "'k'"),
        ({"lam": 0.0}, ValueError, "'lam'"),
        ({"lam": -1.0}, ValueError, "'lam'"),
        ({"lam": np.inf}, ValueError, "'lam'"),
        ({"weights": np.ones(3)}, ValueError, "'weights'"),
        ({"weights": -np.ones(30)}, ValueError, "'weights'"),
        ({"groups": [[0, 1], [1]]}, ValueError, "disjoint .* index 1"),
        ({"groups": 7}, ValueError, "'groups'"),
        ({"debias": 1.0}, ValueError, "'debias'"),
        ({"refit": "best"}, ValueError, "'refit'"),
        ({"solver": "saga"}, ValueError, "'solver'"),
        ({"tol": 0.0}, ValueError, "'tol'"),
        ({"max_iter": 0}, ValueError, "'max_iter'"),
        ({"warm_start": "yes"}, TypeError, "'warm_start'"),
    ],
)
def test_bad_parameters(cls, options, error, text):
    X, y = data_for(cls)
    with pytest.raises(error, match=text):
        cls(**options).fit(X, y)


@pytest.mark.parametrize("cls", BOTH, ids=ids)
def test_bad_data(cls):
    X, y = data_for(cls)
    with pytest.raises(ValueError, match="NaN"):
        cls(k=2).fit(np.where(X > 2, np.nan, X), y)
    with pytest.raises(ValueError, match=r"[Cc]omplex"):
        cls(k=2).fit(X.astype(complex), y)
    with pytest.raises(ValueError, match="sample_weight"):
        cls(k=2).fit(X, y, sample_weight=np.zeros(80))
    with pytest.raises(ValueError, match="sample_weight"):
        cls(k=2).fit(X, y, sample_weight=-np.ones(80))


def test_one_class_is_an_error():
    X, _ = problem()
    with pytest.raises(ValueError, match="one class"):
        SparseEnvelopeClassifier(k=2).fit(X, np.ones(80))


# ------------------------------------------------------------------------- choices


@pytest.mark.parametrize("criterion", ["cv", "ebic", "gic"])
@pytest.mark.parametrize("cls", CVS)
def test_the_number_of_features_is_found(cls, criterion):
    X, y = data_for(cls, n=200, noise=1.0)
    model = cls(k=[1, 2, 3, 4, 6], criterion=criterion, one_se=criterion == "cv")
    model.fit(X, y)
    # the others may take one more
    assert 3 <= model.k_ <= (3 if criterion == "ebic" else 4)
    assert set(TRUE) <= set(model.support_)
    assert model.grid_.shape == (5, 2) and model.path_.shape == (5, 30)
    assert model.scores_.shape == model.scores_error_.shape == (5,)
    assert np.squeeze(model.coef_) == pytest.approx(model.path_[model.k_ - 1])
    assert list(np.count_nonzero(model.path_, axis=1)) == [1, 2, 3, 4, 6]
    assert model.predict(X).shape == y.shape
    assert model.lower_bound_ <= model.upper_bound_


def test_grid_over_lam_and_jobs():
    X, y = problem(n=60)
    model = SparseEnvelopeRegressorCV(
        k=[2, 3], lam=[0.01, 1.0], refit="ridge", cv=3, scoring="r2"
    )
    model.fit(X, y)
    assert model.grid_.tolist() == [[2, 1.0], [2, 0.01], [3, 1.0], [3, 0.01]]
    assert (model.k_, model.lam_) == (3, 0.01)
    with parallel_config(backend="threading"):
        again = clone(model).set_params(n_jobs=2).fit(X, y)
    assert np.array_equal(again.scores_, model.scores_)
    assert np.array_equal(again.coef_, model.coef_)


def test_path_is_that_of_single_fits():
    X, y = problem()
    model = SparseEnvelopeRegressorCV(
        k=[1, 3], lam=0.2, refit=None, criterion="gic", tol=1e-12
    ).fit(X, y)
    for k, row in zip([1, 3], model.path_, strict=True):
        single = SparseEnvelopeRegressor(k=k, lam=0.2, refit=None, tol=1e-12)
        assert single.fit(X, y).coef_ == pytest.approx(row, abs=1e-8)


def test_three_classes_in_a_grid():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((90, 8))
    y = np.repeat([3, 1, 2], 30)
    X[np.arange(90), y] += 4.0
    model = SparseEnvelopeClassifierCV(k=[1, 3], criterion="ebic").fit(X, y)
    assert model.path_.shape == (2, 3, 8)
    assert model.score(X, y) > 0.9


def test_one_standard_error_rule():
    mean, error = np.array([0.5, 0.79, 0.8, 0.7]), np.full(4, 0.02)
    assert first_best(mean, error, one_se=False) == 2
    assert first_best(mean, error, one_se=True) == 1


def test_default_counts():
    assert default_counts(100, 1000) == [1, 2, 3, 4, 5, 7, 10, 14, 20, 28, 40]
    assert default_counts(6, 1000) == [1, 2, 3, 4, 5]
    assert default_counts(100, 2) == [1]


def test_criteria_by_hand():
    ebic = information("ebic", 10.0, 100.0, 50, 2, 50, 2)
    assert ebic == pytest.approx(10 + 2 * np.log(100) + 2 * np.log(50 * 49 / 2))
    gic = information("gic", 10.0, 100.0, 50, 2, 50, 2)
    assert gic == pytest.approx(10 + 2 * np.log(50) * np.log(np.log(100)))


@pytest.mark.parametrize("cls", CVS)
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"k": [2, 31]}, r"'k' .* Got 31"),
        ({"lam": [0.1, -1.0]}, "'lam'"),
        ({"lam": []}, "'lam'"),
        ({"criterion": "aic"}, "'criterion'"),
        ({"cv": 1}, "n_splits"),
    ],
)
def test_bad_grids(cls, options, text):
    X, y = data_for(cls)
    with pytest.raises(ValueError, match=text):
        cls(**options).fit(X, y)
