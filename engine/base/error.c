// The one place where error messages are put together; see error.h.
#include "engine/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Append what fits of `text` to a message.
static void append(char message[static sizeof((qins_error){0}.message)], const char *text) {
    const size_t capacity = sizeof((qins_error){0}.message), used = strlen(message), left = capacity - 1 - used;
    const size_t length = strlen(text) < left ? strlen(text) : left;
    memcpy(message + used, text, length);
    message[used + length] = '\0';
}

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
    append(error->message, ": ");
    append(error->message, strerror(number));
    return status;
}

qins_status qins_error_context(qins_error *error, const char *format, ...) {
    if (error->status == QINS_OK) return QINS_OK;
    char message[sizeof error->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    append(message, ": ");
    append(message, error->message);
    memcpy(error->message, message, sizeof message);
    return error->status;
}
