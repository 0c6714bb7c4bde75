// The list of tiers and the choice among them; see tiers.h.
#include "engine/kernels/tiers.h"

#include "engine/base/cpu.h"
#include "engine/base/lock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool always(void) {
    return true;
}

const qins_tier qins_tiers[] = {
    {"scalar", always, NULL},
#ifdef __x86_64__
    {"avx2", qins_cpu_has_avx2, qins_override_avx2},
    {"avx512", qins_cpu_has_avx512, qins_override_avx512},
    {"avx512vnni", qins_cpu_has_avx512_vnni, qins_override_avx512vnni},
#endif
};
const size_t qins_n_tiers = sizeof qins_tiers / sizeof qins_tiers[0];

static const qins_tier *selected;
static qins_kernels kernels;

qins_kernels qins_tier_kernels(const qins_tier *tier) {
    qins_kernels table = qins_kernels_scalar;
    if (tier->override != NULL) tier->override(&table);
    return table;
}

static const qins_tier *best_tier(void) {
    size_t i = qins_n_tiers - 1;
    while (!qins_tiers[i].is_available()) i--;
    return &qins_tiers[i];
}

static void use(const qins_tier *tier) {
    selected = tier;
    kernels = qins_tier_kernels(tier);
}

qins_status qins_tier_select(const char *name, qins_error *error) {
    const char *source = name != NULL ? "--cpu" : "QINS_CPU";
    if (name == NULL) name = getenv("QINS_CPU");
    if (name == NULL || strcmp(name, "auto") == 0) {
        use(best_tier());
        return QINS_OK;
    }
    char names[128] = "";
    for (size_t i = 0; i < qins_n_tiers; i++) {
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s|", qins_tiers[i].name);
        if (strcmp(name, qins_tiers[i].name) != 0) continue;
        if (!qins_tiers[i].is_available())
            return qins_fail(error, QINS_USAGE, "%s: this machine has no %s; its best is %s", source, name,
                             best_tier()->name);
        use(&qins_tiers[i]);
        return QINS_OK;
    }
    return qins_fail(error, QINS_USAGE, "%s takes %sauto, not \"%s\"", source, names, name);
}

const qins_tier *qins_tier_get(void) {
    static atomic_int state;
    if (qins_once_begin(&state)) {
        qins_error ignored = {0}; // programs select, and report, before they call this
        if (selected == NULL && qins_tier_select(NULL, &ignored) != QINS_OK) use(best_tier());
        qins_once_end(&state);
    }
    return selected;
}

const qins_kernels *qins_kernels_get(void) {
    qins_tier_get();
    return &kernels;
}
