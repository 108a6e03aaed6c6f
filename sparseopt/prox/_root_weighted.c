#include "_root_exact.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

/* Undecided elements of a pass, as breakpoints and slopes. */
typedef struct {
    so_elements all;
    int64_t size;
    double *memory;
    double decided[3];
    int bad, failed;
} kept;

static int grow(kept *k, int64_t more)
{
    if (k->all.n + more <= k->size)
        return 1;
    int64_t size = 2 * k->size > k->all.n + more ? 2 * k->size : k->all.n + more;
    double *memory = malloc(3 * (size_t)size * sizeof *memory);
    if (!memory)
        return 0;
    size_t bytes = (size_t)k->all.n * sizeof *memory;
    if (bytes) {
        memcpy(memory, k->all.e, bytes);
        memcpy(memory + size, k->all.f, bytes);
        memcpy(memory + 2 * size, k->all.a, bytes);
    }
    free(k->memory);
    k->memory = memory;
    k->size = size;
    k->all.e = memory;
    k->all.f = memory + size;
    k->all.a = memory + 2 * size;
    return 1;
}

/* Groups at a time: what is computed of them stays in the nearest cache. */
enum { PIECE = 1024, BLOCK = 1 << 16, LONG = 2000000 };

/* A piece of the groups: where weights or costs are one number, an array of it. */
typedef struct {
    const so_weighted *g;
    double weights[PIECE], ones[PIECE], a[PIECE];
    const double *d, *q;
} chunk;

static void open_chunk(chunk *c, const so_weighted *g)
{
    c->g = g;
    for (int i = 0; i < PIECE; i++) {
        c->weights[i] = g->weight;
        c->ones[i] = 1.0;
    }
}

static int weigh(const so_root_table *T, chunk *c, int64_t i, int64_t n)
{
    const so_weighted *g = c->g;
    c->d = g->d ? g->d + i : c->weights;
    c->q = g->q ? g->q + i : c->ones;
    const double *q = g->q ? c->q : NULL;
    if (g->is_float)
        return T->weigh_s((const float *)g->x + i, c->d, q, n, g->unit, c->a);
    return T->weigh_d((const double *)g->x + i, c->d, q, n, g->unit, c->a);
}

static int64_t length(const so_weighted *g, int64_t i)
{
    return g->n - i < PIECE ? g->n - i : PIECE;
}

/* Breakpoints and slopes of m of n groups, at `places` or all, behind those that are there. */
static void append(const so_root_table *T, so_elements *to, const chunk *k, int64_t m,
                   const int32_t *places)
{
    int64_t n = to->n;
    double *e = to->e + n, *f = to->f + n, *a = to->a + n;
    int64_t kept = 0;
    if (T->break_w(k->a, k->d, k->q, m, k->g->lam, k->g->debias, places, e, f, a) < SO_HUGE) {
        to->n += m;
        return;
    }
    for (int64_t j = 0; j < m; j++) {
        e[kept] = e[j];
        f[kept] = f[j];
        a[kept] = a[j];
        kept += e[j] < SO_HUGE; /* else zero, or so small that it enters nowhere */
    }
    to->n += kept;
}

/* Groups i0 to i1; what is undecided for p in [lo, hi] is kept. */
static void filter_block(const so_root_table *T, const so_weighted *g, int64_t i0, int64_t i1,
                         double lo, double hi, kept *k)
{
    int32_t places[PIECE + 16];
    double decided[3] = {0.0, 0.0, 0.0};
    chunk c;
    open_chunk(&c, g);
    for (int64_t i = i0; i < i1 && !k->failed; i += PIECE) {
        int64_t n = i1 - i < PIECE ? i1 - i : PIECE;
        k->bad |= weigh(T, &c, i, n);
        int64_t m = T->classify_w(c.a, c.d, c.q, n, g->lam, g->debias, lo, hi, places, decided);
        k->failed |= !grow(k, k->size ? m : hi < SO_HUGE ? m + (i1 - i0) / 8 : i1 - i0);
        if (m && !k->failed)
            append(T, &k->all, &c, m, places);
    }
    for (int j = 0; j < 3; j++)
        k->decided[j] += decided[j];
}

/* All parts in the first one, in order. */
static void merge(kept *parts, int64_t n_parts)
{
    kept *all = parts;
    int64_t more = 0;
    for (int64_t b = 1; b < n_parts; b++) {
        more += parts[b].all.n;
        all->failed |= parts[b].failed;
        all->bad |= parts[b].bad;
    }
    all->failed |= !grow(all, more);
    for (int64_t b = 1; b < n_parts; b++) {
        const so_elements *x = &parts[b].all;
        size_t bytes = (size_t)x->n * sizeof(double);
        if (bytes && !all->failed) {
            memcpy(all->all.e + all->all.n, x->e, bytes);
            memcpy(all->all.f + all->all.n, x->f, bytes);
            memcpy(all->all.a + all->all.n, x->a, bytes);
            all->all.n += x->n;
        }
        for (int j = 0; j < 3; j++)
            all->decided[j] += parts[b].decided[j];
        free(parts[b].memory);
    }
}

