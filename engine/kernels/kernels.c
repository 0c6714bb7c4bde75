// Choice of the kernel tier; see kernels.h.
#include "engine/kernels/kernels.h"

const qins_kernels *qins_kernels_get(void) {
    return &qins_kernels_scalar;
}
