"""Ctrl-C, time limits and common parameters: what the guide's table says of everyone.

An interrupt is raised in the midst of a call, at a chosen share of the calls of Python
functions that it makes, which is the same in every run.
"""

import inspect
import re
import sys
import time
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from sparseopt import Status, completion, datasets, linear_model, ot, prox

GUIDE = Path(__file__).parents[1] / "docs/user_guide/concepts.md"
PARAMETERS = ("callback", "max_time", "n_threads", "verbose")
# Within this share of the calls no call is still checking its arguments.
PLACES = (0.4, 0.6, 0.8, 0.9)


@cache
def regression():
    return datasets.make_sparse_regression(60, 200, 4, random_state=0)


@cache
def ratings():
    return datasets.make_low_rank(100, 80, 2, oversampling=4, random_state=0).X


def datafit():
    return linear_model.LeastSquares(regression().X, regression().y, fit_intercept=True)


def fitted(estimator, target=lambda y: y, **options):
    def call():
        model = estimator(**options)
        return model.fit(regression().X, target(regression().y))

    return call


def two(y):
    return y > np.median(y)


def three(y):
    return np.digitize(y, np.quantile(y, [0.3, 0.6]))


def survival(y):
    return np.column_stack((np.exp(y / np.ptp(y)), np.ones_like(y)))


def factorized(estimator, **options):
    return lambda: estimator(random_state=0, **options).fit(ratings())


def completed(function, *args, **options):
    return lambda: function(ratings(), *args, random_state=0, **options)


def mapped():
    X = regression().X
    return ot.SinkhornTransport(reg=0.1).fit(X[:, :3], Xt=X[:, 3:6])


PATHS = {"cv": 3, "n_lams": 4, "eps": 0.2}
GRID = {"cv": 3, "k": [2, 4]}
lm = linear_model
ANSWERS = {
    "ot.solve": lambda: ot.solve(
        datasets.make_clouds(60, 50, random_state=0).C, reg=0.01
    ),
    "ot.SinkhornTransport": mapped,
    "linear_model.minimize_composite": lambda: lm.minimize_composite(
        datafit(), prox.L1(0.1)
    ),
    "linear_model.path": lambda: lm.path(datafit(), prox.L1(), n_lams=5, eps=0.1),
    "linear_model.best_subset": lambda: lm.best_subset(datafit(), 4),
    "linear_model.ProximalRegressor": fitted(lm.ProximalRegressor),
    "linear_model.ProximalClassifier": fitted(lm.ProximalClassifier, two),
    "linear_model.ProximalCox": fitted(lm.ProximalCox, survival),
    "linear_model.SparseEnvelopeRegressor": fitted(lm.SparseEnvelopeRegressor, k=4),
    "linear_model.SparseEnvelopeRegressor, ridge": fitted(
        lm.SparseEnvelopeRegressor, k=4, refit="ridge"
    ),
    "linear_model.SparseEnvelopeRegressor, debias": fitted(
        lm.SparseEnvelopeRegressor, k=4, refit=None, debias=0.5
    ),
    "linear_model.SparseEnvelopeClassifier": fitted(
        lm.SparseEnvelopeClassifier, two, k=4
    ),
    "completion.complete": completed(completion.complete, 2),
    "completion.alternating_minimization": completed(
        completion.alternating_minimization, 2
    ),
    "completion.soft_impute": completed(completion.soft_impute, 5.0),
    "completion.MatrixFactorizer": factorized(
        completion.MatrixFactorizer, n_components=2
    ),
}
RAISES = {
    "linear_model.ProximalRegressorCV": fitted(lm.ProximalRegressorCV, **PATHS),
    "linear_model.ProximalRegressorCV, bic": fitted(
        lm.ProximalRegressorCV, **PATHS, criterion="bic"
    ),
    "linear_model.ProximalClassifierCV": fitted(lm.ProximalClassifierCV, two, **PATHS),
    "linear_model.ProximalCoxCV": fitted(lm.ProximalCoxCV, survival, **PATHS),
    "linear_model.SparseEnvelopeRegressorCV": fitted(
        lm.SparseEnvelopeRegressorCV, **GRID
    ),
    "linear_model.SparseEnvelopeClassifierCV": fitted(
        lm.SparseEnvelopeClassifierCV, two, **GRID
    ),
    "linear_model.SparseEnvelopeClassifier, three": fitted(
        lm.SparseEnvelopeClassifier, three, k=4
    ),
    "completion.MatrixFactorizerCV": factorized(
        completion.MatrixFactorizerCV, n_components=[2], alpha=[0.1], cv=2
    ),
    "prox.prox_tv2d": lambda: prox.prox_tv2d(regression().X, 0.5),
    "prox.prox_trend_filter": lambda: prox.prox_trend_filter(regression().X[0], 0.5, 2),
}


