// Refusals; see refusal.h.
#include "engine/server/refusal.h"

#include "engine/base/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *type_of(unsigned status) {
    if (status == 429) return "rate_limit_error";
    return status < 500 ? "invalid_request_error" : "server_error";
}

bool qins_refuse(qins_refusal *refusal, unsigned status, const char *code, const char *param, const char *format, ...) {
    if (refusal->status != 0) return false;
    *refusal = (qins_refusal){.status = status, .type = type_of(status), .code = code};
    snprintf(refusal->param, sizeof refusal->param, "%s", param != NULL ? param : "");
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(refusal->message, sizeof refusal->message, format, arguments);
    va_end(arguments);
    return false;
}

bool qins_refuse_error(qins_refusal *refusal, const char *code, const char *param, const qins_error *error) {
    const bool is_ours = error->status == QINS_FAILED;
    return qins_refuse(refusal, is_ours ? 500 : 400, is_ours ? NULL : code, is_ours ? NULL : param, "%s",
                       error->message);
}

static void add_text_or_null(qins_json *object, const char *key, const char *text, qins_error *error) {
    if (text != NULL && text[0] != '\0')
        qins_json_add_text(object, key, text, strlen(text), error);
    else
        qins_json_add_null(object, key, error);
}

void qins_refusal_print(const qins_refusal *refusal, qins_buffer *out) {
    qins_error *error = out->error;
    qins_json *root = qins_json_new_object(error), *object = qins_json_add_object(root, "error", error);
    qins_json_add_text(object, "message", refusal->message, strlen(refusal->message), error);
    qins_json_add_string(object, "type", refusal->type, error);
    add_text_or_null(object, "param", refusal->param, error);
    add_text_or_null(object, "code", refusal->code, error);
    qins_json_write(root, out);
    qins_buffer_u8(out, '\n');
    qins_json_free(root);
}
