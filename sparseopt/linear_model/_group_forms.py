"""Group penalties on a working set: values, slopes, sweeps, Newton steps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from sparseopt.linear_model import _kernels
from sparseopt.linear_model._face import cholesky, factor_columns
from sparseopt.linear_model._forms import first_kink
from sparseopt.linear_model._working_set import Products
from sparseopt.prox import GroupLasso, Penalty, SparseGroupLasso

_NEAR = 0.9
# Norms do not bend along their argument.  Where the quadratic does not either, as for
# equal columns in two groups, steps are without bounds; with a share of the bend that
# norms have across they are not, and with all of it every step falls.
_RADIAL = 0.0, 1e-2, 1.0
_RANGE = 1e-140, 1e140  # magnitudes whose squares can be summed


@dataclass(frozen=True)
class GroupBlocks:
    """Penalty ``sum_g (level_g ||w_g|| + level1_g ||w_g||_1)`` of disjoint groups.

    Coordinates in no group are blocks of their own with levels 0.

    Attributes
    ----------
    label : ndarray of int64
        Group of each coordinate of the whole problem.
    order : ndarray of int64
        Coordinates, group by group.
    ptr : ndarray of int64
        Where groups start in `order`, or for a part in its own coefficients.
    level, level1 : ndarray
        One for each group.
    size : int or None
        Size of all groups, which then stand side by side.
    """

    label: np.ndarray
    order: np.ndarray
    ptr: np.ndarray
    level: np.ndarray
    level1: np.ndarray
    size: int | None = None
    is_convex: bool = True
    _steps: dict = field(default_factory=dict)

    @classmethod
    def of(cls, penalty: Penalty, n: int) -> GroupBlocks | None:
        """Blocks of a group penalty for n coordinates, None if it is no such."""
        if not isinstance(penalty, (GroupLasso, SparseGroupLasso)):
            return None
        parts = penalty.parts((n,))
        groups, free = parts.groups, np.asarray(parts.free, dtype=np.int64)
        ratio = penalty.l1_ratio if isinstance(penalty, SparseGroupLasso) else 0.0
        weights = np.ones(groups.m) if parts.weights is None else parts.weights
        level = penalty.lam * (1.0 - ratio) * weights
        level1 = np.full(groups.m, penalty.lam * ratio)
        if groups.size is not None:
            order = np.arange(n)
            label = np.repeat(np.arange(groups.m), groups.size)
            ptr = np.arange(0, n + 1, groups.size)
            return cls(label, order, ptr, level, level1, groups.size)
        sizes = np.concatenate([groups.sizes, np.ones(free.size, dtype=np.int64)])
        order = np.concatenate([groups.indices, free]).astype(np.int64)
        label = np.empty(n, dtype=np.int64)
        label[order] = np.repeat(np.arange(sizes.size), sizes)
        none = np.zeros(free.size)
        level, level1 = np.append(level, none), np.append(level1, none)
        ptr = np.append(0, np.cumsum(sizes)).astype(np.int64)
        return cls(label, order, ptr, level, level1)

    def times(self, factor: float) -> GroupBlocks:
        """The penalty with another strength."""
        return replace(self, level=factor * self.level, level1=factor * self.level1)

    def part(self, cols: np.ndarray) -> GroupBlocks:
        """The penalty of whole groups, whose columns stand side by side."""
        label = self.label[cols]
        starts = np.flatnonzero(np.diff(label, prepend=-1))
        which = label[starts]
        ptr = np.append(starts, cols.size).astype(np.int64)
        return replace(
            self,
            order=np.arange(cols.size),
            ptr=ptr,
            level=self.level[which],
            level1=self.level1[which],
            _steps={},
        )

    # ------------------------------------------------------------- the whole problem

    def excess(self, w: np.ndarray, grad: np.ndarray) -> float:
        """Largest slope of a zero group over what the penalty holds, about."""
        norms = self.norms(self._sorted(grad))
        bound = self.level + self.level1
        inside = (bound > 0) & (self.norms(self._sorted(w)) == 0)
        return float(np.max(norms[inside] / bound[inside], initial=1.0))

    def scores(self, w: np.ndarray, grad: np.ndarray, square: np.ndarray) -> np.ndarray:
        """Violation of each group."""
        grad = self._sorted(grad)
        rest = self._soft(grad) if self.level1.any() else grad
        scores = np.maximum(self.norms(rest) - self.level, 0.0)
        w = self._sorted(w)
        active = np.flatnonzero(self.norms(w))
        if active.size:
            cols = self._columns(active)
            scores[active] = self.part(self.order[cols]).distance(
                w[cols], grad[cols], square
            )
        return scores

    def choose(
        self, w: np.ndarray, scores: np.ndarray, cols: np.ndarray, first: int
    ) -> np.ndarray:
        """Columns of groups to add: all active, and the worst outside."""
        active = self.norms(self._sorted(w)) > 0
        outside = (scores > 0) & ~active
        outside[self.label[cols]] = False
        worst = np.flatnonzero(outside)
        mean = max(1, self.order.size // max(1, self.level.size))
        size = max(first // mean, 1, int(np.count_nonzero(active)))
        if worst.size > size:
            worst = np.sort(worst[np.argpartition(-scores[worst], size)[:size]])
        groups = np.concatenate([np.flatnonzero(active), worst])
        return self.order[self._columns(groups)]

    def _columns(self, groups: np.ndarray) -> np.ndarray:
        """Places in `order` of the columns of some groups."""
        sizes = np.diff(self.ptr)[groups]
        before = np.append(0, np.cumsum(sizes)[:-1])
        return np.repeat(self.ptr[groups] - before, sizes) + np.arange(sizes.sum())

    def _sorted(self, x: np.ndarray) -> np.ndarray:
        return x if self.size is not None else x[self.order]

    def near(self, w: np.ndarray, cols: np.ndarray, g: np.ndarray) -> np.ndarray:
        """Which columns of a working set are in groups that are nearly active."""
        part = self.part(cols)
        rest = part._soft(g)
        close = (part.norms(w[cols]) > 0) | (part.norms(rest) > _NEAR * part.level)
        return part._spread(close)

    def screen(self, grad: np.ndarray, reach: np.ndarray) -> np.ndarray:
        """Coordinates of groups that may be non-zero if the dual moves by `reach`.

        The Frobenius norm bounds how far the slope of a group moves.
        """
        if self.level1.any():
            return np.ones(grad.size, dtype=bool)
        slopes = self.norms(self._sorted(grad)) + self.norms(self._sorted(reach))
        alive = np.empty(grad.size, dtype=bool)
        alive[self.order] = self._spread(slopes >= self.level)
        return alive

    # -------------------------------------------------------------------- any blocks

    def norms(self, x: np.ndarray) -> np.ndarray:
        top = float(np.abs(x).max(initial=0.0))
        if not _RANGE[0] < top < _RANGE[1] and 0.0 < top < np.inf:
            return top * self.norms(x / top)  # squares would be lost
        if self.size is not None:
            x = x.reshape(-1, self.size)
            return np.sqrt(np.einsum("ij,ij->i", x, x))
        return np.sqrt(np.add.reduceat(x * x, self.ptr[:-1]))

    def _spread(self, values: np.ndarray) -> np.ndarray:
        return np.repeat(values, self.size or np.diff(self.ptr))

    def _soft(self, g: np.ndarray) -> np.ndarray:
        bound = self._spread(self.level1)
        return np.sign(g) * np.maximum(np.abs(g) - bound, 0.0)

    def value(self, w: np.ndarray) -> float:
        """Sum of the penalties."""
        value = float(self.level @ self.norms(w))
        if self.level1.any():
            value += float(self._spread(self.level1) @ np.abs(w))
        return value

    def allows(self, w: np.ndarray) -> bool:
        """Whether the penalty is finite."""
        return bool(np.isfinite(w).all())

    def slope(self, w: np.ndarray) -> np.ndarray:
        """Derivative at the coordinates where the penalty is smooth."""
        norms = self.norms(w)
        factor = np.divide(self.level, norms, out=np.zeros_like(norms), where=norms > 0)
        slope = self._spread(factor) * w
        if self.level1.any():
            slope += self._spread(self.level1) * np.sign(w)
        return slope

    def distance(self, w: np.ndarray, g: np.ndarray, square: np.ndarray) -> np.ndarray:
        """Distance of ``-g`` to the subdifferential for each group."""
        inside = self.norms(w) > 0
        rest = np.where(w != 0, g + self.slope(w), self._soft(g))
        norms = self.norms(rest)
        return np.where(inside, norms, np.maximum(norms - self.level, 0.0))

    def pattern(self, w: np.ndarray) -> np.ndarray:
        """What a Newton step assumes to stay: groups, and with an l1 part signs."""
        if self.level1.any():
            return np.sign(w).astype(np.int8)
        return (self.norms(w) > 0).astype(np.int8)

    def sweep(
        self, H: np.ndarray, g: np.ndarray, w: np.ndarray, n_epochs: int, tol: float
    ) -> int:
        """Block coordinate descent with a Gram matrix, in place."""
        if self._steps.get("H") is not H:  # Newton's method changes it
            self._steps["H"], self._steps["top"] = H, _largest_eigenvalues(H, self.ptr)
            self._steps["work"] = np.empty(int(np.diff(self.ptr).max(initial=1)))
        top, work = self._steps["top"], self._steps["work"]
        arguments = (self.ptr, top, self.level, self.level1, work, n_epochs, tol)
        return _kernels.bcd_gram(H, g, w, *arguments)[0]

    def newton(self, gram: Products, g: np.ndarray, w: np.ndarray) -> int:
        """Newton step on the coordinates that are not zero, in place.

        Returns 0 for a whole step, 1 for a shortened one, -1 for none.
        """
        A = np.flatnonzero(w)
        if not A.size:
            return 0
        old, H = w[A], gram.H
        inner, slope = H[np.ix_(A, A)], g[A]
        rise = slope + self.slope(w)[A]
        value, kinked = self.value(w), self.level1.any()
        for radial in _RADIAL:
            direction = self._direction(gram, w, A, radial, rise)
            if direction is None:
                continue
            shares = [1.0, 0.3, 0.1]
            if kinked:  # up to the first kink it falls where a longer one does not
                shares.append(first_kink(old, direction))
            for t in shares:
                new = old + t * direction
                if kinked:
                    inside = (new * old > 0) & (np.abs(new) > 1e-15 * np.abs(old))
                    new = np.where(inside, new, 0.0)
                step = new - old
                full = w.copy()
                full[A] = new
                change = step @ slope + 0.5 * (step @ (inner @ step))
                change += self.value(full) - value
                # rounding of the values must not refuse the last steps
                exact = t == 1.0 and not radial and change <= 1e-14 * abs(value)
                if change < 0.0 or exact:
                    w[A] = new
                    _kernels.add_rows(H, A, step, g)
                    return int(t < 1.0 or radial > 0.0)
        return -1

    def _direction(
        self,
        gram: Products,
        w: np.ndarray,
        A: np.ndarray,
        radial: float,
        rise: np.ndarray,
    ) -> np.ndarray | None:
        """Newton direction, in the range of the second derivative."""
        factor = cholesky(gram.H[np.ix_(A, A)] + self._bend(w, A, radial), 0.0)
        if factor is None:
            # the root of a projection, and of the rest, is the same with roots
            root = self._bend(w, A, radial, root=True)
            factor = factor_columns(np.vstack([gram.dense(A), root]))
        direction = -factor.solve(rise)
        return direction if np.isfinite(direction).all() else None

    def _bend(
        self, w: np.ndarray, A: np.ndarray, radial: float, root: bool = False
    ) -> np.ndarray:
        """Second derivative of the norms at the coordinates A, more along `w`."""
        norms = self.norms(w)
        factor = self._spread(
            np.divide(self.level, norms, out=np.zeros_like(norms), where=norms > 0)
        )[A]
        if root:
            factor, radial = np.sqrt(factor), radial**0.5
        unit = w[A] / np.maximum(self._spread(norms)[A], 1e-300)
        group = np.repeat(np.arange(norms.size), np.diff(self.ptr))[A]
        same = group[:, None] == group
        pull = (radial - 1.0) * factor * unit
        bend = np.where(same, np.outer(pull, unit), 0.0)
        bend[np.diag_indices_from(bend)] += factor
        return bend


def _largest_eigenvalues(H: np.ndarray, ptr: np.ndarray) -> np.ndarray:
    """Largest eigenvalue of each diagonal block."""
    sizes = np.diff(ptr)
    top = np.empty(sizes.size)
    for size in np.unique(sizes):
        which = np.flatnonzero(sizes == size)
        index = ptr[which][:, None] + np.arange(size)
        blocks = H[index[:, :, None], index[:, None, :]]
        top[which] = np.linalg.eigvalsh(blocks)[:, -1]
    return np.maximum(top, 0.0)
