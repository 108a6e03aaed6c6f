"""Block descent that keeps the residual, where a Gram matrix exceeds the columns.

Where the groups of a working set have more columns than there are samples, sweeps over
columns read less than sweeps over their Gram matrix, which need not be made, and
Newton's equations are those of the samples.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas, lapack

from sparseopt.linear_model import _group_kernels
from sparseopt.linear_model._design import Design
from sparseopt.linear_model._group_forms import GroupBlocks
from sparseopt.linear_model._run import Run
from sparseopt.linear_model._working_set import root_columns

_ROUNDS = 500
# Sweeps over the groups that are not zero, for one over all of the working set.
_SWEEPS = 4
# Share of the support that may still change before a Newton step.
_SETTLED = 0.02
_STALE = 4
# Share of the tolerated gap that the subproblem may keep.
_GAP = 0.3
# Curvature along the coefficients of a group, relative to that of the columns, where
# the norm has none: the inverse has to exist.  It slows the steps of dependent columns
# down, and falls to the second number as long as it does.
_RADIAL = 1e-6, 1e-13
_FALL = 0.01


class GroupColumns:
    """Columns ``A = diag(sqrt(s)) (X - 1 mean')`` of a growing set of groups.

    Attributes
    ----------
    cols : ndarray of int64
        Columns of X, group by group, in the order in which they were added.
    H : ndarray
        Gram matrices of the groups, one after the other.
    top : ndarray
        A bound of the largest eigenvalue of each.
    """

    def __init__(self, design: Design, s: np.ndarray, *, centred: bool) -> None:
        self.design, self.root, self.centred = design, np.sqrt(s), centred
        self.cols = np.empty(0, dtype=np.int64)
        self.H, self.top = np.empty(0), np.empty(0)
        self._inside = np.zeros(design.p, dtype=bool)
        self._columns = np.empty((design.n, 0), order="F")

    @property
    def A(self) -> np.ndarray:
        """The columns."""
        return self._columns[:, : self.cols.size]

    def add(self, cols: np.ndarray, blocks: GroupBlocks) -> None:
        """Append those groups of the columns that are not there yet."""
        new = cols[~self._inside[cols]]
        if not new.size:
            return
        old, m = self.cols.size, self.cols.size + new.size
        if m > self._columns.shape[1]:
            columns = np.empty((self.design.n, max(m, min(2 * m, m + 2000))), order="F")
            columns[:, :old] = self.A
            self._columns = columns
        block = self._columns[:, old:m]
        root_columns(self.design, new, self.root, self.centred, out=block)
        H, top = _gram_blocks(block, blocks.part(new).ptr)
        self.H, self.top = np.concatenate([self.H, H]), np.concatenate([self.top, top])
        self.cols = np.concatenate([self.cols, new])
        self._inside[new] = True


def _gram_blocks(A: np.ndarray, ptr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gram matrix of each group, one after the other, and bounds of eigenvalues."""
    sizes = np.diff(ptr)
    starts = np.append(0, np.cumsum(sizes**2))
    flat, top = np.empty(starts[-1]), np.empty(sizes.size)
    for size in np.unique(sizes):
        which = np.flatnonzero(sizes == size)
        rows = A.T
        if which.size < sizes.size:
            rows = rows[(ptr[which][:, None] + np.arange(size)).ravel()]
        rows = rows.reshape(which.size, size, -1)
        H = rows @ rows.transpose(0, 2, 1)
        flat[(starts[which][:, None] + np.arange(size**2)).ravel()] = H.ravel()
        top[which] = _norm_bound(H)
    return flat, top


def _norm_bound(H: np.ndarray) -> np.ndarray:
    """Bounds of the largest eigenvalues of a stack of Gram matrices of size d.

    They are the 8-norms of the eigenvalues: at most ``d^(1/8)`` times too large.
    """
    trace = np.einsum("kii->k", H)
    scale = np.where(trace > 0.0, trace, 1.0)
    power = H / scale[:, None, None]
    for _ in range(2):
        power = power @ power
    return trace * np.einsum("kij,kij->k", power, power) ** 0.125


class GroupDescent:
    """Descent on ``||e||^2 / 2 + P(w)`` with ``e = A w - b``.

    Attributes
    ----------
    w, g : ndarray
        Coefficients of the columns, and ``A'e``.
    """

    def __init__(self, run: Run, part: GroupBlocks, columns: GroupColumns) -> None:
        self.part, self.columns, self.A = part, columns, columns.A
        self.w = run.w[columns.cols]
        self.w[np.repeat(columns.top <= 0.0, np.diff(part.ptr))] = 0.0
        self.e = columns.root * (run.z - run.datafit.y)
        self._sizes = np.diff(part.ptr)
        self._where = np.append(0, np.cumsum(self._sizes**2)[:-1])
        self._work = np.empty(3 * int(self._sizes.max(initial=1)))
        self.g = self.A.T @ self.e
        self.radial = _RADIAL[0]

    def active(self) -> np.ndarray:
        """Groups that are not zero."""
        return np.flatnonzero(self.part.norms(self.w))

    def sweep(self, groups: np.ndarray, n_epochs: int) -> None:
        """Cyclic descent over some groups; `g` is left behind."""
        _group_kernels.bcd_columns(
            self.A,
            self.e,
            self.w,
            self.part.ptr,
            self.columns.H,
            self._where,
            self.columns.top,
            self.part.level,
            self.part.level1,
            groups,
            self._work,
            n_epochs,
            0.0,
        )

    def look(self) -> float:
        """Bring `g` up to date; returns the largest violation."""
        self.g = self.A.T @ self.e
        return float(self.part.distance(self.w, self.g, np.empty(0)).max(initial=0.0))

    def gap(self) -> float:
        """Duality gap of the subproblem, infinite where that is more than a scaling."""
        level, part, e = self.part.level, self.part, self.e
        if part.level1.any() or not np.all(level > 0.0):
            return np.inf
        square, slope = float(e @ e), float(self.w @ self.g)
        scale = 1.0 / float(np.max(part.norms(self.g) / level, initial=1.0))
        if square > 0.0:  # e'b is w'A'e - e'e
            scale = min(scale, max(0.0, 1.0 - slope / square))
        value = 0.5 * square + part.value(self.w)
        return value + 0.5 * scale**2 * square + scale * (slope - square)

    def newton(self) -> bool:
        """Newton step on the coordinates that are not zero; whether it was whole."""
        part, S = self.part, np.flatnonzero(self.w)
        label = np.repeat(np.arange(self._sizes.size), self._sizes)[S]
        starts = np.flatnonzero(np.diff(label, prepend=-1))
        which, sizes = label[starts], np.diff(np.append(starts, S.size))
        old, A = self.w[S], self.A[:, S]
        norms = np.sqrt(np.add.reduceat(old * old, starts))
        level, level1 = part.level[which], part.level1[which]
        bend = Bend(
            np.maximum(level / norms, self.radial * self.columns.top[which]),
            self.radial * self.columns.top[which],
            old / np.repeat(norms, sizes),
            starts,
        )
        rise = self.g[S] + part.slope(self.w)[S]
        direction = bend.solve(A, -rise)
        if direction is None:
            return False
        value = part.value(self.w)
        for t in (1.0, 0.3, 0.1):
            new = old + t * direction
            # a group that would turn around stops at zero
            ahead = np.repeat(np.add.reduceat(new * old, starts) > 0.0, sizes)
            if level1.any():
                ahead &= new * old > 0.0
            full = self.w.copy()
            full[S] = np.where(ahead, new, 0.0)
            change = A @ (full[S] - old)
            rise = float(change @ self.e + 0.5 * (change @ change))
            rise += part.value(full) - value
            # rounding of the values must not refuse the last steps
            whole = t == 1.0 and bool(ahead.all())
            if rise < 0.0 or (whole and rise <= 1e-14 * value):
                self.w, self.e = full, self.e + change
                return whole
        return False


class Bend:
    """Second derivative B of norms: `along` the units of groups, and `across`."""

    def __init__(
        self,
        across: np.ndarray,
        along: np.ndarray,
        unit: np.ndarray,
        starts: np.ndarray,
    ) -> None:
        self.across, self.along, self.unit, self.starts = across, along, unit, starts
        self.sizes = np.diff(np.append(starts, unit.size))

    def _times(
        self, across: np.ndarray, along: np.ndarray, x: np.ndarray
    ) -> np.ndarray:
        inner = np.add.reduceat(self.unit * x, self.starts) * (along - across)
        return (
            np.repeat(across, self.sizes) * x + np.repeat(inner, self.sizes) * self.unit
        )

    def solve(self, A: np.ndarray, x: np.ndarray) -> np.ndarray | None:
        """``(A'A + B)^-1 x``, by equations of the smaller size."""
        across, along = 1.0 / self.across, 1.0 / self.along
        if A.shape[1] <= A.shape[0]:
            H = blas.dsyrk(1.0, A, trans=1, lower=1)
            H[np.diag_indices_from(H)] += np.repeat(self.across, self.sizes)
            for start, size, more in zip(
                self.starts, self.sizes, self.along - self.across, strict=True
            ):
                j = slice(start, start + size)
                H[j, j] += more * np.outer(self.unit[j], self.unit[j])
            factor, info = lapack.dpotrf(H, lower=1, clean=0, overwrite_a=1)
            return lapack.dpotrs(factor, x, lower=1)[0] if info == 0 else None
        # I + A B^-1 A'
        inner = np.add.reduceat((A * self.unit).T, self.starts).T
        inner = inner * np.sqrt(along - across)
        K = blas.dsyrk(1.0, A * np.sqrt(np.repeat(across, self.sizes)), lower=1)
        K = blas.dsyrk(1.0, inner, beta=1.0, c=K, lower=1, overwrite_c=1)
        K[np.diag_indices_from(K)] += 1.0
        factor, info = lapack.dpotrf(K, lower=1, clean=0, overwrite_a=1)
        if info:
            return None
        y = self._times(across, along, x)
        z = lapack.dpotrs(factor, A @ y, lower=1)[0]
        return y - self._times(across, along, A.T @ z)


def minimise_groups(
    run: Run, part: GroupBlocks, columns: GroupColumns, tol: float
) -> tuple[np.ndarray, bool]:
    """Coefficients with violations up to `tol`, or a gap well within that of the run.

    Returned with whether they are, or at least may still become it.
    """
    state = GroupDescent(run, part, columns)
    everything = np.arange(part.level.size)
    enough = _GAP * run.tol * run.scale if run.has_gap else -np.inf
    before, patience, waited, best, stale = np.empty(0), 1, 1, np.inf, 0
    for _ in range(_ROUNDS):
        state.sweep(everything, 1)
        state.sweep(state.active(), _SWEEPS)
        run.n_epochs += 1 + _SWEEPS
        worst = state.look()
        if (
            worst <= tol
            or state.gap() <= enough
            or run.expired()
            or not np.isfinite(worst)
        ):
            break
        active = state.active()
        changes = np.setxor1d(before, active, assume_unique=True).size
        before, waited = active, waited + 1
        settled = changes <= max(1, _SETTLED * active.size)
        if active.size and settled and waited >= patience:
            last, whole = worst, state.newton()
            before = state.active()
            waited, patience = 0, 1 if whole else min(2 * patience, 64)
            worst = state.look()
            if worst <= tol or state.gap() <= enough:
                break
            if whole and worst > 0.1 * last:
                state.radial = max(_RADIAL[1], _FALL * state.radial)
            stale = 0 if worst < 0.5 * best else stale + 1
            best = min(best, worst)
            if stale > _STALE:
                return state.w, False
    return state.w, True
