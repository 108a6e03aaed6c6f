"""Search for rank and ridges: grids, smaller ridges where needed, finer ones last."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sparseopt.completion._cv import CVScores, Grid, cross_validate
from sparseopt.completion._problem import Entries

# Further grids of smaller ridges at most, where the smallest of the default is best.
_MORE = 4
# Sweeps at each point.
_SWEEPS = 10
# Ridges near the best have this part of the time of a grid.
_FINE = 0.25
# The last fit has this part of the time to itself.
_LAST = 0.25


@dataclass
class Search:
    """Grids are scored one after another; everything scored is kept in ``found``.

    Parameters
    ----------
    entries : Entries
    cv : int
    options : dict
        Further options of `solve_ratings`.
    seed : int
    n_jobs : int, optional
    one_standard_error : bool
    max_time : float
        Seconds, the last fit included.
    show : callable, optional
        Called with each `CVScores`.
    """

    entries: Entries
    cv: int
    options: dict[str, Any]
    seed: int
    n_jobs: int | None = None
    one_standard_error: bool = False
    max_time: float = math.inf
    show: Callable[[CVScores], None] | None = None
    found: list[CVScores] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def left(self) -> float:
        """Seconds that the last fit may take."""
        return self.max_time - (time.perf_counter() - self._start)

    @property
    def best(self) -> CVScores:
        return min(self.found, key=lambda scores: scores.error)

    @property
    def complete(self) -> bool:
        """Whether time was enough for every point."""
        return all(np.isfinite(scores.rmse).all() for scores in self.found)

    def run(
        self,
        grids: list[Grid],
        *,
        open_ended: bool,
        n_refinements: int,
        smaller: tuple[int, ...] = (),
    ) -> None:
        """Score the grids, and others that lower the error.

        Parameters
        ----------
        grids : list of Grid
        open_ended : bool
            Whether ridges other than those of the grids may be tried: smaller ones
            while the smallest is the best, then ones around the best.
        n_refinements : int
            How often the ratio of ridges near the best is halved, on a log scale.
        smaller : tuple of int
            Ranks that are tried where the smallest of the grids is the best.
        """
        for i, grid in enumerate(grids):
            # equal parts of the time, and a smaller one for ridges near the best
            share = self._search_left() / (len(grids) - i + _FINE)
            scores = self._score(grid, share)
            if not open_ended or len(grid.alpha) < 2:
                continue
            ratio = grid.alpha[-1] / grid.alpha[-2]
            for _ in range(_MORE):
                if scores.best_index is None or scores.best["alpha"] > grid.alpha[-1]:
                    break  # no time, or a minimum inside the grid
                steps = np.arange(1, len(grid.alpha) + 1)
                grid = replace(grid, alpha=tuple(grid.alpha[-1] * ratio**steps))
                scores = self._score(grid, min(share, self._search_left()))
        best = self.best
        if smaller and best.best_index is not None:
            point, grid = best.best, best.grid
            if point["n_components"] == min(grid.n_components):
                one = {"reg": (point["reg"],), "bias_reg": (point["bias_reg"],)}
                self._score(
                    replace(grid, n_components=smaller, **one), self._search_left()
                )
        if open_ended and not self.one_standard_error:
            self._refine(n_refinements)

    def _refine(self, n_refinements: int) -> None:
        """Ridges between the best one and those beside it."""
        alphas = np.sort(self.best.grid.alpha)
        if len(alphas) < 2 or self.best.best_index is None:
            return
        ratio = alphas[1] / alphas[0]
        for _ in range(n_refinements):
            ratio = math.sqrt(ratio)
            point = self.best.best
            near = (point["alpha"] * ratio, point["alpha"] / ratio)
            one = {name: (point[name],) for name in ("reg", "bias_reg", "n_components")}
            self._score(Grid(alpha=near, **one), self._search_left())

    def _search_left(self) -> float:
        last = _LAST * self.max_time if self.max_time < math.inf else 0.0
        return self.left - last

    def _score(self, grid: Grid, seconds: float) -> CVScores:
        scores = cross_validate(
            self.entries,
            grid,
            cv=self.cv,
            options=self.options,
            max_iter=_SWEEPS,
            one_standard_error=self.one_standard_error,
            seed=self.seed,
            n_jobs=self.n_jobs,
            max_time=seconds,
        )
        self.found.append(scores)
        if self.show is not None:
            self.show(scores)
        return scores
