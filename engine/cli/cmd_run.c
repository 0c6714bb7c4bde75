// qinsrun -m MODEL -p PROMPT: one prompt, one reply.
#include "engine/cli/confine.h"
#include "engine/cli/conversation.h"
#include "engine/cli/input.h"
#include "engine/cli/statistics.h"

#include <stdlib.h>

// The ids of --messages, which end with a question.
static qins_status message_ids(const qins_prompt_options *options, const qins_model *model, qins_ids *ids,
                               qins_error *error) {
    bool awaits_reply;
    qins_conversation conversation = qins_conversation_new(options, model);
    if (qins_conversation_load(&conversation, options->messages, &awaits_reply, error) == QINS_OK && !awaits_reply)
        qins_fail(error, QINS_USAGE, "%s: the last message must be the user's, because the reply comes next",
                  options->messages);
    if (error->status == QINS_OK) {
        *ids = conversation.ids;
        conversation.ids = (qins_ids){0};
    }
    qins_conversation_free(&conversation);
    return error->status;
}

// The prompt's token ids: --ids as they are, --raw text encoded, otherwise a conversation of one turn.
static qins_status prompt_ids(const qins_prompt_options *options, const qins_model *model, const char *text,
                              size_t size, qins_ids *ids, qins_error *error) {
    const qins_tokenizer *tokenizer = qins_need_tokenizer(model, error);
    if (tokenizer == NULL) return error->status;
    if (options->messages != NULL) return message_ids(options, model, ids, error);
    if (options->raw) {
        unsigned flags = options->no_special ? 0 : QINS_PARSE_SPECIAL | QINS_ADD_PREFIX;
        return qins_tokenizer_encode(tokenizer, text, size, flags, ids, error);
    }
    return qins_encode_turn(options, model, true, options->system, text, size, ids, error);
}

static qins_status run(qins_options *options, const qins_model *model, const char *text, size_t size, qins_ids *ids,
                       qins_error *error) {
    if (options->prompt.ids == NULL && prompt_ids(&options->prompt, model, text, size, ids, error) != QINS_OK)
        return error->status;
    if (ids->count == 0) return qins_fail(error, QINS_USAGE, "the prompt is empty; give some text");
    qins_watch watch;
    qins_generator generator;
    qins_reply reply = {0};
    if (qins_generator_open(&generator, options, model, &watch, error) == QINS_OK &&
        qins_check_room(&generator, ids->count, error) == QINS_OK) {
        qins_show_prompt(&generator, ids, 0);
        if (qins_generate(&generator, ids, &reply, error) == QINS_OK) qins_statistics_print(&generator, &reply, error);
    }
    qins_generator_close(&generator);
    if (error->status == QINS_OK && reply.finish == QINS_FINISH_CANCELLED)
        return qins_fail(error, QINS_INTERRUPTED, "interrupted");
    return error->status;
}

qins_status qins_cmd_run(const qins_options *given, qins_error *error) {
    qins_options options = *given;
    qins_model *model = NULL;
    qins_ids ids = {0};
    char *text = NULL;
    size_t size = 0;
    // The prompt comes first: a mistake in it should not wait for the model to load.
    if (options.prompt.text != NULL && options.prompt.n_files == 0 && qins_input_is_given()) {
        options.prompt.files[options.prompt.n_files++] = "-";
        qins_input_wait(options.process.quiet);
    }
    if (options.prompt.ids != NULL)
        qins_read_ids(options.prompt.ids, &ids, error);
    else if (options.prompt.messages == NULL)
        qins_read_prompt(&options.prompt, &text, &size, error);
    if (text != NULL && !options.prompt.raw) qins_clean_text(text, &size);
    // echo and editors end a text with a newline that is not part of the message
    if ((options.prompt.text == NULL || options.prompt.n_files > 0) && !options.prompt.raw && size > 0 &&
        text[size - 1] == '\n')
        size--;
    if (error->status == QINS_OK && options.prompt.ids == NULL && options.prompt.messages == NULL && size == 0 &&
        !options.prompt.raw)
        qins_fail(error, QINS_USAGE, "the prompt is empty; use -p TEXT, -f FILE, or write it to standard input");
    if (error->status == QINS_OK && qins_confine(&options, 0, error) == QINS_OK)
        model = qins_open_model(options.model.path, &options, error);
    if (model != NULL) run(&options, model, text, size, &ids, error);
    qins_model_close(model);
    qins_ids_free(&ids);
    free(text);
    return error->status;
}
