"""Datafits against finite differences, brute force, numerical conjugates and duals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import approx_fprime, minimize

from sparseopt.linear_model import Cox, Huber, Multinomial, Poisson

N, P, K = 12, 3, 3


def _survival(rng, n=N, ties=True):
    time = rng.exponential(size=n)
    if ties:
        time = np.ceil(4 * time)
    event = rng.random(n) < 0.7
    event[0] = True
    return np.stack([time, event], axis=1)


def _make(name, rng, weighted=True, n=N, **options):
    X = rng.normal(size=(n, P))
    weights = rng.random(n) + 0.1 if weighted else None
    if name == "poisson":
        return Poisson(X, rng.poisson(2.0, n), sample_weight=weights, **options)
    if name == "huber":
        y = 2 * rng.normal(size=n)
        return Huber(X, y, 0.7, sample_weight=weights, **options)
    if name == "multinomial":
        y = np.append(np.arange(K), rng.integers(0, K, n - K))
        return Multinomial(X, y, sample_weight=weights, **options)
    return Cox(X, _survival(rng, n), sample_weight=weights, **options)


NAMES = ("poisson", "huber", "multinomial", "cox")


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def _point(datafit, rng):
    return rng.normal(size=datafit.zero().shape)


def _dot(a, b):
    return float(np.vdot(a, b))


def test_gradient_is_that_of_the_value(name, rng):
    datafit = _make(name, rng)
    z = _point(datafit, rng)
    numeric = approx_fprime(
        z.ravel(), lambda v: datafit.value(v.reshape(z.shape)), 1e-7
    )
    np.testing.assert_allclose(datafit.gradient(z).ravel(), numeric, atol=2e-7)


def test_hessian_is_or_bounds_the_second_derivative(name, rng):
    datafit = _make(name, rng)
    z = _point(datafit, rng)
    jacobian = approx_fprime(
        z.ravel(), lambda v: datafit.gradient(v.reshape(z.shape)).ravel(), 1e-7
    )
    bound = np.diag(datafit.hessian(z).ravel())
    if datafit.has_hessian:
        np.testing.assert_allclose(bound, jacobian, atol=1e-6)
    assert np.linalg.eigvalsh(bound - 0.5 * (jacobian + jacobian.T)).min() > -1e-6
    if datafit.curvature < math.inf:
        s = np.repeat(datafit.s, z.size // datafit.s.size)
        slack = datafit.curvature * np.diag(s) - jacobian
        assert np.linalg.eigvalsh(0.5 * (slack + slack.T)).min() > -1e-6


@pytest.mark.parametrize("scale", [1.0, 0.6, 0.0])
def test_fenchel_young(name, scale, rng):
    """Equality at the gradient, an inequality on the way to zero and elsewhere."""
    datafit = _make(name, rng)
    z = _point(datafit, rng)
    theta = scale * datafit.gradient(z)
    value = datafit.conjugate(theta)
    assert math.isfinite(value)
    gap = datafit.value(z) + value - _dot(theta, z)
    assert gap >= -1e-12
    if scale == 1.0:
        assert gap <= 1e-12


def test_conjugate_is_the_supremum(name, rng):
    datafit = _make(name, rng)
    theta = 0.5 * datafit.gradient(_point(datafit, rng))
    shape = theta.shape

    def negative(v):
        z = v.reshape(shape)
        return (
            datafit.value(z) - _dot(theta, z),
            (datafit.gradient(z) - theta).ravel(),
        )

    best = minimize(
        negative, np.zeros(theta.size), jac=True, method="L-BFGS-B",
        options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-10},
    )  # fmt: skip
    assert abs(datafit.conjugate(theta) + best.fun) < 1e-8


def test_conjugate_is_infinite_outside(rng):
    for name in NAMES:
        datafit = _make(name, rng)
        theta = np.full_like(datafit.zero(), -10.0)
        assert datafit.conjugate(theta) == math.inf
    datafit = _make("cox", rng)
    theta = datafit.gradient(np.zeros(N))
    theta[0] += 0.1  # the sum is no longer zero
    assert datafit.conjugate(theta) == math.inf
    datafit = _make("multinomial", rng)
    theta = datafit.gradient(datafit.zero())
    theta[0] += 0.01
    assert datafit.conjugate(theta) == math.inf


def test_shift_minimises(rng):
    for name in NAMES[:3]:
        datafit = _make(name, rng, fit_intercept=True)
        z = 3 * _point(datafit, rng)
        shift = datafit.shift(z)
        assert np.abs(datafit.gradient(z + shift).sum(axis=0)).max() < 1e-14
        assert datafit.scale() <= datafit.value(datafit.zero()) + 1e-15


def test_weights_are_repetitions(rng):
    for name in NAMES[:3]:
        datafit = _make(name, rng, weighted=False)
        times = rng.integers(0, 3, N)
        times[:K] = 1
        if name == "multinomial":
            y = datafit.y
        else:
            y = datafit.y
        kind = type(datafit)
        some = kind(datafit.design, y, sample_weight=times)
        rows = np.repeat(np.arange(N), times)
        repeated = kind(datafit.design.X[rows], y[rows])
        z = _point(datafit, rng)
        assert math.isclose(some.value(z), repeated.value(z[rows]), rel_tol=1e-12)
        theta = 0.5 * some.gradient(z)
        divisor = (times[rows] / 1.0).reshape(-1, *[1] * (z.ndim - 1))
        assert math.isclose(
            some.conjugate(theta), repeated.conjugate(theta[rows] / divisor),
            rel_tol=1e-10, abs_tol=1e-12,
        )  # fmt: skip


# ------------------------------------------------------------------------- Poisson


def test_poisson_is_half_the_deviance(rng):
    from sklearn.metrics import mean_poisson_deviance

    datafit = _make("poisson", rng, weighted=False)
    z = _point(datafit, rng)
    half = 0.5 * mean_poisson_deviance(datafit.y, np.exp(z))
    assert math.isclose(datafit.value(z), half, rel_tol=1e-12)


def test_poisson_overflow_is_infinite_not_a_warning(rng):
    datafit = _make("poisson", rng)
    assert datafit.value(np.full(N, 1e4)) == math.inf


# --------------------------------------------------------------------------- Huber


def test_huber_is_scikit_learns(rng):
    datafit = _make("huber", rng, weighted=False)
    r = datafit.y
    small = np.abs(r) <= 0.7
    expected = np.where(small, 0.5 * r**2, 0.7 * np.abs(r) - 0.5 * 0.7**2).mean()
    assert math.isclose(datafit.value(np.zeros(N)), expected, rel_tol=1e-14)


# --------------------------------------------------------------------- Multinomial


def test_multinomial_accepts_probabilities(rng):
    datafit = _make("multinomial", rng)
    again = Multinomial(datafit.design, datafit.y, sample_weight=datafit.s)
    z = _point(datafit, rng)
    assert again.value(z) == datafit.value(z)
    with pytest.raises(ValueError, match="rows of sum 1"):
        Multinomial(datafit.design, datafit.y * 2)


# ----------------------------------------------------------------------------- Cox


def _brute_cox(datafit, z):
    total = 0.0
    s, time, event = datafit.s, datafit.time, datafit.event
    for i in range(len(z)):
        if event[i] and s[i] > 0:
            risk = time >= time[i]
            total += s[i] * (np.log(np.sum(s[risk] * np.exp(z[risk]))) - z[i])
            total -= s[i] * np.log(s[i])
    return total


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_cox_against_brute_force(ties, weighted, rng):
    for _ in range(10):
        weights = rng.integers(0, 3, N).astype(float) if weighted else None
        if weighted:
            weights[0] = 1.0
        y = _survival(rng, ties=ties)
        datafit = Cox(rng.normal(size=(N, P)), y, sample_weight=weights)
        z = 2 * rng.normal(size=N)
        assert math.isclose(datafit.value(z), _brute_cox(datafit, z), rel_tol=1e-11)


def test_cox_does_not_depend_on_a_constant(rng):
    datafit = _make("cox", rng)
    z = _point(datafit, rng)
    assert math.isclose(datafit.value(z), datafit.value(z + 5.0), rel_tol=1e-12)


def test_cox_with_predictions_that_span_more_than_exp(rng):
    datafit = _make("cox", rng)
    z = np.linspace(0, 5000, N)
    for point in (z, z[::-1]):
        assert math.isfinite(datafit.value(point))
        assert np.isfinite(datafit.gradient(point)).all()
    middle = np.linspace(0, 499, N), np.linspace(0, 501.0, N)
    assert abs(datafit.value(middle[0]) - datafit.value(middle[1])) < 5.0


def test_cox_accepts_structured_targets(rng):
    y = _survival(rng)
    X = rng.normal(size=(N, P))
    table = np.empty(N, dtype=[("time", float), ("event", bool)])
    table["time"], table["event"] = y.T
    z = rng.normal(size=N)
    assert Cox(X, table).value(z) == Cox(X, y).value(z)


@given(st.integers(0, 10**6), st.integers(2, 9))
def test_cox_conjugate_property(seed, n):
    """No point of a random cloud shows more than the conjugate."""
    rng = np.random.default_rng(seed)
    datafit = Cox(np.ones((n, 1)), _survival(rng, n))
    at = 3 * rng.normal(size=n)
    theta = rng.random() * datafit.gradient(at)
    bound = datafit.conjugate(theta)
    for _ in range(10):
        z = at + rng.normal(size=n)
        assert theta @ z - datafit.value(z) <= bound + 1e-11


# ----------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda X: Poisson(X, [-1.0, 1, 1]), "must not be negative"),
        (lambda X: Poisson(X, [0.0, 0, 0]), "positive entry"),
        (lambda X: Huber(X, [0.0, 1, 2], delta=0.0), "'delta' parameter"),
        (lambda X: Huber(X, [0.0, 1, np.nan]), "must be finite"),
        (lambda X: Multinomial(X, [1, 1, 1]), "at least two classes"),
        (lambda X: Multinomial(X, [1.0, np.nan, 1]), "must be finite"),
        (lambda X: Multinomial(X, [1, 2]), "must have shape"),
        (lambda X: Cox(X, [[1.0, 1], [2, 2], [3, 0]]), "0 or 1"),
        (lambda X: Cox(X, [[1.0, 0], [2, 0], [3, 0]]), "must hold an event"),
        (lambda X: Cox(X, [[1.0, 1], [2, 1], [3, 1]], fit_intercept=True), "False"),
        (lambda X: Cox(X, [[np.nan, 1], [2, 1], [3, 1]]), "must be finite"),
    ],
)
def test_bad_targets(build, match):
    with pytest.raises(ValueError, match=match):
        build(np.eye(3))


def test_data_is_not_changed_and_may_be_sparse(name, rng):
    X = sparse.random_array((N, P), density=0.5, rng=rng, format="csr")
    datafit = _make(name, rng)
    copy = X.copy()
    again = type(datafit)(X, datafit.y)
    assert again.lipschitz() > 0
    assert (copy != X).nnz == 0
