// hf_tokenizer.c, hf_merges.c, hf_pipeline.c, hf_pre_tokenizer.c, hf_post_processor.c, hf_check.c: what is refused, and
// that the message names it. What is accepted is tested by the ids that come out (test_tokenizer_encode.c).
#include "tests/tokenizer_support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The text with the first `from` replaced by `to`; released with free().
static char *replaced(const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    cr_assert_not_null(at, "no %s in the file", from);
    char *result = malloc(strlen(text) + strlen(to) + 1);
    memcpy(result, text, (size_t)(at - text));
    strcpy(result + (at - text), to);
    strcat(result, at + strlen(from));
    return result;
}

static void expect_refused(const char *json, size_t size, const char *message) {
    qins_error error = {0};
    qins_tokenizer *tokenizer = qins_tokenizer_from_hf(json, size, NULL, &error);
    cr_assert_null(tokenizer, "accepted, but expected: %s", message);
    cr_assert_eq(error.status, QINS_BAD_MODEL);
    cr_assert_not_null(strstr(error.message, message), "\"%s\" does not say \"%s\"", error.message, message);
}

// The least there is: no added tokens, no post-processor, no unknown token, ids with gaps.
static const char tiny[] =
    "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\\u2581\"},"
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}]},"
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\\u2581\"},"
    "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
    "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]},"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":7,\"\\u2581\":3},\"merges\":[]}}";

#define ADDED "\"added_tokens\": ["
#define EOS "\"rstrip\": true,\n\"normalized\": false,\n\"special\": false\n}" // of </s>
#define PRE "\"pre_tokenizer\": "
#define DIGITS "{\"type\": \"Digits\", \"individual_digits\": true}, "

