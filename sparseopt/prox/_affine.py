"""Affine sets with a cached factorisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg

from sparseopt._core._arrays import as_matrix, as_vector
from sparseopt._core._params import Boolean, validate_params
from sparseopt.prox._inputs import as_output, as_point


class AffineSet:
    """The set ``A w = b``, factored once for any number of projections.

    Parameters
    ----------
    A : array of shape (m, n)
        Rows of the equations; they may depend on one another.
    b : array of shape (m,)
        Right-hand side.

    Attributes
    ----------
    rank : int
        Number of independent equations.

    Raises
    ------
    ValueError
        If the equations have no solution.

    Examples
    --------
    >>> from sparseopt.prox import AffineSet
    >>> plane = AffineSet([[1.0, 1.0, 1.0]], [3.0])
    >>> plane.project([0.0, 0.0, 0.0])
    array([1., 1., 1.])
    """

    def __init__(self, A: Any, b: Any) -> None:
        A = as_matrix(A, "A", dtype=np.float64)
        b = as_vector(b, "b", A.shape[0], dtype=np.float64)
        basis, triangle, order = linalg.qr(A.T, mode="economic", pivoting=True)
        sizes = np.abs(np.diag(triangle))
        tol = max(A.shape) * np.finfo(np.float64).eps * sizes[0]
        self.rank = rank = int(np.count_nonzero(sizes > tol))
        self._basis = np.ascontiguousarray(basis[:, :rank])
        # coordinates of every solution in the basis of the row space
        self._level = linalg.solve_triangular(
            triangle[:rank, :rank], b[order[:rank]], trans="T"
        )
        self._check_solvable(A, b)

    def _check_solvable(self, A: np.ndarray, b: np.ndarray) -> None:
        solution = self._basis @ self._level
        size = np.abs(A) @ np.abs(solution) + np.abs(b)
        error = np.abs(A @ solution - b)
        if (error > 1e-10 * size.max(initial=0.0)).any():
            row = int(error.argmax())
            raise ValueError(
                "The equations A w = b have no solution. "
                f"Got an error of {error[row]:.3g} in row {row} of the nearest one."
            )

    @validate_params({"check_finite": [Boolean]})
    def project(
        self, x: Any, *, out: Any = None, check_finite: bool = True
    ) -> np.ndarray:
        """Nearest point of the set.

        Parameters
        ----------
        x : array of shape (n,) or (n, n_points)
            The point, or several as columns.
        out : array, optional
            Where the result goes; it may be `x` itself.
        check_finite : bool, default=True
            Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

        Returns
        -------
        array of the shape and type of x
            The nearest point.
        """
        array = as_point(x, finite=check_finite)
        n = self._basis.shape[0]
        if array.ndim not in (1, 2) or array.shape[0] != n:
            raise ValueError(
                f"The 'x' array must have {n} rows. Got shape {array.shape}."
            )
        result = as_output(out, array)
        level = self._level if array.ndim == 1 else self._level[:, None]
        with np.errstate(invalid="ignore"):
            gap = self._basis.T @ array - level
            np.subtract(array, self._basis @ gap, out=result, casting="same_kind")
        return result


@validate_params({"check_finite": [Boolean]})
def project_affine(
    x: Any, A: Any, b: Any, *, out: Any = None, check_finite: bool = True
) -> np.ndarray:
    """Nearest point with ``A w = b``.

    For several projections onto one set `AffineSet` keeps the factorisation.

    Parameters
    ----------
    x : array of shape (n,) or (n, n_points)
        The point, or several as columns.
    A : array of shape (m, n)
        Rows of the equations; they may depend on one another.
    b : array of shape (m,)
        Right-hand side.
    out : array, optional
        Where the result goes; it may be `x` itself.
    check_finite : bool, default=True
        Whether NaN and infinities in `x` are errors; if not, NaN gives NaN.

    Returns
    -------
    array of the shape and type of x
        The nearest point.

    Raises
    ------
    ValueError
        If the equations have no solution.

    Examples
    --------
    >>> from sparseopt.prox import project_affine
    >>> project_affine([0.0, 0.0, 0.0], [[1.0, 1.0, 1.0]], [3.0])
    array([1., 1., 1.])
    """
    return AffineSet(A, b).project(x, out=out, check_finite=check_finite)
