"""SAGA and SVRG: NumPy twin of the kernels, other solvers, seeds, ends of a run."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from sparseopt import Status
from sparseopt.exceptions import ConvergenceWarning
from sparseopt.linear_model import (
    Cox,
    Huber,
    LeastSquares,
    Logistic,
    Multinomial,
    Poisson,
    minimize_composite,
)
from sparseopt.linear_model._saga import _form
from sparseopt.linear_model._stochastic import Work, dense_steps, sparse_steps
from sparseopt.prox import (
    L1,
    MCP,
    SCAD,
    Box,
    ElasticNet,
    GroupLasso,
    Linf,
    Lq,
    NonNegative,
    NoPenalty,
    Ridge,
)

N, P = 40, 9
PENALTIES = {
    "none": NoPenalty(),
    "l1": L1(0.05),
    "weighted": L1(0.05, weights=np.linspace(0, 2, P)),
    "positive": L1(0.05, positive=True),
    "net": ElasticNet(0.1, 0.3),
    "ridge": Ridge(0.1),
    "box": Box(-0.2, 0.3),
    "orthant": NonNegative(),
    "mcp": MCP(0.05, 2.5),
    "scad": SCAD(0.05, 3.0),
}


def _data(rng, n=N, p=P, density=0.4):
    X = rng.normal(size=(n, p)) * (rng.random((n, p)) < density)
    X[:, 0] = 0  # a feature that is never seen
    X[3] = 0
    w = np.zeros(p)
    w[:4] = [1.0, -1.5, 1.0, 0.5]
    return X, X @ w + 0.5 * rng.normal(size=n)


def _losses(X, z, rng, **options):
    y = rng.random(len(z)) < 1 / (1 + np.exp(-z))
    y[:2] = [True, False]
    labels = np.digitize(z, [-0.5, 0.5])
    labels[:3] = [0, 1, 2]
    return {
        "squares": LeastSquares(X, z, **options),
        "logistic": Logistic(X, y, **options),
        "huber": Huber(X, z, 0.7, **options),
        "multinomial": Multinomial(X, labels, **options),
    }


# --------------------------------------------------------------- twin of the kernels


def _draws(seed, pick, count):
    """The generator of the kernels."""
    mask, out, x = 2**64 - 1, [], seed
    for _ in range(count):
        x ^= x >> 12
        x ^= (x << 25) & mask
        x ^= x >> 27
        out.append(pick[(((x * 2685821657736338717) & mask) >> 11) % len(pick)])
    return out


def _slope(loss, datafit, i, z):
    y = datafit.y[i]
    if loss == "multinomial":
        p = np.exp(z - z.max())
        return p / p.sum() - y
    if loss == "logistic":
        return -y / (1 + np.exp(y * z))
    r = z - y
    return np.clip(r, -datafit.delta, datafit.delta) if loss == "huber" else r


def _twin(datafit, penalty, loss, arrays, steps, step, step_b, saga):
    """Every coordinate makes every step, by the penalty's own proximal operator."""
    a = {name: np.array(value) for name, value in arrays.items()}
    X, s = datafit.design.X, datafit.s
    X = X.toarray() if sparse.issparse(X) else X
    vector = a["w"].shape[1] == 1 and datafit.n_outputs == 0
    for i in steps:
        z = X[i] @ a["w"] + a["b"]
        g = np.atleast_1d(_slope(loss, datafit, i, z[0] if vector else z))
        change = g - a["table"][i]
        if saga:
            a["table"][i] = g
        direction = a["boost"][i] * np.outer(X[i], change) + a["mean"]
        point = a["w"] - step * direction
        a["w"] = penalty.prox(point[:, 0] if vector else point, step).reshape(
            point.shape
        )
        a["b"] = a["b"] - step_b * (a["boost"][i] * change + a["mean_b"])
        if saga:
            a["mean"] += s[i] * np.outer(X[i], change)
            a["mean_b"] += s[i] * change
    return a


