// History of lines; see history.h. In the file an entry is a line; a newline in it is \n and a backslash \\.
#include "engine/cli/history.h"

#include "engine/base/buffer.h"
#include "engine/base/file.h"
#include "engine/base/memory.h"
#include "engine/base/output_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_ENTRIES = 1000,
    MAX_FILE_BYTES = 1 << 26,
    MAX_SAVED_BYTES = 1 << 14 // of an entry; larger ones are kept in memory only
};

// --- the file's path ---

// Make the folders of a path that has the form FOLDER/NAME, open to the user only.
static bool make_folders(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700); // most of them exist; the look below tells
        qins_look look;
        qins_error ignored = {0}; // a folder that cannot be examined counts as missing
        qins_look_at(path, &look, QINS_FAILED, &ignored);
        *slash = '/';
        if (look.kind != QINS_FOLDER) return false;
    }
    return true;
}

// NULL if there is no place for it.
static char *find_path(qins_error *error) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME"), *folder = "";
    if (state == NULL || state[0] != '/') { // the specification: a relative path is ignored
        state = home;
        folder = "/.local/state";
    }
    if (state == NULL || state[0] != '/') return NULL;
    const size_t size = strlen(state) + strlen(folder) + sizeof "/qins/history";
    char *path = qins_alloc(size, 1, "path of the history", error);
    if (path == NULL) return NULL;
    snprintf(path, size, "%s%s/qins/history", state, folder);
    if (make_folders(path)) return path;
    free(path);
    return NULL;
}

// --- entries ---

static void keep(qins_history *history, const char *text, size_t size, qins_error *error) {
    void *entries = history->entries;
    if (qins_grow(&entries, &history->capacity, history->n_entries + 1, sizeof *history->entries, error) != QINS_OK)
        return;
    history->entries = entries;
    char *copy = qins_alloc(size + 1, 1, "history", error);
    if (copy == NULL) return;
    memcpy(copy, text, size);
    history->entries[history->n_entries++] = copy;
}

static void write_entry(const char *text, size_t size, qins_buffer *out) {
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\\' || text[i] == '\n') qins_buffer_u8(out, '\\');
        qins_buffer_u8(out, text[i] == '\n' ? 'n' : (uint8_t)text[i]);
    }
    qins_buffer_u8(out, '\n');
}

// A line of the file, in place; returns its size.
static size_t read_entry(char *line, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        char c = line[i];
        if (c == '\\' && i + 1 < size) c = line[++i] == 'n' ? '\n' : line[i];
        if (c != '\0') line[n++] = c;
    }
    return n;
}

// Rewrite a file that has grown to many times the lines that are kept.
static void shorten_file(const qins_history *history) {
    qins_error ignored = {0};
    qins_buffer text = {.error = &ignored};
    for (size_t i = 0; i < history->n_entries; i++)
        write_entry(history->entries[i], strlen(history->entries[i]), &text);
    if (ignored.status == QINS_OK) qins_file_replace(history->path, text.data, text.size, 0600, &ignored);
    qins_buffer_free(&text);
}

static void read_file(qins_history *history, qins_error *error) {
    qins_error absent = {0};
    size_t size, n_lines = 0, line = 0;
    char *text = qins_file_read_all(history->path, MAX_FILE_BYTES, &size, QINS_FAILED, &absent);
    if (text == NULL) return;
    for (size_t i = 0; i < size; i++) n_lines += text[i] == '\n';
    for (char *at = text, *end; line < n_lines; line++, at = end + 1) {
        end = memchr(at, '\n', size - (size_t)(at - text));
        if (line + MAX_ENTRIES >= n_lines) keep(history, at, read_entry(at, (size_t)(end - at)), error);
    }
    free(text);
    if (n_lines > 4 * MAX_ENTRIES && error->status == QINS_OK) shorten_file(history);
}

static void append_to_file(const char *path, const char *text, size_t size) {
    qins_error ignored = {0};
    qins_buffer line = {.error = &ignored};
    write_entry(text, size, &line);
    const int fd = ignored.status == QINS_OK ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd >= 0) {
        (void)!write(fd, line.data, line.size); // at once: other sessions append, too
        close(fd);
    }
    qins_buffer_free(&line);
}

// --- the history ---

void qins_history_open(qins_history *history, qins_error *error) {
    *history = (qins_history){.path = find_path(error)};
    if (history->path != NULL) read_file(history, error);
}

void qins_history_close(qins_history *history) {
    for (size_t i = 0; i < history->n_entries; i++) free(history->entries[i]);
    free(history->entries);
    free(history->path);
    *history = (qins_history){0};
}

static bool is_blank(const char *text, size_t size) {
    size_t n = 0;
    while (n < size && strchr(" \t\n", text[n]) != NULL) n++;
    return n == size;
}

void qins_history_add(qins_history *history, const char *text, size_t size, qins_error *error) {
    const char *last = history->n_entries > 0 ? history->entries[history->n_entries - 1] : "";
    if (is_blank(text, size) || (strlen(last) == size && memcmp(last, text, size) == 0)) return;
    keep(history, text, size, error);
    if (history->path != NULL && size <= MAX_SAVED_BYTES) append_to_file(history->path, text, size);
}
