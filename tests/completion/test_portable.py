"""`complete` for arrays of other libraries: the fit of NumPy arrays, where they lie."""

import warnings

import numpy as np
import pytest

from sparseopt import Status
from sparseopt._core._array_api import device, to_numpy
from sparseopt.completion import CompletionResult, complete
from sparseopt.completion import _portable_entries as layout
from sparseopt.completion import _portable_steps as steps
from sparseopt.datasets import make_low_rank
from sparseopt.exceptions import ConvergenceWarning

from ._libraries import LIBRARIES, dense, library, on_host, there, triplets

M, N, K = 60, 50, 3


@pytest.fixture(params=LIBRARIES)
def lib(request):
    with library(request.param) as put:
        yield put


@pytest.fixture(scope="module")
def problem():
    return make_low_rank(M, N, K, oversampling=4, random_state=0)


@pytest.fixture(scope="module")
def noisy():
    return make_low_rank(M, N, K, oversampling=4, noise=0.2, random_state=1)


# ----------------------------------------------------------------------------- answers


@pytest.mark.parametrize("form", ["triplets", "dense"])
def test_recovers_all_entries(lib, problem, dtype, form):
    X = problem.X.astype(dtype)
    given = there(lib, triplets(X)) if form == "triplets" else lib(dense(X))
    shape = (M, N) if form == "triplets" else None
    result = complete(given, K, shape=shape, random_state=0)
    assert result.converged and result.solver == "als-exact"
    like = given[2] if form == "triplets" else given
    for array in (result.U, result.s, result.V):
        assert type(array) is type(like) and array.dtype == like.dtype
        assert device(array) == device(like)
    f = on_host(result)
    # some ten times tol, as errors at entries not seen are larger
    assert problem.relative_error(f.U * f.s, f.V) < (
        1e-3 if dtype == np.float32 else 1e-6
    )
    np.testing.assert_allclose(f.U.T @ f.U, np.eye(K), atol=1e-5)
    np.testing.assert_allclose(f.V.T @ f.V, np.eye(K), atol=1e-5)
    assert np.all(np.diff(f.s) <= 0)


def test_input_is_not_modified(lib, problem):
    X = there(lib, triplets(problem.X))
    complete(X, K, shape=(M, N), random_state=0)
    for mine, expected in zip(X, triplets(problem.X), strict=True):
        np.testing.assert_array_equal(to_numpy(mine), expected)


