"""Sparse envelope models that choose k and lam themselves."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.multiclass import check_classification_targets

from sparseopt._core._types import Folds, GroupsLike, GroupWeights, Scoring
from sparseopt.linear_model._envelope_estimators import (
    SparseEnvelopeClassifier,
    SparseEnvelopeRegressor,
)
from sparseopt.linear_model._envelope_search import Search

# Parameters that the models on the grid get from the search.
_PASSED = (
    *("groups", "weights", "debias", "refit", "solver", "tol", "max_iter"),
    *("fit_intercept", "n_threads"),
)
# Mean squares below this share of the targets' are an exact fit.
_EXACT = 1e-20


class SparseEnvelopeRegressorCV(Search, SparseEnvelopeRegressor):
    """Linear regression on about k groups of features, k and lam chosen from data.

    Fits `SparseEnvelopeRegressor` for each pair of k and lam and keeps the best by
    cross-validation or by an information criterion.

    Parameters
    ----------
    k : int, float, array-like or None, default=None
        Numbers of groups, or fractions of all groups; None tries 1, 2, 3, 4, 5, 7, ...
        up to 50, to a third of the samples and to all groups.
    lam : float or array-like, default=0.1
        Multiples of the envelope.
    groups : int, list or dict of index arrays, array of labels, default=None
        As in `SparseEnvelopeRegressor`.
    weights : None, "sqrt", "size" or array-like of shape (n_groups,), default=None
        As in `SparseEnvelopeRegressor`.
    debias : float in [0, 1), default=0.0
        As in `SparseEnvelopeRegressor`.
    refit : {"splice", "ridge", "ols"} or None, default="splice"
        As in `SparseEnvelopeRegressor`; the coefficients of "splice" hardly depend on
        lam.
    criterion : {"cv", "ebic", "gic"}, default="cv"
        Cross-validation, the extended Bayesian criterion [1]_, or the generalised one
        [2]_, in which sample weights count as repetitions.
    one_se : bool, default=False
        Whether to take the smallest k, and for it the largest lam, whose score is
        within one standard error of the best.
    cv : int, splitter or iterable, optional
        Folds, as in scikit-learn; 5 if not given.
    scoring : str or callable, optional
        Score to maximise over the folds; R^2 with the sample weights if not given.
    solver : {"auto", "envelope", "prox_grad"}, default="auto"
        As in `SparseEnvelopeRegressor`.
    tol : float, optional
        As in `SparseEnvelopeRegressor`.
    max_iter : int, optional
        As in `SparseEnvelopeRegressor`.
    max_time : float, optional
        Limit in seconds of the whole search; pairs that not all folds got to are left
        out.
    fit_intercept : bool, default=True
        Whether an intercept is fitted.
    n_threads : int, optional
        OpenMP threads in one solve.
    n_jobs : int, optional
        Processes over the folds.
    verbose : int, default=0
        As in `SparseEnvelopeRegressor`.

    Attributes
    ----------
    k_, lam_ : int, float
        Chosen parameters.
    grid_ : ndarray of shape (n_grid, 2)
        Pairs of k and lam, k ascending and for each k lam descending.
    scores_, scores_error_ : ndarray of shape (n_grid,)
        Mean scores and their standard errors; for a criterion its negative.
    path_ : ndarray of shape (n_grid, n_features)
        Coefficients for each pair.
    coef_, intercept_, support_, group_support_, u_, n_iter_, result_ : object
        Of the chosen fit, as in `SparseEnvelopeRegressor`.
    dual_gap_, lower_bound_, upper_bound_, certified_ : float, bool
        Of the chosen fit, as in `SparseEnvelopeRegressor`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if there are.

    See Also
    --------
    SparseEnvelopeRegressor : The model for one k and lam.

    References
    ----------
    .. [1] J. Chen, Z. Chen, "Extended Bayesian information criteria for model selection
       with large model spaces", Biometrika 95(3), 2008, Section 2.
    .. [2] Y. Fan, C. Y. Tang, "Tuning parameter selection in high dimensional penalized
       likelihood", JRSS B 75(3), 2013, Section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import SparseEnvelopeRegressorCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((60, 100))
    >>> y = X[:, [3, 50, 90]] @ [1.0, -1.0, 2.0] + 0.3 * rng.standard_normal(60)
    >>> model = SparseEnvelopeRegressorCV(k=[1, 2, 3, 4, 5], criterion="ebic").fit(X, y)
    >>> model.k_, model.support_
    (3, array([ 3, 50, 90]))
    """

    def __init__(
        self,
        k: Any = None,
        lam: Any = 0.1,
        *,
        groups: GroupsLike = None,
        weights: GroupWeights = None,
        debias: float = 0.0,
        refit: Literal["splice", "ridge", "ols"] | None = "splice",
        criterion: Literal["cv", "ebic", "gic", "bic", "aic"] = "cv",
        one_se: bool = False,
        cv: Folds = None,
        scoring: Scoring = None,
        solver: Literal["auto", "envelope", "prox_grad"] = "auto",
        tol: float | None = None,
        max_iter: int | None = None,
        max_time: float | None = None,
        fit_intercept: bool = True,
        n_threads: int | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.k = k
        self.lam = lam
        self.groups = groups
        self.weights = weights
        self.debias = debias
        self.refit = refit
        self.criterion = criterion
        self.one_se = one_se
        self.cv = cv
        self.scoring = scoring
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.max_time = max_time
        self.fit_intercept = fit_intercept
        self.n_threads = n_threads
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the models of the grid and choose one.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples, not negative.

        Returns
        -------
        SparseEnvelopeRegressorCV
            The fitted estimator.
        """
        X, y = self._validate(X, y, y_numeric=True)
        return self._choose(X, y, sample_weight)

    def _model(self) -> SparseEnvelopeRegressor:
        return SparseEnvelopeRegressor(
            **{name: getattr(self, name) for name in _PASSED},
            verbose=max(0, int(self.verbose) - 1),
        )

    def _deviance(self, fit: Any, X: Any, y: Any, weight: Any) -> float:
        square = float(np.average((y - fit.predict(X)) ** 2, weights=weight))
        least = _EXACT * float(np.average(y**2, weights=weight))
        return float(np.log(max(square, least, 1e-300)))


