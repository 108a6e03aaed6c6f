"""Conditional means and covariances of a Gaussian, for rows grouped by what they miss.

With the precision matrix L the missing entries of a row have the conditional covariance
inv(L_MM): small where little is missing, and the same for all rows of a pattern.  Rows are cut
into chunks that do not depend on the number of threads, so neither do the sums.
"""
import numpy as np

from cython.parallel cimport prange
from libc.math cimport INFINITY, log
from libc.stdint cimport int64_t, uint8_t


cdef int invert(int64_t m, double* A, double* c, double* logdet) noexcept nogil:
    """Invert a positive definite matrix in place by sweeps; 1 if it is none.

    Only the lower triangle is swept; c is room for a column.
    """
    cdef int64_t i, j, k
    cdef double pivot, f
    cdef double* a
    logdet[0] = 0
    for k in range(m):
        a = A + k * m
        for j in range(k):
            c[j] = a[j]
        for i in range(k, m):
            c[i] = A[i * m + k]
        pivot = c[k]
        if not pivot > 0:
            return 1
        logdet[0] += log(pivot)
        pivot = 1 / pivot
        for i in range(m):
            if i != k:
                f = c[i] * pivot
                a = A + i * m
                for j in range(i + 1):
                    a[j] -= f * c[j]
        a = A + k * m
        for j in range(k):
            a[j] = c[j] * pivot
        for i in range(k + 1, m):
            A[i * m + k] = c[i] * pivot
        a[k] = -pivot
    for i in range(m):
        for j in range(i):
            A[i * m + j] = -A[i * m + j]
            A[j * m + i] = A[i * m + j]
        A[i * m + i] = -A[i * m + i]
    return 0


cdef int fill_chunk(int64_t g0, int64_t g1, const int64_t* starts, const int64_t* rows,
                    const int64_t* places, const int64_t* missing, const double[:, ::1] L,
                    const double[:, ::1] G, const double* w, double[:, ::1] Z, double* C,
                    double* quad, double* logdet, double* moved, double* A) noexcept nogil:
    cdef int64_t g, e, i, j, r, m, p = L.shape[0]
    cdef const int64_t* at
    cdef const double* x
    cdef double* b
    cdef double total, step, det
    for g in range(g0, g1):
        m = places[g + 1] - places[g]
        at = missing + places[g]
        for i in range(m):
            x = &L[at[i], 0]
            b = A + i * m
            for j in range(i + 1):
                b[j] = x[at[j]]
        if invert(m, A, A + m * m, &det):
            return 1
        total = 0
        for e in range(starts[g], starts[g + 1]):
            r = rows[e]
            total += w[r]
            logdet[r] = det
            x = &G[r, 0]
            for i in range(m):
                b = A + i * m
                step = 0
                for j in range(m):
                    step += b[j] * x[at[j]]
                quad[r] -= step * x[at[i]]
                moved[r] += step * step / b[i]
                Z[r, at[i]] -= step
        for i in range(m):
            b = C + at[i] * p
            for j in range(m):
                b[at[j]] += total * A[i * m + j]
    return 0


def fill(const double[:, ::1] L, const double[:, ::1] G, const int64_t[::1] starts,
         const int64_t[::1] rows, const int64_t[::1] places, const int64_t[::1] missing,
         const double[::1] w, double[:, ::1] Z, double[:, :, ::1] C, double[::1] quad,
         double[::1] logdet, double[::1] moved, const int64_t[::1] chunks, int n_threads):
    """Conditional means into the missing entries of Z, where G = Z L; whether all went well.

    Z and G are of centred rows.  C gets, for each chunk of patterns, the weighted sum of
    conditional covariances; quad, which holds the rows of Z L Z', the squared distance of what
    is observed; logdet the logarithm of the determinant of L_MM; moved the squared steps of the
    missing entries, each divided by its conditional variance.
    """
    cdef int64_t c, n = chunks.shape[0] - 1
    cdef int bad = 0
    if missing.shape[0] == 0:
        return True
    cdef int64_t most = np.diff(places).max()
    cdef double[:, ::1] A = np.empty((n, most * (most + 1) + 1))
    for c in prange(n, nogil=True, num_threads=n_threads, schedule="dynamic", chunksize=1):
        bad += fill_chunk(chunks[c], chunks[c + 1], &starts[0], &rows[0], &places[0],
                          &missing[0], L, G, &w[0], Z, &C[c, 0, 0], &quad[0], &logdet[0],
                          &moved[0], &A[c, 0])
    return bad == 0


