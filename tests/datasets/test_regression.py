"""Regression problems: what they promise, seeds, errors."""

import numpy as np
import pytest

from sparseopt.datasets import make_piecewise_constant, make_sparse_regression


def test_design_and_truth():
    p = make_sparse_regression(20_000, 6, 2, rho=0.6, snr=4.0, random_state=0)
    lags = np.abs(np.subtract.outer(range(6), range(6)))
    np.testing.assert_allclose(np.corrcoef(p.X.T), 0.6**lags, atol=0.03)
    assert set(np.abs(p.coef)) == {0.0, 1.0} and np.abs(p.coef).sum() == 2
    signal = p.X @ p.coef
    np.testing.assert_allclose(signal.var() / (p.y - signal).var(), 4.0, rtol=0.05)
    assert p.X.flags.f_contiguous


def test_groups_are_whole():
    p = make_sparse_regression(5, 12, 2, group_size=3, coef="normal", random_state=1)
    active = p.coef.reshape(4, 3) != 0
    assert active.all(axis=1).sum() == 2 and active.any(axis=1).sum() == 2
    np.testing.assert_array_equal(p.groups, np.repeat(range(4), 3))


def test_no_noise_and_labels():
    p = make_sparse_regression(9, 5, 3, snr=np.inf, random_state=2)
    np.testing.assert_allclose(p.X @ p.coef, p.y, atol=1e-12)
    q = make_sparse_regression(9, 5, 3, kind="classification", random_state=2)
    assert set(q.y) <= {-1.0, 1.0}


def test_seeded():
    first, again = (make_sparse_regression(9, 5, 3, random_state=2) for _ in range(2))
    np.testing.assert_array_equal(first.X, again.X)
    np.testing.assert_array_equal(first.y, again.y)
    assert (make_sparse_regression(9, 5, 3, random_state=3).X != first.X).any()


@pytest.mark.parametrize("n_pieces", [1, 7, 50])
def test_pieces(n_pieces):
    noisy, signal = make_piecewise_constant(50, n_pieces, noise=0.0, random_state=0)
    np.testing.assert_array_equal(noisy, signal)
    assert np.count_nonzero(np.diff(signal)) == n_pieces - 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n_nonzero": 6}, "'n_nonzero'.*at most 5.*Got 6"),
        ({"group_size": 2}, "'group_size'.*divisor.*5.*Got 2"),
        ({"rho": 1.0}, "'rho'.*Got 1.0"),
        ({"snr": 0}, "'snr'.*Got 0"),
        ({"coef": "big"}, "'coef'.*Got 'big'"),
    ],
)
def test_errors(options, text):
    with pytest.raises(ValueError, match=text):
        make_sparse_regression(**{"n": 4, "p": 5, "n_nonzero": 1, **options})
    with pytest.raises(ValueError, match=r"'n_pieces'.*at most n = 3"):
        make_piecewise_constant(3, 4)
