// Endpoints; see endpoints.h.
#include "engine/server/endpoints.h"

#include "engine/server/page.h"
#include "tokenizer/tokenizer.h"

#include <string.h>

// Append an object, which is released.
static void print(qins_json *object, qins_buffer *out) {
    qins_json_write(object, out);
    qins_buffer_u8(out, '\n');
    qins_json_free(object);
}

static void reply_page(qins_service *service, const char *body, size_t size, qins_buffer *out, qins_refusal *refusal) {
    (void)service, (void)body, (void)refusal;
    const char *page = qins_page(&size);
    qins_buffer_append(out, page, size);
}

static void reply_health(qins_service *service, const char *body, size_t size, qins_buffer *out,
                         qins_refusal *refusal) {
    (void)body, (void)size;
    if (!qins_service_can_answer(service, refusal)) return;
    qins_json *object = qins_json_new_object(out->error);
    qins_json_add_string(object, "status", "ok", out->error);
    print(object, out);
}

// Describe the model in an object.
static void describe(qins_json *model, qins_service *service, qins_error *error) {
    qins_json_add_string(model, "id", qins_service_alias(service), error);
    qins_json_add_string(model, "object", "model", error);
    qins_json_add_number(model, "created", 0, error);
    qins_json_add_string(model, "owned_by", "qins", error);
    const double n_ctx = (double)qins_scheduler_n_ctx(qins_service_scheduler(service));
    qins_json_add_number(model, "max_model_len", n_ctx, error); // as vLLM calls it
}

static void reply_models(qins_service *service, const char *body, size_t size, qins_buffer *out,
                         qins_refusal *refusal) {
    (void)body, (void)size, (void)refusal;
    qins_error *error = out->error;
    qins_json *object = qins_json_new_object(error);
    qins_json_add_string(object, "object", "list", error);
    describe(qins_json_append_object(qins_json_add_array(object, "data", error), error), service, error);
    print(object, out);
}

static void reply_model(qins_service *service, const char *body, size_t size, qins_buffer *out, qins_refusal *refusal) {
    (void)body, (void)size, (void)refusal;
    qins_json *object = qins_json_new_object(out->error);
    describe(object, service, out->error);
    print(object, out);
}

static void reply_metrics(qins_service *service, const char *body, size_t size, qins_buffer *out,
                          qins_refusal *refusal) {
    (void)body, (void)size, (void)refusal;
    qins_service_print_metrics(service, out);
}

static void print_ids(const qins_ids *ids, qins_buffer *out) {
    static const char head[] = "{\"tokens\":[", tail[] = "]}\n";
    qins_buffer_append(out, head, sizeof head - 1);
    qins_ids_print(ids, ',', out);
    qins_buffer_append(out, tail, sizeof tail - 1);
}

static void reply_tokenize(qins_service *service, const char *body, size_t size, qins_buffer *out,
                           qins_refusal *refusal) {
    qins_ids ids = {0};
    if (qins_tokenize_read(&ids, body, size, qins_service_model(service), refusal)) print_ids(&ids, out);
    qins_ids_free(&ids);
}

static void reply_detokenize(qins_service *service, const char *body, size_t size, qins_buffer *out,
                             qins_refusal *refusal) {
    qins_ids ids = {0};
    char *text = NULL;
    size_t text_size = 0;
    if (qins_detokenize_read(&ids, body, size, qins_service_model(service), refusal) &&
        qins_model_decode(qins_service_model(service), ids.data, ids.count, &text, &text_size, out->error) == QINS_OK) {
        qins_json *object = qins_json_new_object(out->error);
        qins_json_add_text(object, "content", text, text_size, out->error);
        print(object, out);
    }
    qins_free(text);
    qins_ids_free(&ids);
}

static const char JSON[] = "application/json", HTML[] = "text/html; charset=utf-8",
                  PROMETHEUS[] = "text/plain; version=0.0.4; charset=utf-8";

static const char MODEL[] = "/v1/models/"; // the model's name follows

static const qins_endpoint endpoints[] = {
    {"/", "GET", HTML, true, QINS_REQUEST_KINDS, reply_page},
    {"/health", "GET", JSON, true, QINS_REQUEST_KINDS, reply_health},
    {"/v1/models", "GET", JSON, false, QINS_REQUEST_KINDS, reply_models},
    {MODEL, "GET", JSON, false, QINS_REQUEST_KINDS, reply_model},
    {"/v1/chat/completions", "POST", JSON, false, QINS_CHAT_REQUEST, NULL},
    {"/v1/completions", "POST", JSON, false, QINS_TEXT_REQUEST, NULL},
    {"/tokenize", "POST", JSON, false, QINS_REQUEST_KINDS, reply_tokenize},
    {"/detokenize", "POST", JSON, false, QINS_REQUEST_KINDS, reply_detokenize},
    {"/metrics", "GET", PROMETHEUS, false, QINS_REQUEST_KINDS, reply_metrics},
};

static bool is_at(const qins_endpoint *endpoint, const char *path, const char *alias) {
    if (endpoint->path != MODEL) return strcmp(endpoint->path, path) == 0;
    const size_t length = sizeof MODEL - 1;
    return strncmp(path, MODEL, length) == 0 && strcmp(path + length, alias) == 0;
}

const qins_endpoint *qins_endpoint_find(const char *path, const char *alias, bool has_page, qins_refusal *refusal) {
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        const qins_endpoint *endpoint = &endpoints[i];
        if (is_at(endpoint, path, alias) && (endpoint->reply != reply_page || has_page)) return endpoint;
    }
    qins_refuse(refusal, 404, NULL, NULL, "there is nothing at %.200s", path);
    return NULL;
}

bool qins_endpoint_takes(const qins_endpoint *endpoint, const char *method, qins_refusal *refusal) {
    const bool is_head = strcmp(method, "HEAD") == 0;
    if (strcmp(endpoint->method, is_head ? "GET" : method) == 0) return true;
    return qins_refuse(refusal, 405, NULL, NULL, "%s accepts only %s", endpoint->path, endpoint->method);
}
