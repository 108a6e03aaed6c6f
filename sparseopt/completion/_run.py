"""What one fit carries along: entries, options, factors, monitor."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sparseopt._core._monitor import Monitor
from sparseopt._core._status import Status
from sparseopt.completion._half_step import scaled
from sparseopt.completion._kernels import aligned
from sparseopt.completion._problem import Entries, padded, sum_squares
from sparseopt.completion._scaling import Units

if TYPE_CHECKING:
    from sparseopt.completion._validation import HeldOut

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

    def errors(self, entries: Entries) -> np.ndarray:
        """Values minus predictions at the entries, in row order and not weighted."""
        r = entries.residual(scaled(self.U, self.s), self.V)[0]
        if self.row_bias is not None:
            r -= np.repeat(self.row_bias.astype(r.dtype), np.diff(entries.rows.ptr))
        if self.col_bias is not None:
            r -= self.col_bias.astype(r.dtype)[entries.rows.idx]
        if self.intercept:
            r -= r.dtype.type(self.intercept)
        return r

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
    held_out : HeldOut, optional
        Entries that are not among those fitted, on which each iterate is tried.
    units, power : optional
        What the caller's numbers were divided by, and the power of the sums of weights
        that multiplies the ridge: all that is shown is in the caller's units.
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
    work: float = 0.0  # products with all entries, of 2 n_entries k operations
    residual: float = math.nan
    objective: float = math.nan
    norm: float = 0.0  # sqrt of the weighted sum of squared values
    note: str = ""  # what the status does not say, for the message of the result
    gap: float = math.nan  # duality gap, of convex problems
    solver: str = ""  # what gave the answer, in words
    outliers: np.ndarray | None = None  # of the entries in row order
    lazy: dict[str, Any] = field(default_factory=dict)  # for callbacks, made if asked
    held_out: HeldOut | None = None
    units: Units = field(default_factory=Units)
    power: float = 0.0
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
        if self.held_out is not None:
            penalty = objective - 0.5 * rss
            error = self.held_out.offer(self.factors, penalty)
            fields["validation"] = error * self.units.value
        if "ridge" in fields:
            fields["ridge"] = self.units.callers_ridge(fields["ridge"], self.power)
        status = self.monitor.update(
            self.n_iter,
            objective=self.units.callers_objective(objective),
            residual=self.residual,
            state=self.lazy,
            **{name: v for name, v in fields.items() if name in self.monitor.fields},
        )
        if status is not None:
            raise Stop(status)

    @property
    def stale(self) -> bool:
        """Whether the error at held-out entries, if there are any, falls no more."""
        return self.held_out is not None and self.held_out.stale

    def forget(self) -> None:
        """The ridge is at its end: whether the error falls counts from here."""
        if self.held_out is not None:
            self.held_out.forget()

    def take_best(self) -> None:
        """Go back to the iterate that had the least error at held-out entries."""
        held_out = self.held_out
        if held_out is None or held_out.best is None:
            return
        self.factors = held_out.best
        self.residual = self.certify()
        rss = (self.residual * self.norm) ** 2
        self.objective, self.measured = 0.5 * rss + held_out.penalty, self.factors

    def certify(self) -> float:
        """Relative error of the factors at the observed entries, computed anew.

        Entries marked as outliers do not count.
        """
        if self.factors is self.measured and self.outliers is None:
            return self.residual
        side = self.entries.rows
        r = self.factors.errors(self.entries)
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
