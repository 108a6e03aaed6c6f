"""The envelope solver: gaps recomputed, cvxpy, plain proximal gradients, screening."""

import cvxpy as cp
import numpy as np
import pytest
from scipy import sparse

from sparseopt import Status
from sparseopt.linear_model import LeastSquares, Logistic, minimize_composite
from sparseopt.linear_model import _envelope as module
from sparseopt.linear_model._envelope import envelope_of, screen, shares
from sparseopt.linear_model._envelope_part import Part
from sparseopt.prox import L1, WGSEF, Groups, wgsef_value

LABELS = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4, 5, 6, 7, 7, 8, 9, 9, 10, 11, 11, 11])
FREE = np.where(LABELS >= 10, -1, LABELS)
GROUPS = {"single": None, "blocks": 2, "lists": LABELS, "free": FREE}


def problem(seed, n=30, p=20, logistic=False, shift=0.0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) + 0.5 * rng.standard_normal((n, 1)) + shift
    y = X[:, :3] @ [2.0, -1.0, 1.0] + rng.standard_normal(n) - shift
    return X, np.where(y > np.median(y), 1.0, -1.0) if logistic else y


def solve(datafit, penalty, **options):
    return minimize_composite(
        datafit, penalty, solver="envelope", **({"tol": 1e-10} | options)
    )


def top_sum(v, k):
    return float(np.sort(v)[len(v) - k :].sum())


def plain_gap(X, y, w, b, k, lam, groups=None, d=None, s=None, logistic=False):
    """Duality gap from the formulas alone, for a point with its best intercept."""
    parts = Groups.of(groups, X.shape[1])
    d = np.ones(parts.m) if d is None else d
    s = np.full(len(y), 1 / len(y)) if s is None else s / s.sum()
    z = X @ w + b
    envelope = lam * wgsef_value(w, k, groups=groups, weights=d)
    if logistic:
        p = 1 / (1 + np.exp(y * z))
        theta, value = s * y * p, s @ np.log1p(np.exp(-y * z))
        dual = -s @ (p * np.log(p) + (1 - p) * np.log1p(-p))
    else:
        theta, value = s * (y - z), 0.5 * s @ (y - z) ** 2
        dual = theta @ y - 0.5 * theta @ (theta / s)
    scores = np.array([np.sum((X[:, g].T @ theta) ** 2) for g in parts.lists()]) / d
    return value + envelope - (dual - top_sum(scores, k) / (2 * lam)), theta


# ----------------------------------------------------------------------- optimality


