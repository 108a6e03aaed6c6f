#include "_rows.h"

#include <math.h>

#include "../_core/_exp.h"

#define SO_CAT2(a, b) a##_##b
#define SO_CAT(a, b) SO_CAT2(a, b)

#define SO_STRIP 128

/* The hardware prefetchers stop at page ends, where each strip of four rows lands at once. */
static inline void so_prefetch(const void *strip, int64_t size)
{
#if defined(__GNUC__)
    const char *ahead = (const char *)strip + 2048;
    for (int64_t k = 0; k < SO_STRIP * size; k += 64)
        __builtin_prefetch(ahead + k);
#else
    (void)strip;
    (void)size;
#endif
}

#define SO_ADD_ROWS(name, type)                                                                \
    static inline void name(int64_t m, const double *w, const type *restrict e0,               \
                            const type *restrict e1, const type *restrict e2,                  \
                            const type *restrict e3, double *restrict c)                       \
    {                                                                                          \
        type w0 = (type)w[0], w1 = (type)w[1], w2 = (type)w[2], w3 = (type)w[3];               \
        _Pragma("omp simd") for (int64_t j = 0; j < m; j++)                                    \
            c[j] += (w0 * e0[j] + w1 * e1[j]) + (w2 * e2[j] + w3 * e3[j]);                     \
    }
SO_ADD_ROWS(add_rows, double)
SO_ADD_ROWS(add_rows_f, float)

static inline double sum_block(const double *x)
{
    return ((x[0] + x[4]) + (x[1] + x[5])) + ((x[2] + x[6]) + (x[3] + x[7]));
}

#if defined(__AVX512F__)
static inline __m512d load8_d(__mmask8 lanes, const double *x)
{
    return _mm512_maskz_loadu_pd(lanes, x);
}

static inline __m512d load8_s(__mmask8 lanes, const float *x)
{
    return _mm512_cvtps_pd(_mm256_maskz_loadu_ps(lanes, x));
}
#endif

#define SO_T double
#define SO_N(name) SO_CAT(name, d)
#include "_rows_dense.h"
#undef SO_T
#undef SO_N
#define SO_T float
#define SO_N(name) SO_CAT(name, s)
#include "_rows_dense.h"
#undef SO_T
#undef SO_N

/* Four rows together: K is read from memory once, v and c once for four rows from L1 or L2. */
static void scale(const double *K, int64_t i0, int64_t i1, int64_t m, const double *a,
                  const double *restrict v, double *u, double *restrict c)
{
    for (int64_t i = i0; i < i1; i += 4) {
        int nr = i1 - i < 4 ? (int)(i1 - i) : 4;
        const double *restrict k0 = K + i * m;
        const double *restrict k1 = K + (i + (nr > 1 ? 1 : 0)) * m;
        const double *restrict k2 = K + (i + (nr > 2 ? 2 : 0)) * m;
        const double *restrict k3 = K + (i + (nr > 3 ? 3 : 0)) * m;
        double s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
        for (int64_t j = 0; j < m; j++) {
            s0 += k0[j] * v[j];
            s1 += k1[j] * v[j];
            s2 += k2[j] * v[j];
            s3 += k3[j] * v[j];
        }
        double s[4] = {s0, s1, s2, s3}, w[4] = {0.0};
        for (int r = 0; r < nr; r++)
            w[r] = u[i + r] = a[i + r] / s[r];
        add_rows(m, w, k0, k1, k2, k3, c);
    }
}

static inline int hess_hit(const double *restrict e, double thr)
{
    int hit = 0;
    for (int t = 0; t < SO_B; t++)
        hit |= e[t] >= thr;
    return hit;
}

static void hess_count(int64_t i0, int64_t i1, const int64_t *ptr, const double *E,
                       const double *a, double tau, int64_t *count)
{
    for (int64_t i = i0; i < i1; i++) {
        int64_t n = 0;
        for (int64_t k = ptr[i]; k < ptr[i + 1]; k++)
            n += hess_hit(E + SO_B * k, tau * a[i]);
        count[i] = n;
    }
}

