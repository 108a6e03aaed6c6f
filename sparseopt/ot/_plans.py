"""Views of the plan at given potentials: all entries, or a certified sparse support.

They update the rows, measure the error and solve the Newton system of the semi-dual

    (diag(c) - P' A^-1 P) x = b - c,        g += reg x,

by conjugate gradients with a Jacobi preconditioner.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from sparseopt.ot import _kernels
from sparseopt.ot._problem import Duals, Problem

# Iterations of conjugate gradients between two looks at the clock are bounded by this
# many multiply-adds, about 0.2 s.
_CG_CHUNK, _CG_STEPS = 2e8, 8
_ENTRIES_PER_THREAD = 100_000


def _worthwhile(n_threads: int, entries: int) -> int:
    """Threads for a sweep of so many entries.

    Each gets at least about 0.05 ms of work, well above the cost of waking it.
    """
    return max(1, min(n_threads, entries // _ENTRIES_PER_THREAD))


def _conjugate_gradients(problem, duals, extra, diag, floor):
    """Solver for a Newton matrix with this extra and this whole diagonal.

    Columns whose sum is below `floor` are not seen by the view of the plan: they get
    that much diagonal, and no residual if their target is not seen either.
    """
    m = problem.shape[1]
    residual = problem.b - duals.c
    unseen = duals.c < floor
    unseen[m:] = False
    extra[unseen] += floor
    diag[unseen] += floor
    residual[unseen & (problem.b < floor)] = 0.0
    extra[m:] = diag[m:] = 1.0  # padding
    return _kernels.ConjugateGradients(extra, 1.0 / diag, residual)


class DensePlan:
    """All entries, recomputed at each use: no second matrix is stored."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.n_passes = 0
        self.at: Duals | None = None  # what was evaluated last

    @property
    def nnz(self) -> int:
        return self.problem.C.size

    def floor(self, duals: Duals, reg: float) -> float:
        """Column sums below this are not known."""
        return 1e-290

    def evaluate(self, duals: Duals, reg: float, fast: bool = False) -> None:
        """Exact rows in one read of the cost; `fast` takes exp in float32."""
        p, d = self.problem, duals
        args = (p.C, p.a, p.loga, 1 / reg, d.f, d.g, d.c, p.rows, fast)
        kind = "fast pass" if fast else "pass"
        p.pace.run(kind, p.C.size, lambda k: _kernels.dense_pass(*args, k))
        self.n_passes += 1
        duals.measure(p, reg)
        self.at = duals

    def direction(
        self, duals: Duals, reg: float, rtol: float, shift: float, max_cg: int,
        expired: Callable[[], bool],
    ) -> tuple[np.ndarray, int]:  # fmt: skip
        p = self.problem
        d = np.empty(p.padded)
        args = (p.C, p.a, 1 / reg, duals.f, duals.g)
        _kernels.dense_hess_vec(*args, None, d, p.rows, p.n_threads)
        diag = np.maximum(duals.c - d, 1e-3 * duals.c) + shift
        floor = self.floor(duals, reg)
        cg = _conjugate_gradients(p, duals, duals.c + shift, diag, floor)

        def product(n_threads: int) -> bool:
            return cg.run_dense(*args, rtol, p.rows, n_threads)

        while not p.pace.run("dense product", p.C.size, product):
            if cg.stalled or cg.n_iter >= max_cg or expired():
                break
        self.n_passes += 1 + cg.n_iter
        return cg.x_array, cg.n_iter


