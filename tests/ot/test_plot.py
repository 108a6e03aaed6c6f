"""Pictures of results."""

import numpy as np
import pytest

from sparseopt import datasets, ot

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def result():
    p = datasets.make_clouds(30, 20, random_state=0)
    return ot.solve(p.C, p.a, p.b, 1e-2)


def test_plan(result):
    ax = result.plot()
    (image,) = ax.images
    shown = np.ma.getdata(image.get_array())
    assert shown.shape == (30, 20)
    assert np.unravel_index(shown.argmax(), shown.shape) == np.unravel_index(
        result.plan.argmax(), result.plan.shape
    )
    assert ax.get_xlabel() and ax.get_ylabel()
    ax.figure.canvas.draw()


def test_large_plan_is_summed_in_blocks():
    p = datasets.make_assignment(1250, 40, random_state=0)
    result = ot.solve(p.C, p.a, p.b, 0.1)
    shown = np.ma.getdata(result.plot().images[0].get_array())
    assert shown.shape == (417, 40)
    wanted = np.add.reduceat(result.plan, np.arange(0, 1250, 3), axis=0)
    np.testing.assert_allclose(shown, np.maximum(wanted, 1e-8 * wanted.max()))


def test_convergence(result):
    ax = result.plot("convergence")
    residuals = ax.lines[0].get_ydata()
    np.testing.assert_array_equal(residuals, result.history["residual"])
    assert ax.get_yscale() == "log"
    ax.figure.canvas.draw()


@pytest.mark.parametrize("kind", ["plan", "convergence"])
def test_given_axes_are_used(result, kind):
    figure, (left, right) = plt.subplots(1, 2)
    assert result.plot(kind, ax=right) is right
    assert not left.has_data()
    assert right.has_data()
    assert plt.get_fignums() == [figure.number]


def test_plan_with_points_without_mass():
    C = np.random.default_rng(0).random((4, 3))
    result = ot.solve(C, [0, 1, 1, 1], [1.5, 1.5, 0], 0.1)
    result.plot().figure.canvas.draw()


def test_unknown_kind(result):
    with pytest.raises(ValueError, match=r"'plan' or 'convergence'\. Got 'graph'"):
        result.plot("graph")
