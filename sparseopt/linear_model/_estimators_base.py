"""What the proximal estimators share: penalties by name, losses, checks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import logsumexp, xlogy
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from sparseopt._core._params import (
    COMMON,
    Boolean,
    Interval,
    Options,
    Type,
    check_params,
    public_name,
)
from sparseopt.linear_model._api import minimize_composite
from sparseopt.linear_model._composed import Composed
from sparseopt.linear_model._datafit import Datafit, LeastSquares, Logistic
from sparseopt.linear_model._datafit_huber import Huber
from sparseopt.linear_model._datafit_rates import (
    POWER,
    Gamma,
    Poisson,
    Rates,
    Tweedie,
)
from sparseopt.linear_model._datafits_more import Multinomial
from sparseopt.linear_model._design import check_structure
from sparseopt.linear_model._selector import SupportSelector
from sparseopt.linear_model._solvers import NAMES
from sparseopt.prox import (
    L0,
    L1,
    MCP,
    SCAD,
    ElasticNet,
    GroupLasso,
    LogSum,
    NonNegative,
    NoPenalty,
    Penalty,
    Ridge,
)

# Losses of rates, the exponentials of predictions.
RATES: dict[str, Any] = {"poisson": Poisson, "gamma": Gamma, "tweedie": Tweedie}
_FLOATS = (np.float64, np.float32)
_SPARSE = ("csc", "csr")
# Penalties by name, with their default parameters.
_PENALTIES: dict[str, Any] = {
    "l1": L1,
    "elastic_net": ElasticNet,
    "ridge": Ridge,
    "l0": L0,
    "mcp": MCP,
    "scad": SCAD,
    "log_sum": LogSum,
    "group_rows": lambda lam: GroupLasso(lam, weights=None, rows=True),
    "none": lambda lam: NoPenalty(),
}

CONSTRAINTS: dict[str, Any] = {
    **{
        name: COMMON[name]
        for name in ("tol", "max_iter", "max_time", "callback", "verbose", "n_jobs")
    },
    "random_state": COMMON["random_state"],
    "n_threads": COMMON["n_threads"],
    "penalty": [Options(*_PENALTIES), Type(Penalty, Composed, list, tuple)],
    "lam": [Interval(0, np.inf, closed="left"), None],
    "delta": [Interval(0, None, closed="neither")],
    **POWER,
    "solver": [Options(*NAMES)],
    "fit_intercept": [Boolean],
    "warm_start": [Boolean],
    "positive": [Boolean],
    "class_weight": [Options("balanced"), Type(dict), None],
}


class Proximal(SupportSelector, BaseEstimator):
    """Validation, penalties and fitted attributes of regressor and classifier."""

    penalty: Any
    lam: float | None
    fit_intercept: bool
    positive: bool
    solver: str
    tol: float | None
    max_iter: int | None
    max_time: float | None
    warm_start: bool
    random_state: Any
    n_threads: int | None
    verbose: int
    coef_: np.ndarray
    intercept_: Any
    _default_lam = 0.1

    def _check(self, losses: tuple[str, ...]) -> None:
        rules = {**CONSTRAINTS, "loss": [Options(*losses)]}
        check_params(type(self), rules, self.get_params(deep=False))

    def _penalty(self) -> Any:
        """The penalty object that `penalty` and `lam` stand for.

        Its groups may name the columns of the data frame that is fitted.
        """
        lam, penalty = self.lam, self.penalty
        columns = getattr(self, "feature_names_in_", None)
        if isinstance(penalty, str):
            penalty = _PENALTIES[penalty](self._default_lam if lam is None else lam)
        elif columns is not None:
            penalty = _with_columns(penalty, columns)
        if lam is not None and not isinstance(self.penalty, str):
            if not isinstance(penalty, Penalty):
                raise ValueError(
                    f"The 'lam' parameter of {public_name(type(self))} must be None "
                    f"where 'penalty' is a sum or composed. Got {lam!r}."
                )
            penalty = penalty.with_lam(lam)
        return _nonnegative(penalty) if self.positive else penalty

    def _validate(self, X: Any, y: Any, **options: Any) -> tuple[Any, Any]:
        check_structure(X)
        return validate_data(
            self, X, y, accept_sparse=list(_SPARSE), dtype=list(_FLOATS), **options
        )

    def _again(self, X: Any) -> Any:
        """Samples to predict for."""
        check_is_fitted(self)
        check_structure(X)
        return validate_data(
            self, X, accept_sparse=list(_SPARSE), dtype=list(_FLOATS), reset=False
        )

    def _solve(self, datafit: Datafit) -> None:
        """Fit, and store what both kinds of estimators have."""
        shape = datafit.zero().shape[1:]
        start = getattr(self, "_last", None) if self.warm_start else None
        if start is not None and start[0].shape != (datafit.design.p, *shape):
            start = None
        penalty = self._penalty()
        result = minimize_composite(
            datafit,
            penalty,
            solver=self.solver,
            tol=self.tol,
            max_iter=self.max_iter,
            max_time=self.max_time,
            callback=getattr(self, "callback", None),
            verbose=self.verbose,
            random_state=self.random_state,
            n_threads=self.n_threads,
            init=start,
        )
        self._last = result.coef, result.intercept
        self._keep(result, penalty)

    def _keep(self, result: Any, penalty: Any) -> None:
        """Store a solver's result, and which groups of the penalty are not zero."""
        self.result_ = result
        self.support_ = result.support
        self.n_iter_ = result.n_iter
        self.dual_gap_ = result.gap
        coef = np.reshape(result.coef, (len(result.coef), -1))
        groups = None
        if isinstance(penalty, Penalty):
            parts = getattr(penalty, "parts", None)  # also where k couples the groups
            groups = parts((len(coef),)).groups if parts else penalty.groups(len(coef))
        for name in ("group_support_", "group_names_"):  # of another fit
            self.__dict__.pop(name, None)
        if groups is None or groups.size == 1:
            return
        self.group_support_ = np.flatnonzero(groups.norms(np.abs(coef).max(axis=1)))
        if groups.names is not None:
            self.group_names_ = groups.names

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _with_columns(penalty: Any, columns: Any) -> Any:
    if isinstance(penalty, (list, tuple)):
        return [_with_columns(part, columns) for part in penalty]
    return penalty.with_columns(columns) if isinstance(penalty, Penalty) else penalty


