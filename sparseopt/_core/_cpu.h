/* Instruction-set level of this processor: 2 = x86-64-v4 (AVX-512), 1 = x86-64-v3 (AVX2 and
 * FMA), 0 = anything else.  A family's selector returns the best table that was built. */
#ifndef SPARSEOPT_CPU_H
#define SPARSEOPT_CPU_H

static inline int so_cpu_level(void)
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

#endif
