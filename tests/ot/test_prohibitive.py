"""Costs that stand for forbidden pairs: they take no digits from the others."""

import numpy as np
import pytest
from scipy.optimize import linprog

from sparseopt import ot
from sparseopt.exceptions import ConvergenceWarning
from sparseopt.ot._blocks import _nearest

METHODS = ("auto", "sinkhorn", "sns", "ssns")
BIG = (1e6, 1e9, 1e12, 1e15, 1e20, 1e250)


def lp_value(C, a, b, forbidden):
    n, m = C.shape
    rows, columns = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    bounds = [(0, 0 if f else None) for f in forbidden.ravel()]
    C = np.where(forbidden, 0.0, C)
    A, masses = np.vstack([rows, columns[:-1]]), np.r_[a, b[:-1]]
    return linprog(C.ravel(), A_eq=A, b_eq=masses, bounds=bounds, method="highs").fun


def outside_error(result, a, b):
    """From the potentials alone, by the textbook formula."""
    f, g = result.potentials
    plan = np.exp((f[:, None] + (g - result._cost)) / result.reg)
    return np.abs(plan.sum(axis=1) - a).sum() + np.abs(plan.sum(axis=0) - b).sum()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("big", BIG)
def test_a_row_that_stands_apart(method, big):
    """One row can only feed one column; the linear program costs 57.375."""
    B = big
    C = np.array(
        [[250, 375, 2413, B, 0], [213, 329, 2295, B, 0], [197, 309, 2243, B, 2],
         [B, B, B, 5, B], [38, 81, 333, B, 0]]
    )  # fmt: skip
    w = np.array([1, 1, 1, 1, 4]) / 8
    assert lp_value(C, w, w, big == C) == pytest.approx(57.375)
    result = ot.solve(C, w, w, 0.01, method=method)
    assert result.converged
    assert outside_error(result, w, w) <= 1.01e-9
    # the entropy allows reg * log(25) above the optimum, the tolerance 1e-9 of a cost
    excess = result.value_linear - 57.375
    assert -2413e-9 < excess <= 0.01 * np.log(25) + 2413e-9
    assert result.plan[big == C].max() == 0


@pytest.mark.parametrize("seed", range(20))
def test_many_forbidden_pairs(seed):
    """Patterns with a feasible plan, each forbidden pair of another magnitude."""
    rng = np.random.default_rng(seed)
    n, m = rng.integers(3, 25, size=2)
    C = rng.random((n, m)) * 10 ** rng.uniform(0, 3)
    P = np.where(rng.random((n, m)) < rng.uniform(0.1, 0.6), rng.random((n, m)), 0.0)
    k = np.arange(max(n, m))
    P[k % n, k % m] += rng.random(len(k))
    P /= P.sum()
    a, b, forbidden = P.sum(axis=1), P.sum(axis=0), P == 0
    largest = C[~forbidden].max()
    C[forbidden] = 10.0 ** rng.choice([9, 12, 14, 20, 80, 250], size=forbidden.sum())
    reg = 10 ** rng.uniform(-4, -1) * largest
    result = ot.solve(C, a, b, reg)
    assert result.converged
    assert outside_error(result, a, b) <= 1.01e-9
    excess = result.value_linear - lp_value(C, a, b, forbidden)
    assert -1e-8 * largest <= excess <= reg * np.log(n * m) + 1e-8 * largest


def test_infinite_costs_name_the_finite_one_that_does():
    """The named cost forbids: the plan is that of a cost much larger still."""
    rng = np.random.default_rng(0)
    C = rng.random((8, 7))
    forbidden = rng.random(C.shape) < 0.3
    C[forbidden] = np.inf
    with pytest.raises(ValueError, match=r"'C'.*finite.*forbidden.*finite cost") as e:
        ot.solve(C, reg=0.01)
    named = float(str(e.value).split("from ")[1].split()[0])
    assert named < 20
    plans = [
        ot.solve(np.where(forbidden, B, C), reg=0.01, tol=1e-11).plan
        for B in (named, 1e6 * named)
    ]
    assert plans[0][forbidden].max() < 1e-15
    np.testing.assert_allclose(*plans, atol=1e-10)
    C[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"'C'.*finite. Got \S+ at index \S+, \S+$"):
        ot.solve(C, reg=0.01)


def test_mass_that_has_to_pay_is_said_to_cost_accuracy():
    """Half the mass crosses at 1e12: no float64 holds potentials to 1e-9 of reg."""
    C = np.array([[0.0, 1e12], [1e12, 0.0]])
    a, b = np.array([0.75, 0.25]), np.array([0.25, 0.75])
    with pytest.warns(ConvergenceWarning, match="precision"):
        result = ot.solve(C, a, b, 0.01)
    # mass on the wrong side, at most the marginal error, is off by at most 1e12
    error = 1e12 * result.marginal_error
    assert result.value_linear == pytest.approx(0.5e12, abs=error)
    with pytest.raises(ValueError, match=r"'reg'.*every plan uses.*subtract"):
        ot.solve(np.array([[1e15, 3e15], [0.0, 1.0]]), a, b, 0.01)


def test_shifts_stay_within_what_the_costs_allow():
    """Each wanted shift is met where no path of constraints forbids it."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        k = int(rng.integers(2, 8))
        room = rng.random((k, k)) * 10 ** rng.uniform(-2, 2, size=(k, k))
        room[rng.random((k, k)) < 0.3] = np.inf
        np.fill_diagonal(room, 0.0)
        wanted = rng.normal(size=k)
        s = _nearest(wanted, room)
        assert (s <= wanted + 1e-12).all()
        assert (s[None, :] - s[:, None] <= room + 1e-9).all()
        # no shift could be larger: it is at its wish or at a bound that others set
        bound = (s[:, None] + room + np.diag(np.full(k, np.inf))).min(axis=0)
        np.testing.assert_allclose(s, np.minimum(wanted, bound), atol=1e-9)
