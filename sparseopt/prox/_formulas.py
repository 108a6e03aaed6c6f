"""The elementwise maps of ``_maps.h`` in terms of the array API.

For arrays of other libraries; the kernels are tested against these. Each takes the
namespace, the array, the parameters and the second array or None. The steps of each
iteration are fixed in number, so nothing waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from sparseopt.prox import _map_kernels as kernels

Formula = Callable[[ModuleType, Any, Sequence[float], Any], Any]


def _between(xp: ModuleType, v: Any, low: Any, high: Any) -> Any:
    """Clip to bounds that are numbers or arrays; NaN stays."""
    v = xp.where(v < low, xp.zeros_like(v) + low, v)
    return xp.where(v > high, xp.zeros_like(v) + high, v)


def _soft(xp, v, p, y):
    return (v - _between(xp, v, -p[0], p[0])) * p[1]


def _soft_pos(xp, v, p, y):
    return xp.where(v <= p[0], xp.zeros_like(v), (v - p[0]) * p[1])


def _wsoft(xp, v, p, y):
    t = p[0] * y
    return (v - _between(xp, v, -t, t)) * (p[1] / (1 + p[2] * y))


def _wsoft_pos(xp, v, p, y):
    t = p[0] * y
    return xp.where(v <= t, xp.zeros_like(v), (v - t) * (p[1] / (1 + p[2] * y)))


def _firm(xp, v, p, y):
    low, s, high = p
    return xp.where(xp.abs(v) <= high, (v - _between(xp, v, -low, low)) * s, v)


def _scad(xp, v, p, y):
    t, knee, high, slope = p
    m = xp.abs(v)
    low = v - _between(xp, v, -t, t)
    end = xp.where(v < 0, xp.zeros_like(v) - high, xp.zeros_like(v) + high)
    return xp.where(m <= knee, low, xp.where(m <= high, end - (end - v) * slope, v))


def _log_sum(xp, v, p, y):
    threshold, e, ratio, r = p
    m = xp.abs(v)
    b = m + e
    d = xp.where(b < r, xp.zeros_like(b), b - r)
    root = xp.sqrt(d) * xp.sqrt(b + r)
    inside = m < e
    q = xp.where(inside, root + (e - m), xp.ones_like(m))
    z = xp.where(inside, 2 * e * ((m - ratio) / q), 0.5 * ((m - e) + root))
    z = xp.where(v < 0, -z, z)
    return xp.where(m <= threshold, xp.zeros_like(v), z)


def _half(xp, v, p, y):
    m = xp.abs(v)
    r = _ratio(xp, p[0], m)
    k = 0.27216552697590868 * r * xp.sqrt(r)
    s = xp.ones_like(m)
    for _ in range(5):
        s = s - ((s * s - 1) * s + k) / (3 * s * s - 1)
    return xp.where(m <= p[0], xp.zeros_like(v), v * (s * s))


def _ratio(xp, threshold, m):
    """``threshold / m`` above the threshold, 0 at and below it."""
    above = m > threshold
    return xp.where(
        above, threshold / xp.where(above, m, xp.ones_like(m)), xp.zeros_like(m)
    )


def _two_thirds(xp, v, p, y):
    m = xp.abs(v)
    k = 0.39685026299204984 * _ratio(xp, p[0], m) ** (4 / 3)
    s = xp.ones_like(m)
    for _ in range(6):
        c = s * s * s
        s = s - ((c - 1) * s + k) / (4 * c - 1)
    return xp.where(m <= p[0], xp.zeros_like(v), v * (s * s * s))


def _power(xp, v, p, y):
    threshold, q, kappa = p
    m = xp.abs(v)
    k = kappa * _ratio(xp, threshold, m) ** (2 - q)
    s = xp.ones_like(m)
    for _ in range(12):
        w = k * s ** (q - 1)
        s = s - (s + w - 1) / (1 + (q - 1) * w / s)
    return xp.where(m <= threshold, xp.zeros_like(v), v * s)


def _power_convex(xp, v, p, y):
    m = xp.abs(v)
    exponent = p[1] - 1
    log_k = p[0] - (1 - exponent) * xp.log(xp.where(m > 0, m, xp.ones_like(m)))
    u = xp.where(log_k > 0, -log_k / exponent, xp.zeros_like(m))
    for _ in range(25):
        a, b = xp.exp(u), xp.exp(log_k + exponent * u)
        u = u - (a + b) * xp.log(a + b) / (a + exponent * b)
    return v * xp.exp(u)


def _huber(xp, v, p, y):
    t, delta = p
    return v - _between(xp, t / (1 + t) * (v - y), -t * delta, t * delta)


def _hinge(xp, v, p, y):
    slack = 1 - v * y
    moved = v + y * _between(xp, slack, 0.0, p[0])
    return xp.where((slack >= 0) & (slack <= p[0]), y, moved)


def _squared_hinge(xp, v, p, y):
    slack = 1 - v * y
    return v + y * p[0] * xp.where(slack < 0, xp.zeros_like(slack), slack)


def _pinball(xp, v, p, y):
    low, high = p
    d = v - y
    return xp.where((d >= low) & (d <= high), y, v - _between(xp, d, low, high))


def _logistic(xp, v, p, y):
    t, log_t = p
    if t == 0:
        return v + 0.0
    m = v * y
    negative = m + 0.5 * t < 0
    m = xp.where(negative, -m - t, m)
    top = xp.where(m + 1 < log_t, xp.zeros_like(m) + log_t, m + 1)
    top = xp.where(m + t < top, m + t, top)
    u = xp.where(m < 0, xp.zeros_like(m), m)
    ratio = t / (top - m) - 1
    known = (ratio > 1) & (ratio < math.inf)
    start = xp.log(xp.where(known, ratio, xp.ones_like(ratio)))
    u = xp.where(start > u, start, u)
    for _ in range(8):
        s = 1 / (1 + xp.exp(u))
        u = u - (u - m - t * s) / (1 + t * s * (1 - s))
    return y * xp.where(negative, -u, u)


def _kl(xp, v, p, y):
    d = v - p[0]
    b = 2 * math.sqrt(p[0]) * xp.sqrt(y)
    m = xp.abs(d)
    big, small = xp.where(m < b, b, m), xp.where(m < b, m, b)
    f = xp.where(big > 0, small / xp.where(big > 0, big, xp.ones_like(big)), big)
    h = big * xp.sqrt(1 + f * f)
    total = m + h
    u = b * (b / xp.where(total > 0, total, xp.ones_like(total)))
    return 0.5 * xp.where(d < 0, u, d + h)


FORMULAS: dict[int, Formula] = {
    kernels.SOFT: _soft,
    kernels.SOFT_POS: _soft_pos,
    kernels.WSOFT: _wsoft,
    kernels.WSOFT_POS: _wsoft_pos,
    kernels.FIRM: _firm,
    kernels.SCAD: _scad,
    kernels.LOG_SUM: _log_sum,
    kernels.HALF: _half,
    kernels.TWO_THIRDS: _two_thirds,
    kernels.POWER: _power,
    kernels.POWER_CONVEX: _power_convex,
    kernels.HUBER: _huber,
    kernels.HINGE: _hinge,
    kernels.SQ_HINGE: _squared_hinge,
    kernels.PINBALL: _pinball,
    kernels.LOGISTIC: _logistic,
    kernels.KL: _kl,
}
