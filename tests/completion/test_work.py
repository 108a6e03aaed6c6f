"""The work of a result is that of the calls of kernels."""

import pytest

from sparseopt.completion import _exact_rows, _half_step, _problem, _tangent, complete
from sparseopt.completion._als import solve_als
from sparseopt.completion._auto import solve_auto
from sparseopt.completion._gn import solve_gn
from sparseopt.completion._nonnegative import solve_nonnegative
from sparseopt.completion._robust import solve_robust
from sparseopt.datasets import make_low_rank

from ._ratings_data import fit, ratings
from ._synthetic import problem, solve, start

K = 16  # rows of factors are not padded, in float32 neither


@pytest.fixture
def flops(monkeypatch):
    """Operations at the entries, counted where kernels are called.

    A product with an entry's factor row, or its sum into another, costs two for each
    number of the row.
    """
    total = []

    def count(module, name, cost):
        kernel = getattr(module, name)

        def counted(*args, **keywords):
            total.append(cost(*args))
            kernel(*args, **keywords)

        monkeypatch.setattr(module, name, counted)

    def cg(ptr, idx, x, w, V, A, d, g, mask, scale, steps, *rest):
        # residuals and gradient; all directions but the last the same, that one halved
        return 2 * len(idx) * V.shape[1] * (2 + 2 * (steps - 1) + 1)

    def product(ptr, idx, x, w, V, A, r, Y, *rest):
        return 2 * len(idx) * (V.shape[1] + (0 if Y is None else Y.shape[1]))

    def spmm(ptr, idx, x, V, Y, *rest):
        return 2 * len(idx) * V.shape[1]

    def exact(ptr, idx, x, w, V, A, d, free, scale, k, *rest):
        # residuals, gradient, and half of a symmetric matrix
        return 2 * len(idx) * (2 * k + k * k / 2)

    def grams(ptr, idx, V, w, d, unit, least, H, *rest):
        return len(idx) * H.shape[1] ** 2  # half of a symmetric matrix

    count(_half_step, "cg_rows", cg)
    count(_tangent, "inverse_grams", grams)
    count(_problem, "product_rows", product)
    count(_tangent, "product_rows", product)
    count(_problem, "spmm_rows", spmm)
    count(_exact_rows._exact, "exact_rows", exact)
    count(_exact_rows._exact, "nonnegative_rows", exact)
    return total


@pytest.mark.parametrize(
    ("solver", "options"),
    [
        (solve_als, {}),
        (solve_als, {"cg_steps": 5}),
        (solve_als, {"solver": "als-exact"}),
        (solve_als, {"precision": "mixed"}),
        (solve_auto, {}),
        (solve_auto, {"homotopy": 0.8}),
        (solve_gn, {}),
        (solve_nonnegative, {}),
        (solve_robust, {"homotopy": 0.0}),  # else it has a start of its own
    ],
)
def test_work_of_iterations(flops, solver, options):
    entries, _ = problem(160, 130, K, 3.0)
    run = start(entries, K, max_iter=60, **options)
    flops.clear()  # of the start
    solve(solver, run)
    assert run.n_iter >= 5
    assert run.work == pytest.approx(sum(flops) / (2 * entries.n_entries * K))


def test_work_of_ratings(flops):
    entries = ratings()
    # two biases fill the rows; means that are taken for the start come before
    run, _ = fit(entries, K - 2, 1.0, biases="both", max_iter=5, cg_steps=3)
    unit = 2 * entries.n_entries * (K - 2)
    assert run.work == pytest.approx(sum(flops[-10:]) / unit)
    assert run.work == pytest.approx(5 * 2 * 7 * K / (K - 2))


def test_work_of_a_result():
    p = make_low_rank(80, 60, 3, oversampling=4, noise=0.1, random_state=0)
    options = {"homotopy": False, "tol_obj": 0.0, "max_iter": 6, "random_state": 0}
    for solver, cost in (("als", 2 * 2 + 1), ("als-exact", 2 + 3 / 2)):
        with pytest.warns(match="did not converge"):
            r = complete(p.X, 3, solver=solver, cg_steps=2, **options)
        assert r.work == 6 * 2 * cost
