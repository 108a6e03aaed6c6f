/* The classification of `_root.h` for one instruction set, both float types.
 *
 * Undecided elements are appended without any branch: a whole vector is written and the end
 * advanced by their number, be it zero.  (Passing over vectors that have none takes longer: the
 * branch is guessed wrong too often.  Compressing to a register and storing that is much
 * faster on some processors than compressing to memory; loads with a mask are slow, and left to
 * the last vectors.)  Thresholds of float data are rounded outwards, so that an element that
 * seems decided really is.  `finite` becomes NaN where a value is not finite. */

#if defined(__AVX512F__)

/* Vector j of a strip; its undecided lanes are u[j].  LANES is a constant in the main loop. */
#define SO_STEP_D(j, LANES)                                                                    \
    {                                                                                          \
        __m512d v = (LANES) == 255 ? _mm512_loadu_pd(x + i + 8 * (j))                          \
                                   : _mm512_maskz_loadu_pd(LANES, x + i + 8 * (j));            \
        z[j] = _mm512_and_pd(v, keep);                                                         \
        finite = _mm512_fmadd_pd(v, zero, finite);                                             \
        __mmask8 in = _mm512_cmp_pd_mask(z[j], out, _CMP_GT_OQ) & (LANES);                     \
        __mmask8 w = _mm512_mask_cmp_pd_mask(in, z[j], full, _CMP_GE_OQ);                      \
        __mmask8 p = _mm512_mask_cmp_pd_mask(in, z[j], low, _CMP_GE_OQ);                       \
        p = _mm512_mask_cmp_pd_mask(p, z[j], high, _CMP_LE_OQ);                                \
        sum = _mm512_mask_add_pd(sum, p, sum, z[j]);                                           \
        whole = _mm512_mask_add_epi64(whole, w, whole, one);                                   \
        part = _mm512_mask_add_epi64(part, p, part, one);                                      \
        u[j] = in ^ w ^ p;                                                                     \
    }

static void filter_d(const double *x, int64_t n, const so_cut *cut, int absolute, double *buf,
                     so_fold *fold)
{
    const __m512d keep =
        _mm512_castsi512_pd(_mm512_set1_epi64(absolute ? INT64_MAX : (int64_t)-1));
    const __m512d out = _mm512_set1_pd(cut->out), full = _mm512_set1_pd(cut->full);
    const __m512d low = _mm512_set1_pd(cut->low), high = _mm512_set1_pd(cut->high);
    const __m512d zero = _mm512_setzero_pd();
    const __m512i one = _mm512_set1_epi64(1);
    __m512d sum = zero, finite = zero, z[4];
    __m512i whole = _mm512_setzero_si512(), part = whole;
    __mmask8 u[4];
    double *to = buf;
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        SO_STEP_D(0, 255)
        SO_STEP_D(1, 255)
        SO_STEP_D(2, 255)
        SO_STEP_D(3, 255)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            _mm512_storeu_pd(to, _mm512_maskz_compress_pd(u[j], z[j]));
            to += __builtin_popcount(u[j]);
        }
    }
    for (; i < n; i += 8) {
        __mmask8 lanes = n - i < 8 ? (__mmask8)((1 << (n - i)) - 1) : 255;
        SO_STEP_D(0, lanes)
        _mm512_storeu_pd(to, _mm512_maskz_compress_pd(u[0], z[0]));
        to += __builtin_popcount(u[0]);
    }
    fold->whole += _mm512_reduce_add_epi64(whole);
    fold->part += _mm512_reduce_add_epi64(part);
    fold->kept += to - buf;
    fold->sum += _mm512_reduce_add_pd(sum);
    fold->bad |= _mm512_reduce_add_pd(finite) != 0.0;
}

