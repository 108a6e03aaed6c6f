"""Total variation, isotonic regression and SLOPE on rows of NumPy arrays.

Arguments are not validated here: rows are finite and C-contiguous, and results may be
written over them only where that is said.  The interpreter is asked for pending signals
between pieces of work.
"""
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint32_t, uint64_t

import numpy as np

cdef extern from "_lanes.h" nogil:
    ctypedef struct so_lanes_table:
        const char* name
    const so_lanes_table* so_lanes(int level)

ctypedef fused real:
    float
    double

cdef extern from "_sequences.h" nogil:
    ctypedef struct so_piece:
        double sum
        double len
    ctypedef struct so_path:
        int64_t written
    ctypedef struct so_buckets:
        uint64_t high
        int shift
        int log_count
        int64_t live
    void so_path_start(so_path*)
    void so_path_d(so_path*, int64_t, int64_t, const double*, const double*, double, double,
                   const so_lanes_table*, so_piece*, so_piece*, double*)
    void so_path_s(so_path*, int64_t, int64_t, const float*, const float*, double, double,
                   const so_lanes_table*, so_piece*, so_piece*, float*)
    int64_t so_pool_d(int64_t, int64_t, int64_t, int, const double*, const double*, int64_t,
                      so_piece*, int64_t*)
    int64_t so_pool_s(int64_t, int64_t, int64_t, int, const float*, const float*, int64_t,
                      so_piece*, int64_t*)
    int64_t so_keep_d(int64_t, int64_t, const double*, double, int64_t, double*)
    int64_t so_keep_s(int64_t, int64_t, const float*, double, int64_t, double*)
    double so_check_lam(int64_t, const double*)
    int so_is_sorted(int64_t, const double*)
    int64_t so_refine(int64_t, double*, double)
    int64_t so_sorted_cut(int64_t, const double*, const double*, double)
    double so_bucket_level(const so_buckets*, double)
    void so_bucket_plan(int64_t, const double*, so_buckets*)
    void so_bucket_count(int64_t, const double*, const so_buckets*, int64_t*, double*)
    void so_bucket_cut(so_buckets*, const int64_t*, const double*, const double*, double)
    void so_bucket_scatter(int64_t, const double*, const so_buckets*, int64_t*, double*)
    int so_bucket_sort(int64_t, const double*, const so_buckets*, uint64_t*, uint32_t*)
    int64_t so_slope_pool(int64_t, const double*, const uint32_t*, const double*, double, int64_t,
                          so_piece*)
    void so_slope_values(int64_t, const so_piece*, int64_t*, int64_t*, const uint32_t*, double*)
    int64_t SO_SHORT
    void so_slope_short_d(int64_t, const double*, const double*, double, double*)
    void so_slope_short_s(int64_t, const float*, const double*, double, float*)
    void so_replay_d(int64_t, int64_t, const double*, double, const so_buckets*, int64_t*,
                     const double*, double*)
    void so_replay_s(int64_t, int64_t, const float*, double, const so_buckets*, int64_t*,
                     const double*, float*)

cdef int64_t PIECE = 1 << 21
cdef const so_lanes_table* T = so_lanes(2)


def set_simd_level(int level):
    """Use the kernels of this instruction-set level or the best below it; returns its name."""
    global T
    T = so_lanes(level)
    return T.name.decode()


def total_variation(const real[:, ::1] x, const real[::1] w, double lam, double l1,
                    real[:, ::1] out):
    """Each row with ``lam sum_i w_i |u_(i+1) - u_i| + l1 |u|_1``; `w` None for ones.

    `out` must not be `x`.
    """
    cdef int64_t n = x.shape[1], row
    cdef so_path state
    cdef double[:, ::1] memory = np.empty((2 * n, 2))
    cdef so_piece* up = <so_piece*> &memory[0, 0]
    cdef so_piece* low = <so_piece*> &memory[n, 0]
    cdef const real* weights = NULL
    if w is not None and n > 1:
        weights = &w[0]
    for row in range(x.shape[0]):
        so_path_start(&state)
        while state.written < n:
            with nogil:
                if real is double:
                    so_path_d(&state, PIECE, n, &x[row, 0], weights, lam, l1, T, up, low,
                              &out[row, 0])
                else:
                    so_path_s(&state, PIECE, n, &x[row, 0], weights, lam, l1, T, up, low,
                              &out[row, 0])
            PyErr_CheckSignals()


def isotonic(const real[:, ::1] x, const real[::1] w, bint increasing, real[:, ::1] out):
    """Nearest monotone row for each row, in the norm of weights `w` (None: ones)."""
    cdef int64_t n = x.shape[1], row, i, stop, k, j, end
    cdef double[:, ::1] memory = np.empty((n, 2))
    cdef int64_t[::1] starts = np.empty(n + 1, dtype=np.int64)
    cdef so_piece* pools = <so_piece*> &memory[0, 0]
    cdef const real* weights = NULL
    cdef real value
    if w is not None:
        weights = &w[0]
    for row in range(x.shape[0]):
        i = k = 0
        while i < n:
            stop = min(n, i + PIECE)
            with nogil:
                if real is double:
                    k = so_pool_d(i, stop, n, not increasing, &x[row, 0], weights, k, pools,
                                  &starts[0])
                else:
                    k = so_pool_s(i, stop, n, not increasing, &x[row, 0], weights, k, pools,
                                  &starts[0])
            i = stop
            PyErr_CheckSignals()
        starts[k] = n
        for j in range(k):
            value = <real> (pools[j].sum / pools[j].len)
            for i in range(starts[j], starts[j + 1]):
                end = i if increasing else n - 1 - i
                out[row, end] = value


