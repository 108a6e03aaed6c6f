"""Result of a completion."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparseopt._core._array_api import (
    array_namespace,
    from_numpy_like,
    is_numpy,
    to_numpy,
)
from sparseopt._core._result import Result
from sparseopt.completion._tables import integers

# Predicted pairs whose factor rows are held at once.
_BLOCK = 1 << 16


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CompletionResult(Result):
    """Low-rank completion of a matrix: ``intercept + biases + U diag(s) V'``.

    Returned by `sparseopt.completion.complete`. With biases, `reg` or `nonnegative` the
    columns of U and V are not orthonormal, and s is a scale of theirs. Besides the
    attributes below it has those of every result: ``status``, ``converged``,
    ``message``, ``n_iter``, ``objective``, ``residual`` (relative error at the observed
    entries that were not held out, nor taken for gross errors), ``gap``, ``history``
    and ``elapsed``.

    Parameters
    ----------
    U : ndarray of shape (m, k)
        Left singular vectors. These, and all arrays below but ``history``, are of the
        library and on the device of the input; estimators have NumPy's.
    s : ndarray of shape (k,)
        Singular values, descending; float64 for NumPy arrays, else in the type of U.
    V : ndarray of shape (n, k)
        Right singular vectors.
    row_bias : ndarray of shape (m,) or None
        Offsets of rows, where asked for.
    col_bias : ndarray of shape (n,) or None
        Offsets of columns, where asked for.
    intercept : float
        Mean that biases are offsets from; 0 without biases.
    alpha : float
        Penalty that was used.
    solver : str
        Method that gave the answer.
    n_restarts : int
        How often it started anew.
    outlier_mask : ndarray of bool or None
        Entries taken for gross errors (``loss="huber"``): (m, n) for dense input, else
        aligned with the stored entries of the input.
    held_out_mask : ndarray of bool or None
        Entries that were not fitted (``validation_fraction``), in the form of
        `outlier_mask`.
    underdetermined_rows, underdetermined_cols : ndarray of int
        Rows and columns with fewer observed entries than the rank: their predictions
        are of minimum norm, and not determined by the data.
    work : float
        Operations at the fitted entries in iterations, in units of ``2 n_entries k``:
        how many times a matrix of rank k (that asked for) could have been compared
        with them. A half-step of s steps of conjugate gradients takes ``2 s + 1``, an
        exact one ``2 + k / 2``; rows that are done earlier count in full. The start,
        checks between iterations and the choice of `alpha` do not count.
    history : ndarray
        Structured array with a row for each iteration: ``n_iter``, ``time`` (s),
        ``objective``, ``residual``, ``ridge`` and ``inner`` (steps of conjugate
        gradients in one of Gauss-Newton, NaN in others); ``validation``, the root mean
        squared error at held-out entries, where there are any.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.completion import complete
    >>> rng = np.random.default_rng(0)
    >>> M = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 50))
    >>> X = np.where(rng.random(M.shape) < 0.4, M, np.nan)
    >>> result = complete(X, 2)
    >>> bool(np.abs(result.reconstruct() - M).max() < 1e-6)
    True
    >>> result.rank
    2
    """

    U: np.ndarray
    s: np.ndarray
    V: np.ndarray
    row_bias: np.ndarray | None = None
    col_bias: np.ndarray | None = None
    intercept: float = 0.0
    alpha: float = 0.0
    solver: str = ""
    n_restarts: int = 0
    outlier_mask: np.ndarray | None = None
    held_out_mask: np.ndarray | None = None
    underdetermined_rows: np.ndarray = field(default_factory=lambda: _none())
    underdetermined_cols: np.ndarray = field(default_factory=lambda: _none())
    work: float = 0.0

    @property
    def rank(self) -> int:
        """Rank of ``U diag(s) V'``: its parts that are more than rounding."""
        s = to_numpy(self.s)
        if not s.size:
            return 0
        sizes = s * _norms(self.U) * _norms(self.V)
        eps = np.finfo(to_numpy(self.U[:1]).dtype).eps
        return int(np.count_nonzero(sizes > eps * len(sizes) * sizes.max()))

    def predict(self, rows: Any, cols: Any) -> np.ndarray:
        """Completed values at pairs of a row and a column.

        Parameters
        ----------
        rows, cols : array-like of int of the same length
            Indices, not negative.

        Returns
        -------
        ndarray of shape (n_pairs,)
            Values in the type of the factors, and of their library.

        Raises
        ------
        IndexError
            For an index outside of the matrix.
        """
        rows = _places(rows, self.U, "rows")
        cols = _places(cols, self.V, "cols")
        if rows.shape != cols.shape:
            raise ValueError(
                f"The 'cols' array must have the length of 'rows', {rows.shape[0]}. "
                f"Got {cols.shape[0]}."
            )
        if not is_numpy(array_namespace(self.U)):
            return _predict(self, rows, cols)
        left = self.U * self.s.astype(self.U.dtype)
        out = np.empty(len(rows), self.U.dtype)
        for start in range(0, len(rows), _BLOCK):
            i, j = rows[start : start + _BLOCK], cols[start : start + _BLOCK]
            out[start : start + _BLOCK] = np.einsum("el,el->e", left[i], self.V[j])
        if self.row_bias is not None:
            out += self.row_bias[rows]
        if self.col_bias is not None:
            out += self.col_bias[cols]
        out += self.U.dtype.type(self.intercept)
        return out

    def reconstruct(self, rows: Any = None) -> np.ndarray:
        """Dense rows of the completed matrix.

        Parameters
        ----------
        rows : array-like of int, optional
            Rows to make; all if not given.

        Returns
        -------
        ndarray of shape (n_rows, n)
            In the type of the factors, and of their library.
        """
        i = slice(None) if rows is None else _places(rows, self.U, "rows")
        if not is_numpy(array_namespace(self.U)):
            return _reconstruct(self, None if rows is None else i)
        out = (self.U[i] * self.s.astype(self.U.dtype)) @ self.V.T
        if self.row_bias is not None:
            out += self.row_bias[i, None]
        if self.col_bias is not None:
            out += self.col_bias
        out += self.U.dtype.type(self.intercept)
        return out


