"""Timing and thinning shared by the papers."""

import statistics
import time
import warnings

import numpy as np


def timed(call, *, budget=0.5, repeat=5):
    """The call's result and seconds: the median of `repeat` runs where that is cheap.

    Seconds are the lesser of wall and processor time, so that neither other work on the
    machine nor several threads count twice. Warnings are silenced: a run that was cut
    short says so in its record.
    """
    seconds = []
    while not seconds or (sum(seconds) < budget and len(seconds) < repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = call()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        seconds.append(min(wall, cpu))
    return result, statistics.median(seconds)


def thin(count=120, **columns):
    """At most `count` points of a curve, evenly spread on a logarithmic step axis."""
    length = len(next(iter(columns.values())))
    if length == 0:
        return {}
    keep = np.unique(np.geomspace(1, length, count).astype(int)) - 1
    return {name: np.asarray(c, float)[keep].tolist() for name, c in columns.items()}
