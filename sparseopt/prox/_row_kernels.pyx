"""One envelope prox or simplex projection for each row of a matrix, over ``_root.h``.

Each row goes through what `_kernels` does for a vector of its length with one thread, so
results are the same to the last bit, and threads take rows of their own.  Rows that the
kernels of one vector send back (not finite, out of range) are marked and left alone.
"""
from cython.parallel cimport prange
from libc.math cimport INFINITY, fabs, sqrt
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport free
from libc.string cimport memmove, memset

from ._root cimport (
    SO_DONE,
    SO_FILTER,
    SO_MEASURE,
    so_fold,
    so_part,
    so_root_begin,
    so_root_end,
    so_root_filter,
    so_root_level,
    so_root_narrow,
    so_root_proceed,
    so_root_table,
    so_rule,
    so_search,
    so_step,
)

ctypedef fused real:
    float
    double

cdef const so_root_table* T = so_root_level(2)
cdef int64_t PAST_CACHE = 1 << 24  # as in _kernels
cdef int64_t ENTRIES = 1 << 14  # of the rows that a thread takes at a time


def set_simd_level(int level):
    """Use the kernels of this instruction-set level or the best below it; returns its name."""
    global T
    T = so_root_level(level)
    return T.name.decode()


cdef struct form:
    so_rule rule
    int absolute
    # shrink is (|x| - tau) alpha between |x| low and |x| high; shift is x - tau in [0, cap]
    double tau, alpha, high, cap


cdef void measure(so_search* s, const char* x, int is_float, int64_t n, int absolute,
                  so_fold* fold) noexcept nogil:
    cdef double e = s.rule.e1 * s.t + s.rule.e0
    cdef double f = INFINITY if s.rule.f0 == INFINITY else s.rule.f1 * s.t + s.rule.f0
    memset(fold, 0, sizeof(so_fold))
    if is_float:
        T.measure_s(<const float*>x, n, e, f, absolute, fold)
    else:
        T.measure_d(<const double*>x, n, e, f, absolute, fold)


cdef so_step find(so_search* s, const char* x, int is_float, int64_t n,
                  int absolute) noexcept nogil:
    cdef so_part part
    cdef so_fold fold
    cdef so_step step = so_root_begin(T, s, x, is_float, n, absolute)
    while step == SO_FILTER or step == SO_MEASURE:
        if step == SO_FILTER:
            memset(&part, 0, sizeof(so_part))
            s.stored = 0
            so_root_filter(T, s, x, is_float, n, absolute, &part)
            step = so_root_proceed(T, s, &part, 1)
            free(part.data)
        else:
            measure(s, x, is_float, n, absolute, &fold)
            step = so_root_narrow(s, &fold, 1)
    so_root_end(s)
    return step


cdef void put(const form* f, double t, const char* x, char* w, int is_float,
              int64_t n) noexcept nogil:
    cdef int past = n * (4 if is_float else 8) >= PAST_CACHE and x != w
    cdef int shrunk = f.rule.envelope or f.absolute
    if shrunk and is_float:
        T.shrink_s(<const float*>x, <float*>w, n, f.tau * t, f.alpha, 0.0, f.high, past)
    elif shrunk:
        T.shrink_d(<const double*>x, <double*>w, n, f.tau * t, f.alpha, 0.0, f.high, past)
    elif is_float:
        T.shift_s(<const float*>x, <float*>w, n, t, f.cap, past)
    else:
        T.shift_d(<const double*>x, <double*>w, n, t, f.cap, past)


cdef int solve(const form* f, const char* x, char* w, int is_float, int64_t n) noexcept nogil:
    cdef so_search s
    s.rule = f.rule
    s.any_scale = 0
    s.t = 0.0
    cdef so_step step = find(&s, x, is_float, n, f.absolute)
    if step == SO_DONE:
        put(f, s.t, x, w, is_float, n)
    return step != SO_DONE


cdef void solve_some(const form* f, const char* x, char* w, int is_float, int64_t first,
                     int64_t stop, int64_t n, uint8_t* left) noexcept nogil:
    cdef int64_t row, width = n * (4 if is_float else 8)
    for row in range(first, stop):
        left[row] = solve(f, x + row * width, w + row * width, is_float, n)