/* One pass over the data, in blocks that do not depend on the number of threads. */
static void filter(const so_root_table *T, const so_weighted *g, double lo, double hi, kept *k)
{
    int64_t size = g->n > LONG ? BLOCK : g->n, nb = (g->n + size - 1) / size;
    int threads = g->n > LONG ? g->n_threads : 1;
    k->all.n = 0;
    k->decided[0] = k->decided[1] = k->decided[2] = 0.0;
    kept *parts = threads > 1 ? calloc((size_t)nb, sizeof *parts) : NULL;
    if (!parts) {
        for (int64_t i = 0; i < g->n; i += size)
            filter_block(T, g, i, i + size < g->n ? i + size : g->n, lo, hi, k);
        return;
    }
    parts[0] = *k;
#ifdef _OPENMP
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
#endif
    for (int64_t b = 0; b < nb; b++) {
        int64_t i = b * size;
        filter_block(T, g, i, i + size < g->n ? i + size : g->n, lo, hi, parts + b);
    }
    merge(parts, nb);
    *k = parts[0];
    free(parts);
}

/* Sets g->unit so that no breakpoint leaves the range of floats. */
static int normalise(const so_root_table *T, so_weighted *g)
{
    double top = 0.0;
    int bad = 0, exponent;
    chunk c;
    open_chunk(&c, g);
    g->unit = 1.0;
    for (int64_t i = 0; i < g->n; i += PIECE) {
        int64_t n = length(g, i);
        bad |= weigh(T, &c, i, n);
        for (int64_t j = 0; j < n; j++)
            top = c.a[j] > top ? c.a[j] : top;
    }
    if (top > 0.0 && top <= DBL_MAX) {
        frexp(top, &exponent);
        g->unit = ldexp(1.0, exponent < -1000 ? 1000 : -exponent);
    }
    return bad;
}

/* One group from each of m equal pieces of the data, and the largest a. */
static double draw(const so_root_table *T, const so_weighted *g, int64_t m, so_elements *y)
{
    double width = (double)g->n / (double)m, x[PIECE], d[PIECE], q[PIECE], top = 0.0;
    uint64_t state = SO_SEED, size = (uint64_t)width;
    so_weighted few = *g;
    chunk c;
    few.x = x;
    few.is_float = 0;
    few.d = g->d ? d : NULL;
    few.q = g->q ? q : NULL;
    open_chunk(&c, &few);
    for (int64_t first = 0; first < m; first += PIECE) {
        int64_t n = m - first < PIECE ? m - first : PIECE;
        for (int64_t j = 0; j < n; j++) {
            uint64_t jump = (next_random(&state) >> 32) * size >> 32;
            int64_t i = (int64_t)(width * (double)(first + j)) + (int64_t)jump;
            x[j] = g->is_float ? (double)((const float *)g->x)[i] : ((const double *)g->x)[i];
            if (g->d)
                d[j] = g->d[i];
            if (g->q)
                q[j] = g->q[i];
        }
        weigh(T, &c, 0, n);
        for (int64_t j = 0; j < n; j++)
            top = c.a[j] > top ? c.a[j] : top;
        append(T, y, &c, n, NULL);
    }
    return top;
}

/* Where the sum in a sample is the goal, near p: two steps of Newton will do. */
static double step_to(const so_root_table *T, const so_elements *y, double goal, double p)
{
    const double none[3] = {0.0, 0.0, 0.0};
    double sums[3];
    for (int it = 0; it < 2; it++) {
        so_value(T, y, none, p, sums);
        p = (goal - sums[0] + sums[2]) / sums[1];
    }
    return p;
}

/* Bracket and guess from a sample; 0 if the sample says that the data need a unit. */
static int sampled_bracket(const so_root_table *T, const so_weighted *g, double *lo, double *hi,
                           double *p)
{
    int64_t m = g->n > 3000000 ? 16384 : g->n > 200000 ? 8192 : 2048;
    double *copy = malloc(3 * (size_t)m * sizeof *copy), margin = 0.0;
    double goal = g->target * (double)m / (double)g->n;
    if (!copy)
        return 1;
    so_elements y = {copy, copy + m, copy + 2 * m, 0};
    double top = draw(T, g, m, &y);
    int fits = top > 1e-150 && top < 1e150;
    *p = fits ? so_sample_root(T, &y, goal, &margin) : NAN;
    if (*p > 0.0 && *p < SO_HUGE) {
        double least = step_to(T, &y, goal - margin, *p), most = step_to(T, &y, goal + margin, *p);
        *lo = goal > margin && least > 0.0 && least < *p ? least : 0.0;
        *hi = most > *p && most < SO_HUGE ? most : SO_HUGE;
    }
    free(copy);
    return fits;
}

