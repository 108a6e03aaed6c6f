"""Stochastic proximal gradient steps with a table of gradients, for SAGA and SVRG.

A step picks a sample i and moves every coordinate along ``boost_i (l'_i - table_i) x_i +
mean``, then applies the proximal operator of a separable penalty.  Where x_i is zero that
is the same small move each time, so with sparse samples it is made up for when a
coordinate is next needed, in closed form where there is one.  Coefficients have K columns,
stored by rows.  Arguments are not validated here.
"""
from libc.math cimport exp, expm1, fabs, floor, isfinite, log1p, sqrt
from libc.stdint cimport int32_t, int64_t, uint64_t

import numpy as np

from ._sampling cimport draw, fetch, so_prefetch

ctypedef fused real:
    float
    double

ctypedef fused index:
    int32_t
    int64_t

cdef enum:
    SQUARES, LOGISTIC, HUBER, MULTINOMIAL

cdef enum:
    NONE, ELASTIC_NET, BOX, MCP, SCAD

LOSSES = {"squares": SQUARES, "logistic": LOGISTIC, "huber": HUBER, "multinomial": MULTINOMIAL}
PENALTIES = {"none": NONE, "elastic_net": ELASTIC_NET, "box": BOX, "mcp": MCP, "scad": SCAD}

cdef struct Reg:
    int kind
    bint positive
    double step       # of the gradient
    double l1         # ELASTIC_NET: |w| and w^2 / 2; others: lam
    double l2
    double a          # BOX: lower; MCP, SCAD: gamma
    double b          # BOX: upper
    double weight


# ------------------------------------------------------------------ proximal operators

cdef inline double soft(double x, double t, bint positive) noexcept nogil:
    cdef double v = fabs(x) - t
    if v <= 0.0 or (positive and x < 0.0):
        return 0.0
    return v if x > 0.0 else -v


cdef double prox_mcp(double x, const Reg* r) noexcept nogil:
    cdef double size = fabs(x), t = r.step, lam = r.l1 * r.weight
    if r.positive and x < 0.0:
        return 0.0
    if r.a <= t:  # the sum is concave: zero or x
        return x if size > lam * sqrt(r.a * t) else 0.0
    if size > r.a * lam:
        return x
    return soft(x, t * lam, r.positive) / (1.0 - t / r.a)


cdef double scad_value(double x, double lam, double gamma) noexcept nogil:
    x = fabs(x)
    if x <= lam:
        return lam * x
    if x <= gamma * lam:
        return (2.0 * gamma * lam * x - x * x - lam * lam) / (2.0 * (gamma - 1.0))
    return 0.5 * lam * lam * (gamma + 1.0)


cdef double prox_scad(double x, const Reg* r) noexcept nogil:
    """Smallest of the stationary points of the three pieces, and their ends."""
    cdef double size = fabs(x), t = r.step, lam = r.l1 * r.weight, g = r.a
    cdef double best = 0.0, value = 0.5 * size * size, u, new
    cdef int k
    if r.positive and x < 0.0:
        return 0.0
    for k in range(3):
        if k == 0:
            u = min(max(size - t * lam, 0.0), lam)
        elif k == 1:
            u = g * lam
            if g - 1.0 > t:
                u = ((g - 1.0) * size - g * lam * t) / (g - 1.0 - t)
            u = min(max(u, lam), g * lam)
        else:
            u = max(size, g * lam)
        new = 0.5 * (u - size) * (u - size) + t * scad_value(u, lam, g)
        if new < value:
            best, value = u, new
    return best if x > 0.0 else -best


cdef inline double prox_one(double x, const Reg* r) noexcept nogil:
    if r.kind == ELASTIC_NET:
        x = soft(x, r.step * r.l1 * r.weight, r.positive)
        return x / (1.0 + r.step * r.l2 * r.weight)
    if r.kind == NONE:
        return x
    if r.kind == BOX:
        return min(max(x, r.a), r.b)
    return prox_mcp(x, r) if r.kind == MCP else prox_scad(x, r)


