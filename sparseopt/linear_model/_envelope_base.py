"""What the sparse envelope estimators share."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from sparseopt._core._params import check_params, public_name
from sparseopt._core._status import Status
from sparseopt.linear_model._design import check_structure
from sparseopt.linear_model._envelope_fit import (
    CONSTRAINTS,
    EnvelopeFit,
    Settings,
    group_count,
)
from sparseopt.linear_model._selector import SupportSelector
from sparseopt.prox import Groups

_FLOATS = (np.float64, np.float32)


class SparseEnvelope(SupportSelector, BaseEstimator):
    """Validation, settings and fitted attributes of regressor and classifier."""

    groups: Any
    k: Any
    lam: Any
    weights: Any
    debias: float
    refit: str | None
    solver: str
    tol: float | None
    max_iter: int | None
    max_time: float | None
    warm_start: bool
    callback: Any = None  # searches have none
    n_threads: int | None
    verbose: int
    result_: Any
    coef_: np.ndarray
    intercept_: Any

    def _groups(self, p: int) -> Groups:
        """The groups of p features; they may name columns of the data frame."""
        groups = Groups.of(self.groups, p, getattr(self, "feature_names_in_", None))
        self.__dict__.pop("group_names_", None)  # of another fit
        if groups.names is not None:
            self.group_names_ = groups.names
        return groups

    def _settings(self, p: int) -> Settings:
        owner = public_name(type(self))
        check_params(type(self), CONSTRAINTS, self.get_params(deep=False))
        groups, limit = self._groups(p), self.max_time
        return Settings(
            k=group_count(self.k, groups.m, owner),
            lam=float(self.lam),
            groups=groups,
            weights=self.weights,
            debias=float(self.debias),
            refit=self.refit,
            solver=self.solver,
            tol=self.tol,
            max_iter=self.max_iter,
            until=math.inf if limit is None else time.time() + limit,
            callback=self.callback,
            n_threads=self.n_threads,
            verbose=int(self.verbose),
            owner=owner,
        )

    def _validate(self, X: Any, y: Any, **kwargs: Any) -> tuple[Any, Any]:
        check_structure(X)
        return validate_data(
            self, X, y, accept_sparse=["csc", "csr"], dtype=_FLOATS, **kwargs
        )

    def _starts(self, shape: tuple[int, ...]) -> Any:
        """Minimisers of the last convex problems, if a fit may start from them."""
        starts: Any = getattr(self, "_last", None) if self.warm_start else None
        fits = starts is not None and starts[0].shape == shape
        return starts if fits else None

    def _store(self, fits: list[EnvelopeFit], single: bool) -> None:
        coef = np.stack([fit.coef for fit in fits])
        self.support_ = np.flatnonzero(np.any(coef != 0, axis=0))
        self.group_support_ = np.unique(np.concatenate([fit.subset for fit in fits]))
        self.n_iter_ = max(fit.n_iter for fit in fits)
        self.result_ = fits[0].result if single else [fit.result for fit in fits]
        numbers: dict[str, list[Any]] = {
            "u_": [fit.u for fit in fits],
            "dual_gap_": [fit.gap for fit in fits],
            "lower_bound_": [fit.bounds.lower for fit in fits],
            "upper_bound_": [fit.bounds.upper for fit in fits],
            "certified_": [fit.bounds.certified for fit in fits],
        }
        for name, values in numbers.items():
            setattr(self, name, values[0] if single else np.array(values))
        self._last = (
            np.stack([fit.start[0] for fit in fits]),
            np.array([fit.start[1] for fit in fits]),
        )

    def _is_interrupted(self) -> bool:
        results = self.result_ if isinstance(self.result_, list) else [self.result_]
        return any(result.status is Status.INTERRUPTED for result in results)

    def _decision(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        check_structure(X)
        X = validate_data(
            self, X, accept_sparse=["csc", "csr"], dtype=_FLOATS, reset=False
        )
        return np.asarray(X @ self.coef_.T) + self.intercept_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
