"""What users of scikit-learn look for: class weights, signs, and units of strengths.

The guide's table of strengths is checked line by line against scikit-learn's models.
"""

import warnings
from functools import partial

import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn import linear_model as theirs
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from sparseopt.linear_model import (
    Composed,
    ProximalClassifier,
    ProximalClassifierCV,
    ProximalCox,
    ProximalCoxCV,
    ProximalRegressor,
    ProximalRegressorCV,
)
from sparseopt.prox import (
    L1,
    MCP,
    ElasticNet,
    GroupLasso,
    NoPenalty,
    Ridge,
    SparseGroupLasso,
    TrendFilter,
)

N = 60


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, 5))
    y = X @ [1.0, -0.5, 0.0, 0.3, 0.0] + 0.3 * rng.standard_normal(N)
    return X, y


@pytest.fixture(scope="module")
def labels(data):
    return np.where(data[1] > 0.8, "rare", "often")


# ------------------------------------------------------------------ units of strengths

REGRESSIONS = [
    (theirs.Lasso(0.1), ProximalRegressor("l1", 0.1)),
    (theirs.ElasticNet(0.1, l1_ratio=0.3), ProximalRegressor(ElasticNet(0.1, 0.3))),
    (theirs.Ridge(3.0), ProximalRegressor(Ridge(3.0 / N))),
]


@pytest.mark.parametrize(("other", "model"), REGRESSIONS, ids=str)
def test_strengths_of_regressions(other, model, data):
    X, y = data
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        other = clone(other).set_params(tol=1e-12).fit(X, y)
        model = clone(model).set_params(tol=1e-14).fit(X, y)
    np.testing.assert_allclose(model.coef_, other.coef_, atol=1e-6)
    np.testing.assert_allclose(model.intercept_, other.intercept_, atol=1e-6)


def test_strength_of_poisson_regression(data):
    X, y = data
    counts = np.floor(np.exp(y))
    other = theirs.PoissonRegressor(alpha=0.2, tol=1e-10, max_iter=1000).fit(X, counts)
    model = ProximalRegressor(Ridge(0.2), loss="poisson", tol=1e-13).fit(X, counts)
    np.testing.assert_allclose(model.coef_, other.coef_, atol=1e-5)


def _balanced(labels, weight):
    names = np.unique(labels)
    return {
        name: weight.sum() / (len(names) * weight[labels == name].sum())
        for name in names
    }


@pytest.mark.parametrize(
    ("options", "penalty"),
    [
        ({"l1_ratio": 0.0, "solver": "newton-cg"}, Ridge(1.0)),
        ({"l1_ratio": 1.0, "solver": "saga"}, L1(1.0)),
        ({"l1_ratio": 0.4, "solver": "saga"}, ElasticNet(1.0, 0.4)),
    ],
)
@pytest.mark.filterwarnings("ignore:The max_iter was reached")
@pytest.mark.parametrize("class_weight", [None, "balanced", {"rare": 3.0}])
@pytest.mark.parametrize("weighted", [False, True])
def test_strength_of_logistic_regression(
    options, penalty, class_weight, weighted, data, labels
):
    """Lam is 1 / (C times the sum of all weights)."""
    X, _ = data
    weight = np.random.default_rng(1).uniform(0.2, 2.0, N) if weighted else np.ones(N)
    C = 0.7
    other = theirs.LogisticRegression(
        C=C, tol=1e-10, max_iter=20000, class_weight=class_weight, **options
    ).fit(X, labels, weight)
    # balanced weights are scaled to the total that the samples' own have
    factors = class_weight if isinstance(class_weight, dict) else {}
    total = float(weight @ [factors.get(name, 1.0) for name in labels])
    model = ProximalClassifier(class_weight=class_weight)
    lam = 1.0 / (C * total)
    model.set_params(penalty=penalty, lam=lam, tol=1e-13).fit(X, labels, weight)
    if "newton-cg" in options.values():
        np.testing.assert_allclose(model.coef_, other.coef_, atol=1e-5)
    # their other solver ends before their objective is as low as ours has it
    balance = {} if class_weight != "balanced" else _balanced(labels, weight)
    own = weight * [(factors or balance).get(name, 1.0) for name in labels]

    def objective(fit):
        margin = np.where(labels == "rare", 1.0, -1.0) * fit.decision_function(X)
        unit = penalty.with_lam(1.0).value(fit.coef_[0])
        return C * float(own @ np.logaddexp(0.0, -margin)) + unit

    assert objective(model) <= objective(other) * (1.0 + 1e-9)


# ------------------------------------------------------------------ weights of classes


