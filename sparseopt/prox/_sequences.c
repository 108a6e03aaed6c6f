#include "_sequences.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SO_CAT2(a, b) a##_##b
#define SO_CAT(a, b) SO_CAT2(a, b)

enum { LANES_SIZE = 2048 }; /* entries of a stretch: eight fit the second cache */

static void sort_short(int64_t n, double *v, uint32_t *place);

#define SO_T double
#define SO_N(name) SO_CAT(name, d)
#include "_path_body.h"
#include "_sequences_body.h"
#undef SO_T
#undef SO_N
#define SO_T float
#define SO_N(name) SO_CAT(name, s)
#include "_path_body.h"
#include "_sequences_body.h"
#undef SO_T
#undef SO_N

double so_check_lam(int64_t n, const double *lam)
{
    double bad = lam[n - 1] >= 0.0 && lam[0] < INFINITY ? 0.0 : NAN;
    int rises = 0;
    for (int64_t i = 1; i < n; i++)
        rises |= !(lam[i] <= lam[i - 1]);
    return rises ? NAN : bad;
}

void so_path_start(so_path *s)
{
    memset(s, 0, sizeof(so_path));
    s->fresh = 1;
}

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

int so_is_sorted(int64_t p, const double *v)
{
    for (int64_t start = 0; start < p - 1; start += 1024) {
        int64_t stop = start + 1024 < p - 1 ? start + 1024 : p - 1;
        int rises = 0;
        for (int64_t i = start; i < stop; i++)
            rises |= v[i + 1] > v[i];
        if (rises)
            return 0;
    }
    return 1;
}

/* Entries from place r on end at zero if no sum of v - lam from r on is positive.  Between the
 * ends of a bucket such a sum exceeds the one at its start by at most its size times the largest
 * difference possible inside.  `after` is the largest sum from the next bucket on. */
static double cut_sum(double after, int64_t size, double sum, double top, double lowest_lam)
{
    double inside = (double)size * (top - lowest_lam);
    after += sum;
    after = inside > after ? inside : after;
    return after > 0.0 ? after : 0.0;
}

static double sum_of(int64_t n, const double *a)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += a[i];
    return sum;
}

