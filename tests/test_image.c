// Reading .qins files: written data comes back; anything missing, added or changed is refused by name.
#include "engine/base/half.h"
#include "engine/base/map.h"
#include "engine/format/image.h"
#include "tests/support.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

// A small file in memory and the places in it.
typedef struct sample {
    uint8_t *bytes;
    size_t size, header_bytes;
    qins_image *image; // of bytes
} sample;

static sample make_sample(qins_type type) {
    const qins_config config = tiny_config();
    qins_error error = {0};
    sample made;
    made.bytes = model_bytes(&config, 5, type, &made.size);
    made.header_bytes = (size_t)made.bytes[24] | (size_t)made.bytes[25] << 8;
    made.image = qins_image_from_memory(made.bytes, made.size, "sample", &error);
    expect_ok(&error);
    return made;
}

static void free_sample(sample *made) {
    qins_image_close(made->image);
    free(made->bytes);
}

static void store_u64(uint8_t *bytes, uint64_t value) {
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(value >> (8 * i));
}

// bytes[size] is refused with this message; a copy before a guard page shows that nothing after it is read.
static void expect_refused(const uint8_t *bytes, size_t size, const char *message) {
    test_guards guards = {0};
    qins_error error = {0};
    cr_assert_null(qins_image_from_memory(guarded_copy(&guards, bytes, size), size, "sample", &error), "%zu bytes",
                   size);
    cr_assert_eq(strncmp(error.message, "sample: ", 8), 0, "%s", error.message);
    expect_error(&error, QINS_BAD_MODEL, message);
    guards_free(&guards);
}

Test(image, comes_back_as_written) {
    const qins_type types[] = {QINS_F32, QINS_F16, QINS_BF16, QINS_QINS8};
    for (size_t t = 0; t < 4; t++) {
        const qins_config config = tiny_config();
        sample made = make_sample(types[t]);
        const qins_header *header = qins_image_header(made.image);
        cr_assert_eq(header->n_tensors, 15);
        cr_expect_eq(qins_image_bytes(made.image), made.size);
        size_t tokenizer_size;
        const uint8_t *tokenizer = qins_image_tokenizer(made.image, &tokenizer_size);
        cr_expect(tokenizer_size == 13 && memcmp(tokenizer, "no tokenizer", 13) == 0);
        test_random random = {5}; // the same numbers as support_model.c draws
        for (size_t i = 0; i < header->n_tensors; i++) {
            qins_tensor_spec spec = qins_schema_entry(&config, i);
            qins_matrix matrix = qins_image_matrix(made.image, i);
            cr_assert(matrix.rows == spec.rows && matrix.cols == spec.cols);
            const float spread = spec.role == QINS_ROLE_EMBEDDING ? 1.0f : 1.0f / (float)(1 + spec.cols / 8);
            const float offset = spec.role == QINS_ROLE_NORM ? 1.0f : 0.0f;
            // relative error of the type; of the codec: half a step of the largest weights, of v and of d
            const float error[] = {[QINS_F32] = 0, [QINS_F16] = 0x1p-11f, [QINS_BF16] = 0x1p-8f, [QINS_QINS8] = 0};
            for (size_t row = 0; row < spec.rows; row++) {
                float values[80];
                qins_decode_rows(values, &matrix, row, 1);
                for (size_t col = 0; col < spec.cols; col++) {
                    float expected = random_bell(&random) * spread + offset, largest = 6 * spread;
                    float tolerance = expected < 0 ? -expected : expected;
                    tolerance = matrix.type == QINS_QINS8 ? largest / 60 : tolerance * error[matrix.type] + 1e-7f;
                    float difference = values[col] - expected;
                    cr_assert(difference <= tolerance && -difference <= tolerance, "%s [%zu, %zu]: %g instead of %g",
                              spec.name, row, col, (double)values[col], (double)expected);
                }
            }
        }
        free_sample(&made);
    }
}

