// Small checkpoints for tests; see hf_fixture.h.
#include "tests/hf_fixture.h"

#include "engine/base/buffer.h"
#include "engine/base/file.h"
#include "engine/base/half.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char fixture_config[] =
    "{\"architectures\":[\"Phi3ForCausalLM\"],\"model_type\":\"phi3\",\"vocab_size\":96,\"hidden_size\":80,"
    "\"intermediate_size\":72,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":2,"
    "\"hidden_act\":\"silu\",\"max_position_embeddings\":256,\"rms_norm_eps\":1e-05,\"rope_theta\":10000.0,"
    "\"rope_scaling\":null,\"sliding_window\":null,\"tie_word_embeddings\":false,\"eos_token_id\":7}";

static const char generation_config[] = "{\"eos_token_id\":[5,7]}";

static size_t dtype_bytes(const char *dtype) {
    return strcmp(dtype, "F32") == 0 || strcmp(dtype, "I32") == 0 ? 4 : strcmp(dtype, "I64") == 0 ? 8 : 2;
}

float hf_fixture_value(const fixture_tensor *tensor, size_t index) {
    uint16_t half;
    float value;
    if (strcmp(tensor->dtype, "F32") == 0) {
        memcpy(&value, tensor->data + 4 * index, 4);
        return value;
    }
    memcpy(&half, tensor->data + 2 * index, 2);
    return strcmp(tensor->dtype, "BF16") == 0 ? qins_f32_from_bf16(half) : qins_f32_from_f16(half);
}

void hf_fixture_set(fixture_tensor *tensor, size_t index, float value) {
    uint16_t half = strcmp(tensor->dtype, "BF16") == 0 ? qins_bf16_from_f32(value) : qins_f16_from_f32(value);
    if (strcmp(tensor->dtype, "F32") == 0)
        memcpy(tensor->data + 4 * index, &value, 4);
    else
        memcpy(tensor->data + 2 * index, &half, 2);
}

fixture_tensor *hf_fixture_add(hf_fixture *fixture, const char *name, const char *dtype, size_t rows, size_t cols) {
    cr_assert_lt(fixture->n_tensors, (size_t)FIXTURE_MAX_TENSORS);
    fixture_tensor *tensor = &fixture->tensors[fixture->n_tensors];
    *tensor = (fixture_tensor){.dtype = dtype, .shape = {rows, cols}, .rank = 2};
    if (rows == 0) { // a vector
        tensor->rank = 1;
        tensor->shape[0] = cols;
    }
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    size_t count = (rows == 0 ? 1 : rows) * cols;
    tensor->bytes = count * dtype_bytes(dtype);
    tensor->data = calloc(1, tensor->bytes);
    cr_assert_not_null(tensor->data);
    uint32_t state = 12345 + 977 * (uint32_t)fixture->n_tensors;
    for (size_t i = 0; i < count && dtype[0] != 'I'; i++) { // sums of uniform numbers: near enough to real weights
        float sum = 0;
        for (int k = 0; k < 4; k++) {
            state = state * 1664525u + 1013904223u;
            sum += (float)(state >> 16) / 65536.0f - 0.5f;
        }
        hf_fixture_set(tensor, i, rows == 0 ? 1.0f + 0.125f * sum : 0.0625f * sum);
    }
    fixture->n_tensors++;
    return tensor;
}

void hf_fixture_make(hf_fixture *fixture, qins_type type) {
    const char *dtype = type == QINS_F32 ? "F32" : type == QINS_BF16 ? "BF16" : "F16";
    *fixture = (hf_fixture){.path = "/tmp/qins_test_XXXXXX"};
    cr_assert_not_null(mkdtemp(fixture->path));
    hf_fixture_text(fixture, "config.json", fixture_config);
    hf_fixture_text(fixture, "generation_config.json", generation_config);
    hf_fixture_add(fixture, "model.embed_tokens.weight", dtype, 96, 80);
    for (int layer = 0; layer < 2; layer++) {
        static const struct {
            const char *suffix;
            size_t rows, cols;
        } entries[] = {{"input_layernorm", 0, 80},    {"self_attn.qkv_proj", 160, 80},
                       {"self_attn.o_proj", 80, 80},  {"post_attention_layernorm", 0, 80},
                       {"mlp.gate_up_proj", 144, 80}, {"mlp.down_proj", 80, 72}};
        for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
            char name[96];
            snprintf(name, sizeof name, "model.layers.%d.%s.weight", layer, entries[i].suffix);
            hf_fixture_add(fixture, name, dtype, entries[i].rows, entries[i].cols);
        }
    }
    hf_fixture_add(fixture, "model.norm.weight", dtype, 0, 80);
    hf_fixture_add(fixture, "lm_head.weight", dtype, 96, 80);
}

// The rows from *row on become a tensor of their own.
static void split_off(hf_fixture *fixture, const fixture_tensor *whole, const char *own, const char *part, size_t rows,
                      size_t *row) {
    char name[96];
    const char *at = strstr(whole->name, own);
    snprintf(name, sizeof name, "%.*s%s%s", (int)(at - whole->name), whole->name, part, at + strlen(own));
    fixture_tensor *tensor = hf_fixture_add(fixture, name, whole->dtype, rows, whole->shape[1]);
    const size_t row_bytes = whole->bytes / whole->shape[0];
    memcpy(tensor->data, whole->data + *row * row_bytes, tensor->bytes);
    *row += rows;
}

