// Shared by the commands of qinsrun: the loaded model, checked output, interruption.
#ifndef QINS_CLI_H
#define QINS_CLI_H

#include "engine/base/json.h"
#include "engine/cli/commands.h"
#include "engine/runtime/session.h"

#include <signal.h>
#include <stdarg.h>

// Becomes nonzero with SIGINT or SIGTERM.
extern volatile sig_atomic_t qins_interrupted;

// Catch both from now on; `answer` (NULL: none) is written to stderr at once, because the work may take a while to
// stop, and a second signal ends the program. Until then, and after qins_release_interrupts, a signal ends the program
// at once: nothing is lost while it waits for input. Signals that were ignored when the program started (nohup) stay
// ignored.
void qins_catch_interrupts(const char *answer);
void qins_release_interrupts(void);
extern const char qins_stopping[]; // the answer of long jobs

// Catches interrupts, then opens a .qins file, or converts a Hugging Face folder into memory and
// opens that. NULL and an error otherwise. Release with qins_model_close.
qins_model *qins_open_model(const char *path, const qins_options *options, qins_error *error);

// Open options->model.ref, the model that `model` is compared with: as stored in its file (a folder's weights in FP32),
// with K and V uncompressed, for which *options are changed. Models with different vocabularies are refused.
qins_model *qins_open_reference(qins_options *options, const qins_model *model, qins_error *error);

// The tokenizer, or NULL with an error when the file has none.
const qins_tokenizer *qins_need_tokenizer(const qins_model *model, qins_error *error);

// An engine and a session for one model, as the options say; no further threads can be started afterwards. Release with
// qins_workplace_close, also after a failure.
typedef struct qins_workplace {
    qins_engine *engine;
    qins_session *session;
} qins_workplace;
qins_status qins_workplace_open(qins_workplace *place, const qins_options *options, const qins_model *model,
                                qins_error *error);
void qins_workplace_close(qins_workplace *place);

// Write to stdout; a failure (closed pipe, full disk) is an error, QINS_FAILED. On a terminal, control characters are
// escaped (escape.h); pipes and files get the bytes unchanged.
qins_status qins_print(const void *text, size_t size, qins_error *error);
qins_status qins_printf(qins_error *error, const char *format, ...) QINS_PRINTF(2, 3);
// The text that vprintf would print, released with free(); NULL and an error otherwise.
char *qins_format(const char *format, va_list arguments, qins_error *error);
qins_status qins_flush(qins_error *error);
qins_status qins_end_output(qins_error *error); // no more output follows, all is written
// A line of JSON. Takes ownership of `json` and frees it.
qins_status qins_print_json(qins_json *json, qins_error *error);

// Reports on a session: a meter on stderr for long prompts, and a line when LongRoPE recomputes; nothing when quiet. On
// a terminal the latter takes the line below a reply that has begun, and leaves nothing behind.
typedef struct qins_watch {
    bool quiet;
    qins_meter meter;
    const size_t *column;  // of the terminal's cursor in a reply; NULL: there is none
    bool is_below;         // a line below the reply is in use
    double prompt_seconds; // per token, as far as it is known
} qins_watch;
void qins_watch_session(qins_watch *watch, qins_session *session, bool quiet);
void qins_watch_begin(qins_watch *watch, const char *label); // measure the work that follows under this label
void qins_watch_end(qins_watch *watch);                      // it is over

#endif
