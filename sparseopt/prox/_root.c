#include "_root_exact.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

/* Up to this many elements all are loaded and there is no sample. */
#define SO_SMALL 2048

static so_rule with_target(const so_rule *r, double target)
{
    so_rule rule = *r;
    rule.target = target;
    if (r->envelope)
        rule.d0 = -r->d1 * target;
    else
        rule.n0 = -target;
    return rule;
}

static int64_t sample_size(int64_t n)
{
    return n > 3000000 ? 16384 : n > 200000 ? 8192 : n > 20000 ? 2048 : 512;
}

static double element(const void *x, int is_float, int64_t i, int absolute)
{
    double v = is_float ? (double)((const float *)x)[i] : ((const double *)x)[i];
    return absolute ? fabs(v) : v;
}

static int out_of_range(const so_search *s, double most)
{
    return !s->any_scale && most != 0.0 && !(most > 1e-250 && most < 1e250);
}

/* Everything at once: few elements. */
static so_step solve_small(const so_root_table *T, so_search *s, const void *x, int is_float,
                           int64_t n, int absolute)
{
    so_stats stats;
    double *z = malloc(((size_t)n + 16) * sizeof *z);
    if (!z)
        return SO_MEMORY;
    if (is_float)
        T->load_s(x, n, absolute, z, &stats);
    else
        T->load_d(x, n, absolute, z, &stats);
    so_step step = SO_DONE;
    double most = fmax(fabs(stats.max), fabs(stats.min));
    if (stats.bad)
        step = SO_BAD;
    else if (!is_float && out_of_range(s, most))
        step = SO_RANGE;
    else {
        s->t = so_find_small(T, z, n, &s->rule, &stats, NAN, 0.0);
        if (s->t < s->rule.floor)
            s->t = s->rule.floor;
    }
    free(z);
    return step;
}

/* Where the root is, judged by the sample: three standard deviations to either side. */
static void bracket(const so_root_table *T, so_search *s, double *z, const so_stats *stats)
{
    int64_t m = s->n_sample;
    double share = (double)m / (double)s->n, target = share * s->rule.target;
    double most = 1.0, squares = target;
    so_rule rule = with_target(&s->rule, target);
    memcpy(z, s->sample, (size_t)m * sizeof *z);
    double slack = s->rule.envelope ? 0.2 * sqrt(squares) : 0.0;
    s->start = so_find_small(T, z, m, &rule, stats, NAN, slack);
    if (!s->rule.envelope) {
        squares = most = 0.0;
        for (int64_t i = 0; i < m; i++) {
            double u = fmin(fmax(s->sample[i] - s->start, 0.0), s->rule.f0);
            squares += u * u;
            most = u > most ? u : most;
        }
    }
    double margin = 3.2 * sqrt(squares) + 3.0 * most;
    slack = 0.2 * sqrt(squares);
    double least = s->rule.envelope ? 0.0 : -SO_HUGE;
    s->lo = least;
    s->hi = SO_HUGE;
    rule = with_target(&s->rule, target + margin);
    if (!s->rule.envelope || (double)stats->positive > target + margin) {
        memcpy(z, s->sample, (size_t)m * sizeof *z);
        s->lo = so_find_small(T, z, m, &rule, stats, s->start, slack);
    }
    if (target > margin) {
        rule = with_target(&s->rule, target - margin);
        memcpy(z, s->sample, (size_t)m * sizeof *z);
        s->hi = so_find_small(T, z, m, &rule, stats, s->start, slack);
    }
    /* a little wider: a root on a breakpoint is then inside */
    s->lo = fmax(s->lo - 1e-9 * fabs(s->lo), s->rule.floor);
    s->hi += 1e-9 * fabs(s->hi);
    s->sure_lo = s->lo <= least;
    s->sure_hi = s->hi >= SO_HUGE;
    if (!(s->lo < s->hi)) {
        s->lo = s->rule.floor;
        s->hi = SO_HUGE;
        s->sure_lo = s->sure_hi = 1;
    }
    s->cut = cut_of(&s->rule, s->lo, s->hi);
}

so_step so_root_sampled(const so_root_table *T, so_search *s, double *sample, int64_t m,
                        int64_t n, int is_float)
{
    so_stats stats;
    so_step step = SO_FILTER;
    s->n = n;
    s->n_sample = m;
    s->random = SO_SEED;
    s->newton = s->timid = 0;
    s->n_measured = 0;
    s->sample = malloc(((size_t)m + 16) * sizeof(double));
    if (!s->sample)
        return SO_MEMORY;
    T->load_d(sample, m, 0, s->sample, &stats);
    if (stats.bad)
        step = SO_BAD;
    else if (!is_float && out_of_range(s, fmax(fabs(stats.max), fabs(stats.min))))
        step = SO_RANGE;
    else
        bracket(T, s, sample, &stats);
    return step;
}

