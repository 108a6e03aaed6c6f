"""Coordinate descent on working sets and sums over columns.

Problems are ``min 1/2 w'Hw - c'w + sum_j P_j(w_j)`` over the m coefficients of a working set, given
by the matrix H itself ("gram") or by columns A with ``H = A'A``.  Arguments are not validated here.
"""
from cython.parallel cimport prange
from libc.math cimport acos, cos, fabs, fmax, pow, sqrt
from libc.stdint cimport int32_t, int64_t

from ._columns cimport so_column_table, so_columns

ctypedef fused real:
    float
    double

ctypedef fused index:
    int32_t
    int64_t

cdef enum:
    L1, ELASTIC_NET, MCP, SCAD, LOG_SUM, L_HALF, L_TWO_THIRDS, L0, BOX, NONE

KINDS = {
    "l1": L1, "elastic_net": ELASTIC_NET, "mcp": MCP, "scad": SCAD, "log_sum": LOG_SUM,
    "l_half": L_HALF, "l_two_thirds": L_TWO_THIRDS, "l0": L0, "box": BOX, "none": NONE,
}

cdef const so_column_table* T = so_columns(2)

cdef struct Form:
    int kind
    double lam, p0, p1
    bint positive


def set_simd_level(int level):
    """Use the loops of this instruction-set level or the best below it; returns its name."""
    global T
    T = so_columns(level)
    return T.name.decode()


cdef inline double soft(double u, double t) noexcept nogil:
    return u - t if u > t else u + t if u < -t else 0.0


cdef double prox_mcp(double u, double t, double lam, double gamma) noexcept nogil:
    cdef double a = fabs(u)
    if gamma <= t:
        return u if a > lam * sqrt(gamma * t) else 0.0
    return u if a > gamma * lam else soft(u, t * lam) / (1.0 - t / gamma)


cdef double scad(double a, double lam, double gamma) noexcept nogil:
    if a <= lam:
        return lam * a
    if a <= gamma * lam:
        return (2.0 * gamma * lam * a - a * a - lam * lam) / (2.0 * (gamma - 1.0))
    return 0.5 * lam * lam * (gamma + 1.0)


cdef double prox_scad(double u, double t, double lam, double gamma) noexcept nogil:
    cdef double a = fabs(u), best, value, cost, v
    cdef int k
    if gamma - 1.0 > t:
        if a <= (1.0 + t) * lam:
            return soft(u, t * lam)
        if a > gamma * lam:
            return u
        v = ((gamma - 1.0) * a - gamma * t * lam) / (gamma - 1.0 - t)
        return v if u > 0 else -v
    # concave between lam and gamma lam: a minimiser lies on either side
    best, value = 0.0, 0.5 * a * a
    for k in range(2):
        v = fmin_(fmax(a - t * lam, 0.0), lam) if k == 0 else fmax(a, gamma * lam)
        cost = 0.5 * (v - a) * (v - a) + t * scad(v, lam, gamma)
        if cost < value:
            best, value = v, cost
    return best if u > 0 else -best


cdef inline double fmin_(double a, double b) noexcept nogil:
    return a if a < b else b


cdef double prox_log_sum(double u, double tl, double eps) noexcept nogil:
    cdef double a = fabs(u), root = (a + eps) * (a + eps) - 4.0 * tl, v
    if root < 0.0:
        return 0.0
    v = 0.5 * ((a - eps) + sqrt(root))
    if v <= 0.0 or 0.5 * (v - a) * (v - a) + tl * log1p_(v / eps) >= 0.5 * a * a:
        return 0.0
    return v if u > 0 else -v


cdef extern from "math.h" nogil:
    double log1p_ "log1p" (double)


cdef double prox_l_half(double u, double tl) noexcept nogil:
    cdef double a = fabs(u)
    if a <= 1.5 * pow(tl, 2.0 / 3.0):
        return 0.0
    return 2.0 / 3.0 * u * (1.0 + cos(2.0 / 3.0 * acos(-tl / 4.0 * pow(a / 3.0, -1.5))))


cdef double prox_l_two_thirds(double u, double tl) noexcept nogil:
    cdef double q = 2.0 / 3.0, a = fabs(u), w0, w, step
    cdef int _k
    if tl <= 0.0:
        return u
    w0 = pow(2.0 * tl * (1.0 - q), 0.75)
    if a <= w0 + tl * q * pow(w0, q - 1.0):
        return 0.0
    w = a
    for _k in range(20):
        step = (w - a + tl * q * pow(w, q - 1.0)) / (1.0 + tl * q * (q - 1.0) * pow(w, q - 2.0))
        w -= step
        if fabs(step) <= 2e-16 * w:
            break
    return w if u > 0 else -w