static const struct {
    const char *from, *to, *message;
} refusals[] = {
    // the whole
    {"\"version\": \"1.0\"", "\"version\": \"2.0\"", "\"version\" is \"2.0\""},
    {"\"version\": \"1.0\"", "\"wersion\": \"1.0\"", "\"wersion\", which is not understood"},
    // another kind
    {"\"type\": \"BPE\"", "\"type\": \"Unigram\"", "this is a SentencePiece Unigram tokenizer"},
    {"\"type\": \"BPE\"", "\"type\": \"WordPiece\"", "this is a WordPiece tokenizer"},
    {"\"type\": \"BPE\"", "\"type\": \"BPE\", \"type\": \"BPE\"", "\"model\" has two members \"type\""},
    {"\"type\": \"BPE\"", "\"type\": null", "\"model.type\" is missing or null; only \"BPE\""},
    {"\"type\": \"BPE\"", "\"type\": \"Tiktoken\"", "\"model.type\" is \"Tiktoken\"; only \"BPE\""},
    // the pre-tokenizer
    {PRE "null", PRE "3", "\"pre_tokenizer\" is missing or null"},
    {PRE "null", PRE "{\"type\": \"Whitespace\"}", "\"pre_tokenizer\" is \"Whitespace\"; only Metaspace"},
    {PRE "null", PRE "{\"type\": \"ByteLevel\"}", "\"add_prefix_space\" is missing"},
    {PRE "null", PRE "{\"type\": \"Digits\"}", "\"individual_digits\" is missing"},
    {PRE "null", PRE "{\"type\": \"Metaspace\", \"replacement\": \"ab\"}", "its replacement must be one character"},
    {PRE "null", PRE "{\"type\": \"Metaspace\", \"replacement\": \"_\", \"prepend_scheme\": \"last\"}",
     "\"pre_tokenizer\" is \"last\"; only the prepend_scheme"},
    {PRE "null", PRE "{\"type\": \"Metaspace\", \"replacement\": \"_\", \"glue\": 1}",
     "\"glue\", which is not understood"},
    {PRE "null",
     PRE "{\"type\": \"Split\", \"pattern\": {\"String\": \" \"}, \"behavior\": \"Isolated\", \"invert\": false}",
     "\"pre_tokenizer Split pattern\" is {\"String\":\" \"}; only the expressions of"},
    {PRE "null",
     PRE "{\"type\": \"Split\", \"pattern\": {\"Regex\": \".\"}, \"behavior\": \"Removed\", \"invert\": false}",
     "only the behavior Isolated, or Removed with invert true"},
    {PRE "null", PRE "{\"type\": \"Sequence\", \"pretokenizers\": {}}", "\"pre_tokenizer\" is {}; it must be a list"},
    {PRE "null",
     PRE "{\"type\": \"Sequence\", \"pretokenizers\": [" DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS
         "{\"type\": \"Digits\", \"individual_digits\": true}]}",
     "at most 8 steps"},
    // the normalizer
    {"\"Sequence\"", "\"Lowercase\"", "\"normalizer\" is \"Lowercase\""},
    {"\"type\": \"Prepend\"", "\"type\": \"NFC\"", "\"normalizer\" is \"NFC\""},
    {"\"prepend\": \"\xE2\x96\x81\"", "\"prepend\": \"0123456789abcdef_\"", "with texts of at most 16 bytes"},
    {"\"prepend\": \"\xE2\x96\x81\"", "\"prepend\": 3", "\"prepend\" must be a string"},
    {"\"String\": \" \"", "\"Regex\": \" \"", "\"Regex\", which is not understood"},
    {"\"String\": \" \"", "\"String\": \"\"", "the pattern is empty, or the content too long"},
    {"\"content\": \"\xE2\x96\x81\"\n}\n]", "\"content\": \"12345\"}]",
     "the pattern is empty, or the content too long"},
    {"\"content\": \"\xE2\x96\x81\"\n}\n]", "\"content\": \"\xE2\x96\x81\"},{\"type\": \"NFC\"}]",
     "\"normalizer\" is \"NFC\"; only Prepend"},
    // the decoder
    {"\"ByteFallback\"", "\"ByteFall\"", "\"decoder\" is \"ByteFall\""},
    {"\"Fuse\"", "\"WordPiece\"", "\"decoder\" is \"WordPiece\""},
    {"\"start\": 1", "\"start\": 256", "\"start\" must be an integer from 0 to 255"},
    {"\"Fuse\"", "\"ByteFallback\"", "Strip must, and nothing else may, follow Fuse"},
    {"\"ByteFallback\"", "\"ByteLevel\"", "decoder, step 2 (bytes): it is not supported there"},
    {"{\n\"type\": \"Fuse\"\n},", "", "Strip must, and nothing else may, follow Fuse"},
    {"\"stop\": 0", "\"stop\": 1", "\"decoder Strip stop\" is 1"},
    // the post-processor
    {"\"single\": [", "\"single\": [], \"single\": [", "\"post_processor\" has two members \"single\""},
    {"\"TemplateProcessing\"", "\"RobertaProcessing\"", "\"post_processor type\" is \"RobertaProcessing\""},
    {"\"id\": \"A\"", "\"id\": \"B\"", "\"post_processor.single Sequence id\" is \"B\""},
    {"\"id\": \"<s>\",\n\"type_id\"", "\"id\": \"<q>\",\n\"type_id\"", "\"post_processor.special_tokens\" is missing"},
    {"\"ids\": [\n1\n]", "\"ids\": [\n999\n]", "no token with id 999"},
    {"\"ids\": [\n1\n]", "\"ids\": [\n-1\n]", "\"post_processor.special_tokens id\" is -1"},
    {"\"ids\": [\n1\n]", "\"ids\": 1", "\"post_processor.special_tokens ids\" is 1"},
    {"\"Sequence\": {\n\"id\"", "\"SpecialToken\": {\n\"id\"", "\"post_processor.special_tokens\" is missing"},
    // added tokens
    {"\"single_word\": false", "\"single_word\": \"yes\"", "\"single_word\" must be true or false"},
    {"\"rstrip\": false", "\"rstrip\": 1", "\"rstrip\" must be true or false"},
    {"\"rstrip\": false", "\"rstrip\": false, \"rstrip\": false", "has two members \"rstrip\""},
    {"\"id\": 0,\n\"content\": \"<unk>\"", "\"id\": 5,\n\"content\": \"<unk>\"",
     "\"<unk>\" has the id 5, but Hugging Face would give it 0"},
    {"\"id\": 1,\n\"content\": \"<s>\"", "\"id\": 1,\n\"content\": \"<unk>\"",
     "\"<unk>\" has the id 1, but Hugging Face would give it 0"},
    {"\"content\": \"<|end|>\"", "\"content\": \"<|user|>\"",
     "\"<|user|>\" has the id 315, but Hugging Face would give it 314"},
    {"\"content\": \"<|end|>\"", "\"content\": \"the\"", "\"the\" has the id 314, but Hugging Face would give it"},
    {ADDED, ADDED "{\"id\": 311, \"content\": \"<x>\", \"normalized\": true}, {\"id\": 311, \"content\": \"<x>\"}, ",
     "the token \"<x>\" is added twice, first with \"normalized\" true and then false"},
    {"\"content\": \"<|end|>\"", "\"content\": \"\"", "its content is empty"},
    {"\"content\": \"<|end|>\"", "\"content\": \"\\u0000x\"", "U+0000"},
    {"\"content\": \"<|end|>\"", "\"content\": \"\xFF\"", "not valid UTF-8"},
    {"\"id\": 311", "\"id\": 312", "Hugging Face would give it 311"},
    {"\"id\": 311", "\"id\": 4194304", "\"id\" must be an integer from 0 to 4194303"},
    // the model
    {"\"dropout\": null", "\"dropout\": 0.1", "\"model.dropout\" is 0.1"},
    {"\"dropout\": null", "\"dropout\": \"0\"", "\"model.dropout\" is \"0\""},
    {"\"unk_token\": \"<unk>\"", "\"unk_token\": 3", "\"unk_token\" must be a string"},
    {"\"continuing_subword_prefix\": null", "\"continuing_subword_prefix\": \"##\"", "subword_prefix\" is \"##\""},
    {"\"end_of_word_suffix\": null", "\"end_of_word_suffix\": \"</w>\"", "\"model.end_of_word_suffix\" is \"</w>\""},
    {"\"fuse_unk\": true", "\"fuse_unk\": true, \"ignore_merges\": 1", "\"ignore_merges\" must be true or false"},
    {"\"fuse_unk\": true", "\"fuse_unk\": \"yes\"", "\"fuse_unk\" must be true or false"},
    {"\"<unk>\": 0", "\"<unk>\": -1", "the id of \"<unk>\""},
    {"\"<unk>\": 0", "\"<unk>\": 0.5", "the id of \"<unk>\""},
    {"\"<unk>\": 0", "\"<unk>\": \"0\"", "the id of \"<unk>\""},
    {"\"<unk>\": 0", "\"<unk>\": 1e300", "the id of \"<unk>\""},
    {"\"<unk>\": 0", "\"<unk>\": 4194304", "the id of \"<unk>\""},
    {"\"<s>\": 1", "\"<s>\": 0", "\"<unk>\" and \"<s>\" have the same id 0"},
    {"\"the\": ", "\"\": ", "empty tokens are not supported"},
    {"\"the\": ", "\"\xC3(\": ", "not valid UTF-8"},
    {"\"h e\"", "\"h q\"", "\"h q\"; these two and their concatenation"},
    {"\"h e\"", "\"o o\"", "\"o o\"; these two and their concatenation"},
    {"\"h e\"", "\"he\"", "it must be two tokens"},
    {"\"h e\"", "\"h  e\"", "it must be two tokens"},
    {"\"h e\"", "\" e\"", "it must be two tokens"},
    {"\"h e\"", "[\"h\"]", "it must be two tokens"},
    {"\"h e\"", "[\"h\", 1]", "it must be two tokens"},
    {"\"h e\"", "[\"h\", \"e\", \"r\"]", "it must be two tokens"},
};

