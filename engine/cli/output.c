// Output of a reply; see output.h.
#include "engine/cli/output.h"

#include "engine/cli/terminal.h"

#include <stdlib.h>
#include <unistd.h>

static void open_record(qins_output *output, qins_error *error) {
    output->record = qins_json_new_object(error);
    output->text.error = error;
    output->ids = qins_json_add_array(output->record, "ids", error);
    if (output->options->logprobs > 0) output->logprobs = qins_json_add_array(output->record, "logprobs", error);
}

qins_status qins_output_open(qins_output *output, const qins_output_options *options, const qins_model *model,
                             bool is_chat, qins_error *error) {
    *output = (qins_output){.options = options, .tokenizer = model->tokenizer};
    output->is_terminal = isatty(STDOUT_FILENO) != 0;
    output->ends_line = !options->json && (is_chat || options->ids_out || options->newline || output->is_terminal);
    output->shown.error = output->wrapped.error = error;
    output->is_wrapped = output->is_terminal && is_chat;
    qins_wrap_init(&output->wrap, error);
    if (options->json) open_record(output, error);
    if (!options->ids_out) qins_need_tokenizer(model, error);
    return error->status;
}

void qins_output_close(qins_output *output) {
    qins_wrap_free(&output->wrap);
    qins_buffer_free(&output->wrapped);
    qins_buffer_free(&output->shown);
    qins_buffer_free(&output->text);
    qins_json_free(output->record);
}

static qins_status show(qins_output *output, const char *text, size_t size, qins_error *error) {
    if (size == 0) return QINS_OK;
    if (output->record != NULL) {
        qins_buffer_append(&output->text, text, size);
        if (!output->options->stream) return error->status;
        qins_json *piece = qins_json_new_object(error);
        qins_json_add_text(piece, "text", text, size, error);
        return qins_print_json(piece, error);
    }
    if (!output->is_terminal) return qins_print(text, size, error);
    size_t lines;
    if (output->is_wrapped) qins_terminal_size(STDOUT_FILENO, &output->wrap.width, &lines);
    output->shown.size = output->wrapped.size = 0;
    qins_visible_push(&output->visible, text, size, &output->shown);
    qins_wrap_push(&output->wrap, (const char *)output->shown.data, output->shown.size, &output->wrapped);
    return qins_print(output->wrapped.data, output->wrapped.size, error);
}

// A token's id, text and bytes, and its log-probability. The text has U+FFFD for bytes that are not UTF-8 by
// themselves.
static void add_token(const qins_output *output, qins_json *entry, const qins_candidate *token, qins_error *error) {
    qins_json_add_number(entry, "id", token->id, error);
    qins_json_add_number(entry, "logprob", token->logprob, error);
    qins_buffer bytes = {.error = error};
    if (output->tokenizer != NULL && qins_tokenizer_token_bytes(output->tokenizer, token->id, &bytes)) {
        qins_json_add_text(entry, "text", (const char *)bytes.data, bytes.size, error);
        qins_json *list = qins_json_add_array(entry, "bytes", error);
        for (size_t i = 0; i < bytes.size; i++) qins_json_append_number(list, bytes.data[i], error);
    }
    qins_buffer_free(&bytes);
}

static void record_logprobs(qins_output *output, const qins_event *event, qins_error *error) {
    qins_json *token = qins_json_append_object(output->logprobs, error);
    add_token(output, token, &event->token, error);
    qins_json *top = qins_json_add_array(token, "top", error);
    for (size_t i = 0; i < event->n_top; i++)
        add_token(output, qins_json_append_object(top, error), &event->top[i], error);
}

static void push_token(qins_output *output, const qins_event *event, qins_error *error) {
    const bool is_first = output->n_tokens++ == 0;
    if (output->record != NULL) qins_json_append_number(output->ids, event->token.id, error);
    if (output->logprobs != NULL) record_logprobs(output, event, error);
    if (output->options->ids_out && output->record == NULL)
        qins_printf(error, is_first ? "%d" : " %d", event->token.id);
}

qins_status qins_output_push(qins_output *output, const qins_event *event, qins_error *error) {
    if (event->kind == QINS_EVENT_TOKEN)
        push_token(output, event, error);
    else if (event->kind == QINS_EVENT_TEXT && !output->options->ids_out)
        show(output, event->text, event->size, error);
    return error->status == QINS_OK && output->record == NULL ? qins_flush(error) : error->status;
}

qins_status qins_output_end(qins_output *output, qins_error *error) {
    output->shown.size = output->wrapped.size = 0;
    qins_visible_finish(&output->visible, &output->shown);
    qins_wrap_push(&output->wrap, (const char *)output->shown.data, output->shown.size, &output->wrapped);
    qins_wrap_finish(&output->wrap, &output->wrapped);
    qins_print(output->wrapped.data, output->wrapped.size, error);
    if (output->ends_line) qins_print("\n", 1, error);
    return error->status == QINS_OK ? qins_flush(error) : error->status;
}

qins_status qins_output_print_record(qins_output *output, qins_error *error) {
    if (!output->options->ids_out)
        qins_json_add_text(output->record, "text", (const char *)output->text.data, output->text.size, error);
    char *printed = qins_json_print(output->record, error);
    if (printed != NULL && qins_printf(error, "%s\n", printed) == QINS_OK) qins_flush(error);
    free(printed);
    return error->status;
}
