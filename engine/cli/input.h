// Texts and token ids from outside: prompts, files, standard input.
#ifndef QINS_CLI_INPUT_H
#define QINS_CLI_INPUT_H

#include "engine/cli/cli.h"
#include "engine/measure/windows.h"
#include "tokenizer/tokenizer.h"

// Turn outside text into a message, in place: without a byte order mark, and with LF line ends.
void qins_clean_text(char *text, size_t *size);

// The text of -p and of every -f, in this order, with a blank line between them; standard input when none is given.
// *text has a NUL after it and is released with free(); on failure it is NULL and *size 0.
qins_status qins_read_prompt(const qins_prompt_options *options, char **text, size_t *size, qins_error *error);

// Token ids written as text, separated by white space ("-": standard input).
qins_status qins_read_ids(const char *path, qins_ids *ids, qins_error *error);

// As above from text in memory; `name` stands for the file in messages.
qins_status qins_parse_ids(const char *text, size_t size, const char *name, qins_ids *ids, qins_error *error);

// The text of perplexity and compare: that of qins_read_prompt, encoded as plain text or with --parse-special, or
// --ids-file (raw little-endian int32). A window has -c tokens, by default 512, or the model's maximum if that is less.
// Release with qins_windows_free, also after a failure.
qins_status qins_read_windows(qins_windows *windows, const qins_options *options, const qins_model *model,
                              qins_error *error);

// Was standard input meant for this program? Not if it is a file that has been read from already, or a pipe that the
// calling program shares: those belong to a shell's "while read".
bool qins_input_is_given(void);

// Wait for it, and say so on stderr if nothing arrives for a while: perhaps nothing writes to the pipe.
void qins_input_wait(bool quiet);

#endif
