"""Array arguments: what is kept, what is converted, what is refused and how."""

import re
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from sparseopt._core._arrays import (
    as_distribution,
    as_floats,
    as_matrix,
    as_vector,
    check_finite,
)


def _refused(error, message, function, *args, **kwargs):
    with pytest.raises(error) as caught:
        function(*args, **kwargs)
    assert str(caught.value) == message
    assert caught.type is error


# --------------------------------------------------------------------- what is kept


def test_matrix_is_not_copied(dtype, layout, rng):
    x = layout(rng.random((4, 5)).astype(dtype))
    before = x.copy()
    found = as_matrix(x, "C")
    assert found.dtype == dtype
    assert np.shares_memory(found, x)
    assert found.strides == x.strides
    np.testing.assert_array_equal(x, before)


def test_vector_is_not_copied(dtype, layout, rng):
    x = layout(rng.random(5).astype(dtype))
    found = as_vector(x, "a", 5)
    assert found.dtype == dtype
    assert np.shares_memory(found, x)


@pytest.mark.parametrize("order", ["C", "F"])
def test_order(order, layout, rng):
    x = rng.random((4, 5))
    found = as_matrix(layout(x), "C", order=order)
    assert found.flags[f"{order}_CONTIGUOUS"]
    np.testing.assert_array_equal(found, x)


def test_order_that_is_there_is_not_copied(rng):
    x = rng.random((4, 5))
    assert np.shares_memory(as_matrix(x, "C", order="C"), x)
    assert np.shares_memory(as_matrix(x.T, "C", order="F"), x)


def test_read_only_stays_read_only(rng):
    x = rng.random((2, 2))
    x.flags.writeable = False
    assert not as_matrix(x, "C").flags.writeable


def test_wanted_type(dtype, rng):
    for given_type in (np.float16, np.float32, np.float64, np.int8, np.longdouble):
        x = (10 * rng.random((3, 2))).astype(given_type)
        found = as_matrix(x, "C", dtype=dtype)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, x.astype(dtype))
    assert as_vector([1, 2], "a", dtype="float32").dtype == np.float32


TYPES = {
    np.float16: np.float32,
    np.float32: np.float32,
    np.float64: np.float64,
    np.longdouble: np.float64,
    np.bool_: np.float64,
    np.int8: np.float64,
    np.uint16: np.float64,
    np.int64: np.float64,
    np.uint64: np.float64,
}


@pytest.mark.parametrize(("given_type", "wanted"), TYPES.items())
def test_type_is_chosen(given_type, wanted):
    found = as_matrix(np.array([[0, 1], [1, 1]], dtype=given_type), "C")
    assert found.dtype == wanted
    assert found.tolist() == [[0, 1], [1, 1]]


def test_foreign_byte_order_and_alignment(dtype):
    swapped = np.arange(6.0).reshape(2, 3).astype(np.dtype(dtype).newbyteorder())
    found = as_matrix(swapped, "C")
    assert found.dtype == dtype
    assert found.dtype.isnative
    packed = np.zeros(6, dtype=[("byte", np.int8), ("x", dtype)])["x"]
    assert not packed.flags.aligned
    assert as_vector(packed, "a").flags.aligned


CONVERTED = {
    "list": [[1, 2], [3, 4.0]],
    "tuple": ((1, 2), (3, 4)),
    "np.matrix": np.array([[1.0, 2.0], [3.0, 4.0]]).view(np.matrix),
    "DataFrame": pd.DataFrame({"x": [1, 3], "y": [2.0, 4.0]}),
    "unmasked": np.ma.masked_array([[1, 2], [3, 4]], mask=False),
}


@pytest.mark.parametrize("x", CONVERTED.values(), ids=CONVERTED)
def test_matrix_from(x):
    found = as_matrix(x, "C")
    assert type(found) is np.ndarray
    assert found.dtype == np.float64
    assert found.tolist() == [[1, 2], [3, 4]]


def test_series():
    found = as_vector(pd.Series([1, 2, 3], index=[7, 8, 9]), "a", 3)
    assert found.tolist() == [1, 2, 3]


def test_arrays_of_other_libraries(xp):
    found = as_matrix(xp.asarray([[1.0, 2.0]], dtype=xp.float32), "C")
    assert type(found) is np.ndarray
    assert found.dtype == np.float32
    assert found.tolist() == [[1, 2]]


