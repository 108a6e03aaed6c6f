"""Matrix factorisation of ratings as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from sparseopt._core._params import (
    COMMON,
    Boolean,
    Interval,
    Options,
    Type,
    check_params,
)
from sparseopt.completion._api import complete
from sparseopt.completion._input import as_entries, as_pairs
from sparseopt.completion._partial import fold_in_rows
from sparseopt.completion._problem import Entries
from sparseopt.completion._result import CompletionResult
from sparseopt.completion._run import Factors

_CONSTRAINTS: dict[str, Any] = {
    **COMMON,
    "n_components": [Interval(1, None, integer=True), Options("auto")],
    "alpha": [Interval(0, None)],
    "bias_reg": [Interval(0, None), Type(tuple, list), None],
    "cold_start": [Options("bias", "raise")],
    "warm_start": [Boolean],
}


class MatrixFactorizer(TransformerMixin, BaseEstimator):
    """Low-rank factors and biases of a sparse matrix of ratings.

    Every stored number is an observation, zeros too; what is not stored is unknown.

    Parameters
    ----------
    n_components : int or "auto", default=10
        Rank.
    alpha : float, default=0.05
        Ridge of the factors; with ``reg="count"`` for each entry of a row or column.
    biases : {"row", "col", "both"} or None, default="both"
        Offsets of rows and columns fitted beside the factors.
    reg : {"count", "frobenius"} or float, default="count"
        Whether the ridge grows with the number of entries; a number in [0, 1] is the
        power of it. Where some rows have many entries and others few, 0.25 to 0.5
        predicts best, with its own `alpha`.
    bias_reg : float or pair of float, optional
        Ridge of the biases of rows and of columns, whatever `reg`; 5 if not given.
    loss : {"squared", "huber"}, default="squared"
        "huber" for gross errors, without biases and with ``reg="frobenius"``.
    nonnegative : bool, default=False
        Whether factors must not be negative, without biases and with
        ``reg="frobenius"``.
    cold_start : {"bias", "raise"}, default="bias"
        What `predict` gives for rows or columns beyond those fitted: what is known of
        the other side, or an error.
    tol, tol_obj, max_iter, max_time, validation_fraction, dtype, n_threads, \
