// The line editor's text, its characters, and the drawing of rows.
#include "engine/cli/characters.h"
#include "engine/cli/display.h"
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

#define FAMILY "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7" // man, woman, girl, joined
#define FLAG "\xF0\x9F\x87\xA9\xF0\x9F\x87\xAA"
#define ACCENTED "e\xCC\x81"
#define SUN "\xE6\x97\xA5"

Test(characters, are_what_a_person_takes_for_one) {
    static const char *const characters[] = {"a", "\n",   "\xC3\xA9", ACCENTED,
                                             SUN, FAMILY, FLAG,       "\xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD"};
    qins_characters_open();
    for (size_t i = 0; i < sizeof characters / sizeof *characters; i++) {
        char text[64];
        const size_t size = strlen(characters[i]);
        snprintf(text, sizeof text, "%sx", characters[i]);
        cr_expect_eq(qins_character_bytes(text, size + 1), size, "%s", characters[i]);
        snprintf(text, sizeof text, "x%s", characters[i]);
        cr_expect_eq(qins_character_bytes_before(text, size + 1), size, "%s", characters[i]);
    }
    cr_expect_eq(qins_character_bytes(FLAG FLAG, 16), 8);
    cr_expect_eq(qins_character_bytes("\n\xCC\x81", 3), 1); // no accent on a line end
    cr_expect_eq(qins_character_bytes("\xFFx", 2), 1);      // invalid bytes stand for themselves
    cr_expect_eq(qins_character_bytes("\xE6\x97", 2), 1);
    cr_expect_eq(qins_character_bytes("", 0), 0);
    cr_expect_eq(qins_character_bytes_before("", 0), 0);
    cr_expect_eq(qins_character_columns("a", 1), 1);
    cr_expect_eq(qins_character_columns(SUN, 3), 2);
    cr_expect_eq(qins_character_columns(ACCENTED, 3), 1);
    cr_expect_geq(qins_character_columns(FAMILY, strlen(FAMILY)), 2);
}

static void expect_text(const qins_line *line, const char *text, size_t cursor) {
    const size_t size = line->text.size;
    cr_assert(size == strlen(text) && (size == 0 || memcmp(line->text.data, text, size) == 0), "'%.*s', not '%s'",
              (int)line->text.size, (const char *)line->text.data, text);
    cr_assert_eq(line->cursor, cursor, "'%s': cursor at %zu, not %zu", text, line->cursor, cursor);
}

static void type(qins_line *line, const char *text) {
    qins_line_insert(line, text, strlen(text));
}

Test(line, moves_and_deletes_by_characters_words_and_lines) {
    qins_error error = {0};
    qins_line line;
    qins_characters_open();
    qins_line_init(&line, &error);
    qins_line_delete(&line, QINS_TO_LEFT);
    qins_line_delete(&line, QINS_TO_RIGHT);
    expect_text(&line, "", 0);
    type(&line, "one " FAMILY);
    line.cursor = qins_line_target(&line, QINS_TO_LEFT);
    expect_text(&line, "one " FAMILY, 4);
    type(&line, ACCENTED);
    qins_line_delete(&line, QINS_TO_RIGHT);
    qins_line_delete(&line, QINS_TO_LEFT);
    expect_text(&line, "one ", 4);
    type(&line, "two\nthree four");
    line.cursor = qins_line_target(&line, QINS_TO_WORD_LEFT);
    cr_expect_eq(line.cursor, 14);
    qins_line_kill(&line, QINS_TO_START);
    expect_text(&line, "one two\nfour", 8);
    line.cursor = qins_line_target(&line, QINS_TO_WORD_RIGHT);
    qins_line_kill(&line, QINS_TO_WORD_LEFT);
    qins_line_yank(&line);
    qins_line_yank(&line);
    expect_text(&line, "one two\nfourfour", 16);
    qins_line_kill(&line, QINS_TO_END); // nothing: the killed text stays
    qins_line_clear(&line);
    qins_line_yank(&line);
    expect_text(&line, "four", 4);
    expect_ok(&error);
    qins_line_free(&line);
}

static void expect_expanded(const qins_line *line, const char *text, size_t size) {
    qins_error error = {0};
    qins_buffer out = {.error = &error};
    qins_line_expand(line, &out);
    cr_assert(out.size == size && memcmp(out.data, text, size) == 0);
    qins_buffer_free(&out);
}

Test(line, large_pastes_are_one_character_and_come_back_whole) {
    qins_error error = {0};
    qins_line line;
    char large[2000], wanted[2100];
    memset(large, 'x', sizeof large);
    qins_characters_open();
    qins_line_init(&line, &error);
    type(&line, "a");
    qins_line_paste(&line, "few\nlines", 9);
    cr_expect_eq(line.n_folds, 0);
    qins_line_paste(&line, large, sizeof large);
    qins_line_paste(&line, "1\n2\n3\n4\n5\n6\n7\n8\n9", 17);
    cr_expect_eq(line.n_folds, 2);
    type(&line, "z");
    const int size =
        snprintf(wanted, sizeof wanted, "afew\nlines%.*s1\n2\n3\n4\n5\n6\n7\n8\n9z", (int)sizeof large, large);
    expect_expanded(&line, wanted, (size_t)size);
    qins_line_delete(&line, QINS_TO_LEFT);
    qins_line_delete(&line, QINS_TO_LEFT);
    line.cursor = qins_line_target(&line, QINS_TO_LEFT);
    qins_line_delete(&line, QINS_TO_RIGHT);
    expect_text(&line, "afew\nlines", 10);
    for (size_t i = 0; i < QINS_MAX_FOLDS + 5; i++) qins_line_paste(&line, large, sizeof large);
    cr_expect_eq(line.n_folds, QINS_MAX_FOLDS);
    qins_line_clear(&line);
    type(&line, "\xF4\x8F\xBC\x80"); // the character that folds are made with, typed
    expect_expanded(&line, "\xF4\x8F\xBC\x80", 4);
    expect_ok(&error);
    qins_line_free(&line);
}

