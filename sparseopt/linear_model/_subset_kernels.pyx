"""Exchanges of groups of features in least squares, on a Gram matrix.

A subset of the features is held as a partly swept tableau: with A the active
coordinates, M the inverse of G_AA, the arrays are ``V = M G_A:``, ``b = M c0_A``, and
for every coordinate the residual correlation c and its residual Gram block S.  A sweep in
or out is a rank-one change of cost |A| m, and one pass over V gives the exact loss of
every exchange of an active group for another.  Arguments are not validated here.
"""
from libc.math cimport INFINITY, sqrt
from libc.stdint cimport int64_t

# Residual share of its own Gram entry below which a coordinate counts as dependent.
cdef double DEPENDENT = 1e-10
# Sweeps after which the tableau is made anew, before rounding adds up.
cdef int REFRESH = 200

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


cdef void clear(Tableau* t) noexcept nogil:
    cdef int64_t j, l, r
    t.na = 0
    t.sweeps = 0
    t.rss = t.total
    for l in range(t.m):
        t.c[l] = t.c0[l]
        j = t.block[l]
        for r in range(t.ptr[j + 1] - t.ptr[j]):
            t.S[l * t.w + r] = t.G[l * t.m + t.ptr[j] + r]


cdef void update_blocks(Tableau* t, const double* h, double scale) noexcept nogil:
    """S += scale * h h' inside each block."""
    cdef int64_t j, l, r, start, size
    cdef double f
    if t.w == 1:
        for l in range(t.m):
            t.S[l] += scale * h[l] * h[l]
        return
    for j in range(t.q):
        start = t.ptr[j]
        size = t.ptr[j + 1] - start
        for l in range(start, start + size):
            f = scale * h[l]
            for r in range(size):
                t.S[l * t.w + r] += f * h[start + r]


cdef void axpy(int64_t n, double f, const double* x, double* y) noexcept nogil:
    cdef int64_t l
    for l in range(n):
        y[l] += f * x[l]


cdef int sweep_in(Tableau* t, int64_t new) noexcept nogil:
    """Add a coordinate; 0 if it depends on the active ones."""
    cdef int64_t a, e, l, k = t.na, m = t.m
    cdef double s, f
    cdef double* h = t.h
    cdef const double* g = t.G + new * m
    if k == t.cap:
        return 0
    for l in range(m):
        h[l] = g[l]
    for a in range(k):
        axpy(m, -g[t.who[a]], t.V + a * m, h)
    s = h[new]
    if not s > DEPENDENT * g[new]:
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
    for l in range(m):
        t.V[k * m + l] = h[l] / s
    t.who[k] = new
    t.na += 1
    t.sweeps += 1
    return 1


cdef void sweep_out(Tableau* t, int64_t slot) noexcept nogil:
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


cdef int enter(Tableau* t, int64_t j) noexcept nogil:
    """Add the coordinates of a block; the number that are independent."""
    cdef int64_t l
    cdef int count = 0
    for l in range(t.ptr[j], t.ptr[j + 1]):
        count += sweep_in(t, l)
    return count


cdef void leave(Tableau* t, int64_t j) noexcept nogil:
    cdef int64_t a = 0
    while a < t.na:
        if t.block[t.who[a]] == j:
            sweep_out(t, a)
        else:
            a += 1


cdef double scan_one(
    Tableau* t, int64_t slot, const double* ok, int64_t* where
) noexcept nogil:
    """Largest gain of a coordinate once the slot's is gone, and which."""
    cdef int64_t l, m = t.m
    cdef const double* row = t.V + slot * m
    cdef double inv = 1.0 / t.M[slot * t.cap + slot]
    cdef double f = t.b[slot] * inv, best = -1.0
    cdef double* score = t.T
    cdef double x, s
    for l in range(m):
        x = t.c[l] + f * row[l]
        s = t.S[l] + inv * row[l] * row[l]
        # ok is infinite for what may not enter, else the least residual Gram entry
        score[l] = x * x / (s if s > ok[l] else INFINITY)
    for l in range(m):
        if score[l] > best:
            best = score[l]
            where[0] = l
    return best


