"""Entries held out of a fit: the error there, and the iterate that had the least."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseopt.completion._folds import safe_split, subset
from sparseopt.completion._problem import Entries, sum_squares
from sparseopt.completion._run import Factors

# Iterates without a lower error after which a fit ends.
_PATIENCE = 10
# What a run that goes on takes up.
_STATE = ("history", "best", "penalty", "at", "_least", "_recent", "_since")


class HeldOut:
    """Early stopping: watches the error at entries that are not fitted.

    While a ridge falls the error goes up and down, for directions sleep and wake: all
    iterates count for the best, but `stale` is meant to be asked once the ridge is at
    its end, after `forget`.

    Parameters
    ----------
    entries : Entries
        Not those that are fitted.
    mask : ndarray of bool
        Which of all entries these are, in row order.

    Attributes
    ----------
    history : list of float
        Root mean squared error of each iterate, weighted.
    best : Factors or None
        The iterate with the least error.
    penalty : float
        What its objective has beside the errors at the fitted entries.
    at : int
        Its number, from 1.
    """

    def __init__(self, entries: Entries, mask: np.ndarray) -> None:
        self.entries, self.mask = entries, mask
        self.history: list[float] = []
        self.best: Factors | None = None
        self.penalty = 0.0
        self.at = 0
        w = entries.rows.weight
        self._total = entries.n_entries if w is None else float(w.sum(dtype=np.float64))
        self._least = math.inf
        self.forget()

    def forget(self) -> None:
        """Be patient anew: what came before was another objective, or another start."""
        self._recent, self._since = math.inf, 0

    def offer(self, factors: Factors, penalty: float) -> float:
        """Take note of an iterate; returns its error."""
        r, weight = factors.errors(self.entries), self.entries.rows.weight
        error = math.sqrt(sum_squares(r, weight) / self._total)
        self.history.append(error)
        if error < self._least or self.best is None:
            self._least = error
            self.best, self.penalty, self.at = factors, penalty, len(self.history)
        self._since += 1
        if error < self._recent:
            self._recent, self._since = error, 0
        return error

    def keep(self) -> dict[str, Any]:
        """State in a callback."""
        state = {name: getattr(self, name) for name in _STATE}
        return {"mask": np.packbits(self.mask), **state}

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up what `keep` gave."""
        for name in _STATE:
            setattr(self, name, saved[name])

    @property
    def stale(self) -> bool:
        """Whether the error has not fallen for a while."""
        return self._since >= _PATIENCE


def hold_out(
    entries: Entries,
    k: int,
    alpha: float,
    fraction: float,
    rng: np.random.Generator,
    saved: dict[str, Any] | None = None,
) -> tuple[Entries, HeldOut | None]:
    """Entries to fit, and those that are watched, if there are any that count.

    Without a penalty a row needs as many entries as the rank, and one to spare. A run
    that goes on has its entries from ``saved``, the state of its methods.
    """
    if saved is None:
        held = ~safe_split(entries, fraction, rng, 1 if alpha > 0 else k + 1)
    elif "held_out" in saved:
        mask = saved["held_out"]["mask"]
        held = np.unpackbits(mask, count=entries.n_entries).astype(bool)
    else:
        return entries, None
    part = subset(entries, held)
    weight = part.rows.weight
    if not (len(part.rows.idx) if weight is None else weight.any()):
        return entries, None
    return subset(entries, ~held), HeldOut(part, held)
