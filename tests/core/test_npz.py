"""Results in files: everything comes back, and nothing else comes in."""

import io
import json
import math
import pickle
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from sparseopt import Status
from sparseopt._core._result import Result


@dataclass(frozen=True, kw_only=True)
class Box(Result):
    content: Any
    scratch: Any = field(default="not saved", metadata={"save": False})


@dataclass(frozen=True, kw_only=True)
class Other(Result):
    content: Any


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("results") / "result.npz"


def _there_and_back(content, path):
    Box(status=Status.CONVERGED, content=content).save(path)
    return Box.load(path).content


def _assert_same(found, wanted):
    assert type(found) is type(wanted)
    if isinstance(wanted, (tuple, list)):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            _assert_same(one, other)
    elif isinstance(wanted, (np.ndarray, np.generic)):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
    else:
        assert found == wanted or (math.isnan(found) and math.isnan(wanted))


ARRAYS = hnp.arrays(
    st.one_of(
        *(hnp.floating_dtypes(), hnp.integer_dtypes(), hnp.boolean_dtypes()),
        *(hnp.complex_number_dtypes(), hnp.unicode_string_dtypes()),
    ),
    hnp.array_shapes(min_dims=0, min_side=0),
)
SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    *(st.sampled_from(Status), ARRAYS.map(lambda array: array.dtype.type(0))),
)
CONTENT = st.recursive(
    SCALARS | ARRAYS, lambda items: st.lists(items) | st.lists(items).map(tuple)
)


@given(content=CONTENT)
def test_round_trip(content, path):
    _assert_same(_there_and_back(content, path), content)


@pytest.mark.parametrize("kind", ["csr_array", "csr_matrix", "csc_array", "csc_matrix"])
def test_sparse(kind, dtype, index_dtype, path, rng):
    dense = rng.random((5, 7)) * (rng.random((5, 7)) < 0.4)
    matrix = getattr(sparse, kind)(dense.astype(dtype))
    matrix.indices = matrix.indices.astype(index_dtype)
    matrix.indptr = matrix.indptr.astype(index_dtype)
    found = _there_and_back((matrix, "beside"), path)[0]
    assert type(found) is type(matrix)
    assert found.dtype == dtype
    assert found.indices.dtype == found.indptr.dtype == index_dtype
    np.testing.assert_array_equal(found.toarray(), matrix.toarray())


def test_all_fields(tmp_path, rng):
    history = np.zeros(3, dtype=[("n_iter", np.int64), ("time", np.float64)])
    history["time"] = rng.random(3)
    box = Box(
        status=Status.PRECISION,
        message="as far as it goes",
        n_iter=7,
        objective=np.float32(0.1),
        residual=1e-300,
        gap=-0.0,
        history=history,
        elapsed=math.pi,
        content=None,
        scratch=np.zeros(3),
    )
    box.save(tmp_path / "box")
    again = Box.load(tmp_path / "box")
    assert again.status is Status.PRECISION
    assert again.message == "as far as it goes"
    assert again.n_iter == 7
    assert type(again.objective) is np.float32
    assert again.residual == 1e-300
    assert math.copysign(1, again.gap) == -1
    assert again.elapsed == math.pi
    assert again.history.dtype == history.dtype
    np.testing.assert_array_equal(again.history, history)
    assert again.scratch == "not saved"


def test_name_of_the_file_is_taken_as_it_is(tmp_path):
    Result(status=Status.CONVERGED).save(str(tmp_path / "result"))
    assert [file.name for file in tmp_path.iterdir()] == ["result"]


