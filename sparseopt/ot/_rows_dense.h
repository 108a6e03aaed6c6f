/* Dense row kernels for one cost type; included twice by _rows.c with SO_T and SO_N set. */

static inline double SO_N(row_max)(const SO_T *restrict C, const double *restrict g, int64_t m)
{
    double mx = -INFINITY;
#pragma omp simd reduction(max : mx)
    for (int64_t j = 0; j < m; j++) {
        double v = g[j] - (double)C[j];
        mx = v > mx ? v : mx;
    }
    return mx;
}

/* e_j = exp((g_j - C_j + shift) * inv_eps) on a strip; returns the sum. */
#if defined(__AVX512F__)
static inline __m512d SO_N(exp8)(const SO_T *C, const double *g, __mmask8 lanes, __m512d shift,
                                 __m512d inv_eps)
{
    __m512d v = _mm512_sub_pd(_mm512_maskz_loadu_pd(lanes, g), SO_N(load8)(lanes, C));
    return so_expz8(_mm512_mul_pd(_mm512_add_pd(v, shift), inv_eps));
}

static inline double SO_N(strip_exp)(const SO_T *restrict C, const double *restrict g, int64_t m,
                                     double shift, double inv_eps, double *restrict e)
{
    __m512d vs = _mm512_set1_pd(shift), ve = _mm512_set1_pd(inv_eps);
    __m512d s0 = _mm512_setzero_pd(), s1 = _mm512_setzero_pd();
    int64_t j = 0;
    for (; j + 16 <= m; j += 16) {
        __m512d v0 = SO_N(exp8)(C + j, g + j, 0xff, vs, ve);
        __m512d v1 = SO_N(exp8)(C + j + 8, g + j + 8, 0xff, vs, ve);
        _mm512_storeu_pd(e + j, v0);
        _mm512_storeu_pd(e + j + 8, v1);
        s0 = _mm512_add_pd(s0, v0);
        s1 = _mm512_add_pd(s1, v1);
    }
    for (; j < m; j += 8) {
        __mmask8 lanes = (__mmask8)(m - j < 8 ? (1 << (m - j)) - 1 : 0xff);
        __m512d v = SO_N(exp8)(C + j, g + j, lanes, vs, ve);
        _mm512_mask_storeu_pd(e + j, lanes, v);
        s0 = _mm512_mask_add_pd(s0, lanes, s0, v);
    }
    return _mm512_reduce_add_pd(_mm512_add_pd(s0, s1));
}
#else
static inline double SO_N(strip_exp)(const SO_T *restrict C, const double *restrict g, int64_t m,
                                     double shift, double inv_eps, double *restrict e)
{
    double s = 0.0;
#pragma omp simd reduction(+ : s)
    for (int64_t j = 0; j < m; j++) {
        double v = so_expz((g[j] - (double)C[j] + shift) * inv_eps);
        e[j] = v;
        s += v;
    }
    return s;
}
#endif

static inline double SO_N(strip_fast)(const SO_T *restrict C, const double *restrict g, int64_t m,
                                      double shift, double inv_eps, float *restrict e)
{
    float s = 0.0f;
    /* two loops: the first mixes widths, the second runs on whole float registers */
    for (int64_t j = 0; j < m; j++)
        e[j] = (float)((g[j] - (double)C[j] + shift) * inv_eps);
#pragma omp simd reduction(+ : s)
    for (int64_t j = 0; j < m; j++) {
        float v = so_expzf(e[j]);
        e[j] = v;
        s += v;
    }
    return s;
}

static inline double SO_N(row_exp)(const SO_T *C, const double *g, int64_t m, double shift,
                                   double inv_eps, double *e, int fast)
{
    return fast ? SO_N(strip_fast)(C, g, m, shift, inv_eps, (float *)e)
                : SO_N(strip_exp)(C, g, m, shift, inv_eps, e);
}

/* f_i on entry is the shift: nearly right for all but the first pass, so that no second sweep
 * for the row maximum is needed; rows where it is not are redone with the maximum.  Four rows
 * go together, strip by strip, so that g and c are read from L1 and not L2.  Short strips: a
 * longer burst of prefetches would wait for line buffers.  Measured, one AVX-512 core: 0.7 ns
 * an entry in cache and 0.85 from memory, where NumPy's exp takes 0.83 and 0.84. */
