// Errors: a fallible function returns a status and fills a qins_error with a message that says what went wrong, where
// (file, tensor, byte offset), and what to do. Only a program's main() turns a status into an exit code.
#ifndef QINS_BASE_ERROR_H
#define QINS_BASE_ERROR_H

#include "include/qins.h" // qins_status, qins_error

#if defined(__GNUC__)
#define QINS_PRINTF(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#else
#define QINS_PRINTF(format_index, first_argument)
#endif

// Record a failure and return its status. The first error wins: later ones are dropped.
qins_status qins_fail(qins_error *error, qins_status status, const char *format, ...) QINS_PRINTF(3, 4);

// As qins_fail, followed by ": " and the text of the current errno.
qins_status qins_fail_errno(qins_error *error, qins_status status, const char *format, ...) QINS_PRINTF(3, 4);

// Prepend "context: " to a recorded message; does nothing if there is none. Returns the error's status.
qins_status qins_error_context(qins_error *error, const char *format, ...) QINS_PRINTF(2, 3);

// Add a line to a recorded message, indented; false, and nothing added, when there is none or the line does not fit.
bool qins_error_line(qins_error *error, const char *format, ...) QINS_PRINTF(2, 3);

#endif