@pytest.mark.parametrize(
    "make", [ProximalClassifier, partial(ProximalClassifierCV, n_lams=3, cv=2)]
)
def test_class_weights_are_sample_weights(make, data, labels):
    X, _ = data
    for classes in (labels, np.digitize(data[1], [-0.8, 0.8])):
        names, codes = np.unique(classes, return_inverse=True)
        factors = np.array([3.0, 0.5, 2.0])[: len(names)]
        own = np.random.default_rng(2).uniform(0.5, 1.5, N)
        table = dict(zip(names, factors, strict=True))
        by_class = make(class_weight=table).fit(X, classes, own)
        weight = own * factors[codes]
        by_hand = make().fit(X, classes, weight * (own.sum() / weight.sum()))
        np.testing.assert_array_equal(by_class.coef_, by_hand.coef_)
        # a common factor changes nothing
        more = {name: 4.0 * value for name, value in table.items()}
        again = make(class_weight=more).fit(X, classes, own)
        np.testing.assert_allclose(again.coef_, by_class.coef_, atol=1e-6)


def test_balanced_classes_have_equal_weight(data, labels):
    X, _ = data
    own = np.random.default_rng(2).uniform(0.5, 1.5, N)
    model = ProximalClassifier(NoPenalty(), class_weight="balanced", tol=1e-12)
    p = model.fit(X, labels, own).predict_proba(X)[:, 1]
    # the intercept makes the mean probability that of the labels: one half
    rare = labels == "rare"
    weight = own / np.where(rare, own[rare].sum(), own[~rare].sum())
    assert np.average(p, weights=weight) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        ({"none": 2.0}, ValueError, "Got 'none': 2.0, with labels"),
        ({"rare": -1.0}, ValueError, "Got 'rare': -1.0"),
        ("even", ValueError, "'class_weight' parameter"),
        ([1.0, 2.0], TypeError, "'class_weight' parameter"),
        ({"rare": 0.0, "often": 0.0}, ValueError, "a weight that is not zero"),
    ],
)
def test_wrong_class_weights(value, error, text, data, labels):
    with pytest.raises(error, match=text):
        ProximalClassifier(class_weight=value).fit(data[0], labels)


# ------------------------------------------------------------------------------- signs


def test_positive_least_squares_is_that_of_nnls(data):
    X, y = data
    model = ProximalRegressor("none", positive=True, fit_intercept=False, tol=1e-12)
    np.testing.assert_allclose(model.fit(X, y).coef_, nnls(X, y)[0], atol=1e-6)


def test_positive_lasso_is_that_of_sklearn(data):
    X, y = data
    other = theirs.Lasso(0.05, positive=True, tol=1e-12).fit(X, y)
    model = ProximalRegressor("l1", 0.05, positive=True, tol=1e-14).fit(X, y)
    np.testing.assert_allclose(model.coef_, other.coef_, atol=1e-6)
    chosen = ProximalRegressorCV("l1", lams=[0.05], positive=True, tol=1e-14)
    np.testing.assert_allclose(chosen.fit(X, y).coef_, other.coef_, atol=1e-6)


# A linear map of the sum of absolute differences: no prox with a sign, so it is split.
DIFFERENCES = Composed(L1(0.05), np.diff(np.eye(5), axis=0))


@pytest.mark.parametrize(
    "penalty",
    [
        MCP(0.05),
        GroupLasso(0.05, groups=[[0, 1], [3, 4]]),
        SparseGroupLasso(0.05, groups=[[0, 1], [2, 3, 4]]),
        TrendFilter(0.05),
        DIFFERENCES,
        [L1(0.01), DIFFERENCES],
    ],
    ids=lambda p: type(p).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_positive_with_every_kind_of_penalty(penalty, data):
    X, y = data
    free = ProximalRegressor(penalty).fit(X, y)
    assert free.coef_.min() < -0.1
    model = ProximalRegressor(penalty, positive=True).fit(X, y)
    assert model.coef_.min() > -1e-6
    # the sign constraint is all that changed: with y turned round, nothing is left of
    # what the other sign explained
    assert model.coef_[0] > 0.5
    turned = ProximalRegressor(penalty, positive=True).fit(X, -y)
    assert turned.coef_[0] < 1e-6


@pytest.mark.parametrize("classes", [2, 3])
def test_positive_classifiers(classes, data):
    X, y = data
    target = np.digitize(y, [0.0] if classes == 2 else [-0.5, 0.5])
    for model in (ProximalClassifier(), ProximalClassifierCV(n_lams=5)):
        assert clone(model).fit(X, target).coef_.min() < 0
        assert clone(model).set_params(positive=True).fit(X, target).coef_.min() >= 0


def test_positive_cox(data):
    X, y = data
    time = np.random.default_rng(0).exponential(np.exp(-y))
    assert ProximalCox("l1", 0.01).fit(X, time).coef_.min() < 0
    chosen = ProximalCoxCV(lams=[0.01], positive=True, cv=2).fit(X, time)
    model = ProximalCox("l1", 0.01, positive=True).fit(X, time)
    np.testing.assert_allclose(chosen.coef_, model.coef_, atol=1e-6)
    assert model.coef_.min() == 0
    assert model.coef_.max() > 0.3
