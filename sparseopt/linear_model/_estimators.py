"""Sparse linear models of any loss and penalty as scikit-learn estimators."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets

from sparseopt._core._params import public_name
from sparseopt._core._types import Callback, ClassWeight, RandomState
from sparseopt.linear_model._estimators_base import (
    RATES,
    Proximal,
    check_weights,
    choose_loss,
    classification_datafit,
    explained_deviance,
    explained_share,
    regression_datafit,
    with_class_weight,
)

REGRESSION_LOSSES = ("squared", "huber", *RATES)
CLASSIFICATION_LOSSES = ("auto", "logistic", "multinomial")


class ProximalRegressor(RegressorMixin, Proximal):
    """Linear regression with any penalty, solved to a certificate.

    Minimises ``mean_i l(y_i, x_i w + b) + P(w)``.

    Parameters
    ----------
    penalty : str, Penalty, Composed or list of them, default="l1"
        A penalty of `sparseopt.prox`; or "l1", "elastic_net", "ridge", "mcp", "scad",
        "log_sum", "l0" or "none", with `lam` and otherwise default parameters; or a sum
        as in `minimize_composite`.
    lam : float, optional
        Strength.  If not given, 0.1 for a name, and that of the object for an object.
    loss : {"squared", "huber", "poisson", "gamma", "tweedie"}, default="squared"
        "squared": half the squared error.  "huber": that up to `delta`, then linear.
        "poisson", "gamma", "tweedie": half the deviance of rates ``exp(x w + b)``.
    delta : float, default=1.35
        Residual from which Huber's loss is linear, in units of y.
    power : float, default=1.5
        Power of the rate that Tweedie's variance grows with, between 1 and 2.
    fit_intercept : bool, default=True
        Whether an unpenalised intercept is fitted.
    positive : bool, default=False
        Whether coefficients must not be negative.
    solver : str, default="auto"
        As in `minimize_composite`.
    tol : float, optional
        Duality gap relative to the loss at zero, as in `minimize_composite`; 1e-8, or
        1e-5 for float32 samples.
    max_iter : int, optional
        Limit on iterations; the default depends on the solver.
    max_time : float, optional
        Limit in seconds.
    warm_start : bool, default=False
        Whether a fit starts from the solution of the last.
    callback : callable, optional
        As in `minimize_composite`.
    random_state : int, RandomState or Generator, optional
        Order of the samples in stochastic solvers; fixed if not given.
    n_threads : int, optional
        OpenMP threads.
    verbose : int, default=0
        As in `minimize_composite`.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients, of the type of the samples.
    intercept_ : float
        Intercept, 0 where none is fitted.
    support_ : ndarray of int
        Features whose coefficients are not zero.
    group_support_ : ndarray of int
        Groups whose coefficients are not zero, where the penalty has groups.
    group_names_ : ndarray of str
        Names of all groups, if the penalty's have any.
    dual_gap_ : float or None
        Certified distance to the optimum, None for penalties that are not convex.
    n_iter_ : int
        Iterations.
    result_ : CompositeResult
        Result of the solver with its certificate.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if there are.

    See Also
    --------
    ProximalRegressorCV : Chooses the strength.
    minimize_composite : The function behind it.

    Notes
    -----
    Penalties see features on their own scales: standardise them first.

    References
    ----------
    .. [1] T. Hastie, R. Tibshirani, M. Wainwright, "Statistical Learning with
       Sparsity", CRC Press 2015, Chapters 2 to 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import ProximalRegressor
    >>> from sparseopt.prox import MCP
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((60, 100))
    >>> y = X[:, [3, 50]] @ [1.0, -2.0] + 0.1 * rng.standard_normal(60)
    >>> model = ProximalRegressor(MCP(0.2)).fit(X, y)
    >>> model.support_, model.coef_[model.support_].round(1)
    (array([ 3, 50]), array([ 1., -2.]))
    """

    def __init__(
        self,
        penalty: Any = "l1",
        lam: float | None = None,
        *,
        loss: Literal["squared", "huber", "poisson", "gamma", "tweedie"] = "squared",
        delta: float = 1.35,
        power: float = 1.5,
        fit_intercept: bool = True,
        positive: bool = False,
        solver: str = "auto",
        tol: float | None = None,
        max_iter: int | None = None,
        max_time: float | None = None,
        warm_start: bool = False,
        callback: Callback = None,
        random_state: RandomState = None,
        n_threads: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.penalty = penalty
        self.lam = lam
        self.loss = loss
        self.delta = delta
        self.power = power
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.max_time = max_time
        self.warm_start = warm_start
        self.callback = callback
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, exposure: Any = None
    ) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples, not negative.
        exposure : array-like of shape (n_samples,), optional
            Positive times or sizes that rates are multiplied by.

        Returns
        -------
        ProximalRegressor
            The fitted estimator.
        """
        self._check(REGRESSION_LOSSES)
        check_weights(sample_weight)
        X, y = self._validate(X, y, y_numeric=True)
        self._solve(self._datafit(X, y, sample_weight, exposure))
        self.coef_, self.intercept_ = self.result_.coef, self.result_.intercept
        return self

    def _datafit(self, X: Any, y: Any, weight: Any, exposure: Any = None) -> Any:
        options = {"sample_weight": weight, "fit_intercept": self.fit_intercept}
        params = self.delta, self.power
        return regression_datafit(self.loss, params, X, y, exposure, **options)

    def predict(self, X: Any) -> np.ndarray:
        """Predict targets.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Predictions; rates for an exposure of one with the losses of rates.
        """
        z = self._linear(self._again(X))
        return np.exp(z) if self.loss in RATES else z

    def _linear(self, X: Any) -> np.ndarray:
        return np.asarray(X @ self.coef_) + self.coef_.dtype.type(self.intercept_)

    def score(
        self, X: Any, y: Any, sample_weight: Any = None, exposure: Any = None
    ) -> float:
        """Share of the deviance that the model explains, at most 1.

        R2 for the squared and Huber losses: the share of the squared error that is
        explained.  D2 for the losses of rates, as in scikit-learn: one minus the
        deviance of the predictions over that of the best constant rate.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples, not negative.
        exposure : array-like of shape (n_samples,), optional
            What rates are multiplied by.

        Returns
        -------
        float
            The score; 0 for predictions as good as the mean of y.  Where y does not
            vary, 1 for exact predictions, else 0.
        """
        if self.loss not in RATES and exposure is None:
            return super().score(X, y, sample_weight)
        check_weights(sample_weight)
        X, y = self._validate(X, y, y_numeric=True, reset=False)
        if self.loss != "poisson" or exposure is not None:
            datafit = self._datafit(X, y, sample_weight, exposure)
            return explained_share(datafit, self._linear(X).astype(np.float64))
        return explained_deviance(self, y, self._linear(X), sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = self.loss in RATES
        return tags


class ProximalClassifier(ClassifierMixin, Proximal):
    """Linear classification with any penalty, solved to a certificate.

    Minimises the mean logistic or multinomial loss plus a penalty of the coefficients.

    Parameters
    ----------
    penalty : str, Penalty, Composed or list of them, default="l1"
        As in `ProximalRegressor`.  "group_rows": a group lasso over classes, so that a
        feature is used for all of them or for none.
    lam : float, optional
        Strength.  If not given, 0.01 for a name, and that of the object for an object.
    loss : {"auto", "logistic", "multinomial"}, default="auto"
        "logistic": for two classes.  "multinomial": cross entropy, with coefficients
        for each class.  "auto": the first for two classes, else the second.
    fit_intercept : bool, default=True
        Whether unpenalised intercepts are fitted.
    positive : bool, default=False
        Whether coefficients must not be negative.
    class_weight : dict or "balanced", optional
        Factors of the sample weights by class, 1 for classes that are not there;
        "balanced" gives all the same total weight.  A common factor changes nothing.
    solver : str, default="auto"
        As in `minimize_composite`.
    tol : float, optional
        Duality gap relative to the loss at zero, as in `minimize_composite`; 1e-8, or
        1e-5 for float32 samples.
    max_iter : int, optional
        Limit on iterations; the default depends on the solver.
    max_time : float, optional
        Limit in seconds.
    warm_start : bool, default=False
        Whether a fit starts from the solution of the last.
    callback : callable, optional
        As in `minimize_composite`.
    random_state : int, RandomState or Generator, optional
        Order of the samples in stochastic solvers; fixed if not given.
    n_threads : int, optional
        OpenMP threads.
    verbose : int, default=0
        As in `minimize_composite`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, one row with the logistic loss.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    support_ : ndarray of int
        Features whose coefficients are not all zero.
    group_support_ : ndarray of int
        Groups whose coefficients are not zero, where the penalty has groups.
    group_names_ : ndarray of str
        Names of all groups, if the penalty's have any.
    dual_gap_ : float or None
        Certified distance to the optimum, None for penalties that are not convex.
    n_iter_ : int
        Iterations.
    result_ : CompositeResult
        Result of the solver with its certificate.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if there are.

    See Also
    --------
    ProximalClassifierCV : Chooses the strength.
    minimize_composite : The function behind it.

    Notes
    -----
    Penalties see features on their own scales: standardise them first.

    References
    ----------
    .. [1] N. Simon, J. Friedman, T. Hastie, "A Blockwise Descent Algorithm for
       Group-penalized Multiresponse and Multinomial Regression", arXiv:1311.6529, 2013,
       Section 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import ProximalClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((90, 20))
    >>> y = np.digitize(X[:, 4] + X[:, 7], [-1, 1])
    >>> model = ProximalClassifier("group_rows", 0.2).fit(X, y)
    >>> model.support_, model.coef_.shape
    (array([4, 7]), (3, 20))
    """

    _default_lam = 0.01

    def __init__(
        self,
        penalty: Any = "l1",
        lam: float | None = None,
        *,
        loss: Literal["auto", "logistic", "multinomial"] = "auto",
        fit_intercept: bool = True,
        positive: bool = False,
        class_weight: ClassWeight = None,
        solver: str = "auto",
        tol: float | None = None,
        max_iter: int | None = None,
        max_time: float | None = None,
        warm_start: bool = False,
        callback: Callback = None,
        random_state: RandomState = None,
        n_threads: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.penalty = penalty
        self.lam = lam
        self.loss = loss
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.class_weight = class_weight
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.max_time = max_time
        self.warm_start = warm_start
        self.callback = callback
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model.

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
        ProximalClassifier
            The fitted estimator.
        """
        X, codes, weight = self._start(X, y, sample_weight)
        self._solve(self._datafit(X, codes, weight))
        self._take(self.result_.coef, self.result_.intercept)
        return self

    def _start(self, X: Any, y: Any, weight: Any) -> tuple[Any, np.ndarray, Any]:
        """Validated samples, positions of their labels in the classes, and weights."""
        self._check(CLASSIFICATION_LOSSES)
        check_weights(weight)
        X, y = self._validate(X, y)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        weight = with_class_weight(
            self.class_weight, self.classes_, codes, weight, public_name(type(self))
        )
        return X, codes, weight

    def _datafit(self, X: Any, codes: np.ndarray, weight: Any) -> Any:
        loss = choose_loss(self.loss, self.classes_, public_name(type(self)))
        return classification_datafit(
            loss, self.classes_, X, codes, weight, self.fit_intercept
        )

    def _take(self, coef: np.ndarray, intercept: Any) -> None:
        """Store coefficients of a solver in the shapes of scikit-learn."""
        self.coef_ = np.ascontiguousarray(np.atleast_2d(coef.T))
        self.intercept_ = np.atleast_1d(np.asarray(intercept, dtype=coef.dtype))

    def _scores(self, X: Any) -> np.ndarray:
        X = self._again(X)
        return np.asarray(X @ self.coef_.T) + self.intercept_

    def decision_function(self, X: Any) -> np.ndarray:
        """Linear scores of the classes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes the score of the second.
        """
        z = self._scores(X)
        if len(self.classes_) > 2:
            return z
        return z[:, 0] if z.shape[1] == 1 else z[:, 1] - z[:, 0]

    def predict(self, X: Any) -> np.ndarray:
        """Predict class labels.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        z = self.decision_function(X)
        return self.classes_[z.argmax(axis=1) if z.ndim == 2 else (z > 0).astype(int)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict probabilities of the classes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`.
        """
        z = self.decision_function(X)
        return softmax(z, axis=1) if z.ndim == 2 else expit(np.stack([-z, z], axis=1))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict logarithms of probabilities of the classes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Their logarithms, without underflow.
        """
        z = self.decision_function(X)
        if z.ndim == 2:
            return log_softmax(z, axis=1)
        return log_expit(np.stack([-z, z], axis=1))
