"""Proximal estimators that choose the strength of the penalty themselves."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from sparseopt._core._arrays import as_vector
from sparseopt._core._params import public_name
from sparseopt._core._types import ClassWeight, Folds, RandomState, Scoring
from sparseopt.linear_model._estimators import (
    REGRESSION_LOSSES,
    ProximalClassifier,
    ProximalRegressor,
)
from sparseopt.linear_model._estimators_base import (
    check_weights,
    classification_loss,
    regression_loss,
)
from sparseopt.linear_model._estimators_search import Search, gaussian_deviance


class ProximalRegressorCV(Search, ProximalRegressor):
    """Linear regression with any penalty, its strength chosen from data.

    Solves the path of strengths on all samples and, for cross-validation, on each fold,
    and keeps the strength of the best score.

    Parameters
    ----------
    penalty : str or Penalty, default="l1"
        As in `ProximalRegressor`; one penalty with a strength.
    lams : array-like, optional
        Strengths to try; if not given a geometric grid down from the smallest for which
        all coefficients are zero.
    n_lams : int, default=100
        Length of the grid.
    eps : float, default=1e-3
        Last value of the grid relative to the first.
    loss : {"squared", "huber", "poisson", "gamma", "tweedie"}, default="squared"
        As in `ProximalRegressor`.
    delta : float, default=1.35
        As in `ProximalRegressor`.
    power : float, default=1.5
        As in `ProximalRegressor`.
    criterion : {"cv", "ebic", "gic", "bic", "aic"}, default="cv"
        Cross-validation or an information criterion: extended Bayesian [1]_,
        generalised [2]_, Bayesian or Akaike's, with the number of coefficients that are
        not zero as degrees of freedom; sample weights count as repetitions, and models
        with more coefficients than a third of the samples are left out.
    one_se : bool, default=False
        Whether to take the strongest penalty whose score is within one standard error
        of the best.
    cv : int, splitter or iterable, optional
        Folds, as in scikit-learn; 5 if not given.
    scoring : str or callable, optional
        Score to maximise over the folds; minus the mean loss if not given.
    fit_intercept : bool, default=True
        Whether an unpenalised intercept is fitted.
    positive : bool, default=False
        Whether coefficients must not be negative.
    solver : str, default="auto"
        As in `minimize_composite`.
    tol : float, optional
        As in `ProximalRegressor`, for the path and the folds too.
    max_iter : int, optional
        Limit on iterations of each problem.
    max_time : float, optional
        Limit in seconds of the whole fit; paths that it cuts are scored as far as all
        of them got.
    random_state : int, RandomState or Generator, optional
        Order of the samples in stochastic solvers; fixed if not given.
    n_threads : int, optional
        OpenMP threads in one solve.
    n_jobs : int, optional
        Processes over the folds.
    verbose : int, default=0
        As in `minimize_composite`, one less for single problems.

    Attributes
    ----------
    lam_ : float
        Chosen strength.
    lams_ : ndarray of shape (n_lams,)
        Strengths tried, falling.
    scores_, scores_error_ : ndarray of shape (n_lams,)
        Mean scores and their standard errors; for a criterion its negative.
    path_ : ndarray of shape (n_lams, n_features)
        Coefficients for each strength, on all samples.
    path_intercepts_ : ndarray of shape (n_lams,)
        Intercepts for each strength.
    path_result_ : PathResult
        Certificates of the path.
    coef_, intercept_, support_, dual_gap_, n_iter_, result_ : ndarray, float, int
        Of the chosen model, as in `ProximalRegressor`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if there are.

    See Also
    --------
    ProximalRegressor : The model for one strength.
    plot_path : Picture of the path.

    References
    ----------
    .. [1] J. Chen, Z. Chen, "Extended Bayesian information criteria for model selection
       with large model spaces", Biometrika 95(3), 2008, Section 2.
    .. [2] Y. Fan, C. Y. Tang, "Tuning parameter selection in high dimensional penalized
       likelihood", JRSS B 75(3), 2013, Section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import ProximalRegressorCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((80, 200))
    >>> y = X[:, [3, 50]] @ [1.0, -2.0] + 0.3 * rng.standard_normal(80)
    >>> ProximalRegressorCV("mcp", criterion="ebic").fit(X, y).support_
    array([ 3, 50])
    """

    lam = None

    def __init__(
        self,
        penalty: Any = "l1",
        *,
        lams: ArrayLike | None = None,
        n_lams: int = 100,
        eps: float = 1e-3,
        loss: Literal["squared", "huber", "poisson", "gamma", "tweedie"] = "squared",
        delta: float = 1.35,
        power: float = 1.5,
        criterion: Literal["cv", "ebic", "gic", "bic", "aic"] = "cv",
        one_se: bool = False,
        cv: Folds = None,
        scoring: Scoring = None,
        fit_intercept: bool = True,
        positive: bool = False,
        solver: str = "auto",
        tol: float | None = None,
        max_iter: int | None = None,
        max_time: float | None = None,
        random_state: RandomState = None,
        n_threads: int | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.penalty = penalty
        self.lams = lams
        self.n_lams = n_lams
        self.eps = eps
        self.loss = loss
        self.delta = delta
        self.power = power
        self.criterion = criterion
        self.one_se = one_se
        self.cv = cv
        self.scoring = scoring
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.max_time = max_time
        self.random_state = random_state
        self.n_threads = n_threads
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, exposure: Any = None
    ) -> Self:
        """Fit the path and choose a model.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples, not negative.
        exposure : array-like of shape (n_samples,), optional
            Positive times or sizes that rates are multiplied by; not with `scoring`.

        Returns
        -------
        ProximalRegressorCV
            The fitted estimator.
        """
        self._check(REGRESSION_LOSSES)
        if self.loss in ("gamma", "tweedie") and self.criterion != "cv":
            raise ValueError(
                f"The 'criterion' parameter of {public_name(type(self))} must be 'cv' "
                f"for losses of unknown dispersion. Got {self.criterion!r} for "
                f"{self.loss!r}."
            )
        check_weights(sample_weight)
        X, y = self._validate(X, y, y_numeric=True)
        if exposure is not None:
            if self.scoring is not None:
                raise ValueError(
                    f"The 'scoring' parameter of {public_name(type(self))} must be "
                    f"None where exposures are given. Got {self.scoring!r}."
                )
            y = np.column_stack([y, as_vector(exposure, "exposure", len(y))])
        return self._choose(X, y, sample_weight)

    def _datafit(self, X: Any, y: Any, weight: Any, exposure: Any = None) -> Any:
        y, exposure = y.T if y.ndim == 2 else (y, exposure)
        return super()._datafit(X, y, weight, exposure)

    def _take(self, coef: np.ndarray, intercept: Any) -> None:
        self.coef_, self.intercept_ = coef, float(intercept)

    def _loss(self, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        if y.ndim == 2:
            y, z = y[:, 0], z + np.log(y[:, 1])
        return regression_loss(self.loss, (self.delta, self.power), y, z)

    def _deviance(self, datafit: Any, loss: float) -> float:
        # the loss of Huber has no variance of its own: it stands for the squared error
        return (
            2.0 * loss if self.loss == "poisson" else gaussian_deviance(loss, datafit)
        )


class ProximalClassifierCV(Search, ProximalClassifier):
    """Linear classification with any penalty, its strength chosen from data.

    Solves the path of strengths on all samples and, for cross-validation, on each fold,
    and keeps the strength of the best score.

    Parameters
    ----------
    penalty : str or Penalty, default="l1"
        As in `ProximalClassifier`; one penalty with a strength.
    lams : array-like, optional
        Strengths to try; if not given a geometric grid down from the smallest for which
        all coefficients are zero.
    n_lams : int, default=20
        Length of the grid.
    eps : float, default=1e-2
        Last value of the grid relative to the first.
    loss : {"auto", "logistic", "multinomial"}, default="auto"
        As in `ProximalClassifier`.
    criterion : {"cv", "ebic", "gic", "bic", "aic"}, default="cv"
        Cross-validation or an information criterion: extended Bayesian [1]_,
        generalised [2]_, Bayesian or Akaike's, with the number of coefficients that are
        not zero as degrees of freedom; sample weights count as repetitions, and models
        with more coefficients than a third of the samples are left out.
    one_se : bool, default=False
        Whether to take the strongest penalty whose score is within one standard error
        of the best.
    cv : int, splitter or iterable, optional
        Folds, as in scikit-learn; 5 stratified ones if not given.
    scoring : str or callable, optional
        Score to maximise over the folds; minus the mean loss if not given.
    fit_intercept : bool, default=True
        Whether unpenalised intercepts are fitted.
    positive : bool, default=False
        Whether coefficients must not be negative.
    class_weight : dict or "balanced", optional
        Factors of the sample weights by class, 1 for classes that are not there;
        "balanced" gives all classes the same total weight.  As sample weights are
        divided by their sum, a common factor changes nothing.
    solver : str, default="auto"
        As in `minimize_composite`.
    tol : float, optional
        As in `ProximalClassifier`, for the path and the folds too.
    max_iter : int, optional
        Limit on iterations of each problem.
    max_time : float, optional
        Limit in seconds of the whole fit; paths that it cuts are scored as far as all
        of them got.
    random_state : int, RandomState or Generator, optional
        Order of the samples in stochastic solvers; fixed if not given.
    n_threads : int, optional
        OpenMP threads in one solve.
    n_jobs : int, optional
        Processes over the folds.
    verbose : int, default=0
        As in `minimize_composite`, one less for single problems.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    lam_ : float
        Chosen strength.
    lams_ : ndarray of shape (n_lams,)
        Strengths tried, falling.
    scores_, scores_error_ : ndarray of shape (n_lams,)
        Mean scores and their standard errors; for a criterion its negative.
    path_ : ndarray of shape (n_lams, n_features) or (n_lams, n_classes, n_features)
        Coefficients for each strength, on all samples.
    path_intercepts_ : ndarray of shape (n_lams,) or (n_lams, n_classes)
        Intercepts for each strength.
    path_result_ : PathResult
        Certificates of the path.
    coef_, intercept_, support_, dual_gap_, n_iter_, result_ : ndarray, int
        Of the chosen model, as in `ProximalClassifier`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if there are.

    See Also
    --------
    ProximalClassifier : The model for one strength.
    plot_path : Picture of the path.

    References
    ----------
    .. [1] J. Chen, Z. Chen, "Extended BIC for small-n-large-P sparse GLM", Statistica
       Sinica 22(2), 2012, Section 2.
    .. [2] Y. Fan, C. Y. Tang, "Tuning parameter selection in high dimensional penalized
       likelihood", JRSS B 75(3), 2013, Section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import ProximalClassifierCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((120, 40))
    >>> y = X[:, 3] - X[:, 20] + 0.3 * rng.standard_normal(120) > 0
    >>> ProximalClassifierCV(criterion="ebic").fit(X, y).support_
    array([ 3, 20])
    """

    lam = None

    def __init__(
        self,
        penalty: Any = "l1",
        *,
        lams: ArrayLike | None = None,
        n_lams: int = 20,
        eps: float = 1e-2,
        loss: Literal["auto", "logistic", "multinomial"] = "auto",
        criterion: Literal["cv", "ebic", "gic", "bic", "aic"] = "cv",
        one_se: bool = False,
        cv: Folds = None,
        scoring: Scoring = None,
        fit_intercept: bool = True,
        positive: bool = False,
        class_weight: ClassWeight = None,
        solver: str = "auto",
        tol: float | None = None,
        max_iter: int | None = None,
        max_time: float | None = None,
        random_state: RandomState = None,
        n_threads: int | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.penalty = penalty
        self.lams = lams
        self.n_lams = n_lams
        self.eps = eps
        self.loss = loss
        self.criterion = criterion
        self.one_se = one_se
        self.cv = cv
        self.scoring = scoring
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.class_weight = class_weight
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.max_time = max_time
        self.random_state = random_state
        self.n_threads = n_threads
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the path and choose a model.

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
        ProximalClassifierCV
            The fitted estimator.
        """
        return self._choose(*self._start(X, y, sample_weight))

    def _loss(self, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return classification_loss(y, z)

    def _deviance(self, datafit: Any, loss: float) -> float:
        return 2.0 * loss
