"""Solutions against their certificates, closed forms and other solvers."""

from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.special import logsumexp

from sparseopt import datasets, ot

METHODS = ("auto", "sinkhorn", "sns", "ssns")


def random_problem(seed, n=30, m=25, zeros=0):
    rng = np.random.default_rng(seed)
    C, a, b = rng.normal(size=(n, m)), rng.random(n), rng.random(m)
    a[:zeros], b[:zeros] = 0, 0
    return C, a / a.sum(), b / b.sum()


def lp_value(C, a, b):
    n, m = C.shape
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    A = np.vstack([rows, columns[:-1]])
    return linprog(C.ravel(), A_eq=A, b_eq=np.r_[a, b[:-1]], method="highs").fun


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("reg", [1.0, 0.1, 0.01])
def test_methods_certify_and_agree(method, reg, certify):
    C, a, b = random_problem(0)
    result = ot.solve(C, a, b, reg, method=method, tol=1e-11)
    seen = certify(result, C, a, b, tol=1e-11)
    reference = ot.solve(C, a, b, reg, tol=1e-13)
    np.testing.assert_allclose(seen.plan, reference.plan, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("mass", [1.0, 5.0])
def test_rough_results_are_certified_too(method, order, mass, certify):
    """Values, bound and gap are those of the plan at hand, however far it is."""
    C, a, b = random_problem(16)
    C, a, b = np.asarray(C, order=order), mass * a, mass * b
    with pytest.warns(UserWarning, match="did not converge"):
        result = ot.solve(C, a, b, 0.05, method=method, max_iter=2)
    seen = certify(result, C, a, b, converged=False)
    assert result.marginal_error > 1e-3
    optimum = mass * lp_value(C, a / mass, b / mass)
    assert result.lower_bound < optimum < result.lower_bound + result.gap
    np.testing.assert_allclose(seen.rounded.sum(axis=1), a, rtol=1e-12)
    np.testing.assert_allclose(seen.rounded.sum(axis=0), b, rtol=1e-12)
    assert result.dual_gap == pytest.approx(seen.dual_gap, rel=1e-9)


@pytest.mark.parametrize("reg", [0.3, 0.03, 0.003])
def test_bounds_bracket_the_linear_program(reg):
    C, a, b = random_problem(1, 20, 15)
    result = ot.solve(C, a, b, reg, tol=1e-12)
    optimum = lp_value(C, a, b)
    assert result.lower_bound <= optimum + 1e-12
    assert optimum <= result.lower_bound + result.gap + 1e-12
    assert optimum - 1e-10 <= result.value_linear
    entropy = min(-(w * np.log(w)).sum() for w in (a, b))
    assert result.value_linear - optimum <= reg * entropy + 1e-12


def test_dual_gap_bounds_the_entropic_error():
    C, a, b = random_problem(2)
    best = ot.solve(C, a, b, 0.05, tol=1e-13)
    assert best.dual_gap < 1e-12
    with pytest.warns(UserWarning, match="did not converge"):
        rough = ot.solve(C, a, b, 0.05, method="sinkhorn", tol=1e-13, max_iter=3)
    # value of the dual at the rough potentials is below the optimum by at most the gap
    dual = rough.history["objective"][-1]
    assert 0 < best.value_entropic - dual <= rough.dual_gap
    assert rough.dual_gap > 1e-6
    # the other orientation: columns are exact, rows are not
    with pytest.warns(UserWarning, match="did not converge"):
        turned = ot.solve(C.T, b, a, 0.05, method="sinkhorn", tol=1e-13, max_iter=3)
    assert turned.potentials[0].shape == (25,)
    dual = turned.history["objective"][-1]
    assert 0 < best.value_entropic - dual <= turned.dual_gap


def test_pot_gives_the_same_plan():
    pot = pytest.importorskip("ot")
    C, a, b = random_problem(3)
    for reg in (1.0, 0.1):
        theirs = pot.sinkhorn(
            a, b, C, reg, method="sinkhorn_log", stopThr=1e-13, numItermax=10**5
        )
        mine = ot.solve(C, a, b, reg, tol=1e-13)
        np.testing.assert_allclose(mine.plan, theirs, atol=1e-10)
    value = pot.solve(C, a, b, reg=0.1, reg_type="KL", tol=1e-13, max_iter=10**5).value
    assert mine.value == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("reg", [0.5, 0.05])
def test_cvxpy_gives_the_same_value(reg):
    cp = pytest.importorskip("cvxpy")
    C, a, b = random_problem(4, 8, 6)
    P = cp.Variable((8, 6), nonneg=True)
    objective = cp.sum(cp.multiply(C, P)) - reg * cp.sum(cp.entr(P)) - reg * cp.sum(P)
    constraints = [cp.sum(P, axis=1) == a, cp.sum(P, axis=0) == b]
    problem = cp.Problem(cp.Minimize(objective), constraints)
    problem.solve(solver="CLARABEL")
    mine = ot.solve(C, a, b, reg, tol=1e-12)
    assert mine.value_entropic == pytest.approx(problem.value, abs=1e-6)


@pytest.mark.parametrize("reg", [2.0, 0.1, 0.03])
def test_two_by_two(reg):
    """p (1 - a - b + p) / ((a - p)(b - p)) = exp(-(C11 + C22 - C12 - C21) / reg)."""
    C, a, b = np.array([[0.1, 0.5], [0.4, 0.2]]), 0.3, 0.6
    plan = ot.solve(C, [a, 1 - a], [b, 1 - b], reg, tol=1e-14).plan
    p = plan[0, 0]
    left = np.log(p) + np.log(1 - a - b + p) - np.log(a - p) - np.log(b - p)
    right = -(C[0, 0] + C[1, 1] - C[0, 1] - C[1, 0]) / reg
    # a - p and b - p have lost digits when the plan is nearly a permutation
    assert left == pytest.approx(right, rel=1e-9 if reg > 0.05 else 1e-6)


@pytest.mark.parametrize("reg", [0.5, 0.05])
def test_gaussians(reg):
    """Covariance (sqrt(4 s1^2 s2^2 + t^2) - t) / 2, t = reg / 2 (Janati 2020)."""
    s1, s2, shift = 0.7, 1.2, 0.5
    x = np.arange(-8 * s2, 8 * s2 + shift, 0.02 * s2)
    a = np.exp(-(x**2) / (2 * s1**2))
    b = np.exp(-((x - shift) ** 2) / (2 * s2**2))
    a, b = a / a.sum(), b / b.sum()
    plan = ot.solve((x[:, None] - x) ** 2, a, b, reg, tol=1e-12).plan
    covariance = x @ plan @ (x - shift)
    t = reg / 2
    assert covariance == pytest.approx(
        (np.sqrt(4 * s1**2 * s2**2 + t**2) - t) / 2, abs=1e-9
    )


@pytest.mark.parametrize("n", [1, 2, 4, 6])
def test_assignment_by_brute_force(n):
    C = np.random.default_rng(n).random((n, n))
    best = min(permutations(range(n)), key=lambda p: C[range(n), list(p)].sum())
    result = ot.solve(C, reg=1e-3 * np.ptp(C) if n > 1 else 1e-3, tol=1e-11)
    wanted = np.zeros((n, n))
    wanted[range(n), list(best)] = 1 / n
    np.testing.assert_allclose(result.plan, wanted, atol=1e-3)


def test_shift_scale_transpose_permute():
    C, a, b = random_problem(5)
    base = ot.solve(C, a, b, 0.05, tol=1e-13)
    u, v = np.linspace(-3, 3, 30), np.linspace(5, -5, 25)
    shifted = ot.solve(C + u[:, None] + v, a, b, 0.05, tol=1e-13)
    np.testing.assert_allclose(shifted.plan, base.plan, atol=1e-11)
    scaled = ot.solve(7 * C, a, b, 0.35, tol=1e-13)
    np.testing.assert_allclose(scaled.plan, base.plan, atol=1e-12)
    np.testing.assert_allclose(scaled.potentials[1], 7 * base.potentials[1], atol=1e-9)
    turned = ot.solve(C.T, b, a, 0.05, tol=1e-13)
    np.testing.assert_allclose(turned.plan, base.plan.T, atol=1e-12)
    p, q = np.random.default_rng(0).permutation(30), np.arange(25)[::-1]
    mixed = ot.solve(C[p][:, q], a[p], b[q], 0.05, tol=1e-13)
    np.testing.assert_allclose(mixed.plan, base.plan[p][:, q], atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 7), (7, 1), (2, 3), (5000, 3), (3, 5000)]
)
def test_shapes(shape, method, certify):
    C = np.random.default_rng(7).random(shape)
    result = ot.solve(C, reg=0.05, method=method)
    certify(result, C)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("layout", ["C", "F", "strided", "reversed"])
