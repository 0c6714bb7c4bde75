// Test support: how far a model's predictions are from a reference's, over windows of a text.
#ifndef QINS_TESTS_QUALITY_H
#define QINS_TESTS_QUALITY_H

#include "tests/hf_model.h"

// Token ids cut into sequences that are run one by one.
typedef struct text_windows {
    int32_t *ids; // owned, [n, length]
    size_t n, length;
} text_windows;

// The first n windows: FOLDER/ppl_ids.i32 with BOS before each (models/README.md), n = 0: all of them; or the text
// of a file, markers included, by the tokenizer of `image`. Released with free(windows.ids).
text_windows windows_of_ids(const char *folder, size_t n);
text_windows windows_of_text(const char *path, const qins_image *image, size_t length, size_t n);

typedef struct text_quality {
    double mean_kld; // KL(reference || model) over all positions, nats
    double same_top; // share of positions with the same most probable token
} text_quality;

text_quality measure_quality(hf_model *model, hf_model *reference, const text_windows *windows);

#endif
