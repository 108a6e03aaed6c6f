/* Loops of _sequences.h for the type SO_T. */

#ifndef SO_BUCKET_OF
#define SO_BUCKET_OF
static inline int64_t bucket_of(const so_buckets *b, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    return b->log_count ? (int64_t)((b->high - bits) >> b->shift) : 0;
}
#endif

static inline int64_t SO_N(write_piece)(const so_piece *piece, double l1, int64_t first, SO_T *out)
{
    double value = piece->sum / piece->len;
    value -= value < -l1 ? -l1 : value > l1 ? l1 : value;
    int64_t stop = first + (int64_t)piece->len;
    for (int64_t i = first; i < stop; i++)
        out[i] = (SO_T)value;
    return stop;
}

/* Moves the knot along `path` while the only piece of the other side, `chord`, is not beyond it:
 * `sign` is 1 if path is the lower edge.  Emptied sides are reset. */
static inline void SO_N(advance)(so_piece *chord, so_piece *path, int64_t *head, int64_t tail,
                                 double sign, int all, double l1, int64_t *written, SO_T *out)
{
    while (*head <= tail) {
        so_piece *first = &path[*head];
        if (!all && sign * (first->sum * chord->len - chord->sum * first->len) < 0.0)
            break;
        *written = SO_N(write_piece)(first, l1, *written, out);
        chord->sum -= first->sum;
        chord->len -= first->len;
        ++*head;
    }
}

void SO_N(so_string)(so_string *s, int64_t i0, int64_t i1, int64_t n, const SO_T *x,
                     const SO_T *w, double lam, double l1, so_piece *up, so_piece *low, SO_T *out)
{
    int64_t uh = s->up_head, ut = s->up_tail, lh = s->low_head, lt = s->low_tail;
    double edge = s->edge;
    for (int64_t i = i0; i < i1; i++) {
        double next = i == n - 1 ? 0.0 : w ? lam * w[i] : lam, d = next - edge;
        double sum = x[i] + d, len = 1.0;
        while (ut >= uh && up[ut].sum * len >= sum * up[ut].len) {
            sum += up[ut].sum;
            len += up[ut].len;
            ut--;
        }
        ut++;
        up[ut].sum = sum;
        up[ut].len = len;
        sum = x[i] - d;
        len = 1.0;
        while (lt >= lh && low[lt].sum * len <= sum * low[lt].len) {
            sum += low[lt].sum;
            len += low[lt].len;
            lt--;
        }
        lt++;
        low[lt].sum = sum;
        low[lt].len = len;
        edge = next;
        if (ut == uh)
            SO_N(advance)(&up[uh], low, &lh, lt, 1.0, i == n - 1, l1, &s->written, out);
        else if (lt == lh)
            SO_N(advance)(&low[lh], up, &uh, ut, -1.0, i == n - 1, l1, &s->written, out);
        else if (i == n - 1) { /* edges that differ by rounding only */
            so_piece chord = {0.0, 0.0};
            SO_N(advance)(&chord, up, &uh, ut, -1.0, 1, l1, &s->written, out);
        }
        if (lh > lt || uh > ut) { /* the tube has no width here: both ended at this entry */
            uh = ut + 1;
            lh = lt + 1;
        }
    }
    s->up_head = uh;
    s->up_tail = ut;
    s->low_head = lh;
    s->low_tail = lt;
    s->edge = edge;
}

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
    for (int64_t i = i0; i < i1; i++) {
        double m = fabs((double)x[i]), value = 0.0;
        if (m > level)
            value = values[next[b ? bucket_of(b, m) : 0]++];
        out[i] = (SO_T)(x[i] < 0 && value > 0.0 ? -value : value);
    }
}