def test_layouts(layout, method, dtype):
    C, a, b = random_problem(8)
    C = C.astype(dtype)
    wanted = ot.solve(C, a, b, 0.1, method=method, tol=1e-9).plan
    views = {
        "C": C,
        "F": np.asfortranarray(C),
        "strided": np.repeat(np.repeat(C, 2, axis=0), 3, axis=1)[::2, ::3],
        "reversed": C[::-1, ::-1].copy()[::-1, ::-1],
    }
    result = ot.solve(views[layout], a, b, 0.1, method=method, tol=1e-9)
    assert result.plan.dtype == dtype
    assert result.sparse_plan.dtype == dtype
    np.testing.assert_allclose(result.plan, wanted, atol=1e-7)


def test_single_precision_cost_is_solved_in_double(certify):
    C, a, b = random_problem(9)
    C32 = C.astype(np.float32)
    result = ot.solve(C32, a, b, 0.01, tol=1e-11)
    f, g = result.potentials
    assert f.dtype == g.dtype == np.float64
    wanted = ot.solve(C32.astype(float), a, b, 0.01, tol=1e-11)
    np.testing.assert_allclose(g, wanted.potentials[1], atol=1e-11)
    assert ot.solve(C, a, b, 0.01, dtype="float32").plan.dtype == np.float32


