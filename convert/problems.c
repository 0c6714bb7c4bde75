// Collecting problems; see problems.h.
#include "convert/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void qins_problems_add(qins_problems *problems, const char *format, ...) {
    char line[700];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    problems->count++;
    if (problems->notice != NULL) problems->notice(problems->context, line);
    size_t length = strlen(line);
    if (problems->n_kept + 1 != problems->count || problems->used + length + 4 > sizeof problems->text) return;
    problems->used +=
        (size_t)snprintf(problems->text + problems->used, sizeof problems->text - problems->used, "\n  %s", line);
    problems->n_kept++;
}

qins_status qins_problems_end(const qins_problems *problems, const char *folder, qins_error *error) {
    if (problems->count == 0) return error->status;
    const char *plural = problems->count == 1 ? "" : "s";
    if (problems->notice != NULL)
        return qins_fail(error, QINS_BAD_MODEL, "%s: %zu problem%s with the checkpoint's tensors, listed above", folder,
                         problems->count, plural);
    char more[64] = "";
    if (problems->n_kept < problems->count)
        snprintf(more, sizeof more, "\n  and %zu more (qinsconvert lists all)", problems->count - problems->n_kept);
    return qins_fail(error, QINS_BAD_MODEL, "%s: %zu problem%s with the checkpoint's tensors:%s%s", folder,
                     problems->count, plural, problems->text, more);
}
