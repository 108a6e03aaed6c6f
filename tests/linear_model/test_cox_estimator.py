"""Proportional hazards: cvxpy, plain NumPy, concordance by counting pairs."""

import pickle

import cvxpy as cp
import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparseopt.linear_model import Cox, ProximalCox
from sparseopt.linear_model._concordance import concordance
from sparseopt.prox import L1, MCP, ElasticNet

N, P = 80, 12


@pytest.fixture
def X(rng):
    return rng.standard_normal((N, P)) + 0.3


@pytest.fixture
def y(X, rng):
    """Structured targets with ties."""
    death = rng.exponential(np.exp(-X[:, 0] + 0.8 * X[:, 5]))
    end = rng.exponential(3.0, N)
    out = np.zeros(N, dtype=[("event", "?"), ("time", "f8")])
    out["event"], out["time"] = death <= end, np.minimum(death, end).round(1)
    return out


def count(time, event, risk, weight):
    """Concordance, pair by pair."""
    found = total = 0.0
    for i in range(len(time)):
        for j in range(len(time)):
            later = time[j] > time[i] or (time[j] == time[i] and not event[j])
            if i != j and event[i] and later:
                total += weight[i] * weight[j]
                right = 1.0 if risk[i] > risk[j] else 0.5 * (risk[i] == risk[j])
                found += weight[i] * weight[j] * right
    return found / total


@pytest.mark.parametrize("n", [2, 3, 7, 16, 33, 60])
@pytest.mark.parametrize("levels", [2, 5, 1000])
@pytest.mark.parametrize("weighted", [False, True])
def test_concordance_counts_pairs(n, levels, weighted, rng):
    for _ in range(5):
        time = rng.integers(0, levels, n).astype(float)
        event, risk = rng.random(n) < 0.6, rng.integers(0, levels, n) / 7.0
        event[np.argmin(time)], time[0] = True, levels + 1.0  # some pair
        event[np.argmin(time)] = True
        weight = rng.integers(0, 4, n) + 0.5 if weighted else np.ones(n)
        expected = count(time, event, risk, weight)
        assert concordance(time, event, risk, weight) == pytest.approx(expected)


def test_no_pair_to_compare(X, y):
    time, ones = np.array([3.0, 3.0]), np.ones(2)
    assert np.isnan(concordance(time, np.array([True, True]), ones, ones))
    model = ProximalCox().fit(X, y)
    y["time"] = 1.0
    y["event"] = True
    with pytest.raises(ValueError, match="must hold an event before another time"):
        model.score(X, y)


@pytest.mark.parametrize(
    ("penalty", "reg"),
    [
        (L1(0.03), lambda w: 0.03 * cp.norm1(w)),
        (
            ElasticNet(0.05, 0.4),
            lambda w: 0.02 * cp.norm1(w) + 0.015 * cp.sum_squares(w),
        ),
    ],
    ids=["l1", "elastic net"],
)
def test_minimum_of_the_partial_likelihood(penalty, reg, X, y):
    w = cp.Variable(P)
    z = X @ w
    loss = sum(
        cp.log_sum_exp(z[np.flatnonzero(y["time"] >= y["time"][i])]) - z[i]
        for i in np.flatnonzero(y["event"])
    )
    optimum = cp.Problem(cp.Minimize(loss / N + reg(w))).solve(solver="CLARABEL")
    model = ProximalCox(penalty, tol=1e-10).fit(X, y)
    # the oracle's own tolerance
    assert model.result_.objective == pytest.approx(optimum, abs=1e-7)
    np.testing.assert_allclose(model.coef_, w.value, atol=1e-4)
    assert 0 <= model.dual_gap_ <= 1e-10 * Cox(X, y).scale()
    assert model.support_.size < P


def test_baseline_and_survival(X, y):
    weights = 1.0 + np.arange(N) % 3
    model = ProximalCox("l1", 0.03).fit(X, y, sample_weight=weights)
    risk = X @ model.coef_
    np.testing.assert_allclose(model.predict(X), risk, rtol=1e-12)
    events = np.unique(y["time"][y["event"]])
    np.testing.assert_array_equal(model.event_times_, events)
    steps = []
    for time in events:
        deaths = weights[y["event"] & (y["time"] == time)].sum()
        at_risk = y["time"] >= time
        steps.append(deaths / (weights[at_risk] * np.exp(risk[at_risk])).sum())
    hazard = np.cumsum(steps)
    np.testing.assert_allclose(model.cum_baseline_hazard_, hazard, rtol=1e-12)
    np.testing.assert_allclose(model.baseline_survival_, np.exp(-hazard), rtol=1e-12)
    curves = model.predict_survival_function(X)
    expected = np.exp(-np.exp(risk)[:, None] * hazard)
    np.testing.assert_allclose(curves, expected, rtol=1e-10)
    assert np.all(np.diff(curves, axis=1) <= 0)
    times = [events[0] - 1, events[2], (events[2] + events[3]) / 2, events[-1] + 9]
    some = model.predict_survival_function(X, times)
    np.testing.assert_array_equal(some[:, 0], 1.0)
    np.testing.assert_array_equal(some[:, 1:], curves[:, [2, 2, -1]])
    cumulative = model.predict_cumulative_hazard_function(X, times)
    np.testing.assert_allclose(np.exp(-cumulative), some, rtol=1e-14)


