// qinsrun tokenize: the ids of a text on one line, or with --decode the text of ids.
#include "engine/cli/cli.h"
#include "engine/cli/confine.h"
#include "engine/cli/input.h"

#include "engine/base/buffer.h"
#include "engine/base/json.h"

#include <stdlib.h>

// In one write.
static qins_status print_ids(const qins_ids *ids, bool json, qins_error *error) {
    qins_buffer line = {.error = error};
    if (json) qins_buffer_append(&line, "[", 1);
    qins_ids_print(ids, json ? ',' : ' ', &line);
    if (json) qins_buffer_append(&line, "]", 1);
    qins_buffer_append(&line, "\n", 1);
    if (error->status == QINS_OK) qins_print(line.data, line.size, error);
    qins_buffer_free(&line);
    return error->status;
}

static qins_status tokenize(const qins_options *options, const qins_tokenizer *tokenizer, const char *text, size_t size,
                            qins_error *error) {
    qins_ids ids = {0};
    unsigned flags = options->prompt.no_special ? 0 : QINS_PARSE_SPECIAL | QINS_ADD_PREFIX;
    if (qins_tokenizer_encode(tokenizer, text, size, flags, &ids, error) == QINS_OK)
        print_ids(&ids, options->output.json, error);
    qins_ids_free(&ids);
    return error->status;
}

static qins_status print_text_json(const char *text, size_t size, qins_error *error) {
    qins_json *object = qins_json_new_object(error);
    qins_json_add_text(object, "text", text, size, error);
    char *printed = qins_json_print(object, error);
    if (printed != NULL) qins_printf(error, "%s", printed);
    free(printed);
    qins_json_free(object);
    return error->status;
}

// The ids come from --ids, or written out in -p, -f or standard input.
static qins_status decode(const qins_options *options, const qins_model *model, const char *text, size_t size,
                          qins_error *error) {
    qins_ids ids = {0};
    char *decoded = NULL;
    size_t decoded_size = 0;
    if (options->prompt.ids != NULL)
        qins_read_ids(options->prompt.ids, &ids, error);
    else
        qins_parse_ids(text, size, "the prompt", &ids, error);
    for (size_t i = 0; i < ids.count && error->status == QINS_OK; i++)
        if (qins_model_vocab_size(model) <= (size_t)ids.data[i])
            qins_fail(error, QINS_USAGE, "%d is not a token id below %zu", ids.data[i], qins_model_vocab_size(model));
    if (error->status == QINS_OK)
        qins_tokenizer_decode(model->tokenizer, ids.data, ids.count, options->prompt.no_special, &decoded,
                              &decoded_size, error);
    if (error->status == QINS_OK && options->output.json) print_text_json(decoded, decoded_size, error);
    if (error->status == QINS_OK && !options->output.json) qins_print(decoded, decoded_size, error);
    if (error->status == QINS_OK) qins_print("\n", 1, error);
    free(decoded);
    qins_ids_free(&ids);
    return error->status;
}

qins_status qins_cmd_tokenize(const qins_options *options, qins_error *error) {
    qins_model *model = NULL;
    char *text = NULL;
    size_t size = 0;
    if (options->prompt.ids != NULL && !options->prompt.decode)
        return qins_fail(error, QINS_USAGE, "--ids holds ids already; add --decode to get their text");
    if (options->prompt.ids == NULL) qins_read_prompt(&options->prompt, &text, &size, error);
    if (error->status == QINS_OK && qins_confine(options, 0, error) == QINS_OK)
        model = qins_open_model(options->model.path, options, error);
    const qins_tokenizer *tokenizer = model != NULL ? qins_need_tokenizer(model, error) : NULL;
    if (tokenizer != NULL && options->prompt.decode)
        decode(options, model, text, size, error);
    else if (tokenizer != NULL)
        tokenize(options, tokenizer, text, size, error);
    if (error->status == QINS_OK) qins_flush(error);
    qins_model_close(model);
    free(text);
    return error->status;
}
