"""Sparse envelope models as scikit-learn estimators."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from scipy.special import expit
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets

from sparseopt._core._status import Status
from sparseopt._core._types import Callback, GroupsLike, GroupWeights
from sparseopt.linear_model._datafit import Datafit, LeastSquares, Logistic
from sparseopt.linear_model._envelope_base import SparseEnvelope
from sparseopt.linear_model._envelope_fit import check_weights, fit_envelope


class SparseEnvelopeRegressor(RegressorMixin, SparseEnvelope):
    """Linear regression on about k groups of features, with bounds for the best.

    Minimises ``1/2 mean (y - X w - b)^2 + lam S_k(w)``, where the group sparse envelope
    S_k is the largest convex function below ``1/2 sum_j d_j ||w_j||^2`` restricted to
    at most k nonzero groups, and finishes on k groups as `refit` says.

    Parameters
    ----------
    k : int or float, default=0.1
        Number of groups, an int; or a fraction of all groups, rounded up.
    lam : float, default=0.1
        Multiple of the envelope: a ridge on the groups that are kept.
    groups : int, list or dict of index arrays, array of labels, default=None
        Disjoint groups of features.  None: each feature; an int: consecutive blocks of
        this size; a dictionary: groups by their names.  Names of columns of a data
        frame may stand for indices.  Features in no group are not penalised.
    weights : None, "sqrt", "size" or array-like of shape (n_groups,), default=None
        Group weights d; None is 1, the words are functions of the groups' sizes.
    debias : float in [0, 1), default=0.0
        Subtract ``debias lam/2 sum_j d_j ||w_j||^2``: less shrinkage, and no longer
        convex.  Used if `refit` is None; the bounds are those of the convex problem.
    refit : {"splice", "ridge", "ols"} or None, default="splice"
        The last stage.  "splice": least squares on the best k groups that exchanges
        find, starting from the envelope's and others.  "ridge", "ols": on the k groups
        of the largest shares, with the ridge or without.  None: the envelope's own
        coefficients, often on more than k groups.
    solver : {"auto", "envelope", "prox_grad"}, default="auto"
        Solver of the convex problem, as in `minimize_composite`.
    tol : float, optional
        Duality gap of the convex problem relative to the loss at zero; 1e-8, or 1e-5
        for float32 samples.
    max_iter : int, optional
        Limit on iterations of the solver.
    max_time : float, optional
        Limit in seconds of the whole fit; at its end the best so far is taken.
    fit_intercept : bool, default=True
        Whether an intercept is fitted.
    warm_start : bool, default=False
        Whether a fit starts from the convex solution of the last.
    callback : callable, optional
        As in `minimize_composite`; called by all stages that iterate.
    n_threads : int, optional
        OpenMP threads.
    verbose : int, default=0
        As in `minimize_composite`.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients.
    intercept_ : float
        Intercept.
    support_ : ndarray of int
        Features with coefficients that are not zero.
    group_support_ : ndarray of int
        Groups that are not zero.
    group_names_ : ndarray of str of shape (n_groups,)
        Names of the groups, if there are.
    u_ : ndarray of shape (n_groups,)
        Shares of the groups in the convex solution, in [0, 1].
    dual_gap_ : float
        Duality gap of the convex problem.
    lower_bound_, upper_bound_ : float
        Interval that holds the minimum of the loss plus ``lam/2 sum_j d_j ||w_j||^2``
        over all coefficients with at most k nonzero groups.
    certified_ : bool
        Whether the two agree, so that the upper bound's subset is the best one.
    n_iter_ : int
        Iterations of the solver.
    result_ : CompositeResult
        Result of the convex problem, with what ended the fit early in ``status``.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if there are.

    See Also
    --------
    SparseEnvelopeRegressorCV : Chooses k and lam.
    best_subset : The exchanges alone.

    Notes
    -----
    The bounds are for the problem with a ridge of the same `lam`.  A small `lam` gives
    a wide interval, a large one a narrow one and often a certificate.  Features should
    be on one scale, as for every penalty.

    References
    ----------
    .. [1] Y. Refael, I. Arbel, W. Huleihel, "Learning k-Level Structured Sparse Neural
       Networks Using Group Envelope Regularization", TMLR, 2024.
    .. [2] A. Beck, Y. Refael, "Sparse Regularization via Bidualization", Journal of
       Global Optimization, 2022.
    .. [3] J. Zhu, C. Wen, J. Zhu, H. Zhang, X. Wang, "A polynomial algorithm for
       best-subset selection problem", PNAS 117(52), 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import SparseEnvelopeRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((60, 300))
    >>> y = X[:, [3, 50, 200]] @ [1.0, -1.0, 2.0] + 0.3 * rng.standard_normal(60)
    >>> model = SparseEnvelopeRegressor(k=3, lam=1.0).fit(X, y)
    >>> model.support_, model.lower_bound_ <= model.upper_bound_
    (array([  3,  50, 200]), True)
    """

    def __init__(
        self,
        k: int | float = 0.1,
        lam: float = 0.1,
        *,
        groups: GroupsLike = None,
        weights: GroupWeights = None,
        debias: float = 0.0,
        refit: Literal["splice", "ridge", "ols"] | None = "splice",
        solver: Literal["auto", "envelope", "prox_grad"] = "auto",
        tol: float | None = None,
        max_iter: int | None = None,
        max_time: float | None = None,
        fit_intercept: bool = True,
        warm_start: bool = False,
        callback: Callback = None,
        n_threads: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.k = k
        self.lam = lam
        self.groups = groups
        self.weights = weights
        self.debias = debias
        self.refit = refit
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.max_time = max_time
        self.fit_intercept = fit_intercept
        self.warm_start = warm_start
        self.callback = callback
        self.n_threads = n_threads
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the model.

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
        SparseEnvelopeRegressor
            The fitted estimator.
        """
        X, y = self._validate(X, y, y_numeric=True)
        check_weights(sample_weight)
        settings = self._settings(X.shape[1])
        datafit = LeastSquares(
            X, y, sample_weight=sample_weight, fit_intercept=self.fit_intercept
        )
        starts = self._starts((1, X.shape[1]))
        init = None if starts is None else (starts[0][0], float(starts[1][0]))
        fit = fit_envelope(datafit, settings, init)
        self._store([fit], single=True)
        self.coef_, self.intercept_ = fit.coef, fit.intercept
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predict targets.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Predictions.
        """
        return self._decision(X)


class SparseEnvelopeClassifier(ClassifierMixin, SparseEnvelope):
    """Logistic regression on about k groups of features, with bounds for the best.

    Minimises the mean logistic loss plus ``lam S_k(w)``, where the group sparse
    envelope S_k is the largest convex function below ``1/2 sum_j d_j ||w_j||^2``
    restricted to at most k nonzero groups, and finishes on k groups as `refit` says.
    More than two classes are separated one against the rest.

    Parameters
    ----------
    k : int or float, default=0.5
        Number of groups, an int; or a fraction of all groups, rounded up.
    lam : float, default=0.01
        Multiple of the envelope: a ridge on the groups that are kept.
    groups : int, list or dict of index arrays, array of labels, default=None
        Disjoint groups of features.  None: each feature; an int: consecutive blocks of
        this size; a dictionary: groups by their names.  Names of columns of a data
        frame may stand for indices.  Features in no group are not penalised.
    weights : None, "sqrt", "size" or array-like of shape (n_groups,), default=None
        Group weights d; None is 1, the words are functions of the groups' sizes.
    debias : float in [0, 1), default=0.0
        Subtract ``debias lam/2 sum_j d_j ||w_j||^2``: less shrinkage, and no longer
        convex.  Used if `refit` is None; the bounds are those of the convex problem.
    refit : {"splice", "ridge", "ols"} or None, default="ridge"
        The last stage.  "splice": with the ridge on the best k groups that exchanges
        find.  "ridge", "ols": on the k groups of the largest shares, with the ridge or
        without; without, separable classes have no finite fit.  None: the envelope's
        own coefficients, often on more than k groups.
    solver : {"auto", "envelope", "prox_grad"}, default="auto"
        Solver of the convex problem, as in `minimize_composite`.
    tol : float, optional
        Duality gap of the convex problem relative to the loss at zero; 1e-8, or 1e-5
        for float32 samples.
    max_iter : int, optional
        Limit on iterations of the solver.
    max_time : float, optional
        Limit in seconds of the whole fit; at its end the best so far is taken.
    fit_intercept : bool, default=True
        Whether an intercept is fitted.
    warm_start : bool, default=False
        Whether a fit starts from the convex solution of the last.
    callback : callable, optional
        As in `minimize_composite`; called by all stages that iterate.
    n_threads : int, optional
        OpenMP threads.
    n_jobs : int, optional
        Processes over the classes, where there are more than two.
    verbose : int, default=0
        As in `minimize_composite`.

    Attributes
    ----------
    classes_ : ndarray
        Class labels.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    support_ : ndarray of int
        Features with coefficients that are not zero for some class.
    group_support_ : ndarray of int
        Groups that are not zero for some class.
    group_names_ : ndarray of str of shape (n_groups,)
        Names of the groups, if there are.
    u_ : ndarray of shape (n_groups,) or (n_classes, n_groups)
        Shares of the groups in the convex solution, in [0, 1].
    dual_gap_ : float or ndarray of shape (n_classes,)
        Duality gap of the convex problem.
    lower_bound_, upper_bound_ : float or ndarray of shape (n_classes,)
        Interval that holds the minimum of the loss plus ``lam/2 sum_j d_j ||w_j||^2``
        over all coefficients with at most k nonzero groups.
    certified_ : bool or ndarray of shape (n_classes,)
        Whether the two agree, so that the upper bound's subset is the best one.
    n_iter_ : int
        Iterations of the solver, the largest of the classes.
    result_ : CompositeResult
        Result of the convex problem, with what ended the fit early in ``status``; a
        list for more than two classes.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if there are.

    See Also
    --------
    SparseEnvelopeClassifierCV : Chooses k and lam.

    References
    ----------
    .. [1] Y. Refael, I. Arbel, W. Huleihel, "Learning k-Level Structured Sparse Neural
       Networks Using Group Envelope Regularization", TMLR, 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import SparseEnvelopeClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((80, 300))
    >>> y = X[:, 3] - X[:, 50] + 0.3 * rng.standard_normal(80) > 0
    >>> model = SparseEnvelopeClassifier(k=2).fit(X, y)
    >>> model.support_, model.score(X, y) > 0.9
    (array([ 3, 50]), True)
    """

    def __init__(
        self,
        k: int | float = 0.5,
        lam: float = 0.01,
        *,
        groups: GroupsLike = None,
        weights: GroupWeights = None,
        debias: float = 0.0,
        refit: Literal["splice", "ridge", "ols"] | None = "ridge",
        solver: Literal["auto", "envelope", "prox_grad"] = "auto",
        tol: float | None = None,
        max_iter: int | None = None,
        max_time: float | None = None,
        fit_intercept: bool = True,
        warm_start: bool = False,
        callback: Callback = None,
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
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.max_time = max_time
        self.fit_intercept = fit_intercept
        self.warm_start = warm_start
        self.callback = callback
        self.n_threads = n_threads
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
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
        SparseEnvelopeClassifier
            The fitted estimator.
        """
        X, y = self._validate(X, y)
        check_weights(sample_weight)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if self.classes_.size < 2:
            raise ValueError(
                "The 'y' array must hold at least two classes. Got one class: "
                f"{self.classes_[0]!r}."
            )
        settings = self._settings(X.shape[1])
        single = self.classes_.size == 2
        targets = [1] if single else range(self.classes_.size)
        starts = self._starts((len(targets), X.shape[1]))
        jobs = (
            delayed(_fit_class)(
                X,
                labels == target,
                sample_weight,
                self.fit_intercept,
                settings,
                None if starts is None else (starts[0][i], float(starts[1][i])),
                single,
            )
            for i, target in enumerate(targets)
        )
        fits = Parallel(n_jobs=1 if single else self.n_jobs)(jobs)
        self._store(fits, single)
        self.coef_ = np.stack([fit.coef for fit in fits])
        self.intercept_ = np.array([fit.intercept for fit in fits], self.coef_.dtype)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Compute scores of the classes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Log-odds of the second class, or of each class against the rest.
        """
        scores = self._decision(X)
        return scores.ravel() if self.classes_.size == 2 else scores

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict probabilities of the classes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities; more than two are those of each class against the rest,
            divided by their sum.
        """
        p = expit(self.decision_function(X))
        if p.ndim == 1:
            return np.column_stack([1.0 - p, p])
        total = p.sum(axis=1, keepdims=True)
        return np.divide(p, total, out=np.full_like(p, 1 / p.shape[1]), where=total > 0)

    def predict(self, X: Any) -> np.ndarray:
        """Predict classes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            The class of the largest score.
        """
        scores = self.decision_function(X)
        if scores.ndim == 1:
            return self.classes_[(scores > 0).astype(int)]
        return self.classes_[scores.argmax(axis=1)]


def _fit_class(X, positive, sample_weight, fit_intercept, settings, start, alone):
    datafit: Datafit = Logistic(
        X,
        np.where(positive, 1.0, -1.0),
        sample_weight=sample_weight,
        fit_intercept=fit_intercept,
    )
    fit = fit_envelope(datafit, settings, start)
    if fit.result.status is Status.INTERRUPTED and not alone:
        raise KeyboardInterrupt  # no model of some of the classes
    return fit
