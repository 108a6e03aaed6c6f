"""Ratings with biases: half-steps against least squares, optimality, threads."""

import numpy as np
import pytest

from sparseopt import Status
from sparseopt.completion import _biases
from sparseopt.completion._ratings import Fit

from ._ratings_data import (
    entries_of,
    fit,
    make_run,
    objective,
    predict,
    ratings,
    scales,
    triplets,
)

REGS = ["frobenius", "count", 0.5]
KINDS = [None, "row", "col", "both"]


def _plain_row(F, x, w, ridge, held, a):
    """Least squares for the free coordinates of one row, by numpy.linalg.lstsq."""
    free = ~held
    target = x - F[:, held] @ a[held]
    root = np.sqrt(w)[:, None]
    A = np.vstack([root * F[:, free], np.diag(np.sqrt(ridge[free]))])
    b = np.concatenate([root[:, 0] * target, np.zeros(free.sum())])
    out = a.copy()
    out[free] = np.linalg.lstsq(A, b, rcond=None)[0]
    return out


@pytest.mark.parametrize("biases", KINDS)
@pytest.mark.parametrize("reg", REGS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_half_step_is_least_squares_for_each_row(biases, reg, weighted, transposed):
    k, alpha, lam = 3, 0.4, (1.5, 2.5)
    entries = ratings(weighted=weighted)
    run = make_run(entries, k, alpha, biases=biases, reg=reg, bias_reg=lam, cg_steps=60)
    state = Fit.start(run)
    state.sweep()  # away from the start
    fixed, unknown = (state.L, state.R) if transposed else (state.R, state.L)
    before = unknown.copy()
    state.half_step(transposed)

    rows, cols, x, w = triplets(entries)
    x = x - state.intercept
    ids, others = (cols, rows) if transposed else (rows, cols)
    width = k + 2 * (biases is not None)
    held, ridge = np.zeros(width, bool), np.zeros(width)
    if biases is not None:
        held[k:] = True
        held[k + transposed] = biases not in ("both", "col" if transposed else "row")
        ridge[k + transposed] = lam[transposed]
    s = scales(entries, reg)[transposed]
    for i in range(len(unknown)):
        e = ids == i
        own = ridge.copy()
        own[:k] = alpha * s[i]
        wanted = _plain_row(
            fixed[others[e], :width], x[e], w[e], own, held, before[i, :width]
        )
        # two factorisations of systems with condition numbers up to 1e4
        np.testing.assert_allclose(unknown[i, :width], wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("biases", KINDS)
@pytest.mark.parametrize("reg", REGS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_objective_never_rises_and_is_the_stated_one(biases, reg, dtype):
    entries = ratings(60, 40, dtype=dtype, weighted=True, seed=3)
    run, status = fit(entries, 4, 0.7, biases=biases, reg=reg, bias_reg=2.0)
    # in float32 the last digit may stop moving before
    assert status in (Status.MAX_ITER, Status.CONVERGED)
    history = run.monitor.history()["objective"]
    # rounding of the sums over the entries
    slack = 1e-5 if dtype == np.float32 else 1e-12
    assert np.all(np.diff(history) <= slack * history[0])
    assert history[-1] == pytest.approx(
        objective(entries, run.factors, 0.7, reg, 2.0), rel=slack
    )


@pytest.mark.parametrize("biases", KINDS)
@pytest.mark.parametrize("reg", REGS)
def test_gradient_vanishes_at_convergence(biases, reg):
    entries = ratings(seed=1)
    run = make_run(entries, 2, 0.3, biases=biases, reg=reg, bias_reg=1.0, cg_steps=6)
    state = Fit.start(run)
    for _ in range(3000):
        state.sweep()
    f = state.factors()
    rows, cols, x, w = triplets(entries)
    r = w * (x - predict(f, rows, cols))
    for own, other, F, G, s, b in (
        (rows, cols, f.U, f.V, scales(entries, reg)[0], f.row_bias),
        (cols, rows, f.V, f.U, scales(entries, reg)[1], f.col_bias),
    ):
        gradient = 0.3 * s[:, None] * F
        np.add.at(gradient, own, -r[:, None] * G[other])
        # values are of order 1, up to 20 in a row
        np.testing.assert_allclose(gradient, 0, atol=1e-9)
        if b is not None:
            sums = np.bincount(own, weights=r, minlength=len(b))
            np.testing.assert_allclose(sums, 1.0 * b, atol=1e-9)


def test_shrunken_means_solve_their_equations():
    entries = ratings(40, 25, weighted=True)
    b, c = _biases.shrunken_means(entries, "both", (2.0, 3.0))
    rows, cols, x, w = triplets(entries)
    r = w * (x - b[rows] - c[cols])
    # ten alternating sweeps from zero at most
    scale = np.abs(x).max()
    sums = np.bincount(rows, weights=r, minlength=len(b))
    np.testing.assert_allclose(sums, 2.0 * b, atol=1e-9 * scale * len(c))
    sums = np.bincount(cols, weights=r, minlength=len(c))
    np.testing.assert_allclose(sums, 3.0 * c, atol=0.05 * scale * len(b))


def test_rows_and_columns_without_entries_predict_their_bias():
    entries = entries_of(
        np.array([0, 0, 2, 2, 4]),
        np.array([0, 3, 0, 1, 3]),
        np.array([1.0, 2.0, 4.0, 5.0, 3.0]),
        (6, 5),
    )
    run, _ = fit(entries, 2, 0.1, biases="both", reg="count")
    f = run.factors
    assert not f.U[[1, 3, 5]].any()
    assert not f.V[[2, 4]].any()
    assert not f.row_bias[[1, 3, 5]].any()
    np.testing.assert_allclose(predict(f, [1], [0]), f.intercept + f.col_bias[0])


def test_given_factors_are_the_start():
    entries = ratings()
    first, _ = fit(entries, 2, 0.3, biases="both", reg="count", max_iter=10)
    run = make_run(entries, 2, 0.3, biases="both", reg="count")
    run.factors = first.factors
    np.testing.assert_array_equal(Fit.start(run).factors().U, first.factors.U)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_do_not_change_a_bit(dtype):
    rows, cols, x, _ = triplets(ratings(200, 150, share=0.1))
    answers = []
    for n_threads in (1, 2):
        entries = entries_of(
            rows, cols, x, (200, 150), dtype=dtype, n_threads=n_threads
        )
        run, _ = fit(entries, 4, 0.5, biases="both", reg="count")
        answers.append(run.factors)
    for name in ("U", "V", "row_bias", "col_bias"):
        np.testing.assert_array_equal(*(getattr(f, name) for f in answers))
