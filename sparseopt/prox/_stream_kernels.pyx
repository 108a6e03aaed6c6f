"""The root search of ``_root.h`` for data that come in blocks, several times over."""
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from ._root cimport (
    SO_DONE,
    SO_FILTER,
    SO_MEASURE,
    SO_MEMORY,
    so_fold,
    so_part,
    so_root_end,
    so_root_filter,
    so_root_level,
    so_root_narrow,
    so_root_proceed,
    so_root_sampled,
    so_root_table,
    so_search,
    so_step,
)

cdef const so_root_table* T = so_root_level(2)
DONE, FILTER, MEASURE = SO_DONE, SO_FILTER, SO_MEASURE


cdef class EnvelopeStream:
    """Search of the t with ``sum clip((z / t - b) / c, 0, 1) = k`` over blocks of z >= 0.

    `start` and `finish_pass` say what the next pass is for: FILTER or MEASURE, in which
    each block is to be given to `add`, or DONE.
    """
    cdef so_search search
    cdef so_part part
    cdef so_fold fold
    cdef int step

    def __cinit__(self, double k, double b, double c):
        memset(&self.search, 0, sizeof(so_search))
        memset(&self.part, 0, sizeof(so_part))
        cdef so_search* s = &self.search
        s.rule.e1, s.rule.f1 = b, b + c
        s.rule.d0, s.rule.d1, s.rule.d2 = c * k, -c, b
        s.rule.target, s.rule.envelope = k, 1
        s.any_scale = 1

    def __dealloc__(self):
        free(self.part.data)
        so_root_end(&self.search)

    cdef int begin_pass(self, so_step step) except -1:
        if step == SO_MEMORY:
            raise MemoryError
        free(self.part.data)
        memset(&self.part, 0, sizeof(so_part))
        memset(&self.fold, 0, sizeof(so_fold))
        self.search.stored = 0
        self.step = step
        return step

    def start(self, const double[::1] sample, int64_t n):
        """Begin with a sample of n elements."""
        cdef int64_t m = sample.shape[0]
        cdef double* work = <double*>malloc((m + 16) * sizeof(double))
        cdef so_step step = SO_MEMORY
        if work:
            memcpy(work, &sample[0], m * sizeof(double))
            with nogil:
                step = so_root_sampled(T, &self.search, work, m, n, 0)
            free(work)
        return self.begin_pass(step)

    def add(self, const double[::1] z):
        """One block of the present pass."""
        cdef so_search* s = &self.search
        cdef int64_t n = z.shape[0]
        if not n:
            return
        with nogil:
            if self.step == SO_FILTER:
                so_root_filter(T, s, &z[0], 0, n, 1, &self.part)
            else:
                T.measure_d(&z[0], n, s.rule.e1 * s.t, s.rule.f1 * s.t, 1, &self.fold)

    def finish_pass(self):
        """End the pass."""
        cdef so_step step
        with nogil:
            if self.step == SO_FILTER:
                step = so_root_proceed(T, &self.search, &self.part, 1)
            else:
                step = so_root_narrow(&self.search, &self.fold, 1)
        return self.begin_pass(step)

    @property
    def t(self):
        """The root, after DONE."""
        return self.search.t
