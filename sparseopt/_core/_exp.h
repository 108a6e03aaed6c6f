/* Branch-free exp for float64 and float32, written so that compilers vectorise loops that
 * inline it.  Cody-Waite reduction x = k ln2 + r, |r| <= ln2/2, a minimax polynomial for
 * (exp(r) - 1 - r)/r^2 and a scale by 2^k.  The rounding x -> k uses the add-a-magic-number
 * form, whose low mantissa bits are k: neither SSE2 nor AVX2 converts double to int64.
 * -ffast-math would cancel the magic number: never compile users of this file with it.
 *
 * so_exp   full range: denormals, overflow to inf, NaN kept.
 * so_expz  x is held to [-708, 709] (float32: [-87, 88]), NaN is kept; a quarter cheaper, for
 *          sums in which the smallest terms vanish and the largest are checked.
 */
#ifndef SPARSEOPT_EXP_H
#define SPARSEOPT_EXP_H

#include <stdint.h>
#include <string.h>

#define SO_LOG2E 0x1.71547652b82fep+0
#define SO_LN2_HI 0x1.62e42feep-1 /* 32 bits: k * LN2_HI is exact without FMA */
#define SO_LN2_LO 0x1.a39ef35793c76p-33
#define SO_MAGIC 0x1.8p52

#define SO_LOG2E_F 0x1.715476p+0f
#define SO_LN2_HI_F 0.693359375f
#define SO_LN2_LO_F -2.12194440e-4f
#define SO_MAGIC_F 0x1.8p23f

