// tokenizer.c: questions about ids.
#include "tests/tokenizer_support.h"

#include <criterion/criterion.h>
#include <string.h>

static void expect_piece(const qins_tokenizer *tokenizer, int32_t id, const char *expected) {
    size_t size = 0;
    const char *piece = qins_tokenizer_piece(tokenizer, id, &size);
    cr_assert_not_null(piece, "id %d", (int)id);
    support_equal_text(piece, size, expected, strlen(expected), "piece", (size_t)id);
}

Test(tokenizer, knows_its_pieces) {
    qins_tokenizer *tokenizer = support_tokenizer("bytes");
    int32_t size = (int32_t)qins_tokenizer_vocab_size(tokenizer);
    size_t ignored;
    expect_piece(tokenizer, 0, "<unk>");
    expect_piece(tokenizer, 3 + 0x0A, "<0x0A>");
    expect_piece(tokenizer, 259, "\xE2\x96\x81");
    expect_piece(tokenizer, size - 1, "\n\n\t");
    cr_assert_null(qins_tokenizer_piece(tokenizer, size, &ignored));
    cr_assert_null(qins_tokenizer_piece(tokenizer, -1, &ignored));
    cr_assert_null(qins_tokenizer_piece(tokenizer, INT32_MAX, &ignored));
    cr_assert_null(qins_tokenizer_piece(tokenizer, INT32_MIN, &ignored));
    qins_tokenizer_free(tokenizer);
}

Test(tokenizer, knows_its_added_tokens) {
    qins_tokenizer *tokenizer = support_tokenizer("bytes");
    int32_t end = qins_tokenizer_added_id(tokenizer, "<|end|>"),
            longer = qins_tokenizer_added_id(tokenizer, "<|end|>x");
    cr_assert(end > 0 && longer > end);
    expect_piece(tokenizer, end, "<|end|>");
    cr_assert_eq(qins_tokenizer_added_id(tokenizer, "<s>"), 1);
    cr_assert_eq(qins_tokenizer_added_id(tokenizer, "<|end|"), -1);
    cr_assert_eq(qins_tokenizer_added_id(tokenizer, "<|end|>xx"), -1);
    cr_assert_eq(qins_tokenizer_added_id(tokenizer, " <|end|>"), -1);
    cr_assert_eq(qins_tokenizer_added_id(tokenizer, ""), -1);
    cr_assert_eq(qins_tokenizer_added_id(tokenizer, "the"), -1, "a piece that is no added token");
    cr_assert(qins_tokenizer_is_special(tokenizer, end));
    cr_assert_not(qins_tokenizer_is_special(tokenizer, 2), "</s> is added, but not special");
    cr_assert_not(qins_tokenizer_is_special(tokenizer, 260));
    cr_assert_not(qins_tokenizer_is_special(tokenizer, -1));
    cr_assert_not(qins_tokenizer_is_special(tokenizer, 1 << 30));
    qins_tokenizer_free(tokenizer);
}

Test(tokenizer, free_takes_null) {
    qins_tokenizer_free(NULL);
    qins_text_stream_free(NULL);
}
