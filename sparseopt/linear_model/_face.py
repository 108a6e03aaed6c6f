"""Minimisers of a quadratic on the support, by Newton steps that go on past kinks.

On the face of the coordinates that are not at a kink the penalty is linear or
quadratic.  A step that meets a kink leaves that coordinate there and takes the
direction anew, so that coordinates that sweeps brought back by next to nothing do not
hold up the others.

Products of nearly dependent columns have lost what tells these apart.  There the
columns are factorised themselves, with pivots: directions that rounding leaves nothing
of are those along which only the penalty changes, at a constant rate until some
coordinate is zero.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import lapack, qr, solve_triangular

from sparseopt.linear_model import _kernels
from sparseopt.linear_model._working_set import Products

# Least square of a pivot, relative to the diagonal, that products of columns resolve.
_RESOLVED = 1e-8
# Pivots of the columns themselves that are rounding, relative.
_RANK = 1e-14
# Slopes of the penalty along such a direction that are rounding, relative.
_LEVEL = 1e-9
# A coordinate that ends that near its kink, relative to the way, is there.
_AT = 1e-14
_HELD = 32  # coordinates that one factor holds at kinks
_REFINED = 2  # repetitions of a whole step where columns are nearly dependent
_WORK = 1e9  # multiplications in factors of one walk


class Factor(NamedTuple):
    """Triangular factor of a Hessian, ``R'R`` of its coordinates in some order."""

    R: np.ndarray
    order: np.ndarray
    rank: int
    unit: np.ndarray

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Solutions within the rank, 0 beyond."""
        inside = self.order[: self.rank]
        head, out = self.R[: self.rank, : self.rank], np.zeros_like(right)
        scale = self.unit if right.ndim == 1 else self.unit[:, None]
        half = solve_triangular(head, (right / scale)[inside], trans="T")
        out[inside] = solve_triangular(head, half)
        return out / scale

    def direction(self, rise: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, bool]:
        """Newton direction for slopes `rise`, and whether its whole length is known.

        `level` are the slopes of the penalty alone.  Along coordinates beyond the rank
        the quadratic is constant: where the penalty falls there, they come first.
        """
        inside, beyond = self.order[: self.rank], self.order[self.rank :]
        if beyond.size:
            level = level / self.unit
            top = self.R[: self.rank]
            tied = solve_triangular(top[:, : self.rank], top[:, self.rank :])
            pull = level[beyond] - tied.T @ level[inside]
            if np.abs(pull).max() > _LEVEL * np.abs(level).max():
                step = np.zeros(rise.size)
                step[beyond], step[inside] = -pull, tied @ pull
                return step / self.unit, False
        return -self.solve(rise), True


def cholesky(H: np.ndarray, bend: np.ndarray | float) -> Factor | None:
    """Factor of ``H + diag(bend)``; None where rounding hides its bends."""
    # symmetric: the transpose of a C array is what LAPACK overwrites
    M = np.array(H, order="C").T
    M[np.diag_indices_from(M)] += bend
    least = _RESOLVED * M.diagonal()
    lower, info = lapack.dpotrf(M, lower=1, overwrite_a=1)
    if info or not np.all(lower.diagonal() ** 2 > least):
        return None
    return Factor(lower.T, np.arange(len(M)), len(M), np.ones(len(M)))


def factor_columns(A: np.ndarray) -> Factor:
    """Factor of ``A'A`` from the columns, with pivots."""
    unit = np.sqrt(np.einsum("ij,ij->j", A, A))
    unit = np.where(unit > 0.0, unit, 1.0)
    R, order = qr(A / unit, mode="r", pivoting=True, check_finite=False)
    sizes = np.abs(R.diagonal())
    rank = int(np.count_nonzero(sizes > _RANK * sizes.max(initial=0.0)))
    return Factor(R, order, rank, unit)


