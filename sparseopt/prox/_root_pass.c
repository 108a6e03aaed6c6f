#include "_root.h"

#include <float.h>
#include <math.h>
#include <string.h>

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#define SO_CAT2(a, b) a##_##b
#define SO_CAT(a, b) SO_CAT2(a, b)

#if defined(__GNUC__)
__attribute__((unused))
#endif
static float round_down(double x)
{
    float y = (float)x;
    return (double)y > x ? nextafterf(y, -INFINITY) : y;
}

#if defined(__GNUC__)
__attribute__((unused))
#endif
static float round_up(double x)
{
    float y = (float)x;
    return (double)y < x ? nextafterf(y, INFINITY) : y;
}

#if defined(__AVX2__) && !defined(__AVX512F__)
/* Order of 32-bit halves that moves the doubles of a mask to the front. */
static const int32_t pack_d[16][8] = {
    {0, 1, 2, 3, 4, 5, 6, 7}, {0, 1, 2, 3, 4, 5, 6, 7}, {2, 3, 0, 1, 4, 5, 6, 7},
    {0, 1, 2, 3, 4, 5, 6, 7}, {4, 5, 0, 1, 2, 3, 6, 7}, {0, 1, 4, 5, 2, 3, 6, 7},
    {2, 3, 4, 5, 0, 1, 6, 7}, {0, 1, 2, 3, 4, 5, 6, 7}, {6, 7, 0, 1, 2, 3, 4, 5},
    {0, 1, 6, 7, 2, 3, 4, 5}, {2, 3, 6, 7, 0, 1, 4, 5}, {0, 1, 2, 3, 6, 7, 4, 5},
    {4, 5, 6, 7, 0, 1, 2, 3}, {0, 1, 4, 5, 6, 7, 2, 3}, {2, 3, 4, 5, 6, 7, 0, 1},
    {0, 1, 2, 3, 4, 5, 6, 7},
};
#endif

#include "_root_filter.h"

/* Outputs that do not fit into a cache can be written past it: else each line of them would
 * be read first. */
#if defined(__AVX512F__)
#define SO_VECTOR __m512i
#elif defined(__AVX2__)
#define SO_VECTOR __m256i
#endif
#ifdef SO_VECTOR
static inline void stream(void *to, const void *from)
{
    SO_VECTOR v;
    memcpy(&v, from, sizeof v);
#if defined(__AVX512F__)
    _mm512_stream_si512((__m512i *)to, v);
#else
    _mm256_stream_si256((__m256i *)to, v);
#endif
}
#define SO_STORE stream
#endif

#define SO_T double
#define SO_N(name) SO_CAT(name, d)
#define SO_LANES ((int)(sizeof(SO_VECTOR) / sizeof(SO_T)))
#if !defined(__AVX512F__)
#define SO_MEASURE_TOO
#endif
#include "_root_pass.h"
#include "_root_weighted.h"
#undef SO_T
#undef SO_N
#undef SO_MEASURE_TOO
#define SO_MEASURE_TOO
#define SO_T float
#define SO_N(name) SO_CAT(name, s)
#include "_root_pass.h"
#include "_root_weighted.h"
#undef SO_T
#undef SO_N

static void widen(const float *x, int64_t n, double *z)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        z[i] = (double)x[i];
}

static void measure_g(const double *e, const double *f, const double *a, int64_t n, double p,
                      double sums[3])
{
    double whole = 0.0, slope = 0.0, offset = 0.0;
#pragma omp simd reduction(+ : whole, slope, offset)
    for (int64_t i = 0; i < n; i++) {
        int full = f[i] <= p, in = e[i] < p;
        whole += full ? a[i] * (f[i] - e[i]) : 0.0;
        double s = full ? 0.0 : a[i];
        s = in ? s : 0.0;
        slope += s;
        offset += s > 0.0 ? a[i] * e[i] : 0.0;
    }
    sums[0] += whole;
    sums[1] += slope;
    sums[2] += offset;
}

static int64_t compact_g(double *e, double *f, double *a, int64_t n, double lo, double hi,
                         double sums[3])
{
    double whole = 0.0, slope = 0.0, offset = 0.0;
    int64_t kept = 0, i = 0;
#if defined(__AVX512F__)
    const __m512d least = _mm512_set1_pd(lo), most = _mm512_set1_pd(hi);
    __m512d v = _mm512_setzero_pd(), va = v, vo = v;
    for (; i + 8 <= n; i += 8) {
        __m512d ei = _mm512_loadu_pd(e + i), fi = _mm512_loadu_pd(f + i);
        __m512d ai = _mm512_loadu_pd(a + i);
        __mmask8 full = _mm512_cmp_pd_mask(fi, least, _CMP_LE_OQ);
        __mmask8 part = _mm512_mask_cmp_pd_mask((__mmask8)~full, ei, least, _CMP_LE_OQ);
        part = _mm512_mask_cmp_pd_mask(part, fi, most, _CMP_GE_OQ);
        __mmask8 none = _mm512_cmp_pd_mask(ei, most, _CMP_GE_OQ);
        __mmask8 rest = (__mmask8)~(full | part | none);
        v = _mm512_mask3_fmadd_pd(ai, _mm512_sub_pd(fi, ei), v, full);
        va = _mm512_mask_add_pd(va, part, va, ai);
        vo = _mm512_mask3_fmadd_pd(ai, ei, vo, part);
        _mm512_storeu_pd(e + kept, _mm512_maskz_compress_pd(rest, ei));
        _mm512_storeu_pd(f + kept, _mm512_maskz_compress_pd(rest, fi));
        _mm512_storeu_pd(a + kept, _mm512_maskz_compress_pd(rest, ai));
        kept += __builtin_popcount(rest);
    }
    whole = _mm512_reduce_add_pd(v);
    slope = _mm512_reduce_add_pd(va);
    offset = _mm512_reduce_add_pd(vo);
#endif
    for (; i < n; i++) {
        double ei = e[i], fi = f[i], ai = a[i];
        int full = fi <= lo, part = !full & (ei <= lo) & (fi >= hi), none = ei >= hi;
        whole += full ? ai * (fi - ei) : 0.0;
        slope += part ? ai : 0.0;
        offset += part ? ai * ei : 0.0;
        e[kept] = ei;
        f[kept] = fi;
        a[kept] = ai;
        kept += !(full | part | none);
    }
    sums[0] += whole;
    sums[1] += slope;
    sums[2] += offset;
    return kept;
}