cdef double block_gain(
    Tableau* t, int64_t j, const double* T, const double* tb, int64_t rows
) noexcept nogil:
    """Gain of block j in the tableau without the rows T = L^-1 V_i, tb = L^-1 b_i."""
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
        if s > DEPENDENT * t.G[(start + r) * (t.m + 1)]:
            C[r * w + r] = 1.0 / sqrt(s)
        else:
            C[r * w + r] = 0.0
        for e in range(r):
            x[r] -= C[r * w + e] * x[e]
        x[r] *= C[r * w + r]
        gain += x[r] * x[r]
    return gain


cdef double lift(Tableau* t, int64_t i, double* tb, int64_t* rows) noexcept nogil:
    """Rows of T and tb for the removal of block i; the loss that this is."""
    cdef int64_t a, e, f, l, u, r = 0, w = t.w, m = t.m
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
        for l in range(m):
            t.T[r * m + l] = t.V[a * m + l]
        for u in range(r):
            tb[r] -= L[r * w + u] * tb[u]
            axpy(m, -L[r * w + u], t.T + u * m, t.T + r * m)
        s = 1.0 / L[r * w + r]
        tb[r] *= s
        for l in range(m):
            t.T[r * m + l] *= s
        loss += tb[r] * tb[r]
        r += 1
    rows[0] = r
    return loss


cdef double best_entry(
    Tableau* t, int64_t slot, int64_t i, const double* ok, double* tb, int64_t* which
) noexcept nogil:
    """Gain, less the loss of block i, of the best block to take its place.

    Without a block (i negative) the gain of the best addition.  `slot` is that of the
    coordinate where blocks are single coordinates.
    """
    cdef int64_t j, rows = 0
    cdef double loss = 0.0, gain, best = -INFINITY
    which[0] = -1
    if t.w == 1 and i >= 0:
        loss = t.b[slot] * t.b[slot] / t.M[slot * t.cap + slot]
        gain = scan_one(t, slot, ok, which)
        return gain - loss if which[0] >= 0 else -INFINITY
    if i >= 0:
        loss = lift(t, i, tb, &rows)
    for j in range(t.q):
        if ok[j] < INFINITY:
            gain = block_gain(t, j, t.T, tb, rows)
            if gain > best:
                best = gain
                which[0] = j
    return best - loss


cdef void rebuild(Tableau* t, const int64_t* active, int64_t k) noexcept nogil:
    cdef int64_t a
    clear(t)
    for a in range(k):
        enter(t, active[a])


cdef int64_t find_slot(const Tableau* t, int64_t j) noexcept nogil:
    """Slot of the coordinate of a block of size one; -1 if it depends on others."""
    cdef int64_t a
    for a in range(t.na):
        if t.who[a] == j:
            return a
    return -1


cdef void forbid(
    const Tableau* t, const int64_t* active, int64_t k, const int64_t* barred,
    int64_t step, double* ok,
) noexcept nogil:
    """Infinite for the blocks that may not enter, else their least residual."""
    cdef int64_t j
    cdef double g
    for j in range(t.q):
        g = t.G[t.ptr[j] * (t.m + 1)] if t.w == 1 else 1.0
        ok[j] = DEPENDENT * g if g > 0 and barred[j] <= step else INFINITY
    for j in range(k):
        ok[active[j]] = INFINITY


cdef int64_t grow(
    Tableau* t, int64_t* active, int64_t k, int64_t size, const int64_t* barred,
    double* ok, double* tb,
) noexcept nogil:
    """Forward steps until `size` blocks are active; the number that are."""
    cdef int64_t j
    while k < size:
        forbid(t, active, k, barred, 0, ok)
        best_entry(t, -1, -1, ok, tb, &j)
        if j < 0:
            break
        enter(t, j)
        active[k] = j
        k += 1
    return k