so_step so_root_begin(const so_root_table *T, so_search *s, const void *x, int is_float,
                      int64_t n, int absolute)
{
    s->sample = NULL;
    if (n <= SO_SMALL)
        return solve_small(T, s, x, is_float, n, absolute);
    int64_t m = sample_size(n);
    double *z = malloc(((size_t)m + 16) * sizeof(double));
    if (!z)
        return SO_MEMORY;
    /* one from each of m equal pieces: sorted data are sampled best of all */
    uint64_t random = SO_SEED;
    double width = (double)n / (double)m;
    uint64_t size = (uint64_t)width;
    for (int64_t j = 0; j < m; j++) {
        uint64_t i = (uint64_t)(width * (double)j) + ((next_random(&random) >> 32) * size >> 32);
        z[j] = element(x, is_float, (int64_t)i, absolute);
    }
    so_step step = so_root_sampled(T, s, z, m, n, is_float);
    free(z);
    return step;
}

/* Where the exact search starts. */
static double first_point(const so_search *s)
{
    return s->start > s->lo && s->start < s->hi ? s->start : s->lo + 0.5 * (s->hi - s->lo);
}

void so_root_filter(const so_root_table *T, so_search *s, const void *x, int is_float,
                    int64_t n, int absolute, so_part *part)
{
    union {
        double d[SO_CHUNK + 16];
        float s[SO_CHUNK + 16];
    } buf;
    so_fold block = {0}, at = {0};
    double t = first_point(s), e = enter(&s->rule, t), f = fill(&s->rule, t);
    int64_t measured = part->n;
    for (int64_t i = 0; i < n; i += SO_CHUNK) {
        int64_t size = n - i < SO_CHUNK ? n - i : SO_CHUNK, before = block.kept;
        if (is_float)
            T->filter_s((const float *)x + i, size, &s->cut, absolute, buf.s, &block);
        else
            T->filter_d((const double *)x + i, size, &s->cut, absolute, buf.d, &block);
        int64_t kept = block.kept - before;
        if (!kept)
            continue; /* there may be no memory yet, not even to copy nothing to */
        /* more than half in all: what is kept will not be used */
        if (__atomic_add_fetch(&s->stored, kept, __ATOMIC_RELAXED) > s->n / 2 || part->failed)
            continue;
        if (part->n + kept > part->size) {
            int64_t room = 2 * part->size > part->n + kept ? 2 * part->size
                                                           : part->n + kept + SO_CHUNK;
            double *data = realloc(part->data, ((size_t)room + 16) * sizeof *data);
            if (!data) {
                part->failed = 1;
                continue;
            }
            part->data = data;
            part->size = room;
        }
        double *to = part->data + part->n;
        if (is_float)
            T->widen(buf.s, kept, to);
        else
            memcpy(to, buf.d, (size_t)kept * sizeof *to);
        part->n += kept;
        if (part->n - measured >= SO_CHUNK) { /* while they are in a near cache */
            T->measure_d(part->data + measured, part->n - measured, e, f, 0, &at);
            measured = part->n;
        }
    }
    if (part->n > measured)
        T->measure_d(part->data + measured, part->n - measured, e, f, 0, &at);
    part->fold.whole += block.whole;
    part->fold.part += block.part;
    part->fold.kept += block.kept;
    part->fold.sum += block.sum;
    part->fold.bad |= block.bad;
    part->at.whole += at.whole;
    part->at.part += at.part;
    part->at.sum += at.sum;
}

/* All parts in the first one's memory, in order. */
static int merge(so_part *parts, int64_t n_parts)
{
    so_part *all = parts;
    int64_t total = 0;
    int failed = 0;
    for (int64_t k = 0; k < n_parts; k++) {
        total += parts[k].n;
        failed |= parts[k].failed;
    }
    if (n_parts > 1 && !failed && total > all->size) {
        double *data = realloc(all->data, ((size_t)total + 16) * sizeof *data);
        if (data)
            all->data = data;
        failed = !data;
    }
    for (int64_t k = 1; k < n_parts; k++) {
        if (!failed && parts[k].n)
            memcpy(all->data + all->n, parts[k].data, (size_t)parts[k].n * sizeof(double));
        free(parts[k].data);
        parts[k].data = NULL;
        all->n += parts[k].n;
        all->fold.whole += parts[k].fold.whole;
        all->fold.part += parts[k].fold.part;
        all->fold.kept += parts[k].fold.kept;
        all->fold.sum += parts[k].fold.sum;
        all->fold.bad |= parts[k].fold.bad;
        all->at.whole += parts[k].at.whole;
        all->at.part += parts[k].at.part;
        all->at.sum += parts[k].at.sum;
    }
    return failed;
}

