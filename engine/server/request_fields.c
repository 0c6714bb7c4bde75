// The fields of a request; see request_fields.h.
#include "engine/server/request_fields.h"

#include "engine/base/memory.h"
#include "engine/server/messages.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

// A field that is being read.
struct reading {
    qins_request *request;
    const qins_request_reader *reader;
    const struct field *field;
    const qins_json *item; // never null
    qins_refusal *refusal;
};

enum { CHAT = 1 << QINS_CHAT_REQUEST, TEXT = 1 << QINS_TEXT_REQUEST, BOTH = CHAT | TEXT };

struct field {
    const char *name;
    unsigned kinds; // that have it
    void (*read)(struct reading *reading);
    size_t offset; // of the value in qins_request, for the plain ones
    double min, max;
};

static void refuse_value(struct reading *reading, const char *must) {
    qins_refuse(reading->refusal, 400, "invalid_value", reading->field->name, "\"%s\" must be %s", reading->field->name,
                must);
}

// --- plain values ---

static void *value_of(const struct reading *reading) {
    return (char *)reading->request + reading->field->offset;
}

static double number_of(struct reading *reading) {
    const struct field *field = reading->field;
    qins_error error = {0};
    const double value =
        qins_json_get_number(reading->request->json, field->name, field->min, field->max, QINS_USAGE, &error);
    if (error.status != QINS_OK) qins_refuse_error(reading->refusal, "invalid_value", field->name, &error);
    return value;
}

static int64_t integer_of(struct reading *reading) {
    const struct field *field = reading->field;
    qins_error error = {0};
    const int64_t value = qins_json_get_integer(reading->request->json, field->name, (int64_t)field->min,
                                                (int64_t)field->max, QINS_USAGE, &error);
    if (error.status != QINS_OK) qins_refuse_error(reading->refusal, "invalid_value", field->name, &error);
    return value;
}

static void read_number(struct reading *reading) {
    *(float *)value_of(reading) = (float)number_of(reading);
}

static void read_count(struct reading *reading) {
    *(size_t *)value_of(reading) = (size_t)integer_of(reading);
}

static void read_bool(struct reading *reading) {
    qins_error error = {0};
    *(bool *)value_of(reading) = qins_json_get_bool(reading->request->json, reading->field->name, QINS_USAGE, &error);
    if (error.status != QINS_OK) qins_refuse_error(reading->refusal, "invalid_value", reading->field->name, &error);
}

static void read_text(struct reading *reading) {
    if (qins_json_text(reading->item) == NULL) refuse_value(reading, "a string");
}

// Zero is in the range of OpenAI's top_p, and keeps the best token.
static void read_top_p(struct reading *reading) {
    read_number(reading);
    float *top_p = value_of(reading);
    if (*top_p == 0) *top_p = 1e-6f;
}

// Fields that can have only their neutral value.
static void read_one(struct reading *reading) {
    int64_t value;
    if (!qins_json_integer(reading->item, &value) || value != 1)
        refuse_value(reading, "1: there is one reply to a request");
}

static void read_false(struct reading *reading) {
    if (!qins_json_is_false(reading->item)) refuse_value(reading, "false: this server does not do that");
}

static void read_seed(struct reading *reading) {
    reading->request->generation.sampler.seed = (uint64_t)integer_of(reading);
    reading->request->has_seed = true;
}

static void read_max_tokens(struct reading *reading) {
    if (reading->request->has_max_tokens)
        qins_refuse(reading->refusal, 400, "invalid_value", reading->field->name,
                    "\"max_tokens\" and \"max_completion_tokens\" mean the same; give only one of them");
    read_count(reading);
    reading->request->has_max_tokens = true;
}

// --- values with parts ---

static void read_model(struct reading *reading) {
    const char *name = qins_json_text(reading->item);
    if (name == NULL)
        refuse_value(reading, "a string");
    else if (strcmp(name, reading->reader->alias) != 0)
        qins_refuse(reading->refusal, 404, "model_not_found", "model", "there is no model \"%s\" here, only \"%s\"",
                    name, reading->reader->alias);
}

static void read_messages(struct reading *reading) {
    qins_messages_read(reading->request, reading->item, reading->refusal);
}

static void read_prompt(struct reading *reading) {
    qins_request *request = reading->request;
    const qins_json *first = qins_json_first(reading->item);
    const bool has_texts = qins_json_is_array(reading->item) && qins_json_text(first) != NULL;
    request->prompt = qins_json_text(has_texts ? first : reading->item);
    if (has_texts && qins_json_count(reading->item) > 1)
        refuse_value(reading, "a single text; send a request for each");
    if (request->prompt != NULL) return;
    if (qins_json_is_array(reading->item))
        qins_ids_read(&request->ids, reading->item, "prompt", reading->reader->model, reading->refusal);
    else
        refuse_value(reading, "a string or an array of token ids");
}

