"""The unit of weights and of values is nobody's business."""

import numpy as np
import pytest
from scipy import sparse

from sparseopt._core._array_api import to_numpy
from sparseopt.completion import (
    MatrixFactorizer,
    MatrixFactorizerCV,
    alternating_minimization,
    complete,
    soft_impute,
)
from sparseopt.datasets import make_low_rank

from ._libraries import library

pytestmark = pytest.mark.filterwarnings(
    "ignore::sparseopt.exceptions.ConvergenceWarning"
)
M, N, K = 40, 30, 2
# Powers of two round nothing: what follows has the same bits.
SCALES = [2.0**-80, 2.0**-13, 2.0**27, 2.0**80]


@pytest.fixture(scope="module")
def noisy():
    return make_low_rank(M, N, K, oversampling=4, noise=0.1, random_state=0).X


@pytest.fixture(scope="module")
def weights(noisy):
    return np.random.default_rng(1).uniform(0.1, 5.0, noisy.nnz)


def entrywise(result, X, weights):
    """Weighted sum of squares, from the reconstruction."""
    coo = X.tocoo()
    r = coo.data - result.reconstruct()[coo.row, coo.col]
    return float(weights @ r**2)


@pytest.mark.parametrize("scale", [1e-8, 1e-4, 3.7, 1e4, 1e8])
def test_equal_weights_are_no_weights(scale):
    for seed in range(5):
        problem = make_low_rank(100, 80, 3, oversampling=1.5, random_state=seed)
        plain = complete(problem.X, 3, random_state=0)
        result = complete(
            problem.X, 3, weights=np.full(problem.X.nnz, scale), random_state=0
        )
        np.testing.assert_array_equal(result.U, plain.U)
        np.testing.assert_array_equal(result.s, plain.s)
        assert result.objective == pytest.approx(scale * plain.objective, rel=1e-12)


METHODS = {
    "auto": (complete, {"n_components": K}, {}),
    "als": (complete, {"n_components": K, "solver": "als"}, {"alpha": 1.5}),
    "exact": (complete, {"n_components": K, "solver": "als-exact"}, {"alpha": 0.5}),
    "mixed": (complete, {"n_components": K, "precision": "mixed"}, {}),
    "huber": (complete, {"n_components": K, "loss": "huber"}, {}),
    "delta": (
        complete,
        {"n_components": K, "loss": "huber", "delta": 0.2, "debias": False},
        {"alpha": 0.7},
    ),
    "nonnegative": (complete, {"n_components": K, "nonnegative": True}, {"alpha": 0.7}),
    "biases": (
        complete,
        {"n_components": K, "biases": "both"},
        {"alpha": 1.5, "bias_reg": 5.0},
    ),
    "held out": (complete, {"n_components": K, "validation_fraction": 0.2}, {}),
    "rank": (complete, {"n_components": "auto"}, {}),
    "soft": (soft_impute, {"max_rank": 8}, {"alpha": 2.0}),
    "published": (alternating_minimization, {"n_components": K}, {}),
}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", METHODS)
def test_no_method_knows_the_unit_of_weights(noisy, weights, name, scale):
    function, fixed, ridges = METHODS[name]
    X = abs(noisy) if name == "nonnegative" else noisy
    plain = function(X, weights=weights, random_state=0, **fixed, **ridges)
    ridges = {key: scale * value for key, value in ridges.items()}
    result = function(X, weights=scale * weights, random_state=0, **fixed, **ridges)
    for field in ("U", "s", "V", "row_bias", "col_bias", "outlier_mask"):
        np.testing.assert_array_equal(getattr(result, field), getattr(plain, field))
    assert result.status is plain.status and result.residual == plain.residual
    assert result.alpha == scale * plain.alpha
    assert result.objective == scale * plain.objective
    np.testing.assert_array_equal(
        result.history["objective"], scale * plain.history["objective"]
    )
    np.testing.assert_array_equal(
        result.history["ridge"], scale * plain.history["ridge"]
    )


