// The one place where error messages are put together; see error.h.
#include "engine/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

qins_status qins_fail(qins_error *error, qins_status status, const char *format, ...) {
    if (error->status != QINS_OK) return error->status;
    error->status = status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return status;
}

qins_status qins_fail_errno(qins_error *error, qins_status status, const char *format, ...) {
    int number = errno;
    if (error->status != QINS_OK) return error->status;
    error->status = status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    size_t used = strlen(error->message);
    snprintf(error->message + used, sizeof error->message - used, ": %s", strerror(number));
    return status;
}

qins_status qins_error_context(qins_error *error, const char *format, ...) {
    if (error->status == QINS_OK) return QINS_OK;
    char text[sizeof error->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, ": %s", error->message);
    memcpy(error->message, text, sizeof text);
    return error->status;
}
