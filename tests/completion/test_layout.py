"""Layouts against SciPy's, whatever the order, type and repetition of the entries."""

import numpy as np
import pytest
from scipy import sparse

from sparseopt.completion._orders import from_csr, from_triplets

SHAPE = (23, 17)


def triplets(seed=0, n=120, ids=np.int32, real=np.float64):
    rng = np.random.default_rng(seed)
    at = rng.choice(SHAPE[0] * SHAPE[1], n, replace=False)
    rows, cols = np.divmod(at, SHAPE[1])
    values = rng.standard_normal(n).astype(real)
    return rows.astype(ids), cols.astype(ids), values


def assert_same(entries, X, weights=None):
    """Both orders hold X, and perm leads from one to the other."""
    X = sparse.csr_array(X)
    X.sort_indices()
    T = X.tocsc()
    T.sort_indices()
    for side, other in ((entries.rows, X), (entries.cols, T)):
        assert side.ptr.dtype == np.int64
        assert side.idx.dtype == np.int32
        np.testing.assert_array_equal(side.ptr, other.indptr)
        np.testing.assert_array_equal(side.idx, other.indices)
        np.testing.assert_array_equal(side.val, other.data)
    np.testing.assert_array_equal(entries.rows.val[entries.perm], entries.cols.val)
    if weights is not None:
        assert_same(
            from_csr(entries.rows.ptr, entries.rows.idx, entries.rows.weight, SHAPE),
            weights,
        )
        again = entries.rows.weight[entries.perm]
        np.testing.assert_array_equal(again, entries.cols.weight)


