"""Threads and memory for the row kernels of ``_rows.c``.

Rows are handed out in chunks of about equal work, heaviest first; each row is solved by one
thread, so a result is the same to the last bit for any number of threads.  Arguments are not
validated here.
"""
import math

import numpy as np

from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t

from ._rows cimport SO_CG_WORK, SO_LINE, so_mc_rows, so_mc_table

ctypedef fused real:
    float
    double

cdef const so_mc_table* T = so_mc_rows(2)
LINE = SO_LINE


def aligned(shape, dtype, make=np.zeros):
    """Array that starts at a cache line, so that rows of whole lines are lines of memory."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = make(size + SO_LINE, np.uint8)
    start = -raw.ctypes.data % SO_LINE
    return raw[start:start + size].view(dtype).reshape(shape)


def set_simd_level(int level):
    """Use the row kernels of this instruction-set level or the best below it; returns its name."""
    global T
    T = so_mc_rows(level)
    return T.name.decode()


def workspaces(int n_threads, int64_t size, dtype):
    """At least ``size`` numbers for each thread, whole lines: each part starts at one.

    Some BLAS kernels add in an order that depends on where an array starts in its line, and
    then a row's last digits would depend on the thread that solves it.
    """
    per_line = SO_LINE // np.dtype(dtype).itemsize
    return aligned((n_threads, -(-size // per_line) * per_line), dtype, np.empty)


cdef workspace(int n_threads, int64_t size, like):
    return workspaces(n_threads, size, np.asarray(like).dtype)


cdef const real* pointer(const real[::1] x) noexcept nogil:
    if x is None or x.shape[0] == 0:
        return NULL
    return &x[0]


def cg_rows(const int64_t[::1] ptr, const int32_t[::1] idx, const real[::1] x,
            const real[::1] w, const real[:, ::1] V, real[:, ::1] A, const real[::1] d,
            const real[::1] g, const real[::1] mask, const double[::1] scale, int steps,
            double tol, double[::1] rss, double[::1] drop, const int64_t[:, ::1] chunks,
            int n_threads, const real[::1] base=None):
    """A few conjugate-gradient steps for each row, see ``_rows.h``."""
    cdef int64_t kp = V.shape[1], c
    if x.shape[0] == 0:  # there may be no rows, and then nothing to point at
        rss[:] = 0
        drop[:] = 0
        return
    cdef real[:, ::1] work = workspace(n_threads, SO_CG_WORK(kp, SO_LINE // sizeof(real)), x)
    cdef const real* xp = pointer(x)
    cdef const real* wp = pointer(w)
    cdef const real* bp = pointer(base)
    cdef const double* sp = NULL
    if scale is not None:
        sp = &scale[0]
    for c in prange(chunks.shape[0], schedule="dynamic", chunksize=1, nogil=True,
                    num_threads=n_threads):
        if real is double:
            T.cg_d(chunks[c, 0], chunks[c, 1], &ptr[0], &idx[0], xp, wp, &V[0, 0], kp,
                   &A[0, 0], &d[0], &g[0], &mask[0], sp, bp, steps, tol, &rss[0],
                   &drop[0], &work[threadid(), 0])
        else:
            T.cg_s(chunks[c, 0], chunks[c, 1], &ptr[0], &idx[0], xp, wp, &V[0, 0], kp,
                   &A[0, 0], &d[0], &g[0], &mask[0], sp, bp, steps, tol, &rss[0],
                   &drop[0], &work[threadid(), 0])


def product_rows(const int64_t[::1] ptr, const int32_t[::1] idx, const real[::1] x,
                 const real[::1] w, const real[:, ::1] V, const real[:, ::1] A, real[::1] r,
                 real[:, ::1] Y, double[::1] rss, const int64_t[:, ::1] chunks, int n_threads):
    """Residuals or products at the stored entries and their sums, see ``_rows.h``."""
    cdef int64_t kp = V.shape[1], ky = 0 if Y is None else Y.shape[1], c
    if idx.shape[0] == 0:
        if Y is not None:
            Y[:] = 0
        if rss is not None:
            rss[:] = 0
        return
    cdef real[:, ::1] work = workspace(n_threads, SO_LINE * kp, V)
    cdef real* rp = NULL if r is None or r.shape[0] == 0 else &r[0]
    cdef real* yp = NULL if Y is None else &Y[0, 0]
    cdef double* sp = NULL if rss is None else &rss[0]
    cdef const real* xp = pointer(x)
    cdef const real* wp = pointer(w)
    for c in prange(chunks.shape[0], schedule="dynamic", chunksize=1, nogil=True,
                    num_threads=n_threads):
        if real is double:
            T.product_d(chunks[c, 0], chunks[c, 1], &ptr[0], &idx[0], xp, wp, &V[0, 0],
                        kp, &A[0, 0], rp, yp, ky, sp, &work[threadid(), 0])
        else:
            T.product_s(chunks[c, 0], chunks[c, 1], &ptr[0], &idx[0], xp, wp, &V[0, 0],
                        kp, &A[0, 0], rp, yp, ky, sp, &work[threadid(), 0])


def spmm_rows(const int64_t[::1] ptr, const int32_t[::1] idx, const real[::1] x,
              const real[:, ::1] V, real[:, ::1] Y,
              const int64_t[:, ::1] chunks, int n_threads):
    """Y_i = sum_e x_e V_j"""
    cdef int64_t kp = V.shape[1], c
    cdef const real* xp = pointer(x)
    if idx.shape[0] == 0:
        Y[:] = 0
        return
    for c in prange(chunks.shape[0], schedule="dynamic", chunksize=1, nogil=True,
                    num_threads=n_threads):
        if real is double:
            T.spmm_d(chunks[c, 0], chunks[c, 1], &ptr[0], &idx[0], xp, &V[0, 0], kp,
                     &Y[0, 0])
        else:
            T.spmm_s(chunks[c, 0], chunks[c, 1], &ptr[0], &idx[0], xp, &V[0, 0], kp,
                     &Y[0, 0])
