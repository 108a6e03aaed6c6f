"""Instruction set of the row kernels: what the processor has and this build holds."""

cdef extern from "_cpu.h" nogil:
    int so_cpu_level()

cdef extern from *:
    """
    #if defined(SO_HAVE_V4)
    #define SO_BUILT_LEVEL 2
    #elif defined(SO_HAVE_V3)
    #define SO_BUILT_LEVEL 1
    #else
    #define SO_BUILT_LEVEL 0
    #endif
    """
    const int SO_BUILT_LEVEL

_NAMES = ("baseline", "v3", "v4")


def level_name():
    """Name of the version that kernels choose: "baseline", "v3" or "v4" (x86-64)."""
    return _NAMES[min(so_cpu_level(), SO_BUILT_LEVEL)]
