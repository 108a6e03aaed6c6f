"""Units and origins of data, in which squares and differences keep their digits.

Samples of 1e140 against targets of 1e-140 have coefficients of 1e-280, whose squares
are lost.  Data beyond a range are divided by powers of two, which is exact, the penalty
is written in the new coefficients, and what a solve finds is mapped back.  Where
features or targets lie far from zero, against their spread, and there is an intercept,
they are taken from one of their values, which is exact too; the intercept pays for it.
Columns of very different sizes have units of their own where the penalty allows for it.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sparseopt._core._params import public_name
from sparseopt.linear_model._column_units import by_columns, divided_columns
from sparseopt.linear_model._datafit import Datafit, LeastSquares, Logistic
from sparseopt.linear_model._datafit_cox import Cox
from sparseopt.linear_model._datafit_huber import Huber
from sparseopt.linear_model._datafit_rates import Gamma, Poisson, Tweedie
from sparseopt.linear_model._datafits_more import Multinomial
from sparseopt.linear_model._design import Design, usual_range
from sparseopt.prox import (
    L0,
    MCP,
    SCAD,
    WGSEF,
    Box,
    BoxNorm,
    ElasticNet,
    L0Ball,
    L1Ball,
    LogSum,
    Lq,
    NonNegative,
    NoPenalty,
    Penalty,
    PlusRidge,
    Positive,
    Ridge,
    Scaled,
    SeparableSum,
    Simplex,
    SpectralBoxNorm,
)

# Degree of the loss in the unit of the targets; 0 where targets have no unit.
_DEGREES: dict[type[Datafit], int] = {
    **{LeastSquares: 2, Huber: 2, Logistic: 0, Multinomial: 0, Cox: 0},
    **{Poisson: 0, Gamma: 0, Tweedie: 0},
}
# Strengths beyond make all coefficients zero, or differ from that by nothing.
_MOST = 1e140
# Concave penalties bent less than that are straight over any coefficients.
_STRAIGHT = 1e100
# Features as far from zero as that many times their spread, in a few samples.
_FAR, _FEW = 100.0, 16


@dataclass(frozen=True, eq=False)
class Units:
    """Exponents of two: what given numbers are divided by.

    Attributes
    ----------
    features, targets, loss : int
        Those of X, of y and predictions, and of loss, penalty and gap.
    origin : ndarray of shape (p,) or None
        What is taken off the features after that, None for nothing.
    level : float
        What is taken off the targets after that.
    columns : ndarray of shape (p,) or None
        Exponents of single columns, besides those of all features.
    intercept : bool
        Whether an intercept pays for the origin, of which the loss depends else.
    """

    features: int = 0
    targets: int = 0
    loss: int = 0
    origin: np.ndarray | None = None
    level: float = 0.0
    columns: np.ndarray | None = None
    intercept: bool = True

    @classmethod
    def of(cls, datafit: Datafit, penalty: Any = None) -> Units:
        """Units for a datafit; all are 1 where its data are within the usual range.

        Single columns have units of their own if a penalty is given that allows them.
        """
        degree = _DEGREES.get(type(datafit))
        if degree is None:
            return cls()
        targets = 0
        if degree:
            targets = _exponent(float(np.abs(datafit.y).max()), datafit.design.dtype)
        features = math.frexp(datafit.design.extreme)[1]
        columns = _column_exponents(datafit.design, penalty)
        units = cls(features, targets, degree * targets, columns=columns)
        if not datafit.fit_intercept and not datafit.is_coupled:
            return units
        level: Any = 0.0
        if degree:
            seen = np.ldexp(datafit.y[datafit.s > 0.0], -targets)
            # nothing else is as exact for a constant, whose loss would be rounding
            level = seen[0] if seen.min() == seen.max() else _far_value(seen)
        return replace(
            units,
            origin=_origin(datafit.design, units.widths),
            level=float(level),
            intercept=datafit.fit_intercept,
        )

    def __bool__(self) -> bool:
        moves = self.origin is not None or self.level != 0.0
        return self.scales or moves or self.columns is not None

    @property
    def scales(self) -> bool:
        """Whether there are other units of all numbers, not only another origin."""
        return bool(self.features or self.targets)

    @property
    def widths(self) -> Any:
        """Exponents of the features."""
        return self.features if self.columns is None else self.features + self.columns

    @property
    def coef(self) -> int:
        """Exponent of the coefficients, up to that of columns."""
        return self.targets - self.features

    def _exponents(self, w: np.ndarray) -> Any:
        """Exponents of the coefficients."""
        if self.columns is None:
            return self.coef
        return self.coef - self.columns.reshape(-1, *[1] * (w.ndim - 1))

    def datafit(self, datafit: Datafit) -> Datafit:
        """The datafit in these units."""
        other = copy.copy(datafit)
        if self.features:
            other.design = _divided(datafit.design, self.features)
        if self.columns is not None:
            other.design = divided_columns(other.design, self.columns)
        if self.origin is not None:
            other.design = Design(other.design.X - self.origin)
        if self.targets:
            other.y = np.ldexp(datafit.y, -self.targets)
        if self.level:
            other.y = other.y - self.level
        if isinstance(other, Huber) and self.targets:
            # a width of zero is no loss
            delta = max(float(np.ldexp(other.delta, -self.targets)), 1e-300)
            other.delta = other.width = min(delta, _MOST)
        return other

    def penalty(self, penalty: Penalty, datafit: Datafit) -> Penalty:
        """The penalty of coefficients in these units, of the datafit as it was given.

        Raises ValueError where there is none of the same form.
        """
        found = self._rescaled(penalty) if self.scales else penalty
        if found is not None and self.columns is not None:
            own = by_columns(found, self.columns)
            assert own is not None
            return own[0]
        if found is not None:
            return found
        name = "X" if self.features else "y"
        top = datafit.design.extreme if self.features else np.abs(datafit.y).max()
        least, most = usual_range(datafit.design.dtype)
        raise ValueError(
            f"The {name!r} array must have a largest magnitude in [{least}, {most}] "
            f"for {public_name(type(datafit))} with {penalty!r}, which cannot be "
            f"written in other units. Got {float(top):.3g}; rescale it."
        )

    def times(self, lam: float, degree: float) -> float:
        """Strength of a penalty of that degree in the coefficients."""
        exponent = degree * self.coef - self.loss
        whole = math.floor(exponent)
        with np.errstate(over="ignore"):
            value = float(np.ldexp(lam, whole)) * 2.0 ** (exponent - whole)
        return min(value, _MOST)

    def strengths(self) -> list[float]:
        """Strengths of penalties of degrees 1, 2 and 0 that are 1 in these units."""
        exponents = [self.loss - degree * self.coef for degree in (1, 2, 0)]
        return [float(np.ldexp(1.0, min(max(e, -1020), 1020))) for e in exponents]

    def _rescaled(self, penalty: Any) -> Penalty | None:
        """``2^-loss P(2^coef w)``, None where it is not of the form of P."""
        kind = type(penalty)
        if kind in (NoPenalty, NonNegative, L0Ball):
            return penalty
        if hasattr(penalty, "dual_norm"):  # a multiple of a norm
            return _changed(penalty, lam=self.times(penalty.lam, 1))
        if kind in (Ridge, WGSEF, BoxNorm, SpectralBoxNorm):
            return _changed(penalty, lam=self.times(penalty.lam, 2))
        if kind in (L0, Lq):
            degree = 0.0 if kind is L0 else penalty.q
            return _changed(penalty, lam=self.times(penalty.lam, degree))
        if kind is ElasticNet:
            l1 = self.times(penalty.lam * penalty.l1_ratio, 1)
            l2 = self.times(penalty.lam * (1.0 - penalty.l1_ratio), 2)
            ratio = l1 / (l1 + l2) if l1 + l2 > 0.0 else penalty.l1_ratio
            return _changed(penalty, lam=l1 + l2, l1_ratio=ratio)
        if kind in (MCP, SCAD, LogSum):
            return self._concave(penalty)
        if kind in (Box, Simplex, L1Ball):
            return self._set(penalty)
        return self._composed(penalty)

    def _concave(self, penalty: Any) -> Penalty | None:
        lam = self.times(penalty.lam, 1)
        if isinstance(penalty, LogSum):
            eps = float(np.ldexp(penalty.eps, -self.coef))
            lam = self.times(penalty.lam, 0)
            known = 1.0 / _STRAIGHT < eps < _STRAIGHT
            return _changed(penalty, lam=lam, eps=eps) if known else None
        bend = self.loss - 2 * self.coef
        if isinstance(penalty, MCP):
            gamma = min(float(np.ldexp(penalty.gamma, bend)), _STRAIGHT)
            return _changed(penalty, lam=lam, gamma=gamma) if gamma > 1.0 else None
        return None if bend else _changed(penalty, lam=lam)

    def _set(self, penalty: Any) -> Penalty:
        names = {Box: ("lower", "upper"), Simplex: ("total",), L1Ball: ("radius",)}
        values = {}
        for name in names[type(penalty)]:
            value = np.ldexp(getattr(penalty, name), -self.coef)
            values[name] = value if np.ndim(value) else float(value)
        return _changed(penalty, **values)

    def _composed(self, penalty: Any) -> Penalty | None:
        if isinstance(penalty, SeparableSum):
            parts = [self._rescaled(part) for part in penalty.penalties]
            known = all(part is not None for part in parts)
            return _changed(penalty, penalties=parts) if known else None
        if not isinstance(penalty, (Positive, PlusRidge, Scaled)):
            return None
        inner = self._rescaled(penalty.penalty)
        if inner is None:
            return None
        if isinstance(penalty, PlusRidge):
            ridge = self.times(penalty.ridge, 2)
            return _changed(penalty, penalty=inner, ridge=max(ridge, 1e-300))
        return _changed(penalty, penalty=inner)

    def options(self, options: dict[str, Any]) -> dict[str, Any]:
        """Settings of solvers in these units: lengths of steps and weights."""
        # a step is one over a curvature, whose unit is that of squared features
        signs = {"step": 2, "rho": -2}
        out = dict(options)
        for name, sign in signs.items():
            if isinstance(out.get(name), (int, float)) and out[name] > 0:
                value = float(np.ldexp(float(out[name]), sign * self.features))
                out[name] = min(max(value, 1e-300), 1e300)
        return out

    def given_coef(self, w: Any, dtype: Any = np.float64) -> Any:
        """Coefficients in the units of the data, of that type if it holds them."""
        if not self.scales and self.columns is None:
            return np.asarray(w).astype(dtype)
        with np.errstate(over="ignore", under="ignore"):
            wide = np.asarray(w, dtype=np.float64)
            wide = np.ldexp(wide, self._exponents(wide))
            coef = wide.astype(dtype)
        lost = ~np.isfinite(coef) | ((coef == 0) & (wide != 0))
        return wide if lost.any() else coef

    def own_coef(self, w: Any) -> Any:
        """Coefficients in these units."""
        if w is None:
            return None
        w = np.asarray(w, np.float64)
        return np.ldexp(w, -self._exponents(w))

    def given_intercept(self, b: Any, w: np.ndarray) -> Any:
        """Intercepts of coefficients w, both in these units, for the data."""
        if self.origin is not None and self.intercept:
            b = b - self.origin.astype(np.float64) @ w
        b = np.ldexp(b + self.level, self.targets)
        return b if np.ndim(b) else float(b)

    def own_intercept(self, b: Any, w: np.ndarray | None) -> Any:
        """Intercepts in these units, for coefficients w in these units."""
        if b is None:
            return b
        b = np.ldexp(b, -self.targets) - self.level
        if self.origin is not None and self.intercept and w is not None:
            b = b + self.origin.astype(np.float64) @ w
        return b if np.ndim(b) else float(b)

    def given_dual(self, theta: Any) -> Any:
        """Dual points in the units of the data."""
        return None if theta is None else np.ldexp(theta, self.loss - self.targets)

    def given_loss(self, value: Any) -> Any:
        """Objectives and gaps in the units of the data."""
        if value is None or not self.loss:
            return value
        with np.errstate(over="ignore"):
            return float(np.ldexp(value, self.loss))


def _exponent(top: float, dtype: np.dtype) -> int:
    least, most = usual_range(dtype)
    return 0 if top == 0.0 or least <= top <= most else math.frexp(top)[1]


def _column_exponents(design: Design, penalty: Any) -> np.ndarray | None:
    """Exponents of columns of different sizes that the penalty allows for."""
    if not isinstance(penalty, Penalty) or (exponents := design.exponents) is None:
        return None
    found = by_columns(penalty, exponents)
    return None if found is None else found[1]


def _origin(design: Design, exponent: Any) -> np.ndarray | None:
    """A value of each feature that is far from zero, 0 for the others."""
    if design.kind != "dense":
        return None
    rows = design.X[:: max(1, design.n // _FEW)]
    found = _far_value(np.ldexp(rows, -exponent))
    return found.astype(design.dtype) if found.any() else None


def _far_value(rows: np.ndarray) -> np.ndarray:
    """The least of each column where all are far from zero, else 0.

    Differences of numbers within a factor of two are exact.
    """
    low, high = rows.min(axis=0), rows.max(axis=0)
    least = np.minimum(np.abs(low), np.abs(high))
    with np.errstate(over="ignore"):
        far = (low < high) & (least > _FAR * (high - low))
    return np.where(far, low, 0)


def _divided(design: Design, exponent: int) -> Design:
    """The design divided by a power of two."""
    X = design.X
    if design.kind == "sparse":
        X = X.copy()
        X.data = np.ldexp(X.data, -exponent)
    else:
        X = np.ldexp(X, -exponent)
    return Design(X)


def _changed(penalty: Penalty, /, **values: Any) -> Any:
    """The penalty with other values of attributes.

    They are not checked: parameters may round to the ends of their ranges.
    """
    other = copy.copy(penalty)
    for name, value in values.items():
        setattr(other, name, value)
    return other
