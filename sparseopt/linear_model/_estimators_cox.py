"""Proportional hazards with any penalty, as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    column_or_1d,
)

from sparseopt._core._arrays import as_vector
from sparseopt._core._params import Options, check_params, public_name
from sparseopt._core._types import Callback, RandomState
from sparseopt.linear_model._concordance import concordance
from sparseopt.linear_model._datafit_cox import Cox
from sparseopt.linear_model._estimators_base import (
    CONSTRAINTS,
    Proximal,
    check_weights,
)

TIES = {"ties": [Options("breslow", "efron")]}


class ProximalCox(Proximal):
    """Cox's proportional hazards model with any penalty, solved to a certificate.

    Minimises the negative log partial likelihood, divided by the number of samples,
    plus ``P(w)``.

    Parameters
    ----------
    penalty : str, Penalty, Composed or list of them, default="l1"
        As in `ProximalRegressor`.
    lam : float, optional
        Strength.  If not given, 0.01 for a name, and that of the object for an object.
    ties : {"breslow", "efron"}, default="breslow"
        Form of the likelihood where events have the same time, as in `Cox`.
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
        Coefficients, of the type of the samples: logarithms of hazard ratios.
    event_times_ : ndarray of shape (n_times,)
        Times of events, rising.
    cum_baseline_hazard_ : ndarray of shape (n_times,) or (n_strata, n_times)
        Estimate of the cumulative hazard of a sample of zeros at those times, Breslow's
        or Efron's; one row for each stratum, if there are strata.
    baseline_survival_ : ndarray of shape (n_times,) or (n_strata, n_times)
        Its probability of surviving them.
    strata_ : ndarray of shape (n_strata,) or None
        Labels of the strata, sorted; None where none were given.
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
    ProximalCoxCV : Chooses the strength.
    Cox : The loss, with which `path` gives solutions for many strengths.
    minimize_composite : The function behind it.

    Notes
    -----
    Penalties see features on their own scales: standardise them first.  There is no
    intercept, on which the likelihood does not depend.  Where hazards cross, or effects
    fade with time, the model does not hold.

    Targets are those of scikit-survival, and `predict` and `score` mean the same.

    References
    ----------
    .. [1] D. R. Cox, "Regression Models and Life-Tables", JRSS B 34, 1972, Section 5.
    .. [2] N. Simon, J. Friedman, T. Hastie, R. Tibshirani, "Regularization Paths for
       Cox's Proportional Hazards Model via Coordinate Descent", Journal of Statistical
       Software 39(5), 2011, Section 2.
    .. [3] F. E. Harrell, R. M. Califf, D. B. Pryor, K. L. Lee, R. A. Rosati,
       "Evaluating the Yield of Medical Tests", JAMA 247(18), 1982.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import ProximalCox
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 30))
    >>> death = rng.exponential(np.exp(-X[:, 3] + X[:, 8]))
    >>> end = rng.exponential(3.0, 200)
    >>> y = np.array(list(zip(death <= end, np.minimum(death, end))),
    ...              dtype=[("event", "?"), ("time", "f8")])
    >>> model = ProximalCox("l1", 0.2).fit(X, y)
    >>> model.support_, round(model.score(X, y), 2)
    (array([3, 8]), 0.82)
    """

    _default_lam = 0.01
    fit_intercept = False

    def __init__(
        self,
        penalty: Any = "l1",
        lam: float | None = None,
        *,
        ties: Literal["breslow", "efron"] = "breslow",
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
        self.ties = ties
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
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        strata: ArrayLike | None = None,
    ) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.
        y : structured array of shape (n_samples,), or array-like
            A boolean field that says whether the time is that of an event, and a field
            of times, in any order.  Or an array of shape (n_samples, 2), times and 1
            for events, 0 for the end of observation; or of shape (n_samples,), times
            that are all of events.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples, not negative.
        strata : array-like of shape (n_samples,), optional
            Labels of strata, each with a baseline hazard of its own.

        Returns
        -------
        ProximalCox
            The fitted estimator.
        """
        check_params(type(self), {**CONSTRAINTS, **TIES}, self.get_params(deep=False))
        check_weights(sample_weight)
        X, y = self._samples(X, y)
        datafit = Cox(X, y, sample_weight=sample_weight, ties=self.ties, strata=strata)
        self._solve(datafit)
        self.coef_ = self.result_.coef
        return self._set_baseline(datafit, strata is not None)

    def _set_baseline(self, datafit: Cox, stratified: bool) -> Self:
        """Store the hazards of a sample of zeros."""
        z = datafit.design.matvec(self.coef_)
        self.event_times_, self._log_hazard = _baseline(datafit, z)
        self.strata_ = datafit.strata_labels if stratified else None
        with np.errstate(over="ignore"):  # of a sample of zeros, perhaps far from all
            hazard = np.exp(self._log_hazard)
        self.cum_baseline_hazard_ = hazard if stratified else hazard[0]
        self.baseline_survival_ = np.exp(-self.cum_baseline_hazard_)
        return self

    def _places(self, strata: Any, n: int) -> Any:
        """Rows of the baseline for samples of those strata."""
        owner = public_name(type(self))
        if (strata is None) != (self.strata_ is None):
            state = "without" if self.strata_ is None else "with"
            raise ValueError(
                f"The 'strata' array of {owner} must be given where the model was "
                f"fitted with strata, and only there. Got a model fitted {state} them."
            )
        if strata is None or self.strata_ is None:
            return np.zeros(n, dtype=np.int64)
        labels = np.asarray(strata)
        if labels.shape != (n,):
            raise ValueError(
                f"The 'strata' array must have shape ({n},). Got {labels.shape}."
            )
        unknown = ~np.isin(labels, self.strata_)
        if unknown.any():
            raise ValueError(
                f"The 'strata' array of {owner} must hold strata of the fit, "
                f"{self.strata_.tolist()}. Got {labels[unknown][0]}."
            )
        return np.searchsorted(self.strata_, labels)

    def _samples(self, X: Any, y: Any, *, reset: bool = True) -> tuple[Any, Any]:
        """Validated samples and targets."""
        if y is None:
            raise ValueError(
                f"{public_name(type(self))} requires y to be passed, but the target y "
                "is None."
            )
        X = self._validate(X, "no_validation", reset=reset)
        if getattr(getattr(y, "dtype", None), "names", None) is None:
            y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
            if y.ndim == 1 or y.shape[1] == 1:
                y = column_or_1d(y, warn=True)
                y = np.stack([y, np.ones_like(y)], axis=1)
        check_consistent_length(X, y)
        return X, y

    def predict(self, X: Any) -> np.ndarray:
        """Predict risk scores.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Logarithms of the hazards relative to the baseline: the higher, the earlier
            events are expected.
        """
        return np.asarray(self._again(X) @ self.coef_)

    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        strata: ArrayLike | None = None,
    ) -> float:
        """Return Harrell's concordance index of the risk scores.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.
        y : structured array or array-like
            Times and events, as in `fit`.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples; a pair counts as their product.
        strata : array-like of shape (n_samples,), optional
            Labels; only pairs within a stratum are compared.

        Returns
        -------
        float
            Share of the comparable pairs that the risks order rightly; one half where
            they say nothing.  A pair is comparable if the earlier of its times is that
            of an event, or if its times are equal and one is.  Equal risks count one
            half.
        """
        check_weights(sample_weight)
        risk = self.predict(X)
        X, y = self._samples(X, y, reset=False)
        target = Cox(X, y, sample_weight=sample_weight, strata=strata)
        value = concordance(target.time, target.event, risk, target.s, target.strata)
        if np.isnan(value):
            raise ValueError(
                f"The 'y' array of {public_name(type(self))} must hold an event before "
                "another time to be scored. Got no such pair."
            )
        return value

    def predict_cumulative_hazard_function(
        self, X: Any, times: Any = None, strata: ArrayLike | None = None
    ) -> np.ndarray:
        """Predict the cumulative hazards of samples.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.
        times : array-like of shape (n_times,), optional
            Times; those of `event_times_` if not given.
        strata : array-like of shape (n_samples,), optional
            Strata of the samples, where the model was fitted with strata.

        Returns
        -------
        ndarray of shape (n_samples, n_times)
            The hazards: steps at the times of events, zero before the first and
            constant after the last.
        """
        risk = self.predict(X).astype(np.float64)
        rows, level = self._places(strata, len(risk)), self._log_hazard
        if times is not None:
            times = as_vector(times, "times").astype(np.float64)
            places = np.searchsorted(self.event_times_, times, side="right")
            level = np.pad(level, ((0, 0), (1, 0)), constant_values=-np.inf)[:, places]
        with np.errstate(over="ignore"):
            return np.exp(risk[:, None] + level[rows])

    def predict_survival_function(
        self, X: Any, times: Any = None, strata: ArrayLike | None = None
    ) -> np.ndarray:
        """Predict the probabilities of samples to survive.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.
        times : array-like of shape (n_times,), optional
            Times; those of `event_times_` if not given.
        strata : array-like of shape (n_samples,), optional
            Strata of the samples, where the model was fitted with strata.

        Returns
        -------
        ndarray of shape (n_samples, n_times)
            The probabilities, falling along each row.
        """
        return np.exp(-self.predict_cumulative_hazard_function(X, times, strata))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def _baseline(datafit: Cox, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times of events, and logarithms of the cumulative hazards there, by stratum.

    By logarithms, so that samples far from zero do not overflow.
    """
    levels, _ = datafit.log_hazards(z)
    times = np.unique(datafit.event_times)
    rows = []
    for stratum in range(len(datafit.strata_labels)):
        inside = datafit.event_strata == stratum
        own = np.append(-np.inf, levels[inside])
        rows.append(own[np.searchsorted(datafit.event_times[inside], times, "right")])
    return times, np.array(rows)
