/* The direct way of _sequences.h for eight stretches of one sequence at a time, without branches
 * that cannot be predicted: for data where the pieces are short.
 *
 * Stretch l starts at begin + l * size.  The first starts from the true knot, the others from a
 * guess, a pinned edge; from the first knot on that the true path shares, all knots are true.
 * Each stretch ends with the first knot at or behind the start of the next one.  Reads entries
 * before `limit` only, and at most `steps` of them for each stretch.
 *
 * Piece k of stretch l: values[l * size + k], and ends[l * size + k] = 2 * (its last entry) + 1
 * where its knot is on the upper edge, + 0 on the lower; counts[l] of them. */
#ifndef SPARSEOPT_PROX_LANES_H
#define SPARSEOPT_PROX_LANES_H

#include <stdint.h>

#define SO_LANES_ARGS(T)                                                                       \
    const T *x, double lam, int64_t begin, int side, int64_t size, int64_t limit, int64_t steps,   \
        double *values, int64_t *ends, int64_t *counts

typedef struct {
    const char *name;
    /* NULL where the instruction set has no gathers and scatters */
    void (*lanes_d)(SO_LANES_ARGS(double));
    void (*lanes_s)(SO_LANES_ARGS(float));
} so_lanes_table;

const so_lanes_table *so_lanes(int level);

#endif
