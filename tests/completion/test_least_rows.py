"""Rows of the published method against NumPy's least squares, and its sketches."""

import math
import signal

import numpy as np
import pytest

from sparseopt._core._monitor import Monitor
from sparseopt._core._status import Status
from sparseopt.completion import _least_rows, _sketch, alternating_minimization
from sparseopt.completion._kernels import aligned
from sparseopt.completion._least_rows import least_squares, slices
from sparseopt.completion._orders import from_triplets
from sparseopt.completion._problem import padded
from sparseopt.completion._run import FIELDS, Factors, Run, Stop
from sparseopt.datasets import make_low_rank
from sparseopt.exceptions import ConvergenceWarning

SOLVERS = ["sketch", "cholesky"]
# Cholesky squares the condition of the rows: below 10, but for the shortest.
RTOL = {np.float64: 1e-9, np.float32: 2e-3}


def problem(lengths, n=2000, k=6, real=np.float64, weighted=False, threads=1, seed=0):
    """A run with rows of these lengths, and a factor to hold."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    cols = [np.sort(rng.choice(n, size, replace=False)) for size in lengths]
    x = rng.standard_normal(len(rows)).astype(real)
    w = rng.uniform(0.1, 1.0, len(rows)).astype(real) if weighted else None
    shape = (len(lengths), n)
    entries = from_triplets(
        rows, np.concatenate(cols), x, shape, weight=w, n_threads=threads
    )
    V = aligned((n, padded(k, real)), real)
    V[:, :k] = rng.standard_normal((n, k))
    frames = [aligned((size, padded(k, real)), real) for size in shape]
    run = Run(
        *(entries, k, 0.0, 1e-9, 0.0, np.random.default_rng(seed)),
        Monitor("test", fields=FIELDS),
        Factors(frames[0], np.zeros(k), frames[1]),
    )
    return run, V


def matrices(run, V):
    """[A b] of each row, in float64."""
    side = run.entries.rows
    for i in range(side.n_rows):
        at = slice(side.ptr[i], side.ptr[i + 1])
        A = V[side.idx[at], : run.k].astype(np.float64)
        b = side.val[at].astype(np.float64)
        if side.weight is not None:
            root = np.sqrt(side.weight[at], dtype=np.float64)
            A, b = A * root[:, None], b * root
        yield i, A, b


def solve(run, V, solver, tol=1e-13):
    return least_squares(run, run.entries, False, V, solver, tol)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_rows_against_lstsq(solver, real, weighted):
    """Empty rows, single entries, fewer than the rank, short, sketched, many blocks."""
    lengths = [0, 1, 3, 6, 12, 64, 65, 66, 200, 512, 513, 0, 1500, 1025, 1, 64]
    run, V = problem(lengths, real=real, weighted=weighted)
    before = V.copy()
    U = solve(run, V, solver)
    np.testing.assert_array_equal(V, before)
    assert U.dtype == real and not U[:, run.k :].any()
    for i, A, b in matrices(run, V):
        expected = np.linalg.lstsq(A, b)[0] if len(A) else np.zeros(run.k)
        error = np.linalg.norm(U[i, : run.k] - expected)
        # rows of just the rank are the worst conditioned
        assert error <= RTOL[real] * np.linalg.norm(expected) * (
            10 if len(A) < 9 else 1
        )
    assert run.work > 0


@pytest.mark.parametrize("k", [1, 2, 9, 40])
def test_ranks(k):
    run, V = problem([1, k, 3 * k, 20 * k + 40, 1200], k=k)
    U = solve(run, V, "sketch")
    for i, A, b in matrices(run, V):
        expected = np.linalg.lstsq(A, b)[0]
        # a square matrix of rank 40 has a condition number of some hundreds
        np.testing.assert_allclose(U[i, :k], expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_dependent_columns_give_the_least_solution(solver, real):
    run, V = problem([2, 10, 300, 1500], real=real)
    V[:, 5] = V[:, 0]
    U = solve(run, V, solver)
    for i, A, b in matrices(run, V):
        expected = np.linalg.lstsq(A, b)[0]
        np.testing.assert_allclose(U[i, :6], expected, atol=RTOL[real])


@pytest.mark.parametrize("solver", SOLVERS)
def test_nearly_dependent_columns(solver):
    """Too close for a Gram matrix or a sketch, not for a QR decomposition."""
    run, V = problem([10, 300, 1500])
    V[:, 5] = V[:, 0] + 1e-11 * V[:, 5]
    U = solve(run, V, solver)
    for i, A, b in matrices(run, V):
        expected = np.linalg.lstsq(A, b)[0]
        assert np.linalg.norm(expected) > 1e8  # nothing was cut off
        # the condition of some 1e11 leaves five digits
        error = np.linalg.norm(U[i, :6] - expected)
        assert error <= 1e-3 * np.linalg.norm(expected)
        least = np.linalg.norm(A @ expected - b)
        assert np.linalg.norm(A @ U[i, :6] - b) <= least * (1 + 1e-5) + 1e-12


def test_factor_of_zeros():
    run, V = problem([3, 300])
    V[:] = 0
    for solver in SOLVERS:
        assert not solve(run, V, solver).any()


def test_the_tolerance_bounds_the_gradient():
    run, V = problem([900, 1400])
    errors = []
    for tol in (1e-2, 1e-5, 1e-8):
        U = solve(run, V, "sketch", tol)
        errors.append(
            max(
                np.linalg.norm(A.T @ (b - A @ U[i, :6])) / np.linalg.norm(A.T @ b)
                for i, A, b in matrices(run, V)
            )
        )
        # preconditioned norms are others: by the condition of A, which is below 2
        assert errors[-1] <= 2 * tol
    assert errors[0] > errors[1] > errors[2] > 0


@pytest.mark.parametrize("solver", ["cg", *SOLVERS])
def test_threads_and_slices_do_not_matter(solver, monkeypatch):
    lengths = np.random.default_rng(0).integers(0, 1200, 60)
    once = solve(*problem(lengths), solver)
    run, V = problem(lengths, threads=2)
    np.testing.assert_array_equal(solve(run, V, solver), once)
    monkeypatch.setattr(_least_rows, "_SLICE", 1e-4)
    run, V = problem(lengths, threads=2)
    np.testing.assert_array_equal(solve(run, V, solver), once)


@pytest.mark.parametrize("solver", ["cg", *SOLVERS])
def test_a_time_limit_holds_within_a_half_step(solver):
    run, V = problem([100, 200])
    run.monitor.max_time = 1e-9
    with pytest.raises(Stop) as stop:
        solve(run, V, solver)
    assert stop.value.status is Status.TIME_LIMIT


@pytest.mark.parametrize("solver", ["sketch", "cholesky"])
def test_interrupts_are_seen_between_slices(solver, monkeypatch):
    module, name = {
        "sketch": (_least_rows._sketch, "sketched_rows"),
        "cholesky": (_least_rows._exact, "exact_rows"),
    }[solver]
    kernel, calls = getattr(module, name), []

    def watched(*args):
        calls.append(args)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        kernel(*args)

    monkeypatch.setattr(module, name, watched)
    monkeypatch.setattr(_least_rows, "_SLICE", 1e-5)
    p = make_low_rank(60, 50, 2, oversampling=8, random_state=0)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        result = alternating_minimization(p.X, 2, row_solver=solver, random_state=0)
    assert len(calls) == 3 and result.status is Status.INTERRUPTED
    assert np.isfinite(result.reconstruct()).all()


def test_slices_hold_every_row_once():
    run, _ = problem(np.random.default_rng(0).integers(0, 500, 80))
    for entry, row in ((0.0, 0.0), (1e3, 1e3), (1e6, 0.0), (0.0, 1e9)):
        for threads in (1, 2):
            parts = list(slices(run.entries.rows, entry, row, threads))
            seen = np.concatenate([np.arange(*c) for part in parts for c in part])
            np.testing.assert_array_equal(np.sort(seen), np.arange(80))
    assert len(parts) > 1


# --------------------------------------------------------------------------- sketches


def draws(key, counters):
    """SplitMix64, from a key and counters."""
    with np.errstate(over="ignore"):
        z = np.uint64(key) + (np.asarray(counters, np.uint64) + np.uint64(1)) * (
            np.uint64(0x9E3779B97F4A7C15)
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def twin(M, size, seed, row):
    """Rows of H D M by the definition: signs, a full Hadamard matrix, a sample."""
    key = draws(seed, row)
    n, full = len(M), 1 << (len(M) - 1).bit_length()
    e = np.arange(n)
    bits = draws(key, e // 64) >> (e % 64).astype(np.uint64) & np.uint64(1)
    H = np.ones((1, 1))
    while len(H) < full:
        H = np.block([[H, H], [H, -H]])
    where = draws(
        key, np.arange(10 * full, dtype=np.uint64) + np.uint64(1 << 63)
    ) % np.uint64(full)
    rows = where[np.sort(np.unique(where, return_index=True)[1])[:size]]
    D = np.where(bits == 1, 1.0, -1.0)
    return (H[:, :n] @ (D[:, None] * M))[rows] / math.sqrt(size)


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [1, 7, 8, 20])
def test_sketch_against_its_definition(real, weighted, k):
    run, V = problem([300], k=k, real=real, weighted=weighted)
    side = run.entries.rows
    ((_, A, b),) = matrices(run, V)
    got = _sketch.sketch_of(side.idx, side.val, side.weight, V, k, 60, 2**63 - 1, 17)
    expected = twin(np.column_stack([A, b]), 60, 2**63 - 1, 17)
    np.testing.assert_allclose(got, expected, atol=1e-12)


def sketches(run, V, size, n):
    side = run.entries.rows
    for row in range(n):
        yield _sketch.sketch_of(side.idx, side.val, side.weight, V, run.k, size, 5, row)


def test_sketch_keeps_lengths():
    run, V = problem([1000], k=3)
    ((_, A, b),) = matrices(run, V)
    squares = [np.sum(S**2, axis=0) for S in sketches(run, V, 64, 200)]
    expected = np.sum(np.column_stack([A, b]) ** 2, axis=0)
    # each has a standard deviation of about sqrt(2 / 64), the mean of 200 of 0.013
    np.testing.assert_allclose(np.mean(squares, axis=0), expected, rtol=0.06)
    assert np.std(squares, axis=0).min() > 0.05 * expected.min()


def test_sketch_spreads_what_one_entry_holds():
    """All the mass in one row of A: what uniform sampling would miss."""
    run, V = problem([1000], k=3)
    V[:] = 0
    V[run.entries.rows.idx[17], :3] = [1.0, 2.0, 3.0]
    for S in sketches(run, V, 64, 5):
        np.testing.assert_allclose(np.linalg.norm(S[:, :3], axis=0), [1, 2, 3])


def test_all_rows_of_the_transform_keep_every_length():
    run, V = problem([64], k=3)
    ((_, A, b),) = matrices(run, V)
    for S in sketches(run, V, 64, 3):
        np.testing.assert_allclose(
            np.linalg.svd(S)[1], np.linalg.svd(np.column_stack([A, b]))[1]
        )
