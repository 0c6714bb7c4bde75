// The header: structure to JSON and back, the layout rule, and refusal of hostile JSON by name.
#include "engine/format/header.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A header of tiny_config with every field set to something of its own.
static void full_header(qins_header *header) {
    const qins_config config = tiny_config();
    qins_error error = {0};
    uint64_t file_bytes;
    model_header(header, &config, QINS_QINS8, &error);
    strcpy(header->chat_template, "phi3");
    header->tokenizer_bytes = 77;
    header->tokenizer_hash = UINT64_C(0xFEDCBA9876543210);
    header->n_sources = 2;
    header->sources = calloc(2, sizeof *header->sources);
    cr_assert_not_null(header->sources);
    header->sources[0] = (qins_source){"config.json", 3451, UINT64_C(0x123456789ABCDEF0)};
    header->calibration = (qins_source){"text", 4096, 2};
    header->calibration_tokens = 1024;
    strcpy(header->calibration_method, "feedback");
    header->sources[1] = (qins_source){"model \"quoted\".safetensors", 4972489328, 1};
    for (size_t i = 0; i < header->n_tensors; i++) {
        header->tensors[i].hash = i * UINT64_C(0x9E3779B97F4A7C15);
        header->tensors[i].source_hash = ~header->tensors[i].hash;
        header->tensors[i].error = (double)i / 3;
    }
    qins_header_layout(header, 6400, &file_bytes, &error);
    expect_ok(&error);
}

Test(header, comes_back_from_json) {
    qins_header header, again;
    qins_error error = {0};
    size_t size;
    full_header(&header);
    char *text = qins_header_print(&header, &size, &error);
    qins_header_parse(&again, text, size, &error);
    expect_ok(&error);
    cr_expect_str_eq(again.chat_template, "phi3");
    cr_expect_str_eq(again.converter, "tests");
    cr_expect(again.tokenizer_offset == header.tokenizer_offset && again.tokenizer_bytes == 77);
    cr_expect_eq(again.tokenizer_hash, header.tokenizer_hash);
    cr_expect_str_eq(again.calibration.name, "text");
    cr_expect(again.calibration.bytes == 4096 && again.calibration.hash == 2 && again.calibration_tokens == 1024);
    cr_assert_eq(again.n_sources, 2);
    for (size_t i = 0; i < 2; i++) {
        cr_expect_str_eq(again.sources[i].name, header.sources[i].name);
        cr_expect(again.sources[i].bytes == header.sources[i].bytes && again.sources[i].hash == header.sources[i].hash);
    }
    cr_assert_eq(again.n_tensors, 15);
    for (size_t i = 0; i < 15; i++) {
        const qins_tensor *a = &again.tensors[i], *b = &header.tensors[i];
        cr_expect_str_eq(a->spec.name, b->spec.name);
        cr_expect(a->type == b->type && a->offset == b->offset && a->bytes == b->bytes && a->hash == b->hash);
        cr_expect(a->source_hash == b->source_hash && a->error == b->error, "%s", a->spec.name);
        cr_expect_str_eq(a->source_type, b->source_type);
    }
    free(text);
    qins_header_free(&again);
    qins_header_free(&header);
}

Test(header, sections_follow_each_other_on_multiples_of_64) {
    qins_header header;
    qins_error error = {0};
    uint64_t file_bytes, end;
    full_header(&header);
    for (uint64_t header_bytes = 6400; header_bytes < 6400 + 200; header_bytes += 33) {
        qins_header_layout(&header, header_bytes, &file_bytes, &error);
        expect_ok(&error);
        end = 64 + header_bytes;
        cr_assert(header.tokenizer_offset >= end && header.tokenizer_offset < end + 64);
        cr_assert_eq(header.tokenizer_offset % 64, 0);
        end = header.tokenizer_offset + 77;
        for (size_t i = 0; i < header.n_tensors; i++) {
            const qins_tensor *tensor = &header.tensors[i];
            size_t bytes;
            cr_assert(qins_header_tensor_bytes(&header, tensor, &bytes));
            cr_assert(tensor->bytes == bytes && tensor->offset % 64 == 0);
            cr_assert(tensor->offset >= end && tensor->offset < end + 64);
            end = tensor->offset + bytes;
        }
        cr_assert_eq(file_bytes, end);
    }
    header.tokenizer_bytes = UINT64_MAX / 2;
    qins_header_layout(&header, 6400, &file_bytes, &error);
    expect_error(&error, QINS_BAD_MODEL, "larger than this machine can address");
    qins_header_free(&header);
}

