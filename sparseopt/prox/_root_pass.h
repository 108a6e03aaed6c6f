/* Loops of `_root.h` that compilers vectorise, for float type SO_T named SO_N(name). */

#ifdef SO_MEASURE_TOO
static void SO_N(measure)(const SO_T *x, int64_t n, double e, double f, int absolute,
                          so_fold *fold)
{
    double whole = 0.0, part = 0.0, sum = 0.0;
    double flip = absolute ? -1.0 : 1.0;
#pragma omp simd reduction(+ : whole, part, sum)
    for (int64_t i = 0; i < n; i++) {
        double v = (double)x[i], z = v < 0.0 ? flip * v : v;
        double w = z >= f ? 1.0 : 0.0, in = z > e ? 1.0 : 0.0;
        double p = w > 0.0 ? 0.0 : in;
        whole += w * in;
        part += p;
        sum += p > 0.0 ? z : 0.0;
    }
    fold->whole += (int64_t)whole;
    fold->part += (int64_t)part;
    fold->sum += sum;
}
#endif

static void SO_N(load)(const SO_T *x, int64_t n, int absolute, double *z, so_stats *stats)
{
    double flip = absolute ? -1.0 : 1.0;
    double least = INFINITY, most = -INFINITY, sum = 0.0, positive = 0.0, bad = 0.0;
#pragma omp simd reduction(+ : sum, positive, bad) reduction(max : most) reduction(min : least)
    for (int64_t i = 0; i < n; i++) {
        double v = (double)x[i], y = v < 0.0 ? flip * v : v;
        z[i] = y;
        least = y < least ? y : least;
        most = y > most ? y : most;
        sum += y;
        positive += y > 0.0 ? 1.0 : 0.0;
        bad += fabs(v) <= DBL_MAX ? 0.0 : 1.0;
    }
    stats->min = least;
    stats->max = most;
    stats->sum = sum;
    stats->positive = (int64_t)positive;
    stats->bad = bad > 0.0;
}

static inline SO_T SO_N(shrunk)(SO_T x, SO_T tau, SO_T alpha, SO_T low, SO_T high)
{
    SO_T z = x < 0 ? -x : x, least = z * low, most = z * high, v = (z - tau) * alpha;
    v = v > least ? v : least;
    v = v < most ? v : most;
    /* adding zero makes -0 a +0 */
    return (x < 0 ? -v : v) + (SO_T)0;
}

static void SO_N(shrink)(const SO_T *x, SO_T *w, int64_t n, double tau_, double alpha_,
                         double low_, double high_, int past_cache)
{
    /* just above the root: an element that enters there is not kept by rounding */
    double above = 1.0 + 4.0 * (sizeof(SO_T) == 8 ? DBL_EPSILON : FLT_EPSILON);
    SO_T tau = (SO_T)(tau_ * above), alpha = (SO_T)alpha_, low = (SO_T)low_;
    SO_T high = (SO_T)high_;
    int64_t i = 0;
#ifdef SO_VECTOR
    if (past_cache) {
        for (; (uintptr_t)(w + i) % sizeof(SO_VECTOR) && i < n; i++)
            w[i] = SO_N(shrunk)(x[i], tau, alpha, low, high);
        for (; i + SO_LANES <= n; i += SO_LANES) {
            SO_T block[SO_LANES];
#pragma omp simd
            for (int l = 0; l < SO_LANES; l++)
                block[l] = SO_N(shrunk)(x[i + l], tau, alpha, low, high);
            SO_STORE(w + i, block);
        }
        _mm_sfence();
    }
#endif
    (void)past_cache;
#pragma omp simd
    for (int64_t j = i; j < n; j++)
        w[j] = SO_N(shrunk)(x[j], tau, alpha, low, high);
}

static inline SO_T SO_N(shifted)(SO_T x, SO_T tau, SO_T cap)
{
    SO_T v = x - tau;
    v = v > 0 ? v : 0;
    return v < cap ? v : cap;
}

