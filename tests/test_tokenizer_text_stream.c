// text_stream.c: ids to text against Hugging Face, whole and piece by piece.
#include "tests/tokenizer_support.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

typedef struct golden_run {
    const char *name;
    const qins_tokenizer *tokenizer;
    size_t count;
} golden_run;

// Both ways of decoding must give the text: the whole list, and push by push with one stream for all lists.
static void expect_text(const qins_tokenizer *tokenizer, const qins_ids *ids, bool skip_special, const char *expected,
                        size_t size, size_t number) {
    qins_error error = {0};
    char *text;
    size_t text_size;
    qins_tokenizer_decode(tokenizer, ids->data, ids->count, skip_special, &text, &text_size, &error);
    cr_assert_eq(error.status, QINS_OK, "%s", error.message);
    support_equal_text(text, text_size, expected, size, "decode", number);
    cr_assert_eq(text[text_size], '\0');
    free(text);

    qins_text_stream *stream = qins_text_stream_create(tokenizer, skip_special, &error);
    for (int round = 0; round < 2; round++) { // a finished stream starts afresh
        char *streamed = malloc(size + 1);
        const char *more;
        size_t more_size, at = 0;
        for (size_t i = 0; i <= ids->count; i++) {
            if (i < ids->count)
                qins_text_stream_push(stream, ids->data[i], &more, &more_size, &error);
            else
                qins_text_stream_finish(stream, &more, &more_size, &error);
            cr_assert_eq(error.status, QINS_OK);
            cr_assert(more_size <= size - at);
            memcpy(streamed + at, more, more_size);
            at += more_size;
        }
        support_equal_text(streamed, at, expected, size, "stream", number);
        free(streamed);
    }
    qins_text_stream_free(stream);
}

static void check_golden(const qins_json *line, size_t number, void *context) {
    golden_run *run = context;
    if (strcmp(qins_json_text(qins_json_get(line, "tokenizer")), run->name) != 0) return;
    if (qins_json_get(line, "decode") == NULL) return;
    static const char *const keys[] = {"text", "skip"};
    qins_ids ids = {0};
    support_ids(qins_json_get(line, "decode"), &ids);
    for (int skip = 0; skip < 2; skip++) {
        size_t size;
        char *expected = support_hex(line, keys[skip], &size);
        expect_text(run->tokenizer, &ids, skip == 1, expected, size, number);
        free(expected);
    }
    qins_ids_free(&ids);
    run->count++;
}

Test(tokenizer_text_stream, equals_hugging_face) {
    for (const char *const *name = support_kinds; *name != NULL; name++) {
        qins_tokenizer *tokenizer = support_tokenizer(*name);
        golden_run run = {.name = *name, .tokenizer = tokenizer};
        support_each_line("tests/data/tokenizer_golden.jsonl", check_golden, &run);
        cr_assert_eq(run.count, 50);
        qins_tokenizer_free(tokenizer);
    }
}

static void check_vector(const qins_json *line, size_t number, void *context) {
    static const char *const keys[] = {"text", "text_skip_special"};
    qins_ids ids = {0};
    support_ids(qins_json_get(line, "ids"), &ids);
    for (int skip = 0; skip < 2; skip++) {
        size_t size;
        char *expected = support_text(line, keys[skip], &size);
        expect_text(context, &ids, skip == 1, expected, size, number);
        free(expected);
    }
    qins_ids_free(&ids);
}

Test(tokenizer_text_stream, equals_hugging_face_with_phi35) {
    qins_tokenizer *tokenizer = support_tokenizer_at(support_data_path("phi35/tokenizer.json"));
    cr_assert_eq(support_each_line(support_data_path("phi35/decode-cases.jsonl"), check_vector, tokenizer), 100);
    qins_tokenizer_free(tokenizer);
}

static void expect_push(qins_text_stream *stream, int32_t id, const char *expected) {
    qins_error error = {0};
    const char *text;
    size_t size;
    cr_assert_eq(qins_text_stream_push(stream, id, &text, &size, &error), QINS_OK);
    support_equal_text(text, size, expected, strlen(expected), "push", (size_t)id);
}

static void expect_finish(qins_text_stream *stream, const char *expected) {
    qins_error error = {0};
    const char *text;
    size_t size;
    cr_assert_eq(qins_text_stream_finish(stream, &text, &size, &error), QINS_OK);
    support_equal_text(text, size, expected, strlen(expected), "finish", 0);
}

// --- texts that continue others ---

static void decode(const qins_tokenizer *tokenizer, const int32_t *ids, size_t n_ids, char **text, size_t *size) {
    qins_error error = {0};
    qins_tokenizer_decode(tokenizer, ids, n_ids, true, text, size, &error);
    cr_assert_eq(error.status, QINS_OK, "%s", error.message);
}