static void SO_N(pass)(SO_DENSE_ARGS(SO_T))
{
    double lo = fast ? 1e-20 : 1e-250, hi = fast ? 1e20 : 1e250;
    for (int64_t i = i0; i < i1; i += 4) {
        int nr = i1 - i < 4 ? (int)(i1 - i) : 4;
        double s[4] = {0.0}, w[4] = {0.0};
        double *e[4] = {buf, buf + m, buf + 2 * m, buf + 3 * m};
        for (int64_t j = 0; j < m; j += SO_STRIP) {
            int64_t len = m - j < SO_STRIP ? m - j : SO_STRIP;
            for (int r = 0; r < nr; r++) {
                so_prefetch(C + (i + r) * ldc + j, sizeof(SO_T));
                s[r] += SO_N(row_exp)(C + (i + r) * ldc + j, g + j, len, f[i + r], inv_eps,
                                      fast ? (double *)((float *)e[r] + j) : e[r] + j, fast);
            }
        }
        for (int r = 0; r < nr; r++) {
            const SO_T *row = C + (i + r) * ldc;
            double shift = f[i + r];
            if (!(s[r] > lo && s[r] < hi)) {
                shift = -SO_N(row_max)(row, g, m);
                s[r] = SO_N(row_exp)(row, g, m, shift, inv_eps, e[r], fast);
            }
            f[i + r] = shift + (loga[i + r] - log(s[r])) / inv_eps;
            w[r] = a[i + r] / s[r];
        }
        for (int r = nr; r < 4; r++)
            e[r] = e[0]; /* weight zero */
        if (fast)
            add_rows_f(m, w, (float *)e[0], (float *)e[1], (float *)e[2], (float *)e[3], c);
        else
            add_rows(m, w, e[0], e[1], e[2], e[3], c);
    }
}

static inline int SO_N(block_hit)(const SO_T *restrict C, const double *restrict g, double thr)
{
    int hit = 0;
    for (int t = 0; t < SO_B; t++)
        hit |= g[t] - (double)C[t] >= thr;
    return hit;
}

static void SO_N(count)(SO_COUNT_ARGS(SO_T))
{
    int64_t full = m / SO_B;
    for (int64_t i = i0; i < i1; i++) {
        const SO_T *row = C + i * ldc;
        double thr = -f[i] - slack[i];
        int64_t k = 0;
        for (int64_t b = 0; b < full; b++)
            k += SO_N(block_hit)(row + SO_B * b, g + SO_B * b, thr);
        int hit = 0;
        for (int64_t j = SO_B * full; j < m; j++)
            hit |= g[j] - (double)row[j] >= thr;
        count[i] = k + hit;
    }
}

static void SO_N(fill)(SO_FILL_ARGS(SO_T))
{
    int64_t full = m / SO_B;
    for (int64_t i = i0; i < i1; i++) {
        const SO_T *row = C + i * ldc;
        double thr = -f[i] - slack[i];
        int64_t k = ptr[i];
        for (int64_t b = 0; b < full; b++)
            if (SO_N(block_hit)(row + SO_B * b, g + SO_B * b, thr))
                blk[k++] = (int32_t)b;
        if (k < ptr[i + 1])
            blk[k] = (int32_t)full;
    }
}

/* Costs of block b of a row: in place, or padded with +inf if it is the last and not whole. */
static inline const SO_T *SO_N(block_cost)(const SO_T *row, int64_t m, int64_t b, SO_T *tail)
{
    if (SO_B * (b + 1) <= m)
        return row + SO_B * b;
    for (int t = 0; t < SO_B; t++)
        tail[t] = SO_B * b + t < m ? row[SO_B * b + t] : (SO_T)INFINITY;
    return tail;
}

static inline double SO_N(support_exp)(const SO_T *row, int64_t m, int64_t k0, int64_t k1,
                                       const int32_t *restrict blk, double shift, double inv_eps,
                                       const double *restrict g, double *restrict E)
{
    SO_T tail[SO_B];
#if defined(__AVX512F__)
    __m512d acc = _mm512_setzero_pd(), vs = _mm512_set1_pd(shift), ve = _mm512_set1_pd(inv_eps);
    for (int64_t k = k0; k < k1; k++) {
        const SO_T *cb = SO_N(block_cost)(row, m, blk[k], tail);
        __m512d v = SO_N(exp8)(cb, g + SO_B * (int64_t)blk[k], 0xff, vs, ve);
        _mm512_storeu_pd(E + SO_B * k, v);
        acc = _mm512_add_pd(acc, v);
    }
    return _mm512_reduce_add_pd(acc);
#else
    double acc[SO_B] = {0.0};
    for (int64_t k = k0; k < k1; k++) {
        const double *restrict gb = g + SO_B * (int64_t)blk[k];
        const SO_T *restrict cb = SO_N(block_cost)(row, m, blk[k], tail);
        double *restrict eb = E + SO_B * k;
#pragma omp simd
        for (int t = 0; t < SO_B; t++) {
            double v = so_expz((gb[t] - (double)cb[t] + shift) * inv_eps);
            eb[t] = v;
            acc[t] += v;
        }
    }
    return sum_block(acc);
#endif
}

