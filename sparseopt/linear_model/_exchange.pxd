"""The C table of exchange loops; its members are explained in ``_exchange.h``."""
from libc.stdint cimport int64_t

cdef extern from "_exchange.h" nogil:
    ctypedef struct so_exchange_table:
        const char* name
        void (*axpy)(int64_t, double, const double*, double*) noexcept nogil
        void (*outer)(int64_t, int64_t, const int64_t*, double, const double*,
                      double*) noexcept nogil
        double (*scan)(int64_t, double, double, const double*, const double*, const double*,
                       const double*, double*, int64_t*) noexcept nogil
        double (*gain)(int64_t, int64_t, int64_t, const double*, const double*, const double*,
                       const double*, int64_t, double, double*) noexcept nogil

    const so_exchange_table* so_exchanges(int)
