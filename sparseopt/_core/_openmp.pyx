"""What the OpenMP library that all extension modules share is told."""

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    static void so_one_thread(void) {
        omp_set_num_threads(1);
        omp_set_max_active_levels(0);
    }
    #else
    static void so_one_thread(void) {}
    #endif
    """
    void so_one_thread() noexcept nogil


def one_thread():
    """Let the parallel regions of this thread be run by this thread alone.

    Also those that ask for a number of threads, and BLAS libraries that use OpenMP.
    """
    so_one_thread()
