// Which instruction sets this machine has: processor and operating system.
#ifndef QINS_BASE_CPU_H
#define QINS_BASE_CPU_H

#include <stdbool.h>

bool qins_cpu_has_avx2(void);        // x86-64 with AVX2, FMA and F16C
bool qins_cpu_has_avx512(void);      // and AVX-512 F, BW and VL
bool qins_cpu_has_avx512_vnni(void); // and AVX512_VNNI

#endif