@pytest.mark.parametrize("saga", [True, False])
@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("loss", ["squares", "logistic", "huber", "multinomial"])
def test_kernels_against_numpy(loss, name, saga, dtype, index_dtype, rng):
    X, z = _data(rng)
    X = X.astype(dtype)
    datafit = _losses(X, z, rng, sample_weight=rng.random(N) + 0.2)[loss]
    penalty, K = PENALTIES[name], max(datafit.n_outputs, 1)
    if name == "weighted" and K > 1:
        penalty = L1(0.05, weights=np.linspace(0, 2, P * K).reshape(P, K))
    form = _form(penalty, datafit)
    arrays = {
        "w": 0.1 * rng.normal(size=(P, K)), "b": rng.normal(size=K),
        "table": rng.normal(size=(N, K)), "mean": 0.3 * rng.normal(size=(P, K)),
        "mean_b": rng.normal(size=K), "y": datafit.y.reshape(N, -1),
        "boost": rng.random(N) + 0.5, "pick": rng.integers(0, N, 2 * N),
        "weights": form.weights,
    }  # fmt: skip
    if name in ("positive", "orthant"):
        arrays["w"] = np.abs(arrays["w"])
    step, step_b, seed, count = 0.2, 0.05, 12345, 60
    expected = _twin(
        datafit, penalty, loss, arrays, _draws(seed, arrays["pick"], count), step,
        step_b, saga,
    )  # fmt: skip
    rows = sparse.csr_array(X)
    rows.indices = rows.indices.astype(index_dtype)
    rows.indptr = rows.indptr.astype(index_dtype)
    for kind in ("sparse", "dense"):
        own = {key: np.array(value, order="C") for key, value in arrays.items()}
        work = Work(
            own, loss, getattr(datafit, "delta", 1.0), form.kind, form.numbers,
            form.positive, step, step_b, saga, seed,
        )  # fmt: skip
        for part in (count // 3, count - count // 3):  # parts give the same steps
            if kind == "sparse":
                sparse_steps(
                    work, rows.data, rows.indices, rows.indptr, datafit.s, part
                )
            else:
                dense_steps(work, np.ascontiguousarray(X), datafit.s, part)
        work.finish()
        for key in ("w", "b", "table", "mean", "mean_b"):
            np.testing.assert_allclose(own[key], expected[key], atol=1e-12, rtol=1e-11)


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("start", [np.inf, -np.inf, np.nan, 1.0])
@pytest.mark.parametrize("mean", [np.inf, -np.inf, np.nan])
def test_steps_after_divergence(start, mean, l2):
    """Steps of a coordinate that left the floats' range are not counted by a NaN."""
    n, column = 50, np.zeros((50, 1))
    arrays = {
        "w": np.array([[0.0], [start]]), "mean": np.array([[0.0], [mean]]), "y": column,
        "table": column.copy(), "b": np.zeros(1), "mean_b": np.zeros(1),
        "boost": np.ones(n), "pick": np.arange(n), "weights": np.empty(0),
    }  # fmt: skip
    numbers = (0.01, l2, 0.0, 0.0)
    work = Work(
        arrays, "squares", 1.0, "elastic_net", numbers, False, 1.0, 0.0, True, 3
    )
    rows = sparse.csr_array(np.c_[np.ones(n), column])
    sparse_steps(work, rows.data, rows.indices, rows.indptr, np.full(n, 1 / n), 3000)
    work.finish()
    assert arrays["w"][0] == 0.0
    assert not np.isfinite(arrays["w"][1])


@given(
    st.integers(0, 10**6),
    st.integers(1, 400),
    st.sampled_from(["l1", "positive", "net", "ridge", "box", "mcp", "scad"]),
)
def test_steps_that_are_made_up_for(seed, count, name):
    """Samples of zeros: coordinates are moved by the mean alone, all at the end."""
    rng = np.random.default_rng(seed)
    datafit = LeastSquares(np.zeros((1, P)), [0.0])
    penalty = PENALTIES[name]
    form = _form(penalty, datafit)
    scale = 10.0 ** rng.uniform(-3, 0)
    arrays = {
        "w": rng.normal(size=(P, 1)) * (rng.random((P, 1)) < 0.8), "b": np.zeros(1),
        "table": np.zeros((1, 1)), "mean": scale * rng.normal(size=(P, 1)),
        "mean_b": np.zeros(1), "y": np.zeros((1, 1)), "boost": np.ones(1),
        "pick": np.zeros(1, dtype=np.int64), "weights": form.weights,
    }  # fmt: skip
    w, mean = arrays["w"][:, 0].copy(), arrays["mean"][:, 0]
    step = 10.0 ** rng.uniform(-2, 0)
    work = Work(
        arrays, "squares", 1.0, form.kind, form.numbers, form.positive, step, 0.0,
        False, 1,
    )  # fmt: skip
    empty = sparse.csr_array((1, P))
    sparse_steps(work, empty.data, empty.indices, empty.indptr, np.ones(1), count)
    work.finish()
    for _ in range(count):
        w = penalty.prox(w - step * mean, step)
    np.testing.assert_allclose(arrays["w"][:, 0], w, atol=1e-9, rtol=1e-9)


# ---------------------------------------------------------------------- the solvers


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("solver", ["saga", "prox_svrg"])
@pytest.mark.parametrize("loss", ["squares", "logistic", "huber", "multinomial"])
def test_same_minimiser_as_prox_grad(loss, solver, fit_intercept, rng):
    X, z = _data(rng, n=80)
    options = {"fit_intercept": fit_intercept, "sample_weight": rng.random(80) + 0.2}
    datafit = _losses(X, z, rng, **options)[loss]
    penalty = ElasticNet(0.1, 0.5)
    reference = _exact(datafit, penalty, "prox_grad", 400)
    rows = _losses(sparse.csr_array(X), z, np.random.default_rng(1), **options)[loss]
    rows.y = datafit.y
    for each in (rows, datafit):
        result = _exact(each, penalty, solver, 100)
        np.testing.assert_allclose(result.coef, reference.coef, atol=1e-7)
        np.testing.assert_allclose(result.intercept, reference.intercept, atol=1e-7)


def _exact(datafit, penalty, solver, max_iter):
    """As far as rounding lets it: a gap of 1e-16 leaves 1e-8 or more in w."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        result = minimize_composite(
            datafit, penalty, solver=solver, tol=1e-300, max_iter=max_iter
        )
    assert result.residual < 1e-14
    return result


def test_batches_for_penalties_that_do_not_separate(rng):
    X, z = _data(rng, n=80)
    for datafit in _losses(X, z, rng, fit_intercept=True).values():
        for penalty in (GroupLasso(0.05, groups=3), Linf(0.1)):
            reference = minimize_composite(
                datafit, penalty, solver="prox_grad", tol=1e-12
            )
            result = minimize_composite(datafit, penalty, solver="prox_svrg", tol=1e-10)
            assert result.converged
            np.testing.assert_allclose(result.coef, reference.coef, atol=1e-4)


def test_scikit_learns_saga(rng):
    from sklearn.linear_model import LogisticRegression

    X, z = _data(rng, n=200)
    y = rng.random(200) < 1 / (1 + np.exp(-z))
    datafit = Logistic(sparse.csr_array(X), y)
    result = minimize_composite(datafit, L1(0.02), solver="saga", tol=1e-12)
    model = LogisticRegression(
        C=1 / (0.02 * 200), l1_ratio=1.0, solver="saga", tol=1e-10, max_iter=100_000,
        fit_intercept=False,
    ).fit(X, y)  # fmt: skip
    np.testing.assert_allclose(result.coef, model.coef_[0], atol=1e-6)


@pytest.mark.parametrize("solver", ["saga", "prox_svrg"])
def test_seeds(solver, rng):
    X, z = _data(rng)
    datafit = LeastSquares(sparse.csr_array(X), z, fit_intercept=True)
    options = {"solver": solver, "tol": 1e-6}

    def coefficients(seed):
        result = minimize_composite(datafit, L1(0.05), random_state=seed, **options)
        return result.coef.tobytes()

    assert coefficients(1) == coefficients(1)
    assert coefficients(1) != coefficients(2)
    assert coefficients(None) == coefficients(None)  # fixed if not given


@pytest.mark.parametrize("solver", ["saga", "prox_svrg"])
def test_rows_of_very_different_size(solver, rng):
    X, z = _data(rng, n=100)
    X[5] *= 30
    datafit = LeastSquares(X, X[:, 1] + 0.1 * z)
    result = minimize_composite(datafit, L1(0.05), solver=solver, tol=1e-9)
    assert result.converged


@pytest.mark.parametrize("solver", ["saga", "prox_svrg"])
def test_zero_weights(solver, rng):
    X, z = _data(rng)
    weights = (np.arange(N) % 3 > 0).astype(float)
    some = LeastSquares(X, z, sample_weight=weights, fit_intercept=True)
    rest = LeastSquares(X[weights > 0], z[weights > 0], fit_intercept=True)
    a, b = (
        minimize_composite(d, ElasticNet(0.1, 0.5), solver=solver, tol=1e-14)
        for d in (some, rest)
    )
    np.testing.assert_allclose(a.coef, b.coef, atol=1e-7)


def test_float32_is_kept(rng):
    X, z = _data(rng)
    for kind in (np.asarray, sparse.csr_array):
        datafit = LeastSquares(kind(X.astype(np.float32)), z)
        result = minimize_composite(datafit, L1(0.05), solver="saga")
        assert result.converged
        assert result.coef.dtype == np.float32


# ------------------------------------------------------------------- ends of a run


@pytest.mark.parametrize("solver", ["saga", "prox_svrg"])
def test_limits_callback_keyboard(solver, rng):
    X, z = _data(rng)
    datafit = LeastSquares(X, z)
    options = {"solver": solver, "tol": 1e-14}
    with pytest.warns(ConvergenceWarning):
        result = minimize_composite(datafit, L1(0.01), max_iter=3, **options)
    assert result.status is Status.MAX_ITER
    assert result.objective == pytest.approx(result.history["objective"].min())
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
    assert result.objective < datafit.value(np.zeros(N))


def test_what_does_not_fit_is_said(rng):
    X, z = _data(rng)
    time = np.stack([np.abs(z) + 1, np.ones(N)], axis=1)
    cases = [
        (Poisson(X, np.abs(z)), L1(0.1), "saga", "slopes of single samples"),
        (Cox(X, time), L1(0.1), "prox_svrg", "slopes of single samples"),
        (LeastSquares(X, z), Linf(0.1), "saga", "separable"),
        (LeastSquares(X, z), Lq(0.1), "prox_svrg", "not convex"),
        (
            LeastSquares(sparse.linalg.aslinearoperator(X), z), L1(0.1), "saga",
            "rows of X",
        ),
    ]  # fmt: skip
    for datafit, penalty, solver, match in cases:
        with pytest.raises(ValueError, match=match):
            minimize_composite(datafit, penalty, solver=solver)