// --- drawing ---

enum { MOST_COLUMNS = 80, MOST_ROWS = 60 };

// A terminal of one column a character, which never wraps by itself.
struct screen {
    char cells[MOST_ROWS][MOST_COLUMNS + 1];
    size_t row, column, columns;
};

static void clear_from(struct screen *screen, size_t row, size_t column) {
    memset(screen->cells[row] + column, 0, sizeof screen->cells[row] - column);
}

static void show(struct screen *screen, const qins_buffer *out) {
    const char *at = (const char *)out->data, *end = at + out->size;
    while (at < end) {
        unsigned n = 0;
        char command = 0;
        if (*at == '\r') {
            screen->column = 0;
            at++;
        } else if (*at == '\n') {
            cr_assert_lt(++screen->row, MOST_ROWS);
            at++;
        } else if (sscanf(at, "\033[%u%c", &n, &command) == 2 || sscanf(at, "\033[%c", &command) == 1) {
            at = strchr(at, command) + 1;
            if (command == 'A') cr_assert_geq(screen->row, n);
            if (command == 'A') screen->row -= n;
            clear_from(screen, screen->row, command == 'A' ? MOST_COLUMNS : screen->column);
            for (size_t row = screen->row + 1; command == 'J' && row < MOST_ROWS; row++) clear_from(screen, row, 0);
        } else {
            cr_assert_lt(screen->column, screen->columns - 1, "the last column is used");
            screen->cells[screen->row][screen->column++] = *at++;
        }
    }
}

static void draw(qins_display *display, const qins_line *line, struct screen *screen) {
    qins_error error = {0};
    qins_buffer out = {.error = &error};
    qins_display_draw(display, line, "> ", &out);
    expect_ok(&error);
    show(screen, &out);
    qins_buffer_free(&out);
}

Test(display, rows_leave_the_last_column_free_and_follow_the_terminal) {
    qins_error error = {0};
    qins_line line;
    qins_display display = {0};
    struct screen screen = {.columns = 12};
    qins_characters_open();
    qins_line_init(&line, &error);
    qins_display_begin(&display);
    qins_display_resize(&display, 12, 24);
    type(&line, "0123456789abc\n\tx\x01");
    draw(&display, &line, &screen);
    cr_expect_str_eq(screen.cells[0], "> 012345678");
    cr_expect_str_eq(screen.cells[1], "  9abc");
    cr_expect_str_eq(screen.cells[2], "        x^A");
    cr_expect(screen.row == 2 && screen.column == 11);
    line.cursor = qins_display_up(&display, &line);
    draw(&display, &line, &screen);
    cr_expect(screen.row == 1 && screen.column == 5, "%zu, %zu", screen.row, screen.column);
    line.cursor = qins_display_up(&display, &line);
    draw(&display, &line, &screen);
    cr_expect(screen.row == 0 && screen.column == 5);
    cr_expect_eq(qins_display_up(&display, &line), SIZE_MAX);
    line.cursor = qins_display_down(&display, &line);
    cr_expect_eq(line.cursor, 12);
    qins_display_resize(&display, 80, 24);
    screen.columns = 80;
    draw(&display, &line, &screen);
    cr_expect_str_eq(screen.cells[0], "> 0123456789abc");
    cr_expect_str_eq(screen.cells[1], "        x^A");
    cr_expect_eq(screen.cells[2][0], '\0');
    line.cursor = line.text.size;
    type(&line, "\xC2\x9B\x7F"); // C1 is not obeyed, either
    draw(&display, &line, &screen);
    cr_expect_str_eq(screen.cells[1], "        x^A??^?", "%s", screen.cells[1]);
    qins_display_free(&display);
    qins_line_free(&line);
}

Test(display, a_text_larger_than_the_terminal_is_shown_around_the_cursor) {
    qins_error error = {0};
    qins_line line;
    qins_display display = {0};
    struct screen screen = {.columns = 20};
    qins_characters_open();
    qins_line_init(&line, &error);
    qins_display_begin(&display);
    qins_display_resize(&display, 20, 3);
    type(&line, "1\n2\n3\n4\n5\n6");
    draw(&display, &line, &screen);
    cr_expect_str_eq(screen.cells[0], "  4");
    cr_expect_str_eq(screen.cells[2], "  6");
    for (int i = 0; i < 5; i++) line.cursor = qins_display_up(&display, &line);
    draw(&display, &line, &screen);
    cr_expect_str_eq(screen.cells[0], "> 1");
    cr_expect_str_eq(screen.cells[2], "  3");
    qins_display_free(&display);
    qins_line_free(&line);
}