Test(tokenizer_hf, refuses_what_it_does_not_implement) {
    size_t size;
    char *json = support_read("tests/data/tokenizer_bytes.json", &size);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        char *changed = replaced(json, refusals[i].from, refusals[i].to);
        expect_refused(changed, strlen(changed), refusals[i].message);
        free(changed);
    }
    free(json);
}

// Whole members of the wrong kind.
Test(tokenizer_hf, refuses_members_of_the_wrong_kind) {
    static const char *const cases[][3] = {
        {"\"merges\":[]", "\"merges\":{}", "\"model.merges\" is {}"},
        {",\"merges\":[]", "", "\"model.merges\" is missing"},
        {"{\"a\":7,\"\\u2581\":3}", "[]", "\"model.vocab\" is []"},
        {"\"normalizer\":", "\"added_tokens\":3,\"normalizer\":", "\"added_tokens\" is 3"},
        {"\"normalizer\":", "\"added_tokens\":[3],\"normalizer\":", "\"added_tokens item\" is 3"},
        {"\"normalizer\":", "\"normalizer\":null,\"pre_tokenizer\":", "\"pre_tokenizer\" has a member \"normalizers\""},
        {"\"decoder\":", "\"post_processor\":", "\"decoder\" is missing"},
        {"\"model\":{\"type\":\"BPE\"", "\"model\":{\"type\":3", "\"model.type\" is 3"},
        {"\"decoders\":[", "\"decoders\":[3,", "\"decoder\" is missing or null; only Replace"},
        {"{\"type\":\"Fuse\"}", "null", "\"decoder\" is missing or null; only Replace"},
        {"\"pattern\":{\"String\":\" \"}", "\"pattern\":\" \"", "\"normalizer\" is \" \""},
        {"\"normalizer\":", "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[]},\"normalizer\":",
         "\"post_processor.single\" is []; it must hold the sequence A once"},
        {"\"normalizer\":", "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{}]},\"normalizer\":",
         "\"post_processor.single\" is {}"},
        {"\"normalizer\":", "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":{}},\"normalizer\":",
         "\"post_processor.single\" is {}"},
        {"\"normalizer\":", "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[3]},\"normalizer\":",
         "\"post_processor.single\" is 3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *changed = replaced(tiny, cases[i][0], cases[i][1]);
        expect_refused(changed, strlen(changed), cases[i][2]);
        free(changed);
    }
}

