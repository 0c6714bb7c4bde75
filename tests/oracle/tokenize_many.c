// Encodes and decodes many texts in one process, for compare_tokenizers.py, which builds it. The tokenizer, which a
// tokenizer_config.json as the second argument changes, is packed and unpacked first, as a model file does. Records on
// standard input and output, integers in the machine's order:
//   in   u32 what (0 encode, 1 encode with what the post-processor adds, 2 decode, 3 decode without special tokens),
//        u32 n, then n bytes of text, or n ids of 32 bits
//   out  u32 n, then n ids or n bytes
#include "tokenizer/tokenizer.h"

#include "engine/base/file.h"

#include <stdio.h>
#include <stdlib.h>

static bool fail(const qins_error *error, const char *what) {
    fprintf(stderr, "tokenize_many: %s: %s\n", what, error->message);
    return false;
}

static qins_json *load_config(const char *path, qins_error *error) {
    size_t size;
    char *text = qins_file_read_all(path, (size_t)1 << 30, &size, QINS_FAILED, error);
    qins_json *config =
        text == NULL ? NULL : qins_json_parse_python(text, size, QINS_JSON_MAX_VALUES, QINS_FAILED, error);
    free(text);
    return config;
}

static qins_tokenizer *load(const char *path, const qins_json *config, qins_error *error) {
    size_t size, packed_size;
    qins_tokenizer_cut cut = {.config = config};
    uint8_t *packed = NULL;
    char *json = qins_file_read_all(path, (size_t)1 << 30, &size, QINS_FAILED, error);
    qins_tokenizer *read = json == NULL ? NULL : qins_tokenizer_from_hf(json, size, &cut, error);
    qins_tokenizer *unpacked = NULL;
    if (read != NULL && qins_tokenizer_pack(read, &packed, &packed_size, error) == QINS_OK)
        unpacked = qins_tokenizer_unpack(packed, packed_size, error);
    qins_tokenizer_free(read);
    free(packed);
    free(json);
    return unpacked;
}

static bool put(const void *data, uint32_t count, size_t size) {
    return fwrite(&count, sizeof count, 1, stdout) == 1 && fwrite(data, size, count, stdout) == count;
}

static bool answer(const qins_tokenizer *tokenizer, unsigned what, const void *data, uint32_t n, qins_error *error) {
    if (what < 2) {
        qins_ids ids = {0};
        unsigned flags = QINS_PARSE_SPECIAL | (what == 1 ? QINS_ADD_PREFIX : 0u);
        bool done = qins_tokenizer_encode(tokenizer, data, n, flags, &ids, error) == QINS_OK &&
                    put(ids.data == NULL ? "" : (const void *)ids.data, (uint32_t)ids.count, sizeof *ids.data);
        qins_ids_free(&ids);
        return done;
    }
    char *text = NULL;
    size_t size = 0;
    bool done = qins_tokenizer_decode(tokenizer, data, n, what == 3, &text, &size, error) == QINS_OK &&
                put(text, (uint32_t)size, 1);
    free(text);
    return done;
}

static bool answer_all(const qins_tokenizer *tokenizer, qins_error *error) {
    uint32_t record[2]; // what, n
    while (fread(record, sizeof record, 1, stdin) == 1) {
        size_t size = record[1] * (record[0] < 2 ? (size_t)1 : sizeof(int32_t));
        void *data = malloc(size + 1);
        bool done =
            data != NULL && fread(data, 1, size, stdin) == size && answer(tokenizer, record[0], data, record[1], error);
        free(data);
        if (!done) return fail(error, "a record");
    }
    return true;
}

int main(int argc, char **argv) {
    qins_error error = {0};
    if (argc != 2 && argc != 3) return 2;
    qins_json *config = argc == 3 ? load_config(argv[2], &error) : NULL;
    qins_tokenizer *tokenizer = load(argv[1], config, &error);
    qins_json_free(config);
    if (tokenizer == NULL) return fail(&error, argv[1]) ? 0 : 1;
    bool done = answer_all(tokenizer, &error);
    qins_tokenizer_free(tokenizer);
    return done ? 0 : 1;
}