def test_arrays_can_be_read_by_numpy_alone(tmp_path, rng):
    content = rng.random(4)
    Box(status=Status.CONVERGED, content=content).save(tmp_path / "box.npz")
    with np.load(tmp_path / "box.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["content"], content)


def test_layouts(layout, path, rng):
    content = layout(rng.random((4, 6)))
    np.testing.assert_array_equal(_there_and_back(content, path), content)


def test_arrays_of_other_libraries_become_numpy(xp, path):
    found = _there_and_back(xp.asarray([1.0, 2.0]), path)
    assert type(found) is np.ndarray
    assert found.tolist() == [1.0, 2.0]


UNSAVEABLE = {
    "object array": np.array([{}], dtype=object),
    "records with objects": np.zeros(2, dtype=[("a", object)]),
    "dict": {"a": 1},
    "function": math.sin,
    "coo": sparse.coo_array(np.eye(2)),
    "masked": np.ma.masked_array([1.0, 2.0], [True, False]),
    "inside a tuple": (1, {2}),
}


@pytest.mark.parametrize("content", UNSAVEABLE.values(), ids=UNSAVEABLE)
def test_what_cannot_be_saved_leaves_the_file_alone(content, tmp_path):
    path = tmp_path / "box.npz"
    path.write_text("precious")
    with pytest.raises(TypeError, match=r"The field 'content(\.1)?' cannot be saved"):
        Box(status=Status.CONVERGED, content=content).save(path)
    assert path.read_text() == "precious"


# ---------------------------------------------------------- files that are not ours


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        Result.load(tmp_path / "nothing.npz")


def test_wrong_class(tmp_path):
    path = tmp_path / "other.npz"
    Other(status=Status.CONVERGED, content=1).save(path)
    with pytest.raises(ValueError, match=r"holds a .*Other, which .*Box.load does not"):
        Box.load(path)
    with pytest.raises(ValueError, match=r"holds a .*Other, which sparseopt.Result"):
        Result.load(path)


def _npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


FOREIGN = {
    "empty": b"",
    "text": b"just some words\n",
    "pickle": pickle.dumps({"status": 0}),
    "npy": _npy(np.zeros(3)),
    "npz without header": _npz(a=np.zeros(3)),
    "header is no JSON": _npz(__header__=np.array("import os")),
    "header is a list": _npz(__header__=np.array("[1, 2]")),
    "header is an object": _npz(__header__=np.array({"class": "x"}, dtype=object)),
    "header is deep": _npz(__header__=np.array("[" * 100_000)),
}


@pytest.mark.parametrize("name", ["text", "pickle", "empty", "npy"])
def test_foreign_file_is_no_pickle_to_be_trusted(name, tmp_path):
    path = tmp_path / "foreign.npz"
    path.write_bytes(FOREIGN[name])
    with pytest.raises(ValueError) as caught:
        Result.load(path)
    assert str(caught.value).endswith("(ValueError: not an npz file).")


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_foreign_file(content, tmp_path):
    path = tmp_path / "foreign.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"foreign.npz' is damaged or was not written"):
        Result.load(path)


class _Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_nothing_is_unpickled(tmp_path):
    bomb = np.array(_Bomb(str(tmp_path / "exploded")), dtype=object)
    path = tmp_path / "box.npz"
    for name in ("content", "__header__"):
        Box(status=Status.CONVERGED, content=np.zeros(2)).save(path)
        with np.load(path) as arrays:
            path.write_bytes(_npz(**{**arrays, name: bomb}))
        with pytest.raises(ValueError, match="damaged"):
            Box.load(path)
    assert not (tmp_path / "exploded").exists()


def _edit(path, change):
    """Rewrite a file with another header."""
    with np.load(path) as arrays:
        content = dict(arrays)
    header = json.loads(str(content["__header__"]))
    change(header, content)
    content["__header__"] = np.array(json.dumps(header))
    path.write_bytes(_npz(**content))


def _set(name, value):
    return lambda header, arrays: header["fields"].__setitem__(name, value)


def _drop(name):
    return lambda header, arrays: header["fields"].pop(name)


TAMPERED = {
    "unknown field": (_set("os", "system"), r"unknown fields \['os'\]"),
    "unsaved field": (_set("scratch", 1), r"unknown fields \['scratch'\]"),
    "method": (_set("save", 1), r"unknown fields \['save'\]"),
    "missing field": (_drop("content"), r"missing fields \['content'\]"),
    "unknown kind": (_set("content", {"eval": "1"}), "unknown content"),
    "unknown status": (_set("status", {"status": "FINE"}), "FINE"),
    "missing array": (_set("content", {"array": "nowhere"}), "nowhere"),
    "any sparse class": (
        _set("content", {"sparse": "random", "key": "content", "shape": [2, 2]}),
        "unknown content",
    ),
    "format": (lambda header, _: header.update(format=2), "unknown format 2"),
}


@pytest.mark.parametrize(("change", "message"), TAMPERED.values(), ids=TAMPERED)
def test_tampered_header(change, message, tmp_path):
    path = tmp_path / "box.npz"
    Box(status=Status.CONVERGED, content=np.zeros(2)).save(path)
    _edit(path, change)
    with pytest.raises(ValueError, match=message):
        Box.load(path)


def test_fields_with_defaults_may_be_missing(tmp_path):
    path = tmp_path / "box.npz"
    Box(status=Status.CONVERGED, content=1, gap=0.5).save(path)
    _edit(path, _drop("gap"))
    assert Box.load(path).gap is None


def test_sparse_index_out_of_range(tmp_path):
    path = tmp_path / "box.npz"
    Box(status=Status.CONVERGED, content=sparse.csr_array(np.eye(3))).save(path)
    _edit(path, lambda _, arrays: arrays["content.indices"].__setitem__(1, 1000))
    with pytest.raises(ValueError, match="damaged"):
        Box.load(path)
