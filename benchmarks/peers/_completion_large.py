"""Half-steps as they grow, and twenty million entries."""

import time
from dataclasses import replace
from functools import partial

import _harness as h
import numpy as np
from scipy import sparse

from sparseopt.completion import complete
from sparseopt.completion._half_step import HalfSteps
from sparseopt.completion._input import as_entries
from sparseopt.completion._kernels import aligned
from sparseopt.completion._problem import padded
from sparseopt.datasets import make_low_rank

PLAIN = {
    "solver": "als",
    "homotopy": False,
    "cg_steps": 2,
    "init": "random",
    "tol_obj": 0.0,
    "random_state": 0,
}


def random_entries(m, n, n_entries, dtype):
    """Normal values at random places, by row."""
    rng = np.random.default_rng(0)
    places = np.unique(rng.integers(0, m * n, n_entries))
    rows, cols = np.divmod(places, n)
    ptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=m))])
    values = rng.standard_normal(len(places)).astype(dtype)
    return sparse.csr_array((values, cols.astype(np.int32), ptr), shape=(m, n))


def iterations(X, k, count, n_threads=1, **options):
    """Least seconds of an iteration (two half-steps) after the first, and of the start.

    With one thread the lesser of wall and CPU time, as in the harness.
    """

    def stamp(state=None):
        stamps.append((time.perf_counter(), time.process_time()))

    stamps = []
    stamp()
    options = {"alpha": 1e-3, **PLAIN, **options}
    options |= {"max_iter": count + 1, "n_threads": n_threads, "callback": stamp}
    h.timed(partial(complete, X, k, **options))
    spent = np.diff(stamps, axis=0)
    spent = spent[:, 0] if n_threads > 1 else spent.min(axis=1)
    sweep = float(spent[1:].min())
    return sweep, float(spent[0]) - sweep


# -- growth ---------------------------------------------------------------------------


def _exact_and_rough(X, k):
    """Seconds of an exact half-step for all rows, and of two steps for each."""
    entries = as_entries(X)
    rng = np.random.default_rng(0)
    F = aligned((X.shape[1], padded(k, X.dtype)), X.dtype)
    F[:, :k] = np.linalg.qr(rng.standard_normal((X.shape[1], k))).Q
    half = HalfSteps(entries, k)
    out = []
    for call in (half.exact, partial(half.cg, steps=2)):
        seconds = []
        for _ in range(1 if call == half.exact else 3):
            unknown = aligned((X.shape[0], F.shape[1]), X.dtype)
            step = partial(call, False, F, unknown, np.full(k, 1e-3))
            seconds.append(h.timed(step)[1])
        out.append(min(seconds))
    return out


