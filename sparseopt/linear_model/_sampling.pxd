"""Random samples, and requests for memory that is needed soon."""
from libc.stdint cimport int64_t, uint64_t

cdef enum:
    LINE = 64


cdef extern from *:
    """
    #if defined(__GNUC__)
    #define so_prefetch(p) __builtin_prefetch(p)
    #else
    #define so_prefetch(p) ((void)(p))
    #endif
    """
    void so_prefetch(const void*) noexcept nogil


cdef inline void fetch(const void* start, int64_t size) noexcept nogil:
    """Ask for the cache lines of some bytes."""
    cdef int64_t at = 0
    while at < size:
        so_prefetch(<const char*>start + at)
        at += LINE


cdef inline int64_t draw(uint64_t* state, int64_t n) noexcept nogil:
    """A number below n, by xorshift with a multiplier."""
    cdef uint64_t x = state[0]
    x ^= x >> 12
    x ^= x << 25
    x ^= x >> 27
    state[0] = x
    return <int64_t>(((x * <uint64_t>2685821657736338717) >> 11) % <uint64_t>n)
