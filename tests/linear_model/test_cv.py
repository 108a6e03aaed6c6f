"""Choice of the strength: scores recomputed, rules, criteria, pictures."""

import dataclasses

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from scipy import sparse
from scipy.special import gammaln
from sklearn.linear_model import Lasso
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import KFold, StratifiedKFold

from sparseopt import Status
from sparseopt.linear_model import (
    LeastSquares,
    Multinomial,
    ProximalClassifier,
    ProximalClassifierCV,
    ProximalRegressor,
    ProximalRegressorCV,
    SparseEnvelopeRegressorCV,
    path,
    plot_path,
)
from sparseopt.prox import L1, MCP, WGSEF, Box, GroupLasso, NonNegative

N, P = 90, 12


@pytest.fixture
def X(rng):
    return rng.normal(size=(N, P)) + 0.3


@pytest.fixture
def signal(X):
    return X[:, 0] - 2 * X[:, 3]


@pytest.fixture
def y(signal, rng):
    return signal + 1 + rng.normal(size=N)


def test_scores_recomputed_with_scikit_learn(X, y, rng):
    weights = rng.random(N) + 0.2
    cv = KFold(4, shuffle=True, random_state=0)
    model = ProximalRegressorCV(n_lams=6, eps=0.05, cv=cv).fit(
        X, y, sample_weight=weights
    )
    errors = np.empty((6, 4))  # folds are solved to relative gaps of 1e-4
    for f, (train, test) in enumerate(cv.split(X)):
        for k, lam in enumerate(model.lams_):
            lasso = Lasso(lam, tol=1e-12).fit(X[train], y[train], weights[train])
            square = (lasso.predict(X[test]) - y[test]) ** 2 / 2
            errors[k, f] = np.average(square, weights=weights[test])
    np.testing.assert_allclose(model.scores_, -errors.mean(axis=1), atol=1e-3)
    deviation = errors.std(axis=1, ddof=1) / 2
    np.testing.assert_allclose(model.scores_error_, deviation, atol=1e-3)
    assert model.lam_ == model.lams_[model.scores_.argmax()]
    single = ProximalRegressor("l1", model.lam_, tol=1e-8).fit(X, y, weights)
    np.testing.assert_allclose(model.coef_, single.coef_, atol=1e-4)


def test_grid_starts_where_all_is_zero(X, y):
    model = ProximalRegressorCV(n_lams=5).fit(X, y)
    assert np.all(model.path_[0] == 0)
    assert np.any(model.path_[1] != 0)
    np.testing.assert_allclose(model.lams_[1:] / model.lams_[:-1], 1e-3**0.25)


def test_one_standard_error(X, y):
    best = ProximalRegressorCV().fit(X, y)
    rule = ProximalRegressorCV(one_se=True).fit(X, y)
    top = best.scores_.argmax()
    within = best.scores_ >= best.scores_[top] - best.scores_error_[top]
    assert rule.lam_ == best.lams_[within.argmax()]
    assert rule.lam_ > best.lam_
    assert rule.support_.size <= best.support_.size


@pytest.mark.parametrize("criterion", ["aic", "bic", "ebic", "gic"])
def test_criteria_recomputed(criterion, X, y):
    model = ProximalRegressorCV(criterion=criterion, n_lams=20).fit(X, y)
    z = X @ model.path_.T + model.path_intercepts_
    deviance = N * np.log(np.mean((y[:, None] - z) ** 2, axis=0))
    df = np.count_nonzero(model.path_, axis=1)
    subsets = gammaln(P + 1) - gammaln(df + 1) - gammaln(P - df + 1)
    price = {
        "aic": 2 * df,
        "bic": np.log(N) * df,
        "ebic": np.log(N) * df + 2 * subsets,
        "gic": np.log(P) * np.log(np.log(N)) * df,
    }[criterion]
    np.testing.assert_allclose(model.scores_, -(deviance + price), rtol=1e-6)
    assert model.lam_ == model.lams_[model.scores_.argmax()]


def test_support_is_found(X, y):
    model = ProximalRegressorCV(MCP(), criterion="ebic").fit(X, y)
    np.testing.assert_array_equal(model.support_, [0, 3])


@pytest.mark.parametrize("loss", ["huber", "poisson"])
def test_other_losses(loss, X, signal, rng):
    y = rng.poisson(np.exp(0.5 * signal)).astype(float)
    for criterion in ("cv", "bic"):
        model = ProximalRegressorCV(
            loss=loss, criterion=criterion, n_lams=10, eps=0.01
        ).fit(X, y)
        assert {0, 3} <= set(model.support_)
        assert model.result_.converged


def test_classes(X, signal, rng):
    two = np.where(signal + rng.normal(size=N) > 0, "b", "a")
    cv = StratifiedKFold(3)
    model = ProximalClassifierCV(n_lams=5, cv=cv).fit(X, two)
    assert model.coef_.shape == (1, P)
    assert model.path_.shape == (5, P)
    at = 3
    losses = []
    for train, test in cv.split(X, two):
        one = ProximalClassifier("l1", model.lams_[at]).fit(X[train], two[train])
        losses.append(log_loss(two[test], one.predict_proba(X[test])))
    assert model.scores_[at] == pytest.approx(-np.mean(losses), abs=1e-3)
    three = np.digitize(signal + rng.normal(size=N), [-1, 1])
    penalty = GroupLasso(weights=None, rows=True)
    model = ProximalClassifierCV(penalty, n_lams=5, cv=3).fit(X, three)
    assert model.coef_.shape == (3, P)
    assert model.path_.shape == (5, 3, P)
    assert model.score(X, three) > 0.5


