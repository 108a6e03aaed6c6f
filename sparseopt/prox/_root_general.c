#include "_root_exact.h"

#include <stdlib.h>
#include <string.h>

/* sum a (min(p, f) - e)_+ is V + p A - B with sums V of elements that are full, A of slopes
 * and B of slopes times enters of those that are not. */

double so_value(const so_root_table *T, const so_elements *x, const double decided[3], double p,
                    double sums[3])
{
    memcpy(sums, decided, 3 * sizeof *sums);
    T->measure_g(x->e, x->f, x->a, x->n, p, sums);
    return sums[0] + (sums[1] * p - sums[2]);
}

/* Whether the sum at p has reached the target.  Where no element is between its bounds the sum is
 * flat, and a target that it meets but for rounding is met: else the search would go on to the
 * next breakpoint, and the element that enters there keep a share of rounding's size. */
static int reached(const double sums[3], double p, double target)
{
    double excess = sums[0] + (sums[1] * p - sums[2]) - target;
    return excess >= (sums[1] > 0.0 ? 0.0 : -1e-13 * target);
}

static double random_breakpoint(const so_elements *x, uint64_t *state, double lo, double hi)
{
    uint64_t bits = next_random(state);
    int64_t i = (int64_t)((bits >> 8) % (uint64_t)x->n);
    double first = bits & 1 ? x->e[i] : x->f[i], second = bits & 1 ? x->f[i] : x->e[i];
    double p = first > lo && first < hi ? first : second;
    if (p > lo && p < hi)
        return p;
    if (lo > 0.0 && hi > 4.0 * lo) /* between bounds of unlike size */
        return sqrt(lo) * sqrt(hi);
    return lo + 0.5 * (hi - lo);
}

static double bounds(const so_root_table *T, so_elements *x, double target, double *lo, double *hi)
{
    const double none[3] = {0.0, 0.0, 0.0};
    double least = INFINITY, most = -INFINITY, sums[3];
    for (int64_t i = 0; i < x->n; i++) {
        least = x->e[i] < least ? x->e[i] : least;
        most = x->f[i] > most ? x->f[i] : most;
    }
    *lo = least;
    *hi = most < INFINITY ? most : SO_HUGE;
    return so_value(T, x, none, *hi, sums) - target;
}

/* Newton steps and random breakpoints in turns until nothing is undecided in [lo, hi]. */
double so_general_search(const so_root_table *T, so_elements *x, double target, double decided[3],
                 double p, double lo, double hi)
{
    double sums[3];
    uint64_t state = SO_SEED;
    int slow = 0;
    for (int it = 0; it < 1000; it++) {
        int64_t before = x->n;
        x->n = T->compact_g(x->e, x->f, x->a, x->n, lo, hi, decided);
        if (x->n == 0)
            break;
        slow = (double)x->n > 0.7 * (double)before ? slow + 1 : 0;
        if (!(p > lo && p < hi) || slow > 2) {
            slow = 0;
            p = random_breakpoint(x, &state, lo, hi);
            if (!(p > lo && p < hi))
                return lo;
        }
        so_value(T, x, decided, p, sums);
        double next = sums[1] > 0.0 ? (target - sums[0] + sums[2]) / sums[1] : NAN;
        if (next == p)
            return p;
        if (reached(sums, p, target))
            hi = p;
        else
            lo = p;
        p = next;
    }
    p = decided[1] > 0.0 ? (target - decided[0] + decided[2]) / decided[1] : lo;
    return p < lo ? lo : p > hi ? hi : p;
}

/* One element from each of y->n equal pieces of x. */
static void draw(const so_elements *x, so_elements *y)
{
    uint64_t state = SO_SEED;
    for (int64_t j = 0; j < y->n; j++) {
        int64_t first = j * x->n / y->n, size = (j + 1) * x->n / y->n - first;
        int64_t i = first + (int64_t)(next_random(&state) % (uint64_t)size);
        y->e[j] = x->e[i];
        y->f[j] = x->f[i];
        y->a[j] = x->a[i];
    }
}

/* The root in a sample, and the margin by which the sum may be wrong there. */
double so_sample_root(const so_root_table *T, so_elements *y, double goal, double *margin)
{
    double lo, hi, squares = 0.0, largest = 0.0, decided[3] = {0.0, 0.0, 0.0};
    if (!y->n || !(goal > 0.0) || bounds(T, y, goal, &lo, &hi) < 0.0)
        return NAN;
    size_t bytes = 3 * (size_t)y->n * sizeof(double);
    double *copy = malloc(bytes);
    if (!copy)
        return NAN;
    so_elements z = {copy, copy + y->n, copy + 2 * y->n, y->n};
    memcpy(z.e, y->e, bytes / 3);
    memcpy(z.f, y->f, bytes / 3);
    memcpy(z.a, y->a, bytes / 3);
    double p = so_general_search(T, &z, goal, decided, lo, lo, hi);
    free(copy);
    for (int64_t j = 0; j < y->n; j++) {
        double u = fmax(y->a[j] * (fmin(p, y->f[j]) - y->e[j]), 0.0);
        squares += u * u;
        largest = fmax(largest, u);
    }
    *margin = 3.0 * (sqrt(squares) + largest);
    return p;
}

/* Tighten a bracket with the roots of a sample for its share of the target, more and less. */
static void narrow(const so_root_table *T, const so_elements *x, double target, double *p,
                   double *lo, double *hi)
{
    enum { M = 2048 };
    const double none[3] = {0.0, 0.0, 0.0};
    double *copy = malloc(3 * M * sizeof *copy), sums[3], margin = 0.0, unused;
    if (!copy)
        return; /* the whole bracket will do */
    so_elements y = {copy, copy + M, copy + 2 * M, M};
    double goal = target * (double)M / (double)x->n;
    draw(x, &y);
    for (int side = 0; side < 3; side++) {
        double shift = side == 0 ? 0.0 : side == 1 ? margin : -margin;
        double at = so_sample_root(T, &y, goal + shift, side ? &unused : &margin);
        if (!(at > *lo && at < *hi))
            continue;
        so_value(T, x, none, at, sums);
        if (reached(sums, at, target))
            *hi = at;
        else
            *lo = at;
        if (side == 0 && sums[1] > 0.0)
            *p = (target - sums[0] + sums[2]) / sums[1];
    }
    free(copy);
}

double so_root_general(const so_root_table *T, double *e, double *f, double *a, int64_t n,
                       double target)
{
    so_elements x = {e, f, a, n};
    double lo, hi, decided[3] = {0.0, 0.0, 0.0};
    if (bounds(T, &x, target, &lo, &hi) < 0.0)
        return INFINITY;
    double p = lo;
    if (n > 16384)
        narrow(T, &x, target, &p, &lo, &hi);
    return so_general_search(T, &x, target, decided, p, lo, hi);
}
