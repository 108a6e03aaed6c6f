"""MatrixFactorizer: predictions, new rows, recommendations, later ratings."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sparseopt.completion import (
    MatrixFactorizer,
    MatrixFactorizerCV,
    entries_from_chunks,
)
from sparseopt.datasets import make_low_rank


@pytest.fixture(scope="module")
def ratings():
    p = make_low_rank(120, 90, 3, oversampling=4, noise=0.3, random_state=0)
    return p.X + sparse.csr_array(
        (np.full(p.X.nnz, 3.0), p.X.indices, p.X.indptr), shape=p.X.shape
    )


@pytest.fixture(scope="module")
def model(ratings):
    return MatrixFactorizer(3, alpha=0.05, reg="count", random_state=0).fit(ratings)


def whole(model):
    return (
        model.intercept_
        + model.row_bias_[:, None]
        + model.col_bias_
        + model.row_factors_ @ model.col_factors_.T
    )


def test_predictions_are_the_model(model, ratings):
    M = whole(model)
    rows, cols = ratings.tocoo().coords
    np.testing.assert_allclose(model.predict(rows, cols), M[rows, cols], rtol=1e-12)
    pairs = np.stack([rows, cols], axis=1)
    np.testing.assert_array_equal(model.predict(pairs), model.predict(rows, cols))
    rmse = np.sqrt(np.mean((M[rows, cols] - ratings.data) ** 2))
    assert model.score(ratings) == pytest.approx(-rmse, rel=1e-10)
    assert rmse < 0.35


def test_three_ways_to_give_ratings(model, ratings):
    rows, cols = ratings.tocoo().coords
    other = clone(model).fit_ratings(rows, cols, ratings.data, shape=ratings.shape)
    np.testing.assert_array_equal(other.row_factors_, model.row_factors_)
    X = np.full(ratings.shape, np.nan)
    X[rows, cols] = ratings.data
    dense = clone(model).fit(X)
    np.testing.assert_array_equal(dense.row_factors_, model.row_factors_)


@pytest.mark.parametrize("biases", [None, "row", "col", "both"])
@pytest.mark.parametrize("reg", ["count", "frobenius"])
def test_training_rows_fold_in_to_themselves(ratings, biases, reg):
    alpha = 0.1 if reg == "count" else 3.0
    model = MatrixFactorizer(
        3, alpha=alpha, biases=biases, reg=reg, tol_obj=1e-14, max_iter=5000,
        random_state=0,
    ).fit(ratings)  # fmt: skip
    scale = np.abs(model.row_factors_).max()
    np.testing.assert_allclose(
        model.transform(ratings) / scale, model.row_factors_ / scale, atol=1e-4
    )


def test_unknown_rows_and_columns(model):
    value = model.predict([500, 0, 500], [3, 500, 500])
    expected = model.intercept_ + np.array([model.col_bias_[3], model.row_bias_[0], 0])
    np.testing.assert_allclose(value, expected)
    strict = clone(model).set_params(cold_start="raise", n_components=1)
    strict.fit(sparse.csr_array(np.arange(1.0, 13).reshape(4, 3)))
    with pytest.raises(IndexError, match=r"\(9, 0\).*\(4, 3\)"):
        strict.predict([9], [0])


@pytest.mark.parametrize("exclude", [True, False])
def test_recommendations_are_the_best_columns(model, ratings, exclude):
    M = whole(model)
    for row in (0, 17):
        ids, scores = model.recommend(row, 5, exclude_seen=exclude)
        allowed = np.ones(M.shape[1], bool)
        if exclude:
            allowed[ratings[[row]].indices] = False
        order = np.argsort(-np.where(allowed, M[row], -np.inf), kind="stable")[:5]
        np.testing.assert_array_equal(ids, order)
        np.testing.assert_allclose(scores, M[row, order])
    many, _ = model.recommend([0, 17], 5, exclude_seen=exclude)
    np.testing.assert_array_equal(many[1], ids)
    new, _ = model.recommend(ratings[[17]], 5, exclude_seen=exclude)
    assert new.shape == (1, 5) and len(set(new[0]) & set(ids)) >= 4


def test_more_recommendations_than_columns(model, ratings):
    ids, scores = model.recommend(0, 1000)
    left = ratings.shape[1] - len(ratings[[0]].indices)
    assert np.all(ids[:left] >= 0) and np.all(ids[left:] == -1)
    assert np.all(np.isneginf(scores[left:]))


def test_later_ratings(model, ratings):
    grown = clone(model).fit(ratings)
    new = ([120, 120, 121, 5], [3, 4, 90, 90], [5.0, 4.0, 2.0, 3.0])
    before = grown.predict([5], [4])
    grown.partial_fit(new, n_sweeps=2)
    assert grown.row_factors_.shape == (122, 3)
    assert grown.col_factors_.shape == (91, 3)
    assert np.isfinite(whole(grown)).all()
    np.testing.assert_allclose(grown.predict([5], [4]), before, atol=0.5)
    again = MatrixFactorizer(2, random_state=0).partial_fit(new)  # a first fit
    assert again.row_factors_.shape == (122, 2)


def test_warm_start_goes_on(ratings):
    model = MatrixFactorizer(
        3, alpha=0.05, reg="count", warm_start=True, random_state=0
    )
    first = model.fit(ratings).result_
    second = model.fit(ratings).result_
    assert second.n_iter < first.n_iter and second.objective < first.objective


def test_types_threads_and_seeds(ratings):
    model = MatrixFactorizer(3, random_state=0, max_iter=20, tol_obj=1e-3)
    a = clone(model).fit(ratings.astype(np.float32))
    assert a.row_factors_.dtype == np.float32
    b, c = (clone(model).set_params(n_threads=n).fit(ratings) for n in (1, 2))
    np.testing.assert_array_equal(b.row_factors_, c.row_factors_)


def test_nonnegative_and_huber(ratings):
    plain = {"biases": None, "reg": "frobenius", "alpha": 0.1, "random_state": 0}
    model = MatrixFactorizer(3, nonnegative=True, **plain).fit(ratings)
    assert model.row_factors_.min() >= 0 and model.col_factors_.min() >= 0
    model = MatrixFactorizer(4, loss="huber", **plain).fit(ratings)
    assert model.result_.outlier_mask.shape == (ratings.nnz,)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda m, X: m.predict([0], [0, 1]), ValueError, "length of 'rows', 1"),
        (lambda m, X: m.predict([0, 1]), ValueError, r"\(n_pairs, 2\)"),
        (lambda m, X: m.predict([-1], [0]), IndexError, "negative"),
        (lambda m, X: m.predict([0.5], [0]), TypeError, "integers"),
        (lambda m, X: m.recommend(200), IndexError, r"\[0, 120\)"),
        (lambda m, X: m.recommend(0, 0), ValueError, "'n'"),
        (lambda m, X: m.recommend("a"), TypeError, "'row'"),
        (lambda m, X: m.transform(X[:, :5]), ValueError, "5 features"),
        (lambda m, X: m.score(sparse.vstack([X, X]).tocsr()), ValueError, "240 rows"),
        (lambda m, X: m.score(X[40:]), ValueError, "80 rows.*MatrixFactorizerCV"),
        (lambda m, X: clone(m).set_params(alpha=-1).fit(X), ValueError, "alpha"),
        (lambda m, X: clone(m).set_params(reg="l1").fit(X), ValueError, "reg"),
        (lambda m, X: clone(m).predict([0], [0]), NotFittedError, "not fitted"),
        (lambda m, X: m.partial_fit(X, forget=0.0), ValueError, "forget"),
    ],
)
def test_bad_arguments(model, ratings, call, error, text):
    with pytest.raises(error, match=text):
        call(model, ratings)


def test_sorted_entries_are_fitted_as_they_are(ratings, tmp_path):
    frame = pd.DataFrame(np.where(ratings.toarray() == 0, np.nan, ratings.toarray()))
    frame.columns = [f"c{j}" for j in range(frame.shape[1])]
    parts = [ratings[:50], ratings[50:]]
    entries = entries_from_chunks(parts, tmp_path)
    assert "n_entries=" in repr(entries) and len(repr(entries)) < 100
    plain = MatrixFactorizer(2, random_state=0).fit(ratings)
    model = MatrixFactorizer(2, random_state=0).fit(frame).fit(entries)
    assert not hasattr(model, "feature_names_in_")  # of the earlier fit
    assert model.n_features_in_ == ratings.shape[1]
    np.testing.assert_array_equal(model.col_factors_, plain.col_factors_)
    for a, b in zip(model.recommend(3), plain.recommend(3), strict=True):
        np.testing.assert_array_equal(a, b)
    search = {"n_components": (1, 2), "n_alphas": 2, "cv": 2, "random_state": 0}
    found = MatrixFactorizerCV(**search).fit(entries)
    assert found.best_params_ == MatrixFactorizerCV(**search).fit(ratings).best_params_
