// Keys and their actions; see line_editor.h.
#include "engine/cli/line_editor.h"

#include "engine/cli/characters.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { EDITING = -1 }; // no qins_line_end yet

void qins_line_editor_open(qins_line_editor *editor, qins_complete *complete, qins_error *error) {
    *editor = (qins_line_editor){.complete = complete, .error = error, .waiting.error = error, .drawn.error = error};
    qins_line_init(&editor->line, error);
    qins_history_open(&editor->history, error);
}

void qins_line_editor_close(qins_line_editor *editor) {
    qins_history_close(&editor->history);
    qins_line_free(&editor->line);
    qins_display_free(&editor->display);
    qins_buffer_free(&editor->terminal.text);
    qins_buffer_free(&editor->waiting);
    qins_buffer_free(&editor->drawn);
}

// --- drawing ---

static void flush(qins_line_editor *editor) {
    qins_terminal_write(editor->drawn.data, editor->drawn.size);
    editor->drawn.size = 0;
}

static void draw(qins_line_editor *editor, const char *prompt) {
    size_t columns, lines;
    qins_terminal_size(STDERR_FILENO, &columns, &lines);
    qins_display_resize(&editor->display, columns, lines);
    qins_display_draw(&editor->display, &editor->line, prompt, &editor->drawn);
    flush(editor);
}

static bool is_resized(const qins_line_editor *editor) {
    size_t columns, lines;
    qins_terminal_size(STDERR_FILENO, &columns, &lines);
    return columns != editor->display.columns || lines != editor->display.lines;
}

static void write_text(const char *text) {
    qins_terminal_write(text, strlen(text));
}

// Leave the line as it is on the screen and go on below it.
static void leave(qins_line_editor *editor, const char *mark) {
    editor->line.cursor = editor->line.text.size;
    draw(editor, editor->prompt);
    write_text(mark);
    write_text("\r\n");
    qins_display_begin(&editor->display);
}

// --- history ---

static void show_entry(qins_line_editor *editor, size_t place) {
    qins_line *line = &editor->line;
    if (editor->place == editor->history.n_entries) {
        editor->waiting.size = 0;
        qins_line_expand(line, &editor->waiting);
    }
    qins_line_clear(line);
    editor->place = place;
    if (place < editor->history.n_entries)
        qins_line_paste(line, editor->history.entries[place], strlen(editor->history.entries[place]));
    else
        qins_line_paste(line, (const char *)editor->waiting.data, editor->waiting.size);
}

// Up and down move between the rows as drawn.
static void go_up(qins_line_editor *editor) {
    draw(editor, editor->prompt);
    const size_t cursor = qins_display_up(&editor->display, &editor->line);
    if (cursor != SIZE_MAX)
        editor->line.cursor = cursor;
    else if (editor->place > 0)
        show_entry(editor, editor->place - 1);
}

static void go_down(qins_line_editor *editor) {
    draw(editor, editor->prompt);
    const size_t cursor = qins_display_down(&editor->display, &editor->line);
    if (cursor != SIZE_MAX)
        editor->line.cursor = cursor;
    else if (editor->place < editor->history.n_entries)
        show_entry(editor, editor->place + 1);
}

// The newest entry before `place` that has the text; SIZE_MAX if there is none.
static size_t find_entry(const qins_line_editor *editor, const char *text, size_t place) {
    while (place-- > 0)
        if (strstr(editor->history.entries[place], text) != NULL) return place;
    return SIZE_MAX;
}

// Ctrl-R: search for text as it is typed. Returns the key that ended the search, which has yet to be obeyed.
static qins_key search(qins_line_editor *editor) {
    char wanted[64] = "", prompt[96];
    for (;;) {
        size_t length = strlen(wanted), before = editor->place;
        snprintf(prompt, sizeof prompt, "(search: %s) ", wanted);
        draw(editor, prompt);
        const qins_key key = qins_terminal_key(&editor->terminal, editor->error);
        const qins_buffer *text = &editor->terminal.text;
        if (key == QINS_KEY_TEXT && text->size < sizeof wanted - length) {
            memcpy(wanted + length, text->data, text->size);
            wanted[length + text->size] = '\0';
            before = editor->place < editor->history.n_entries ? editor->place + 1 : editor->place;
        } else if (key == QINS_KEY_BACKSPACE) {
            wanted[length - qins_character_bytes_before(wanted, length)] = '\0';
            before = editor->history.n_entries;
        } else if (key == QINS_KEY_ESCAPE) {
            show_entry(editor, editor->history.n_entries);
            return QINS_KEY_NONE;
        } else if (key != QINS_KEY_SEARCH && key != QINS_KEY_NONE) {
            return key;
        }
        const size_t found = key != QINS_KEY_NONE && wanted[0] != '\0' ? find_entry(editor, wanted, before) : SIZE_MAX;
        if (found != SIZE_MAX) show_entry(editor, found);
    }
}

// --- completion ---

