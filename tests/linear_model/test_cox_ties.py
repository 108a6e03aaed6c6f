"""Efron's ties, strata and the second derivative of Cox, by their definitions."""

import math

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize

from sparseopt.linear_model import Cox, minimize_composite
from sparseopt.prox import L1, NoPenalty

N, P = 24, 3
FORMS = [(ties, strata) for ties in ("breslow", "efron") for strata in (False, True)]


def _problem(seed, strata, weighted=True):
    rng = np.random.default_rng(seed)
    time = rng.integers(1, 7, size=N).astype(float)
    event = rng.random(N) < 0.7
    event[:2] = True
    weights = rng.uniform(0.5, 2.0, size=N) if weighted else np.ones(N)
    if weighted:
        weights[3] = 0.0
    labels = rng.choice(["a", "b", "c"], size=N) if strata else None
    X = rng.normal(size=(N, P))
    return X, np.column_stack([time, event]), weights, labels


def _loss(z, y, weights, labels, ties):
    """The negative log partial likelihood, term by term.

    With weights as in section 3.3 of Therneau and Grambsch, "Modeling Survival Data".
    """
    time, event = y[:, 0], (y[:, 1] == 1) & (weights > 0)
    labels = np.zeros(len(z)) if labels is None else labels
    risk, total = weights * np.exp(z), 0.0
    for label in np.unique(labels):
        inside = labels == label
        for t in np.unique(time[event & inside]):
            at_risk = inside & (time >= t)
            dead = inside & event & (time == t)
            m = int(dead.sum())
            total -= weights[dead] @ z[dead]
            for step in range(m):
                out = step / m if ties == "efron" else 0.0
                total += weights[dead].mean() * np.log(
                    risk[at_risk].sum() - out * risk[dead].sum()
                )
    s = weights[event] / weights.sum()
    # F has the logarithms of weights beside, so that it does not depend on their unit
    own = total / weights.sum() - s.sum() * np.log(weights.sum())
    return own - s @ np.log(s)


