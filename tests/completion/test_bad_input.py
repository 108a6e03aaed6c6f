"""Mistakes of callers: an error that names the parameter, never a crash."""

import json
import zlib

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sparseopt import Status
from sparseopt.completion import (
    Checkpoint,
    LowRankImputer,
    MatrixFactorizer,
    MatrixFactorizerCV,
    complete,
    entries_from_chunks,
    load_checkpoint,
    open_entries,
    soft_impute,
)
from sparseopt.datasets import encode_ids, make_low_rank
from sparseopt.exceptions import ConvergenceWarning


@pytest.fixture(scope="module")
def X():
    return make_low_rank(20, 15, 2, oversampling=3, random_state=0).X


@pytest.mark.parametrize("bias_reg", [(1,), (-1, 1), (np.nan, 1), ("a", "b")])
def test_bias_reg(X, bias_reg):
    with pytest.raises(ValueError, match=r"'bias_reg' parameter of .*complete"):
        complete(X, 2, biases="both", bias_reg=bias_reg)
    with pytest.raises(ValueError, match=r"'bias_reg' parameter of .*Factorizer"):
        MatrixFactorizer(2, bias_reg=bias_reg).fit(X)


@pytest.mark.parametrize("shape", ["ab", 5, (2.5, 3), (None, 3), (2,), (0, 3)])
def test_shape(shape):
    with pytest.raises(ValueError, match="'shape' parameter must be two positive"):
        complete(([0, 0, 1], [0, 1, 1], [1.0, 2.0, 3.0]), 1, shape=shape)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_components", "auto"), ("n_components", (2.5,)), ("n_components", (True,)),
        ("n_components", ()), ("alpha", ()), ("alpha", ("x",)), ("alpha", (-1.0,)),
        ("reg", ()), ("reg", ("x",)), ("reg", 5), ("bias_reg", ()),
        ("bias_reg", None), ("bias_reg", "x"), ("cv", 10**6),
    ],
)  # fmt: skip
def test_grid(X, name, value):
    given = {"n_components": (1,), "alpha": (0.1,), "cv": 2, name: value}
    with pytest.raises(ValueError, match=f"The {name!r} parameter of .*CV"):
        MatrixFactorizerCV(**given).fit(X)


@pytest.mark.parametrize("missing", [None, "x"])
def test_missing_values(missing):
    with pytest.raises(TypeError, match="'missing_values' parameter"):
        LowRankImputer(1, missing_values=missing).fit(np.eye(3))


def test_row_starts_name_the_position(X):
    bad = X.copy()
    bad.indptr = X.indptr.copy()
    bad.indptr[5] = 10**6
    with pytest.raises(ValueError, match=r"'indptr' .* at position 6"):
        complete(bad, 2)


@pytest.mark.parametrize("every", [0, -1, 2.5, "x"])
def test_checkpoint_every(tmp_path, every):
    with pytest.raises((ValueError, TypeError), match="'every' parameter"):
        Checkpoint(tmp_path / "a.npz", every=every)


def test_checkpoint_path(tmp_path):
    with pytest.raises(FileNotFoundError, match="'path' parameter"):
        Checkpoint(tmp_path / "none" / "a.npz")
    with pytest.raises(FileNotFoundError, match="'path' parameter"):
        Checkpoint(tmp_path)
    with pytest.raises(TypeError, match="'path' parameter"):
        Checkpoint(None)


