// libFuzzer: arbitrary bytes as a .qins file. Hashes and lengths that guard the header are put right first, so that the
// fuzzer gets behind them. Built by `make fuzz`.
#include "engine/model/qinsfile.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *file = aligned_alloc(64, (size + 64) / 64 * 64);
    if (file == NULL) return 0;
    if (size > 0) memcpy(file, data, size);
    if (size > QINS_PREAMBLE_BYTES && (data[0] & 1)) repair(file, size);
    qins_error error = {0};
    qins_image *image = qins_image_from_memory(file, size, "fuzz", &error);
    if (image != NULL) {
        qins_pool *pool = qins_pool_create(1, &error);
        if (pool != NULL) qins_image_verify(image, pool, &error); // reads everything that the header describes
        qins_pool_free(pool);
    }
    qins_image_close(image);
    free(file);
    return 0;
}
