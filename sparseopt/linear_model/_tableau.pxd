"""A least-squares tableau, partly swept: what is known of a subset of the features.

With A the active coordinates and M the inverse of G_AA, the arrays are ``V = M G_A:``,
``b = M c0_A``, and for every coordinate the residual correlation c and its residual Gram
block S.  A sweep in or out is a rank-one change of cost |A| m.
"""
from libc.math cimport INFINITY, sqrt
from libc.stdint cimport int64_t

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


cdef inline void update_blocks(Tableau* t, const double* h, double scale) noexcept nogil:
    """S += scale * h h' inside each block."""
    cdef int64_t j, col, r, start, size
    cdef double f
    if t.w == 1:
        for col in range(t.m):
            t.S[col] += scale * h[col] * h[col]
        return
    for j in range(t.q):
        start = t.ptr[j]
        size = t.ptr[j + 1] - start
        for col in range(start, start + size):
            f = scale * h[col]
            for r in range(size):
                t.S[col * t.w + r] += f * h[start + r]


cdef inline void axpy(int64_t n, double f, const double* x, double* y) noexcept nogil:
    cdef int64_t col
    for col in range(n):
        y[col] += f * x[col]


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
        axpy(m, -g[t.who[a]], t.V + a * m, h)
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
        axpy(m, -f, h, t.V + a * m)
    f = t.c[new] / s
    t.b[k] = f
    t.rss -= f * t.c[new]
    axpy(m, -f, h, t.c)
    update_blocks(t, h, -1.0 / s)
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
        axpy(m, -f, row, t.V + a * m)
        for e in range(t.na):
            if e != slot:
                t.M[a * cap + e] -= f * t.M[slot * cap + e]
    f = t.b[slot] / d
    t.rss += f * t.b[slot]
    axpy(m, f, row, t.c)
    update_blocks(t, row, 1.0 / d)
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
    """Largest gain of a coordinate once the slot's is gone, and which."""
    cdef int64_t col, m = t.m
    cdef const double* row = t.V + slot * m
    cdef double inv = 1.0 / t.M[slot * t.cap + slot]
    cdef double f = t.b[slot] * inv, best = -1.0
    cdef double* score = t.T
    cdef double x, s
    for col in range(m):
        x = t.c[col] + f * row[col]
        s = t.S[col] + inv * row[col] * row[col]
        # ok is infinite for what may not enter, else the least residual Gram entry
        score[col] = x * x / (s if s > ok[col] else INFINITY)
    for col in range(m):
        if score[col] > best:
            best = score[col]
            where[0] = col
    return best


cdef inline double block_gain(
    Tableau* t, int64_t j, const double* T, const double* tb, int64_t rows, double least
) noexcept nogil:
    """Gain of block j in the tableau without the rows T = L^-1 V_i, tb = L^-1 b_i.

    Coordinates with a residual of at most `least` depend on others.
    """
    cdef int64_t start = t.ptr[j], size = t.ptr[j + 1] - t.ptr[j], r, u, e, w = t.w
    cdef double* C = t.small
    cdef double* x = t.small + w * w
    cdef double gain = 0.0, s
    for r in range(size):
        x[r] = t.c[start + r]
        for e in range(rows):
            x[r] += T[e * t.m + start + r] * tb[e]
        for u in range(r + 1):
            s = t.S[(start + r) * w + u]
            for e in range(rows):
                s += T[e * t.m + start + r] * T[e * t.m + start + u]
            C[r * w + u] = s
    for r in range(size):
        for u in range(r + 1):
            s = C[r * w + u]
            for e in range(u):
                s -= C[r * w + e] * C[u * w + e]
            if u < r:
                C[r * w + u] = s * C[u * w + u]
        # the diagonal holds inverses of the factor's; 0 where a coordinate depends
        if s > least:
            C[r * w + r] = 1.0 / sqrt(s)
        else:
            C[r * w + r] = 0.0
        for e in range(r):
            x[r] -= C[r * w + e] * x[e]
        x[r] *= C[r * w + r]
        gain += x[r] * x[r]
    return gain


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
            axpy(m, -L[r * w + u], t.T + u * m, t.T + r * m)
        s = 1.0 / L[r * w + r]
        tb[r] *= s
        for col in range(m):
            t.T[r * m + col] *= s
        loss += tb[r] * tb[r]
        r += 1
    rows[0] = r
    return loss
