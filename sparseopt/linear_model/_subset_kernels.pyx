"""Exchanges of groups of features in least squares, on a Gram matrix.

One pass over the tableau of a subset gives the exact loss of every exchange of an active
group for another, at the cost of a product with its rows.  Arguments are not validated here.
"""
from cpython.exc cimport PyErr_CheckSignals
from libc.limits cimport LLONG_MAX
from libc.math cimport INFINITY
from libc.stdint cimport int64_t

from ._exchange cimport so_exchange_table, so_exchanges
from ._tableau cimport (
    REFRESH, Tableau, block_gain, clear, dependent, enter, leave, lift, scan_one,
)

cdef const so_exchange_table* LOOPS = so_exchanges(2)


def set_simd_level(int level):
    """Use the loops of this instruction-set level or the best below it; returns its name."""
    global LOOPS
    LOOPS = so_exchanges(level)
    return LOOPS.name.decode()


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
            gain = block_gain(t, j, t.T, tb, rows, ok[j])
            if gain > best:
                best = gain
                which[0] = j
    return best - loss


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
    cdef int64_t j, col
    cdef double g
    for j in range(t.q):
        g = 0.0
        for col in range(t.ptr[j], t.ptr[j + 1]):
            g = max(g, t.G[col * (t.m + 1)])
        ok[j] = dependent() * g if g > 0 and barred[j] <= step else INFINITY
    for j in range(k):
        ok[active[j]] = INFINITY


cdef int64_t grow(
    Tableau* t, int64_t* active, int64_t k, int64_t size, const int64_t* barred,
    double* ok, double* tb, double least,
) noexcept nogil:
    """Forward steps until `size` blocks are active; the number that are."""
    cdef int64_t j
    while k < size:
        forbid(t, active, k, barred, 0, ok)
        # a subset that explains everything is large enough
        if not best_entry(t, -1, -1, ok, tb, &j) > least or j < 0:
            break
        enter(t, j)
        active[k] = j
        k += 1
    return k


cdef int64_t shrink(
    Tableau* t, int64_t* active, int64_t k, int64_t size, int64_t fixed, double* tb,
) noexcept nogil:
    """Backward steps until `size` blocks are active; the number that are."""
    cdef int64_t a, place, slot, rows
    cdef double loss, least
    while k > size:
        least = INFINITY
        place = k - 1
        for a in range(fixed, k):
            if t.w > 1:
                loss = lift(t, active[a], tb, &rows)
            else:
                slot = find_slot(t, active[a])
                loss = 0.0
                if slot >= 0:
                    loss = t.b[slot] * t.b[slot] / t.M[slot * t.cap + slot]
            if loss < least:
                least = loss
                place = a
        leave(t, active[place])
        k -= 1
        active[place] = active[k]
    return k


cdef inline void keep(int64_t* to, const int64_t* blocks, int64_t k) noexcept nogil:
    cdef int64_t a
    for a in range(k):
        to[a] = blocks[a]


cdef struct Walk:
    int64_t step
    int64_t idle
    double lowest


