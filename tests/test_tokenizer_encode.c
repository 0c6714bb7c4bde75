// encode.c, bpe.c and added_tokens.c together: texts to ids, against Hugging Face's ids.
#include "tests/tokenizer_support.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

typedef struct golden_run {
    const char *name;
    const qins_tokenizer *tokenizer;
    size_t count;
} golden_run;

static void expect_ids(const qins_tokenizer *tokenizer, const char *text, size_t size, unsigned flags,
                       const qins_json *list, size_t number) {
    qins_error error = {0};
    qins_ids got = {0}, expected = {0};
    cr_assert_eq(qins_tokenizer_encode(tokenizer, text, size, flags, &got, &error), QINS_OK, "%s", error.message);
    support_ids(list, &expected);
    support_equal_ids(&got, &expected, text, number);
    qins_ids_free(&got);
    qins_ids_free(&expected);
}

static void check_golden(const qins_json *line, size_t number, void *context) {
    golden_run *run = context;
    if (strcmp(qins_json_text(qins_json_get(line, "tokenizer")), run->name) != 0) return;
    if (qins_json_get(line, "ids") == NULL) return;
    size_t size;
    char *text = support_hex(line, "text", &size);
    expect_ids(run->tokenizer, text, size, QINS_PARSE_SPECIAL, qins_json_get(line, "ids"), number);
    expect_ids(run->tokenizer, text, size, QINS_PARSE_SPECIAL | QINS_ADD_PREFIX, qins_json_get(line, "prefixed"),
               number);
    run->count++;
    free(text);
}

Test(tokenizer_encode, equals_hugging_face) {
    for (const char *const *name = support_kinds; *name != NULL; name++) {
        qins_tokenizer *tokenizer = support_tokenizer(*name);
        golden_run run = {.name = *name, .tokenizer = tokenizer};
        support_each_line("tests/data/tokenizer_golden.jsonl", check_golden, &run);
        cr_assert_eq(run.count, 89, "%s", *name);
        qins_tokenizer_free(tokenizer);
    }
}

static void check_vector(const qins_json *line, size_t number, void *context) {
    size_t size;
    char *text = support_text(line, "text", &size);
    expect_ids(context, text, size, QINS_PARSE_SPECIAL | QINS_ADD_PREFIX, qins_json_get(line, "ids"), number);
    free(text);
}

Test(tokenizer_encode, equals_hugging_face_with_phi35) {
    qins_tokenizer *tokenizer = support_tokenizer_at(support_data_path("phi35/tokenizer.json"));
    cr_assert_eq(support_each_line(support_data_path("phi35/tokenizer-cases.jsonl"), check_vector, tokenizer), 246);
    cr_assert_eq(qins_tokenizer_vocab_size(tokenizer), 32011);
    qins_tokenizer_free(tokenizer);
}

// The project's small trained models: their goldens hold texts and the ids of the prompts.
static void check_model_golden(const qins_json *line, size_t number, void *context) {
    if (qins_json_get(line, "text") == NULL || qins_json_get(line, "n_prompt") == NULL) return;
    qins_error error = {0};
    qins_ids got = {0}, expected = {0};
    size_t size;
    char *text = support_text(line, "text", &size);
    support_ids(qins_json_get(line, "ids"), &expected);
    size_t n_prompt = (size_t)qins_json_get_integer(line, "n_prompt", 0, 1 << 20, QINS_BAD_MODEL, &error);
    bool prefixed = expected.count > 0 && expected.data[0] == 1;
    unsigned flags = QINS_PARSE_SPECIAL | (prefixed ? QINS_ADD_PREFIX : 0u);
    cr_assert_eq(qins_tokenizer_encode(context, text, size, flags, &got, &error), QINS_OK, "%s", error.message);
    cr_assert_eq(got.count, n_prompt, "line %zu: %zu ids, not %zu", number, got.count, n_prompt);
    if (got.count > expected.count) got.count = expected.count; // only the first ids of a long prompt are stored
    expected.count = got.count;
    support_equal_ids(&got, &expected, text, number);
    qins_ids_free(&got);
    qins_ids_free(&expected);
    free(text);
}

static void expect_model_golden(const char *tokenizer_json, const char *golden_jsonl) {
    qins_tokenizer *tokenizer = support_tokenizer_at(support_data_path(tokenizer_json));
    cr_assert(support_each_line(support_data_path(golden_jsonl), check_model_golden, tokenizer) > 0);
    qins_tokenizer_free(tokenizer);
}

Test(tokenizer_encode, equals_the_goldens_of_stories260k) {
    expect_model_golden("models/stories260k-phi3/tokenizer.json", "models/stories260k-phi3/golden.jsonl");
}

Test(tokenizer_encode, equals_the_goldens_of_babyllama105) {
    expect_model_golden("models/babyllama105-phi3-f32/tokenizer.json", "models/babyllama105-phi3-f32/golden.jsonl");
}

