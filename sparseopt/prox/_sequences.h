/* Loops over sequences: pooling of adjacent violators, taut string, SLOPE.  Sums are in float64.
 * All are resumable or cut into phases, so that the caller can look for signals in between. */
#ifndef SPARSEOPT_PROX_SEQUENCES_H
#define SPARSEOPT_PROX_SEQUENCES_H

#include <stdint.h>

/* Consecutive entries with one value, sum / len. */
typedef struct {
    double sum, len;
} so_piece;

/* Taut string through the tube of the running sums: `up` holds the slopes of the convex minorant
 * of its upper edge from the last knot on, `low` those of the concave majorant of its lower edge;
 * both arrays have room for n pieces, and live pieces are those from head to tail. */
typedef struct {
    int64_t up_head, up_tail, low_head, low_tail;
    int64_t written; /* entries of the result */
    double edge;     /* half the width of the tube at the last entry */
} so_string;

/* Entries i0..i1 of n; edge i has half width lam * w[i], w NULL for ones.  Results are
 * soft-thresholded by l1 as they are written. */
void so_string_d(so_string *s, int64_t i0, int64_t i1, int64_t n, const double *x,
                 const double *w, double lam, double l1, so_piece *up, so_piece *low, double *out);
void so_string_s(so_string *s, int64_t i0, int64_t i1, int64_t n, const float *x, const float *w,
                 double lam, double l1, so_piece *up, so_piece *low, float *out);

/* Pools of a nondecreasing fit of entries i0..i1 with weights w (NULL: ones), read from the end
 * if `reverse`; `k` pools are there already.  Returns their number. */
int64_t so_pool_d(int64_t i0, int64_t i1, int64_t n, int reverse, const double *x,
                  const double *w, int64_t k, so_piece *pools, int64_t *starts);
int64_t so_pool_s(int64_t i0, int64_t i1, int64_t n, int reverse, const float *x, const float *w,
                  int64_t k, so_piece *pools, int64_t *starts);

/* SLOPE.  keep: magnitudes above `level` of x[i0..i1) go to v + p; returns the new p.
 * refine: keeps those of v above level.  lam is checked: 0, or NaN if it is not finite,
 * not negative and nonincreasing. */
int64_t so_keep_d(int64_t i0, int64_t i1, const double *x, double level, int64_t p, double *v);
int64_t so_keep_s(int64_t i0, int64_t i1, const float *x, double level, int64_t p, double *v);
int64_t so_refine(int64_t p, double *v, double level);
double so_check_lam(int64_t n, const double *lam);
int so_is_sorted(int64_t p, const double *v);

/* Buckets by magnitude, largest first.  A stable scatter can be replayed, so no indices are
 * kept: the entry of x that follows in a bucket is the next one of the bucket. */
typedef struct {
    uint64_t high; /* bits of the largest value */
    int shift, log_count;
} so_buckets;
void so_bucket_plan(int64_t p, const double *v, so_buckets *b);
void so_bucket_count(int64_t p, const double *v, const so_buckets *b, int64_t *start);
void so_bucket_scatter(int64_t p, const double *v, const so_buckets *b, int64_t *next, double *to);
/* perm: order of v within one bucket of n entries; room for 2 n words in work.  Returns -1 if
 * memory is short. */
int so_bucket_sort(int64_t n, const double *v, const so_buckets *b, uint64_t *work, uint32_t *perm);
/* pools of v[perm] - lam, nonincreasing; perm NULL: v is in order */
int64_t so_slope_pool(int64_t n, const double *v, const uint32_t *perm, const double *lam,
                      double scale, int64_t k, so_piece *pools);
/* values of n sorted entries, from pool k and `used` of its entries on, to out[perm] */
void so_slope_values(int64_t n, const so_piece *pools, int64_t *k, int64_t *used,
                     const uint32_t *perm, double *out);
void so_replay_d(int64_t i0, int64_t i1, const double *x, double level, const so_buckets *b,
                 int64_t *next, const double *values, double *out);
void so_replay_s(int64_t i0, int64_t i1, const float *x, double level, const so_buckets *b,
                 int64_t *next, const double *values, float *out);

#endif