// The JSON with one piece replaced is refused with this message, which never takes more than the error holds.
static void expect_refused(const char *from, const char *to, const char *message) {
    qins_header header;
    qins_error error = {0};
    size_t size;
    full_header(&header);
    char *text = qins_header_print(&header, &size, &error), *place = strstr(text, from);
    expect_ok(&error);
    cr_assert_not_null(place, "%s", from);
    const size_t before = (size_t)(place - text), after = size - before - strlen(from);
    char *changed = malloc(before + strlen(to) + after);
    cr_assert_not_null(changed);
    memcpy(changed, text, before);
    memcpy(changed + before, to, strlen(to));
    memcpy(changed + before + strlen(to), place + strlen(from), after);
    qins_header_free(&header);
    cr_expect_neq(qins_header_parse(&header, changed, before + strlen(to) + after, &error), QINS_OK, "%s -> %s", from,
                  to);
    expect_error(&error, QINS_BAD_MODEL, message);
    qins_header_free(&header);
    free(changed);
    free(text);
}

Test(header, hostile_counts_are_refused_before_anything_is_allocated) {
    expect_refused("\"n_layers\":2", "\"n_layers\":1000", "15 tensors listed, 6003 expected for 1000 layers");
    expect_refused("\"n_layers\":2", "\"n_layers\":1000000", "n_layers is 1000000");
    expect_refused("\"n_layers\":2", "\"n_layers\":1e300", "\"n_layers\" must be an integer");
    expect_refused("\"n_layers\":2", "\"n_layers\":1", "15 tensors listed, 9 expected for 1 layers");
    expect_refused("\"vocab_size\":50", "\"vocab_size\":4194304", "[50, 48] found, [4194304, 48] expected");
    expect_refused("\"hidden_dim\":48", "\"hidden_dim\":262144", "[50, 48] found, [50, 262144] expected");
    expect_refused("\"tied_head\":false", "\"tied_head\":true", "15 tensors listed, 14 expected");
    expect_refused("\"tensors\":[", "\"tensors\":[],\"x\":[", "0 tensors listed");
    expect_refused("\"tensors\":[", "\"tensors\":[5,", "16 tensors listed");
    expect_refused("\"tensors\":", "\"tensors\":true,\"x\":", "\"tensors\" must be a list");
}

// One error, one prefix: what follows in the list does not matter.
Test(header, the_first_bad_tensor_ends_the_reading) {
    qins_header header;
    qins_error error = {0};
    size_t size;
    full_header(&header);
    char *text = qins_header_print(&header, &size, &error), *place = strstr(text, "\"rows\":50");
    cr_assert_not_null(place);
    qins_header_free(&header);
    place[strlen("\"rows\":5")] = '1';
    qins_header_parse(&header, text, size, &error);
    cr_expect_str_eq(error.message, "tensor model.embed_tokens.weight: shape [51, 48] found, [50, 48] expected");
    qins_header_free(&header);
    free(text);
}

Test(header, members_there_twice_are_refused) {
    expect_refused("\"n_layers\":2", "\"n_layers\":2,\"n_layers\":2", "\"n_layers\" appears twice");
    expect_refused("\"phi3\"", "\"phi3\",\"config\":{}", "\"config\" appears twice");
    expect_refused("\"rows\":50", "\"hash\":\"0\",\"rows\":50", "\"hash\" appears twice");
    expect_refused("\"phi3\"", "\"phi3\",\"new\":[[{\"a\":1,\"b\":2,\"a\":1}]]", "\"a\" appears twice");
}

Test(header, tensors_must_be_a_list) {
    qins_header header;
    qins_error error = {0};
    size_t size, used = 0, n = 0;
    full_header(&header);
    char *text = qins_header_print(&header, &size, &error), *list = strstr(text, "\"tensors\":[");
    qins_header_free(&header);
    char *object = malloc(2 * size);
    cr_assert(object != NULL && list != NULL);
    for (const char *at = text; *at != '\0'; at++) { // each tensor gets a key
        const bool is_list = at > list && *at == '[', is_end = at > list && *at == ']';
        if (at > list && *at == '{') used += (size_t)sprintf(object + used, "\"%zu\":", n++);
        object[used++] = (char)(is_list ? '{' : is_end ? '}' : *at);
    }
    qins_header_parse(&header, object, used, &error);
    expect_error(&error, QINS_BAD_MODEL, "\"tensors\" must be a list");
    qins_header_free(&header);
    free(object);
    free(text);
}

Test(header, more_values_than_any_model_has_are_refused) {
    const size_t n = 300000;
    char *values = malloc(2 * n + 64);
    cr_assert_not_null(values);
    size_t used = (size_t)sprintf(values, "\"phi3\",\"new\":[1");
    for (size_t i = 0; i < n; i++) used += (size_t)sprintf(values + used, ",1");
    strcpy(values + used, "]");
    expect_refused("\"phi3\"", values, "more than 262144 values");
    free(values);
}

