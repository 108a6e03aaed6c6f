"""Rows solved from their Gram matrix: by Cholesky, or with signs by coordinate descent.

BLAS is called from the threads of the loops over rows: the caller limits it to one thread.
"""
import numpy as np

from cython cimport floating as real
from cython.parallel cimport prange, threadid
from libc.math cimport fabs, isfinite, sqrt
from libc.stdint cimport int32_t, int64_t
from scipy.linalg.cython_blas cimport dgemv, dsyrk, sgemv, ssyrk
from scipy.linalg.cython_lapack cimport dpotrf, dpotrs, spotrf, spotrs

from sparseopt.completion._kernels import workspaces

cdef enum:
    BLOCK = 512  # gathered rows at a time: they stay in L2
    TRIES = 4    # factorisations of a row, with ever larger ridges but for the first

# A row's answer: Cholesky, Cholesky with a ridge of its own, none
cdef enum:
    BY_CHOLESKY
    SHIFTED
    NONE

FAILED = NONE  # for Python


cdef struct Sums:
    double rss
    double trace


cdef Sums gram(int64_t e0, int64_t e1, const int32_t* idx, const real* x, const real* w,
               const real* V, int kp, int k, const real* a, const real* d, real s,
               const real* free, real* H, real* r, real* G, real* t) noexcept nogil:
    """H = G'WG + s d (both triangles), r = G'W(x - G a) - s d a; identity where not free."""
    cdef int64_t e, j
    cdef int n, p, c, one = 1
    cdef real plus = 1, minus = -1, root
    cdef const real* row
    cdef Sums out
    out.rss = 0
    out.trace = 0
    for p in range(k * k):
        H[p] = 0
    for p in range(k):
        r[p] = -s * d[p] * a[p]
    e = e0
    while e < e1:
        n = <int>(e1 - e) if e1 - e < BLOCK else BLOCK
        for j in range(n):
            row = V + kp * <int64_t>idx[e + j]
            root = <real>1 if w == NULL else <real>sqrt(w[e + j])
            t[j] = root * x[e + j]
            for p in range(k):
                G[j * k + p] = root * row[p]
        if real is double:
            dgemv("T", &k, &n, &minus, G, &k, <real*>a, &one, &plus, t, &one)
            dgemv("N", &k, &n, &plus, G, &k, t, &one, &plus, r, &one)
            dsyrk("L", "N", &k, &n, &plus, G, &k, &plus, H, &k)
        else:
            sgemv("T", &k, &n, &minus, G, &k, <real*>a, &one, &plus, t, &one)
            sgemv("N", &k, &n, &plus, G, &k, t, &one, &plus, r, &one)
            ssyrk("L", "N", &k, &n, &plus, G, &k, &plus, H, &k)
        for j in range(n):
            out.rss += <double>t[j] * t[j]
        e += n
    for c in range(k):
        H[c * k + c] += s * d[c]
        for p in range(c + 1, k):
            H[p * k + c] = H[c * k + p]
    for c in range(k):
        if free[c] == 0:
            r[c] = 0
            for p in range(k):
                H[c * k + p] = 0
                H[p * k + c] = 0
            H[c * k + c] = 1
        else:
            out.trace += H[c * k + c]
    return out


cdef int cholesky(int k, const real* H, real* L, const real* r, real* step, double trace,
                  double eps, int tries, double floor, double* shift) noexcept nogil:
    """step = (H + shift I)^-1 r with the smallest shift of a few that works."""
    cdef int attempt, p, info, one = 1
    cdef double least, most, pivot
    shift[0] = 0
    for attempt in range(tries):
        most = 0
        for p in range(k * k):
            L[p] = H[p]
        for p in range(k):
            L[p * k + p] += <real>shift[0]
            most = max(most, <double>L[p * k + p])
            step[p] = r[p]
        if real is double:
            dpotrf("L", &k, L, &k, &info)
        else:
            spotrf("L", &k, L, &k, &info)
        if info == 0:
            least = most
            for p in range(k):
                pivot = <double>L[p * k + p] * L[p * k + p]
                least = min(least, pivot)
            # a pivot of nothing but rounding: the matrix is singular
            if least > max(4 * k * eps, floor) * most and isfinite(least):
                if real is double:
                    dpotrs("L", &k, &one, L, &k, step, &k, &info)
                else:
                    spotrs("L", &k, &one, L, &k, step, &k, &info)
                return BY_CHOLESKY if attempt == 0 else SHIFTED
        if shift[0] == 0:
            shift[0] = (1e-10 if real is double else 1e-5) * trace / k
        else:
            shift[0] *= 10
    return NONE


cdef double descend(int k, const real* H, real* g, real* a, const real* free, int sweeps,
                    double tol) noexcept nogil:
    """Cyclic coordinate descent for a >= 0 where g = r; returns twice the decrease."""
    cdef int _sweep, p, c
    cdef real new, step
    cdef double drop = 0, largest, scale
    for _sweep in range(sweeps):
        largest = 0
        scale = 0
        for p in range(k):
            if free[p] == 0 or not H[p * k + p] > 0:
                continue
            new = a[p] + g[p] / H[p * k + p]
            if new < 0:
                new = 0
            step = new - a[p]
            scale = max(scale, <double>fabs(new))
            if step != 0:
                drop += <double>step * (2 * <double>g[p] - <double>step * H[p * k + p])
                largest = max(largest, <double>fabs(step))
                for c in range(k):
                    g[c] -= step * H[p * k + c]
                a[p] = new
        if largest <= tol * scale:
            break
    return drop


