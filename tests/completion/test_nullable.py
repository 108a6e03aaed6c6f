"""Columns and frames of pandas: nullable, categorical, sparse and object types."""

import numpy as np
import pandas as pd
import pytest

from sparseopt.completion import (
    LowRankImputer,
    MatrixFactorizer,
    complete,
    entries_from_chunks,
)

ROWS, COLS = np.array([0, 1, 2, 0, 1]), np.array([0, 1, 0, 1, 0])
VALUES = np.array([1.0, 2.0, 4.0, 3.0, 1.0])


def same(a, b):
    np.testing.assert_array_equal(a, b)


def close(a, b):
    # sums over columns are rounded otherwise where these are not contiguous
    np.testing.assert_allclose(a, b, rtol=1e-10)


def fit(rows=ROWS, cols=COLS, values=VALUES, **more):
    model = MatrixFactorizer(1, alpha=0.1, random_state=0)
    return model.fit_ratings(rows, cols, values, **more)


def wrap(array, kind):
    if kind == "categorical":
        return pd.Series(pd.Categorical(array))
    if kind == "sparse":
        return pd.Series(pd.arrays.SparseArray(array))
    if kind == "list":
        return array.astype(object).tolist()
    if kind == "array":
        return pd.array(array)
    if kind == "arrow":
        pytest.importorskip("pyarrow")
        kind = "int64[pyarrow]" if array.dtype.kind == "i" else "double[pyarrow]"
    return pd.Series(array).astype(kind)


KINDS = ["categorical", "sparse", "list", "array", "object", "arrow"]


@pytest.mark.parametrize("kind", ["Int64", "Int8", "UInt32", *KINDS])
def test_ids(kind):
    a = fit()
    b = fit(rows=wrap(ROWS, kind), cols=wrap(COLS, kind))
    same(a.row_factors_, b.row_factors_)
    result = complete((wrap(ROWS, kind), wrap(COLS, kind), VALUES), 1, alpha=0.1)
    same(result.predict(wrap(ROWS, kind), wrap(COLS, kind)), result.predict(ROWS, COLS))
    same(a.predict(wrap(ROWS, kind), wrap(COLS, kind)), a.predict(ROWS, COLS))
    same(a.recommend(wrap(ROWS, kind), 1)[0], a.recommend(ROWS, 1)[0])
    pairs = pd.DataFrame({"r": wrap(ROWS, kind), "c": wrap(COLS, kind)})
    same(a.predict(pairs), a.predict(ROWS, COLS))
    robust = complete(
        (wrap(ROWS, kind), wrap(COLS, kind), VALUES), 1, loss="huber", alpha=0.0,
        random_state=0,
    )  # fmt: skip
    assert robust.outlier_mask.shape == (5,)


@pytest.mark.parametrize("kind", ["Float64", "Float32", "Int64", "Int16", *KINDS])
def test_values_and_weights(kind):
    given = wrap(VALUES.astype(int) if "Int" in kind else VALUES, kind)
    a, b = fit(), fit(values=given)
    if kind == "Float32":
        assert b.row_factors_.dtype == np.float32
        np.testing.assert_allclose(b.row_factors_, a.row_factors_, rtol=1e-3)
    else:
        same(a.row_factors_, b.row_factors_)
    same(fit(weights=given).row_factors_, fit(weights=VALUES).row_factors_)


def test_booleans_are_numbers():
    flags = VALUES > 1
    same(
        fit(values=pd.Series(flags, dtype="boolean")).row_factors_,
        fit(values=flags.astype(float)).row_factors_,
    )


MISSING = [
    pd.Series([0, 1, pd.NA, 0, 1], dtype="Int64"),
    pd.Series([0, 1, pd.NA, 0, 1], dtype=object),
    pd.Series(pd.Categorical([0, 1, None, 0, 1])),
    pd.Series([0, 1, np.nan, 0, 1]),
    [0, 1, None, 0, 1],
    [0, 1, pd.NA, 0, 1],
]


@pytest.mark.parametrize("given", MISSING)
def test_missing_ids_and_values(given):
    for name in ("rows", "cols"):
        match = f"{name!r} array must not hold missing values. Got one at position 2"
        with pytest.raises(ValueError, match=match):
            fit(**{name: given})
        with pytest.raises(ValueError, match=match):
            complete(
                tuple({"rows": ROWS, "cols": COLS, "v": VALUES, name: given}.values()),
                1,
            )
    with pytest.raises(ValueError, match=r"'values' array must be finite.*position 2"):
        fit(values=given)
    with pytest.raises(ValueError, match=r"'weights' array must be finite.*index 2"):
        fit(weights=given)
    model = fit()
    with pytest.raises(ValueError, match="'rows' array must not hold missing"):
        model.predict(given, COLS)
    with pytest.raises(ValueError, match="'row' array must not hold missing"):
        model.recommend(given)
    with pytest.raises(ValueError, match="'cols' array must not hold missing"):
        model.result_.predict(ROWS, given)


