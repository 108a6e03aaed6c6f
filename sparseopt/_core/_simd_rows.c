#include "_simd.h"

#include <math.h>

#include "_exp.h"

#define SO_CAT2(a, b) a##_##b
#define SO_CAT(a, b) SO_CAT2(a, b)
#define SO_STR2(x) #x
#define SO_STR(x) SO_STR2(x)

static void exp_d(int64_t n, const double *restrict x, double *restrict y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = so_exp(x[i]);
}

static void exp_s(int64_t n, const float *restrict x, float *restrict y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = so_expf(x[i]);
}

/* NaN makes x - mx and so the sum NaN; an infinite maximum is the answer itself unless a NaN
 * stands beside it, which the comparison x != x finds. */
#define SO_LOGSUMEXP(name, type, expz)                                                         \
    static double name(int64_t n, const type *restrict x)                                      \
    {                                                                                          \
        type mx = -INFINITY;                                                                   \
        int nan = 0;                                                                           \
        double s = 0.0;                                                                        \
        _Pragma("omp simd reduction(max : mx) reduction(| : nan)") for (int64_t i = 0; i < n; i++) \
        {                                                                                      \
            mx = x[i] > mx ? x[i] : mx;                                                        \
            nan |= x[i] != x[i];                                                               \
        }                                                                                      \
        if (nan)                                                                               \
            return NAN;                                                                        \
        if (!(mx > -INFINITY && mx < INFINITY))                                                \
            return mx;                                                                         \
        _Pragma("omp simd reduction(+ : s)") for (int64_t i = 0; i < n; i++) s += expz(x[i] - mx); \
        return (double)mx + log(s);                                                            \
    }
SO_LOGSUMEXP(logsumexp_d, double, so_expz)
SO_LOGSUMEXP(logsumexp_s, float, so_expzf)

const so_simd_table SO_CAT(so_simd_table, SO_ISA) = {
    SO_STR(SO_ISA), exp_d, exp_s, logsumexp_d, logsumexp_s,
};
