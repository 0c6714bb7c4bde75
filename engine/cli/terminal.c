// Keys and modes of the terminal; see terminal.h.
#include "engine/cli/terminal.h"

#include "engine/cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char PASTE_ON[] = "\033[?2004h", PASTE_OFF[] = "\033[?2004l", PASTE_END[] = "\033[201~";

enum { NO_BYTE = -1, SEQUENCE_MS = 100, PASTE_MS = 2000 };

// --- settings ---

bool qins_terminal_is_usable(void) {
    const char *kind = getenv("TERM");
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO) && kind != NULL && strcmp(kind, "dumb") != 0;
}

void qins_terminal_size(int fd, size_t *columns, size_t *lines) {
    struct winsize size = {0};
    (void)ioctl(fd, TIOCGWINSZ, &size);
    *columns = size.ws_col > 0 ? size.ws_col : 80;
    *lines = size.ws_row > 0 ? size.ws_row : 24;
}

void qins_terminal_write(const void *text, size_t size) {
    for (const char *at = text; size > 0;) {
        const ssize_t n = write(STDERR_FILENO, at, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        at += n;
        size -= (size_t)n;
    }
}

// poll returns when the size changes.
static void on_resize(int number) {
    (void)number;
}

static qins_status set_raw(const struct termios *saved, qins_error *error) {
    struct termios raw = *saved;
    raw.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR | ISTRIP | IXON);
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) != 0)
        return qins_fail_errno(error, QINS_FAILED, "cannot set up the terminal");
    qins_terminal_write(PASTE_ON, sizeof PASTE_ON - 1);
    return QINS_OK;
}

qins_status qins_terminal_begin(qins_terminal *terminal, qins_error *error) {
    struct sigaction action = {.sa_handler = on_resize, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGWINCH, &action, NULL);
    if (tcgetattr(STDIN_FILENO, &terminal->saved) != 0)
        return qins_fail_errno(error, QINS_FAILED, "cannot read the terminal's settings");
    return set_raw(&terminal->saved, error);
}

void qins_terminal_end(qins_terminal *terminal) {
    qins_terminal_write(PASTE_OFF, sizeof PASTE_OFF - 1);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal->saved);
}

void qins_terminal_suspend(qins_terminal *terminal, qins_error *error) {
    qins_terminal_end(terminal);
    kill(0, SIGTSTP);
    set_raw(&terminal->saved, error);
}

// --- bytes ---

bool qins_terminal_has_input(const qins_terminal *terminal) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return terminal->at < terminal->n_input || poll(&input, 1, 0) > 0;
}

// The next byte; NO_BYTE when a signal or `milliseconds` pass first, or at the end of the input.
static int next_byte(qins_terminal *terminal, int milliseconds, bool *closed) {
    struct pollfd ends[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = terminal->hangup}};
    if (terminal->at == terminal->n_input) {
        if (poll(ends, 2, milliseconds) <= 0) return NO_BYTE;
        if (ends[1].revents != 0) qins_interrupted = 1;
        if (ends[0].revents == 0) return NO_BYTE;
        const ssize_t n = read(STDIN_FILENO, terminal->input, sizeof terminal->input);
        *closed = n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN);
        if (n <= 0) return NO_BYTE;
        terminal->at = 0;
        terminal->n_input = (size_t)n;
    }
    return terminal->input[terminal->at++];
}

// --- keys ---

static const struct {
    const char *bytes; // after the escape character
    qins_key key;
} sequences[] = {
    {"[A", QINS_KEY_UP},
    {"OA", QINS_KEY_UP},
    {"[B", QINS_KEY_DOWN},
    {"OB", QINS_KEY_DOWN},
    {"[C", QINS_KEY_RIGHT},
    {"OC", QINS_KEY_RIGHT},
    {"[D", QINS_KEY_LEFT},
    {"OD", QINS_KEY_LEFT},
    {"[H", QINS_KEY_HOME},
    {"OH", QINS_KEY_HOME},
    {"[1~", QINS_KEY_HOME},
    {"[7~", QINS_KEY_HOME},
    {"[F", QINS_KEY_END},
    {"OF", QINS_KEY_END},
    {"[4~", QINS_KEY_END},
    {"[8~", QINS_KEY_END},
    {"[3~", QINS_KEY_DELETE},
    {"[1;5C", QINS_KEY_WORD_RIGHT},
    {"[1;3C", QINS_KEY_WORD_RIGHT},
    {"Oc", QINS_KEY_WORD_RIGHT},
    {"f", QINS_KEY_WORD_RIGHT},
    {"[1;5D", QINS_KEY_WORD_LEFT},
    {"[1;3D", QINS_KEY_WORD_LEFT},
    {"Od", QINS_KEY_WORD_LEFT},
    {"b", QINS_KEY_WORD_LEFT},
    {"d", QINS_KEY_KILL_WORD_RIGHT},
    {"\x7F", QINS_KEY_KILL_WORD_LEFT},
    {"\b", QINS_KEY_KILL_WORD_LEFT},
    {"\r", QINS_KEY_NEWLINE},
    {"\n", QINS_KEY_NEWLINE},
    {"[200~", QINS_KEY_PASTE},
};

