"""The best columns of each row, against a full sort."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from sparseopt.completion import _recommend
from sparseopt.completion._recommend import top_columns


def _brute(scores, n, seen=None):
    """A stable sort by falling score, columns of ``seen`` left out."""
    scores = scores.astype(float)
    if seen is not None:
        scores[seen.nonzero()] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :n]
    best = np.take_along_axis(scores, order, axis=1)
    order = np.where(np.isfinite(best), order, -1)
    short = n - order.shape[1]
    if short > 0:
        order = np.pad(order, ((0, 0), (0, short)), constant_values=-1)
        best = np.pad(best, ((0, 0), (0, short)), constant_values=-np.inf)
    return order, best


def _csr(mask):
    A = sparse.csr_array(mask)
    A.sort_indices()
    return A.indptr.astype(np.int64), A.indices.astype(np.int32)


@given(
    b=st.integers(1, 9),
    n_cols=st.integers(1, 90),
    n=st.integers(1, 12),
    share=st.sampled_from([None, 0.0, 0.3, 0.95, 1.0]),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)
def test_same_as_a_full_sort_with_ties(b, n_cols, n, share, dtype, seed):
    rng = np.random.default_rng(seed)
    # small integers: exact in any order of the sums, and full of ties
    left = rng.integers(-2, 3, (b, 3)).astype(dtype)
    right = rng.integers(-2, 3, (n_cols, 3)).astype(dtype)
    shift = rng.integers(-1, 2, n_cols).astype(dtype)
    mask = None if share is None else rng.random((b, n_cols)) < share
    ids, scores = top_columns(
        left, right, n, seen=None if mask is None else _csr(mask), col_offset=shift
    )
    wanted, best = _brute(left @ right.T + shift, n, mask)
    np.testing.assert_array_equal(ids, wanted)
    np.testing.assert_array_equal(scores, best)
    assert scores.dtype == dtype


def test_blocks_and_tiles_meet(monkeypatch):
    monkeypatch.setattr(_recommend, "_ROWS", 7)
    monkeypatch.setattr(_recommend, "_COLS", 50)
    rng = np.random.default_rng(0)
    left = rng.integers(-3, 4, (40, 4)).astype(np.float64)
    right = rng.integers(-3, 4, (230, 4)).astype(np.float64)
    mask = rng.random((40, 230)) < 0.2
    offset = rng.standard_normal(40)
    ids, scores = top_columns(left, right, 9, seen=_csr(mask), row_offset=offset)
    wanted, best = _brute(left @ right.T, 9, mask)
    np.testing.assert_array_equal(ids, wanted)
    np.testing.assert_array_equal(scores, best + offset[:, None])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_do_not_change_a_bit(dtype):
    rng = np.random.default_rng(0)
    left = rng.standard_normal((600, 20)).astype(dtype)
    right = rng.standard_normal((2500, 20)).astype(dtype)
    one, two = (top_columns(left, right, 10, n_threads=t) for t in (1, 2))
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


def test_input_is_not_changed():
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((5, 3)), rng.standard_normal((8, 3))
    for a in (left, right):
        a.setflags(write=False)
    ids, scores = top_columns(left, right, 8)
    assert np.all(np.diff(scores, axis=1) <= 0)
    np.testing.assert_array_equal(np.sort(ids, axis=1), np.tile(np.arange(8), (5, 1)))
