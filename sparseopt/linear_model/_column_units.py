"""Units of single columns: features of 1e-6 beside features of 1e6.

Gradient steps have one length for all coefficients, and tolerances compare slopes of
different columns.  Columns of very different sizes are divided by powers of two, which
is exact, where the penalty can be written in the new coefficients.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from sparseopt.linear_model._design import Design
from sparseopt.prox import (
    L0,
    L1,
    ElasticNet,
    GroupLasso,
    L0Ball,
    NonNegative,
    NoPenalty,
    Penalty,
    Positive,
    Ridge,
    Scaled,
)


def divided_columns(design: Design, exponents: np.ndarray) -> Design:
    """The design with columns divided by powers of two."""
    X = design.X
    if design.kind == "sparse":
        X = X.copy()
        X.data = np.ldexp(X.data, -np.repeat(exponents, np.diff(X.indptr)))
        return Design(X)
    order: Any = "F" if X.flags.f_contiguous else "C"
    return Design(np.ldexp(X, -exponents, order=order))


def by_columns(
    penalty: Any, exponents: np.ndarray
) -> tuple[Penalty, np.ndarray] | None:
    """The penalty of ``2^exponents w``, with the exponents that it allows for.

    None where it cannot be written in these coefficients.
    """
    kind = type(penalty)
    if kind in (NoPenalty, NonNegative, L0, L0Ball):
        return penalty, exponents
    if kind is L1:
        return _weighted(penalty, exponents, penalty.weights, 1), exponents
    if kind is Ridge:
        return ElasticNet(penalty.lam, 0.0, weights=_powers(exponents, 2)), exponents
    if kind is GroupLasso:
        return _groups(penalty, exponents)
    if kind in (Positive, Scaled):
        inner = by_columns(penalty.penalty, exponents)
        if inner is None:
            return None
        other = copy.copy(penalty)
        other.penalty = inner[0]
        return other, inner[1]
    return None


def _groups(
    penalty: GroupLasso, exponents: np.ndarray
) -> tuple[Penalty, np.ndarray] | None:
    """Columns of one group are divided by the same."""
    parts = penalty.parts(exponents.shape)
    common = exponents.copy()
    shared = np.zeros(parts.groups.m, dtype=np.int64)
    for g, members in enumerate(parts.groups.lists()):
        shared[g] = common[members] = int(np.median(exponents[members]))
    if not common.any():
        return None
    weights = np.ones(parts.groups.m) if parts.weights is None else parts.weights
    return _weighted(penalty, shared, weights, 1), common


def _powers(exponents: np.ndarray, degree: int) -> np.ndarray:
    return np.ldexp(1.0, -degree * exponents)


def _weighted(
    penalty: Any, exponents: np.ndarray, weights: Any, degree: int
) -> Penalty:
    """The penalty with weights for coefficients that are multiplied by powers."""
    factors = _powers(exponents, degree)
    other = copy.copy(penalty)
    other._cached = {}
    if weights is not None:
        weights = np.asarray(weights, dtype=np.float64)
        factors = factors.reshape(-1, *[1] * (weights.ndim - 1)) * weights
    other.weights = factors
    return other
