"""Collections of dask as sources of chunks, with the real package where it is there."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sparseopt.completion import MatrixFactorizer, complete, entries_from_chunks
from sparseopt.completion._input import as_entries
from sparseopt.datasets import make_low_rank

dask = pytest.importorskip("dask")

CUTS = ((0, 25), (25, 30), (30, 90))


@pytest.fixture(autouse=True)
def one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def problem(real=np.float64):
    X = make_low_rank(90, 60, 3, oversampling=4, random_state=0).X.astype(real)
    X.sort_indices()
    W = X.copy()
    W.data = np.random.default_rng(1).uniform(0.1, 2, X.nnz).astype(real)
    return X, W


def dense(X):
    out = np.full(X.shape, np.nan, X.dtype)
    out[X.tocoo().coords] = X.data
    return out


def assert_same(e, f):
    assert e.shape == f.shape
    np.testing.assert_array_equal(e.perm, f.perm)
    for a, b in ((e.rows, f.rows), (e.cols, f.cols)):
        for name in ("ptr", "idx", "val", "weight"):
            x, y = getattr(a, name), getattr(b, name)
            assert (x is None) == (y is None)
            if x is not None:
                assert x.dtype == y.dtype
                np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("real", [np.float32, np.float64])
# cut into columns too: a block is one of whole rows
@pytest.mark.parametrize("chunks", [(25, 60), (90, 60), (40, 20), (7, 59)])
def test_array(real, chunks, tmp_path):
    da = pytest.importorskip("dask.array")
    X, W = problem(real)
    collection = da.from_array(dense(X), chunks=chunks)
    assert_same(entries_from_chunks(collection, tmp_path), as_entries(X))
    weights = da.from_array(W.toarray(), chunks=chunks)
    e = entries_from_chunks(collection, tmp_path, weights=weights)
    assert_same(e, as_entries(X, weights=W))
    a = complete(X, 3, weights=W, random_state=0)
    b = complete(e, 3, random_state=0)
    np.testing.assert_array_equal(a.U, b.U)


def test_array_of_sparse_blocks(tmp_path):
    da = pytest.importorskip("dask.array")
    X, _ = problem()
    collection = da.from_array(np.where(np.isnan(dense(X)), 0, dense(X)), (30, 60))
    collection = collection.map_blocks(sparse.csr_array)
    assert_same(entries_from_chunks(collection, tmp_path), as_entries(X))


def test_array_of_integers_and_of_unknown_sizes(tmp_path):
    da = pytest.importorskip("dask.array")
    numbers = da.from_array(np.arange(12).reshape(4, 3), chunks=(3, 2))
    whole = as_entries(np.arange(12.0).reshape(4, 3))
    assert_same(entries_from_chunks(numbers, tmp_path), whole)
    some = numbers[numbers[:, 0] > 0]  # how many rows is not known yet
    whole = as_entries(np.arange(12.0).reshape(4, 3)[1:])
    assert_same(entries_from_chunks(some, tmp_path), whole)


@pytest.mark.parametrize("kind", ["sparse", "dense", "triplets", "weights", "frame"])
@pytest.mark.parametrize("form", ["list", "callable", "bag"])
def test_delayed_blocks(kind, form, tmp_path):
    X, W = problem()

    @dask.delayed
    def load(start, stop):
        x, w = X[start:stop], W[start:stop]
        coo = x.tocoo()
        return {
            "sparse": x,
            "dense": dense(x),
            "triplets": (coo.coords[0] + start, coo.coords[1], coo.data),
            "weights": (x, w),
            "frame": pd.DataFrame(dense(x)),
        }[kind]

    parts = [load(*cut) for cut in CUTS]
    if form == "callable":
        source = lambda: parts  # noqa: E731
    elif form == "bag":
        db = pytest.importorskip("dask.bag")
        source = db.from_sequence(CUTS, npartitions=2).map(
            lambda cut: load(*cut).compute()
        )
    else:
        source = parts
    shape = X.shape if kind == "triplets" else None
    whole = as_entries(X, weights=W if kind == "weights" else None)
    assert_same(entries_from_chunks(source, tmp_path, shape=shape), whole)


def test_one_delayed_block_and_delayed_weights(tmp_path):
    X, W = problem()
    assert_same(entries_from_chunks(dask.delayed(X), tmp_path), as_entries(X))
    pair = (X, dask.delayed(W))
    assert_same(entries_from_chunks([pair], tmp_path), as_entries(X, weights=W))


def test_frame(tmp_path):
    dd = pytest.importorskip("dask.dataframe")
    X, _ = problem()
    frame = dd.from_pandas(pd.DataFrame(dense(X)), npartitions=3)
    assert_same(entries_from_chunks(frame, tmp_path), as_entries(X))


def test_collections_in_memory():
    da = pytest.importorskip("dask.array")
    X, _ = problem()
    collection = da.from_array(dense(X), chunks=(25, 20))
    a = complete(dense(X), 3, random_state=0)
    b = complete(collection, 3, random_state=0)
    np.testing.assert_array_equal(a.U, b.U)
    a, b = (MatrixFactorizer(3, random_state=0).fit(x) for x in (dense(X), collection))
    np.testing.assert_array_equal(a.row_factors_, b.row_factors_)


def test_blocks_that_are_wrong(tmp_path):
    da = pytest.importorskip("dask.array")
    X, W = problem()
    with pytest.raises(ValueError, match="'chunk' array must have 2 dimensions"):
        entries_from_chunks(da.ones(5, chunks=2), tmp_path)
    with pytest.raises(ValueError, match="2 dimensions"):
        entries_from_chunks(da.ones((5, 2, 2), chunks=2), tmp_path)
    with pytest.raises(TypeError, match="must hold real numbers"):
        entries_from_chunks([dask.delayed("abc")], tmp_path)
    rows = da.from_array(dense(X), chunks=(30, 60))
    other = da.from_array(W.toarray(), chunks=(45, 60))
    with pytest.raises(ValueError, match="'weights' array must have the shape"):
        entries_from_chunks(rows, tmp_path, weights=other)
    with pytest.raises(ValueError, match="Complex data not supported"):
        entries_from_chunks(rows * 1j, tmp_path)
