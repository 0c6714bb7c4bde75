// CPU features; see cpu.h. The compilers' run-time support reads cpuid, and xgetbv for the registers that the system
// saves; not every compiler's knows F16C, which uses the same registers.
#include "engine/base/cpu.h"

#ifdef __x86_64__
#include <cpuid.h>

bool qins_cpu_has_avx2(void) {
    unsigned eax, ebx, ecx, edx;
    const bool has_f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C) != 0;
    return has_f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool qins_cpu_has_avx512(void) {
    return qins_cpu_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}

bool qins_cpu_has_avx512_vnni(void) {
    return qins_cpu_has_avx512() && __builtin_cpu_supports("avx512vnni");
}
#else
bool qins_cpu_has_avx2(void) {
    return false;
}

bool qins_cpu_has_avx512(void) {
    return false;
}

bool qins_cpu_has_avx512_vnni(void) {
    return false;
}
#endif
