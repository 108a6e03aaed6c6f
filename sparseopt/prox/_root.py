"""Stand-in for the compiled root finder, by sorting."""

from __future__ import annotations

import numpy as np


def general_root(enter, full, slope, target):
    """Smallest p with ``sum slope (min(p, full) - enter)_+ = target``; inf if none."""
    inside = enter < np.inf
    enter, full, slope = enter[inside], full[inside], slope[inside]
    finite = full < np.inf
    points = np.concatenate([enter, full[finite]])
    steps = np.concatenate([slope, -slope[finite]])
    order = np.argsort(points, kind="stable")
    points, slopes = points[order], np.cumsum(steps[order])
    values = np.concatenate([[0.0], np.cumsum(np.diff(points) * slopes[:-1])])
    j = int(np.searchsorted(values, target))
    if j == 0:
        return points[0] if points.size else np.inf
    j -= 1
    if j == points.size - 1 and finite.all():
        return np.inf
    p = points[j] + (target - values[j]) / slopes[j]
    return p


def hyper_root(z, k, b, c):
    """Largest t with ``sum clip((|z| / t - b) / c, 0, 1) = k``; 0 if there is none."""
    z = np.abs(z.astype(np.float64))
    z = z[z > 0]
    if z.size <= k:
        return 0.0
    top = z.max()
    y = z / top
    eta = general_root(b / y, (b + c) / y, y / c, k)
    return top / eta


def shift_root(v, total, cap=np.inf):
    """Largest tau with ``sum clip(v - tau, 0, cap) = total``."""
    v = v.astype(np.float64)
    return -general_root(-v, cap - v, np.ones_like(v), total)