cdef double prox1(Form f, double u, double t) noexcept nogil:
    """Minimiser of ``t P(v) + (v - u)^2 / 2``."""
    if f.positive and u < 0.0:
        u = 0.0
    if f.kind == L1:
        return soft(u, t * f.lam)
    if f.kind == ELASTIC_NET:
        return soft(u, t * f.lam * f.p0) / (1.0 + t * f.lam * (1.0 - f.p0))
    if f.kind == MCP:
        return prox_mcp(u, t, f.lam, f.p0)
    if f.kind == SCAD:
        return prox_scad(u, t, f.lam, f.p0)
    if f.kind == LOG_SUM:
        return prox_log_sum(u, t * f.lam, f.p0)
    if f.kind == L_HALF:
        return prox_l_half(u, t * f.lam)
    if f.kind == L_TWO_THIRDS:
        return prox_l_two_thirds(u, t * f.lam)
    if f.kind == L0:
        return u if fabs(u) > sqrt(2.0 * t * f.lam) else 0.0
    if f.kind == BOX:
        return fmin_(fmax(u, f.p0), f.p1)
    return u


def prox_coordinates(const double[::1] u, const double[::1] t, int kind, double lam, double p0,
                     double p1, bint positive, double[::1] out):
    """``out_j`` minimises ``t_j P(v) + (v - u_j)^2 / 2``."""
    cdef Form f = Form(kind, lam, p0, p1, positive)
    cdef int64_t j
    with nogil:
        for j in range(u.shape[0]):
            out[j] = prox1(f, u[j], t[j])


def cd_gram(const double[:, :] H, double[::1] g, double[::1] w, const double[::1] weights,
            int kind, double lam, double p0, double p1, bint positive, int n_epochs, double tol):
    """Cyclic descent with ``g = H w - c`` kept up to date; rows of H are contiguous.

    Returns the number of sweeps; they end when ``sum_j H_jj d_j^2`` of one is at most `tol`.
    """
    cdef Form f = Form(kind, lam, p0, p1, positive)
    cdef int64_t m = w.shape[0], j
    cdef int k = 0
    cdef double h, old, new, change = 0.0
    with nogil:
        while k < n_epochs:
            change = 0.0
            for j in range(m):
                h = H[j, j]
                old = w[j]
                if h <= 0.0:
                    new = old if kind == NONE else prox1(f, 0.0, 1.0)
                else:
                    new = prox1(f, old - g[j] / h, weights[j] / h)
                if new != old:
                    w[j] = new
                    T.axpy(m, new - old, &H[j, 0], &g[0])
                    change += h * (new - old) * (new - old)
            k += 1
            if change <= tol:
                break
    return k, change


def add_rows(const double[:, :] H, const int64_t[::1] rows, const double[::1] step, double[::1] g):
    """``g += sum_k step_k H[rows_k]``; rows of H are contiguous."""
    cdef int64_t m = g.shape[0], k
    with nogil:
        for k in range(rows.shape[0]):
            if step[k] != 0.0:
                T.axpy(m, step[k], &H[rows[k], 0], &g[0])


def cd_dense(const double[::1, :] A, double[::1] e, double[::1] w, const double[::1] square,
             const double[::1] weights, int kind, double lam, double p0, double p1, bint positive,
             int n_epochs, double tol):
    """Cyclic descent with the residual ``e = A w - b``, where ``c = A'b``."""
    cdef Form f = Form(kind, lam, p0, p1, positive)
    cdef int64_t n = A.shape[0], m = w.shape[0], j
    cdef int k = 0
    cdef double h, old, new, change = 0.0
    with nogil:
        while k < n_epochs:
            change = 0.0
            for j in range(m):
                h = square[j]
                old = w[j]
                if h <= 0.0:
                    new = old if kind == NONE else prox1(f, 0.0, 1.0)
                else:
                    new = prox1(f, old - T.dot(n, &A[0, j], &e[0]) / h, weights[j] / h)
                if new != old:
                    w[j] = new
                    T.axpy(n, new - old, &A[0, j], &e[0])
                    change += h * (new - old) * (new - old)
            k += 1
            if change <= tol:
                break
    return k, change


def cd_csc(const double[::1] data, const index[::1] rows, const index[::1] ptr, double[::1] e,
           double[::1] offset, const double[::1] mean, double[::1] w, const double[::1] square,
           const double[::1] weights, int kind, double lam, double p0, double p1, bint positive,
           int n_epochs, double tol):
    """As `cd_dense` for sparse columns, centred without being changed.

    The residual is ``e - offset[0] v`` for the unit vector v that all centred columns are
    orthogonal to; ``mean_j`` is the component of column j along v.
    """
    cdef Form f = Form(kind, lam, p0, p1, positive)
    cdef int64_t m = w.shape[0], j
    cdef index i
    cdef int k = 0
    cdef double h, old, new, slope, step, change = 0.0
    with nogil:
        while k < n_epochs:
            change = 0.0
            for j in range(m):
                h = square[j]
                old = w[j]
                if h <= 0.0:
                    new = old if kind == NONE else prox1(f, 0.0, 1.0)
                else:
                    slope = -offset[0] * mean[j]
                    for i in range(ptr[j], ptr[j + 1]):
                        slope += data[i] * e[rows[i]]
                    new = prox1(f, old - slope / h, weights[j] / h)
                if new != old:
                    w[j] = new
                    step = new - old
                    for i in range(ptr[j], ptr[j + 1]):
                        e[rows[i]] += step * data[i]
                    offset[0] += step * mean[j]
                    change += h * step * step
            k += 1
            if change <= tol:
                break
    return k, change


