"""Sweeps over groups of columns: kernel, Newton's equations, dependent columns."""

from itertools import pairwise

import numpy as np
import pytest

from sparseopt.linear_model import LeastSquares, minimize_composite, path
from sparseopt.linear_model import _cd as module
from sparseopt.linear_model._group_columns import Bend, _norm_bound
from sparseopt.linear_model._group_kernels import bcd_columns, set_simd_level
from sparseopt.prox import GroupLasso

GAP = 1e-8  # tolerance where none is given


def gap(X, y, lam, groups, w, intercept=0.0):
    """Relative duality gap with the best multiple of the residual, from outside."""
    n, weight = len(y), np.sqrt([len(group) for group in groups])
    r = (y - X @ w - intercept) / n
    norms = [np.linalg.norm(X[:, group].T @ r) for group in groups]
    penalty = sum(
        u * np.linalg.norm(w[group]) for u, group in zip(weight, groups, strict=True)
    )
    primal = 0.5 * n * (r @ r) + lam * penalty
    scale = 1.0 / max(1.0, np.max(norms / (lam * weight)))
    best = min(max((r @ y) / (n * (r @ r)), -scale), scale)
    return (primal - best * (r @ y) + 0.5 * n * best**2 * (r @ r)) / (0.5 * (y @ y) / n)


def blocks(p, size):
    return [np.arange(j, j + size) for j in range(0, p, size)]


@pytest.fixture(params=[0, 1, 2])
def simd_level(request):
    yield set_simd_level(request.param)
    set_simd_level(2)


def prox(v, lam, lam1):
    v = np.sign(v) * np.maximum(np.abs(v) - lam1, 0.0)
    norm = np.linalg.norm(v)
    return v * max(0.0, 1.0 - lam / norm) if norm > 0 else v


@pytest.mark.parametrize("lam1", [0.0, 0.2])
def test_sweeps_are_those_of_their_twin(simd_level, lam1):
    """Proximal gradient steps in each group, until they are a tenth of the first."""
    rng = np.random.default_rng(0)
    ptr = np.array([0, 3, 4, 9, 15])
    A, b = np.asfortranarray(rng.standard_normal((20, 15))), rng.standard_normal(20)
    w = rng.standard_normal(15) * (rng.random(15) < 0.5)
    e, lam = A @ w - b, np.array([1.0, 0.5, 2.0, 30.0])
    H = [A[:, i:j].T @ A[:, i:j] for i, j in pairwise(ptr)]
    top = np.array([np.linalg.eigvalsh(h)[-1] for h in H])
    flat = np.concatenate([h.ravel() for h in H])
    where = np.append(0, np.cumsum([h.size for h in H])[:-1])
    twin_w, twin_e = w.copy(), e.copy()
    bcd_columns(
        A, e, w, ptr, flat, where, top, lam, np.full(4, lam1),
        np.array([0, 2, 3]), np.empty(18), 3, 0.0,
    )  # fmt: skip
    for _ in range(3):
        for k in (0, 2, 3):
            at = slice(ptr[k], ptr[k + 1])
            g, x, old = A[:, at].T @ twin_e, twin_w[at].copy(), twin_w[at].copy()
            first = np.inf
            for _step in range(10):
                new = prox(x - g / top[k], lam[k] / top[k], lam1 / top[k])
                move, x = new - x, new
                g = g + H[k] @ move
                first = move @ move if first == np.inf else first
                if move @ move <= 0.01 * first:
                    break
            twin_w[at], twin_e = x, twin_e + A[:, at] @ (x - old)
    np.testing.assert_allclose(w, twin_w, atol=1e-12)
    np.testing.assert_allclose(e, twin_e, atol=1e-12)
    assert w[3] == twin_w[3] and np.all(w[9:] == 0.0)


@pytest.mark.parametrize("n", [12, 40])
def test_equations_of_samples_are_those_of_columns(n):
    """Either side of ``(A'A + B) x = v``, against the full matrix."""
    rng = np.random.default_rng(1)
    starts, sizes = np.array([0, 4, 5, 12]), np.array([4, 1, 7, 8])
    A, v = np.asfortranarray(rng.standard_normal((n, 20))), rng.standard_normal(20)
    unit = rng.standard_normal(20)
    B = np.zeros((20, 20))
    across, along = rng.uniform(0.1, 2.0, 4), rng.uniform(0.01, 0.1, 4)
    for k, (i, size) in enumerate(zip(starts, sizes, strict=True)):
        at = slice(i, i + size)
        unit[at] /= np.linalg.norm(unit[at])
        B[at, at] = across[k] * np.eye(size)
        B[at, at] += (along[k] - across[k]) * np.outer(unit[at], unit[at])
    found = Bend(across, along, unit, starts).solve(A, v)
    np.testing.assert_allclose(found, np.linalg.solve(A.T @ A + B, v), rtol=1e-8)


