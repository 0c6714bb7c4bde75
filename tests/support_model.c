// Small random models; see support.h.
#include "engine/base/half.h"
#include "engine/base/map.h"
#include "engine/format/writer.h"
#include "engine/kernels/encoder.h"
#include "tests/support.h"

#include "engine/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

qins_config phi35_config(void) {
    qins_config config = {.n_layers = 32,
                          .hidden_dim = 3072,
                          .ffn_dim = 8192,
                          .n_heads = 32,
                          .n_kv_heads = 32,
                          .head_dim = 96,
                          .vocab_size = 32064,
                          .max_positions = 131072,
                          .rms_eps = 1e-5,
                          .rope = QINS_ROPE_LONG,
                          .rope_dim = 96,
                          .rope_base = 10000,
                          .original_positions = 4096,
                          .stop_ids = {32007, 32001, 32000},
                          .n_stop_ids = 3};
    for (int i = 0; i < 48; i++) {
        config.short_factor[i] = 1.0 + i / 16.0;
        config.long_factor[i] = 1.0 + i;
    }
    return config;
}

qins_config tiny_config(void) {
    qins_config config = phi35_config();
    config.n_layers = 2;
    config.hidden_dim = 48;
    config.ffn_dim = 80;
    config.n_heads = 4;
    config.n_kv_heads = 2;
    config.head_dim = config.rope_dim = 12;
    config.vocab_size = 50;
    config.max_positions = 32;
    config.original_positions = 8;
    config.n_stop_ids = 1;
    config.stop_ids[0] = 7;
    return config;
}

void model_header(qins_header *header, const qins_config *config, qins_type type, qins_error *error) {
    if (qins_header_init(header, config, error) != QINS_OK) return;
    strcpy(header->chat_template, "none");
    strcpy(header->converter, "tests");
    for (size_t i = 0; i < header->n_tensors; i++) {
        qins_tensor *tensor = &header->tensors[i];
        tensor->type = qins_role_is_of_layers(tensor->spec.role) ? type : QINS_BF16;
        strcpy(tensor->source_type, "F32");
    }
}

// The payload of a tensor: random weights that keep activations near 1, norms near 1.
static void write_tensor(qins_writer *writer, const qins_config *config, qins_tensor *tensor, test_random *random,
                         qins_error *error) {
    const size_t rows = tensor->spec.rows, cols = tensor->spec.cols;
    const float spread = tensor->spec.role == QINS_ROLE_EMBEDDING ? 1.0f : 1.0f / (float)(1 + cols / 8);
    const bool in_panels = qins_schema_layout(config, tensor->spec.role, tensor->type) == QINS_PANELS;
    float *row = malloc(cols * sizeof *row);
    uint16_t *halves = malloc(cols * sizeof *halves);
    uint8_t *payload = calloc(1, (size_t)tensor->bytes);
    test_row *room = calloc(1, sizeof *room);
    cr_assert(row != NULL && halves != NULL && payload != NULL && room != NULL && cols <= TEST_MAX_COLS);
    const qins_coded_row coded = coded_row(room);
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < cols; i++) {
            row[i] = random_bell(random) * spread + (tensor->spec.role == QINS_ROLE_NORM ? 1.0f : 0.0f);
            halves[i] = tensor->type == QINS_F16 ? qins_f16_from_f32(row[i]) : qins_bf16_from_f32(row[i]);
        }
        const void *values = tensor->type == QINS_F32 ? (const void *)row : (const void *)halves;
        uint8_t *panel = payload + r / QINS_PANEL * qins_panel_bytes(tensor->type, cols);
        if (qins_type_is_coded(tensor->type)) {
            qins_encode_row(scalar_encoder(tensor->type), row, NULL, cols, &coded);
            qins_pack_coded(panel, tensor->type, cols, r % QINS_PANEL, &coded);
        } else if (in_panels) {
            qins_pack_values(panel, tensor->type, cols, r % QINS_PANEL, values);
        } else {
            memcpy(payload + r * qins_row_bytes(tensor->type, cols), values, qins_row_bytes(tensor->type, cols));
        }
    }
    qins_writer_append(writer, payload, (size_t)tensor->bytes, error);
    tensor->source_hash = UINT64_C(0x0123456789abcdef);
    tensor->error = qins_type_is_coded(tensor->type) ? 0.0078125 : 0.0;
    free(row);
    free(halves);
    free(payload);
    free(room);
}

uint8_t *model_bytes(const qins_config *config, uint64_t seed, qins_type type, size_t *size) {
    static const uint8_t tokenizer[] = "no tokenizer";
    qins_error error = {0};
    qins_header header;
    test_random random = {seed};
    model_header(&header, config, type, &error);
    int fd = qins_memory_file("test-model", &error);
    expect_ok(&error);
    qins_writer *writer = qins_writer_create(fd, "test-model", &header, tokenizer, sizeof tokenizer, &error);
    expect_ok(&error);
    for (size_t i = 0; i < header.n_tensors; i++) write_tensor(writer, config, &header.tensors[i], &random, &error);
    qins_writer_finish(writer, &error);
    expect_ok(&error);
    *size = (size_t)qins_writer_file_bytes(writer);
    uint8_t *bytes = aligned_alloc(64, (*size + 63) / 64 * 64);
    cr_assert_not_null(bytes);
    cr_assert_eq(pread(fd, bytes, *size, 0), (ssize_t)*size);
    qins_writer_free(writer);
    qins_header_free(&header);
    close(fd);
    return bytes;
}

qins_image *model_image(const qins_config *config, uint64_t seed, qins_type type) {
    qins_error error = {0};
    size_t size;
    uint8_t *bytes = model_bytes(config, seed, type, &size);
    int fd = qins_memory_file("test-model", &error);
    expect_ok(&error);
    cr_assert_eq(pwrite(fd, bytes, size, 0), (ssize_t)size);
    qins_image *image = qins_image_from_fd(fd, "test-model", &error);
    expect_ok(&error);
    close(fd);
    free(bytes);
    return image;
}

qins_model *model_of_image(qins_image *image) {
    qins_error error = {0};
    qins_model *model = qins_alloc(1, sizeof *model, "model", &error);
    expect_ok(&error);
    model->image = image;
    qins_network_init(&model->network, image, &error);
    expect_ok(&error);
    return model;
}
