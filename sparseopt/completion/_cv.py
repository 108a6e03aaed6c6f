"""Cross-validation of ratings models over the entries, along paths of warm starts."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from scipy import linalg, sparse
from scipy.sparse.linalg import svds

from sparseopt.completion import _biases
from sparseopt.completion._folds import folds, subset
from sparseopt.completion._problem import Entries
from sparseopt.completion._ratings import (
    Fit,
    error,
    make_ridges,
    power_of,
    random_start,
    shifted,
)
from sparseopt.completion._scaling import Units

# Directions below this part of the strongest are started anew on the next point.
_DEAD = 0.05
# Largest ridge of a default grid as a part of the largest that leaves any factors.
_TOP = 0.8


@dataclass(frozen=True)
class Grid:
    """What is tried: all combinations, in this order of the axes of the scores."""

    reg: tuple[Any, ...]
    bias_reg: tuple[Any, ...]
    n_components: tuple[int, ...]
    alpha: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        axes = (self.reg, self.bias_reg, self.n_components, self.alpha)
        return tuple(len(axis) for axis in axes)

    def point(self, index: Sequence[int]) -> dict[str, Any]:
        names = ("reg", "bias_reg", "n_components", "alpha")
        return {
            name: getattr(self, name)[i] for name, i in zip(names, index, strict=True)
        }

    def points(self) -> list[dict[str, Any]]:
        return [self.point(index) for index in np.ndindex(*self.shape)]


@dataclass(frozen=True)
class CVScores:
    """Held-out errors of every point of a grid.

    Parameters
    ----------
    grid : Grid
    rmse : ndarray of shape (*grid.shape, cv)
        NaN where time ran out before.
    sizes : ndarray of shape (cv,)
        Entries (or their weights) of the folds.
    best_index : tuple of int, optional
        None where time was not enough for any point.
    """

    grid: Grid
    rmse: np.ndarray
    sizes: np.ndarray
    best_index: tuple[int, ...] | None

    @property
    def mean(self) -> np.ndarray:
        """Root of the mean squared error over all entries, each held out once."""
        return _pooled(self.rmse, self.sizes)

    @property
    def best(self) -> dict[str, Any]:
        assert self.best_index is not None
        return self.grid.point(self.best_index)

    @property
    def error(self) -> float:
        """Of the best point; infinite where there is none."""
        if self.best_index is None:
            return math.inf
        return float(self.mean[self.best_index])


def cross_validate(
    entries: Entries,
    grid: Grid,
    *,
    cv: int = 5,
    options: dict[str, Any] | None = None,
    max_iter: int = 15,
    tol_obj: float = 1e-4,
    one_standard_error: bool = False,
    seed: int = 0,
    n_jobs: int | None = None,
    max_time: float = math.inf,
) -> CVScores:
    """Errors of the grid over K folds of the entries.

    Folds are cut out of the sorted entries, not sorted anew. Within a fold each rank
    and each ridge, ascending and descending, starts where the one before ended.

    Parameters
    ----------
    entries : Entries
    grid : Grid
    cv : int
    options : dict, optional
        Further options of `solve_ratings`: "biases", "cg_steps", and "units", those of
        the ridges of the grid.
    max_iter, tol_obj : optional
        Sweeps at a point at most; it ends where three lower the objective by less than
        ``tol_obj`` of itself.
    one_standard_error : bool
        The smallest rank, then the largest ridge, whose error is within one standard
        error of the lowest.
    seed : int
    n_jobs : int, optional
        Folds at the same time; does not change the scores.
    max_time : float
        Seconds, of which each fold has its share and what those before it left;
        points beyond that have no scores.
    """
    fold = folds(entries.n_entries, cv, np.random.default_rng(seed))
    workers = min(cv, effective_n_jobs(n_jobs))
    n_threads = max(1, entries.n_threads // workers)
    entries = replace(entries, n_threads=n_threads, _chunks={})
    options = dict(options or {})
    start, share = time.monotonic(), max_time * workers / cv
    jobs = (
        delayed(_one_fold)(
            entries,
            fold == f,
            grid,
            options,
            # folds run in turns of as many as there are workers
            (max_iter, tol_obj, start + share * (f // workers + 1)),
            [seed, f],
        )
        for f in range(cv)
    )
    rmse = np.stack(Parallel(n_jobs=n_jobs)(jobs), axis=-1)
    weight = entries.rows.weight
    sizes = np.bincount(fold, weights=weight, minlength=cv).astype(np.float64)
    return CVScores(grid, rmse, sizes, choose(grid, rmse, sizes, one_standard_error))


def _pooled(rmse: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Over all folds, or those in which time was enough for any point at all."""
    some = np.isfinite(rmse).reshape(-1, len(sizes)).any(axis=0)
    if not some.any():
        return np.full(rmse.shape[:-1], np.nan)
    return np.sqrt(np.square(rmse[..., some]) @ (sizes[some] / sizes[some].sum()))


def choose(
    grid: Grid, rmse: np.ndarray, sizes: np.ndarray, one_standard_error: bool
) -> tuple[int, ...] | None:
    """Index of the best point: the lowest error, or the simplest that is as good."""
    mean = _pooled(rmse, sizes)
    if not np.isfinite(mean).any():
        return None
    lowest = np.unravel_index(np.nanargmin(mean), mean.shape)
    best = tuple(int(i) for i in lowest)
    if not one_standard_error:
        return best
    margin = np.nanstd(rmse[best], ddof=1) / math.sqrt(rmse.shape[-1])
    # the same kind of ridge: its strengths compare
    near = np.argwhere(mean[best[:2]] <= mean[best] + margin)
    k, a = min(near, key=lambda at: (grid.n_components[at[0]], -grid.alpha[at[1]]))
    return (*best[:2], int(k), int(a))