def test_samples_far_from_zero_do_not_overflow(X, y):
    near = ProximalCox(L1(0.03), tol=1e-9).fit(X, y)
    far = ProximalCox(L1(0.03), tol=1e-9).fit(X + 3000.0, y)
    curves = far.predict_survival_function(X + 3000.0)
    # as far as coefficients agree, times the offset
    np.testing.assert_allclose(curves, near.predict_survival_function(X), atol=1e-3)


def test_score_is_the_concordance(X, y):
    model = ProximalCox("l1", 0.03).fit(X, y)
    risk = model.predict(X)
    expected = count(y["time"], y["event"], risk, np.ones(N))
    assert model.score(X, y) == pytest.approx(expected)
    assert expected > 0.7
    weights = np.arange(N) % 4
    expected = count(y["time"], y["event"], risk, weights)
    assert model.score(X, y, weights) == pytest.approx(expected)
    nothing = ProximalCox("l1", 1e3).fit(X, y)
    assert nothing.score(X, y) == 0.5


def test_forms_of_targets(X, y):
    model = ProximalCox("l1", 0.03).fit(X, y)
    table = np.stack([y["time"], y["event"]], axis=1)
    swapped = np.zeros(N, dtype=[("months", "i4"), ("dead", "?")])
    swapped["months"], swapped["dead"] = (10 * y["time"]).round(), y["event"]
    for form in (table, table.tolist(), swapped):
        again = ProximalCox("l1", 0.03).fit(X, form)
        np.testing.assert_allclose(again.coef_, model.coef_, rtol=1e-12)
        assert again.score(X, form) == model.score(X, y)
    table[:, 1] = 1.0
    whole = ProximalCox("l1", 0.03).fit(X, table)
    with pytest.warns(DataConversionWarning, match="column-vector"):
        column = ProximalCox("l1", 0.03).fit(X, y["time"][:, None])
    times = ProximalCox("l1", 0.03).fit(X, y["time"])
    np.testing.assert_array_equal(times.coef_, whole.coef_)
    np.testing.assert_array_equal(column.coef_, whole.coef_)


def test_weights_are_repetitions(X, y):
    weights = np.arange(N) % 3
    a = ProximalCox("l1", 0.03, tol=1e-10).fit(X, y, sample_weight=weights)
    rows = np.repeat(np.arange(N), weights)
    b = ProximalCox("l1", 0.03, tol=1e-10).fit(X[rows], y[rows])
    # relative gaps of 1e-10 bound coefficients by their root
    np.testing.assert_allclose(a.coef_, b.coef_, atol=1e-4)
    np.testing.assert_allclose(
        a.cum_baseline_hazard_, b.cum_baseline_hazard_, rtol=1e-3
    )
    assert a.score(X, y, weights) == pytest.approx(b.score(X[rows], y[rows]))


def test_sparse_and_float32(X, y):
    X = X * (np.abs(X) > 0.5)
    dense = ProximalCox("l1", 0.03).fit(X, y)
    other = ProximalCox("l1", 0.03).fit(sparse.csr_matrix(X), y)
    np.testing.assert_allclose(other.coef_, dense.coef_, atol=1e-4)
    assert other.score(sparse.csc_array(X), y) == pytest.approx(dense.score(X, y))
    single = ProximalCox("l1", 0.03).fit(X.astype(np.float32), y)
    assert single.coef_.dtype == np.float32
    assert single.predict(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(single.coef_, dense.coef_, atol=1e-2)


def test_search_pipeline_and_copies(X, y):
    pipe = make_pipeline(StandardScaler(), ProximalCox())
    grid = {"proximalcox__lam": [0.3, 0.03], "proximalcox__penalty": ["l1", "mcp"]}
    search = GridSearchCV(pipe, grid, cv=3).fit(X, y)
    assert search.best_score_ > 0.65
    scores = cross_val_score(ProximalCox(MCP(0.05)), X, y, cv=3)
    assert scores.mean() > 0.65
    model = search.best_estimator_[-1]
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        again.predict_survival_function(X), model.predict_survival_function(X)
    )
    assert clone(model).get_params() == model.get_params()


def test_bad_input(X, y):
    with pytest.raises(NotFittedError):
        ProximalCox().predict(X)
    with pytest.raises(ValueError, match="'lam' parameter"):
        ProximalCox(lam=-1.0).fit(X, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ProximalCox().fit(X, y[:-1])
    with pytest.raises(ValueError, match="a boolean field"):
        ProximalCox().fit(X, y.astype([("event", "f8"), ("time", "f8")]))
    with pytest.raises(ValueError, match="times and 0 or 1 for events"):
        ProximalCox().fit(X, np.stack([y["event"], y["time"]], axis=1))
    with pytest.raises(ValueError, match="must hold an event"):
        ProximalCox().fit(X, np.stack([y["time"], np.zeros(N)], axis=1))
    with pytest.raises(ValueError, match="requires y to be passed"):
        ProximalCox().fit(X, None)
    with pytest.raises(ValueError, match="zero weights"):
        ProximalCox().fit(X, y, sample_weight=np.zeros(N))
    bad = y.copy()
    bad["time"][0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        ProximalCox().fit(X, bad)
    model = ProximalCox().fit(X, y)
    with pytest.raises(ValueError, match="'times' array"):
        model.predict_survival_function(X, [[1.0]])
