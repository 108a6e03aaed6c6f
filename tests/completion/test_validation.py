"""Held-out entries: the split, which iterate is taken, and that nothing is lost."""

import math
import warnings

import numpy as np
import pytest
from scipy import sparse

from sparseopt import Status
from sparseopt.completion import MatrixFactorizer, complete
from sparseopt.completion._folds import safe_split, subset
from sparseopt.completion._validation import HeldOut
from sparseopt.datasets import make_low_rank

from ._ratings_data import entries_of, fit, predict, ratings, triplets


def _coo(X):
    """Rows, columns and values, aligned with what X stores."""
    rows, cols = X.tocoo().coords
    return rows, cols, X.data


def _split_errors(result, X, weights=None):
    """Errors where fitted and where held out, weighted as in the objective."""
    rows, cols, x = _coo(X.astype(np.float64))
    r = x - result.predict(rows, cols)
    w = np.ones(len(x)) if weights is None else weights
    out = result.held_out_mask
    return w * r**2, w * x**2, w, out


def check(result, X, weights=None, rtol=1e-9):
    """Residual, objective and the error kept in the history, from outside."""
    rr, xx, w, out = _split_errors(result, X, weights)
    residual = math.sqrt(rr[~out].sum() / xx[~out].sum())
    # rounding of the predictions, in parts of the values
    slack = 1e3 * float(np.finfo(result.U.dtype).eps)
    assert result.residual == pytest.approx(residual, rel=rtol, abs=slack)
    objective = rr[~out].sum() / 2 + result.alpha * result.s.sum()
    assert result.objective == pytest.approx(
        objective, rel=rtol, abs=(slack * residual + slack**2) * float(xx.sum())
    )
    history = result.history["validation"]
    assert len(history) == result.n_iter
    error = math.sqrt(rr[out].sum() / w[out].sum())
    size = math.sqrt(xx.sum() / w.sum())
    assert error == pytest.approx(float(history.min()), rel=rtol, abs=slack * size)


# -- the split ------------------------------------------------------------------------


@pytest.mark.parametrize("least", [1, 3])
@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.9])
def test_split_leaves_entries_in_every_row_and_column(fraction, least):
    entries = ratings(50, 30, share=0.1, seed=5)
    keep = safe_split(entries, fraction, np.random.default_rng(0), least)
    part = subset(entries, keep)
    for whole, side in ((entries.rows, part.rows), (entries.cols, part.cols)):
        there = np.diff(whole.ptr) > 0
        assert np.all(np.diff(side.ptr)[there] > 0)
        if fraction == 0.05:  # there are others enough
            wanted = np.minimum(np.diff(whole.ptr), least)
            assert np.all(np.diff(side.ptr) >= wanted)
    if fraction < 0.5:
        assert (~keep).sum() == round(fraction * entries.n_entries)


def test_split_takes_what_rows_need_last():
    # two rows of few entries among full ones, and columns that have plenty
    mask = np.ones((12, 20), bool)
    mask[:2, 4:] = False
    rows, cols = np.nonzero(mask)
    entries = entries_of(rows, cols, np.ones(len(rows)), mask.shape)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        keep = safe_split(entries, 0.2, rng, 4)
        assert keep[rows < 2].all()
        assert (~keep).sum() == round(0.2 * len(rows))