def slope_weights_valid(const double[::1] lam):
    """Whether the weights are finite, not negative and nonincreasing."""
    return so_check_lam(lam.shape[0], &lam[0]) == 0.0


def slope_rows(const real[:, ::1] x, const double[::1] lam, double scale, real[:, ::1] out):
    """Prox of ``scale * sum_i lam_i |u|_(i)`` for each row; `out` may be `x`."""
    cdef int64_t n = x.shape[1], row, first, some = PIECE // n + 1
    if n > SO_SHORT:
        for row in range(x.shape[0]):
            slope(x[row], lam, scale, out[row])
        return
    for first in range(0, x.shape[0], some):
        with nogil:
            for row in range(first, min(x.shape[0], first + some)):
                if real is double:
                    so_slope_short_d(n, &x[row, 0], &lam[0], scale, &out[row, 0])
                else:
                    so_slope_short_s(n, &x[row, 0], &lam[0], scale, &out[row, 0])
        PyErr_CheckSignals()


cdef slope(const real[::1] x, const double[::1] lam, double scale, real[::1] out):
    """Prox of ``scale * sum_i lam_i |u|_(i)``; `out` may be `x`."""
    cdef int64_t n = x.shape[0], i = 0, p = 0, stop
    cdef double level = scale * lam[n - 1]  # what is not above it ends at zero
    cdef double[::1] v = np.empty(n)
    cdef int64_t[::1] start
    cdef so_buckets plan
    cdef so_buckets* buckets = &plan
    while i < n:
        stop = min(n, i + PIECE)
        with nogil:
            if real is double:
                p = so_keep_d(i, stop, &x[0], level, p, &v[0])
            else:
                p = so_keep_s(i, stop, &x[0], level, p, &v[0])
        i = stop
        PyErr_CheckSignals()
    if p == 0:
        out[:] = 0
        return
    if so_is_sorted(p, &v[0]):
        buckets = NULL
        start = np.zeros(1, dtype=np.int64)
        i = p
        p = so_sorted_cut(p, &v[0], &lam[0], scale)
        if p < i:
            level = v[p]
        _sorted_values(p, v, lam, scale)
    else:
        v, start = _bucket_values(p, v, lam, scale, &level, &plan)
    i = 0
    while i < n:
        stop = min(n, i + PIECE)
        with nogil:
            if real is double:
                so_replay_d(i, stop, &x[0], level, buckets, &start[0], &v[0], &out[0])
            else:
                so_replay_s(i, stop, &x[0], level, buckets, &start[0], &v[0], &out[0])
        i = stop
        PyErr_CheckSignals()


cdef _sorted_values(int64_t p, double[::1] v, const double[::1] lam, double scale):
    """Replace the first p magnitudes, which are nonincreasing, by their values."""
    cdef double[:, ::1] memory = np.empty((max(p, 1), 2))
    cdef so_piece* pools = <so_piece*> &memory[0, 0]
    cdef int64_t i = 0, k = 0, used = 0, stop
    while i < p:
        stop = min(p, i + PIECE)
        with nogil:
            k = so_slope_pool(stop - i, &v[i], NULL, &lam[i], scale, k, pools)
        i = stop
        PyErr_CheckSignals()
    k = 0
    with nogil:
        so_slope_values(p, pools, &k, &used, NULL, &v[0])


cdef _bucket_values(int64_t p, double[::1] v, const double[::1] lam, double scale, double* level,
                    so_buckets* plan):
    """Values in the order of the buckets, where each starts; and the level of what is live."""
    cdef int64_t count, size, j, first, k = 0, used = 0
    cdef int failed = 0
    cdef double[::1] sums, values
    cdef int64_t[::1] start, following
    so_bucket_plan(p, &v[0], plan)
    count = 1 << plan.log_count
    start, sums = np.empty(count + 1, dtype=np.int64), np.empty(count)
    with nogil:
        so_bucket_count(p, &v[0], plan, &start[0], &sums[0])
        so_bucket_cut(plan, &start[0], &sums[0], &lam[0], scale)
        size = start[plan.live]
        level[0] = so_bucket_level(plan, level[0])
        if size < p:
            so_refine(p, &v[0], level[0])
    if size > 0xFFFFFFFF:
        raise ValueError(f"More than 2^32 - 1 entries would have to be sorted: {size}.")
    PyErr_CheckSignals()
    values, following = np.empty(size + 1), np.array(start)
    cdef double[:, ::1] memory = np.empty((size + 1, 2))
    cdef so_piece* pools = <so_piece*> &memory[0, 0]
    cdef uint32_t[::1] perm = np.empty(size + 1, dtype=np.uint32)
    cdef uint64_t[::1] work = np.empty(2 * np.diff(start).max(), dtype=np.uint64)
    with nogil:
        so_bucket_scatter(size, &v[0], plan, &following[0], &values[0])
    for j in range(plan.live):
        first = start[j]
        with nogil:
            failed = so_bucket_sort(start[j + 1] - first, &values[first], plan, &work[0],
                                    &perm[first])
            k = so_slope_pool(start[j + 1] - first, &values[first], &perm[first], &lam[first],
                              scale, k, pools)
        if failed:
            raise MemoryError
        PyErr_CheckSignals()
    k = 0
    with nogil:
        for j in range(plan.live):
            first = start[j]
            so_slope_values(start[j + 1] - first, pools, &k, &used, &perm[first], &values[first])
    return values, start
