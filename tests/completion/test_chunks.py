"""Entries on disk: the same files, the same iterates, clear errors."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse

from sparseopt.completion import (
    Checkpoint,
    complete,
    entries_from_chunks,
    load_checkpoint,
    open_entries,
)
from sparseopt.completion._input import as_entries

M, N = 90, 60


def matrix(real=np.float64):
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((M, 3)) @ rng.standard_normal((3, N))
    seen = rng.random((M, N)) < 0.4
    X = sparse.csr_array(np.where(seen, dense, 0).astype(real))
    X.sort_indices()
    return X


def blocks(X, kind, cuts=(0, 13, 14, 50, M)):
    for start, stop in pairwise(cuts):
        part = X[start:stop]
        if kind == "triplets":
            part = part.tocoo()
            order = np.random.default_rng(1).permutation(part.nnz)
            rows, cols = part.coords
            yield rows[order] + start, cols[order], part.data[order]
        elif kind == "dense":
            dense = part.toarray()
            yield np.where(dense == 0, np.nan, dense)
        else:
            yield part


class Delayed:
    """What is used of a dask collection."""

    def __init__(self, parts):
        self.parts = parts

    def to_delayed(self):
        return np.array([[Part(p)] for p in self.parts], dtype=object)


class Part:
    def __init__(self, value):
        self.value = value

    def compute(self):
        return self.value


def assert_same(e, f):
    assert e.shape == f.shape
    np.testing.assert_array_equal(e.perm, f.perm)
    for a, b in ((e.rows, f.rows), (e.cols, f.cols)):
        for name in ("ptr", "idx", "val"):
            x, y = getattr(a, name), getattr(b, name)
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["sparse", "triplets", "dense"])
def test_chunks_give_what_the_whole_gives(kind, real, tmp_path):
    X = matrix(real)
    shape = (M, N) if kind == "triplets" else None
    e = entries_from_chunks(lambda: blocks(X, kind), tmp_path / "a", shape=shape)
    assert_same(e, as_entries(X))
    assert isinstance(e.rows.val, np.memmap)
    assert not e.rows.val.flags.writeable
    assert_same(open_entries(tmp_path / "a"), e)
    again = entries_from_chunks(list(blocks(X, kind)), tmp_path / "b", shape=shape)
    assert_same(again, e)
    parts = Delayed(list(blocks(X, kind)))
    assert_same(entries_from_chunks(parts, tmp_path / "c", shape=shape), e)


@pytest.mark.parametrize("kind", ["sparse", "triplets", "dense"])
def test_chunks_without_entries(kind, tmp_path):
    X = matrix(np.float32).tolil()
    X[:20] = 0
    X[50:60] = 0
    X = X.tocsr()
    parts = list(blocks(X, kind, (0, 10, 50, 60, M)))
    e = entries_from_chunks(parts, tmp_path, shape=(M, N))
    assert_same(e, as_entries(X))
    with pytest.raises(ValueError, match="at least one entry"):
        entries_from_chunks(parts[:1], tmp_path, shape=(M, N))


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_iterates_are_the_same_to_the_last_bit(loss, tmp_path):
    X = matrix()
    mapped = entries_from_chunks(lambda: blocks(X, "sparse"), tmp_path)
    a = complete(X, 3, loss=loss, random_state=0)
    b = complete(mapped, 3, loss=loss, random_state=0)
    assert a.converged
    assert a.n_iter == b.n_iter
    np.testing.assert_array_equal(a.U, b.U)
    np.testing.assert_array_equal(a.V, b.V)


def test_rows_without_entries_at_the_end(tmp_path):
    parts = [(np.array([0, 2]), np.array([1, 0]), np.ones(2))]
    e = entries_from_chunks(parts, tmp_path, shape=(5, 3))
    assert_same(e, as_entries(parts[0], shape=(5, 3)))


def test_a_fit_goes_on_from_its_checkpoint(tmp_path):
    X, path = matrix(), tmp_path / "fit.npz"

    write = Checkpoint(path, every=2)

    def stop(state):
        return write(state) or state.n_iter == 5

    part = complete(X, 3, callback=stop)
    assert not part.converged
    U, V = load_checkpoint(path)
    assert list(tmp_path.iterdir()) == [path]
    left = X.tocoo()
    r = left.data - np.sum(U[left.coords[0]] * V[left.coords[1]], axis=1)
    before = np.linalg.norm(r) / np.linalg.norm(X.data)
    assert before < 1
    result = complete(X, 3, init=(U, V))
    assert result.converged


def test_bad_chunks(tmp_path):
    X = matrix()
    parts = list(blocks(X, "triplets"))
    with pytest.raises(TypeError, match="gone through twice"):
        entries_from_chunks(iter(parts), tmp_path)
    with pytest.raises(ValueError, match="'shape' parameter is necessary"):
        entries_from_chunks(parts, tmp_path)
    with pytest.raises(ValueError, match="must be at least 13, after those"):
        entries_from_chunks([parts[0], parts[0]], tmp_path, shape=(M, N))
    with pytest.raises(ValueError, match="at least one chunk"):
        entries_from_chunks([], tmp_path)
    with pytest.raises(ValueError, match="All chunks must have 60 columns"):
        entries_from_chunks([X, X[:, :50]], tmp_path)
    with pytest.raises(ValueError, match=r"Got \(90, 61\)"):
        entries_from_chunks([X], tmp_path, shape=(M, N + 1))
    passes = iter([[X[:50], X[50:]], [X[:40], X[50:]]])
    with pytest.raises(ValueError, match="same chunks in each pass"):
        entries_from_chunks(lambda: next(passes), tmp_path)
    passes = iter([[X[:50], X[50:]], [X[:50]]])
    with pytest.raises(ValueError, match="same chunks in each pass"):
        entries_from_chunks(lambda: next(passes), tmp_path)
    with pytest.raises(FileNotFoundError, match="Missing: entries"):
        open_entries(tmp_path / "nowhere")
