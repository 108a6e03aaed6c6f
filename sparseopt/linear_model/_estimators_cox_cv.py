"""Proportional hazards whose penalty's strength is chosen from data."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy
from sklearn.model_selection import check_cv

from sparseopt._core._params import check_params
from sparseopt._core._types import Folds, RandomState, Scoring
from sparseopt.linear_model._datafit_cox import Cox
from sparseopt.linear_model._estimators_base import CONSTRAINTS, check_weights
from sparseopt.linear_model._estimators_cox import TIES, ProximalCox
from sparseopt.linear_model._estimators_search import Search
from sparseopt.linear_model._path import PathResult


class ProximalCoxCV(Search, ProximalCox):
    """Cox's proportional hazards with any penalty, its strength chosen from data.

    Solves the path of strengths on all samples and, for cross-validation, on each fold,
    and keeps the strength of the best score.

    Parameters
    ----------
    penalty : str or Penalty, default="l1"
        As in `ProximalCox`; one penalty with a strength.
    ties : {"breslow", "efron"}, default="breslow"
        Form of the likelihood where events have the same time, as in `Cox`.
    lams : array-like, optional
        Strengths to try; if not given a geometric grid down from the smallest for which
        all coefficients are zero.
    n_lams : int, default=50
        Length of the grid.
    eps : float, default=1e-2
        Last value of the grid relative to the first.
    criterion : {"cv", "ebic", "gic", "bic", "aic"}, default="cv"
        Cross-validation or an information criterion, as in `ProximalRegressorCV`, from
        the partial likelihood.
    one_se : bool, default=False
        Whether to take the strongest penalty whose score is within one standard error
        of the best.
    cv : int, splitter or iterable, optional
        Folds, as in scikit-learn; 5 with equal shares of events if not given.
    scoring : str or callable, optional
        Score to maximise over the folds.  If not given the cross-validated partial
        likelihood [1]_: that of all samples minus that of the training samples, at the
        coefficients of the latter, divided by the weight of those held out.
    positive : bool, default=False
        Whether coefficients must not be negative.
    solver : str, default="auto"
        As in `minimize_composite`.
    tol : float, optional
        As in `ProximalCox`, for the path and the folds too.
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
        Zeros: the likelihood does not depend on intercepts.
    path_result_ : PathResult
        Certificates of the path.
    coef_, support_, dual_gap_, n_iter_, result_ : ndarray, float, int
        Of the chosen model, as in `ProximalCox`.
    event_times_, cum_baseline_hazard_, baseline_survival_, strata_ : ndarray
        As in `ProximalCox`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if there are.

    See Also
    --------
    ProximalCox : The model for one strength.
    plot_path : Picture of the path.

    References
    ----------
    .. [1] P. J. M. Verweij, H. C. van Houwelingen, "Cross-validation in survival
       analysis", Statistics in Medicine 12(24), 1993, Section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import ProximalCoxCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 30))
    >>> death = rng.exponential(np.exp(-X[:, 3] + X[:, 8]))
    >>> end = rng.exponential(3.0, 200)
    >>> y = np.stack([np.minimum(death, end), death <= end], axis=1)
    >>> ProximalCoxCV("mcp", ties="efron", one_se=True).fit(X, y).support_
    array([3, 8])
    """

    lam = None

    def __init__(
        self,
        penalty: Any = "l1",
        *,
        ties: Literal["breslow", "efron"] = "breslow",
        lams: ArrayLike | None = None,
        n_lams: int = 50,
        eps: float = 1e-2,
        criterion: Literal["cv", "ebic", "gic", "bic", "aic"] = "cv",
        one_se: bool = False,
        cv: Folds = None,
        scoring: Scoring = None,
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
        self.ties = ties
        self.lams = lams
        self.n_lams = n_lams
        self.eps = eps
        self.criterion = criterion
        self.one_se = one_se
        self.cv = cv
        self.scoring = scoring
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
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        strata: ArrayLike | None = None,
    ) -> Self:
        """Fit the path and choose a model.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.
        y : structured array of shape (n_samples,), or array-like
            Times and events, as in `ProximalCox.fit`.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples, not negative.
        strata : array-like of shape (n_samples,), optional
            Labels of strata, each with a baseline hazard of its own.

        Returns
        -------
        ProximalCoxCV
            The fitted estimator.
        """
        check_params(type(self), {**CONSTRAINTS, **TIES}, self.get_params(deep=False))
        check_weights(sample_weight)
        X, y = self._samples(X, y)
        given = Cox(X, y, sample_weight=sample_weight, strata=strata)
        table = np.column_stack([given.time, given.event, given.strata])
        self._choose(X, table, sample_weight)
        datafit = self._datafit(X, table, sample_weight)
        datafit.strata_labels = given.strata_labels
        return self._set_baseline(datafit, strata is not None)

    def _datafit(self, X: Any, y: np.ndarray, weight: Any) -> Cox:
        """The likelihood; y has a column for the positions of strata."""
        target, strata = y[:, :2], y[:, 2].astype(np.int64)
        return Cox(X, target, sample_weight=weight, ties=self.ties, strata=strata)

    def _folds(self, X: Any, y: np.ndarray) -> Any:
        event = y[:, 1].astype(np.int64)
        return check_cv(self.cv, event, classifier=True).split(X, event)

    def _held_out(
        self,
        found: PathResult,
        X: Any,
        y: np.ndarray,
        weight: Any,
        train: np.ndarray,
        test: np.ndarray,
    ) -> list[float]:
        """Cross-validated partial likelihoods along a path."""
        weight = np.ones(len(y)) if weight is None else weight
        whole = self._datafit(X, y, weight)
        part = self._datafit(X[train], y[train], weight[train])
        inside, held = weight[train].sum(), weight[test].sum()
        # logarithms of weights are part of F, and no likelihood
        own = weight[test] * y[test, 1]
        base = float(xlogy(own, own).sum())
        scores = []
        for w in found.coef:
            z = np.asarray(X @ w, dtype=np.float64)
            loss = weight.sum() * whole.value(z) - inside * part.value(z[train])
            scores.append(-(float(loss) + base) / held)
        return scores

    def _take(self, coef: np.ndarray, intercept: Any) -> None:
        self.coef_ = coef

    def _labels(self, y: np.ndarray) -> np.ndarray:
        return y[:, :2]

    def _deviance(self, datafit: Any, loss: float) -> float:
        return 2.0 * loss
