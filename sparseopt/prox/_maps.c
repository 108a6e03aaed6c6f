#include "_maps.h"

#include <math.h>

#include "../_core/_exp.h"

#define SO_CAT2(a, b) a##_##b
#define SO_CAT(a, b) SO_CAT2(a, b)

/* Root v in (0, 1] of v + kappa v^(q-1) = 1: convex, so Newton from 1 descends to it. */
static double power_root(double kappa, double q)
{
    double v = 1.0;
    for (int k = 0; k < 60; k++) {
        double w = kappa * pow(v, q - 1.0);
        double next = v - (v + w - 1.0) / (1.0 + (q - 1.0) * w / v);
        if (!(next < v))
            break;
        v = next;
    }
    return v;
}

/* Root v in (0, 1] of v + exp(log_kappa) v^p = 1, 0 < p < 1: in u = log v the logarithm of the
 * left side is convex with slopes in [p, 1], so Newton from the right descends to the root. */
static double convex_power_root(double log_kappa, double p)
{
    double u = log_kappa > 0.0 ? -log_kappa / p : 0.0;
    for (int k = 0; k < 60; k++) {
        double a = exp(u), b = exp(log_kappa + p * u);
        double next = u - (a + b) * log(a + b) / (a + p * b);
        if (!(next < u))
            break;
        u = next;
    }
    return exp(u);
}

/* Root of u = m + t / (1 + e^u), which lies in [m, m + t].  Where the root is negative, -u solves
 * the same equation with -m - t for m.  For u >= 0 the residual is concave, so Newton ascends from
 * any point below the root; log(t / (top - m) - 1) is one for a bound `top` of the root, close to
 * it when t is large.  The logarithm is bounded from below by the line through its values at
 * powers of two, which the bits of a number hold. */
static inline double logistic_start(double *m, double t, double log_t)
{
    double a = *m;
    a = a + 0.5 * t < 0.0 ? -a - t : a;
    *m = a;
    double top = a + 1.0 < log_t ? log_t : a + 1.0, u = a < 0.0 ? 0.0 : a;
    top = a + t < top ? a + t : top;
    double ratio = t / (top - a) - 1.0;
    ratio = ratio > 1.0 && ratio < 1e300 ? ratio : 1.0;
    /* the exponent and the leading digits, as one number */
    double bits = so_from_bits((so_bits(ratio) >> 32) | 0x4330000000000000u) - 0x1p52;
    double log_ratio = (bits * 0x1p-20 - 1023.0) * 0x1.62e42fefa39efp-1;
    return log_ratio > u ? log_ratio : u;
}

static void logistic_newton(int n, const double *m, double t, double *u)
{
    for (int k = 0; k < 7; k++)
#pragma omp simd
        for (int i = 0; i < n; i++) {
            double e = so_expz(-u[i]), s = e / (1.0 + e);
            u[i] -= (u[i] - m[i] - t * s) / (1.0 + t * s * (1.0 - s));
        }
}

/* Level tau >= 0 with sum_i (v_i - tau)_+ = r: 0 if the sum of all is at most r, infinity for
 * r = 0.  v >= 0 is overwritten.  Newton steps from below (Michelot) drop what lies at or under the new level; where
 * such a step drops little, an entry of the middle halves what is undecided, so the work stays
 * linear.  `sum` and `count` hold the entries known to lie above. */
static double l1_threshold(double *v, int64_t n, double r)
{
    double sum = 0.0, tau = 0.0;
    int64_t count = 0;
    if (!(r > 0.0))
        return INFINITY;
    uint64_t state = 0x9E3779B97F4A7C15u;
    for (int first = 1; n > 0; first = 0) {
        double all = 0.0, level;
        for (int64_t i = 0; i < n; i++)
            all += v[i];
        level = (sum + all - r) / (double)(count + n);
        if (first && !(level > 0.0))
            return 0.0;
        int64_t kept = 0;
        for (int64_t i = 0; i < n; i++) {
            double e = v[i];
            v[kept] = e;
            kept += e > level;
        }
        tau = level > tau ? level : tau;
        if (kept == n) /* all are above: the level is exact */
            return tau;
        int slow = n - kept < n / 8;
        n = kept;
        if (!slow || n == 0)
            continue;
        state = state * 6364136223846793005u + 1442695040888963407u;
        double pivot = v[(state >> 33) % (uint64_t)n], above = 0.0;
        int64_t higher = 0;
        for (int64_t i = 0; i < n; i++) {
            above += v[i] > pivot ? v[i] : 0.0;
            higher += v[i] > pivot;
        }
        int under = (sum + above - r) > pivot * (double)(count + higher); /* pivot < tau */
        kept = 0;
        for (int64_t i = 0; i < n; i++) {
            double e = v[i];
            v[kept] = e;
            kept += under ? e > pivot : e < pivot;
            if (!under && e >= pivot) {
                sum += e;
                count++;
            }
        }
        n = kept;
    }
    return count > 0 ? (sum - r) / (double)count : tau;
}

#define SO_T double
#define SO_N(name) SO_CAT(name, d)
#define SO_SQRT sqrt
#define SO_FABS fabs
#define SO_NAN ((double)NAN)
#include "_maps_body.h"
#include "_groups_body.h"
#undef SO_T
#undef SO_N
#undef SO_SQRT
#undef SO_FABS
#undef SO_NAN
#define SO_T float
#define SO_N(name) SO_CAT(name, s)
#define SO_SQRT sqrtf
#define SO_FABS fabsf
#define SO_NAN NAN
#include "_maps_body.h"
#include "_groups_body.h"
#undef SO_T
#undef SO_N

#define SO_STR2(x) #x
#define SO_STR(x) SO_STR2(x)
#define SO_KINDS(t)                                                                            \
    {soft_##t,  soft_pos_##t,   wsoft_##t, wsoft_pos_##t,    firm_##t,  scad_##t,                  \
     log_sum_##t, half_##t, two_thirds_##t, power_##t, power_convex_##t, huber_##t, hinge_##t,     \
     sq_hinge_##t, pinball_##t, logistic_##t, kl_##t}

const so_maps_table SO_CAT(so_maps_table, SO_ISA) = {
    SO_STR(SO_ISA), SO_KINDS(d), SO_KINDS(s), {shrink_d, clip_d, ball_d}, {shrink_s, clip_s, ball_s},
};