int64_t so_sorted_cut(int64_t p, const double *v, const double *lam, double scale)
{
    enum { SIZE = 2048 };
    int64_t live = p;
    double after = 0.0;
    for (int64_t start = (p - 1) / SIZE * SIZE; start >= 0; start -= SIZE) {
        int64_t size = p - start < SIZE ? p - start : SIZE;
        double sum = sum_of(size, v + start) - scale * sum_of(size, lam + start);
        after = cut_sum(after, size, sum, v[start], scale * lam[start + size - 1]);
        live = after == 0.0 ? start : live;
    }
    return live;
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

void so_bucket_count(int64_t p, const double *v, const so_buckets *b, int64_t *start, double *sums)
{
    int64_t count = (int64_t)1 << b->log_count;
    memset(start, 0, (size_t)(count + 1) * sizeof(int64_t));
    memset(sums, 0, (size_t)count * sizeof(double));
    for (int64_t i = 0; i < p; i++) {
        int64_t k = bucket_of(b, v[i]);
        start[k + 1]++;
        sums[k] += v[i];
    }
    for (int64_t j = 0; j < count; j++)
        start[j + 1] += start[j];
}

void so_bucket_cut(so_buckets *b, const int64_t *start, const double *sums, const double *lam,
                   double scale)
{
    double after = 0.0;
    b->live = (int64_t)1 << b->log_count;
    for (int64_t j = b->live - 1; j >= 0; j--) {
        int64_t size = start[j + 1] - start[j];
        if (size > 0) {
            uint64_t bits = b->high - ((uint64_t)j << b->shift);
            double top, sum = sums[j] - scale * sum_of(size, lam + start[j]);
            memcpy(&top, &bits, 8);
            after = cut_sum(after, size, sum, top, scale * lam[start[j + 1] - 1]);
        }
        b->live = after == 0.0 ? j : b->live;
    }
}

double so_bucket_level(const so_buckets *b, double level)
{
    uint64_t width = (uint64_t)b->live << b->shift, bits;
    if (b->live >> b->log_count || width > b->high)
        return level;
    double value;
    bits = b->high - width;
    memcpy(&value, &bits, 8);
    return value > level ? value : level;
}

void so_bucket_scatter(int64_t p, const double *v, const so_buckets *b, int64_t *next, double *to)
{
    for (int64_t i = 0; i < p; i++)
        to[next[bucket_of(b, v[i])]++] = v[i];
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

/* Insertion sort that gives up, returning 0, after 4 n moves. */
static int insertion(int64_t n, uint64_t *a)
{
    int64_t moves = 0;
    for (int64_t i = 1; i < n; i++) {
        uint64_t w = a[i];
        if (a[i - 1] <= w)
            continue;
        int64_t j = i;
        for (; j > 0 && a[j - 1] > w; j--)
            a[j] = a[j - 1];
        a[j] = w;
        moves += i - j;
        if (moves > 4 * n)
            return 0;
    }
    return 1;
}

/* Two stable passes over the leading digits, without branches, leave few pairs in the wrong order
 * unless the words are spread very unevenly. */
static void sort_words(int64_t n, uint64_t *a, uint64_t *tmp, uint64_t low, uint64_t high)
{
    enum { MOST = 11 };
    if (n <= 16 && insertion(n, a))
        return;
    int range = bit_length(high - low), digit = (bit_length((uint64_t)n) + 7) / 2;
    digit = digit > MOST ? MOST : digit;
    int shift = range > 2 * digit ? range - 2 * digit : 0;
    int32_t cells = 1 << digit, first[(1 << MOST) + 1], second[(1 << MOST) + 1];
    uint64_t mask = (uint64_t)cells - 1;
    memset(first, 0, (size_t)(cells + 1) * sizeof(int32_t));
    memset(second, 0, (size_t)(cells + 1) * sizeof(int32_t));
    for (int64_t i = 0; i < n; i++) {
        uint64_t key = (a[i] - low) >> shift;
        first[(key & mask) + 1]++;
        second[(key >> digit) + 1]++;
    }
    for (int32_t j = 0; j < cells; j++) {
        first[j + 1] += first[j];
        second[j + 1] += second[j];
    }
    for (int64_t i = 0; i < n; i++)
        tmp[first[((a[i] - low) >> shift) & mask]++] = a[i];
    for (int64_t i = 0; i < n; i++)
        a[second[((tmp[i] - low) >> shift) >> digit]++] = tmp[i];
    if (!insertion(n, a))
        radix(n, a, tmp, bit_length(high));
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
    uint64_t mask = ((uint64_t)1 << low_bits) - 1, low = ~(uint64_t)0, high = 0;
    uint64_t keep = b->shift < 64 ? ((uint64_t)1 << b->shift) - 1 : ~(uint64_t)0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, &v[i], 8);
        bits = (((b->high - bits) & keep) << low_bits) | (uint64_t)i;
        work[i] = bits;
        low = bits < low ? bits : low;
        high = bits > high ? bits : high;
    }
    sort_words(n, work, work + n, low, high);
    for (int64_t i = 0; i < n; i++)
        perm[i] = (uint32_t)(work[i] & mask);
    return 0;
}

int64_t so_slope_pool(int64_t n, const double *v, const uint32_t *perm, const double *lam,
                      double scale, int64_t k, so_piece *pools)
{
    if (n == 0)
        return k;
    so_piece top = {-INFINITY, 1.0}; /* the last pool, kept in registers */
    int64_t i = 0;
    if (k > 0) {
        top = pools[--k];
    } else {
        top.sum = (perm ? v[perm[0]] : v[0]) - scale * lam[0];
        i = 1;
    }
    for (; i < n; i++) {
        double sum = (perm ? v[perm[i]] : v[i]) - scale * lam[i], len = 1.0;
        if (top.sum > sum * top.len) {
            pools[k++] = top;
        } else {
            sum += top.sum;
            len += top.len;
            while (k > 0 && pools[k - 1].sum * len <= sum * pools[k - 1].len) {
                k--;
                sum += pools[k].sum;
                len += pools[k].len;
            }
        }
        top.sum = sum;
        top.len = len;
    }
    pools[k++] = top;
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

/* Magnitudes, largest first and equal ones in the order of their places. */
static void sort_short(int64_t n, double *v, uint32_t *place)
{
    uint64_t work[2 * SO_SHORT];
    uint32_t perm[SO_SHORT], moved[SO_SHORT];
    double sorted[SO_SHORT];
    so_buckets plan;
    if (n > 24) {
        so_bucket_plan(n, v, &plan);
        if (!so_bucket_sort(n, v, &plan, work, perm)) {
            for (int64_t i = 0; i < n; i++) {
                sorted[i] = v[perm[i]];
                moved[i] = place[perm[i]];
            }
            memcpy(v, sorted, (size_t)n * sizeof *v);
            memcpy(place, moved, (size_t)n * sizeof *place);
            return;
        }
    }
    for (int64_t i = 1; i < n; i++) {
        double key = v[i];
        uint32_t at = place[i];
        int64_t j = i;
        for (; j > 0 && v[j - 1] < key; j--) {
            v[j] = v[j - 1];
            place[j] = place[j - 1];
        }
        v[j] = key;
        place[j] = at;
    }
}
