// Reading requests; see request.h.
#include "engine/server/request.h"

#include "engine/base/memory.h"
#include "engine/base/utf8.h"
#include "engine/server/request_fields.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

// --- documents ---

qins_json *qins_body_parse(const char *body, size_t size, qins_refusal *refusal) {
    qins_error error = {0};
    qins_json *json = NULL;
    if (size == 0)
        qins_refuse(refusal, 400, NULL, NULL, "the body is empty; a JSON object is needed");
    else if (!utf8_is_valid(body, size))
        qins_refuse(refusal, 400, NULL, NULL, "the body is not UTF-8");
    else
        json = qins_json_parse_limited(body, size, QINS_MAX_BODY_VALUES, QINS_USAGE, &error);
    if (json != NULL && qins_json_check_unique(json, QINS_USAGE, &error) == QINS_OK && !qins_json_is_object(json))
        qins_refuse(refusal, 400, NULL, NULL, "the body is not a JSON object");
    if (error.status != QINS_OK) qins_refuse_error(refusal, NULL, NULL, &error);
    if (refusal->status == 0) return json;
    qins_json_free(json);
    return NULL;
}

// --- prompts ---

static const char *prompt_name(const qins_request *request) {
    return request->kind == QINS_CHAT_REQUEST ? "messages" : "prompt";
}

static bool encode(qins_request *request, const qins_request_reader *reader, qins_refusal *refusal) {
    qins_error error = {0};
    if (request->kind == QINS_CHAT_REQUEST)
        qins_model_encode_chat(reader->model, request->messages, request->n_messages, 0, &request->ids, &error);
    else if (request->prompt != NULL)
        qins_model_encode(reader->model, request->prompt, strlen(request->prompt), QINS_PARSE_SPECIAL | QINS_ADD_PREFIX,
                          &request->ids, &error);
    if (error.status != QINS_OK) return qins_refuse_error(refusal, NULL, prompt_name(request), &error);
    if (request->ids.count > 0) return true;
    return qins_refuse(refusal, 400, NULL, prompt_name(request), "the prompt is empty; at least one token is needed");
}

static bool check_room(const qins_request *request, const qins_request_reader *reader, qins_refusal *refusal) {
    const size_t n_ids = request->ids.count, n_ctx = reader->n_ctx;
    const size_t wanted = request->has_max_tokens ? request->generation.max_tokens : 1;
    if (n_ids > n_ctx || wanted > n_ctx - n_ids)
        return qins_refuse(refusal, 400, "context_length_exceeded", prompt_name(request),
                           "the prompt has %zu tokens, and the reply %s %zu; this server's context holds %zu", n_ids,
                           request->has_max_tokens ? "may have" : "needs at least", wanted, n_ctx);
    const size_t most = request->has_max_tokens ? wanted : n_ctx - n_ids;
    const size_t each = 1 + request->generation.n_top;
    if (request->generation.wants_logprobs && !request->stream && most > QINS_MAX_CANDIDATES / each)
        return qins_refuse(refusal, 400, NULL, request->kind == QINS_CHAT_REQUEST ? "top_logprobs" : "logprobs",
                           "log-probabilities of %zu tokens, %zu for each, are too many for a reply in one piece; ask "
                           "for fewer (max_tokens) or for a stream",
                           most, each);
    return true;
}

// --- requests ---

bool qins_request_read(qins_request *request, qins_request_kind kind, const char *body, size_t size,
                       const qins_request_reader *reader, qins_refusal *refusal) {
    *request = (qins_request){.kind = kind, .generation = qins_generation_defaults()};
    request->generation.sampler.temperature = 1; // as OpenAI has it
    request->json = qins_body_parse(body, size, refusal);
    if (request->json == NULL || !qins_fields_read(request, reader, refusal)) return false;
    if (!encode(request, reader, refusal) || !check_room(request, reader, refusal)) return false;
    if (!request->has_seed &&
        getrandom(&request->generation.sampler.seed, sizeof(uint32_t), 0) != (ssize_t)sizeof(uint32_t))
        return qins_refuse(refusal, 500, NULL, NULL, "cannot get a random seed");
    request->generation.ids = request->ids.data;
    request->generation.n_ids = request->ids.count;
    request->generation.stops = request->stops;
    request->generation.biases = request->biases;
    return true;
}

void qins_request_free(qins_request *request) {
    for (size_t i = 0; request->contents != NULL && i < request->n_messages; i++) free(request->contents[i]);
    free(request->contents);
    free(request->messages);
    free(request->biases);
    qins_ids_free(&request->ids);
    qins_json_free(request->json);
    *request = (qins_request){0};
}

// --- tokens ---

// `flag` if the field says so, or, where it is absent, if `is_usual`.
static unsigned read_flag(const qins_json *json, const char *name, bool is_usual, unsigned flag,
                          qins_refusal *refusal) {
    qins_error error = {0};
    const bool is_set = qins_json_get_bool_or(json, name, is_usual, QINS_USAGE, &error);
    if (error.status != QINS_OK) qins_refuse_error(refusal, "invalid_value", name, &error);
    return is_set ? flag : 0;
}

bool qins_tokenize_read(qins_ids *ids, const char *body, size_t size, const qins_model *model, qins_refusal *refusal) {
    static const char *const names[] = {"content", "add_special", "parse_special", NULL};
    qins_error error = {0};
    qins_json *json = qins_body_parse(body, size, refusal);
    if (json == NULL || !qins_fields_check(json, names, refusal)) {
        qins_json_free(json);
        return false;
    }
    const char *text = qins_json_get_string(json, "content", QINS_USAGE, &error);
    const unsigned flags = read_flag(json, "add_special", false, QINS_ADD_PREFIX, refusal) |
                           read_flag(json, "parse_special", true, QINS_PARSE_SPECIAL, refusal);
    if (refusal->status == 0 && error.status == QINS_OK)
        qins_model_encode(model, text, strlen(text), flags, ids, &error);
    if (error.status != QINS_OK) qins_refuse_error(refusal, "invalid_value", "content", &error);
    qins_json_free(json);
    return refusal->status == 0;
}

bool qins_detokenize_read(qins_ids *ids, const char *body, size_t size, const qins_model *model,
                          qins_refusal *refusal) {
    static const char *const names[] = {"tokens", NULL};
    qins_json *json = qins_body_parse(body, size, refusal);
    if (json != NULL && qins_fields_check(json, names, refusal))
        qins_ids_read(ids, qins_json_get(json, "tokens"), "tokens", model, refusal);
    qins_json_free(json);
    return refusal->status == 0;
}
