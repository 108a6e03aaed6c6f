#include "_columns.h"

#define SO_CAT2(a, b) a##_##b
#define SO_CAT(a, b) SO_CAT2(a, b)
#define SO_TEXT2(a) #a
#define SO_TEXT(a) SO_TEXT2(a)

static double dot(int64_t n, const double *x, const double *y)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

static void axpy(int64_t n, double a, const double *restrict x, double *restrict y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

/* Four columns together: y is read and written once for them. */
static void axpys(int64_t n, int64_t d, const double *a, const double *restrict x,
                  double *restrict y)
{
    int64_t k = 0;
    for (; k + 4 <= d; k += 4, x += 4 * n) {
        const double a0 = a[k], a1 = a[k + 1], a2 = a[k + 2], a3 = a[k + 3];
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] += (a0 * x[i] + a1 * x[n + i]) + (a2 * x[2 * n + i] + a3 * x[3 * n + i]);
    }
    for (; k < d; k++, x += n)
        axpy(n, a[k], x, y);
}

/* Four columns together: r is read once for them, and four streams keep memory busy. */
#define SO_DOTS(name, type)                                                                    \
    static void name(const type *X, int64_t ld, int64_t n, const int64_t *cols, int64_t k0,    \
                     int64_t k1, const double *restrict r, double *out)                        \
    {                                                                                          \
        int64_t k = k0;                                                                        \
        for (; k + 4 <= k1; k += 4) {                                                          \
            const type *restrict a = X + (cols ? cols[k] : k) * ld;                            \
            const type *restrict b = X + (cols ? cols[k + 1] : k + 1) * ld;                    \
            const type *restrict c = X + (cols ? cols[k + 2] : k + 2) * ld;                    \
            const type *restrict d = X + (cols ? cols[k + 3] : k + 3) * ld;                    \
            double s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0;                                     \
            _Pragma("omp simd reduction(+ : s0, s1, s2, s3)") for (int64_t i = 0; i < n; i++)  \
            {                                                                                  \
                s0 += a[i] * r[i];                                                             \
                s1 += b[i] * r[i];                                                             \
                s2 += c[i] * r[i];                                                             \
                s3 += d[i] * r[i];                                                             \
            }                                                                                  \
            out[k] = s0;                                                                       \
            out[k + 1] = s1;                                                                   \
            out[k + 2] = s2;                                                                   \
            out[k + 3] = s3;                                                                   \
        }                                                                                      \
        for (; k < k1; k++) {                                                                  \
            const type *restrict a = X + (cols ? cols[k] : k) * ld;                            \
            double sum = 0.0;                                                                  \
            _Pragma("omp simd reduction(+ : sum)") for (int64_t i = 0; i < n; i++)             \
                sum += a[i] * r[i];                                                            \
            out[k] = sum;                                                                      \
        }                                                                                      \
    }
SO_DOTS(dots_d, double)
SO_DOTS(dots_s, float)

#define SO_MOMENTS(name, type)                                                                 \
    static void name(const type *X, int64_t ld, int64_t n, int64_t k0, int64_t k1,             \
                     const double *restrict s, double *square, double *mean)                   \
    {                                                                                          \
        for (int64_t k = k0; k < k1; k++) {                                                    \
            const type *restrict a = X + k * ld;                                               \
            double s2 = 0.0, s1 = 0.0;                                                         \
            _Pragma("omp simd reduction(+ : s1, s2)") for (int64_t i = 0; i < n; i++)          \
            {                                                                                  \
                double part = s[i] * a[i];                                                     \
                s1 += part;                                                                    \
                s2 += part * a[i];                                                             \
            }                                                                                  \
            square[k] = s2;                                                                    \
            mean[k] = s1;                                                                      \
        }                                                                                      \
    }
SO_MOMENTS(moments_d, double)
SO_MOMENTS(moments_s, float)

#define SO_ROWS(name, type)                                                                    \
    static void name(const type *X, int64_t ld, int64_t n, int64_t k0, int64_t k1,             \
                     const double *r, double *restrict out)                                    \
    {                                                                                          \
        for (int64_t k = k0; k < k1; k++)                                                      \
            out[k] = 0.0;                                                                      \
        for (int64_t i = 0; i < n; i++) {                                                      \
            const type *restrict x = X + i * ld;                                               \
            double a = r[i];                                                                   \
            _Pragma("omp simd") for (int64_t k = k0; k < k1; k++) out[k] += a * x[k];          \
        }                                                                                      \
    }
SO_ROWS(rows_d, double)
SO_ROWS(rows_s, float)

const so_column_table SO_CAT(so_column_table, SO_ISA) = {
    SO_TEXT(SO_ISA), dot, axpy, axpys, dots_d, dots_s, moments_d, moments_s,
    rows_d, rows_s,
};