def _one_fold(
    entries: Entries,
    held: np.ndarray,
    grid: Grid,
    options: dict[str, Any],
    limits: tuple[int, float, float],
    seed: list[int],
) -> np.ndarray:
    """RMSE at the held-out entries for every point of the grid that time allows.

    ``limits`` are those of `run_to`.
    """
    train, test = subset(entries, ~held), subset(entries, held)
    intercept = 0.0 if options.get("biases") is None else _biases.mean(train)
    train, test = shifted(train, intercept), shifted(test, intercept)
    out = np.full(grid.shape, np.nan)
    ranks = np.argsort(grid.n_components, kind="stable")
    alphas = np.argsort(-np.asarray(grid.alpha), kind="stable")
    for r, b in product(range(len(grid.reg)), range(len(grid.bias_reg))):
        own = {**options, "reg": grid.reg[r], "bias_reg": grid.bias_reg[b]}
        first: Fit | None = None  # of the rank before, at the largest ridge
        for i in ranks:
            fit = first
            for j in alphas:
                ridges = make_ridges(train, grid.n_components[i], grid.alpha[j], own)
                fit = _next(train, ridges, fit, np.random.default_rng(seed))
                run_to(fit, *limits)
                if time.monotonic() >= limits[-1]:
                    return out
                out[r, b, i, j] = error(test, fit.L, fit.R)
                if j == alphas[0]:
                    first = fit
    return out


def run_to(fit: Fit, max_iter: int, tol_obj: float, deadline: float = math.inf) -> None:
    """Sweeps until the objective levels off, or `time.monotonic` is at ``deadline``."""
    past = math.inf
    for sweep in range(1, max_iter + 1):
        rss = fit.sweep()
        if time.monotonic() >= deadline:
            return
        if sweep % 3 == 0:
            now = 0.5 * (rss + sum(fit.penalty))
            if past - now <= tol_obj * now:
                return
            past = now


def _next(
    entries: Entries,
    ridges: _biases.Ridges,
    fit: Fit | None,
    rng: np.random.Generator,
) -> Fit:
    """Start of a point: the fit before it, directions that were lost drawn anew."""
    L, R = _biases.blank(entries, ridges)
    fresh = np.zeros_like(R)
    random_start(entries, ridges, fresh, rng)
    k = ridges.k
    if fit is None:
        R[:, :k] = fresh[:, :k]
        if ridges.biases is not None:
            b, c = _biases.shrunken_means(entries, ridges.biases, ridges.bias)
            L[:, k], R[:, k + 1] = b, c
        return Fit(entries, ridges, L, R)
    q = fit.ridges.k
    # an orthogonal turn of both factors changes neither errors nor ridges
    w, W = linalg.eigh(_gram(fit.L[:, :q]) + _gram(fit.R[:, :q]), check_finite=False)
    alive = min(k, int((w > _DEAD * w[-1]).sum()))
    turn = W[:, : -alive - 1 : -1].astype(L.dtype)
    L[:, :alive], R[:, :alive] = fit.L[:, :q] @ turn, fit.R[:, :q] @ turn
    R[:, alive:k] = fresh[:, alive:k]
    if ridges.biases is not None:
        L[:, k : k + 2], R[:, k : k + 2] = fit.L[:, q : q + 2], fit.R[:, q : q + 2]
    return Fit(entries, ridges, L, R)


def _gram(F: np.ndarray) -> np.ndarray:
    return (F.T @ F).astype(np.float64)


def largest_alpha(entries: Entries, options: dict[str, Any]) -> float:
    """Smallest ridge at which factors of zero are a minimiser beside the biases.

    The ridge on the factors is ``alpha`` times the nuclear norm of their product, rows
    and columns scaled by the roots of the scales; the biases are those of the model
    without factors, so that the number is exact for it, and the norm of the gradient.
    """
    ridges = make_ridges(entries, 1, 0.0, options)
    residual = entries.rows.val
    if ridges.biases is not None:
        entries = shifted(entries, _biases.mean(entries))
        L, R = _biases.blank(entries, ridges)
        b, c = _biases.shrunken_means(entries, ridges.biases, ridges.bias)
        L[:, 1], R[:, 2] = b, c
        residual = entries.residual(L, R)[0]
    values = residual.astype(np.float64)
    side = entries.rows
    if side.weight is not None:
        values *= side.weight
    roots = [
        np.ones(n) if scale is None else 1 / np.sqrt(np.maximum(scale, 1e-300))
        for n, scale in zip(entries.shape, ridges.scales, strict=True)
    ]
    values *= np.repeat(roots[0], np.diff(side.ptr)) * roots[1][side.idx]
    A = sparse.csr_array((values, side.idx, side.ptr), shape=entries.shape)
    if min(A.shape) == 1 or not values.any():  # Lanczos' method has no start in zeros
        return float(np.linalg.norm(values))
    start = np.random.default_rng(0).standard_normal(min(A.shape))
    return float(svds(A, k=1, v0=start, return_singular_vectors=False)[0])


def default_alphas(
    entries: Entries, options: dict[str, Any], n_alphas: int = 8, eps: float = 0.25
) -> np.ndarray:
    """Ridges from just below `largest_alpha` to ``eps`` of it, falling by equal ratios.

    Noise alone makes the largest: what fits best is a part of it that depends little
    on the data.
    """
    parts = np.geomspace(_TOP, eps, n_alphas)
    # where biases leave nothing any ridge does, but zeros have no ratio
    largest = largest_alpha(entries, options) or 1.0
    units, power = options.get("units", Units()), power_of(options["reg"])
    return units.callers_ridge(largest, power) * parts