Test(tokenizer_hf, refuses_a_token_that_is_too_long) {
    static char token[1100] = "\"", long_token[1100];
    qins_error error = {0};
    memset(token + 1, 'a', 1024);
    strcat(token, "\":");
    char *json = replaced(tiny, "\"a\":", token);
    qins_tokenizer *tokenizer = qins_tokenizer_from_hf(json, strlen(json), NULL, &error);
    cr_assert_not_null(tokenizer, "1024 bytes are fine: %s", error.message);
    qins_tokenizer_free(tokenizer);
    strcat(strcpy(long_token, "\"a"), token + 1);
    char *too_long = replaced(tiny, "\"a\":", long_token);
    expect_refused(too_long, strlen(too_long), "token 7 has 1025 bytes; at most 1024");
    free(too_long);
    free(json);
}

// tiny with an added token of n bytes.
static char *with_added(size_t n) {
    char text[2048] = "\"added_tokens\":[{\"id\":2,\"content\":\"";
    const size_t used = strlen(text);
    memset(text + used, 'x', n);
    strcpy(text + used + n, "\",\"normalized\":true}],\"model\":");
    return replaced(tiny, "\"model\":", text);
}

Test(tokenizer_hf, bounds_added_tokens) {
    qins_error error = {0};
    char *json = with_added(256), *too_long = with_added(257);
    qins_tokenizer *tokenizer = qins_tokenizer_from_hf(json, strlen(json), NULL, &error);
    cr_assert_not_null(tokenizer, "%s", error.message);
    cr_expect_eq(qins_tokenizer_added_id(tokenizer, "none"), -1);
    qins_tokenizer_free(tokenizer);
    expect_refused(too_long, strlen(too_long), "the added token 2 has 257 bytes; at most 256");
    char *grown =
        replaced(json, "{\"String\":\" \"},\"content\":\"\\u2581\"", "{\"String\":\"x\"},\"content\":\"xxxxx\"");
    expect_refused(grown, strlen(grown), "the content too long");
    free(grown);
    grown = replaced(json, "{\"String\":\" \"},\"content\":\"\\u2581\"", "{\"String\":\"x\"},\"content\":\"xxxx\"");
    expect_refused(grown, strlen(grown), "the added token 2 has 1027 bytes when it is normalized; at most 1024");
    free(grown);
    free(too_long);
    free(json);
}

