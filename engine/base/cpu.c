// CPU features and the choice of a tier; see cpu.h.
#include "engine/base/cpu.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif
#include <stdlib.h>
#include <string.h>

static const char *const names[QINS_CPU_COUNT] = {
    [QINS_CPU_SCALAR] = "scalar", [QINS_CPU_AVX2] = "avx2", [QINS_CPU_AVX512] = "avx512"};

static _Atomic(qins_cpu) selected = QINS_CPU_COUNT; // QINS_CPU_COUNT: nothing yet

const char *qins_cpu_name(qins_cpu tier) {
    return names[tier];
}

#ifdef __x86_64__
// The compilers' run-time support reads cpuid, and xgetbv for the registers that the system saves; not every compiler's
// knows F16C, which uses the same registers.
static bool has_avx2(void) {
    unsigned eax, ebx, ecx, edx;
    bool has_f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C) != 0;
    return has_f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi");
}
#endif

bool qins_cpu_has(qins_cpu tier) {
    switch (tier) {
    case QINS_CPU_SCALAR:
        return true;
#ifdef __x86_64__
    case QINS_CPU_AVX2:
        return has_avx2();
    case QINS_CPU_AVX512:
        return has_avx512();
#endif
    default:
        return false;
    }
}

static qins_cpu best(void) {
    int tier = QINS_CPU_COUNT - 1;
    while (!qins_cpu_has((qins_cpu)tier)) tier--;
    return (qins_cpu)tier;
}

qins_status qins_cpu_select(const char *name, qins_error *error) {
    const char *source = name != NULL ? "--cpu" : "QINS_CPU";
    if (name == NULL) name = getenv("QINS_CPU");
    if (name == NULL || strcmp(name, "auto") == 0) {
        selected = best();
        return QINS_OK;
    }
    for (int tier = 0; tier < QINS_CPU_COUNT; tier++) {
        if (strcmp(name, names[tier]) != 0) continue;
        if (!qins_cpu_has((qins_cpu)tier))
            return qins_fail(error, QINS_USAGE, "%s: this machine has no %s; its best is %s", source, name,
                             names[best()]);
        selected = (qins_cpu)tier;
        return QINS_OK;
    }
    return qins_fail(error, QINS_USAGE, "%s takes scalar|avx2|avx512|auto, not \"%s\"", source, name);
}

qins_cpu qins_cpu_tier(void) {
    if (selected == QINS_CPU_COUNT) {
        qins_error ignored = {0}; // programs select, and report, before they come here
        if (qins_cpu_select(NULL, &ignored) != QINS_OK) selected = best();
    }
    return selected;
}

bool qins_cpu_has_bf16(void) {
#ifdef __x86_64__
    return qins_cpu_tier() == QINS_CPU_AVX512 && __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}
