/* Instruction-set level to use: 2 = x86-64-v4 (AVX-512), 1 = x86-64-v3 (AVX2 and FMA),
 * 0 = anything else.  It is the processor's, or that of the environment variable
 * SPARSEOPT_SIMD where that is lower.  A family's selector returns the best table that was
 * built. */
#ifndef SPARSEOPT_CPU_H
#define SPARSEOPT_CPU_H

#include <stdlib.h>
#include <string.h>

/* Words that sparseopt/__init__.py does not know it has refused before any kernel is loaded. */
static inline int so_allowed_level(void)
{
    const char *word = getenv("SPARSEOPT_SIMD");
    if (word && strcmp(word, "baseline") == 0)
        return 0;
    if (word && strcmp(word, "v3") == 0)
        return 1;
    return 2;
}

static inline int so_processor_level(void)
{
#if (defined(__x86_64__) || defined(__amd64__)) && (defined(__GNUC__) || defined(__clang__))
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2"))
        return 1;
#endif
    return 0;
}

static inline int so_cpu_level(void)
{
    int processor = so_processor_level(), allowed = so_allowed_level();
    return processor < allowed ? processor : allowed;
}

#endif
