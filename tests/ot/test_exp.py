"""exp and log-sum-exp of the core, at each SIMD level, against exact arithmetic."""

import decimal

import numpy as np
import pytest

from sparseopt._core import _simd

pytestmark = pytest.mark.usefixtures("simd")


@pytest.fixture(scope="module")
def points():
    """float64 arguments over the whole range with exp as a sum of two float64."""
    rng = np.random.default_rng(0)
    k = np.arange(-1075, 1024)
    x = np.concatenate(
        [
            rng.uniform(-745.2, 709.7, 1500),
            rng.uniform(-2, 2, 500),
            rng.uniform(-1, 1, 200) * 10.0 ** rng.uniform(-300, 0, 200),
            (k + 0.5) * np.log(2),  # where the reduction changes over
            k[::7] * np.log(2),
            [-745.13, -708.4, -708.0, 0.0, 709.0, 709.78],
        ]
    )
    with decimal.localcontext() as context:
        context.prec, context.Emin, context.Emax = 40, -(10**6), 10**6
        exact = [decimal.Decimal(v).exp() for v in x.tolist()]
        high = np.array([float(v) for v in exact])
        low = [v - decimal.Decimal(h) for v, h in zip(exact, high, strict=True)]
        return x, high, np.array([float(v) for v in low])


def test_exp_within_bound(points):
    x, high, low = points
    error = np.abs((_simd.exp(x) - high) - low) / np.spacing(high)
    assert error.max() <= 1.1
    assert np.mean(error <= 0.5) > 0.8  # correctly rounded almost everywhere


def test_exp_single_within_bound():
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.uniform(-103.9, 88.7, 300_000), rng.normal(size=100_000)])
    x = x.astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    unit = np.spacing(exact.astype(np.float32)).astype(np.float64)
    assert (np.abs(_simd.exp(x) - exact) / unit).max() <= 1.1


def test_exp_denormals(dtype):
    tiny = np.finfo(dtype).tiny
    x = np.linspace(np.log(float(tiny)) - 15, np.log(float(tiny)), 200).astype(dtype)
    y = _simd.exp(x)
    wanted = np.exp(x.astype(np.longdouble)).astype(np.float64)
    assert ((y > 0) & (y < 1.01 * tiny)).all()
    unit = float(np.finfo(dtype).smallest_subnormal)
    assert np.abs(y.astype(np.float64) - wanted).max() <= 1.1 * unit


def test_exp_special_values(dtype):
    largest = np.finfo(dtype).max
    x = np.array([np.inf, -np.inf, np.nan, largest, -largest, 0.0, -0.0], dtype=dtype)
    wanted = np.array([np.inf, 0, np.nan, np.inf, 0, 1, 1], dtype=dtype)
    y = np.tile(x, 11)  # in vector bodies and in remainders
    np.testing.assert_array_equal(_simd.exp(y), np.tile(wanted, 11))


@pytest.mark.parametrize("x", [709.783, 710.0, 1000.0, -745.14, -746.0, -1e5])
def test_exp_beyond_the_range(x):
    assert _simd.exp(np.array([x]))[0] == (np.inf if x > 0 else 0.0)


def test_exp_all_sizes(dtype, rng):
    x = rng.normal(scale=20, size=70).astype(dtype)
    whole = _simd.exp(x)
    assert whole.dtype == dtype
    np.testing.assert_allclose(whole, np.exp(x), rtol=4 * np.finfo(dtype).eps)
    for n in range(71):
        out = np.full(n + 1, 7, dtype=dtype)
        assert np.array_equal(_simd.exp(x[:n], out[:n]), whole[:n])
        assert out[n] == 7  # nothing is written behind the end


def test_exp_wrong_length():
    with pytest.raises(ValueError, match=r"length 3. Got 2"):
        _simd.exp(np.zeros(3), np.zeros(2))


def test_exp_keeps_its_input(dtype):
    x = np.linspace(-1, 1, 9).astype(dtype)
    x.flags.writeable = False
    before = x.copy()
    _simd.exp(x)
    assert np.array_equal(x, before)


def _logsumexp(x):
    x = x.astype(np.longdouble)
    largest = x.max(axis=1, keepdims=True)
    return (largest + np.log(np.exp(x - largest).sum(axis=1, keepdims=True)))[:, 0]


def test_logsumexp_all_sizes(dtype, rng):
    for m in range(1, 71):
        x = rng.normal(scale=30, size=(3, m)).astype(dtype)
        y = _simd.logsumexp_rows(x)
        assert y.dtype == dtype
        # the error of the result is relative to it, that of the sum absolute
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(
            y.astype(np.longdouble), _logsumexp(x), rtol=2 * eps, atol=4 * eps
        )


def test_logsumexp_does_not_overflow(dtype):
    largest = np.finfo(dtype).max
    x = np.array([[largest, largest], [-largest, -largest], [largest, -largest]])
    wanted = np.array([largest, -largest, largest])
    np.testing.assert_allclose(_simd.logsumexp_rows(x.astype(dtype)), wanted)


def test_logsumexp_far_terms_vanish(dtype):
    x = np.full((1, 1000), -1e4, dtype=dtype)
    x[0, 500] = 3
    assert _simd.logsumexp_rows(x)[0] == 3


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ([-np.inf, -np.inf], -np.inf),
        ([-np.inf, 2.0], 2.0),
        ([np.inf, 1.0], np.inf),
        ([np.inf, np.inf], np.inf),
        ([np.inf, -np.inf], np.inf),
        ([np.nan, 1.0], np.nan),
        ([np.nan, np.inf], np.nan),
        ([-np.inf, np.nan], np.nan),
        ([], -np.inf),
    ],
)
def test_logsumexp_special_values(row, wanted, dtype):
    for repeats in (1, 9, 33):
        x = np.array([row * repeats, row * repeats], dtype=dtype)
        found = _simd.logsumexp_rows(x) - dtype(np.log(max(repeats, 1))) * (
            np.isfinite(wanted)
        )
        np.testing.assert_allclose(found, [wanted] * 2, rtol=1e-6)


def test_logsumexp_no_rows(dtype):
    assert _simd.logsumexp_rows(np.empty((0, 5), dtype=dtype)).shape == (0,)
