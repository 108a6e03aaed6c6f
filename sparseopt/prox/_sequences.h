/* Loops over sequences: pooling of adjacent violators, taut string, SLOPE.  Sums are in float64.
 * All are resumable or cut into phases, so that the caller can look for signals in between. */
#ifndef SPARSEOPT_PROX_SEQUENCES_H
#define SPARSEOPT_PROX_SEQUENCES_H

#include <stdint.h>

#include "_lanes.h"

/* Consecutive entries with one value, sum / len. */
typedef struct {
    double sum, len;
} so_piece;

/* Total variation as the shortest path through the tube of the running sums.  Two ways, both from
 * the last knot on, that can take turns:
 *   direct   the cone of slopes that are possible; when it closes, the path is known up to the
 *            entry that limited the other side, and the scan starts again behind it.  Few branches
 *            that cannot be predicted, but entries are read again.
 *   string   `up` holds the slopes of the convex minorant of the upper edge, `low` those of the
 *            concave majorant of the lower edge (room for n pieces each, live from head to tail).
 *            Each entry enters and leaves once.
 * The direct way is left where it reads entries more than about three times, or finds very short
 * pieces; so the work is linear in n for any data.  Short pieces without weights go through
 * `lanes`, if there is such a kernel, block by block; a block that brings little is followed by a
 * longer one of the string. */
typedef struct {
    int64_t written; /* entries of the result; the last knot is there */
    int64_t i;       /* entries read */
    int side;        /* the knot is on the upper (1) or lower (-1) edge, or pinned (0) */
    int string;      /* which way */
    int weak;        /* the last block of lanes brought little */
    int fresh;       /* no entry was read since the knot */
    int64_t mark, scanned, knots; /* direct: knot, entries and knots since the way was chosen */
    double sum, least, most;      /* direct: of entries since the knot; possible slopes */
    int64_t at_least, at_most;    /* direct: entries that limited them */
    int64_t up_head, up_tail, low_head, low_tail; /* string */
} so_path;

void so_path_start(so_path *s);
/* About `budget` entries more; edge i has half width lam * w[i], w NULL for ones.  Results are
 * soft-thresholded by l1 as they are written.  out must not be x. */
void so_path_d(so_path *s, int64_t budget, int64_t n, const double *x, const double *w, double lam,
               double l1, const so_lanes_table *t, so_piece *up, so_piece *low, double *out);
void so_path_s(so_path *s, int64_t budget, int64_t n, const float *x, const float *w, double lam,
               double l1, const so_lanes_table *t, so_piece *up, so_piece *low, float *out);

/* Pools of a nondecreasing fit of entries i0..i1 with weights w (NULL: ones), read from the end
 * if `reverse`; `k` pools are there already.  Returns their number. */
int64_t so_pool_d(int64_t i0, int64_t i1, int64_t n, int reverse, const double *x,
                  const double *w, int64_t k, so_piece *pools, int64_t *starts);
int64_t so_pool_s(int64_t i0, int64_t i1, int64_t n, int reverse, const float *x, const float *w,
                  int64_t k, so_piece *pools, int64_t *starts);

/* SLOPE.  keep: magnitudes above `level` of x[i0..i1) go to v + p; returns the new p.
 * refine: keeps those of v above level.  lam is checked: 0, or NaN if it is not finite, not negative and nonincreasing. */
int64_t so_keep_d(int64_t i0, int64_t i1, const double *x, double level, int64_t p, double *v);
int64_t so_keep_s(int64_t i0, int64_t i1, const float *x, double level, int64_t p, double *v);
double so_check_lam(int64_t n, const double *lam);
int so_is_sorted(int64_t p, const double *v);
int64_t so_refine(int64_t p, double *v, double level);
/* number of sorted entries that may stay above zero */
int64_t so_sorted_cut(int64_t p, const double *v, const double *lam, double scale);

/* Buckets by magnitude, largest first.  A stable scatter can be replayed, so no indices are
 * kept: the entry of x that follows in a bucket is the next one of the bucket. */
typedef struct {
    uint64_t high; /* bits of the largest value */
    int shift, log_count;
    int64_t live; /* all buckets from this one on end at zero */
} so_buckets;
void so_bucket_plan(int64_t p, const double *v, so_buckets *b);
/* start: of each bucket, one more than there are */
void so_bucket_count(int64_t p, const double *v, const so_buckets *b, int64_t *start,
                     double *sums);
void so_bucket_cut(so_buckets *b, const int64_t *start, const double *sums, const double *lam,
                   double scale);
/* the larger of level and of what is below all live buckets */
double so_bucket_level(const so_buckets *b, double level);
/* next: start of each bucket */
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
/* Results in the order of x: the next value of the bucket of each entry above level, zero for all
 * others; b NULL: all are in one bucket. */
void so_replay_d(int64_t i0, int64_t i1, const double *x, double level, const so_buckets *b,
                 int64_t *next, const double *values, double *out);
void so_replay_s(int64_t i0, int64_t i1, const float *x, double level, const so_buckets *b,
                 int64_t *next, const double *values, float *out);

/* All of SLOPE for up to SO_SHORT entries, so few that one sort is enough; x may be out. */
enum { SO_SHORT = 128 };
void so_slope_short_d(int64_t n, const double *x, const double *lam, double scale, double *out);
void so_slope_short_s(int64_t n, const float *x, const double *lam, double scale, float *out);

#endif
