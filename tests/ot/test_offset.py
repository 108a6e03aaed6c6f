"""Constants in the cost and starts far off cost no digits."""

import numpy as np
import pytest

from sparseopt import ot


@pytest.mark.parametrize("method", ["auto", "sinkhorn", "sns", "ssns"])
@pytest.mark.parametrize("offset", [2.0**20, -(2.0**20), 2.0**40, 1e6])
@pytest.mark.parametrize("masses", ["positive", "some zero"])
def test_the_plan_is_that_without_the_offset(method, offset, masses, rng):
    """C - offset is exact for both terms on a grid of 2**-10."""
    C = np.round(rng.random((20, 25)) * 2**10) / 2**10
    a, b = rng.random(20), rng.random(25)
    if masses == "some zero":
        a[:3] = b[5] = 0.0
    a, b = 3 * a / a.sum(), 3 * b / b.sum()
    plain = ot.solve(C, a, b, 0.05, method=method)
    moved = ot.solve(C + offset, a, b, 0.05, method=method)
    assert plain.converged and moved.converged
    np.testing.assert_allclose(moved.plan, plain.plan, atol=3e-9)
    error = np.abs(moved.plan.sum(axis=1) - a).sum()
    error += np.abs(moved.plan.sum(axis=0) - b).sum()
    assert error <= 3 * 1.01e-9
    rounding = 8 * np.spacing(3 * abs(offset))
    for name in ("value", "value_linear", "value_entropic", "lower_bound"):
        wanted = getattr(plain, name) + 3 * offset
        assert getattr(moved, name) == pytest.approx(wanted, abs=1e-8 + rounding), name
    assert moved.gap == pytest.approx(plain.gap, abs=1e-7)
    f, g = moved.potentials
    np.testing.assert_allclose(f - offset, plain.potentials[0], atol=1e-7 + rounding)
    np.testing.assert_allclose(g, plain.potentials[1], atol=1e-7)
    again = ot.solve(C + offset, a, b, 0.05, init=moved)
    assert again.converged
    if abs(offset) < 1e9:  # what the rounding of f allows
        assert again.n_iter <= 5
    objective = moved.history["objective"][-1]
    assert objective == pytest.approx(moved.objective, abs=1e-6 + rounding)


@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_one_million_and_tolerances_of_its_type(real, rng, tmp_path):
    """The issue's case: ended in "precision" at reg .05."""
    C = (rng.random((60, 50)) + (1e6 if real is np.float64 else 1e3)).astype(real)
    result = ot.solve(C, reg=0.05)
    assert result.converged
    rows, columns = result.marginals
    error = np.abs(rows - 1 / 60).sum() + np.abs(columns - 1 / 50).sum()
    assert error <= 1.01 * (1e-9 if real is np.float64 else 1e-5)
    result.save(tmp_path / "result")
    loaded = ot.OTResult.load(tmp_path / "result", C=C)
    np.testing.assert_array_equal(loaded.plan, result.plan)
    assert loaded.dual_gap == result.dual_gap


@pytest.mark.parametrize("value", [0.0, 7.0, -1e9, 1e280])
def test_constant_costs(value, rng):
    a, b = rng.random(5), rng.random(6)
    a, b = a / a.sum(), b / b.sum()
    result = ot.solve(np.full((5, 6), value), a, b, 0.1)
    assert result.converged
    np.testing.assert_allclose(result.plan, np.outer(a, b), atol=1e-9)
    assert result.value_linear == pytest.approx(value)


@pytest.mark.parametrize("method", ["auto", "sinkhorn", "sns", "ssns"])
@pytest.mark.parametrize("reg", [0.05, 0.5, 1e3])
@pytest.mark.parametrize("scale", [1e3, 1e9, 1e12, 1e100, 1e300])
def test_starts_far_off(method, reg, scale, rng):
    """The plan is unique: that of a solve from scratch."""
    C = rng.random((20, 25))
    wanted = ot.solve(C, reg=reg, method=method)
    for side in (0, 1):
        init = [np.zeros(20), np.zeros(25)]
        init[side] = scale * rng.normal(size=len(init[side]))
        result = ot.solve(C if side else C.T, reg=reg, method=method, init=(
            init if side else init[::-1]
        ))  # fmt: skip
        assert result.converged
        plan = result.plan if side else result.plan.T
        np.testing.assert_allclose(plan, wanted.plan, atol=3e-9)
        assert result.n_iter <= 3 * wanted.n_iter + 30