#define DOUBLES "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaaa\"},"

// Each step multiplies the length of the previous step's text.
Test(tokenizer_hf, bounds_what_steps_make_of_a_text) {
    char *json = replaced(tiny, "[{\"type\":\"Prepend\"", "[" DOUBLES DOUBLES "{\"type\":\"Prepend\"");
    qins_error error = {0};
    qins_tokenizer *tokenizer = qins_tokenizer_from_hf(json, strlen(json), NULL, &error);
    cr_assert_not_null(tokenizer, "%s", error.message);
    qins_tokenizer_free(tokenizer);
    free(json);
    json = replaced(tiny, "[{\"type\":\"Prepend\"", "[" DOUBLES DOUBLES DOUBLES "{\"type\":\"Prepend\"");
    expect_refused(json, strlen(json), "normalizer: its steps can make a text 192 times as long; at most 64");
    free(json);
}

// tiny with a template of n_items items of n_ids ids each.
static char *with_template(size_t n_items, size_t n_ids) {
    char *text = malloc(1 << 20), *at = text;
    at += sprintf(at, "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[");
    for (size_t i = 0; i < n_items; i++) at += sprintf(at, "{\"SpecialToken\":{\"id\":\"x\"}},");
    at += sprintf(at, "{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{\"x\":{\"id\":\"x\",\"ids\":[7");
    for (size_t i = 1; i < n_ids; i++) at += sprintf(at, ",7");
    sprintf(at, "]}}},\"model\":");
    char *json = replaced(tiny, "\"model\":", text);
    free(text);
    return json;
}

Test(tokenizer_hf, bounds_the_ids_of_a_template) {
    qins_error error = {0};
    char *json = with_template(8, 8);
    qins_tokenizer *tokenizer = qins_tokenizer_from_hf(json, strlen(json), NULL, &error);
    cr_assert_not_null(tokenizer, "%s", error.message);
    qins_tokenizer_free(tokenizer);
    free(json);
    static const struct {
        size_t n_items, n_ids;
        const char *message;
    } cases[] = {{13, 5, "65 ids are put around a text; at most 64"},
                 {65, 1, "it has too many items"},
                 {1, 65, "there are too many"},
                 {10000, 10000, "it has too many items"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json = with_template(cases[i].n_items, cases[i].n_ids);
        expect_refused(json, strlen(json), cases[i].message);
        free(json);
    }
}

Test(tokenizer_hf, refuses_what_is_no_json_and_other_documents) {
    expect_refused("", 0, "JSON");
    expect_refused("{", 1, "JSON");
    expect_refused("[]", 2, "\"tokenizer.json\" is []");
    expect_refused("{}", 2, "\"model\" is missing");
    expect_refused("null", 4, "must be an object");
    expect_refused("{\"a\0b\": 1}", 10, "U+0000 at byte 3");
}

Test(tokenizer_hf, refuses_every_truncation) {
    size_t size;
    char *json = support_read("tests/data/tokenizer_unk.json", &size);
    while (size > 0 && json[size - 1] == '\n') size--;
    for (size_t shorter = 0; shorter < size; shorter++) {
        char *copy = malloc(shorter + 1); // on the heap, so that the sanitizer sees a read past the end
        memcpy(copy, json, shorter);
        qins_error error = {0};
        cr_assert_null(qins_tokenizer_from_hf(copy, shorter, NULL, &error), "%zu bytes", shorter);
        cr_assert_eq(error.status, QINS_BAD_MODEL);
        free(copy);
    }
    free(json);
}

static void expect_same(const char *json, const char *other) {
    qins_error error = {0};
    uint8_t *data[2];
    size_t size[2];
    for (int i = 0; i < 2; i++) {
        const char *text = i == 0 ? json : other;
        qins_tokenizer *tokenizer = qins_tokenizer_from_hf(text, strlen(text), NULL, &error);
        cr_assert_not_null(tokenizer, "%s", error.message);
        cr_assert_eq(qins_tokenizer_pack(tokenizer, &data[i], &size[i], &error), QINS_OK);
        qins_tokenizer_free(tokenizer);
    }
    cr_assert_eq(size[0], size[1]);
    cr_assert_eq(memcmp(data[0], data[1], size[0]), 0);
    free(data[0]);
    free(data[1]);
}

Test(tokenizer_hf, takes_other_spellings_of_the_same) {
    static const char *const same[][2] = {
        {"\"h e\"", "[\"h\", \"e\"]"},
        {"\"continuing_subword_prefix\": null", "\"continuing_subword_prefix\": \"\""},
        {"\"end_of_word_suffix\": null,", ""},
        {"\"dropout\": null,", "\"ignore_merges\": false,"},
        {"\"dropout\": null", "\"dropout\": 0.0"},
        {"\"dropout\": null", "\"dropout\": -0.0"},
        {"\"type\": \"BPE\",", ""},
        {"\"version\": \"1.0\",", ""},
        {"\"truncation\": null,", ""},
        {"\"lstrip\": false,", ""},
        {"\"<s>\": 1", "\"\\u003cs>\": 1"},
        {"\"content\": \"<|end|>\"", "\"content\": \"<|\\u0065nd|>\""},
    };
    size_t size;
    char *json = support_read("tests/data/tokenizer_bytes.json", &size);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        char *changed = replaced(json, same[i][0], same[i][1]);
        expect_same(json, changed);
        free(changed);
    }
    free(json);
}

