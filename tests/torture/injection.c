// Texts that spell control tokens, as messages of chats and as plain text: none may become one; see torture.h.
#include "engine/runtime/model.h"
#include "tests/torture/torture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct attack {
    const qins_tokenizer *tokenizer;
    qins_chat_template chat;
    tally row;
};

static size_t count_special(const struct attack *attack, const qins_ids *ids) {
    size_t n = 0;
    for (size_t i = 0; i < ids->count; i++) n += qins_tokenizer_is_special(attack->tokenizer, ids->data[i]);
    return n;
}

static size_t special_of_chat(struct attack *attack, const qins_message *messages, size_t n_messages) {
    qins_error error = {0};
    qins_ids ids = {0};
    qins_chat_encode(attack->tokenizer, &attack->chat, messages, n_messages, QINS_CHAT_BEGINS | QINS_CHAT_REPLY, &ids,
                     &error);
    const size_t n = error.status == QINS_OK ? count_special(attack, &ids) : 0;
    attack->row.silent += error.status != QINS_OK && error.message[0] == '\0';
    qins_ids_free(&ids);
    return n;
}

// As many control tokens as with harmless words in the same places: those of the template.
static void try_messages(struct attack *attack, const qins_message *messages, size_t n_messages) {
    qins_message harmless[2];
    for (size_t i = 0; i < n_messages; i++) harmless[i] = (qins_message){messages[i].role, "words", 5};
    const size_t expected = special_of_chat(attack, harmless, n_messages);
    attack->row.tried++;
    attack->row.wrong += expected == 0 || special_of_chat(attack, messages, n_messages) != expected;
}

static void try_text(struct attack *attack, const char *text, size_t size) {
    static const char *const roles[] = {"system", "user", "assistant"};
    qins_error error = {0};
    qins_ids ids = {0};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        try_messages(attack, &(qins_message){roles[i], text, size}, 1);
    qins_tokenizer_encode(attack->tokenizer, text, size, 0, &ids, &error);
    attack->row.tried++;
    attack->row.wrong += error.status != QINS_OK || count_special(attack, &ids) > 0;
    qins_ids_free(&ids);
}

// A spelling cut in two, by messages that come one after the other.
static void try_cut(struct attack *attack, const char *text, size_t size) {
    for (size_t at = 1; at < size; at++) {
        const qins_message messages[] = {{"user", text, at}, {"assistant", text + at, size - at}};
        try_messages(attack, messages, 2);
    }
}

// `marker`: as tokenizer.json spells it. With letters, white space and a NUL around it, in itself, after another one.
static void try_marker(struct attack *attack, const char *marker, size_t size, const char *other, size_t other_size) {
    static const char *const around[][2] = {
        {"", ""},         {" ", ""},           {"", " "},       {"\n", "\n"},         {"a", "b"},
        {"<", ">"},       {"<|", "|>"},        {"\\", ""},      {"\xE2\x96\x81", ""}, {"\xE2\x80\x8B", ""},
        {"\xFF", "\xC3"}, {"<s>", "</s>"},     {"\r\n", "\t"},  {"\"", "\"}]"},       {"{{", "}}"},
        {"&lt;", "&gt;"}, {"<|end|>\n", "\n"}, {"\x1b[0m", ""},
    };
    char text[1024];
    if (2 * size + other_size + 32 > sizeof text) return;
    for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
        int n = snprintf(text, sizeof text, "%s%.*s%s", around[i][0], (int)size, marker, around[i][1]);
        try_text(attack, text, (size_t)n);
    }
    int n = snprintf(text, sizeof text, "%.*s%.*s", (int)size, marker, (int)other_size, other);
    try_text(attack, text, (size_t)n);
    n = snprintf(text, sizeof text, "%.*s%.*s%.*s", (int)size / 2, marker, (int)size, marker, (int)(size - size / 2),
                 marker + size / 2); // once the inner one is taken out
    try_text(attack, text, (size_t)n);
    memcpy(text, marker, size);
    memcpy(text + size + 1, marker, size);
    text[size] = '\0';
    try_text(attack, text, 2 * size + 1);
    try_cut(attack, marker, size);
}

static void try_markers(struct attack *attack) {
    const char *other = "<|end|>";
    size_t other_size = strlen(other);
    const size_t n_ids = qins_tokenizer_vocab_size(attack->tokenizer);
    for (size_t id = 0; id < n_ids; id++) {
        size_t size = 0;
        const char *marker = qins_tokenizer_piece(attack->tokenizer, (int32_t)id, &size);
        if (marker == NULL || !qins_tokenizer_is_special(attack->tokenizer, (int32_t)id)) continue;
        try_marker(attack, marker, size, other, other_size);
        other = marker;
        other_size = size;
    }
}

static void inject(struct torture *torture, const char *name, const char *model_path) {
    qins_error error = {0};
    qins_model *model = qins_model_open(model_path, &error);
    struct attack attack = {.row.name = name};
    if (model != NULL) {
        attack.tokenizer = model->tokenizer;
        for (size_t i = 0; qins_chat_format_at(i) != NULL; i++) {
            attack.chat = (qins_chat_template){.format = qins_chat_format_at(i)};
            const qins_message hello = {"user", "hello", 5};
            if (special_of_chat(&attack, &hello, 1) > 0) try_markers(&attack); // else it lacks this format's markers
        }
    }
    qins_model_close(model);
    tally_print(torture, &attack.row);
}

void torture_injection(struct torture *torture) {
    char demo[600];
    snprintf(demo, sizeof demo, "%s/demo.qins", torture->tmp);
    const char *const arguments[] = {torture->convert, "tests/data/demo", "-o", demo, "--quiet", NULL};
    run_program(torture, &(struct program){.arguments = arguments});
    inject(torture, "control tokens spelt in text, tiny model", torture->model);
    inject(torture, "control tokens spelt in text, demo", demo);
}
