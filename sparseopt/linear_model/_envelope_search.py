"""Choice of k and lam for sparse envelope models: grid, scores, rule."""

from __future__ import annotations

import math
import time
import warnings
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy import sparse
from scipy.special import gammaln
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv

from sparseopt._core._monitor import caller_level
from sparseopt._core._params import Boolean, Options, check_params, public_name
from sparseopt.exceptions import ConvergenceWarning
from sparseopt.linear_model._envelope_fit import CONSTRAINTS, check_weights, group_count
from sparseopt.linear_model._folds import weighted_folds
from sparseopt.linear_model._schedule import Schedule, seconds_until

CHOICE: dict[str, list[Any]] = {
    "criterion": [Options("cv", "ebic", "gic")],
    "one_se": [Boolean],
    "max_time": CONSTRAINTS["max_time"],
}
_LARGEST = 50  # groups in the default grid


def default_counts(m: int, n: int) -> list[int]:
    """Numbers of groups to try: all up to 5, then about 1.4 times the last."""
    counts: list[int] = []
    k, last = 1, min(m, max(1, n // 3), _LARGEST)
    while k <= last:
        counts.append(k)
        k = k + 1 if k < 5 else math.ceil(1.4 * k)
    return counts


def information(
    criterion: str, deviance: float, n: float, p: int, df: int, m: int, count: int
) -> float:
    """EBIC or GIC from minus twice the log-likelihood, of `count` of m groups."""
    if criterion == "gic":
        return deviance + df * math.log(max(p, 2)) * math.log(math.log(max(n, 3.0)))
    subsets = gammaln(m + 1) - gammaln(count + 1) - gammaln(m - count + 1)
    return deviance + df * math.log(max(n, 2.0)) + 2.0 * float(subsets)


def first_best(mean: np.ndarray, error: np.ndarray, one_se: bool) -> int:
    """Best score, or the first in the order of the grid within its standard error."""
    best = int(np.nanargmax(mean))
    if not one_se:
        return best
    return int(np.flatnonzero(mean >= mean[best] - error[best])[0])


def fit_path(
    model: Any, grid: list, X: Any, y: Any, weight: Any, end: float
) -> list[Any]:
    """Fits along the grid, each from the convex solution of the last.

    Each may take an equal share of the time that is left; after that no other starts.
    """
    fits: list[Any] = []
    for i, (k, lam) in enumerate(grid):
        now = time.time()
        if fits and now >= end:
            break
        limit = seconds_until(now + (end - now) / (len(grid) - i))
        fit = clone(model).set_params(k=k, lam=lam, max_time=limit, warm_start=True)
        if fits:
            fit._last = fits[-1]._last
        fits.append(fit.fit(X, y, sample_weight=weight))
        if fit._is_interrupted():  # no choice among a part of the models
            raise KeyboardInterrupt
    return fits


def _fold(model, grid, scoring, X, y, weight, train, test, end) -> list[float]:
    scorer = check_scoring(model, scoring=scoring)
    own = None if weight is None else weight[train]
    fits = fit_path(model, grid, X[train], y[train], own, end)
    options = {} if weight is None else {"sample_weight": weight[test]}
    if scoring is None:
        return [fit.score(X[test], y[test], **options) for fit in fits]
    return [scorer(fit, X[test], y[test]) for fit in fits]


class Search:
    """What regressor and classifier share: a model for each point of a grid.

    A class has `_model`, which makes a model, and `_deviance`, which gives minus twice
    its log-likelihood per sample.
    """

    groups: Any
    k: Any
    lam: Any
    criterion: str
    one_se: bool
    cv: Any
    scoring: Any
    max_time: float | None
    n_jobs: int | None
    get_params: Any
    _groups: Any
    _model: Any
    _deviance: Any

    def _grid(self, n: int, m: int) -> list[tuple[int, float]]:
        owner = public_name(type(self))
        ks = default_counts(m, n) if self.k is None else _listed(self.k)
        counts = sorted({group_count(k, m, owner) for k in ks})
        lams = _listed(self.lam)
        if not lams or not all(
            isinstance(lam, (int, float, np.number)) and 0 < lam < math.inf
            for lam in lams
        ):
            raise ValueError(
                f"The 'lam' parameter of {owner} must be positive and finite, a number "
                f"or several. Got {self.lam!r}."
            )
        levels = sorted({float(lam) for lam in lams}, reverse=True)
        return [(k, lam) for k in counts for lam in levels]

    def _choose(self, X: Any, y: Any, weight: Any) -> Any:
        """Score the grid and take over the attributes of the fit that is chosen."""
        start = time.time()
        check_params(type(self), CHOICE, self.get_params(deep=False))
        check_weights(weight)
        weight = None if weight is None else np.asarray(weight, dtype=np.float64)
        X = X.tocsr() if sparse.issparse(X) else X
        groups = self._groups(X.shape[1])
        model, grid = self._model(), self._grid(X.shape[0], groups.m)
        n_asked = len(grid)
        model.set_params(groups=groups)  # models of parts see arrays without names
        folds = self._folds(X, y, weight) if self.criterion == "cv" else []
        schedule = Schedule.of(self.max_time, len(folds), self.n_jobs, start)
        if folds:
            table = self._validation(model, grid, X, y, weight, folds, schedule)
            grid = grid[: len(table)]
        fits = fit_path(model, grid, X, y, weight, schedule.end(len(folds)))
        if not folds:
            table = -np.array([[self._information(f, X, y, weight)] for f in fits])
        table, grid = table[: len(fits)], grid[: len(fits)]
        if len(grid) < n_asked:
            self._warn_of_time(len(grid), n_asked)
        mean, n_scores = table.mean(axis=1), table.shape[1]
        error = table.std(axis=1, ddof=int(n_scores > 1)) / math.sqrt(n_scores)
        at = first_best(mean, error, self.one_se)
        self.grid_ = np.array(grid)
        self.scores_, self.scores_error_ = mean, error
        self.k_, self.lam_ = grid[at]
        path = np.stack([fit.coef_ for fit in fits])
        single = path.ndim == 3 and path.shape[1] == 1  # two classes
        self.path_ = path[:, 0] if single else path
        best = fits[at]
        for name in ("coef_", "intercept_", "support_", "group_support_", "u_",
                     "dual_gap_", "lower_bound_", "upper_bound_", "certified_",
                     "n_iter_", "result_"):  # fmt: skip
            setattr(self, name, getattr(best, name))
        return self

    def _warn_of_time(self, n: int, n_asked: int) -> None:
        warnings.warn(
            f"{public_name(type(self))} tried {n} of {n_asked} pairs of k and lam "
            "(time_limit). To change that, increase max_time.",
            ConvergenceWarning,
            stacklevel=caller_level(),
        )

    def _folds(self, X, y, weight) -> list[Any]:
        cv = check_cv(self.cv, y, classifier=is_classifier(self))
        return list(weighted_folds(cv.split(X, y), weight))

    def _validation(self, model, grid, X, y, weight, folds, schedule) -> np.ndarray:
        """Scores of shape (n_grid, n_folds), as far as the time lets all folds get."""
        jobs = (
            delayed(_fold)(
                model, grid, self.scoring, X, y, weight, train, test, schedule.end(i)
            )
            for i, (train, test) in enumerate(folds)
        )
        scores = Parallel(n_jobs=self.n_jobs)(jobs)
        length = min(map(len, scores))
        return np.array([fold[:length] for fold in scores]).T

    def _information(self, fit, X, y, weight) -> float:
        n = float(X.shape[0]) if weight is None else float(weight.sum())
        coef = np.atleast_2d(fit.coef_)
        m, p = np.atleast_2d(fit.u_).shape[1], X.shape[1]
        return information(
            self.criterion,
            n * self._deviance(fit, X, y, weight),
            n,
            p,
            int(np.count_nonzero(coef)),
            m,
            fit.group_support_.size,
        )


def _listed(value: Any) -> list[Any]:
    """One value or several."""
    return list(value) if np.ndim(value) else [value]