static void complete(qins_line_editor *editor) {
    qins_line *line = &editor->line;
    qins_buffer added = {.error = editor->error}, list = {.error = editor->error};
    if (!editor->complete((const char *)line->text.data, line->cursor, &added, &list)) {
        qins_line_insert(line, "\t", 1);
    } else if (added.size > 0) {
        qins_line_insert(line, (const char *)added.data, added.size);
    } else if (list.size > 0) {
        const size_t cursor = line->cursor;
        leave(editor, "");
        qins_terminal_write(list.data, list.size);
        line->cursor = cursor;
    }
    qins_buffer_free(&added);
    qins_buffer_free(&list);
}

// --- keys ---

static const struct {
    qins_key key;
    enum { MOVE, DELETE, KILL } action;
    qins_motion motion;
} edits[] = {
    {QINS_KEY_LEFT, MOVE, QINS_TO_LEFT},
    {QINS_KEY_RIGHT, MOVE, QINS_TO_RIGHT},
    {QINS_KEY_WORD_LEFT, MOVE, QINS_TO_WORD_LEFT},
    {QINS_KEY_WORD_RIGHT, MOVE, QINS_TO_WORD_RIGHT},
    {QINS_KEY_HOME, MOVE, QINS_TO_START},
    {QINS_KEY_END, MOVE, QINS_TO_END},
    {QINS_KEY_BACKSPACE, DELETE, QINS_TO_LEFT},
    {QINS_KEY_DELETE, DELETE, QINS_TO_RIGHT},
    {QINS_KEY_KILL_WORD_LEFT, KILL, QINS_TO_WORD_LEFT},
    {QINS_KEY_KILL_WORD_RIGHT, KILL, QINS_TO_WORD_RIGHT},
    {QINS_KEY_KILL_TO_START, KILL, QINS_TO_START},
    {QINS_KEY_KILL_TO_END, KILL, QINS_TO_END},
};

static void edit(qins_line *line, qins_key key) {
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        if (edits[i].key != key) continue;
        if (edits[i].action == MOVE) line->cursor = qins_line_target(line, edits[i].motion);
        if (edits[i].action == DELETE) qins_line_delete(line, edits[i].motion);
        if (edits[i].action == KILL) qins_line_kill(line, edits[i].motion);
    }
}

static int end_of(qins_line_editor *editor, qins_line_end end, const char *mark) {
    leave(editor, mark);
    return end;
}

// Returns how the line ends, EDITING while it goes on.
static int obey(qins_line_editor *editor, qins_key key) {
    qins_line *line = &editor->line;
    const qins_buffer *text = &editor->terminal.text;
    switch (key) {
    case QINS_KEY_SIGNAL:
        return end_of(editor, QINS_LINE_SIGNAL, "");
    case QINS_KEY_CLOSED:
        return end_of(editor, QINS_LINE_CLOSED, "");
    case QINS_KEY_ENTER:
        return end_of(editor, QINS_LINE_ENTERED, "");
    case QINS_KEY_CANCEL:
        return end_of(editor, QINS_LINE_CANCELLED, "^C");
    case QINS_KEY_EOF:
        if (line->text.size == 0) return end_of(editor, QINS_LINE_CLOSED, "");
        qins_line_delete(line, QINS_TO_RIGHT);
        break;
    case QINS_KEY_TEXT:
        qins_line_insert(line, (const char *)text->data, text->size);
        break;
    case QINS_KEY_PASTE:
        qins_line_paste(line, (const char *)text->data, text->size);
        break;
    case QINS_KEY_NEWLINE:
        qins_line_insert(line, "\n", 1);
        break;
    case QINS_KEY_TAB:
        complete(editor);
        break;
    case QINS_KEY_YANK:
        qins_line_yank(line);
        break;
    case QINS_KEY_UP:
        go_up(editor);
        break;
    case QINS_KEY_DOWN:
        go_down(editor);
        break;
    case QINS_KEY_SEARCH:
        return obey(editor, search(editor));
    case QINS_KEY_REDRAW:
        write_text("\033[H\033[2J");
        qins_display_begin(&editor->display);
        break;
    case QINS_KEY_SUSPEND:
        leave(editor, "");
        qins_terminal_suspend(&editor->terminal, editor->error);
        break;
    default:
        edit(line, key);
    }
    return EDITING;
}

qins_line_end qins_line_editor_read(qins_line_editor *editor, const char *prompt, qins_buffer *line) {
    int end = EDITING;
    qins_line_clear(&editor->line);
    qins_display_begin(&editor->display);
    editor->prompt = prompt;
    editor->place = editor->history.n_entries;
    if (qins_terminal_begin(&editor->terminal, editor->error) != QINS_OK) return QINS_LINE_CLOSED;
    draw(editor, prompt);
    while (end == EDITING && editor->error->status == QINS_OK) {
        const qins_key key = qins_terminal_key(&editor->terminal, editor->error);
        end = obey(editor, key);
        const bool is_changed = key != QINS_KEY_NONE || is_resized(editor);
        if (end == EDITING && is_changed && !qins_terminal_has_input(&editor->terminal)) draw(editor, prompt);
    }
    qins_terminal_end(&editor->terminal);
    qins_line_expand(&editor->line, line);
    return end == EDITING ? QINS_LINE_CLOSED : (qins_line_end)end;
}
