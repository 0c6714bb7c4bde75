// Completion in a chat; see chat_internal.h and line_editor.h.
#include "engine/base/escape.h"
#include "engine/cli/chat_internal.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// Candidates so far: their common continuation after the `typed` bytes is to be added.
struct candidates {
    size_t n, typed;
    char common[256];
    qins_buffer *list;
};

static void add_candidate(struct candidates *candidates, const char *name) {
    size_t length = 0;
    if (candidates->n++ == 0) {
        snprintf(candidates->common, sizeof candidates->common, "%s", name);
    } else {
        while (candidates->common[length] != '\0' && candidates->common[length] == name[length]) length++;
        candidates->common[length] = '\0';
    }
    const char *shown = QINS_ESCAPED(name);
    qins_buffer_append(candidates->list, shown, strlen(shown));
    qins_buffer_append(candidates->list, "\r\n", 2);
}

static void finish(const struct candidates *candidates, qins_buffer *added) {
    const size_t length = strlen(candidates->common);
    if (length > candidates->typed)
        qins_buffer_append(added, candidates->common + candidates->typed, length - candidates->typed);
    if (candidates->n < 2) candidates->list->size = 0;
}

static bool complete_command(const char *text, size_t size, qins_buffer *added, qins_buffer *list) {
    struct candidates candidates = {.typed = size, .list = list};
    const char *name;
    bool takes_file;
    for (size_t i = 0; (name = qins_chat_command_name(i, &takes_file)) != NULL; i++)
        if (strncmp(name, text, size) == 0) add_candidate(&candidates, name);
    finish(&candidates, added);
    return candidates.n > 0;
}

// *folder: the part of a path up to its last slash, ~ as the home folder, "." if there is none.
static void split_path(const char *path, size_t size, char *folder, size_t capacity, const char **name) {
    size_t length = size;
    while (length > 0 && path[length - 1] != '/') length--;
    const bool is_home = size > 1 && strncmp(path, "~/", 2) == 0 && getenv("HOME") != NULL;
    snprintf(folder, capacity, "%s%.*s", is_home ? getenv("HOME") : "", (int)length - is_home, path + is_home);
    if (length == 0) snprintf(folder, capacity, ".");
    *name = path + length;
}

static void complete_file(const char *path, size_t size, qins_buffer *added, qins_buffer *list) {
    char folder[4096], full[4096 + 256];
    const char *name;
    if (size > 0 && (path[0] == '"' || path[0] == '\'')) {
        path++;
        size--;
    }
    split_path(path, size, folder, sizeof folder, &name);
    struct candidates candidates = {.typed = size - (size_t)(name - path), .list = list};
    DIR *files = opendir(folder);
    for (const struct dirent *entry; files != NULL && (entry = readdir(files)) != NULL;) {
        char shown[sizeof candidates.common];
        struct stat info;
        const bool is_hidden = entry->d_name[0] == '.' && candidates.typed == 0;
        if (is_hidden || strncmp(entry->d_name, name, candidates.typed) != 0) continue;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(full, sizeof full, "%s/%s", folder, entry->d_name);
        const bool is_folder = stat(full, &info) == 0 && S_ISDIR(info.st_mode);
        snprintf(shown, sizeof shown, "%.*s%s", (int)sizeof shown - 2, entry->d_name, is_folder ? "/" : "");
        add_candidate(&candidates, shown);
    }
    if (files != NULL) closedir(files);
    finish(&candidates, added);
}

bool qins_chat_complete(const char *text, size_t size, qins_buffer *added, qins_buffer *list) {
    size_t length = 0;
    while (length < size && text[length] != ' ') length++;
    if (size == 0 || text[0] != '/') return false;
    if (length == size) return complete_command(text, size, added, list);
    const char *name;
    bool takes_file;
    for (size_t i = 0; (name = qins_chat_command_name(i, &takes_file)) != NULL; i++) {
        if (strlen(name) != length || strncmp(name, text, length) != 0) continue;
        while (length < size && text[length] == ' ') length++;
        if (takes_file) complete_file(text + length, size - length, added, list);
        return takes_file;
    }
    return false;
}
