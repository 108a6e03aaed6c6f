"""Strata and ties of the survival estimators, and the choice of a strength."""

import numpy as np
import pytest
import sklearn
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparseopt.linear_model import Cox, ProximalCox, ProximalCoxCV, minimize_composite
from sparseopt.prox import L1, NoPenalty

N = 90


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 6))
    death = rng.exponential(np.exp(-X[:, 0] + 0.5 * X[:, 3]))
    end = rng.exponential(3.0, N)
    y = np.column_stack([np.minimum(death, end).round(1), death <= end])
    return X, y, np.array(["b", "a", "c"])[np.arange(N) % 3]


def _likelihood(X, y, strata, w, ties):
    """The log partial likelihood, term by term."""
    time, event, risk, total = y[:, 0], y[:, 1] == 1, np.exp(X @ w), 0.0
    for label in np.unique(strata):
        inside = strata == label
        for t in np.unique(time[inside & event]):
            at_risk, dead = inside & (time >= t), inside & event & (time == t)
            m = int(dead.sum())
            for step in range(m):
                out = step / m if ties == "efron" else 0.0
                total -= np.log(risk[at_risk].sum() - out * risk[dead].sum())
            total += float((X @ w)[dead].sum())
    return total


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_strata_of_the_estimator(data, ties):
    X, y, strata = data
    model = ProximalCox("none", ties=ties, tol=1e-12).fit(X, y, strata=strata)
    best = _likelihood(X, y, strata, model.coef_, ties)
    for j in range(X.shape[1]):  # concave: no direction rises
        for h in (-1e-3, 1e-3):
            w = model.coef_ + h * np.eye(X.shape[1])[j]
            assert _likelihood(X, y, strata, w, ties) < best
    assert model.strata_.tolist() == ["a", "b", "c"]
    # hazards of each stratum, from their definition
    times, risk = model.event_times_, np.exp(X @ model.coef_)
    for row, label in enumerate(model.strata_):
        inside = strata == label
        expected = []
        for t in times:
            total = 0.0
            for u in np.unique(y[inside & (y[:, 1] == 1) & (y[:, 0] <= t), 0]):
                dead = inside & (y[:, 1] == 1) & (y[:, 0] == u)
                at_risk = risk[inside & (y[:, 0] >= u)].sum()
                m = int(dead.sum())
                for step in range(m):
                    out = step / m if ties == "efron" else 0.0
                    total += 1.0 / (at_risk - out * risk[dead].sum())
            expected.append(total)
        np.testing.assert_allclose(model.cum_baseline_hazard_[row], expected)
    hazard = model.predict_cumulative_hazard_function(X[:5], strata=strata[:5])
    rows = np.searchsorted(model.strata_, strata[:5])
    np.testing.assert_allclose(
        hazard, risk[:5, None] * model.cum_baseline_hazard_[rows]
    )
    survival = model.predict_survival_function(X[:5], [0.2, 1.0], strata[:5])
    at = np.searchsorted(times, [0.2, 1.0], side="right") - 1
    np.testing.assert_allclose(survival, np.exp(-hazard[:, at]))


def test_concordance_within_strata(data):
    X, y, strata = data
    model = ProximalCox("l1", 0.02).fit(X, y, strata=strata)
    risk, found, total = model.predict(X), 0.0, 0
    for i in range(N):
        for j in range(N):
            later = y[j, 0] > y[i, 0] or (y[j, 0] == y[i, 0] and not y[j, 1])
            if i != j and strata[i] == strata[j] and y[i, 1] and later:
                total += 1
                found += 1.0 if risk[i] > risk[j] else 0.5 * (risk[i] == risk[j])
    assert model.score(X, y, strata=strata) == pytest.approx(found / total)


