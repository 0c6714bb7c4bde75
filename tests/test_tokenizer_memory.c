// Out of memory at every single allocation of the tokenizer: an error, no result, nothing lost (the address sanitizer
// looks for leaks), and lists of ids as they were before.
#include "tests/failing_allocation.h"
#include "tests/tokenizer_support.h"
#include "tokenizer/chat.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct operands {
    const qins_tokenizer *tokenizer;
    char *json;
    size_t json_size;
    const qins_json *config;
    uint8_t *packed;
    size_t packed_size;
} operands;

// One operation; whether it succeeded must be what it returns.
typedef qins_status operation(const operands *with, qins_error *error);

static const char text[] = "the hello<|end|> her\n\xF0\x9F\x98\x80 <s> ing the hello there, hello";
static const qins_message messages[] = {{"system", text, sizeof text - 1}, {"user", text, sizeof text - 1}};

static qins_status from_hf(const operands *with, qins_error *error) {
    qins_tokenizer_cut cut = {.config = with->config};
    qins_tokenizer *tokenizer = qins_tokenizer_from_hf(with->json, with->json_size, &cut, error);
    cr_assert_eq(tokenizer == NULL, error->status != QINS_OK);
    qins_tokenizer_free(tokenizer);
    return error->status;
}

static qins_status unpack(const operands *with, qins_error *error) {
    qins_tokenizer *tokenizer = qins_tokenizer_unpack(with->packed, with->packed_size, error);
    cr_assert_eq(tokenizer == NULL, error->status != QINS_OK);
    qins_tokenizer_free(tokenizer);
    return error->status;
}

static qins_status to_hf(const operands *with, qins_error *error) {
    char *json = NULL;
    qins_tokenizer_to_hf(with->tokenizer, &json, error);
    cr_assert_eq(json == NULL, error->status != QINS_OK);
    free(json);
    return error->status;
}

static qins_status pack(const operands *with, qins_error *error) {
    uint8_t *data = NULL;
    size_t size;
    qins_status status = qins_tokenizer_pack(with->tokenizer, &data, &size, error);
    cr_assert_eq(data == NULL, status != QINS_OK);
    free(data);
    return status;
}

static qins_status encode_both(const operands *with, bool chat, bool parse, qins_error *error) {
    qins_ids ids = {0};
    const qins_chat_template phi3 = {.format = qins_chat_format_at(0)};
    const unsigned flags = QINS_CHAT_BEGINS | QINS_CHAT_REPLY | (parse ? QINS_PARSE_SPECIAL : 0);
    qins_status status = chat ? qins_chat_encode(with->tokenizer, &phi3, messages, 2, flags, &ids, error)
                              : qins_tokenizer_encode(with->tokenizer, text, sizeof text - 1,
                                                      (parse ? QINS_PARSE_SPECIAL : 0u) | QINS_ADD_PREFIX, &ids, error);
    cr_assert_eq(ids.count == 0, status != QINS_OK);
    qins_ids_free(&ids);
    return status;
}

static qins_status encode_parsed(const operands *with, qins_error *error) {
    return encode_both(with, false, true, error);
}

static qins_status encode_plain(const operands *with, qins_error *error) {
    return encode_both(with, false, false, error);
}

static qins_status chat_parsed(const operands *with, qins_error *error) {
    return encode_both(with, true, true, error);
}

static qins_status chat_plain(const operands *with, qins_error *error) {
    return encode_both(with, true, false, error);
}

static qins_status decode(const operands *with, qins_error *error) {
    int32_t ids[64];
    for (int i = 0; i < 64; i++) ids[i] = i % 4 == 0 ? 270 + i : 200 + i;
    char *decoded = NULL;
    size_t size;
    qins_status status = qins_tokenizer_decode(with->tokenizer, ids, 64, false, &decoded, &size, error);
    cr_assert_eq(decoded == NULL, status != QINS_OK);
    free(decoded);
    return status;
}

static void fail_each_allocation(operation *run, const operands *with, const char *name) {
    for (size_t n = 1;; n++) {
        qins_error error = {0};
        failing_allocation_set(n);
        qins_status status = run(with, &error);
        bool hit = failing_allocation_hit();
        failing_allocation_set(0);
        cr_assert_eq(status, hit ? QINS_FAILED : QINS_OK, "%s, allocation %zu: %s", name, n, error.message);
        cr_assert(!hit || strstr(error.message, "out of memory") != NULL, "%s: %s", name, error.message);
        if (!hit) {
            cr_assert(n > 1, "%s allocates nothing?", name);
            return;
        }
    }
}

static void fail_each(const char *name, bool chat) {
    qins_error error = {0};
    operands with = {0};
    char path[64];
    snprintf(path, sizeof path, "tests/data/tokenizer_%s.json", name);
    with.json = support_read(path, &with.json_size);
    static const char config[] = "{\"added_tokens_decoder\":{\"9\":{\"content\":\"<9>\"}},\"pad_token\":\"<pad>\"}";
    qins_json *parsed = qins_json_parse(config, sizeof config - 1, QINS_BAD_MODEL, &error);
    with.config = parsed;
    qins_tokenizer *tokenizer = support_tokenizer(name);
    with.tokenizer = tokenizer;
    cr_assert_eq(qins_tokenizer_pack(tokenizer, &with.packed, &with.packed_size, &error), QINS_OK);
    fail_each_allocation(from_hf, &with, "from_hf");
    fail_each_allocation(unpack, &with, "unpack");
    fail_each_allocation(pack, &with, "pack");
    fail_each_allocation(to_hf, &with, "to tokenizer.json");
    fail_each_allocation(encode_parsed, &with, "encode_parsed");
    fail_each_allocation(encode_plain, &with, "encode_plain");
    if (chat) fail_each_allocation(chat_parsed, &with, "chat_parsed");
    if (chat) fail_each_allocation(chat_plain, &with, "chat_plain");
    fail_each_allocation(decode, &with, "decode");
    qins_tokenizer_free(tokenizer);
    qins_json_free(parsed);
    free(with.json);
    free(with.packed);
}

Test(tokenizer_memory, every_allocation_may_fail) {
    fail_each("bytes", true);
}

Test(tokenizer_memory, every_allocation_may_fail_with_other_pipelines) {
    fail_each("normalized", false);
    fail_each("metaspace_always", false);
    fail_each("o200k", false);
}
