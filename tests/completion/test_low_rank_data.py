"""The generator keeps what its docstring says."""

import numpy as np
import pytest

from sparseopt.datasets import make_low_rank


@pytest.mark.parametrize(("m", "n", "k"), [(60, 40, 3), (1, 7, 1), (5, 5, 5)])
def test_values_are_those_of_the_truth(m, n, k):
    p = make_low_rank(m, n, k, oversampling=1.0, random_state=0)
    M = (p.U * p.s) @ p.V.T
    rows, cols = p.X.tocoo().coords
    np.testing.assert_allclose(p.X.data, M[rows, cols], atol=1e-12)
    assert p.X.has_canonical_format
    np.testing.assert_allclose(p.U.T @ p.U, np.eye(k), atol=1e-12)
    assert np.square(M).mean() == pytest.approx(1)


def test_every_row_and_column_has_enough_entries():
    p = make_low_rank(200, 150, 4, oversampling=1.1, random_state=1)
    for matrix in (p.X, p.X.T.tocsr()):
        assert np.diff(matrix.indptr).min() >= 5


def test_condition_noise_and_outliers():
    p = make_low_rank(
        300, 200, 5, condition=100, noise=0.1, outliers=0.05, random_state=2
    )
    assert p.s[0] / p.s[-1] == pytest.approx(100)
    rows, cols = p.X.tocoo().coords
    error = p.X.data - np.einsum("el,el->e", (p.U * p.s)[rows], p.V[cols])
    gross = np.abs(error) > 5
    assert gross.mean() == pytest.approx(0.05, rel=0.2)
    assert error[~gross].std() == pytest.approx(0.1, rel=0.05)


def test_relative_error_is_that_of_the_dense_matrices():
    p = make_low_rank(30, 20, 2, random_state=3)
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(30, 3)), rng.normal(size=(20, 3))
    M = (p.U * p.s) @ p.V.T
    expected = np.linalg.norm(left @ right.T - M) / np.linalg.norm(M)
    assert p.relative_error(left, right) == pytest.approx(expected, rel=1e-12)


def test_same_seed_same_problem():
    a, b = (make_low_rank(40, 30, 2, random_state=7) for _ in range(2))
    np.testing.assert_array_equal(a.X.data, b.X.data)


@pytest.mark.parametrize(
    ("args", "options", "text"),
    [
        ((3, 4, 4), {}, "n_components.*3"),
        ((10, 10, 2), {"oversampling": 4.0}, "oversampling.*2.7"),
        ((10, 10, 0), {}, "n_components"),
        ((10, 10, 2), {"condition": 0.5}, "condition"),
        ((10, 10, 2), {"noise": -1}, "noise"),
    ],
)
def test_bad_arguments(args, options, text):
    with pytest.raises(ValueError, match=text):
        make_low_rank(*args, **options)