def interrupted(call, place=None):
    """Calls of our functions that a call makes; interrupt one of them if asked for."""
    count = 0

    def watch(frame, event, arg):
        nonlocal count
        if event == "call" and frame.f_globals.get("__name__", "").startswith(
            "sparseopt."
        ):
            count += 1
            if count == place:
                sys.setprofile(None)
                raise KeyboardInterrupt

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not converged
            result = call()
    finally:
        sys.setprofile(before)
    return count if place is None else result


@pytest.mark.parametrize("name", ANSWERS)
def test_a_solve_returns_what_it_has(name):
    total = interrupted(ANSWERS[name])
    for place in PLACES:
        found = interrupted(ANSWERS[name], int(place * total))
        result = getattr(found, "result_", found)
        assert result.status is Status.INTERRUPTED
        assert not result.converged
        if isinstance(found, BaseEstimator) and hasattr(found, "predict"):
            X = regression().X if hasattr(found, "coef_") else [[0, 0]]
            assert np.isfinite(found.predict(X)).all()


@pytest.mark.parametrize("name", RAISES)
def test_others_raise_once(name):
    total = interrupted(RAISES[name])
    for place in PLACES:
        with pytest.raises(KeyboardInterrupt):
            interrupted(RAISES[name], int(place * total))


def public():
    for family in (ot, linear_model, completion):
        for name in family.__all__:
            value = getattr(family, name)
            if inspect.isclass(value) and not issubclass(value, BaseEstimator):
                continue
            if "max_iter" in (given := inspect.signature(value).parameters) or (
                "max_time" in given
            ):
                yield f"{family.__name__.removeprefix('sparseopt.')}.{name}", given


def table():
    """Rows of the guide: name -> answer to Ctrl-C, and whether it has parameters."""
    row = re.compile(r"\| \{(?:func|class)\}`~sparseopt\.([\w.]+)` \|(.*)\|")
    rows = row.findall(GUIDE.read_text(encoding="utf-8"))
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}


def test_the_table_of_the_guide():
    found = table()
    has = {name: [x in given for x in PARAMETERS] for name, given in public()}
    assert {
        name: [cell == "yes" for cell in cells[1:]] for name, cells in found.items()
    } == has
    for name, (answer, *_) in found.items():
        if name != "completion.LowRankImputer":
            assert answer == ("raises" if name in RAISES else "result")
            assert name in {**RAISES, **ANSWERS}


@pytest.mark.parametrize(
    "model",
    [
        lm.ProximalRegressorCV(solver="prox_grad", tol=1e-15, cv=20, max_time=1.0),
        lm.ProximalRegressorCV(
            solver="prox_grad", tol=1e-15, criterion="bic", max_time=1.0
        ),
        lm.SparseEnvelopeRegressorCV(
            [2, 4, 6], solver="prox_grad", tol=1e-15, cv=20, max_time=1.0
        ),
    ],
)
def test_the_limit_is_that_of_the_whole_search(model):
    """With a limit for each fit these took 20 s or more."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 1)) + 0.1 * rng.normal(size=(100, 150))
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, X[:, 0] - X[:, 1] + 0.1 * rng.normal(size=100))
    assert time.perf_counter() - start < 10.0
    assert np.isfinite(model.predict(X)).all()


def test_pairs_that_time_leaves_out_are_reported():
    model = lm.SparseEnvelopeRegressorCV(cv=3, max_time=1e-6)
    with pytest.warns(UserWarning) as caught:
        model.fit(regression().X, regression().y)
    assert any("pairs of k and lam" in str(w.message) for w in caught)
    assert len(model.grid_) == len(model.scores_) == len(model.path_) == 1


@pytest.mark.parametrize(
    ("function", "start"),
    [(completion.soft_impute, "_narrow_start"), (completion.complete, "_start")],
)
def test_an_interrupt_of_the_start_leaves_zero(function, start, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"sparseopt.completion._fit.{start}", interrupt)
    with pytest.warns(UserWarning, match="interrupted"):
        result = function(ratings(), 2, random_state=0)
    assert result.status is Status.INTERRUPTED
    assert not result.reconstruct().any()
