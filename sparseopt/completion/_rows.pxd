"""The C table of row kernels; its members are explained in ``_rows.h``."""
from libc.stdint cimport int32_t, int64_t

cdef extern from "_rows.h" nogil:
    int64_t SO_CG_WORK(int64_t kp, int64_t lanes)
    const int SO_LINE
    ctypedef struct so_mc_table:
        const char* name
        void (*cg_d)(int64_t, int64_t, const int64_t*, const int32_t*, const double*,
                     const double*, const double*, int64_t, double*, const double*,
                     const double*, const double*, const double*, const double*, int, double,
                     double*, double*, double*) noexcept nogil
        void (*cg_s)(int64_t, int64_t, const int64_t*, const int32_t*, const float*,
                     const float*, const float*, int64_t, float*, const float*,
                     const float*, const float*, const double*, const float*, int, double,
                     double*, double*, float*) noexcept nogil
        void (*product_d)(int64_t, int64_t, const int64_t*, const int32_t*, const double*,
                          const double*, const double*, int64_t, const double*, double*,
                          double*, int64_t, double*, double*) noexcept nogil
        void (*product_s)(int64_t, int64_t, const int64_t*, const int32_t*, const float*,
                          const float*, const float*, int64_t, const float*, float*,
                          float*, int64_t, double*, float*) noexcept nogil
        void (*spmm_d)(int64_t, int64_t, const int64_t*, const int32_t*, const double*,
                       const double*, int64_t, double*) noexcept nogil
        void (*spmm_s)(int64_t, int64_t, const int64_t*, const int32_t*, const float*,
                       const float*, int64_t, float*) noexcept nogil
    const so_mc_table* so_mc_rows(int level)