class SparseEnvelopeClassifierCV(Search, SparseEnvelopeClassifier):
    """Logistic regression on about k groups of features, k and lam chosen from data.

    Fits `SparseEnvelopeClassifier` for each pair of k and lam and keeps the best by
    cross-validation or by an information criterion.

    Parameters
    ----------
    k : int, float, array-like or None, default=None
        Numbers of groups, or fractions of all groups; None tries 1, 2, 3, 4, 5, 7, ...
        up to 50, to a third of the samples and to all groups.
    lam : float or array-like, default=0.01
        Multiples of the envelope.
    groups : int, list or dict of index arrays, array of labels, default=None
        As in `SparseEnvelopeClassifier`.
    weights : None, "sqrt", "size" or array-like of shape (n_groups,), default=None
        As in `SparseEnvelopeClassifier`.
    debias : float in [0, 1), default=0.0
        As in `SparseEnvelopeClassifier`.
    refit : {"splice", "ridge", "ols"} or None, default="ridge"
        As in `SparseEnvelopeClassifier`.
    criterion : {"cv", "ebic", "gic"}, default="cv"
        Cross-validation, the extended Bayesian criterion [1]_, or the generalised one
        [2]_, in which sample weights count as repetitions.
    one_se : bool, default=False
        Whether to take the smallest k, and for it the largest lam, whose score is
        within one standard error of the best.
    cv : int, splitter or iterable, optional
        Folds, as in scikit-learn; 5 if not given.
    scoring : str or callable, optional
        Score to maximise over the folds; accuracy with the sample weights if not given.
    solver : {"auto", "envelope", "prox_grad"}, default="auto"
        As in `SparseEnvelopeClassifier`.
    tol : float, optional
        As in `SparseEnvelopeClassifier`.
    max_iter : int, optional
        As in `SparseEnvelopeClassifier`.
    max_time : float, optional
        Limit in seconds of the whole search; pairs that not all folds got to are left
        out.
    fit_intercept : bool, default=True
        Whether an intercept is fitted.
    n_threads : int, optional
        OpenMP threads in one solve.
    n_jobs : int, optional
        Processes over the folds.
    verbose : int, default=0
        As in `SparseEnvelopeClassifier`.

    Attributes
    ----------
    classes_ : ndarray
        Class labels.
    k_, lam_ : int, float
        Chosen parameters.
    grid_ : ndarray of shape (n_grid, 2)
        Pairs of k and lam, k ascending and for each k lam descending.
    scores_, scores_error_ : ndarray of shape (n_grid,)
        Mean scores and their standard errors; for a criterion its negative.
    path_ : ndarray of shape (n_grid, n_features) or (n_grid, n_classes, n_features)
        Coefficients for each pair.
    coef_, intercept_, support_, group_support_, u_, n_iter_ : ndarray, int
        Of the chosen fit, as in `SparseEnvelopeClassifier`.
    dual_gap_, lower_bound_, upper_bound_, certified_ : float, bool, ndarray
        Of the chosen fit, as in `SparseEnvelopeClassifier`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if there are.

    See Also
    --------
    SparseEnvelopeClassifier : The model for one k and lam.

    References
    ----------
    .. [1] J. Chen, Z. Chen, "Extended BIC for small-n-large-P sparse GLM", Statistica
       Sinica 22(2), 2012, Section 2.
    .. [2] Y. Fan, C. Y. Tang, "Tuning parameter selection in high dimensional penalized
       likelihood", JRSS B 75(3), 2013, Section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import SparseEnvelopeClassifierCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((80, 100))
    >>> y = X[:, 3] - X[:, 50] + 0.3 * rng.standard_normal(80) > 0
    >>> SparseEnvelopeClassifierCV(k=[1, 2, 4], criterion="gic").fit(X, y).k_
    2
    """

    def __init__(
        self,
        k: Any = None,
        lam: Any = 0.01,
        *,
        groups: GroupsLike = None,
        weights: GroupWeights = None,
        debias: float = 0.0,
        refit: Literal["splice", "ridge", "ols"] | None = "ridge",
        criterion: Literal["cv", "ebic", "gic", "bic", "aic"] = "cv",
        one_se: bool = False,
        cv: Folds = None,
        scoring: Scoring = None,
        solver: Literal["auto", "envelope", "prox_grad"] = "auto",
        tol: float | None = None,
        max_iter: int | None = None,
        max_time: float | None = None,
        fit_intercept: bool = True,
        n_threads: int | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.k = k
        self.lam = lam
        self.groups = groups
        self.weights = weights
        self.debias = debias
        self.refit = refit
        self.criterion = criterion
        self.one_se = one_se
        self.cv = cv
        self.scoring = scoring
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.max_time = max_time
        self.fit_intercept = fit_intercept
        self.n_threads = n_threads
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the models of the grid and choose one.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples, not negative.

        Returns
        -------
        SparseEnvelopeClassifierCV
            The fitted estimator.
        """
        X, y = self._validate(X, y)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        return self._choose(X, y, sample_weight)

    def _model(self) -> SparseEnvelopeClassifier:
        return SparseEnvelopeClassifier(
            **{name: getattr(self, name) for name in _PASSED},
            verbose=max(0, int(self.verbose) - 1),
        )

    def _deviance(self, fit: Any, X: Any, y: Any, weight: Any) -> float:
        p = fit.predict_proba(X)[np.arange(len(y)), np.searchsorted(fit.classes_, y)]
        return -2.0 * float(np.average(np.log(np.maximum(p, 1e-300)), weights=weight))
