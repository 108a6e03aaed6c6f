"""Non-negative completion: signs, monotone objective, optimality and recovery."""

from itertools import pairwise

import numpy as np
import pytest

from sparseopt._core._monitor import Monitor
from sparseopt._core._status import Status
from sparseopt.completion._half_step import scaled
from sparseopt.completion._init import spectral
from sparseopt.completion._nonnegative import solve_nonnegative
from sparseopt.completion._orders import from_triplets
from sparseopt.completion._run import Factors, Run, Stop


def make_run(real=np.float64, alpha=0.0, tol=1e-6, max_iter=2000, weighted=False):
    rng = np.random.default_rng(0)
    m, n, k = 120, 90, 4
    truth = rng.random((m, k)) @ rng.random((k, n))
    rows, cols = np.nonzero(rng.random((m, n)) < 0.4)
    w = rng.random(len(rows)).astype(real) + 0.1 if weighted else None
    x = truth[rows, cols].astype(real)
    entries = from_triplets(rows, cols, x, (m, n), weight=w)
    start = Factors(*spectral(entries, k, rng))
    monitor = Monitor("test", max_iter=max_iter, fields=("ridge",))
    return Run(entries, k, alpha, tol, 1e-9, rng, monitor, start), truth


@pytest.mark.parametrize(("real", "tol"), [(np.float32, 1e-3), (np.float64, 1e-5)])
def test_recovers_a_nonnegative_matrix(real, tol):
    run, truth = make_run(real, tol=tol)
    assert solve_nonnegative(run) is Status.CONVERGED
    f = run.factors
    assert (f.U >= 0).all()
    assert (f.V >= 0).all()
    fitted = scaled(f.U, f.s) @ f.V.T
    # unseen entries are a few times worse than those that were fitted
    assert np.linalg.norm(fitted - truth) <= 30 * tol * np.linalg.norm(truth)


@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("weighted", [False, True])
def test_objective_is_exact_and_never_increases(alpha, weighted):
    run, _ = make_run(alpha=alpha, max_iter=60, weighted=weighted, tol=0.0)
    seen = []

    def watch(factors, rss, objective, **fields):
        U, V = (scaled(F, np.sqrt(factors.s)) for F in (factors.U, factors.V))
        side = run.entries.rows
        rows = np.repeat(np.arange(len(U)), np.diff(side.ptr))
        r = side.val - np.einsum("ij,ij->i", U[rows], V[side.idx])
        w = 1.0 if side.weight is None else side.weight
        exact = 0.5 * np.sum(w * r**2) + alpha / 2 * (np.sum(U**2) + np.sum(V**2))
        assert objective == pytest.approx(exact, rel=1e-9)
        seen.append(objective)
        return Run.update(run, factors, rss, objective, **fields)

    run.update = watch
    try:
        solve_nonnegative(run)
    except Stop as stop:
        assert stop.status is Status.MAX_ITER
    assert len(seen) > 10
    assert all(b <= a * (1 + 1e-12) for a, b in pairwise(seen))


def test_kkt_conditions_with_a_ridge():
    alpha = 2.0
    run, _ = make_run(alpha=alpha, tol=0.0)
    run.tol_obj = 1e-13
    assert solve_nonnegative(run) is Status.CONVERGED
    f = run.factors
    L, R = (scaled(F, np.sqrt(f.s)) for F in (f.U, f.V))
    r = run.entries.residual(L, R)[0]
    gradient = alpha * L - run.entries.multiply(r, R, False)
    size = np.linalg.norm(run.entries.multiply(None, R, False))
    # the objective is level to 1e-13, the gradient to about its root
    assert np.linalg.norm(gradient[L > 0]) <= 1e-4 * size
    assert gradient[:, :4][L[:, :4] == 0].min(initial=0.0) >= -1e-4 * size
