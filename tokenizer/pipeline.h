// The processing of a text before BPE, and of pieces when they become text again, as data: lists of steps of a few
// kinds, each with its parameters, which a tokenizer carries. Knows neither vocabulary nor ids.
//
//   normalizer     PREPEND, REPLACE                        a text between added tokens
//   pre-tokenizer  PREPEND, REPLACE, CUT, SPLIT, BYTES     the words of a normalized text, of which it has one at first
//   decoder        [DROP] REPLACE... [BYTE_FALLBACK] [STRIP], or BYTES; executed by text_stream.c
#ifndef QINS_TOKENIZER_PIPELINE_H
#define QINS_TOKENIZER_PIPELINE_H

#include "engine/base/buffer.h"

enum {
    PIPELINE_MAX_STEPS = 8,
    PIPELINE_MAX_TEXT = 16,  // bytes of a step's texts
    PIPELINE_MAX_GROWTH = 4, // times the replaced text, at most
    PIPELINE_MAX_TOTAL = 64, // times its length that a text has after all steps, about
};
#define PIPELINE_MAX_WORDS ((size_t)1 << 30) // bytes of all words of a text

typedef enum step_kind { // numbers of the file format
    STEP_PREPEND = 1,    // put `to` before every word; option: a prepend_when
    STEP_REPLACE,        // replace every `from` by `to`
    STEP_CUT,            // a word begins at every `from`
    STEP_SPLIT,          // a word ends where a rule says so; option: a split_rule
    STEP_BYTES,          // every byte becomes a visible character (GPT-2's), or the reverse
    STEP_BYTE_FALLBACK,  // a piece <0xHH> is a byte
    STEP_STRIP,          // remove spaces from the start of the whole; option: how many at most
    STEP_DROP,           // remove every `from` from the first token
} step_kind;

typedef enum prepend_when {
    PREPEND_ALWAYS = 1,
    PREPEND_MISSING, // to words that do not begin with it
    PREPEND_START,   // to the first word of a whole text, if it does not begin with it
} prepend_when;

typedef struct pipeline_step {
    uint8_t kind, option, from_size, to_size;
    char from[PIPELINE_MAX_TEXT], to[PIPELINE_MAX_TEXT]; // not NUL-terminated; empty if the kind does not use it
} pipeline_step;

typedef struct pipeline {
    pipeline_step steps[PIPELINE_MAX_STEPS];
    size_t n_steps;
} pipeline;

typedef enum pipeline_role { PIPELINE_NORMALIZER, PIPELINE_PRE_TOKENIZER, PIPELINE_DECODER } pipeline_role;

// Can these steps, in this order, be executed in this role? The reader of a tokenizer checks once.
qins_status pipeline_check(const pipeline *steps, pipeline_role role, qins_error *error);

// Words of a text: word i is text[ends[i - 1] .. ends[i]), and no word is empty. Zero-initialize.
typedef struct pipeline_words {
    qins_buffer text;
    uint32_t *ends;
    size_t n_words, capacity;
} pipeline_words;

// The whole text as one word (none, if it is empty), which a normalizer or pre-tokenizer then works on. at_start: the
// text is the start of the caller's text. Steps write to `spare`; both are reused.
void pipeline_words_set(pipeline_words *words, const char *text, size_t size, qins_error *error);
void pipeline_run(const pipeline *steps, pipeline_words *words, pipeline_words *spare, bool at_start,
                  qins_error *error);
void pipeline_words_free(pipeline_words *words);

// Append the piece with every `from` replaced by `to`.
void pipeline_replace(const pipeline_step *step, const char *text, size_t size, qins_buffer *out);

// GPT-2's characters for bytes. The byte that a character of a piece stands for, -1: none.
int pipeline_byte_of(uint32_t code_point);

#endif
