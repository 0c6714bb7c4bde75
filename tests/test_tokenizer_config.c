// hf_config_tokens.c: the tokens that a tokenizer_config.json changes and adds. The expected tokens are those of
// AutoTokenizer in transformers 5.24; tests/oracle/compare_token_configs.py compares many more.
#include "tests/tokenizer_support.h"
#include "tokenizer/tokenizer_internal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DECODER "\"added_tokens_decoder\":"
#define TOKEN "{\"__type\":\"AddedToken\",\"content\":"
enum {
    SINGLE = TOKEN_SINGLE_WORD,
    NORMALIZED = TOKEN_NORMALIZED,
    SPECIAL = TOKEN_SPECIAL,
    N_IDS = 319,
    MAX_CHANGES = 6
};

typedef struct changed_token {
    int32_t id;
    const char *text;
    unsigned flags; // besides TOKEN_ADDED and TOKEN_IN_MODEL
} changed_token;

typedef struct config_case {
    const char *config;
    changed_token changes[MAX_CHANGES]; // to tokenizer_bytes.json, whose last id is 318
    const char *notice;                 // after its first words; "" for none
} config_case;

static const config_case cases[] = {
    // nothing new
    {"{}", {{0}}, ""},
    {"{\"eos_token\":\"<s>\",\"chat_template\":\"x\",\"add_bos_token\":true,\"bos_token\":3}", {{0}}, ""},
    {"{" DECODER "{\"2\":{\"content\":\"</s>\",\"rstrip\":true,\"normalized\":false}}}", {{0}}, ""},
    {"{" DECODER "{},\"eos_token\":\"</s>\"}", {{0}}, ""},
    // added_tokens_decoder
    {"{" DECODER "{\"314\":{\"content\":\"<|end|>\",\"rstrip\":false,\"special\":true}}}",
     {{314, "<|end|>", SPECIAL}},
     "\"<|end|>\" (314)"},
    {"{" DECODER "{\"319\":{\"content\":\"<|tool|>\",\"special\":true}}}",
     {{319, "<|tool|>", SPECIAL}},
     "\"<|tool|>\" (319, new)"},
    {"{" DECODER "{\"314\":{\"content\":\"<|tool|>\",\"special\":true}}}",
     {{319, "<|tool|>", SPECIAL}},
     "\"<|tool|>\" (319, new, not 314)"},
    {"{" DECODER "{\"12\":{\"content\":\"b\",\"single_word\":true},\"2\":{\"content\":\"a\"}}}",
     {{262, "a", NORMALIZED}, {319, "b", SINGLE | NORMALIZED}},
     "\"a\" (262, not 2), \"b\" (319, new, not 12)"},
    {"{" DECODER "{\"320\":{\"content\":\"<d>\",\"special\":true},\"319\":{\"content\":\"c\",\"special\":true}}}",
     {{319, "c", SPECIAL}, {320, "<d>", SPECIAL}},
     "\"c\" (319, new), \"<d>\" (320, new)"},
    {"{" DECODER "{\"319\":{\"content\":\"b\",\"special\":true},\"0319\":{\"content\":\"c\",\"special\":true},"
     "\"9\":{\"content\":\"\"}}}",
     {{319, "c", SPECIAL}},
     "\"c\" (319, new)"},
    {"{" DECODER "{\"0\":{\"content\":\"<unk>\",\"special\":false,\"normalized\":false}}}", {{0}}, ""}, // once special
    {"{" DECODER "{\"2\":{\"content\":\"</s>\",\"rstrip\":true}},\"eos_token\":\"</s>\"}",
     {{2, "</s>", TOKEN_RSTRIP | SPECIAL}},
     "\"</s>\" (2)"},
    // special tokens
    {"{\"eos_token\":\"</s>\",\"pad_token\":\"<pad>\"}",
     {{2, "</s>", TOKEN_RSTRIP | SPECIAL}, {319, "<pad>", SPECIAL}},
     "\"</s>\" (2), \"<pad>\" (319, new)"},
    {"{\"pad_token\":" TOKEN "\"<pad>\",\"lstrip\":true},\"image_token\":\"<image>\",\"audio_token\":" TOKEN
     "\"<audio>\",\"normalized\":true},\"extra_special_tokens\":[\"<x>\"," TOKEN "\"<y>\",\"rstrip\":true}]}",
     {{319, "<pad>", TOKEN_LSTRIP | SPECIAL},
      {320, "<audio>", NORMALIZED | SPECIAL},
      {321, "<image>", SPECIAL},
      {322, "<x>", SPECIAL},
      {323, "<y>", TOKEN_RSTRIP | NORMALIZED}},
     "\"<pad>\" (319, new), \"<audio>\" (320, new), \"<image>\" (321, new), \"<x>\" (322, new), \"<y>\" (323, new)"},
    {"{\"additional_special_tokens\":[\"<x>\",\"the\"],\"extra_special_tokens\":[]}",
     {{319, "<x>", SPECIAL}, {284, "the", SPECIAL}},
     "\"<x>\" (319, new), \"the\" (284)"},
    {"{\"additional_special_tokens\":[\"<x>\"],\"extra_special_tokens\":[\"<y>\"]}",
     {{319, "<y>", SPECIAL}},
     "\"<y>\" (319, new)"},
    {"{\"additional_special_tokens\":[\"<x>\"],\"extra_special_tokens\":{\"y_token\":\"<y>\"}}",
     {{319, "<y>", SPECIAL}, {320, "<x>", SPECIAL}},
     "\"<y>\" (319, new), \"<x>\" (320, new)"},
    {"{\"sep_token\":" TOKEN "\"<x>\",\"rstrip\":true},\"pad_token\":\"<x>\",\"cls_token\":\"\",\"mask_token\":null}",
     {{319, "<x>", SPECIAL}},
     "\"<x>\" (319, new), \"<x>\" (319)"},
    {"{\"extra_special_tokens\":[\"a1\",\"a2\",\"a3\",\"a4\",\"a5\",\"a6\"]}",
     {{319, "a1", SPECIAL},
      {320, "a2", SPECIAL},
      {321, "a3", SPECIAL},
      {322, "a4", SPECIAL},
      {323, "a5", SPECIAL},
      {324, "a6", SPECIAL}},
     "\"a1\" (319, new), \"a2\" (320, new), \"a3\" (321, new), \"a4\" (322, new), \"a5\" (323, new) and 1 more"},
};

