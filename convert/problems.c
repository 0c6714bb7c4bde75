// Collecting problems; see problems.h.
#include "convert/problems.h"

#include "engine/base/escape.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_TOLD = 1000 }; // problems; a checkpoint can have as many as tensors

void qins_problems_warn(const qins_problems *problems, const char *format, ...) {
    char text[700], line[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(line, sizeof line, "warning: %s: %s", QINS_ESCAPED(problems->folder), QINS_ESCAPED(text));
    if (problems->notice != NULL) problems->notice(problems->context, line);
}

void qins_problems_add(qins_problems *problems, const char *format, ...) {
    char text[700], line[700];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    qins_escape(line, sizeof line, text, strlen(text));
    if (++problems->count <= MAX_TOLD && problems->notice != NULL) problems->notice(problems->context, line);
    const size_t size = strlen(line) + 1;
    if (problems->n_kept + 1 != problems->count || problems->used + size > sizeof problems->text) return;
    memcpy(problems->text + problems->used, line, size);
    problems->used += size;
    problems->n_kept++;
}

bool qins_kinds_take(qins_kind *kinds, size_t n_kinds, const char *name) {
    for (size_t i = 0; i < n_kinds; i++) {
        if (strstr(name, kinds[i].mark) == NULL) continue;
        if (kinds[i].count++ == 0) kinds[i].first = name;
        return true;
    }
    return false;
}

void qins_kinds_report(const qins_kind *kinds, size_t n_kinds, qins_problems *problems) {
    for (const qins_kind *kind = kinds; kind < kinds + n_kinds; kind++) {
        if (kind->count == 1) qins_problems_add(problems, "tensor %s: %s", kind->first, kind->what);
        if (kind->count > 1)
            qins_problems_add(problems, "tensor %s: %s (and %zu more of them)", kind->first, kind->what,
                              kind->count - 1);
    }
}

qins_status qins_problems_end(const qins_problems *problems, qins_error *error) {
    if (problems->count == 0) return error->status;
    const char *plural = problems->count == 1 ? "" : "s", *line = problems->text;
    const bool is_told = problems->notice != NULL;
    qins_fail(error, QINS_BAD_MODEL, "%s: %zu problem%s with the checkpoint's tensors%s", problems->folder,
              problems->count, plural, is_told ? ", listed above" : ":");
    for (size_t i = 0; i < problems->n_kept && !is_told; i++, line += strlen(line) + 1)
        qins_error_line(error, "%s", line);
    if (problems->count > MAX_TOLD && is_told) qins_error_line(error, "(the first %d of them)", MAX_TOLD);
    if (problems->n_kept < problems->count && !is_told)
        qins_error_line(error, "and %zu more (qinsconvert lists them)", problems->count - problems->n_kept);
    return error->status;
}
