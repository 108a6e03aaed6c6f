/* Maps for the type SO_T.  `v < t ? t : v` and the like are written so that NaN passes, and
 * `v - clip(v)` so that zeros are +0 and nothing overflows. */

#define SO_MAP(name, SETUP, BODY)                                                              \
    static SO_T SO_N(name)(SO_MAP_ARGS(SO_T))                                                  \
    {                                                                                          \
        SO_T bad = 0;                                                                          \
        (void)y;                                                                               \
        SETUP                                                                                  \
        _Pragma("omp simd reduction(+ : bad)") for (int64_t i = 0; i < n; i++)                 \
        {                                                                                      \
            SO_T v = x[i];                                                                     \
            bad += v * 0;                                                                      \
            BODY                                                                               \
        }                                                                                      \
        return bad;                                                                            \
    }

#define SO_CLIP(v, lo, hi) ((v) < (lo) ? (lo) : (v) > (hi) ? (hi) : (v))
/* NaN for weights that are negative or not finite */
#define SO_WEIGHT bad += w * 0 + (w < 0 ? SO_NAN : 0);
/* and for labels that are not -1 or 1 */
#define SO_LABEL bad += SO_FABS(w) == 1 ? 0 : SO_NAN;

SO_MAP(soft, SO_T t = (SO_T)p[0]; SO_T s = (SO_T)p[1];, out[i] = (v - SO_CLIP(v, -t, t)) * s;)

SO_MAP(soft_pos, SO_T t = (SO_T)p[0]; SO_T s = (SO_T)p[1];
       , out[i] = v <= t ? (SO_T)0 : (v - t) * s;)

SO_MAP(wsoft, SO_T t0 = (SO_T)p[0]; SO_T s = (SO_T)p[1]; SO_T r = (SO_T)p[2];
       , SO_T w = y[i]; SO_WEIGHT SO_T t = t0 * w;
       out[i] = (v - SO_CLIP(v, -t, t)) * (s / (1 + r * w));)

SO_MAP(wsoft_pos, SO_T t0 = (SO_T)p[0]; SO_T s = (SO_T)p[1]; SO_T r = (SO_T)p[2];
       , SO_T w = y[i]; SO_WEIGHT SO_T t = t0 * w;
       out[i] = v <= t ? (SO_T)0 : (v - t) * (s / (1 + r * w));)

SO_MAP(firm, SO_T lo = (SO_T)p[0]; SO_T s = (SO_T)p[1]; SO_T hi = (SO_T)p[2];
       , out[i] = SO_FABS(v) <= hi ? (v - SO_CLIP(v, -lo, lo)) * s : v;)

SO_MAP(scad, SO_T t = (SO_T)p[0]; SO_T t1 = (SO_T)p[1]; SO_T hi = (SO_T)p[2]; SO_T a = (SO_T)p[3];
       , SO_T m = SO_FABS(v); SO_T c = v < 0 ? -hi : hi; SO_T line = c - (c - v) * a;
       SO_T low = v - SO_CLIP(v, -t, t); out[i] = m <= t1 ? low : m <= hi ? line : v;)

/* The roots of z^2 - (m - e) z + t - m e; the product of square roots cannot overflow, and for
 * m < e the difference is replaced by a quotient. */
SO_MAP(log_sum, SO_T thr = (SO_T)p[0]; SO_T e = (SO_T)p[1]; SO_T te = (SO_T)p[2];
       SO_T r = (SO_T)p[3];
       , SO_T m = SO_FABS(v); SO_T b = m + e; SO_T d = b - r < 0 ? 0 : b - r;
       SO_T root = SO_SQRT(d) * SO_SQRT(b + r); SO_T q = root + (e - m); q = m < e ? q : 1;
       SO_T z = m < e ? 2 * e * ((m - te) / q) : (SO_T)0.5 * ((m - e) + root);
       z = m <= thr ? 0 : z; z = v < 0 ? -z : z; out[i] = v != v ? v : m <= thr ? (SO_T)0 : z;)

/* In units of |x|: s^3 - s + k = 0 for s = sqrt(w / |x|), k <= 0.2722 above the threshold, where
 * five Newton steps from 1 reach the last digit. */
SO_MAP(half, SO_T thr = (SO_T)p[0]; const SO_T k0 = (SO_T)0.27216552697590868;
       , SO_T m = SO_FABS(v); SO_T r = m > thr ? thr / m : (SO_T)0; SO_T k = k0 * r * SO_SQRT(r);
       SO_T s = 1; for (int j = 0; j < 5; j++) s -= ((s * s - 1) * s + k) / (3 * s * s - 1);
       out[i] = m <= thr ? (SO_T)0 : v * (s * s);)

