// Questions and their prompts; see task.h.
#include "engine/measure/task.h"

#include "engine/base/file.h"
#include "engine/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_FILE_BYTES = 1 << 30 };

const char *const qins_task_format_names[QINS_TASK_FORMAT_COUNT] = {
    [QINS_ARC] = "arc",   [QINS_HELLASWAG] = "hellaswag",   [QINS_MMLU] = "mmlu", [QINS_OPENBOOKQA] = "openbookqa",
    [QINS_PIQA] = "piqa", [QINS_WINOGRANDE] = "winogrande",
};

// --- reading ---

static qins_task_format format_of_name(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    int format = 0;
    while (format < QINS_TASK_FORMAT_COUNT &&
           strncmp(name, qins_task_format_names[format], strlen(qins_task_format_names[format])) != 0)
        format++;
    return (qins_task_format)format;
}

static void read_choices(qins_question *question, const qins_json *list, qins_error *error) {
    const size_t n = qins_json_count(list);
    if (!qins_json_is_array(list) || n < 2 || n > QINS_MAX_CHOICES)
        qins_fail(error, QINS_USAGE, "a question needs a list of 2 to %d choices", QINS_MAX_CHOICES);
    const qins_json *item = qins_json_first(list);
    for (; item != NULL && error->status == QINS_OK; item = qins_json_next(item)) {
        const char *text = qins_json_text(item);
        if (text == NULL || text[0] == '\0') qins_fail(error, QINS_USAGE, "a choice is not a text");
        question->choices[question->n_choices++] = text;
    }
}

// Fill the question from its JSON.
static qins_status read_fields(qins_question *question, qins_task_format format, qins_error *error) {
    const bool is_hellaswag = format == QINS_HELLASWAG;
    const qins_json *json = question->json;
    read_choices(question, qins_json_get(json, is_hellaswag ? "endings" : "choices"), error);
    question->text = qins_json_get_string(json, is_hellaswag ? "ctx" : "question", QINS_USAGE, error);
    question->subject = format == QINS_MMLU ? qins_json_get_string(json, "subject", QINS_USAGE, error) : "";
    const int64_t last = (int64_t)question->n_choices - 1;
    question->answer =
        (size_t)qins_json_get_integer(json, is_hellaswag ? "label" : "answer", 0, last, QINS_USAGE, error);
    if (format == QINS_WINOGRANDE && error->status == QINS_OK && strchr(question->text, '_') == NULL)
        qins_fail(error, QINS_USAGE, "the sentence has no _ for the choices to fill in");
    return error->status;
}

static qins_status add_question(qins_task *task, const char *text, size_t size, size_t line, qins_error *error) {
    void *questions = task->questions;
    qins_grow(&questions, &task->capacity, task->n_questions + 1, sizeof *task->questions, error);
    task->questions = questions;
    if (error->status != QINS_OK) return error->status;
    qins_question *question = &task->questions[task->n_questions];
    *question = (qins_question){.json = qins_json_parse(text, size, QINS_USAGE, error), .line = line};
    if (question->json == NULL) return error->status;
    task->n_questions++;
    return read_fields(question, task->format, error);
}

static qins_status read_lines(qins_task *task, const char *path, const char *text, size_t size, size_t limit,
                              qins_error *error) {
    for (size_t at = 0, line = 1; at < size && task->n_questions < limit && error->status == QINS_OK; line++) {
        const char *newline = memchr(text + at, '\n', size - at);
        const size_t length = newline != NULL ? (size_t)(newline - (text + at)) : size - at;
        if (length > 0) add_question(task, text + at, length, line, error);
        qins_error_context(error, "%s, line %zu", path, line);
        at += length + 1;
    }
    if (task->n_questions == 0) qins_fail(error, QINS_USAGE, "%s has no questions", path);
    return error->status;
}

