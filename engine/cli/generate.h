// The generation loop that qinsrun and qinsrun chat share.
#ifndef QINS_CLI_GENERATE_H
#define QINS_CLI_GENERATE_H

#include "engine/cli/cli.h"

typedef struct qins_generator {
    const qins_options *options;
    const qins_model *model;
    qins_workplace place;
    qins_watch *watch;
    bool is_chat;       // each reply ends with a newline
    uint64_t n_replies; // since the seed was set: each draws by a seed of its own
} qins_generator;

// The course of a reply, for the statistics.
typedef struct qins_reply {
    size_t n_prompt;    // tokens of the sequence before the reply
    size_t n_computed;  // those that were not in the cache
    size_t n_generated; // tokens, a stop id not counted
    double prompt_seconds, generation_seconds;
    qins_finish finish;
    int32_t stop_id;       // with QINS_FINISH_STOP_ID
    const char *stop_text; // with QINS_FINISH_STOP_TEXT: one of the options'
} qins_reply;

// Open everything that generation needs. Release with qins_generator_close, also after a failure. `options` gets its
// seed filled in when none was given.
qins_status qins_generator_open(qins_generator *generator, qins_options *options, const qins_model *model,
                                qins_watch *watch, qins_error *error);
void qins_generator_close(qins_generator *generator);

// Append the ids of a turn: the system message (NULL: none), the user's text, and the marker that asks for a reply.
// `begins`: it is the conversation's first.
qins_status qins_encode_turn(const qins_prompt_options *options, const qins_model *model, bool begins,
                             const char *system, const char *text, size_t size, qins_ids *ids, qins_error *error);

// With --verbose-prompt: a line on stderr for each token from position `first` on.
void qins_show_prompt(const qins_generator *generator, const qins_ids *ids, size_t first);

// Refuse (QINS_CONTEXT_OVERFLOW, with the counts) a sequence of n_tokens that leaves no room for a reply of -n tokens,
// or of one token when -n was not given.
qins_status qins_check_room(const qins_generator *generator, size_t n_tokens, qins_error *error);

// Continue the sequence *ids: print the reply to stdout as it comes, append its tokens (and the stop id) to *ids.
// An interruption by the user is a normal end of the reply, not an error.
qins_status qins_generate(qins_generator *generator, qins_ids *ids, qins_reply *reply, qins_error *error);

#endif
