"""Folds without weight, scores of folds, constant columns, subsets of no group."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.model_selection import KFold, PredefinedSplit

from sparseopt.linear_model import (
    Huber,
    LeastSquares,
    Logistic,
    Poisson,
    ProximalClassifierCV,
    ProximalRegressorCV,
    SparseEnvelopeClassifierCV,
    SparseEnvelopeRegressor,
    SparseEnvelopeRegressorCV,
    best_subset,
    minimize_composite,
    path,
)
from sparseopt.prox import L1, WGSEF, ElasticNet, GroupLasso, NoPenalty, Ridge, Simplex


def problem(seed=0, n=60, p=8):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return X, X[:, 0] + 0.3 * rng.standard_normal(n)


# --------------------------------------------------------------------------- folds

MODELS = [
    (ProximalRegressorCV, {"lams": [0.5, 0.1, 0.01]}),
    (ProximalClassifierCV, {"lams": [0.5, 0.1, 0.01]}),
    (SparseEnvelopeRegressorCV, {"k": [1, 2, 3]}),
    (SparseEnvelopeClassifierCV, {"k": [1, 2, 3]}),
]


@pytest.mark.parametrize("model, options", MODELS)
@pytest.mark.parametrize("scoring", [None, "own"])
def test_folds_without_weight_are_as_if_not_there(model, options, scoring):
    """The scores are those of the samples that have weight, on their own."""
    if scoring:
        kind = "accuracy" if "Classifier" in model.__name__ else "r2"
        options = {**options, "scoring": kind}
    X, y = problem()
    if "Classifier" in model.__name__:
        y = y > 0
    fold = np.arange(60) // 12
    weight = np.where(fold == 0, 0.0, 1.0)  # held out, the first fold has no weight
    found = model(cv=PredefinedSplit(fold), **options).fit(X, y, sample_weight=weight)
    part = fold > 0
    cv = PredefinedSplit(fold[part] - 1)
    other = model(cv=cv, **options).fit(X[part], y[part])
    np.testing.assert_allclose(found.scores_, other.scores_, rtol=1e-6)
    np.testing.assert_allclose(found.scores_error_, other.scores_error_, rtol=1e-5)


@pytest.mark.parametrize("model, options", MODELS)
def test_folds_without_training_weight_are_left_out_too(model, options):
    X, y = problem()
    y = y > 0 if "Classifier" in model.__name__ else y
    weight = np.where(np.arange(60) < 24, 1.0, 0.0)
    a, b, rest = np.arange(12), np.arange(12, 24), np.arange(24, 60)
    folds = [(np.r_[a, rest], b), (np.r_[b, rest], a), (rest, np.r_[a, b])]
    found = model(cv=folds, **options).fit(X, y, sample_weight=weight)
    other = model(cv=folds[:2], **options).fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(found.scores_, other.scores_)
    with pytest.raises(ValueError, match="'sample_weight' array must leave a fold"):
        model(cv=folds[2:], **options).fit(X, y, sample_weight=weight)


@pytest.mark.parametrize("noise, rho", [(0.05, 0.9), (0.3, 0.5)])
def test_scores_are_those_of_solved_folds(noise, rho):
    """At the weak end of a grid little is left of F(0), the unit of the gap."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((150, 60))
    X[:, 1:] += rho * X[:, :-1]
    y = X[:, :5] @ rng.standard_normal(5)
    y += noise * y.std() * rng.standard_normal(150)
    model = ProximalRegressorCV(n_lams=20, cv=KFold(3)).fit(X, y)
    scores = []
    for train, test in KFold(3).split(X):
        datafit = LeastSquares(X[train], y[train], fit_intercept=True)
        exact = path(datafit, L1(), model.lams_, tol=1e-12)
        z = X[test] @ exact.coef.T + exact.intercept
        scores.append(-0.5 * np.mean((y[test, None] - z) ** 2, axis=0))
    np.testing.assert_allclose(model.scores_, np.mean(scores, axis=0), rtol=1e-3)
    assert model.path_result_.residual <= 1e-8
    rough = ProximalRegressorCV(n_lams=20, cv=KFold(3), tol=1e-3).fit(X, y)
    assert 1e-8 < rough.path_result_.residual <= 1e-3


