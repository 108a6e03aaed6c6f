"""Folds of cross-validation that samples of weight zero leave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


def weighted_folds(folds: Iterable[Any], weight: Any) -> list[Any]:
    """Pairs of training and held-out samples that both have weight.

    Samples of weight zero are as if they were not there: a fold of nothing else has no
    score, and one with nothing else to learn from no model.
    """
    pairs = list(folds)
    if weight is None:
        return pairs
    kept = [pair for pair in pairs if all(np.any(weight[part]) for part in pair)]
    if not kept:
        raise ValueError(
            "The 'sample_weight' array must leave a fold with positive weights among "
            f"its training and its held-out samples. Got none among {len(pairs)} folds."
        )
    return kept
