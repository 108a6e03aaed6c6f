"""Least squares for all rows of a factor: half-steps of the published method."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sparseopt._core._status import Status
from sparseopt._core._threads import blas_limit
from sparseopt.completion import _exact, _sketch
from sparseopt.completion._half_step import HalfSteps
from sparseopt.completion._kernels import aligned
from sparseopt.completion._problem import Entries, Side
from sparseopt.completion._run import Run, Stop

# A sketch has so many rows for each unknown, and a few more.
_SKETCH, _SKETCH_EXTRA = 4, 8
# A sketch is singular with a pivot below this part of the largest: as a power of eps.
_SINGULAR = 2 / 3
# The Gram matrix is, with a squared pivot below this part.
_SINGULAR_GRAM = 3 / 4
# Seconds that a thread is kept from looking for an interrupt, roughly.
_SLICE = 0.2


def least_squares(
    run: Run,
    part: Entries,
    transposed: bool,
    fixed: np.ndarray,
    solver: str,
    tol: float,
) -> np.ndarray:
    """The factor whose rows fit the entries best, of least norm where many do.

    Parameters
    ----------
    run : Run
        Its generator seeds the sketches; `Stop` is raised at its time limit.
    part : Entries
    transposed : bool
        Whether the columns' factor is unknown.
    fixed : ndarray of shape (n, width)
        Padded factor.
    solver : {"cg", "sketch", "cholesky"}
    tol : float
        Reduction of each row's gradient, of the iterative solvers.
    """
    unknown = aligned((part.side(transposed).n_rows, fixed.shape[1]), fixed.dtype)
    rows = _Rows(run, part, transposed, fixed, unknown)
    work = {"cg": rows.cg, "sketch": rows.sketch, "cholesky": rows.cholesky}[solver]
    with blas_limit(1):
        run.work += work(tol) * part.n_entries / max(run.entries.n_entries, 1)
    return unknown


class _Rows:
    """One half-step; the methods fill ``unknown`` and return its work.

    Work is in units of ``2 n_entries k`` operations, as that of `HalfSteps`.
    """

    def __init__(
        self,
        run: Run,
        part: Entries,
        transposed: bool,
        fixed: np.ndarray,
        unknown: np.ndarray,
    ) -> None:
        self.run, self.part, self.transposed = run, part, transposed
        self.fixed, self.unknown = fixed, unknown
        self.side, self.k = part.side(transposed), run.k
        self.counts = np.diff(self.side.ptr)
        self.eps = float(np.finfo(part.dtype).eps)

    def slices(self, entry_ns: float, row_ns: float) -> Iterator[np.ndarray]:
        """Chunks of rows for one call after the other, none of them long."""
        for chunks in slices(self.side, entry_ns, row_ns, self.part.n_threads):
            if self.run.monitor.time_left() <= 0:
                raise Stop(Status.TIME_LIMIT)
            yield chunks

    def cg(self, tol: float) -> float:
        half = HalfSteps(self.part, self.k)
        steps = 2 * self.k + 10  # in exact arithmetic k are enough
        n_slices = 0
        for chunks in self.slices(0.3 * self.k * steps, 100.0):
            n_slices += 1
            half.cg(
                self.transposed,
                self.fixed,
                self.unknown,
                np.zeros(self.k),
                steps=steps,
                tol=tol,
                chunks=chunks,
            )
        return half.work / max(n_slices, 1)

    def cholesky(self, tol: float) -> float:
        """Cholesky of the Gram matrices, QR where those are singular."""
        half, side, k = HalfSteps(self.part, self.k), self.side, self.k
        state = np.zeros(side.n_rows, np.int32)
        zero, one = half.pad(np.zeros(k)), half.pad(np.ones(k))
        rss, drop = half.rss[self.transposed], half.dropped[self.transposed]
        for chunks in self.slices(0.1 * k * (k + 10), 0.1 * k**3 + 1000.0):
            _exact.exact_rows(
                side.ptr, side.idx, side.val, side.weight, self.fixed, self.unknown,
                zero, one, None, k, k, rss, drop, state, chunks, self.part.n_threads,
                1, self.eps**_SINGULAR_GRAM,
            )  # fmt: skip
        failed = np.flatnonzero((state == _exact.FAILED) & (self.counts > 0))
        if failed.size:
            self.direct(failed)
        return 2 + k / 2

    def sketch(self, tol: float) -> float:
        """CG with a preconditioner of its own for each row, QR for short rows."""
        size = _SKETCH * self.k + _SKETCH_EXTRA
        steps = np.zeros(self.side.n_rows, np.int32)
        seed = int(self.run.rng.integers(2**63))
        for chunks in self.slices(20.0 * self.k, 5.0 * self.k**3 + 1000.0):
            self._sketched(size, seed, tol, steps, chunks)
        short = self.counts <= 2 * size
        products = np.where(short, self.k, 2 * steps + 2.0)
        return float(products @ self.counts) / max(self.part.n_entries, 1)

    def direct(self, rows: np.ndarray) -> None:
        """QR decompositions of these rows' matrices; least norm if singular."""
        steps = np.zeros(self.side.n_rows, np.int32)
        chunks = np.stack([rows, rows + 1], axis=1).astype(np.int64)
        # a few at a time, as each takes the longer the more entries it has
        cost = np.cumsum(self.counts[rows] * 0.5 * self.k**2 + 20.0 * self.k**3)
        n = int(cost[-1] / (1e9 * _SLICE * self.part.n_threads)) + 1
        for some in np.array_split(chunks, min(n, len(chunks))):
            self._sketched(0, 0, 0.0, steps, some)

    def _sketched(
        self, size: int, seed: int, tol: float, steps: np.ndarray, chunks: np.ndarray
    ) -> None:
        side = self.side
        longest = int(self.counts.max(initial=0))
        _sketch.sketched_rows(
            side.ptr, side.idx, side.val, side.weight, self.fixed, self.unknown, self.k,
            size, longest, seed, tol, self.eps**_SINGULAR, steps, chunks,
            self.part.n_threads,
        )  # fmt: skip
        if (steps == _sketch.FAILED).any():
            raise Stop(Status.NUMERICAL_FAILURE)


def slices(
    side: Side, entry_ns: float, row_ns: float, n_threads: int
) -> Iterator[np.ndarray]:
    """Ranges of rows for one kernel call after the other, none of them long.

    Costs are those of an entry, and of a row besides. An interrupt is seen between the
    calls only.
    """
    work = entry_ns * side.ptr + row_ns * np.arange(len(side.ptr))
    n_slices = int(work[-1] / (1e9 * _SLICE * n_threads)) + 1
    for first, last in _cuts(work, 0, side.n_rows, n_slices):
        chunks = _cuts(work, first, last, 16 * n_threads if n_threads > 1 else 1)
        order = np.argsort(-np.diff(work[chunks], axis=1)[:, 0], kind="stable")
        yield chunks[order]


def _cuts(work: np.ndarray, first: int, last: int, n: int) -> np.ndarray:
    """Ranges between two rows of about equal work."""
    inner = np.linspace(work[first], work[last], n + 1)[1:-1]
    inner = np.clip(np.searchsorted(work, inner), first, last)
    cuts = np.unique(np.concatenate([[first], inner, [last]])).astype(np.int64)
    return np.stack([cuts[:-1], cuts[1:]], axis=1)