#define SO_STEP_S(j, LANES)                                                                    \
    {                                                                                          \
        __m512 v = (LANES) == 65535 ? _mm512_loadu_ps(x + i + 16 * (j))                        \
                                    : _mm512_maskz_loadu_ps(LANES, x + i + 16 * (j));          \
        z[j] = _mm512_and_ps(v, keep);                                                         \
        finite = _mm512_fmadd_ps(v, zero, finite);                                             \
        __mmask16 in = _mm512_cmp_ps_mask(z[j], out, _CMP_GT_OQ) & (LANES);                    \
        __mmask16 w = _mm512_mask_cmp_ps_mask(in, z[j], full, _CMP_GE_OQ);                     \
        __mmask16 p = _mm512_mask_cmp_ps_mask(in, z[j], low, _CMP_GE_OQ);                      \
        p = _mm512_mask_cmp_ps_mask(p, z[j], high, _CMP_LE_OQ);                                \
        __m512 zp = _mm512_maskz_mov_ps(p, z[j]);                                              \
        sum0 = _mm512_add_pd(sum0, _mm512_cvtps_pd(_mm512_castps512_ps256(zp)));               \
        sum1 = _mm512_add_pd(sum1, _mm512_cvtps_pd(_mm512_extractf32x8_ps(zp, 1)));            \
        whole = _mm512_mask_add_epi32(whole, w, whole, one);                                   \
        part = _mm512_mask_add_epi32(part, p, part, one);                                      \
        u[j] = in ^ w ^ p;                                                                     \
    }

/* Counts and sum with thresholds e < f, of data in a cache. */
static void measure_d(const double *x, int64_t n, double e_, double f_, int absolute,
                      so_fold *fold)
{
    const __m512d keep =
        _mm512_castsi512_pd(_mm512_set1_epi64(absolute ? INT64_MAX : (int64_t)-1));
    const __m512d e = _mm512_set1_pd(e_), f = _mm512_set1_pd(f_);
    const __m512i one = _mm512_set1_epi64(1);
    __m512d sums[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
    __m512i whole = _mm512_setzero_si512(), part = whole;
    for (int64_t i = 0; i < n; i += 16)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            int64_t rest = n - i - 8 * j;
            __mmask8 lanes = rest >= 8 ? 255 : rest > 0 ? (__mmask8)((1 << rest) - 1) : 0;
            __m512d z = rest >= 8 ? _mm512_loadu_pd(x + i + 8 * j)
                                  : _mm512_maskz_loadu_pd(lanes, x + i + 8 * j);
            z = _mm512_and_pd(z, keep);
            __mmask8 in = _mm512_mask_cmp_pd_mask(lanes, z, e, _CMP_GT_OQ);
            __mmask8 w = _mm512_mask_cmp_pd_mask(in, z, f, _CMP_GE_OQ), p = in ^ w;
            sums[j] = _mm512_mask_add_pd(sums[j], p, sums[j], z);
            whole = _mm512_mask_add_epi64(whole, w, whole, one);
            part = _mm512_mask_add_epi64(part, p, part, one);
        }
    fold->whole += _mm512_reduce_add_epi64(whole);
    fold->part += _mm512_reduce_add_epi64(part);
    fold->sum += _mm512_reduce_add_pd(_mm512_add_pd(sums[0], sums[1]));
}

static void filter_s(const float *x, int64_t n, const so_cut *cut, int absolute, float *buf,
                     so_fold *fold)
{
    const __m512 keep = _mm512_castsi512_ps(_mm512_set1_epi32(absolute ? INT32_MAX : -1));
    const __m512 out = _mm512_set1_ps(round_down(cut->out));
    const __m512 full = _mm512_set1_ps(round_up(cut->full));
    const __m512 low = _mm512_set1_ps(round_up(cut->low));
    const __m512 high = _mm512_set1_ps(round_down(cut->high));
    const __m512 zero = _mm512_setzero_ps();
    const __m512i one = _mm512_set1_epi32(1);
    __m512d sum0 = _mm512_setzero_pd(), sum1 = sum0;
    __m512 finite = zero, z[4];
    __m512i whole = _mm512_setzero_si512(), part = whole;
    __mmask16 u[4];
    float *to = buf;
    int64_t i = 0;
    for (; i + 64 <= n; i += 64) {
        SO_STEP_S(0, 65535)
        SO_STEP_S(1, 65535)
        SO_STEP_S(2, 65535)
        SO_STEP_S(3, 65535)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            _mm512_storeu_ps(to, _mm512_maskz_compress_ps(u[j], z[j]));
            to += __builtin_popcount(u[j]);
        }
    }
    for (; i < n; i += 16) {
        __mmask16 lanes = n - i < 16 ? (__mmask16)((1 << (n - i)) - 1) : 65535;
        SO_STEP_S(0, lanes)
        _mm512_storeu_ps(to, _mm512_maskz_compress_ps(u[0], z[0]));
        to += __builtin_popcount(u[0]);
    }
    fold->whole += _mm512_reduce_add_epi32(whole);
    fold->part += _mm512_reduce_add_epi32(part);
    fold->kept += to - buf;
    fold->sum += _mm512_reduce_add_pd(_mm512_add_pd(sum0, sum1));
    fold->bad |= _mm512_reduce_add_ps(finite) != 0.0f;
}