static void add_stop(struct reading *reading, const char *text) {
    qins_generation_options *options = &reading->request->generation;
    if (text == NULL || text[0] == '\0')
        refuse_value(reading, "a string or an array of strings, none of them empty");
    else if (options->n_stops == QINS_MAX_STOPS)
        refuse_value(reading, "at most 16 strings");
    else if (strlen(text) > QINS_MAX_STOP_BYTES)
        refuse_value(reading, "strings of at most 1024 bytes");
    else
        reading->request->stops[options->n_stops++] = text;
}

static void read_stop(struct reading *reading) {
    if (!qins_json_is_array(reading->item)) {
        add_stop(reading, qins_json_text(reading->item));
        return;
    }
    for (const qins_json *item = qins_json_first(reading->item); item != NULL; item = qins_json_next(item))
        add_stop(reading, qins_json_text(item));
}

static void read_stream_options(struct reading *reading) {
    static const char *const names[] = {"include_usage", NULL};
    qins_error error = {0};
    if (!qins_json_is_object(reading->item)) refuse_value(reading, "an object");
    if (!qins_fields_check(reading->item, names, reading->refusal)) return;
    reading->request->include_usage = qins_json_get_bool_or(reading->item, "include_usage", false, QINS_USAGE, &error);
    if (error.status != QINS_OK) qins_refuse_error(reading->refusal, "invalid_value", "stream_options", &error);
}

// Legacy completions: a number of candidates.
static void read_logprobs_count(struct reading *reading) {
    read_count(reading);
    reading->request->generation.wants_logprobs = true;
}

static void read_bias(struct reading *reading, const qins_json *member, qins_bias *bias) {
    const size_t vocab_size = qins_model_vocab_size(reading->reader->model);
    const char *key = qins_json_key(member);
    char *end;
    double value;
    errno = 0;
    const long id = strtol(key, &end, 10);
    if (key[0] < '0' || key[0] > '9' || *end != '\0' || errno != 0 || (unsigned long)id >= vocab_size)
        qins_refuse(reading->refusal, 400, "invalid_value", "logit_bias",
                    "\"%s\" in \"logit_bias\" is not a token id below %zu", key, vocab_size);
    else if (!qins_json_number(member, &value) || !(fabs(value) <= 100))
        refuse_value(reading, "an object with numbers from -100 to 100");
    else
        *bias = (qins_bias){(int32_t)id, (float)value};
}

static int by_id(const void *a, const void *b) {
    const qins_bias *left = a, *right = b;
    return (left->id > right->id) - (left->id < right->id);
}

static void read_logit_bias(struct reading *reading) {
    qins_request *request = reading->request;
    qins_error error = {0};
    if (!qins_json_is_object(reading->item)) refuse_value(reading, "an object from token ids to numbers");
    const size_t n = qins_json_count(reading->item);
    request->biases = qins_alloc(n, sizeof *request->biases, "logit biases", &error);
    if (request->biases == NULL) {
        qins_refuse_error(reading->refusal, NULL, NULL, &error);
        return;
    }
    size_t i = 0;
    for (const qins_json *item = qins_json_first(reading->item); item != NULL; item = qins_json_next(item))
        read_bias(reading, item, &request->biases[i++]);
    qsort(request->biases, n, sizeof *request->biases, by_id);
    for (i = 1; i < n; i++) // "7" and "07" are one id
        if (request->biases[i - 1].id == request->biases[i].id) refuse_value(reading, "an object with distinct ids");
    request->generation.n_biases = n;
}

// --- not supported yet ---

static void read_response_format(struct reading *reading) {
    static const char *const names[] = {"type", NULL};
    const char *type = qins_json_text(qins_json_get(reading->item, "type"));
    if (type == NULL || strcmp(type, "text") != 0)
        qins_refuse(reading->refusal, 400, "unsupported_value", "response_format",
                    "\"response_format\" can only be {\"type\": \"text\"}; constrained output is not supported");
    else
        qins_fields_check(reading->item, names, reading->refusal);
}

static void refuse_tools(struct reading *reading) {
    if (qins_json_is_array(reading->item) && qins_json_count(reading->item) == 0) return;
    qins_refuse(reading->refusal, 400, "unsupported_parameter", reading->field->name,
                "\"%s\" is not supported; this server does not call tools", reading->field->name);
}

// --- the table ---

#define VALUE(field) offsetof(qins_request, field)
#define SAMPLER(field) offsetof(qins_request, generation.sampler.field)