random_state, callback, verbose
        As in `sparseopt.completion.complete`.
    warm_start : bool, default=False
        Whether `fit` starts at the factors of the last one.

    Attributes
    ----------
    row_factors_ : ndarray of shape (m, n_components)
        Factor of the rows.
    col_factors_ : ndarray of shape (n, n_components)
        Factor of the columns; a prediction is ``intercept_ + row_bias_[i] +
        col_bias_[j] + row_factors_[i] @ col_factors_[j]``.
    row_bias_ : ndarray of shape (m,)
        Offsets of rows, zero where not fitted.
    col_bias_ : ndarray of shape (n,)
        Offsets of columns, zero where not fitted.
    intercept_ : float
        Mean, zero without biases.
    n_iter_ : int
        Iterations.
    residual_ : float
        Relative error at the observed entries.
    result_ : CompletionResult
        Result of the solver.
    n_features_in_ : int
        Number of columns.

    See Also
    --------
    sparseopt.completion.MatrixFactorizerCV : Rank and ridge by cross-validation.
    sparseopt.completion.complete : The solver, with all of its options.

    Notes
    -----
    For explicit ratings.  Not for clicks and counts without negatives, where all that
    is not stored would have to be a weak zero.

    References
    ----------
    .. [1] Y. Zhou, D. Wilkinson, R. Schreiber, R. Pan, "Large-Scale Parallel
       Collaborative Filtering for the Netflix Prize", AAIM 2008, Section 3: the ridge
       by counts.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.completion import MatrixFactorizer
    >>> from sparseopt.datasets import make_low_rank
    >>> X, *_ = make_low_rank(100, 80, 2, oversampling=5, random_state=0)
    >>> model = MatrixFactorizer(2, alpha=1e-6, random_state=0).fit(X)
    >>> model.score(X) > -0.01
    True
    """

    result_: CompletionResult

    def __init__(
        self,
        n_components: int | str = 10,
        *,
        alpha: float = 0.05,
        biases: str | None = "both",
        reg: str | float = "count",
        bias_reg: float | tuple[float, float] | None = None,
        loss: str = "squared",
        nonnegative: bool = False,
        cold_start: str = "bias",
        tol: float | None = None,
        tol_obj: float = 1e-5,
        max_iter: int = 100,
        max_time: float | None = None,
        validation_fraction: float = 0.0,
        warm_start: bool = False,
        dtype: Any = None,
        n_threads: int | None = None,
        random_state: Any = None,
        callback: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.alpha = alpha
        self.biases = biases
        self.reg = reg
        self.bias_reg = bias_reg
        self.loss = loss
        self.nonnegative = nonnegative
        self.cold_start = cold_start
        self.tol = tol
        self.tol_obj = tol_obj
        self.max_iter = max_iter
        self.max_time = max_time
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.dtype = dtype
        self.n_threads = n_threads
        self.random_state = random_state
        self.callback = callback
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, *, weights: Any = None) -> Self:
        """Fit factors to a matrix of ratings.

        Parameters
        ----------
        X : sparse matrix or array-like of shape (m, n)
            Ratings; a dense array marks unknown ones by NaN.
        y : ignored
        weights : array-like, optional
            Non-negative weights of the ratings, as in `sparseopt.completion.complete`.

        Returns
        -------
        self : MatrixFactorizer
            The estimator.
        """
        X = validate_data(
            self,
            X,
            accept_sparse=("csr", "csc", "coo"),
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
        )
        return self._fit(X, None, weights, "raise")

    def fit_ratings(
        self,
        rows: Any,
        cols: Any,
        values: Any,
        shape: tuple[int, int] | None = None,
        *,
        weights: Any = None,
        duplicates: str = "raise",
    ) -> Self:
        """Fit factors to ratings given as three arrays.

        Parameters
        ----------
        rows, cols : array-like of int of shape (n_ratings,)
            Row and column of each rating.
        values : array-like of shape (n_ratings,)
            Ratings.
        shape : tuple of int, optional
            Of the matrix; the largest indices plus one if not given.
        weights : array-like of shape (n_ratings,), optional
            Non-negative weights.
        duplicates : {"raise", "sum", "last", "mean"}, default="raise"
            What to do where a pair is rated twice.

        Returns
        -------
        self : MatrixFactorizer
            The estimator.
        """
        self._fit((rows, cols, values), shape, weights, duplicates)
        self.n_features_in_ = len(self.col_factors_)
        return self

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
        out[known] = self.result_.predict(rows[known], cols[known])
        only = known_rows & ~known_cols
        out[only] += self.row_bias_[rows[only]]
        only = known_cols & ~known_rows
        out[only] += self.col_bias_[cols[only]]
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

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the root mean square error at the stored entries.

        Parameters
        ----------
        X : sparse matrix or array-like of shape (m, n)
            Ratings of the fitted rows and columns.
        y : ignored

        Returns
        -------
        float
            Not positive; 0 is perfect.
        """
        entries = self._new_rows(X)
        rows = np.repeat(np.arange(entries.shape[0]), np.diff(entries.rows.ptr))
        error = self.predict(rows, entries.rows.idx) - entries.rows.val
        return -float(np.sqrt(np.mean(np.square(error, dtype=np.float64))))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags

    def _fit(self, X: Any, shape: Any, weights: Any, duplicates: str) -> Self:
        check_params(type(self), _CONSTRAINTS, self.get_params(deep=False))
        again = self.warm_start and hasattr(self, "result_")
        self.result_ = complete(
            X,
            self.n_components,
            alpha=self.alpha,
            reg=self.reg,
            bias_reg=self.bias_reg,
            biases=self.biases,
            loss=self.loss,
            nonnegative=self.nonnegative,
            weights=weights,
            init=self.result_ if again else "spectral",
            tol=self.tol,
            tol_obj=self.tol_obj,
            max_iter=self.max_iter,
            max_time=self.max_time,
            validation_fraction=self.validation_fraction,
            shape=shape,
            duplicates=duplicates,
            dtype=self.dtype,
            n_threads=self.n_threads,
            random_state=self.random_state,
            callback=self.callback,
            verbose=self.verbose,
        )
        self._unpack(self.result_)
        return self

    def _unpack(self, r: CompletionResult) -> None:
        root = np.sqrt(r.s).astype(r.U.dtype)
        self.row_factors_, self.col_factors_ = r.U * root, r.V * root
        zero = np.zeros(0, r.U.dtype)
        self.row_bias_, self.col_bias_ = (
            np.resize(zero, len(F)) if bias is None else bias
            for bias, F in ((r.row_bias, r.U), (r.col_bias, r.V))
        )
        self.intercept_ = r.intercept
        self.n_iter_, self.residual_ = r.n_iter, r.residual

    def _new_rows(self, X: Any) -> Entries:
        check_is_fitted(self)
        X = validate_data(
            self,
            X,
            reset=False,
            accept_sparse=("csr", "csc", "coo"),
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
        )
        return as_entries(X, dtype=self.row_factors_.dtype)

    def _fold_in(self, entries: Entries) -> tuple[np.ndarray, np.ndarray]:
        """Factors and biases of new rows."""
        r = self.result_
        held = Factors(r.U[:0], r.s, r.V, None, r.col_bias, r.intercept)
        out, bias = fold_in_rows(entries, held, r.alpha, self._ridge_options())
        return out, np.zeros(len(out), out.dtype) if bias is None else bias

    def _ridge_options(self) -> dict[str, Any]:
        names = ("biases", "reg", "bias_reg")
        return {name: getattr(self, name) for name in names}
