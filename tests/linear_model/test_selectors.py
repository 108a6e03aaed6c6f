"""Sparse models as scikit-learn's selectors, and penalties as parameters to search."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparseopt.linear_model import (
    Composed,
    ProximalClassifier,
    ProximalClassifierCV,
    ProximalCox,
    ProximalRegressor,
    ProximalRegressorCV,
    SparseEnvelopeClassifier,
    SparseEnvelopeClassifierCV,
    SparseEnvelopeRegressor,
    SparseEnvelopeRegressorCV,
)
from sparseopt.prox import L1, MCP, GroupLasso, Scaled, SparseGroupLasso

KEPT = np.array([1, 4, 5, 9, 13, 20, 22, 29])


@pytest.fixture(scope="module")
def data():
    """Eight features whose sizes differ by a factor of thirty: most are below the mean.

    The noise is far below the least of them, so that the true support is the answer.
    """
    rng = np.random.default_rng(0)
    X = rng.standard_normal((150, 30))
    y = X[:, KEPT] @ np.geomspace(0.1, 3.0, 8) + 1e-3 * rng.standard_normal(150)
    return X, y


REGRESSORS = [
    ProximalRegressor(MCP(0.02)),
    ProximalRegressor("l1", 0.02),
    ProximalRegressorCV("mcp", criterion="ebic"),
    SparseEnvelopeRegressor(8, 0.1),
    SparseEnvelopeRegressorCV([4, 8], 0.1, criterion="ebic"),
]


@pytest.mark.parametrize("model", REGRESSORS, ids=lambda m: type(m).__name__)
def test_models_select_what_is_not_zero(model, data):
    X, y = data
    model = clone(model).fit(X, y)
    np.testing.assert_array_equal(model.get_support(indices=True), KEPT)
    np.testing.assert_array_equal(np.flatnonzero(model.coef_), KEPT)
    np.testing.assert_array_equal(model.transform(X), X[:, KEPT])
    np.testing.assert_array_equal(
        model.inverse_transform(X[:, KEPT])[:, KEPT], X[:, KEPT]
    )
    assert list(model.get_feature_names_out()) == [f"x{j}" for j in KEPT]


CLASSIFIERS = [
    ProximalClassifier("l1", 0.02),
    ProximalClassifierCV("l1", criterion="ebic"),
    SparseEnvelopeClassifier(3, 0.1),
    SparseEnvelopeClassifierCV([2, 3], 0.1, criterion="ebic"),
]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("model", CLASSIFIERS, ids=lambda m: type(m).__name__)
def test_a_class_is_enough_to_keep_a_feature(model, classes, data):
    X, y = data
    labels = np.digitize(y, [0.0] if classes == 2 else [-2.0, 2.0])
    model = clone(model).fit(X, labels)
    kept = np.flatnonzero(np.any(model.coef_ != 0, axis=0))
    assert 0 < kept.size < X.shape[1]
    np.testing.assert_array_equal(model.get_support(indices=True), kept)
    assert model.transform(X).shape == (150, kept.size)


def test_cox_models_select():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 30))
    time = rng.exponential(np.exp(-X[:, 3] + X[:, 8]))
    model = ProximalCox("l1", 0.2).fit(X, time)
    np.testing.assert_array_equal(model.get_support(indices=True), [3, 8])


def test_a_model_is_a_step_of_a_pipeline(data):
    X, y = data
    pipe = make_pipeline(
        StandardScaler(), SparseEnvelopeRegressor(8, 0.1), LinearRegression()
    ).fit(X, y)
    assert pipe[-1].coef_.shape == (8,)
    assert pipe.score(X, y) > 1 - 1e-5


def test_names_of_data_frames_come_out(data):
    pandas = pytest.importorskip("pandas")
    X, y = data
    frame = pandas.DataFrame(X, columns=[f"f{j}" for j in range(30)])
    model = ProximalRegressor(MCP(0.02)).set_output(transform="pandas").fit(frame, y)
    assert list(model.transform(frame).columns) == [f"f{j}" for j in KEPT]


def test_select_from_model_as_the_guide_says(data):
    X, y = data
    model = ProximalRegressor(MCP(0.02))
    # the default threshold is the mean magnitude, and loses features that are there
    assert SelectFromModel(model).fit(X, y).get_support().sum() < 8
    chosen = SelectFromModel(model, threshold=1e-10).fit(X, y)
    np.testing.assert_array_equal(chosen.get_support(indices=True), KEPT)
    largest = SelectFromModel(model, threshold=-np.inf, max_features=3).fit(X, y)
    np.testing.assert_array_equal(largest.get_support(indices=True), KEPT[-3:])


def test_selection_needs_a_fit(data):
    for model in (ProximalRegressor(), SparseEnvelopeRegressor()):
        with pytest.raises(NotFittedError):
            model.get_support()


# ------------------------------------------------------------ parameters of penalties


def test_parameters_of_a_penalty_are_searched(data):
    X, y = data
    pipe = make_pipeline(StandardScaler(), ProximalRegressor(MCP(5.0)))
    grid = {
        "proximalregressor__penalty__lam": [0.02, 0.5],
        "proximalregressor__penalty__gamma": [2.0, 3.0],
    }
    search = GridSearchCV(pipe, grid, cv=3, error_score="raise").fit(X, y)
    best = search.best_estimator_[-1].penalty
    assert (best.lam, best.gamma) == (0.02, search.best_params_[list(grid)[1]])
    assert pipe[-1].penalty.lam == 5.0  # the model that was handed in is as it was
    # every row of the table is that of a model made by hand
    for params, score in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        lam, gamma = (params[name] for name in grid)
        own = make_pipeline(StandardScaler(), ProximalRegressor(MCP(lam, gamma=gamma)))
        by_hand = GridSearchCV(own, {}, cv=3).fit(X, y).cv_results_["mean_test_score"]
        assert score == by_hand[0]


def test_parameters_of_a_penalty_inside_others(data):
    X, y = data
    model = ProximalRegressor(Scaled(L1(0.5), factor=2.0))
    assert model.get_params()["penalty__penalty__lam"] == 0.5
    other = clone(model).set_params(penalty__penalty__lam=0.1, penalty__factor=3.0)
    np.testing.assert_allclose(
        other.fit(X, y).coef_, ProximalRegressor(L1(0.3)).fit(X, y).coef_, atol=1e-7
    )
    assert model.penalty.penalty.lam == 0.5


def test_setting_an_inner_penalty_leaves_others_alone():
    inner = L1(0.5)
    first, second = Scaled(inner, 2.0), Scaled(inner, 3.0)
    first.set_params(penalty__lam=0.1)
    assert (first.penalty.lam, second.penalty.lam, inner.lam) == (0.1, 0.5, 0.5)


def test_groups_and_composed_penalties_are_set_too():
    penalty = SparseGroupLasso(1.0, 0.5, groups=2)
    assert penalty.groups(6).m == 3
    assert penalty.set_params(groups=3, l1_ratio=0.1).groups(6).m == 2
    total = Composed(L1(1.0), np.eye(3))
    total.set_params(penalty__lam=2.0)
    assert total.value(np.ones(3)) == 6.0
    assert clone(GroupLasso(0.3, groups=[[0, 2], [1]])).groups(3).m == 2


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"gamma": 2.0}, "sparseopt.prox.L1 has no parameter 'gamma'"),
        ({"lam__x": 2.0}, "'lam' parameter of sparseopt.prox.L1 has no parameters"),
        ({"lam": -1.0}, "'lam' parameter of sparseopt.prox.L1 must be"),
    ],
)
def test_wrong_parameters_of_penalties(params, text):
    penalty = L1(0.5)
    with pytest.raises(ValueError, match=text):
        penalty.set_params(**params)
    assert penalty.lam == 0.5