static qins_tokenizer *read_with(const char *text, size_t n_rows, qins_tokenizer_cut *cut, qins_error *error) {
    size_t size;
    char *json = support_read("tests/data/tokenizer_bytes.json", &size);
    qins_json *config = qins_json_parse_python(text, strlen(text), 1000, QINS_BAD_MODEL, error);
    cr_assert_not_null(config, "%s", text);
    *cut = (qins_tokenizer_cut){.n_rows = n_rows, .config = config};
    qins_tokenizer *tokenizer = qins_tokenizer_from_hf(json, size, cut, error);
    qins_json_free(config);
    free(json);
    return tokenizer;
}

// The flags that the token should have: of the case, or of the tokenizer without a configuration.
static unsigned expected_flags(const config_case *test, const qins_tokenizer *base, int32_t id) {
    const unsigned in_model = id < N_IDS ? base->token_flags[id] & TOKEN_IN_MODEL : 0;
    for (size_t i = 0; i < MAX_CHANGES && test->changes[i].text != NULL; i++)
        if (test->changes[i].id == id) return test->changes[i].flags | in_model | TOKEN_ADDED;
    return id < N_IDS ? base->token_flags[id] : 0;
}

Test(tokenizer_config, changes_and_adds_tokens_as_transformers_does) {
    qins_tokenizer *base = support_tokenizer("bytes");
    cr_assert_eq(base->n_ids, N_IDS);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const config_case *test = &cases[i];
        qins_error error = {0};
        qins_tokenizer_cut cut;
        qins_tokenizer *tokenizer = read_with(test->config, 0, &cut, &error);
        cr_assert_not_null(tokenizer, "%s: %s", test->config, error.message);
        size_t n_new = 0;
        for (size_t k = 0; k < MAX_CHANGES && test->changes[k].text != NULL; k++) {
            size_t size;
            const char *piece = qins_tokenizer_piece(tokenizer, test->changes[k].id, &size),
                       *text = test->changes[k].text;
            cr_assert(piece != NULL && size == strlen(text) && memcmp(piece, text, size) == 0, "%s", test->config);
            n_new += test->changes[k].id >= N_IDS;
        }
        cr_expect_eq(tokenizer->n_ids, N_IDS + n_new, "%s", test->config);
        for (size_t id = 0; id < tokenizer->n_ids; id++)
            cr_expect_eq(tokenizer->token_flags[id], expected_flags(test, base, (int32_t)id), "%s: token %zu",
                         test->config, id);
        const char *list = strstr(cut.config_notice, "Hugging Face: ");
        cr_expect_str_eq(list == NULL ? cut.config_notice : list + strlen("Hugging Face: "), test->notice);
        cr_expect_str_eq(cut.notice, "");
        qins_tokenizer_free(tokenizer);
    }
    qins_tokenizer_free(base);
}

