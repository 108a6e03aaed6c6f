#include "_sequences.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SO_CAT2(a, b) a##_##b
#define SO_CAT(a, b) SO_CAT2(a, b)

#define SO_T double
#define SO_N(name) SO_CAT(name, d)
#include "_sequences_body.h"
#undef SO_T
#undef SO_N
#define SO_T float
#define SO_N(name) SO_CAT(name, s)
#include "_sequences_body.h"
#undef SO_T
#undef SO_N

int64_t so_refine(int64_t p, double *v, double level)
{
    int64_t k = 0;
    for (int64_t i = 0; i < p; i++) {
        double m = v[i];
        v[k] = m;
        k += m > level;
    }
    return k;
}

double so_check_lam(int64_t n, const double *lam)
{
    double bad = lam[n - 1] >= 0.0 && lam[0] < INFINITY ? 0.0 : NAN;
    int rises = 0;
    for (int64_t i = 1; i < n; i++)
        rises |= !(lam[i] <= lam[i - 1]);
    return rises ? NAN : bad;
}

int so_is_sorted(int64_t p, const double *v)
{
    int rises = 0;
    for (int64_t i = 1; i < p; i++)
        rises |= v[i] > v[i - 1];
    return !rises;
}

static int bit_length(uint64_t value)
{
    int length = 0;
    while (value) {
        value >>= 1;
        length++;
    }
    return length;
}

void so_bucket_plan(int64_t p, const double *v, so_buckets *b)
{
    double low = v[0], high = v[0];
    for (int64_t i = 0; i < p; i++) {
        low = v[i] < low ? v[i] : low;
        high = v[i] > high ? v[i] : high;
    }
    /* positive numbers are in the order of their bits; about 256 to a bucket, at most 2048
     * buckets, each with a place of its own in the cache when they are filled */
    uint64_t lowest;
    memcpy(&lowest, &low, 8);
    memcpy(&b->high, &high, 8);
    int range = bit_length(b->high - lowest), log_p = bit_length((uint64_t)p);
    b->log_count = log_p <= 8 ? 0 : log_p - 8 > 11 ? 11 : log_p - 8;
    b->shift = range > b->log_count ? range - b->log_count : 0;
}

void so_bucket_count(int64_t p, const double *v, const so_buckets *b, int64_t *start)
{
    int64_t count = (int64_t)1 << b->log_count;
    memset(start, 0, (size_t)(count + 1) * sizeof(int64_t));
    for (int64_t i = 0; i < p; i++)
        start[bucket_of(b, v[i]) + 1]++;
    for (int64_t j = 0; j < count; j++)
        start[j + 1] += start[j];
}

void so_bucket_scatter(int64_t p, const double *v, const so_buckets *b, int64_t *next, double *to)
{
    for (int64_t i = 0; i < p; i++)
        to[next[bucket_of(b, v[i])]++] = v[i];
}

static void insertion(int64_t n, uint64_t *a)
{
    for (int64_t i = 1; i < n; i++) {
        uint64_t w = a[i];
        int64_t j = i;
        for (; j > 0 && a[j - 1] > w; j--)
            a[j] = a[j - 1];
        a[j] = w;
    }
}