@pytest.mark.parametrize("reg, power", [("count", 1.0), (0.5, 0.5), ("frobenius", 0.0)])
def test_ridges_that_count_hold_powers_of_weights(noisy, weights, reg, power):
    """s_i = (sum_j w_ij)^power multiplies alpha: what is left of the unit is 1 - power.

    The objective, and the one in history, are recomputed from the factors.
    """
    scale = 2.0**40
    common = {"biases": "both", "reg": reg, "random_state": 0}
    plain = complete(
        noisy, K, alpha=0.4, bias_reg=(3.0, 4.0), weights=weights, **common
    )
    result = complete(
        noisy,
        K,
        alpha=0.4 * scale ** (1 - power),
        bias_reg=(3.0 * scale, 4.0 * scale),
        weights=scale * weights,
        **common,
    )
    np.testing.assert_array_equal(result.U, plain.U)
    for r, w in ((plain, weights), (result, scale * weights)):
        W = sparse.csr_array((w, noisy.indices, noisy.indptr), shape=noisy.shape)
        rows, cols = (np.asarray(W.sum(axis=a)) ** power for a in (1, 0))
        L, R = (F * np.sqrt(r.s) for F in (r.U, r.V))
        b = 3.0 if r is plain else 3.0 * scale
        expected = 0.5 * (
            entrywise(r, noisy, w)
            + r.alpha * (rows @ np.sum(L**2, axis=1) + cols @ np.sum(R**2, axis=1))
            + b * np.sum(r.row_bias**2)
            + b * 4 / 3 * np.sum(r.col_bias**2)
        )
        assert r.objective == pytest.approx(expected, rel=1e-9)
        assert r.history["objective"][-1] == pytest.approx(expected, rel=1e-9)


def test_objective_and_gap_in_the_units_of_the_caller(noisy, weights):
    """The dual value is recomputed from the residuals of the reconstruction."""
    for scale in (1e-18, 1.0, 1e18):
        w, alpha = scale * weights, 2.0 * scale
        result = soft_impute(noisy, alpha, weights=w, random_state=0)
        Z, coo = result.reconstruct(), noisy.tocoo()
        y = w * (coo.data - Z[coo.row, coo.col])
        Y = sparse.coo_array((y, (coo.row, coo.col)), shape=noisy.shape).toarray()
        y *= min(1.0, alpha / np.linalg.norm(Y, 2))
        primal = 0.5 * entrywise(result, noisy, w)
        primal += alpha * np.linalg.svd(Z, compute_uv=False).sum()
        gap = primal - (y @ coo.data - 0.5 * np.sum(y**2 / w))
        assert result.converged
        assert result.objective == pytest.approx(primal, rel=1e-12)
        assert 0 <= gap <= 1e-5 * primal and 0 <= result.gap <= 1e-5 * primal


def test_callbacks_see_the_units_of_the_caller(noisy, weights):
    scale, seen = 2.0**-40, []
    for w in (weights, scale * weights):
        states = []
        complete(
            noisy,
            K,
            weights=w,
            random_state=0,
            callback=lambda s, states=states: states.append((s.objective, s.ridge)),
        )
        seen.append(np.array(states))
    np.testing.assert_array_equal(seen[1], scale * seen[0])


def test_chosen_penalty_has_the_unit_of_weights(noisy, weights):
    common = {"alpha": "auto", "random_state": 0}
    plain = complete(noisy, K, weights=weights, **common)
    scaled = complete(noisy, K, weights=2.0**50 * weights, **common)
    assert plain.alpha > 0
    assert scaled.alpha == 2.0**50 * plain.alpha
    np.testing.assert_array_equal(scaled.U, plain.U)


@pytest.mark.parametrize("reg, power", [("count", 1.0), (0.5, 0.5)])
def test_search_has_the_unit_of_weights(noisy, weights, reg, power):
    scale = 2.0**20
    found = []
    for s in (1.0, scale):
        model = MatrixFactorizerCV(
            (1, 2), cv=2, n_alphas=2, reg=(reg,), bias_reg=(s * 5.0,), random_state=0
        )
        found.append(model.fit(noisy, weights=s * weights))
    plain, scaled = found
    np.testing.assert_allclose(scaled.row_factors_, plain.row_factors_, rtol=1e-9)
    assert scaled.best_score_ == pytest.approx(plain.best_score_, rel=1e-9)
    assert scaled.best_params_["alpha"] == pytest.approx(
        scale ** (1 - power) * plain.best_params_["alpha"], rel=1e-9
    )


