"""Imputation of dense tables: a Gaussian model of their columns, or factors."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from sklearn.impute import MissingIndicator
from sklearn.utils.validation import (
    _check_feature_names_in,
    _check_sample_weight,
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
from sparseopt._core._threads import blas_limit
from sparseopt.completion._estimators_imputer_base import TableModel
from sparseopt.completion._input import observed
from sparseopt.completion._table_scales import bounds
from sparseopt.completion._tables import plain_table
from sparseopt.completion._whole import whole_or_not

_FLOATS = (np.float64, np.float32)
# Rows that are filled at once, at least.
_LEAST = 512
_CONSTRAINTS: dict[str, Any] = {
    **COMMON,
    "n_components": [Interval(1, None, integer=True), Options("auto"), None],
    "alpha": [Interval(0, None), Options("auto")],
    "standardize": [Boolean],
    "loss": [Options("squared", "huber")],
    "n_neighbors": [Interval(0, None, integer=True)],
    "sample_posterior": [Boolean],
    "add_indicator": [Boolean],
    "keep_empty_features": [Boolean],
    "clip_range": [Type(tuple, list), None],
}


class LowRankImputer(TableModel):
    """Fill missing values of a table by what is related to them.

    By default rows are taken for draws from a Gaussian distribution: its mean and
    covariance are fitted to all observed values together, each missing value is its
    expectation given what its row has, and what that leaves to curves and clusters
    comes from the rows that are nearest.  `n_components` limits the covariance to that
    rank plus a diagonal, and with a number for `alpha` the model is a mean and a matrix
    of that rank.  New rows are imputed without a refit.

    Parameters
    ----------
    n_components : int, "auto" or None, default=None
        Rank, beside the mean; "auto" is an estimate.  None does not limit it.
    alpha : float or "auto", default="auto"
        Strength of the regularisation; 0 for exact data.  Of the Gaussian the weight,
        relative to that of all rows, of a prior without relations between columns;
        "auto" takes half a row for each column, or more where that predicts observed
        values better.  A number with `n_components` is the nuclear norm penalty of
        `complete` on the standardised table.
    standardize : bool, default=True
        Whether columns are centred and divided by their standard deviation first, and
        the mean fitted with the model.  False for tables of one unit that have mean
        zero, or are of low rank as they are.
    loss : {"squared", "huber"}, default="squared"
        "huber" for tables with gross errors: neither the fit nor what is imputed to a
        row follows values that the rest of the table contradicts.
    missing_values : float, default=nan
        What stands for a missing value.
    add_indicator : bool, default=False
        Whether columns that tell what was missing are appended.
    keep_empty_features : bool, default=False
        Whether columns of which nothing was observed are kept, filled with zeros.
    clip_range : pair of float or None, optional
        Bounds of imputed values, the same for all columns; None in it is no bound.
    tol : float, optional
        Of the Gaussian a bound on what imputed values have left to go, in conditional
        standard deviations, and on the relative change of their squares: .1, or 1e-4
        where `alpha` is given.  Of `complete` the relative error at the observed
        entries: 1e-8, or 1e-5 for float32.
    max_iter : int, default=500
        Iteration limit.
    max_time : float, optional
        Time limit in seconds.
    n_threads : int, optional
        OpenMP threads.
    random_state : int, Generator, RandomState or None
        Of the draws of `sample_posterior`, and of `complete`.
    callback : callable, optional
        As in `sparseopt.completion.complete`; ``mean`` and ``covariance`` of the
        Gaussian, or factors, are of the standardised table.
    verbose : int, default=0
        As in `sparseopt.completion.complete`.
    min_value, max_value : float or array-like of shape (n_features,), optional
        Bounds of imputed values.
    n_neighbors : int, default=10
        Nearest rows of the fit that correct what the Gaussian expects, by the share
        that predicts observed values best; 0 for the Gaussian alone.
    sample_posterior : bool, default=False
        Whether values are drawn from the Gaussian instead, and its mean and covariance
        from their posterior: for multiple imputation, one `random_state` for each.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Principal axes of the standardised table, zero for empty columns: right singular
        vectors, or eigenvectors of the Gaussian's correlations.
    singular_values_ : ndarray of shape (n_components,)
        Its singular values, or those that as many rows of the Gaussian have.
    mean_, scale_ : ndarray of shape (n_features,)
        Location and scale of the columns by the model; nan and 1 for empty columns.
    alpha_ : float
        Strength that was used.
    n_iter_ : int
        Iterations.
    residual_ : float
        What `tol` bounds.
    indicator_ : MissingIndicator or None
        What marks missing values.
    result_ : GaussianResult or CompletionResult
        Result of the solver, that of `sparseopt.completion.complete` for the columns
        that are not empty, with `mean_` and `scale_` taken out.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if the table had some.

    See Also
    --------
    sparseopt.completion.complete : The solver, for sparse matrices too.
    sklearn.impute.IterativeImputer : A regression for each column, with any regressor.

    Notes
    -----
    Tables of more than 300 columns that have less than four rows for each are fitted by
    `complete` in any case, of rank 10 if there is none, with the penalty that predicts
    a tenth of the observed values best.

    For numeric tables whose columns are related.  Not for categorical columns, and not
    where being missing depends on the value itself; it may depend on observed ones.

    The Gaussian is the maximum of the posterior density, found by the EM algorithm
    [1]_; rows that miss the same entries are handled together.  The prior keeps exact
    relations between columns.  With ``loss="huber"`` single entries are set aside, the
    worst of a row first, until all that are left are within 3.5 conditional standard
    deviations of what the others predict [2]_.  Beside the table it needs the memory of
    three to five more.

    References
    ----------
    .. [1] R. Little, D. Rubin, "Statistical Analysis with Missing Data", chapter 11,
       Wiley 2019.
    .. [2] J. Raymaekers, P. Rousseeuw, "The Cellwise Minimum Covariance Determinant
       Estimator", JASA 2024.
    .. [3] R. Mazumder, T. Hastie, R. Tibshirani, "Spectral Regularization Algorithms
       for Learning Large Incomplete Matrices", JMLR 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.completion import LowRankImputer
    >>> X = np.array([[1, 2], [2, np.nan], [3, 6], [4, 8], [np.nan, 10], [6, 12]])
    >>> LowRankImputer().fit_transform(X).round(3)
    array([[ 1.,  2.],
           [ 2.,  4.],
           [ 3.,  6.],
           [ 4.,  8.],
           [ 5., 10.],
           [ 6., 12.]])
    """

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
        clip_range: tuple[float | None, float | None] | None = None,
        tol: float | None = None,
        max_iter: int = 500,
        max_time: float | None = None,
        n_threads: int | None = None,
        random_state: Any = None,
        callback: Any = None,
        verbose: int = 0,
        min_value: Any = None,
        max_value: Any = None,
        n_neighbors: int = 10,
        sample_posterior: bool = False,
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
        self.min_value = min_value
        self.max_value = max_value
        self.n_neighbors = n_neighbors
        self.sample_posterior = sample_posterior

    @whole_or_not
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Table with missing values.
        y : object
            Ignored.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows, not negative: two is a row that is there twice.

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
        X = self._validate(X, reset=True)
        self._bounds = bounds(
            self.min_value, self.max_value, self.clip_range, X.shape[1]
        )
        seen = observed(X, self.missing_values)
        if not seen.any():
            raise ValueError(
                "The 'X' array must have at least one observed entry. All of its "
                f"{X.size} entries are missing ({self.missing_values!r})."
            )
        w = self._weights(X, seen, sample_weight)
        self._full = np.asarray(seen[w > 0].any(axis=0))
        self.indicator_ = None
        if self.add_indicator:
            indicator = MissingIndicator(
                missing_values=self.missing_values, error_on_new=False
            )
            self.indicator_ = indicator.fit(X)
        self._standardise(X, seen, w)
        self._seed = None
        if self._is_gaussian(X.shape):
            self._fit_gaussian(X, seen, w)
        else:
            self._fit_factors(X, seen, None if sample_weight is None else w)
        self.mean_[~self._full] = np.nan
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
            # in parts, for the sake of memory
            parts = math.ceil(len(rows) / max(_LEAST, len(X) // 8))
            rng = None if self._seed is None else np.random.default_rng(self._seed)
            with blas_limit(1):
                for at in np.array_split(rows, parts):
                    filled = self._filled(X[at], seen[at], rng)
                    out[at] = np.where(seen[at], X[at], filled)[:, self._kept]
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

    def _weights(self, X: np.ndarray, seen: np.ndarray, given: Any) -> np.ndarray:
        """Weights of mean one; those of rows without a value do not count."""
        w = np.ones(len(X))
        if given is not None:
            w = _check_sample_weight(
                given, X, dtype=np.float64, ensure_non_negative=True, copy=True
            )
            if w.max() > 0:
                w /= w.max()
        w[~seen.any(axis=1)] = 0
        if not w.any():
            raise ValueError(
                "The 'sample_weight' array must have a weight that is not zero, for a "
                "row with an observed entry. Got only zero weights."
            )
        return w / w[w > 0].mean()
