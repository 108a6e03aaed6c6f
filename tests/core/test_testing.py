"""The assertions of sparseopt.testing fail when they have to, and say why."""

import array_api_strict
import numpy as np
import pytest
from scipy import sparse

from sparseopt.testing import assert_close, assert_transport_plan

X = np.array([1.0, 2.0])


def _fails(message, function, *args, **kwargs):
    with pytest.raises(AssertionError, match=message):
        function(*args, **kwargs)


def test_close(xp, dtype):
    x = xp.asarray([1.0, 2.0], dtype=getattr(xp, dtype.__name__))
    near = x * (1 + float(np.finfo(dtype).eps) ** 0.5)
    assert_close(x, x)
    assert_close(near, x)
    _fails("Not equal to tolerance", assert_close, x * 1.01, x)
    _fails("Not equal to tolerance", assert_close, near, x, rtol=1e-9)
    assert_close(near, x, rtol=0, atol=0.01)


def test_other_library():
    other = array_api_strict.asarray([1.0, 2.0])
    _fails("namespace is numpy, desired array_api_strict", assert_close, X, other)
    _fails("namespace is array_api_strict, desired numpy", assert_close, other, X)
    assert_close(other, X, check_namespace=False)


def test_other_type():
    single = X.astype(np.float32)
    _fails("dtype is float32, desired float64", assert_close, single, X)
    assert_close(single, X, check_dtype=False)


def test_other_shape():
    _fails(r"shape is \(2,\), desired \(2, 1\)", assert_close, X, X[:, None])
    _fails(r"shape is \(2,\), desired \(\)", assert_close, X, 1.0)
    _fails(r"shape is \(2,\), desired \(1,\)", assert_close, X, X[:1])


def test_python_numbers_say_nothing_of_library_and_type():
    assert_close(np.float32(2.0), 2)
    assert_close(array_api_strict.asarray([1, 2]), [1, 2])
    _fails("Not equal to tolerance", assert_close, np.float32(2.5), 2)


def test_integers_are_compared_exactly():
    assert_close(np.array([1, 10**9]), np.array([1, 10**9]))
    _fails("Not equal", assert_close, np.array([10**9 + 1]), np.array([10**9]))


def test_nan():
    assert_close(X * np.nan, X * np.nan)
    _fails("nan location mismatch|Not equal", assert_close, X * np.nan, X)


A, B = np.array([0.25, 0.75]), np.array([0.5, 0.3, 0.2])
PLAN = np.outer(A, B)


@pytest.mark.parametrize(
    "make",
    [
        *(np.asarray, sparse.csr_array, sparse.coo_matrix, sparse.csc_matrix),
        *(array_api_strict.asarray, lambda plan: np.asfortranarray(plan)),
    ],
)
def test_plan(make):
    assert_transport_plan(make(PLAN), A, B)
    assert_transport_plan(make(7 * PLAN), 7 * A, 7 * B)
    _fails("marginal error .* allowed", assert_transport_plan, make(PLAN), B[:2], B)
    negative = PLAN - [[0.2, 0, 0], [0, 0, 0]]
    _fails("negative entry, -0.07", assert_transport_plan, make(negative), A, B)


def test_error_of_a_plan_is_relative_to_the_mass():
    plan = PLAN.copy()
    plan[0, 0] += 0.01
    _fails("marginal error 0.02 of", assert_transport_plan, plan, A, B)
    _fails("marginal error 0.02 of", assert_transport_plan, 9 * plan, 9 * A, 9 * B)
    assert_transport_plan(plan, A, B, tol=0.021)
    _fails("allowed 0.019", assert_transport_plan, plan, A, B, tol=0.019)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_plan_that_is_not_finite(bad):
    plan = PLAN.copy()
    plan[1, 1] = bad
    _fails("not finite", assert_transport_plan, plan, A, B)
    _fails("not finite", assert_transport_plan, sparse.csr_array(plan), A, B)


def test_plan_without_marginals_is_uniform():
    assert_transport_plan(np.full((2, 3), 1 / 6))
    _fails("marginal error", assert_transport_plan, PLAN)


def test_wrong_marginals_are_an_error_of_the_caller():
    with pytest.raises(ValueError, match="'a' array must have length 2"):
        assert_transport_plan(PLAN, B, B)


def test_empty_sparse_plan():
    _fails("marginal error 2 of", assert_transport_plan, sparse.csr_array((2, 3)), A, B)


def test_float32_plan_is_summed_in_float64(rng):
    n = 2000
    plan = np.full((n, n), 1 / n**2, dtype=np.float32)
    assert_transport_plan(plan, tol=1e-6)
