/* Exact search among elements in memory; shared by the files of the root search. */
#ifndef SPARSEOPT_ROOT_EXACT_H
#define SPARSEOPT_ROOT_EXACT_H

#include <math.h>

#include "_root.h"

#define SO_HUGE 1e300
#define SO_SEED 88172645463325252u

static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

static inline double enter(const so_rule *r, double t) { return r->e1 * t + r->e0; }

static inline double fill(const so_rule *r, double t)
{
    return r->f0 < INFINITY ? r->f1 * t + r->f0 : INFINITY;
}

static inline so_cut cut_of(const so_rule *r, double lo, double hi)
{
    so_cut cut = {enter(r, lo), fill(r, hi), enter(r, hi), fill(r, lo)};
    if (cut.high >= cut.full)
        cut.high = nextafter(cut.full, -INFINITY);
    return cut;
}

/* Next point of a search: where the affine piece at hand has its root, if that is a number. */
static inline double piece_root(const so_rule *r, int64_t P, int64_t N, double S, double t,
                                int *above, double *excess)
{
    double num = r->n0 + r->n1 * (double)P + S;
    double den = r->d0 + r->d1 * (double)P + r->d2 * (double)N;
    *above = num >= t * den;
    *excess = r->envelope ? (num - t * den) / (-r->d1 * t) : num - t * den;
    if (den > 0.0)
        return num / den;
    return *above ? INFINITY : -INFINITY;
}

/* A breakpoint of element z inside (lo, hi), or the middle if rounding left none. */
static inline double breakpoint(const so_rule *r, double z, double lo, double hi, uint64_t bits)
{
    double t[2] = {r->e1 > 0.0 ? (z - r->e0) / r->e1 : INFINITY,
                   r->f0 < INFINITY && r->f1 > 0.0 ? (z - r->f0) / r->f1 : INFINITY};
    int first = bits & 1;
    for (int k = 0; k < 2; k++) {
        double p = t[first ^ k];
        if (p > lo && p < hi)
            return p;
    }
    return lo + 0.5 * (hi - lo);
}

typedef enum { FOUND, HIGHER, LOWER } outcome;

/* State of the exact search among n elements z that are kept in a bracket. */
typedef struct {
    const so_rule *rule;
    double lo, hi, t;
    int sure_lo, sure_hi;
    so_fold fold; /* what is decided in the whole bracket */
    uint64_t random;
    double slack; /* a sum this close to the target is good enough */
    const so_fold *first; /* counts of all n at the first t, if they are known */
    /* A bold search goes on in a small bracket around its second t, which may miss the root;
     * what is left of the whole one is then in `out`. */
    int bold;
    struct {
        double lo, hi;
        int sure_lo, sure_hi, tried;
    } out;
} exact;

/* The root, or on which side of the bracket it is; z is overwritten. */
outcome so_find_exact(const so_root_table *T, double *z, int64_t n, exact *s);
/* The root among n elements from their statistics and perhaps a guess, or a t where the sum
 * misses the target by no more than `slack`; z is overwritten. */
double so_find_small(const so_root_table *T, double *z, int64_t n, const so_rule *r,
                     const so_stats *stats, double start, double slack);

/* The same for elements with breakpoints of their own: sum of a (min(p, f) - e)_+. */
typedef struct {
    double *e, *f, *a;
    int64_t n;
} so_elements;

/* The sum at p of the elements and of decided ones; `sums` are those of measure_g. */
double so_value(const so_root_table *T, const so_elements *x, const double decided[3], double p,
                double sums[3]);
/* The least root in [lo, hi], which must hold one; p is a guess; x is overwritten. */
double so_general_search(const so_root_table *T, so_elements *x, double target, double decided[3],
                 double p, double lo, double hi);
double so_sample_root(const so_root_table *T, so_elements *y, double goal, double *margin);

#endif
