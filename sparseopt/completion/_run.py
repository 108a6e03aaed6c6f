"""What one fit carries along: entries, options, factors, monitor."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sparseopt._core._monitor import Monitor
from sparseopt._core._status import Status
from sparseopt.completion._half_step import scaled
from sparseopt.completion._kernels import aligned
from sparseopt.completion._problem import Entries, padded, sum_squares

# Numbers that algorithms show beside objective and residual: for `Monitor(fields=...)`.
FIELDS = ("ridge", "inner")


class Stop(Exception):
    """Ends a fit from any depth; the factors of the run are its answer."""

    def __init__(self, status: Status) -> None:
        super().__init__(str(status))
        self.status = status


@dataclass(frozen=True)
class Factors:
    """``U diag(s) V'`` with orthonormal padded frames, and biases where there are any.

    ``U`` is (m, width), ``s`` (k,) float64, ``V`` (n, width); a prediction is
    ``intercept + row_bias_i + col_bias_j + sum_l U_il s_l V_jl``.
    """

    U: np.ndarray
    s: np.ndarray
    V: np.ndarray
    row_bias: np.ndarray | None = None
    col_bias: np.ndarray | None = None
    intercept: float = 0.0

    @property
    def k(self) -> int:
        return len(self.s)

    def cut(self, k: int) -> Factors:
        """The leading k directions."""
        if self.k <= k:
            return self
        dtype = self.V.dtype
        U, V = _repad(self.U, k, dtype), _repad(self.V, k, dtype)
        return replace(self, U=U, s=self.s[:k].copy(), V=V)

    def astype(self, dtype: Any) -> Factors:
        """The same in another type, rows padded for it."""
        if self.V.dtype == dtype:
            return self
        return replace(
            self, U=_repad(self.U, self.k, dtype), V=_repad(self.V, self.k, dtype)
        )


@dataclass
class Run:
    """State of a fit that algorithms change; ``factors`` is always a complete iterate.

    Parameters
    ----------
    entries : Entries
    k : int
        Rank.
    alpha : float
        Final ridge, in units of the normal matrices.
    tol : float
        Bound on the relative error ``residual`` at the observed entries.
    tol_obj : float
        Bound on the relative decrease of the objective over three iterations.
    options : dict
        What algorithms look up: "cg_steps", "homotopy", ...
    """

    entries: Entries
    k: int
    alpha: float
    tol: float
    tol_obj: float
    rng: np.random.Generator
    monitor: Monitor
    factors: Factors
    options: dict[str, Any] = field(default_factory=dict)
    n_iter: int = 0
    n_restarts: int = 0
    work: float = 0.0
    residual: float = math.nan
    objective: float = math.nan
    norm: float = 0.0  # sqrt of the weighted sum of squared values
    note: str = ""  # what the status does not say, for the message of the result
    gap: float = math.nan  # duality gap, of convex problems
    solver: str = ""  # what gave the answer, in words
    outliers: np.ndarray | None = None  # of the entries in row order
    lazy: dict[str, Any] = field(default_factory=dict)  # for callbacks, made if asked
    validation: list[float] = field(default_factory=list)  # RMSE where held out
    measured: Factors | None = None  # those whose residual came from a pass over all
    # state of methods by name: what they are asked for in a callback, and what one that
    # goes on from a checkpoint takes up
    keeps: dict[str, Callable[[], dict[str, Any]]] = field(default_factory=dict)
    saved: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        side = self.entries.rows
        self.norm = math.sqrt(sum_squares(side.val, side.weight)) or 1.0

    def update(
        self, factors: Factors, rss: float, objective: float, **fields: float
    ) -> None:
        """Take an iterate, count and show it; raises `Stop` when a limit is reached."""
        self.factors = factors.astype(self.entries.dtype)
        self.n_iter += 1
        self.residual = math.sqrt(rss) / self.norm
        self.objective = objective
        status = self.monitor.update(
            self.n_iter,
            objective=objective,
            residual=self.residual,
            state=self.lazy,
            **{name: v for name, v in fields.items() if name in self.monitor.fields},
        )
        if status is not None:
            raise Stop(status)

    def certify(self) -> float:
        """Relative error of the factors at the observed entries, computed anew.

        Entries marked as outliers do not count.
        """
        if self.factors is self.measured and self.outliers is None:
            return self.residual
        f, side = self.factors, self.entries.rows
        r = self.entries.residual(scaled(f.U, f.s), f.V)[0]
        if f.row_bias is not None:
            r -= np.repeat(f.row_bias.astype(r.dtype), np.diff(side.ptr))
        if f.col_bias is not None:
            r -= f.col_bias.astype(r.dtype)[side.idx]
        if f.intercept:
            r -= r.dtype.type(f.intercept)
        weight = side.weight
        if self.outliers is not None:
            weight = ~self.outliers if weight is None else weight * ~self.outliers
        total = sum_squares(side.val, weight)
        return math.sqrt(sum_squares(r, weight) / total) if total > 0 else 0.0


def repadded(factors: Factors) -> Factors:
    """The same with rows padded, in its own type."""
    k, dtype = factors.k, factors.V.dtype
    return replace(
        factors, U=_repad(factors.U, k, dtype), V=_repad(factors.V, k, dtype)
    )


def _repad(F: np.ndarray, k: int, dtype: Any) -> np.ndarray:
    out = aligned((len(F), padded(k, dtype)), dtype)
    out[:, :k] = F[:, :k]
    return out
