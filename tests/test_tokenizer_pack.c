// pack.c: the packed form comes back unchanged, and nothing else is accepted.
#include "tests/tokenizer_support.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *pack(const qins_tokenizer *tokenizer, size_t *size) {
    qins_error error = {0};
    uint8_t *data = NULL;
    cr_assert_eq(qins_tokenizer_pack(tokenizer, &data, size, &error), QINS_OK, "%s", error.message);
    return data;
}

static uint8_t *packed(const char *name, size_t *size) {
    qins_tokenizer *tokenizer = support_tokenizer(name);
    uint8_t *data = pack(tokenizer, size);
    qins_tokenizer_free(tokenizer);
    return data;
}

// Unpack a heap copy of exactly this size, so that the sanitizer sees a read past the end.
static qins_tokenizer *unpack(const uint8_t *data, size_t size, qins_error *error) {
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    memcpy(copy, data, size);
    qins_tokenizer *tokenizer = qins_tokenizer_unpack(copy, size, error);
    free(copy);
    return tokenizer;
}

static void expect_round_trip(const qins_tokenizer *tokenizer) {
    qins_error error = {0};
    size_t size, again_size;
    uint8_t *data = pack(tokenizer, &size);
    qins_tokenizer *unpacked = unpack(data, size, &error);
    cr_assert_not_null(unpacked, "%s", error.message);
    uint8_t *again = pack(unpacked, &again_size);
    cr_assert_eq(size, again_size);
    cr_assert_eq(memcmp(data, again, size), 0);
    qins_tokenizer_free(unpacked);
    free(data);
    free(again);
}

// As a tokenizer.json and back.
static void expect_hf_round_trip(const qins_tokenizer *tokenizer, const char *name) {
    qins_error error = {0};
    size_t size, again_size;
    char *json = NULL;
    uint8_t *data = pack(tokenizer, &size);
    cr_assert_eq(qins_tokenizer_to_hf(tokenizer, &json, &error), QINS_OK, "%s: %s", name, error.message);
    qins_tokenizer *read = qins_tokenizer_from_hf(json, strlen(json), NULL, &error);
    cr_assert_not_null(read, "%s: %s", name, error.message);
    uint8_t *again = pack(read, &again_size);
    cr_expect(size == again_size && memcmp(data, again, size) == 0, "%s", name);
    qins_tokenizer_free(read);
    free(json);
    free(data);
    free(again);
}

Test(tokenizer_pack, comes_back_unchanged_from_tokenizer_json) {
    for (const char *const *name = support_kinds; *name != NULL; name++) {
        qins_tokenizer *tokenizer = support_tokenizer(*name);
        expect_hf_round_trip(tokenizer, *name);
        qins_tokenizer_free(tokenizer);
    }
    qins_tokenizer *tokenizer = support_tokenizer_at("tests/data/demo/tokenizer.json");
    expect_hf_round_trip(tokenizer, "demo");
    qins_tokenizer_free(tokenizer);
}

Test(tokenizer_pack, comes_back_unchanged_from_tokenizer_json_with_phi35) {
    qins_tokenizer *tokenizer = support_tokenizer_at(support_data_path("phi35/tokenizer.json"));
    expect_hf_round_trip(tokenizer, "phi35");
    qins_tokenizer_free(tokenizer);
}

Test(tokenizer_pack, comes_back_unchanged) {
    for (const char *const *name = support_kinds; *name != NULL; name++) {
        qins_tokenizer *tokenizer = support_tokenizer(*name);
        expect_round_trip(tokenizer);
        qins_tokenizer_free(tokenizer);
    }
}

Test(tokenizer_pack, comes_back_unchanged_with_phi35) {
    qins_tokenizer *tokenizer = support_tokenizer_at(support_data_path("phi35/tokenizer.json"));
    expect_round_trip(tokenizer);
    qins_tokenizer_free(tokenizer);
}

