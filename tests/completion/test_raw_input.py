"""Tables of objects, identifiers that are no codes, new rows as a dense table."""

from decimal import Decimal

import numpy as np
import pytest
from scipy import sparse

from sparseopt.completion import (
    MatrixFactorizer,
    MatrixFactorizerCV,
    complete,
    soft_impute,
)
from sparseopt.datasets import encode_ids, make_low_rank

pytestmark = pytest.mark.filterwarnings("ignore:The completion is not determined")


@pytest.fixture(scope="module")
def table():
    X = make_low_rank(20, 15, 2, oversampling=3, random_state=0).X.tocoo()
    out = np.full(X.shape, np.nan)
    out[X.row, X.col] = X.data
    return out


def test_tables_of_objects_are_those_of_their_numbers(table):
    objects = table.astype(object)
    objects[np.isnan(table)] = None
    i, j = np.argwhere(~np.isnan(table))[0]
    objects[i, j] = Decimal(table[i, j])
    for function in (
        lambda X: complete(X, 2, random_state=0),
        lambda X: soft_impute(X, 0.5, random_state=0),
    ):
        expected = function(table)
        for given in (objects, objects.tolist()):
            np.testing.assert_array_equal(function(given).U, expected.U)
    objects[3, 4] = "a"
    with pytest.raises(TypeError, match=r"'X' array .* Got 'a' at index \(3, 4\)"):
        complete(objects, 2)


def test_identifiers_are_no_codes():
    """A row of factors for each number up to a billion is no answer to five ratings."""
    rng = np.random.default_rng(0)
    users, items = rng.integers(10**9, 2 * 10**9, 5), np.arange(5)
    for fit in (
        lambda: complete((users, items, np.ones(5)), 1),
        lambda: complete((items, users, np.ones(5)), 1),
        lambda: MatrixFactorizer(1).fit_ratings(users, items, np.ones(5)),
    ):
        with pytest.raises(ValueError, match="encode_ids"):
            fit()
    codes = encode_ids(users)[0]
    assert complete((codes, items, np.ones(5)), 1).U.shape == (5, 1)


def test_dense_new_rows(table):
    model = MatrixFactorizer(2, alpha=0.1, random_state=0).fit(table)
    new = table[:3]
    rows, cols = np.nonzero(~np.isnan(new))
    as_sparse = sparse.csr_array((new[rows, cols], (rows, cols)), shape=new.shape)
    expected = model.recommend(as_sparse, 4)
    for exclude in (True, False):
        expected = model.recommend(as_sparse, 4, exclude_seen=exclude)
        found = model.recommend(new, 4, exclude_seen=exclude)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(TypeError, match=r"shape \(m_new, 15\)"):
        model.recommend("a")


def test_result_says_its_rank(table):
    assert complete(table, 2).rank == 2
    for part in (0.3, 0.7):
        size = np.linalg.norm(np.nan_to_num(table), 2)
        result = soft_impute(table, part * size)
        assert result.rank == np.linalg.matrix_rank(result.reconstruct(), tol=1e-9)
    assert soft_impute(table, 2 * size).rank == 0


def test_search_tries_ranks_below_five():
    """Rank 2 and much noise: more parameters predict worse."""
    X = make_low_rank(60, 50, 2, oversampling=5, noise=0.3, random_state=0).X
    model = MatrixFactorizerCV(cv=3, n_alphas=3, random_state=0).fit(X)
    ranks = {p["n_components"] for p in model.cv_results_["params"]}
    assert {1, 2, 3, 5} <= ranks
    given = MatrixFactorizerCV((5,), cv=3, n_alphas=3, random_state=0).fit(X)
    assert model.best_params_["n_components"] < 5
    assert model.best_score_ > given.best_score_
