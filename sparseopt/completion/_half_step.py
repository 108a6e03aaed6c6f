"""Half-steps: the rows of one factor refitted while the other is held."""

from __future__ import annotations

import numpy as np

from sparseopt.completion._exact_rows import exact_half_step, nonnegative_half_step
from sparseopt.completion._kernels import aligned, cg_rows
from sparseopt.completion._problem import Entries, padded


class HalfSteps:
    """Inexact least squares for all rows (or columns) of one set of entries.

    Parameters
    ----------
    entries : Entries
    k : int
        Numbers in a factor row that are solved for or held: rank and bias columns.

    Attributes
    ----------
    work : float
        Products with all entries so far, each of ``2 n_entries k`` operations.
    n_fallback : int
        Rows that `exact` had to give a ridge of their own, or solve by another method.
    """

    def __init__(self, entries: Entries, k: int) -> None:
        self.entries = entries
        self.k = k
        self.width = padded(k, entries.dtype)
        self.work = 0.0
        self.n_fallback = 0
        self._all = self.pad(np.ones(k))  # coordinates, where none is held
        # mean squares of frames of columns and of rows
        self._frames = tuple(
            self.pad(np.full(k, 1 / max(n, 1))) for n in entries.shape[::-1]
        )
        self.rss = tuple(np.zeros(n) for n in entries.shape)
        self.dropped = tuple(np.zeros(n) for n in entries.shape)

    def cg(
        self,
        transposed: bool,
        fixed: np.ndarray,
        unknown: np.ndarray,
        ridge: np.ndarray,
        *,
        steps: int,
        curvature: np.ndarray | None = None,
        held: np.ndarray | None = None,
        scale: np.ndarray | None = None,
        base: np.ndarray | None = None,
        tol: float = 0.0,
        chunks: np.ndarray | None = None,
    ) -> float:
        """A few conjugate-gradient steps for each row of ``unknown``, in place.

        Row i minimises
        ``1/2 sum_e w_e (x_e - a.f_e)^2 + 1/2 sum_l (scale_i ridge_l + base_l) a_l^2``
        from what it holds; rows without entries are left as they are.

        Parameters
        ----------
        transposed : bool
            Whether the columns' factor is unknown.
        fixed, unknown : ndarray of shape (n, width), (m, width)
            Padded factors.
        ridge : ndarray of shape (k,)
        steps : int
        curvature : ndarray of shape (k,), optional
            Mean squares of the columns of ``fixed``, for the preconditioner; those of
            an orthonormal frame if not given.
        held : ndarray of shape (k,) of bool, optional
            Coordinates of ``unknown`` that keep their value.
        scale : ndarray of shape (m,), optional
        base : ndarray of shape (k,), optional
            Ridge that ``scale`` does not multiply.
        chunks : ndarray of shape (n_chunks, 2), optional
            Ranges of rows to refit, in place of all.

        Returns
        -------
        float
            Weighted sum of squared errors before the step.
        """
        e = self.entries
        side = e.side(transposed)
        cg_rows(
            side.ptr,
            side.idx,
            side.val,
            side.weight,
            fixed,
            unknown,
            self.pad(ridge),
            self._frames[transposed] if curvature is None else self.pad(curvature),
            self._all if held is None else self.pad(~np.asarray(held)),
            scale,
            steps,
            tol,
            self.rss[transposed],
            self.dropped[transposed],
            e.chunks(transposed, self.width) if chunks is None else chunks,
            e.n_threads,
            None if base is None else self.pad(base),
        )
        # the residual and its product with the factor, the same for a direction, but
        # of the last direction the curvature alone
        self.work += 2 * steps + 1
        return float(self.rss[transposed].sum())

    def exact(
        self,
        transposed: bool,
        fixed: np.ndarray,
        unknown: np.ndarray,
        ridge: np.ndarray,
        *,
        held: np.ndarray | None = None,
        scale: np.ndarray | None = None,
    ) -> float:
        """The minimiser for each row of ``unknown``, in place; arguments as in `cg`.

        Rows with fewer entries than unknowns and no ridge get the solution of least
        norm. ``n_fallback`` counts rows that Cholesky could not solve as they are.
        """
        return exact_half_step(self, transposed, fixed, unknown, ridge, held, scale)

    def nonnegative(
        self,
        transposed: bool,
        fixed: np.ndarray,
        unknown: np.ndarray,
        ridge: np.ndarray,
        *,
        sweeps: int,
        held: np.ndarray | None = None,
        scale: np.ndarray | None = None,
        tol: float = 0.0,
    ) -> float:
        """Sweeps of coordinate descent towards the minimiser that is nowhere negative.

        In place, from what ``unknown`` holds with its negative numbers set to zero;
        other arguments as in `cg`. A row is done when no coordinate moved by more than
        ``tol`` times the largest.
        """
        return nonnegative_half_step(
            self, transposed, fixed, unknown, ridge, sweeps, held, scale, tol
        )

    def drop(self, transposed: bool) -> float:
        """Twice what the last half-step took off the objective."""
        return float(self.dropped[transposed].sum())

    def pad(self, v: np.ndarray) -> np.ndarray:
        out = np.zeros(self.width, self.entries.dtype)
        out[: self.k] = v
        return out


def scaled(F: np.ndarray, s: np.ndarray) -> np.ndarray:
    """F diag(s) for a padded factor, a new array in its own type."""
    out = aligned(F.shape, F.dtype)
    np.multiply(F[:, : len(s)], s.astype(F.dtype), out=out[:, : len(s)])
    return out
