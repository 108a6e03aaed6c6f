"""Weights of entries on disk: those of the whole, to the last bit."""

import numpy as np
import pytest
from scipy import sparse

from sparseopt.completion import (
    complete,
    entries_from_chunks,
    open_entries,
    soft_impute,
)
from sparseopt.completion._input import as_entries
from sparseopt.datasets import make_low_rank

CUTS = ((0, 13), (13, 14), (14, 50), (50, 90))


def problem(real=np.float64):
    X = make_low_rank(90, 60, 3, oversampling=4, random_state=0).X.astype(real)
    X.sort_indices()
    W = X.copy()
    W.data = np.random.default_rng(1).uniform(0.1, 2, X.nnz).astype(real)
    W.data[X.indptr[13] : X.indptr[14]] = 0  # all of a chunk
    return X, W


def blocks(X, W, kind):
    for start, stop in CUTS:
        x, w = X[start:stop], W[start:stop]
        if kind == "sparse":
            yield x, w
        elif kind == "aligned":
            yield x, w.data
        elif kind == "dense":
            dense = x.toarray()
            yield np.where(dense == 0, np.nan, dense), w.toarray()
        else:
            rows, cols = x.tocoo().coords
            order = np.random.default_rng(2).permutation(x.nnz)
            yield rows[order] + start, cols[order], x.data[order], w.data[order]


def assert_same(e, f):
    assert e.shape == f.shape
    np.testing.assert_array_equal(e.perm, f.perm)
    for a, b in ((e.rows, f.rows), (e.cols, f.cols)):
        for name in ("ptr", "idx", "val", "weight"):
            x, y = getattr(a, name), getattr(b, name)
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["sparse", "aligned", "dense", "triplets"])
def test_chunks_give_the_weights_of_the_whole(kind, real, tmp_path):
    X, W = problem(real)
    whole = as_entries(X, weights=W)
    e = entries_from_chunks(lambda: blocks(X, W, kind), tmp_path, shape=X.shape)
    assert_same(e, whole)
    assert isinstance(e.cols.weight, np.memmap)
    assert_same(open_entries(tmp_path), whole)
    # in blocks of their own
    pairs = [(b[:-1] if kind == "triplets" else b[0]) for b in blocks(X, W, kind)]
    apart = entries_from_chunks(
        pairs, tmp_path, weights=[b[-1] for b in blocks(X, W, kind)], shape=X.shape
    )
    assert_same(apart, whole)


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha": 0.1},
        {"loss": "huber"},
        {"nonnegative": True, "max_iter": 20},
        {"biases": "both", "reg": "count", "alpha": 0.05},
        {"validation_fraction": 0.1, "alpha": 0.05},
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:The completion is not determined")
def test_iterates_are_the_same_to_the_last_bit(options, real, tmp_path):
    X, W = problem(real)
    mapped = entries_from_chunks(lambda: blocks(X, W, "sparse"), tmp_path)
    for e in (mapped, open_entries(tmp_path)):
        a = complete(X, 3, weights=W, random_state=0, **options)
        b = complete(e, 3, random_state=0, **options)
        assert (a.n_iter, a.residual) == (b.n_iter, b.residual)
        for name in ("U", "s", "V"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    plain = complete(X, 3, random_state=0, alpha=0.1)
    weighted = complete(mapped, 3, random_state=0, alpha=0.1)
    assert np.abs(plain.s - weighted.s).max() > 1e-3 * plain.s[0]


def test_soft_impute_with_weights_on_disk(tmp_path):
    X, W = problem()
    mapped = entries_from_chunks(lambda: blocks(X, W, "sparse"), tmp_path)
    a = soft_impute(X, 1.0, weights=W, random_state=0)
    b = soft_impute(mapped, 1.0, random_state=0)
    np.testing.assert_array_equal(a.U, b.U)


def test_weights_of_an_earlier_call_do_not_stay(tmp_path):
    X, W = problem()
    first = entries_from_chunks([(X, W)], tmp_path)
    kept = np.array(first.rows.weight)
    second = entries_from_chunks([X * 2], tmp_path)
    assert second.rows.weight is None
    assert open_entries(tmp_path).cols.weight is None
    # and what is mapped from its files does not change
    np.testing.assert_array_equal(first.rows.weight, kept)
    np.testing.assert_array_equal(first.rows.val, X.data)


def test_files_of_a_call_that_failed_are_not_opened(tmp_path):
    X, _ = problem()
    entries_from_chunks([X], tmp_path)

    class Broken:
        passes = 0

        def __iter__(self):
            self.passes += 1
            yield X[:50]
            if self.passes == 2:
                raise OSError("disk")
            yield X[50:]

    with pytest.raises(OSError, match="disk"):
        entries_from_chunks(Broken(), tmp_path)
    with pytest.raises(FileNotFoundError, match="Missing: entries"):
        open_entries(tmp_path)


def test_bad_weights(tmp_path):
    X, W = problem()

    def refused(error, match, *args, **kwargs):
        with pytest.raises(error, match=match):
            entries_from_chunks(*args, tmp_path, shape=X.shape, **kwargs)

    two = [(X[:50], W[:50]), X[50:]]
    refused(ValueError, "All chunks must have weights, or none", two)
    refused(ValueError, "must not be zero everywhere", [(X, 0 * W.data)])
    refused(ValueError, r"largest in \[1e-30", [(X, 1e-200 * W.data)])
    refused(ValueError, "'weights' array must not be negative", [(X, -W)])
    refused(ValueError, "'weights' array must be finite", [(X, W * np.nan)])
    refused(ValueError, "'weights' matrix must store the same", [(X, W[:50])])
    refused(ValueError, "'weights' array must have the length", [(X, W.data[1:])])
    refused(TypeError, "'weights' array must hold real", [(X, "abc")])
    refused(ValueError, "as many blocks as 'chunks'", [X], weights=[W, W])
    refused(ValueError, "as many blocks as 'chunks'", [X[:9], X[9:]], weights=[W[:9]])
    refused(TypeError, "'weights' parameter", [X], weights=iter([W]))
    refused(TypeError, "'weights' parameter", [X], weights="abc")
    triplets = next(blocks(X, W, "triplets"))
    refused(ValueError, "tuple must hold three", [triplets], weights=[W.data])
    refused(ValueError, "tuple must hold three", [(X, W)], weights=[W])
    short = (*triplets[:3], triplets[3][1:])
    refused(ValueError, "'weights' array must have the length", [short])
    passes = iter([[(X, W)], [X]])
    refused(ValueError, "same chunks in each pass", lambda: next(passes))
    e = entries_from_chunks([X], tmp_path)
    with pytest.raises(ValueError, match="weights from entries_from_chunks on"):
        complete(e, 3, weights=W.data)
    entries_from_chunks([(X, W)], tmp_path)
    (tmp_path / "col_weight.npy").unlink()
    (tmp_path / "row_weight.npy").unlink()  # both: the fit would be another one
    with pytest.raises(FileNotFoundError, match="Missing: row_weight"):
        open_entries(tmp_path)


def test_a_chunk_without_entries_needs_no_weights(tmp_path):
    X, W = problem()
    none = sparse.csr_array((5, 60))
    e = entries_from_chunks([(X, W), none], tmp_path)
    assert e.shape == (95, 60)
    np.testing.assert_array_equal(e.rows.weight, W.data)
