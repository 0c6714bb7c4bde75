// added_tokens.c: leftmost and longest, against a look at every token at every place.
#include "tests/tokenizer_support.h"
#include "tokenizer/tokenizer_internal.h"

#include <criterion/criterion.h>
#include <string.h>

static bool find_plainly(const qins_tokenizer *tokenizer, const char *text, size_t size, size_t from,
                         added_match *match) {
    for (size_t at = from; at < size; at++) {
        size_t longest = 0;
        for (size_t id = 0; id < tokenizer->n_ids; id++) {
            size_t piece_size;
            const char *piece = tokenizer_piece_text(tokenizer, id, &piece_size);
            if (!(tokenizer->token_flags[id] & TOKEN_ADDED) || piece_size <= longest || piece_size > size - at)
                continue;
            if (memcmp(text + at, piece, piece_size) != 0) continue;
            longest = piece_size;
            *match = (added_match){at, at + piece_size, (int32_t)id};
        }
        if (longest > 0) return true;
    }
    return false;
}

static void expect_same_matches(const qins_tokenizer *tokenizer, const char *text, size_t size) {
    for (size_t from = 0; from <= size;) {
        added_match got = {0}, expected = {0};
        bool found = added_find(&tokenizer->added[0], text, size, from, &got);
        cr_assert_eq(found, find_plainly(tokenizer, text, size, from, &expected), "%.*s", (int)size, text);
        if (!found) return;
        cr_assert(got.start == expected.start && got.end == expected.end && got.id == expected.id, "%.*s: %d, not %d",
                  (int)size, text, (int)got.id, (int)expected.id);
        from = got.end;
    }
}

Test(tokenizer_added, are_found_leftmost_and_longest) {
    static const char *const parts[] = {"<|end|>",  "x",   "<|end|", "\n",     "\n\n\t", "<s>", "<",
                                        "<|user|>", "</s", "|>",     "<0x41>", "<|",     " ",   "<|endoftext|>",
                                        "<|endof",  "\xFF"};
    static const char *const names[] = {"bytes", "partial"};
    for (size_t n = 0; n < 2; n++) {
        qins_tokenizer *tokenizer = support_tokenizer(names[n]);
        uint32_t state = 7;
        for (size_t round = 0; round < 3000; round++) {
            char text[256] = {0};
            for (size_t i = 0; i < round % 12; i++) {
                state = state * 1664525u + 1013904223u;
                strcat(text, parts[(state >> 20) % (sizeof parts / sizeof *parts)]);
            }
            expect_same_matches(tokenizer, text, strlen(text));
        }
        qins_tokenizer_free(tokenizer);
    }
}

// White space that is a token itself and consumes what is before it, after a token that consumes it: Hugging Face drops
// it if nothing of it is left.
Test(tokenizer_added, white_space_is_consumed_once) {
    static const struct {
        const char *text;
        int32_t ids[4];
    } cases[] = {{"<|end|> \n\n\tx", {314, 259, 276}}, // as with tokenizers 0.23.3
                 {"<|end|>\n\n\t\n\n\tx", {317, 318, 259, 276}},
                 {"<|end|> \n\n\t<|end|>", {314, 314}},
                 {"a \n\n\tx", {302, 318, 259, 276}}};
    qins_tokenizer *tokenizer = support_tokenizer("bytes");
    tokenizer->token_flags[318] |= TOKEN_LSTRIP; // "\n\n\t"
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t expected[4];
        size_t n = 0;
        for (; n < 4 && cases[i].ids[n] != 0; n++) expected[n] = cases[i].ids[n];
        qins_ids ids = {0};
        qins_error error = {0};
        cr_assert_eq(
            qins_tokenizer_encode(tokenizer, cases[i].text, strlen(cases[i].text), QINS_PARSE_SPECIAL, &ids, &error),
            QINS_OK);
        support_equal_ids(&ids, &(qins_ids){expected, n, n}, cases[i].text, i);
        qins_ids_free(&ids);
    }
    qins_tokenizer_free(tokenizer);
}

Test(tokenizer_added, are_not_found_across_the_end) {
    qins_tokenizer *tokenizer = support_tokenizer("bytes");
    added_match match;
    for (size_t size = 0; size < 7; size++) cr_assert_not(added_find(&tokenizer->added[0], "<|end|>", size, 0, &match));
    cr_assert(added_find(&tokenizer->added[0], "<|end|>x", 7, 0, &match));
    cr_assert_eq(match.end, 7);
    cr_assert(added_find(&tokenizer->added[0], "<|end|>x", 8, 0, &match));
    cr_assert_eq(match.end, 8);
    cr_assert_not(added_find(&tokenizer->added[0], "<|end|>x", 8, 8, &match));
    qins_tokenizer_free(tokenizer);
}
