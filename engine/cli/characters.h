// Characters as a person sees them: a letter with its accents, an emoji of several joined ones. Text is UTF-8; an
// invalid byte is a character by itself.
#ifndef QINS_CLI_CHARACTERS_H
#define QINS_CLI_CHARACTERS_H

#include <stddef.h>

// Take the widths of characters from the user's locale if it is UTF-8, otherwise from C.UTF-8. Call it once.
void qins_characters_open(void);

// Bytes of the character that begins text[size]; 0 only for an empty text.
size_t qins_character_bytes(const char *text, size_t size);

// Bytes of the character that ends text[size]; 0 only for an empty text.
size_t qins_character_bytes_before(const char *text, size_t size);

// The most columns that any terminal gives the character text[size]: terminals disagree about joined and new
// characters.
size_t qins_character_columns(const char *text, size_t size);

#endif