@pytest.mark.parametrize("ids", [np.int32, np.int64])
@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["given", "row", "both"])
def test_triplets(ids, real, order):
    rows, cols, values = triplets(ids=ids, real=real)
    if order == "row":
        take = np.argsort(rows, kind="stable")
    elif order == "both":
        take = np.lexsort((cols, rows))
    else:
        take = slice(None)
    rows, cols, values = rows[take], cols[take], values[take]
    X = sparse.coo_array((values, (rows, cols)), SHAPE).tocsr()
    W = sparse.coo_array((1 + values**2, (rows, cols)), SHAPE).tocsr()
    kept = [a.copy() for a in (rows, cols, values)]
    for a in (rows, cols, values):
        a.flags.writeable = False
    assert_same(from_triplets(rows, cols, values, SHAPE), X)
    weighted = from_triplets(rows, cols, values, SHAPE, weight=1 + values**2)
    assert_same(weighted, X, W)
    for a, b in zip((rows, cols, values), kept, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("ids", [np.int32, np.int64])
def test_unsorted_rows(ids):
    rows, cols, values = triplets()
    take = np.argsort(rows, kind="stable")
    ptr = np.searchsorted(rows[take], np.arange(SHAPE[0] + 1))
    X = sparse.coo_array((values, (rows, cols)), SHAPE).tocsr()
    W = sparse.coo_array((1 + values**2, (rows, cols)), SHAPE).tocsr()
    idx, val = cols[take].astype(ids), values[take]
    entries = from_csr(ptr.astype(ids), idx, val, SHAPE, weight=1 + val**2)
    assert_same(entries, X, W)
    assert_same(entries.transpose(), X.T)


def test_sorted_rows_are_not_copied():
    X = sparse.random_array(SHAPE, density=0.3, rng=0).tocsr()
    X.sort_indices()
    idx = X.indices.astype(np.int32)
    entries = from_csr(X.indptr, idx, X.data, SHAPE)
    assert np.shares_memory(entries.rows.idx, idx)
    assert np.shares_memory(entries.rows.val, X.data)


@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_bytes_per_entry(real):
    rows, cols, values = triplets(real=real)
    e = from_triplets(rows, cols, values, SHAPE)
    arrays = (e.rows.idx, e.rows.val, e.cols.idx, e.cols.val, e.perm)
    expected = 20 if real is np.float32 else 28
    assert sum(a.nbytes for a in arrays) == expected * e.n_entries


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("mode", ["sum", "last", "mean"])
def test_merging(mode, weighted, compressed):
    rng = np.random.default_rng(3)
    size = 300
    rows, cols = rng.integers(0, 5, size), rng.integers(0, 7, size)
    values, weight = rng.standard_normal(size), rng.random(size)
    weight[cols == 2] = 0.0  # a mean without weight is the plain one
    expected, mass = np.zeros((5, 7)), np.zeros((5, 7))
    for i, j in set(zip(rows.tolist(), cols.tolist(), strict=True)):
        at = np.flatnonzero((rows == i) & (cols == j))
        x, w = values[at], weight[at]
        mean = np.average(x, weights=w if weighted and w.any() else None)
        expected[i, j] = {"sum": x.sum(), "last": x[-1], "mean": mean}[mode]
        mass[i, j] = w[-1] if mode == "last" else w.sum()
    kwargs = {"duplicates": mode, "weight": weight if weighted else None}
    if compressed:
        take = np.argsort(rows, kind="stable")
        ptr = np.searchsorted(rows[take], np.arange(6))
        if weighted:
            kwargs["weight"] = weight[take]
        e = from_csr(ptr, cols[take], values[take], (5, 7), **kwargs)
    else:
        e = from_triplets(rows, cols, values, (5, 7), **kwargs)
    dense = sparse.csr_array((e.rows.val, e.rows.idx, e.rows.ptr), (5, 7)).toarray()
    # sums of about ten numbers in another order
    np.testing.assert_allclose(dense, expected, rtol=1e-12, atol=1e-14)
    assert e.n_entries == (expected != 0).sum()
    if weighted:
        data = (e.rows.weight, e.rows.idx, e.rows.ptr)
        got = sparse.csr_array(data, (5, 7)).toarray()
        np.testing.assert_allclose(got, mass, rtol=1e-12)


def test_a_duplicate_is_named():
    rows, cols = np.array([4, 1, 3, 1]), np.array([0, 2, 3, 2])
    message = r"Got 1 more .* row 1, column 2: positions 1 and 3"
    with pytest.raises(ValueError, match=message):
        from_triplets(rows, cols, np.ones(4), (5, 5))
    ptr, idx = np.array([0, 1, 4]), np.array([3, 2, 0, 2])
    with pytest.raises(ValueError, match=r"row 1, column 2: positions 1 and 3"):
        from_csr(ptr, idx, np.ones(4), (2, 5))
    with pytest.raises(ValueError, match="'duplicates' parameter must be one of"):
        from_triplets(rows, cols, np.ones(4), (5, 5), duplicates="first")


@pytest.mark.parametrize("bad", [-1, 5, 2**40])
def test_an_id_out_of_range_is_named(bad):
    good, wrong = np.array([4, 1, 3]), np.array([0, bad, 2])
    with pytest.raises(ValueError, match=f"'rows'.*below 5.*Got {bad} at position 1"):
        from_triplets(wrong, good, np.ones(3), (5, 5))
    with pytest.raises(ValueError, match=f"'cols'.*below 5.*Got {bad} at position 1"):
        from_triplets(good, wrong, np.ones(3), (5, 5))
    with pytest.raises(ValueError, match=f"'cols'.*Got {bad} at position 1"):
        from_csr(np.array([0, 1, 3]), wrong, np.ones(3), (2, 5))


@pytest.mark.parametrize("ptr", [[0, 2], [1, 2, 3], [0, 2, 4], [0, 3, 2]])
def test_row_starts_are_checked(ptr):
    with pytest.raises(ValueError, match="'indptr' of a sparse matrix must be 3"):
        from_csr(np.array(ptr), np.array([0, 1, 2]), np.ones(3), (2, 5))


def test_no_entries():
    none = np.empty(0, np.int32)
    e = from_triplets(none, none, np.empty(0), (3, 2))
    assert e.n_entries == 0
    np.testing.assert_array_equal(e.cols.ptr, [0, 0, 0])
