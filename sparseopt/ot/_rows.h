/* Row kernels of the transport solvers: loops over a range of rows [i0, i1), no threads, no
 * allocation.  _rows.c is compiled once for each instruction set; so_ot_rows(level) returns the
 * table of the best version that was built and that `level` allows.
 *
 * Notation: rows i (mass a_i, potential f_i, always eliminated), columns j (potential g_j),
 * P_ij = exp((f_i + g_j - C_ij) * inv_eps).  A support is a list of blocks of SO_B consecutive
 * columns: block k of row i covers columns SO_B*blk[k] .. +SO_B-1.  Its costs are read where they
 * stand, a cache line at a time.  Column vectors are padded to a multiple of SO_B; padded costs
 * are +inf.
 */
#ifndef SPARSEOPT_OT_ROWS_H
#define SPARSEOPT_OT_ROWS_H

#include <stdint.h>

#define SO_B 8

#define SO_DENSE_ARGS(T)                                                                       \
    const T *C, int64_t ldc, int64_t i0, int64_t i1, int64_t m, double inv_eps,                \
        const double *loga, const double *a, double *f, const double *g, double *c, double *buf,   \
        int fast

#define SO_COUNT_ARGS(T)                                                                       \
    const T *C, int64_t ldc, int64_t i0, int64_t i1, int64_t m, const double *f,               \
        const double *g, const double *slack, int64_t *count

#define SO_FILL_ARGS(T)                                                                        \
    const T *C, int64_t ldc, int64_t i0, int64_t i1, int64_t m, const double *f,               \
        const double *g, const double *slack, const int64_t *ptr, int32_t *blk

typedef struct {
    const char *name;
    /* row update and column sums, f_i <- ..., c_j += P_ij; `fast` takes the exp in float32
     * (relative error 1e-6), which is enough for warm starts at half the time */
    void (*pass_d)(SO_DENSE_ARGS(double));
    void (*pass_s)(SO_DENSE_ARGS(float));
    /* certificate of the plan at (f, g), six numbers a row: sum_j of P y, C P, C P y and C z,
     * min_j C_ij - g_j, and sum_j P */
    void (*cert_d)(const double *C, int64_t ldc, int64_t i0, int64_t i1, int64_t m, double inv_eps,
                   const double *f, const double *g, const double *y, const double *z, double *out);
    void (*cert_s)(const float *C, int64_t ldc, int64_t i0, int64_t i1, int64_t m, double inv_eps,
                   const double *f, const double *g, const double *y, const double *z, double *out);
    /* without a stored plan: y_j += sum_i P_ij t_i / a_i with t = P x; x NULL: t_i = P_ij */
    void (*hv_d)(const double *C, int64_t ldc, int64_t i0, int64_t i1, int64_t m, double inv_eps,
                 const double *a, const double *f, const double *g, const double *x, double *y,
                 double *buf);
    void (*hv_s)(const float *C, int64_t ldc, int64_t i0, int64_t i1, int64_t m, double inv_eps,
                 const double *a, const double *f, const double *g, const double *x, double *y,
                 double *buf);
    /* all entries of the plan, (n, m) */
    void (*plan_d)(const double *C, int64_t ldc, int64_t i0, int64_t i1, int64_t m, double inv_eps,
                   const double *f, const double *g, double *K);
    void (*plan_s)(const float *C, int64_t ldc, int64_t i0, int64_t i1, int64_t m, double inv_eps,
                   const double *f, const double *g, double *K);
    /* scaling form on a stored plan: u_i = a_i / K_i v, c_j += u_i K_ij */
    void (*scale)(const double *K, int64_t i0, int64_t i1, int64_t m, const double *a,
                  const double *v, double *u, double *c);
    /* blocks that hold an entry with f_i + g_j - C_ij >= -slack_i */
    void (*count_d)(SO_COUNT_ARGS(double));
    void (*count_s)(SO_COUNT_ARGS(float));
    void (*fill_d)(SO_FILL_ARGS(double));
    void (*fill_s)(SO_FILL_ARGS(float));
    /* pass on the support; E receives the plan entries */
    void (*eval_d)(const double *C, int64_t ldc, int64_t i0, int64_t i1, int64_t m,
                   const int64_t *ptr, const int32_t *blk, double inv_eps, const double *loga,
                   const double *a, double *f, const double *g, double *c, double *E);
    void (*eval_s)(const float *C, int64_t ldc, int64_t i0, int64_t i1, int64_t m,
                   const int64_t *ptr, const int32_t *blk, double inv_eps, const double *loga,
                   const double *a, double *f, const double *g, double *c, double *E);
    /* blocks of the Hessian, or of a smaller support: those with an entry P_ij >= tau a_i */
    void (*hess_count)(int64_t i0, int64_t i1, const int64_t *ptr, const double *E,
                       const double *a, double tau, int64_t *count);
    /* The Newton matrix as a weighted Laplacian: P on those blocks in float32 (weights right to
     * 6e-8 make a direction right to 6e-8, and the products are bound by memory), inverse row
     * sums s_i, the
     * column ref_i of the row's largest entry, the diagonal d_j += P_ij (1 - P_ij s_i)
     * without cancellation, and the mass of the blocks left out, drop_j += P_ij. */
    void (*hess_fill)(int64_t i0, int64_t i1, const int64_t *ptr, const int32_t *blk,
                      const double *E, const double *a, double tau, const int64_t *hptr,
                      int32_t *hblk, float *Q, double *s, int32_t *ref, double *d,
                      double *drop);
    /* the same blocks of the support itself */
    void (*refine)(int64_t i0, int64_t i1, const int64_t *ptr, const int32_t *blk,
                   const double *E, const double *a, double tau, const int64_t *sptr,
                   int32_t *sblk);
    /* y_j += P_ij (x_j - t_i), t_i the mean of x over row i.  Differences are taken against
     * x[ref_i]: where one entry holds nearly all of a row, x_j - t_i is then exact to its own
     * size and flows over links of 1e-14 still count. */
    void (*matvec)(int64_t i0, int64_t i1, const int64_t *ptr, const int32_t *blk,
                   const float *Q, const double *s, const int32_t *ref, const double *x,
                   double *y);
    double (*dot)(int64_t n, const double *x, const double *y);
    /* x += al p, r -= al q, z = r * inv_d; returns r.z and r.r in out */
    void (*cg_step)(int64_t n, double al, const double *p, const double *q,
                    const double *inv_d, double *x, double *r, double *z, double *out);
} so_ot_table;

const so_ot_table *so_ot_rows(int level);

#endif