#elif defined(__AVX2__)

/* The mask as a number whose k-th byte is the place of its k-th one. */
static inline __m256i pack_order(unsigned mask)
{
    uint64_t wide = _pdep_u64(mask, 0x0101010101010101) * 255;
    uint64_t places = _pext_u64(0x0706050403020100, wide);
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)places));
}

static int64_t add_4(__m256i v)
{
    int64_t lanes[4];
    _mm256_storeu_si256((__m256i *)lanes, v);
    return lanes[0] + lanes[1] + lanes[2] + lanes[3];
}

static double sum_4(__m256d v)
{
    double lanes[4];
    _mm256_storeu_pd(lanes, v);
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

static void filter_d(const double *x, int64_t n, const so_cut *cut, int absolute, double *buf,
                     so_fold *fold)
{
    const __m256d keep =
        _mm256_castsi256_pd(_mm256_set1_epi64x(absolute ? INT64_MAX : (int64_t)-1));
    const __m256d out = _mm256_set1_pd(cut->out), full = _mm256_set1_pd(cut->full);
    const __m256d low = _mm256_set1_pd(cut->low), high = _mm256_set1_pd(cut->high);
    const __m256d zero = _mm256_setzero_pd();
    const __m256i counting = _mm256_setr_epi64x(0, 1, 2, 3);
    __m256d sum = zero, finite = zero;
    __m256i whole = _mm256_setzero_si256(), part = whole;
    double *to = buf;
    for (int64_t i = 0; i < n; i += 8) {
        __m256d z[2];
        unsigned u[2];
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            __m256i rest = _mm256_set1_epi64x(n - i - 4 * j);
            __m256i lanes = _mm256_cmpgt_epi64(rest, counting);
            __m256d v = i + 8 <= n ? _mm256_loadu_pd(x + i + 4 * j)
                                   : _mm256_maskload_pd(x + i + 4 * j, lanes);
            z[j] = _mm256_and_pd(v, keep);
            finite = _mm256_fmadd_pd(v, zero, finite);
            __m256d in = _mm256_and_pd(_mm256_cmp_pd(z[j], out, _CMP_GT_OQ),
                                       _mm256_castsi256_pd(lanes));
            __m256d w = _mm256_and_pd(in, _mm256_cmp_pd(z[j], full, _CMP_GE_OQ));
            __m256d p = _mm256_and_pd(_mm256_cmp_pd(z[j], low, _CMP_GE_OQ),
                                      _mm256_cmp_pd(z[j], high, _CMP_LE_OQ));
            p = _mm256_and_pd(p, in);
            sum = _mm256_add_pd(sum, _mm256_and_pd(p, z[j]));
            whole = _mm256_sub_epi64(whole, _mm256_castpd_si256(w));
            part = _mm256_sub_epi64(part, _mm256_castpd_si256(p));
            u[j] = (unsigned)_mm256_movemask_pd(_mm256_andnot_pd(_mm256_or_pd(w, p), in));
        }
        for (int j = 0; j < 2; j++) {
            __m256i order = _mm256_loadu_si256((const __m256i *)pack_d[u[j]]);
            __m256 packed = _mm256_permutevar8x32_ps(_mm256_castpd_ps(z[j]), order);
            _mm256_storeu_pd(to, _mm256_castps_pd(packed));
            to += __builtin_popcount(u[j]);
        }
    }
    fold->whole += add_4(whole);
    fold->part += add_4(part);
    fold->kept += to - buf;
    fold->sum += sum_4(sum);
    fold->bad |= sum_4(finite) != 0.0;
}

