/* Elementwise and group-wise proximal maps, one pass over the data.  _maps.c is compiled once for
 * each instruction set; so_maps(level) returns the best table that `level` allows.
 *
 * Every map returns 0, or NaN if something it read was not a finite number (or, for weights, was
 * negative), so that the check of the input costs no pass of its own.  NaN goes to NaN.  `out` may
 * be `x`.  Results that are zero are +0.
 */
#ifndef SPARSEOPT_PROX_MAPS_H
#define SPARSEOPT_PROX_MAPS_H

#include <stdint.h>

/* kind, with its parameters p and the meaning of y */
enum {
    SO_SOFT,         /* (t, s): s * soft(x, t) */
    SO_SOFT_POS,     /* (t, s): s * max(x - t, 0) */
    SO_WSOFT,        /* (t, s, r), weights y: soft(x, t y) / (1 + r y) * s */
    SO_WSOFT_POS,    /* the same with max(x - t y, 0) */
    SO_FIRM,         /* (lo, s, hi): s * soft(x, lo) up to |x| = hi, then x */
    SO_SCAD,         /* (t, t1, hi, a): soft(x, t) up to t1, a line of slope a up to hi, then x */
    SO_LOG_SUM,      /* (thr, e, t / e, 2 sqrt(t)): 0 up to thr, then the larger root */
    SO_HALF,         /* (thr): power 1/2 */
    SO_TWO_THIRDS,   /* (thr): power 2/3 */
    SO_POWER,        /* (thr, q, kappa): power q < 1 */
    SO_POWER_CONVEX, /* (log(t q), q): power 1 < q < 2 */
    SO_HUBER,        /* (t, delta), y */
    SO_HINGE,        /* (t), labels y */
    SO_SQ_HINGE,     /* (s), labels y: x + s y max(1 - x y, 0) */
    SO_PINBALL,      /* (lo, hi), y */
    SO_LOGISTIC,     /* (t, log t), labels y */
    SO_KL,           /* (t), counts y */
    SO_N_KINDS
};

enum { SO_SHRINK, SO_CLIP_GROUP, SO_BALL, SO_N_GROUP_KINDS };

#define SO_MAP_ARGS(T) int64_t n, const T *x, const T *y, const double *p, T *out

/* Groups j: y_j lam is the level of the group, y NULL for ones.  idx NULL: group j is
 * x[j*g .. (j+1)*g); else x[idx[ptr[j]..ptr[j+1])].  `l1` is soft-thresholded first. */
#define SO_GROUP_ARGS(T)                                                                       \
    int64_t j0, int64_t j1, int64_t g, const int64_t *idx, const int64_t *ptr, const T *x,         \
        const double *y, double lam, double l1, double *work, T *out

typedef double (*so_map_d)(SO_MAP_ARGS(double));
typedef float (*so_map_s)(SO_MAP_ARGS(float));

typedef struct {
    const char *name;
    so_map_d map_d[SO_N_KINDS];
    so_map_s map_s[SO_N_KINDS];
    /* reduce the norm of each group, its largest magnitude (work holds the largest group), or
     * project it onto a ball */
    double (*group_d[SO_N_GROUP_KINDS])(SO_GROUP_ARGS(double));
    double (*group_s[SO_N_GROUP_KINDS])(SO_GROUP_ARGS(float));
} so_maps_table;

const so_maps_table *so_maps(int level);

#endif
