"""Rows solved through a randomised sketch, or from their QR decomposition.

BLAS and LAPACK are called from the threads of the loop over rows: the caller limits them to one
thread. All is done in float64, whatever the type of the data.
"""
import numpy as np

from cython cimport floating as real
from cython.parallel cimport prange, threadid
from libc.math cimport fabs, sqrt
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memset
from scipy.linalg.cython_blas cimport ddot, dgemv, dtrsv
from scipy.linalg.cython_lapack cimport dgelss, dgeqrf, dtrcon, dtrtrs

from sparseopt.completion._kernels import workspaces

cdef enum:
    BLOCK = 512  # gathered rows at a time: they stay in L2
    LANES = 8    # columns that are transformed together: a cache line
    PANEL = 64   # columns that LAPACK takes at a time, for the size of its workspace

# Half of the counters is for signs, half for rows of the sketch.
cdef uint64_t ROWS = <uint64_t>1 << 63

cdef enum:
    NO_ANSWER = -1  # as the number of steps of a row

FAILED = NO_ANSWER  # for Python


cdef struct Space:
    double* panel  # (BLOCK + k + 1, k + 1) by columns; or gathered rows, BLOCK by k
    double* tile   # full rows of LANES numbers; or two vectors of the row's entries
    double* sketch  # (size, k + 1) by columns
    double* x      # k + 1
    double* g      # k + 1, and the next two
    double* p
    double* step
    double* tau    # k + 1: of a QR decomposition, or singular values
    double* lapack
    int lwork
    int* iwork     # k + 1
    int64_t* rows  # size
    unsigned char* taken  # full


cdef inline uint64_t mixed(uint64_t z) noexcept nogil:
    """The finaliser of SplitMix64, a permutation of 64 bits that looks random."""
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint64_t draw(uint64_t key, uint64_t counter) noexcept nogil:
    """64 bits that depend on key and counter alone: on no order of rows or threads."""
    return mixed(key + (counter + 1) * <uint64_t>0x9E3779B97F4A7C15)


cdef void gather(int64_t e, int n, const int32_t* idx, const real* w, const real* V, int64_t kp,
                 int k, double* G) noexcept nogil:
    """G = k numbers for each of n entries, times the root of the weight."""
    cdef int j, p
    cdef const real* row
    cdef double root = 1
    for j in range(n):
        row = V + kp * idx[e + j]
        if w != NULL:
            root = sqrt(<double>w[e + j])
        for p in range(k):
            G[j * k + p] = root * row[p]


cdef inline double value(int64_t e, const real* x, const real* w) noexcept nogil:
    return <double>x[e] if w == NULL else sqrt(<double>w[e]) * <double>x[e]


# ------------------------------------------------------------------------ QR decomposition

cdef int triangle(int64_t e0, int64_t e1, const int32_t* idx, const real* x, const real* w,
                  const real* V, int64_t kp, int k, Space* s) noexcept nogil:
    """R of the QR decomposition of [A b] in ``panel``, by blocks of rows; its rows."""
    cdef int ld = BLOCK + k + 1, cols = k + 1, above = 0, n, m, p, j, info
    cdef int64_t e = e0
    cdef double root
    cdef const real* row
    while e < e1:
        n = <int>(e1 - e) if e1 - e < BLOCK else BLOCK
        for j in range(n):
            row = V + kp * idx[e + j]
            root = 1 if w == NULL else sqrt(<double>w[e + j])
            for p in range(k):
                s.panel[p * ld + above + j] = root * row[p]
            s.panel[k * ld + above + j] = root * x[e + j]
        m = above + n
        dgeqrf(&m, &cols, s.panel, &ld, s.tau, s.lapack, &s.lwork, &info)
        above = m if m < cols else cols
        for p in range(cols):
            for j in range(p + 1, above):
                s.panel[p * ld + j] = 0
        e += n
    return above