@pytest.mark.parametrize("method", METHODS)
def test_points_without_mass(method, certify):
    C, a, b = random_problem(10, zeros=4)
    result = ot.solve(C, a, b, 0.05, method=method, tol=1e-10)
    certify(result, C, a, b, tol=1e-10)
    assert (result.plan[:4] == 0).all() and (result.plan[:, :4] == 0).all()
    f, g = result.potentials
    np.testing.assert_allclose(f[:4], (C[:4, 4:] - g[4:]).min(axis=1))
    np.testing.assert_allclose(g[:4], (C[4:, :4] - f[4:, None]).min(axis=0))
    inner = ot.solve(C[4:, 4:].copy(), a[4:], b[4:], 0.05, tol=1e-12)
    np.testing.assert_allclose(result.plan[4:, 4:], inner.plan, atol=1e-9)
    assert np.isnan(result.a_to_b(np.ones((25, 1)))[:4]).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, -3.5, 1e12])
def test_constant_cost(method, value):
    _, a, b = random_problem(11)
    result = ot.solve(np.full((30, 25), value), a, b, max(abs(value), 1), method=method)
    np.testing.assert_allclose(result.plan, np.outer(a, b), atol=1e-12)


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e-200, 1e200, 1e300])
def test_extreme_costs(scale):
    C, a, b = random_problem(12)
    C /= np.abs(C).max()
    result = ot.solve(C * scale, a, b, 0.02, reg_relative=True)
    assert result.converged
    rtol = 1e-6 if scale > 1e-310 else 1e-2  # denormal costs have few digits
    wanted = ot.solve(C, a, b, 0.02, reg_relative=True)
    np.testing.assert_allclose(result.plan, wanted.plan, atol=rtol)
    assert result.value_linear == pytest.approx(
        wanted.value_linear * scale, rel=10 * rtol
    )


def test_range_of_the_cost_overflows():
    C = np.array([[1.7e308, -1.7e308], [-1.7e308, 1.7e308]])
    result = ot.solve(C, reg=1e306)
    np.testing.assert_allclose(result.plan, [[0, 0.5], [0.5, 0]], atol=1e-9)
    assert np.isfinite(result.value_linear)


@pytest.mark.parametrize("mass", [1e-300, 1e-30, 17.0, 1e30])
def test_any_total_mass(mass):
    C, a, b = random_problem(13)
    one = ot.solve(C, a, b, 0.05, tol=1e-12)
    many = ot.solve(C, mass * a, mass * b, 0.05, tol=1e-12)
    np.testing.assert_allclose(many.plan / mass, one.plan, atol=1e-11)
    assert many.value == pytest.approx(mass * one.value, rel=1e-9)
    f, g = many.potentials
    plan = np.exp((f[:, None] + g - C) / 0.05)
    np.testing.assert_allclose(plan, many.plan, rtol=1e-9)


def test_masses_over_thirty_decades():
    rng = np.random.default_rng(14)
    C = rng.random((60, 50))
    a, b = 10 ** rng.uniform(-30, 0, 60), 10 ** rng.uniform(-30, 0, 50)
    a, b = a / a.sum(), b / b.sum()
    for reg in (1e-1, 1e-2, 1e-3):
        result = ot.solve(C, a, b, reg, tol=1e-11)
        assert result.converged
        assert np.abs(result.plan.sum(axis=0) - b).sum() < 1e-10