LABELS = ["a", "b", "c", "a", "b"]


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (pd.Series(LABELS, dtype="string"), "string"),
        (pd.Series(LABELS, dtype=object), "object"),
        (pd.Series(pd.Categorical(LABELS)), "category"),
        (pd.Series([True, False, True, False, True], dtype="boolean"), "boolean"),
        (pd.Series(ROWS, dtype="Float64"), "Float64"),
        (pd.Series([2**70, 1.5, 2, 3, 4], dtype=object), "object"),
    ],
)
def test_labels_are_no_ids(given, dtype):
    with pytest.raises(
        TypeError,
        match=f"'rows' array must hold integers. Got dtype {dtype}.*encode_ids",
    ):
        fit(rows=given)
    model = fit()
    with pytest.raises(TypeError, match="'row' parameter must be an int"):
        model.recommend(given)


@pytest.mark.parametrize(
    "given",
    [pd.Series(["1"] * 5, dtype="string"), pd.Categorical(["1"] * 5), ["1"] * 5],
)
def test_strings_are_no_values(given):
    with pytest.raises(TypeError, match="'values' array must hold real numbers"):
        fit(values=given)
    with pytest.raises(TypeError, match="'weights' array must hold real numbers"):
        fit(weights=given)


def test_ids_too_large():
    with pytest.raises(ValueError, match="'rows' array must be below"):
        fit(rows=[0, 1, 2, 2**70, 1])


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 5))
    X = np.round(10 * X)
    X[rng.random(X.shape) < 0.2] = np.nan
    return pd.DataFrame(X, columns=list("vwxyz"))


def frames(table):
    mixed = table.copy()
    mixed["w"] = mixed["w"].astype("Int64")
    mixed["x"] = pd.Categorical(mixed["x"])
    mixed["y"] = mixed["y"].astype(object).where(mixed["y"].notna(), pd.NA)
    mixed["z"] = mixed["z"].astype(object).where(mixed["z"].notna(), None)
    yield mixed
    yield table.astype("Float64")
    yield table.astype("Int64")
    yield table.astype(object).where(table.notna(), pd.NA)
    yield table.astype(pd.SparseDtype(float, np.nan))


def test_frames(table):
    expected = LowRankImputer(2, random_state=0).fit_transform(table)
    factors = MatrixFactorizer(2, random_state=0).fit(table).row_factors_
    U = complete(table, 2, random_state=0).U
    for frame in frames(table):
        kept = frame.copy()
        imputer = LowRankImputer(2, random_state=0).set_output(transform="pandas")
        out = imputer.fit_transform(frame)
        close(out.to_numpy(), expected)
        assert list(out.columns) == list("vwxyz")
        close(imputer.transform(frame[:5]), expected[:5])
        model = MatrixFactorizer(2, random_state=0).fit(frame)
        same(model.row_factors_, factors)
        assert list(model.feature_names_in_) == list("vwxyz")
        model.transform(frame[:3])
        same(complete(frame, 2, random_state=0).U, U)
        pd.testing.assert_frame_equal(frame, kept)


def test_frames_of_chunks_and_weights(table, tmp_path):
    frame = next(frames(table))
    e = entries_from_chunks([frame[:20], frame[20:]], tmp_path)
    same(complete(e, 2, random_state=0).U, complete(table, 2, random_state=0).U)
    weights = table.notna().astype("Int64")
    a = complete(table, 2, weights=weights, random_state=0)
    b = complete(table, 2, weights=weights.to_numpy(float), random_state=0)
    same(a.U, b.U)


def test_single_precision(table):
    frame = table.astype("Float32")
    assert LowRankImputer(2).fit_transform(frame).dtype == np.float32
    assert complete(frame, 2).U.dtype == np.float32


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["a"] * 40, dtype="string"), pd.Series(["1"] * 40, dtype=object),
        pd.Series(pd.Categorical(["a"] * 40)),
        pd.Series(pd.date_range("2020", periods=40)),
        pd.Series([1.0] * 39 + ["x"], dtype=object),
    ],
)  # fmt: skip
def test_columns_that_are_no_numbers(table, column, tmp_path):
    table["labels"] = column
    match = "column 'labels' of the 'X' table must hold real numbers"
    for call in (
        lambda: LowRankImputer(2).fit(table),
        lambda: MatrixFactorizer(2).fit(table),
        lambda: complete(table, 2),
    ):
        with pytest.raises(TypeError, match=match):
            call()
    with pytest.raises(TypeError, match="column 'labels' of the 'chunk' table"):
        entries_from_chunks([table], tmp_path)


def test_object_arrays_with_missing_values(table):
    X = table.to_numpy().astype(object)
    X[np.isnan(table.to_numpy())] = pd.NA
    a, b = (LowRankImputer(2, random_state=0).fit_transform(x) for x in (table, X))
    close(a, b)