@pytest.mark.parametrize("alpha", [0.0, 3.0])
@pytest.mark.parametrize("init", ["spectral", "random"])
def test_iterates_are_those_of_numpy(lib, noisy, init, alpha):
    """The same start, the same ridges and exact half-steps: the same numbers."""
    options = {"alpha": alpha, "init": init, "random_state": 3}
    expected = complete(noisy.X, K, solver="als-exact", **options)
    result = complete(there(lib, triplets(noisy.X)), K, shape=(M, N), **options)
    assert (result.n_iter, result.status) == (expected.n_iter, expected.status)
    for name in ("objective", "residual", "ridge"):
        # the last digits depend on the order of sums, and grow along the path
        np.testing.assert_allclose(
            result.history[name], expected.history[name], rtol=1e-6, err_msg=name
        )
    np.testing.assert_allclose(on_host(result).Z, on_host(expected).Z, atol=1e-6)
    assert float(result.residual) == pytest.approx(expected.residual, rel=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
def test_minimiser_and_its_certificate(lib, noisy, weighted):
    rng = np.random.default_rng(0)
    w = rng.uniform(0.2, 3, noisy.X.nnz) if weighted else None
    alpha, options = 4.0, {"tol_obj": 1e-15, "max_iter": 3000, "random_state": 0}
    rows, cols, x = triplets(noisy.X)
    result = complete(
        there(lib, (rows, cols, x)), K, alpha=alpha, shape=(M, N),
        weights=None if w is None else lib(w), **options,
    )  # fmt: skip
    expected = complete(
        noisy.X, K, alpha=alpha, weights=w, solver="als-exact", **options
    )
    assert result.objective == pytest.approx(expected.objective, rel=1e-10)
    f = on_host(result)
    np.testing.assert_allclose(f.Z, on_host(expected).Z, atol=1e-4)
    w = np.ones(len(x)) if w is None else w
    r = x - f.Z[rows, cols]
    objective = 0.5 * np.sum(w * r**2) + alpha * f.s.sum()
    assert result.objective == pytest.approx(objective, rel=1e-10)
    assert result.alpha == alpha
    expected_residual = np.sqrt(np.sum(w * r**2) / np.sum(w * x**2))
    assert result.residual == pytest.approx(expected_residual, rel=1e-10)
    # first-order conditions: the residuals map one frame to alpha times the other
    R = np.zeros((M, N))
    R[rows, cols] = w * r
    np.testing.assert_allclose(R @ f.V, alpha * f.U, atol=1e-4)
    np.testing.assert_allclose(R.T @ f.U, alpha * f.V, atol=1e-4)


def test_full_observation_is_the_truncated_svd(lib, rng):
    X = rng.normal(size=(20, 14))
    result = complete(lib(X), 4, tol_obj=1e-15, max_iter=3000, random_state=0)
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    np.testing.assert_allclose(
        on_host(result).Z, (U[:, :4] * s[:4]) @ Vt[:4], atol=1e-5
    )


def test_same_call_same_bits(lib, noisy):
    X = there(lib, triplets(noisy.X))
    a, b = (complete(X, K, shape=(M, N), random_state=0) for _ in range(2))
    for name in ("U", "s", "V"):
        np.testing.assert_array_equal(*(to_numpy(getattr(r, name)) for r in (a, b)))


@pytest.mark.parametrize("scale", [1e150, 1e-150])
def test_far_scales(lib, problem, scale):
    rows, cols, x = triplets(problem.X)
    X = there(lib, (rows, cols, x * scale))
    f = on_host(complete(X, K, shape=(M, N), random_state=0))
    plain = on_host(
        complete(there(lib, (rows, cols, x)), K, shape=(M, N), random_state=0)
    )
    np.testing.assert_allclose(f.Z / scale, plain.Z, atol=1e-6)


def test_small_and_trivial(lib):
    zero = complete(lib(np.zeros((4, 3))), 2)
    assert zero.converged and zero.objective == 0 == zero.n_iter
    np.testing.assert_array_equal(to_numpy(zero.reconstruct()), np.zeros((4, 3)))
    one = complete(lib(np.array([[2.0, -1.0, 3.0]])), 1, random_state=0)
    np.testing.assert_allclose(to_numpy(one.reconstruct()), [[2, -1, 3]], atol=1e-7)
    integers = complete(lib(np.outer([1, 2, 3], [1, 1, 2])), 1, random_state=0)
    assert integers.U.dtype == lib.xp.float64
    np.testing.assert_allclose(
        to_numpy(integers.reconstruct()), np.outer([1, 2, 3], [1, 1, 2]), atol=1e-7
    )


def test_the_host_sees_little(lib, problem, monkeypatch):
    """Lengths of rows once, then squares of the rank; never entries or factors."""
    sizes = []

    def spy(x):
        sizes.append(int(np.prod(x.shape)))
        return to_numpy(x)

    X = there(lib, triplets(problem.X))
    for module in (layout, steps):
        monkeypatch.setattr(module, "to_numpy", spy)
    result = complete(X, K, shape=(M, N), random_state=0)
    assert sizes[:2] == [M + 1, N + 1]
    assert set(sizes[2:]) == {(K + 10) ** 2, K**2}  # of the start, of sweeps
    assert sizes.count(K**2) >= 2 * result.n_iter - 1


# ------------------------------------------------------------- rows of all lengths


@pytest.fixture(scope="module")
def power_law():
    """Rows from a few entries to nearly all columns, so that the start is trimmed."""
    rng = np.random.default_rng(2)
    A, B = rng.normal(size=(150, 2)), rng.normal(size=(90, 2))
    chance = 0.08 * (np.arange(1, 151) / 30.0)[rng.permutation(150)] ** -1.2
    mask = rng.random((150, 90)) < np.maximum(chance, 0.07)[:, None]
    mask[:, 0] = mask[:, 1] = mask[:, 2] = True
    mask[rng.integers(150, size=4), :] = True
    X = np.where(mask, A @ B.T, np.nan)
    return X, A @ B.T


@pytest.mark.parametrize("block", [1 << 10, 1 << 14, 1 << 28])
def test_pieces_do_not_matter(lib, power_law, block, monkeypatch):
    """Down to rows whose entries are taken in several parts."""
    X, _ = power_law
    options = {"alpha": 1.0, "max_iter": 4, "tol_obj": 0.0, "random_state": 0}
    weights = np.random.default_rng(0).uniform(0.5, 2, X.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected = complete(X, 2, weights=weights, solver="als-exact", **options)
        monkeypatch.setattr(layout, "_HOST_BLOCK", block)
        monkeypatch.setattr(layout, "_DEVICE_BLOCK", block)
        result = complete(lib(X), 2, weights=lib(weights), **options)
    np.testing.assert_allclose(on_host(result).Z, on_host(expected).Z, atol=1e-9)


def test_buckets_hold_every_entry_once(lib, power_law):
    X, _ = power_law
    e = layout.device_entries(lib(X), weights=None, dtype=None, shape=None)
    for side, Y in ((e.rows, X), (e.cols, X.T)):
        other = e.cols if side is e.rows else e.rows
        order, across = to_numpy(side.order), to_numpy(other.order)
        found = np.full(Y.shape, np.nan)
        padding = 0
        for bucket in side.buckets:
            idx, val = to_numpy(bucket.part.idx), to_numpy(bucket.part.val)
            row, at = np.nonzero(idx < Y.shape[1])
            padding += idx.size - len(row)
            assert not val[idx == Y.shape[1]].any()
            found[order[bucket.start + row], across[idx[row, at]]] = val[row, at]
        np.testing.assert_array_equal(found, Y)
        assert padding < 0.25 * np.isfinite(Y).sum()
        np.testing.assert_array_equal(side.counts, np.isfinite(Y).sum(axis=1))


def test_rows_that_the_data_leave_open(lib, problem):
    """Empty ones are named and zero, short ones get the answer of least norm."""
    X = dense(problem.X)
    X[4, :] = np.nan
    X[7, 2:] = np.nan
    X[7, :2] = problem.U[7] * problem.s @ problem.V[:2].T
    with pytest.warns(UserWarning, match=r"2 rows \(4, 7\) have fewer entries"):
        result = complete(lib(X), K, random_state=0)
    assert result.converged
    np.testing.assert_array_equal(to_numpy(result.underdetermined_rows), [4, 7])
    assert type(result.underdetermined_rows) is type(result.U)
    f = on_host(result)
    np.testing.assert_array_equal(f.Z[4], 0)
    a, V = (f.U * f.s)[7], f.V[:2]
    np.testing.assert_allclose(V @ a, X[7, :2], atol=1e-6)
    # twice the error of the fit, through a pair of rows of V
    np.testing.assert_allclose(np.linalg.pinv(V) @ (V @ a), a, atol=1e-4)
    expected = np.delete(problem.U * problem.s @ problem.V.T, [4, 7], axis=0)
    np.testing.assert_allclose(np.delete(f.Z, [4, 7], axis=0), expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("seed", range(12))
def test_any_problem_ends_where_the_kernels_end(lib, seed):
    """Empty and short rows, equal rows, zero weights, ranks up to the full one."""
    rng = np.random.default_rng(seed)
    m, n = map(int, rng.integers(1, 30, 2))
    k = int(rng.integers(1, min(m, n) + 1))
    X = rng.normal(size=(m, k)) @ rng.normal(size=(k, n))
    X = np.full((m, n), 3.0) if seed % 4 == 0 else np.round(X) if seed % 4 == 1 else X
    X[rng.random((m, n)) > rng.choice([0.2, 0.5, 1.0])] = np.nan
    X[0, 0] = 2.0
    weights = rng.uniform(0, 2, (m, n)) * (rng.random((m, n)) < 0.8)
    weights[0, 0] = 1.0
    options = {
        "alpha": float(rng.choice([0.0, 0.5])),
        "init": str(rng.choice(["spectral", "random"])),
        # to the end: when iterates leave a saddle on the way is decided by roundings
        "max_iter": 200,
        "random_state": seed,
    }
    expected = complete(X, k, weights=weights, solver="als-exact", **options)
    result = complete(lib(X), k, weights=lib(weights), **options)
    # singular rows are solved in other ways, and move the path by roundings of theirs
    scale = np.nansum(weights * X**2)
    assert abs(result.objective - expected.objective) < 1e-6 * scale
    assert np.isfinite(on_host(result).Z).all()


# ------------------------------------------------------------------ limits and starts


def test_limits_and_callback(lib, noisy):
    X = lib(dense(noisy.X))
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        assert complete(X, K, max_iter=2).status is Status.MAX_ITER
    with pytest.warns(ConvergenceWarning, match="max_time"):
        assert complete(X, K, max_time=1e-9).status is Status.TIME_LIMIT
    seen = []

    def callback(state):
        U, s, V = state.factors
        assert type(U) is type(s) is type(V) is type(X)
        seen.append((state.n_iter, state.ridge, to_numpy((U * s) @ V.T)))
        return state.n_iter == 3

    result = complete(X, K, callback=callback, random_state=0)
    assert result.status is Status.STOPPED_BY_CALLBACK
    assert [n for n, *_ in seen] == [1, 2, 3]
    assert seen[0][1] > seen[1][1] > seen[2][1]
    np.testing.assert_array_equal(seen[-1][2], to_numpy(result.reconstruct()))


def test_interrupt_gives_the_last_iterate(lib, noisy):
    def interrupt(state):
        if state.n_iter == 2:
            raise KeyboardInterrupt

    with pytest.warns(ConvergenceWarning, match="interrupted"):
        result = complete(lib(dense(noisy.X)), K, callback=interrupt)
    assert result.status is Status.INTERRUPTED and result.n_iter == 2
    assert 0 < result.residual < 1


def test_progress_is_shown(lib, problem, capsys):
    complete(lib(dense(problem.X)), K, verbose=3, random_state=0)
    shown = capsys.readouterr().err
    assert "ridge" in shown and "completion.complete: converged in" in shown


def test_starts(lib, problem):
    """From factors of any library there is no homotopy unless asked for."""
    X = lib(dense(problem.X))
    first = complete(X, K, random_state=0)
    on_numpy = complete(problem.X, K, random_state=0)
    f = on_host(first)
    for init in (first, on_numpy, (first.U * first.s, first.V), (f.U * f.s, f.V)):
        again = complete(X, K, init=init)
        assert again.n_iter <= 2 and again.converged
        assert again.history["ridge"].max() == 0
    back = complete(problem.X, K, init=first)
    assert isinstance(back.U, np.ndarray) and back.n_iter <= 2
    with pytest.raises(ValueError, match="'init' factor U must have shape"):
        complete(X, K, init=(first.V, first.U))
    assert complete(X, K, homotopy=0.7, random_state=0).converged
    assert complete(X, K, homotopy=True, random_state=0).converged


# ------------------------------------------------------------------------- predictions


def test_predictions(lib, problem, tmp_path):
    result = complete(lib(dense(problem.X)), K, random_state=0)
    Z = on_host(result).Z
    rows, cols = np.array([3, 0, 59]), np.array([49, 2, 2])
    for i, j in ((rows, cols), (lib(rows), lib(cols)), (rows.tolist(), cols.tolist())):
        out = result.predict(i, j)
        assert type(out) is type(result.U) and device(out) == device(result.U)
        np.testing.assert_allclose(to_numpy(out), Z[rows, cols], rtol=1e-12)
        part = result.reconstruct(i)
        np.testing.assert_allclose(to_numpy(part), Z[rows], rtol=1e-12)
    assert result.predict([], []).shape == (0,)
    np.testing.assert_allclose(to_numpy(result.reconstruct()), Z, atol=1e-13)
    for bad in ([0, 60], lib(np.array([0, 60])), lib(np.array([-1, 0]))):
        with pytest.raises(IndexError, match=r"'rows' array must hold indices in \[0"):
            result.predict(bad, [0, 1])
    with pytest.raises(TypeError, match="'cols' array must hold integers"):
        result.predict([0, 1], lib(np.array([0.0, 1.0])))
    with pytest.raises(ValueError, match="'cols' array must have the length"):
        result.predict([0, 1], [0])
    result.save(tmp_path / "fit.npz")
    loaded = CompletionResult.load(tmp_path / "fit.npz")
    np.testing.assert_array_equal(loaded.U, to_numpy(result.U))
    assert "U: array (60, 3)" in repr(result)