cdef double shrink_block(int64_t d, double* v, double lam_group, double lam1) noexcept nogil:
    """Proximal operator of the sum of both norms in place; returns the squared norm."""
    cdef int64_t i
    cdef double norm = 0.0, factor
    for i in range(d):
        v[i] = soft(v[i], lam1)
        norm += v[i] * v[i]
    norm = sqrt(norm)
    factor = 1.0 - lam_group / norm if norm > lam_group else 0.0
    for i in range(d):
        v[i] *= factor
    return norm * norm * factor * factor


def bcd_gram(const double[:, :] H, double[::1] g, double[::1] w, const int64_t[::1] ptr,
             const double[::1] top, const double[::1] lam_group, const double[::1] lam1,
             double[::1] work, int n_epochs, double tol):
    """Cyclic descent over blocks ``ptr[k]..ptr[k + 1]`` with steps ``1 / top[k]``."""
    cdef int64_t m = w.shape[0], j, k, j0, d
    cdef int sweep = 0
    cdef double step, change = 0.0
    with nogil:
        while sweep < n_epochs:
            change = 0.0
            for k in range(ptr.shape[0] - 1):
                j0, d = ptr[k], ptr[k + 1] - ptr[k]
                if top[k] <= 0.0:
                    continue
                for j in range(d):
                    work[j] = w[j0 + j] - g[j0 + j] / top[k]
                shrink_block(d, &work[0], lam_group[k] / top[k], lam1[k] / top[k])
                for j in range(d):
                    step = work[j] - w[j0 + j]
                    if step != 0.0:
                        w[j0 + j] = work[j]
                        T.axpy(m, step, &H[j0 + j, 0], &g[0])
                        change += top[k] * step * step
            sweep += 1
            if change <= tol:
                break
    return sweep, change


def column_dots(const real[::1, :] X, const double[::1] r, const int64_t[::1] cols, double[::1] out,
                bint every, int n_threads):
    """``out[k] = X_{cols[k]}' r``; of all columns if `every`, whatever `cols` holds."""
    cdef int64_t n = X.shape[0], m = X.shape[1] if every else cols.shape[0], b
    cdef int64_t size = 64, nb = (m + 63) // 64
    cdef const int64_t* c = NULL
    if m == 0:
        return
    if not every:
        c = &cols[0]
    for b in prange(nb, num_threads=n_threads, nogil=True):
        if real is double:
            T.dots_d(&X[0, 0], n, n, c, b * size, min(m, (b + 1) * size), &r[0], &out[0])
        else:
            T.dots_s(&X[0, 0], n, n, c, b * size, min(m, (b + 1) * size), &r[0], &out[0])


def column_moments(const real[::1, :] X, const double[::1] s, double[::1] square, double[::1] mean,
                   int n_threads):
    """``sum_i s_i X_ij^2`` and ``sum_i s_i X_ij`` for every column."""
    cdef int64_t n = X.shape[0], m = X.shape[1], b
    cdef int64_t size = 64, nb = (m + 63) // 64
    for b in prange(nb, num_threads=n_threads, nogil=True):
        if real is double:
            T.moments_d(&X[0, 0], n, n, b * size, min(m, (b + 1) * size), &s[0], &square[0],
                        &mean[0])
        else:
            T.moments_s(&X[0, 0], n, n, b * size, min(m, (b + 1) * size), &s[0], &square[0],
                        &mean[0])


def csc_dots(const real[::1] data, const index[::1] rows, const index[::1] ptr,
             const double[::1] r, const int64_t[::1] cols, double[::1] out, bint every,
             int n_threads):
    """As `column_dots` for sparse columns."""
    cdef int64_t m = out.shape[0], k, j
    cdef index i
    cdef double total
    for k in prange(m, num_threads=n_threads, schedule="static", nogil=True):
        j = k if every else cols[k]
        total = 0.0
        for i in range(ptr[j], ptr[j + 1]):
            total = total + data[i] * r[rows[i]]
        out[k] = total


def row_dots(const real[:, ::1] X, const double[::1] r, double[::1] out, int n_threads):
    """``X' r`` for a matrix stored by rows."""
    cdef int64_t n = X.shape[0], m = X.shape[1], b
    cdef int64_t size = 2048, nb = (m + 2047) // 2048
    for b in prange(nb, num_threads=n_threads, nogil=True):
        if real is double:
            T.rows_d(&X[0, 0], m, n, b * size, min(m, (b + 1) * size), &r[0], &out[0])
        else:
            T.rows_s(&X[0, 0], m, n, b * size, min(m, (b + 1) * size), &r[0], &out[0])
