"""Root search and output passes of envelopes and simplices, over the C code of ``_root.h``.

Passes over more than `PARALLEL` elements are cut into blocks of a fixed size, whose sums
are added in order: results are the same to the last bit for any number of threads.
Arguments are not validated here.
"""
from cython.parallel cimport prange
from libc.math cimport INFINITY
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from ._root cimport (
    SO_BAD,
    SO_DONE,
    SO_FILTER,
    SO_MEASURE,
    SO_MEMORY,
    SO_RANGE,
    so_fold,
    so_part,
    so_root_begin,
    so_root_end,
    so_root_filter,
    so_root_general,
    so_root_level,
    so_root_narrow,
    so_root_proceed,

    so_root_table,
    so_root_weighted,
    so_rule,
    so_search,
    so_step,
    so_weighted,
    so_weighted_prox,
)

cdef const so_root_table* T = so_root_level(2)
cdef int64_t BLOCK = 1 << 16
cdef int64_t PAST_CACHE = 1 << 24  # bytes of an output that is better not cached
cdef int64_t PARALLEL = 2_000_000  # elements for which threads are started
DONE, BAD, RANGE, FILTER, MEASURE = SO_DONE, SO_BAD, SO_RANGE, SO_FILTER, SO_MEASURE


def set_simd_level(int level):
    """Use the kernels of this instruction-set level or the best below it; returns its name."""
    global T
    T = so_root_level(level)
    return T.name.decode()


cdef so_rule envelope_rule(double k, double b, double c) noexcept nogil:
    """Shares ``clip((z / t - b) / c, 0, 1)`` that add up to k."""
    cdef so_rule r
    r.e1, r.e0, r.f1, r.f0 = b, 0.0, b + c, 0.0
    r.n0, r.n1, r.d0, r.d1, r.d2 = 0.0, 0.0, c * k, -c, b
    r.target, r.floor, r.envelope = k, 0.0, 1
    return r


cdef so_rule simplex_rule(double total, double cap, bint absolute) noexcept nogil:
    """Shares ``clip(z - t, 0, cap)`` that add up to the total."""
    cdef so_rule r
    r.e1, r.e0, r.f1, r.f0 = 1.0, 0.0, 1.0, cap
    r.n0, r.n1, r.d0, r.d1, r.d2 = -total, 0.0 if cap == INFINITY else cap, 0.0, 0.0, 1.0
    r.target, r.floor, r.envelope = total, 0.0 if absolute else -1e300, 0
    return r


cdef so_step filter_all(so_search* s, const char* x, int is_float, int64_t n, bint absolute,
                        int n_threads) noexcept nogil:
    cdef int64_t size = BLOCK if n > PARALLEL else n
    cdef int64_t nb = (n + size - 1) // size, width = 4 if is_float else 8, b, n_parts
    cdef so_part* parts
    cdef so_step step
    n_parts = nb if n_threads > 1 else 1
    parts = <so_part*>calloc(n_parts, sizeof(so_part))
    if not parts:
        return SO_MEMORY
    s.stored = 0
    if n_parts == 1:
        for b in range(nb):
            so_root_filter(T, s, x + b * size * width, is_float, min(size, n - b * size),
                           absolute, parts)
    else:
        for b in prange(nb, num_threads=n_threads, schedule="dynamic", chunksize=1):
            so_root_filter(T, s, x + b * size * width, is_float, min(size, n - b * size),
                           absolute, parts + b)
    step = so_root_proceed(T, s, parts, n_parts)
    free(parts)
    return step


cdef void measure_block(const char* x, int is_float, int64_t n, bint absolute,
                        so_search* s, so_fold* fold) noexcept nogil:
    cdef double e = s.rule.e1 * s.t + s.rule.e0
    cdef double f = INFINITY if s.rule.f0 == INFINITY else s.rule.f1 * s.t + s.rule.f0
    memset(fold, 0, sizeof(so_fold))
    if is_float:
        T.measure_s(<const float*>x, n, e, f, absolute, fold)
    else:
        T.measure_d(<const double*>x, n, e, f, absolute, fold)


cdef so_step measure_all(so_search* s, const char* x, int is_float, int64_t n, bint absolute,
                         int n_threads) noexcept nogil:
    cdef int64_t size = BLOCK if n > PARALLEL else n
    cdef int64_t nb = (n + size - 1) // size, width = 4 if is_float else 8, b
    cdef so_fold* folds = <so_fold*>calloc(nb, sizeof(so_fold))
    cdef so_step step
    if not folds:
        return SO_MEMORY
    for b in prange(nb, num_threads=n_threads, schedule="dynamic", chunksize=1):
        measure_block(x + b * size * width, is_float, min(size, n - b * size), absolute, s,
                      folds + b)
    step = so_root_narrow(s, folds, nb)
    free(folds)
    return step