cdef double shrink_steps(double w, double move, int64_t m, const Reg* r) noexcept nogil:
    """`m` steps ``w <- prox(w - move)`` of an elastic net: a line or a geometric sum
    until w changes sign, after which it stays or leaves on the other side."""
    cdef double t = r.step * r.l1 * r.weight, s = r.step * r.l2 * r.weight
    cdef double logc = -log1p(s), a, k, q, sign
    while m > 0:
        # diverged: the number of steps below would be none
        if not isfinite(w) or not isfinite(move):
            return w - move
        if w == 0.0 or (r.positive and w < 0.0):
            a = w
            w = soft(w - move, t, r.positive) / (1.0 + s)
            m -= 1
            if w == 0.0 and a == 0.0:
                return 0.0
            continue
        sign = 1.0 if w > 0.0 else -1.0
        w, a = fabs(w), sign * move + t
        # steps that end above zero
        if a <= 0.0:
            k = <double>m
        elif s == 0.0:
            k = floor(w / a)
        else:
            q = a / s
            k = floor(-log1p(w / q) / logc)
        # the step over zero, and its neighbour where rounding may mislead, is made as such
        k = <double>m if k > m or a <= 0.0 else k - 1.0 if k > 1.0 else 0.0
        if s == 0.0:
            w -= k * a
        else:
            w = w * exp(k * logc) + (a / s) * expm1(k * logc)
        w *= sign
        m -= <int64_t>k
        if m > 0:
            w = soft(w - move, t, r.positive) / (1.0 + s)
            m -= 1
    return w


cdef double prox_steps(double w, double move, int64_t m, const Reg* r) noexcept nogil:
    """`m` steps ``w <- prox(w - move)``."""
    cdef double new
    if r.kind == NONE:
        return w - m * move
    if r.kind == BOX:  # moves one way until it meets a side
        w = prox_one(w - move, r)
        return prox_one(w - (m - 1) * move, r)
    if r.kind == ELASTIC_NET and m > 3:
        return shrink_steps(w, move, m, r)
    while m > 0:
        new = prox_one(w - move, r)
        if new == w:
            return w
        w = new
        m -= 1
    return w


# ------------------------------------------------------------------------------ losses

cdef inline void slopes(int loss, const double* z, const double* y, int K, double delta,
                        double* out) noexcept nogil:
    """Derivatives of the loss of one sample."""
    cdef double r, top, total
    cdef int k
    if loss == MULTINOMIAL:
        top, total = z[0], 0.0
        for k in range(1, K):
            top = max(top, z[k])
        for k in range(K):
            out[k] = exp(z[k] - top)
            total += out[k]
        for k in range(K):
            out[k] = out[k] / total - y[k]
    elif loss == LOGISTIC:
        r = y[0] * z[0]
        out[0] = -y[0] / (1.0 + exp(r)) if r < 0.0 else -y[0] * exp(-r) / (1.0 + exp(-r))
    else:
        r = z[0] - y[0]
        out[0] = r if loss == SQUARES else min(max(r, -delta), delta)


# Samples are drawn that many steps ahead, so that their rows are on the way to the cache.
cdef enum:
    AHEAD = 4


# ------------------------------------------------------------------------------- steps