def test_subset_is_what_sorting_anew_gives():
    entries = ratings(weighted=True)
    keep = np.random.default_rng(0).random(entries.n_entries) < 0.5
    part = subset(entries, keep)
    rows, cols, x, w = (a[keep] for a in triplets(entries))
    wanted = entries_of(rows, cols, x, entries.shape, weight=w)
    for a, b in ((part.rows, wanted.rows), (part.cols, wanted.cols)):
        for name in ("ptr", "idx", "val", "weight"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_array_equal(part.perm, wanted.perm)


# -- ratings --------------------------------------------------------------------------


def _parted(seed=0):
    entries = ratings(60, 40, share=0.3, seed=seed)
    keep = safe_split(entries, 0.2, np.random.default_rng(seed))
    return subset(entries, keep), HeldOut(subset(entries, ~keep), ~keep)


@pytest.mark.parametrize("seed", range(3))
def test_early_stopping_returns_the_best_iterate(seed):
    # far more factors than the data have, hardly any ridge: errors rise again
    entries, held_out = _parted(seed)
    run, status = fit(
        entries, 8, 0.01, biases="both", max_iter=200, seed=seed, held_out=held_out
    )
    assert status == Status.CONVERGED
    best = int(np.argmin(held_out.history))
    assert len(held_out.history) == best + 1 + 10
    run.take_best()
    assert held_out.at == best + 1
    rows, cols, x, _ = triplets(held_out.entries)
    error = np.sqrt(np.mean((x - predict(run.factors, rows, cols)) ** 2))
    assert error == pytest.approx(min(held_out.history), rel=1e-10)
    history = run.monitor.history()
    # objectives of sweeps are recursions over the sweeps
    assert run.objective == pytest.approx(history["objective"][best], rel=1e-10)
    assert run.residual == pytest.approx(history["residual"][best], rel=1e-10)


def test_best_iterate_is_kept_at_the_limit_of_iterations():
    entries, held_out = _parted()
    _, status = fit(entries, 8, 0.01, biases="both", max_iter=4, held_out=held_out)
    assert status == Status.MAX_ITER
    assert len(held_out.history) == 4


def test_patience_begins_anew_at_the_end_of_the_ridge():
    entries = ratings()
    run, _ = fit(entries, 2, 0.1, max_iter=1)
    held_out = HeldOut(entries, np.ones(entries.n_entries, bool))
    for _ in range(11):
        held_out.offer(run.factors, 0.0)
    assert held_out.stale and held_out.at == 1
    held_out.forget()
    assert not held_out.stale
    held_out.offer(run.factors, 0.0)
    assert not held_out.stale and held_out.at == 1


# -- the same methods as without ------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("oversampling", [2.0, 3.0])
@pytest.mark.parametrize(
    "options",
    [{}, {"solver": "als"}, {"solver": "als-exact"}, {"precision": "mixed"}],
    ids=lambda o: "-".join(o.values()) or "auto",
)
def test_recovers(options, oversampling, seed):
    p = make_low_rank(120, 90, 3, oversampling=oversampling, random_state=seed)
    r = complete(p.X, 3, validation_fraction=0.1, random_state=seed, **options)
    assert r.converged
    # plain sweeps end at a residual of 1e-8 where the error is some hundred times that
    assert p.relative_error(r.U * r.s, r.V) < 1e-5
    assert r.solver == options.get("solver", "auto")
    assert r.held_out_mask.sum() == round(0.1 * p.X.nnz)
    check(r, p.X)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_noise_and_too_large_a_rank(noise, weighted):
    p = make_low_rank(150, 100, 2, oversampling=12, noise=noise, random_state=0)
    weights = np.random.default_rng(0).uniform(0.5, 2, p.X.nnz) if weighted else None
    options = {"weights": weights, "random_state": 0}
    last = complete(p.X, 6, **options)
    best = complete(p.X, 6, validation_fraction=0.1, **options)
    assert best.converged and best.n_iter < last.n_iter
    errors = [p.relative_error(r.U * r.s, r.V) for r in (best, last)]
    # 2.5 to 4 times by experiment, over ten seeds
    assert errors[0] < 0.5 * errors[1]
    check(best, p.X, weights)
    at = int(np.argmin(best.history["validation"])) + 1
    assert at < best.n_iter and f"iterate {at}," in best.message
    assert f"{int(best.held_out_mask.sum())} held-out" in best.message


def test_a_penalty_stays_the_end_of_the_ridge():
    p = make_low_rank(80, 60, 2, oversampling=8, noise=0.3, random_state=0)
    r = complete(p.X, 4, alpha=0.5, validation_fraction=0.2, random_state=0)
    check(r, p.X)
    assert r.alpha == 0.5


def test_nonnegative():
    rng = np.random.default_rng(0)
    L, R = rng.random((60, 3)), rng.random((50, 3))
    X = L @ R.T + 0.1 * rng.standard_normal((60, 50))
    X[rng.random(X.shape) < 0.5] = np.nan
    last = complete(X, 8, nonnegative=True, random_state=0, tol_obj=1e-4)
    r = complete(X, 8, nonnegative=True, validation_fraction=0.1, random_state=0)
    assert (r.U >= 0).all() and (r.V >= 0).all()
    assert r.held_out_mask.shape == X.shape and not r.held_out_mask[np.isnan(X)].any()
    errors = [np.linalg.norm(f.reconstruct() - L @ R.T) for f in (r, last)]
    assert errors[0] < errors[1]
    known = ~np.isnan(X)
    stored = sparse.csr_array((X[known], np.nonzero(known)), X.shape)
    again = complete(
        stored, 8, nonnegative=True, validation_fraction=0.1, random_state=0
    )
    np.testing.assert_array_equal(again.U, r.U)
    check(again, stored)


def test_single_precision_and_tiny_values():
    p = make_low_rank(120, 90, 3, oversampling=3, random_state=0)
    single = complete(
        p.X.astype(np.float32), 3, validation_fraction=0.1, random_state=0
    )
    assert single.U.dtype == np.float32 and single.converged
    assert p.relative_error(single.U * single.s, single.V) < 1e-3
    # errors are measured by recursions of sweeps, to a few roundings of the values
    check(single, p.X.astype(np.float32), rtol=1e-3)
    scale = 2.0**-80  # float32 does not hold the squares
    X = (p.X * scale).astype(np.float32)
    tiny = complete(X, 3, validation_fraction=0.1, random_state=0)
    assert tiny.converged
    check(tiny, X, rtol=1e-3)


def test_same_seed_same_bits_for_any_threads_and_form():
    p = make_low_rank(100, 80, 3, oversampling=5, noise=0.1, random_state=0)
    options = {"validation_fraction": 0.1, "random_state": 3}
    first = complete(p.X, 4, n_threads=1, **options)
    shuffled = p.X.tocoo()
    order = np.random.default_rng(0).permutation(p.X.nnz)
    (rows, cols), values = shuffled.coords, shuffled.data
    triplets = rows[order], cols[order], values[order]
    other = complete(triplets, 4, n_threads=2, shape=p.X.shape, **options)
    for name in ("U", "s", "V", "objective", "residual"):
        np.testing.assert_array_equal(getattr(first, name), getattr(other, name))
    np.testing.assert_array_equal(
        first.history["validation"], other.history["validation"]
    )
    dense = sparse.coo_array((first.held_out_mask, _coo(p.X)[:2]), p.X.shape)
    places = dense.toarray()[triplets[:2]]
    np.testing.assert_array_equal(other.held_out_mask, places)
    seed = complete(p.X, 4, **{**options, "random_state": 4})
    assert (seed.held_out_mask != first.held_out_mask).any()


# -- however it ends ------------------------------------------------------------------


def _noisy():
    return make_low_rank(100, 80, 2, oversampling=10, noise=0.3, random_state=0).X


@pytest.mark.parametrize("limit", [1, 4, 7, 12])
def test_limits_return_the_best_iterate_so_far(limit):
    X = _noisy()
    with pytest.warns(match="did not converge"):
        r = complete(X, 5, validation_fraction=0.1, max_iter=limit, random_state=0)
    assert r.status is Status.MAX_ITER and r.n_iter == limit
    check(r, X)
    with pytest.warns(match="did not converge"):
        r = complete(X, 5, validation_fraction=0.1, max_time=1e-9, random_state=0)
    assert r.status is Status.TIME_LIMIT
    check(r, X)


def test_interrupts_and_callbacks_return_the_best_iterate_so_far():
    X, seen = _noisy(), []

    def stop(state):
        seen.append(state.validation)
        return state.n_iter == 9

    def interrupt(state):
        if state.n_iter == 9:
            raise KeyboardInterrupt

    options = {"validation_fraction": 0.1, "random_state": 0}
    stopped = complete(X, 5, callback=stop, **options)
    assert stopped.status is Status.STOPPED_BY_CALLBACK
    np.testing.assert_array_equal(stopped.history["validation"], seen)
    assert np.argmin(seen) < 8  # the last is not the best
    with pytest.warns(match="interrupted"):
        broken = complete(X, 5, callback=interrupt, **options)
    for r in (stopped, broken):
        check(r, X)
    np.testing.assert_array_equal(stopped.U, broken.U)


def test_another_start_while_directions_are_to_spare():
    # iterates of larger rank are cut, and measured as they are returned
    p = make_low_rank(100, 100, 3, oversampling=1.35, random_state=3)
    options = {"validation_fraction": 0.05, "random_state": 0, "tol": 1e-12}
    for limit in (185, 200, 230, 500):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            r = complete(p.X, 3, max_iter=limit, **options)
        check(r, p.X)


def test_nothing_to_hold_out():
    X = np.diag([1.0, 2.0, 3.0])
    X[X == 0] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # entries do not determine it
        r = complete(X, 1, validation_fraction=0.5, random_state=0)
    assert not r.held_out_mask.any()
    assert "No entry could be held out" in r.message
    assert np.isnan(r.history["validation"]).all()


def test_gaps_are_those_of_what_is_fitted():
    p = make_low_rank(60, 50, 3, oversampling=1.15, random_state=0)
    with pytest.warns(UserWarning) as caught:
        r = complete(p.X, 3, validation_fraction=0.3, max_iter=30, random_state=0)
    n = p.X.nnz - r.held_out_mask.sum()
    assert any(f"{n} entries are fewer than" in str(w.message) for w in caught)


@pytest.mark.parametrize("other", [{"loss": "huber"}, {"alpha": "auto"}])
def test_what_cannot_be_combined(other):
    with pytest.raises(ValueError, match=r"cannot combine .*validation_fraction"):
        complete(np.eye(4), 1, validation_fraction=0.1, **other)


def test_estimator():
    p = make_low_rank(100, 80, 3, oversampling=3, random_state=0)
    model = MatrixFactorizer(
        3, alpha=0.0, biases=None, reg="frobenius", validation_fraction=0.1,
        random_state=0,
    ).fit(p.X)  # fmt: skip
    assert p.relative_error(model.row_factors_, model.col_factors_) < 1e-6
    assert model.result_.held_out_mask.sum() == round(0.1 * p.X.nnz)
