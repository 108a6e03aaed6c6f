/* Loops of _sequences.h for the type SO_T. */

#ifndef SO_BUCKET_OF
#define SO_BUCKET_OF
static inline int64_t bucket_of(const so_buckets *b, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    return (int64_t)((b->high - bits) >> b->shift);
}
#endif

int64_t SO_N(so_pool)(int64_t i0, int64_t i1, int64_t n, int reverse, const SO_T *x, const SO_T *w,
                      int64_t k, so_piece *pools, int64_t *starts)
{
    for (int64_t i = i0; i < i1; i++) {
        int64_t at = reverse ? n - 1 - i : i, start = i;
        double len = w ? w[at] : 1.0, sum = x[at] * len;
        while (k > 0 && pools[k - 1].sum * len >= sum * pools[k - 1].len) {
            k--;
            sum += pools[k].sum;
            len += pools[k].len;
            start = starts[k];
        }
        pools[k].sum = sum;
        pools[k].len = len;
        starts[k] = start;
        k++;
    }
    return k;
}

int64_t SO_N(so_keep)(int64_t i0, int64_t i1, const SO_T *x, double level, int64_t p, double *v)
{
    for (int64_t i = i0; i < i1; i++) {
        double m = fabs((double)x[i]);
        v[p] = m;
        p += m > level;
    }
    return p;
}

void SO_N(so_replay)(int64_t i0, int64_t i1, const SO_T *x, double level, const so_buckets *b,
                     int64_t *next, const double *values, SO_T *out)
{
    enum { STRIP = 512 };
    int32_t place[STRIP];
    SO_T kept[STRIP]; /* out may be x */
    for (int64_t start = i0; start < i1; start += STRIP) {
        int32_t size = i1 - start < STRIP ? (int32_t)(i1 - start) : STRIP, count = 0;
        for (int32_t i = 0; i < size; i++) { /* without branches */
            SO_T v = x[start + i];
            place[count] = i;
            kept[count] = v;
            count += fabs((double)v) > level;
        }
        memset(out + start, 0, (size_t)size * sizeof(SO_T));
        for (int32_t j = 0; j < count; j++) {
            int64_t k = b ? bucket_of(b, fabs((double)kept[j])) : 0;
            double value = values[next[k]++];
            out[start + place[j]] = (SO_T)(kept[j] < 0 ? 0.0 - value : value);
        }
    }
}

void SO_N(so_slope_short)(int64_t n, const SO_T *x, const double *lam, double scale, SO_T *out)
{
    double v[SO_SHORT], level = scale * lam[n - 1]; /* what is not above it ends at zero */
    uint32_t place[SO_SHORT];
    uint8_t negative[SO_SHORT];
    so_piece pools[SO_SHORT];
    int64_t p = 0, k = 0, used = 0;
    for (int64_t i = 0; i < n; i++) {
        double m = fabs((double)x[i]);
        v[p] = m;
        place[p] = (uint32_t)i;
        negative[i] = x[i] < 0;
        p += m > level;
    }
    sort_short(p, v, place);
    so_slope_pool(p, v, NULL, lam, scale, 0, pools);
    so_slope_values(p, pools, &k, &used, NULL, v);
    memset(out, 0, (size_t)n * sizeof(SO_T));
    for (int64_t i = 0; i < p; i++)
        out[place[i]] = (SO_T)(negative[place[i]] ? 0.0 - v[i] : v[i]);
}
