// Multiple-choice questions from files of JSON lines, and the texts by which a model is asked. The prompts are those of
// EleutherAI's lm-evaluation-harness (0.4), so figures can be compared with published ones:
//
//   arc         "Question: QUESTION\nAnswer:" " CHOICE"          {"question", "choices": [..], "answer": index from 0}
//   hellaswag   "CTX" " ENDING"                                   {"ctx", "endings": [..], "label": index from 0}
//   mmlu        "The following are multiple choice questions (with answers) about SUBJECT.\n\n"
//               "QUESTION\nA. CHOICE\nB. ...\nAnswer:" " A"      as arc, and "subject"
//   openbookqa  "QUESTION" " CHOICE"                              as arc
//   piqa        "Question: QUESTION\nAnswer:" " CHOICE"          as arc
//   winogrande  "SENTENCE up to _" "CHOICE" " rest of SENTENCE"   as arc; the choice is in the context, and the rest,
//                                                                 the same for all choices, is what is scored
//
// Examples come first (after MMLU's first line) as they would be answered, with an empty line after each.
#ifndef QINS_MEASURE_TASK_H
#define QINS_MEASURE_TASK_H

#include "engine/base/buffer.h"
#include "engine/base/json.h"

typedef enum qins_task_format {
    QINS_ARC,
    QINS_HELLASWAG,
    QINS_MMLU,
    QINS_OPENBOOKQA,
    QINS_PIQA,
    QINS_WINOGRANDE,
    QINS_TASK_FORMAT_COUNT // also: by the file's name
} qins_task_format;

enum { QINS_MAX_CHOICES = 10 };

typedef struct qins_question {
    qins_json *json; // owned; the texts are inside
    size_t line;     // of the file, from 1
    const char *subject, *text, *choices[QINS_MAX_CHOICES];
    size_t n_choices, answer;
} qins_question;

typedef struct qins_task {
    qins_task_format format;
    qins_question *questions; // owned, [n_questions]
    size_t n_questions, capacity;
} qins_task;

extern const char *const qins_task_format_names[QINS_TASK_FORMAT_COUNT];

// Read the first `limit` questions of a file ("-": standard input). With QINS_TASK_FORMAT_COUNT the format is the one
// whose name the file's begins with. QINS_USAGE and the line otherwise. Release with qins_task_free, also after a
// failure.
qins_status qins_task_read(qins_task *task, const char *path, qins_task_format format, size_t limit, qins_error *error);
void qins_task_free(qins_task *task);

// The first `n_shots` examples of the question's subject (of all, where the format has none), appended to *text as they
// stand before a question. `examples` may be NULL when n_shots is 0.
qins_status qins_task_append_examples(const qins_question *question, qins_task_format format, const qins_task *examples,
                                      size_t n_shots, qins_buffer *text);

// Append the two texts of a choice: the one that is given, and the one that is scored. As in the harness, white space
// at the context's end moves to the continuation. Failures are recorded in the buffers' errors.
void qins_task_append_choice(const qins_question *question, qins_task_format format, size_t choice,
                             qins_buffer *context, qins_buffer *continuation);

#endif
