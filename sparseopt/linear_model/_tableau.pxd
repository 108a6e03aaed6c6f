"""A least-squares tableau, partly swept: what is known of a subset of the features.

With A the active coordinates and M the inverse of G_AA, the arrays are ``V = M G_A:``,
``b = M c0_A``, and for every coordinate the residual correlation c and its residual Gram
block S.  A sweep in or out is a rank-one change of cost |A| m.
"""
from libc.math cimport INFINITY, sqrt
from libc.stdint cimport int64_t

from ._exchange cimport so_exchange_table

cdef enum:
    REFRESH = 200  # sweeps after which rounding has added up and the tableau is made anew


cdef inline double dependent() noexcept nogil:
    """Residual share of its own Gram entry below which a coordinate is dependent."""
    return 1e-10


cdef struct Tableau:
    int64_t m        # coordinates
    int64_t q        # blocks of coordinates
    int64_t w        # size of the largest block
    int64_t cap      # slots
    int64_t na       # active coordinates
    int64_t sweeps
    double rss
    double total     # rss of the empty subset
    const so_exchange_table* loops
    const double* G
    const double* c0
    const int64_t* ptr
    const int64_t* block  # block of each coordinate
    int64_t* who     # coordinate of each slot
    double* V
    double* M
    double* b
    double* c
    double* S
    double* h
    double* T        # scratch for blocks, w * m
    double* small    # scratch, 2 * w * w + 2 * w


cdef inline void clear(Tableau* t) noexcept nogil:
    cdef int64_t j, col, r
    t.na = 0
    t.sweeps = 0
    t.rss = t.total
    for col in range(t.m):
        t.c[col] = t.c0[col]
        j = t.block[col]
        for r in range(t.ptr[j + 1] - t.ptr[j]):
            t.S[col * t.w + r] = t.G[col * t.m + t.ptr[j] + r]


cdef inline int sweep_in(Tableau* t, int64_t new) noexcept nogil:
    """Add a coordinate; 0 if it depends on the active ones."""
    cdef int64_t a, e, col, k = t.na, m = t.m
    cdef double s, f
    cdef double* h = t.h
    cdef const double* g = t.G + new * m
    if k == t.cap:
        return 0
    for col in range(m):
        h[col] = g[col]
    for a in range(k):
        t.loops.axpy(m, -g[t.who[a]], t.V + a * m, h)
    s = h[new]
    if not s > dependent() * g[new]:
        return 0
    for a in range(k):
        f = t.V[a * m + new] / s
        for e in range(k):
            t.M[a * t.cap + e] += f * t.V[e * m + new]
        t.M[a * t.cap + k] = -f
        t.M[k * t.cap + a] = -f
    t.M[k * t.cap + k] = 1.0 / s
    for a in range(k):
        f = t.V[a * m + new] / s
        t.b[a] -= f * t.c[new]
        t.loops.axpy(m, -f, h, t.V + a * m)
    f = t.c[new] / s
    t.b[k] = f
    t.rss -= f * t.c[new]
    t.loops.axpy(m, -f, h, t.c)
    t.loops.outer(t.q, t.w, t.ptr, -1.0 / s, h, t.S)
    for col in range(m):
        t.V[k * m + col] = h[col] / s
    t.who[k] = new
    t.na += 1
    t.sweeps += 1
    return 1


cdef inline void sweep_out(Tableau* t, int64_t slot) noexcept nogil:
    """Remove the coordinate of a slot; the last slot moves to its place."""
    cdef int64_t a, e, last = t.na - 1, m = t.m, cap = t.cap
    cdef double* row = t.V + slot * m
    cdef double d = t.M[slot * cap + slot], f
    for a in range(t.na):
        if a == slot:
            continue
        f = t.M[a * cap + slot] / d
        t.b[a] -= f * t.b[slot]
        t.loops.axpy(m, -f, row, t.V + a * m)
        for e in range(t.na):
            if e != slot:
                t.M[a * cap + e] -= f * t.M[slot * cap + e]
    f = t.b[slot] / d
    t.rss += f * t.b[slot]
    t.loops.axpy(m, f, row, t.c)
    t.loops.outer(t.q, t.w, t.ptr, 1.0 / d, row, t.S)
    if slot != last:
        for e in range(m):
            row[e] = t.V[last * m + e]
        t.b[slot] = t.b[last]
        t.who[slot] = t.who[last]
        for e in range(last):
            if e != slot:
                t.M[slot * cap + e] = t.M[last * cap + e]
                t.M[e * cap + slot] = t.M[e * cap + last]
        t.M[slot * cap + slot] = t.M[last * cap + last]
    t.na -= 1
    t.sweeps += 1


cdef inline int enter(Tableau* t, int64_t j) noexcept nogil:
    """Add the coordinates of a block; the number that are independent."""
    cdef int64_t col
    cdef int count = 0
    for col in range(t.ptr[j], t.ptr[j + 1]):
        count += sweep_in(t, col)
    return count


cdef inline void leave(Tableau* t, int64_t j) noexcept nogil:
    cdef int64_t a = 0
    while a < t.na:
        if t.block[t.who[a]] == j:
            sweep_out(t, a)
        else:
            a += 1


cdef inline double scan_one(
    Tableau* t, int64_t slot, const double* ok, int64_t* where
) noexcept nogil:
    """Largest gain of a coordinate once the slot's is gone, and which.

    ok is infinite for what may not enter, else the least residual Gram entry.
    """
    cdef double inv = 1.0 / t.M[slot * t.cap + slot]
    return t.loops.scan(
        t.m, t.b[slot] * inv, inv, t.c, t.V + slot * t.m, t.S, ok, t.T, where
    )


cdef inline double block_gain(
    Tableau* t, int64_t j, const double* T, const double* tb, int64_t rows, double least
) noexcept nogil:
    """Gain of block j in the tableau without the rows T = L^-1 V_i, tb = L^-1 b_i.

    Coordinates with a residual of at most `least` depend on others.
    """
    cdef int64_t at = t.ptr[j]
    return t.loops.gain(
        t.ptr[j + 1] - at, t.w, t.m, t.c + at, t.S + at * t.w, T + at, tb, rows, least,
        t.small,
    )


cdef inline double lift(Tableau* t, int64_t i, double* tb, int64_t* rows) noexcept nogil:
    """Rows of T and tb for the removal of block i; the loss that this is."""
    cdef int64_t a, e, f, col, u, r = 0, w = t.w, m = t.m
    cdef int64_t start = t.ptr[i], stop = t.ptr[i + 1]
    cdef double* L = t.small + w * w + 2 * w
    cdef double loss = 0.0, s
    for a in range(t.na):
        if not start <= t.who[a] < stop:
            continue
        f = 0
        for e in range(a + 1):
            if not start <= t.who[e] < stop:
                continue
            s = t.M[a * t.cap + e]
            for u in range(f):
                s -= L[r * w + u] * L[f * w + u]
            if e < a:
                L[r * w + f] = s / L[f * w + f]
                f += 1
        L[r * w + r] = sqrt(s) if s > 0 else INFINITY
        tb[r] = t.b[a]
        for col in range(m):
            t.T[r * m + col] = t.V[a * m + col]
        for u in range(r):
            tb[r] -= L[r * w + u] * tb[u]
            t.loops.axpy(m, -L[r * w + u], t.T + u * m, t.T + r * m)
        s = 1.0 / L[r * w + r]
        tb[r] *= s
        for col in range(m):
            t.T[r * m + col] *= s
        loss += tb[r] * tb[r]
        r += 1
    rows[0] = r
    return loss
