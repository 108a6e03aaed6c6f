"""Cross-validation over entries, and ratings that arrive later."""

import numpy as np
import pytest
from joblib import parallel_config

from sparseopt.completion._cv import (
    Grid,
    choose,
    cross_validate,
    default_alphas,
    largest_alpha,
)
from sparseopt.completion._folds import folds, subset
from sparseopt.completion._partial import fold_in_rows, grown, merge, update
from sparseopt.completion._ratings import Fit

from ._ratings_data import (
    entries_of,
    fit,
    make_run,
    objective,
    predict,
    ratings,
    triplets,
)

BOTH = {"biases": "both"}


def test_scores_are_errors_of_fits_to_the_other_folds():
    entries = ratings(60, 40, weighted=True)
    grid = Grid(("count",), (2.0,), (2,), (0.05,))
    scores = cross_validate(entries, grid, cv=3, options=BOTH, max_iter=20, seed=4)
    fold = folds(entries.n_entries, 3, np.random.default_rng(4))
    for f in range(3):
        run, _ = fit(
            subset(entries, fold != f), 2, 0.05, reg="count", bias_reg=2.0, seed=[4, f],
            max_iter=18, **BOTH,
        )  # fmt: skip
        rows, cols, x, w = triplets(subset(entries, fold == f))
        error = np.sqrt(
            np.average((x - predict(run.factors, rows, cols)) ** 2, weights=w)
        )
        # the fit of the search may take two sweeps more
        assert scores.rmse[0, 0, 0, 0, f] == pytest.approx(error, rel=1e-2)
    pooled = np.average(scores.rmse[0, 0, 0, 0] ** 2, weights=scores.sizes) ** 0.5
    assert scores.mean[0, 0, 0, 0] == pytest.approx(pooled, rel=1e-12)


def test_jobs_do_not_change_a_bit():
    entries = ratings(60, 40, dtype=np.float32)
    grid = Grid(("frobenius", "count"), (1.0, 4.0), (1, 2), (0.1, 1.0))
    with parallel_config("threading"):
        one, two = (
            cross_validate(entries, grid, cv=3, options=BOTH, n_jobs=j) for j in (1, 2)
        )
    np.testing.assert_array_equal(one.rmse, two.rmse)
    assert one.best_index == two.best_index
    assert one.rmse.shape == (2, 2, 2, 2, 3)
    assert np.all(np.isfinite(one.rmse))
    assert one.mean[one.best_index] == one.mean.min()


def test_the_true_rank_is_found():
    entries = ratings(150, 100, k=3, share=0.3, seed=2)
    grid = Grid(("frobenius",), (1.0,), (1, 2, 3, 6), (0.5, 2.0))
    scores = cross_validate(entries, grid, cv=3, options=BOTH, one_standard_error=True)
    assert scores.best["n_components"] == 3


@pytest.mark.parametrize("reg", ["frobenius", "count"])
def test_warm_starts_end_where_cold_ones_do(reg):
    # strong data of rank 2: one minimum at that rank, several at rank 1
    entries = ratings(80, 60, k=2, share=0.5)
    alphas = default_alphas(entries, {"reg": reg, **BOTH}, 4)
    path = Grid((reg,), (1.0,), (1, 2), tuple(alphas))
    keywords = {"cv": 2, "options": BOTH, "max_iter": 1000, "tol_obj": 1e-13}
    warm = cross_validate(entries, path, **keywords).rmse
    for j, alpha in enumerate(path.alpha):
        one = Grid((reg,), (1.0,), (2,), (alpha,))
        cold = cross_validate(entries, one, **keywords).rmse[0, 0, 0, 0]
        # objectives equal to 1e-13 and flat: half the digits
        np.testing.assert_allclose(warm[0, 0, 1, j], cold, rtol=1e-4)


def test_order_of_the_grid_does_not_matter():
    entries = ratings(60, 40)
    a = Grid(("count",), (1.0,), (1, 3), (0.02, 0.1, 0.3))
    b = Grid(("count",), (1.0,), (3, 1), (0.3, 0.02, 0.1))
    first = cross_validate(entries, a, options=BOTH).rmse
    second = cross_validate(entries, b, options=BOTH).rmse
    np.testing.assert_array_equal(first[:, :, ::-1][:, :, :, [2, 0, 1]], second)


def test_one_standard_error_takes_the_simplest():
    grid = Grid(("count",), (1.0,), (5, 10), (0.1, 0.2, 0.4))
    rmse = np.empty((1, 1, 2, 3, 2))
    rmse[..., 0] = [[1.2, 1.04, 1.3], [1.0, 0.99, 1.2]]
    rmse[..., 1] = rmse[..., 0] + 0.1
    sizes = np.ones(2)
    assert choose(grid, rmse, sizes, False) == (0, 0, 1, 1)
    # standard error 0.05: rank 5 at 0.2 is within it
    assert choose(grid, rmse, sizes, True) == (0, 0, 0, 1)
    assert choose(grid, np.full_like(rmse, np.nan), sizes, False) is None


@pytest.mark.parametrize("reg", ["frobenius", "count", 0.5])
@pytest.mark.parametrize("biases", [None, "both"])
def test_factors_vanish_at_the_largest_ridge_only(reg, biases):
    entries = ratings(40, 30, weighted=True)
    # biases to convergence, as ten sweeps of means are not: no ridge on them
    options = {"reg": reg, "biases": biases, "bias_reg": 20.0}
    alpha = largest_alpha(entries, options)
    for factor, vanish in ((1.02, True), (0.98, False)):
        run = make_run(entries, 3, factor * alpha, cg_steps=6, **options)
        state = Fit.start(run)
        for _ in range(2000):
            state.sweep()
        size = np.abs(state.factors().U).max()
        assert (size < 1e-6) == vanish


