/* Loops of the exchanges between subsets: no threads, no allocation.  _exchange.c is compiled once
 * for each instruction set; so_exchanges(level) returns the table of the best version that was
 * built and that `level` allows.
 */
#ifndef SPARSEOPT_LINEAR_MODEL_EXCHANGE_H
#define SPARSEOPT_LINEAR_MODEL_EXCHANGE_H

#include <stdint.h>

typedef struct {
    const char *name;
    void (*axpy)(int64_t n, double a, const double *x, double *y);
    /* S += a h h' inside blocks; S holds w entries for each of the m coordinates */
    void (*outer)(int64_t q, int64_t w, const int64_t *ptr, double a, const double *h, double *S);
    /* largest (c + f v)^2 / (S + d v^2) where the denominator is above least, and its place */
    double (*scan)(int64_t m, double f, double d, const double *c, const double *v,
                   const double *S, const double *least, double *score, int64_t *where);
    /* gain of the block of `size` coordinates at c, S (w entries each), after `rows` rows T (m
     * apart) with coefficients tb were lifted; scratch of w * w + w; pivots below least are none */
    double (*gain)(int64_t size, int64_t w, int64_t m, const double *c, const double *S,
                   const double *T, const double *tb, int64_t rows, double least,
                   double *scratch);
} so_exchange_table;

const so_exchange_table *so_exchanges(int level);

#endif