# ------------------------------------------------------------------ what is refused

C = "The 'C' array must"
REFUSED = {
    "complex": (
        np.ones((2, 2), dtype=complex),
        ValueError,
        f"{C} be real. Complex data not supported; got complex128.",
    ),
    "objects": (
        np.array([[1, {}]], dtype=object),
        TypeError,
        f"{C} hold real numbers. Got dtype object.",
    ),
    "strings": ([["1", "2"]], TypeError, f"{C} hold real numbers. Got dtype <U1."),
    "bytes": ([[b"1"]], TypeError, f"{C} hold real numbers. Got dtype |S1."),
    "dates": (
        np.zeros((1, 1), dtype="datetime64[D]"),
        TypeError,
        f"{C} hold real numbers. Got dtype datetime64[D].",
    ),
    "records": (
        np.zeros((1, 1), dtype=[("x", float)]),
        TypeError,
        f"{C} hold real numbers. Got dtype [('x', '<f8')].",
    ),
    "None": (None, TypeError, f"{C} hold real numbers. Got dtype object."),
    "ragged": (
        [[1, 2], [3]],
        ValueError,
        f"{C} have rows of equal length. Got a list that no array can be made of.",
    ),
    "number": (3.0, ValueError, f"{C} have 2 dimensions. Got 0, shape ()."),
    "vector": ([1.0], ValueError, f"{C} have 2 dimensions. Got 1, shape (1,)."),
    "stack": (
        np.ones((1, 2, 3)),
        ValueError,
        f"{C} have 2 dimensions. Got 3, shape (1, 2, 3).",
    ),
    "no rows": (np.ones((0, 3)), ValueError, f"{C} not be empty. Got shape (0, 3)."),
    "no columns": (np.ones((3, 0)), ValueError, f"{C} not be empty. Got shape (3, 0)."),
    "sparse array": (
        sparse.csr_array(np.eye(2)),
        TypeError,
        f"{C} be dense. Got a csr_array; convert it with C.toarray().",
    ),
    "sparse matrix": (
        sparse.coo_matrix(np.eye(2)),
        TypeError,
        f"{C} be dense. Got a coo_matrix; convert it with C.toarray().",
    ),
    "masked": (
        np.ma.masked_array([[1, 2], [3, 4]], mask=[[0, 1], [1, 0]]),
        ValueError,
        f"{C} not have masked entries. Got 2 of them; fill them first.",
    ),
    "nan": (
        [[1, 2], [np.nan, np.inf]],
        ValueError,
        f"{C} be finite. Got nan at index (1, 0).",
    ),
    "too large for the type": (
        [[1e300]],
        ValueError,
        f"{C} be finite. Got inf at index (0, 0).",
    ),
}