cdef class Work:
    """What all steps of one solve share; arrays are those of the caller.

    `w` and `mean` have shape (p, K), `table` and `y` (n, K), `b` and `mean_b` (K,).
    `last` holds for each coordinate the number of steps that it has made.
    """

    cdef Reg reg
    cdef int loss, K
    cdef bint saga
    cdef double delta, step_b
    cdef int64_t count
    cdef uint64_t state
    cdef double[:, ::1] w, mean, table
    cdef const double[:, ::1] y
    cdef double[::1] b, mean_b, z, slope
    cdef const double[::1] boost, weights
    cdef const int64_t[::1] pick
    cdef int64_t[::1] last
    cdef int64_t[AHEAD] drawn

    def __init__(self, dict arrays, str loss, double delta, str penalty, tuple numbers,
                 bint positive, double step, double step_b, bint saga, uint64_t seed):
        self.w, self.mean, self.table = arrays["w"], arrays["mean"], arrays["table"]
        self.y, self.b, self.mean_b = arrays["y"], arrays["b"], arrays["mean_b"]
        self.boost, self.pick = arrays["boost"], arrays["pick"]
        self.weights = arrays["weights"]
        self.K = <int>self.w.shape[1]
        self.last = np.zeros(self.w.shape[0], dtype=np.int64)
        self.z, self.slope = np.zeros(self.K), np.zeros(self.K)
        self.loss, self.delta, self.saga = LOSSES[loss], delta, saga
        self.reg.kind, self.reg.positive, self.reg.step = PENALTIES[penalty], positive, step
        self.reg.l1, self.reg.l2, self.reg.a, self.reg.b = numbers
        self.reg.weight = 1.0
        self.step_b, self.count, self.state = step_b, 0, seed

    cdef inline int64_t ahead(self, int64_t step) noexcept nogil:
        """Draw the sample of a step of this call, and ask for what is known of it."""
        cdef int64_t i = self.pick[draw(&self.state, self.pick.shape[0])]
        self.drawn[step % AHEAD] = i
        so_prefetch(&self.table[i, 0])
        so_prefetch(&self.y[i, 0])
        so_prefetch(&self.boost[i])
        return i

    cdef inline void catch_up(self, int64_t j) noexcept nogil:
        """Make the steps that coordinate j has not made yet."""
        cdef int64_t m = self.count - self.last[j]
        cdef int k
        if m == 0:
            return
        self.last[j] = self.count
        for k in range(self.K):
            if self.weights.shape[0] > 0:
                self.reg.weight = self.weights[j * self.K + k]
            self.w[j, k] = prox_steps(self.w[j, k], self.reg.step * self.mean[j, k], m, &self.reg)

    cdef inline void look(self, int64_t i) noexcept nogil:
        """From the predictions z to the change of the table, left in `slope`."""
        cdef int k
        cdef double value
        slopes(self.loss, &self.z[0], &self.y[i, 0], self.K, self.delta, &self.slope[0])
        for k in range(self.K):
            value = self.slope[k]
            self.slope[k] = value - self.table[i, k]
            if self.saga:
                self.table[i, k] = value
            self.b[k] -= self.step_b * (self.boost[i] * self.slope[k] + self.mean_b[k])

    cdef inline void move(self, int64_t i, int64_t j, double x, double share) noexcept nogil:
        """One whole step of coordinate j with the entry x of sample i."""
        cdef int k
        cdef double change
        for k in range(self.K):
            change = x * self.slope[k]
            if self.weights.shape[0] > 0:
                self.reg.weight = self.weights[j * self.K + k]
            self.w[j, k] = prox_one(
                self.w[j, k] - self.reg.step * (self.boost[i] * change + self.mean[j, k]),
                &self.reg)
            self.mean[j, k] += share * change

    cdef inline void move_b(self, double share) noexcept nogil:
        cdef int k
        for k in range(self.K):
            self.mean_b[k] += share * self.slope[k]

    def finish(self):
        """Bring all coordinates up to date."""
        cdef int64_t j
        with nogil:
            for j in range(self.w.shape[0]):
                self.catch_up(j)