def test_bounds_of_eigenvalues_hold_and_are_close():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((50, 30, 6)) * 10.0 ** rng.integers(-9, 9, (50, 1, 1))
    H = X.transpose(0, 2, 1) @ X
    top, bound = np.linalg.eigvalsh(H)[:, -1], _norm_bound(H)
    assert np.all(bound >= top * (1 - 1e-14))
    assert np.all(bound <= 6 ** (1 / 8) * top * (1 + 1e-14))
    np.testing.assert_array_equal(_norm_bound(np.zeros((2, 3, 3))), 0.0)


@pytest.mark.parametrize("size", [2, 5, 20, 30])
@pytest.mark.parametrize("part", [2, 10, 100, 1e4])
@pytest.mark.parametrize("intercept", [False, True])
def test_gaps_from_outside(size, part, intercept):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((40, 240)) + 2.0 * intercept
    y = X[:, :30] @ rng.standard_normal(30) + rng.standard_normal(40)
    groups, centre = blocks(240, size), intercept * X.mean(axis=0)
    target = y - intercept * y.mean()
    norms = [np.linalg.norm((X - centre)[:, at].T @ target) for at in groups]
    lam = max(norms) / 40 / np.sqrt(size) / part
    datafit = LeastSquares(X, y, fit_intercept=intercept)
    result = minimize_composite(datafit, GroupLasso(lam, groups=size))
    assert result.converged
    found = gap(X - centre, target, lam, groups, result.coef)
    assert found <= 1.01 * GAP * (y @ y if intercept else 1.0)
    lists = GroupLasso(lam, groups=[*groups[::-1]])
    other = minimize_composite(datafit, lists)
    assert other.objective == pytest.approx(
        result.objective, abs=2.1 * GAP * 0.5 * (target @ target) / 40
    )


def dependent(kind, seed):
    rng = np.random.default_rng(seed)
    if kind == "powers":
        x = rng.uniform(1.0, 5.0, (10, 60))
        X = np.concatenate([[z**k for k in range(1, 10)] for z in x]).T
        X = X * 10.0 ** rng.integers(-3, 4, 90)
        return X, np.sin(x[0]) + 0.1 * rng.standard_normal(60), 9
    X = rng.standard_normal((30, 60))
    X[:, 1::2] = X[:, ::2] + float(kind) * rng.standard_normal((30, 30))
    return X, X[:, :6] @ rng.standard_normal(6) + rng.standard_normal(30), 3


@pytest.mark.parametrize("kind", ["powers", "1e-2", "1e-5", "1e-8", "0"])
@pytest.mark.parametrize("part", [10, 1e4, 1e6, 1e8])
def test_dependent_columns_reach_the_gap(kind, part):
    """Down to weights of 1e-8 of the largest, whatever the correlation."""
    X, y, size = dependent(kind, 4)
    groups = blocks(X.shape[1], size)
    norms = [np.linalg.norm(X[:, at].T @ y) for at in groups]
    lam = max(norms) / len(y) / np.sqrt(size) / part
    result = minimize_composite(LeastSquares(X, y), GroupLasso(lam, groups=size))
    assert result.converged
    assert gap(X, y, lam, groups, result.coef) <= 1.01 * GAP


def test_paths_keep_their_columns_and_free_groups_are_fitted():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((30, 120))
    X[:, 60:64] = 0.0  # a group without columns
    y = X[:, :8] @ rng.standard_normal(8) + rng.standard_normal(30)
    groups = blocks(120, 4)
    penalty = GroupLasso(1.0, groups=groups[:3] + groups[4:])
    lams = np.array([0.3, 0.1, 0.03, 0.01])
    found = path(LeastSquares(X, y), penalty, lams)
    assert found.converged
    for i, lam in enumerate(lams):
        single = minimize_composite(
            LeastSquares(X, y),
            penalty.with_lam(lam),
            init=(np.ones(120), 0.0),
            tol=1e-10,
        )
        assert np.all(single.coef[60:64] == 0.0)
        scale = 0.5 * (y @ y) / 30
        assert found.objectives[i] == pytest.approx(single.objective, abs=2e-8 * scale)


def test_columns_are_used_and_left_for_exact_equations(monkeypatch):
    X, y, size = dependent("1e-2", 6)
    calls = []

    def stuck(run, part, columns, tol):
        calls.append(columns.cols.size)
        return run.w[columns.cols], False

    monkeypatch.setattr(module, "minimise_groups", stuck)
    lam = 0.01 * np.linalg.norm(X.T @ y) / 30
    result = minimize_composite(LeastSquares(X, y), GroupLasso(lam, groups=size))
    assert calls and result.converged
    assert gap(X, y, lam, blocks(60, size), result.coef) <= 1.01 * GAP
