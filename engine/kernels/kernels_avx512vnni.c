// The avx512vnni tier: the kernels of kernels_lanes.h on the primitives of lanes_avx512.h, with VNNI's products.
#ifdef __x86_64__
#define LANES_VNNI
#include "engine/kernels/lanes_avx512.h"

#include "engine/kernels/kernels_lanes.h"
#include "engine/kernels/tiers.h"

void qins_override_avx512vnni(qins_kernels *kernels) {
    override(kernels);
}
#endif