/* Radix sort from the lowest digit; linear for any data. */
static void radix(int64_t n, uint64_t *a, uint64_t *tmp, int bits)
{
    uint64_t *from = a, *to = tmp;
    for (int shift = 0; shift < bits; shift += 8) {
        int64_t next[257] = {0};
        for (int64_t i = 0; i < n; i++)
            next[((from[i] >> shift) & 255) + 1]++;
        for (int j = 0; j < 256; j++)
            next[j + 1] += next[j];
        for (int64_t i = 0; i < n; i++)
            to[next[(from[i] >> shift) & 255]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != a)
        memcpy(a, from, (size_t)n * 8);
}

/* Sorts words that are spread evenly in time n: into about n / 4 cells, then within each. */
static void sort_words(int64_t n, uint64_t *a, uint64_t *tmp)
{
    enum { SMALL = 24, MOST = 10 };
    if (n <= SMALL) {
        insertion(n, a);
        return;
    }
    uint64_t low = a[0], high = a[0];
    for (int64_t i = 1; i < n; i++) {
        low = a[i] < low ? a[i] : low;
        high = a[i] > high ? a[i] : high;
    }
    int range = bit_length(high - low), log_cells = bit_length((uint64_t)n) - 2;
    log_cells = log_cells > MOST ? MOST : log_cells;
    int shift = range > log_cells ? range - log_cells : 0;
    int32_t cells = 1 << log_cells;
    int64_t next[(1 << MOST) + 1];
    memset(next, 0, (size_t)(cells + 1) * sizeof(int64_t));
    for (int64_t i = 0; i < n; i++)
        next[((a[i] - low) >> shift) + 1]++;
    int64_t most = 0;
    for (int32_t j = 0; j < cells; j++) {
        most = next[j + 1] > most ? next[j + 1] : most;
        next[j + 1] += next[j];
    }
    if (most > n / 2 && most > 256) { /* uneven */
        radix(n, a, tmp, bit_length(high));
        return;
    }
    for (int64_t i = 0; i < n; i++)
        tmp[next[(a[i] - low) >> shift]++] = a[i];
    memcpy(a, tmp, (size_t)n * 8);
    int64_t first = 0;
    for (int32_t j = 0; j < cells; j++) { /* next[j] is where cell j ends */
        int64_t size = next[j] - first;
        if (size > 4 * SMALL)
            radix(size, a + first, tmp, bit_length(high));
        else if (size > 1)
            insertion(size, a + first);
        first = next[j];
    }
}

typedef struct {
    double value;
    uint32_t index;
} so_entry;

static int compare_entries(const void *left, const void *right)
{
    const so_entry *a = left, *b = right;
    if (a->value != b->value)
        return a->value < b->value ? 1 : -1;
    return a->index < b->index ? -1 : 1;
}

/* For buckets with more entries and digits than a word can hold. */
static int sort_entries(int64_t n, const double *v, uint32_t *perm)
{
    so_entry *entries = malloc((size_t)n * sizeof(so_entry));
    if (!entries)
        return -1;
    for (int64_t i = 0; i < n; i++)
        entries[i] = (so_entry){v[i], (uint32_t)i};
    qsort(entries, (size_t)n, sizeof(so_entry), compare_entries);
    for (int64_t i = 0; i < n; i++)
        perm[i] = entries[i].index;
    free(entries);
    return 0;
}

int so_bucket_sort(int64_t n, const double *v, const so_buckets *b, uint64_t *work, uint32_t *perm)
{
    int low_bits = bit_length((uint64_t)n);
    if (b->shift + low_bits > 64)
        return sort_entries(n, v, perm);
    uint64_t mask = ((uint64_t)1 << low_bits) - 1;
    uint64_t keep = b->shift < 64 ? ((uint64_t)1 << b->shift) - 1 : ~(uint64_t)0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, &v[i], 8);
        work[i] = (((b->high - bits) & keep) << low_bits) | (uint64_t)i;
    }
    sort_words(n, work, work + n);
    for (int64_t i = 0; i < n; i++)
        perm[i] = (uint32_t)(work[i] & mask);
    return 0;
}

int64_t so_slope_pool(int64_t n, const double *v, const uint32_t *perm, const double *lam,
                      double scale, int64_t k, so_piece *pools)
{
    for (int64_t i = 0; i < n; i++) {
        double sum = (perm ? v[perm[i]] : v[i]) - scale * lam[i], len = 1.0;
        while (k > 0 && pools[k - 1].sum * len <= sum * pools[k - 1].len) {
            k--;
            sum += pools[k].sum;
            len += pools[k].len;
        }
        pools[k].sum = sum;
        pools[k].len = len;
        k++;
    }
    return k;
}

void so_slope_values(int64_t n, const so_piece *pools, int64_t *k, int64_t *used,
                     const uint32_t *perm, double *out)
{
    int64_t i = 0;
    while (i < n) {
        const so_piece *pool = &pools[*k];
        double value = pool->sum > 0.0 ? pool->sum / pool->len : 0.0;
        int64_t left = (int64_t)pool->len - *used, stop = n - i < left ? n : i + left;
        *used += stop - i;
        for (; i < stop; i++)
            out[perm ? perm[i] : i] = value;
        if (*used == (int64_t)pool->len) {
            ++*k;
            *used = 0;
        }
    }
}
