"""Random small problems: what a result claims, computed again in plain NumPy."""

import warnings

import numpy as np
import pytest
from scipy import sparse

from sparseopt._core._status import Status
from sparseopt.completion import alternating_minimization, complete, soft_impute


def problem(seed):
    """Entries of one of many kinds: shape, scale, noise, weights, zeros, gaps."""
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 13, 2)
    k = int(rng.integers(1, min(m, n) + 1))
    kind = rng.choice(["low rank", "noise", "constant", "zeros", "counts"])
    if kind == "low rank":
        M = rng.standard_normal((m, k)) @ rng.standard_normal((k, n))
    elif kind == "noise":
        M = rng.standard_normal((m, n))
    elif kind == "constant":
        M = np.full((m, n), 3.0)
    elif kind == "zeros":
        M = np.where(rng.random((m, n)) < 0.1, 1.0, 0.0)
    else:
        M = rng.integers(0, 5, (m, n)).astype(float)
    M *= 10.0 ** rng.choice([-100, -3, 0, 0, 0, 3, 100])
    seen = rng.random((m, n)) < rng.choice([0.3, 0.6, 1.0])
    seen[rng.integers(m), rng.integers(n)] = True
    rows, cols = np.nonzero(seen)
    values = M[rows, cols]
    ptr = np.concatenate([[0], np.cumsum(seen.sum(axis=1))])
    X = sparse.csr_array((values, cols, ptr), shape=(m, n))
    weights = None
    if rng.random() < 0.4:
        weights = rng.choice([0.5, 1.0, 2.0], len(values))
    return rng, X, rows, cols, k, weights


