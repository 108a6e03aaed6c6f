"""Imputation of dense tables by low-rank completion."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import MissingIndicator
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

from sparseopt._core._params import (
    COMMON,
    Boolean,
    Interval,
    Options,
    Type,
    check_params,
)
from sparseopt.completion._api import complete
from sparseopt.completion._input import as_entries, observed
from sparseopt.completion._kernels import aligned
from sparseopt.completion._partial import fold_in_rows
from sparseopt.completion._problem import Entries, padded
from sparseopt.completion._run import Factors
from sparseopt.completion._tables import plain_table
from sparseopt.completion._whole import whole_or_not

_FLOATS = (np.float64, np.float32)
_RANK = 10
_CONSTRAINTS: dict[str, Any] = {
    **COMMON,
    "n_components": [Interval(1, None, integer=True), Options("auto"), None],
    "alpha": [Interval(0, None), Options("auto")],
    "standardize": [Boolean],
    "loss": [Options("squared", "huber")],
    "add_indicator": [Boolean],
    "keep_empty_features": [Boolean],
    "clip_range": [Type(tuple, list), None],
}


class LowRankImputer(TransformerMixin, BaseEstimator):
    """Fill missing values of a table by a low-rank model of its columns.

    Columns are standardised by what is observed of them, a matrix of low rank is fitted
    to all of them together, and each missing value is read off from it.  New rows are
    imputed by the fitted columns' factor without a refit.

    Parameters
    ----------
    n_components : int, "auto" or None, default=None
        Rank; None is 10, or less where the table is smaller, "auto" an estimate.
    alpha : float or "auto", default="auto"
        Nuclear norm penalty on the standardised table; "auto" takes the one that
        predicts a tenth of the observed entries best.
    standardize : bool, default=True
        Whether columns are centred and divided by their standard deviation first.
        False for tables of one unit that are of low rank as they are.
    loss : {"squared", "huber"}, default="squared"
        "huber" for tables with gross errors.
    missing_values : float, default=nan
        What stands for a missing value.
    add_indicator : bool, default=False
        Whether columns that tell what was missing are appended.
    keep_empty_features : bool, default=False
        Whether columns of which nothing was observed are kept, filled with zeros.
    clip_range : pair of float, optional
        Bounds of imputed values.
    tol : float, optional
        Relative error at the observed entries; 1e-8, or 1e-5 for float32.
    max_iter : int, default=500
        Iteration limit.
    max_time : float, optional
        Time limit in seconds.
    n_threads : int, optional
        OpenMP threads.
    random_state : int, Generator, RandomState or None
        Of the start and of the entries that `alpha` is judged by.
    callback : callable, optional
        As in `sparseopt.completion.complete`; factors are of the standardised table.
    verbose : int, default=0
        As in `sparseopt.completion.complete`.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Right singular vectors of the standardised table; zero for empty columns.
    singular_values_ : ndarray of shape (n_components,)
        Its singular values.
    mean_, scale_ : ndarray of shape (n_features,)
        Location and scale of the observed values; nan and 1 for empty columns.
    alpha_ : float
        Penalty that was used.
    n_iter_ : int
        Iterations.
    residual_ : float
        Relative error at the observed entries.
    indicator_ : MissingIndicator or None
        What marks missing values.
    result_ : CompletionResult
        Result of the solver, of the standardised columns that are not empty.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if the table had some.

    See Also
    --------
    sparseopt.completion.complete : The solver, for sparse matrices too.
    sklearn.impute.IterativeImputer : A regression for each column; slower, and not
        limited to linear structure that all columns share.

    Notes
    -----
    For numeric tables whose columns are driven by a few common factors.  Not for
    categorical columns, and not where being missing depends on the value itself.

    References
    ----------
    .. [1] R. Mazumder, T. Hastie, R. Tibshirani, "Spectral Regularization Algorithms
       for Learning Large Incomplete Matrices", JMLR 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.completion import LowRankImputer
    >>> rng = np.random.default_rng(0)
    >>> table = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 8))
    >>> X = np.where(rng.random(table.shape) < 0.2, np.nan, table)
    >>> imputer = LowRankImputer(2, alpha=0.0, standardize=False)
    >>> bool(np.allclose(imputer.fit_transform(X), table, atol=1e-4))
    True
    """

    _full: np.ndarray

    def __init__(
        self,
        n_components: int | str | None = None,
        *,
        alpha: float | str = "auto",
        standardize: bool = True,
        loss: str = "squared",
        missing_values: float = np.nan,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
        clip_range: tuple[float, float] | None = None,
        tol: float | None = None,
        max_iter: int = 500,
        max_time: float | None = None,
        n_threads: int | None = None,
        random_state: Any = None,
        callback: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.alpha = alpha
        self.standardize = standardize
        self.loss = loss
        self.missing_values = missing_values
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.clip_range = clip_range
        self.tol = tol
        self.max_iter = max_iter
        self.max_time = max_time
        self.n_threads = n_threads
        self.random_state = random_state
        self.callback = callback
        self.verbose = verbose

    @whole_or_not
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the low-rank model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Table with missing values.
        y : object
            Ignored.

        Returns
        -------
        self : LowRankImputer
            The estimator.
        """
        check_params(type(self), _CONSTRAINTS, self.get_params(deep=False))
        if not isinstance(self.missing_values, (int, float, np.number)):
            raise TypeError(
                "The 'missing_values' parameter of "
                "sparseopt.completion.LowRankImputer must be a number or nan. "
                f"Got {self.missing_values!r}."
            )
        self._clip()
        X = self._validate(X, reset=True)
        seen = observed(X, self.missing_values)
        if not seen.any():
            raise ValueError(
                "The 'X' array must have at least one observed entry. All of its "
                f"{X.size} entries are missing ({self.missing_values!r})."
            )
        self._full = np.asarray(seen.any(axis=0))
        self._standardise(X, seen)
        self.indicator_ = None
        if self.add_indicator:
            indicator = MissingIndicator(
                missing_values=self.missing_values, error_on_new=False
            )
            self.indicator_ = indicator.fit(X)
        Z = self._standard(X, seen)[:, self._full]
        self.result_ = complete(
            Z,
            self._rank(Z.shape),
            alpha=self.alpha,
            loss=self.loss,
            tol=self.tol,
            max_iter=self.max_iter,
            max_time=self.max_time,
            n_threads=self.n_threads,
            random_state=self.random_state,
            callback=self.callback,
            verbose=self.verbose,
        )
        r = self.result_
        self.components_ = np.zeros((len(r.s), X.shape[1]), X.dtype)
        self.components_[:, self._full] = r.V.T
        self.singular_values_ = r.s
        self.alpha_, self.n_iter_, self.residual_ = r.alpha, r.n_iter, r.residual
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Fill missing values; observed ones stay as they are.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows seen in `fit` or new ones.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            Table without missing values, and indicator columns where asked for.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        seen = observed(X, self.missing_values)
        out = np.where(seen, X, 0)[:, self._kept]
        rows = np.flatnonzero(~seen[:, self._full].all(axis=1))
        if len(rows):
            values = self._model(X[rows], seen[rows])
            filled = np.zeros((len(rows), X.shape[1]), X.dtype)
            filled[:, self._full] = values
            out[rows] = np.where(seen[rows], X[rows], filled)[:, self._kept]
        if self.indicator_ is not None:
            out = np.hstack([out, self.indicator_.transform(X)])
        return out

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the columns of the output.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the input's columns; those seen in `fit` if not given.

        Returns
        -------
        ndarray of str
            Names of kept columns, then of indicators.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        kept = names[self._kept]
        if self.indicator_ is None:
            return kept
        return np.concatenate([kept, self.indicator_.get_feature_names_out(names)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._nan
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _nan(self) -> bool:
        missing = self.missing_values
        return isinstance(missing, (float, np.floating)) and math.isnan(missing)

    @property
    def _kept(self) -> np.ndarray:
        if self.keep_empty_features:
            return np.ones(len(self._full), dtype=bool)
        return self._full

    def _validate(self, X: Any, reset: bool) -> np.ndarray:
        return validate_data(
            self,
            plain_table(X, "X"),
            reset=reset,
            dtype=list(_FLOATS),
            ensure_all_finite="allow-nan" if self._nan else True,
        )

    def _rank(self, shape: tuple[int, int]) -> int | str:
        if self.n_components is None:
            return min(_RANK, *shape)
        return self.n_components

    def _standardise(self, X: np.ndarray, seen: np.ndarray) -> None:
        """Location and scale of what is observed of each column."""
        n = X.shape[1]
        self.mean_ = np.zeros(n, X.dtype)
        self.scale_ = np.ones(n, X.dtype)
        if self.standardize:
            counts = np.maximum(seen.sum(axis=0), 1)
            values = np.where(seen, X, 0).astype(np.float64)
            size = np.abs(values).max(axis=0)
            size[size == 0] = 1.0  # so that squares neither overflow nor vanish
            values /= size
            mean = values.sum(axis=0) / counts
            spread = np.where(seen, values - mean, 0)
            deviation = np.sqrt(np.square(spread).sum(axis=0) / counts)
            constant = deviation <= 10 * np.finfo(X.dtype).eps * np.abs(mean)
            deviation[constant | (deviation == 0)] = 1.0
            self.mean_[:] = mean * size
            self.scale_[:] = deviation * size
        self.mean_[~self._full] = np.nan

    def _standard(self, X: np.ndarray, seen: np.ndarray) -> np.ndarray:
        Z = np.full(X.shape, np.nan, X.dtype)
        np.divide(X - self.mean_, self.scale_, out=Z, where=seen)
        return Z

    def _model(self, X: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Values of the low-rank model in columns that are not empty."""
        r, full = self.result_, self._full
        Z = self._standard(X, seen)[:, full]
        some = np.flatnonzero(seen[:, full].any(axis=1))
        alive = r.s > 1e-10 * max(r.s[0], np.finfo(np.float64).tiny)
        out = np.zeros(Z.shape, X.dtype)
        if len(some) and alive.any():
            out[some] = self._fold_in(as_entries(Z[some]), alive) @ r.V[:, alive].T
        out = out * self.scale_[full] + self.mean_[full]
        if self.clip_range is not None:
            np.clip(out, *self.clip_range, out=out)
        return out

    def _fold_in(self, entries: Entries, alive: np.ndarray) -> np.ndarray:
        """Left factor of rows, the right one being the singular vectors."""
        s, k = self.result_.s[alive], int(alive.sum())
        root = np.sqrt(s).astype(entries.dtype)
        R = aligned((len(self.result_.V), padded(k, entries.dtype)), entries.dtype)
        R[:, :k] = self.result_.V[:, alive] * root
        held = Factors(R[:0], np.ones(k), R)
        return fold_in_rows(entries, held, self.alpha_, {})[0] * root

    def _clip(self) -> None:
        pair = self.clip_range
        if pair is None:
            return
        good = len(pair) == 2 and all(np.ndim(b) == 0 for b in pair)
        if not good or not pair[0] <= pair[1]:
            raise ValueError(
                "The 'clip_range' parameter of "
                "sparseopt.completion.LowRankImputer must be two ascending numbers. "
                f"Got {pair!r}."
            )
