#include "_rows.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define SO_CAT2(a, b) a##_##b
#define SO_CAT(a, b) SO_CAT2(a, b)
#define SO_STR2(x) #x
#define SO_STR(x) SO_STR2(x)

#if defined(__clang__) || __GNUC__ >= 12
#define SO_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#error "gcc 12 or clang is needed"
#endif

typedef double vec_d __attribute__((vector_size(SO_LINE)));
typedef float vec_s __attribute__((vector_size(SO_LINE)));

/* Quarters of a vector are added up: of two vectors first, then of two such sums. */
static inline __attribute__((always_inline)) vec_d halves_d(vec_d a, vec_d b)
{
    return SO_SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11) +
           SO_SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
}

static inline __attribute__((always_inline)) vec_d quarters_d(vec_d a, vec_d b)
{
    return SO_SHUFFLE(a, b, 0, 1, 4, 5, 8, 9, 12, 13) +
           SO_SHUFFLE(a, b, 2, 3, 6, 7, 10, 11, 14, 15);
}

static inline __attribute__((always_inline)) vec_d pairs_d(vec_d a, vec_d b)
{
    return SO_SHUFFLE(a, b, 0, 8, 2, 10, 4, 12, 6, 14) +
           SO_SHUFFLE(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
}

/* The sums of 8 vectors as one vector. */
static inline __attribute__((always_inline)) vec_d reduce_d(const vec_d *a)
{
    return quarters_d(halves_d(pairs_d(a[0], a[1]), pairs_d(a[2], a[3])),
                      halves_d(pairs_d(a[4], a[5]), pairs_d(a[6], a[7])));
}

static inline __attribute__((always_inline)) vec_s pairs_s(vec_s a, vec_s b)
{
    return SO_SHUFFLE(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29) +
           SO_SHUFFLE(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
}

static inline __attribute__((always_inline)) vec_s fours_s(vec_s a, vec_s b)
{
    return SO_SHUFFLE(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
           SO_SHUFFLE(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}

static inline __attribute__((always_inline)) vec_s quad_s(const vec_s *a)
{
    return fours_s(pairs_s(a[0], a[1]), pairs_s(a[2], a[3]));
}

static inline __attribute__((always_inline)) vec_s halves_s(vec_s a, vec_s b)
{
    return SO_SHUFFLE(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           SO_SHUFFLE(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
}

static inline __attribute__((always_inline)) vec_s quarters_s(vec_s a, vec_s b)
{
    return SO_SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
           SO_SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

/* The sums of 16 vectors as one vector. */
static inline __attribute__((always_inline)) vec_s reduce_s(const vec_s *a)
{
    return quarters_s(halves_s(quad_s(a), quad_s(a + 4)), halves_s(quad_s(a + 8), quad_s(a + 12)));
}

#define T double
#define LANES 8
#define EPS DBL_EPSILON
#define NAME(f) SO_CAT(f, d)
#include "_rows_body.h"
#undef T
#undef LANES
#undef EPS
#undef NAME

#define T float
#define LANES 16
#define EPS FLT_EPSILON
#define NAME(f) SO_CAT(f, s)
#include "_rows_body.h"

const so_mc_table SO_CAT(so_mc_table, SO_ISA) = {
    SO_STR(SO_ISA), cg_d, cg_s, product_d, product_s, spmm_d, spmm_s,
};