/* A small bracket around the point where the sum at p says that the root is, if it is there. */
static void tighten(const so_root_table *T, const kept *k, double target, double p, double *lo,
                    double *hi)
{
    double sums[3], value = so_value(T, &k->all, k->decided, p, sums);
    double next = (target - sums[0] + sums[2]) / sums[1], off = 0.125 * fabs(next - p);
    if (value > target)
        *hi = p;
    else if (value < target * (1.0 - 1e-13))
        *lo = p;
    if (next + off < *hi && so_value(T, &k->all, k->decided, next + off, sums) > target)
        *hi = next + off;
    if (next - off > *lo &&
        so_value(T, &k->all, k->decided, next - off, sums) < target * (1.0 - 1e-13))
        *lo = next - off;
}

so_step so_root_weighted(const so_root_table *T, so_weighted *g, double *p)
{
    kept k = {0};
    double lo = 0.0, hi = SO_HUGE, guess = NAN, sums[3];
    so_step step = SO_DONE;
    g->unit = 1.0;
    if (g->n <= 16384 || !sampled_bracket(T, g, &lo, &hi, &guess)) {
        lo = 0.0;
        hi = SO_HUGE;
        if (normalise(T, g))
            return SO_BAD;
    }
    for (int round = 0;; round++) {
        filter(T, g, lo, hi, &k);
        if (k.bad || k.failed) {
            step = k.bad ? SO_BAD : SO_MEMORY;
            break;
        }
        double least = lo, most = hi;
        if (guess > lo && guess < hi && k.all.n > PIECE)
            tighten(T, &k, g->target, guess, &least, &most);
        double excess = most < hi ? 1.0 : so_value(T, &k.all, k.decided, hi, sums) - g->target;
        if (hi == SO_HUGE && excess <= 0.0) {
            *p = INFINITY;
            break;
        }
        /* the sample misled: look beyond, but not to and fro */
        if (excess < 0.0) {
            lo = round ? 0.0 : hi;
            hi = SO_HUGE;
        } else if (least == lo && lo > 0.0 &&
                   so_value(T, &k.all, k.decided, lo, sums) > g->target) {
            hi = round ? SO_HUGE : lo;
            lo = 0.0;
        } else {
            *p = so_general_search(T, &k.all, g->target, k.decided, NAN, least, most);
            break;
        }
    }
    free(k.memory);
    return step;
}

/* Groups i0 to i1 of the outputs. */
static void prox_block(const so_root_table *T, const so_weighted *g, int64_t i0, int64_t i1,
                       double p, void *w, double *factors, double *shares)
{
    chunk c;
    open_chunk(&c, g);
    for (int64_t i = i0; i < i1; i += PIECE) {
        int64_t n = i1 - i < PIECE ? i1 - i : PIECE;
        weigh(T, &c, i, n);
        if (shares)
            for (int64_t j = 0; j < n; j++) {
                double b = g->lam * c.d[j], t = p * c.a[j] - b, u = t / (1.0 - g->debias * b);
                u = t > 16.0 * DBL_EPSILON * b ? u : 0.0;
                if (p == INFINITY)
                    u = c.a[j] > 0.0;
                shares[i + j] = u > 0.0 ? (u < 1.0 ? u : 1.0) : 0.0;
            }
        /* an infinite p times a zero would be no number */
        double q = p < INFINITY ? p : SO_HUGE;
        if (factors)
            T->weighted_scale_d(c.ones, factors + i, c.a, c.d, n, g->lam, g->debias, q);
        if (w && g->is_float)
            T->weighted_scale_s((const float *)g->x + i, (float *)w + i, c.a, c.d, n, g->lam,
                                g->debias, q);
        else if (w)
            T->weighted_scale_d((const double *)g->x + i, (double *)w + i, c.a, c.d, n, g->lam,
                                g->debias, q);
    }
}

void so_weighted_prox(const so_root_table *T, const so_weighted *g, double p, void *w,
                      double *factors, double *shares)
{
    int64_t size = g->n > LONG ? BLOCK : g->n, nb = (g->n + size - 1) / size;
#ifdef _OPENMP
#pragma omp parallel for num_threads(g->n_threads) if (g->n > LONG && g->n_threads > 1)
#endif
    for (int64_t b = 0; b < nb; b++) {
        int64_t i = b * size;
        prox_block(T, g, i, i + size < g->n ? i + size : g->n, p, w, factors, shares);
    }
}
