// qinsrun chat: a conversation, turn by turn. The cache keeps the tokens of all turns, the generated ones as they were
// generated, so each turn costs only its own tokens.
#define _GNU_SOURCE // getline
#include "engine/cli/statistics.h"

#include <editline/readline.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Next line of the user without its newline, released with free(); NULL at the end of input.
static char *read_line(bool terminal, size_t *size, qins_error *error) {
    qins_release_interrupts(); // the line editor restores the terminal when a signal comes
    if (terminal) {
        char *line = readline("> ");
        if (line != NULL && line[0] != '\0') add_history(line);
        *size = line == NULL ? 0 : strlen(line);
        return line;
    }
    char *line = NULL;
    size_t capacity = 0;
    errno = 0;
    ssize_t n_read = getline(&line, &capacity, stdin);
    if (n_read >= 0) {
        bool whole = n_read > 0 && line[n_read - 1] == '\n';
        *size = (size_t)n_read - whole;
        line[*size] = '\0';
        return line;
    }
    if (ferror(stdin)) qins_fail_errno(error, QINS_USAGE, "cannot read standard input");
    free(line);
    return NULL;
}

// Close the assistant's turn: the format ends every message with <|end|>, whatever ended the reply.
static qins_status end_turn(const qins_model *model, const qins_reply *reply, qins_ids *ids, qins_error *error) {
    if (reply->end == QINS_END_STOP_ID) ids->count--;
    return qins_ids_append(ids, qins_tokenizer_added_id(model->tokenizer, "<|end|>"), error);
}

// One turn. A turn that fails for want of room leaves the conversation as it was: a person may start anew.
static qins_status take_turn(qins_generator *generator, const char *line, size_t size, bool terminal, qins_ids *ids,
                             qins_error *error) {
    const qins_options *options = generator->options;
    const size_t before = ids->count;
    qins_reply reply;
    qins_encode_turn(options, generator->model, before == 0 ? options->system : NULL, line, size, ids, error);
    if (error->status == QINS_OK) qins_check_room(generator, ids->count, error);
    if (error->status == QINS_CONTEXT_OVERFLOW && terminal) {
        fprintf(stderr, "qinsrun: %s (/reset starts a new conversation)\n", error->message);
        *error = (qins_error){0};
        ids->count = before;
        return QINS_OK;
    }
    if (error->status != QINS_OK || qins_generate(generator, ids, &reply, error) != QINS_OK) return error->status;
    qins_statistics_print(generator, &reply, error);
    return end_turn(generator->model, &reply, ids, error);
}

static qins_status converse(qins_generator *generator, qins_ids *ids, qins_error *error) {
    const bool terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    if (terminal) {
        rl_outstream = stderr;
        fprintf(stderr, "Type a message; /reset starts anew, /exit or Ctrl-D ends, Ctrl-C stops a reply.\n");
    }
    char *line;
    size_t size;
    while (error->status == QINS_OK && (line = read_line(terminal, &size, error)) != NULL) {
        bool leave = strcmp(line, "/exit") == 0;
        qins_interrupted = 0;
        qins_catch_interrupts();
        if (strcmp(line, "/reset") == 0)
            ids->count = 0;
        else if (size > 0 && !leave)
            take_turn(generator, line, size, terminal, ids, error);
        free(line);
        if (leave) break;
        if (qins_interrupted && !terminal) return qins_fail(error, QINS_INTERRUPTED, "interrupted");
    }
    return error->status;
}

qins_status qins_cmd_chat(const qins_options *given, qins_error *error) {
    qins_options options = *given;
    setlocale(LC_CTYPE, ""); // the line editor reads multi-byte characters by it
    qins_model model;
    qins_watch watch;
    qins_generator generator = {0};
    qins_ids ids = {0};
    if (qins_model_open(&model, options.model, &options, error) == QINS_OK &&
        qins_generator_open(&generator, &options, &model, &watch, error) == QINS_OK)
        converse(&generator, &ids, error);
    qins_ids_free(&ids);
    qins_generator_close(&generator);
    qins_model_close(&model);
    return error->status;
}
