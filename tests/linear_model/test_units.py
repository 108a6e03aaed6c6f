"""Data on scales where squares of coefficients or products are not numbers."""

import numpy as np
import pytest
from scipy import sparse

from sparseopt.linear_model import (
    Huber,
    LeastSquares,
    Logistic,
    ProximalRegressorCV,
    SparseEnvelopeRegressor,
    best_subset,
    minimize_composite,
    overlapping_group_lasso,
    path,
)
from sparseopt.linear_model._units import Units
from sparseopt.prox import (
    L0,
    L1,
    MCP,
    SCAD,
    WGSEF,
    Box,
    BoxNorm,
    ElasticNet,
    GroupLasso,
    L1Ball,
    LogSum,
    Lq,
    NonNegative,
    NoPenalty,
    Positive,
    Ridge,
    SeparableSum,
    Simplex,
    SparseGroupLasso,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((30, 8))
Y = X[:, 0] - 2 * X[:, 1] + 0.3 * RNG.standard_normal(30)
FAR = [(465, 465), (465, -465), (-465, 465), (-465, -465), (0, 470), (-470, 0)]


@pytest.mark.parametrize(("a", "b"), FAR)
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize(
    ("penalty", "degree", "solver"),
    [
        (L1(0.1), 1, "anderson_cd"),
        (L1(0.1), 1, "prox_grad"),
        (GroupLasso(0.1, groups=4), 1, "group_bcd"),
        (SparseGroupLasso(0.1, groups=2), 1, "prox_newton"),
        (Ridge(0.2), 2, "anderson_cd"),
        (WGSEF(2, 0.2), 2, "envelope"),
        (L1(0.1), 1, "saga"),
    ],
)
def test_coefficients_scale_with_the_data(a, b, fit_intercept, penalty, degree, solver):
    options = {"solver": solver, "tol": 1e-9}
    near = minimize_composite(
        LeastSquares(X, Y, fit_intercept=fit_intercept), penalty, **options
    )
    # powers of two: the same problem in other units, without a rounding
    far = LeastSquares(np.ldexp(X, a), np.ldexp(Y, b), fit_intercept=fit_intercept)
    lam = float(np.ldexp(penalty.lam, 2 * b - degree * (b - a)))
    result = minimize_composite(far, penalty.with_lam(lam), **options)
    assert result.converged and near.converged
    # both gaps are up to 1e-9 F(0), whose root bounds differences of coefficients
    coef = np.ldexp(result.coef, a - b)
    np.testing.assert_allclose(coef, near.coef, atol=3e-4)
    assert np.ldexp(result.objective, -2 * b) == pytest.approx(near.objective, 1e-8)
    assert np.ldexp(result.intercept, -b) == pytest.approx(near.intercept, abs=3e-4)
    gap = float(np.ldexp(result.gap, -2 * b))
    datafit = LeastSquares(X, Y, fit_intercept=fit_intercept)
    assert gap == pytest.approx(result.residual * datafit.scale(), rel=1e-9, abs=1e-15)
    # the certificate, from outside
    theta = np.ldexp(result.dual, -b)
    assert not fit_intercept or abs(theta.sum()) < 1e-12
    z = X @ coef + np.ldexp(result.intercept, -b)
    primal = datafit.value(z) + penalty.value(coef)
    dual = -datafit.conjugate(theta) - penalty.conjugate(-(X.T @ theta))
    assert primal - dual == pytest.approx(gap, abs=1e-11)


@pytest.mark.parametrize("a", [465, -465])
@pytest.mark.parametrize("loss", [Logistic, Huber])
def test_other_losses_far_from_one(a, loss):
    target = Y > 0 if loss is Logistic else Y
    near = minimize_composite(loss(X, target), L1(0.05))
    far = loss(sparse.csc_array(np.ldexp(X, a)), target)
    result = minimize_composite(far, L1(float(np.ldexp(0.05, a))))
    assert result.converged
    assert result.objective == pytest.approx(near.objective, rel=1e-7)
    np.testing.assert_allclose(np.ldexp(result.coef, a), near.coef, atol=1e-3)


def test_width_of_huber_has_the_unit_of_the_targets():
    near = minimize_composite(Huber(X, Y, 0.5), L1(0.05))
    far = Huber(X, np.ldexp(Y, 400), float(np.ldexp(0.5, 400)))
    result = minimize_composite(far, L1(float(np.ldexp(0.05, 400))))
    assert result.converged
    np.testing.assert_allclose(np.ldexp(result.coef, -400), near.coef, atol=1e-3)


@pytest.mark.parametrize(
    "penalty",
    [
        L1(0.3),
        ElasticNet(0.3, 0.4),
        Ridge(0.3),
        L0(0.3),
        Lq(0.3, 0.5),
        MCP(0.3, 3.0),
        LogSum(0.3, 0.7),
        WGSEF(2, 0.3),
        BoxNorm(0.1, 1.0, 2.0, 0.3),
        GroupLasso(0.3, groups=2),
        Positive(GroupLasso(0.3, groups=2)),
        2.0 * MCP(0.3),
        SeparableSum([L1(0.3), Ridge(0.2)], [slice(0, 4), slice(4, 6)]),
        GroupLasso(0.3, groups=2) + Ridge(0.3),
        Box(-1.0, 2.0),
        NonNegative(),
        NoPenalty(),
        L1Ball(1.0),
        Simplex(2.0),
    ],
    ids=repr,
)
@pytest.mark.parametrize("units", [Units(4, -3, -6), Units(6, 0, 0), Units(0, 5, 10)])
def test_penalties_in_other_units(penalty, units):
    """``2^-loss P(2^coef w)`` at points inside and outside of sets."""
    datafit = LeastSquares(X[:, :6], Y)
    other = units.penalty(penalty, datafit)
    for seed in range(4):
        w = np.random.default_rng(seed).dirichlet(np.ones(6)) * (1 + (seed % 2))
        w[:3] *= -1 if seed > 1 else 1
        want = np.ldexp(penalty.value(w), -units.loss)
        value = other.value(np.ldexp(w, -units.coef))
        assert value == pytest.approx(want, rel=1e-14)


@pytest.mark.parametrize("penalty", [MCP(1e-141), SCAD(1e-141), LogSum(1e-141)])
def test_penalties_with_a_length_of_their_own_are_refused(penalty):
    with pytest.raises(
        ValueError, match=r"'X' array must have .* in \[1e-50, 1e\+50\]"
    ):
        minimize_composite(LeastSquares(1e-140 * X, Y), penalty)


def test_sums_of_penalties_are_refused():
    terms = [L1(1e139), overlapping_group_lasso(1e139, [[0, 1], [1, 2]], 8)]
    with pytest.raises(ValueError, match="'y' array must have a largest magnitude"):
        minimize_composite(LeastSquares(X, 1e140 * Y), terms)


def test_targets_of_huber_whose_squares_are_lost_are_refused():
    with pytest.raises(ValueError, match="'y' array must have a largest magnitude"):
        Huber(X, 1e200 * Y)


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_single_precision(scale):
    narrow = (scale * X).astype(np.float32)
    kept = narrow.copy()
    near = minimize_composite(LeastSquares(X, Y), L1(0.1))
    result = minimize_composite(LeastSquares(narrow, Y), L1(0.1 * scale))
    assert result.converged and np.array_equal(narrow, kept)
    np.testing.assert_allclose(result.coef * scale, near.coef, atol=1e-2)
    # coefficients that float32 does not hold are float64
    result = minimize_composite(LeastSquares(narrow, Y / scale), L1(0.1))
    assert result.converged and result.coef.dtype == np.float64
    np.testing.assert_allclose(result.coef * scale**2, near.coef, atol=1e-2)


@pytest.mark.parametrize(("a", "b"), [(465, -465), (-465, -465), (-465, 465)])
def test_paths_and_searches(a, b):
    far = LeastSquares(np.ldexp(X, a), np.ldexp(Y, b))
    near = path(LeastSquares(X, Y), L1(), n_lams=5, eps=0.01)
    result = path(far, L1(), n_lams=5, eps=0.01)
    assert result.converged
    np.testing.assert_allclose(np.ldexp(result.lams, -a - b), near.lams, rtol=1e-12)
    np.testing.assert_allclose(np.ldexp(result.coef, a - b), near.coef, atol=1e-3)
    again = path(far, L1(), result.lams[:2])
    np.testing.assert_allclose(again.coef, result.coef[:2], rtol=1e-3)
    start = minimize_composite(
        far, L1(float(result.lams[-1])), init=(result.coef[-1], 0.0)
    )
    assert start.n_iter <= 2


def test_what_a_callback_sees_is_in_the_units_of_the_data():
    seen = []
    far = LeastSquares(1e140 * X, 1e-140 * Y, fit_intercept=True)
    minimize_composite(
        far,
        L1(0.1),
        solver="prox_grad",
        callback=lambda s: seen.append((s.objective, s.coef.copy(), s.intercept)),
    )
    value, coef, intercept = seen[-1]
    z = 1e140 * (1e140 * X @ coef + intercept)
    assert 1e280 * value == pytest.approx(
        0.5 * np.mean((z - Y) ** 2) + 0.1 * np.abs(1e280 * coef).sum(), rel=1e-9
    )


@pytest.mark.parametrize("scale", [1e100, 1e-100])
def test_estimators(scale):
    model = ProximalRegressorCV(L1(), n_lams=5, cv=3).fit(scale * X, Y)
    np.testing.assert_allclose(
        model.predict(scale * X), X @ (model.coef_ * scale) + model.intercept_
    )
    assert np.corrcoef(model.predict(scale * X), Y)[0, 1] > 0.9
    # ridges are of the unit of squared features
    model = SparseEnvelopeRegressor(2, lam=1e-3 * scale**2).fit(scale * X, Y)
    assert np.flatnonzero(model.coef_).tolist() == [0, 1]


@pytest.mark.parametrize(("a", "b"), FAR)
@pytest.mark.parametrize("loss", [LeastSquares, Logistic])
def test_best_subsets(a, b, loss):
    if loss is Logistic:
        b, target = 0, Y + RNG.standard_normal(30) > 0
        near, far = loss(X, target), loss(np.ldexp(X, a), target)
    else:
        near, far = loss(X, Y), loss(np.ldexp(X, a), np.ldexp(Y, b))
    want = best_subset(near, 2, lam=1e-3)
    found = best_subset(far, 2, lam=float(np.ldexp(1e-3, 2 * a)))
    assert found.support.tolist() == want.support.tolist()
    assert np.ldexp(found.objective, -2 * b) == pytest.approx(want.objective, rel=1e-9)
    np.testing.assert_allclose(np.ldexp(found.coef, a - b), want.coef, rtol=1e-6)
