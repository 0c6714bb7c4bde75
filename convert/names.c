// Unwrapping of names; see names.h.
#include "convert/names.h"

#include <stdbool.h>
#include <string.h>

// Parts of a name, between dots, that only name the wrappers around a module: torch.compile, DistributedDataParallel,
// FSDP, checkpointing of activations, and peft around what an adapter changes.
static const char *const wrappers[] = {"_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module",
                                       "base_layer"};

static const char adapted[] = "base_model.model."; // before a whole model that has an adapter

// Beginnings of the names in a model that was saved without its head.
static const char *const headless[] = {"embed_tokens.", "layers.", "norm."};

static bool is_wrapper(const char *part, size_t length) {
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++)
        if (strlen(wrappers[i]) == length && memcmp(part, wrappers[i], length) == 0) return true;
    return false;
}

static bool begins(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

char *qins_plain_name(char *to, const char *name) {
    char *end = to;
    for (const char *part = name, *dot; part != NULL; part = dot == NULL ? NULL : dot + 1) {
        dot = strchr(part, '.');
        const size_t length = dot == NULL ? strlen(part) : (size_t)(dot - part);
        if (dot != NULL && is_wrapper(part, length)) continue;
        memcpy(end, part, length + (dot != NULL));
        end += length + (dot != NULL);
    }
    *end = '\0';
    size_t n = (size_t)(end - to);
    if (begins(to, adapted)) {
        n -= strlen(adapted);
        memmove(to, to + strlen(adapted), n + 1);
    }
    for (size_t i = 0; i < sizeof headless / sizeof *headless; i++) {
        if (!begins(to, headless[i])) continue;
        memmove(to + QINS_NAME_GROWTH, to, n + 1);
        memcpy(to, "model.", QINS_NAME_GROWTH);
        n += QINS_NAME_GROWTH;
        break;
    }
    return to + n;
}