def sparse_steps(Work work, const real[::1] data, const index[::1] indices,
                 const index[::1] indptr, const double[::1] shares, int64_t n_steps):
    """Steps over the rows of a CSR matrix; `shares` are the weights of the samples, of sum 1."""
    cdef int64_t i, j, a, step
    cdef int k
    cdef double x, share
    with nogil:
        for step in range(min(n_steps, AHEAD)):
            work.ahead(step)
        for step in range(n_steps):
            i = work.drawn[step % AHEAD]
            if step + AHEAD < n_steps:
                so_prefetch(&indptr[work.ahead(step + AHEAD)])
            if step + AHEAD // 2 < n_steps:
                fetch_row(data, indices, indptr, work.drawn[(step + AHEAD // 2) % AHEAD])
            for k in range(work.K):
                work.z[k] = work.b[k]
            for a in range(indptr[i], indptr[i + 1]):
                j, x = indices[a], data[a]
                work.catch_up(j)
                for k in range(work.K):
                    work.z[k] += x * work.w[j, k]
            work.look(i)
            share = shares[i] if work.saga else 0.0
            for a in range(indptr[i], indptr[i + 1]):
                j = indices[a]
                work.move(i, j, data[a], share)
                work.last[j] = work.count + 1
            work.move_b(share)
            work.count = work.count + 1  # += asks for the GIL under nonecheck


cdef inline void fetch_row(const real[::1] data, const index[::1] indices,
                           const index[::1] indptr, int64_t i) noexcept nogil:
    cdef int64_t a = indptr[i], size = indptr[i + 1] - indptr[i]
    if size > 0:
        fetch(&data[a], size * <int64_t>sizeof(real))
        fetch(&indices[a], size * <int64_t>sizeof(index))


def dense_steps(Work work, const real[:, ::1] X, const double[::1] shares, int64_t n_steps):
    """Steps over the rows of a matrix; `shares` are the weights of the samples, of sum 1."""
    cdef int64_t i, j, step, p = X.shape[1], size = min(p * <int64_t>sizeof(real), 4096)
    cdef double share
    with nogil:
        for step in range(min(n_steps, AHEAD)):
            work.ahead(step)
        for step in range(n_steps):
            i = work.drawn[step % AHEAD]
            if step + AHEAD < n_steps:
                # the start of long rows, whose rest follows in order
                fetch(&X[work.ahead(step + AHEAD), 0], size)
            predict_row(work, X, i)
            work.look(i)
            share = shares[i] if work.saga else 0.0
            if work.K == 1 and work.weights.shape[0] == 0 and work.reg.kind <= ELASTIC_NET:
                shrink_row(&work.w[0, 0], &work.mean[0, 0], &X[i, 0], p,
                           work.boost[i] * work.slope[0], share * work.slope[0], &work.reg)
            else:
                for j in range(p):
                    work.move(i, j, X[i, j], share)
            work.move_b(share)
            work.count = work.count + 1  # += asks for the GIL under nonecheck
        for j in range(p):
            work.last[j] = work.count


cdef inline void predict_row(Work work, const real[:, ::1] X, int64_t i) noexcept nogil:
    """Predictions of one sample; four sums at a time do not wait for one another."""
    cdef int64_t j = 0, p = X.shape[1]
    cdef int k
    cdef double s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0
    cdef const real* x = &X[i, 0]
    cdef const double* w = &work.w[0, 0]
    if work.K == 1:
        while j + 4 <= p:
            s0 += x[j] * w[j]
            s1 += x[j + 1] * w[j + 1]
            s2 += x[j + 2] * w[j + 2]
            s3 += x[j + 3] * w[j + 3]
            j += 4
        while j < p:
            s0 += x[j] * w[j]
            j += 1
        work.z[0] = work.b[0] + ((s0 + s1) + (s2 + s3))
        return
    for k in range(work.K):
        work.z[k] = work.b[k]
    for j in range(p):
        for k in range(work.K):
            work.z[k] += x[j] * work.w[j, k]


cdef inline void shrink_row(double* w, double* mean, const real* x, int64_t p, double pull,
                            double push, const Reg* r) noexcept nogil:
    """All coordinates of one sample, without branches so that the compiler vectorises."""
    cdef int64_t j
    cdef double u, v, t = 0.0, c = 1.0, step = r.step
    cdef double keep = 0.0 if r.positive else 1.0  # of what is negative
    if r.kind == ELASTIC_NET:
        t, c = r.step * r.l1, 1.0 / (1.0 + r.step * r.l2)
    for j in range(p):
        u = w[j] - step * (pull * x[j] + mean[j])
        mean[j] += push * x[j]
        v = fabs(u) - t
        v = v if v > 0.0 else 0.0
        w[j] = c * (v if u > 0.0 else -keep * v)
