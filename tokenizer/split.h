// Word boundaries: the rules by which a text is split before BPE. Each matches a regular expression of Hugging Face's
// pre-tokenizers, written as code that looks at every character a bounded number of times.
#ifndef QINS_TOKENIZER_SPLIT_H
#define QINS_TOKENIZER_SPLIT_H

#include <stddef.h>

typedef enum split_rule {
    SPLIT_GPT2 = 1, // the expressions: hf_pre_tokenizer.c
    SPLIT_CL100K,
    SPLIT_O200K,
    SPLIT_DIGITS,    // every number (N) is a word, and so is the text between numbers
    SPLIT_DIGIT_RUNS // likewise, but neighbouring numbers are one word
} split_rule;

// The end of the word that starts at byte `at` of the text, at < result <= size.
size_t split_word_end(split_rule rule, const char *text, size_t size, size_t at);

#endif
