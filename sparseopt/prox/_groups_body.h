/* Group-wise maps for the type SO_T; sums are in float64. */

#define SO_CLIP(v, t) ((v) < -(t) ? -(t) : (v) > (t) ? (t) : (v))
#define SO_AT(k) (at ? at[k] : (k))

/* Norm of the soft-thresholded group.  Where the squares leave the range of float64 the
 * largest magnitude divides first. */
static double SO_N(group_norm)(const SO_T *x, const int64_t *at, int64_t size, double l1)
{
    double sum = 0.0;
    if (at)
        for (int64_t k = 0; k < size; k++) {
            double v = x[at[k]];
            v -= SO_CLIP(v, l1);
            sum += v * v;
        }
    else
#pragma omp simd reduction(+ : sum)
        for (int64_t k = 0; k < size; k++) {
            double v = x[k];
            v -= SO_CLIP(v, l1);
            sum += v * v;
        }
    if (sum >= 1e-280 && sum < INFINITY)
        return sqrt(sum);
    if (sum != sum)
        return sum;
    double top = 0.0;
    for (int64_t k = 0; k < size; k++) {
        double v = x[SO_AT(k)];
        v = fabs(v - SO_CLIP(v, l1));
        top = v <= top ? top : v;
    }
    if (!(top > 0.0 && top < INFINITY))
        return top;
    sum = 0.0;
    for (int64_t k = 0; k < size; k++) {
        double v = x[SO_AT(k)];
        v = (v - SO_CLIP(v, l1)) / top;
        sum += v * v;
    }
    return top * sqrt(sum);
}

/* `ball` projects each group onto the ball of its level, else its norm is reduced by it. */
static inline double SO_N(scale_groups)(int ball, SO_GROUP_ARGS(SO_T))
{
    double bad = 0.0;
    (void)work;
    for (int64_t j = j0; j < j1; j++) {
        const int64_t *at = idx ? idx + ptr[j] : 0;
        int64_t first = idx ? 0 : j * g, size = idx ? ptr[j + 1] - ptr[j] : g;
        double t = y ? lam * y[j] : lam;
        double norm = SO_N(group_norm)(x + first, at, size, l1);
        /* written so that NaN stays; an infinite norm belongs to an infinite entry */
        SO_T c = (SO_T)l1, s;
        if (ball)
            s = (SO_T)(norm <= t ? 1.0 : t / norm);
        else
            s = (SO_T)(norm <= t ? 0.0 : 1.0 - t / norm);
        bad += norm * 0.0;
        if (at)
            for (int64_t k = 0; k < size; k++) {
                SO_T v = x[at[k]];
                out[at[k]] = (v - SO_CLIP(v, c)) * s;
            }
        else
#pragma omp simd
            for (int64_t k = first; k < first + size; k++) {
                SO_T v = x[k];
                out[k] = (v - SO_CLIP(v, c)) * s;
            }
    }
    return bad;
}

static double SO_N(shrink)(SO_GROUP_ARGS(SO_T))
{
    return SO_N(scale_groups)(0, j0, j1, g, idx, ptr, x, y, lam, l1, work, out);
}

static double SO_N(ball)(SO_GROUP_ARGS(SO_T))
{
    return SO_N(scale_groups)(1, j0, j1, g, idx, ptr, x, y, lam, l1, work, out);
}

static double SO_N(clip)(SO_GROUP_ARGS(SO_T))
{
    double bad = 0.0;
    (void)l1;
    for (int64_t j = j0; j < j1; j++) {
        const int64_t *at = idx ? idx + ptr[j] : 0;
        int64_t first = idx ? 0 : j * g, size = idx ? ptr[j + 1] - ptr[j] : g;
        double radius = y ? lam * y[j] : lam, sum = 0.0;
        for (int64_t k = 0; k < size; k++) {
            double v = fabs((double)x[first + SO_AT(k)]);
            work[k] = v;
            sum += v;
        }
        bad += sum * 0.0;
        SO_T t = (SO_T)(sum == sum ? l1_threshold(work, size, radius) : sum);
        for (int64_t k = 0; k < size; k++) {
            int64_t i = first + SO_AT(k);
            SO_T v = x[i];
            out[i] = t == t ? SO_CLIP(v, t) + 0 : t; /* + 0: no -0 */
        }
    }
    return bad;
}

#undef SO_CLIP
#undef SO_AT