def one_piece(
    part: Any, old: np.ndarray, step: np.ndarray, longest: float
) -> tuple[np.ndarray, bool]:
    """The point at the first kink along a step, or at its end, and whether that was."""
    reach = part.reach(old, step)
    t = min(longest, float(reach.min()))
    hit = reach <= t * (1.0 + _AT)
    return np.where(hit, part.kink(step), old + t * step), not hit.any()


def along(
    factor: Factor, part: Any, old: np.ndarray, rise: np.ndarray
) -> tuple[np.ndarray, bool]:
    """The point where Newton steps from kink to kink end, and whether that is the end.

    Coordinates at kinks are held there by multipliers: the solutions for them are
    those of the factor, corrected by its solutions for one unit vector each.
    """
    whole, left, new = -factor.solve(rise), 1.0, old
    held: list[int] = []
    units = np.empty((old.size, 0))
    while True:
        step = whole
        if held:
            pull = np.linalg.solve(units[held], whole[held])
            step = whole - units @ pull
            step[held] = 0.0
        step = left * step
        before = new
        new, ended = one_piece(part, before, step, 1.0)
        if ended or len(held) >= _HELD:
            return new, ended
        at = np.flatnonzero((new == part.kink(step)) & (new != before))
        # slopes of the others fall with the part of the way that is done
        left *= 1.0 - float(np.max((new[at] - before[at]) / step[at]))
        held.extend(at)
        fresh = np.zeros((old.size, at.size))
        fresh[at, np.arange(at.size)] = 1.0
        units = np.hstack([units, factor.solve(fresh)])


class Walk:
    """Newton steps on the support of a part, from kink to kink, in place.

    Attributes
    ----------
    root : ndarray or None
        Columns of the present support, or their triangular factor, where products do
        not resolve them.
    """

    def __init__(self, part: Any, gram: Products, g: np.ndarray, w: np.ndarray) -> None:
        self.part, self.gram, self.g, self.w = part, gram, g, w
        self.root: np.ndarray | None = None
        self.work = 0.0

    def run(self) -> int:
        """Minimise on the face; how many coordinates stopped at kinks, -1 for no end.

        Every piece lowers the objective, or is rounding.
        """
        A, stopped, repeated = self.part.active(self.w), 0, 0
        while A.size and repeated <= _REFINED:
            if self.work > _WORK:
                return -1
            new, ended = self._step(A)
            if not np.isfinite(new).all():
                return -1
            self._move(A, new - self.w[A])
            self.w[A] = new
            stays = self.part.part(A).active(new)
            stopped += A.size - stays.size
            A = A[stays]
            if self.root is not None:
                self.root = self.root[:, stays]
            elif ended:
                break
            repeated += ended
        return stopped

    def _step(self, A: np.ndarray) -> tuple[np.ndarray, bool]:
        """New values of the support, and whether they are on no kink."""
        self.work += 1.0 * A.size**3
        part, old = self.part.part(A), self.w[A]
        bend, level = part.bend(old), part.slope(old)
        rise = self.g[A] + level
        if self.root is None:
            factor = cholesky(self.gram.H[np.ix_(A, A)], bend)
            if factor is not None:
                return along(factor, part, old, rise)
            self.root = self.gram.dense(A)
        curved = np.diag(np.sqrt(bend)) if bend.any() else np.empty((0, A.size))
        factor = factor_columns(np.vstack([self.root, curved]))
        if not curved.size:  # of fewer rows, for the next piece
            self.root = np.empty_like(factor.R)
            self.root[:, factor.order] = factor.R * factor.unit[factor.order]
        step, known = factor.direction(rise, level)
        return one_piece(part, old, step, 1.0 if known else np.inf)

    def _move(self, A: np.ndarray, step: np.ndarray) -> None:
        """Follow a step with the slopes, from the columns where products lost it."""
        if self.root is None:
            _kernels.add_rows(self.gram.H, A, step, self.g)
        else:
            self.g += self.gram.products(self.gram.dense(A) @ step)