def own_precisions(const double[:, ::1] L, const int64_t[::1] starts, const int64_t[::1] rows,
                   const int64_t[::1] places, const int64_t[::1] missing, double[:, ::1] out):
    """Inverse of the conditional variance of each entry given what its row has besides it.

    Where it is observed, L_jj - L_jM inv(L_MM) L_Mj; where not, 1 / inv(L_MM)_jj.
    """
    cdef int64_t g, e, i, j, k, m, p = L.shape[0], most = max(1, np.diff(places).max())
    cdef double det
    cdef double[::1] work = np.empty(most * (most + 1))
    cdef double[::1] own = np.empty(p), product = np.empty(p)
    cdef double* A = &work[0]
    cdef double* y = &product[0]
    cdef const double* x
    cdef const int64_t* at
    cdef double f
    cdef int bad = 0
    with nogil:
        for g in range(starts.shape[0] - 1):
            m = places[g + 1] - places[g]
            at = NULL
            if m > 0:
                at = &missing[0] + places[g]
            for i in range(m):
                for j in range(i + 1):
                    A[i * m + j] = L[at[i], at[j]]
            bad = invert(m, A, A + m * m, &det)
            if bad:
                break
            for k in range(p):
                own[k] = L[k, k]
            for i in range(m):
                for k in range(p):
                    y[k] = 0
                for j in range(m):
                    f = A[i * m + j]
                    x = &L[at[j], 0]
                    for k in range(p):
                        y[k] += f * x[k]
                x = &L[at[i], 0]
                for k in range(p):
                    own[k] -= y[k] * x[k]
            for i in range(m):
                own[at[i]] = 1 / A[i * m + i]
            for e in range(starts[g], starts[g + 1]):
                for k in range(p):
                    out[rows[e], k] = own[k]
    return bad == 0


cdef inline int64_t insert(double d, int64_t who, int64_t k, int64_t n, double* best,
                           int64_t* at) noexcept nogil:
    """Insert into a list of the k least, in ascending order; its new length."""
    cdef int64_t i = n if n < k else k - 1
    while i > 0 and best[i - 1] > d:
        best[i] = best[i - 1]
        at[i] = at[i - 1]
        i -= 1
    best[i] = d
    at[i] = who
    return n + 1 if n < k else k


cdef inline double mean_of(int64_t n, const double* best, const int64_t* at, const double* z,
                           const uint8_t* has, const double* w, double floor,
                           double other) noexcept nogil:
    """Mean of what donors have, by inverse squared distances; ``other`` if none has it."""
    cdef int64_t i
    cdef double f, total = 0, out = 0
    for i in range(n):
        if has[at[i]]:
            f = w[at[i]] / (best[i] if best[i] > floor else floor)
            total += f
            out += f * z[at[i]]
    return out / total if total > 0 else other


def neighbour_means(const double[:, ::1] D, const double[:, ::1] Z, const uint8_t[:, ::1] seen,
                    const double[:, ::1] donors, const uint8_t[:, ::1] has,
                    const double[::1] w, int64_t k, double floor, double[:, ::1] out,
                    int n_threads):
    """Means of the k nearest donors, for the missing entries of each row.

    D holds squared distances of rows and donors, infinite for a pair that must not be; donors
    and what they have are transposed.
    """
    cdef int64_t r, j, i, n, m = D.shape[1]
    cdef double[:, ::1] best = np.empty((D.shape[0], k))
    cdef int64_t[:, ::1] at = np.empty((D.shape[0], k), np.int64)
    for r in prange(D.shape[0], nogil=True, num_threads=n_threads, schedule="static"):
        n = 0
        for i in range(m):
            if (n < k and D[r, i] < INFINITY) or (n == k and D[r, i] < best[r, k - 1]):
                n = insert(D[r, i], i, k, n, &best[r, 0], &at[r, 0])
        for j in range(Z.shape[1]):
            out[r, j] = Z[r, j]
            if not seen[r, j]:
                out[r, j] = mean_of(n, &best[r, 0], &at[r, 0], &donors[j, 0], &has[j, 0],
                                    &w[0], floor, Z[r, j])
