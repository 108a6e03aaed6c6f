"""MatrixFactorizerCV: what it chooses, reports and refits."""

import numpy as np
import pytest

from sparseopt.completion import MatrixFactorizer, MatrixFactorizerCV
from sparseopt.datasets import make_low_rank


@pytest.fixture(scope="module")
def X():
    return make_low_rank(80, 60, 2, oversampling=6, noise=0.1, random_state=0).X


def test_the_best_point_is_refitted(X):
    search = MatrixFactorizerCV(
        (1, 2, 4), n_alphas=3, cv=3, reg=(0.5, "count"), random_state=0
    ).fit(X)
    assert search.best_params_["n_components"] >= 2
    results = search.cv_results_
    # whole grids, further ones while the smallest ridge of one is the best
    assert len(results["params"]) >= 18 and len(results["params"]) % 9 == 0
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
