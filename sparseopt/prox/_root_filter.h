/* The classification of `_root.h` for one instruction set, both float types.
 *
 * Undecided elements are appended without a branch: the whole vector is written and the end
 * advanced by their number.  (Compressing to a register and storing that is much faster
 * on some processors than compressing to memory.)  Thresholds of float data are rounded
 * outwards by the caller of the loops, so that a decided element really is. */

#if defined(__AVX512F__)

static void filter_d(const double *x, int64_t n, const so_cut *cut, int absolute, double *buf,
                     so_fold *fold)
{
    const __m512d sign = _mm512_castsi512_pd(_mm512_set1_epi64(INT64_MAX));
    const __m512d keep = absolute ? sign : _mm512_castsi512_pd(_mm512_set1_epi64(-1));
    const __m512d out = _mm512_set1_pd(cut->out), full = _mm512_set1_pd(cut->full);
    const __m512d low = _mm512_set1_pd(cut->low), high = _mm512_set1_pd(cut->high);
    const __m512d most = _mm512_set1_pd(DBL_MAX);
    __m512d sum = _mm512_setzero_pd();
    int64_t whole = 0, part = 0;
    double *to = buf;
    __mmask8 bad = 0;
    for (int64_t i = 0; i < n; i += 8) {
        __mmask8 lanes = n - i < 8 ? (__mmask8)((1 << (n - i)) - 1) : 255;
        __m512d v = _mm512_maskz_loadu_pd(lanes, x + i);
        __m512d z = _mm512_and_pd(v, keep);
        bad |= _mm512_mask_cmp_pd_mask(lanes, _mm512_and_pd(v, sign), most, _CMP_NLE_UQ);
        __mmask8 in = _mm512_mask_cmp_pd_mask(lanes, z, out, _CMP_GT_OQ);
        if (!in)
            continue;
        __mmask8 w = _mm512_mask_cmp_pd_mask(in, z, full, _CMP_GE_OQ);
        __mmask8 p = _mm512_mask_cmp_pd_mask((__mmask8)(in & ~w), z, low, _CMP_GE_OQ);
        p = _mm512_mask_cmp_pd_mask(p, z, high, _CMP_LE_OQ);
        sum = _mm512_mask_add_pd(sum, p, sum, z);
        __mmask8 u = (__mmask8)(in & ~(w | p));
        _mm512_storeu_pd(to, _mm512_maskz_compress_pd(u, z));
        to += __builtin_popcount(u);
        whole += __builtin_popcount(w);
        part += __builtin_popcount(p);
    }
    fold->whole += whole;
    fold->part += part;
    fold->kept += to - buf;
    fold->sum += _mm512_reduce_add_pd(sum);
    fold->bad |= bad != 0;
}

static void filter_s(const float *x, int64_t n, const so_cut *cut, int absolute, float *buf,
                     so_fold *fold)
{
    const __m512 sign = _mm512_castsi512_ps(_mm512_set1_epi32(INT32_MAX));
    const __m512 keep = absolute ? sign : _mm512_castsi512_ps(_mm512_set1_epi32(-1));
    const __m512 out = _mm512_set1_ps(round_down(cut->out));
    const __m512 full = _mm512_set1_ps(round_up(cut->full));
    const __m512 low = _mm512_set1_ps(round_up(cut->low));
    const __m512 high = _mm512_set1_ps(round_down(cut->high));
    const __m512 most = _mm512_set1_ps(FLT_MAX);
    __m512d sum0 = _mm512_setzero_pd(), sum1 = _mm512_setzero_pd();
    int64_t whole = 0, part = 0;
    float *to = buf;
    __mmask16 bad = 0;
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 lanes = n - i < 16 ? (__mmask16)((1 << (n - i)) - 1) : 65535;
        __m512 v = _mm512_maskz_loadu_ps(lanes, x + i);
        __m512 z = _mm512_and_ps(v, keep);
        bad |= _mm512_mask_cmp_ps_mask(lanes, _mm512_and_ps(v, sign), most, _CMP_NLE_UQ);
        __mmask16 in = _mm512_mask_cmp_ps_mask(lanes, z, out, _CMP_GT_OQ);
        if (!in)
            continue;
        __mmask16 w = _mm512_mask_cmp_ps_mask(in, z, full, _CMP_GE_OQ);
        __mmask16 p = _mm512_mask_cmp_ps_mask((__mmask16)(in & ~w), z, low, _CMP_GE_OQ);
        p = _mm512_mask_cmp_ps_mask(p, z, high, _CMP_LE_OQ);
        __m512 zp = _mm512_maskz_mov_ps(p, z);
        sum0 = _mm512_add_pd(sum0, _mm512_cvtps_pd(_mm512_castps512_ps256(zp)));
        sum1 = _mm512_add_pd(sum1, _mm512_cvtps_pd(_mm512_extractf32x8_ps(zp, 1)));
        __mmask16 u = (__mmask16)(in & ~(w | p));
        _mm512_storeu_ps(to, _mm512_maskz_compress_ps(u, z));
        to += __builtin_popcount(u);
        whole += __builtin_popcount(w);
        part += __builtin_popcount(p);
    }
    fold->whole += whole;
    fold->part += part;
    fold->kept += to - buf;
    fold->sum += _mm512_reduce_add_pd(_mm512_add_pd(sum0, sum1));
    fold->bad |= bad != 0;
}

