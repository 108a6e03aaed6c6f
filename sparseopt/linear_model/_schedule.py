"""One time limit for all the solves of a search, shared out before they start."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from joblib import effective_n_jobs

# Share of the time that is kept for what follows the paths.
_LAST = 0.1


@dataclass(frozen=True)
class Schedule:
    """When the paths of a search have to end, by ``time.time()``.

    Paths on folds are computed by several processes, in so many waves.  Time that a
    path leaves is there for those after it.

    Attributes
    ----------
    start : float
    limit : float
        Seconds for the whole search, infinite without a limit.
    n_folds, n_workers : int
    """

    start: float
    limit: float
    n_folds: int
    n_workers: int

    @classmethod
    def of(
        cls, max_time: float | None, n_folds: int, n_jobs: int | None, start: float
    ) -> Schedule:
        limit = math.inf if max_time is None else float(max_time)
        return cls(start, limit, n_folds, effective_n_jobs(n_jobs))

    def end(self, path: int) -> float:
        """Of a path on a fold, or of that on all samples: number `n_folds`."""
        waves = math.ceil(self.n_folds / self.n_workers)
        wave = waves if path == self.n_folds else path // self.n_workers
        share = (wave + 1) / (waves + 1)
        return self.start + (1.0 - _LAST) * self.limit * share

    def left(self) -> float | None:
        """Seconds for the last solve, None without a limit."""
        return seconds_until(self.start + self.limit)


def seconds_until(end: float) -> float | None:
    """What a solver may take as its limit, None where there is no end."""
    return None if end == math.inf else max(1e-9, end - time.time())