def test_damaged_checkpoints(tmp_path, X):
    good = tmp_path / "good.npz"
    complete(X, 2, callback=Checkpoint(good, every=1), random_state=0)
    content = good.read_bytes()
    flipped = bytearray(content)
    flipped[300] ^= 0xFF
    files = {
        "empty": b"", "garbage": b"garbage", "half": content[: len(content) // 2],
        "flipped": bytes(flipped),
    }  # fmt: skip
    for name, damaged in files.items():
        (tmp_path / name).write_bytes(damaged)
    ones = np.ones((3, 2))
    np.savez(tmp_path / "keys.npz", U=ones)
    pickled = np.array([{}], dtype=object)
    np.savez(tmp_path / "pickled.npz", U=pickled, s=np.ones(1), V=ones)
    np.savez(tmp_path / "shapes.npz", U=ones, s=np.ones(3), V=ones)
    np.savez(tmp_path / "nan.npz", U=ones * np.nan, s=np.ones(2), V=ones)
    np.save(tmp_path / "array.npy", ones)
    made = ["keys.npz", "pickled.npz", "shapes.npz", "nan.npz", "array.npy"]
    for name in [*files, *made]:
        with pytest.raises(ValueError, match="was not written by a Checkpoint"):
            load_checkpoint(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("row_idx", lambda a: a + 10**6),  # led kernels out of bounds
        ("col_idx", lambda a: a - 10**6),
        ("row_idx", lambda a: a.astype(np.int64)),
        ("perm", lambda a: a + 10**6),
        ("row_ptr", lambda a: a[::-1].copy()),
        ("row_ptr", lambda a: a + 10**7),
        ("row_val", lambda a: a[:3]),
        ("row_val", lambda a: a * np.nan),
        ("col_val", lambda a: a.astype(np.float32)),
        ("shape", lambda a: a * 10),
        ("row_weight", lambda a: -a),
        ("row_weight", lambda a: a[:3]),
        ("col_weight", lambda a: a * np.nan),
        ("col_weight", lambda a: a.astype(np.float32)),
        ("row_val", lambda a: np.array([{}], dtype=object)),
    ],
)
def test_forged_files_of_entries(tmp_path, X, name, make):
    """Arrays that do not fit together, with checksums that do."""
    entries_from_chunks([(X, np.ones(X.nnz))], tmp_path)
    index = json.loads((tmp_path / "entries.json").read_text())
    if name == "shape":
        index["shape"] = make(np.array(index["shape"])).tolist()
    else:
        file = tmp_path / f"{name}.npy"
        array = np.load(file)
        file.unlink()  # it may be mapped
        np.save(file, make(array))
        with pytest.raises(ValueError, match=f"{name}.npy' is damaged .* checksum"):
            open_entries(tmp_path)
        index["checksums"][name] = zlib.crc32(file.read_bytes())
    (tmp_path / "entries.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="entries_from_chunks"):
        open_entries(tmp_path)


def test_chunks_with_other_columns_in_the_second_pass(tmp_path, X):
    other = sparse.csr_array((X.data, (X.indices + 1) % 15, X.indptr), shape=X.shape)
    passes = iter([[X], [other]])
    with pytest.raises(ValueError, match="same chunks in each pass"):
        entries_from_chunks(lambda: next(passes), tmp_path)


def test_chunks_of_other_kinds(tmp_path, X):
    dense = np.full(X.shape, np.nan)
    dense[X.tocoo().coords] = X.data
    frames = [pd.DataFrame(dense[:9]), pd.DataFrame(dense[9:])]
    assert entries_from_chunks(frames, tmp_path).n_entries == X.nnz
    for chunks in ("abc", 5, None):
        with pytest.raises(TypeError, match="'chunks' parameter"):
            entries_from_chunks(chunks, tmp_path)
    for chunk in (None, "a"):
        with pytest.raises(TypeError, match="'chunk' array must hold real numbers"):
            entries_from_chunks([chunk], tmp_path)
    for size in (1, 5):
        with pytest.raises(ValueError, match="tuple must hold three arrays"):
            entries_from_chunks([([0],) * size], tmp_path, shape=(1, 1))


def compressed(kind, data, indices, indptr, shape):
    A = getattr(sparse, f"{kind}_array")(shape)
    A.data, A.indices, A.indptr = map(np.asarray, (data, indices, indptr))
    return A


@pytest.mark.parametrize("kind", ["csr", "csc"])
def test_messages_speak_of_the_callers_rows_and_columns(kind):
    name, shape = ("cols", (3, 5)) if kind == "csr" else ("rows", (5, 3))
    data, ptr = np.arange(1.0, 5.0), [0, 2, 3, 4]

    def refused(error, match, indices, ptr=ptr, **more):
        with pytest.raises(error, match=match):
            complete(compressed(kind, data, indices, ptr, shape), 1, **more)

    bad = f"The {name!r} ids must be at least 0 and below 5"
    refused(ValueError, f"{bad}. Got 7 at position 3", [0, 1, 2, 7])
    refused(ValueError, f"{bad}. Got -2 at position 2", [0, 1, -2, 1])
    place = "row 0, column 4" if kind == "csr" else "row 4, column 0"
    refused(ValueError, f"{place}: positions 0 and 1", [4, 4, 2, 1])
    refused(ValueError, "'indptr' .* Got 3 of them", [0, 1, 2, 3], [0, 2, 4])
    refused(TypeError, "'X.indices' array must hold integers", [0.5, 1, 2, 3])
    refused(TypeError, "'X.indptr' array must hold int", [0, 1, 2, 3], [0, 2, 3, 4.0])
    weights = compressed(kind, data, [0, 1, 2, 4], ptr, shape)
    match = "'weights' matrix .* 'indices' differs first at position 3"
    refused(ValueError, match, [0, 1, 2, 3], weights=weights)
    weights = compressed(kind, data, [0, 1, 2, 3], ptr, shape)[:2]
    refused(ValueError, "'weights' matrix .* Got shape", [0, 1, 2, 3], weights=weights)


@pytest.mark.parametrize("kind", ["csr", "csc"])
def test_duplicates_of_unsorted_entries(kind):
    shape = (3, 5) if kind == "csr" else (5, 3)
    A = compressed(kind, np.ones(5), [4, 0, 4, 2, 1], [0, 3, 4, 5], shape)
    place = "row 0, column 4" if kind == "csr" else "row 4, column 0"
    with pytest.raises(ValueError, match=f"{place}: positions 0 and 2"):
        complete(A, 1)


def test_coordinates_of_other_lengths():
    A = sparse.coo_array((np.ones(4), ([0, 1, 2, 2], [0, 1, 2, 3])), shape=(3, 5))
    for coords, name in (
        ((np.arange(3), np.arange(4)), "rows"),
        ((np.array([0, 1, 2, 2]), np.arange(2)), "cols"),  # was read past its end
    ):
        A.coords = coords
        with pytest.raises(ValueError, match=f"{name!r} array must have the length"):
            complete(A, 1)


def test_mistakes_in_a_chunk_tell_which(tmp_path):
    chunks = [([0, 1], [0, 1], [1.0, 2.0]), ([2, 2], [1, 1], [1.0, 2.0])]
    with pytest.raises(ValueError, match="different places") as caught:
        entries_from_chunks(chunks, tmp_path, shape=(3, 2))
    assert "starts at row 2 of the whole" in caught.value.__notes__[0]


def test_strided_indices(X):
    both = np.stack([X.indices, X.indices], axis=1)
    strided = X.copy()
    strided.indices = both[:, 0]
    a, b = (complete(A, 2, random_state=0) for A in (X, strided))
    np.testing.assert_array_equal(a.U, b.U)


def test_rows_without_ratings(X):
    model = MatrixFactorizer(2, random_state=0).fit(X)
    nothing = sparse.csr_array((2, 15))
    assert not model.transform(nothing).any()
    assert not model.transform(np.full((2, 15), np.nan)).any()
    ids, _ = model.recommend(nothing, 15)
    # only the biases of columns are left
    np.testing.assert_array_equal(ids[0], np.argsort(-model.col_bias_, kind="stable"))
    assert model.predict([], []).shape == (0,)
    assert model.recommend([], 3)[0].shape == (0, 3)
    with pytest.raises(ValueError, match="at least one observed entry"):
        model.score(nothing)


def test_warm_start_with_another_rank_or_shape(X):
    model = MatrixFactorizer(3, warm_start=True, random_state=0).fit(X)
    assert model.set_params(n_components=2).fit(X).row_factors_.shape == (20, 2)
    assert model.set_params(n_components=4).fit(X).row_factors_.shape == (20, 4)
    assert model.set_params(n_components=2).fit(X[:12]).row_factors_.shape == (12, 2)


@pytest.mark.parametrize("scale", [2.0**-990, 2.0**980])
def test_choices_do_not_depend_on_the_scale(X, scale):
    for k, alpha in ((2, "auto"), ("auto", 0.0)):
        a, b = (complete(A, k, alpha=alpha, random_state=0) for A in (X, X * scale))
        np.testing.assert_allclose(b.s / scale, a.s, rtol=1e-6)
    cv = [
        # starts have one size, so a search for the grid may end elsewhere
        MatrixFactorizerCV((1, 2), alpha=(c, 0.5 * c), cv=2, random_state=0).fit(X * c)
        for c in (1.0, scale)
    ]
    assert cv[0].best_params_["n_components"] == cv[1].best_params_["n_components"]
    scores = [c.score(A) for c, A in zip(cv, (X, X * scale), strict=True)]
    assert scores[1] / scale == pytest.approx(scores[0], rel=1e-4)


@pytest.mark.parametrize("options", [{}, {"biases": "both"}, {"solver": "als"}])
@pytest.mark.parametrize(
    ("real", "least"),
    [(np.float64, 5e-324), (np.float32, 1.4e-45)],
)
def test_numbers_below_the_normal_ones(real, least, options):
    # the inverse of their unit has no float: what came of it was NaN, once "converged"
    X = make_low_rank(40, 30, 2, oversampling=6, random_state=0).X
    X.data = np.round(1000 * X.data)
    exact = complete(X.copy(), 2, alpha=1000.0, random_state=0, **options)
    X.data = X.data.astype(real) * real(least)
    alpha = float(1000 * real(least))
    result = complete(X, 2, alpha=alpha, random_state=0, **options)
    assert result.converged and result.residual == pytest.approx(
        exact.residual, abs=1e-4
    )
    steps = (result.reconstruct() / real(least)).astype(np.float64)
    # factors times singular values are rounded to a step, of values up to thousands
    np.testing.assert_allclose(steps, exact.reconstruct(), atol=8.0)


def test_the_largest_numbers(X):
    big = X.copy()
    big.data *= 1.7e308 / np.abs(big.data).max()
    with pytest.warns(ConvergenceWarning, match="numerical_failure"):
        result = complete(big, 2, random_state=0)  # a sum of squares is beyond floats
    assert result.status is Status.NUMERICAL_FAILURE


def test_soft_impute_of_a_wide_matrix():
    # an n x n array would take 80 GB
    wide = np.outer([1.0, 2.0], np.ones(100_000))
    assert soft_impute(wide, 1.0, random_state=0).converged


def test_missing_identifiers():
    for labels in (pd.Series(["a", pd.NA], dtype="string"), ["a", None]):
        with pytest.raises(ValueError, match="must not hold missing"):
            encode_ids(labels)


@pytest.mark.parametrize("scale", [1e-40, 1e40])
def test_weights_that_leave_no_digits(X, scale):
    weights = np.full(X.nnz, scale)
    for fit in (complete, soft_impute):
        with pytest.raises(
            ValueError, match=r"'weights'.*largest in \[1e-30, 1e\+30\]"
        ):
            fit(X, 2, weights=weights)