// ids[n_before..] as the continuation of what comes before them.
static void expect_continuation(const qins_tokenizer *tokenizer, const qins_ids *ids, size_t n_before,
                                const char *expected, size_t size) {
    qins_error error = {0};
    qins_buffer got = {.error = &error};
    qins_text_stream *stream = qins_text_stream_create(tokenizer, true, &error);
    qins_text_stream_follow(stream, ids->data[n_before - 1]);
    for (size_t i = n_before; i <= ids->count; i++) {
        const char *more;
        size_t more_size;
        if (i < ids->count)
            qins_text_stream_push(stream, ids->data[i], &more, &more_size, &error);
        else
            qins_text_stream_finish(stream, &more, &more_size, &error);
        qins_buffer_append(&got, more, more_size);
    }
    cr_assert_eq(error.status, QINS_OK);
    support_equal_text((const char *)got.data, got.size, expected, size, "continuation", n_before);
    qins_text_stream_free(stream);
    qins_buffer_free(&got);
}

// Was nothing cut in a character, so that the text of the whole begins with that of its first part?
static bool begins_with(const char *whole, size_t size, const char *first, size_t first_size) {
    const bool is_broken = first_size >= 3 && memcmp(first + first_size - 3, "\xEF\xBF\xBD", 3) == 0;
    return first_size > 0 && first_size <= size && memcmp(whole, first, first_size) == 0 && !is_broken;
}

// Cut a list: the second part's text is the rest of the whole's after the first part's; after a marker, its own. True:
// the two are not the same.
static bool check_cut(const qins_tokenizer *tokenizer, const qins_ids *ids, size_t n) {
    char *whole, *first, *rest;
    size_t size, first_size, rest_size;
    decode(tokenizer, ids->data, ids->count, &whole, &size);
    decode(tokenizer, ids->data, n, &first, &first_size);
    decode(tokenizer, ids->data + n, ids->count - n, &rest, &rest_size);
    const bool is_marker = qins_tokenizer_is_special(tokenizer, ids->data[n - 1]);
    const bool is_text = !is_marker && qins_tokenizer_piece(tokenizer, ids->data[n - 1], &(size_t){0}) != NULL;
    const bool is_continued = is_text && begins_with(whole, size, first, first_size);
    if (is_marker) expect_continuation(tokenizer, ids, n, rest, rest_size);
    if (is_continued) expect_continuation(tokenizer, ids, n, whole + first_size, size - first_size);
    const bool is_other = is_continued && rest_size != size - first_size;
    free(whole);
    free(first);
    free(rest);
    return is_other;
}

static void check_cuts(const qins_json *line, size_t number, void *context) {
    golden_run *run = context;
    (void)number;
    if (strcmp(qins_json_text(qins_json_get(line, "tokenizer")), run->name) != 0) return;
    if (qins_json_get(line, "decode") == NULL) return;
    qins_ids ids = {0};
    support_ids(qins_json_get(line, "decode"), &ids);
    for (size_t n = 1; n < ids.count; n++) run->count += check_cut(run->tokenizer, &ids, n);
    qins_ids_free(&ids);
}

Test(tokenizer_text_stream, continues_another) {
    size_t n_other = 0;
    for (const char *const *name = support_kinds; *name != NULL; name++) {
        qins_tokenizer *tokenizer = support_tokenizer(*name);
        golden_run run = {.name = *name, .tokenizer = tokenizer};
        support_each_line("tests/data/tokenizer_golden.jsonl", check_cuts, &run);
        n_other += run.count;
        qins_tokenizer_free(tokenizer);
    }
    cr_expect_gt(n_other, 50);
}

static int32_t only_id(const qins_tokenizer *tokenizer, const char *text) {
    qins_error error = {0};
    qins_ids ids = {0};
    qins_tokenizer_encode(tokenizer, text, strlen(text), 0, &ids, &error);
    cr_assert_eq(ids.count, 1);
    int32_t id = ids.data[0];
    qins_ids_free(&ids);
    return id;
}

Test(tokenizer_text_stream, holds_bytes_back_until_their_run_ends) {
    qins_tokenizer *tokenizer = support_tokenizer("bytes");
    qins_error error = {0};
    qins_text_stream *stream = qins_text_stream_create(tokenizer, true, &error);
    int32_t the = only_id(tokenizer, "the"), end = qins_tokenizer_added_id(tokenizer, "<|end|>");
    expect_push(stream, the, "the");
    expect_push(stream, the, " the");
    expect_push(stream, 3 + 0xC3, "");
    expect_push(stream, end, ""); // skipped: the run goes on
    expect_push(stream, 40000, "");
    expect_push(stream, -1, "");
    expect_push(stream, 3 + 0xA9, "");
    expect_push(stream, the, "\xC3\xA9 the");
    expect_push(stream, 3 + 'a', "");
    expect_push(stream, 3 + 0xC3, "");
    expect_push(stream, the, "\xEF\xBF\xBD\xEF\xBF\xBD the");
    expect_push(stream, 3 + 0xF0, "");
    expect_finish(stream, "\xEF\xBF\xBD");
    expect_finish(stream, "");
    expect_push(stream, 3 + ' ', ""); // the first space of a new text goes, also when it is a byte
    expect_push(stream, the, " the");
    expect_finish(stream, "");
    qins_text_stream_free(stream);
    qins_tokenizer_free(tokenizer);
}
