"""MatrixFactorizerCV: what it chooses, reports and refits."""

import numpy as np
import pytest

from sparseopt.completion import MatrixFactorizer, MatrixFactorizerCV
from sparseopt.datasets import make_low_rank
from sparseopt.exceptions import ConvergenceWarning


@pytest.fixture(scope="module")
def X():
    return make_low_rank(80, 60, 2, oversampling=6, noise=0.1, random_state=0).X


def test_the_best_point_is_refitted(X):
    search = MatrixFactorizerCV(
        (1, 2, 4), n_alphas=3, cv=3, reg=(0.5, "count"), random_state=0
    ).fit(X)
    assert search.best_params_["n_components"] >= 2
    results = search.cv_results_
    # whole grids, further ones while the smallest ridge of one is the best, and four
    # points around the best ridge
    assert len(results["params"]) >= 22 and len(results["params"]) % 9 == 4
    at = int(np.argmax(results["mean_test_score"]))
    assert results["params"][at] == search.best_params_
    assert results["rank_test_score"][at] == 1
    assert search.best_score_ == results["mean_test_score"][at]
    again = MatrixFactorizer(random_state=0, **search.best_params_).fit(X)
    # other random starts of the same minimum, to tol_obj
    np.testing.assert_allclose(
        search.result_.objective, again.result_.objective, rtol=1e-4
    )
    # noise is a tenth of the values; the ridge that predicts best shrinks the fit
    assert search.score(X) > -0.5 * np.sqrt(np.mean(X.data**2))


def test_same_seed_same_answer(X):
    a, b = (
        MatrixFactorizerCV((2,), alpha=(0.1, 0.5), cv=2, random_state=3).fit(X)
        for _ in range(2)
    )
    np.testing.assert_array_equal(a.row_factors_, b.row_factors_)
    assert a.best_params_ == b.best_params_


def test_new_rows_are_folded_in(X):
    model = MatrixFactorizerCV(
        (2,), alpha=(0.5,), reg=0.5, cv=2, tol_obj=0.0, max_iter=2000, random_state=0
    ).fit(X)
    # what is left of the convergence of the fit
    np.testing.assert_allclose(
        model.transform(X), model.row_factors_, atol=1e-5 * np.abs(X.data).max()
    )


def test_ranks_beyond_the_matrix_are_refused(X):
    with pytest.raises(ValueError, match=r"'n_components'.*\[1, 60\].*61"):
        MatrixFactorizerCV((2, 61)).fit(X)


def test_default_ranks_are_those_that_fit(X):
    model = MatrixFactorizerCV(cv=2, alpha=(0.5,), reg=0.5).fit(X[:, :12])
    ranks = {point["n_components"] for point in model.cv_results_["params"]}
    assert ranks == {5, 12}


def test_ridges_around_the_best_halve_the_distance(X):
    options = {"n_components": (2,), "cv": 2, "reg": 0.5, "random_state": 0}
    coarse, fine = (
        MatrixFactorizerCV(n_refinements=n, **options).fit(X) for n in (0, 3)
    )
    n = len(coarse.cv_results_["params"])
    # the same grid, then three pairs around the best so far
    assert fine.cv_results_["params"][:n] == coarse.cv_results_["params"]
    alphas = [point["alpha"] for point in fine.cv_results_["params"]]
    scores = fine.cv_results_["mean_test_score"]
    np.testing.assert_array_equal(scores[:n], coarse.cv_results_["mean_test_score"])
    assert len(alphas) == n + 6
    ratio = alphas[0] / alphas[1]
    for pair in range(n, n + 6, 2):
        ratio = ratio**0.5
        best = alphas[int(np.argmax(scores[:pair]))]
        np.testing.assert_allclose(
            alphas[pair : pair + 2], [best * ratio, best / ratio]
        )
    assert fine.best_score_ == scores.max() >= coarse.best_score_


@pytest.mark.parametrize("given", [{"alpha": (0.1, 0.5)}, {"one_standard_error": True}])
def test_no_ridges_but_those_asked_for(X, given):
    search = MatrixFactorizerCV((2,), cv=2, reg=0.5, random_state=0, **given).fit(X)
    n_alphas = len(given.get("alpha", range(8)))
    assert len(search.cv_results_["params"]) % n_alphas == 0


def test_time_that_is_short_leaves_points_out(X, monkeypatch):
    # a clock of our own: each look at it takes a second
    now = iter(range(10**6))
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    monkeypatch.setattr("time.perf_counter", lambda: 0.0)
    options = {"cv": 2, "reg": 0.5, "n_refinements": 0, "random_state": 0}
    search = MatrixFactorizerCV((2,), max_time=200.0, **options)
    with pytest.warns(ConvergenceWarning, match=r"max_time=200 .* best of those"):
        search.fit(X)
    scores = search.cv_results_["mean_test_score"]
    done = np.isfinite(scores)
    assert 0 < done.sum() < len(scores)
    assert search.best_score_ == scores[done].max()
    assert (
        search.cv_results_["params"][int(np.nanargmax(scores))] == search.best_params_
    )
    # those that were reached have the scores that they have without a limit
    whole = MatrixFactorizerCV((2,), **options).fit(X)
    n = len(scores)
    assert search.cv_results_["params"] == whole.cv_results_["params"][:n]
    np.testing.assert_array_equal(
        scores[done], whole.cv_results_["mean_test_score"][:n][done]
    )


@pytest.mark.filterwarnings("ignore:completion.complete did not converge")
def test_no_time_at_all_still_gives_a_model(X):
    search = MatrixFactorizerCV((2,), cv=2, max_time=1e-9, random_state=0)
    with pytest.warns(ConvergenceWarning, match="the first one is fitted"):
        search.fit(X)
    assert np.isnan(search.best_score_)
    assert np.isnan(search.cv_results_["mean_test_score"]).all()
    assert np.isfinite(search.predict([0, 1], [0, 1])).all()


def test_verbose_shows_each_grid(X, capsys):
    MatrixFactorizerCV(
        (2,), cv=2, reg=(0.5, 1.0), n_refinements=1, verbose=1, random_state=0
    ).fit(X)
    lines = capsys.readouterr().err.splitlines()
    shown = [line for line in lines if line.startswith("MatrixFactorizerCV: best of")]
    assert len(shown) >= 3 and "best of 2 points: RMSE" in shown[-1]


@pytest.mark.parametrize("name, value", [("n_refinements", -1), ("max_time", 0.0)])
def test_bad_limits_are_refused(X, name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        MatrixFactorizerCV((2,), **{name: value}).fit(X)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_ratings_that_are_all_the_same(value):
    # nothing is left for factors: Lanczos' method had no start
    X = make_low_rank(30, 20, 2, random_state=0).X
    X.data[:] = value
    search = MatrixFactorizerCV(cv=2, random_state=0).fit(X)
    assert search.best_score_ == pytest.approx(0.0, abs=1e-10)
    assert search.predict([0], [0]) == pytest.approx(value)
