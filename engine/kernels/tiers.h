// The tiers of kernels, from the slowest to the fastest, and the choice of one for the process. A tier starts as a copy
// of the scalar one and overrides the slots that it does faster.
#ifndef QINS_KERNELS_TIERS_H
#define QINS_KERNELS_TIERS_H

#include "engine/kernels/kernels.h"

typedef struct qins_tier {
    const char *name;                        // "scalar", "avx2", ...
    bool (*is_available)(void);              // on this processor and system
    void (*override)(qins_kernels *kernels); // NULL: nothing
} qins_tier;

// All tiers that this program was built with; the first is the scalar one, and the last available one is the best.
extern const qins_tier qins_tiers[];
extern const size_t qins_n_tiers;

// The table of a tier, which must be available.
qins_kernels qins_tier_kernels(const qins_tier *tier);

// Choose a tier by name for the whole process, before its first use; "auto" is the best that the machine supports, NULL
// means the value of the environment variable QINS_CPU, or "auto" if it is not set. QINS_USAGE when the name is unknown
// or the machine lacks the tier.
qins_status qins_tier_select(const char *name, qins_error *error);

// The chosen tier and its kernels; without a choice as after qins_tier_select(NULL).
const qins_tier *qins_tier_get(void);
const qins_kernels *qins_kernels_get(void);

#ifdef __x86_64__
void qins_override_avx2(qins_kernels *kernels);
void qins_override_avx512(qins_kernels *kernels);
void qins_override_avx512vnni(qins_kernels *kernels);
#endif

#endif