cdef so_step find(so_search* s, const char* x, int is_float, int64_t n, bint absolute,
                  int n_threads) noexcept nogil:
    cdef so_step step
    if n <= PARALLEL:
        n_threads = 1
    step = so_root_begin(T, s, x, is_float, n, absolute)
    while step == SO_FILTER or step == SO_MEASURE:
        if step == SO_FILTER:
            step = filter_all(s, x, is_float, n, absolute, n_threads)
        else:
            step = measure_all(s, x, is_float, n, absolute, n_threads)
    so_root_end(s)
    return step


cdef void shrink(const char* x, char* w, int is_float, int64_t n, double tau, double alpha,
                 double low, double high, int n_threads) noexcept nogil:
    cdef int64_t width = 4 if is_float else 8, b, i, m
    cdef bint past = n * width >= PAST_CACHE and x != w
    if n <= PARALLEL:
        n_threads = 1
    for b in prange(n_threads, num_threads=n_threads, schedule="static"):
        i = b * n // n_threads
        m = (b + 1) * n // n_threads - i
        if is_float:
            T.shrink_s(<const float*>x + i, <float*>w + i, m, tau, alpha, low, high, past)
        else:
            T.shrink_d(<const double*>x + i, <double*>w + i, m, tau, alpha, low, high, past)


cdef void shift(const char* x, char* w, int is_float, int64_t n, double tau, double cap,
                int n_threads) noexcept nogil:
    cdef int64_t width = 4 if is_float else 8, b, i, m
    cdef bint past = n * width >= PAST_CACHE and x != w
    if n <= PARALLEL:
        n_threads = 1
    for b in prange(n_threads, num_threads=n_threads, schedule="static"):
        i = b * n // n_threads
        m = (b + 1) * n // n_threads - i
        if is_float:
            T.shift_s(<const float*>x + i, <float*>w + i, m, tau, cap, past)
        else:
            T.shift_d(<const double*>x + i, <double*>w + i, m, tau, cap, past)


cdef tuple outcome(so_search* s, so_step step):
    if step == SO_MEMORY:
        raise MemoryError
    return <int>step, s.t


cdef tuple envelope(const char* x, char* w, int is_float, int64_t n, double k, double b,
                    double c, bint any_scale, int n_threads):
    cdef so_search s
    cdef so_step step
    s.rule = envelope_rule(k, b, c)
    s.any_scale = any_scale
    s.t = 0.0
    with nogil:
        step = find(&s, x, is_float, n, True, n_threads)
        if step == SO_DONE and w != NULL:
            shrink(x, w, is_float, n, b * s.t, 1.0 / c, 0.0, 1.0 / (b + c), n_threads)
    return outcome(&s, step)


def envelope_root_d(const double[::1] x, double k, double b, double c, bint any_scale,
                    int n_threads):
    """Outcome and the t with ``sum clip((|x| / t - b) / c, 0, 1) = k``, or 0 if none."""
    return envelope(<const char*>&x[0], NULL, 0, x.shape[0], k, b, c, any_scale, n_threads)


def envelope_root_s(const float[::1] x, double k, double b, double c, bint any_scale,
                    int n_threads):
    """`envelope_root_d` for float32."""
    return envelope(<const char*>&x[0], NULL, 1, x.shape[0], k, b, c, any_scale, n_threads)


def envelope_prox_d(const double[::1] x, double[::1] w, double k, double b, double c,
                    int n_threads):
    """`envelope_root_d`, and the prox of the envelope of single entries to w if found."""
    return envelope(<const char*>&x[0], <char*>&w[0], 0, x.shape[0], k, b, c, False, n_threads)


def envelope_prox_s(const float[::1] x, float[::1] w, double k, double b, double c,
                    int n_threads):
    """`envelope_prox_d` for float32."""
    return envelope(<const char*>&x[0], <char*>&w[0], 1, x.shape[0], k, b, c, False, n_threads)


def shrink_d(const double[::1] x, double[::1] w, double tau, double alpha, double low,
             double high, int n_threads):
    """``w = sign(x) min(max((|x| - tau) alpha, |x| low), |x| high)``."""
    with nogil:
        shrink(<const char*>&x[0], <char*>&w[0], 0, x.shape[0], tau, alpha, low, high,
               n_threads)


def shrink_s(const float[::1] x, float[::1] w, double tau, double alpha, double low,
             double high, int n_threads):
    """`shrink_d` for float32."""
    with nogil:
        shrink(<const char*>&x[0], <char*>&w[0], 1, x.shape[0], tau, alpha, low, high,
               n_threads)


