"""Vectorised exp and log-sum-exp, in the instruction set found at run time.

``exp`` is within 1.1 units in the last place over the whole range, denormals and
infinities included; NaN is kept.
"""
import numpy as np

from libc.stdint cimport int64_t

ctypedef fused real:
    float
    double

cdef extern from "_simd.h" nogil:
    ctypedef struct so_simd_table:
        const char* name
        void (*exp_d)(int64_t, const double*, double*) noexcept nogil
        void (*exp_s)(int64_t, const float*, float*) noexcept nogil
        double (*logsumexp_d)(int64_t, const double*) noexcept nogil
        double (*logsumexp_s)(int64_t, const float*) noexcept nogil
    const so_simd_table* so_simd(int level)

cdef const so_simd_table* T = so_simd(2)


def level_name():
    """Instruction set in use: "v4" (AVX-512), "v3" (AVX2) or "baseline"."""
    return T.name.decode()


def set_level(int level):
    """Use this level (0, 1, 2) or the best below it; returns its name.  For tests."""
    global T
    T = so_simd(level)
    return level_name()


def exp(const real[::1] x, real[::1] out=None):
    """Exponentials of a contiguous vector."""
    cdef int64_t n = x.shape[0]
    if out is None:
        out = np.empty(n, dtype=np.float32 if real is float else np.float64)
    elif out.shape[0] != n:
        raise ValueError(f"out must have length {n}. Got {out.shape[0]}.")
    if n:
        with nogil:
            if real is double:
                T.exp_d(n, &x[0], &out[0])
            else:
                T.exp_s(n, &x[0], &out[0])
    return np.asarray(out)


def logsumexp_rows(const real[:, ::1] x):
    """``log(sum(exp(x), axis=1))`` of a C-contiguous matrix; -inf for rows of -inf."""
    cdef int64_t n = x.shape[0], m = x.shape[1], i
    out_array = np.full(n, -np.inf, dtype=np.float32 if real is float else np.float64)
    cdef real[::1] out = out_array
    if m:
        with nogil:
            for i in range(n):
                if real is double:
                    out[i] = T.logsumexp_d(m, &x[i, 0])
                else:
                    out[i] = <float>T.logsumexp_s(m, &x[i, 0])
    return out_array