Test(image, every_truncation_is_refused) {
    sample made = make_sample(QINS_QINS8);
    for (size_t size = 0; size < made.size; size++) {
        expect_refused(made.bytes, size, size < 8 ? "not a .qins file" : size < 40 ? "bytes needed" : "it was cut off");
    }
    uint8_t *copy = malloc(made.size + 1);
    cr_assert_not_null(copy);
    memcpy(copy, made.bytes, made.size);
    for (size_t size = 64; size < made.size; size += 11) { // the same with a preamble that agrees
        store_u64(copy + 16, size);
        expect_refused(copy, size, size < 64 + made.header_bytes ? "does not fit the file" : "the tensors end at byte");
    }
    free(copy);
    free_sample(&made);
}

Test(image, one_extra_byte_is_refused) {
    sample made = make_sample(QINS_QINS8);
    uint8_t *longer = calloc(made.size + 1, 1);
    cr_assert_not_null(longer);
    memcpy(longer, made.bytes, made.size);
    expect_refused(longer, made.size + 1, "something was appended");
    store_u64(longer + 16, made.size + 1);
    expect_refused(longer, made.size + 1, "the tensors end at byte");
    free(longer);
    free_sample(&made);
}

Test(image, every_flipped_byte_of_preamble_and_header_is_refused) {
    sample made = make_sample(QINS_QINS8);
    for (size_t i = 0; i < 64 + made.header_bytes; i++) {
        made.bytes[i] ^= (uint8_t)(1 << i % 8);
        const char *message = i < 8    ? "this is not a .qins file"
                              : i < 12 ? "format version"
                              : i < 16 ? "reserved bytes"
                              : i < 24 ? "was written with"
                              : i < 32 ? "header"
                              : i < 40 ? "the header is damaged"
                              : i < 64 ? "reserved bytes"
                                       : "the header is damaged";
        qins_error error = {0};
        cr_assert_null(qins_image_from_memory(made.bytes, made.size, "sample", &error), "byte %zu", i);
        expect_error(&error, QINS_BAD_MODEL, message);
        made.bytes[i] ^= (uint8_t)(1 << i % 8);
    }
    free_sample(&made);
}

// --- hostile headers: the hash agrees with them ---

// One piece of the header's JSON is replaced, the hash is made again: refused with this message.
static void expect_header_refused(const char *from, const char *to, const char *message) {
    sample made = make_sample(QINS_QINS8);
    char *json = (char *)made.bytes + 64, *place = NULL;
    const size_t from_size = strlen(from), to_size = strlen(to);
    for (size_t i = 0; i + from_size <= made.header_bytes && place == NULL; i++)
        place = memcmp(json + i, from, from_size) == 0 ? json + i : NULL;
    cr_assert_not_null(place, "%s", from);
    size_t after = made.header_bytes - (size_t)(place - json) - from_size;
    if (to_size > from_size) { // at the cost of the padding
        for (size_t i = 1; i <= to_size - from_size; i++) cr_assert_eq(json[made.header_bytes - i], ' ');
        after -= to_size - from_size;
    }
    memmove(place + to_size, place + from_size, after);
    memcpy(place, to, to_size);
    for (char *rest = place + to_size + after; rest < json + made.header_bytes; rest++) *rest = ' ';
    store_u64(made.bytes + 32, XXH3_64bits(json, made.header_bytes));
    expect_refused(made.bytes, made.size, message);
    free_sample(&made);
}