cdef int64_t walk(
    Tableau* t, int64_t* active, int64_t k, int64_t* best, int64_t* barred,
    int64_t* held, double* ok, double* tb, double rtol, int64_t patience,
    int64_t tenure, int64_t max_steps,
) noexcept nogil:
    """Best exchanges until `patience` of them in a row found nothing better.

    With patience 0 a descent; else features that left may not come back, and those
    that came may not leave, for some steps.  `best` is the best subset on the way.
    """
    cdef int64_t a, j, step = 0, idle = 0, place, enters, slot
    cdef double gain, top, lowest = t.rss, least = rtol * t.total
    for a in range(k):
        best[a] = active[a]
    for step in range(max_steps):
        if t.sweeps > REFRESH:
            rebuild(t, active, k)
        forbid(t, active, k, barred, step, ok)
        top = -INFINITY
        place = enters = -1
        for a in range(k):
            if held[active[a]] > step:
                continue
            slot = find_slot(t, active[a]) if t.w == 1 else 0
            if slot < 0:
                continue
            gain = best_entry(t, slot, active[a], ok, tb, &j)
            if gain > top:
                top = gain
                place = a
                enters = j
        if place < 0 or (patience == 0 and not top > least):
            break
        leave(t, active[place])
        enter(t, enters)
        barred[active[place]] = step + 1 + tenure
        held[enters] = step + 1 + tenure // 2
        active[place] = enters
        idle += 1
        if t.rss < lowest - least:
            lowest = t.rss
            idle = 0
            for a in range(k):
                best[a] = active[a]
        elif patience and idle >= patience:
            break
    return step


def exchange(
    const double[:, ::1] G, const double[::1] c0, double total,
    const int64_t[::1] ptr, const int64_t[::1] block, int64_t[::1] active,
    int64_t start, double rtol, int64_t patience, int64_t tenure, int64_t max_steps,
    double[::1] work, int64_t[::1] marks,
):
    """Improve a subset of blocks by exchanges; the number of blocks, steps and its rss.

    `active` holds `start` blocks, grows to its full length by forward steps, and is
    overwritten with the best subset found.
    """
    cdef Tableau t
    cdef int64_t m = c0.shape[0], q = ptr.shape[0] - 1, size = active.shape[0]
    cdef int64_t k, j, w = 1, steps = 0, used = 0
    cdef double* at = &work[0]
    cdef double* ok
    cdef double* tb
    cdef int64_t* mark = &marks[0]
    for j in range(q):
        w = max(w, ptr[j + 1] - ptr[j])
    t.m, t.q, t.w, t.cap, t.total = m, q, w, size * w, total
    t.G, t.c0, t.ptr, t.block = &G[0, 0], &c0[0], &ptr[0], &block[0]
    t.V = at
    t.M = t.V + t.cap * m
    t.b = t.M + t.cap * t.cap
    t.c = t.b + t.cap
    t.S = t.c + m
    t.h = t.S + m * w
    t.T = t.h + m
    t.small = t.T + w * m
    tb = t.small + 2 * w * w + 2 * w
    ok = tb + w
    t.who = mark + 3 * q + size
    with nogil:
        for j in range(3 * q + size):
            mark[j] = 0
        rebuild(&t, &active[0], start)
        k = grow(&t, &active[0], start, size, mark, ok, tb)
        if max_steps > 0 and k == size:
            steps = walk(
                &t, &active[0], k, mark + 3 * q, mark, mark + q, ok, tb,
                rtol, patience, tenure, max_steps,
            )
            for j in range(k):
                active[j] = mark[3 * q + j]
            rebuild(&t, &active[0], k)
    return k, steps, t.rss


def work_sizes(int64_t m, int64_t q, int64_t w, int64_t size):
    """Lengths of `work` and `marks` that `exchange` needs."""
    cdef int64_t cap = size * w
    return (cap * m + cap * cap + cap + m * (2 * w + 2) + 3 * w * w + 4 * w + q + m,
            3 * q + size + cap)
