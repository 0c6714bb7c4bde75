// The user's terminal: its size, and the keys one by one. Reads standard input and writes to standard error.
#ifndef QINS_CLI_TERMINAL_H
#define QINS_CLI_TERMINAL_H

#include "engine/base/buffer.h"

#include <termios.h>

typedef enum qins_key {
    QINS_KEY_NONE,   // a key without a meaning, or the terminal was resized
    QINS_KEY_SIGNAL, // qins_interrupted is set
    QINS_KEY_CLOSED, // nothing more will come
    QINS_KEY_TEXT,   // one character or more
    QINS_KEY_PASTE,  // any text, newlines and tabs included
    QINS_KEY_TAB,
    QINS_KEY_ENTER,
    QINS_KEY_NEWLINE, // Alt-Enter
    QINS_KEY_LEFT,
    QINS_KEY_RIGHT,
    QINS_KEY_WORD_LEFT,
    QINS_KEY_WORD_RIGHT,
    QINS_KEY_HOME,
    QINS_KEY_END,
    QINS_KEY_UP,
    QINS_KEY_DOWN,
    QINS_KEY_BACKSPACE,
    QINS_KEY_DELETE,
    QINS_KEY_KILL_WORD_LEFT,
    QINS_KEY_KILL_WORD_RIGHT,
    QINS_KEY_KILL_TO_START,
    QINS_KEY_KILL_TO_END,
    QINS_KEY_YANK,
    QINS_KEY_SEARCH,
    QINS_KEY_ESCAPE,
    QINS_KEY_REDRAW, // Ctrl-L
    QINS_KEY_CANCEL, // Ctrl-C
    QINS_KEY_EOF,    // Ctrl-D
    QINS_KEY_SUSPEND
} qins_key;

typedef struct qins_terminal {
    struct termios saved; // the settings to restore
    unsigned char input[4096];
    size_t at, n_input; // input[at .. n_input) is still to be read
    int hangup;         // a descriptor: when its other side is gone, qins_interrupted is set
    bool after_return;  // a line feed that comes next belongs to the carriage return before it
    qins_buffer text;   // of the last key
} qins_terminal;

// Can a person edit lines here: is this a terminal at both ends, with a cursor that can be moved?
bool qins_terminal_is_usable(void);

// Columns and lines of the terminal that a descriptor leads to.
void qins_terminal_size(int fd, size_t *columns, size_t *lines);

// Between begin and end, keys arrive one by one without echo, and pastes are marked (bracketed paste).
qins_status qins_terminal_begin(qins_terminal *terminal, qins_error *error);
void qins_terminal_end(qins_terminal *terminal);

// Wait for the next key. Its text, if it has one, is in terminal->text until the next call; a paste has LF line ends.
qins_key qins_terminal_key(qins_terminal *terminal, qins_error *error);
bool qins_terminal_has_input(const qins_terminal *terminal);

// Suspend this job, as Ctrl-Z does; returns when it is resumed.
void qins_terminal_suspend(qins_terminal *terminal, qins_error *error);

// Write all of it; anything that cannot be written is lost.
void qins_terminal_write(const void *text, size_t size);

#endif
