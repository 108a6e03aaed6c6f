"""Random streams: one seed in, as many independent generators as needed out."""

from __future__ import annotations

import numpy as np

RandomState = None | int | np.integer | np.random.RandomState | np.random.Generator


def as_generator(random_state: RandomState = None) -> np.random.Generator:
    """Make a generator from ``random_state``.

    ``None`` gives fresh entropy, an integer a new stream of that seed, a `Generator`
    itself, and a `RandomState` a new stream seeded by numbers drawn from it, so that
    two calls with the same `RandomState` differ, as in scikit-learn.
    """
    if isinstance(random_state, np.random.RandomState):
        words = random_state.randint(2**32, size=4, dtype=np.uint32)
        return np.random.default_rng(words)
    # an integer is the usual case; a Generator is passed through
    return np.random.default_rng(random_state)


def spawn(random_state: RandomState, n: int) -> list[np.random.Generator]:
    """Independent generators for ``n`` tasks, the same for any order of the tasks."""
    return as_generator(random_state).spawn(n)