Test(tokenizer_pack, unpacked_tokenizer_encodes_and_decodes) {
    qins_error error = {0};
    size_t size;
    uint8_t *data = packed("bytes", &size);
    qins_tokenizer *tokenizer = unpack(data, size, &error);
    qins_ids ids = {0};
    const char text[] = "the hello<|end|> \n\t her\xF0\x9F\x98\x80";
    cr_assert_eq(
        qins_tokenizer_encode(tokenizer, text, strlen(text), QINS_PARSE_SPECIAL | QINS_ADD_PREFIX, &ids, &error),
        QINS_OK);
    char *back;
    cr_assert_eq(qins_tokenizer_decode(tokenizer, ids.data, ids.count, true, &back, &size, &error), QINS_OK);
    const char expected[] = "the hello her\xF0\x9F\x98\x80</s>";
    support_equal_text(back, size, expected, strlen(expected), "decoded", 0);
    free(back);
    free(data);
    qins_ids_free(&ids);
    qins_tokenizer_free(tokenizer);
}

static uint64_t fnv(const uint8_t *data, size_t size) {
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ data[i]) * 0x100000001B3u;
    return hash;
}

// Files of version 2 have these bytes: a change of them needs a new version.
Test(tokenizer_pack, golden_bytes) {
    size_t size;
    uint8_t *data = packed("partial", &size);
    cr_assert_eq(size, 1006);
    cr_assert_eq(fnv(data, size), 0x974D355BDFB67CBAu, "0x%llx", (unsigned long long)fnv(data, size));
    free(data);
}

Test(tokenizer_pack, every_truncation_is_refused) {
    size_t size;
    uint8_t *data = packed("partial", &size);
    for (size_t shorter = 0; shorter < size; shorter++) {
        qins_error error = {0};
        cr_assert_null(unpack(data, shorter, &error), "%zu bytes", shorter);
        cr_assert_eq(error.status, QINS_BAD_MODEL, "%zu bytes: %s", shorter, error.message);
        cr_assert(strncmp(error.message, "tokenizer section: ", 19) == 0, "%s", error.message);
    }
    free(data);
}

Test(tokenizer_pack, one_extra_byte_is_refused) {
    size_t size;
    uint8_t *data = packed("partial", &size);
    uint8_t *longer = malloc(size + 1);
    memcpy(longer, data, size);
    longer[size] = 0;
    qins_error error = {0};
    cr_assert_null(unpack(longer, size + 1, &error));
    cr_assert_not_null(strstr(error.message, "1 bytes follow the last merge"));
    free(longer);
    free(data);
}

