"""Block coordinate descent for classes: kernel twin, same minimiser, ends of a run."""

import numpy as np
import pytest
from scipy import sparse

from sparseopt import Status
from sparseopt.exceptions import ConvergenceWarning
from sparseopt.linear_model import Logistic, Multinomial, minimize_composite
from sparseopt.linear_model._multinomial import Model, dense_epoch, sparse_epoch
from sparseopt.linear_model._multinomial_cd import row_penalty
from sparseopt.prox import (
    L1,
    MCP,
    ElasticNet,
    GroupLasso,
    NoPenalty,
    Ridge,
    SparseGroupLasso,
)

N, P, K = 60, 8, 3
PENALTIES = {
    "l1": L1(0.03),
    "weighted": L1(0.03, weights=np.linspace(0, 2, P)),
    "positive": L1(0.02, positive=True),
    "net": ElasticNet(0.05, 0.4),
    "ridge": Ridge(0.05),
    "rows": GroupLasso(0.05, weights=None, rows=True),
    "row weights": GroupLasso(0.05, weights=np.linspace(0.5, 2, P), rows=True),
    "sparse rows": SparseGroupLasso(0.05, 0.5, weights=None, rows=True),
}


@pytest.fixture
def X(rng):
    X = rng.normal(size=(N, P)) * (rng.random((N, P)) < 0.6)
    X[:, 2] = 0
    return X


@pytest.fixture
def y(X, rng):
    return np.digitize(X[:, 0] - X[:, 1] + 0.5 * rng.normal(size=N), [-0.5, 0.5])


@pytest.fixture(params=PENALTIES)
def penalty(request):
    return PENALTIES[request.param]


def test_kernels_against_numpy(penalty, X, y, dtype, index_dtype, rng):
    X = X.astype(dtype)
    datafit = Multinomial(X, y, sample_weight=rng.random(N) + 0.1)
    row = row_penalty(penalty, P)
    w, b = 0.1 * rng.normal(size=(P, K)), rng.normal(size=K)
    if row.positive:
        w = np.abs(w)
    curvature = 0.5 * (datafit.s @ X.astype(float) ** 2)
    arrays = {
        "z": X @ w + b, "y": datafit.y, "s": datafit.s, "w": w, "b": b,
        "l1": row.l1, "l2": row.l2, "group": row.group, "curvature": curvature,
        "curvature_b": np.array([0.5]),
    }  # fmt: skip
    cols = np.array([0, 5, 2, 1])
    expected, intercept = w.copy(), b.copy()
    z = arrays["z"].copy()
    step = -2.0 * datafit.gradient(z).sum(axis=0)
    worst, intercept = np.abs(step / 2).max(), intercept + step
    z += step
    for j in cols:
        if curvature[j] == 0:
            continue
        g, h = X[:, j] @ datafit.gradient(z), curvature[j]
        # the other rows do not matter: the penalty separates into rows
        full = np.zeros((P, K))
        full[j] = expected[j] - g / h
        new = penalty.prox(full, 1 / h)[j]
        z += np.outer(X[:, j], new - expected[j])
        worst = max(worst, h * np.abs(new - expected[j]).max())
        expected[j] = new
    columns = sparse.csc_array(X)
    columns.indices = columns.indices.astype(index_dtype)
    columns.indptr = columns.indptr.astype(index_dtype)
    for kind in ("dense", "sparse"):
        own = {name: value.copy() for name, value in arrays.items()}
        model = Model(own, row.positive, True)
        if kind == "dense":
            moved = dense_epoch(model, np.asfortranarray(X), cols)
        else:
            c = columns
            moved = sparse_epoch(model, c.data, c.indices, c.indptr, cols)
        assert moved == pytest.approx(worst, rel=1e-6)
        np.testing.assert_allclose(own["w"], expected, atol=1e-12)
        np.testing.assert_allclose(own["b"], intercept, atol=1e-12)
        np.testing.assert_allclose(own["z"], z, atol=1e-6)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_same_minimiser_as_prox_grad(penalty, fit_intercept, X, y, rng):
    options = {"fit_intercept": fit_intercept, "sample_weight": rng.random(N) + 0.1}
    datafit = Multinomial(X, y, **options)
    other = minimize_composite(datafit, penalty, solver="prox_grad", tol=1e-12)
    for form in (np.asarray, sparse.csr_array):
        result = minimize_composite(
            Multinomial(form(X), y, **options), penalty, solver="multinomial_cd",
            tol=1e-11,
        )  # fmt: skip
        assert result.converged
        assert abs(result.objective - other.objective) < 1e-10
        a, b = (X @ found.coef + found.intercept for found in (result, other))
        a, b = (z - z.mean(axis=1, keepdims=True) for z in (a, b))
        np.testing.assert_allclose(a, b, atol=1e-3)


def test_working_sets(rng):
    X = rng.normal(size=(80, 600))
    y = np.digitize(X[:, :3].sum(axis=1), [-1, 1])
    datafit = Multinomial(X, y, fit_intercept=True)
    penalty = GroupLasso(0.08, weights=None, rows=True)
    result = minimize_composite(datafit, penalty, tol=1e-9)
    assert result.solver == "multinomial_cd"
    assert result.converged
    grad = X.T @ datafit.gradient(X @ result.coef + result.intercept)
    norms = np.linalg.norm(grad, axis=1)
    assert norms.max() <= 0.08 * (1 + 1e-4)
    np.testing.assert_allclose(norms[result.support], 0.08, rtol=1e-4)


def test_probabilities_near_one(X):
    """Curvatures that vanish where the iterates go."""
    X = 20 * X
    y = np.digitize(X[:, 0], [-5, 5])
    datafit = Multinomial(X, y, fit_intercept=True)
    other = minimize_composite(datafit, L1(1e-3), solver="prox_grad", tol=1e-9)
    result = minimize_composite(datafit, L1(1e-3), solver="multinomial_cd", tol=1e-8)
    assert result.converged
    assert abs(result.objective - other.objective) < 1e-7


def test_limits_callback_keyboard(X, y):
    datafit = Multinomial(X, y, fit_intercept=True)
    options = {"solver": "multinomial_cd", "tol": 1e-13}
    with pytest.warns(ConvergenceWarning):
        result = minimize_composite(datafit, L1(0.01), max_iter=2, **options)
    assert result.status is Status.MAX_ITER
    with pytest.warns(ConvergenceWarning):
        result = minimize_composite(datafit, L1(0.01), max_time=1e-9, **options)
    assert result.status is Status.TIME_LIMIT
    result = minimize_composite(
        datafit, L1(0.01), callback=lambda state: state.n_iter >= 2, **options
    )
    assert result.status is Status.STOPPED_BY_CALLBACK

    def interrupt(state):
        if state.n_iter >= 2:
            raise KeyboardInterrupt

    with pytest.warns(ConvergenceWarning):
        result = minimize_composite(datafit, L1(0.01), callback=interrupt, **options)
    assert result.status is Status.INTERRUPTED
    assert result.objective < datafit.value(datafit.zero())


def test_what_does_not_fit_is_said(X, y):
    datafit = Multinomial(X, y)
    with pytest.raises(ValueError, match="multinomial loss"):
        minimize_composite(Logistic(X, y > 1), L1(0.1), solver="multinomial_cd")
    for penalty in (MCP(0.1), GroupLasso(0.1, groups=2, rows=True), GroupLasso(0.1)):
        with pytest.raises(ValueError, match="penalty of rows"):
            minimize_composite(datafit, penalty, solver="multinomial_cd")
    assert row_penalty(NoPenalty(), P) is not None
