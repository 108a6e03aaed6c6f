/* Row kernels for one type T: LANES numbers in a vector, rounding EPS, and NAME(f), all defined
 * outside. */


#define VEC NAME(vec)

static inline __attribute__((always_inline)) VEC NAME(load)(const T *p)
{
    VEC v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline __attribute__((always_inline)) void NAME(store)(T *p, VEC v) { memcpy(p, &v, sizeof v); }

static inline __attribute__((always_inline)) double NAME(sum)(VEC v)
{
    double s = 0.0;
    for (int t = 0; t < LANES; t++)
        s += (double)v[t];
    return s;
}

/* Dot products of two arrays of nv vectors, added up in float64 for float32 too. */
static inline __attribute__((always_inline)) double NAME(dot)(int nv, const T *a, const T *b)
{
    VEC s = {0};
    for (int v = 0; v < nv; v++)
        s += NAME(load)(a + v * LANES) * NAME(load)(b + v * LANES);
    return NAME(sum)(s);
}

/* Factor rows of the entries e0 .. of a row that ends at e1, as a contiguous tile; rows past the
 * end are zero, up to `rows`: a tile of few entries has 4 or LANES / 2 rows, as most rows of
 * power-law data have few, and what is not there costs as much as what is. */
static inline __attribute__((always_inline)) void
NAME(gather)(int64_t e0, int64_t e1, const int32_t *idx, const T *V, int64_t kp, int nv,
             const int rows, T *tile)
{
    int n = e1 - e0 < LANES ? (int)(e1 - e0) : LANES;
    for (int e = 0; e < n; e++) {
        /* rows of the next tile: the cost of a gather from beyond L2 is latency */
        if (e0 + e + LANES < e1) {
            const T *next = V + kp * (int64_t)idx[e0 + e + LANES];
            for (int v = 0; v < nv; v++)
                __builtin_prefetch(next + v * LANES);
        }
        const T *from = V + kp * (int64_t)idx[e0 + e];
        for (int v = 0; v < nv; v++)
            NAME(store)(tile + e * kp + v * LANES, NAME(load)(from + v * LANES));
    }
    for (int e = n; e < rows; e++)
        memset(tile + e * kp, 0, (size_t)kp * sizeof(T));
}

static inline __attribute__((always_inline)) VEC
NAME(tile_dots)(const T *tile, int64_t kp, int nv, const int rows, const T *a)
{
    VEC acc[LANES];
    VEC first = NAME(load)(a);
    for (int e = 0; e < LANES; e++)
        acc[e] = e < rows ? NAME(load)(tile + e * kp) * first : (VEC){0};
    for (int v = 1; v < nv; v++) {
        VEC av = NAME(load)(a + v * LANES);
        for (int e = 0; e < rows; e++)
            acc[e] += NAME(load)(tile + e * kp + v * LANES) * av;
    }
    return NAME(reduce)(acc);
}

/* r += sum over the tile's entries of t_e V_e */
static inline __attribute__((always_inline)) void
NAME(tile_axpy)(const T *tile, int64_t kp, int nv, const int rows, VEC t, T *r)
{
    T te[LANES];
    NAME(store)(te, t);
    for (int v = 0; v < nv; v++) {
        VEC a = NAME(load)(r + v * LANES), b = {0};
        for (int e = 0; e < rows; e += 2) {
            a += NAME(load)(tile + e * kp + v * LANES) * te[e];
            b += NAME(load)(tile + (e + 1) * kp + v * LANES) * te[e + 1];
        }
        NAME(store)(r + v * LANES, a + b);
    }
}

/* Values of the entries e0 .. that exist, 0 (or nothing) past the end. */
static inline __attribute__((always_inline)) VEC NAME(tile_load)(int64_t e0, int64_t e1, const T *x)
{
    if (e1 - e0 >= LANES)
        return NAME(load)(x + e0);
    VEC v = {0};
    for (int e = 0; e < e1 - e0; e++)
        v[e] = x[e0 + e];
    return v;
}

/* One tile of G'W(x - G a), added to r; returns the squares of residuals. */
static inline __attribute__((always_inline)) VEC
NAME(residual_tile)(int64_t e, int64_t e1, const int32_t *idx, const VEC x, const VEC *w,
                    const T *V, int64_t kp, int nv, const int rows, const T *a, T *r, T *tile)
{
    NAME(gather)(e, e1, idx, V, kp, nv, rows, tile);
    VEC t = x - NAME(tile_dots)(tile, kp, nv, rows, a), wt = w ? *w * t : t;
    NAME(tile_axpy)(tile, kp, nv, rows, wt, r);
    return wt * t;
}

/* r = G'W(x - G a) - d a, and the weighted sum of squared residuals; keeps tiles if told. */
static inline __attribute__((always_inline)) double
NAME(first_residual)(int64_t e0, int64_t e1, const int32_t *idx, const T *x, const T *w,
                     const T *V, int64_t kp, int nv, const T *a, const T *d, T *r, T *tiles,
                     int keep, double *weight)
{
    VEC rss = {0}, sw = {0};
    for (int v = 0; v < nv; v++)
        NAME(store)(r + v * LANES, -NAME(load)(d + v * LANES) * NAME(load)(a + v * LANES));
    for (int64_t e = e0; e < e1; e += LANES) {
        T *tile = keep ? tiles + (e - e0) * kp : tiles;
        VEC we = {0};
        if (w)
            sw += we = NAME(tile_load)(e, e1, w);
        const VEC xe = NAME(tile_load)(e, e1, x);
        /* each call is inlined with its number of rows, a constant */
        if (e1 - e <= 4)
            rss += NAME(residual_tile)(e, e1, idx, xe, w ? &we : NULL, V, kp, nv, 4, a, r, tile);
        else if (e1 - e <= LANES / 2)
            rss += NAME(residual_tile)(e, e1, idx, xe, w ? &we : NULL, V, kp, nv, LANES / 2, a,
                                       r, tile);
        else
            rss += NAME(residual_tile)(e, e1, idx, xe, w ? &we : NULL, V, kp, nv, LANES, a, r,
                                       tile);
    }
    *weight = w ? NAME(sum)(sw) : (double)(e1 - e0);
    return NAME(sum)(rss);
}

/* One tile of G'WGp, added to q unless that is NULL; returns the terms of p'G'WGp. */
static inline __attribute__((always_inline)) VEC
NAME(curvature_tile)(const VEC *w, int64_t kp, int nv, const int rows, const T *p, T *q,
                     const T *tile)
{
    VEC t = NAME(tile_dots)(tile, kp, nv, rows, p), wt = w ? *w * t : t;
    if (q)
        NAME(tile_axpy)(tile, kp, nv, rows, wt, q);
    return wt * t;
}

/* p'G'WGp; q += G'WGp unless q is NULL */
static inline __attribute__((always_inline)) double
NAME(curvature)(int64_t e0, int64_t e1, const int32_t *idx, const T *w, const T *V, int64_t kp,
                int nv, const T *p, T *q, T *tiles, int keep)
{
    VEC pq = {0};
    for (int64_t e = e0; e < e1; e += LANES) {
        T *tile = keep ? tiles + (e - e0) * kp : tiles;
        VEC we = {0};
        if (w)
            we = NAME(tile_load)(e, e1, w);
        if (keep && e1 - e <= 4)
            pq += NAME(curvature_tile)(w ? &we : NULL, kp, nv, 4, p, q, tile);
        else if (keep && e1 - e <= LANES / 2)
            pq += NAME(curvature_tile)(w ? &we : NULL, kp, nv, LANES / 2, p, q, tile);
        else {
            if (!keep)
                NAME(gather)(e, e1, idx, V, kp, nv, LANES, tile);
            pq += NAME(curvature_tile)(w ? &we : NULL, kp, nv, LANES, p, q, tile);
        }
    }
    return NAME(sum)(pq);
}

static inline __attribute__((always_inline)) void NAME(cg_width)(SO_CG_ARGS(T), const int nv)
{
    T *r = work, *p = r + kp, *q = p + kp, *pre = q + kp, *z = pre + kp, *sd = z + kp,
      *tiles = sd + kp;
    for (int64_t i = i0; i < i1; i++) {
        int64_t e0 = ptr[i], e1 = ptr[i + 1];
        rss[i] = drop[i] = 0.0;
        if (e0 == e1)
            continue;
        T *a = A + kp * i, s = scale ? (T)scale[i] : (T)1;
        int keep = e1 - e0 <= SO_KEPT(kp, LANES);
        double weight, rz = 0.0;
        for (int l = 0; l < nv * LANES; l++)
            sd[l] = s * d[l] + (base ? base[l] : 0);
        rss[i] = NAME(first_residual)(e0, e1, idx, x, w, V, kp, nv, a, sd, r, tiles, keep,
                                      &weight);
        T c = (T)weight;
        for (int l = 0; l < nv * LANES; l++) {
            T h = c * g[l] + sd[l];
            /* neither data nor ridge: nothing to solve for, any scale will do */
            pre[l] = h > 0 ? mask[l] / h : mask[l];
            p[l] = pre[l] * r[l];
        }
        rz = NAME(dot)(nv, r, p);
        /* beyond rounding the recursion for r no longer follows the residual */
        double stop = fmax(tol * tol, EPS * EPS) * rz;
        for (int step = 1; step <= steps && rz > 0.0 && isfinite(rz); step++) {
            /* the last step needs the curvature alone: half the work of the others */
            int last = step == steps;
            double pq = 0.0;
            if (!last)
                memset(q, 0, (size_t)kp * sizeof(T));
            pq = NAME(curvature)(e0, e1, idx, w, V, kp, nv, p, last ? NULL : q, tiles, keep);
            VEC pd = {0};
            for (int v = 0; v < nv; v++) {
                VEC pv = NAME(load)(p + v * LANES), dp = NAME(load)(sd + v * LANES) * pv;
                pd += dp * pv;
                if (!last)
                    NAME(store)(q + v * LANES, NAME(load)(q + v * LANES) + dp);
            }
            pq += NAME(sum)(pd);
            if (!(pq > 0.0))
                break;
            double alpha = rz / pq;
            if (!isfinite(alpha))
                break;
            drop[i] += alpha * rz;
            for (int v = 0; v < nv; v++)
                NAME(store)(a + v * LANES, NAME(load)(a + v * LANES) +
                                               (T)alpha * NAME(load)(p + v * LANES));
            if (last)
                break;
            for (int v = 0; v < nv; v++) {
                VEC rv = NAME(load)(r + v * LANES) - (T)alpha * NAME(load)(q + v * LANES);
                NAME(store)(r + v * LANES, rv);
                NAME(store)(z + v * LANES, rv * NAME(load)(pre + v * LANES));
            }
            double next = NAME(dot)(nv, r, z);
            if (!(next > stop))
                break;
            T beta = (T)(next / rz);
            for (int v = 0; v < nv; v++)
                NAME(store)(p + v * LANES, NAME(load)(z + v * LANES) +
                                               beta * NAME(load)(p + v * LANES));
            rz = next;
        }
    }
}

#define SO_CASE(n)                                                                             \
    case n:                                                                                    \
        NAME(cg_width)(i0, i1, ptr, idx, x, w, V, kp, A, d, g, mask, scale, base, steps, tol,  \
                       rss, drop, work, n);                                                         \
        break;

static void NAME(cg)(SO_CG_ARGS(T))
{
    /* Loops of known length, where there are registers to unroll them into: each costs seconds
     * of compilation. */
    switch (kp / LANES) {
#if defined(__AVX2__) || defined(__AVX512F__)
        SO_CASE(1)
        SO_CASE(2)
        SO_CASE(3)
#endif
#if defined(__AVX512F__)
        SO_CASE(4)
        SO_CASE(5)
        SO_CASE(7)
#endif
    default:
        NAME(cg_width)(i0, i1, ptr, idx, x, w, V, kp, A, d, g, mask, scale, base, steps, tol,
                       rss, drop, work, (int)(kp / LANES));
    }
}
#undef SO_CASE

static void NAME(product)(SO_PRODUCT_ARGS(T))
{
    int nv = (int)(kp / LANES), ny = (int)(ky / LANES);
    for (int64_t i = i0; i < i1; i++) {
        VEC ss = {0};
        if (Y)
            memset(Y + ky * i, 0, (size_t)ky * sizeof(T));
        for (int64_t e = ptr[i]; e < ptr[i + 1]; e += LANES) {
            int64_t e1 = ptr[i + 1];
            NAME(gather)(e, e1, idx, V, kp, nv, LANES, work);
            VEC t = NAME(tile_dots)(work, kp, nv, LANES, A + kp * i);
            if (x)
                t = NAME(tile_load)(e, e1, x) - t;
            VEC wt = w ? NAME(tile_load)(e, e1, w) * t : t;
            ss += wt * t;
            if (r && e1 - e >= LANES)
                NAME(store)(r + e, wt);
            else if (r)
                for (int j = 0; j < e1 - e; j++)
                    r[e + j] = wt[j];
            if (Y)
                NAME(tile_axpy)(work, kp, ny, LANES, wt, Y + ky * i);
        }
        if (rss)
            rss[i] = NAME(sum)(ss);
    }
}

static void NAME(spmm)(SO_SPMM_ARGS(T))
{
    int nv = (int)(kp / LANES);
    for (int64_t i = i0; i < i1; i++) {
        T *y = Y + kp * i;
        memset(y, 0, (size_t)kp * sizeof(T));
        for (int64_t e = ptr[i]; e < ptr[i + 1]; e++) {
            if (e + 8 < ptr[i + 1])
                __builtin_prefetch(V + kp * (int64_t)idx[e + 8]);
            T xe = x[e];
            const T *v = V + kp * (int64_t)idx[e];
            for (int t = 0; t < nv; t++)
                NAME(store)(y + t * LANES,
                            NAME(load)(y + t * LANES) + xe * NAME(load)(v + t * LANES));
        }
    }
}

#undef VEC