@pytest.mark.parametrize(("ties", "strata"), FORMS)
@pytest.mark.parametrize("seed", range(4))
def test_value_and_derivatives(seed, ties, strata):
    X, y, weights, labels = _problem(seed, strata, weighted=seed % 2 == 0)
    datafit = Cox(X, y, sample_weight=weights, ties=ties, strata=labels)
    z = np.random.default_rng(seed + 100).normal(size=N)
    assert datafit.value(z) == pytest.approx(
        _loss(z, y, weights, labels, ties), rel=1e-12
    )
    h = 1e-5
    slope = [(datafit.value(z + e) - datafit.value(z - e)) / (2 * h)
             for e in h * np.eye(N)]  # fmt: skip
    np.testing.assert_allclose(datafit.gradient(z), slope, atol=1e-9)
    bend = [(datafit.gradient(z + e) - datafit.gradient(z - e)) / (2 * h)
            for e in h * np.eye(N)]  # fmt: skip
    H = datafit.curvature_matrix(z, np.eye(N))
    np.testing.assert_allclose(H, bend, atol=1e-9)
    np.testing.assert_allclose(
        datafit.curvature_matrix(z, X), X.T @ H @ X, rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(
        datafit.curvature_matrix(z, sparse.csc_array(X)), X.T @ H @ X, atol=1e-12
    )
    # the diagonal is above the second derivative
    assert np.linalg.eigvalsh(np.diag(datafit.hessian(z)) - H).min() > -1e-13
    lines = datafit.invariants().toarray()
    assert abs(datafit.gradient(z) @ lines).max() < 1e-14
    assert datafit.value(z + 3.0 * lines.sum(axis=1)) == pytest.approx(datafit.value(z))


@pytest.mark.parametrize(("ties", "strata"), FORMS)
@pytest.mark.parametrize("seed", range(3))
def test_conjugate(seed, ties, strata):
    X, y, weights, labels = _problem(seed, strata, weighted=seed % 2 == 0)
    datafit = Cox(X, y, sample_weight=weights, ties=ties, strata=labels)
    rng = np.random.default_rng(seed + 50)
    theta = datafit.gradient(rng.normal(size=N))
    z = rng.normal(size=N)
    # Fenchel: equality at gradients, and inequality elsewhere
    same = datafit.gradient(z)
    value = datafit.conjugate(same)
    assert value == pytest.approx(same @ z - datafit.value(z), abs=1e-12)
    for share in (0.0, 0.3, 0.7, 1.0):
        point = share * theta + (1 - share) * same
        found = minimize(
            lambda u, point=point: datafit.value(u) - point @ u,
            z,
            jac=lambda u, point=point: datafit.gradient(u) - point,
            method="L-BFGS-B",
            options={"ftol": 1e-15, "gtol": 1e-12, "maxiter": 5000},
        )
        assert datafit.conjugate(point) == pytest.approx(-found.fun, abs=1e-9)
    # the dual point of zero is on the edge, with its limit for a value
    assert math.isfinite(datafit.conjugate(np.zeros(N)))
    assert datafit.conjugate(np.zeros(N)) <= 1e-12
    assert datafit.conjugate(same + 1e-3 * (weights > 0)) == math.inf
    assert datafit.conjugate(-10.0 * np.abs(same)) == math.inf


@pytest.mark.parametrize(("ties", "strata"), FORMS)
def test_against_newton(ties, strata):
    """Coefficients of a plain Newton's method on the definition, by differences."""
    X, y, weights, labels = _problem(7, strata)
    X[:, 1] *= 1e3
    found = minimize_composite(
        Cox(X, y, sample_weight=weights, ties=ties, strata=labels),
        NoPenalty(),
        tol=1e-12,
    )
    assert found.solver == "prox_newton" and found.n_iter < 12
    best = minimize(
        lambda w: _loss(X / [1.0, 1e3, 1.0] @ w, y, weights, labels, ties),
        np.zeros(P),
        options={"gtol": 1e-9},
    )
    np.testing.assert_allclose(found.coef * [1.0, 1e3, 1.0], best.x, atol=1e-5)
    assert found.objective <= best.fun + 1e-13


@pytest.mark.parametrize(("ties", "strata"), FORMS)
def test_gap_from_outside(ties, strata):
    """The gap of a lasso, from the conjugate and the dual point handed out."""
    X, y, weights, labels = _problem(11, strata)
    datafit = Cox(X, y, sample_weight=weights, ties=ties, strata=labels)
    found = minimize_composite(datafit, L1(0.02), tol=1e-10)
    value = _loss(X @ found.coef, y, weights, labels, ties)
    value += 0.02 * np.abs(found.coef).sum()
    assert np.abs(X.T @ found.dual).max() <= 0.02 * (1 + 1e-12)
    gap = value + datafit.conjugate(found.dual)
    assert -1e-13 <= gap <= 1.01e-10 * datafit.scale() + 1e-13


def test_strata_add_up():
    """A stratum for each half is the sum of the halves' likelihoods."""
    X, y, _, _ = _problem(5, False, weighted=False)
    half = np.arange(N) % 2
    z = np.random.default_rng(1).normal(size=N)
    both = Cox(X, y, strata=half, ties="efron")
    parts = [Cox(X[half == h], y[half == h], ties="efron") for h in (0, 1)]
    total = sum(0.5 * part.value(z[half == h]) for h, part in enumerate(parts))
    assert both.value(z) == pytest.approx(total)


def test_bad_arguments():
    X, y, _, _ = _problem(0, False)
    with pytest.raises(ValueError, match="ties"):
        Cox(X, y, ties="exact")
    with pytest.raises(ValueError, match="strata"):
        Cox(X, y, strata=np.zeros(N - 1))
    with pytest.raises(ValueError, match="strata"):
        Cox(X, y, strata=np.full(N, np.nan))
    y[4, 0] = -1.0
    with pytest.raises(ValueError, match=r"not negative.*row 4"):
        Cox(X, y)
