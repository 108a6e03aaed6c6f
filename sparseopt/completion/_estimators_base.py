"""What a fitted factorisation of ratings does: predict, fold in, recommend."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from sparseopt._core._params import Boolean, Interval, check_params
from sparseopt._core._threads import effective_n_threads
from sparseopt.completion._input import as_entries, as_pairs
from sparseopt.completion._kernels import aligned
from sparseopt.completion._orders import from_csr
from sparseopt.completion._partial import fold_in_rows, only
from sparseopt.completion._problem import Entries, padded
from sparseopt.completion._recommend import top_columns
from sparseopt.completion._result import CompletionResult
from sparseopt.completion._run import Factors
from sparseopt.completion._tables import integers, plain_table

# Predicted pairs whose factor rows are held at once.
_BLOCK = 1 << 16


class FactorModel(TransformerMixin, BaseEstimator):
    """Factors and biases of rows and columns, fitted by a subclass."""

    alpha: Any
    biases: str | None
    reg: Any
    bias_reg: Any
    nonnegative: bool
    cold_start: str
    n_threads: int | None
    row_factors_: np.ndarray
    col_factors_: np.ndarray
    row_bias_: np.ndarray
    col_bias_: np.ndarray
    intercept_: float
    n_features_in_: int
    result_: CompletionResult
    _entries: Entries

    def predict(self, rows: Any, cols: Any = None) -> np.ndarray:
        """Ratings of pairs of a row and a column.

        Parameters
        ----------
        rows : array-like of int of shape (n_pairs,) or (n_pairs, 2)
            Rows, or pairs where `cols` is not given.
        cols : array-like of int of shape (n_pairs,), optional
            Columns.

        Returns
        -------
        ndarray of shape (n_pairs,)
            Predictions.
        """
        check_is_fitted(self)
        rows, cols = as_pairs(rows, cols)
        m, n = len(self.row_factors_), len(self.col_factors_)
        known_rows, known_cols = rows < m, cols < n
        known = known_rows & known_cols
        if self.cold_start == "raise" and not known.all():
            first = int(np.argmin(known))
            raise IndexError(
                f"The pair ({rows[first]}, {cols[first]}) is not in the fitted matrix "
                f"of shape ({m}, {n}); cold_start='bias' predicts what is known of it."
            )
        dtype = self.row_factors_.dtype
        out = np.full(len(rows), self.intercept_, dtype)
        out[known_rows] += self.row_bias_[rows[known_rows]]
        out[known_cols] += self.col_bias_[cols[known_cols]]
        both = np.flatnonzero(known)
        for start in range(0, len(both), _BLOCK):
            e = both[start : start + _BLOCK]
            pair = self.row_factors_[rows[e]], self.col_factors_[cols[e]]
            out[e] += np.einsum("el,el->e", *pair)
        return out

    def transform(self, X: Any) -> np.ndarray:
        """Factors of new rows, the columns' factor being held.

        Parameters
        ----------
        X : sparse matrix or array-like of shape (m_new, n)
            Ratings of new rows.

        Returns
        -------
        ndarray of shape (m_new, n_components)
            Factors; those of a row without ratings are zero.
        """
        return self._fold_in(self._new_rows(X))[0]

    def recommend(
        self, row: Any, n: int = 10, *, exclude_seen: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Columns with the best predictions.

        Parameters
        ----------
        row : int, array-like of int, or matrix of shape (m_new, n_columns)
            Fitted rows, or ratings of new ones: a sparse matrix, or a dense one with
            NaN where there is none.
        n : int, default=10
            How many columns.
        exclude_seen : bool, default=True
            Whether columns that the row has rated are left out.

        Returns
        -------
        indices : ndarray of shape (n,) or (n_rows, n)
            Columns, best first; -1 where fewer are left.
        scores : ndarray of shape (n,) or (n_rows, n)
            Their predictions, minus infinity beside -1.
        """
        check_is_fitted(self)
        check_params(
            type(self),
            {"n": [Interval(1, None, integer=True)], "exclude_seen": [Boolean]},
            {"n": n, "exclude_seen": exclude_seen},
        )
        seen = None
        new = sparse.issparse(row) or np.ndim(row) == 2
        if new:
            entries = self._new_rows(row)
            left, bias = self._fold_in(entries)
            seen = entries.rows.ptr, entries.rows.idx
        else:
            rows = self._known_rows(row)
            left, bias = self.row_factors_[rows], self.row_bias_[rows]
            part = only(self._entries, False, rows).rows
            seen = part.ptr, part.idx
        ids, scores = top_columns(
            left,
            self.col_factors_,
            min(n, len(self.col_factors_)),
            seen=seen if exclude_seen else None,
            row_offset=bias + left.dtype.type(self.intercept_),
            col_offset=self.col_bias_,
            n_threads=effective_n_threads(self.n_threads),
        )
        if not new and np.ndim(row) == 0:
            return ids[0], scores[0]
        return ids, scores

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the root mean square error at the stored entries.

        Parameters
        ----------
        X : sparse matrix or array-like of shape (m, n)
            Ratings of the fitted rows and columns, all of them in their order: splits
            of the rows, as `GridSearchCV` makes them, do not suit.
        y : object
            Ignored.

        Returns
        -------
        float
            Not positive; 0 is perfect.
        """
        entries = self._new_rows(X, empty=False)
        # of other rows, as of a split of the table, the errors would mean nothing
        if entries.shape[0] != len(self.row_factors_):
            raise ValueError(
                f"X has {entries.shape[0]} rows, but {type(self).__name__} was fitted "
                f"with {len(self.row_factors_)}: ratings of the same rows are scored. "
                "Splits of the rows (GridSearchCV, cross_val_score) do not suit; "
                "MatrixFactorizerCV holds out ratings."
            )
        rows = np.repeat(np.arange(entries.shape[0]), np.diff(entries.rows.ptr))
        error = self.predict(rows, entries.rows.idx) - entries.rows.val
        largest = float(np.abs(error).max()) or 1.0  # no square may overflow
        mean = np.mean(np.square(error / largest, dtype=np.float64))
        return -largest * float(np.sqrt(mean))

    def _factors(self) -> Factors:
        """Factors as the ratings model has them: products without a diagonal."""
        width = padded(self.row_factors_.shape[1], self.row_factors_.dtype)
        k = self.row_factors_.shape[1]
        padded_factors = []
        for F in (self.row_factors_, self.col_factors_):
            P = aligned((len(F), width), F.dtype)
            P[:, :k] = F
            padded_factors.append(P)
        biases = (
            self.row_bias_ if self.biases in ("row", "both") else None,
            self.col_bias_ if self.biases in ("col", "both") else None,
        )
        L, R = padded_factors
        return Factors(L, np.ones(k), R, *biases, self.intercept_)

    def _ridge_options(self) -> dict[str, Any]:
        return {
            "biases": self.biases,
            "reg": self.reg,
            "bias_reg": self.bias_reg,
            "nonnegative": self.nonnegative,
        }

    def _fold_in(self, entries: Entries) -> tuple[np.ndarray, np.ndarray]:
        """Factors and biases of new rows."""
        factors, options = self._factors(), self._ridge_options()
        L, bias = fold_in_rows(entries, factors, self.result_.alpha, options)
        return L, np.zeros(len(L), L.dtype) if bias is None else bias

    def _set(self, L: np.ndarray, R: np.ndarray, row_bias: Any, col_bias: Any) -> None:
        self.row_factors_, self.col_factors_ = map(np.ascontiguousarray, (L, R))
        self.row_bias_, self.col_bias_ = (
            np.zeros(len(F), F.dtype) if bias is None else bias
            for bias, F in ((row_bias, L), (col_bias, R))
        )

    def _known_rows(self, row: Any) -> np.ndarray:
        try:
            rows = np.atleast_1d(integers(row, "row"))
        except TypeError:
            rows = np.empty((0, 0))
        if rows.ndim != 1:
            raise TypeError(
                "The 'row' parameter must be an int, ints, or ratings of new rows: a "
                f"matrix of shape (m_new, {len(self.col_factors_)}). Got {row!r}."
            )
        m = len(self.row_factors_)
        bad = np.flatnonzero((rows < 0) | (rows >= m))
        if len(bad):
            raise IndexError(
                f"The 'row' parameter must hold indices in [0, {m}). "
                f"Got {rows[bad[0]]}."
            )
        return rows.astype(np.int64)

    def _new_rows(self, X: Any, empty: bool = True) -> Entries:
        """Entries of new rows; of users without ratings there may be none at all."""
        check_is_fitted(self)
        X = validate_data(
            self,
            plain_table(X, "X"),
            reset=False,
            accept_sparse=("csr", "csc", "coo"),
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
        )
        dtype = self.row_factors_.dtype
        if sparse.issparse(X):
            none = X.nnz == 0
        else:
            none = bool(np.isnan(X).all())
        if none and empty:
            ptr = np.zeros(X.shape[0] + 1, np.int64)
            ids, values = np.empty(0, np.int32), np.empty(0, dtype)
            return from_csr(ptr, ids, values, (X.shape[0], X.shape[1]))
        return as_entries(X, dtype=dtype)