static void hess_fill(int64_t i0, int64_t i1, const int64_t *ptr, const int32_t *blk,
                      const double *E, const double *a, double tau, const int64_t *hptr,
                      int32_t *hblk, float *Q, double *s, int32_t *ref, double *d,
                      double *drop)
{
    for (int64_t i = i0; i < i1; i++) {
        int64_t h = hptr[i];
        double rest = 0.0; /* of the row without its largest entry */
        float best = 0.0f;
        ref[i] = 0;
        for (int64_t k = ptr[i]; k < ptr[i + 1]; k++) {
            const double *restrict e = E + SO_B * k;
            if (!hess_hit(e, tau * a[i])) {
                double *restrict db = drop + SO_B * (int64_t)blk[k];
                for (int t = 0; t < SO_B; t++)
                    db[t] += e[t];
                continue;
            }
            for (int t = 0; t < SO_B; t++) {
                float q = (float)e[t];
                Q[SO_B * h + t] = q;
                if (q > best) {
                    rest += best;
                    best = q;
                    ref[i] = SO_B * blk[k] + t;
                } else {
                    rest += q;
                }
            }
            hblk[h++] = blk[k];
        }
        double sum = rest + best;
        s[i] = sum > 0.0 ? 1.0 / sum : 0.0;
        for (int64_t k = hptr[i]; k < h; k++) {
            double *restrict db = d + SO_B * (int64_t)hblk[k];
            const float *restrict q = Q + SO_B * k;
#pragma omp simd
            for (int t = 0; t < SO_B; t++)
                db[t] += q[t] * (sum - q[t]) * s[i];
        }
        if (h > hptr[i]) /* there the difference cancels */
            d[ref[i]] += best * (rest - (sum - best)) * s[i];
    }
}

static void refine(int64_t i0, int64_t i1, const int64_t *ptr, const int32_t *blk,
                   const double *E, const double *a, double tau, const int64_t *sptr,
                   int32_t *sblk)
{
    for (int64_t i = i0; i < i1; i++) {
        int64_t h = sptr[i];
        for (int64_t k = ptr[i]; k < ptr[i + 1]; k++)
            if (hess_hit(E + SO_B * k, tau * a[i]))
                sblk[h++] = blk[k];
    }
}

static double dot(int64_t n, const double *x, const double *y)
{
    double acc[SO_B] = {0.0};
    for (int64_t j = 0; j < n; j += SO_B)
#pragma omp simd
        for (int t = 0; t < SO_B; t++)
            acc[t] += x[j + t] * y[j + t];
    return sum_block(acc);
}

static void cg_step(int64_t n, double al, const double *restrict p, const double *restrict q,
                    const double *restrict inv_d, double *restrict x, double *restrict r,
                    double *restrict z, double *out)
{
    double rz[SO_B] = {0.0}, rr[SO_B] = {0.0};
    for (int64_t j = 0; j < n; j += SO_B)
#pragma omp simd
        for (int t = 0; t < SO_B; t++) {
            x[j + t] += al * p[j + t];
            double v = r[j + t] - al * q[j + t];
            double u = v * inv_d[j + t];
            r[j + t] = v;
            z[j + t] = u;
            rz[t] += u * v;
            rr[t] += v * v;
        }
    out[0] = sum_block(rz);
    out[1] = sum_block(rr);
}

static void matvec(int64_t i0, int64_t i1, const int64_t *ptr, const int32_t *blk,
                   const float *Q, const double *s, const int32_t *ref, const double *x,
                   double *y)
{
    for (int64_t i = i0; i < i1; i++) {
        int64_t k0 = ptr[i], k1 = ptr[i + 1];
        double xr = x[ref[i]], acc[SO_B] = {0.0};
        for (int64_t k = k0; k < k1; k++) {
            const double *restrict xb = x + SO_B * (int64_t)blk[k];
            const float *restrict qb = Q + SO_B * k;
#pragma omp simd
            for (int t = 0; t < SO_B; t++)
                acc[t] += qb[t] * (xb[t] - xr);
        }
        double delta = s[i] * sum_block(acc);
        for (int64_t k = k0; k < k1; k++) {
            const double *restrict xb = x + SO_B * (int64_t)blk[k];
            const float *restrict qb = Q + SO_B * k;
            double *restrict yb = y + SO_B * (int64_t)blk[k];
#pragma omp simd
            for (int t = 0; t < SO_B; t++)
                yb[t] += qb[t] * ((xb[t] - xr) - delta);
        }
    }
}

#define SO_STR2(x) #x
#define SO_STR(x) SO_STR2(x)

const so_ot_table SO_CAT(so_ot_table, SO_ISA) = {
    SO_STR(SO_ISA), pass_d, pass_s, cert_d, cert_s, hv_d, hv_s, plan_d,
    plan_s, scale, count_d, count_s, fill_d, fill_s,
    eval_d, eval_s, hess_count, hess_fill, refine, matvec, dot, cg_step,
};