def test_scoring(X, signal, rng):
    y = np.where(signal + rng.normal(size=N) > 0, "b", "a")
    cv = StratifiedKFold(3)
    model = ProximalClassifierCV(n_lams=5, cv=cv, scoring="accuracy").fit(X, y)
    scores = []
    for train, test in cv.split(X, y):
        one = ProximalClassifier("l1", model.lams_[2]).fit(X[train], y[train])
        scores.append(accuracy_score(y[test], one.predict(X[test])))
    assert model.scores_[2] == pytest.approx(np.mean(scores))
    own = ProximalRegressorCV(
        n_lams=5, scoring=lambda model, X, y: -np.abs(model.predict(X) - y).max()
    )
    assert own.fit(X, signal).scores_.shape == (5,)


def test_jobs_and_sparse_samples_change_nothing(X, y):
    X = X * (np.abs(X) > 0.7)
    one = ProximalRegressorCV(n_lams=8).fit(X, y)
    two = ProximalRegressorCV(n_lams=8, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(one.scores_, two.scores_)
    # folds are solved to relative gaps of 1e-4, by other sums
    other = ProximalRegressorCV(n_lams=8).fit(sparse.csr_array(X), y)
    np.testing.assert_allclose(other.scores_, one.scores_, atol=1e-3)


def test_strengths_given(X, y):
    model = ProximalRegressorCV(lams=[0.01, 1.0, 0.1]).fit(X, y)
    np.testing.assert_array_equal(model.lams_, [1.0, 0.1, 0.01])


@pytest.mark.parametrize(
    ("model", "error", "match"),
    [
        (ProximalRegressorCV(criterion="cp"), ValueError, "'criterion' parameter"),
        (ProximalRegressorCV(lams=[-1.0]), ValueError, "'lams' array"),
        (ProximalRegressorCV(n_lams=0), ValueError, "'n_lams' parameter"),
        (ProximalRegressorCV(eps=1.0), ValueError, "'eps' parameter"),
        (ProximalRegressorCV([L1(0.1)]), TypeError, "one penalty"),
        (ProximalRegressorCV("none"), ValueError, "strength 'lam'"),
        (ProximalRegressorCV(one_se=1), TypeError, "'one_se' parameter"),
    ],
)
def test_bad_parameters(model, error, match, X, y):
    with pytest.raises(error, match=match):
        model.fit(X, y)


# ------------------------------------------------------------------------- pictures


def test_pictures(X, y, signal):
    import matplotlib.pyplot as plt

    model = ProximalRegressorCV(n_lams=10, criterion="bic").fit(X, y)
    ax = plot_path(model)
    assert ax.get_xscale() == "log"
    used = np.any(model.path_ != 0, axis=0).sum()
    assert len(ax.get_lines()) == used + 2  # the choice, and zero
    names = {text.get_text().strip() for text in ax.texts}
    assert names == set(map(str, model.support_))
    _, own = plt.subplots()
    assert plot_path(path(LeastSquares(X, y), L1(), n_lams=5), ax=own) is own
    classes = np.digitize(signal, [-1, 1])
    plot_path(path(Multinomial(X, classes), L1(), n_lams=4))
    plot_path(ProximalClassifierCV(n_lams=4, criterion="bic").fit(X, classes))
    equal = path(LeastSquares(X, y), [WGSEF(k, 0.1) for k in (1, 2, 3)])
    ax = plot_path(equal)
    assert ax.get_xscale() == "linear"
    np.testing.assert_array_equal(ax.get_lines()[0].get_xdata(), [0, 1, 2])
    named = path(LeastSquares(X, y), [NonNegative(), Box(-1.0, 1.0)])
    assert plot_path(named).get_xlabel() == "position on the path"
    plt.close("all")
    for other in (ProximalRegressorCV(), SparseEnvelopeRegressorCV(k=2).fit(X, y), 3):
        with pytest.raises(TypeError, match="must be a PathResult or a fitted"):
            plot_path(other)


def test_names_on_the_lines_of_a_path(X, y):
    import matplotlib.pyplot as plt

    found = path(LeastSquares(X, y), L1(), n_lams=8, eps=1e-2)
    names = [f"f{j}" for j in range(P)]
    ax = found.plot(names=names)
    last = np.abs(found.coef[-1])
    largest = np.argsort(-last)[:12]
    assert {text.get_text().strip() for text in ax.texts} == {
        names[j] for j in largest if last[j] > 0
    }
    for text in ax.texts:
        j = names.index(text.get_text().strip())
        assert text.xy == (found.lams[-1], found.coef[-1, j])
    _, own = plt.subplots()
    assert found.plot(own) is own
    with pytest.raises(ValueError, match=f"each of {P} features. Got 2"):
        found.plot(names=["a", "b"])
    plt.close("all")


def test_free_features_along_the_path(X, y):
    weights = np.ones(P)
    weights[[1, 4]] = 0.0
    model = ProximalRegressorCV(L1(weights=weights), n_lams=8, cv=3).fit(X, y)
    assert (model.path_[:, [1, 4]] != 0).all()
    assert model.path_result_.gap is not None
    assert 0 <= model.dual_gap_ + 1e-14 <= 1e-8 * np.var(y)
    plot_path(model)


def test_interrupted_fold_ends_the_fit(X, signal, monkeypatch):
    """A fold cut short must not take part in the choice."""

    def cut(*args, **kwargs):
        return dataclasses.replace(path(*args, **kwargs), status=Status.INTERRUPTED)

    monkeypatch.setattr("sparseopt.linear_model._estimators_search.path", cut)
    model = ProximalRegressorCV(n_lams=3, cv=2)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, signal)
    assert not hasattr(model, "coef_")