cdef int direct(int64_t e0, int64_t e1, const int32_t* idx, const real* x, const real* w,
                const real* V, int64_t kp, int k, double eps, Space* s) noexcept nogil:
    """x = the least squares solution, of least norm where there are many; 0 or NO_ANSWER."""
    cdef int ld = BLOCK + k + 1, one = 1, info, rank, p, m
    cdef int n = triangle(e0, e1, idx, x, w, V, kp, k, s)
    # singular values below this part of the largest are rounding
    cdef double cut = eps * (e1 - e0 if e1 - e0 > k else k), rcond = 0
    m = n if n < k else k
    for p in range(m):
        s.x[p] = s.panel[k * ld + p]
    if m == k:
        dtrcon("1", "U", "N", &k, s.panel, &ld, &rcond, s.lapack, s.iwork, &info)
    # norms differ by a factor of k at most: no singular value is below the cut
    if rcond > k * cut:
        dtrtrs("U", "N", "N", &k, &one, s.panel, &ld, s.x, &k, &info)
    else:
        dgelss(&m, &k, &one, s.panel, &ld, s.x, &k, s.tau, &cut, &rank, s.lapack, &s.lwork,
               &info)
    return 0 if info == 0 else NO_ANSWER


# ------------------------------------------------------------------------------- sketches

cdef void hadamard(int64_t full, double* X) noexcept nogil:
    """Unnormalised Hadamard transform of LANES columns of ``full`` numbers, in place."""
    cdef int64_t half = 1, start, i
    cdef int c
    cdef double* top
    cdef double* low
    cdef double a, b
    while half < full:
        start = 0
        while start < full:
            for i in range(start, start + half):
                top = X + i * LANES
                low = top + half * LANES
                for c in range(LANES):
                    a = top[c]
                    b = low[c]
                    top[c] = a + b
                    low[c] = a - b
            start += 2 * half
        half *= 2


cdef void choose(uint64_t key, int64_t full, int size, Space* s) noexcept nogil:
    """``size`` different rows of ``full``, a power of two of more than ``size``."""
    cdef int found = 0
    cdef uint64_t counter = ROWS
    cdef int64_t row
    memset(s.taken, 0, <size_t>full)
    while found < size:
        row = <int64_t>(draw(key, counter) & <uint64_t>(full - 1))
        counter += 1
        if not s.taken[row]:
            s.taken[row] = 1
            s.rows[found] = row
            found += 1


cdef int64_t power_of_two(int64_t n) noexcept nogil:
    cdef int64_t full = 1
    while full < n:
        full *= 2
    return full


