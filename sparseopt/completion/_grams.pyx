"""Inverses of the Gram matrices of rows, a preconditioner for all rows at once.

LAPACK is called from the threads of the loop over rows: the caller limits it to one thread.
"""
import numpy as np

from cython cimport floating as real
from cython.parallel cimport prange, threadid
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t
from scipy.linalg.cython_blas cimport dsyrk, ssyrk
from scipy.linalg.cython_lapack cimport dpotrf, dpotri, spotrf, spotri

from sparseopt.completion._kernels import workspaces

cdef enum:
    BLOCK = 512  # gathered rows at a time: they stay in L2

# Rows whose curvature is less than this of the unit stay as they are: inverses are float32.
cdef double FAINT = 1e-30


cdef void gram(int64_t e0, int64_t e1, const int32_t* idx, const real* w, const real* V, int kp,
               int k, real* H, real* G) noexcept nogil:
    """Lower triangle (by columns) of H = G'WG for the gathered rows G."""
    cdef int64_t e = e0
    cdef int n, j, p
    cdef real plus = 1, root
    cdef const real* row
    for p in range(k * k):
        H[p] = 0
    while e < e1:
        n = <int>(e1 - e) if e1 - e < BLOCK else BLOCK
        for j in range(n):
            row = V + kp * <int64_t>idx[e + j]
            root = <real>1 if w == NULL else <real>sqrt(w[e + j])
            for p in range(k):
                G[j * k + p] = root * row[p]
        if real is double:
            dsyrk("L", "N", &k, &n, &plus, G, &k, &plus, H, &k)
        else:
            ssyrk("L", "N", &k, &n, &plus, G, &k, &plus, H, &k)
        e += n


cdef void invert(int k, const real* d, double unit, double least, real* H,
                 float* out) noexcept nogil:
    """out = unit (H + d + shift)^-1, both triangles; by the trace if there is no inverse."""
    cdef int p, c, info
    cdef double trace = 0
    cdef real shift
    for p in range(k):
        trace += <double>H[p * k + p]
    if not trace > FAINT * unit:  # no entries, or none that counts
        for p in range(k * k):
            out[p] = 0
        return
    # a matrix that is singular but for rounding must not blow that up
    shift = <real>(least * trace / k)
    for p in range(k):
        H[p * k + p] += d[p] + shift
    if real is double:
        dpotrf("L", &k, H, &k, &info)
    else:
        spotrf("L", &k, H, &k, &info)
    if info == 0:
        if real is double:
            dpotri("L", &k, H, &k, &info)
        else:
            spotri("L", &k, H, &k, &info)
    if info != 0:
        for p in range(k * k):
            H[p] = 0
        for p in range(k):
            H[p * k + p] = <real>(k / trace)
    for c in range(k):
        for p in range(c, k):
            out[c * k + p] = <float>(unit * H[c * k + p])
            out[p * k + c] = out[c * k + p]


def inverse_grams(const int64_t[::1] ptr, const int32_t[::1] idx, const real[:, ::1] V,
                  const real[::1] w, const real[::1] d, double unit, double least,
                  float[:, :, ::1] H, const int64_t[:, ::1] chunks, int n_threads):
    """H_i = unit (sum_e w_e v_e v_e' + diag(d) + shift)^-1, computed in the type of V.

    The shift is ``least`` times the mean of the row's diagonal. Rows without entries, or whose
    weights are nothing beside ``unit``, have zeros.
    """
    cdef int kp = <int>V.shape[1], k = <int>H.shape[1]
    cdef int64_t c, i
    cdef int64_t size = BLOCK * k + k * k
    cdef real[:, ::1] work = workspaces(n_threads, size, np.asarray(V).dtype)
    cdef real* own
    cdef const real* wp = NULL
    if w is not None and w.shape[0]:
        wp = &w[0]
    if idx.shape[0] == 0:
        H[:] = 0
        return
    for c in prange(chunks.shape[0], schedule="dynamic", chunksize=1, nogil=True,
                    num_threads=n_threads):
        own = &work[threadid(), 0]
        for i in range(chunks[c, 0], chunks[c, 1]):
            gram(ptr[i], ptr[i + 1], &idx[0], wp, &V[0, 0], kp, k, own + BLOCK * k, own)
            invert(k, &d[0], unit, least, own + BLOCK * k, &H[i, 0, 0])


def block_products(const float[:, :, ::1] H, const real[:, ::1] g, real[:, ::1] z,
                   int n_threads):
    """z_i = H_i g_i for symmetric H_i; numbers of z beyond them are left."""
    cdef int k = <int>H.shape[1], p, c
    cdef int64_t i, m = H.shape[0]
    cdef real a
    cdef const float* h
    for i in prange(m, schedule="static", nogil=True, num_threads=n_threads):
        for p in range(k):
            z[i, p] = 0
        for c in range(k):
            a = g[i, c]
            h = &H[i, c, 0]
            for p in range(k):
                z[i, p] += h[p] * a
