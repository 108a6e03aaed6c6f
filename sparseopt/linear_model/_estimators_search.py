"""Choice of a penalty's strength: paths on folds, scores, rules."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy import sparse
from scipy.special import gammaln
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv

from sparseopt._core._arrays import as_vector
from sparseopt._core._params import (
    Boolean,
    Interval,
    Options,
    check_params,
    public_name,
)
from sparseopt._core._status import Status
from sparseopt.linear_model._api import minimize_composite
from sparseopt.linear_model._folds import weighted_folds
from sparseopt.linear_model._path import PathResult, check_strength, critical_lam, path
from sparseopt.linear_model._schedule import Schedule, seconds_until
from sparseopt.prox import Penalty

CRITERIA = ("cv", "ebic", "gic", "bic", "aic")
_RULES: dict[str, Any] = {
    "criterion": [Options(*CRITERIA)],
    "one_se": [Boolean],
    "n_lams": [Interval(1, None, integer=True)],
    "eps": [Interval(0, 1, closed="neither")],
}
# Mean squares below this share of the targets' are an exact fit.
_EXACT = 1e-20
# Coefficients per sample from which information criteria mean nothing.
_FULL = 1.0 / 3.0


def information(criterion: str, deviance: float, n: float, p: int, df: int) -> float:
    """An information criterion from minus twice the log-likelihood."""
    if criterion == "aic":
        return deviance + 2.0 * df
    if criterion == "gic":
        return deviance + df * math.log(max(p, 2)) * math.log(math.log(max(n, 3.0)))
    value = deviance + df * math.log(max(n, 2.0))
    if criterion == "ebic":  # all subsets of that size are equally likely
        df = min(df, p)
        value += 2.0 * float(gammaln(p + 1) - gammaln(df + 1) - gammaln(p - df + 1))
    return value


def choose(mean: np.ndarray, error: np.ndarray, one_se: bool) -> int:
    """Best score, or the strongest penalty within its standard error.

    Strengths fall, so that the first of equal scores is the sparsest model.
    """
    best = int(np.nanargmax(mean))
    if not one_se:
        return best
    return int(np.flatnonzero(mean >= mean[best] - error[best])[0])


class Search:
    """What regressor and classifier share.

    A class has `_datafit`, `_take` for coefficients of a solver, `_loss` of samples
    that were held out, and `_deviance`, which gives minus twice the log-likelihood per
    sample from the mean loss.
    """

    lams: Any
    n_lams: int
    eps: float
    criterion: str
    one_se: bool
    cv: Any
    scoring: Any
    max_time: float | None
    n_jobs: int | None
    coef_: np.ndarray
    get_params: Any
    _datafit: Any
    _deviance: Any
    _keep: Any
    _loss: Any
    _penalty: Any
    _take: Any

    def _strengths(self, datafit: Any, penalty: Penalty) -> np.ndarray:
        """The grid, from strong to weak."""
        owner = public_name(type(self))
        if not isinstance(penalty, Penalty):
            raise TypeError(
                f"The 'penalty' parameter of {owner} must be one penalty, whose "
                f"strength is chosen. Got {penalty!r}."
            )
        check_strength(penalty, owner)
        if self.lams is None:
            top = critical_lam(datafit, penalty)
            return top * np.geomspace(1.0, self.eps, self.n_lams)
        lams = as_vector(self.lams, "lams").astype(np.float64)
        if lams.min() < 0:
            raise ValueError(
                f"The 'lams' array of {owner} must not be negative. Got {lams.min()}."
            )
        return np.unique(lams)[::-1]

    def _options(self) -> dict[str, Any]:
        names = ("solver", "tol", "max_iter", "random_state", "n_threads")
        options = {name: getattr(self, name) for name in names}
        options["verbose"] = max(0, int(getattr(self, "verbose", 0)) - 1)
        return options

    def _path(
        self, datafit: Any, penalty: Penalty, lams: np.ndarray, end: float
    ) -> PathResult:
        limit = seconds_until(end)
        found = path(datafit, penalty, lams, max_time=limit, **self._options())
        if found.status is Status.INTERRUPTED:  # no choice among a part of the models
            raise KeyboardInterrupt
        return found

    def _finish(self, datafit: Any, penalty: Penalty, start: Any, limit: Any) -> None:
        """The chosen model, to the tolerance asked for."""
        final = minimize_composite(
            datafit, penalty, init=start, max_time=limit, **self._options()
        )
        if final.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        self._keep(final, penalty)
        self._take(final.coef, final.intercept)

    def _choose(self, X: Any, y: np.ndarray, weight: Any) -> Any:
        """Score the path and take over the model that is chosen."""
        start = time.time()
        check_params(type(self), _RULES, self.get_params(deep=False))
        weight = None if weight is None else np.asarray(weight, dtype=np.float64)
        X = X.tocsr() if sparse.issparse(X) else X
        datafit, penalty = self._datafit(X, y, weight), self._penalty()
        lams = self._strengths(datafit, penalty)
        folds = []
        if self.criterion == "cv":
            folds = list(weighted_folds(self._folds(X, y), weight))
        schedule = Schedule.of(self.max_time, len(folds), self.n_jobs, start)
        if folds:
            table = self._validation(penalty, lams, X, y, weight, folds, schedule)
        found = self._path(datafit, penalty, lams, schedule.end(len(folds)))
        if not folds:
            table = self._criteria(datafit, found, weight)[:, None]
        length = min(len(found.lams), len(table))  # of what a time limit left
        table, n_scores = table[:length], table.shape[1]
        self.scores_ = table.mean(axis=1)
        error = np.zeros(length) if n_scores == 1 else table.std(axis=1, ddof=1)
        self.scores_error_ = error / math.sqrt(n_scores)
        at = choose(self.scores_, self.scores_error_, self.one_se)
        self.lams_, self.lam_ = lams[:length], float(lams[at])
        self.path_, self.path_intercepts_ = self._paths(found, length)
        near = found.coef[at], found.intercept[at]
        self._finish(datafit, penalty.with_lam(self.lam_), near, schedule.left())
        self.path_result_ = found
        return self

    def _paths(self, found: PathResult, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients and intercepts along the path, in scikit-learn's shapes."""
        coef = found.coef[:length]
        if coef.ndim == 3:
            coef = np.ascontiguousarray(coef.transpose(0, 2, 1))
        return coef, found.intercept[:length]

    # --------------------------------------------------------------------- scores

    def _validation(
        self,
        penalty: Penalty,
        lams: np.ndarray,
        X: Any,
        y: np.ndarray,
        weight: Any,
        folds: list[Any],
        schedule: Schedule,
    ) -> np.ndarray:
        """Scores of shape (n_lams, n_folds)."""
        jobs = (
            delayed(self._fold)(
                penalty, lams, X, y, weight, train, test, schedule.end(i)
            )
            for i, (train, test) in enumerate(folds)
        )
        scores = Parallel(n_jobs=self.n_jobs)(jobs)
        length = min(map(len, scores))
        return np.array([fold[:length] for fold in scores]).T

    def _folds(self, X: Any, y: np.ndarray) -> Any:
        """Pairs of training and test samples."""
        return check_cv(self.cv, y, classifier=is_classifier(self)).split(X, y)

    def _fold(
        self,
        penalty: Penalty,
        lams: np.ndarray,
        X: Any,
        y: np.ndarray,
        weight: Any,
        train: np.ndarray,
        test: np.ndarray,
        end: float,
    ) -> list[float]:
        own = None if weight is None else weight[train]
        datafit = self._datafit(X[train], y[train], own)
        found = self._path(datafit, penalty, lams, end)
        if self.scoring is None:
            return self._held_out(found, X, y, weight, train, test)
        scorer = check_scoring(self, scoring=self.scoring)
        model = self._model()
        samples, labels = X[test], self._labels(y[test])
        scores = []
        for w, b in zip(found.coef, found.intercept, strict=True):
            model._take(w, b)
            scores.append(scorer(model, samples, labels))
        return scores

    def _held_out(
        self,
        found: PathResult,
        X: Any,
        y: np.ndarray,
        weight: Any,
        train: np.ndarray,
        test: np.ndarray,
    ) -> list[float]:
        """Minus the mean losses of the test samples along a path."""
        held = None if weight is None else weight[test]
        samples = X[test]
        losses = (
            self._loss(y[test], np.asarray(samples @ w) + b)
            for w, b in zip(found.coef, found.intercept, strict=True)
        )
        return [-float(np.average(loss, weights=held)) for loss in losses]

    def _model(self) -> Any:
        """A model whose coefficients can be set, to be scored."""
        model = type(self)(**self.get_params(deep=False))
        for name in ("n_features_in_", "classes_"):
            if hasattr(self, name):
                setattr(model, name, getattr(self, name))
        return model

    def _labels(self, y: np.ndarray) -> np.ndarray:
        """Targets as users gave them."""
        return self.classes_[y] if hasattr(self, "classes_") else y

    def _criteria(self, datafit: Any, found: PathResult, weight: Any) -> np.ndarray:
        """Information criteria along the path, negative: larger is better.

        Fits that nearly interpolate have no likelihood to speak of: they are left out.
        """
        n, p = float(datafit.design.n), datafit.design.p
        n = n if weight is None else float(weight.sum())
        pairs = zip(found.coef, found.intercept, strict=True)
        values, counts = [], []
        for w, b in pairs:
            loss = datafit.value(datafit.design.matvec(w) + b)
            df, size = int(np.count_nonzero(w)), p * max(datafit.n_outputs, 1)
            deviance = n * self._deviance(datafit, loss)
            values.append(-information(self.criterion, deviance, n, size, df))
            counts.append(df)
        full = np.array(counts) > _FULL * datafit.design.n
        return np.where(full & ~full.all(), -np.inf, values)


def gaussian_deviance(loss: float, datafit: Any) -> float:
    """Minus twice the log-likelihood per sample, at the best variance."""
    least = _EXACT * float(datafit.s @ datafit.y**2)
    return math.log(max(2.0 * loss, least, 1e-300))