def run(function, X, *args, **options):
    """The result, with what it may warn of; the input must be left as it is."""
    before = [a.copy() for a in (X.data, X.indices, X.indptr)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # not converged, or not determined: told, and allowed here
        warnings.simplefilter("ignore", UserWarning)
        result = function(X, *args, **options)
    for a, b in zip(before, (X.data, X.indices, X.indptr), strict=True):
        np.testing.assert_array_equal(a, b)
    return result


def norm(x, w):
    """Weighted norm, safe for all scales."""
    size = np.abs(x).max(initial=0)
    return size * np.sqrt(np.sum(w * (x / size) ** 2)) if size else 0.0


def check(r, X, rows, cols, weights, penalty=None):
    """Residual, objective and status are what the factors give."""
    w = np.ones(X.nnz) if weights is None else weights
    if r.held_out_mask is not None:  # what is claimed is of the others
        w = w * ~r.held_out_mask
    for part in (r.U, r.s, r.V):
        assert np.isfinite(part).all()
    Z = (r.U * r.s) @ r.V.T + r.intercept
    if r.row_bias is not None:
        Z += r.row_bias[:, None]
    if r.col_bias is not None:
        Z += r.col_bias
    size = np.abs(X.data).max()
    # rounding of values of the data's size, as the residual may be all rounding
    np.testing.assert_allclose(r.reconstruct(), Z, rtol=1e-12, atol=1e-12 * size)
    e = X.data - Z[rows, cols]
    if size == 0:
        assert not Z.any()
        return e
    whole = norm(X.data, w)
    residual = norm(e, w) / whole if whole else 0.0
    assert r.residual == pytest.approx(residual, rel=1e-6, abs=1e-13)
    if penalty is not None:
        objective = 0.5 * norm(e, w) ** 2 + penalty
        scale = norm(X.data, w) ** 2
        assert r.objective == pytest.approx(objective, rel=1e-6, abs=1e-13 * scale)
    assert r.converged == (r.status is Status.CONVERGED)
    assert r.status is not Status.NUMERICAL_FAILURE
    return e


@pytest.mark.parametrize("seed", range(40))
def test_complete(seed):
    rng, X, rows, cols, k, weights = problem(seed)
    size = np.abs(X.data).max()
    alpha = float(rng.choice([0.0, 0.1, 1.0])) * size
    r = run(
        complete,
        X,
        k,
        alpha=alpha,
        weights=weights,
        solver=str(rng.choice(["auto", "als", "als-exact"])),
        init=str(rng.choice(["spectral", "random"])),
        max_iter=int(rng.choice([1, 50, 500])),
        random_state=0,
    )
    check(r, X, rows, cols, weights, alpha * r.s.sum())
    for F in (r.U, r.V):
        alive = r.s > 1e-9 * r.s.max()
        G = F[:, alive].T @ F[:, alive]
        np.testing.assert_allclose(G, np.eye(len(G)), atol=1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_ratings(seed):
    rng, X, rows, cols, k, weights = problem(seed)
    size = np.abs(X.data).max()
    alpha = float(rng.choice([0.01, 0.1, 1.0])) * size
    power = float(rng.choice([0.0, 0.5, 1.0]))
    biases = [None, "row", "col", "both"][rng.integers(4)]
    if power == 0 and biases is None:
        power = 1.0
    bias_reg = (1.0, 2.0)
    r = run(
        complete,
        X,
        k,
        alpha=alpha,
        reg=power,
        biases=biases,
        bias_reg=bias_reg,
        weights=weights,
        random_state=0,
    )
    w = np.ones(X.nnz) if weights is None else weights
    penalty = 0.0
    for F, ids in ((r.U, rows), (r.V, cols)):
        n = np.bincount(ids, weights=w, minlength=len(F)) ** power
        penalty += alpha / 2 * np.sum(n[:, None] * F**2 * r.s)
    for b, lam in ((r.row_bias, bias_reg[0]), (r.col_bias, bias_reg[1])):
        penalty += 0.0 if b is None else lam / 2 * norm(b, np.ones(len(b))) ** 2
    check(r, X, rows, cols, weights, penalty)


@pytest.mark.parametrize("seed", [*range(30), 1000])
def test_soft_impute(seed):
    rng, X, rows, cols, _, weights = problem(seed)
    size = np.abs(X.data).max()
    alpha = float(rng.choice([0.05, 0.5, 2.0, 100.0])) * (size or 1.0)
    tol = 1e-6
    r = run(soft_impute, X, alpha, weights=weights, tol=tol, random_state=0)
    e = check(r, X, rows, cols, weights, alpha * r.s.sum())
    if not r.converged:
        return
    w = np.ones(X.nnz) if weights is None else weights
    E = np.zeros(X.shape)
    E[rows, cols] = w * e
    E /= alpha
    assert np.linalg.norm(E, 2) <= 1 + 1.001 * tol
    # complementary slackness: <E, Z> = alpha ||Z||_*, in units of the objective
    Z = (r.U * r.s) @ r.V.T
    slack = alpha * (r.s.sum() - np.sum(E * Z)) / (size or 1.0) ** 2
    assert abs(slack) <= 1e-5 * max(r.objective / (size or 1.0) ** 2, 1e-12)
    # dual point E / max(1, ||E||): its value bounds the optimum from below
    Y = E * alpha / max(1.0, np.linalg.norm(E, 2))
    y, unit = Y[rows, cols] / (size or 1.0), size or 1.0
    dual = np.sum(y * X.data / unit - 0.5 * y**2 / w)
    primal = r.objective / unit / unit
    assert primal - dual <= 1e-5 * max(primal, 1e-12)
    assert size == 0 or r.gap >= 0


@pytest.mark.parametrize("seed", [*range(20), 1000])  # the last is of zeros
def test_nonnegative(seed):
    _, X, rows, cols, k, weights = problem(seed)
    r = run(complete, X, k, nonnegative=True, weights=weights, random_state=0)
    check(r, X, rows, cols, weights)
    assert (r.U >= 0).all() and (r.V >= 0).all() and (r.s >= 0).all()


@pytest.mark.parametrize("seed", range(10))
def test_others(seed):
    rng, X, rows, cols, k, weights = problem(seed)
    r = run(complete, X, k, loss="huber", weights=weights, random_state=0)
    assert np.isfinite(r.reconstruct()).all()
    assert r.outlier_mask.shape == X.data.shape
    r = run(
        alternating_minimization,
        X,
        k,
        row_solver=str(rng.choice(["cg", "sketch", "cholesky"])),
        sample_splitting=bool(rng.random() < 0.5),
        weights=weights,
        random_state=0,
    )
    check(r, X, rows, cols, weights)
    r = run(complete, X, k, validation_fraction=0.2, weights=weights, random_state=0)
    check(r, X, rows, cols, weights, 0.0)
    r = run(complete, X, "auto", alpha="auto", weights=weights, random_state=0)
    check(r, X, rows, cols, weights, r.alpha * r.s.sum())
    r = run(complete, X, k, precision="mixed", weights=weights, random_state=0)
    check(r, X, rows, cols, weights)


@pytest.mark.parametrize("seed", range(5))
def test_threads_and_forms_give_the_same_bits(seed):
    _, X, rows, cols, k, _ = problem(seed)
    want = run(complete, X, k, random_state=0, n_threads=1)
    dense = np.full(X.shape, np.nan)
    dense[rows, cols] = X.data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for form in (X, X.tocsc(), X.tocoo(), dense, (rows, cols, X.data)):
            shape = X.shape if isinstance(form, tuple) else None
            got = complete(form, k, random_state=0, n_threads=2, shape=shape)
            np.testing.assert_array_equal(got.U, want.U)
            np.testing.assert_array_equal(got.s, want.s)
            np.testing.assert_array_equal(got.V, want.V)
