"""The C table of column loops; its members are explained in ``_columns.h``."""
from libc.stdint cimport int64_t

cdef extern from "_columns.h" nogil:
    ctypedef struct so_column_table:
        const char* name
        double (*dot)(int64_t, const double*, const double*) noexcept nogil
        void (*axpy)(int64_t, double, const double*, double*) noexcept nogil
        void (*axpys)(int64_t, int64_t, const double*, const double*, double*) noexcept nogil
        void (*dots_d)(const double*, int64_t, int64_t, const int64_t*, int64_t, int64_t,
                       const double*, double*) noexcept nogil
        void (*dots_s)(const float*, int64_t, int64_t, const int64_t*, int64_t, int64_t,
                       const double*, double*) noexcept nogil
        void (*moments_d)(const double*, int64_t, int64_t, int64_t, int64_t, const double*,
                          double*, double*) noexcept nogil
        void (*moments_s)(const float*, int64_t, int64_t, int64_t, int64_t, const double*,
                          double*, double*) noexcept nogil
        void (*rows_d)(const double*, int64_t, int64_t, int64_t, int64_t, const double*,
                       double*) noexcept nogil
        void (*rows_s)(const float*, int64_t, int64_t, int64_t, int64_t, const double*,
                       double*) noexcept nogil

    const so_column_table* so_columns(int)
