"""Rank from the spectrum."""

from __future__ import annotations

import numpy as np

from sparseopt.completion._init import spectral
from sparseopt.completion._problem import Entries


def estimate_rank(entries: Entries, rng: np.random.Generator) -> int:
    kmax = min(50, *entries.shape)
    s = spectral(entries, kmax, rng)[1]
    return int(np.argmax(s[:-1] / np.maximum(s[1:], 1e-300))) + 1
