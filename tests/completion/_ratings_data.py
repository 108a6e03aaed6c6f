"""Small ratings and plain NumPy forms of what is fitted to them."""

import numpy as np

from sparseopt._core._monitor import Monitor
from sparseopt.completion._orders import from_triplets
from sparseopt.completion._problem import padded
from sparseopt.completion._ratings import solve_ratings
from sparseopt.completion._run import Factors, Run, Stop


def ratings(m=30, n=20, k=2, share=0.4, *, dtype=np.float64, seed=0, weighted=False):
    """Entries of a low-rank matrix with biases and noise, and their triplets."""
    rng = np.random.default_rng(seed)
    rows, cols = np.nonzero(rng.random((m, n)) < share)
    L, R = rng.standard_normal((m, k)), rng.standard_normal((n, k))
    x = 3 + 0.5 * rng.standard_normal(m)[rows] + 0.5 * rng.standard_normal(n)[cols]
    x = x + np.einsum("ij,ij->i", L[rows], R[cols]) + 0.3 * rng.standard_normal(len(x))
    weight = rng.random(len(x)) + 0.5 if weighted else None
    return entries_of(rows, cols, x, (m, n), dtype=dtype, weight=weight)


def entries_of(rows, cols, x, shape, *, dtype=np.float64, weight=None, n_threads=1):
    weight = None if weight is None else weight.astype(dtype)
    return from_triplets(
        rows, cols, x.astype(dtype), shape, weight=weight, n_threads=n_threads
    )


def triplets(entries):
    """Rows, columns, values and weights, in row order and float64."""
    side = entries.rows
    rows = np.repeat(np.arange(entries.shape[0]), np.diff(side.ptr))
    weight = np.ones(len(rows)) if side.weight is None else side.weight
    return rows, side.idx, side.val.astype(float), weight.astype(float)


def make_run(
    entries, k, alpha, *, max_iter=20, tol_obj=0.0, seed=0, held_out=None, **options
):
    width = padded(k, entries.dtype)
    U, V = (np.zeros((size, width), entries.dtype) for size in entries.shape)
    monitor = Monitor("test", max_iter=max_iter, fields=("ridge",))
    return Run(
        entries, k, alpha, 0.0, tol_obj, np.random.default_rng(seed), monitor,
        Factors(U, np.zeros(k), V), options=options, held_out=held_out,
    )  # fmt: skip


def fit(entries, k, alpha, **keywords):
    run = make_run(entries, k, alpha, **keywords)
    try:
        status = solve_ratings(run)
    except Stop as stop:
        status = stop.status
    return run, status


def predict(f, rows, cols):
    out = f.intercept + np.einsum("ij,ij->i", f.U[rows] * np.float64(1), f.V[cols])
    if f.row_bias is not None:
        out = out + f.row_bias[rows]
    if f.col_bias is not None:
        out = out + f.col_bias[cols]
    return out


def scales(entries, reg):
    """The s_i of rows and of columns."""
    rows, cols, _, weight = triplets(entries)
    power = {"frobenius": 0.0, "count": 1.0}.get(reg, reg)
    counts = (
        np.bincount(ids, weights=weight, minlength=size)
        for ids, size in zip((rows, cols), entries.shape, strict=True)
    )
    return [n**power for n in counts]


def objective(entries, f, alpha, reg, bias_reg):
    """What `solve_ratings` minimises, at factors of a run, in plain NumPy."""
    rows, cols, x, weight = triplets(entries)
    total = np.sum(weight * (x - predict(f, rows, cols)) ** 2)
    for F, s in zip((f.U, f.V), scales(entries, reg), strict=True):
        total += alpha * np.sum(s[:, None] * F.astype(float) ** 2)
    for b in (f.row_bias, f.col_bias):
        if b is not None:
            total += bias_reg * np.sum(b.astype(float) ** 2)
    return 0.5 * total
