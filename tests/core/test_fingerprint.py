"""Fingerprints of the caller's arrays."""

import numpy as np
import pytest
from scipy import sparse

from sparseopt._core._fingerprint import check_unchanged, fingerprint

RNG = np.random.default_rng(0)
WHOLE = RNG.random((40, 30))


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize(
    "view",
    [
        lambda x: x,
        lambda x: np.asfortranarray(x),
        lambda x: x[::2, 1::3],
        lambda x: x[::-1],
        lambda x: x[:, 3],
        lambda x: x[3:4, :1],
        lambda x: x[:, :, None],
    ],
)
def test_each_entry_counts(view, real):
    x = view(WHOLE.astype(real))
    before = fingerprint(x)
    assert fingerprint(x.copy(order="K")) == before
    for index in np.ndindex(x.shape):
        old = x[index]
        x[index] = np.nextafter(old, np.inf)
        assert fingerprint(x) != before, index
        x[index] = old
    assert fingerprint(x) == before


def test_changes_of_everyday():
    x = WHOLE.copy()
    before = fingerprint(x)
    for change in (x / 2, -x, x[::-1], np.sort(x), x * 0, x + 1e-16 * (x > 0.9), x.T):
        assert fingerprint(change) != before
    square = RNG.random((64, 64))  # a sum of 4096 exponents would be the same
    assert fingerprint(square / 2) != fingerprint(square)
    assert fingerprint(square.T.copy()) != fingerprint(square)


@pytest.mark.parametrize("shape", [(64, 64), (64, 4096), (1024, 4096)])
def test_a_change_of_all_numbers_alike_does_not_cancel(shape):
    """Half of each number: sums of 2**12 exponents less one would be the same."""
    x = np.ones(shape)
    before = fingerprint(x)
    for factor in (2, 4, 16, 1 / 1024):
        assert fingerprint(factor * x) != before


@pytest.mark.parametrize("kind", ["csr_array", "csc_matrix", "coo_array", "bsr_array"])
def test_sparse(kind):
    X = getattr(sparse, kind)(np.where(WHOLE < 0.2, WHOLE, 0.0))
    before = fingerprint(X)
    X.data[X.data.shape[0] // 2] *= 2
    assert fingerprint(X) != before


def test_several_and_none():
    a, b = np.arange(3.0), np.arange(4.0)
    assert fingerprint(a, None, b) == fingerprint(a, b) != fingerprint(b, a)
    assert fingerprint() == fingerprint(None) == 0


@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_a_large_strided_array_and_its_copy(real):
    """A pickled result holds a copy in C order."""
    x = RNG.random((1500, 700)).astype(real)[:, ::2]
    assert fingerprint(x) == fingerprint(x.copy())
    assert fingerprint(x.T) == fingerprint(x.T.copy())
    assert fingerprint(x[::-1]) == fingerprint(x[::-1].copy()) != fingerprint(x)


def test_blocks_of_a_large_strided_array():
    x = np.zeros((3000, 600))[:, ::2]
    before = fingerprint(x)
    for i in range(0, 3000, 97):
        x[i, -1] = 1.0
        assert fingerprint(x) != before
        x[i, -1] = 0.0


def test_the_error_says_what_happened():
    x = np.arange(4.0)
    mark = fingerprint(x)
    check_unchanged(mark, x, name="C", wanted="the plan")
    x /= 2
    with pytest.raises(ValueError, match=r"'C' array was changed .* the plan would"):
        check_unchanged(mark, x, name="C", wanted="the plan")
