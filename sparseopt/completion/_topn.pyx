"""The largest numbers of each row, offered one tile of columns after the other.

Each row keeps a heap of its best, the worst on top: lower scores are worse, and of equal scores
the one with the higher index.  Arguments are not validated here.
"""
from libc.stdint cimport int32_t, int64_t

ctypedef fused real:
    float
    double


cdef inline bint worse(real a, int32_t ia, real b, int32_t ib) noexcept nogil:
    return a < b or (a == b and ia > ib)


cdef void sift_down(real* score, int32_t* ids, int64_t n, real s, int32_t i) noexcept nogil:
    """Put (s, i) in the place of the top and restore the order below it."""
    cdef int64_t at = 0, child = 1
    while child < n:
        if child + 1 < n and worse(score[child + 1], ids[child + 1], score[child], ids[child]):
            child += 1
        if not worse(score[child], ids[child], s, i):
            break
        score[at] = score[child]
        ids[at] = ids[child]
        at = child
        child = 2 * at + 1
    score[at] = s
    ids[at] = i


cdef int64_t scan(const real* x, int64_t c0, int64_t c1, int64_t first, real* score,
                  int32_t* ids, int64_t n) noexcept nogil:
    """Offer x[c0:c1]; most blocks of 32 hold nothing above the worst that is kept."""
    cdef int64_t c = c0, t, end
    cdef real top = score[0]
    cdef int hit
    while c < c1:
        end = min(c + 32, c1)
        hit = 0
        if end - c == 32:
            for t in range(32):
                hit |= x[c + t] > top
        else:
            hit = 1
        if hit:
            # columns come in ascending order: an equal score is not better
            for t in range(c, end):
                if x[t] > top:
                    sift_down(score, ids, n, x[t], <int32_t>(first + t))
                    top = score[0]
        c = end
    return c


def offer(const real[:, ::1] x, int64_t first, real[:, ::1] score, int32_t[:, ::1] ids,
          const int64_t[::1] ptr, const int32_t[::1] idx, int64_t[::1] at):
    """Columns ``first`` .. of the scores to the heaps of their rows.

    ``ptr`` and ``idx`` (None: nothing) are the columns of each row that are left out, ascending;
    ``at`` is how far each row has come in them.
    """
    cdef int64_t b, c, stop, e, width = x.shape[1], n = score.shape[1]
    with nogil:
        for b in range(x.shape[0]):
            c = 0
            if idx is not None:
                e = at[b]
                while e < ptr[b + 1] and idx[e] < first + width:
                    stop = idx[e] - first
                    scan(&x[b, 0], c, stop, first, &score[b, 0], &ids[b, 0], n)
                    c = stop + 1
                    e += 1
                at[b] = e
            scan(&x[b, 0], c, width, first, &score[b, 0], &ids[b, 0], n)


def finish(real[:, ::1] score, int32_t[:, ::1] ids):
    """Sort the heaps, best first."""
    cdef int64_t b, n
    cdef real s
    cdef int32_t i
    with nogil:
        for b in range(score.shape[0]):
            for n in range(score.shape[1] - 1, 0, -1):
                s = score[b, 0]
                i = ids[b, 0]
                # the worst goes to the end, what was there into the heap
                sift_down(&score[b, 0], &ids[b, 0], n, score[b, n], ids[b, n])
                score[b, n] = s
                ids[b, n] = i
