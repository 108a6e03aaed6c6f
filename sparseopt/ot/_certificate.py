"""What is proved about a solution: exact marginals, bounds, values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparseopt.ot import _kernels
from sparseopt.ot._run import Run


@dataclass(frozen=True)
class Certificate:
    """Values of the plan at the final potentials, in the caller's units."""

    value: float
    value_linear: float
    value_entropic: float
    lower_bound: float
    gap: float
    row_error: float  # ||P 1 - a||_1, relative to the mass


def certify(run: Run) -> Certificate:
    """Round the plan to a feasible one and bound the optimum from below.

    Rounding: Altschuler, Weed, Rigollet (2017), Algorithm 2, for a plan whose rows are
    exact.  Lower bound: the c-transform of g makes a feasible dual point.  One pass
    over the cost; the potentials of `run` must come from a pass over all entries.
    """
    p, d = run.problem, run.duals
    m = p.shape[1]
    c, g, b = d.c[:m], d.g[:m], p.b[:m]
    shrink = np.minimum(1.0, b / np.maximum(c, 1e-300))
    missing = np.maximum(b - c * shrink, 0.0)
    rows = _kernels.certificate(
        p.C, 1 / p.reg, d.f, d.g, shrink, missing, p.rows, p.n_threads
    )
    kept, linear, shrunk, refill, transform, sums = rows.T
    rest = np.maximum(p.a - kept, 0.0)
    total = missing.sum()
    rounded = shrunk.sum() + (rest @ refill / total if total > 0 else 0.0)
    lower = p.a @ transform + b @ g
    # <C, P> + reg <P, log P> = <P, f + g>: no logarithm of an entry is needed
    dual = p.a @ d.f + c @ g
    scale, log_mass = p.mass * p.unit, math.log(p.mass)
    offset = p.mass * p.offset
    return Certificate(
        value=float(scale * (dual - p.reg * (p.a @ p.loga + c @ p.logb)) + offset),
        value_linear=float(scale * linear.sum() + offset),
        value_entropic=float(
            scale * (dual + p.reg * (log_mass - 1.0) * c.sum()) + offset
        ),
        lower_bound=float(scale * lower + offset),
        gap=float(max(scale * (rounded - lower), 0.0)),
        row_error=float(np.abs(sums - p.a).sum()),
    )


def entropic_gap(run_reg: float, plan_rows, a, b) -> float:
    """Gap of the entropic problem at the rounded plan: ``reg KL(rounded | plan)``.

    `plan_rows` yields pairs of a row slice and the logarithms of the plan's entries
    there.  Exact because the rounded plan is feasible and the plan is the dual's.
    Neither side of the plan need be exact.
    """
    column = np.zeros_like(b)
    row = np.zeros_like(a)
    tighten = np.ones_like(a)
    for part, log_plan in plan_rows():
        plan = np.exp(log_plan)
        tighten[part] = _share(a[part], plan.sum(axis=1))
        column += tighten[part] @ plan
    shrink = _share(b, column)
    missing = np.maximum(b - column * shrink, 0.0)
    for part, log_plan in plan_rows():
        row[part] = tighten[part] * (np.exp(log_plan) @ shrink)
    rest = np.maximum(a - row, 0.0)
    total = missing.sum()
    refill = missing / total if total > 0 else missing
    divergence = 0.0
    for part, log_plan in plan_rows():
        plan = np.exp(log_plan)
        kept = tighten[part, None] * plan * shrink
        rounded = kept + np.outer(rest[part], refill)
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = rounded * (np.log(rounded) - log_plan)
        divergence += float(np.where(rounded > 0, terms, 0.0).sum())
        divergence += float(plan.sum() - rounded.sum())
    return max(run_reg * divergence, 0.0)


def _share(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Factors, at most 1, that bring sums down to what is wanted."""
    with np.errstate(over="ignore"):
        ratio = np.divide(wanted, found, out=np.ones_like(wanted), where=found > 0)
    return np.minimum(1.0, ratio)