Test(image, hostile_headers_are_refused) {
    sample made = make_sample(QINS_QINS8);
    const qins_header *header = qins_image_header(made.image);
    char first[40], second[40], moved[40], tokenizer[40];
    snprintf(first, sizeof first, "\"offset\":%" PRIu64 ",", header->tensors[0].offset);
    snprintf(second, sizeof second, "\"offset\":%" PRIu64 ",", header->tensors[1].offset);
    snprintf(moved, sizeof moved, "\"offset\":%" PRIu64 ",", header->tensors[1].offset + 64);
    snprintf(tokenizer, sizeof tokenizer, "\"offset\":%" PRIu64 ",", header->tokenizer_offset);
    free_sample(&made);
    expect_header_refused(second, first, "tensor model.layers.0.input_layernorm.weight: 96 bytes at");
    expect_header_refused(second, moved, "expected");
    expect_header_refused(first, "\"offset\":9007199254740992,", "9007199254740992 found");
    expect_header_refused(first, "\"offset\":0,", "model.embed_tokens.weight: 4800 bytes at 0 found");
    expect_header_refused(first, "\"offset\":-64,", "\"offset\" must be an integer");
    expect_header_refused("\"bytes\":4800", "\"bytes\":4799", "4799 bytes at");
    expect_header_refused("\"bytes\":4800", "\"bytes\":1e15", "expected");
    expect_header_refused(tokenizer, "\"offset\":64,", "tokenizer section at 64, expected at");
    expect_header_refused("\"bytes\":13", "\"bytes\":9007199254740992", "at most 67108864 are supported");
    expect_header_refused("\"bytes\":13", "\"bytes\":60000000", "expected");
    expect_header_refused("\"bytes\":13", "\"bytes\":0", "");
    expect_header_refused("\"n_layers\":2", "\"n_layers\":1024", "tensors listed");
    expect_header_refused("norm.weight\",\"type\":\"bf16\"", "norm.weight\",\"type\":\"qins8\"",
                          "not allowed for the role norm");
    expect_header_refused("\"type\":\"bf16\"", "\"type\":\"f32\"", "4800 bytes at");
    expect_header_refused("\"type\":\"qins8\"", "\"type\":\"bf16\"", "bytes at");
    expect_header_refused("\"type\":\"qins8\"", "\"type\":\"qins9\"", "type \"qins9\" is unknown");
    expect_header_refused("embed_tokens", "embed_tokenx", "found tensor");
    expect_header_refused("{\"config\"", " \"config\"", "JSON ends at byte 9");
}

// The specification pads the header to a multiple of 64: otherwise bytes between it and the first section would belong
// to nothing.
Test(image, a_header_that_is_not_padded_is_refused) {
    sample made = make_sample(QINS_QINS8);
    size_t used = made.header_bytes;
    while (made.bytes[64 + used - 1] == ' ') used--;
    cr_assert_lt(made.header_bytes - used, 64 * 50);
    for (size_t size = made.header_bytes - 63; size < made.header_bytes; size++) {
        store_u64(made.bytes + 24, size);
        store_u64(made.bytes + 32, XXH3_64bits(made.bytes + 64, size));
        expect_refused(made.bytes, made.size, "multiple of 64");
    }
    free_sample(&made);
}

Test(image, hostile_header_lengths_are_refused) {
    sample made = make_sample(QINS_QINS8);
    const uint64_t lengths[] = {0, made.size, made.size - 63, UINT64_MAX, UINT64_MAX - 63, INT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        store_u64(made.bytes + 24, lengths[i]);
        expect_refused(made.bytes, made.size, "the header's length");
    }
    free_sample(&made);
}

// A sparse file costs nothing to make, whatever its size.
Test(image, a_header_beyond_the_bound_is_not_read) {
    qins_error error = {0};
    uint8_t preamble[64] = QINS_MAGIC;
    const uint64_t size = UINT64_C(8) << 30;
    preamble[8] = QINS_FORMAT_VERSION;
    store_u64(preamble + 16, size);
    store_u64(preamble + 24, size - 64);
    const int fd = qins_memory_file("sparse", &error);
    cr_assert_eq(pwrite(fd, preamble, 64, 0), 64);
    cr_assert_eq(ftruncate(fd, (off_t)size), 0);
    cr_expect_null(qins_image_from_fd(fd, "sparse", &error));
    expect_error(&error, QINS_BAD_MODEL, "sparse: the header has 8589934528 bytes; at most 67108864 are supported");
    close(fd);
}

Test(image, a_damaged_tokenizer_is_found_at_opening) {
    sample made = make_sample(QINS_QINS8);
    made.bytes[qins_image_header(made.image)->tokenizer_offset] ^= 1;
    expect_refused(made.bytes, made.size, "the tokenizer is damaged (its hash differs)");
    free_sample(&made);
}