static inline uint64_t so_bits(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline double so_from_bits(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline uint32_t so_bitsf(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float so_from_bitsf(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* exp(r) on |r| <= ln2/2; degree 11, relative error 1.7e-17 before rounding. */
static inline double so_exp_poly(double r)
{
    double q = 0x1.af38a9b0ec855p-26;
    q = q * r + 0x1.289185613a3d6p-22;
    q = q * r + 0x1.71de0dae63bb3p-19;
    q = q * r + 0x1.a019b90d2ae7ap-16;
    q = q * r + 0x1.a01a01a7c41d5p-13;
    q = q * r + 0x1.6c16c1788bd90p-10;
    q = q * r + 0x1.11111111109b3p-7;
    q = q * r + 0x1.5555555553d63p-5;
    q = q * r + 0x1.5555555555556p-3;
    q = q * r + 0x1.0000000000001p-1;
    return (q * (r * r) + r) + 1.0;
}

static inline double so_expz(double x)
{
    double y = -708.0 > x ? -708.0 : x;
    y = 709.0 < y ? 709.0 : y;
    double t = y * SO_LOG2E + SO_MAGIC;
    double k = t - SO_MAGIC;
    double r = (y - k * SO_LN2_HI) - k * SO_LN2_LO;
    return so_from_bits(so_bits(so_exp_poly(r)) + (so_bits(t) << 52));
}

/* 2^k for |k| <= 1022 held in a double */
static inline double so_pow2(double k)
{
    return so_from_bits((so_bits(k + SO_MAGIC) << 52) + 0x3ff0000000000000u);
}

static inline double so_exp(double x)
{
    double y = -746.0 > x ? -746.0 : x;
    y = 710.0 < y ? 710.0 : y;
    double k = (y * SO_LOG2E + SO_MAGIC) - SO_MAGIC;
    double r = (y - k * SO_LN2_HI) - k * SO_LN2_LO;
    double k1 = (k * 0.5 + SO_MAGIC) - SO_MAGIC; /* two factors: neither leaves the normal range */
    return (so_exp_poly(r) * so_pow2(k1)) * so_pow2(k - k1);
}

/* degree 6, relative error 1.0e-8 before rounding */
static inline float so_exp_polyf(float r)
{
    float q = 0.00139261835877f;
    q = q * r + 0.00836317905272f;
    q = q * r + 0.0416665546172f;
    q = q * r + 0.166665769897f;
    q = q * r + 0.5f;
    return (q * (r * r) + r) + 1.0f;
}

static inline float so_expzf(float x)
{
    float y = -87.0f > x ? -87.0f : x;
    y = 88.0f < y ? 88.0f : y;
    float t = y * SO_LOG2E_F + SO_MAGIC_F;
    float k = t - SO_MAGIC_F;
    float r = (y - k * SO_LN2_HI_F) - k * SO_LN2_LO_F;
    return so_from_bitsf(so_bitsf(so_exp_polyf(r)) + (so_bitsf(t) << 23));
}

static inline float so_pow2f(float k)
{
    return so_from_bitsf((so_bitsf(k + SO_MAGIC_F) << 23) + 0x3f800000u);
}

static inline float so_expf(float x)
{
    float y = -104.0f > x ? -104.0f : x;
    y = 89.0f < y ? 89.0f : y;
    float k = (y * SO_LOG2E_F + SO_MAGIC_F) - SO_MAGIC_F;
    float r = (y - k * SO_LN2_HI_F) - k * SO_LN2_LO_F;
    float k1 = (k * 0.5f + SO_MAGIC_F) - SO_MAGIC_F;
    return (so_exp_polyf(r) * so_pow2f(k1)) * so_pow2f(k - k1);
}

#if defined(__AVX512F__)
#include <immintrin.h>

/* Eight of so_expz at once, at two thirds of the operations: 2^(j/16) comes from a table held
 * in two registers, so |r| <= ln2/32 and degree 6 suffices; vscalef takes the floor of its
 * exponent and saturates, which spares the bit arithmetic and the upper clamp.  Within 1.1 ulp;
 * zero below -746, inf above 709.8, NaN or inf from 1e15. */
static inline __m512d so_expz8(__m512d x)
{
    const __m512d t0 = _mm512_setr_pd(
        0x1p+0, 0x1.0b5586cf9890fp+0, 0x1.172b83c7d517bp+0, 0x1.2387a6e756238p+0,
        0x1.306fe0a31b715p+0, 0x1.3dea64c123422p+0, 0x1.4bfdad5362a27p+0, 0x1.5ab07dd485429p+0);
    const __m512d t1 = _mm512_setr_pd(
        0x1.6a09e667f3bcdp+0, 0x1.7a11473eb0187p+0, 0x1.8ace5422aa0dbp+0, 0x1.9c49182a3f090p+0,
        0x1.ae89f995ad3adp+0, 0x1.c199bdd85529cp+0, 0x1.d5818dcfba487p+0, 0x1.ea4afa2a490dap+0);
    const __m512d magic = _mm512_set1_pd(SO_MAGIC);
    /* operand order keeps NaN; the bound keeps k within the magic number's mantissa */
    x = _mm512_max_pd(_mm512_set1_pd(-1e6), x);
    __m512d t = _mm512_fmadd_pd(x, _mm512_set1_pd(0x1.71547652b82fep+4), magic);
    __m512d k = _mm512_sub_pd(t, magic);
    __m512d r = _mm512_fnmadd_pd(k, _mm512_set1_pd(0x1.62e42fep-5), x);
    r = _mm512_fnmadd_pd(k, _mm512_set1_pd(0x1.f473de6af278fp-34), r);
    __m512d q = _mm512_set1_pd(0x1.6c17bb5ebddb4p-10);
    q = _mm512_fmadd_pd(q, r, _mm512_set1_pd(0x1.11120b03cd855p-7));
    q = _mm512_fmadd_pd(q, r, _mm512_set1_pd(0x1.555555551946fp-5));
    q = _mm512_fmadd_pd(q, r, _mm512_set1_pd(0x1.55555554dd388p-3));
    q = _mm512_fmadd_pd(q, r, _mm512_set1_pd(0.5));
    q = _mm512_fmadd_pd(q, _mm512_mul_pd(r, r), r);
    __m512d s = _mm512_permutex2var_pd(t0, _mm512_castpd_si512(t), t1);
    return _mm512_scalef_pd(_mm512_fmadd_pd(s, q, s), _mm512_mul_pd(k, _mm512_set1_pd(0.0625)));
}
#endif

#endif