@pytest.mark.parametrize(("x", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_matrix_refused(x, error, message):
    _refused(error, message, as_matrix, x, "C", dtype=np.float32)


def test_missing_values_of_pandas():
    frame = pd.DataFrame({"x": pd.array([1.5, pd.NA], dtype="Float64")})
    with pytest.raises((TypeError, ValueError), match=r"Got (nan|dtype object)"):
        as_matrix(frame, "C")  # pandas 3 makes NaN of it, pandas 2 an object


def test_dtype_refused():
    for wrong in (np.int64, np.float16, complex):
        message = f"dtype must be float32 or float64. Got {np.dtype(wrong)}."
        _refused(ValueError, message, as_matrix, [[1]], "C", dtype=wrong)


def test_vector_refused():
    a = "The 'a' array must"
    _refused(ValueError, f"{a} have length 3. Got length 2.", as_vector, [1, 2], "a", 3)
    column, shape = [[1], [2]], "Got 2, shape (2, 1)."
    _refused(ValueError, f"{a} have 1 dimension. {shape}", as_vector, column, "a", 2)
    _refused(ValueError, f"{a} not be empty. Got shape (0,).", as_vector, [], "a")
    bad = [1, -np.inf]
    _refused(ValueError, f"{a} be finite. Got -inf at index 1.", as_vector, bad, "a", 2)


# ----------------------------------------------------------------- finite or not


@given(
    shape=hnp.array_shapes(min_dims=2, max_dims=2, max_side=40),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
    floats=st.sampled_from([np.float32, np.float64]),
    data=st.data(),
)
def test_first_bad_index(shape, value, floats, data):
    x = np.ones(shape, dtype=floats)
    places = data.draw(
        st.lists(st.integers(0, x.size - 1), min_size=1, max_size=3, unique=True)
    )
    for place in places:
        x.flat[place] = value
    row, column = np.unravel_index(min(places), shape)
    wanted = rf"Got {value} at index \({row}, {column}\)\."
    for version in (x, np.asfortranarray(x)):
        with pytest.raises(ValueError, match=wanted):
            as_matrix(version, "C")


def test_bad_value_in_any_block(rng):
    x = rng.random((300, 1000))  # more than four blocks
    for place in [(0, 0), (65, 535), (130, 71), (299, 999)]:
        y = x.copy()
        y[place] = np.nan
        with pytest.raises(ValueError, match=re.escape(f"nan at index {place}.")):
            as_matrix(y, "C")


def test_opposite_infinities_do_not_cancel():
    with pytest.raises(ValueError, match=r"Got inf at index \(0, 0\)"):
        as_matrix([[np.inf, -np.inf]], "C")


def test_sum_may_overflow(dtype):
    x = np.full((300, 300), np.finfo(dtype).max)
    assert np.shares_memory(as_matrix(x, "C"), x)
    assert as_vector(-x[0], "a")[0] == -np.finfo(dtype).max


def _peak(function, *args):
    tracemalloc.start()
    try:
        function(*args)
    except ValueError:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_no_large_temporaries(dtype, layout):
    x = layout(np.ones((1000, 1000), dtype=dtype))
    assert _peak(as_matrix, x, "C") < 200_000
    bad = x.copy()
    bad[-1, -1] = np.nan
    assert _peak(as_matrix, bad, "C") < 400_000


# ---------------------------------------------------------------- distributions


def test_uniform(dtype):
    found = as_distribution(None, 4, "a", dtype=dtype)
    assert found.dtype == dtype
    assert found.tolist() == [0.25] * 4
    assert as_distribution(None, 3, "a").dtype == np.float64


def test_weights_are_taken_as_they_are(dtype):
    weights = np.array([0, 2, 3], dtype=dtype)
    found = as_distribution(weights, 3, "a")
    assert np.shares_memory(found, weights)
    assert found.tolist() == [0, 2, 3]
    assert as_distribution([1, 0], 2, "a").dtype == np.float64
    assert as_distribution([1, 0], 2, "a", dtype=dtype).dtype == dtype


A = "The 'a' array must"
NO_DISTRIBUTION = {
    "length": ([1.0, 2.0], f"{A} have length 3. Got length 2."),
    "negative": ([1, -2, -1], f"{A} not be negative. Got -2.0 at index 1."),
    "hardly negative": (
        [1, 2, -1e-300],
        f"{A} not be negative. Got -1e-300 at index 2.",
    ),
    "nan": ([1, 2, np.nan], f"{A} be finite. Got nan at index 2."),
    "zero": ([0, 0, 0], f"{A} have a positive and finite sum. Got 0.0."),
    "overflow": ([1e308] * 3, f"{A} have a positive and finite sum. Got inf."),
    "matrix": ([[1, 2, 3]], f"{A} have 1 dimension. Got 2, shape (1, 3)."),
}


@pytest.mark.parametrize(
    ("weights", "message"), NO_DISTRIBUTION.values(), ids=NO_DISTRIBUTION
)
def test_no_distribution(weights, message):
    _refused(ValueError, message, as_distribution, weights, 3, "a")


def test_numbers_without_dimensions_are_named():
    nan = np.array(np.nan)
    message = "The 'a' array must be finite. Got nan."
    _refused(ValueError, message, check_finite, nan, "a")


def test_nullable_columns_of_numbers():
    frame = pd.DataFrame({"u": [1, 2], "v": [0.5, None]}).convert_dtypes()
    found = as_floats(frame, "a", ndim=2)
    np.testing.assert_array_equal(found, [[1.0, 0.5], [2.0, np.nan]])
    with pytest.raises(TypeError, match="'a' array must hold real numbers"):
        as_floats(pd.DataFrame({"u": ["1", "2"]}), "a", ndim=2)