Test(image, the_first_version_is_refused_with_what_to_do) {
    sample made = make_sample(QINS_QINS8);
    made.bytes[8] = 1;
    expect_refused(made.bytes, made.size,
                   "format version 1; this program reads version 2: convert the checkpoint again");
    made.bytes[8] = 3;
    expect_refused(made.bytes, made.size,
                   "format version 3; this program reads version 2: a newer qinsrun may read it");
    free_sample(&made);
}

// --- verify ---

static void expect_damaged(sample *made, qins_pool *pool, size_t offset, const char *name) {
    qins_error error = {0};
    made->bytes[offset] ^= 0x10;
    cr_assert_eq(qins_image_verify(made->image, pool, &error), QINS_BAD_MODEL, "byte %zu", offset);
    cr_assert(strstr(error.message, "1 damaged section;") != NULL, "byte %zu: %s", offset, error.message);
    expect_error(&error, QINS_BAD_MODEL, name);
    made->bytes[offset] ^= 0x10;
}

Test(image, verify_names_what_is_damaged) {
    for (size_t n_threads = 1; n_threads <= 3; n_threads++) {
        sample made = make_sample(QINS_QINS8);
        qins_error error = {0};
        qins_pool *pool = qins_pool_create(n_threads, &error);
        const qins_header *header = qins_image_header(made.image);
        qins_image_verify(made.image, pool, &error);
        expect_ok(&error);
        for (size_t i = 0; i < header->n_tensors; i++) {
            const qins_tensor *tensor = &header->tensors[i];
            const size_t start = (size_t)tensor->offset, end = start + (size_t)tensor->bytes;
            expect_damaged(&made, pool, start, tensor->spec.name);
            expect_damaged(&made, pool, (start + end) / 2, tensor->spec.name);
            expect_damaged(&made, pool, end - 1, tensor->spec.name);
            if (end % 64 != 0 && end < made.size) expect_damaged(&made, pool, end, tensor->spec.name); // padding
            if (end % 64 != 0 && end < made.size) expect_damaged(&made, pool, end / 64 * 64 + 63, tensor->spec.name);
        }
        expect_damaged(&made, pool, (size_t)header->tokenizer_offset, "tokenizer");
        expect_damaged(&made, pool, (size_t)header->tokenizer_offset + 13, "tokenizer");
        for (size_t i = 0; i < header->n_tensors; i += 2) made.bytes[header->tensors[i].offset] ^= 1;
        cr_expect_eq(qins_image_verify(made.image, pool, &error), QINS_BAD_MODEL);
        cr_expect(strstr(error.message, "model.norm.weight") == NULL || header->n_tensors % 2 == 0);
        expect_error(&error, QINS_BAD_MODEL, "8 damaged sections");
        qins_pool_free(pool);
        free_sample(&made);
    }
}

// The verdict of verify on a tensor in which n_bytes were changed, under a hash that agrees. Matrices are of `type`,
// the head of BF16; gate_up_proj is [140, 48] and down_proj [48, 70].
static void check_changed(qins_type type, size_t tensor_index, size_t offset, uint16_t value, size_t n_bytes,
                          bool sound) {
    qins_config config = tiny_config();
    config.ffn_dim = 70;
    size_t size;
    uint8_t *bytes = model_bytes(&config, 1, type, &size);
    qins_error error = {0};
    qins_image *image = qins_image_from_memory(bytes, size, "sample", &error);
    qins_pool *pool = qins_pool_create(1, &error);
    qins_tensor *tensor = &((qins_header *)(uintptr_t)qins_image_header(image))->tensors[tensor_index];
    uint8_t *payload = bytes + tensor->offset, changed[2] = {value & 0xFF, value >> 8};
    cr_assert(offset + n_bytes <= tensor->bytes && memcmp(payload + offset, changed, n_bytes) != 0);
    memcpy(payload + offset, changed, n_bytes);
    tensor->hash = XXH3_64bits(payload, (size_t)tensor->bytes);
    qins_image_verify(image, pool, &error);
    cr_assert_eq(error.status, sound ? QINS_OK : QINS_BAD_MODEL, "%s, byte %zu: 0x%x", tensor->spec.name, offset,
                 value);
    cr_assert(sound || strstr(error.message, tensor->spec.name) != NULL, "%s", error.message);
    qins_pool_free(pool);
    qins_image_close(image);
    free(bytes);
}