cdef void sketch(int64_t e0, int64_t e1, const int32_t* idx, const real* x, const real* w,
                 const real* V, int64_t kp, int k, int size, uint64_t key,
                 Space* s) noexcept nogil:
    """``sketch`` = rows of H D [A b], scaled so that norms are kept on average.

    D are random signs and H the orthogonal Hadamard matrix of the next power of two: it spreads
    what single rows hold over all of them. Columns go through ``tile``, a line at a time.
    """
    cdef int64_t n = e1 - e0, full = power_of_two(e1 - e0), e
    cdef int c0 = 0, cols, c, j
    cdef uint64_t bits = 0
    cdef double factor
    cdef const real* row
    # 1 / sqrt(full) makes H orthogonal, sqrt(full / size) makes up for what is left out
    cdef double scale = 1 / sqrt(<double>size)
    choose(key, full, size, s)
    while c0 <= k:
        cols = k + 1 - c0 if k + 1 - c0 < LANES else LANES
        for e in range(n):
            if e % 64 == 0:
                bits = draw(key, <uint64_t>(e // 64))
            factor = 1 if bits & 1 else -1
            bits >>= 1
            if w != NULL:
                factor *= sqrt(<double>w[e0 + e])
            row = V + kp * idx[e0 + e]
            for c in range(cols):
                s.tile[e * LANES + c] = factor * (row[c0 + c] if c0 + c < k else x[e0 + e])
            for c in range(cols, LANES):
                s.tile[e * LANES + c] = 0
        memset(s.tile + n * LANES, 0, <size_t>(full - n) * LANES * sizeof(double))
        hadamard(full, s.tile)
        for c in range(cols):
            for j in range(size):
                s.sketch[(c0 + c) * size + j] = scale * s.tile[s.rows[j] * LANES + c]
        c0 += LANES


cdef bint preconditioner(int k, int size, double singular, Space* s) noexcept nogil:
    """R of the sketch's QR decomposition, its solution as x; false if R is singular."""
    cdef int cols = k + 1, one = 1, info, p
    cdef double most = 0, least, pivot
    dgeqrf(&size, &cols, s.sketch, &size, s.tau, s.lapack, &s.lwork, &info)
    least = fabs(s.sketch[0])
    for p in range(k):
        pivot = fabs(s.sketch[p * size + p])
        most = max(most, pivot)
        least = min(least, pivot)
        s.x[p] = s.sketch[k * size + p]
    if not least > singular * most:
        return False
    dtrsv("U", "N", "N", &k, s.sketch, &size, s.x, &one)
    return True


cdef void image(int64_t e0, int64_t e1, const int32_t* idx, const real* w, const real* V,
                int64_t kp, int k, bint kept, double* step, double* q, Space* s) noexcept nogil:
    """q = A step"""
    cdef int64_t e = e0
    cdef int n, one = 1
    cdef double plus = 1, zero = 0
    while e < e1:
        n = <int>(e1 - e) if e1 - e < BLOCK else BLOCK
        if not kept:
            gather(e, n, idx, w, V, kp, k, s.panel)
        dgemv("T", &k, &n, &plus, s.panel, &k, step, &one, &zero, q + (e - e0), &one)
        e += n


cdef void gradient(int64_t e0, int64_t e1, const int32_t* idx, const real* w, const real* V,
                   int64_t kp, int k, int size, bint kept, double* r, double* g,
                   Space* s) noexcept nogil:
    """g = R'^-1 A' r"""
    cdef int64_t e = e0
    cdef int n, one = 1
    cdef double plus = 1
    memset(g, 0, k * sizeof(double))
    while e < e1:
        n = <int>(e1 - e) if e1 - e < BLOCK else BLOCK
        if not kept:
            gather(e, n, idx, w, V, kp, k, s.panel)
        dgemv("N", &k, &n, &plus, s.panel, &k, r + (e - e0), &one, &plus, g, &one)
        e += n
    dtrsv("U", "T", "N", &k, s.sketch, &size, g, &one)


cdef int conjugate(int64_t e0, int64_t e1, const int32_t* idx, const real* x, const real* w,
                   const real* V, int64_t kp, int k, int size, double tol,
                   Space* s) noexcept nogil:
    """CG for min ||A x - b|| in the variable R x, from x; the number of steps."""
    cdef int n = <int>(e1 - e0), p, step = 0, one = 1
    cdef double* r = s.tile
    cdef double* q = s.tile + n
    cdef double gg, last, bound, curvature, a
    cdef bint kept = n <= BLOCK
    if kept:
        gather(e0, n, idx, w, V, kp, k, s.panel)
    for p in range(n):
        r[p] = value(e0 + p, x, w)
    gradient(e0, e1, idx, w, V, kp, k, size, kept, r, s.g, s)
    bound = tol * tol * ddot(&k, s.g, &one, s.g, &one)
    image(e0, e1, idx, w, V, kp, k, kept, s.x, q, s)
    for p in range(n):
        r[p] -= q[p]
    gradient(e0, e1, idx, w, V, kp, k, size, kept, r, s.g, s)
    gg = ddot(&k, s.g, &one, s.g, &one)
    for p in range(k):
        s.p[p] = s.g[p]
    while gg > bound and step < 10 * k:
        for p in range(k):
            s.step[p] = s.p[p]
        dtrsv("U", "N", "N", &k, s.sketch, &size, s.step, &one)
        image(e0, e1, idx, w, V, kp, k, kept, s.step, q, s)
        curvature = ddot(&n, q, &one, q, &one)
        if not curvature > 0:
            break
        step += 1
        a = gg / curvature
        for p in range(k):
            s.x[p] += a * s.step[p]
        for p in range(n):
            r[p] -= a * q[p]
        gradient(e0, e1, idx, w, V, kp, k, size, kept, r, s.g, s)
        last = gg
        gg = ddot(&k, s.g, &one, s.g, &one)
        for p in range(k):
            s.p[p] = s.g[p] + gg / last * s.p[p]
    return step


# ---------------------------------------------------------------------------------- rows

cdef int solve_row(int64_t i, int64_t e0, int64_t e1, const int32_t* idx, const real* x,
                   const real* w, const real* V, int64_t kp, int k, real* a, int size,
                   uint64_t seed, double tol, double singular, double eps, Space s) noexcept nogil:
    """The number of CG steps, 0 for a direct solution, or NO_ANSWER."""
    cdef int steps = 0, p
    cdef bint use = 0 < size < e1 - e0 - size
    if e0 == e1:
        return 0
    if use:
        sketch(e0, e1, idx, x, w, V, kp, k, size, draw(seed, <uint64_t>i), &s)
        use = preconditioner(k, size, singular, &s)
    if use:
        steps = conjugate(e0, e1, idx, x, w, V, kp, k, size, tol, &s)
    else:
        steps = direct(e0, e1, idx, x, w, V, kp, k, eps, &s)
    for p in range(k):
        a[p] = <real>s.x[p]
    return steps


cdef Space divide(double* at, int k, int size, int64_t full) noexcept nogil:
    """Parts of a thread's workspace of `space_for` numbers."""
    cdef Space s
    s.lwork = PANEL * (k + 1)
    s.panel = at
    s.tile = s.panel + <int64_t>(BLOCK + k + 1) * (k + 1)
    s.sketch = s.tile + full * LANES
    s.x = s.sketch + <int64_t>size * (k + 1)
    s.g = s.x + k + 1
    s.p = s.g + k + 1
    s.step = s.p + k + 1
    s.tau = s.step + k + 1
    s.lapack = s.tau + k + 1
    # eight bytes for each integer are enough for any
    s.iwork = <int*>(s.lapack + s.lwork)
    s.rows = <int64_t*>(s.lapack + s.lwork + k + 1)
    s.taken = <unsigned char*>(s.rows + size)
    return s


cdef int64_t space_for(int k, int size, int64_t full) noexcept nogil:
    cdef int64_t numbers = <int64_t>(BLOCK + k + 1) * (k + 1) + full * LANES
    numbers += <int64_t>size * (k + 1) + 5 * (k + 1) + PANEL * (k + 1) + k + 1 + size
    return numbers + (full + 7) // 8 + 8


def sketched_rows(const int64_t[::1] ptr, const int32_t[::1] idx, const real[::1] x,
                  const real[::1] w, const real[:, ::1] V, real[:, ::1] A, int k, int size,
                  int64_t longest, uint64_t seed, double tol, double singular, int32_t[::1] steps,
                  const int64_t[:, ::1] chunks, int n_threads):
    """Least squares for rows of A, by preconditioned CG from a sketch of ``size`` rows.

    Rows of at most ``2 size`` entries, and those whose sketch has a pivot below ``singular`` times
    the largest, are solved from a QR decomposition: the solution of least norm where there are
    many. With ``size`` 0 all are. ``longest`` is the largest number of entries of a row in
    ``chunks``; ``steps`` receives CG steps, 0 for a direct solution, or `FAILED`.
    """
    cdef int64_t c, i, kp = V.shape[1]
    cdef double eps = 1.1920929e-07 if real is float else 2.220446049250313e-16
    cdef const real* wp = NULL
    cdef int64_t full = power_of_two(longest) if 0 < size < longest - size else 0
    cdef double[:, ::1] work
    if x.shape[0] == 0 or chunks.shape[0] == 0:
        return
    if w is not None and w.shape[0]:
        wp = &w[0]
    work = workspaces(n_threads, space_for(k, size, full), np.float64)
    for c in prange(chunks.shape[0], schedule="dynamic", chunksize=1, nogil=True,
                    num_threads=n_threads):
        for i in range(chunks[c, 0], chunks[c, 1]):
            steps[i] = solve_row(i, ptr[i], ptr[i + 1], &idx[0], &x[0], wp, &V[0, 0], kp, k,
                                 &A[i, 0], size, seed, tol, singular, eps,
                                 divide(&work[threadid(), 0], k, size, full))


def sketch_of(const int32_t[::1] idx, const real[::1] x, const real[::1] w,
              const real[:, ::1] V, int k, int size, uint64_t seed, int64_t row):
    """The sketch of [A b] that the row of this number gets, of shape (size, k + 1)."""
    cdef int64_t full = power_of_two(x.shape[0])
    cdef double[::1] work = workspaces(1, space_for(k, size, full), np.float64)[0]
    cdef Space s = divide(&work[0], k, size, full)
    cdef const real* wp = NULL
    if w is not None and w.shape[0]:
        wp = &w[0]
    sketch(0, x.shape[0], &idx[0], &x[0], wp, &V[0, 0], V.shape[1], k, size,
           draw(seed, <uint64_t>row), &s)
    start = s.sketch - &work[0]
    return np.array(work[start:start + size * (k + 1)]).reshape(k + 1, size).T
