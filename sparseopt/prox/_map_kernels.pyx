"""Elementwise and group-wise maps of ``_maps.c`` on NumPy arrays.

Arguments are not validated here.  Functions return True where all that was read is finite
(and weights are not negative).  The interpreter is asked for pending signals between pieces.
"""
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t

from ._maps cimport so_maps, so_maps_table

import numpy as np

ctypedef fused real:
    float
    double

cdef const so_maps_table* T = so_maps(2)
cdef int64_t PIECE = 1 << 22

(SOFT, SOFT_POS, WSOFT, WSOFT_POS, FIRM, SCAD, LOG_SUM, HALF, TWO_THIRDS, POWER, POWER_CONVEX,
 HUBER, HINGE, SQ_HINGE, PINBALL, LOGISTIC, KL) = range(17)

SHRINK, CLIP, BALL = range(3)


def set_simd_level(int level):
    """Use the maps of this instruction-set level or the best below it; returns its name."""
    global T
    T = so_maps(level)
    return T.name.decode()


def apply(int kind, const real[::1] x, const real[::1] y, const double[::1] p, real[::1] out):
    """Map of a kind with parameters `p`; `y` None where it takes no second array."""
    cdef int64_t n = x.shape[0], i = 0, size
    cdef double bad = 0.0
    cdef const real* second = NULL
    while i < n:
        size = min(PIECE, n - i)
        if y is not None:
            second = &y[i]
        with nogil:
            if real is double:
                bad += T.map_d[kind](size, &x[i], second, &p[0], &out[i])
            else:
                bad += T.map_s[kind](size, &x[i], second, &p[0], &out[i])
        i += size
        PyErr_CheckSignals()
    return bad == 0.0


def group_map(int kind, int64_t m, int64_t g, const int64_t[::1] idx, const int64_t[::1] ptr,
              const real[::1] x, const double[::1] weights, double lam, double l1,
              int64_t largest, real[::1] out):
    """Map each group: SHRINK or CLIP its norm by lam, or project it onto a BALL.

    `idx` and `ptr` None: groups are consecutive blocks of `g`.
    """
    cdef int64_t j = 0, stop, step
    cdef double bad = 0.0
    cdef const int64_t* at = NULL
    cdef const int64_t* starts = NULL
    cdef const double* w = NULL
    cdef double[::1] work = np.empty(largest if kind == 1 else 1)
    if idx is not None:
        at, starts = &idx[0], &ptr[0]
    if weights is not None:
        w = &weights[0]
    step = max(1, PIECE // max(1, x.shape[0] // max(1, m)))
    while j < m:
        stop = min(m, j + step)
        with nogil:
            if real is double:
                bad += T.group_d[kind](j, stop, g, at, starts, &x[0], w, lam, l1, &work[0],
                                       &out[0])
            else:
                bad += T.group_s[kind](j, stop, g, at, starts, &x[0], w, lam, l1, &work[0],
                                       &out[0])
        j = stop
        PyErr_CheckSignals()
    return bad == 0.0