static const size_t gate_up = QINS_LAYER_INDEX + QINS_GATE_UP, down = QINS_LAYER_INDEX + QINS_DOWN;

Test(image, verify_refuses_what_is_no_number) {
    check_changed(QINS_BF16, down, 0, 0x3F81, 2, true);
    check_changed(QINS_BF16, down, 0, 0x7F80, 2, false); // infinity
    check_changed(QINS_BF16, down, 2, 0xFFC0, 2, false); // NaN
    check_changed(QINS_F16, down, 0, 0x7BFF, 2, true);
    check_changed(QINS_F16, down, 0, 0xFC00, 2, false);
    check_changed(QINS_F32, down, 2, 0x7FC0, 2, false);               // the upper half of an FP32
    check_changed(QINS_QINS8, QINS_LAYER_INDEX, 0, 0x7FC0, 2, false); // a norm
    check_changed(QINS_QINS8, QINS_EMBEDDING_INDEX, 4, 0xFF80, 2, false);
}

Test(image, verify_refuses_a_d_that_no_writer_makes) {
    static const uint16_t sound[] = {0, 0x0080, 0x3F80, 0x7F7F};
    static const uint16_t unsound[] = {0x0001, 0x007F, 0x7F80, 0x7FC0, 0x8000, 0x8001, 0x8080, 0xBF80, 0xFF80, 0xFFFF};
    for (size_t i = 0; i < sizeof sound / sizeof *sound; i++) check_changed(QINS_QINS8, down, 2 * i, sound[i], 2, true);
    for (size_t i = 0; i < sizeof unsound / sizeof *unsound; i++)
        check_changed(QINS_QINS8, down, 2 * i, unsound[i], 2, false);
}

// A panel of down_proj has 32 bytes of d, 64 of scales, 32 zeros, and two units of codes; in columns 70 .. 127 is
// padding. The last panel of gate_up_proj, at byte 8 * 1088, has 32 bytes of d, 32 of scales, and a unit; rows 12 .. 15
// are padding.
Test(image, verify_refuses_codes_and_padding_that_no_writer_makes) {
    enum { CODES = 128, UNIT = 1024, LAST = 8 * 1088 };
    check_changed(QINS_QINS8, down, CODES + 5, 0x80, 1, false);           // code -128
    check_changed(QINS_QINS8, down, CODES + UNIT + 64 + 1, 127, 1, true); // row 0, column 69
    check_changed(QINS_QINS8, down, CODES + UNIT + 64 + 2, 1, 1, false);  // row 0, column 70
    check_changed(QINS_QINS8, down, CODES + 2 * UNIT - 1, 1, 1, false);   // row 15, column 127
    check_changed(QINS_QINS8, down, 32 + 2 * 16 + 15, 255, 1, true);      // scale byte of columns 64 .. 95
    check_changed(QINS_QINS8, down, 32 + 3 * 16, 1, 1, false);            // scale byte of columns 96 .. 127
    check_changed(QINS_QINS8, down, 96, 1, 1, false);                     // the zeros after the scales
    check_changed(QINS_QINS8, down, 127, 0x80, 1, false);                 // their last one
    check_changed(QINS_QINS8, gate_up, LAST + 2 * 11, 0x3F80, 2, true);   // d of row 11
    check_changed(QINS_QINS8, gate_up, LAST + 2 * 12, 0x3F80, 2, false);  // d of row 12
    check_changed(QINS_QINS8, gate_up, LAST + 32 + 12, 1, 1, false);      // scale byte of row 12
    check_changed(QINS_QINS8, gate_up, LAST + 32 + 16 + 15, 1, 1, false); // scale byte of row 15
    check_changed(QINS_QINS8, gate_up, LAST + 64 + 12 * 4, 1, 1, false);  // code of row 12
    check_changed(QINS_QINS8, gate_up, LAST + 64 + 11 * 64 + 15 * 4 + 3, 1, 1, false); // code of row 15
}