SMALL = ["digits-l1", "faces-l2", "unseen-crop-l1-289-0", "unseen-clouds-3000x50"]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("reg", [1e-2, 1e-3, 1e-4, 1e-6])
def test_benchmark_problems_down_to_tiny_reg(name, reg, certify):
    (problem,) = datasets.ot_benchmark_set(names=[name])
    C, a, b = problem[:3]
    result = ot.solve(C, a, b, reg, reg_relative=True, tol=1e-9)
    certify(result, C, a, b, tol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_l1_crops_where_peers_diverge(seed, certify):
    problem = datasets.make_grid_pair(
        17, "cityblock", images=("camera", "coins"), crop=17, random_state=seed
    )
    result = ot.solve(problem.C, problem.a, problem.b, 1e-3, tol=1e-10)
    certify(result, problem.C, problem.a, problem.b, tol=1e-10)


@pytest.mark.parametrize("make", [datasets.make_assignment, datasets.make_clouds])
def test_to_machine_precision(make, certify):
    p = make(120, random_state=0)
    result = ot.solve(p.C, p.a, p.b, 1e-3, tol=1e-12)
    certify(result, p.C, p.a, p.b, tol=1e-12)


def test_dense_plan_when_memory_is_short(monkeypatch, certify):
    """Newton without a stored plan gives the same answer."""
    from sparseopt.ot import _api

    p = datasets.make_clouds(150, 140, random_state=1)
    wanted = ot.solve(p.C, p.a, p.b, 5e-3, tol=1e-11)
    start = _api._start

    def starve(*args):
        run = start(*args)
        run.memory = 0.0
        return run

    monkeypatch.setattr(_api, "_start", starve)
    result = ot.solve(p.C, p.a, p.b, 5e-3, tol=1e-11)
    certify(result, p.C, p.a, p.b, tol=1e-11)
    assert (result.history["nnz"] == p.C.size).all()
    np.testing.assert_allclose(result.plan, wanted.plan, atol=1e-10)


def test_sparse_plan_and_maps():
    p = datasets.make_clouds(80, 70, random_state=2)
    result = ot.solve(p.C, p.a, p.b, 1e-3, tol=1e-12)
    thin = result.sparse_plan
    assert thin.nnz < 0.6 * p.C.size
    assert np.abs(thin.toarray() - result.plan).sum() < 1e-13
    np.testing.assert_allclose(thin.sum(axis=1), p.a, rtol=1e-14)
    Y = np.random.default_rng(3).normal(size=(70, 4))
    np.testing.assert_allclose(
        result.a_to_b(Y), result.plan @ Y / p.a[:, None], atol=1e-12
    )
    X = np.random.default_rng(4).normal(size=(80, 4))
    np.testing.assert_allclose(
        result.b_to_a(X), result.plan.T @ X / p.b[:, None], atol=1e-10
    )
    rows, columns = result.marginals
    np.testing.assert_allclose(rows, p.a, rtol=1e-12)
    np.testing.assert_allclose(columns, p.b, atol=1e-12)
    with pytest.raises(ValueError, match=r"'Y'.*70 rows"):
        result.a_to_b(X)


@pytest.mark.parametrize("order", ["C", "F"])
def test_sparse_plan_keeps_the_smallest_rows(order):
    """Also one that the tolerance does not see, where columns are made exact."""
    C = np.array([[-0.8, -1.3], [-0.25, 0.42], [1.14, 0.11], [-0.55, -0.78]])
    a = np.array([2e-13, 7e-4, 0.999, 3e-4])
    a, b = a / a.sum(), np.array([0.88, 0.12])
    result = ot.solve(np.asarray(C, order=order), a, b, 0.0025, tol=1e-10)
    np.testing.assert_allclose(result.sparse_plan.sum(axis=1), a, rtol=1e-13)
    assert np.abs(result.sparse_plan.toarray() - result.plan).sum() < 1e-10


def test_log_domain_twin():
    """Plain Sinkhorn in NumPy takes the same iterations."""
    C, a, b = random_problem(15)
    reg, g, errors = 0.1, np.zeros(25), []
    for _ in range(30):
        f = reg * (np.log(a) - logsumexp((g - C) / reg, axis=1))
        c = np.exp((f[:, None] + g - C) / reg).sum(axis=0)
        errors.append(np.abs(c - b).sum())
        g += reg * (np.log(b) - np.log(c))
    with pytest.warns(UserWarning, match="did not converge"):
        result = ot.solve(C, a, b, reg, method="sinkhorn", tol=1e-15, max_iter=30)
    np.testing.assert_allclose(
        result.history["residual"], errors, rtol=1e-9, atol=1e-15
    )
