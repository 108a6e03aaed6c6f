/* Root of a monotone piecewise affine function, found without sorting.
 *
 * For elements z_i the function of t is
 *     phi(t) = sum over i of  full share       if z_i >= f(t)
 *                             affine share     if e(t) < z_i < f(t)
 *                             nothing          if z_i <= e(t)
 * with thresholds e, f affine and increasing in t, so that phi does not increase.  With P
 * elements in full, N in part and S the sum of these, phi(t) has the sign of
 *     num - t den,   num = n0 + n1 P + S,   den = d0 + d1 P + d2 N
 * relative to its target, and where P, N and S do not change the root is num / den.
 *   envelope:  z = |x|, share clip((z / t - b) / c, 0, 1), target k:
 *              e = b t, f = (b + c) t, num = S, den = c (k - P) + b N
 *   simplex:   share clip(z - t, 0, cap), target s:
 *              e = t, f = t + cap, num = S + cap P - s, den = N
 *
 * A search has these steps; those over all data are left to the caller, in blocks that do
 * not depend on the number of threads.
 *   begin     the root in a sample, and a bracket that holds the root of all but surely
 *   filter    one pass: whatever is decided in the whole bracket is counted, the rest kept
 *   proceed   the exact root within what was kept; on failure a wider bracket, filter again
 * Where ties keep more than half of the data, `measure` passes (counts at one t) come
 * between and narrow the bracket first. */
#ifndef SPARSEOPT_ROOT_H
#define SPARSEOPT_ROOT_H

#include <stdint.h>

#define SO_CHUNK 4096

typedef struct {
    double e1, e0, f1, f0; /* e(t) = e1 t + e0, f(t) = f1 t + f0, f0 may be inf */
    double n0, n1, d0, d1, d2;
    double target; /* k or s; n0 and d0 hold it too */
    double floor;  /* least t: 0 or -1e300 */
    int envelope;
} so_rule;

/* Classes of z for all t in a bracket: z <= out is nothing, z >= full is in full,
 * low <= z <= high < full in part, and anything else undecided. */
typedef struct {
    double out, full, low, high;
} so_cut;

typedef struct {
    int64_t whole, part, kept;
    double sum; /* of those in part */
    int bad;    /* NaN or infinity was seen */
} so_fold;

typedef struct {
    double min, max, sum;
    int64_t positive;
    int bad;
} so_stats;

/* Groups with weights d and costs q, and a budget; see `_root_weighted.h`. */
typedef struct {
    const void *x; /* entries or group norms */
    int is_float;
    int64_t n;
    const double *d, *q; /* NULL: all `weight`, all 1 */
    double weight, lam, debias, target, unit;
    int n_threads;
} so_weighted;