// Without codes: [cols][16 rows].
Test(image, verify_refuses_rows_after_the_last_that_are_not_zero) {
    const size_t last = 8 * 48 * 16, head = QINS_LAYER_INDEX + 2 * QINS_TENSORS_PER_LAYER + 1;
    check_changed(QINS_F32, gate_up, (last + 11) * 4, 0x3F80, 2, true);
    check_changed(QINS_F32, gate_up, (last + 12) * 4, 1, 1, false);
    check_changed(QINS_F32, gate_up, (last + 48 * 16) * 4 - 1, 0x80, 1, false); // -0
    check_changed(QINS_QINS8, head, (3 * 48 * 16 + 47 * 16 + 1) * 2, 0x3F80, 2, true);
    check_changed(QINS_QINS8, head, (3 * 48 * 16 + 47 * 16 + 2) * 2, 1, 1, false);
}

Test(image, a_long_list_of_damage_is_cut) {
    qins_config config = tiny_config();
    qins_error error = {0};
    size_t size;
    config.n_layers = 100;
    uint8_t *bytes = model_bytes(&config, 1, QINS_BF16, &size);
    qins_image *image = qins_image_from_memory(bytes, size, "sample", &error);
    qins_pool *pool = qins_pool_create(2, &error);
    expect_ok(&error);
    const qins_header *header = qins_image_header(image);
    for (size_t i = 0; i < header->n_tensors; i++) bytes[header->tensors[i].offset] ^= 1;
    qins_image_verify(image, pool, &error);
    expect_error(&error, QINS_BAD_MODEL, "603 damaged sections");
    qins_pool_free(pool);
    qins_image_close(image);
    free(bytes);
}

// --- opening ---

Test(image, opens_files_and_names_their_paths) {
    char *folder = temporary_folder();
    sample made = make_sample(QINS_BF16);
    qins_error error = {0};
    const char *path = write_file(folder, "model.qins", made.bytes, made.size);
    qins_image *image = qins_image_open(path, &error);
    expect_ok(&error);
    cr_expect_eq(qins_image_bytes(image), made.size);
    qins_image_close(image);
    path = write_file(folder, "short.qins", made.bytes, 63);
    cr_expect_null(qins_image_open(path, &error));
    expect_error(&error, QINS_BAD_MODEL, "short.qins: 63 bytes are too few");
    path = write_file(folder, "empty.qins", "", 0);
    cr_expect_null(qins_image_open(path, &error));
    expect_error(&error, QINS_BAD_MODEL, "empty.qins: 0 bytes are too few");
    path = write_file(folder, "cut.qins", made.bytes, made.size - 1);
    cr_expect_null(qins_image_open(path, &error));
    expect_error(&error, QINS_BAD_MODEL, "cut.qins: the file has");
    cr_expect_null(qins_image_open(folder, &error));
    expect_error(&error, QINS_BAD_MODEL, "is not a regular file");
    cr_expect_null(qins_image_open("/nonexistent/model.qins", &error));
    expect_error(&error, QINS_BAD_MODEL, "cannot open /nonexistent/model.qins");
    cr_expect_null(qins_image_from_fd(-1, "descriptor", &error));
    expect_error(&error, QINS_BAD_MODEL, "cannot examine descriptor");
    qins_image_close(NULL);
    free_sample(&made);
    remove_folder(folder);
}

Test(image, a_file_without_tokenizer_says_so) {
    const qins_config config = tiny_config();
    qins_error error = {0};
    qins_image *image = model_image(&config, 1, QINS_BF16);
    size_t size = 1;
    cr_expect_not_null(qins_image_tokenizer(image, &size));
    cr_expect_eq(size, 13);
    qins_image_close(image);
    expect_ok(&error);
}
