#include "_lanes.h"

#include <math.h>

#define SO_CAT2(a, b) a##_##b
#define SO_CAT(a, b) SO_CAT2(a, b)
#define SO_STR2(x) #x
#define SO_STR(x) SO_STR2(x)

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include <immintrin.h>

static inline __m512d gather_d(__mmask8 lanes, __m512i at, const double *x)
{
    return _mm512_mask_i64gather_pd(_mm512_setzero_pd(), lanes, at, x, 8);
}

static inline __m512d gather_s(__mmask8 lanes, __m512i at, const float *x)
{
    return _mm512_cvtps_pd(
        _mm512_mask_i64gather_ps(_mm256_setzero_ps(), lanes, at, x, 4));
}

#define SO_LANES(T, t)                                                                         \
    static void lanes_##t(SO_LANES_ARGS(T))                                                    \
    {                                                                                          \
        const __m512d half = _mm512_set1_pd(lam), one = _mm512_set1_pd(1.0);                   \
        const __m512d minus = _mm512_set1_pd(-INFINITY), plus = _mm512_set1_pd(INFINITY);      \
        const __m512i unit = _mm512_set1_epi64(1), most_i = _mm512_set1_epi64(limit);          \
        const __m512i base = _mm512_mullo_epi64(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0),      \
                                                _mm512_set1_epi64(size));                      \
        __m512i i = _mm512_add_epi64(base, _mm512_set1_epi64(begin));                          \
        const __m512i stop = _mm512_add_epi64(i, _mm512_set1_epi64(size));                     \
        __m512i at_least = i, at_most = i, count = _mm512_setzero_si512();                     \
        __m512d sum = _mm512_maskz_mov_pd(1, _mm512_set1_pd(-side * lam));                     \
        __m512d m = _mm512_setzero_pd();                                                       \
        __m512d least = minus, most = plus;                                                    \
        __mmask8 active = _mm512_cmplt_epi64_mask(i, most_i);                                  \
        for (; active && steps > 0; steps--) {                                                 \
            sum = _mm512_add_pd(sum, gather_##t(active, i, x));                                \
            m = _mm512_add_pd(m, one);                                                         \
            __m512d high = _mm512_add_pd(sum, half), low = _mm512_sub_pd(sum, half);           \
            __m512d lower = _mm512_mul_pd(least, m), upper = _mm512_mul_pd(most, m);           \
            __m512d inverse = _mm512_div_pd(one, m);                                           \
            __mmask8 down = _mm512_mask_cmp_pd_mask(active, high, lower, _CMP_LT_OQ);          \
            __mmask8 up = _mm512_mask_cmp_pd_mask(active & ~down, low, upper, _CMP_GT_OQ);     \
            __mmask8 close = down | up, open = active & ~close;                                \
            __mmask8 cut = _mm512_mask_cmp_pd_mask(open, high, upper, _CMP_LE_OQ);             \
            __mmask8 lift = _mm512_mask_cmp_pd_mask(open, low, lower, _CMP_GE_OQ);             \
            most = _mm512_mask_mul_pd(most, cut, high, inverse);                               \
            at_most = _mm512_mask_mov_epi64(at_most, cut, i);                                  \
            least = _mm512_mask_mul_pd(least, lift, low, inverse);                             \
            at_least = _mm512_mask_mov_epi64(at_least, lift, i);                               \
            if (close) {                                                                       \
                __m512d value = _mm512_mask_mov_pd(most, down, least);                         \
                __m512i end = _mm512_mask_mov_epi64(at_most, down, at_least);                  \
                __m512i slot = _mm512_add_epi64(base, count), code = _mm512_slli_epi64(end, 1);    \
                code = _mm512_mask_add_epi64(code, up, code, unit);                            \
                _mm512_mask_i64scatter_pd(values, close, slot, value, 8);                      \
                _mm512_mask_i64scatter_epi64(ends, close, slot, code, 8);                      \
                count = _mm512_mask_add_epi64(count, close, count, unit);                      \
                i = _mm512_mask_mov_epi64(i, close, end);                                      \
                sum = _mm512_mask_mov_pd(sum, down, half);                                     \
                sum = _mm512_mask_sub_pd(sum, up, _mm512_setzero_pd(), half);                  \
                m = _mm512_mask_mov_pd(m, close, _mm512_setzero_pd());                         \
                least = _mm512_mask_mov_pd(least, close, minus);                               \
                most = _mm512_mask_mov_pd(most, close, plus);                                  \
            }                                                                                  \
            i = _mm512_add_epi64(i, unit);                                                     \
            active &= ~_mm512_mask_cmpge_epi64_mask(close, i, stop);                           \
            active &= _mm512_cmplt_epi64_mask(i, most_i);                                      \
        }                                                                                      \
        _mm512_storeu_si512(counts, count);                                                    \
    }
SO_LANES(double, d)
SO_LANES(float, s)

const so_lanes_table SO_CAT(so_lanes_table, SO_ISA) = {SO_STR(SO_ISA), lanes_d, lanes_s};
#else
const so_lanes_table SO_CAT(so_lanes_table, SO_ISA) = {SO_STR(SO_ISA), 0, 0};
#endif