void hf_fixture_split(hf_fixture *fixture) {
    const size_t n = fixture->n_tensors;
    for (size_t i = 0; i < n; i++) {
        fixture_tensor *whole = &fixture->tensors[i];
        size_t row = 0;
        if (strstr(whole->name, "qkv_proj") != NULL) {
            split_off(fixture, whole, "qkv_proj", "q_proj", 80, &row);
            split_off(fixture, whole, "qkv_proj", "k_proj", 40, &row);
            split_off(fixture, whole, "qkv_proj", "v_proj", 40, &row);
        } else if (strstr(whole->name, "gate_up_proj") != NULL) {
            split_off(fixture, whole, "gate_up_proj", "gate_proj", 72, &row);
            split_off(fixture, whole, "gate_up_proj", "up_proj", 72, &row);
        }
        whole->absent |= row > 0;
    }
}

void hf_fixture_remove(hf_fixture *fixture) {
    for (size_t i = 0; i < fixture->n_tensors; i++) free(fixture->tensors[i].data);
    DIR *folder = opendir(fixture->path);
    cr_assert_not_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2) unlink(hf_fixture_path(fixture, entry->d_name));
    }
    closedir(folder);
    cr_expect_eq(rmdir(fixture->path), 0);
}

fixture_tensor *hf_fixture_find(hf_fixture *fixture, const char *name) {
    for (size_t i = 0; i < fixture->n_tensors; i++) {
        if (strcmp(fixture->tensors[i].name, name) == 0) return &fixture->tensors[i];
    }
    cr_assert_fail("no tensor %s", name);
    return NULL;
}

const char *hf_fixture_path(const hf_fixture *fixture, const char *name) {
    static char paths[4][400];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", fixture->path, name);
    return path;
}

void hf_fixture_text(const hf_fixture *fixture, const char *name, const char *text) {
    FILE *file = fopen(hf_fixture_path(fixture, name), "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(text, 1, strlen(text), file), strlen(text));
    cr_assert_eq(fclose(file), 0);
}

static void append_text(qins_buffer *buffer, const char *text) {
    qins_buffer_append(buffer, text, strlen(text));
}

// Header, then data, of the tensors that belong to shard `shard` of n_shards.
static void write_shard(const hf_fixture *fixture, const char *name, size_t shard, size_t n_shards) {
    qins_error error = {0};
    qins_buffer header = {.error = &error}, file = {.error = &error};
    size_t offset = 0;
    append_text(&header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < fixture->n_tensors; i++) {
        const fixture_tensor *tensor = &fixture->tensors[i];
        if (tensor->absent || i % n_shards != shard) continue;
        char text[256], second[32] = "";
        if (tensor->rank == 2) snprintf(second, sizeof second, ",%zu", tensor->shape[1]);
        snprintf(text, sizeof text, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%zu%s],\"data_offsets\":[%zu,%zu]}",
                 tensor->name, tensor->dtype, tensor->shape[0], second, offset, offset + tensor->bytes);
        append_text(&header, text);
        offset += tensor->bytes;
    }
    append_text(&header, "}");
    while (header.size % 8 != 0) append_text(&header, " ");
    qins_buffer_u64(&file, header.size);
    qins_buffer_append(&file, header.data, header.size);
    for (size_t i = 0; i < fixture->n_tensors; i++) {
        const fixture_tensor *tensor = &fixture->tensors[i];
        if (!tensor->absent && i % n_shards == shard) qins_buffer_append(&file, tensor->data, tensor->bytes);
    }
    cr_assert_eq(error.status, QINS_OK);
    FILE *stream = fopen(hf_fixture_path(fixture, name), "wb");
    cr_assert_not_null(stream);
    cr_assert_eq(fwrite(file.data, 1, file.size, stream), file.size);
    cr_assert_eq(fclose(stream), 0);
    qins_buffer_free(&header);
    qins_buffer_free(&file);
}

void hf_fixture_write(const hf_fixture *fixture, size_t n_shards) {
    if (n_shards == 1) {
        write_shard(fixture, "model.safetensors", 0, 1);
        return;
    }
    qins_error error = {0};
    qins_buffer index = {.error = &error};
    append_text(&index, "{\"metadata\":{},\"weight_map\":{");
    const char *comma = "";
    for (size_t i = 0; i < fixture->n_tensors; i++) {
        char text[256];
        if (fixture->tensors[i].absent) continue;
        snprintf(text, sizeof text, "%s\"%s\":\"model-%05zu-of-%05zu.safetensors\"", comma, fixture->tensors[i].name,
                 i % n_shards + 1, n_shards);
        append_text(&index, text);
        comma = ",";
    }
    append_text(&index, "}}");
    qins_buffer_u8(&index, 0);
    cr_assert_eq(error.status, QINS_OK);
    hf_fixture_text(fixture, "model.safetensors.index.json", (const char *)index.data);
    qins_buffer_free(&index);
    for (size_t shard = 0; shard < n_shards; shard++) {
        char name[64];
        snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", shard + 1, n_shards);
        write_shard(fixture, name, shard, n_shards);
    }
}

uint8_t *hf_fixture_read(const char *path, size_t *size) {
    qins_error error = {0};
    char *data = qins_file_read_all(path, (size_t)1 << 30, size, QINS_FAILED, &error);
    cr_assert_not_null(data, "%s", error.message);
    return (uint8_t *)data;
}
