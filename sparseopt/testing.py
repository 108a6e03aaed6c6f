"""Assertions on arrays and certificates, for the tests of sparseopt and for yours."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from sparseopt._core._array_api import array_namespace, to_numpy
from sparseopt._core._arrays import as_distribution

__all__ = ["assert_close", "assert_transport_plan"]


def __dir__() -> list[str]:
    return sorted(__all__)


def assert_close(
    actual: Any,
    desired: Any,
    *,
    rtol: float | None = None,
    atol: float = 0.0,
    check_namespace: bool = True,
    check_dtype: bool = True,
) -> None:
    """Assert that arrays agree in library, type, shape and, to a tolerance, values.

    Parameters
    ----------
    actual : array
        What was computed: NumPy, torch, CuPy or another array-API library.
    desired : array or float
        What it should be. A Python number or list says nothing about library and type.
    rtol : float, optional
        Relative tolerance; four times the square root of the machine epsilon of
        `actual`, and 0 for integers, if not given.
    atol : float, default=0.0
        Absolute tolerance.
    check_namespace : bool, default=True
        Whether both must come from the same library.
    check_dtype : bool, default=True
        Whether both must have the same type.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.testing import assert_close
    >>> assert_close(np.array([1.0, 2.0]), np.array([1.0, 2.0 + 1e-12]))
    >>> assert_close(np.float32([1, 2]), np.array([1.0, 2.0]))
    Traceback (most recent call last):
    ...
    AssertionError: dtype is float32, desired float64
    """
    if not isinstance(desired, (bool, int, float, list, tuple)):
        if check_namespace:
            found, wanted = array_namespace(actual), array_namespace(desired)
            _assert_equal("namespace", found.__name__, wanted.__name__)
        if check_dtype:
            _assert_equal("dtype", _dtype_name(actual), _dtype_name(desired))
    actual, desired = to_numpy(actual), to_numpy(desired)
    _assert_equal("shape", actual.shape, desired.shape)
    if rtol is None:
        inexact = actual.dtype.kind in "fc"
        rtol = 4 * float(np.finfo(actual.dtype).eps) ** 0.5 if inexact else 0.0
    np.testing.assert_allclose(actual, desired, rtol=rtol, atol=atol)


def assert_transport_plan(
    plan: Any, a: Any = None, b: Any = None, tol: float = 1e-9
) -> None:
    """Assert that a plan is non-negative and has the given marginals.

    Parameters
    ----------
    plan : array or sparse matrix of shape (n, m)
        Transport plan.
    a : array of shape (n,), optional
        Source marginal, the sums of the rows; uniform if not given.
    b : array of shape (m,), optional
        Target marginal, the sums of the columns; uniform if not given.
    tol : float, default=1e-9
        Bound on ``|P 1 - a|_1 + |P' 1 - b|_1``, relative to the total mass.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.testing import assert_transport_plan
    >>> assert_transport_plan(np.eye(3) / 3)
    >>> assert_transport_plan(np.eye(2), a=[1.0, 1.0], b=[1.0, 2.0])
    Traceback (most recent call last):
    ...
    AssertionError: marginal error 0.5 of the total mass, allowed 1e-09
    """
    plan = plan if sparse.issparse(plan) else to_numpy(plan)
    entries = plan.data if sparse.issparse(plan) else plan
    n, m = plan.shape
    a = as_distribution(a, n, "a").astype(np.float64)
    b = as_distribution(b, m, "b").astype(np.float64)
    if not np.isfinite(entries).all():
        raise AssertionError("the plan has entries that are not finite")
    if entries.size and entries.min() < 0:
        raise AssertionError(f"the plan has a negative entry, {entries.min()}")
    rows, columns = (
        np.asarray(plan.sum(axis=axis, dtype=np.float64)).ravel() for axis in (1, 0)
    )
    error = (np.abs(rows - a).sum() + np.abs(columns - b).sum()) / a.sum()
    if not error <= tol:
        raise AssertionError(
            f"marginal error {error:.3g} of the total mass, allowed {tol:.3g}"
        )


def _assert_equal(what: str, found: Any, wanted: Any) -> None:
    if found != wanted:
        raise AssertionError(f"{what} is {found}, desired {wanted}")


def _dtype_name(array: Any) -> str:
    """Name without the library: NumPy says float64 where torch says torch.float64."""
    dtype = array.dtype if hasattr(array, "dtype") else np.asarray(array).dtype
    return str(dtype).rpartition(".")[2]
