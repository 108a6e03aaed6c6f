/* Loops over columns of length n: no threads, no allocation.  _columns.c is compiled once for each
 * instruction set; so_columns(level) returns the table of the best version that was built and that
 * `level` allows.  Sums are float64 for float32 columns too.
 */
#ifndef SPARSEOPT_LINEAR_MODEL_COLUMNS_H
#define SPARSEOPT_LINEAR_MODEL_COLUMNS_H

#include <stdint.h>

typedef struct {
    const char *name;
    double (*dot)(int64_t n, const double *x, const double *y);
    void (*axpy)(int64_t n, double a, const double *x, double *y);
    /* y += sum_k a_k x_k of d columns side by side */
    void (*axpys)(int64_t n, int64_t d, const double *a, const double *x, double *y);
    /* out[k] = sum_i x_i r_i of the columns cols[k0..k1), of 0..k1 if cols is null */
    void (*dots_d)(const double *X, int64_t ld, int64_t n, const int64_t *cols, int64_t k0,
                   int64_t k1, const double *r, double *out);
    void (*dots_s)(const float *X, int64_t ld, int64_t n, const int64_t *cols, int64_t k0,
                   int64_t k1, const double *r, double *out);
    /* square[k] = sum_i s_i x_i^2, mean[k] = sum_i s_i x_i of the columns k0..k1 */
    void (*moments_d)(const double *X, int64_t ld, int64_t n, int64_t k0, int64_t k1,
                      const double *s, double *square, double *mean);
    void (*moments_s)(const float *X, int64_t ld, int64_t n, int64_t k0, int64_t k1,
                      const double *s, double *square, double *mean);
    /* out[k] = sum_i x_ik r_i of the columns k0..k1 of a matrix of rows */
    void (*rows_d)(const double *X, int64_t ld, int64_t n, int64_t k0, int64_t k1,
                   const double *r, double *out);
    void (*rows_s)(const float *X, int64_t ld, int64_t n, int64_t k0, int64_t k1,
                   const double *r, double *out);
} so_column_table;

const so_column_table *so_columns(int level);

#endif
