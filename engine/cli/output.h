// The output of a reply's tokens: as text to stdout, as ids, or into a record that is printed at the end (--json).
#ifndef QINS_CLI_OUTPUT_H
#define QINS_CLI_OUTPUT_H

#include "engine/base/escape.h"
#include "engine/base/json.h"
#include "engine/cli/cli.h"
#include "engine/cli/wrap.h"

typedef struct qins_output {
    const qins_output_options *options;
    const qins_tokenizer *tokenizer; // NULL: the model has none
    bool ends_line;                  // a newline follows the reply
    bool is_terminal;                // stdout is one
    bool is_wrapped;                 // and its lines are wrapped between words
    qins_visible visible;            // of the text that goes there
    qins_wrap wrap;                  // of that
    qins_buffer shown, wrapped;
    size_t n_tokens;
    // --json
    qins_json *record, *ids, *logprobs; // record owns the others; NULL where not asked for
    qins_buffer text;
} qins_output;

// `is_chat`: the reply ends with a newline even if stdout is not a terminal, and on a terminal lines are wrapped
// between words. Release with qins_output_close, also after a failure.
qins_status qins_output_open(qins_output *output, const qins_output_options *options, const qins_model *model,
                             bool is_chat, qins_error *error);
void qins_output_close(qins_output *output);

// A token, or text.
qins_status qins_output_push(qins_output *output, const qins_event *event, qins_error *error);

// The reply is complete.
qins_status qins_output_end(qins_output *output, qins_error *error);

// Print the record, to which the caller may have added members. Only with --json.
qins_status qins_output_print_record(qins_output *output, qins_error *error);

#endif
