"""Fixtures of the transport tests: instruction sets, certificates, small problems."""

from types import SimpleNamespace

import numpy as np
import pytest

from sparseopt._core import _simd
from sparseopt.ot import _kernels

_BEST = 2


@pytest.fixture(params=["baseline", "v3", "v4"])
def simd(request):
    """Run the test on kernels of this instruction set; skip where it is missing."""
    level = ["baseline", "v3", "v4"].index(request.param)
    found = {_simd.set_level(level), _kernels.set_simd_level(level)}
    if found == {request.param}:
        yield request.param
    _simd.set_level(_BEST)
    _kernels.set_simd_level(_BEST)
    if found != {request.param}:
        pytest.skip(f"no {request.param} here")


@pytest.fixture
def certify():
    """Function that recomputes from outside what a result claims about itself."""

    def certify(result, C, a=None, b=None, tol=1e-9, converged=True):
        C = np.asarray(C, dtype=np.float64)
        n, m = C.shape
        a = np.full(n, 1 / n) if a is None else np.asarray(a, dtype=np.float64)
        b = np.full(m, 1 / m) if b is None else np.asarray(b, dtype=np.float64)
        seen = _recomputed(result, C, a, b)
        # exponents (f + g - C) / reg round relative to the largest of their terms
        size = max(np.abs(C).max(), *(np.abs(v).max() for v in result.potentials))
        fuzz = 20 * np.finfo(float).eps * (size / result.reg + n + m)
        mass = a.sum()
        assert result.converged == converged == (result.residual <= tol)
        assert result.marginal_error == result.residual
        assert abs(seen.error - mass * result.marginal_error) <= mass * fuzz
        scale = mass * (np.ptp(C) + result.reg) + np.abs(C).max() * mass
        for name in ("value", "value_linear", "value_entropic", "lower_bound", "gap"):
            claimed, wanted = getattr(result, name), getattr(seen, name)
            error = abs(claimed - wanted) / scale
            assert error <= 10 * fuzz, (name, claimed, wanted)
        assert result.objective == result.value_entropic
        return seen

    return certify


def _recomputed(result, C, a, b):
    """The textbook formulas, on the dense plan made from the potentials."""
    f, g = result.potentials
    reg, mass = result.reg, a.sum()
    rows, columns = np.flatnonzero(a > 0), np.flatnonzero(b > 0)
    log_plan = np.full(C.shape, -np.inf)
    kept = np.ix_(rows, columns)
    log_plan[kept] = (f[rows, None] + (g[columns] - C[kept])) / reg
    plan = np.exp(log_plan)
    positive = plan > 0
    linear = (C * plan).sum()
    entropy = (plan[positive] * log_plan[positive]).sum()
    product = np.outer(a, b)[positive] / mass
    divergence = entropy - (plan[positive] * np.log(product)).sum()
    # bounds of the two sides; the solver takes that whose rows it eliminated
    inner, f, g = C[kept], f[rows], g[columns]
    other = _rounded(plan.T, b, a).T
    sides = [
        (a[rows] @ (inner - g).min(axis=1) + b[columns] @ g, _rounded(plan, a, b)),
        (a[rows] @ f + b[columns] @ (inner.T - f).min(axis=1), other),
    ]
    lower, rounded = min(sides, key=lambda side: abs(side[0] - result.lower_bound))
    feasible = _rounded(plan, a, b)
    kept = feasible > 0
    gain = feasible[kept] @ np.log(feasible[kept]) - feasible[kept] @ log_plan[kept]
    return SimpleNamespace(
        plan=plan,
        # of the entropic problem, from the feasible plan and the dual value of (f, g)
        dual_gap=reg * (gain - feasible.sum() + plan.sum()),
        rounded=rounded,
        error=np.abs(plan.sum(1) - a).sum() + np.abs(plan.sum(0) - b).sum(),
        value=linear + reg * divergence,
        value_linear=linear,
        value_entropic=linear + reg * (entropy - plan.sum()),
        lower_bound=lower,
        gap=(C * rounded).sum() - lower,
    )


def _rounded(plan, a, b):
    """Algorithm 2 of Altschuler, Weed and Rigollet (2017)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        plan = plan * np.fmin(1.0, a / plan.sum(axis=1))[:, None]
        plan = plan * np.fmin(1.0, b / plan.sum(axis=0))
    rest_a, rest_b = a - plan.sum(axis=1), b - plan.sum(axis=0)
    total = np.abs(rest_a).sum()
    return plan + np.outer(rest_a, rest_b) / total if total > 0 else plan