typedef struct {
    const char *name;
    /* Classify n <= SO_CHUNK elements; undecided ones go to buf, which has 16 to spare. */
    void (*filter_d)(const double *x, int64_t n, const so_cut *cut, int absolute, double *buf,
                     so_fold *fold);
    void (*filter_s)(const float *x, int64_t n, const so_cut *cut, int absolute, float *buf,
                     so_fold *fold);
    void (*widen)(const float *x, int64_t n, double *z);
    /* Counts and sum for thresholds e < f. */
    void (*measure_d)(const double *x, int64_t n, double e, double f, int absolute,
                      so_fold *fold);
    void (*measure_s)(const float *x, int64_t n, double e, double f, int absolute,
                      so_fold *fold);
    /* Copy x or |x| to z. */
    void (*load_d)(const double *x, int64_t n, int absolute, double *z, so_stats *stats);
    void (*load_s)(const float *x, int64_t n, int absolute, double *z, so_stats *stats);
    /* w = sign(x) min(max((|x| - tau) alpha, |x| low), |x| high); `past_cache` is for outputs
     * other than x that are larger than any cache. */
    void (*shrink_d)(const double *x, double *w, int64_t n, double tau, double alpha,
                     double low, double high, int past_cache);
    void (*shrink_s)(const float *x, float *w, int64_t n, double tau, double alpha, double low,
                     double high, int past_cache);
    /* w = min(max(x - tau, 0), cap) */
    void (*shift_d)(const double *x, double *w, int64_t n, double tau, double cap,
                    int past_cache);
    void (*shift_s)(const float *x, float *w, int64_t n, double tau, double cap,
                    int past_cache);
    /* Norms of m consecutive groups of g, and w = x times a factor for each group. */
    void (*norms_d)(const double *x, int64_t m, int64_t g, double *r);
    void (*norms_s)(const float *x, int64_t m, int64_t g, double *r);
    void (*scale_d)(const double *x, double *w, int64_t m, int64_t g, const double *s);
    void (*scale_s)(const float *x, float *w, int64_t m, int64_t g, const double *s);
    /* Elements of their own: slope a between breakpoints e < f, constant beyond.
     * whole = sum a (f - e) of those with f <= p, sum_a and sum_ae of those between. */
    void (*measure_g)(const double *e, const double *f, const double *a, int64_t n, double p,
                      double sums[3]);
    /* Keep those not decided within [lo, hi]; returns how many. */
    int64_t (*compact_g)(double *e, double *f, double *a, int64_t n, double lo, double hi,
                         double sums[3]);
    /* a of groups, and whether one is not finite; their prox or factors for the root p. */
    int (*weigh_d)(const double *x, const double *d, const double *q, int64_t n, double unit,
                   double *a);
    int (*weigh_s)(const float *x, const double *d, const double *q, int64_t n, double unit,
                   double *a);
    void (*weighted_scale_d)(const double *x, double *w, const double *a, const double *d,
                             int64_t n, double lam, double debias, double p);
    void (*weighted_scale_s)(const float *x, float *w, const double *a, const double *d,
                             int64_t n, double lam, double debias, double p);
    /* Places of groups that are not decided for p in [lo, hi]; the others are summed. */
    int64_t (*classify_w)(const double *a, const double *d, const double *q, int64_t n,
                          double lam, double debias, double lo, double hi, int32_t *places,
                          double sums[3]);
    /* Breakpoints e, f and slopes of m groups, those at `places` or the first ones; the largest
     * e, infinite where a is zero. */
    double (*break_w)(const double *a, const double *d, const double *q, int64_t m, double lam,
                      double debias, const int32_t *places, double *e, double *f, double *slope);
    /* out = {whole, part, sum of the part, squares of the whole, squares of the part} */
    void (*moments_d)(const double *x, int64_t n, double e, double f, double out[5]);
    void (*moments_s)(const float *x, int64_t n, double e, double f, double out[5]);
    /* Groups j0 to j1 of an index list: their norms, and w = x times a factor in place. */
    void (*gather_norms_d)(const double *x, const int64_t *indices, const int64_t *indptr,
                           int64_t j0, int64_t j1, double *r);
    void (*gather_norms_s)(const float *x, const int64_t *indices, const int64_t *indptr,
                           int64_t j0, int64_t j1, double *r);
    void (*gather_scale_d)(const double *x, double *w, const int64_t *indices,
                           const int64_t *indptr, int64_t j0, int64_t j1, const double *s);
    void (*gather_scale_s)(const float *x, float *w, const int64_t *indices,
                           const int64_t *indptr, int64_t j0, int64_t j1, const double *s);
} so_root_table;

const so_root_table *so_root_level(int level);

typedef enum {
    SO_DONE = 0,
    SO_BAD = 1,     /* NaN or infinity */
    SO_RANGE = 2,   /* scale the data and try again */
    SO_FILTER = 3,  /* filter all blocks with `cut` */
    SO_MEASURE = 4, /* measure all blocks at `t` */
    SO_MEMORY = 5
} so_step;

/* What one block, or several in order, gave in a filter pass. */
typedef struct {
    double *data;
    int64_t n, size;
    so_fold fold;
    so_fold at; /* counts of what is kept at the start of the search */
    int failed;
} so_part;

typedef struct {
    so_rule rule;
    so_cut cut;
    double lo, hi, t, start;
    int sure_lo, sure_hi, newton, any_scale, timid;
    int64_t n, whole, part; /* counts are those of the last measure pass */
    double *sample;
    int64_t n_sample;
    int64_t stored, n_measured;
    uint64_t random;
} so_search;

so_step so_root_begin(const so_root_table *T, so_search *s, const void *x, int is_float,
                      int64_t n, int absolute);
/* The same with a sample of m elements z that the caller drew; it is overwritten, and has room
 * for 16 more. */
so_step so_root_sampled(const so_root_table *T, so_search *s, double *sample, int64_t m,
                        int64_t n, int is_float);
void so_root_filter(const so_root_table *T, so_search *s, const void *x, int is_float,
                    int64_t n, int absolute, so_part *part);
so_step so_root_proceed(const so_root_table *T, so_search *s, so_part *parts, int64_t n_parts);
so_step so_root_narrow(so_search *s, const so_fold *folds, int64_t n_folds);
void so_root_end(so_search *s);

/* Root p of a sum of n elements with their own breakpoints; they are overwritten.
 * Infinity if the sum never reaches the target. */
double so_root_general(const so_root_table *T, double *e, double *f, double *a, int64_t n,
                       double target);
/* Root p of the shares of weighted groups, in units of 1 / g->unit; infinity if there is none. */
so_step so_root_weighted(const so_root_table *T, so_weighted *g, double *p);
/* For that root, where not NULL: the prox of single entries g->x, the factors of groups with
 * norms g->x, and the shares u. */
void so_weighted_prox(const so_root_table *T, const so_weighted *g, double p, void *w,
                      double *factors, double *shares);

#endif
