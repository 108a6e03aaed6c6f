/* Path of _sequences.h for the type SO_T. */

static inline double SO_N(edge)(int64_t i, int64_t n, const SO_T *w, double lam)
{
    return i < 0 || i >= n - 1 ? 0.0 : w ? lam * w[i] : lam;
}

/* Writes eight entries at a time, also behind the piece, where the next ones follow. */
static inline void SO_N(write)(so_path *s, double value, int64_t stop, int64_t n, double l1,
                               SO_T *out)
{
    int64_t i = s->written;
    value -= value < -l1 ? -l1 : value > l1 ? l1 : value;
    SO_T v = (SO_T)value;
    if (stop + 8 <= n) {
        do {
            for (int k = 0; k < 8; k++)
                out[i + k] = v;
            i += 8;
        } while (i < stop);
    } else {
        for (; i < stop; i++)
            out[i] = v;
    }
    s->written = stop;
}

/* The direct way, until the budget is used or the other way is better. */
static int64_t SO_N(direct)(so_path *s, int64_t budget, int64_t n, const SO_T *x, const SO_T *w,
                            double lam, double l1, SO_T *out)
{
    double sum = s->sum, least = s->least, most = s->most;
    int64_t start = s->written, at_least = s->at_least, at_most = s->at_most, i = s->i, read = 0;
    while (start < n) {
        double m = (double)(i - start);
        if (s->fresh) {
            sum = -s->side * SO_N(edge)(start - 1, n, w, lam);
            least = -INFINITY;
            most = INFINITY;
            at_least = at_most = i = start;
            m = 0.0;
            s->fresh = 0;
        }
        int64_t stop = i + (budget - read) < n ? i + (budget - read) : n, first = i;
        int close = 0;
        for (; i < stop; i++) {
            double half = i == n - 1 ? 0.0 : w ? lam * w[i] : lam;
            sum += x[i];
            m += 1.0;
            double high = sum + half, low = sum - half;
            if (high < least * m) {
                close = -1;
                break;
            }
            if (low > most * m) {
                close = 1;
                break;
            }
            if (high <= most * m) {
                most = high / m;
                at_most = i;
            }
            if (low >= least * m) {
                least = low / m;
                at_least = i;
            }
        }
        read += i - first + (close != 0);
        if (close) {
            SO_N(write)(s, close < 0 ? least : most, (close < 0 ? at_least : at_most) + 1, n, l1,
                        out);
            s->side = close;
            s->fresh = 1;
            s->knots++;
        } else if (i == n) {
            SO_N(write)(s, 0.5 * least + 0.5 * most, n, n, l1, out);
        }
        start = s->written;
        int64_t done = start - s->mark, scanned = s->scanned + read;
        if (scanned > 3 * done + 8192 || (done > 1024 && 100 * s->knots > done)) {
            s->string = 1;
            s->fresh = 1;
            break;
        }
        if (read >= budget)
            break;
    }
    s->scanned += read;
    s->sum = sum;
    s->least = least;
    s->most = most;
    s->at_least = at_least;
    s->at_most = at_most;
    s->i = i;
    return read;
}

/* Moves the knot along `path` while the only piece of the other side, `chord`, is not beyond it:
 * `side` is -1 if path is the lower edge. */
static inline void SO_N(advance)(so_path *s, so_piece *chord, so_piece *path, int64_t *head,
                                 int64_t tail, int side, int all, int64_t n, double l1, SO_T *out)
{
    while (*head <= tail) {
        so_piece *first = &path[*head];
        if (!all && side * (first->sum * chord->len - chord->sum * first->len) > 0.0)
            break;
        SO_N(write)(s, first->sum / first->len, s->written + (int64_t)first->len, n, l1, out);
        chord->sum -= first->sum;
        chord->len -= first->len;
        s->side = side;
        ++*head;
    }
}

/* The string, over the next `size` entries. */
static void SO_N(string)(so_path *s, int64_t size, int64_t n, const SO_T *x, const SO_T *w,
                         double lam, double l1, so_piece *up, so_piece *low, SO_T *out)
{
    if (s->fresh) {
        s->i = s->written;
        s->up_head = s->low_head = 0;
        s->up_tail = s->low_tail = -1;
    }
    int64_t uh = s->up_head, ut = s->up_tail, lh = s->low_head, lt = s->low_tail, i = s->i;
    double edge = SO_N(edge)(i - 1, n, w, lam);
    int64_t stop = i + size < n ? i + size : n;
    for (; i < stop; i++) {
        double next = i == n - 1 ? 0.0 : w ? lam * w[i] : lam;
        double knot = s->fresh ? s->side * edge : edge;
        double sum = x[i] + (next - knot), len = 1.0;
        while (ut >= uh && up[ut].sum * len >= sum * up[ut].len) {
            sum += up[ut].sum;
            len += up[ut].len;
            ut--;
        }
        ut++;
        up[ut].sum = sum;
        up[ut].len = len;
        knot = s->fresh ? -s->side * edge : edge;
        sum = x[i] - (next - knot);
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
        s->fresh = 0;
        if (ut == uh)
            SO_N(advance)(s, &up[uh], low, &lh, lt, -1, i == n - 1, n, l1, out);
        else if (lt == lh)
            SO_N(advance)(s, &low[lh], up, &uh, ut, 1, i == n - 1, n, l1, out);
        else if (i == n - 1) { /* edges that differ by rounding only */
            so_piece chord = {0.0, 0.0};
            SO_N(advance)(s, &chord, up, &uh, ut, 1, 1, n, l1, out);
        }
        if (lh > lt || uh > ut) { /* the tube has no width here: both ended at this entry */
            uh = lh = 0;
            ut = lt = -1;
            s->fresh = 1;
        }
    }
    s->up_head = uh;
    s->up_tail = ut;
    s->low_head = lh;
    s->low_tail = lt;
    s->i = i;
}

