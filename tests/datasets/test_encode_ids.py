"""Identifiers that NumPy would make equal stay apart."""

import numpy as np
import pandas as pd
import pytest

from sparseopt.datasets import encode_ids


@pytest.mark.parametrize(
    ("labels", "ids"),
    [
        ([1, "1", 2, "2", 1], [1, 2, "1", "2"]),
        ((1.5, "1.5"), [1.5, "1.5"]),
        ([b"a", "a"], [b"a", "a"]),
        ([2**53 + 1, 2**53, 0.5], [0.5, 2**53, 2**53 + 1]),
        ([2**63 + 1, -1, 2**63], [-1, 2**63, 2**63 + 1]),
        (["a\0", "a"], ["a", "a\0"]),
        ([("a", 1), "a", ("a",)], ["a", ("a",), ("a", 1)]),
        (pd.Series([1, "1"]), [1, "1"]),
        (pd.Series(pd.Categorical([1, "1", 1])), [1, "1"]),
        (np.array([1, "1"], dtype=object), [1, "1"]),
        (pd.Series(["b", "a", "b"], dtype="string"), ["a", "b"]),
        (pd.Series([2**60 + 1, 2**60], dtype="Int64"), [2**60, 2**60 + 1]),
        (pd.Series([True, False], dtype="boolean"), [False, True]),
    ],
)
def test_labels_of_several_types(labels, ids):
    codes, found = encode_ids(labels)
    assert found.tolist() == ids
    assert codes.dtype == np.int32
    assert [ids.index(x) for x in labels] == codes.tolist()
    again, same = encode_ids(labels, known=found)
    np.testing.assert_array_equal(again, codes)
    assert same.tolist() == ids


@pytest.mark.parametrize(
    ("labels", "known", "codes", "ids"),
    [
        ([1, 2, 1], ["1", "2"], [2, 3, 2], ["1", "2", 1, 2]),
        (["1"], [1], [1], [1, "1"]),
        (np.array([2**63], np.uint64), np.array([-1]), [1], [-1, 2**63]),
        ([2**53 + 1], np.array([2.0**53]), [1], [2.0**53, 2**53 + 1]),
        ([1.0, 3.5], [1, 3], [0, 2], [1, 3, 3.5]),
        (["b"], [], [0], ["b"]),
        ([], ["b"], [], ["b"]),
        ([], [1, "1"], [], [1, "1"]),
    ],
)
def test_known_ones_of_another_type(labels, known, codes, ids):
    found = encode_ids(labels, known=known)
    assert found[0].tolist() == codes
    assert found[1].tolist() == ids


def test_types_that_numpy_keeps_are_kept():
    assert encode_ids(["b", "a"])[1].dtype == "<U1"
    assert encode_ids([3, 1])[1].dtype == np.int64
    assert encode_ids([3, 1], known=[7])[1].dtype == np.int64
    assert encode_ids(["abc"], known=["b"])[1].dtype == "<U3"
    days = np.array(["2020-01-02", "2020-01-01"], "M8[ns]")
    assert encode_ids(days)[1].dtype == days.dtype


@pytest.mark.parametrize(
    ("labels", "error", "match"),
    [
        ([{}, {}], TypeError, "'labels' array .* hashable"),
        ([[1], [2, 3]], TypeError, "'labels' array .* hashable"),
        ([object(), object()], TypeError, "'labels' array .* sorted"),
        ([1, None, "1"], ValueError, "missing identifiers. Got one at position 1"),
        ([1, float("nan"), "1"], ValueError, "missing identifiers"),
        (pd.Series([1, pd.NA], dtype="Int64"), ValueError, "missing identifiers"),
        (pd.Categorical(["a", None]), ValueError, "missing identifiers"),
        ([[1, 2]], ValueError, "'labels' array must have 1 dimension"),
        ("abc", ValueError, "'labels' array must have 1 dimension"),
    ],
)
def test_bad_labels(labels, error, match):
    with pytest.raises(error, match=match):
        encode_ids(labels)


@pytest.mark.parametrize("known", [[1, "1", 1], ["a", "a"], [1, 1.0, "1"]])
def test_known_ones_that_repeat(known):
    with pytest.raises(ValueError, match="'known' array must hold each identifier"):
        encode_ids(["a"], known=known)