#else

/* One element; used for what is left of whole vectors, and where there are none. */
#define SO_FILTER_ONE(TYPE)                                                                    \
    {                                                                                          \
        TYPE size = x[i] < 0 ? -x[i] : x[i], z = absolute ? size : x[i];                       \
        int in = z > out, w = in & (z >= full), p = in & !w & (z >= low) & (z <= high);        \
        bad |= !(size <= most);                                                                \
        sum += p ? (double)z : 0.0;                                                            \
        *to = z;                                                                               \
        to += in & !(w | p);                                                                   \
        whole += w;                                                                            \
        part += p;                                                                             \
    }

#if defined(__AVX2__)

static void filter_d(const double *x, int64_t n, const so_cut *cut, int absolute, double *buf,
                     so_fold *fold)
{
    const double out = cut->out, full = cut->full, low = cut->low, high = cut->high;
    const double most = DBL_MAX;
    const __m256d sign = _mm256_castsi256_pd(_mm256_set1_epi64x(INT64_MAX));
    const __m256d keep = absolute ? sign : _mm256_castsi256_pd(_mm256_set1_epi64x(-1));
    const __m256d out4 = _mm256_set1_pd(out), full4 = _mm256_set1_pd(full);
    const __m256d low4 = _mm256_set1_pd(low), high4 = _mm256_set1_pd(high);
    const __m256d most4 = _mm256_set1_pd(most);
    __m256d sum4 = _mm256_setzero_pd(), bad4 = _mm256_setzero_pd();
    double *to = buf, sum = 0.0;
    int64_t whole = 0, part = 0, i = 0;
    int bad = 0;
    for (; i + 4 <= n; i += 4) {
        __m256d v = _mm256_loadu_pd(x + i), z = _mm256_and_pd(v, keep);
        bad4 = _mm256_or_pd(bad4, _mm256_cmp_pd(_mm256_and_pd(v, sign), most4, _CMP_NLE_UQ));
        __m256d in = _mm256_cmp_pd(z, out4, _CMP_GT_OQ);
        int mask = _mm256_movemask_pd(in);
        if (!mask)
            continue;
        __m256d w = _mm256_and_pd(in, _mm256_cmp_pd(z, full4, _CMP_GE_OQ));
        __m256d p = _mm256_and_pd(_mm256_cmp_pd(z, low4, _CMP_GE_OQ),
                                  _mm256_cmp_pd(z, high4, _CMP_LE_OQ));
        p = _mm256_andnot_pd(w, _mm256_and_pd(p, in));
        sum4 = _mm256_add_pd(sum4, _mm256_and_pd(p, z));
        int mw = _mm256_movemask_pd(w), mp = _mm256_movemask_pd(p), mu = mask & ~(mw | mp);
        __m256i order = _mm256_loadu_si256((const __m256i *)pack_d[mu]);
        _mm256_storeu_pd(to, _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(z),
                                                                       order)));
        to += __builtin_popcount(mu);
        whole += __builtin_popcount(mw);
        part += __builtin_popcount(mp);
    }
    double sums[4];
    _mm256_storeu_pd(sums, sum4);
    sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    bad = _mm256_movemask_pd(bad4) != 0;
    for (; i < n; i++)
        SO_FILTER_ONE(double)
    fold->whole += whole;
    fold->part += part;
    fold->kept += to - buf;
    fold->sum += sum;
    fold->bad |= bad;
}