def _nonnegative(penalty: Any) -> Any:
    """The penalty on coefficients that are not negative; split where need be."""
    if isinstance(penalty, Penalty):
        try:
            return penalty + NonNegative()
        except NotImplementedError:
            pass
    terms = penalty if isinstance(penalty, (list, tuple)) else [penalty]
    return [*terms, NonNegative()]


def regression_datafit(
    loss: str,
    params: tuple[float, float],
    X: Any,
    y: Any,
    exposure: Any,
    **options: Any,
) -> Datafit:
    """Loss of a regression by its name; `params` are delta and power."""
    if loss in RATES:
        kind: Any = RATES[loss]
        own = {"power": params[1]} if kind is Tweedie else {}
        return kind(X, y, exposure=exposure, **own, **options)
    if exposure is not None:
        raise ValueError(
            f"The 'exposure' array must be given for the losses {sorted(RATES)} only. "
            f"Got the loss {loss!r}."
        )
    if loss == "huber":
        return Huber(X, y, params[0], **options)
    return LeastSquares(X, y, **options)


def classification_datafit(
    loss: str,
    classes: np.ndarray,
    X: Any,
    y: Any,
    weight: Any,
    fit_intercept: bool,
) -> Datafit:
    """Loss of a classification by its name; y holds positions in `classes`."""
    options = {"sample_weight": weight, "fit_intercept": fit_intercept}
    if loss == "logistic":
        return Logistic(X, y, **options)
    return Multinomial(X, np.eye(len(classes))[y], **options)


def regression_loss(
    loss: str, params: tuple[float, float], y: np.ndarray, z: np.ndarray
) -> np.ndarray:
    """Losses of single samples for predictions z; `params` are delta and power."""
    delta, p = params
    with np.errstate(over="ignore"):
        if loss == "poisson":
            return np.exp(z) - y * z + xlogy(y, y) - y
        if loss == "gamma":
            return y * np.exp(-z) + z - np.log(y) - 1.0
        if loss == "tweedie":
            terms = np.exp((2.0 - p) * z) / (2.0 - p)
            terms = terms + y * np.exp((1.0 - p) * z) / (p - 1.0)
            return terms - y ** (2.0 - p) / ((2.0 - p) * (p - 1.0))
    r = np.abs(y - z)
    near = np.minimum(r, delta) if loss == "huber" else r
    return near * (r - 0.5 * near)