static inline double SO_N(support_max)(const SO_T *row, int64_t m, int64_t k0, int64_t k1,
                                       const int32_t *restrict blk, const double *restrict g)
{
    double mx = -INFINITY;
    SO_T tail[SO_B];
    for (int64_t k = k0; k < k1; k++) {
        const SO_T *cb = SO_N(block_cost)(row, m, blk[k], tail);
        for (int t = 0; t < SO_B; t++) {
            double v = g[SO_B * (int64_t)blk[k] + t] - (double)cb[t];
            mx = v > mx ? v : mx;
        }
    }
    return mx;
}

static void SO_N(eval)(const SO_T *C, int64_t ldc, int64_t i0, int64_t i1, int64_t m,
                       const int64_t *ptr, const int32_t *blk, double inv_eps,
                       const double *loga, const double *a, double *f, const double *g,
                       double *c, double *E)
{
    for (int64_t i = i0; i < i1; i++) {
        const SO_T *row = C + i * ldc;
        int64_t k0 = ptr[i], k1 = ptr[i + 1];
        double shift = f[i];
        double s = SO_N(support_exp)(row, m, k0, k1, blk, shift, inv_eps, g, E);
        if (!(s > 1e-250 && s < 1e250)) {
            shift = -SO_N(support_max)(row, m, k0, k1, blk, g);
            s = SO_N(support_exp)(row, m, k0, k1, blk, shift, inv_eps, g, E);
        }
        f[i] = shift + (loga[i] - log(s)) / inv_eps;
        double w = a[i] / s;
        for (int64_t k = k0; k < k1; k++) {
            double *restrict cb = c + SO_B * (int64_t)blk[k];
            double *restrict eb = E + SO_B * k;
#pragma omp simd
            for (int t = 0; t < SO_B; t++) {
                double p = w * eb[t];
                eb[t] = p;
                cb[t] += p;
            }
        }
    }
}

static void SO_N(plan)(const SO_T *C, int64_t ldc, int64_t i0, int64_t i1, int64_t m,
                       double inv_eps, const double *f, const double *g, double *K)
{
    for (int64_t i = i0; i < i1; i++)
        SO_N(strip_exp)(C + i * ldc, g, m, f[i], inv_eps, K + i * m);
}

static void SO_N(cert)(const SO_T *C, int64_t ldc, int64_t i0, int64_t i1, int64_t m,
                       double inv_eps, const double *f, const double *restrict g,
                       const double *restrict y, const double *restrict z, double *out)
{
    for (int64_t i = i0; i < i1; i++) {
        const SO_T *restrict row = C + i * ldc;
        double py = 0.0, cp = 0.0, cpy = 0.0, cz = 0.0, ps = 0.0, mn = INFINITY;
#pragma omp simd reduction(+ : py, cp, cpy, cz, ps) reduction(min : mn)
        for (int64_t j = 0; j < m; j++) {
            double v = (double)row[j], h = v - g[j];
            double p = so_expz((f[i] - h) * inv_eps);
            double q = p * y[j];
            py += q;
            ps += p;
            cp += v * p;
            cpy += v * q;
            cz += v * z[j];
            mn = h < mn ? h : mn;
        }
        double *o = out + 6 * i;
        o[0] = py;
        o[1] = cp;
        o[2] = cpy;
        o[3] = cz;
        o[4] = mn;
        o[5] = ps;
    }
}

static void SO_N(hv)(const SO_T *C, int64_t ldc, int64_t i0, int64_t i1, int64_t m, double inv_eps,
                     const double *a, const double *f, const double *restrict g,
                     const double *restrict x, double *restrict y, double *restrict buf)
{
    for (int64_t i = i0; i < i1; i++) {
        SO_N(strip_exp)(C + i * ldc, g, m, f[i], inv_eps, buf);
        double t = 0.0, w = 1.0 / a[i];
        if (x) {
#pragma omp simd reduction(+ : t)
            for (int64_t j = 0; j < m; j++)
                t += buf[j] * x[j];
            t *= w;
#pragma omp simd
            for (int64_t j = 0; j < m; j++)
                y[j] += t * buf[j];
        } else {
#pragma omp simd
            for (int64_t j = 0; j < m; j++)
                y[j] += w * buf[j] * buf[j];
        }
    }
}
