"""Ratings sorted by row and by column, in counting sorts of one pass each.

Arguments are checked by the caller, but for indices out of range and duplicates, which are found
here on the way.
"""
from libc.stdint cimport int32_t, int64_t

ctypedef fused real:
    float
    double

ctypedef fused index:
    int32_t
    int64_t


def count(const index[::1] ids, int64_t n, int64_t[::1] ptr):
    """ptr becomes the starts of each id's entries; returns the position of a bad id, or -1."""
    cdef int64_t e, bad = -1, total = 0, c
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
                c = ptr[e]
                total += c
                ptr[e] = total
    return bad


def scatter(const index[::1] ids, const index[::1] others, const real[::1] x, int64_t[::1] head,
            int32_t[::1] idx, real[::1] val, int64_t[::1] perm):
    """Entries to the places of their id; ``head`` (starts) is used up, ``perm`` may be None."""
    cdef int64_t e, at
    cdef bint keep = perm is not None
    with nogil:
        for e in range(ids.shape[0]):
            at = head[ids[e]]
            head[ids[e]] = at + 1
            idx[at] = <int32_t>others[e]
            val[at] = x[e]
            if keep:
                perm[at] = e


def transpose(const int64_t[::1] ptr, const int32_t[::1] idx, const real[::1] x,
              int64_t[::1] head, int32_t[::1] tidx, real[::1] tval, index[::1] perm):
    """The other order of entries: rows ascending within each column.

    ``head`` (starts of the columns) is used up; ``perm`` receives where each came from.
    """
    cdef int64_t i, e, at
    cdef bint keep = perm is not None
    with nogil:
        for i in range(ptr.shape[0] - 1):
            for e in range(ptr[i], ptr[i + 1]):
                at = head[idx[e]]
                head[idx[e]] = at + 1
                tidx[at] = <int32_t>i
                tval[at] = x[e]
                if keep:
                    perm[at] = <index>e


def first_duplicate(const int64_t[::1] ptr, const int32_t[::1] idx):
    """Position of an entry equal to the one before it in sorted rows, or -1."""
    cdef int64_t i, e, found = -1
    with nogil:
        for i in range(ptr.shape[0] - 1):
            for e in range(ptr[i] + 1, ptr[i + 1]):
                if idx[e] == idx[e - 1]:
                    found = e
                    break
            if found >= 0:
                break
    return found


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
