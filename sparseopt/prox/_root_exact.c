#include "_root_exact.h"

#include <float.h>

/* Nothing is undecided: the root of the one piece that is left, if it is in the bracket. */
static outcome last_piece(exact *s)
{
    const so_rule *r = s->rule;
    double whole = (double)s->fold.whole;
    double num = r->n0 + r->n1 * whole + s->fold.sum, den = r->d0 + r->d1 * whole;
    double t;
    if (s->fold.part) {
        t = num / (den + r->d2 * (double)s->fold.part);
    } else { /* phi is flat: above, below or at the target everywhere */
        double excess = num - s->hi * den;
        t = excess > 0.0 ? INFINITY : excess < 0.0 ? -INFINITY : s->hi;
    }
    if (t > s->hi && !s->sure_hi)
        return HIGHER;
    if (t < s->lo && !s->sure_lo)
        return LOWER;
    s->t = t > s->hi ? s->hi : t < s->lo ? s->lo : t;
    return FOUND;
}

/* The bracket around t, the second point of a search, where the first one missed it by `off`. */
static void be_bold(exact *s, double t, double off)
{
    double width = 0.125 * fabs(off);
    s->out.lo = s->lo;
    s->out.hi = s->hi;
    s->out.sure_lo = s->sure_lo;
    s->out.sure_hi = s->sure_hi;
    s->out.tried = 1;
    if (t - width > s->lo) {
        s->lo = t - width;
        s->sure_lo = 0;
    }
    if (t + width < s->hi) {
        s->hi = t + width;
        s->sure_hi = 0;
    }
}

outcome so_find_exact(const so_root_table *T, double *z, int64_t n, exact *s)
{
    const so_rule *r = s->rule;
    double t = s->t;
    int newton = 0, slow = 0;
    int64_t whole = -1, part = -1;
    for (int it = 0; it < 1000; it++) {
        if (n == 0)
            return last_piece(s);
        so_fold at = s->fold;
        if (it == 0 && s->first) {
            at.whole += s->first->whole;
            at.part += s->first->part;
            at.sum += s->first->sum;
        } else {
            T->measure_d(z, n, enter(r, t), fill(r, t), 0, &at);
        }
        int above;
        double excess, next = piece_root(r, at.whole, at.part, at.sum, t, &above, &excess);
        if (s->slack > 0.0 && fabs(excess) <= s->slack) {
            s->t = t;
            return FOUND;
        }
        int same = at.whole == whole && at.part == part;
        whole = at.whole;
        part = at.part;
        s->t = next;
        if (next == t || (newton && same && next > s->lo && next < s->hi))
            return FOUND;
        if (above) {
            if (t >= s->hi)
                return HIGHER;
            s->lo = t;
            s->sure_lo = 1;
        } else {
            if (t <= s->lo)
                return LOWER;
            s->hi = t;
            s->sure_hi = 1;
        }
        if (it == 0 && s->bold && next > s->lo && next < s->hi)
            be_bold(s, next, next - t);
        so_cut cut = cut_of(r, s->lo, s->hi);
        int64_t before = n, kept = 0;
        for (int64_t i = 0; i < before; i += SO_CHUNK) {
            so_fold chunk = {0};
            int64_t size = before - i < SO_CHUNK ? before - i : SO_CHUNK;
            T->filter_d(z + i, size, &cut, 0, z + kept, &chunk);
            kept += chunk.kept;
            s->fold.whole += chunk.whole;
            s->fold.part += chunk.part;
            s->fold.sum += chunk.sum;
        }
        n = kept;
        slow = n > 0.7 * (double)before ? slow + 1 : 0;
        newton = next > s->lo && next < s->hi && slow < 3;
        if (newton)
            t = next;
        else if (next >= s->hi && !s->sure_hi)
            t = s->hi;
        else if (next <= s->lo && !s->sure_lo)
            t = s->lo;
        else if (n) {
            slow = 0;
            uint64_t bits = next_random(&s->random);
            t = breakpoint(r, z[(bits >> 8) % (uint64_t)n], s->lo, s->hi, bits);
            if (!(t > s->lo && t < s->hi)) { /* neighbours among the floats */
                s->t = s->hi;
                return FOUND;
            }
        }
    }
    s->t = t;
    return FOUND;
}

double so_find_small(const so_root_table *T, double *z, int64_t n, const so_rule *r,
                         const so_stats *stats, double start, double slack)
{
    exact s = {.rule = r, .sure_lo = 1, .sure_hi = 1, .random = SO_SEED, .slack = slack};
    double m = (double)n;
    if (r->envelope) {
        if ((double)stats->positive <= r->target)
            return 0.0;
        s.hi = 1.0000001 * stats->sum / r->d0;
        s.t = stats->sum / (r->d0 + r->d2 * (double)stats->positive);
    } else {
        s.lo = r->f0 < INFINITY ? stats->min - r->f0 : (stats->sum - r->target) / m;
        s.hi = stats->max;
        s.t = (stats->sum - r->target) / m;
        if (r->f0 < INFINITY && !(r->target < m * r->f0))
            return s.lo;
        if (!(r->target > 0.0))
            return s.hi;
        s.lo -= 1e-7 * fabs(s.lo) + DBL_MIN;
    }
    if (start > s.lo && start < s.hi)
        s.t = start;
    if (!(s.t > s.lo && s.t < s.hi))
        s.t = s.lo + 0.5 * (s.hi - s.lo);
    so_find_exact(T, z, n, &s);
    return s.t;
}

