// Predictions beside a reference's; see quality.h.
#include "tests/quality.h"

#include "engine/base/file.h"
#include "engine/runtime/logits.h"
#include "tokenizer/tokenizer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_file(const char *path, size_t *size) {
    qins_error error = {0};
    char *bytes = qins_file_read_all(path, (size_t)1 << 28, size, QINS_FAILED, &error);
    cr_assert_not_null(bytes, "%s", error.message);
    return bytes;
}

text_windows windows_of_ids(const char *folder, size_t n) {
    enum { LENGTH = 256, BOS = 1, BLOCK = LENGTH - 1 };
    char path[1024];
    snprintf(path, sizeof path, "%s/ppl_ids.i32", folder);
    size_t size;
    char *bytes = read_file(path, &size);
    const size_t n_whole = size / sizeof(int32_t) / BLOCK;
    text_windows windows = {.n = n > 0 ? n : n_whole, .length = LENGTH};
    cr_assert_leq(windows.n, n_whole);
    windows.ids = malloc(windows.n * LENGTH * sizeof(int32_t));
    cr_assert_not_null(windows.ids);
    for (size_t i = 0; i < windows.n; i++) {
        windows.ids[i * LENGTH] = BOS;
        memcpy(windows.ids + i * LENGTH + 1, bytes + i * BLOCK * sizeof(int32_t), BLOCK * sizeof(int32_t));
    }
    free(bytes);
    return windows;
}

text_windows windows_of_text(const char *path, const qins_image *image, size_t length, size_t n) {
    qins_error error = {0};
    qins_ids ids = {0};
    size_t size, packed_size;
    char *text = read_file(path, &size);
    const uint8_t *packed = qins_image_tokenizer(image, &packed_size);
    qins_tokenizer *tokenizer = qins_tokenizer_unpack(packed, packed_size, &error);
    cr_assert_not_null(tokenizer, "%s", error.message);
    qins_tokenizer_encode(tokenizer, text, size, QINS_PARSE_SPECIAL, &ids, &error);
    cr_assert_eq(error.status, QINS_OK, "%s", error.message);
    cr_assert_geq(ids.count, n * length, "%s has %zu tokens", path, ids.count);
    qins_tokenizer_free(tokenizer);
    free(text);
    return (text_windows){.ids = ids.data, .n = n, .length = length};
}

// KL divergence of two rows of logits.
static double divergence(const float *ref, const float *logits, size_t n) {
    const double ref_lse = qins_log_sum_exp(ref, n), lse = qins_log_sum_exp(logits, n);
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double log_ref = (double)ref[i] - ref_lse;
        sum += exp(log_ref) * (log_ref - ((double)logits[i] - lse));
    }
    return sum;
}

text_quality measure_quality(hf_model *model, hf_model *reference, const text_windows *windows) {
    const size_t vocab_size = qins_session_config(model->session)->vocab_size, length = windows->length;
    const double n_positions = (double)(windows->n * length);
    double sum = 0;
    size_t n_same = 0;
    for (size_t i = 0; i < windows->n; i++) {
        float *logits = hf_model_score(model, windows->ids + i * length, length);
        float *ref = hf_model_score(reference, windows->ids + i * length, length);
        for (size_t t = 0; t < length; t++) {
            const float *p = ref + t * vocab_size, *q = logits + t * vocab_size;
            sum += divergence(p, q, vocab_size);
            n_same += qins_arg_max(p, vocab_size) == qins_arg_max(q, vocab_size);
        }
        free(logits);
        free(ref);
    }
    return (text_quality){sum / n_positions, (double)n_same / n_positions};
}