// Keys of the control characters; the others have no meaning.
static const qins_key controls[0x20] = {
    ['A' & 0x1F] = QINS_KEY_HOME,   ['B' & 0x1F] = QINS_KEY_LEFT,          ['C' & 0x1F] = QINS_KEY_CANCEL,
    ['D' & 0x1F] = QINS_KEY_EOF,    ['E' & 0x1F] = QINS_KEY_END,           ['F' & 0x1F] = QINS_KEY_RIGHT,
    ['G' & 0x1F] = QINS_KEY_ESCAPE, ['H' & 0x1F] = QINS_KEY_BACKSPACE,     ['I' & 0x1F] = QINS_KEY_TAB,
    ['J' & 0x1F] = QINS_KEY_ENTER,  ['K' & 0x1F] = QINS_KEY_KILL_TO_END,   ['L' & 0x1F] = QINS_KEY_REDRAW,
    ['M' & 0x1F] = QINS_KEY_ENTER,  ['N' & 0x1F] = QINS_KEY_DOWN,          ['P' & 0x1F] = QINS_KEY_UP,
    ['R' & 0x1F] = QINS_KEY_SEARCH, ['U' & 0x1F] = QINS_KEY_KILL_TO_START, ['W' & 0x1F] = QINS_KEY_KILL_WORD_LEFT,
    ['Y' & 0x1F] = QINS_KEY_YANK,   ['Z' & 0x1F] = QINS_KEY_SUSPEND,
};

// The bytes after an escape character: "[" parameters letter, "O" letter, or one byte.
static qins_key read_sequence(qins_terminal *terminal, bool *closed) {
    char bytes[16];
    size_t n = 0;
    for (bool goes_on = true; goes_on;) {
        const int byte = next_byte(terminal, SEQUENCE_MS, closed);
        if (byte == NO_BYTE) break;
        if (n < sizeof bytes - 1) bytes[n++] = (char)byte;
        if (n == 1)
            goes_on = byte == '[' || byte == 'O';
        else
            goes_on = bytes[0] == '[' && (byte < 0x40 || byte > 0x7E);
    }
    bytes[n] = '\0';
    if (n == 0) return QINS_KEY_ESCAPE;
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++)
        if (strcmp(sequences[i].bytes, bytes) == 0) return sequences[i].key;
    return QINS_KEY_NONE;
}

static bool ends_with(const qins_buffer *buffer, const char *text, size_t size) {
    return buffer->size >= size && memcmp(buffer->data + buffer->size - size, text, size) == 0;
}

// Line ends become LF; terminals send CR.
static void take_line_ends(qins_buffer *text) {
    size_t kept = 0;
    for (size_t i = 0; i < text->size; i++) {
        if (text->data[i] == '\n' && i > 0 && text->data[i - 1] == '\r') continue;
        text->data[kept++] = text->data[i];
    }
    for (size_t i = 0; i < kept; i++)
        if (text->data[i] == '\r') text->data[i] = '\n';
    text->size = kept;
}

static qins_key read_paste(qins_terminal *terminal, bool *closed) {
    qins_buffer *text = &terminal->text;
    while (!ends_with(text, PASTE_END, sizeof PASTE_END - 1)) {
        const int byte = next_byte(terminal, PASTE_MS, closed);
        if (byte == NO_BYTE) {
            take_line_ends(text);
            return QINS_KEY_PASTE;
        }
        qins_buffer_u8(text, (uint8_t)byte);
        if (text->error->status != QINS_OK) return QINS_KEY_NONE;
    }
    text->size -= sizeof PASTE_END - 1;
    take_line_ends(text);
    return QINS_KEY_PASTE;
}

static bool is_text(int byte) {
    return byte >= 0x20 && byte != 0x7F;
}

// Bytes that follow this first one in UTF-8.
static size_t n_following(int byte) {
    return byte < 0xC0 ? 0 : byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
}

// All the text that has arrived, in whole characters.
static qins_key read_text(qins_terminal *terminal, int byte, bool *closed) {
    for (;;) {
        size_t n_left = n_following(byte);
        qins_buffer_u8(&terminal->text, (uint8_t)byte);
        while (n_left-- > 0 && (byte = next_byte(terminal, SEQUENCE_MS, closed)) != NO_BYTE) {
            if ((byte & 0xC0) != 0x80) {
                terminal->at--; // it begins something else
                break;
            }
            qins_buffer_u8(&terminal->text, (uint8_t)byte);
        }
        if (terminal->at == terminal->n_input || !is_text(terminal->input[terminal->at])) return QINS_KEY_TEXT;
        byte = terminal->input[terminal->at++];
    }
}

static qins_key key_of(qins_terminal *terminal, int byte, bool *closed) {
    if (is_text(byte)) return read_text(terminal, byte, closed);
    if (byte == 0x7F) return QINS_KEY_BACKSPACE;
    if (byte != '\033') return controls[byte];
    const qins_key key = read_sequence(terminal, closed);
    return key == QINS_KEY_PASTE ? read_paste(terminal, closed) : key;
}

qins_key qins_terminal_key(qins_terminal *terminal, qins_error *error) {
    enum { LOOK_AROUND_MS = 1000 }; // for a signal that comes just before poll
    bool closed = false;
    terminal->text.error = error;
    terminal->text.size = 0;
    if (qins_interrupted) return QINS_KEY_SIGNAL;
    const int byte = next_byte(terminal, LOOK_AROUND_MS, &closed);
    if (byte == NO_BYTE) return closed ? QINS_KEY_CLOSED : qins_interrupted ? QINS_KEY_SIGNAL : QINS_KEY_NONE;
    const bool follows_return = terminal->after_return && byte == '\n';
    terminal->after_return = byte == '\r';
    return follows_return ? QINS_KEY_NONE : key_of(terminal, byte, &closed);
}