def _norms(F: Any) -> np.ndarray:
    return np.linalg.norm(to_numpy(F).astype(np.float64), axis=0)


def _none() -> np.ndarray:
    return np.empty(0, dtype=np.int64)


def _predict(result: CompletionResult, rows: Any, cols: Any) -> Any:
    """Predictions of a fit to arrays of another library."""
    xp = array_namespace(result.U)
    left, out = result.U * result.s, []
    for start in range(0, max(1, rows.shape[0]), _BLOCK):
        stop = min(start + _BLOCK, rows.shape[0])
        i, j = rows[start:stop], cols[start:stop]
        product = xp.take(left, i, axis=0) * xp.take(result.V, j, axis=0)
        out.append(xp.sum(product, axis=1))
    values = xp.concat(out)
    if result.row_bias is not None:
        values += xp.take(result.row_bias, rows, axis=0)
    if result.col_bias is not None:
        values += xp.take(result.col_bias, cols, axis=0)
    values += float(result.intercept)
    return values


def _reconstruct(result: CompletionResult, rows: Any) -> Any:
    """Rows of a fit to arrays of another library."""
    take = array_namespace(result.U).take

    def some(x: Any) -> Any:
        return x if rows is None else take(x, rows, axis=0)

    out = (some(result.U) * result.s) @ result.V.T
    if result.row_bias is not None:
        out += some(result.row_bias)[:, None]
    if result.col_bias is not None:
        out += result.col_bias
    out += float(result.intercept)
    return out


def _places(values: Any, factor: Any, name: str) -> Any:
    """Indices of rows of a factor, in its library; what lies there stays there."""
    xp, n = array_namespace(factor), factor.shape[0]
    if is_numpy(xp) or is_numpy(array_namespace(values)):
        on_host = values if is_numpy(array_namespace(values)) else to_numpy(values)
        return from_numpy_like(_indices(on_host, n, name), factor)
    good = len(values.shape) == 1 and xp.isdtype(values.dtype, "integral")
    if not good or not bool(xp.all((values >= 0) & (values < n))):
        return from_numpy_like(_indices(to_numpy(values), n, name), factor)
    return xp.astype(values, xp.int64, copy=False)


def _indices(values: Any, n: int, name: str) -> np.ndarray:
    values = np.atleast_1d(integers(values, name))
    if values.ndim != 1:
        raise ValueError(
            f"The {name!r} array must have 1 dimension. Got shape {values.shape}."
        )
    bad = np.flatnonzero((values < 0) | (values >= n)) if values.size else values
    if len(bad):
        raise IndexError(
            f"The {name!r} array must hold indices in [0, {n}). "
            f"Got {values[bad[0]]} at position {bad[0]}."
        )
    return values.astype(np.int64)
