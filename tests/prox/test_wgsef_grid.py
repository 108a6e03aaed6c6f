"""The envelope's prox against an interior point, to 1e-5 of the largest entry.

What makes the interior point that exact: unit scale (the prox is equivariant, so that
other scales come from the same solution), the unknown ``v = (1 + lam) w``, which is of
the size of x for any lam, and the better of several settings, none of which is enough
in every degenerate case (up to 2e-3 apart).  The better one is known without asking us:
by the objective, with the envelope's value from a bisection.
"""

import itertools

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import brentq

from sparseopt.prox import Groups, prox_wgsef

TIGHT = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-12)
SETTINGS = (
    TIGHT,
    TIGHT | {"static_regularization_constant": 1e-12},
    TIGHT | {"equilibrate_enable": False},
)
LAMS = (1e-4, 0.1, 1.0, 10.0, 1e4)
SCALES = (1.0, 1e-150, 1e150)
FORMS = ("cone", "quad_over_lin")

# every setting but the loosest ends where rounding stops it, and says so
pytestmark = pytest.mark.filterwarnings("ignore:Solution may be inaccurate")


def envelope(r, k, d, q):
    """Half the least ``sum d r^2 / u`` with ``sum q u <= k``: u is min(1, eta a)."""
    a = np.sqrt(d / q) * r / r.max()
    keep = a > 1e-12  # less adds nothing to the sum
    a, q = a[keep], q[keep]
    eta = 1 / a.min()
    if q.sum() > k:
        eta = brentq(lambda t: q @ np.minimum(t * a, 1) - k, 0, eta, xtol=1e-300)
    return 0.5 * r.max() ** 2 * (q * a**2 / np.minimum(eta * a, 1)).sum()


class InteriorPoint:
    """The prox problem of one point for any k and lam; x has entries of size one."""

    def __init__(self, x, parts, d, q, form):
        self.parts, self.d, self.q = parts, d, q
        self.x = x
        self.v, self.u = cp.Variable(x.size), cp.Variable(parts.m)
        self.k = cp.Parameter(nonneg=True)
        self.ridge, self.penalty = cp.Parameter(nonneg=True), cp.Parameter(nonneg=True)
        v, u = self.v, self.u
        budget = [u >= 0, u <= 1, q @ u <= self.k]
        if form == "cone":
            t = cp.Variable(parts.m)
            terms = d @ t
            for j, part in enumerate(parts.lists()):
                apart = cp.hstack([2 * v[part], t[j] - u[j]])
                budget.append(cp.SOC(t[j] + u[j], apart))
        else:
            terms = sum(
                d[j] * cp.quad_over_lin(v[part], u[j])
                for j, part in enumerate(parts.lists())
            )
        objective = self.ridge * cp.sum_squares(v) - v @ x + self.penalty * terms
        self.problem = cp.Problem(cp.Minimize(objective), budget)

    def solve(self, k, lam, settings):
        """Objective of the point that was found, and the point."""
        self.k.value = k
        self.ridge.value, self.penalty.value = 0.5 / (1 + lam), 0.5 * lam / (1 + lam)
        try:
            self.problem.solve(solver=cp.CLARABEL, warm_start=False, **settings)
        except cp.SolverError:
            return np.inf, None
        if self.v.value is None:
            return np.inf, None
        v = self.v.value
        # what is zero but for noise would hide differences of the second order
        v = np.where(np.abs(v) > 1e-6 * np.abs(v).max(), v, 0)
        value = envelope(self.parts.norms(v), k, self.d, self.q)
        objective = (v @ v + 2 * lam * value) / (2 * (1 + lam)) - v @ self.x
        return objective, self.v.value / (1 + lam)


def points(seed, n=12):
    """Groups and a point with zeros, small integers (ties), or one value alone."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n) * rng.choice([0, 1, 3], size=n)
    if seed % 4 == 1:
        x = np.round(2 * x)
    if seed == 7:
        x = np.full(n, -2.0)
    x /= np.abs(x).max()
    groups = [None, 3, Groups.of(rng.integers(-1, 5, size=n), n)][seed % 3]
    m = Groups.of(groups, n).m
    d = rng.uniform(0.5, 2, size=m) if seed % 2 else np.ones(m)
    q = rng.uniform(0.5, 2, size=m) if seed % 5 == 4 else np.ones(m)
    return x, groups, d, q


@pytest.mark.parametrize("seed", range(12))
def test_interior_point_grid(seed):
    x, groups, d, q = points(seed)
    parts = Groups.of(groups, x.size)
    solvers = [InteriorPoint(x, parts, d, q, form) for form in FORMS]
    runs = list(itertools.product(solvers, SETTINGS))
    ks = sorted({1, parts.m // 2, parts.m - 1, parts.m})
    for index, (k, lam) in enumerate(itertools.product(ks, LAMS)):
        exact = min(
            (s.solve(k, lam, how) for s, how in runs), key=lambda found: found[0]
        )[1]
        scale = SCALES[index % len(SCALES)]
        options = {"groups": groups, "weights": d}
        if not np.all(q == 1):
            options["costs"] = q
        w = prox_wgsef(scale * x, k, lam, **options) / scale
        np.testing.assert_allclose(w, exact, rtol=0, atol=1e-5 * np.abs(w).max())