static so_step measure_next(so_search *s, double next)
{
    s->newton = next > s->lo && next < s->hi && s->n_measured % 4 != 3;
    s->t = next;
    if (!s->newton) {
        uint64_t bits = next_random(&s->random);
        double z = s->sample[(bits >> 8) % (uint64_t)s->n_sample];
        s->t = breakpoint(&s->rule, z, s->lo, s->hi, bits);
        if (!(s->t > s->lo && s->t < s->hi)) {
            s->t = s->hi;
            return SO_DONE;
        }
    }
    s->n_measured++;
    return SO_MEASURE;
}

/* The search went out of its bracket: the next one is all beyond. */
static so_step widen(so_search *s, outcome found)
{
    if (found == LOWER && s->lo <= s->rule.floor) {
        s->t = s->rule.floor; /* the l1 ball holds x */
        return SO_DONE;
    }
    if (found == HIGHER) {
        s->lo = s->hi;
        s->hi = SO_HUGE;
        s->start = s->lo + 1e-3 * fabs(s->lo);
    } else {
        s->hi = s->lo;
        s->lo = s->rule.floor;
        s->start = s->hi - 1e-3 * fabs(s->hi);
    }
    s->sure_hi = 1;
    s->sure_lo = found == HIGHER || s->rule.envelope || s->lo < 0.0;
    s->cut = cut_of(&s->rule, s->lo, s->hi);
    return SO_FILTER;
}

/* The search went out of the small bracket of a bold one, or of its own. */
static so_step beyond(so_search *s, outcome found, const exact *e)
{
    double lo = found == HIGHER ? e->hi : e->out.lo, hi = found == HIGHER ? e->out.hi : e->lo;
    if (!e->out.tried || !(lo < hi))
        return widen(s, found);
    s->timid = 1;
    s->sure_lo = found == HIGHER || e->out.sure_lo;
    s->sure_hi = found != HIGHER || e->out.sure_hi;
    s->lo = lo;
    s->hi = hi;
    s->start = lo + 0.5 * (hi - lo);
    s->cut = cut_of(&s->rule, lo, hi);
    return SO_FILTER;
}

so_step so_root_proceed(const so_root_table *T, so_search *s, so_part *parts, int64_t n_parts)
{
    int failed = merge(parts, n_parts);
    so_part *all = parts;
    so_fold *f = &all->fold;
    so_step step = SO_DONE;
    if (f->bad) {
        step = SO_BAD;
    } else if (failed) {
        step = SO_MEMORY;
    } else if (!(f->sum <= DBL_MAX && f->sum >= -DBL_MAX)) {
        step = SO_RANGE;
    } else if (s->rule.envelope && s->lo <= 0.0 &&
               (double)(f->whole + f->part + f->kept) <= s->rule.target) {
        s->t = 0.0;
    } else if (f->kept > s->n / 2) {
        s->whole = s->part = -1;
        step = measure_next(s, s->start);
    } else {
        exact e = {.rule = &s->rule, .lo = s->lo, .hi = s->hi, .t = first_point(s), .fold = *f,
                   .sure_lo = s->sure_lo, .sure_hi = s->sure_hi, .random = s->random,
                   .first = &all->at, .bold = !s->timid && all->n > SO_CHUNK};
        outcome found = so_find_exact(T, all->data, all->n, &e);
        s->t = e.t;
        if (found != FOUND)
            step = beyond(s, found, &e);
    }
    free(all->data);
    all->data = NULL;
    return step;
}

so_step so_root_narrow(so_search *s, const so_fold *folds, int64_t n_folds)
{
    so_fold at = {0};
    int above;
    double excess;
    for (int64_t k = 0; k < n_folds; k++) {
        at.whole += folds[k].whole;
        at.part += folds[k].part;
        at.sum += folds[k].sum;
    }
    double t = s->t, next = piece_root(&s->rule, at.whole, at.part, at.sum, t, &above, &excess);
    int same = at.whole == s->whole && at.part == s->part;
    s->whole = at.whole;
    s->part = at.part;
    if (next == t || (s->newton && same && next > s->lo && next < s->hi)) {
        s->t = next;
        return SO_DONE;
    }
    if (above) {
        s->lo = t;
        s->sure_lo = 1;
    } else {
        s->hi = t;
        s->sure_hi = 1;
    }
    s->start = next;
    if (s->sure_lo && s->sure_hi && s->n_measured % 3 == 0) {
        s->cut = cut_of(&s->rule, s->lo, s->hi);
        s->n_measured++;
        return SO_FILTER;
    }
    if (next >= s->hi && !s->sure_hi) { /* the sample misled: look beyond */
        s->hi = SO_HUGE;
        s->sure_hi = 1;
    }
    if (next <= s->lo && !s->sure_lo) {
        s->lo = s->rule.floor;
        s->sure_lo = s->rule.envelope || s->lo < 0.0;
    }
    return measure_next(s, next);
}

void so_root_end(so_search *s)
{
    free(s->sample);
    s->sample = NULL;
}
