"""The C table of row kernels; its members are explained in ``_rows.h``."""
from libc.stdint cimport int32_t, int64_t

cdef extern from "_rows.h" nogil:
    const int SO_B
    ctypedef struct so_ot_table:
        const char* name
        void (*pass_d)(const double*, int64_t, int64_t, int64_t, int64_t, double, const double*,
                       const double*, double*, const double*, double*, double*,
                       int) noexcept nogil
        void (*pass_s)(const float*, int64_t, int64_t, int64_t, int64_t, double, const double*,
                       const double*, double*, const double*, double*, double*,
                       int) noexcept nogil
        void (*cert_d)(const double*, int64_t, int64_t, int64_t, int64_t, double, const double*,
                       const double*, const double*, const double*, double*) noexcept nogil
        void (*cert_s)(const float*, int64_t, int64_t, int64_t, int64_t, double, const double*,
                       const double*, const double*, const double*, double*) noexcept nogil
        void (*hv_d)(const double*, int64_t, int64_t, int64_t, int64_t, double, const double*,
                     const double*, const double*, const double*, double*, double*) noexcept nogil
        void (*hv_s)(const float*, int64_t, int64_t, int64_t, int64_t, double, const double*,
                     const double*, const double*, const double*, double*, double*) noexcept nogil
        void (*plan_d)(const double*, int64_t, int64_t, int64_t, int64_t, double, const double*,
                       const double*, double*) noexcept nogil
        void (*plan_s)(const float*, int64_t, int64_t, int64_t, int64_t, double, const double*,
                       const double*, double*) noexcept nogil
        void (*scale)(const double*, int64_t, int64_t, int64_t, const double*, const double*,
                      double*, double*) noexcept nogil
        void (*count_d)(const double*, int64_t, int64_t, int64_t, int64_t, const double*,
                        const double*, const double*, int64_t*) noexcept nogil
        void (*count_s)(const float*, int64_t, int64_t, int64_t, int64_t, const double*,
                        const double*, const double*, int64_t*) noexcept nogil
        void (*fill_d)(const double*, int64_t, int64_t, int64_t, int64_t, const double*,
                       const double*, const double*, const int64_t*, int32_t*) noexcept nogil
        void (*fill_s)(const float*, int64_t, int64_t, int64_t, int64_t, const double*,
                       const double*, const double*, const int64_t*, int32_t*) noexcept nogil
        void (*eval_d)(const double*, int64_t, int64_t, int64_t, int64_t, const int64_t*,
                       const int32_t*, double, const double*, const double*, double*,
                       const double*, double*, double*) noexcept nogil
        void (*eval_s)(const float*, int64_t, int64_t, int64_t, int64_t, const int64_t*,
                       const int32_t*, double, const double*, const double*, double*,
                       const double*, double*, double*) noexcept nogil
        void (*hess_count)(int64_t, int64_t, const int64_t*, const double*, const double*,
                           double, int64_t*) noexcept nogil
        void (*hess_fill)(int64_t, int64_t, const int64_t*, const int32_t*, const double*,
                          const double*, double, const int64_t*, int32_t*, float*, double*,
                          int32_t*, double*, double*) noexcept nogil
        void (*refine)(int64_t, int64_t, const int64_t*, const int32_t*, const double*,
                       const double*, double, const int64_t*, int32_t*) noexcept nogil
        void (*matvec)(int64_t, int64_t, const int64_t*, const int32_t*, const float*,
                       const double*, const int32_t*, const double*, double*) noexcept nogil
        double (*dot)(int64_t, const double*, const double*) noexcept nogil
        void (*cg_step)(int64_t, double, const double*, const double*, const double*, double*,
                        double*, double*, double*) noexcept nogil
    const so_ot_table* so_ot_rows(int level)
