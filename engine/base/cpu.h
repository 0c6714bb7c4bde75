// Which instruction sets this machine has, and which of them the process shall use.
#ifndef QINS_BASE_CPU_H
#define QINS_BASE_CPU_H

#include "engine/base/error.h"

// Tiers of kernels, from the slowest to the fastest; each needs what those before it need.
typedef enum qins_cpu {
    QINS_CPU_SCALAR, // plain C, any machine
    QINS_CPU_AVX2,   // x86-64 with AVX2, FMA and F16C
    QINS_CPU_AVX512, // AVX-512 F, BW, VL and VBMI
    QINS_CPU_COUNT
} qins_cpu;

const char *qins_cpu_name(qins_cpu tier); // "scalar", "avx2", "avx512"
bool qins_cpu_has(qins_cpu tier);         // processor and operating system

// Choose the tier by name for the whole process, before its first use; "auto" is the best that the machine has, NULL is
// what the environment variable QINS_CPU says, "auto" if it is not set. QINS_USAGE when the name is unknown or the
// machine lacks the tier.
qins_status qins_cpu_select(const char *name, qins_error *error);

// The chosen tier; without a choice as after qins_cpu_select(NULL).
qins_cpu qins_cpu_tier(void);

// Whether the machine has products of BF16 numbers (AVX512_BF16) and the chosen tier is the one that may use them.
bool qins_cpu_has_bf16(void);

#endif
