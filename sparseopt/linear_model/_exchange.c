#include "_exchange.h"

#include <math.h>

#define SO_CAT2(a, b) a##_##b
#define SO_CAT(a, b) SO_CAT2(a, b)
#define SO_TEXT2(a) #a
#define SO_TEXT(a) SO_TEXT2(a)

static void axpy(int64_t n, double a, const double *restrict x, double *restrict y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static void outer(int64_t q, int64_t w, const int64_t *ptr, double a, const double *restrict h,
                  double *restrict S)
{
    if (w == 1) {
#pragma omp simd
        for (int64_t i = 0; i < q; i++)
            S[i] += a * h[i] * h[i];
        return;
    }
    for (int64_t j = 0; j < q; j++) {
        const double *restrict x = h + ptr[j];
        int64_t size = ptr[j + 1] - ptr[j];
        for (int64_t i = 0; i < size; i++) {
            double f = a * x[i];
            double *restrict row = S + (ptr[j] + i) * w;
#pragma omp simd
            for (int64_t r = 0; r < size; r++)
                row[r] += f * x[r];
        }
    }
}

static double scan(int64_t m, double f, double d, const double *restrict c,
                   const double *restrict v, const double *restrict S,
                   const double *restrict least, double *restrict score, int64_t *where)
{
    double best = -1.0;
#pragma omp simd reduction(max : best)
    for (int64_t i = 0; i < m; i++) {
        double x = c[i] + f * v[i], s = S[i] + d * v[i] * v[i];
        x = s > least[i] ? x * x / s : -1.0;
        score[i] = x;
        best = x > best ? x : best;
    }
    *where = -1;
    for (int64_t i = 0; i < m && best >= 0.0; i++)
        if (score[i] == best) {
            *where = i;
            break;
        }
    return best;
}

static double gain(int64_t size, int64_t w, int64_t m, const double *restrict c,
                   const double *restrict S, const double *restrict T,
                   const double *restrict tb, int64_t rows, double least,
                   double *restrict scratch)
{
    double *restrict C = scratch, *restrict x = scratch + w * w;
    double total = 0.0;
    for (int64_t r = 0; r < size; r++) {
        x[r] = c[r];
        for (int64_t u = 0; u <= r; u++)
            C[r * w + u] = S[r * w + u];
    }
    for (int64_t e = 0; e < rows; e++) {
        const double *restrict row = T + e * m;
        for (int64_t r = 0; r < size; r++) {
            double f = row[r];
            double *restrict into = C + r * w;
            x[r] += f * tb[e];
#pragma omp simd
            for (int64_t u = 0; u <= r; u++)
                into[u] += f * row[u];
        }
    }
    /* Cholesky by columns; the diagonal holds inverses of the factor's, 0 for what depends */
    for (int64_t r = 0; r < size; r++) {
        double pivot = C[r * w + r];
        double inverse = pivot > least ? 1.0 / sqrt(pivot) : 0.0;
        x[r] *= inverse;
        total += x[r] * x[r];
        for (int64_t i = r + 1; i < size; i++) {
            double f = C[i * w + r] *= inverse;
            x[i] -= f * x[r];
            for (int64_t u = r + 1; u <= i; u++)
                C[i * w + u] -= f * C[u * w + r];
        }
    }
    return total;
}

extern const so_exchange_table SO_CAT(so_exchange_table, SO_ISA);
const so_exchange_table SO_CAT(so_exchange_table, SO_ISA) = {
    .name = SO_TEXT(SO_ISA),
    .axpy = axpy,
    .outer = outer,
    .scan = scan,
    .gain = gain,
};
