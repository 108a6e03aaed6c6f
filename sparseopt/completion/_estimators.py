"""Matrix factorisation of ratings as a scikit-learn estimator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import validate_data

from sparseopt._core._monitor import Monitor
from sparseopt._core._params import (
    COMMON,
    Boolean,
    Interval,
    Options,
    Type,
    check_params,
)
from sparseopt._core._random import as_generator
from sparseopt._core._threads import effective_n_threads
from sparseopt.completion._api import check_bias_reg, complete
from sparseopt.completion._estimators_base import FactorModel
from sparseopt.completion._input import as_entries, own_entries
from sparseopt.completion._partial import merge, update
from sparseopt.completion._problem import Entries
from sparseopt.completion._result import CompletionResult
from sparseopt.completion._run import FIELDS
from sparseopt.completion._tables import plain_table
from sparseopt.completion._whole import whole_or_not

_RANK = 10
_CONSTRAINTS: dict[str, Any] = {
    **COMMON,
    "n_components": [Interval(1, None, integer=True), Options("auto"), None],
    "alpha": [Interval(0, None)],
    "reg": [Options("frobenius", "count"), Interval(0, 1)],
    "biases": [Options("row", "col", "both"), None],
    "loss": [Options("squared", "huber")],
    "nonnegative": [Boolean],
    "bias_reg": [Interval(0, None), Type(tuple, list), None],
    "cold_start": [Options("bias", "raise")],
    "warm_start": [Boolean],
}


class MatrixFactorizer(FactorModel):
    """Low-rank factors and biases of a sparse matrix of ratings.

    Every stored number is an observation, zeros too; what is not stored is unknown.

    Parameters
    ----------
    n_components : int, "auto" or None, default=None
        Rank; None is 10, or less where the matrix is smaller, "auto" an estimate.
    alpha : float, default=2.0
        Ridge of the factors, in the unit of the ratings: the default suits one to five
        stars.  `reg` multiplies it.
    biases : {"row", "col", "both"} or None, default="both"
        Offsets of rows and columns fitted beside the factors.
    reg : {"count", "frobenius"} or float, default=0.5
        Power of its number of entries that a row's or column's ridge is multiplied by,
        in [0, 1]; "count" is 1 and "frobenius" 0.  Where some rows have many entries
        and others few, 0.25 to 0.5 predicts best; each has its own scale of `alpha`.
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
    tol : float, optional
        Relative error at the observed entries; 1e-8, or 1e-5 for float32.
    tol_obj : float, default=1e-5
        Relative decrease of the objective over three iterations that ends the fit.
    max_iter : int, default=500
        Iteration limit.
    max_time : float, optional
        Time limit in seconds.
    validation_fraction : float, default=0.0
        Share of the ratings held out; the iterate that is best on them is kept.
    warm_start : bool, default=False
        Whether `fit` starts at the model of the last `fit` or `partial_fit`, if that
        was of a matrix of the same shape.
    dtype : {"float32", "float64"}, optional
        Type to convert ratings to.
    n_threads : int, optional
        OpenMP threads.
    random_state : int, Generator, RandomState or None
        Of the start and of a held-out part.
    callback : callable, optional
        As in `sparseopt.completion.complete`; of `partial_fit` after each sweep.
    verbose : int, default=0
        As in `sparseopt.completion.complete`.

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
    _moved: bool = False

    def __init__(
        self,
        n_components: int | str | None = None,
        *,
        alpha: float = 2.0,
        biases: str | None = "both",
        reg: str | float = 0.5,
        bias_reg: float | tuple[float, float] | None = None,
        loss: str = "squared",
        nonnegative: bool = False,
        cold_start: str = "bias",
        tol: float | None = None,
        tol_obj: float = 1e-5,
        max_iter: int = 500,
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

    @whole_or_not
    def fit(self, X: Any, y: Any = None, *, weights: Any = None) -> Self:
        """Fit factors to a matrix of ratings.

        Parameters
        ----------
        X : sparse matrix or array-like of shape (m, n)
            Ratings; a dense array marks unknown ones by NaN. Or what
            `entries_from_chunks` and `open_entries` give.
        y : object
            Ignored.
        weights : array-like, optional
            Non-negative weights of the ratings, as in `sparseopt.completion.complete`.

        Returns
        -------
        self : MatrixFactorizer
            The estimator.
        """
        if isinstance(X, Entries):
            return self._fit_unnamed(X, None, weights, "raise")
        X = validate_data(
            self,
            plain_table(X, "X"),
            accept_sparse=("csr", "csc", "coo"),
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
        )
        return self._fit(X, None, weights, "raise")

    @whole_or_not
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
        return self._fit_unnamed((rows, cols, values), shape, weights, duplicates)

    @whole_or_not
    def partial_fit(
        self, X: Any, y: Any = None, *, n_sweeps: int = 1, forget: float = 1.0
    ) -> Self:
        """Take in new ratings, rows and columns without a fit from scratch.

        Rows and columns with new ratings are solved for first, then all in sweeps.
        ``result_``, ``n_iter_`` and ``residual_`` stay those of the last `fit`, for
        which this is the start where `warm_start` is set. A call that fails or is
        interrupted leaves the estimator as it was.

        Parameters
        ----------
        X : sparse matrix or tuple of three arrays
            New ratings, in place of earlier ones of the same pair; rows or columns
            beyond the fitted ones are added.
        y : object
            Ignored.
        n_sweeps : int, default=1
            Sweeps over all ratings; `max_time` and `callback` may end them sooner.
        forget : float, default=1.0
            What weights of earlier ratings are multiplied by, in (0, 1].

        Returns
        -------
        self : MatrixFactorizer
            The estimator.
        """
        check_params(
            type(self),
            {
                "n_sweeps": [Interval(0, None, integer=True)],
                "forget": [Interval(0, 1, closed="right")],
            },
            {"n_sweeps": n_sweeps, "forget": forget},
        )
        if not hasattr(self, "result_"):
            return self._fit_unnamed(X, None, None, "raise")
        options, monitor = self._ridge_options(), self._check_update()
        new = as_entries(X, dtype=self.row_factors_.dtype)
        rows = np.repeat(np.arange(new.shape[0]), np.diff(new.rows.ptr))
        factors = self._factors()
        entries = merge(self._entries, new, forget=forget)
        factors = update(
            entries,
            factors,
            (rows, new.rows.idx),
            self.result_.alpha,
            options,
            n_sweeps=n_sweeps,
            rng=as_generator(self.random_state),
            monitor=monitor,
        )
        k = factors.k
        self._entries, self._moved = entries, True
        self._set(
            factors.U[:, :k], factors.V[:, :k], factors.row_bias, factors.col_bias
        )
        if self.n_features_in_ != len(self.col_factors_):
            # of the new columns there are no names
            self.__dict__.pop("feature_names_in_", None)
        self.n_features_in_ = len(self.col_factors_)
        return self

    def _check_update(self) -> Monitor:
        """Parameters of `partial_fit`, which may have been set since the fit."""
        options = self._ridge_options()
        # the search has neither
        max_time, callback = (getattr(self, p, None) for p in ("max_time", "callback"))
        given = {**options, "max_time": max_time, "callback": callback}
        check_params(type(self), {name: _CONSTRAINTS[name] for name in given}, given)
        check_bias_reg(type(self).__name__, options["bias_reg"])
        if self.loss != "squared" or self.nonnegative:
            raise ValueError(
                "partial_fit of sparseopt.completion.MatrixFactorizer is for "
                "loss='squared' without nonnegative=True. "
                f"Got loss={self.loss!r}, nonnegative={self.nonnegative!r}."
            )
        return Monitor(
            "MatrixFactorizer.partial_fit",
            max_time=max_time,
            callback=callback,
            fields=FIELDS,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags

    def _fit(self, X: Any, shape: Any, weights: Any, duplicates: str) -> Self:
        check_params(type(self), _CONSTRAINTS, self.get_params(deep=False))
        again = self.warm_start and hasattr(self, "result_")
        check_bias_reg("MatrixFactorizer", self.bias_reg)
        # also what `recommend` leaves out and `partial_fit` goes on with
        self._entries = own_entries(
            X,
            weights=weights,
            dtype=self.dtype,
            shape=shape,
            duplicates=duplicates,
            n_threads=effective_n_threads(self.n_threads),
        )
        k = self.n_components
        if k is None:
            k = min(_RANK, *self._entries.shape)
        self.result_ = complete(
            self._entries,
            k,
            alpha=self.alpha,
            reg=self.reg,
            bias_reg=self.bias_reg,
            biases=self.biases,
            loss=self.loss,
            nonnegative=self.nonnegative,
            init=self._last(k) if again else "spectral",
            tol=self.tol,
            tol_obj=self.tol_obj,
            max_iter=self.max_iter,
            max_time=self.max_time,
            validation_fraction=self.validation_fraction,
            n_threads=self.n_threads,
            random_state=self.random_state,
            callback=self.callback,
            verbose=self.verbose,
        )
        self._unpack(self.result_)
        return self

    def _fit_unnamed(self, X: Any, shape: Any, weights: Any, duplicates: str) -> Self:
        """Fit to what has no names of columns."""
        self._fit(X, shape, weights, duplicates)
        self.__dict__.pop("feature_names_in_", None)  # of an earlier fit to a frame
        self.n_features_in_ = len(self.col_factors_)
        return self

    def _last(self, k: Any) -> Any:
        """Start at the last model, as far as it is one of this matrix and rank."""
        r = self.result_
        if self._moved:
            r = replace(
                r, U=self.row_factors_, s=np.ones(self.row_factors_.shape[1]),
                V=self.col_factors_, row_bias=self.row_bias_, col_bias=self.col_bias_,
                intercept=self.intercept_,
            )  # fmt: skip
        if (len(r.U), len(r.V)) != self._entries.shape:
            return "spectral"
        k = len(r.s) if k == "auto" else k
        order = np.argsort(-r.s, kind="stable")[:k]
        return replace(r, U=r.U[:, order], s=r.s[order], V=r.V[:, order])

    def _unpack(self, r: CompletionResult) -> None:
        self._moved = False  # by partial_fit
        root = np.sqrt(r.s).astype(r.U.dtype)
        self._set(r.U * root, r.V * root, r.row_bias, r.col_bias)
        self.intercept_ = r.intercept
        self.n_iter_, self.residual_ = r.n_iter, r.residual
