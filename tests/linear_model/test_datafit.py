"""Least squares and logistic loss: derivatives, conjugates, intercepts, bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseopt.linear_model import LeastSquares, Logistic

FITS = ["squares", "logistic"]


def _make(kind, rng, n=8, **options):
    X = rng.standard_normal((n, 3))
    if kind == "squares":
        return LeastSquares(X, rng.standard_normal(n), **options)
    return Logistic(X, np.r_[np.ones(n // 2), np.zeros(n - n // 2)], **options)


@pytest.fixture(params=FITS)
def datafit(request, rng):
    s = rng.uniform(0.2, 1.0, size=8)
    return _make(request.param, rng, sample_weight=s, fit_intercept=True)


def test_gradient_and_hessian_are_derivatives(datafit, rng):
    z, h = rng.standard_normal(8), 1e-5
    for i in range(8):
        e = np.zeros(8)
        e[i] = h
        slope = (datafit.value(z + e) - datafit.value(z - e)) / (2 * h)
        assert slope == pytest.approx(datafit.gradient(z)[i], abs=1e-9)
        bend = (datafit.gradient(z + e) - datafit.gradient(z - e))[i] / (2 * h)
        assert bend == pytest.approx(datafit.hessian(z)[i], abs=1e-8)
    assert (datafit.hessian(z) <= datafit.curvature * datafit.s + 1e-15).all()


def test_conjugate_is_attained_at_the_gradient(datafit, rng):
    z = 3 * rng.standard_normal(8)
    theta = datafit.gradient(z)
    assert datafit.conjugate(theta) == pytest.approx(theta @ z - datafit.value(z))
    for _ in range(20):  # and is no smaller elsewhere
        u = 3 * rng.standard_normal(8)
        assert datafit.conjugate(theta) >= theta @ u - datafit.value(u) - 1e-12


def test_conjugate_outside_its_domain(rng):
    logistic = _make("logistic", rng)
    assert logistic.conjugate(logistic.y) == np.inf
    weighted = _make("squares", rng, sample_weight=np.r_[0.0, np.ones(7)])
    assert weighted.conjugate(np.r_[1.0, np.zeros(7)]) == np.inf
    assert weighted.conjugate(np.zeros(8)) == 0.0


def test_shift_is_the_best_constant(datafit, rng):
    for scale in (1.0, 30.0):
        z = scale * rng.standard_normal(8)
        b = datafit.shift(z)
        assert abs(datafit.gradient(z + b).sum()) <= 1e-14
        for step in (-0.1, 0.1):
            assert datafit.value(z + b) <= datafit.value(z + b + step)


@given(st.floats(-1e3, 1e3), st.integers(1, 7))
def test_shift_of_far_points(offset, ones):
    labels = np.r_[np.ones(ones), np.zeros(8 - ones)]
    datafit = Logistic(np.ones((8, 1)), labels, fit_intercept=True)
    b = datafit.shift(np.full(8, offset))
    assert b + offset == pytest.approx(np.log(ones / (8 - ones)), abs=1e-10)


def test_lipschitz_bounds_the_gradient(datafit, rng):
    X = datafit.design.X - datafit.s @ datafit.design.X
    exact = datafit.curvature * np.linalg.norm(X.T @ (datafit.s[:, None] * X), 2)
    assert datafit.lipschitz() == pytest.approx(exact, rel=1e-3)


def test_scale(rng):
    y = rng.standard_normal(8)
    X = np.ones((8, 1))
    assert LeastSquares(X, y).scale() == pytest.approx(0.5 * np.mean(y**2))
    centred = LeastSquares(X, y, fit_intercept=True)
    assert centred.scale() == pytest.approx(0.5 * np.var(y))
    assert LeastSquares(X, np.full(8, 0.1), fit_intercept=True).scale() > 0
    logistic = Logistic(X, [0, 0, 1, 1, 1, 1, 1, 1], fit_intercept=True)
    share = np.array([0.25, 0.75])
    assert logistic.scale() == pytest.approx(-share @ np.log(share))


def test_labels():
    X = np.ones((3, 1))
    for labels in ([0, 1, 1], ["a", "b", "b"], [-1.0, 1.0, 1.0], [False, True, True]):
        np.testing.assert_array_equal(Logistic(X, labels).y, [-1, 1, 1])
    np.testing.assert_array_equal(Logistic(X, [1, 1, 1]).y, [1, 1, 1])
    assert list(Logistic(X, ["n", "y", "n"]).classes) == ["n", "y"]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda X: LeastSquares(X, np.ones(4)), "'y' array must have length 3"),
        (lambda X: LeastSquares(X, [1.0, np.nan, 0.0]), "'y' array must be finite"),
        (lambda X: LeastSquares(X, np.ones((3, 1))), "1 dimension"),
        (lambda X: LeastSquares(X, [1j, 1, 1]), "real"),
        (
            lambda X: LeastSquares(X, np.ones(3), sample_weight=[1, -1, 1]),
            "'sample_weight' array must not be negative",
        ),
        (
            lambda X: LeastSquares(X, np.ones(3), sample_weight=np.zeros(3)),
            "positive sum",
        ),
        (lambda X: LeastSquares(X, np.full(3, 1e200)), "'y' array .* rescale"),
        (lambda X: Logistic(X, [0, 1, 2]), "two classes. Got 3"),
        (lambda X: Logistic(X, [5, 5, 5]), "two classes. Got 1"),
        (lambda X: Logistic(X, [0, 1]), r"shape \(3,\)"),
        (lambda X: Logistic(X, [0, 1, np.nan]), "finite"),
        (
            lambda X: Logistic(X, [1, 1, 1], fit_intercept=True).scale(),
            "both classes",
        ),
    ],
)
def test_bad_input(make, match):
    with pytest.raises(ValueError, match=match):
        make(np.ones((3, 2)))
