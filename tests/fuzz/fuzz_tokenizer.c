// libFuzzer target: the input is a packed tokenizer, or (when it starts with '{') a tokenizer.json. What is accepted
// must pack, unpack to the same bytes, and encode and decode the input itself. Built by
// `make fuzz`.
#include "tokenizer/chat.h"

#include <stdlib.h>
#include <string.h>

static void require(bool condition) {
    if (!condition) abort();
}

static void check_round_trip(const qins_tokenizer *tokenizer) {
    qins_error error = {0};
    uint8_t *packed, *again;
    size_t size, again_size;
    require(qins_tokenizer_pack(tokenizer, &packed, &size, &error) == QINS_OK);
    qins_tokenizer *unpacked = qins_tokenizer_unpack(packed, size, &error);
    require(unpacked != NULL);
    require(qins_tokenizer_pack(unpacked, &again, &again_size, &error) == QINS_OK);
    require(size == again_size && memcmp(packed, again, size) == 0);
    qins_tokenizer_free(unpacked);
    free(packed);
    free(again);
}

static void use(const qins_tokenizer *tokenizer, const char *text, size_t size) {
    qins_error error = {0};
    qins_ids ids = {0};
    char *back;
    size_t back_size;
    for (unsigned flags = 0; flags < 8; flags++)
        require(qins_tokenizer_encode(tokenizer, text, size, flags, &ids, &error) == QINS_OK);
    for (size_t i = 0; i < ids.count; i++) require(qins_tokenizer_piece(tokenizer, ids.data[i], &back_size) != NULL);
    require(qins_tokenizer_decode(tokenizer, ids.data, ids.count, size % 2, &back, &back_size, &error) == QINS_OK);
    free(back);
    ids.count = 0;
    qins_message message = {"user", text, size};
    const qins_chat_template chat = {.format = qins_chat_format_at(size % 4), .start = "<s>"};
    const unsigned flags = QINS_CHAT_BEGINS | QINS_CHAT_REPLY | (size % 8 < 4 ? QINS_PARSE_SPECIAL : 0);
    qins_chat_encode(tokenizer, &chat, &message, 1, flags, &ids, &error); // it may lack the markers
    qins_ids_free(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    qins_error error = {0};
    qins_tokenizer *tokenizer = size > 0 && data[0] == '{'
                                    ? qins_tokenizer_from_hf((const char *)data, size, NULL, &error)
                                    : qins_tokenizer_unpack(data, size, &error);
    require((tokenizer == NULL) == (error.status != QINS_OK));
    if (tokenizer == NULL) return 0;
    check_round_trip(tokenizer);
    use(tokenizer, (const char *)data, size);
    qins_tokenizer_free(tokenizer);
    return 0;
}