static void SO_N(shift)(const SO_T *x, SO_T *w, int64_t n, double tau_, double cap_,
                        int past_cache)
{
    SO_T tau = (SO_T)tau_, cap = (SO_T)cap_;
    int64_t i = 0;
#ifdef SO_VECTOR
    if (past_cache) {
        for (; (uintptr_t)(w + i) % sizeof(SO_VECTOR) && i < n; i++)
            w[i] = SO_N(shifted)(x[i], tau, cap);
        for (; i + SO_LANES <= n; i += SO_LANES) {
            SO_T block[SO_LANES];
#pragma omp simd
            for (int l = 0; l < SO_LANES; l++)
                block[l] = SO_N(shifted)(x[i + l], tau, cap);
            SO_STORE(w + i, block);
        }
        _mm_sfence();
    }
#endif
    (void)past_cache;
#pragma omp simd
    for (int64_t j = i; j < n; j++)
        w[j] = SO_N(shifted)(x[j], tau, cap);
}

/* Norm from the sum of squares, again with scaled entries where squares leave the range. */
static double SO_N(safe_norm)(const SO_T *x, int64_t g, double squares)
{
    if (squares > 1e-280 && squares < 1e300)
        return sqrt(squares);
    double top = 0.0, sum = 0.0;
    for (int64_t i = 0; i < g; i++) {
        double v = fabs((double)x[i]);
        if (!(v <= DBL_MAX))
            return v;
        top = v > top ? v : top;
    }
    if (top == 0.0)
        return 0.0;
    for (int64_t i = 0; i < g; i++) {
        double v = (double)x[i] / top;
        sum += v * v;
    }
    return top * sqrt(sum);
}

static void SO_N(norms)(const SO_T *x, int64_t m, int64_t g, double *r)
{
    for (int64_t j = 0; j < m; j++) {
        const SO_T *y = x + j * g;
        double squares = 0.0;
#pragma omp simd reduction(+ : squares)
        for (int64_t i = 0; i < g; i++)
            squares += (double)y[i] * (double)y[i];
        r[j] = SO_N(safe_norm)(y, g, squares);
    }
}

static void SO_N(scale)(const SO_T *x, SO_T *w, int64_t m, int64_t g, const double *s)
{
    for (int64_t j = 0; j < m; j++) {
        SO_T factor = (SO_T)s[j];
#pragma omp simd
        for (int64_t i = j * g; i < (j + 1) * g; i++)
            w[i] = x[i] * factor + (SO_T)0;
    }
}

static void SO_N(moments)(const SO_T *x, int64_t n, double e, double f, double out[5])
{
    double whole = 0.0, part = 0.0, sum = 0.0, squares = 0.0, rest = 0.0;
#pragma omp simd reduction(+ : whole, part, sum, squares, rest)
    for (int64_t i = 0; i < n; i++) {
        double z = fabs((double)x[i]);
        double in = z > e ? 1.0 : 0.0, w = z >= f ? in : 0.0, p = in - w;
        whole += w;
        part += p;
        sum += p > 0.0 ? z : 0.0;
        squares += w > 0.0 ? z * z : 0.0;
        rest += p > 0.0 ? z * z : 0.0;
    }
    out[0] += whole;
    out[1] += part;
    out[2] += sum;
    out[3] += squares;
    out[4] += rest;
}

static void SO_N(gather_norms)(const SO_T *x, const int64_t *indices, const int64_t *indptr,
                               int64_t j0, int64_t j1, double *r)
{
    for (int64_t j = j0; j < j1; j++) {
        double squares = 0.0, top = 0.0, sum = 0.0;
        for (int64_t i = indptr[j]; i < indptr[j + 1]; i++) {
            double v = (double)x[indices[i]];
            squares += v * v;
        }
        r[j] = sqrt(squares);
        if (squares > 1e-280 && squares < 1e300)
            continue;
        for (int64_t i = indptr[j]; i < indptr[j + 1]; i++) {
            double v = fabs((double)x[indices[i]]);
            top = v > top || v != v ? v : top;
        }
        if (top == 0.0 || !(top <= DBL_MAX)) {
            r[j] = squares != squares ? squares : top;
            continue;
        }
        for (int64_t i = indptr[j]; i < indptr[j + 1]; i++) {
            double v = (double)x[indices[i]] / top;
            sum += v * v;
        }
        r[j] = top * sqrt(sum);
    }
}

static void SO_N(gather_scale)(const SO_T *x, SO_T *w, const int64_t *indices,
                               const int64_t *indptr, int64_t j0, int64_t j1, const double *s)
{
    for (int64_t j = j0; j < j1; j++)
        for (int64_t i = indptr[j]; i < indptr[j + 1]; i++)
            w[indices[i]] = x[indices[i]] * (SO_T)s[j] + (SO_T)0;
}