cdef workspace(int n_threads, int64_t k, like):
    """G, H, L, t, r and the step of each thread."""
    size = BLOCK * (k + 1) + 2 * k * k + 2 * k
    return workspaces(n_threads, size, np.asarray(like).dtype)


cdef void exact_row(int64_t i, const int64_t* ptr, const int32_t* idx, const real* x,
                    const real* w, const real* V, int kp, int k, real* a, const real* d, real s,
                    const real* free, int short_rows, double eps, int tries, double floor,
                    double* rss, double* drop, int32_t* state, real* work) noexcept nogil:
    cdef real* H = work + BLOCK * k
    cdef real* L = H + k * k
    cdef real* r = L + k * k
    cdef real* step = r + k
    cdef double shift
    cdef int p
    cdef Sums sums
    rss[0] = 0
    drop[0] = 0
    state[0] = BY_CHOLESKY
    if ptr[i] == ptr[i + 1]:
        return
    sums = gram(ptr[i], ptr[i + 1], idx, x, w, V, kp, k, a, d, s, free, H, r, work, step + k)
    rss[0] = sums.rss
    if ptr[i + 1] - ptr[i] < short_rows:
        state[0] = NONE
        return
    state[0] = cholesky(k, H, L, r, step, sums.trace, eps, tries, floor, &shift)
    if state[0] == NONE:
        return
    for p in range(k):
        drop[0] += <double>step[p] * (<double>r[p] + shift * step[p])
        a[p] += step[p]


def exact_rows(const int64_t[::1] ptr, const int32_t[::1] idx, const real[::1] x,
               const real[::1] w, const real[:, ::1] V, real[:, ::1] A, const real[::1] d,
               const real[::1] free, const double[::1] scale, int k, int short_rows,
               double[::1] rss, double[::1] drop, int32_t[::1] state,
               const int64_t[:, ::1] chunks, int n_threads, int tries=TRIES, double floor=0):
    """The minimiser of each row by Cholesky, in place.

    Rows that have fewer than ``short_rows`` entries, or whose matrix has no factorisation, stay
    as they are and have `FAILED` in ``state``. With one of ``tries`` no row gets a ridge of its
    own; a factor whose least pivot is below ``floor`` times the largest is none.
    """
    cdef int kp = <int>V.shape[1]
    cdef int64_t c, i
    cdef double eps = 1.1920929e-07 if real is float else 2.220446049250313e-16
    cdef real[:, ::1] work = workspace(n_threads, k, x)
    cdef const real* wp = NULL
    cdef bint scaled = scale is not None
    if w is not None and w.shape[0]:
        wp = &w[0]
    if x.shape[0] == 0:
        rss[:] = 0
        drop[:] = 0
        state[:] = BY_CHOLESKY
        return
    for c in prange(chunks.shape[0], schedule="dynamic", chunksize=1, nogil=True,
                    num_threads=n_threads):
        for i in range(chunks[c, 0], chunks[c, 1]):
            exact_row(i, &ptr[0], &idx[0], &x[0], wp, &V[0, 0], kp, k, &A[i, 0], &d[0],
                      <real>scale[i] if scaled else <real>1, &free[0], short_rows, eps, tries,
                      floor, &rss[i], &drop[i], &state[i], &work[threadid(), 0])


cdef void nonnegative_row(int64_t i, const int64_t* ptr, const int32_t* idx, const real* x,
                          const real* w, const real* V, int kp, int k, real* a, const real* d,
                          real s, const real* free, int sweeps, double tol, double* rss,
                          double* drop, real* work) noexcept nogil:
    cdef real* H = work + BLOCK * k
    cdef real* r = H + 2 * k * k
    cdef Sums sums
    rss[0] = 0
    drop[0] = 0
    if ptr[i] == ptr[i + 1]:
        return
    sums = gram(ptr[i], ptr[i + 1], idx, x, w, V, kp, k, a, d, s, free, H, r, work, r + 2 * k)
    rss[0] = sums.rss
    drop[0] = descend(k, H, r, a, free, sweeps, tol)


def nonnegative_rows(const int64_t[::1] ptr, const int32_t[::1] idx, const real[::1] x,
                     const real[::1] w, const real[:, ::1] V, real[:, ::1] A,
                     const real[::1] d, const real[::1] free, const double[::1] scale, int k,
                     int sweeps, double tol, double[::1] rss, double[::1] drop,
                     const int64_t[:, ::1] chunks, int n_threads):
    """Coordinate descent for the minimiser of each row that is nowhere negative, in place."""
    cdef int kp = <int>V.shape[1]
    cdef int64_t c, i
    cdef real[:, ::1] work = workspace(n_threads, k, x)
    cdef const real* wp = NULL
    cdef bint scaled = scale is not None
    if w is not None and w.shape[0]:
        wp = &w[0]
    if x.shape[0] == 0:
        rss[:] = 0
        drop[:] = 0
        return
    for c in prange(chunks.shape[0], schedule="dynamic", chunksize=1, nogil=True,
                    num_threads=n_threads):
        for i in range(chunks[c, 0], chunks[c, 1]):
            nonnegative_row(i, &ptr[0], &idx[0], &x[0], wp, &V[0, 0], kp, k, &A[i, 0], &d[0],
                            <real>scale[i] if scaled else <real>1, &free[0], sweeps, tol,
                            &rss[i], &drop[i], &work[threadid(), 0])
