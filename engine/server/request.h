// Requests for a reply: OpenAI's JSON, read strictly. An unknown field or value is refused by name: nothing is ignored.
// http.c collects a body, request.c parses it, request_fields.c has a row for each field, messages.c reads a chat's
// messages.
#ifndef QINS_SERVER_REQUEST_H
#define QINS_SERVER_REQUEST_H

#include "engine/base/json.h"
#include "engine/server/refusal.h"

enum {
    QINS_MAX_BODY_BYTES = 4 << 20,
    QINS_MAX_BODY_VALUES = 1 << 18, // of JSON
    QINS_MAX_MESSAGES = 4096,
    QINS_MAX_STOPS = 16,
    QINS_MAX_STOP_BYTES = 1024, // of each: they are looked for at every byte of a reply
    QINS_MAX_TOP = 20,
    QINS_MAX_CANDIDATES = 1 << 20 // tokens with log-probabilities in a reply that is not streamed
};

typedef enum qins_request_kind { QINS_CHAT_REQUEST, QINS_TEXT_REQUEST, QINS_REQUEST_KINDS } qins_request_kind;

typedef struct qins_request {
    qins_request_kind kind;
    qins_json *json; // owned, together with the texts that are pointed to
    qins_message *messages;
    size_t n_messages;
    char **contents; // owned: [n_messages], of those in parts; NULL where the document has them whole
    const char *prompt;
    qins_ids ids;                       // the final prompt
    qins_generation_options generation; // points to the members below
    const char *stops[QINS_MAX_STOPS];
    qins_bias *biases; // owned
    bool has_seed, has_max_tokens;
    bool stream, include_usage;
} qins_request;

// The service that requests are read for.
typedef struct qins_request_reader {
    const qins_model *model;
    const char *alias; // the model's name
    size_t n_ctx;      // tokens that a prompt and its reply may have
} qins_request_reader;

// Parse a JSON document that may hold anything: UTF-8 without NULs, limited in values and depth, no name twice.
qins_json *qins_body_parse(const char *body, size_t size, qins_refusal *refusal);

// Read a body and encode its prompt. False: it is refused. Release with qins_request_free in any case.
bool qins_request_read(qins_request *request, qins_request_kind kind, const char *body, size_t size,
                       const qins_request_reader *reader, qins_refusal *refusal);
void qins_request_free(qins_request *request);

// POST /tokenize {"content": TEXT, "add_special": BOOL, "parse_special": BOOL}: the ids, released with qins_ids_free.
bool qins_tokenize_read(qins_ids *ids, const char *body, size_t size, const qins_model *model, qins_refusal *refusal);

// POST /detokenize {"tokens": [ID, ...]}: likewise.
bool qins_detokenize_read(qins_ids *ids, const char *body, size_t size, const qins_model *model, qins_refusal *refusal);

#endif
