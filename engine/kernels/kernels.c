// Choice of the kernel tier; see kernels.h.
#include "engine/kernels/kernels.h"

#include "engine/base/cpu.h"

const qins_kernels *qins_kernels_get(void) {
#ifdef __x86_64__
    if (qins_cpu_tier() == QINS_CPU_AVX2) return &qins_kernels_avx2;
    if (qins_cpu_tier() == QINS_CPU_AVX512)
        return qins_cpu_has_bf16() ? &qins_kernels_avx512_bf16 : &qins_kernels_avx512;
#endif
    return &qins_kernels_scalar;
}