// Unusual files that Hugging Face accepts: the file with the first change is the same as with the second, or unchanged.
Test(tokenizer_hf, takes_what_hugging_face_takes) {
    static const char *const same[][3] = {
        {"\"h e\",\n\"t h\"", "\"h e\",\n\"t h\",\n\"h e\"", "\"t h\",\n\"h e\""}, // the last rank counts
        {"\"h e\"", "\"h e\", [\"h\", \"e\"], \"h e\"", NULL},
        // a member again: the last one counts
        {"\"version\": \"1.0\"", "\"version\": \"1.0\", \"padding\": null", NULL},
        {"\"normalizer\": {", "\"normalizer\": {\"type\": \"Lowercase\"}, \"normalizer\": {", NULL},
        {ADDED, "\"added_tokens\": [{\"id\": 311, \"content\": \"<x>\"}], " ADDED, NULL},
        {"\"model\": {", "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 1}, \"merges\": []}, \"model\": {", NULL},
        {"\"byte_fallback\": true", "\"byte_fallback\": false, \"byte_fallback\": true", NULL},
        {"\"byte_fallback\": true", "\"byte_fallback\": true, \"byte_fallback\": null", "\"byte_fallback\": false"},
        {"\"merges\": [", "\"merges\": [\"e h\"], \"merges\": [", NULL},
        {"\"vocab\": {", "\"vocab\": {\"a\": 0}, \"vocab\": {", NULL},
        {"\"vocab\": {", "\"vocab\": {\"the\": 4000, \"\\u0074he\": \"x\",", NULL},
        {"\"<unk>\": 0", "\"<unk>\": 1, \"<unk>\": 0", NULL},
        {"\"start\": 1", "\"start\": 5, \"start\": 1", NULL},
        {"\"String\": \" \"", "\"String\": \"x\", \"String\": \" \"", NULL},
        {PRE "null", PRE "{\"type\": \"Digits\", \"individual_digits\": true, \"type\": \"Digits\"}",
         PRE "{\"type\": \"Digits\", \"individual_digits\": true}"},
        // an added token again, which is special if it ever was
        {ADDED, ADDED "{\"id\": 1, \"content\": \"<s>\", \"special\": true}, ", NULL},
        {"\"special\": false\n}\n]", "\"special\": false\n}, {\"id\": 318, \"content\": \"\\n\\n\\t\"}]", NULL},
        {EOS, "\"rstrip\": false}, {\"id\": 2, \"content\": \"</s>\", \"rstrip\": true}", NULL},
        {EOS, "\"special\": true}, {\"id\": 2, \"content\": \"</s>\", \"rstrip\": true}",
         "\"special\": true, \"rstrip\": true}"},
    };
    size_t size;
    char *json = support_read("tests/data/tokenizer_bytes.json", &size);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        char *changed = replaced(json, same[i][0], same[i][1]);
        char *other = replaced(json, same[i][0], same[i][2] != NULL ? same[i][2] : same[i][0]);
        expect_same(other, changed);
        free(changed);
        free(other);
    }
    free(json);
}