# ---------------------------------------------------------------- constant columns

LOSSES = {
    "squares": lambda X, y, w: LeastSquares(X, y, sample_weight=w, fit_intercept=True),
    "huber": lambda X, y, w: Huber(X, y, 0.5, sample_weight=w, fit_intercept=True),
    "logistic": lambda X, y, w: Logistic(
        X, np.where(y > 0, 1, -1), sample_weight=w, fit_intercept=True
    ),
    "poisson": lambda X, y, w: Poisson(
        X, np.floor(np.abs(3 * y)), sample_weight=w, fit_intercept=True
    ),
}
PENALTIES = [
    GroupLasso(0.01, groups=2),
    Ridge(0.01),
    ElasticNet(0.01),
    L1(0.001, weights=[1, 0, 1, 1, 1, 1, 1, 1]),
    NoPenalty(),
    WGSEF(2, 0.1, groups=2),
]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("solver", ["auto", "prox_grad"])
@pytest.mark.parametrize("kind", ["dense", "sparse", "float32", "weights"])
@pytest.mark.filterwarnings("ignore::sparseopt.exceptions.ConvergenceWarning")
def test_constant_columns_are_left_to_the_intercept(loss, penalty, solver, kind):
    """Their part of the predictions costs nothing there, and is not selected."""
    X, y = problem()
    X[:, 1] = 3.7  # its mean is rounded
    weight = None
    if kind == "weights":
        weight = np.random.default_rng(1).uniform(0.1, 2.0, 60)
        weight[::7] = 0.0
        X[::7, 1] = -5.0  # constant where there is weight
    if kind == "float32":
        X, y = X.astype(np.float32), y.astype(np.float32)
    given = sparse.csc_array(X) if kind == "sparse" else X
    result = minimize_composite(LOSSES[loss](given, y, weight), penalty, solver=solver)
    assert result.coef[1] == 0.0 and 1 not in result.support
    # and predictions go with the objective that is handed out
    value = LOSSES[loss](X, y, weight).value(
        X.astype(float) @ result.coef + result.intercept
    ) + penalty.value(result.coef)
    assert value == pytest.approx(
        result.objective, rel=1e-5 if kind == "float32" else 1e-9
    )


def test_constant_columns_that_a_constraint_needs_stay():
    X, y = problem()
    X[:, 1] = 3.7
    datafit = LeastSquares(X[:, :2], y - 5 * X[:, 0], fit_intercept=True)
    result = minimize_composite(datafit, Simplex(1.0), tol=1e-6)
    assert result.coef.sum() == pytest.approx(1.0)
    assert result.coef[1] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("refit", ["splice", "ridge", "ols", None])
def test_constant_columns_of_chosen_groups_are_zero(refit):
    X, y = problem()
    X[:, 1] = 3.7
    model = SparseEnvelopeRegressor(1, groups=2, refit=refit, lam=0.01).fit(X, y)
    assert model.coef_[0] != 0.0 and model.coef_[1] == 0.0
    assert 1 not in model.support_


# ---------------------------------------------------------------- subsets of none


@pytest.mark.parametrize("loss", ["squares", "logistic"])
@pytest.mark.parametrize("groups", [None, 2, [[0, 1], [3, 4]]])
def test_the_best_subset_of_no_group(loss, groups):
    """The intercept alone, with the features that belong to no group."""
    X, y = problem()
    datafit = LOSSES[loss](X, y, None)
    result = best_subset(datafit, 0, groups=groups)
    assert result.converged and result.is_local and result.group_support.size == 0
    free = [2, 5, 6, 7] if isinstance(groups, list) else []
    np.testing.assert_array_equal(result.support, free)
    weights = np.full(8, 1e6)
    weights[free] = 0.0
    exact = minimize_composite(datafit, L1(1.0, weights=weights), tol=1e-12)
    assert result.objective == pytest.approx(exact.objective, rel=1e-9)
    with pytest.raises(ValueError, match="'k' parameter"):
        best_subset(datafit, -1, groups=groups)
