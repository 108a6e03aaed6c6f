"""The C table of maps; its members are explained in ``_maps.h``."""
from libc.stdint cimport int64_t

cdef extern from "_maps.h" nogil:
    ctypedef double (*so_map_d)(int64_t, const double*, const double*, const double*,
                                double*) noexcept nogil
    ctypedef float (*so_map_s)(int64_t, const float*, const float*, const double*,
                               float*) noexcept nogil
    ctypedef double (*so_group_d)(int64_t, int64_t, int64_t, const int64_t*, const int64_t*,
                                  const double*, const double*, double, double, double*,
                                  double*) noexcept nogil
    ctypedef double (*so_group_s)(int64_t, int64_t, int64_t, const int64_t*, const int64_t*,
                                  const float*, const double*, double, double, double*,
                                  float*) noexcept nogil
    ctypedef struct so_maps_table:
        const char* name
        so_map_d* map_d
        so_map_s* map_s
        so_group_d* group_d
        so_group_s* group_s
    const so_maps_table* so_maps(int level)
