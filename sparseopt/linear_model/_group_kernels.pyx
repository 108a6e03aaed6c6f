"""Block coordinate descent for group norms over columns.

Arguments are not validated here.
"""
from libc.math cimport sqrt
from libc.stdint cimport int64_t

from ._columns cimport so_column_table, so_columns

cdef const so_column_table* T = so_columns(2)
cdef enum:
    STEPS = 10
# Share of the first step in a block below which the others are not worth their time, squared.
cdef double SETTLED = 0.01


def set_simd_level(int level):
    """Use the loops of this instruction-set level or the best below it; returns its name."""
    global T
    T = so_columns(level)
    return T.name.decode()


cdef double shrink(int64_t d, double* v, double lam, double lam1) noexcept nogil:
    """Proximal operator of both norms in place."""
    cdef int64_t i
    cdef double norm = 0.0, factor
    for i in range(d):
        v[i] = v[i] - lam1 if v[i] > lam1 else v[i] + lam1 if v[i] < -lam1 else 0.0
        norm += v[i] * v[i]
    norm = sqrt(norm)
    factor = 1.0 - lam / norm if norm > lam else 0.0
    for i in range(d):
        v[i] *= factor


cdef double descend(int64_t d, const double* H, double top, double lam, double lam1, double* g,
                    double* w, double* v) noexcept nogil:
    """Proximal gradient steps on one block, for `w` and its gradient `g` in place.

    Returns the sum of ``top ||step||^2``.
    """
    cdef int64_t i, j
    cdef int k
    cdef double step, square, first = 0.0, change = 0.0
    for k in range(STEPS):
        for i in range(d):
            v[i] = w[i] - g[i] / top
        shrink(d, v, lam / top, lam1 / top)
        square = 0.0
        for i in range(d):
            step = v[i] - w[i]
            w[i] = v[i]
            if step != 0.0:
                square += step * step
                for j in range(d):
                    g[j] += step * H[i * d + j]
        change += top * square
        if k == 0:
            first = square
        if square <= SETTLED * first:
            break
    return change


def bcd_columns(const double[::1, :] A, double[::1] e, double[::1] w, const int64_t[::1] ptr,
                const double[::1] H, const int64_t[::1] where, const double[::1] top,
                const double[::1] lam, const double[::1] lam1, const int64_t[::1] groups,
                double[::1] work, int n_epochs, double tol):
    """Cyclic descent over blocks with the residual ``e = A w - b``.

    ``H[where[k]:]`` is the Gram matrix of the columns ``ptr[k]..ptr[k + 1]`` of block k, and
    ``top[k]`` at least its largest eigenvalue; `work` has room for three blocks.  Returns the
    number of sweeps; they end when the sum of ``top ||step||^2`` of one is at most `tol`.
    """
    cdef int64_t n = A.shape[0], j, k, i, j0, d
    cdef int sweep = 0
    cdef double moved, change = 0.0
    cdef double* g
    cdef double* old
    cdef double* v
    if groups.shape[0] == 0:
        return 0
    with nogil:
        while sweep < n_epochs:
            change = 0.0
            for i in range(groups.shape[0]):
                k = groups[i]
                j0, d = ptr[k], ptr[k + 1] - ptr[k]
                if top[k] <= 0.0:
                    continue
                g = &work[0]
                old, v = g + d, g + 2 * d
                T.dots_d(&A[0, j0], n, n, NULL, 0, d, &e[0], g)
                for j in range(d):
                    old[j] = w[j0 + j]
                moved = descend(d, &H[where[k]], top[k], lam[k], lam1[k], g, &w[j0], v)
                if moved > 0.0:
                    for j in range(d):
                        old[j] = w[j0 + j] - old[j]
                    T.axpys(n, d, old, &A[0, j0], &e[0])
                    change += moved
            sweep += 1
            if change <= tol:
                break
    return sweep
