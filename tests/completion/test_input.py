"""Entries from every form of input, and errors that say what is wrong with one."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sparseopt.completion import complete
from sparseopt.completion._input import as_entries

ROWS = np.array([2, 0, 0, 1, 2])
COLS = np.array([1, 0, 3, 2, 0])
VALUES = np.array([5.0, 1.0, 0.0, -3.0, 4.0])
SHAPE = (3, 4)


def dense():
    X = np.full(SHAPE, np.nan)
    X[ROWS, COLS] = VALUES
    return X


def coo(kind=sparse.coo_array):
    return kind((VALUES, (ROWS, COLS)), shape=SHAPE)


FORMS = {
    "nan": dense,
    "fortran": lambda: np.asfortranarray(dense()),
    "frame": lambda: pd.DataFrame(dense()),
    "masked": lambda: np.ma.masked_invalid(dense()),
    "coo": coo,
    "coo_matrix": lambda: coo(sparse.coo_matrix),
    "csr": lambda: coo().tocsr(),
    "csc": lambda: coo().tocsc(),
    "lil": lambda: coo().tolil(),
    "triplets": lambda: (ROWS, COLS, VALUES),
    "int32": lambda: (ROWS.astype(np.int32), COLS.astype(np.uint8), VALUES),
    "list": lambda: (ROWS.tolist(), COLS.tolist(), VALUES.tolist()),
}


def table(entries, transposed=False):
    """{(row, column): value} of one order, checking that rows are sorted."""
    side = entries.side(transposed)
    out = {}
    for i in range(side.n_rows):
        part = slice(side.ptr[i], side.ptr[i + 1])
        assert np.all(np.diff(side.idx[part]) > 0)
        for j, x in zip(side.idx[part], side.val[part], strict=True):
            out[(int(j), i) if transposed else (i, int(j))] = float(x)
    return out


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_entries(form):
    X = FORMS[form]()
    entries = as_entries(X, shape=SHAPE if isinstance(X, tuple) else None)
    expected = {
        (int(i), int(j)): float(x) for i, j, x in zip(ROWS, COLS, VALUES, strict=True)
    }
    assert entries.shape == SHAPE
    assert table(entries) == expected
    assert table(entries, True) == expected
    values = entries.rows.val[entries.perm]
    np.testing.assert_array_equal(values, entries.cols.val)
    assert entries.rows.idx.dtype == np.int32 and entries.rows.ptr.dtype == np.int64


@pytest.mark.parametrize("form", ["nan", "coo", "csr", "csc", "triplets"])
def test_weights_follow_their_entries(form):
    weights = VALUES + 10
    X = FORMS[form]()
    if form == "nan":
        given = np.where(np.isnan(X), 7.0, X + 10)
    elif form == "triplets":
        given = weights
    else:
        given = X.copy()
        given.data = given.data + 10
    entries = as_entries(X, weights=given, shape=SHAPE if form == "triplets" else None)
    for side in (entries.rows, entries.cols):
        np.testing.assert_array_equal(side.weight, side.val + 10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", ["nan", "csr"])
def test_types_are_kept(form, dtype):
    X = FORMS[form]().astype(dtype)
    assert as_entries(X).dtype == dtype


@pytest.mark.parametrize("dtype", [np.int64, np.int8, bool, np.float16])
def test_other_types_become_floats(dtype):
    X = sparse.csr_array(np.array([[1, 0], [1, 1]], dtype=np.float64)).astype(
        np.float32 if dtype == np.float16 else dtype
    )
    entries = as_entries(X)
    assert entries.dtype == (np.float32 if dtype == np.float16 else np.float64)


def test_missing_values_other_than_nan():
    X = np.array([[-1.0, 2.0], [3.0, -1.0]])
    assert table(as_entries(X, missing_values=-1.0)) == {(0, 1): 2.0, (1, 0): 3.0}


def test_input_is_not_modified():
    X = coo().tocsr()
    X = sparse.csr_array((X.data[::-1].copy(), X.indices[::-1].copy(), X.indptr))
    X.data.flags.writeable = X.indices.flags.writeable = False
    before = X.copy()
    as_entries(X)
    np.testing.assert_array_equal(X.indices, before.indices)
    np.testing.assert_array_equal(X.data, before.data)


BAD = [
    (np.full((2, 2), np.nan), ValueError, "at least one observed entry"),
    (np.array([[1.0, np.inf]]), ValueError, r"inf at index \(0, 1\)"),
    (np.zeros((0, 3)), ValueError, "must not be empty"),
    (np.zeros(3), ValueError, "2 dimensions"),
    (np.array([["a"]]), TypeError, "real numbers"),
    (np.array([[1j]]), ValueError, "must be real"),
    (sparse.csr_array((2, 3)), ValueError, "at least one observed entry"),
    (sparse.csr_array(np.array([[1.0, np.nan]])), ValueError, "1 stored values"),
    (sparse.csr_array(np.array([[1j, 2]])), ValueError, "must be real"),
    (([0], [0]), ValueError, "three arrays"),
    (([0], [0], [1.0, 2.0]), ValueError, "length of 'values', 2"),
    (([0.5], [0], [1.0]), TypeError, "'rows' array must hold integers"),
    ((["a"], [0], [1.0]), TypeError, "encode_ids"),
    (([-1], [0], [1.0]), ValueError, "'rows'.*-1"),
    (([0], [[0]], [1.0]), ValueError, "'cols' array must have 1 dimension"),
    (([0, 0], [1, 1], [1.0, 2.0]), ValueError, r"[Dd]uplicate"),
    ("text", TypeError, "real numbers"),
    (None, TypeError, "real numbers"),
]


@pytest.mark.parametrize(("X", "error", "text"), BAD, ids=range(len(BAD)))
def test_bad_input(X, error, text):
    with pytest.raises(error, match=text):
        complete(X, 1)


def test_triplets_out_of_a_given_shape():
    with pytest.raises(ValueError, match=r"'cols'.*3"):
        complete((ROWS, COLS, VALUES), 1, shape=(3, 3))
    with pytest.raises(ValueError, match="for triplets"):
        complete(dense(), 1, shape=(3, 4))
    with pytest.raises(ValueError, match="two positive ints"):
        complete((ROWS, COLS, VALUES), 1, shape=(3, 0))


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        (np.ones(4), "length of 'X.data', 5"),
        (-np.ones(5), "not be negative"),
        (np.zeros(5), "zero everywhere"),
        (np.full(5, np.nan), "finite"),
        (sparse.coo_array(np.eye(3, 4)), "same entries"),
    ],
)
def test_bad_weights(weights, text):
    with pytest.raises(ValueError, match=text):
        complete(coo(), 1, weights=weights)


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("n_components", 0, ValueError),
        ("n_components", 4, ValueError),
        ("n_components", 1.5, TypeError),
        ("n_components", True, TypeError),
        ("n_components", "all", ValueError),
        ("alpha", -1.0, ValueError),
        ("alpha", np.nan, ValueError),
        ("solver", "sgd", ValueError),
        ("tol", -1.0, ValueError),
        ("max_iter", 0, ValueError),
        ("cg_steps", 0, ValueError),
        ("homotopy", 1.5, ValueError),
        ("init", "zeros", ValueError),
        ("init", (np.ones((3, 1)),), ValueError),
        ("init", (np.ones((2, 1)), np.ones((4, 1))), ValueError),
        ("loss", "l1", ValueError),
        ("delta", 0.0, ValueError),
        ("biases", "all", ValueError),
        ("dtype", "int8", ValueError),
        ("validation_fraction", 1.0, ValueError),
        ("duplicates", "first", ValueError),
        ("random_state", "x", TypeError),
    ],
)
def test_bad_options(option, value, error):
    with pytest.raises(error, match=option):
        complete(coo(), **{"n_components": 1, option: value})


@pytest.mark.parametrize(
    "options",
    [
        {"nonnegative": True, "loss": "huber"},
        {"biases": "both", "loss": "huber"},
        {"reg": "count", "nonnegative": True},
        {"alpha": "auto", "biases": "row"},
        {"solver": "als-exact", "nonnegative": True},
        {"solver": "als", "reg": "count"},
    ],
)
def test_options_that_no_method_serves_together(options):
    with pytest.raises(ValueError, match="combine"):
        complete(coo(), 1, **options)
