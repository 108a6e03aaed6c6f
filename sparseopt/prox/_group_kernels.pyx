"""Norms, scaling and moments of groups, over the C code of ``_root.h``.

Each group is worked on by one thread, so results do not depend on their number.
"""
from cython.parallel cimport prange
from libc.stdint cimport int64_t

from ._root cimport so_root_level, so_root_table

cdef const so_root_table* T = so_root_level(2)
cdef int64_t PARALLEL = 2_000_000  # elements for which threads are started


def set_simd_level(int level):
    """Use the kernels of this instruction-set level or the best below it; returns its name."""
    global T
    T = so_root_level(level)
    return T.name.decode()


cdef void norms(const char* x, int is_float, int64_t m, int64_t g, double* r,
                int n_threads) noexcept nogil:
    cdef int64_t b, i, size
    if m * g <= PARALLEL:
        n_threads = 1
    for b in prange(n_threads, num_threads=n_threads, schedule="static"):
        i = b * m // n_threads
        size = (b + 1) * m // n_threads - i
        if is_float:
            T.norms_s(<const float*>x + i * g, size, g, r + i)
        else:
            T.norms_d(<const double*>x + i * g, size, g, r + i)


def group_norms_d(const double[::1] x, int64_t g, double[::1] r, int n_threads):
    """Norms of consecutive groups of g entries."""
    with nogil:
        norms(<const char*>&x[0], 0, r.shape[0], g, &r[0], n_threads)


def group_norms_s(const float[::1] x, int64_t g, double[::1] r, int n_threads):
    """`group_norms_d` for float32."""
    with nogil:
        norms(<const char*>&x[0], 1, r.shape[0], g, &r[0], n_threads)


cdef void scale(const char* x, char* w, int is_float, int64_t m, int64_t g, const double* s,
                int n_threads) noexcept nogil:
    cdef int64_t b, i, size
    if m * g <= PARALLEL:
        n_threads = 1
    for b in prange(n_threads, num_threads=n_threads, schedule="static"):
        i = b * m // n_threads
        size = (b + 1) * m // n_threads - i
        if is_float:
            T.scale_s(<const float*>x + i * g, <float*>w + i * g, size, g, s + i)
        else:
            T.scale_d(<const double*>x + i * g, <double*>w + i * g, size, g, s + i)


def group_scale_d(const double[::1] x, double[::1] w, int64_t g, const double[::1] s,
                  int n_threads):
    """Multiply consecutive groups of g entries by a factor each."""
    with nogil:
        scale(<const char*>&x[0], <char*>&w[0], 0, s.shape[0], g, &s[0], n_threads)


def group_scale_s(const float[::1] x, float[::1] w, int64_t g, const double[::1] s,
                  int n_threads):
    """`group_scale_d` for float32."""
    with nogil:
        scale(<const char*>&x[0], <char*>&w[0], 1, s.shape[0], g, &s[0], n_threads)


def gather_norms_d(const double[::1] x, const int64_t[::1] indices, const int64_t[::1] indptr,
                   double[::1] r):
    """Norms of groups of an index list."""
    with nogil:
        T.gather_norms_d(&x[0], &indices[0], &indptr[0], 0, r.shape[0], &r[0])


def gather_norms_s(const float[::1] x, const int64_t[::1] indices, const int64_t[::1] indptr,
                   double[::1] r):
    """`gather_norms_d` for float32."""
    with nogil:
        T.gather_norms_s(&x[0], &indices[0], &indptr[0], 0, r.shape[0], &r[0])


def gather_scale_d(const double[::1] x, double[::1] w, const int64_t[::1] indices,
                   const int64_t[::1] indptr, const double[::1] s):
    """Multiply groups of an index list by a factor each; other entries of w are left."""
    with nogil:
        T.gather_scale_d(&x[0], &w[0], &indices[0], &indptr[0], 0, s.shape[0], &s[0])


def gather_scale_s(const float[::1] x, float[::1] w, const int64_t[::1] indices,
                   const int64_t[::1] indptr, const double[::1] s):
    """`gather_scale_d` for float32."""
    with nogil:
        T.gather_scale_s(&x[0], &w[0], &indices[0], &indptr[0], 0, s.shape[0], &s[0])


def moments_d(const double[::1] x, double low, double high):
    """Of |x|: counts above low and from high on, sum between, squares from high, between."""
    cdef double[5] out
    cdef int k
    for k in range(5):
        out[k] = 0.0
    with nogil:
        T.moments_d(&x[0], x.shape[0], low, high, out)
    return <int64_t>out[0], <int64_t>out[1], out[2], out[3], out[4]


def moments_s(const float[::1] x, double low, double high):
    """`moments_d` for float32."""
    cdef double[5] out
    cdef int k
    for k in range(5):
        out[k] = 0.0
    with nogil:
        T.moments_s(&x[0], x.shape[0], low, high, out)
    return <int64_t>out[0], <int64_t>out[1], out[2], out[3], out[4]