/* Places of those with a mark; room for 8 more is needed. */
static int64_t places_of(const double *marks, int64_t n, int32_t *places)
{
    int64_t kept = 0, i = 0;
#if defined(__AVX512F__)
    const __m512d zero = _mm512_setzero_pd();
    __m256i at = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (; i + 8 <= n; i += 8) {
        __mmask8 m = _mm512_cmp_pd_mask(_mm512_loadu_pd(marks + i), zero, _CMP_GT_OQ);
        _mm256_storeu_si256((__m256i *)(places + kept), _mm256_maskz_compress_epi32(m, at));
        kept += __builtin_popcount(m);
        at = _mm256_add_epi32(at, _mm256_set1_epi32(8));
    }
#endif
    for (; i < n; i++) {
        places[kept] = (int32_t)i;
        kept += marks[i] > 0.0;
    }
    return kept;
}

static int64_t classify_w(const double *a, const double *d, const double *q, int64_t n,
                          double lam, double debias, double lo, double hi, int32_t *places,
                          double sums[3])
{
    double marks[SO_CHUNK], whole = 0.0, slope = 0.0, offset = 0.0;
    if (debias == 0.0) { /* the same with c = 1 */
#pragma omp simd reduction(+ : whole, slope, offset)
        for (int64_t i = 0; i < n; i++) {
            double b = lam * d[i], least = lo * a[i], most = hi * a[i];
            double in = most > b ? 1.0 : 0.0, w = least >= b + 1.0 ? in : 0.0;
            double p = least >= b ? in - w : 0.0;
            p = most <= b + 1.0 ? p : 0.0;
            double share = p * q[i];
            whole += w * q[i];
            slope += a[i] * share;
            offset += b * share;
            marks[i] = in - w - p;
        }
    } else {
#pragma omp simd reduction(+ : whole, slope, offset)
        for (int64_t i = 0; i < n; i++) {
            double b = lam * d[i], c = 1.0 - debias * b, least = lo * a[i], most = hi * a[i];
            double in = most > b ? 1.0 : 0.0, w = least >= b + c ? in : 0.0;
            double p = least >= b ? in - w : 0.0;
            p = most <= b + c ? p : 0.0;
            double inverse = p * q[i] / c;
            whole += w * q[i];
            slope += a[i] * inverse;
            offset += b * inverse;
            marks[i] = in - w - p;
        }
    }
    sums[0] += whole;
    sums[1] += slope;
    sums[2] += offset;
    return places_of(marks, n, places);
}

static double break_w(const double *a, const double *d, const double *q, int64_t m, double lam,
                      double debias, const int32_t *places, double *e, double *f, double *slope)
{
    double most = 0.0;
#pragma omp simd reduction(max : most)
    for (int64_t j = 0; j < m; j++) {
        int64_t i = places ? places[j] : j;
        double b = lam * d[i], c = 1.0 - debias * b, enters = b / a[i];
        e[j] = enters;
        f[j] = (b + c) / a[i];
        slope[j] = q[i] * a[i] / c;
        /* a NaN, of 0 / 0, is as good as infinite */
        enters = enters <= DBL_MAX ? enters : INFINITY;
        most = enters > most ? enters : most;
    }
    return most;
}

#define SO_STR2(x) #x
#define SO_STR(x) SO_STR2(x)
const so_root_table SO_CAT(so_root_table, SO_ISA) = {
    .name = SO_STR(SO_ISA),
    .filter_d = filter_d,
    .filter_s = filter_s,
    .widen = widen,
    .measure_d = measure_d,
    .measure_s = measure_s,
    .load_d = load_d,
    .load_s = load_s,
    .shrink_d = shrink_d,
    .shrink_s = shrink_s,
    .shift_d = shift_d,
    .shift_s = shift_s,
    .norms_d = norms_d,
    .norms_s = norms_s,
    .scale_d = scale_d,
    .scale_s = scale_s,
    .measure_g = measure_g,
    .compact_g = compact_g,
    .weigh_d = weigh_d,
    .weigh_s = weigh_s,
    .weighted_scale_d = weighted_scale_d,
    .weighted_scale_s = weighted_scale_s,
    .classify_w = classify_w,
    .break_w = break_w,
    .moments_d = moments_d,
    .moments_s = moments_s,
    .gather_norms_d = gather_norms_d,
    .gather_norms_s = gather_norms_s,
    .gather_scale_d = gather_scale_d,
    .gather_scale_s = gather_scale_s,
};