SO_MAP(hinge, SO_T t = (SO_T)p[0];
       , SO_T w = y[i]; SO_LABEL SO_T h = 1 - v * w; SO_T c = SO_CLIP(h, 0, t);
       out[i] = h >= 0 && h <= t ? w : v + w * c;)

SO_MAP(sq_hinge, SO_T s = (SO_T)p[0];
       , SO_T w = y[i]; SO_LABEL SO_T h = 1 - v * w; out[i] = v + w * s * (h < 0 ? 0 : h);)

SO_MAP(huber, SO_T f = (SO_T)(p[0] / (1 + p[0])); SO_T c = (SO_T)(p[0] * p[1]);
       , SO_T w = y[i]; bad += w * 0; SO_T d = f * (v - w); out[i] = v - SO_CLIP(d, -c, c);)

SO_MAP(pinball, SO_T lo = (SO_T)p[0]; SO_T hi = (SO_T)p[1];
       , SO_T w = y[i]; bad += w * 0; SO_T d = v - w;
       out[i] = d >= lo && d <= hi ? w : v - SO_CLIP(d, lo, hi);)

/* Positive root of w^2 - (v - t) w - t y; the quotient where the difference would cancel. */
SO_MAP(kl, SO_T t = (SO_T)p[0];
       , SO_T w = y[i]; SO_WEIGHT SO_T d = v - t; SO_T b = 2 * SO_SQRT(t) * SO_SQRT(w);
       SO_T m = SO_FABS(d); SO_T big = m < b ? b : m; SO_T small = m < b ? m : b;
       SO_T f = big > 0 ? small / big : (SO_T)0; SO_T h = big * SO_SQRT(1 + f * f);
       SO_T sum = m + h; SO_T u = sum > 0 ? b * (b / sum) : (SO_T)0;
       out[i] = (SO_T)0.5 * (d < 0 ? u : d + h);)

#undef SO_MAP

/* Maps that call the mathematical library, for entries above the threshold only. */
#define SO_SCALAR_MAP(name, ZERO, VALUE)                                                       \
    static SO_T SO_N(name)(SO_MAP_ARGS(SO_T))                                                  \
    {                                                                                          \
        SO_T bad = 0;                                                                          \
        (void)y;                                                                               \
        for (int64_t i = 0; i < n; i++) {                                                      \
            double v = x[i], m = fabs(v);                                                      \
            bad += x[i] * 0;                                                                   \
            out[i] = (ZERO) ? (SO_T)0 : m < INFINITY ? (SO_T)(VALUE) : x[i];                   \
        }                                                                                      \
        return bad;                                                                            \
    }

/* s^4 - s + k = 0 for s = (w / |x|)^(1/3), k <= 2^(2/3) / 4 above the threshold */
static double SO_N(two_thirds_root)(double r)
{
    double k = 0.39685026299204984 * r * cbrt(r), s = 1.0;
    for (int j = 0; j < 6; j++) {
        double c = s * s * s;
        s -= ((c - 1.0) * s + k) / (4.0 * c - 1.0);
    }
    return s * s * s;
}

SO_SCALAR_MAP(two_thirds, m <= p[0], v *SO_N(two_thirds_root)(p[0] / m))
SO_SCALAR_MAP(power, m <= p[0], v *power_root(p[2] * pow(p[0] / m, 2.0 - p[1]), p[1]))
SO_SCALAR_MAP(power_convex, m == 0.0,
              v *convex_power_root(p[0] + (p[1] - 2.0) * log(m), p[1] - 1.0))
#undef SO_SCALAR_MAP

static SO_T SO_N(logistic)(SO_MAP_ARGS(SO_T))
{
    enum { STRIP = 256 };
    double bad = 0, m[STRIP], u[STRIP];
    for (int64_t start = 0; start < n; start += STRIP) {
        int size = n - start < STRIP ? (int)(n - start) : STRIP;
        const SO_T *xs = x + start, *ys = y + start;
        SO_T *outs = out + start;
#pragma omp simd
        for (int i = 0; i < size; i++) {
            m[i] = (double)xs[i] * (double)ys[i];
            u[i] = logistic_start(&m[i], p[0], p[1]);
        }
        logistic_newton(size, m, p[0], u);
#pragma omp simd reduction(+ : bad)
        for (int i = 0; i < size; i++) {
            double v = xs[i], w = ys[i], part = v * 0 + w * 0;
            double root = v * w + 0.5 * p[0] < 0 ? -u[i] : u[i];
            bad += part + (fabs(w) == 1 ? 0 : (double)NAN);
            outs[i] = (SO_T)(part == 0 ? w * root : v + part);
        }
    }
    return (SO_T)bad;
}
#undef SO_CLIP
#undef SO_WEIGHT
#undef SO_LABEL