cdef tuple simplex(const char* x, char* w, int is_float, int64_t n, double total, double cap,
                   bint absolute, bint any_scale, int n_threads):
    cdef so_search s
    cdef so_step step
    s.rule = simplex_rule(total, cap, absolute)
    s.any_scale = any_scale
    s.t = 0.0
    with nogil:
        step = find(&s, x, is_float, n, absolute, n_threads)
        if step == SO_DONE and w != NULL:
            if absolute:
                shrink(x, w, is_float, n, s.t, 1.0, 0.0, 1.0, n_threads)
            else:
                shift(x, w, is_float, n, s.t, cap, n_threads)
    return outcome(&s, step)


def simplex_d(const double[::1] x, double[::1] w, double total, double cap, bint absolute,
              bint any_scale, int n_threads):
    """Outcome, and tau with ``w = clip(x - tau, 0, cap)`` of the given sum, or that for |x|.

    Of |x| the signs of x are put back, and tau is not below 0.
    """
    return simplex(<const char*>&x[0], <char*>&w[0], 0, x.shape[0], total, cap, absolute,
                   any_scale, n_threads)


def simplex_s(const float[::1] x, float[::1] w, double total, double cap, bint absolute,
              bint any_scale, int n_threads):
    """`simplex_d` for float32."""
    return simplex(<const char*>&x[0], <char*>&w[0], 1, x.shape[0], total, cap, absolute,
                   any_scale, n_threads)


def general_root(double[::1] enter, double[::1] full, double[::1] slope, double target):
    """Smallest p with ``sum slope (min(p, full) - enter)_+ = target``; infinity if none.

    The arrays are overwritten.  No element may enter at infinity.
    """
    cdef double p
    if not enter.shape[0]:
        return INFINITY
    with nogil:
        p = so_root_general(T, &enter[0], &full[0], &slope[0], enter.shape[0], target)
    return p


cdef double* pointer(double[::1] values):
    if values is None:
        return NULL
    return &values[0]


cdef struct outputs:
    void* w
    double* factors
    double* shares


cdef tuple weighted(so_weighted* g, outputs to):
    cdef double p = INFINITY
    cdef so_step step
    with nogil:
        step = so_root_weighted(T, g, &p)
        if step == SO_DONE:
            so_weighted_prox(T, g, p, to.w, to.factors, to.shares)
    if step == SO_MEMORY:
        raise MemoryError
    return <int>step, p * g.unit


cdef so_weighted weighted_groups(const double[::1] d, const double[::1] q, double weight,
                                 double lam, double debias, double target, int n_threads):
    cdef so_weighted g
    g.d = NULL
    g.q = NULL
    if d is not None:
        g.d = &d[0]
    if q is not None:
        g.q = &q[0]
    g.weight, g.lam, g.debias, g.target = weight, lam, debias, target
    g.n_threads = n_threads
    return g


def weighted_prox_d(const double[::1] x, double[::1] w, const double[::1] d,
                    const double[::1] q, double weight, double lam, double debias,
                    double target, double[::1] shares, int n_threads=1):
    """Outcome, eta, and the prox of single entries with weights d and costs q, to w.

    d or q may be None (all `weight`, all 1), and `shares` None if they are not wanted.
    """
    cdef so_weighted g = weighted_groups(d, q, weight, lam, debias, target, n_threads)
    g.x, g.is_float, g.n = &x[0], 0, x.shape[0]
    return weighted(&g, outputs(&w[0], NULL, pointer(shares)))


def weighted_prox_s(const float[::1] x, float[::1] w, const double[::1] d,
                    const double[::1] q, double weight, double lam, double debias,
                    double target, double[::1] shares, int n_threads=1):
    """`weighted_prox_d` for float32."""
    cdef so_weighted g = weighted_groups(d, q, weight, lam, debias, target, n_threads)
    g.x, g.is_float, g.n = &x[0], 1, x.shape[0]
    return weighted(&g, outputs(&w[0], NULL, pointer(shares)))


def weighted_factors(const double[::1] r, double[::1] factors, const double[::1] d,
                     const double[::1] q, double weight, double lam, double debias,
                     double target, double[::1] shares, int n_threads=1):
    """`weighted_prox_d` for groups with norms r: what each is multiplied by."""
    cdef so_weighted g = weighted_groups(d, q, weight, lam, debias, target, n_threads)
    g.x, g.is_float, g.n = &r[0], 0, r.shape[0]
    return weighted(&g, outputs(NULL, &factors[0], pointer(shares)))