cdef int walk(
    Tableau* t, int64_t* active, int64_t k, int64_t* best, int64_t* barred,
    int64_t* held, double* ok, double* tb, double least, int64_t patience,
    int64_t tenure, int64_t steps, Walk* at,
) noexcept nogil:
    """Some steps of best exchanges; 0 once `patience` of them found nothing better.

    It stops where the tableau has to be made anew.  With patience 0 a descent; else
    features that left may not come back, and those that came may not leave, for some
    steps.  `best` is the best subset on the way.
    """
    cdef int64_t a, j, _step, place, enters, slot
    cdef double gain, top
    cdef int64_t hold = min(tenure // 2, k // 3)
    for _step in range(steps):
        if t.sweeps > REFRESH:
            return 1
        forbid(t, active, k, barred, at.step, ok)
        top = -INFINITY
        place = enters = -1
        for a in range(k):
            if held[active[a]] > at.step:
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
            return 0
        leave(t, active[place])
        enter(t, enters)
        at.step += 1
        if patience:
            barred[active[place]] = at.step + tenure
            held[enters] = at.step + hold
        active[place] = enters
        at.idle += 1
        if t.rss < at.lowest - least:
            at.lowest = t.rss
            at.idle = 0
            keep(best, active, k)
        elif patience and at.idle >= patience:
            return 0
        if t.rss <= least:  # what is left is rounding
            return 0
    return 1


cdef Tableau layout(
    const double[:, ::1] G, const double[::1] c0, const int64_t[::1] ptr,
    const int64_t[::1] block, int64_t cap, double[::1] work,
):
    """Tableau whose arrays are parts of `work`."""
    cdef Tableau t
    cdef int64_t m = c0.shape[0], q = ptr.shape[0] - 1, j, w = 1
    for j in range(q):
        w = max(w, ptr[j + 1] - ptr[j])
    t.m, t.q, t.w, t.cap, t.na, t.total, t.rss = m, q, w, cap * w, 0, 0.0, 0.0
    t.c0, t.ptr, t.block = &c0[0], &ptr[0], &block[0]
    t.G = &G[0, 0] if G.shape[0] else NULL
    t.V = &work[0]
    t.M = t.V + t.cap * m
    t.b = t.M + t.cap * t.cap
    t.c = t.b + t.cap
    t.S = t.c + m
    t.h = t.S + m * w
    t.T = t.h + m
    t.small = t.T + w * m
    t.sweeps = 0
    t.who = NULL
    t.loops = LOOPS
    return t


cdef void unbar(int64_t* mark, int64_t q, const int64_t* active, int64_t fixed) noexcept:
    """Let every block enter and leave but those that are fixed."""
    cdef int64_t j
    for j in range(2 * q):
        mark[j] = 0
    for j in range(fixed):
        mark[q + active[j]] = LLONG_MAX


cdef bint asks(expired) except? -1:
    """Whether the time is over; also where Ctrl-C is heard."""
    PyErr_CheckSignals()
    return expired()


cdef int64_t load(
    Tableau* t, const int64_t* active, int64_t k, int64_t chunk, expired
) except? -1:
    """Make the tableau of some blocks; the number that the time allowed for."""
    cdef int64_t a, count = 0, goal
    clear(t)
    while count < k:
        goal = min(k, count + chunk)
        with nogil:
            for a in range(count, goal):
                enter(t, active[a])
        count = goal
        if count < k and asks(expired):
            break
    t.sweeps = 0  # those that follow count, not those that made it
    return count


def exchange(
    const double[:, ::1] G, const double[::1] c0, double total,
    const int64_t[::1] ptr, const int64_t[::1] block, int64_t[::1] active,
    int64_t start, int64_t fixed, int64_t size, double rtol, int64_t patience, int64_t tenure,
    int64_t max_steps, double[::1] work, int64_t[::1] marks, expired,
):
    """Improve a subset of blocks by exchanges; the number of blocks, steps and its rss.

    `active` holds `start` blocks, of which the first `fixed` never leave, grows to its
    full length by forward steps, shrinks to `size` by backward ones, and is overwritten
    with the best subset found.  The function `expired` is asked every few steps; once it
    says yes, the best subset so far is returned, perhaps of fewer blocks.
    """
    cdef int64_t q = ptr.shape[0] - 1, cap = active.shape[0], m = c0.shape[0]
    cdef Tableau t = layout(G, c0, ptr, block, cap, work)
    cdef double *tb = t.small + 2 * t.w * t.w + 2 * t.w, *ok = tb + t.w
    cdef int64_t *mark = &marks[0], *best = mark + 2 * q
    cdef int64_t k, goal, kept, chunk = max(1, 20_000_000 // (cap * t.w * t.w * m + 1))
    cdef bint late, more = True
    cdef Walk at
    t.total = total
    t.who = mark + 2 * q + cap
    unbar(mark, q, &active[0], fixed)
    k = kept = start
    late = load(&t, &active[0], k, chunk, expired) < k
    # the loss of a start for which there was no time is not known
    at.step, at.idle, at.lowest = 0, 0, INFINITY if late else t.rss
    keep(best, &active[0], k)
    while more and not late and k < cap:
        goal = min(size if k < size else cap, k + chunk)
        with nogil:
            k = grow(&t, &active[0], k, goal, mark, ok, tb, rtol * total)
        more, late = k == goal, asks(expired)
        if k <= size:
            at.lowest, kept = t.rss, k
            keep(best, &active[0], k)
    while k > size and not late:
        with nogil:
            k = shrink(&t, &active[0], k, max(size, k - chunk), fixed, tb)
        late = asks(expired)
    more = k == size and not late
    if more:
        at.lowest = t.rss
        keep(best, &active[0], k)
    while more and at.step < max_steps:
        with nogil:
            more = walk(
                &t, &active[0], k, best, mark, mark + q, ok, tb, rtol * total,
                patience, tenure, min(chunk, max_steps - at.step), &at,
            )
        late = asks(expired)
        if t.sweeps > REFRESH and more and not late:
            late = load(&t, &active[0], k, chunk, expired) < k
        more = more and not late
    keep(&active[0], best, kept)
    if not late and load(&t, best, kept, chunk, expired) == kept:
        at.lowest = t.rss
    return kept, at.step, at.lowest


def exchange_gains(
    const double[:, ::1] V, const double[:, ::1] M, const double[::1] b,
    const double[::1] c, const double[:, ::1] S, const double[::1] least,
    const int64_t[::1] ptr, const int64_t[::1] block, const int64_t[::1] who,
    const int64_t[::1] leaving, double[::1] work, double[::1] gains,
):
    """For every block the largest fall of the rss if it replaces one of `leaving`.

    `least` is infinite for the blocks of the subset, -infinity comes back for them.
    The tableau is that of coordinates `who`, for columns that have no stored Gram.
    """
    cdef Tableau t = layout(V[:0], c, ptr, block, 0, work)
    cdef double* tb = t.small + 2 * t.w * t.w + 2 * t.w
    cdef int64_t a, j, i, rows = 0, slot = 0
    cdef double loss, gain, x, s
    t.cap = t.na = M.shape[0]
    t.V, t.M, t.b = <double*>&V[0, 0], <double*>&M[0, 0], <double*>&b[0]
    t.c, t.S, t.who = <double*>&c[0], <double*>&S[0, 0], <int64_t*>&who[0]
    with nogil:
        for j in range(t.q):
            gains[j] = -INFINITY
        for a in range(leaving.shape[0]):
            i = leaving[a]
            if t.w == 1:
                slot = find_slot(&t, i)
                if slot < 0:
                    continue
                s = 1.0 / t.M[slot * t.cap + slot]
                loss = s * t.b[slot] * t.b[slot]
                for j in range(t.m):
                    x = t.c[j] + s * t.b[slot] * t.V[slot * t.m + j]
                    gain = t.S[j] + s * t.V[slot * t.m + j] * t.V[slot * t.m + j]
                    gain = x * x / (gain if gain > least[j] else INFINITY) - loss
                    gains[j] = gain if gain > gains[j] else gains[j]
                continue
            loss = lift(&t, i, tb, &rows)
            for j in range(t.q):
                gain = block_gain(&t, j, t.T, tb, rows, least[j]) - loss
                if gain > gains[j]:
                    gains[j] = gain
        for j in range(t.q):
            if least[j] == INFINITY:
                gains[j] = -INFINITY


def work_sizes(int64_t m, int64_t q, int64_t w, int64_t size):
    """Lengths of `work` and `marks` that the functions of this file need."""
    cdef int64_t cap = size * w
    return (cap * m + cap * cap + cap + m * (2 * w + 2) + 3 * w * w + 4 * w + q + m,
            2 * q + size + cap)
