/* Row kernels of matrix completion: loops over rows [i0, i1) of one side, no threads, no
 * allocation.  _rows.c is compiled once for each instruction set; so_mc_rows(level) returns the
 * table of the best version that was built and that `level` allows.
 *
 * Row i has the entries e = ptr[i] .. ptr[i+1]-1 with column idx[e], value x[e] and weight w[e]
 * (NULL: all 1).  Factors have rows of kp numbers, kp a multiple of SO_LANES(type): one cache
 * line is one vector, and there are no remainders.  Padding is zero.
 *
 * Entries are taken in tiles of one vector's length: their factor rows are gathered once into a
 * contiguous tile, the dot products of a whole tile are reduced together (14 shuffles for 8
 * doubles, where a reduction for each would take 24), and the tile stays in L1 for the steps that
 * follow.
 */
#ifndef SPARSEOPT_MC_ROWS_H
#define SPARSEOPT_MC_ROWS_H

#include <stdint.h>

#define SO_LINE 64 /* bytes of a vector */
#define SO_KEEP 393216 /* bytes of gathered tiles of a row that are kept between steps */

/* Entries whose tiles fit, at least one tile. */
#define SO_KEPT(kp, lanes)                                                                     \
    ((int64_t)(lanes) * ((kp) * SO_LINE < SO_KEEP ? SO_KEEP / ((kp) * SO_LINE) : 1))

/* Numbers of workspace that `cg` needs for factors of width kp, of a type that has so many lanes
 * in a vector. */
#define SO_CG_WORK(kp, lanes) ((SO_KEPT(kp, lanes) + 6) * (kp))

/* A few conjugate-gradient steps for each row, from the current a_i:
 *     min_a 1/2 sum_e w_e (x_e - a.V_j)^2 + 1/2 sum_l (s_i d_l + base_l) a_l^2
 * preconditioned by 1 / (c_i g_l + s_i d_l + base_l), c_i the sum of the weights: g_l c_i is what
 * the diagonal of the Gram matrix is expected to be.  Coordinates with mask 0 keep their value.
 * scale NULL: s_i = 1; base NULL: 0.  rss_i receives the weighted sum of squared residuals before
 * the first step, drop_i twice the decrease of the objective. */
#define SO_CG_ARGS(T)                                                                          \
    int64_t i0, int64_t i1, const int64_t *ptr, const int32_t *idx, const T *x, const T *w,    \
        const T *V, int64_t kp, T *A, const T *d, const T *g, const T *mask,                   \
        const double *scale, const T *base, int steps, double tol, double *rss,               \
        double *drop, T *work

/* r_e = w_e (x_e - a_i.V_j), with x NULL: r_e = w_e a_i.V_j.  Y NULL or Y_i = sum_e r_e V_j over
 * the first ky columns; r NULL: not stored.  rss NULL or rss_i = sum_e w_e (x_e - a_i.V_j)^2. */
#define SO_PRODUCT_ARGS(T)                                                                     \
    int64_t i0, int64_t i1, const int64_t *ptr, const int32_t *idx, const T *x, const T *w,    \
        const T *V, int64_t kp, const T *A, T *r, T *Y, int64_t ky, double *rss, T *work

/* Y_i = sum_e x_e V_j */
#define SO_SPMM_ARGS(T)                                                                        \
    int64_t i0, int64_t i1, const int64_t *ptr, const int32_t *idx, const T *x,                \
        const T *V, int64_t kp, T *Y

typedef struct {
    const char *name;
    void (*cg_d)(SO_CG_ARGS(double));
    void (*cg_s)(SO_CG_ARGS(float));
    void (*product_d)(SO_PRODUCT_ARGS(double));
    void (*product_s)(SO_PRODUCT_ARGS(float));
    void (*spmm_d)(SO_SPMM_ARGS(double));
    void (*spmm_s)(SO_SPMM_ARGS(float));
} so_mc_table;

const so_mc_table *so_mc_rows(int level);

#endif