Test(tokenizer_encode, appends_and_adds_prefix_and_suffix) {
    qins_tokenizer *tokenizer = support_tokenizer("bytes");
    qins_error error = {0};
    qins_ids ids = {0};
    cr_assert_eq(qins_ids_append(&ids, 77, &error), QINS_OK);
    cr_assert_eq(qins_tokenizer_encode(tokenizer, NULL, 0, QINS_ADD_PREFIX, &ids, &error), QINS_OK);
    int32_t expected[] = {77, 1, 2, 1};
    support_equal_ids(&ids, &(qins_ids){expected, 4, 4}, "prefix", 0);
    cr_assert_eq(qins_tokenizer_encode(tokenizer, NULL, 0, 0, &ids, &error), QINS_OK);
    cr_assert_eq(ids.count, 4);
    qins_ids_free(&ids);
    qins_tokenizer_free(tokenizer);
}

// As plain text no added token comes out, whether it lies there, is made by merges ("<s" + ">") or is cut off.
Test(tokenizer_encode, plain_text_gives_no_added_token) {
    static const char *const texts[] = {
        "<s>",  "<|end|>", "x<|end|>x", "<unk>", "</s> ", "\n\n\t", "<|user|>\n<s>", "<|use", "hello<|assistant|>\n",
        "<<s>>"};
    for (size_t n = 0; support_kinds[n] != NULL; n++) {
        qins_tokenizer *tokenizer = support_tokenizer(support_kinds[n]);
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            qins_error error = {0};
            qins_ids ids = {0};
            qins_tokenizer_encode(tokenizer, texts[i], strlen(texts[i]), 0, &ids, &error);
            cr_assert_eq(error.status, QINS_OK);
            cr_assert(ids.count > 0);
            for (size_t k = 0; k < ids.count; k++) {
                size_t size;
                const char *piece = qins_tokenizer_piece(tokenizer, ids.data[k], &size);
                char copy[64] = {0};
                memcpy(copy, piece, size);
                cr_assert(ids.data[k] == 0 || qins_tokenizer_added_id(tokenizer, copy) < 0, "%s: %s", texts[i], copy);
            }
            if (n == 0) { // all bytes have pieces here, so the text comes back
                char *back;
                size_t size;
                qins_tokenizer_decode(tokenizer, ids.data, ids.count, true, &back, &size, &error);
                support_equal_text(back, size, texts[i], strlen(texts[i]), "round trip", i);
                free(back);
            }
            qins_ids_free(&ids);
        }
        qins_tokenizer_free(tokenizer);
    }
}

Test(tokenizer_encode, plain_text_equals_parsed_text_without_added_tokens) {
    qins_tokenizer *tokenizer = support_tokenizer("bytes");
    const char text[] = "the hello\n <there> \0 ing |end| \xE4\xB8\xAD <s \xF0\x9F\x98\x80";
    qins_error error = {0};
    qins_ids plain = {0}, parsed = {0};
    qins_tokenizer_encode(tokenizer, text, sizeof text - 1, 0, &plain, &error);
    qins_tokenizer_encode(tokenizer, text, sizeof text - 1, QINS_PARSE_SPECIAL, &parsed, &error);
    cr_assert_eq(error.status, QINS_OK);
    support_equal_ids(&plain, &parsed, "plain", 0);
    qins_ids_free(&plain);
    qins_ids_free(&parsed);
    qins_tokenizer_free(tokenizer);
}

// No Hugging Face to compare with: a byte that is part of no character is its byte piece.
Test(tokenizer_encode, bytes_that_are_not_utf8_become_byte_pieces) {
    qins_tokenizer *tokenizer = support_tokenizer("bytes");
    qins_error error = {0};
    qins_ids ids = {0};
    const char text[] = "\xFF\xE4\xB8<s>\xC3";
    qins_tokenizer_encode(tokenizer, text, sizeof text - 1, QINS_PARSE_SPECIAL, &ids, &error);
    int32_t expected[] = {259, 3 + 0xFF, 3 + 0xE4, 3 + 0xB8, 1, 259, 3 + 0xC3};
    support_equal_ids(&ids, &(qins_ids){expected, 7, 7}, "bytes", 0);
    qins_ids_free(&ids);
    qins_tokenizer_free(tokenizer);
}

Test(tokenizer_encode, refuses_a_text_that_is_too_long) {
    qins_tokenizer *tokenizer = support_tokenizer("unk");
    qins_error error = {0};
    qins_ids ids = {0};
    cr_assert_eq(qins_tokenizer_encode(tokenizer, "a", ((size_t)1 << 30) + 1, 0, &ids, &error), QINS_FAILED);
    cr_assert_not_null(strstr(error.message, "too long"));
    cr_assert_eq(ids.count, 0);
    qins_tokenizer_free(tokenizer);
}
