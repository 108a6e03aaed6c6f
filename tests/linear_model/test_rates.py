"""Poisson, Gamma and Tweedie: deviances of scikit-learn, conjugates, offsets."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from sklearn.linear_model import TweedieRegressor
from sklearn.metrics import mean_tweedie_deviance

from sparseopt.linear_model import (
    Gamma,
    Poisson,
    ProximalRegressor,
    ProximalRegressorCV,
    Tweedie,
    minimize_composite,
)
from sparseopt.linear_model._loss_prox import loss_prox
from sparseopt.prox import L1, NoPenalty, Ridge

N, P = 60, 4
KINDS = [(Poisson, 1.0), (Gamma, 2.0), (Tweedie, 1.5), (Tweedie, 1.1), (Tweedie, 1.9)]


def _make(kind, power, rng, **options):
    X = rng.normal(size=(N, P))
    mean = np.exp(0.5 * X[:, 0] - 0.3 * X[:, 1] + 0.2)
    if kind is Poisson:
        y = rng.poisson(mean).astype(float)
    else:
        y = mean * rng.gamma(2.0, 0.5, N)
        if kind is Tweedie:
            y[rng.random(N) < 0.3] = 0.0
    own = {"power": power} if kind is Tweedie else {}
    return kind(X, y, **own, **options), X, y


@pytest.mark.parametrize(("kind", "power"), KINDS)
@pytest.mark.parametrize("moved", [False, True])
def test_value_and_derivatives(kind, power, moved, rng):
    weights = rng.uniform(0.5, 2.0, N)
    exposure, offset = rng.uniform(0.5, 3.0, N), rng.normal(size=N)
    options = {"offset": offset, "exposure": exposure} if moved else {}
    datafit, _, y = _make(kind, power, rng, sample_weight=weights, **options)
    z = rng.normal(size=N)
    rate = np.exp(z + offset) * exposure if moved else np.exp(z)
    deviance = mean_tweedie_deviance(y, rate, sample_weight=weights, power=power)
    assert datafit.value(z) == pytest.approx(0.5 * deviance, rel=1e-12)
    h = 1e-6
    slope = [(datafit.value(z + e) - datafit.value(z - e)) / (2 * h)
             for e in h * np.eye(N)]  # fmt: skip
    np.testing.assert_allclose(datafit.gradient(z), slope, atol=1e-8)
    bend = (datafit.gradient(z + h) - datafit.gradient(z - h)) / (2 * h)
    np.testing.assert_allclose(datafit.hessian(z), bend, rtol=1e-6, atol=1e-10)
    # the best constant
    found = minimize_scalar(lambda b: datafit.value(z + b), bounds=(-9, 9))
    assert datafit.value(z + datafit.shift(z)) <= found.fun + 1e-14
    assert abs(datafit.gradient(z + datafit.shift(z)).sum()) < 1e-13


@pytest.mark.parametrize(("kind", "power"), KINDS)
@pytest.mark.parametrize("moved", [False, True])
def test_conjugate(kind, power, moved, rng):
    options = {"offset": rng.normal(size=N)} if moved else {}
    datafit, _, y = _make(kind, power, rng, **options)
    for size in (1.0, 5.0, 12.0):
        z = size * rng.normal(size=N)
        theta = datafit.gradient(z)
        fenchel = theta @ z - datafit.value(z)
        unit = abs(theta @ z) + datafit.value(z)
        assert datafit.conjugate(theta) == pytest.approx(fenchel, abs=1e-12 * unit)
        other = rng.normal(size=N)
        low = theta @ other - datafit.value(other)
        assert datafit.conjugate(theta) >= low - 1e-12 * unit
    # beyond the domain
    worst = np.zeros(N)
    worst[np.argmin(y)] = 1.1 / N if power == 2.0 else -(y.min() + 0.1) / N
    if kind is not Tweedie or y.min() == 0.0:
        assert datafit.conjugate(worst) == math.inf
    if kind is Poisson and not moved:
        assert datafit.conjugate(np.zeros(N)) == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize("kind", [Poisson, Gamma])
def test_prox(kind, rng):
    offset = rng.normal(size=N)
    datafit, _, _ = _make(kind, 0.0, rng, offset=offset)
    unit = 1.0 + np.exp(offset).max()
    c = 3.0 * rng.normal(size=N)
    for rho in (0.1, 1.0, 20.0):
        z = loss_prox(datafit, c, rho)
        np.testing.assert_allclose(
            N * datafit.gradient(z),
            -rho * (z - c),
            atol=1e-9 * unit,
        )


@pytest.mark.parametrize(("kind", "power"), KINDS)
def test_against_scikit_learn(kind, power, rng):
    datafit, X, y = _make(kind, power, rng, fit_intercept=True)
    for lam in (0.0, 0.05):
        peer = TweedieRegressor(power=power, alpha=lam, link="log", tol=1e-10,
                                solver="newton-cholesky").fit(X, y)  # fmt: skip
        penalty = Ridge(lam) if lam else NoPenalty()
        found = minimize_composite(datafit, penalty, tol=1e-12)
        assert found.converged
        np.testing.assert_allclose(found.coef, peer.coef_, atol=1e-5)
        assert found.intercept == pytest.approx(peer.intercept_, abs=1e-5)


@pytest.mark.parametrize(("kind", "power"), KINDS)
@pytest.mark.parametrize("solver", ["auto", "prox_grad", "admm"])
def test_gap_from_outside(kind, power, solver, rng):
    exposure = rng.uniform(0.1, 5.0, N)
    datafit, X, y = _make(kind, power, rng, fit_intercept=True, exposure=exposure)
    if kind is Tweedie and solver == "admm":
        with pytest.raises(ValueError, match="must fit the problem"):
            minimize_composite(datafit, L1(0.05), solver=solver)
        return
    tol = 1e-9 if solver != "admm" else 1e-6
    found = minimize_composite(datafit, L1(0.05), solver=solver, tol=tol)
    assert found.converged
    rate = np.exp(X @ found.coef + found.intercept) * exposure
    value = 0.5 * mean_tweedie_deviance(y, rate, power=power)
    value += 0.05 * np.abs(found.coef).sum()
    assert value == pytest.approx(found.objective, rel=1e-9)
    gap = value + datafit.conjugate(found.dual)
    assert abs(found.dual.sum()) < 1e-12
    assert np.abs(X.T @ found.dual).max() <= 0.05 * (1 + 1e-10)
    assert -1e-13 <= gap <= 1.01 * tol * datafit.scale() + 1e-13


def test_exposures_are_weights_of_rates(rng):
    """Counts with exposures, and rates weighted by them, have the same solution."""
    X = rng.normal(size=(N, P))
    exposure = rng.uniform(0.2, 4.0, N)
    y = rng.poisson(exposure * np.exp(0.5 * X[:, 0]))
    counts = Poisson(X, y, exposure=exposure, fit_intercept=True)
    rates = Poisson(X, y / exposure, sample_weight=exposure, fit_intercept=True)
    first = minimize_composite(counts, L1(0.02 * exposure.mean()), tol=1e-12)
    second = minimize_composite(rates, L1(0.02), tol=1e-12)
    np.testing.assert_allclose(first.coef, second.coef, atol=1e-6)
    same = Poisson(X, y, offset=np.log(exposure), fit_intercept=True)
    assert same.value(X[:, 0]) == pytest.approx(counts.value(X[:, 0]), rel=1e-14)
    # by a general method
    best = minimize(
        lambda w: 0.5 * mean_tweedie_deviance(
            y, exposure * np.exp(X @ w[1:] + w[0]), power=1
        ),
        np.zeros(P + 1),
    )  # fmt: skip
    plain = minimize_composite(counts, NoPenalty(), tol=1e-12)
    np.testing.assert_allclose(plain.coef, best.x[1:], atol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X, y: Gamma(X, y * 0.0), "be positive"),
        (lambda X, y: Gamma(X, -y), "be positive"),
        (lambda X, y: Tweedie(X, -y), "not be negative"),
        (lambda X, y: Tweedie(X, 0.0 * y), "positive entry"),
        (lambda X, y: Tweedie(X, y, 2.0), "power"),
        (lambda X, y: Poisson(X, y, exposure=-y), "exposure"),
        (lambda X, y: Poisson(X, y, exposure=y[1:]), "exposure"),
        (lambda X, y: Poisson(X, y, offset=y * np.nan), "offset"),
    ],
)
def test_bad_arguments(make, message, rng):
    with pytest.raises(ValueError, match=message):
        make(rng.normal(size=(5, 2)), np.arange(1.0, 6.0))


@pytest.mark.parametrize("loss", ["poisson", "gamma", "tweedie"])
def test_estimator(loss, rng):
    X = rng.normal(size=(N, P))
    exposure = rng.uniform(0.5, 3.0, N)
    y = exposure * np.exp(0.6 * X[:, 0]) * rng.gamma(2.0, 0.5, N)
    power = {"poisson": 1.0, "gamma": 2.0, "tweedie": 1.5}[loss]
    model = ProximalRegressor("none", loss=loss, tol=1e-12)
    peer = TweedieRegressor(power=power, alpha=0.0, link="log", tol=1e-10,
                            solver="newton-cholesky").fit(X, y)  # fmt: skip
    np.testing.assert_allclose(model.fit(X, y).predict(X), peer.predict(X), rtol=1e-4)
    assert model.score(X, y) == pytest.approx(peer.score(X, y), abs=1e-6)
    model.fit(X, y, exposure=exposure)
    design = np.column_stack([np.ones(N), X])
    best = minimize(
        lambda w: mean_tweedie_deviance(y, exposure * np.exp(design @ w), power=power),
        np.zeros(P + 1),
    )
    np.testing.assert_allclose(model.coef_, best.x[1:], atol=1e-4)
    # the best constant rate, by its definition
    none = minimize_scalar(
        lambda b: mean_tweedie_deviance(y, exposure * np.exp(b), power=power)
    )
    expected = 1.0 - best.fun / none.fun
    assert model.score(X, y, exposure=exposure) == pytest.approx(expected, abs=1e-6)


def test_estimator_arguments(rng):
    X, y = rng.normal(size=(N, P)), rng.gamma(2.0, 0.5, N)
    with pytest.raises(ValueError, match="exposure"):
        ProximalRegressor().fit(X, y, exposure=y)
    with pytest.raises(ValueError, match="criterion"):
        ProximalRegressorCV(loss="gamma", criterion="bic").fit(X, y)
    with pytest.raises(ValueError, match="power"):
        ProximalRegressor(loss="tweedie", power=3.0).fit(X, y)
    exposure = rng.uniform(0.5, 2.0, N)
    with pytest.raises(ValueError, match="scoring"):
        ProximalRegressorCV(scoring="r2", loss="gamma").fit(X, y, exposure=exposure)
    # scores of folds are deviances of those held out
    model = ProximalRegressorCV(loss="tweedie", lams=[0.1], cv=2)
    found = model.fit(X, y, exposure=exposure)
    expected = []
    for at in (slice(0, N // 2), slice(N // 2, N)):
        out = np.ones(N, dtype=bool)
        out[at] = False
        part = ProximalRegressor(lam=0.1, loss="tweedie").fit(
            X[out], y[out], exposure=exposure[out]
        )
        rate = exposure[at] * part.predict(X[at])
        deviance = mean_tweedie_deviance(y[at], rate, power=1.5)
        expected.append(-0.5 * deviance)
    assert found.scores_[0] == pytest.approx(np.mean(expected), rel=1e-5)
