// The safetensors parser: what it reads, and that it refuses everything else by name.
#include "convert/safetensors.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static qins_status parse(const char *json, uint64_t data_bytes, qins_safetensors *header, qins_error *error) {
    size_t size = strlen(json);
    char *exact = malloc(size + (size == 0)); // no byte after the text may be read
    cr_assert_not_null(exact);
    memcpy(exact, json, size);
    qins_status status = qins_safetensors_parse(header, exact, size, data_bytes, error);
    free(exact);
    return status;
}

static void refused(const char *json, uint64_t data_bytes, const char *message) {
    qins_safetensors header;
    qins_error error = {0};
    cr_expect_eq(parse(json, data_bytes, &header, &error), QINS_BAD_MODEL, "%s", json);
    cr_expect_not_null(strstr(error.message, message), "\"%s\" is not in \"%s\"", message, error.message);
    qins_safetensors_free(&header);
}

static const char good[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                           "\"b\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[12,16]},"
                           "\"a\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
                           "\"empty\":{\"dtype\":\"F16\",\"shape\":[0,7],\"data_offsets\":[12,12]}}   ";

Test(safetensors, reads_tensors_in_the_order_of_their_bytes) {
    qins_safetensors header;
    qins_error error = {0};
    cr_assert_eq(parse(good, 16, &header, &error), QINS_OK, "%s", error.message);
    cr_assert_eq(header.n_tensors, 3u);
    const qins_source_tensor *a = &header.tensors[0];
    cr_expect_str_eq(a->name, "a");
    cr_expect_str_eq(a->dtype->name, "BF16");
    cr_expect_eq(a->dtype->type, QINS_BF16);
    cr_expect_eq(a->rank, 2u);
    cr_expect_eq(a->shape[0], 2u);
    cr_expect_eq(a->shape[1], 3u);
    cr_expect_eq(a->offset, 0u);
    cr_expect_eq(a->bytes, 12u);
    cr_expect_str_eq(header.tensors[1].name, "empty");
    cr_expect_str_eq(header.tensors[2].name, "b");
    cr_expect_eq(header.tensors[2].rank, 0u);
    qins_safetensors_free(&header);
}

Test(safetensors, refuses_every_truncation) {
    size_t end = strlen(good) - 3; // white space after the object is fine
    for (size_t size = 0; size < end; size++) {
        char text[sizeof good] = "";
        memcpy(text, good, size);
        qins_safetensors header;
        qins_error error = {0};
        cr_expect_eq(parse(text, 16, &header, &error), QINS_BAD_MODEL, "%zu bytes", size);
        qins_safetensors_free(&header);
    }
}

Test(safetensors, refuses_every_single_damaged_byte_or_stays_sane) {
    for (size_t i = 0; i < strlen(good); i++) {
        for (int bit = 0; bit < 8; bit++) {
            char text[sizeof good];
            memcpy(text, good, sizeof good);
            text[i] = (char)(text[i] ^ 1 << bit);
            qins_safetensors header;
            qins_error error = {0};
            if (parse(text, 16, &header, &error) == QINS_OK) {
                for (size_t k = 0; k < header.n_tensors; k++)
                    cr_expect_leq(header.tensors[k].offset + header.tensors[k].bytes, 16u);
            }
            qins_safetensors_free(&header);
        }
    }
}

Test(safetensors, refuses_what_is_no_header) {
    refused("", 0, "not a safetensors file");
    refused("[]", 0, "not a safetensors file");
    refused(" {}", 0, "not a safetensors file");
    refused("{} x", 0, "more bytes follow");
    refused("{\"a\":1}", 0, "tensor a");
    refused("{}", 8, "of 8 bytes of data");
}

Test(safetensors, refuses_bad_tensors_by_name) {
    refused("{\"a\":{\"dtype\":\"F17\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor a: dtype \"F17\"");
    refused("{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor a: \"dtype\"");
    refused("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "tensor a: \"shape\"");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "\"shape\"[0]");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[0.5],\"data_offsets\":[0,4]}}", 4, "\"shape\"[0]");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "at most 8");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[9007199254740992,9007199254740992],\"data_offsets\":[0,4]}}", 4,
            "more bytes than");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,4]}}", 4, "tensor a");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "\"data_offsets\"");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "\"data_offsets\"");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, "\"data_offsets\"");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "\"data_offsets\"");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, "\"data_offsets\"");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", 4, "outside the file's 4 bytes");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "4 bytes of data for");
    refused("{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", 1, "1 bytes of data for");
}

Test(safetensors, refuses_gaps_overlaps_and_leftovers) {
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "tensor a begins at byte 4");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}",
            6, "tensor b begins at byte 2 of the data, before");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[6,10]}}",
            10, "tensor b begins at byte 6 of the data, after");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 5, "end at byte 4 of 5");
}

Test(safetensors, bounds_the_memory_that_a_header_takes) {
    size_t size = 3 << 20;
    char *json = malloc(size);
    cr_assert_not_null(json);
    memset(json, ',', size);
    memcpy(json, "{\"a\":[", 6);
    qins_safetensors header;
    qins_error error = {0};
    cr_expect_eq(qins_safetensors_parse(&header, json, size, 0, &error), QINS_BAD_MODEL);
    cr_expect_not_null(strstr(error.message, "more than 2000000 values"), "%s", error.message);
    qins_safetensors_free(&header);
    free(json);
}

Test(safetensors, checks_the_length_in_front) {
    const struct {
        uint8_t prefix[8];
        uint64_t file_bytes;
        size_t expected; // 0: refused
    } cases[] = {{{2}, 10, 2},
                 {{2}, 9, 0},
                 {{0}, 100, 0},
                 {{0, 0xE1, 0xF5, 0x05}, 100000008, 100000000},
                 {{1, 0xE1, 0xF5, 5}, UINT64_MAX, 0},
                 {{255, 255, 255, 255, 255, 255, 255, 255}, UINT64_MAX, 0},
                 {{2}, 3, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        qins_error error = {0};
        cr_expect_eq(qins_safetensors_header_bytes(cases[i].prefix, cases[i].file_bytes, &error), cases[i].expected);
        cr_expect_eq(error.status, cases[i].expected == 0 ? QINS_BAD_MODEL : QINS_OK);
    }
}

Test(safetensors, prints_shapes_into_any_room) {
    const size_t shape[] = {12, 345};
    char text[16];
    qins_shape_print(text, sizeof text, shape, 2);
    cr_expect_str_eq(text, "[12, 345]");
    qins_shape_print(text, 6, shape, 2);
    cr_expect_str_eq(text, "[12, ");
    qins_shape_print(text, sizeof text, shape, 0);
    cr_expect_str_eq(text, "[]");
}
