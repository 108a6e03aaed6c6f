"""Ratings sorted by row and by column, in counting sorts of one pass each.

Arguments are checked by the caller, but for indices out of range and duplicates, which are found
here on the way.
"""
from libc.stdint cimport int32_t, int64_t

cdef extern from *:
    """
    /* for writing: a scattered store waits for its line otherwise */
    #define SO_PREFETCH(p) __builtin_prefetch((p), 1)
    """
    void SO_PREFETCH(const void*) noexcept nogil

cdef enum:
    AHEAD = 24  # entries between asking for a place and writing there

ctypedef fused real:
    float
    double

ctypedef fused index:
    int32_t
    int64_t

ctypedef fused place:
    int32_t
    int64_t


def count(const index[::1] ids, int64_t n, int64_t[::1] ptr):
    """ptr becomes the starts of each id's entries; returns the position of a bad id, or -1."""
    cdef int64_t e, bad = -1, total = 0
    with nogil:
        for e in range(n + 1):
            ptr[e] = 0
        for e in range(ids.shape[0]):
            if ids[e] < 0 or ids[e] >= n:
                bad = e
                break
            ptr[ids[e] + 1] += 1
        if bad < 0:
            for e in range(n + 1):
                total += ptr[e]
                ptr[e] = total
    return bad


def is_ascending(const index[::1] ids):
    """Whether ids do not fall."""
    cdef int64_t e
    cdef bint good = True
    with nogil:
        for e in range(1, ids.shape[0]):
            if ids[e] < ids[e - 1]:
                good = False
                break
    return good


def scatter(const index[::1] ids, const index[::1] others, const real[::1] x, int64_t[::1] head,
            int32_t[::1] idx, real[::1] val, place[::1] source):
    """Entries to the places of their id, in the order they come.

    ``head`` (starts) is used up; ``source`` receives where each came from, if it has places.
    """
    cdef int64_t e, at, size = ids.shape[0]
    cdef bint keep = source.shape[0] > 0
    with nogil:
        for e in range(size):
            if e + AHEAD < size:
                at = head[ids[e + AHEAD]]
                SO_PREFETCH(&idx[0] + at)
                SO_PREFETCH(&val[0] + at)
            at = head[ids[e]]
            head[ids[e]] = at + 1
            idx[at] = <int32_t>others[e]
            val[at] = x[e]
            if keep:
                source[at] = <place>e


def transpose(const int64_t[::1] ptr, const index[::1] idx, const real[::1] x,
              int64_t[::1] head, int32_t[::1] tidx, real[::1] tval, place[::1] source,
              place[::1] target):
    """The other order of entries: ids ascending within each line of the result.

    ``head`` (starts in the result) is used up. ``source`` receives where each entry of the
    result came from, ``target`` where each given entry went, if they have places.
    """
    cdef int64_t i, e, at, size = idx.shape[0]
    cdef bint from_ = source.shape[0] > 0, to = target.shape[0] > 0
    with nogil:
        for i in range(ptr.shape[0] - 1):
            for e in range(ptr[i], ptr[i + 1]):
                if e + AHEAD < size:
                    at = head[idx[e + AHEAD]]
                    SO_PREFETCH(&tidx[0] + at)
                    SO_PREFETCH(&tval[0] + at)
                at = head[idx[e]]
                head[idx[e]] = at + 1
                tidx[at] = <int32_t>i
                tval[at] = x[e]
                if from_:
                    source[at] = <place>e
                if to:
                    target[e] = <place>at


def count_duplicates(const int64_t[::1] ptr, const int32_t[::1] idx):
    """Entries equal to the one before them in sorted rows: how many, and the first or -1."""
    cdef int64_t i, e, first = -1, found = 0
    with nogil:
        for i in range(ptr.shape[0] - 1):
            for e in range(ptr[i] + 1, ptr[i + 1]):
                if idx[e] == idx[e - 1]:
                    found += 1
                    if first < 0:
                        first = e
    return found, first


def runs(const int64_t[::1] ptr, const int32_t[::1] idx, int64_t[::1] starts,
         int64_t[::1] ptr_out):
    """Starts of the runs of equal entries in sorted rows, and the rows' starts among them."""
    cdef int64_t i, e, at = 0
    with nogil:
        ptr_out[0] = 0
        for i in range(ptr.shape[0] - 1):
            for e in range(ptr[i], ptr[i + 1]):
                if e == ptr[i] or idx[e] != idx[e - 1]:
                    starts[at] = e
                    at += 1
            ptr_out[i + 1] = at


def is_sorted(const int64_t[::1] ptr, const int32_t[::1] idx):
    """Whether ids do not fall within any row."""
    cdef int64_t i, e
    cdef bint good = True
    with nogil:
        for i in range(ptr.shape[0] - 1):
            for e in range(ptr[i] + 1, ptr[i + 1]):
                if idx[e] < idx[e - 1]:
                    good = False
                    break
            if not good:
                break
    return good