// The unknown token need not exist where no character is unknown: if each byte has a piece, or the character that
// stands for it.
Test(tokenizer_hf, needs_the_unknown_token_only_for_unknown_characters) {
    static const struct {
        const char *path, *missing; // a piece of the file, NULL: none
        bool is_taken;
    } cases[] = {
        {"tests/data/tokenizer_bytes.json", NULL, true},
        {"tests/data/tokenizer_bytes.json", "\"<0xFF>\"", false},
        {"tests/data/tokenizer_unk.json", NULL, false},
        {"tests/data/tokenizer_partial.json", NULL, false},
        {"tests/data/tokenizer_gpt2.json", NULL, true},
        {"tests/data/tokenizer_gpt2.json", "\"x\"", false},
        {"tests/data/tokenizer_gpt2.json", "\"\xC3\xBF\"", false},
        {"tests/data/tokenizer_gpt2.json", "\"\xC5\x83\"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size;
        char *json = support_read(cases[i].path, &size);
        const char *from =
            strstr(json, "\"unk_token\": \"<unk>\"") != NULL ? "\"unk_token\": \"<unk>\"" : "\"unk_token\": null";
        char *without = replaced(json, from, "\"unk_token\": null");
        char *nowhere = replaced(json, from, "\"unk_token\": \"[UNK]\"");
        char *changed = cases[i].missing != NULL ? replaced(nowhere, cases[i].missing, "\"another\"") : NULL;
        if (cases[i].is_taken)
            expect_same(without, nowhere);
        else
            expect_refused(changed != NULL ? changed : nowhere, strlen(changed != NULL ? changed : nowhere),
                           "it must be in model.vocab, as characters can be unknown");
        free(changed);
        free(nowhere);
        free(without);
        free(json);
    }
}

// Hugging Face counts the tokens of the vocabulary, whatever their ids are, and does so once for all added tokens.
Test(tokenizer_hf, gives_added_tokens_the_ids_after_a_vocabulary_with_gaps) {
    static const char list[] = "\"added_tokens\":[{\"id\":7,\"content\":\"a\"},{\"id\":2,\"content\":\"x\"},"
                               "{\"id\":2,\"content\":\"x\"}],\"model\":";
    char *json = replaced(tiny, "\"model\":", list), *other = replaced(json, "\"id\":2", "\"id\":8");
    qins_error error = {0};
    qins_tokenizer *tokenizer = qins_tokenizer_from_hf(json, strlen(json), NULL, &error);
    cr_assert_not_null(tokenizer, "%s", error.message);
    cr_expect_eq(qins_tokenizer_added_id(tokenizer, "x"), 2);
    qins_tokenizer_free(tokenizer);
    expect_refused(other, strlen(other), "\"x\" has the id 8, but Hugging Face would give it 2");
    free(other);
    other = replaced(json, "\"content\":\"x\"}", "\"content\":\"x\"},{\"id\":3,\"content\":\"y\"}");
    expect_refused(other, strlen(other), "\"\xE2\x96\x81\" and \"y\" have the same id 3");
    free(other);
    free(json);
}

// Settings for batches, as a fine-tune leaves them, and members that Hugging Face ignores.
Test(tokenizer_hf, leaves_parts_out_with_a_notice) {
    static const char *const settings[][3] = {
        {"\"truncation\": null", "\"truncation\": {\"max_length\": 5}", "its setting for truncation is ignored"},
        {"\"padding\": null", "\"padding\": {\"pad_id\": 3}", "its setting for padding is ignored"},
        {"\"dropout\": null", "\"glue\": {\"a\": 1}",
         "unknown members are ignored, as in Hugging Face: \"glue\" in \"model\""},
        {"\"rstrip\": false", "\"glue\": 1, \"glue\": 2",
         "unknown members are ignored, as in Hugging Face: \"glue\" in \"added_tokens item\" and others"},
    };
    size_t size;
    char *json = support_read("tests/data/tokenizer_bytes.json", &size);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        char *changed = replaced(json, settings[i][0], settings[i][1]);
        qins_error error = {0};
        qins_tokenizer_cut cut = {0};
        qins_tokenizer *tokenizer = qins_tokenizer_from_hf(changed, strlen(changed), &cut, &error);
        cr_assert_not_null(tokenizer, "%s", error.message);
        cr_assert(strstr(cut.notice, settings[i][2]) == cut.notice);
        expect_same(json, changed);
        qins_tokenizer_free(tokenizer);
        free(changed);
    }
    free(json);
}

