// The avx512 tier: the kernels of kernels_lanes.h on the primitives of lanes_avx512.h.
#ifdef __x86_64__
#include "engine/kernels/lanes_avx512.h"

#include "engine/kernels/kernels_lanes.h"
#include "engine/kernels/tiers.h"

void qins_override_avx512(qins_kernels *kernels) {
    override(kernels);
}
#endif
