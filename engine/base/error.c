// The one place where error messages are assembled; see error.h.
#include "engine/base/error.h"

#include "engine/base/escape.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CAPACITY = sizeof((qins_error){0}.message) };

// Append as much of `text` as fits to a message.
static void append(char message[static CAPACITY], const char *text) {
    const size_t used = strlen(message), left = CAPACITY - 1 - used;
    const size_t length = strlen(text) < left ? strlen(text) : left;
    memcpy(message + used, text, length);
    message[used + length] = '\0';
}

// The formatted text on one line, whatever its arguments hold.
static void format_line(char line[static CAPACITY], const char *format, va_list arguments) {
    char text[CAPACITY];
    vsnprintf(text, sizeof text, format, arguments);
    qins_escape(line, CAPACITY, text, strlen(text));
}

qins_status qins_fail(qins_error *error, qins_status status, const char *format, ...) {
    if (error->status != QINS_OK) return error->status;
    error->status = status;
    va_list arguments;
    va_start(arguments, format);
    format_line(error->message, format, arguments);
    va_end(arguments);
    return status;
}

qins_status qins_fail_errno(qins_error *error, qins_status status, const char *format, ...) {
    int number = errno;
    if (error->status != QINS_OK) return error->status;
    error->status = status;
    va_list arguments;
    va_start(arguments, format);
    format_line(error->message, format, arguments);
    va_end(arguments);
    append(error->message, ": ");
    append(error->message, strerror(number));
    return status;
}

qins_status qins_error_context(qins_error *error, const char *format, ...) {
    if (error->status == QINS_OK) return QINS_OK;
    char message[CAPACITY];
    va_list arguments;
    va_start(arguments, format);
    format_line(message, format, arguments);
    va_end(arguments);
    append(message, ": ");
    append(message, error->message);
    memcpy(error->message, message, sizeof message);
    return error->status;
}

bool qins_error_line(qins_error *error, const char *format, ...) {
    static const char indent[] = "\n  ";
    if (error->status == QINS_OK) return false;
    char line[CAPACITY];
    va_list arguments;
    va_start(arguments, format);
    format_line(line, format, arguments);
    va_end(arguments);
    if (strlen(error->message) + strlen(indent) + strlen(line) >= CAPACITY) return false;
    append(error->message, indent);
    append(error->message, line);
    return true;
}