cdef void solve_all(const form* f, const char* x, char* w, int is_float, int64_t m, int64_t n,
                    uint8_t* left, int n_threads) noexcept nogil:
    cdef int64_t size = max(1, ENTRIES // n), some
    cdef int64_t count = (m + size - 1) // size
    for some in prange(count, num_threads=n_threads, schedule="dynamic", chunksize=1):
        solve_some(f, x, w, is_float, some * size, min(m, (some + 1) * size), n, left)


cdef void set_envelope(form* f, double k, double b, double c) noexcept nogil:
    memset(f, 0, sizeof(form))
    cdef so_rule* r = &f.rule
    r.e1, r.f1 = b, b + c
    r.d0, r.d1, r.d2 = c * k, -c, b
    r.target, r.envelope = k, 1
    f.absolute, f.tau, f.alpha, f.high = 1, b, 1.0 / c, 1.0 / (b + c)


def envelope_rows(const real[:, ::1] x, real[:, ::1] w, double k, double b, double c,
                  uint8_t[::1] left, int n_threads):
    """`_kernels.envelope_prox_d` of each row; `left` marks those that were not written."""
    cdef form f
    set_envelope(&f, k, b, c)
    with nogil:
        solve_all(&f, <const char*>&x[0, 0], <char*>&w[0, 0], real is float, x.shape[0],
                  x.shape[1], &left[0], n_threads)


def simplex_rows(const real[:, ::1] x, real[:, ::1] w, double total, double cap, bint absolute,
                 uint8_t[::1] left, int n_threads):
    """`_kernels.simplex_d` of each row; `left` marks those that were not written."""
    cdef form f
    memset(&f, 0, sizeof(form))
    cdef so_rule* r = &f.rule
    r.e1, r.f1, r.f0 = 1.0, 1.0, cap
    r.n0, r.n1, r.d2 = -total, 0.0 if cap == INFINITY else cap, 1.0
    r.target, r.floor = total, 0.0 if absolute else -1e300
    f.absolute, f.tau, f.alpha, f.high, f.cap = absolute, 1.0, 1.0, 1.0, cap
    with nogil:
        solve_all(&f, <const char*>&x[0, 0], <char*>&w[0, 0], real is float, x.shape[0],
                  x.shape[1], &left[0], n_threads)


# -- the k-support norm ---------------------------------------------------------------

cdef enum:
    NEAR = 64  # entries of about the size of the k-th largest that are put in order

cdef double STEEP = 1e6

cdef struct pattern:
    # entries at L: counts of whole and partial, sum of these, squares of those
    double p, n, S, Q, unused


cdef inline double entry(const char* x, int is_float, int64_t i) noexcept nogil:
    return fabs(<double>(<const float*>x)[i] if is_float else (<const double*>x)[i])


cdef double root_at(const char* x, int is_float, int64_t n, double k, double L,
                    pattern* found) noexcept nogil:
    """The t at L with the entries there, or -1 where the search sends them back."""
    cdef so_search s
    memset(&s.rule, 0, sizeof(so_rule))
    s.rule.e1, s.rule.f1 = L, L + 1.0
    s.rule.d0, s.rule.d1, s.rule.d2 = k, -1.0, L
    s.rule.target, s.rule.envelope = k, 1
    s.any_scale = 0
    s.t = 0.0
    if find(&s, x, is_float, n, 1) != SO_DONE:
        return -1.0
    memset(found, 0, sizeof(pattern))  # the sums are added to it
    if is_float:
        T.moments_s(<const float*>x, n, L * s.t, (1.0 + L) * s.t, &found.p)
    else:
        T.moments_d(<const double*>x, n, L * s.t, (1.0 + L) * s.t, &found.p)
    return s.t


cdef double norm_of(const pattern* f, double k, double L) noexcept nogil:
    cdef double partial = 0.0
    if f.n and f.p < k:
        partial = f.S / (k - f.p + L * f.n)
    return sqrt(f.Q / (1.0 + L) / (1.0 + L) + (k - f.p) * partial * partial)


cdef double excess(const pattern* f, double k, double L, double size, int ball) noexcept nogil:
    cdef double norm = norm_of(f, k, L)
    return size - norm if ball else L * norm - size


cdef double model_root(const pattern* f, double k, double size, int ball) noexcept nogil:
    """Root over L for fixed sets; infinity if there is none.  Safeguarded Newton steps."""
    cdef double low = 0.0, high = 1.0, L, value, norm, whole, partial, slope, following
    if excess(f, k, 0.0, size, ball) >= 0:
        return 0.0
    while excess(f, k, high, size, ball) < 0:
        low = high
        high *= 4.0
        if high > 1e100:  # squares of what is left would underflow
            return INFINITY
    L = low + 0.5 * (high - low)
    for _ in range(200):
        value = excess(f, k, L, size, ball)
        if value < 0:
            low = L
        else:
            high = L
        norm = norm_of(f, k, L)
        whole = f.Q / (1.0 + L) / (1.0 + L)
        partial = norm * norm - whole
        slope = whole / (1.0 + L)
        if f.n and f.p < k:
            slope += partial * f.n / (k - f.p + L * f.n)
        slope /= norm
        if not ball:
            slope = norm - L * slope
        following = L - value / slope
        if fabs(following - L) <= 4e-16 * L:
            return following
        if not low < following < high:
            following = low + 0.5 * (high - low)
            if not low < following < high:
                return following
        L = following
    return L


cdef double squares(const char* x, int is_float, int64_t n, double k) noexcept nogil:
    """Sum of the k largest squares, or -1 where too many entries would be put in order."""
    cdef double near[NEAR]
    cdef double low, high, t, size, total
    cdef pattern f
    cdef int64_t i, j, count = 0, rest
    # a steep envelope finds the k-th largest but for a few of about the same size
    t = root_at(x, is_float, n, k, STEEP, &f)
    if t < 0:
        return -1.0
    rest = <int64_t>k - <int64_t>f.p
    if t == 0 or rest <= 0:
        return f.Q
    low, high, total = STEEP * t, (STEEP + 1.0) * t, f.Q
    for i in range(n):
        size = entry(x, is_float, i)
        if low < size < high:
            if count == NEAR:
                return -1.0
            j = count
            while j > 0 and near[j - 1] < size:
                near[j] = near[j - 1]
                j -= 1
            near[j] = size
            count += 1
    for j in range(min(rest, count)):
        total += near[j] * near[j]
    return total


cdef double multiplier(const char* x, int is_float, int64_t n, double k, double size,
                       int ball) noexcept nogil:
    """`_norms.norm_multiplier`, or -1 for what is left to it."""
    cdef double top = 0.0, low = 0.0, high = INFINITY, L = 1.0, p = -1.0, m = -1.0, most
    cdef pattern f
    cdef int64_t i
    for i in range(n):
        top = max(top, entry(x, is_float, i))
    if not (1e-100 < top < 1e100 and 1e-100 < size < 1e100):
        return -1.0
    if ball:
        if root_at(x, is_float, n, k, 0.0, &f) < 0:
            return -1.0
        if norm_of(&f, k, 0.0) <= size:
            return 0.0
    else:
        most = squares(x, is_float, n, k)
        if most < 0:
            return -1.0
        if sqrt(most) <= size:
            return INFINITY
    for _ in range(100):
        if root_at(x, is_float, n, k, L, &f) < 0:
            return -1.0
        if f.p == p and f.n == m:
            return L
        p, m = f.p, f.n
        if excess(&f, k, L, size, ball) < 0:
            low = L
        else:
            high = L
        L = model_root(&f, k, size, ball)
        if not low < L < high:
            L = 2.0 * low if high == INFINITY else 0.5 * (low + high)
            p = -1.0
            if not low < L < high:
                return L
    return L


def norm_multiplier(const real[::1] x, double k, double size, bint ball):
    """The multiplier of the k-support norm's prox or ball, or -1 where Python has to look."""
    cdef double L
    with nogil:
        L = multiplier(<const char*>&x[0], real is float, x.shape[0], k, size, ball)
    return L


cdef int norm_row(const char* x, char* w, int is_float, int64_t n, double k, double size,
                  int ball) noexcept nogil:
    cdef int64_t width = n * (4 if is_float else 8)
    cdef double L = multiplier(x, is_float, n, k, size, ball)
    cdef form f
    if L < 0:
        return 1
    if L == 0:
        memmove(w, x, width)
        return 0
    if L == INFINITY:
        memset(w, 0, width)
        return 0
    set_envelope(&f, k, L, 1.0)
    return solve(&f, x, w, is_float, n)


cdef void norm_some(const char* x, char* w, int is_float, int64_t first, int64_t stop,
                    int64_t n, double k, double size, int ball,
                    uint8_t* left) noexcept nogil:
    cdef int64_t row, width = n * (4 if is_float else 8)
    for row in range(first, stop):
        left[row] = norm_row(x + row * width, w + row * width, is_float, n, k, size, ball)


def norm_rows(const real[:, ::1] x, real[:, ::1] w, double k, double size, bint ball,
              uint8_t[::1] left, int n_threads):
    """Prox of `size` times the k-support norm, or projection on its ball, of each row."""
    cdef int64_t m = x.shape[0], n = x.shape[1], some = max(1, ENTRIES // n), chunk
    cdef int64_t count = (m + some - 1) // some
    cdef const char* data = <const char*>&x[0, 0]
    cdef char* to = <char*>&w[0, 0]
    cdef uint8_t* marks = &left[0]
    for chunk in prange(count, num_threads=n_threads, schedule="dynamic", chunksize=1,
                        nogil=True):
        norm_some(data, to, real is float, chunk * some, min(m, (chunk + 1) * some), n, k,
                  size, ball, marks)
