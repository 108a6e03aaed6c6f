/* Vector functions that NumPy and SciPy lack or do slower; one table for each instruction set. */
#ifndef SPARSEOPT_SIMD_H
#define SPARSEOPT_SIMD_H

#include <stdint.h>

typedef struct {
    const char *name;
    void (*exp_d)(int64_t n, const double *x, double *y);
    void (*exp_s)(int64_t n, const float *x, float *y);
    /* log(sum(exp(x))) of n values; buffer-free, two sweeps, float32 summed in float64 */
    double (*logsumexp_d)(int64_t n, const double *x);
    double (*logsumexp_s)(int64_t n, const float *x);
} so_simd_table;

const so_simd_table *so_simd(int level);

#endif
