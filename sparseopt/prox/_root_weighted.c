#include "_root_exact.h"

#include <float.h>
#include <stdlib.h>

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
    for (int64_t i = 0; i < k->all.n; i++) {
        memory[i] = k->all.e[i];
        memory[size + i] = k->all.f[i];
        memory[2 * size + i] = k->all.a[i];
    }
    free(k->memory);
    k->memory = memory;
    k->size = size;
    k->all.e = memory;
    k->all.f = memory + size;
    k->all.a = memory + 2 * size;
    return 1;
}

/* A chunk of groups: where weights or costs are one number, an array of it. */
typedef struct {
    const so_weighted *g;
    double weights[SO_CHUNK], ones[SO_CHUNK], a[SO_CHUNK];
    const double *d, *q;
} chunk;

static void open_chunk(chunk *c, const so_weighted *g)
{
    c->g = g;
    for (int i = 0; i < SO_CHUNK; i++) {
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
    return g->n - i < SO_CHUNK ? g->n - i : SO_CHUNK;
}

static void append(so_elements *to, const chunk *k, int64_t i)
{
    double b = k->g->lam * k->d[i], c = 1.0 - k->g->debias * b, e = b / k->a[i];
    if (!(e < SO_HUGE)) /* zero, or so small that it enters nowhere */
        return;
    to->e[to->n] = e;
    to->f[to->n] = (b + c) / k->a[i];
    to->a[to->n] = k->q[i] * k->a[i] / c;
    to->n++;
}

/* One pass over the data; what is undecided for p in [lo, hi] is kept. */
static void filter(const so_root_table *T, chunk *c, double lo, double hi, kept *k)
{
    const so_weighted *g = c->g;
    int32_t places[SO_CHUNK + 1];
    k->all.n = 0;
    k->decided[0] = k->decided[1] = k->decided[2] = 0.0;
    for (int64_t i = 0; i < g->n && !k->failed; i += SO_CHUNK) {
        int64_t n = length(g, i);
        k->bad |= weigh(T, c, i, n);
        int64_t m = T->classify_w(c->a, c->d, c->q, n, g->lam, g->debias, lo, hi, places,
                                  k->decided);
        k->failed = !grow(k, m);
        for (int64_t j = 0; j < m && !k->failed; j++)
            append(&k->all, c, places[j]);
    }
}

/* Sets g->unit so that no breakpoint leaves the range of floats. */
static int normalise(const so_root_table *T, chunk *c, so_weighted *g)
{
    double top = 0.0;
    int bad = 0, exponent;
    g->unit = 1.0;
    for (int64_t i = 0; i < g->n; i += SO_CHUNK) {
        int64_t n = length(g, i);
        bad |= weigh(T, c, i, n);
        for (int64_t j = 0; j < n; j++)
            top = c->a[j] > top ? c->a[j] : top;
    }
    if (top > 0.0 && top <= DBL_MAX) {
        frexp(top, &exponent);
        g->unit = ldexp(1.0, exponent < -1000 ? 1000 : -exponent);
    }
    return bad;
}

/* Bracket from a sample; 0 if the sample says that the data need a unit. */
static int sampled_bracket(const so_root_table *T, chunk *c, double *lo, double *hi)
{
    const so_weighted *g = c->g;
    enum { M = 2048 };
    double *copy = malloc(3 * M * sizeof *copy), top = 0.0, margin = 0.0, unused;
    if (!copy)
        return 1;
    so_elements y = {copy, copy + M, copy + 2 * M, 0};
    double width = (double)g->n / (double)M, roots[3] = {NAN, NAN, NAN};
    for (int side = 0; side < 3; side++) {
        uint64_t state = SO_SEED;
        so_elements z = y;
        for (int64_t j = 0; j < M; j++) {
            uint64_t jump = (next_random(&state) >> 32) * (uint64_t)width >> 32;
            int64_t i = (int64_t)(width * (double)j) + (int64_t)jump;
            weigh(T, c, i, 1);
            top = c->a[0] > top ? c->a[0] : top;
            append(&z, c, 0);
        }
        if (!(top > 1e-150 && top < 1e150))
            break;
        double shift = side == 0 ? 0.0 : side == 1 ? -margin : margin;
        roots[side] = so_sample_root(T, &z, g->target / width + shift, side ? &unused : &margin);
    }
    free(copy);
    *lo = roots[1] > 0.0 ? roots[1] : 0.0;
    *hi = roots[2] < SO_HUGE ? roots[2] : SO_HUGE;
    return top > 1e-150 && top < 1e150;
}

so_step so_root_weighted(const so_root_table *T, so_weighted *g, double *p)
{
    kept k = {0};
    double lo = 0.0, hi = SO_HUGE, sums[3];
    so_step step = SO_DONE;
    chunk c;
    open_chunk(&c, g);
    g->unit = 1.0;
    if (g->n <= 16384 || !sampled_bracket(T, &c, &lo, &hi)) {
        lo = 0.0;
        hi = SO_HUGE;
        if (normalise(T, &c, g))
            return SO_BAD;
    }
    for (;;) {
        filter(T, &c, lo, hi, &k);
        if (k.bad || k.failed) {
            step = k.bad ? SO_BAD : SO_MEMORY;
            break;
        }
        double excess = so_value(T, &k.all, k.decided, hi, sums) - g->target;
        if (hi == SO_HUGE && excess <= 0.0) {
            *p = INFINITY;
            break;
        }
        if (excess < 0.0) { /* the sample misled: look beyond */
            lo = hi;
            hi = SO_HUGE;
        } else if (lo > 0.0 && so_value(T, &k.all, k.decided, lo, sums) > g->target) {
            hi = lo;
            lo = 0.0;
        } else {
            *p = so_general_search(T, &k.all, g->target, k.decided, NAN, lo, hi);
            break;
        }
    }
    free(k.memory);
    return step;
}

void so_weighted_prox(const so_root_table *T, const so_weighted *g, double p, void *w,
                      double *factors, double *shares)
{
    chunk c;
    open_chunk(&c, g);
    for (int64_t i = 0; i < g->n; i += SO_CHUNK) {
        int64_t n = length(g, i);
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
