"""The C interface of the root search; explained in ``_root.h``."""
from libc.stdint cimport int64_t

cdef extern from "_root.h" nogil:
    ctypedef struct so_rule:
        double e1, e0, f1, f0, n0, n1, d0, d1, d2, target, floor
        int envelope
    ctypedef struct so_cut:
        double out, full, low, high
    ctypedef struct so_fold:
        int64_t whole, part, kept
        double sum
        int bad
    ctypedef struct so_root_table:
        const char* name
        void (*measure_d)(const double*, int64_t, double, double, int, so_fold*) noexcept nogil
        void (*measure_s)(const float*, int64_t, double, double, int, so_fold*) noexcept nogil
        void (*shrink_d)(const double*, double*, int64_t, double, double, double, double,
                         int) noexcept nogil
        void (*shrink_s)(const float*, float*, int64_t, double, double, double, double,
                         int) noexcept nogil
        void (*shift_d)(const double*, double*, int64_t, double, double, int) noexcept nogil
        void (*shift_s)(const float*, float*, int64_t, double, double, int) noexcept nogil
        void (*norms_d)(const double*, int64_t, int64_t, double*) noexcept nogil
        void (*norms_s)(const float*, int64_t, int64_t, double*) noexcept nogil
        void (*scale_d)(const double*, double*, int64_t, int64_t, const double*) noexcept nogil
        void (*scale_s)(const float*, float*, int64_t, int64_t, const double*) noexcept nogil
        void (*gather_norms_d)(const double*, const int64_t*, const int64_t*, int64_t, int64_t,
                               double*) noexcept nogil
        void (*gather_norms_s)(const float*, const int64_t*, const int64_t*, int64_t, int64_t,
                               double*) noexcept nogil
        void (*gather_scale_d)(const double*, double*, const int64_t*, const int64_t*, int64_t,
                               int64_t, const double*) noexcept nogil
        void (*gather_scale_s)(const float*, float*, const int64_t*, const int64_t*, int64_t,
                               int64_t, const double*) noexcept nogil
        void (*moments_d)(const double*, int64_t, double, double, double*) noexcept nogil
        void (*moments_s)(const float*, int64_t, double, double, double*) noexcept nogil
    const so_root_table* so_root_level(int level)
    ctypedef enum so_step:
        SO_DONE, SO_BAD, SO_RANGE, SO_FILTER, SO_MEASURE, SO_MEMORY
    ctypedef struct so_part:
        double* data
        int64_t n, size
        so_fold fold
        int failed
    ctypedef struct so_search:
        so_rule rule
        so_cut cut
        double lo, hi, t, start
        int any_scale
        int64_t stored
    so_step so_root_begin(const so_root_table*, so_search*, const void*, int, int64_t, int)
    so_step so_root_sampled(const so_root_table*, so_search*, double*, int64_t, int64_t, int)
    void so_root_filter(const so_root_table*, so_search*, const void*, int, int64_t, int,
                        so_part*)
    so_step so_root_proceed(const so_root_table*, so_search*, so_part*, int64_t)
    so_step so_root_narrow(so_search*, const so_fold*, int64_t)
    void so_root_end(so_search*)
    double so_root_general(const so_root_table*, double*, double*, double*, int64_t, double)
    ctypedef struct so_weighted:
        const void* x
        int is_float
        int64_t n
        const double* d
        const double* q
        double weight, lam, debias, target, unit
        int n_threads
    so_step so_root_weighted(const so_root_table*, so_weighted*, double*)
    void so_weighted_prox(const so_root_table*, const so_weighted*, double, void*, double*,
                          double*)