// A damaged section is refused or is another tokenizer that packs to the same damaged bytes and can be used.
Test(tokenizer_pack, flipped_bits_do_no_harm) {
    const char text[] = "the hello<|end|> <s>\n\xC3\x9F\xF0\x9F\x98\x80 ing<|user|>Q";
    size_t size, refused = 0;
    uint8_t *data = packed("partial", &size);
    for (size_t bit = 0; bit < size * 8; bit++) {
        qins_error error = {0};
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        qins_tokenizer *tokenizer = unpack(data, size, &error);
        if (tokenizer != NULL) {
            size_t again_size;
            uint8_t *again = pack(tokenizer, &again_size);
            cr_assert(again_size == size && memcmp(again, data, size) == 0, "bit %zu", bit);
            qins_ids ids = {0};
            cr_assert_eq(qins_tokenizer_encode(tokenizer, text, strlen(text), (unsigned)bit & 3, &ids, &error),
                         QINS_OK);
            qins_ids_free(&ids);
            free(again);
            qins_tokenizer_free(tokenizer);
        } else {
            cr_assert_eq(error.status, QINS_BAD_MODEL);
            refused++;
        }
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_assert(refused > size * 4, "only %zu of %zu flips refused", refused, size * 8);
    free(data);
}

static void put_u32(uint8_t *data, size_t offset, uint32_t value) {
    for (size_t i = 0; i < 4; i++) data[offset + i] = (uint8_t)(value >> (8 * i));
}

Test(tokenizer_pack, wrong_fields_are_refused_by_name) {
    static const struct {
        size_t offset;
        uint32_t value;
        const char *message;
    } cases[] = {
        {0, 0, "does not start with \"QTOK\""},
        {4, 1, "version 1 is not supported"},
        {8, 0xFFFFFFFF, "at most 4194304 are supported"},
        {8, 2, "tokens have 8 bytes of text"},
        {12, 0xFFFFFFFF, "added tokens: 34359738360 bytes needed"},
        {16, 0xFFFFFFFF, "merges: 51539607540 bytes needed"},
        {20, 0xFFFFFFFF, "ids before a text: 17179869180 bytes needed"},
        {24, 0xFFFFFFFF, "ids after a text: 17179869180 bytes needed"},
        {28, 0xFFFFFFFF, "text of tokens: 4294967295 bytes needed"},
        {32, 4000, "the id 4000 of the unknown token is out of range"},
        {36, 8, "flags 0x8 are unknown"},
        {40, 9, "a list of 9 steps; at most 8 are supported"},
        {48, 0xFFFFFFFF, "a list of 4294967295 steps"},
        {52, 0x03000109, "normalizer, step 1 (unknown): it is not supported there"},
        {52, 0x03000106, "normalizer, step 1 (byte fallback): it is not supported there"},
        {52, 0x03000901, "normalizer, step 1 (prepend): its texts or its option 9 are invalid"},
        {52, 0x11000101, "the texts of a step have 0 and 17 bytes; at most 16 are supported"},
        {79, 0x00000007, "decoder, step 3 (strip): its texts or its option 0 are invalid"},
        {83, 0x10000000, "ids before a text: id 268435456"},
        {83, 4000, "ids put before a text: there is no token with id 4000"},
        {95, 1, "out of order"},
        {99, 64, "unknown flags"},
    };
    size_t size;
    uint8_t *data = packed("partial", &size);
    uint8_t *copy = malloc(size);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        qins_error error = {0};
        memcpy(copy, data, size);
        put_u32(copy, cases[i].offset, cases[i].value);
        cr_assert_null(unpack(copy, size, &error), "case %zu", i);
        cr_assert_not_null(strstr(error.message, cases[i].message), "case %zu: %s", i, error.message);
    }
    free(copy);
    free(data);
}

// A section with one id more, which has no token: a second spelling of the same tokenizer.
Test(tokenizer_pack, an_id_too_many_is_refused) {
    size_t size;
    uint8_t *data = packed("partial", &size);
    uint32_t n_ids = data[8] | (uint32_t)data[9] << 8, n_added = data[12];
    size_t sizes = 52 + 31 + 4 * (size_t)(data[20] + data[24]) + 8 * n_added, at = sizes + 2 * n_ids;
    uint8_t *longer = malloc(size + 2);
    memcpy(longer, data, at);
    memset(longer + at, 0, 2);
    memcpy(longer + at + 2, data + at, size - at);
    put_u32(longer, 8, n_ids + 1);
    qins_error error = {0};
    cr_assert_null(unpack(longer, size + 2, &error));
    cr_assert_not_null(strstr(error.message, "has no token"), "%s", error.message);
    free(longer);
    free(data);
}

// The section ends with the merges; readers of tokenizer.json drop those that are listed again.
Test(tokenizer_pack, a_merge_twice_is_refused) {
    enum { MERGE_BYTES = 12 };
    size_t size;
    uint8_t *data = packed("partial", &size);
    memcpy(data + size - MERGE_BYTES, data + size - 2 * MERGE_BYTES, MERGE_BYTES);
    qins_error error = {0};
    cr_assert_null(unpack(data, size, &error));
    cr_assert_not_null(strstr(error.message, "are the same"), "%s", error.message);
    free(data);
}