static void filter_s(const float *x, int64_t n, const so_cut *cut, int absolute, float *buf,
                     so_fold *fold)
{
    const __m256 keep = _mm256_castsi256_ps(_mm256_set1_epi32(absolute ? INT32_MAX : -1));
    const __m256 out = _mm256_set1_ps(round_down(cut->out));
    const __m256 full = _mm256_set1_ps(round_up(cut->full));
    const __m256 low = _mm256_set1_ps(round_up(cut->low));
    const __m256 high = _mm256_set1_ps(round_down(cut->high));
    const __m256 zero = _mm256_setzero_ps();
    const __m256i counting = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256d sum0 = _mm256_setzero_pd(), sum1 = sum0, finite = sum0;
    int64_t whole = 0, part = 0;
    float *to = buf;
    for (int64_t i = 0; i < n; i += 8) {
        __m256i lanes = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n - i)), counting);
        __m256 v = i + 8 <= n ? _mm256_loadu_ps(x + i) : _mm256_maskload_ps(x + i, lanes);
        __m256 z = _mm256_and_ps(v, keep), zeros = _mm256_mul_ps(v, zero);
        finite = _mm256_add_pd(finite, _mm256_castps_pd(_mm256_cmp_ps(zeros, zero, _CMP_NEQ_UQ)));
        __m256 in = _mm256_and_ps(_mm256_cmp_ps(z, out, _CMP_GT_OQ), _mm256_castsi256_ps(lanes));
        __m256 w = _mm256_and_ps(in, _mm256_cmp_ps(z, full, _CMP_GE_OQ));
        __m256 p = _mm256_and_ps(_mm256_cmp_ps(z, low, _CMP_GE_OQ),
                                 _mm256_cmp_ps(z, high, _CMP_LE_OQ));
        p = _mm256_and_ps(p, in);
        __m256 zp = _mm256_and_ps(p, z);
        sum0 = _mm256_add_pd(sum0, _mm256_cvtps_pd(_mm256_castps256_ps128(zp)));
        sum1 = _mm256_add_pd(sum1, _mm256_cvtps_pd(_mm256_extractf128_ps(zp, 1)));
        whole += __builtin_popcount((unsigned)_mm256_movemask_ps(w));
        part += __builtin_popcount((unsigned)_mm256_movemask_ps(p));
        __m256 undecided = _mm256_andnot_ps(_mm256_or_ps(w, p), in);
        unsigned u = (unsigned)_mm256_movemask_ps(undecided);
        _mm256_storeu_ps(to, _mm256_permutevar8x32_ps(z, pack_order(u)));
        to += __builtin_popcount(u);
    }
    fold->whole += whole;
    fold->part += part;
    fold->kept += to - buf;
    fold->sum += sum_4(_mm256_add_pd(sum0, sum1));
    fold->bad |= !(sum_4(finite) == 0.0);
}

#else

/* Sums and marks in a loop that vectorises, then the appending. */
#define SO_FILTER(NAME, TYPE, DOWN, UP)                                                        \
    static void NAME(const TYPE *x, int64_t n, const so_cut *cut, int absolute, TYPE *buf,     \
                     so_fold *fold)                                                            \
    {                                                                                          \
        const TYPE out = DOWN(cut->out), full = UP(cut->full);                                 \
        const TYPE low = UP(cut->low), high = DOWN(cut->high);                                 \
        const TYPE flip = absolute ? -1 : 1;                                                   \
        TYPE z[SO_CHUNK], mark[SO_CHUNK];                                                      \
        TYPE whole = 0, part = 0, bad = 0;                                                     \
        double sum = 0.0;                                                                      \
        _Pragma("omp simd reduction(+ : whole, part, bad, sum)") for (int64_t i = 0; i < n;    \
                                                                      i++)                     \
        {                                                                                      \
            TYPE y = x[i] < 0 ? flip * x[i] : x[i];                                            \
            TYPE in = y > out ? 1 : 0, w = y >= full ? in : 0, p = y >= low ? in - w : 0;      \
            p = y <= high ? p : 0;                                                             \
            bad += x[i] * 0 == 0 ? 0 : 1;                                                      \
            whole += w;                                                                        \
            part += p;                                                                         \
            sum += p > 0 ? (double)y : 0.0;                                                    \
            z[i] = y;                                                                          \
            mark[i] = in - w - p;                                                              \
        }                                                                                      \
        TYPE *to = buf;                                                                        \
        for (int64_t i = 0; i < n; i++) {                                                      \
            *to = z[i];                                                                        \
            to += mark[i] > 0;                                                                 \
        }                                                                                      \
        fold->whole += (int64_t)whole;                                                         \
        fold->part += (int64_t)part;                                                           \
        fold->kept += to - buf;                                                                \
        fold->sum += sum;                                                                      \
        fold->bad |= bad > 0;                                                                  \
    }
SO_FILTER(filter_d, double, , )
SO_FILTER(filter_s, float, round_down, round_up)

#endif