@pytest.mark.parametrize("groups", ["single", "blocks", "lists"])
@pytest.mark.parametrize("logistic", [False, True], ids=["squares", "logistic"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("lam", [0.02, 0.5])
def test_gap_is_true(groups, logistic, intercept, lam):
    groups = GROUPS[groups]
    X, y = problem(1, logistic=logistic)
    rng = np.random.default_rng(2)
    m = Groups.of(groups, 20).m
    d, s = rng.uniform(0.5, 2.0, m), rng.uniform(0.5, 2.0, 30)
    cls = Logistic if logistic else LeastSquares
    datafit = cls(X, y, sample_weight=s, fit_intercept=intercept)
    result = solve(datafit, WGSEF(3, lam, groups=groups, weights=d))
    assert result.status is Status.CONVERGED
    gap, theta = plain_gap(
        X, y, result.coef, result.intercept, 3, lam, groups, d, s, logistic
    )
    assert gap <= 1e-9 * datafit.scale()
    if intercept:
        assert abs(theta.sum()) < 1e-8 * np.abs(theta).sum()
    else:
        assert result.intercept == 0.0


def cvx(X, y, k, lam, groups, d, logistic, intercept):
    n, p = X.shape
    parts = Groups.of(groups, p)
    w, b, u = cp.Variable(p), cp.Variable(), cp.Variable(parts.m)
    z = X @ w + b
    loss = cp.sum(cp.logistic(cp.multiply(-y, z))) / n
    if not logistic:
        loss = cp.sum_squares(y - z) / (2 * n)
    share = sum(
        d[j] * cp.quad_over_lin(w[g], u[j]) for j, g in enumerate(parts.lists())
    )
    limits = [u >= 0, u <= 1, cp.sum(u) <= k] + ([] if intercept else [b == 0])
    cp.Problem(cp.Minimize(loss + lam / 2 * share), limits).solve(solver="CLARABEL")
    value = loss.value + lam * wgsef_value(w.value, k, groups=groups, weights=d)
    return w.value, float(value)


@pytest.mark.parametrize("groups", ["single", "lists", "free"])
@pytest.mark.parametrize("logistic", [False, True], ids=["squares", "logistic"])
def test_cvxpy_agrees(groups, logistic):
    groups = GROUPS[groups]
    X, y = problem(3, logistic=logistic, n=60)
    m = Groups.of(groups, 20).m
    d = np.linspace(0.5, 2.0, m)
    cls = Logistic if logistic else LeastSquares
    result = solve(
        cls(X, y, fit_intercept=True), WGSEF(3, 0.1, groups=groups, weights=d)
    )
    w, value = cvx(X, y, 3, 0.1, groups, d, logistic, True)
    assert result.status is Status.CONVERGED
    assert result.objective <= value + 1e-9
    assert result.objective == pytest.approx(value, abs=1e-6)
    assert result.coef == pytest.approx(w, abs=3e-3)


@pytest.mark.parametrize("seed", range(3))
def test_many_features_few_samples(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((25, 600))
    y = np.sign(rng.standard_normal(25))
    for lam in (0.05, 0.5, 5.0):
        datafit = LeastSquares(X, y, fit_intercept=True)
        result = solve(datafit, WGSEF(5, lam))
        assert result.status is Status.CONVERGED
        gap, _ = plain_gap(X, y, result.coef, result.intercept, 5, lam)
        assert gap <= 1e-9


def test_proximal_gradients_agree():
    X, y = problem(4, n=60)
    datafit, penalty = LeastSquares(X, y, fit_intercept=True), WGSEF(4, 0.2)
    w, b = np.zeros(20), y.mean()
    step = 1 / np.linalg.eigvalsh(X.T @ X / 60)[-1]
    for _ in range(4000):
        b = (y - X @ w).mean()
        w = penalty.prox(w + step * X.T @ (y - X @ w - b) / 60, step)
    result = solve(datafit, penalty)
    assert result.coef == pytest.approx(w, abs=1e-7)
    assert np.array_equal(result.support, np.flatnonzero(w))


def test_all_groups_are_a_ridge():
    X, y = problem(5)
    result = solve(LeastSquares(X, y), WGSEF(20, 0.3))
    ridge = np.linalg.solve(X.T @ X / 30 + 0.3 * np.eye(20), X.T @ y / 30)
    assert result.coef == pytest.approx(ridge, rel=1e-6)
    assert result.u == pytest.approx(np.ones(20))


def test_one_group_of_all_is_a_ridge():
    X, y = problem(5)
    result = solve(LeastSquares(X, y), WGSEF(1, 0.3, groups=20))
    ridge = np.linalg.solve(X.T @ X / 30 + 0.3 * np.eye(20), X.T @ y / 30)
    assert result.coef == pytest.approx(ridge, rel=1e-6)


def test_shares_give_the_value():
    X, y = problem(6)
    result = solve(LeastSquares(X, y), WGSEF(4, 0.1))
    u, w = result.u, result.coef
    on = w != 0
    assert np.all((u >= 0) & (u <= 1)) and u.sum() <= 4 + 1e-9
    assert 0.5 * np.sum(w[on] ** 2 / u[on]) == pytest.approx(wgsef_value(w, 4))
    assert not u[~on].any()


def test_shares_of_groups_and_weights():
    rng = np.random.default_rng(0)
    penalty = WGSEF(3, 1.0, groups=LABELS, weights=rng.uniform(0.5, 2.0, 12))
    e = envelope_of(penalty, 20)
    w = rng.standard_normal(20) * e.groups.spread(rng.random(12) < 0.7)
    u = shares(e, w)
    norms = e.groups.norms(w)
    on = norms > 0
    assert 0.5 * np.sum(e.d[on] * norms[on] ** 2 / u[on]) == pytest.approx(
        wgsef_value(w, 3, groups=LABELS, weights=e.d)
    )
    assert u.sum() == pytest.approx(min(3, on.sum()))


# ------------------------------------------------------------------------ screening


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("logistic", [False, True], ids=["squares", "logistic"])
@pytest.mark.parametrize("groups", ["single", "lists"])
def test_screening_keeps_active_groups(seed, logistic, groups):
    groups = GROUPS[groups]
    X, y = problem(seed, logistic=logistic)
    cls = Logistic if logistic else LeastSquares
    datafit, penalty = cls(X, y), WGSEF(3, 0.3, groups=groups)
    exact = solve(datafit, penalty, tol=1e-13)
    parts = Groups.of(groups, 20)
    active = parts.norms(exact.coef) > 0
    lengths = parts.norms(np.linalg.norm(X, axis=0) / np.sqrt(30))
    w = exact.coef + np.random.default_rng(seed).standard_normal(20) * 10.0**-seed
    gap, theta = plain_gap(X, y, w, 0.0, 3, 0.3, groups, logistic=logistic)
    scores = parts.norms(X.T @ theta)
    radius = np.sqrt(2 * gap * datafit.curvature)
    keep = screen(scores, lengths, 3, radius)
    assert not np.any(active & ~keep)
    if seed > 7:
        assert not keep.all()


def test_screening_is_used(monkeypatch):
    alive = []
    original = module._Problem.choose

    def choose(self, grad, size):
        alive.append(int(self.alive.sum()))
        return original(self, grad, size)

    monkeypatch.setattr(module._Problem, "choose", choose)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100, 1000))
    y = X[:, :5] @ np.ones(5) + rng.standard_normal(100)
    result = solve(LeastSquares(X, y), WGSEF(5, 0.5), tol=1e-14)
    assert result.converged
    assert alive[0] == 1000 and alive[-1] < 900


# ----------------------------------------------------------------------- edge cases


def test_sparse_types_and_layouts(layout, dtype):
    X, y = problem(7)
    X[np.abs(X) < 0.8] = 0.0
    expected = solve(LeastSquares(X, y, fit_intercept=True), WGSEF(3, 0.2))
    given = layout(X.astype(dtype))
    for form in (given, sparse.csr_array(given), sparse.csc_matrix(given)):
        tol = 1e-10 if dtype is np.float64 else 1e-6
        datafit = LeastSquares(form, y, fit_intercept=True)
        result = solve(datafit, WGSEF(3, 0.2), tol=tol)
        assert result.converged and result.coef.dtype == dtype
        assert result.coef == pytest.approx(expected.coef, abs=1e-4)


def test_constant_and_repeated_columns():
    X, y = problem(8)
    X = np.hstack([X, np.full((30, 1), 5.0), X[:, :2], np.zeros((30, 1))])
    result = solve(LeastSquares(X, y, fit_intercept=True), WGSEF(3, 0.05))
    assert result.converged
    assert result.coef[[20, 23]] == pytest.approx(np.zeros(2), abs=1e-12)


def test_large_means():
    X, y = problem(8)
    plain = solve(LeastSquares(X, y, fit_intercept=True), WGSEF(3, 0.2))
    moved = solve(LeastSquares(X + 1e4, y, fit_intercept=True), WGSEF(3, 0.2), tol=1e-9)
    assert moved.coef == pytest.approx(plain.coef, abs=1e-5)


@pytest.mark.parametrize("scale", [1e-50, 1e50])
def test_scale_of_the_targets(scale):
    X, y = problem(8)
    plain = solve(LeastSquares(X, y), WGSEF(3, 0.2))
    result = solve(LeastSquares(X, y * scale), WGSEF(3, 0.2))
    assert result.converged
    assert result.coef / scale == pytest.approx(plain.coef, rel=1e-6, abs=1e-9)


def test_features_out_of_range():
    X, y = problem(8)
    with pytest.raises(ValueError, match=r"'X' .* rescale"):
        solve(LeastSquares(X * 1e200, y), WGSEF(3, 0.2))


def test_target_zero():
    X, _ = problem(8)
    result = solve(LeastSquares(X, np.zeros(30)), WGSEF(3, 0.2))
    assert result.converged and not result.coef.any()


def test_start_and_limits():
    X, y = problem(9)
    datafit, penalty = LeastSquares(X, y, fit_intercept=True), WGSEF(3, 0.2)
    first = solve(datafit, penalty)
    again = solve(datafit, penalty, init=first)
    assert again.n_iter == 1 and np.array_equal(again.coef, first.coef)
    result = solve(datafit, penalty, callback=lambda state: True)
    assert result.status is Status.STOPPED_BY_CALLBACK


@pytest.mark.parametrize(
    ("penalty", "text"),
    [
        (L1(0.1), "not a WGSEF"),
        (WGSEF(2, 0.0), "positive lam"),
    ],
)
def test_unfit_problems(penalty, text):
    X, y = problem(0)
    with pytest.raises(ValueError, match=text):
        solve(LeastSquares(X, y), penalty)


@pytest.mark.parametrize("debias", [0.3, 0.9])
@pytest.mark.parametrize("lam", [0.1, 3.0])
@pytest.mark.parametrize("logistic", [False, True], ids=["squares", "logistic"])
def test_debiased_points_are_stationary(debias, lam, logistic):
    X, y = problem(2, n=80, logistic=logistic)
    cls = Logistic if logistic else LeastSquares
    datafit = cls(X, y, fit_intercept=True)
    penalty = WGSEF(3, lam, debias=debias)
    result = solve(datafit, penalty, tol=1e-8, max_iter=5000)
    assert result.status is Status.CONVERGED
    theta = datafit.gradient(X @ result.coef + result.intercept)
    assert abs(theta.sum()) < 1e-10
    # a proximal step of any allowed length stays where it is
    step = 0.5 / (debias * lam)
    moved = penalty.prox(result.coef - step * (X.T @ theta), step)
    assert moved == pytest.approx(result.coef, abs=1e-5)


def test_auto_takes_the_envelope_solver():
    X, y = problem(0)
    result = minimize_composite(LeastSquares(X, y), WGSEF(2, 0.1))
    assert result.solver == "envelope"


# ------------------------------------------------------------------------- the face


@pytest.mark.parametrize("groups", ["single", "lists"])
def test_face_model_has_the_derivatives_of_the_objective(groups):
    X, y = problem(11, n=60)
    rng = np.random.default_rng(0)
    penalty = WGSEF(4, 0.3, groups=GROUPS[groups], weights=None)
    e = envelope_of(penalty, 20)
    e, at = e.restrict(np.arange(e.groups.m))
    part = Part(
        Logistic(X, np.sign(y)), e, np.asfortranarray(X[:, at]), 0, np.zeros(20)
    )
    x = rng.standard_normal(20) * e.groups.spread(rng.random(e.groups.m) < 0.8)
    u = shares(e, x)
    whole, shared = u >= 1, (u > 0) & (u < 1)
    support = np.flatnonzero(e.groups.spread(whole | shared))
    kappa = 4 - whole.sum()
    grad, H = part._face_model(x, support, whole, shared, kappa)
    eps = 1e-6
    for i, j in enumerate(support):
        move = eps * (np.arange(20) == j)
        up, down = part.evaluate(x + move)[2], part.evaluate(x - move)[2]
        assert grad[i] == pytest.approx((up - down) / (2 * eps), abs=1e-7)
        up = part._face_model(x + move, support, whole, shared, kappa)[0]
        down = part._face_model(x - move, support, whole, shared, kappa)[0]
        assert H[i] == pytest.approx((up - down) / (2 * eps), abs=1e-6)
