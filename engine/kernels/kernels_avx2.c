// The avx2 tier: the kernels of kernels_lanes.h on the primitives of lanes_avx2.h.
#ifdef __x86_64__
#include "engine/kernels/lanes_avx2.h"

#include "engine/kernels/kernels_lanes.h"
#include "engine/kernels/tiers.h"

void qins_override_avx2(qins_kernels *kernels) {
    override(kernels);
}
#endif
