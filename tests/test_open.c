// Opening of a model: its file and its tokenizer must belong together.
#include "engine/base/memory.h"
#include "engine/format/writer.h"
#include "engine/runtime/model.h"
#include "tests/support.h"
#include "tests/tokenizer_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// FOLDER/NAME: a tiny model with `n_rows` rows in its vocabulary, all weights zero, this tokenizer and chat template.
static const char *make_file(const char *folder, size_t n_rows, const qins_tokenizer *tokenizer, const char *template) {
    static char path[256];
    qins_error error = {0};
    qins_config config = tiny_config();
    qins_header header;
    uint8_t *packed;
    size_t packed_bytes;
    config.vocab_size = n_rows;
    snprintf(path, sizeof path, "%s/%zu.qins", folder, n_rows);
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    qins_tokenizer_pack(tokenizer, &packed, &packed_bytes, &error);
    model_header(&header, &config, QINS_QINS8, &error);
    strcpy(header.chat_template, template);
    qins_writer *writer = qins_writer_create(fd, path, &header, packed, packed_bytes, &error);
    expect_ok(&error);
    for (size_t i = 0; i < header.n_tensors; i++) {
        void *zeros = qins_alloc(1, (size_t)header.tensors[i].bytes, "payload", &error);
        qins_writer_append(writer, zeros, (size_t)header.tensors[i].bytes, &error);
        free(zeros);
    }
    qins_writer_finish(writer, &error);
    expect_ok(&error);
    qins_writer_free(writer);
    qins_header_free(&header);
    free(packed);
    close(fd);
    return path;
}

Test(open, a_tokenizer_larger_than_the_model_is_refused) {
    qins_tokenizer *tokenizer = support_tokenizer("bytes");
    const size_t n_ids = qins_tokenizer_vocab_size(tokenizer);
    char *folder = temporary_folder();
    qins_error error = {0};
    qins_model *model = qins_model_open(make_file(folder, n_ids, tokenizer, "none"), &error);
    expect_ok(&error);
    qins_model_close(model);
    cr_expect_null(qins_model_open(make_file(folder, n_ids - 1, tokenizer, "none"), &error));
    char message[128];
    snprintf(message, sizeof message, "tokenizer: it has ids up to %zu, but the model's vocabulary has %zu rows",
             n_ids - 1, n_ids - 1);
    expect_error(&error, QINS_BAD_MODEL, message);
    qins_tokenizer_free(tokenizer);
    remove_folder(folder);
}

Test(open, a_tokenizer_without_the_chat_templates_markers_is_refused) {
    qins_tokenizer *tokenizer = support_tokenizer("bytes");
    char *folder = temporary_folder();
    qins_error error = {0};
    const char *path = make_file(folder, qins_tokenizer_vocab_size(tokenizer), tokenizer, "chatml");
    cr_expect_null(qins_model_open(path, &error));
    cr_expect_not_null(strstr(error.message, path), "%s", error.message);
    expect_error(&error, QINS_BAD_MODEL, "the chat template needs the token <|im_start|>");
    qins_tokenizer_free(tokenizer);
    remove_folder(folder);
}