static void filter_s(const float *x, int64_t n, const so_cut *cut, int absolute, float *buf,
                     so_fold *fold)
{
    const float out = round_down(cut->out), full = round_up(cut->full);
    const float low = round_up(cut->low), high = round_down(cut->high), most = FLT_MAX;
    const __m256 sign = _mm256_castsi256_ps(_mm256_set1_epi32(INT32_MAX));
    const __m256 keep = absolute ? sign : _mm256_castsi256_ps(_mm256_set1_epi32(-1));
    const __m256 out8 = _mm256_set1_ps(out), full8 = _mm256_set1_ps(full);
    const __m256 low8 = _mm256_set1_ps(low), high8 = _mm256_set1_ps(high);
    const __m256 most8 = _mm256_set1_ps(most);
    __m256d sum0 = _mm256_setzero_pd(), sum1 = _mm256_setzero_pd();
    __m256 bad8 = _mm256_setzero_ps();
    float *to = buf;
    double sum = 0.0;
    int64_t whole = 0, part = 0, i = 0;
    int bad = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = _mm256_loadu_ps(x + i), z = _mm256_and_ps(v, keep);
        bad8 = _mm256_or_ps(bad8, _mm256_cmp_ps(_mm256_and_ps(v, sign), most8, _CMP_NLE_UQ));
        __m256 in = _mm256_cmp_ps(z, out8, _CMP_GT_OQ);
        int mask = _mm256_movemask_ps(in);
        if (!mask)
            continue;
        __m256 w = _mm256_and_ps(in, _mm256_cmp_ps(z, full8, _CMP_GE_OQ));
        __m256 p = _mm256_and_ps(_mm256_cmp_ps(z, low8, _CMP_GE_OQ),
                                 _mm256_cmp_ps(z, high8, _CMP_LE_OQ));
        p = _mm256_andnot_ps(w, _mm256_and_ps(p, in));
        __m256 zp = _mm256_and_ps(p, z);
        sum0 = _mm256_add_pd(sum0, _mm256_cvtps_pd(_mm256_castps256_ps128(zp)));
        sum1 = _mm256_add_pd(sum1, _mm256_cvtps_pd(_mm256_extractf128_ps(zp, 1)));
        int mw = _mm256_movemask_ps(w), mp = _mm256_movemask_ps(p), mu = mask & ~(mw | mp);
        /* the k-th byte of the spread number is the place of the k-th one of the mask */
        uint64_t wide = _pdep_u64((uint64_t)mu, 0x0101010101010101) * 255;
        uint64_t places = _pext_u64(0x0706050403020100, wide);
        __m256i order = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)places));
        _mm256_storeu_ps(to, _mm256_permutevar8x32_ps(z, order));
        to += __builtin_popcount(mu);
        whole += __builtin_popcount(mw);
        part += __builtin_popcount(mp);
    }
    double sums[4];
    _mm256_storeu_pd(sums, _mm256_add_pd(sum0, sum1));
    sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    bad = _mm256_movemask_ps(bad8) != 0;
    for (; i < n; i++)
        SO_FILTER_ONE(float)
    fold->whole += whole;
    fold->part += part;
    fold->kept += to - buf;
    fold->sum += sum;
    fold->bad |= bad;
}

#else

#define SO_FILTER_PLAIN(NAME, TYPE, DOWN, UP, MOST)                                            \
    static void NAME(const TYPE *x, int64_t n, const so_cut *cut, int absolute, TYPE *buf,     \
                     so_fold *fold)                                                            \
    {                                                                                          \
        const TYPE out = DOWN(cut->out), full = UP(cut->full);                                 \
        const TYPE low = UP(cut->low), high = DOWN(cut->high), most = MOST;                    \
        TYPE *to = buf;                                                                        \
        double sum = 0.0;                                                                      \
        int64_t whole = 0, part = 0;                                                           \
        int bad = 0;                                                                           \
        for (int64_t i = 0; i < n; i++)                                                        \
            SO_FILTER_ONE(TYPE)                                                                \
        fold->whole += whole;                                                                  \
        fold->part += part;                                                                    \
        fold->kept += to - buf;                                                                \
        fold->sum += sum;                                                                      \
        fold->bad |= bad;                                                                      \
    }
SO_FILTER_PLAIN(filter_d, double, , , DBL_MAX)
SO_FILTER_PLAIN(filter_s, float, round_down, round_up, FLT_MAX)

#endif
#endif