def test_bad_strata(data):
    X, y, strata = data
    model = ProximalCox("none").fit(X, y, strata=strata)
    with pytest.raises(ValueError, match="fitted with them"):
        model.predict_survival_function(X)
    with pytest.raises(ValueError, match="Got z"):
        model.predict_survival_function(X[:2], strata=["a", "z"])
    with pytest.raises(ValueError, match="shape"):
        model.predict_survival_function(X[:2], strata=["a"])
    with pytest.raises(ValueError, match="fitted without them"):
        ProximalCox("none").fit(X, y).predict_survival_function(X, strata=strata)
    with pytest.raises(ValueError, match="ties"):
        ProximalCox(ties="exact").fit(X, y)


@pytest.mark.parametrize("ties", ["breslow", "efron"])
@pytest.mark.parametrize("with_strata", [False, True])
def test_cross_validated_likelihood(data, ties, with_strata):
    """Scores by the definition of Verweij and van Houwelingen, fold by fold."""
    X, y, strata = data
    lams = [0.1, 0.03]
    options = {"strata": strata} if with_strata else {}
    model = ProximalCoxCV(L1(1.0), ties=ties, lams=lams, cv=3).fit(X, y, **options)
    labels = strata if with_strata else np.zeros(N)
    expected = np.zeros((2, 3))
    for k, (train, test) in enumerate(StratifiedKFold(3).split(X, y[:, 1])):
        for i, lam in enumerate(lams):
            part = Cox(X[train], y[train], ties=ties, strata=labels[train])
            w = minimize_composite(part, L1(lam), tol=1e-10).coef
            expected[i, k] = _likelihood(X, y, labels, w, ties)
            expected[i, k] -= _likelihood(X[train], y[train], labels[train], w, ties)
            expected[i, k] /= len(test)
    np.testing.assert_allclose(model.scores_, expected.mean(axis=1), rtol=1e-5)
    assert model.lam_ == model.lams_[np.argmax(model.scores_)]
    whole = Cox(X, y, ties=ties, strata=labels)
    best = minimize_composite(whole, L1(model.lam_), tol=1e-10)
    np.testing.assert_allclose(model.coef_, best.coef, atol=1e-4)
    assert model.path_.shape == (2, 6) and model.lams_.tolist() == lams
    assert (model.strata_ is None) != with_strata
    assert 0.5 < model.score(X, y) <= 1.0


@pytest.mark.parametrize("criterion", ["ebic", "bic", "aic", "gic"])
def test_criteria_and_scoring(data, criterion):
    X, y, _ = data
    model = ProximalCoxCV(n_lams=8, criterion=criterion).fit(X, y)
    assert {0, 3} <= {*model.support_} and len(model.scores_) == 8


def test_scoring_and_pipeline(data):
    X, y, _ = data
    model = ProximalCoxCV(n_lams=5, scoring=lambda m, X, y: m.score(X, y), one_se=True)
    pipe = make_pipeline(StandardScaler(), model).fit(X, y)
    assert pipe[-1].scores_.max() <= 1.0
    weight = np.r_[np.ones(60), np.zeros(30)]
    some = ProximalCoxCV(n_lams=5, criterion="bic").fit(X, y, sample_weight=weight)
    same = ProximalCoxCV(n_lams=5, criterion="bic").fit(X[:60], y[:60])
    assert some.lam_ == pytest.approx(same.lam_)
    np.testing.assert_allclose(some.coef_, same.coef_, atol=1e-5)
    # the unit of weights adds a constant
    cv = ProximalCoxCV(lams=[0.1, 0.05], cv=3)
    scores = cv.fit(X, y).scores_
    scaled = cv.fit(X, y, sample_weight=np.full(N, 7.0)).scores_
    np.testing.assert_allclose(np.diff(scaled), np.diff(scores), rtol=1e-5)


def test_strata_are_routed(data):
    X, y, strata = data
    with sklearn.config_context(enable_metadata_routing=True):
        model = ProximalCox(NoPenalty()).set_fit_request(strata=True)
        pipe = make_pipeline(StandardScaler(), model).fit(X, y, strata=strata)
    assert pipe[-1].strata_.tolist() == ["a", "b", "c"]