// A fine-tune that was given a token for padding, and no row for it, works as long as the token is not used.
Test(tokenizer_hf, leaves_out_added_tokens_that_the_model_has_no_rows_for) {
    size_t size;
    char *json = support_read("tests/data/tokenizer_bytes.json", &size), more[512];
    qins_error error = {0};
    qins_tokenizer *tokenizer = qins_tokenizer_from_hf(json, size, NULL, &error);
    const size_t n_rows = qins_tokenizer_vocab_size(tokenizer);
    qins_tokenizer_free(tokenizer);
    snprintf(more, sizeof more,
             ",{\"id\":%zu,\"content\":\"[PAD]\",\"special\":true},{\"id\":%zu,\"content\":\"[SEP]\"}], "
             "\"normalizer\":",
             n_rows, n_rows + 1);
    char *changed = replaced(json, "\n],\n\"normalizer\":", more);
    const size_t rows[] = {0, n_rows + 2, n_rows + 1, n_rows}, left_out[] = {0, 0, 1, 2};
    for (size_t i = 0; i < 4; i++) {
        qins_tokenizer_cut cut = {.n_rows = rows[i]};
        tokenizer = qins_tokenizer_from_hf(changed, strlen(changed), &cut, &error);
        cr_assert_not_null(tokenizer, "%s", error.message);
        cr_expect_eq(cut.n_added, left_out[i]);
        cr_expect_eq(qins_tokenizer_vocab_size(tokenizer), n_rows + 2 - left_out[i]);
        cr_expect_eq(qins_tokenizer_added_id(tokenizer, "[PAD]"), left_out[i] == 2 ? -1 : (int32_t)n_rows);
        qins_tokenizer_free(tokenizer);
    }
    free(changed);
    free(json);
}

Test(tokenizer_hf, takes_a_vocabulary_with_gaps) {
    qins_error error = {0};
    qins_ids ids = {0};
    size_t size;
    qins_tokenizer *tokenizer = qins_tokenizer_from_hf(tiny, strlen(tiny), NULL, &error);
    cr_assert_not_null(tokenizer, "%s", error.message);
    cr_assert_eq(qins_tokenizer_vocab_size(tokenizer), 8);
    cr_assert_null(qins_tokenizer_piece(tokenizer, 4, &size));
    cr_assert_eq(qins_tokenizer_encode(tokenizer, "xa b<s>a", 8, QINS_PARSE_SPECIAL | QINS_ADD_PREFIX, &ids, &error),
                 QINS_OK);
    int32_t expected[] = {3, 7, 3, 7};
    support_equal_ids(&ids, &(qins_ids){expected, 4, 4}, "unknown characters vanish", 0);
    qins_ids_free(&ids);
    qins_tokenizer_free(tokenizer);
}
