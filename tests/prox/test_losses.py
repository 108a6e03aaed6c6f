"""Proximal operators of losses against brute force and their optimality."""

import numpy as np
import pytest

from sparseopt import prox

LAMS = (1e-4, 0.3, 1.0, 40.0, 1e4)


def golden(loss, z, lam, low, high):
    """Minimiser of a convex objective by repeated grids."""
    for _ in range(12):
        grid = np.linspace(low, high, 101)
        best = (lam * loss(grid) + (grid - z) ** 2 / 2).argmin()
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 100)]
    return 0.5 * (low + high)


def _pinball(w, y):
    return np.maximum(0.8 * (y - w), 0.2 * (w - y))


LOSSES = {
    "huber": (
        lambda z, y, t, **k: prox.prox_huber(z, y, t, delta=0.6, **k),
        lambda w, y: np.where(
            abs(w - y) <= 0.6, (w - y) ** 2 / 2, 0.6 * abs(w - y) - 0.18
        ),
        "real",
    ),
    "hinge": (prox.prox_hinge, lambda w, y: np.maximum(1 - w * y, 0), "label"),
    "squared hinge": (
        prox.prox_squared_hinge,
        lambda w, y: np.maximum(1 - w * y, 0) ** 2,
        "label",
    ),
    "pinball": (
        lambda z, y, t, **k: prox.prox_pinball(z, y, t, quantile=0.8, **k),
        _pinball,
        "real",
    ),
    "logistic": (prox.prox_logistic, lambda w, y: np.logaddexp(0, -w * y), "label"),
    "kl": (
        prox.prox_kl,
        lambda w, y: np.where(
            w < 0, np.inf, w - (y * np.log(np.maximum(w, 1e-300)) if y else 0)
        ),
        "count",
    ),
}


def targets(kind, size, rng):
    return {
        "real": rng.standard_normal(size),
        "label": rng.choice([-1.0, 1.0], size),
        "count": rng.poisson(1.5, size).astype(float),
    }[kind]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("lam", LAMS)
def test_minimiser(name, lam, rng):
    operator, loss, kind = LOSSES[name]
    z = np.concatenate([[0.0, 1.0, -1.0], 3 * rng.standard_normal(25)])
    y = targets(kind, z.size, rng)
    found = operator(z, y, lam)
    for zi, yi, w in zip(z, y, found, strict=True):
        best = golden(lambda v, yi=yi: loss(v, yi), zi, lam, -2e4, 2e4)

        def objective(v, zi=zi, yi=yi):
            return lam * loss(np.float64(v), yi) + (v - zi) ** 2 / 2

        scale = 1 + abs(objective(best))
        assert objective(w) <= objective(best) + 1e-12 * scale
        assert abs(w - best) <= 1e-4 * (1 + abs(best))


@pytest.mark.parametrize("name", LOSSES)
def test_float32_layouts_and_limits(name, rng, layout):
    operator, _, kind = LOSSES[name]
    z = layout(3 * rng.standard_normal((6, 5)))
    y = targets(kind, (6, 5), rng)
    found = operator(z, y, 0.7)
    single = operator(z.astype(np.float32), y.astype(np.float32), 0.7)
    assert single.dtype == np.float32
    assert np.abs(single - found).max() <= 5e-6 * np.abs(found).max()
    assert np.allclose(operator(z, y, 0.0), z if name != "kl" else z.clip(0))
    again = np.array(z)
    assert operator(again, y, 0.7, out=again) is again
    assert (again == found).all()
    assert np.isnan(operator(np.nan, 1.0, 0.7, check_finite=False))
    assert (operator(z, 1.0, 0.7) == operator(z, np.ones((6, 5)), 0.7)).all()


@pytest.mark.parametrize("lam", [1e-300, 1e-9, 1.0, 1e9, 1e150])
def test_logistic_extremes(lam):
    """The optimality condition ``w - z = lam / (1 + exp(w))``, to rounding."""
    z = np.array([-1e150, -1e9, -800.0, -20.0, -1e-9, 0.0, 3.0, 700.0, 1e9, 1e150])
    w = prox.prox_logistic(z, 1.0, lam)
    assert np.isfinite(w).all()
    with np.errstate(over="ignore"):
        slope = 1 / (1 + np.exp(w))
    error = np.abs(w - z - lam * slope)
    # a rounding of w changes the right side by lam times the slope's derivative
    fuzz = np.abs(z) + lam * slope + np.abs(w) * (1 + lam * slope * (1 - slope))
    assert (error <= 1e-14 * fuzz).all()


def test_kl_extremes():
    z = np.array([-1e150, -3.0, 0.0, 2.0, 1e150])
    assert prox.prox_kl(z, 0.0, 2.0).tolist() == [0, 0, 0, 0, 1e150]
    w = prox.prox_kl(z, 3.0, 2.0)
    assert (w > 0).all()
    assert np.allclose((w - z + 2.0)[:4], 2.0 * 3.0 / w[:4], rtol=1e-12)
    assert w[4] == z[4]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: prox.prox_hinge([1.0, 2.0], [1, 0]), "labels -1 and 1. Got 0.0 at"),
        (lambda: prox.prox_logistic([1.0], [np.nan]), "labels"),
        (lambda: prox.prox_kl([1.0], [-1.0]), "'y' array must not be negative"),
        (lambda: prox.prox_kl([1.0], [np.inf]), "'y' array must be finite"),
        (lambda: prox.prox_huber([1.0], [np.nan]), "'y' array must be finite"),
        (lambda: prox.prox_huber([np.nan], [1.0]), "'z' array must be finite"),
        (lambda: prox.prox_huber([1.0], [1.0, 2.0]), "'y' array must have shape"),
        (lambda: prox.prox_huber([1.0], [1.0], delta=0), "'delta'"),
        (lambda: prox.prox_pinball([1.0], [1.0], quantile=1.0), "'quantile'"),
        (lambda: prox.prox_hinge([1.0], [1.0], -1.0), "'lam'"),
    ],
)
def test_bad_input(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_array_libraries(xp, rng):
    z = 3 * rng.standard_normal(40)
    for operator, _, kind in LOSSES.values():
        y = targets(kind, 40, rng)
        for lam in LAMS:
            found = operator(xp.asarray(z), xp.asarray(y), lam)
            wanted = operator(z, y, lam)
            assert np.allclose(np.asarray(found), wanted, rtol=1e-10, atol=1e-10)