/* The direct way to the next knot; 0 if that is more than `most_read` entries away. */
static int64_t SO_N(next_knot)(so_path *s, int64_t most_read, int64_t n, const SO_T *x, double lam,
                               double l1, SO_T *out)
{
    int64_t start = s->written, at_least = start, at_most = start;
    int64_t stop = n - 1 < start + most_read ? n - 1 : start + most_read;
    double sum = -s->side * lam, m = 0.0, least = -INFINITY, most = INFINITY;
    for (int64_t i = start; i < stop; i++) {
        sum += x[i];
        m += 1.0;
        double high = sum + lam, low = sum - lam;
        int close = high < least * m ? -1 : low > most * m;
        if (close) {
            SO_N(write)(s, close < 0 ? least : most, (close < 0 ? at_least : at_most) + 1, n, l1,
                        out);
            s->side = close;
            return i + 1 - start;
        }
        if (high <= most * m) {
            most = high / m;
            at_most = i;
        }
        if (low >= least * m) {
            least = low / m;
            at_least = i;
        }
    }
    return 0;
}

/* One block by lanes: joins each stretch to the true path where they share a knot. */
static void SO_N(lanes_block)(so_path *s, int64_t n, const SO_T *x, double lam, double l1,
                              const so_lanes_table *t, so_piece *up, so_piece *low, SO_T *out)
{
    double *values = (double *)up;
    int64_t *ends = (int64_t *)low, counts[8], begin = s->written;
    int64_t spare = LANES_SIZE * 2; /* entries that joints may read */
    t->SO_N(lanes)(x, lam, begin, s->side, LANES_SIZE, n - 1, 6 * LANES_SIZE, values, ends,
                   counts);
    for (int l = 0; l < 8 && spare > 0; l++) {
        const double *value = values + l * LANES_SIZE;
        const int64_t *end = ends + l * LANES_SIZE;
        int64_t k = 0, count = counts[l];
        while (l > 0 && k < count) {
            int64_t at = (end[k] >> 1) + 1;
            if (at == s->written && (int)(end[k] & 1) == (s->side > 0)) {
                k++;
                break;
            }
            if (at <= s->written) {
                k++;
                continue;
            }
            int64_t read = SO_N(next_knot)(s, spare, n, x, lam, l1, out);
            spare = read ? spare - read : 0;
            if (spare <= 0)
                break;
        }
        if (spare <= 0)
            break;
        for (; k < count; k++) {
            SO_N(write)(s, value[k], (end[k] >> 1) + 1, n, l1, out);
            s->side = end[k] & 1 ? 1 : -1;
        }
    }
    s->fresh = 1;
    s->weak = s->written - begin < 4 * LANES_SIZE;
}

void SO_N(so_path)(so_path *s, int64_t budget, int64_t n, const SO_T *x, const SO_T *w, double lam,
                   double l1, const so_lanes_table *t, so_piece *up, so_piece *low, SO_T *out)
{
    enum { BLOCK = 1 << 16 };
    while (budget > 0 && s->written < n) {
        if (!s->string) {
            budget -= SO_N(direct)(s, budget, n, x, w, lam, l1, out);
            s->weak = 256 * s->knots < s->written - s->mark; /* long pieces, read too often */
            continue;
        }
        if (s->fresh && !s->weak && !w && t->SO_N(lanes) && n - s->written > 12 * LANES_SIZE) {
            SO_N(lanes_block)(s, n, x, lam, l1, t, up, low, out);
            budget -= 10 * LANES_SIZE;
            continue;
        }
        SO_N(string)(s, BLOCK, n, x, w, lam, l1, up, low, out);
        budget -= BLOCK;
        if (s->i - s->written < BLOCK / 8) { /* not far behind: the direct way may do again */
            s->string = 0;
            s->fresh = 1;
            s->mark = s->written;
            s->scanned = s->knots = 0;
        }
    }
}
