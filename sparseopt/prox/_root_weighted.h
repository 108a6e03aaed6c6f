/* Chunks of weighted groups for one float type: SO_T named SO_N(name).
 *
 * Of a group with norm |x|, weight d and cost q:  a = unit sqrt(d / q) |x|,  b = lam d,
 * c = 1 - debias lam d,  u = clip((p a - b) / c, 0, 1). */

static int SO_N(weigh)(const SO_T *x, const double *d, const double *q, int64_t n, double unit,
                       double *a)
{
    double bad = 0.0;
    if (!q) { /* what a division by ones gives */
#pragma omp simd reduction(+ : bad)
        for (int64_t i = 0; i < n; i++) {
            double z = fabs((double)x[i]);
            bad += z * 0.0 == 0.0 ? 0.0 : 1.0;
            a[i] = unit * z * sqrt(d[i]);
        }
        return bad > 0.0;
    }
#pragma omp simd reduction(+ : bad)
    for (int64_t i = 0; i < n; i++) {
        double z = fabs((double)x[i]);
        bad += z * 0.0 == 0.0 ? 0.0 : 1.0;
        a[i] = unit * z * sqrt(d[i] / q[i]);
    }
    return bad > 0.0;
}

static void SO_N(weighted_scale)(const SO_T *x, SO_T *w, const double *a, const double *d,
                                 int64_t n, double lam, double debias, double p)
{
    if (debias == 0.0) { /* the same with c = 1 */
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            double b = lam * d[i], u = p * a[i] - b;
            u = u > 16.0 * DBL_EPSILON * b ? u : 0.0;
            u = u < 1.0 ? u : 1.0;
            w[i] = x[i] * (SO_T)(u / (u + b)) + (SO_T)0;
        }
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        double b = lam * d[i], c = 1.0 - debias * b;
        double t = p * a[i] - b, u = t / c;
        /* a difference of rounding's size is none: no group is kept by chance */
        u = t > 16.0 * DBL_EPSILON * b ? u : 0.0;
        u = u < 1.0 ? u : 1.0;
        w[i] = x[i] * (SO_T)(u / (c * u + b)) + (SO_T)0;
    }
}
