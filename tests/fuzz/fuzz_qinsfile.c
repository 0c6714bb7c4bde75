// libFuzzer: arbitrary bytes as a .qins file, opened, verified and, where the model is small, run for a few tokens. The
// mutator puts lengths and hashes that guard the header right, so that the fuzzer gets past them. Built by `make fuzz`.
#include "engine/base/memory.h"
#include "engine/runtime/model.h"
#include "engine/runtime/session.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

static void put(uint8_t *bytes, uint64_t value) {
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(value >> (8 * i));
}

static void repair(uint8_t *file, size_t size) {
    uint64_t header_bytes = 0;
    memcpy(file, QINS_MAGIC, sizeof QINS_MAGIC - 1);
    put(file + 8, QINS_FORMAT_VERSION);
    put(file + 16, size);
    for (int i = 7; i >= 0; i--) header_bytes = header_bytes << 8 | file[24 + i];
    if (header_bytes <= size - QINS_PREAMBLE_BYTES)
        put(file + 32, XXH3_64bits(file + QINS_PREAMBLE_BYTES, (size_t)header_bytes));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    size = LLVMFuzzerMutate(data, size, max_size);
    if (size > QINS_PREAMBLE_BYTES && seed % 8 != 0) repair(data, size);
    return size;
}

// Logits that are not numbers are an error; weights may cause no other one.
static void run(const qins_model *model) {
    static const int32_t ids[] = {0, 0, 0, 0, 0};
    const qins_config *config = qins_model_config(model);
    if (config->n_layers * config->hidden_dim > 4096 || config->vocab_size > 4096 || config->ffn_dim > 4096) return;
    qins_error error = {0};
    const qins_session_options options = {.n_ctx = 8, .k_type = QINS_QINS8, .v_type = QINS_QINS4};
    qins_engine *engine = qins_engine_create(&model, 1, 1, &error);
    qins_session *session = engine != NULL ? qins_session_create(engine, model, &options, &error) : NULL;
    if (session != NULL) qins_session_sync(session, ids, sizeof ids / sizeof *ids, &error);
    qins_session_free(session);
    qins_engine_free(engine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *file = aligned_alloc(64, (size + 64) / 64 * 64);
    if (file == NULL) return 0;
    if (size > 0) memcpy(file, data, size);
    qins_error error = {0};
    qins_image *image = qins_image_from_memory(file, size, "fuzz", &error);
    qins_pool *pool = image != NULL ? qins_pool_create(1, &error) : NULL;
    if (pool != NULL) qins_image_verify(image, pool, &error); // reads everything that the header describes
    qins_pool_free(pool);
    error = (qins_error){0};
    qins_model *model = qins_model_from_image(image, "fuzz", &error);
    if (model != NULL) run(model);
    qins_model_close(model);
    free(file);
    return 0;
}
