"""The Gaussian model of a table: fitted, and filling rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from sparseopt._core._monitor import Monitor
from sparseopt._core._status import Status
from sparseopt.completion._cells import CUT, believed, fit_believed
from sparseopt.completion._gaussian import Fit, Gaussian, Patterns, Rows, fit_gaussian
from sparseopt.completion._neighbours import Neighbours, find_neighbours

# Rounds of draws between the fit and parameters that are drawn.
_DRAWS = 10


@dataclass
class GaussianTable:
    """A fit in units of standardised columns."""

    model: Gaussian
    neighbours: Neighbours | None
    robust: bool
    seen: np.ndarray
    believed: np.ndarray | None
    fit: Fit
    n_threads: int

    def fill(
        self, Z: np.ndarray, seen: np.ndarray, rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """Rows with conditional means, or draws, in place of what they miss."""
        mean, L = self.model.mean, self.model.precision
        Z = np.ascontiguousarray(np.where(seen, Z - mean, 0))
        keep = seen
        if self.robust:
            given, spread = Z, np.sqrt(self.model.cov.diagonal())
            keep = seen & (np.abs(Z) <= CUT * spread)
            few = 2 * keep.sum(axis=1) < seen.sum(axis=1)
            keep[few] = seen[few]
            keep = believed(self.model, Z, seen, keep)
            Z = np.where(keep, Z, 0)
        patterns = Patterns(keep, self.n_threads)
        patterns.expect(L, Z, np.ones(len(Z)))
        if rng is not None:
            patterns.draw(L, Z, rng)
        elif self.neighbours is not None:
            self.neighbours.correct(Z, keep)
        if self.robust:
            Z[seen] = given[seen]
        Z += mean
        return Z


def fit_table(
    Z: np.ndarray, seen: np.ndarray, w: np.ndarray, *, alpha: float | str, tol: float,
    rank: int | str | None, centre: bool, robust: bool, n_neighbors: int,
    rng: np.random.Generator | None, monitor: Monitor, n_threads: int,
) -> GaussianTable:  # fmt: skip
    """Fit the Gaussian model to a table with standardised columns.

    Parameters
    ----------
    Z : ndarray of shape (n, p)
        Zero where nothing is seen; overwritten.
    seen : ndarray of bool of shape (n, p)
    w : ndarray of shape (n,)
    alpha, tol, rank, centre : optional
        As for `fit_gaussian`; "auto" for the rank is the number of correlations' axes
        that are longer than those of noise.
    robust : bool
        Whether entries that the model does not believe are set aside.
    n_neighbors : int
        Nearest rows that correct conditional means.
    rng : Generator or None
        Of parameters drawn from their posterior; None for the best ones.
    monitor : Monitor
    n_threads : int
    """
    count = 0

    def watch(n: int, objective: float, residual: float, model: Gaussian) -> Any:
        nonlocal count
        count += 1
        state = {"mean": lambda: model.mean, "covariance": lambda: model.cov}
        return monitor.update(
            count,
            objective=objective,
            residual=residual,
            state=state,
            ridge=model.alpha,
        )

    again: Any = partial(fit_gaussian, tol=tol, centre=centre, watch=watch)

    def fit(rows: Rows, start: Gaussian | None) -> Fit:
        strength = alpha
        if start is not None and alpha == "auto":  # chosen before
            strength = start.alpha
        whole = None if rank == "auto" else rank
        found: Fit = again(rows, strength, rank=whole, start=start)
        if rank != "auto" or found.status is not Status.CONVERGED:
            return found
        model = found.model
        k = count_axes(model.cov, float(np.count_nonzero(w)))
        found = again(rows, model.alpha, rank=k, start=model)
        return found

    if robust:
        found, rows = fit_believed(Z, seen, w, fit, n_threads)
    else:
        rows = Rows(Z, seen, w, np.zeros(Z.shape[1]), n_threads)
        found = fit(rows, None)
    model, neighbours = found.model, None
    if rng is not None:
        model = _drawn(rows, model, centre, rng)
    elif n_neighbors and found.status is not Status.INTERRUPTED:
        rows.expect(model)
        neighbours = find_neighbours(rows, model, n_neighbors)
    found.n_iter = count
    kept = rows.seen if robust else None
    return GaussianTable(model, neighbours, robust, seen, kept, found, n_threads)


def count_axes(cov: np.ndarray, n: float) -> int:
    """Axes of correlations beyond the edge of those of n rows of noise."""
    spread = np.sqrt(cov.diagonal())
    values = np.linalg.eigvalsh(cov / np.outer(spread, spread))
    edge = (1 + np.sqrt(len(cov) / n)) ** 2
    return max(1, int(np.count_nonzero(values > edge)))


def _drawn(
    rows: Rows, model: Gaussian, centre: bool, rng: np.random.Generator
) -> Gaussian:
    """Mean and covariance drawn from their posterior: data augmentation."""
    p = len(model.mean)
    for _ in range(_DRAWS):
        rows.expect(model)
        rows.patterns.draw(model.precision, rows.Z, rng)
        mean = rows.mean
        if centre:
            mean = mean + rows.w @ rows.Z / rows.total
            rows.recentre(mean)
        S = (rows.Z * rows.w[:, None]).T @ rows.Z
        prior = model.alpha / model.precision.diagonal() + model.floor
        S[np.diag_indices(p)] += rows.total * prior
        nu = rows.total * (1 + model.alpha) - centre
        # inverse Wishart, by Bartlett's decomposition of its inverse
        root = np.tril(rng.standard_normal((p, p)), -1)
        freedom = np.maximum(nu - np.arange(p), 1.0)
        root[np.diag_indices(p)] = np.sqrt(rng.chisquare(freedom))
        half = np.linalg.solve(root, np.linalg.cholesky(S).T)
        cov = half.T @ half
        if centre:
            noise = np.linalg.cholesky(cov) @ rng.standard_normal(p)
            mean = mean + noise / np.sqrt(rows.total)
        model = replace(model, mean=mean, cov=cov)
    return model