qins_status qins_task_read(qins_task *task, const char *path, qins_task_format format, size_t limit,
                           qins_error *error) {
    size_t size;
    *task = (qins_task){.format = format == QINS_TASK_FORMAT_COUNT ? format_of_name(path) : format};
    char *text = qins_file_read_all(path, MAX_FILE_BYTES, &size, QINS_USAGE, error);
    if (text == NULL) return error->status;
    if (task->format == QINS_TASK_FORMAT_COUNT)
        qins_fail(error, QINS_USAGE, "%s: the name does not begin with a known format; give one with --format", path);
    else
        read_lines(task, path, text, size, limit, error);
    free(text);
    return error->status;
}

void qins_task_free(qins_task *task) {
    for (size_t i = 0; i < task->n_questions; i++) qins_json_free(task->questions[i].json);
    free(task->questions);
    *task = (qins_task){0};
}

// --- prompts ---

static void append(qins_buffer *buffer, const char *text) {
    qins_buffer_append(buffer, text, strlen(text));
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// Without the white space at both ends.
static void append_stripped(qins_buffer *buffer, const char *text) {
    size_t size = strlen(text);
    while (size > 0 && is_space(text[size - 1])) size--;
    for (; size > 0 && is_space(*text); size--) text++;
    qins_buffer_append(buffer, text, size);
}

static void append_letter(qins_buffer *buffer, size_t choice) {
    qins_buffer_u8(buffer, (uint8_t)('A' + choice));
}

static void append_lettered_question(const qins_question *question, qins_buffer *context) {
    append_stripped(context, question->text);
    for (size_t i = 0; i < question->n_choices; i++) {
        append(context, "\n");
        append_letter(context, i);
        append(context, ". ");
        append(context, question->choices[i]);
    }
    append(context, "\nAnswer:");
}

static void append_context(const qins_question *question, qins_task_format format, size_t choice,
                           qins_buffer *context) {
    switch (format) {
    case QINS_ARC:
    case QINS_PIQA:
        append(context, "Question: ");
        append(context, question->text);
        append(context, "\nAnswer:");
        break;
    case QINS_MMLU:
        append_lettered_question(question, context);
        break;
    case QINS_WINOGRANDE:
        qins_buffer_append(context, question->text, (size_t)(strchr(question->text, '_') - question->text));
        append(context, question->choices[choice]);
        break;
    default:
        append(context, question->text);
    }
}

static void append_continuation(const qins_question *question, qins_task_format format, size_t choice,
                                qins_buffer *continuation) {
    append(continuation, " ");
    if (format == QINS_MMLU)
        append_letter(continuation, choice);
    else if (format == QINS_WINOGRANDE)
        append_stripped(continuation, strchr(question->text, '_') + 1);
    else
        append(continuation, question->choices[choice]);
}

void qins_task_append_choice(const qins_question *question, qins_task_format format, size_t choice,
                             qins_buffer *context, qins_buffer *continuation) {
    append_context(question, format, choice, context);
    size_t end = context->size;
    while (end > 0 && is_space((char)context->data[end - 1])) end--;
    qins_buffer_append(continuation, context->data + end, context->size - end);
    context->size = end;
    append_continuation(question, format, choice, continuation);
}

qins_status qins_task_append_examples(const qins_question *question, qins_task_format format, const qins_task *examples,
                                      size_t n_shots, qins_buffer *text) {
    size_t n = 0;
    if (format == QINS_MMLU) {
        append(text, "The following are multiple choice questions (with answers) about ");
        for (const char *c = question->subject; *c != '\0'; c++) qins_buffer_u8(text, *c == '_' ? ' ' : (uint8_t)*c);
        append(text, ".\n\n");
    }
    for (size_t i = 0; n < n_shots && i < examples->n_questions; i++) {
        const qins_question *example = &examples->questions[i];
        if (strcmp(example->subject, question->subject) != 0) continue;
        append_context(example, format, example->answer, text);
        append_continuation(example, format, example->answer, text);
        append(text, "\n\n");
        n++;
    }
    if (n < n_shots)
        qins_fail(text->error, QINS_USAGE, "there are %zu examples for \"%s\", --shots asks for %zu", n,
                  question->subject, n_shots);
    return text->error->status;
}