Test(tokenizer_config, leaves_out_what_the_model_has_no_rows_for) {
    qins_error error = {0};
    qins_tokenizer_cut cut;
    qins_tokenizer *tokenizer = read_with("{\"extra_special_tokens\":[\"<x>\",\"<y>\"]}", N_IDS + 1, &cut, &error);
    cr_assert_not_null(tokenizer, "%s", error.message);
    cr_expect_eq(cut.n_added, 1);
    cr_expect_eq(qins_tokenizer_added_id(tokenizer, "<x>"), N_IDS);
    cr_expect_eq(qins_tokenizer_added_id(tokenizer, "<y>"), -1);
    qins_tokenizer_free(tokenizer);
}

Test(tokenizer_config, a_notice_has_an_end) {
    char config[2048] = "{\"extra_special_tokens\":[";
    for (int i = 0; i < 6; i++) sprintf(config + strlen(config), "%s\"%0200d\"", i > 0 ? "," : "", i);
    strcat(config, "]}");
    qins_error error = {0};
    qins_tokenizer_cut cut;
    qins_tokenizer_free(read_with(config, 0, &cut, &error));
    cr_expect_not_null(strstr(cut.config_notice, "new) and 1 more"), "%s", cut.config_notice);
}

Test(tokenizer_config, refuses_what_transformers_refuses) {
    static const char *const refusals[][2] = {
        {"{" DECODER "[]}", "\"added_tokens_decoder\" is []; it must be an object"},
        {"{" DECODER "{\"x\":{}}}", "\"added_tokens_decoder\": \"x\" is not an id"},
        {"{" DECODER "{\"\":{}}}", "\"added_tokens_decoder\": \"\" is not an id"},
        {"{" DECODER "{\"1234567890\":{}}}", "\"added_tokens_decoder\": \"1234567890\" is not an id"},
        {"{" DECODER "{\"5\":\"x\"}}", "\"added_tokens_decoder item\" is \"x\"; it must be an object"},
        {"{" DECODER "{\"5\":{\"content\":\"x\",\"rstrip\":1}}}", "\"rstrip\" must be true or false"},
        {"{\"pad_token\":" TOKEN "\"<x>\"},\"extra_special_tokens\":[" TOKEN "\"<y>\",\"lstrip\":\"\"}]}",
         "\"lstrip\" must be true or false"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        qins_error error = {0};
        qins_tokenizer_cut cut;
        cr_assert_null(read_with(refusals[i][0], 0, &cut, &error), "%s", refusals[i][0]);
        cr_expect_eq(error.status, QINS_BAD_MODEL);
        cr_expect_eq(strstr(error.message, "tokenizer_config.json: "), error.message, "%s", error.message);
        cr_expect_not_null(strstr(error.message, refusals[i][1]), "%s", error.message);
    }
}
