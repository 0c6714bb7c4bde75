// libFuzzer: arbitrary bytes as a .qins file. Hashes and lengths that guard the header are put right first, so that the
// fuzzer gets behind them. Build, from the top of the sources:
//   clang -std=c11 -D_POSIX_C_SOURCE=200809L -g -O1 -fsanitize=fuzzer,address,undefined -I. tests/fuzz/fuzz_qinsfile.c
//       engine/model/{config,schema,header,qinsfile}.c engine/kernels/codec.c
//       engine/base/{cursor,error,file,json,map,memory,pool}.c -lcjson -lxxhash -lm -lpthread -o fuzz_qinsfile
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

static uint8_t touch(const void *bytes, size_t size) {
    const uint8_t *end = bytes;
    return size == 0 ? 0 : (uint8_t)(end[0] ^ end[size - 1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *file = aligned_alloc(64, (size + 64) / 64 * 64);
    if (file == NULL) return 0;
    if (size > 0) memcpy(file, data, size);
    if (size > QINS_PREAMBLE_BYTES && (data[0] & 1)) repair(file, size);
    qins_error error = {0};
    qins_image *image = qins_image_from_memory(file, size, "fuzz", &error);
    if (image != NULL) {
        volatile uint8_t sum = 0; // everything that the header describes must be inside the file
        for (size_t i = 0; i < qins_image_header(image)->n_tensors; i++) {
            qins_matrix matrix = qins_image_matrix(image, i);
            sum ^= touch(matrix.data, (size_t)qins_image_header(image)->tensors[i].bytes);
            if (matrix.book != NULL)
                sum ^= touch(matrix.scales, matrix.rows * qins_blocks(matrix.type, matrix.cols) * 2);
        }
        size_t tokenizer_bytes;
        const uint8_t *tokenizer = qins_image_tokenizer(image, &tokenizer_bytes);
        sum ^= touch(tokenizer, tokenizer_bytes);
        qins_pool *pool = qins_pool_create(1, &error);
        if (pool != NULL) qins_image_verify(image, pool, &error);
        qins_pool_free(pool);
    }
    qins_image_close(image);
    free(file);
    return 0;
}
