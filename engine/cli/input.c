// Texts and ids from outside; see input.h.
#include "engine/cli/input.h"

#include "engine/base/file.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_TEXT_BYTES = 1 << 28, PATIENCE_MS = 2000, DEFAULT_WINDOW = 512 };

void qins_clean_text(char *text, size_t *size) {
    static const char mark[] = "\xEF\xBB\xBF";
    const size_t skip = *size >= sizeof mark - 1 && memcmp(text, mark, sizeof mark - 1) == 0 ? sizeof mark - 1 : 0;
    size_t kept = 0;
    for (size_t i = skip; i < *size; i++)
        if (text[i] != '\r' || i + 1 == *size || text[i + 1] != '\n') text[kept++] = text[i];
    text[kept] = '\0';
    *size = kept;
}

// Append a part of the prompt after those before it, with a blank line between them.
static void append_part(qins_buffer *prompt, const char *text, size_t size) {
    if (size == 0) return;
    if (prompt->size > 0) {
        const bool ends_line = prompt->data[prompt->size - 1] == '\n';
        qins_buffer_append(prompt, "\n\n", ends_line ? 1 : 2);
    }
    qins_buffer_append(prompt, text, size);
}

qins_status qins_read_prompt(const qins_prompt_options *options, char **text, size_t *size, qins_error *error) {
    static const char *const standard_input[] = {"-"};
    const bool has_files = options->n_files > 0 || options->text != NULL;
    const char *const *files = has_files ? options->files : standard_input;
    const size_t n_files = has_files ? options->n_files : 1;
    qins_buffer prompt = {.error = error};
    if (options->text != NULL) append_part(&prompt, options->text, strlen(options->text));
    for (size_t i = 0; i < n_files && error->status == QINS_OK; i++) {
        char *part = qins_file_read_all(files[i], MAX_TEXT_BYTES, size, QINS_USAGE, error);
        if (part != NULL) append_part(&prompt, part, *size);
        free(part);
    }
    *size = prompt.size;
    qins_buffer_u8(&prompt, '\0');
    *text = (char *)prompt.data;
    if (error->status == QINS_OK) return QINS_OK;
    qins_buffer_free(&prompt);
    *text = NULL;
    *size = 0;
    return error->status;
}

bool qins_input_is_given(void) {
    struct stat own, callers;
    char path[64];
    if (fstat(STDIN_FILENO, &own) != 0) return false;
    if (S_ISREG(own.st_mode)) return lseek(STDIN_FILENO, 0, SEEK_CUR) == 0;
    if (!S_ISFIFO(own.st_mode)) return false;
    snprintf(path, sizeof path, "/proc/%ld/fd/0", (long)getppid());
    return stat(path, &callers) != 0 || own.st_dev != callers.st_dev || own.st_ino != callers.st_ino;
}

void qins_input_wait(bool quiet) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    if (!quiet && poll(&input, 1, PATIENCE_MS) == 0)
        fputs("qinsrun: waiting for standard input, which is appended to the prompt; </dev/null skips it\n", stderr);
}

qins_status qins_parse_ids(const char *text, size_t size, const char *name, qins_ids *ids, qins_error *error) {
    for (size_t at = 0; at < size;) {
        if (strchr(" \t\r\n", text[at]) != NULL && text[at] != '\0') {
            at++;
            continue;
        }
        size_t start = at;
        int64_t id = 0;
        while (at < size && text[at] >= '0' && text[at] <= '9' && id <= INT32_MAX) id = 10 * id + (text[at++] - '0');
        if (at == start || id > INT32_MAX)
            return qins_fail(error, QINS_USAGE, "%s: no token id at byte %zu; ids are numbers separated by white space",
                             name, start);
        if (qins_ids_append(ids, (int32_t)id, error) != QINS_OK) return error->status;
    }
    return QINS_OK;
}

qins_status qins_read_ids(const char *path, qins_ids *ids, qins_error *error) {
    size_t size;
    char *text = qins_file_read_all(path, MAX_TEXT_BYTES, &size, QINS_USAGE, error);
    if (text == NULL) return error->status;
    qins_parse_ids(text, size, strcmp(path, "-") == 0 ? "standard input" : path, ids, error);
    free(text);
    return error->status;
}

static qins_status read_raw_ids(const char *path, qins_ids *ids, qins_error *error) {
    size_t size;
    char *bytes = qins_file_read_all(path, (size_t)1 << 32, &size, QINS_USAGE, error);
    if (bytes == NULL) return error->status;
    if (size % sizeof(int32_t) != 0)
        qins_fail(error, QINS_USAGE, "%s has %zu bytes; raw int32 ids need a multiple of 4", path, size);
    for (size_t at = 0; at < size && error->status == QINS_OK; at += sizeof(int32_t)) {
        int32_t id;
        memcpy(&id, bytes + at, sizeof id);
        qins_ids_append(ids, id, error);
    }
    free(bytes);
    return error->status;
}

static qins_status read_text_ids(const qins_prompt_options *options, const qins_model *model, qins_ids *ids,
                                 qins_error *error) {
    const qins_tokenizer *tokenizer = qins_need_tokenizer(model, error);
    if (tokenizer == NULL) return error->status;
    char *text;
    size_t size;
    if (qins_read_prompt(options, &text, &size, error) == QINS_OK)
        qins_tokenizer_encode(tokenizer, text, size, options->parse_special ? QINS_PARSE_SPECIAL : 0, ids, error);
    free(text);
    return error->status;
}

qins_status qins_read_windows(qins_windows *windows, const qins_options *options, const qins_model *model,
                              qins_error *error) {
    qins_ids ids = {0};
    size_t size = options->session.n_ctx;
    if (size == 0) size = qins_model_max_tokens(model) < DEFAULT_WINDOW ? qins_model_max_tokens(model) : DEFAULT_WINDOW;
    if (options->prompt.ids_file != NULL)
        read_raw_ids(options->prompt.ids_file, &ids, error);
    else
        read_text_ids(&options->prompt, model, &ids, error);
    if (error->status == QINS_OK)
        return qins_windows_cut(windows, ids, size, options->measure.bos, options->measure.max_windows, error);
    *windows = (qins_windows){.ids = ids};
    return error->status;
}