Test(header, hostile_tensors_are_refused_by_name) {
    expect_refused("model.embed_tokens", "model.embed_tokenz",
                   "found tensor \"model.embed_tokenz.weight\" where \"model.embed_tokens.weight\" is expected");
    expect_refused("\"name\":\"lm_head.weight\"", "\"x\":1", "tensor lm_head.weight: \"name\" must be a string");
    expect_refused("norm.weight\",\"type\":\"bf16\"", "norm.weight\",\"type\":\"qins8\"",
                   "type qins8 is not allowed for the role norm");
    expect_refused("\"type\":\"bf16\"", "\"type\":\"qins3\"", "type \"qins3\" is unknown");
    expect_refused("\"rows\":50", "\"rows\":51", "tensor model.embed_tokens.weight: shape [51, 48]");
    expect_refused("\"rows\":50", "\"rows\":-50", "\"rows\" must be an integer");
    expect_refused("\"rows\":50", "\"rows\":1e17", "\"rows\" must be an integer");
    expect_refused("\"cols\":48", "\"cols\":48.5", "\"cols\" must be an integer");
    expect_refused("\"offset\":", "\"offset\":-", "\"offset\" must be an integer");
    expect_refused("\"bytes\":", "\"x\":", "\"bytes\" is missing");
    expect_refused("\"source_type\":\"F32\"", "\"source_type\":\"FLOAT32X\"", "\"source_type\" is longer than 7");
    expect_refused("\"error\":0", "\"error\":-1", "\"error\" must be a number");
    expect_refused("{\"name\":\"lm_head", "[{\"name\":\"lm_head", "");
}

Test(header, hostile_hashes_are_refused) {
    expect_refused("\"hash\":\"fedcba9876543210\"", "\"hash\":\"fedcba987654321\"",
                   "\"hash\" must be 16 hexadecimal digits");
    expect_refused("\"hash\":\"fedcba9876543210\"", "\"hash\":\"FEDCBA9876543210\"", "\"hash\" must be 16 hexadecimal");
    expect_refused("\"hash\":\"fedcba9876543210\"", "\"hash\":\"fedcba987654321g\"", "\"hash\" must be 16 hexadecimal");
    expect_refused("\"hash\":\"fedcba9876543210\"", "\"hash\":7", "\"hash\" must be a string");
}

Test(header, missing_and_oversized_members_are_refused) {
    expect_refused("\"config\":", "\"x\":", "config: \"n_layers\" is missing");
    expect_refused("\"provenance\":", "\"x\":", "\"converter\" must be a string");
    expect_refused("\"chat_template\":", "\"x\":", "\"chat_template\" must be a string");
    expect_refused("\"phi3\"", "\"a_template_with_a_very_long_name_\"", "\"chat_template\" is longer than 31");
    char name[400] = "\"";
    memset(name + 1, 'n', 256);
    strcat(name, "\"");
    expect_refused("\"config.json\"", name, "\"name\" is longer than 255");
    char *sources = malloc(3 * 1100 + 32);
    cr_assert_not_null(sources);
    strcpy(sources, "\"sources\":[");
    for (int i = 0; i < 1023; i++) strcat(sources, "{},");
    expect_refused("\"sources\":[", sources, "1025 sources; at most 1024 are allowed");
    free(sources);
    expect_refused("\"sources\":[", "\"sources\":[5,", "\"name\" must be a string");
    expect_refused("{\"config\"", "[\"config\"", "not valid JSON");
}

// Whichever bits are flipped, the reader refuses or accepts the header without reading beyond it.
Test(header, flipped_bits_and_truncations_do_no_harm) {
    qins_header header, again;
    qins_error error = {0};
    size_t size;
    full_header(&header);
    char *text = qins_header_print(&header, &size, &error);
    expect_ok(&error);
    for (size_t i = 0; i < size; i += 3) {
        text[i] ^= (char)(1 << i % 7);
        qins_header_parse(&again, text, size, &error);
        cr_assert(error.status == QINS_OK || error.message[0] != '\0');
        qins_header_free(&again);
        error = (qins_error){0};
        text[i] ^= (char)(1 << i % 7);
    }
    for (size_t i = 0; i < size; i += 5) {
        cr_assert_neq(qins_header_parse(&again, text, i, &error), QINS_OK);
        qins_header_free(&again);
        error = (qins_error){0};
    }
    free(text);
    qins_header_free(&header);
}
