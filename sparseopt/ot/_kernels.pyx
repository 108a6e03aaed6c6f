"""Threads and memory for the row kernels of ``_rows.c``.

Rows are cut into blocks that depend on the problem only; each block adds into its own
column accumulator and the accumulators are summed in order, so a result is the same to
the last bit for any number of threads.  Arguments are not validated here.
"""
import numpy as np

from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from ._rows cimport SO_B, so_ot_rows, so_ot_table

ctypedef fused real:
    float
    double

cdef const so_ot_table* T = so_ot_rows(2)
BLOCK = SO_B


def set_simd_level(int level):
    """Use the row kernels of this instruction-set level or the best below it; returns its name."""
    global T
    T = so_ot_rows(level)
    return T.name.decode()


def padded(int64_t m):
    """Length of a column vector: `m` rounded up to whole blocks."""
    return (m + SO_B - 1) // SO_B * SO_B


cdef void add_blocks(const double* acc, int nb, int64_t m, double* c) noexcept nogil:
    cdef int64_t j
    cdef int b
    for j in range(m):
        c[j] = acc[j]
    for b in range(1, nb):
        for j in range(m):
            c[j] += acc[b * m + j]


def row_blocks(int64_t n, int64_t m):
    """Boundaries of equal row blocks, multiples of four, for passes over a dense matrix."""
    cdef int64_t nb = max(1, min(16, n // 16, n * m // 8192))
    bounds = np.linspace(0, n, nb + 1).astype(np.int64) // 4 * 4
    bounds[nb] = n
    return bounds


def support_blocks(const int64_t[::1] ptr, int64_t mp):
    """Row boundaries of blocks with about equal numbers of support entries."""
    cdef int64_t n = ptr.shape[0] - 1
    cdef int64_t total = ptr[n]
    # an accumulator costs two sweeps of mp: keep them under a quarter of the work
    cdef int64_t nb = max(1, min(16, total // 512, total * SO_B // (8 * mp)))
    bounds = np.searchsorted(ptr, np.linspace(0, total, nb + 1)).astype(np.int64)
    bounds[0], bounds[nb] = 0, n
    return bounds


def dense_pass(const real[:, ::1] C, const double[::1] a, const double[::1] loga, double inv_eps,
               double[::1] f, const double[::1] g, double[::1] c, const int64_t[::1] rows,
               bint fast, int n_threads):
    """Row update of `f` and column sums `c` in one read of `C`."""
    cdef int64_t m = C.shape[1], mp = c.shape[0]
    cdef int nb = <int>rows.shape[0] - 1, b
    cdef double[:, ::1] acc = np.zeros((nb, mp))
    cdef double[:, ::1] buf = np.empty((nb, 4 * mp))
    with nogil:
        for b in prange(nb, num_threads=n_threads, schedule="dynamic", chunksize=1):
            if real is double:
                T.pass_d(&C[0, 0], m, rows[b], rows[b + 1], m, inv_eps, &loga[0], &a[0], &f[0],
                         &g[0],
                         &acc[b, 0], &buf[b, 0], fast)
            else:
                T.pass_s(&C[0, 0], m, rows[b], rows[b + 1], m, inv_eps, &loga[0], &a[0], &f[0],
                         &g[0],
                         &acc[b, 0], &buf[b, 0], fast)
        add_blocks(&acc[0, 0], nb, mp, &c[0])


def plan_entries(const real[:, ::1] C, double inv_eps, const double[::1] f, const double[::1] g,
                 double[:, ::1] K, const int64_t[::1] rows, int n_threads):
    """``K = exp((f + g - C) inv_eps)``, all entries."""
    cdef int64_t m = C.shape[1]
    cdef int nb = <int>rows.shape[0] - 1, b
    for b in prange(nb, num_threads=n_threads, schedule="dynamic", chunksize=1, nogil=True):
        if real is double:
            T.plan_d(&C[0, 0], m, rows[b], rows[b + 1], m, inv_eps, &f[0], &g[0], &K[0, 0])
        else:
            T.plan_s(&C[0, 0], m, rows[b], rows[b + 1], m, inv_eps, &f[0], &g[0], &K[0, 0])


def scaling_pass(const double[:, ::1] K, const double[::1] a, const double[::1] v, double[::1] u,
                 double[::1] c, const int64_t[::1] rows, int n_threads):
    """``u = a / K v`` and ``c = K' u`` in one read of `K`."""
    cdef int64_t m = K.shape[1], mp = c.shape[0]
    cdef int nb = <int>rows.shape[0] - 1, b
    cdef double[:, ::1] acc = np.zeros((nb, mp))
    with nogil:
        for b in prange(nb, num_threads=n_threads, schedule="dynamic", chunksize=1):
            T.scale(&K[0, 0], rows[b], rows[b + 1], m, &a[0], &v[0], &u[0], &acc[b, 0])
        add_blocks(&acc[0, 0], nb, mp, &c[0])


def certificate(const real[:, ::1] C, double inv_eps, const double[::1] f, const double[::1] g,
                const double[::1] y, const double[::1] z, const int64_t[::1] rows, int n_threads):
    """Rows (n, 6): sums of ``P y, C P, C P y, C z``, the c-transform, sum of ``P``."""
    cdef int64_t m = C.shape[1]
    cdef int nb = <int>rows.shape[0] - 1, b
    out_array = np.empty((C.shape[0], 6))
    cdef double[:, ::1] out = out_array
    for b in prange(nb, num_threads=n_threads, schedule="dynamic", chunksize=1, nogil=True):
        if real is double:
            T.cert_d(&C[0, 0], m, rows[b], rows[b + 1], m, inv_eps, &f[0], &g[0], &y[0], &z[0],
                     &out[0, 0])
        else:
            T.cert_s(&C[0, 0], m, rows[b], rows[b + 1], m, inv_eps, &f[0], &g[0], &y[0], &z[0],
                     &out[0, 0])
    return out_array


def dense_hess_vec(const real[:, ::1] C, const double[::1] a, double inv_eps, const double[::1] f,
                   const double[::1] g, const double[::1] x, double[::1] y, const int64_t[::1] rows,
                   int n_threads):
    """``y = P' A^-1 P x`` without a stored plan; `x` None: the diagonal ``sum_i P_ij^2 / a_i``."""
    cdef int64_t m = C.shape[1], mp = y.shape[0]
    cdef int nb = <int>rows.shape[0] - 1, b
    cdef const double* px = NULL
    cdef double[:, ::1] acc = np.zeros((nb, mp))
    cdef double[:, ::1] buf = np.empty((nb, mp))
    if x is not None:
        px = &x[0]
    with nogil:
        for b in prange(nb, num_threads=n_threads, schedule="dynamic", chunksize=1):
            if real is double:
                T.hv_d(&C[0, 0], m, rows[b], rows[b + 1], m, inv_eps, &a[0], &f[0], &g[0], px,
                       &acc[b, 0], &buf[b, 0])
            else:
                T.hv_s(&C[0, 0], m, rows[b], rows[b + 1], m, inv_eps, &a[0], &f[0], &g[0], px,
                       &acc[b, 0], &buf[b, 0])
        add_blocks(&acc[0, 0], nb, mp, &y[0])


def support_count(const real[:, ::1] C, const double[::1] f, const double[::1] g,
                  const double[::1] slack, const int64_t[::1] rows, int n_threads):
    """Row pointer (n + 1,) of the blocks with an entry ``f_i + g_j - C_ij >= -slack_i``."""
    cdef int64_t m = C.shape[1]
    cdef int nb = <int>rows.shape[0] - 1, b
    ptr_array = np.zeros(C.shape[0] + 1, dtype=np.int64)
    cdef int64_t[::1] ptr = ptr_array
    for b in prange(nb, num_threads=n_threads, schedule="dynamic", chunksize=1, nogil=True):
        if real is double:
            T.count_d(&C[0, 0], m, rows[b], rows[b + 1], m, &f[0], &g[0], &slack[0], &ptr[1])
        else:
            T.count_s(&C[0, 0], m, rows[b], rows[b + 1], m, &f[0], &g[0], &slack[0], &ptr[1])
    return np.cumsum(ptr_array, out=ptr_array)


def support_fill(const real[:, ::1] C, const double[::1] f, const double[::1] g,
                 const double[::1] slack, const int64_t[::1] rows, const int64_t[::1] ptr,
                 int n_threads):
    """Block columns of the support counted by `support_count`."""
    cdef int64_t m = C.shape[1], n = C.shape[0]
    cdef int nb = <int>rows.shape[0] - 1, b
    blk_array = np.empty(max(ptr[n], 1), dtype=np.int32)
    cdef int32_t[::1] blk = blk_array
    for b in prange(nb, num_threads=n_threads, schedule="dynamic", chunksize=1, nogil=True):
        if real is double:
            T.fill_d(&C[0, 0], m, rows[b], rows[b + 1], m, &f[0], &g[0], &slack[0], &ptr[0],
                     &blk[0])
        else:
            T.fill_s(&C[0, 0], m, rows[b], rows[b + 1], m, &f[0], &g[0], &slack[0], &ptr[0],
                     &blk[0])
    return blk_array


def support_eval(const real[:, ::1] C, const int64_t[::1] ptr, const int32_t[::1] blk,
                 const double[::1] a, const double[::1] loga, double inv_eps, double[::1] f,
                 const double[::1] g, double[::1] c, double[::1] E, const int64_t[::1] rows,
                 int n_threads):
    """Row update of `f`, plan entries `E` and column sums `c` on a support."""
    cdef int64_t m = C.shape[1], mp = c.shape[0]
    cdef int nb = <int>rows.shape[0] - 1, b
    cdef double[:, ::1] acc = np.zeros((nb, mp))
    with nogil:
        for b in prange(nb, num_threads=n_threads, schedule="dynamic", chunksize=1):
            if real is double:
                T.eval_d(&C[0, 0], m, rows[b], rows[b + 1], m, &ptr[0], &blk[0], inv_eps,
                         &loga[0], &a[0],
                         &f[0], &g[0], &acc[b, 0], &E[0])
            else:
                T.eval_s(&C[0, 0], m, rows[b], rows[b + 1], m, &ptr[0], &blk[0], inv_eps,
                         &loga[0], &a[0],
                         &f[0], &g[0], &acc[b, 0], &E[0])
        add_blocks(&acc[0, 0], nb, mp, &c[0])


cdef object count_above(const int64_t[::1] ptr, const double[::1] E, const double[::1] a,
                        double tau,
                        const int64_t[::1] rows, int n_threads):
    cdef int nb = <int>rows.shape[0] - 1, b
    count_array = np.zeros(ptr.shape[0], dtype=np.int64)
    cdef int64_t[::1] count = count_array
    for b in prange(nb, num_threads=n_threads, schedule="dynamic", chunksize=1, nogil=True):
        T.hess_count(rows[b], rows[b + 1], &ptr[0], &E[0], &a[0], tau, &count[1])
    return np.cumsum(count_array, out=count_array)


def support_refine(const int64_t[::1] ptr, const int32_t[::1] blk, const double[::1] E,
                   const double[::1] a, double tau, const int64_t[::1] rows, int n_threads):
    """Row pointer and block columns of the blocks that hold an entry ``E_ij >= tau a_i``."""
    cdef int nb = <int>rows.shape[0] - 1, b
    sptr_array = count_above(ptr, E, a, tau, rows, n_threads)
    cdef int64_t[::1] sptr = sptr_array
    sblk_array = np.empty(max(sptr[ptr.shape[0] - 1], 1), dtype=np.int32)
    cdef int32_t[::1] sblk = sblk_array
    for b in prange(nb, num_threads=n_threads, schedule="dynamic", chunksize=1, nogil=True):
        T.refine(rows[b], rows[b + 1], &ptr[0], &blk[0], &E[0], &a[0], tau, &sptr[0], &sblk[0])
    return sptr_array, sblk_array


cdef class Laplacian:
    """Newton matrix of the semi-dual, from the blocks with an entry ``P_ij >= tau a_i``.

    ``H = sum_i (diag(P_i) - P_i P_i' / s_i) + diag(extra)`` over the kept entries; the mass
    left out, put on the diagonal as `extra`, keeps H positive definite.

    Attributes
    ----------
    d : ndarray
        Diagonal of the sum, free of cancellation.
    drop : ndarray
        Column sums of the entries left out.
    nnz : int
        Entries kept, zeros in blocks included.
    """

    cdef readonly object d, drop
    cdef readonly int64_t nnz
    cdef int64_t[::1] ptr, rows
    cdef int32_t[::1] blk, ref
    cdef float[::1] Q
    cdef double[::1] s
    cdef double[:, ::1] acc

    def __init__(self, const int64_t[::1] ptr, const int32_t[::1] blk, const double[::1] E,
                 const double[::1] a, int64_t mp, double tau, const int64_t[::1] rows,
                 int n_threads):
        cdef int64_t n = ptr.shape[0] - 1
        cdef int nb = <int>rows.shape[0] - 1, b
        self.ptr = count_above(ptr, E, a, tau, rows, n_threads)
        cdef int64_t size = max(self.ptr[n], 1)
        self.nnz = self.ptr[n] * SO_B
        self.blk, self.Q = np.empty(size, dtype=np.int32), np.empty(size * SO_B, dtype=np.float32)
        self.s, self.ref = np.empty(n), np.empty(n, dtype=np.int32)
        self.d, self.drop = np.empty(mp), np.empty(mp)
        cdef double[::1] d = self.d, drop = self.drop
        cdef double[:, ::1] dacc = np.zeros((nb, mp)), racc = np.zeros((nb, mp))
        with nogil:
            for b in prange(nb, num_threads=n_threads, schedule="dynamic", chunksize=1):
                T.hess_fill(rows[b], rows[b + 1], &ptr[0], &blk[0], &E[0], &a[0], tau, &self.ptr[0],
                            &self.blk[0], &self.Q[0], &self.s[0], &self.ref[0], &dacc[b, 0],
                            &racc[b, 0])
            add_blocks(&dacc[0, 0], nb, mp, &d[0])
            add_blocks(&racc[0, 0], nb, mp, &drop[0])
        self.rows = support_blocks(self.ptr, mp)
        self.acc = np.empty((self.rows.shape[0] - 1, mp))

    cdef void multiply(self, const double* extra, const double* x, double* y,
                       int n_threads) noexcept nogil:
        cdef int nb = <int>self.rows.shape[0] - 1, b
        cdef int64_t m = self.acc.shape[1], j
        memset(&self.acc[0, 0], 0, nb * m * sizeof(double))
        for b in prange(nb, num_threads=n_threads, schedule="dynamic", chunksize=1):
            T.matvec(self.rows[b], self.rows[b + 1], &self.ptr[0], &self.blk[0], &self.Q[0],
                     &self.s[0],
                     &self.ref[0], x, &self.acc[b, 0])
        for j in range(m):
            y[j] = extra[j] * x[j] + self.acc[0, j]
        for b in range(1, nb):
            for j in range(m):
                y[j] += self.acc[b, j]


cdef class ConjugateGradients:
    """Jacobi-preconditioned conjugate gradients for the Newton system, resumable.

    `run` does a bounded number of iterations, so that a caller can answer interrupts and
    time limits between calls.  It stops early, keeping the iterate so far, when rounding
    makes the curvature nonpositive.
    """

    cdef readonly object x_array
    cdef readonly int n_iter
    cdef readonly bint stalled
    cdef const double[::1] extra, inv_d
    cdef double[::1] x, r, z, p, q
    cdef double rz, rr, rr0

    def __init__(self, const double[::1] extra, const double[::1] inv_d, const double[::1] rhs):
        cdef int64_t m = rhs.shape[0], j
        cdef double out[2]
        self.x_array = np.zeros(m)
        self.extra, self.inv_d, self.x, self.r = extra, inv_d, self.x_array, np.array(rhs)
        self.z, self.p, self.q = np.empty(m), np.zeros(m), np.zeros(m)
        T.cg_step(m, 0.0, &self.p[0], &self.q[0], &inv_d[0], &self.x[0], &self.r[0], &self.z[0],
                  out)
        self.rz, self.rr, self.rr0 = out[0], out[1], out[1]
        for j in range(m):
            self.p[j] = self.z[j]
        self.n_iter = 0
        self.stalled = False

    @property
    def residual(self):
        """Norm of the residual relative to the right-hand side."""
        return sqrt(self.rr / self.rr0) if self.rr0 > 0.0 else 0.0

    cdef bint advance(self) noexcept nogil:
        """One iteration, given ``q = H p``; False when the curvature is not positive."""
        cdef int64_t m = self.x.shape[0], j
        cdef double out[2]
        cdef double beta, pq = T.dot(m, &self.p[0], &self.q[0])
        if not pq > 0.0:
            self.stalled = True
            return False
        T.cg_step(m, self.rz / pq, &self.p[0], &self.q[0], &self.inv_d[0], &self.x[0], &self.r[0],
                  &self.z[0], out)
        beta = out[0] / self.rz
        self.rz, self.rr = out[0], out[1]
        for j in range(m):
            self.p[j] = self.z[j] + beta * self.p[j]
        self.n_iter = self.n_iter + 1  # += asks for the GIL under nonecheck
        return True

    def run(self, Laplacian H, double rtol, int max_iter, int n_threads):
        """Up to `max_iter` iterations with ``H + diag(extra)``; True once below `rtol`."""
        cdef int it = 0
        cdef double stop = rtol * rtol * self.rr0
        with nogil:
            while it < max_iter and self.rr > stop:
                H.multiply(&self.extra[0], &self.p[0], &self.q[0], n_threads)
                if not self.advance():
                    break
                it += 1
        return self.rr <= stop

    def run_dense(self, C, const double[::1] a, double inv_eps, const double[::1] f,
                  const double[::1] g,
                  double rtol, const int64_t[::1] rows, int n_threads):
        """One iteration with ``diag(extra) - P' A^-1 P``, no plan stored; True when the residual
        is below `rtol`."""
        cdef double stop = rtol * rtol * self.rr0
        cdef int64_t j
        if self.rr > stop:
            dense_hess_vec(C, a, inv_eps, f, g, self.p, self.q, rows, n_threads)
            for j in range(self.x.shape[0]):
                self.q[j] = self.extra[j] * self.p[j] - self.q[j]
            self.advance()
        return self.rr <= stop