def steps(quick, limit):
    """Slopes in k and in the number of entries, and the exact step beside ours."""
    n_entries = 200_000 if quick else 1_500_000
    X = random_entries(4000, 4000, n_entries, np.float64)
    times = {k: iterations(X, k, 3)[0] for k in (20, 50, 100, 200)}
    slope = np.log(times[200] / times[20]) / np.log(10)
    bars = [h.Bar("slope in k, 20 to 200", "<= 1.15", f"{slope:.2f}", slope <= 1.15)]
    grown = [
        random_entries(4000, 4000, factor * n_entries // 4, np.float64)
        for factor in (1, 4, 16)
    ]
    counts = [Y.nnz for Y in grown]
    sweeps = [iterations(Y, 20, 3)[0] for Y in grown]
    slope = np.log(sweeps[-1] / sweeps[0]) / np.log(counts[-1] / counts[0])
    bars.append(h.Bar("slope in entries", "<= 1.1", f"{slope:.2f}", slope <= 1.1))
    rows = [{"k": k, "iteration seconds": t} for k, t in times.items()]
    rows += [
        {"entries": count, "iteration seconds": t}
        for count, t in zip(counts, sweeps, strict=True)
    ]
    print(f"one iteration, 4000 x 4000, {X.nnz} entries, float64")
    h.print_table(("k", "seconds"), [(k, h.number(t)) for k, t in times.items()])
    print("one iteration, 4000 x 4000, k = 20, float64")
    table = [(c, h.number(t)) for c, t in zip(counts, sweeps, strict=True)]
    h.print_table(("entries", "seconds"), table)
    for k, least in ((100, 7), (200, 15)):
        exact, rough = _exact_and_rough(X, k)
        name = f"exact half-step / two steps, k = {k}"
        text = f"{exact / rough:.1f}x ({exact:.3g} s, {rough:.3g} s)"
        bars.append(h.Bar(name, f">= {least}x", text, exact >= least * rough))
        rows.append({"k": k, "exact half-step": exact, "two steps": rough})
    return rows, bars


# -- twenty million entries -----------------------------------------------------------


def _triplets(m, n, n_entries):
    """Places in random order without repetition, columns of very different size."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, m, n_entries + n_entries // 20)
    cols = (n * rng.random(len(rows)) ** 1.5).astype(np.int64)
    places = np.unique(rows * n + cols)
    places = rng.permutation(places)[:n_entries]
    rows, cols = np.divmod(places, n)
    values = rng.standard_normal(len(places)).astype(np.float32)
    return rows.astype(np.int32), cols.astype(np.int32), values


_FIT = """
from sparseopt.completion import complete
if {fit}:
    complete((rows, cols, values), {k}, alpha=1.0, shape=({m}, {n}), max_iter=2,
             n_threads=1, **{options!r})
"""


def two_threads(quick):
    """How much faster a second thread makes half-steps, median of nine."""
    m, n, k = (800, 600, 20) if quick else (4000, 4000, 50)
    entries = as_entries(make_low_rank(m, n, k, oversampling=4, random_state=0).X)
    rng = np.random.default_rng(0)
    fixed = [
        aligned((size, padded(k, entries.dtype)), entries.dtype) for size in (m, n)
    ]
    for factor, size in zip(fixed, (m, n), strict=True):
        factor[:, :k] = np.linalg.qr(rng.standard_normal((size, k))).Q
    seconds = {1: [], 2: []}
    for _ in range(9):
        for n_threads, spent in seconds.items():
            steps = HalfSteps(replace(entries, n_threads=n_threads, _chunks={}), k)
            start = time.perf_counter()
            for transposed in (False, True):
                unknown = np.zeros_like(fixed[transposed])
                other = fixed[not transposed]
                steps.cg(transposed, other, unknown, np.full(k, 0.01), steps=2)
            spent.append(time.perf_counter() - start)
    ratio = float(np.median(seconds[1]) / np.median(seconds[2]))
    name = f"half-steps, {m} x {n}, k = {k}, two threads"
    return h.Bar(name, ">= 1.7x", f"{ratio:.2f}x", ratio >= 1.7)


def large(quick, limit):
    """Twenty million entries in float32: layout, sweeps, memory, a second thread."""
    m, n, n_entries = (
        (20_000, 5_000, 1_000_000) if quick else (100_000, 20_000, 2 * 10**7)
    )
    k = 20
    triplets = _triplets(m, n, n_entries)
    n_entries = len(triplets[0])
    options = {"alpha": 1.0, "shape": (m, n)}
    layout = min(
        h.timed(partial(as_entries, triplets, shape=(m, n), n_threads=1))[1]
        for _ in range(3)
    )
    sweep, start = iterations(triplets, k, 4, **options)
    ratios = []
    for _ in range(1 if quick else 3):
        one = iterations(triplets, k, 3, **options)[0]
        ratios.append(one / iterations(triplets, k, 3, n_threads=2, **options)[0])
    ratio = float(np.median(ratios))
    arrays = dict(zip(("rows", "cols", "values"), triplets, strict=True))
    peaks = [
        h.peak_memory(_FIT.format(fit=fit, k=k, m=m, n=n, options=PLAIN), arrays)
        for fit in (False, True)
    ]
    growth = peaks[1] - peaks[0]
    factors = 4 * (m + n) * padded(k, np.float32)
    allowed = 28 * n_entries + factors
    size = f"{n_entries:.0e} entries, k = {k}, float32"
    per_entry = (growth - factors) / n_entries
    bars = [
        h.Bar(f"{size}, sweep", "<= 2.0 s", f"{sweep:.2f} s", sweep <= 2),
        h.Bar(f"{size}, layout", "<= 1.5 s", f"{layout:.2f} s", layout <= 1.5),
        h.Bar(
            f"{size}, memory of a fit",
            "<= 28 B an entry and factors",
            f"{per_entry:.1f} B",
            growth <= allowed,
        ),
        two_threads(quick),
        h.Bar(f"{size}, sweep, two threads", ">= 1.7x", f"{ratio:.2f}x", ratio >= 1.7),
    ]
    row = {"sweep": sweep, "layout": layout, "start": start, "two threads": ratio}
    row |= {"growth bytes": growth, "entries": n_entries}
    print(f"{m} x {n}, {size}, one thread")
    h.print_table(
        ("", "seconds"), [(s, h.number(row[s])) for s in ("layout", "start", "sweep")]
    )
    return [row], bars
