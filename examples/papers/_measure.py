"""Timing and thinning shared by the papers."""

import statistics
import time
import warnings

import numpy as np


def timed(call, *, budget=0.5, repeat=5):
    """The call's result and seconds: the median of `repeat` runs where that is cheap.

    Warnings are silenced: a run that was cut short says so in its record.
    """
    seconds = []
    while not seconds or (sum(seconds) < budget and len(seconds) < repeat):
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = call()
        seconds.append(time.perf_counter() - start)
    return result, statistics.median(seconds)


def thin(count=120, **columns):
    """At most `count` points of a curve, evenly spread on a logarithmic step axis."""
    length = len(next(iter(columns.values())))
    if length == 0:
        return {}
    keep = np.unique(np.geomspace(1, length, count).astype(int)) - 1
    return {name: np.asarray(c, float)[keep].tolist() for name, c in columns.items()}