class ScaledPlan(DensePlan):
    """All entries, stored at potentials (f0, g0) and scaled: ``u_i K_ij v_j``.

    A pass is bound by memory and three times as fast as one that takes exponentials.
    The plan is made anew when potentials moved by more than 50 reg: `f` moves by no
    more than `g` does, so no factor leaves the range of float64.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.K = np.empty(problem.shape)
        self.u = np.empty(problem.shape[0])
        self.base: Duals | None = None

    def evaluate(self, duals: Duals, reg: float, fast: bool = False) -> None:
        p = self.problem
        base = self.base
        if base is None or not self._near(base, duals, reg):
            super().evaluate(duals, reg)
            self.base = duals.copy()
            entries = (p.C, 1 / reg, duals.f, duals.g, self.K, p.rows)
            _kernels.plan_entries(*entries, p.n_threads)
            return
        v = np.exp((duals.g - base.g) / reg)
        args = (self.K, p.a, v, self.u, duals.c, p.rows)
        p.pace.run("scaling", p.C.size, lambda k: _kernels.scaling_pass(*args, k))
        duals.c *= v
        duals.f[:] = base.f + reg * np.log(self.u)
        self.n_passes += 1
        duals.measure(p, reg)
        self.at = duals

    @staticmethod
    def _near(base: Duals, duals: Duals, reg: float) -> bool:
        return base.reg == reg and bool(np.abs(duals.g - base.g).max() <= 50.0 * reg)


class Support:
    """Entries that matter: blocks with an entry ``P_ij > a_i exp(-width)`` at (f0, g0).

    What is left out stays below ``a_i exp(-w)`` at other potentials and a smaller
    ``reg`` as long as `covers` says so, because an entry's exponent grows by at most
    ``max(f - f0) + max(g - g0)``.
    """

    def __init__(self, problem, duals, width, ptr, blk) -> None:
        self.problem, self.reg, self.width = problem, duals.reg, width
        self.f0, self.g0 = duals.f.copy(), duals.g.copy()
        self.ptr, self.blk = ptr, blk
        self.E = np.empty(_kernels.BLOCK * blk.shape[0])
        self.at: Duals | None = None  # whose plan E holds
        self.rows = _kernels.support_blocks(ptr, problem.padded)
        self.n_threads = _worthwhile(problem.n_threads, self.nnz)

    @classmethod
    def count(cls, problem: Problem, duals: Duals, width: float):
        """Row pointer of the support at exact potentials; one read of the cost."""
        p = problem
        slack = duals.reg * (width - p.loga)
        args = (p.C, duals.f, duals.g, slack, p.rows)
        ptr = p.pace.run("count", p.C.size, lambda k: _kernels.support_count(*args, k))
        return slack, ptr

    @classmethod
    def build(cls, problem, duals, width, counted) -> Support:
        slack, ptr = counted
        p = problem
        args = (p.C, duals.f, duals.g, slack, p.rows, ptr)
        blk = p.pace.run("fill", p.C.size, lambda k: _kernels.support_fill(*args, k))
        return cls(problem, duals, width, ptr, blk)

    def release(self) -> None:
        """Free the entries before another support is built: one is held at a time."""
        self.E = np.empty(0)

    @property
    def nnz(self) -> int:
        return int(self.ptr[-1]) * _kernels.BLOCK

    def width_at(self, duals: Duals, reg: float) -> float:
        """Entries left out are now below ``a_i exp(-width_at)``."""
        rise = (duals.f - self.f0).max() + (duals.g - self.g0).max()
        return float((self.reg * self.width - rise) / reg)

    def covers(self, duals: Duals, reg: float, width: float) -> bool:
        """Whether entries left out are below ``a_i exp(-width)``."""
        return self.width_at(duals, reg) >= width

    def floor(self, duals: Duals, reg: float) -> float:
        """Column sums below this are not known: what was left out can be as large."""
        return math.exp(-min(max(self.width_at(duals, reg), 0.0), 660.0))

    def refined(self, duals: Duals, width: float) -> Support:
        """The smaller support of `width` at the potentials of the last `evaluate`.

        If that is much smaller, this one gives up its entries and cannot be used again.

        It is cut from this one without a read of the whole cost, which is right while
        this one covers `width`.
        """
        p = self.problem
        args = (self.ptr, self.blk, self.E, p.a, math.exp(-width), self.rows)

        def cut(n_threads: int) -> tuple[np.ndarray, np.ndarray]:
            return _kernels.support_refine(*args, n_threads)

        parts = p.pace.run("refine", self.nnz, cut, most=self.n_threads)
        if parts[0][-1] > 0.7 * self.ptr[-1]:
            return self
        self.release()
        return Support(p, duals, width, *parts)

    def evaluate(self, duals: Duals, reg: float, fast: bool = False) -> None:
        """Exact rows on the support; the entries of the plan are left in `E`."""
        p, d = self.problem, duals
        args = (p.C, self.ptr, self.blk, p.a, p.loga, 1 / reg, d.f, d.g, d.c, self.E)

        def sweep(n_threads: int) -> None:
            _kernels.support_eval(*args, self.rows, n_threads)

        p.pace.run("support", self.nnz, sweep, most=self.n_threads)
        duals.measure(p, reg)
        self.at = duals

    def direction(
        self, duals: Duals, reg: float, rtol: float, shift: float, max_cg: int,
        expired: Callable[[], bool],
    ) -> tuple[np.ndarray, int]:  # fmt: skip
        """Newton direction; needs the `E` of these potentials.

        The Hessian drops entries far below the error; its diagonal keeps the exact
        column sums, so the matrix stays diagonally dominant.
        """
        p = self.problem
        dropped = 1e-6 * min(1.0, duals.err)
        args = (self.ptr, self.blk, self.E, p.a, p.padded, dropped, self.rows)

        def assemble(n_threads: int) -> _kernels.Laplacian:
            return _kernels.Laplacian(*args, n_threads)

        H = p.pace.run("assemble", self.nnz, assemble, most=self.n_threads)
        extra = H.drop + shift
        floor = self.floor(duals, reg)
        cg = _conjugate_gradients(p, duals, extra, H.d + extra, floor)
        most = _worthwhile(p.n_threads, H.nnz)
        chunk = min(_CG_STEPS, int(_CG_CHUNK / (2.0 * H.nnz + 10.0 * p.padded)) + 1)

        def iterate(n_threads: int) -> bool:
            return cg.run(H, rtol, min(chunk, max_cg - cg.n_iter), n_threads)

        while not p.pace.run("products", chunk * H.nnz, iterate, most=most):
            if cg.stalled or cg.n_iter >= max_cg or expired():
                break
        return cg.x_array, cg.n_iter