def explained_share(datafit: Rates, z: np.ndarray) -> float:
    """Share of the deviance of the best constant rate that predictions explain."""
    zero = datafit.zero()
    none, left = datafit.value(zero + datafit.shift(zero)), datafit.value(z)
    if none <= 1e-15 * datafit.scale():
        return float(left <= 1e-15 * datafit.scale())
    return float(1.0 - left / none)


def explained_deviance(model: Any, y: np.ndarray, z: np.ndarray, weight: Any) -> float:
    """Share of the Poisson deviance of the mean that rates ``exp(z)`` explain.

    From the logarithms, as rates may underflow.
    """
    if y.min() < 0:
        raise ValueError(
            f"The 'y' array of {public_name(type(model))} must not be negative with "
            f"loss='poisson'. Got a minimum of {y.min():.6g}."
        )
    z = z.astype(np.float64, copy=False)
    y = y.astype(np.float64, copy=False)
    mean = float(np.average(y, weights=weight))
    # a mean of zero has no deviance to explain
    none = 0.0
    if mean > 0.0:
        level = np.full_like(y, math.log(mean))
        none = np.average(
            regression_loss("poisson", (0.0, 0.0), y, level), weights=weight
        )
    left = np.average(regression_loss("poisson", (0.0, 0.0), y, z), weights=weight)
    # what rounding leaves of a difference of numbers of this size
    least = 1e-15 * float(np.average(np.abs(xlogy(y, y)) + y, weights=weight))
    if none <= least:
        return float(left <= least)
    return float(1.0 - left / none)


def classification_loss(codes: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Losses of single samples for scores z, of the second class or of all."""
    if z.ndim == 1:
        return np.logaddexp(0.0, np.where(codes == 1, -z, z))
    return logsumexp(z, axis=1) - z[np.arange(len(codes)), codes]


def choose_loss(loss: str, classes: np.ndarray, owner: str) -> str:
    """Name of the loss for so many classes."""
    if len(classes) < 2:
        raise ValueError(
            f"The 'y' array of {owner} must hold at least two classes. Got one class, "
            f"{classes[0]!r}."
        )
    if loss == "auto":
        return "logistic" if len(classes) == 2 else "multinomial"
    if loss == "logistic" and len(classes) > 2:
        raise ValueError(
            f"The 'loss' parameter of {owner} must be 'auto' or 'multinomial' for more "
            f"than two classes. Got 'logistic' for {len(classes)}."
        )
    return loss


def check_weights(weight: Any) -> None:
    """Sample weights of which none is positive are an error."""
    if weight is not None and not np.any(np.asarray(weight)):
        raise ValueError(
            "The 'sample_weight' array must have a weight that is not zero. "
            "Got only zero weights."
        )


def with_class_weight(
    class_weight: Any, classes: np.ndarray, codes: np.ndarray, weight: Any, owner: str
) -> Any:
    """Sample weights times those of the classes; "balanced" ones make classes equal."""
    if class_weight is None:
        return weight
    own = np.ones(len(codes)) if weight is None else np.asarray(weight, np.float64)
    if isinstance(class_weight, str):
        total = np.bincount(codes, own, minlength=len(classes))
        factor = own.sum() / (len(classes) * np.maximum(total, 1e-300))
    else:
        known = dict(zip(classes.tolist(), range(len(classes)), strict=True))
        factor = np.ones(len(classes))
        for name, value in class_weight.items():
            if name not in known or not 0.0 <= value < math.inf:
                raise ValueError(
                    f"The 'class_weight' parameter of {owner} must hold a number that "
                    f"is not negative for labels of y. Got {name!r}: {value!r}, with "
                    f"labels {classes.tolist()[:10]}."
                )
            factor[known[name]] = value
    weight = own * factor[codes]
    check_weights(weight)
    return weight * (own.sum() / weight.sum())  # as many samples as before
