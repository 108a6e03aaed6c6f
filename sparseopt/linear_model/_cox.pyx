"""Sums over risk sets of survival times.

Samples are sorted by stratum and time.  Event times k, of all strata in that order,
have their risk set from position ``start[k]`` to the end of the stratum; sample i has
passed the event times of its stratum up to ``last[i]``, -1 if none.  At an event time
there are ``steps[k]`` terms: in the t-th the dead count ``1 - t / steps[k]``; one alone
is Breslow's.  Arguments are not validated here.
"""
from libc.math cimport exp, log, log1p, INFINITY
from libc.stdint cimport int64_t, uint8_t


cdef inline double add_logs(double a, double b) noexcept nogil:
    """``log(exp(a) + exp(b))``."""
    if a < b:
        a, b = b, a
    return a if b == -INFINITY else a + log1p(exp(b - a))


def risk_sums(
    const double[::1] terms,
    const int64_t[::1] stratum,
    const uint8_t[::1] dead,
    const int64_t[::1] start,
    double[::1] logs,
    double[::1] share,
):
    """Logarithms of the sums of ``exp(terms)`` at risk, and the share of the dead."""
    cdef int64_t i, k = start.shape[0] - 1, n = terms.shape[0]
    cdef double x, e, factor, top = -INFINITY, total = 0.0, deaths = 0.0
    with nogil:
        for i in range(n - 1, -1, -1):
            if i + 1 < n and stratum[i] != stratum[i + 1]:
                top, total, deaths = -INFINITY, 0.0, 0.0
            x = terms[i]
            if x > top:
                factor = exp(top - x)
                total, deaths, top = total * factor + 1.0, deaths * factor + dead[i], x
            elif x > -INFINITY:
                e = exp(x - top)
                total, deaths = total + e, deaths + dead[i] * e
            if k >= 0 and start[k] == i:
                logs[k], share[k] = top + log(total), deaths / total
                deaths, k = 0.0, k - 1


def log_value(
    const double[::1] logs,
    const double[::1] share,
    const double[::1] weight,
    const int64_t[::1] steps,
):
    """``sum_k weight_k sum_t log(S_k - t E_k / steps_k)``."""
    cdef int64_t k, t
    cdef double total = 0.0, inner
    with nogil:
        for k in range(logs.shape[0]):
            inner = steps[k] * logs[k]
            for t in range(1, steps[k]):
                inner += log1p(-share[k] * t / steps[k])
            total += weight[k] * inner
    return total


def cumulative(
    const double[::1] logs,
    const double[::1] share,
    const double[::1] weight,
    const int64_t[::1] steps,
    const uint8_t[::1] first,
    double[::1] hazard,
    double[::1] of_dead,
):
    """Logarithms of the hazards up to each event time, and of those that its dead had."""
    cdef int64_t k, t
    cdef double before = -INFINITY, whole, part, f, d
    with nogil:
        for k in range(logs.shape[0]):
            if first[k]:
                before = -INFINITY
            whole = part = 0.0
            for t in range(steps[k]):
                f = t / <double>steps[k]
                d = 1.0 - f * share[k]
                whole += 1.0 / d
                part += (1.0 - f) / d
            of_dead[k] = add_logs(before, log(weight[k] * part) - logs[k])
            before = add_logs(before, log(weight[k] * whole) - logs[k])
            hazard[k] = before


def risk_means(
    const double[::1] terms,
    const int64_t[::1] stratum,
    const uint8_t[::1] dead,
    const int64_t[::1] start,
    const double[::1] weight,
    const int64_t[::1] steps,
    const double[:, ::1] A,
    double[:, ::1] sums,
    double[:, ::1] out,
):
    """Means of the rows of A over the risk sets, times the root of the weights.

    Rows of `out` are the terms of the event times; `sums` is work space of two rows.
    """
    cdef int64_t i, j, t, n = terms.shape[0], m = A.shape[1]
    cdef int64_t k = start.shape[0] - 1, row = out.shape[0]
    cdef double x, e, f, factor, top = -INFINITY, total = 0.0, deaths = 0.0
    with nogil:
        sums[:, :] = 0.0
        for i in range(n - 1, -1, -1):
            if i + 1 < n and stratum[i] != stratum[i + 1]:
                top, total, deaths = -INFINITY, 0.0, 0.0
                sums[:, :] = 0.0
            x = terms[i]
            if x > top:
                factor = exp(top - x)
                total, deaths, top = total * factor, deaths * factor, x
                for j in range(m):
                    sums[0, j] *= factor
                    sums[1, j] *= factor
            e = exp(x - top) if x > -INFINITY else 0.0
            total += e
            for j in range(m):
                sums[0, j] += e * A[i, j]
            if dead[i]:
                deaths += e
                for j in range(m):
                    sums[1, j] += e * A[i, j]
            if k >= 0 and start[k] == i:
                for t in range(steps[k] - 1, -1, -1):
                    row -= 1
                    f = t / <double>steps[k]
                    e = weight[k] ** 0.5 / (total - f * deaths)
                    for j in range(m):
                        out[row, j] = e * (sums[0, j] - f * sums[1, j])
                sums[1, :] = 0.0
                deaths, k = 0.0, k - 1


cdef double dead_share(double r, double c, int64_t steps, double mass) noexcept nogil:
    """Root x in [0, 1] of ``x (r + c sum_t (1 - f_t) / (1 - f_t x)) = mass``.

    The left side is convex and rises: Newton's steps from 1 fall to the root.
    """
    cdef double x = 1.0, value, slope, f, d, new
    cdef int64_t t, _trial
    if mass <= 0.0:
        return 0.0
    for _trial in range(100):
        value, slope = r, 0.0
        for t in range(steps):
            f = t / <double>steps
            d = 1.0 - f * x
            value += c * (1.0 - f) / d
            slope += c * (1.0 - f) * f / (d * d)
        new = x - (x * value - mass) / (value + x * slope)
        if not new < x:
            break
        x = new
    return x if x > 0.0 else 0.0


def conjugate_terms(
    const double[::1] left,
    const double[::1] dead,
    const double[::1] weight,
    const int64_t[::1] steps,
    const uint8_t[::1] first,
    double slack,
):
    """What the conjugate has besides entropies; infinity outside its domain.

    `dead` is the mass of those who die at the event times, `left` that of those who
    leave between them and the next.
    """
    cdef int64_t k, t, K = left.shape[0]
    cdef double r = 0.0, after, x, d, f, A, B, total = 0.0
    with nogil:
        for k in range(K):
            if first[k]:
                r = 0.0
            after = r + steps[k] * weight[k] - left[k] - dead[k]
            if k + 1 == K or first[k + 1]:
                if not -slack * 1e3 <= after <= slack * 1e3:
                    total = INFINITY
                after = 0.0
            if not after >= -slack:
                total = INFINITY
            if total == INFINITY:
                break
            after = max(after, 0.0)
            x = dead_share(r, weight[k], steps[k], dead[k])
            A = B = r
            for t in range(steps[k]):
                f = t / <double>steps[k]
                d = 1.0 - f * x
                A += weight[k] / d
                B += weight[k] * (1.0 - f) / d
                if t:
                    total -= weight[k] * log(d)
            if after > 0.0:
                total += after * log(after)
            total -= (after + left[k]) * log(A) + dead[k] * log(B)
            r = after
    return total