def test_what_the_caller_searches_is_what_is_reported(noisy, weights):
    model = MatrixFactorizerCV(
        (1,), alpha=(0.3, 0.7), reg=(0.25,), bias_reg=(1.1,), cv=2, random_state=0
    ).fit(noisy, weights=weights)
    assert model.best_params_["alpha"] in (0.3, 0.7)
    assert model.best_params_["bias_reg"] == 1.1
    assert model.result_.alpha == model.best_params_["alpha"]


# ------------------------------------------------------------------- entries without


def test_weight_zero_is_no_observation(noisy, weights):
    """As if it was not there; rows and columns that have only such ones are named."""
    X = noisy.tocsr()
    w = weights.copy()
    rows = np.repeat(np.arange(M), np.diff(X.indptr))
    w[(rows == 3) | (X.indices == 5)] = 0.0
    w[::7] = 0.0
    keep = w > 0
    parts = (rows[keep], X.indices[keep], X.data[keep])
    with pytest.warns(UserWarning, match=r"rows \(3\).* columns \(5\)"):
        without = complete(parts, K, shape=X.shape, weights=w[keep], random_state=0)
    with pytest.warns(UserWarning, match=r"rows \(3\).* columns \(5\)"):
        result = complete(X, K, weights=w, random_state=0)
    np.testing.assert_array_equal(result.U, without.U)
    np.testing.assert_array_equal(result.s, without.s)
    np.testing.assert_array_equal(result.underdetermined_rows, [3])
    np.testing.assert_array_equal(result.underdetermined_cols, [5])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_masks_keep_the_form_of_the_input(noisy, weights):
    w = weights.copy()
    w[::3] = 0.0
    gross = np.flatnonzero(w > 0)[::40]
    X = noisy.copy()
    X.data[gross] += 50.0
    result = complete(X, K, weights=w, loss="huber", random_state=0)
    np.testing.assert_array_equal(np.flatnonzero(result.outlier_mask), gross)
    held = complete(X, K, weights=w, validation_fraction=0.2, random_state=0)
    assert held.held_out_mask.shape == w.shape
    assert not held.held_out_mask[w == 0].any()
    assert held.held_out_mask.sum() == round(0.2 * np.count_nonzero(w))


def test_on_a_device(noisy, weights):
    X = np.full(noisy.shape, np.nan)
    W = np.zeros(noisy.shape)
    coo = noisy.tocoo()
    X[coo.row, coo.col], W[coo.row, coo.col] = coo.data, weights
    W[4] = 0.0
    with library("strict") as lib:
        found = []
        for s in (1.0, 2.0**-50):
            with pytest.warns(UserWarning, match=r"1 rows \(4\)"):
                found.append(complete(lib(X), K, weights=lib(s * W), random_state=0))
            assert list(to_numpy(found[-1].underdetermined_rows)) == [4]
        plain, scaled = found
        np.testing.assert_array_equal(to_numpy(scaled.U), to_numpy(plain.U))
        assert scaled.objective == 2.0**-50 * plain.objective
        np.testing.assert_array_equal(
            scaled.history["objective"], 2.0**-50 * plain.history["objective"]
        )


# ------------------------------------------------------------- fits that are updated


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("unit", [2.0**-90, 2.0**80])
def test_updates_know_no_unit_of_values(noisy, dtype, unit):
    """Alpha is one of values; values that are near 1 in both have the same bits."""
    X = (noisy / 2 ** np.frexp(abs(noisy).max())[1]).tocsr().astype(dtype)
    first, second = X[:30], X[30:]
    rows = np.repeat(np.arange(10), np.diff(second.indptr))
    found = []
    for u in (1.0, unit):
        model = MatrixFactorizer(K, alpha=0.02 * u, random_state=0)
        model.fit(first * dtype(u))
        new = (rows + 30, second.indices, dtype(u) * second.data)
        model.partial_fit(new)
        pairs = model.predict(*np.indices((M, N)).reshape(2, -1))
        found.append((pairs / dtype(u), model.transform(second * dtype(u)) / u**0.5))
    eps = np.finfo(dtype).eps
    for plain, scaled in zip(*found, strict=True):
        assert np.abs(plain).max() > 0.1
        np.testing.assert_allclose(scaled, plain, atol=1e3 * eps * np.abs(plain).max())
