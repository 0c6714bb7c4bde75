// The class of a code point, as far as splitting text into words needs it. Unicode 16.0, in our own table: the words,
// and so a text's ids, must not depend on the version of a system's library.
#ifndef QINS_TOKENIZER_UNICODE_CLASS_H
#define QINS_TOKENIZER_UNICODE_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum unicode_class { // general categories and properties
    UNICODE_OTHER,
    UNICODE_UPPER,  // Lu, Lt
    UNICODE_LOWER,  // Ll
    UNICODE_LETTER, // Lm, Lo
    UNICODE_MARK,   // Mn, Mc, Me
    UNICODE_DIGIT,  // Nd, Nl
    UNICODE_NUMBER, // No
    UNICODE_SPACE,  // White_Space
    UNICODE_WORD    // Pc, Join_Control, and Alphabetic characters not covered above
} unicode_class;

unicode_class unicode_class_of(uint32_t code_point);
// The class of the character at the start of the text, which has at least one byte, and its size in bytes. A byte that
// is not part of a valid character is of class UNICODE_OTHER.
unicode_class unicode_class_at(const char *text, size_t size, size_t *length);
// The class of the character at the end of the text, likewise.
unicode_class unicode_class_before(const char *text, size_t size, size_t *length);

static inline bool unicode_is_letter(unicode_class class) {
    return class >= UNICODE_UPPER && class <= UNICODE_LETTER;
}

static inline bool unicode_is_number(unicode_class class) {
    return class == UNICODE_DIGIT || class == UNICODE_NUMBER;
}

// \w of Rust's regular expressions.
static inline bool unicode_is_word(unicode_class class) {
    return class != UNICODE_OTHER && class != UNICODE_NUMBER && class != UNICODE_SPACE;
}

// In unicode_runs.c, which is generated.
extern const uint32_t unicode_runs[]; // ascending: first code point << 4 | class
extern const size_t unicode_n_runs;

#endif