static const struct field fields[] = {
    {"model", BOTH, read_model, 0, 0, 0},
    {"messages", CHAT, read_messages, 0, 0, 0},
    {"prompt", TEXT, read_prompt, 0, 0, 0},
    {"max_tokens", BOTH, read_max_tokens, VALUE(generation.max_tokens), 1, 1 << 24},
    {"max_completion_tokens", CHAT, read_max_tokens, VALUE(generation.max_tokens), 1, 1 << 24},
    {"temperature", BOTH, read_number, SAMPLER(temperature), 0, 2},
    {"top_p", BOTH, read_top_p, SAMPLER(top_p), 0, 1},
    {"top_k", BOTH, read_count, SAMPLER(top_k), 0, 1 << 24},
    {"min_p", BOTH, read_number, SAMPLER(min_p), 0, 1},
    {"seed", BOTH, read_seed, 0, 0, 9007199254740992.0}, // 2^53
    {"frequency_penalty", BOTH, read_number, SAMPLER(frequency_penalty), -2, 2},
    {"presence_penalty", BOTH, read_number, SAMPLER(presence_penalty), -2, 2},
    {"repeat_penalty", BOTH, read_number, SAMPLER(repeat_penalty), 0.1, 10},
    {"logit_bias", BOTH, read_logit_bias, 0, 0, 0},
    {"stop", BOTH, read_stop, 0, 0, 0},
    {"stream", BOTH, read_bool, VALUE(stream), 0, 0},
    {"stream_options", BOTH, read_stream_options, 0, 0, 0},
    {"logprobs", CHAT, read_bool, VALUE(generation.wants_logprobs), 0, 0},
    {"top_logprobs", CHAT, read_count, VALUE(generation.n_top), 0, QINS_MAX_TOP},
    {"logprobs", TEXT, read_logprobs_count, VALUE(generation.n_top), 0, QINS_MAX_TOP},
    {"n", BOTH, read_one, 0, 0, 0},
    {"best_of", TEXT, read_one, 0, 0, 0},
    {"echo", TEXT, read_false, 0, 0, 0},
    {"store", CHAT, read_false, 0, 0, 0},
    {"user", BOTH, read_text, 0, 0, 0},
    {"response_format", BOTH, read_response_format, 0, 0, 0},
    {"tools", CHAT, refuse_tools, 0, 0, 0},
    {"tool_choice", CHAT, refuse_tools, 0, 0, 0},
    {"parallel_tool_calls", CHAT, refuse_tools, 0, 0, 0},
    {"functions", CHAT, refuse_tools, 0, 0, 0},
    {"function_call", CHAT, refuse_tools, 0, 0, 0},
};

static const struct field *find_field(const char *name, unsigned kind) {
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(fields[i].name, name) == 0 && (fields[i].kinds & kind) != 0) return &fields[i];
    return NULL;
}

static bool refuse_unknown(const char *name, qins_refusal *refusal) {
    return qins_refuse(refusal, 400, "unknown_parameter", name, "the field \"%.100s\" is not supported", name);
}

static bool check_together(const qins_request *request, qins_refusal *refusal) {
    if (request->kind == QINS_CHAT_REQUEST && request->n_messages == 0)
        return qins_refuse(refusal, 400, "missing_required_parameter", "messages", "\"messages\" is missing");
    if (request->kind == QINS_TEXT_REQUEST && qins_json_get(request->json, "prompt") == NULL)
        return qins_refuse(refusal, 400, "missing_required_parameter", "prompt", "\"prompt\" is missing");
    if (qins_json_get(request->json, "stream_options") != NULL && !request->stream)
        return qins_refuse(refusal, 400, "invalid_value", "stream_options",
                           "\"stream_options\" has no meaning without \"stream\": true");
    if (request->generation.n_top > 0 && !request->generation.wants_logprobs)
        return qins_refuse(refusal, 400, "invalid_value", "top_logprobs",
                           "\"top_logprobs\" has no meaning without \"logprobs\": true");
    return true;
}

bool qins_fields_read(qins_request *request, const qins_request_reader *reader, qins_refusal *refusal) {
    for (const qins_json *item = qins_json_first(request->json); item != NULL; item = qins_json_next(item)) {
        const struct field *field = find_field(qins_json_key(item), 1u << request->kind);
        if (qins_json_get(request->json, qins_json_key(item)) == NULL) continue; // null: as if it were not there
        if (field == NULL) return refuse_unknown(qins_json_key(item), refusal);
        struct reading reading = {request, reader, field, item, refusal};
        field->read(&reading);
        if (refusal->status != 0) return false;
    }
    return check_together(request, refusal);
}

bool qins_fields_check(const qins_json *object, const char *const *names, qins_refusal *refusal) {
    for (const qins_json *item = qins_json_first(object); item != NULL; item = qins_json_next(item)) {
        size_t i = 0;
        while (names[i] != NULL && strcmp(names[i], qins_json_key(item)) != 0) i++;
        if (names[i] == NULL) return refuse_unknown(qins_json_key(item), refusal);
    }
    return refusal->status == 0;
}

bool qins_ids_read(qins_ids *ids, const qins_json *array, const char *name, const qins_model *model,
                   qins_refusal *refusal) {
    const size_t vocab_size = qins_model_vocab_size(model);
    qins_error error = {0};
    int64_t id;
    if (array == NULL || !qins_json_is_array(array))
        return qins_refuse(refusal, 400, "invalid_value", name, "\"%s\" must be an array of token ids", name);
    for (const qins_json *item = qins_json_first(array); item != NULL; item = qins_json_next(item)) {
        if (!qins_json_integer(item, &id) || id < 0 || (size_t)id >= vocab_size)
            return qins_refuse(refusal, 400, "invalid_value", name,
                               "\"%s\" has an item that is not a token id below %zu", name, vocab_size);
        if (qins_ids_append(ids, (int32_t)id, &error) != QINS_OK) return qins_refuse_error(refusal, NULL, NULL, &error);
    }
    return true;
}
