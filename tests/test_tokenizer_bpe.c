// bpe.c: against the simplest possible BPE (look at all pairs, apply the best one, again), and on long texts.
#include "tests/tokenizer_support.h"
#include "tokenizer/tokenizer_internal.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define WORD_SPACE "\xE2\x96\x81" // U+2581

// Rank of the merge of two ids, SIZE_MAX if there is none.
static size_t rank_of(const qins_tokenizer *tokenizer, uint32_t left, uint32_t right) {
    for (size_t rank = 0; rank < tokenizer->n_merges; rank++)
        if (tokenizer->merges[rank].left == left && tokenizer->merges[rank].right == right) return rank;
    return SIZE_MAX;
}

static void merge_plainly(const qins_tokenizer *tokenizer, qins_ids *ids) {
    for (;;) {
        size_t best = SIZE_MAX, place = 0;
        for (size_t i = 0; i + 1 < ids->count; i++) {
            size_t rank = rank_of(tokenizer, (uint32_t)ids->data[i], (uint32_t)ids->data[i + 1]);
            if (rank < best) best = rank, place = i;
        }
        if (best == SIZE_MAX) return;
        ids->data[place] = (int32_t)tokenizer->merges[best].result;
        for (size_t i = place + 1; i + 1 < ids->count; i++) ids->data[i] = ids->data[i + 1];
        ids->count--;
    }
}

// Text of the test tokenizer's own characters, one byte each; a space becomes U+2581.
static void symbols_plainly(const qins_tokenizer *tokenizer, const char *text, qins_ids *ids) {
    qins_error error = {0};
    ids->count = 0;
    qins_ids_append(ids, tokenizer_find_piece(tokenizer, WORD_SPACE, 3), &error);
    for (; *text != '\0'; text++) {
        bool space = *text == ' ';
        int32_t id = tokenizer_find_piece(tokenizer, space ? WORD_SPACE : text, space ? 3 : 1);
        cr_assert(id >= 0);
        qins_ids_append(ids, id, &error);
    }
}

Test(tokenizer_bpe, equals_the_plain_algorithm_on_random_texts) {
    static const char letters[] = "etaoinshr l  aahee<>dl";
    qins_tokenizer *tokenizer = support_tokenizer("unk");
    qins_ids got = {0}, expected = {0};
    pipeline_words words = {0}, spare = {0};
    uint32_t state = 1;
    for (size_t round = 0; round < 3000; round++) {
        qins_error error = {0};
        char text[41];
        size_t size = round % 40 + 1;
        for (size_t i = 0; i < size; i++) {
            state = state * 1664525u + 1013904223u;
            text[i] = letters[(state >> 16) % (sizeof letters - 1)];
        }
        text[size] = '\0';
        symbols_plainly(tokenizer, text, &expected);
        merge_plainly(tokenizer, &expected);
        got.count = 0;
        pipeline_words_set(&words, text, size, &error);
        pipeline_run(&tokenizer->normalizer, &words, &spare, true, &error);
        cr_assert_eq(bpe_encode(tokenizer, &words, false, &got, &error), QINS_OK);
        support_equal_ids(&got, &expected, text, round);
    }
    pipeline_words_free(&words);
    pipeline_words_free(&spare);
    qins_ids_free(&got);
    qins_ids_free(&expected);
    qins_tokenizer_free(tokenizer);
}

static void expect_round_trip(const qins_tokenizer *tokenizer, const char *text, size_t size) {
    qins_error error = {0};
    qins_ids ids = {0};
    char *back;
    size_t back_size;
    cr_assert_eq(qins_tokenizer_encode(tokenizer, text, size, QINS_PARSE_SPECIAL, &ids, &error), QINS_OK);
    cr_assert_eq(qins_tokenizer_decode(tokenizer, ids.data, ids.count, false, &back, &back_size, &error), QINS_OK);
    cr_assert(back_size == size && memcmp(back, text, size) == 0, "%.20s", text);
    qins_ids_free(&ids);
    free(back);
}

// A long text without a space, of spaces, of bytes, of text that splitters scan again: would take hours if anything
// were quadratic.
Test(tokenizer_bpe, long_texts_round_trip, .timeout = 120) {
    static const char *const units[] = {"a",
                                        " ",
                                        "hello",
                                        "\xF0\x9F\x98\x80",
                                        "the ",
                                        "<|end|",
                                        "aA",
                                        "\n  ",
                                        "\xCC\x81"
                                        "A",
                                        "'ll",
                                        "//\n",
                                        "7"};
    static const char *const names[] = {"bytes", "digits", "cl100k", "o200k"};
    const size_t size = 300000;
    char *text = malloc(size);
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        qins_tokenizer *tokenizer = support_tokenizer(names[n]);
        for (size_t unit = 0; unit < sizeof units / sizeof *units; unit++) {
            size_t unit_size = strlen(units[unit]);
            for (size_t i = 0; i < size; i++) text[i] = units[unit][i % unit_size];
            expect_round_trip(tokenizer, text, size - size % unit_size);
        }
        qins_tokenizer_free(tokenizer);
    }
    free(text);
}
