// Test support: a Hugging Face folder converted in memory and opened, with a session on it.
#ifndef QINS_TESTS_HF_MODEL_H
#define QINS_TESTS_HF_MODEL_H

#include "engine/base/json.h"
#include "engine/runtime/session.h"

// A test's requirements of a model. The zero value is the reference mode: everything in FP32.
typedef struct hf_mode {
    qins_type weights;     // of the layers; lm_head by the default rule
    bool f32_head;         // lm_head in FP32 with coded weights
    const char *calibrate; // text to calibrate coded weights with
    bool q8_0;             // FP32 weights rounded as Q8_0 does (not lm_head): the baseline for coded ones
    qins_type k_type;      // of keys and values in the cache
    qins_type v_type;
    size_t threads; // 0: two
} hf_mode;

typedef struct hf_model {
    qins_model *model;
    qins_session *session; // on an engine of its own
} hf_model;

// Every failure fails the test with its message.
hf_model hf_model_open(const char *folder, hf_mode mode);
hf_model hf_model_open_demo(void); // as people run it: qins8, keys in FP16, values in qins8
void hf_model_close(hf_model *model);

// A session on an engine of its own; a failure fails the test. session_close releases both.
qins_session *session_open(const qins_model *model, const qins_session_options *options, size_t n_threads);
void session_close(qins_session *session);

// The folder converted with weights of the type, as a file in memory. Every failure fails the test.
qins_image *hf_image_open(const char *folder, qins_type type);

// Logits after every token of ids[n], run as one sequence: [n, vocab_size], released with free().
float *hf_model_score(hf_model *model, const int32_t *ids, size_t n);

// PATH below $QINS_TEST_DATA, released with free(); NULL when the variable is not set.
char *hf_shared_path(const char *path);

// A JSON document from a file; the test fails when it cannot be read. Released with qins_json_free.
qins_json *hf_read_json(const char *path);

// An array of integers; *n: how many. Released with free().
int32_t *hf_json_ids(const qins_json *array, size_t *n);

#endif
