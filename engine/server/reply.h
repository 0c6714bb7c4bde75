// Replies as OpenAI's JSON: chat.completion, chat.completion.chunk and text_completion objects, in one piece or as
// server-sent events.
#ifndef QINS_SERVER_REPLY_H
#define QINS_SERVER_REPLY_H

#include "engine/server/request.h"
#include "engine/server/scheduler.h"
#include "tokenizer/tokenizer.h"

enum { QINS_LOGPROB_LISTS = 4 };

typedef struct qins_reply {
    const qins_request *request; // neither is owned
    const qins_model *model;
    const char *alias;
    char id[40];
    int64_t created;  // seconds since 1970
    qins_buffer text; // not handed on yet
    // Log-probabilities not yet passed on, as JSON without its brackets: for a chat one list, of objects; for a text
    // tokens, their log-probabilities, the best alternatives, and offsets into the text.
    qins_buffer lists[QINS_LOGPROB_LISTS];
    qins_text_stream *texts; // of the tokens with log-probabilities, for offsets; NULL: none are wanted
    size_t n_characters;     // that came out of it
    bool has_begun;          // the first chunk of a stream is out
    bool has_tokens;         // with log-probabilities, before the next one
} qins_reply;

// QINS_FAILED when there is no random number for the id, or no memory. Release with qins_reply_free.
qins_status qins_reply_begin(qins_reply *reply, const qins_request *request, const qins_model *model, const char *alias,
                             qins_error *error);
void qins_reply_free(qins_reply *reply);

// Append the output of a job's event: chunks of a stream, or at END the object of a reply in one piece.
qins_status qins_reply_add(qins_reply *reply, const qins_event *event, const qins_job *job, qins_buffer *out);

// Append the end of a stream that failed after it had begun.
void qins_reply_break(qins_reply *reply, const qins_error *reason, qins_buffer *out);

#endif