def _converged(entries, k, alpha, **options):
    state = Fit.start(make_run(entries, k, alpha, cg_steps=6, **options))
    for _ in range(2000):
        state.sweep()
    return state.factors()


@pytest.mark.parametrize("biases", [None, "row", "col", "both"])
@pytest.mark.parametrize("reg", ["frobenius", "count"])
def test_folding_in_training_rows_reproduces_them(biases, reg):
    entries = ratings(weighted=True)
    options = {"biases": biases, "reg": reg, "bias_reg": 2.0}
    f = _converged(entries, 2, 0.3, **options)
    L, b = fold_in_rows(entries, f, 0.3, options)
    # what is left of the convergence of the fit
    np.testing.assert_allclose(L, f.U[:, :2], atol=1e-8)
    if biases in ("row", "both"):
        np.testing.assert_allclose(b, f.row_bias, atol=1e-8)
    else:
        assert b is None


def test_merged_entries_are_those_of_all_triplets():
    rng = np.random.default_rng(0)
    old = ratings(20, 10, weighted=True)
    rows, cols = np.nonzero(rng.random((25, 12)) < 0.3)
    x = rng.standard_normal(len(rows))
    new = entries_of(rows, cols, x, (25, 12))
    merged = merge(old, new, forget=0.5)
    values, weights = np.full((25, 12), np.nan), np.zeros((25, 12))
    i, j, v, w = triplets(old)
    values[i, j], weights[i, j] = v, 0.5 * w
    values[rows, cols], weights[rows, cols] = x, 1.0
    i, j = np.nonzero(~np.isnan(values))
    wanted = entries_of(i, j, values[i, j], (25, 12), weight=weights[i, j])
    for a, b in ((merged.rows, wanted.rows), (merged.cols, wanted.cols)):
        for name in ("ptr", "idx", "val", "weight"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert merge(new, ratings(3, 2)).rows.weight is None


@pytest.mark.parametrize("reg", ["frobenius", "count"])
def test_a_new_row_is_folded_in_and_the_rest_left(reg):
    entries = ratings(30, 20, seed=7)
    options = {"biases": "both", "reg": reg, "bias_reg": 1.0}
    rows, cols, x, _ = triplets(entries)
    old = rows < 29
    before = entries_of(rows[old], cols[old], x[old], (29, 20))
    f, _ = fit(before, 2, 0.3, **options)
    new = entries_of(rows[~old], cols[~old], x[~old], (30, 20))
    none = np.empty(0, int)
    after = update(
        merge(before, new), f.factors, (np.array([29]), none), 0.3, options,
        n_sweeps=0, rng=np.random.default_rng(0),
    )  # fmt: skip
    np.testing.assert_array_equal(after.U[:29], f.factors.U)
    np.testing.assert_array_equal(after.V, f.factors.V)
    L, b = fold_in_rows(new, f.factors, 0.3, options)
    np.testing.assert_allclose(after.U[29, :2], L[29], atol=1e-12)
    np.testing.assert_allclose(after.row_bias[29], b[29], atol=1e-12)


def test_update_lowers_the_objective_towards_that_of_a_full_fit():
    rows, cols, x, _ = triplets(ratings(80, 60, seed=8))
    options = {"biases": "both", "reg": "count", "bias_reg": 1.0}
    old = (rows < 70) & (cols < 50)
    before = entries_of(rows[old], cols[old], x[old], (70, 50))
    new = entries_of(rows[~old], cols[~old], x[~old], (80, 60))
    first, _ = fit(before, 2, 0.02, max_iter=200, **options)
    everything = merge(before, new)
    touched = (np.unique(rows[~old]), np.unique(cols[~old]))
    rng = np.random.default_rng(0)
    values = [objective(everything, grown(first.factors, (80, 60)), 0.02, "count", 1.0)]
    for n_sweeps in (0, 1, 5, 200):
        f = update(
            everything,
            first.factors,
            touched,
            0.02,
            options,
            n_sweeps=n_sweeps,
            rng=rng,
        )
        values.append(objective(everything, f, 0.02, "count", 1.0))
    assert np.all(np.diff(values) < 0)
    full, _ = fit(everything, 2, 0.02, max_iter=400, **options)
    # the mean of the first fit is kept, which the biases pay for
    assert values[-1] == pytest.approx(
        objective(everything, full.factors, 0.02, "count", 1.0), rel=0.02
    )


def test_rows_and_columns_that_only_meet_each_other_are_fitted():
    rows, cols, x, _ = triplets(ratings(60, 40, seed=9, share=0.6))
    own = (rows < 30) == (cols < 20)  # two blocks
    old = own & (rows < 30)
    before = entries_of(rows[old], cols[old], x[old], (30, 20))
    new = entries_of(rows[own & ~old], cols[own & ~old], x[own & ~old], (60, 40))
    first, _ = fit(before, 2, 0.1, biases="both", max_iter=50)
    f = update(
        merge(before, new), first.factors, (np.arange(30, 60), np.arange(20, 40)), 0.1,
        BOTH, n_sweeps=20, rng=np.random.default_rng(0),
    )  # fmt: skip
    at = own & ~old
    error = x[at] - predict(f, rows[at], cols[at])
    # noise is 0.3, the values' deviation about 1.6
    assert np.sqrt(np.mean(error**2)) < 0.4
