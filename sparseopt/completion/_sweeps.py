"""Sweeps of inexact alternating least squares over factors in thin SVD form."""

from __future__ import annotations

import math

import numpy as np

from sparseopt.completion._frames import column_squares, orthonormalise, rotate
from sparseopt.completion._half_step import HalfSteps, scaled
from sparseopt.completion._problem import Entries
from sparseopt.completion._run import Factors

# Directions are damped by ridge / s_l: one at zero could never come back.
_FLOOR = 1e-6
# In the homotopy a direction counts as this part of its ridge at least.
_AWAKE = 0.1
# One that sleeps is weaker than this.
_SLEEP = 0.3


class Sweeps:
    """Half-steps with the balanced ridge, each from the thin SVD of the last iterate.

    A ridge of ``alpha`` on both balanced factors is ``alpha`` times the nuclear norm
    of the iterate. In orthonormal frames it is ``alpha / s_l`` on direction l of the
    unknown factor. Above it comes the ridge ``lam`` of the homotopy, which goes to 0.

    Parameters
    ----------
    entries : Entries
    factors : Factors
        Where to start, in the type of the entries.
    alpha : float
    exact : bool
        Whether rows are solved for by Cholesky in place of a few CG steps.

    Attributes
    ----------
    factors : Factors
    rss : float
        Weighted sum of squared errors of ``factors``.
    objective : float
        ``rss / 2 + alpha * sum(s)``.
    """

    def __init__(
        self, entries: Entries, factors: Factors, alpha: float, exact: bool = False
    ) -> None:
        self.exact = exact
        self.entries = entries
        self.half = HalfSteps(entries, factors.k)
        self.k = factors.k
        self.alpha = alpha
        self.factors = factors
        self.rss = math.inf

    @property
    def objective(self) -> float:
        return 0.5 * self.rss + self.alpha * float(self.factors.s.sum())

    def ridge(self, lam: float) -> np.ndarray:
        """Damping of each direction.

        ``lam / s_l`` keeps weak directions down until the data supports them: rank
        grows by itself as lam falls. It also shrinks the strong ones, and where
        singular values differ by orders, what is so missing of the strong ones hides
        the weak ones. A factor ``sqrt(s_k / s_l)`` spares them; with equal singular
        values it is 1, and the ridge that of the nuclear norm.
        """
        s = self.factors.s
        tiny = max(_FLOOR * s[0], np.finfo(self.entries.dtype).tiny)
        d = self.alpha / np.maximum(s, tiny)
        if lam > self.alpha:
            awake = np.maximum(s, max(_AWAKE * lam / self.density, tiny))
            weakest = max(s[-1], lam / self.density)
            d = np.maximum(d, lam / awake * np.sqrt(np.minimum(1.0, weakest / awake)))
        return d

    def asleep(self, lam: float) -> bool:
        """Whether some direction is weaker than the ridge lets it be by itself."""
        return bool(self.weakest < _SLEEP * lam)

    @property
    def weakest(self) -> float:
        """Ridge that would remove the weakest direction."""
        return float(self.factors.s[-1]) * self.density

    @property
    def density(self) -> float:
        """Part of the matrix that is observed: curvature of a unit vector's fit."""
        m, n = self.entries.shape
        return max(self.entries.n_entries, 1) / (m * n)

    def half_step(self, transposed: bool, lam: float, steps: int) -> None:
        """Refit one factor; ``rss`` follows from what the step took off."""
        f = self.factors
        fixed, moved = (f.U, f.V) if transposed else (f.V, f.U)
        unknown = scaled(moved, f.s)
        ridge = self.ridge(lam)
        if self.exact:
            rss = self.half.exact(transposed, fixed, unknown, ridge)
        else:
            rss = self.half.cg(transposed, fixed, unknown, ridge, steps=steps)
        rss -= self.half.drop(transposed)
        if ridge.any():
            now = column_squares(unknown, self.k)
            rss += float(ridge @ (f.s**2 - now))
        moved, s, W = orthonormalise(unknown, self.k)
        fixed = rotate(fixed, W)
        U, V = (fixed, moved) if transposed else (moved, fixed)
        self.factors = Factors(U, s, V)
        self.rss = max(rss, 0.0)

    def sweep(self, lam: float, steps: int, enough: float = 0.0) -> None:
        """Rows, then columns unless the rows brought ``rss`` below ``enough``."""
        self.half_step(False, lam, steps)
        if self.rss > enough:
            self.half_step(True, lam, steps)

    def measure(self) -> float:
        """``rss`` from a pass over the entries, free of what sweeps add up."""
        f = self.factors
        self.rss = self.entries.residual(scaled(f.U, f.s), f.V)[1]
        self.half.work += 1
        return self.rss
