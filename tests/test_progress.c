// The progress meter: it passes the request to stop on, and stays silent about short work.
#include "engine/base/progress.h"
#include "tests/support.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t stop_flag;

Test(progress, false_once_it_should_stop) {
    stop_flag = 0;
    qins_meter meter = qins_meter_start("work", "MB", 1e6, &stop_flag);
    cr_expect(qins_meter_update(&meter, 1, 10));
    stop_flag = 1;
    cr_expect(!qins_meter_update(&meter, 2, 10));
    qins_meter_end(&meter);
    meter = qins_meter_start("work", "MB", 1e6, NULL);
    cr_expect(qins_meter_update(&meter, 1, 10), "nobody can stop it");
    cr_expect(qins_meter_update(&meter, 0, 0));
    qins_meter_end(&meter);
}

// The meter's output to stderr for `done` of `total` steps, `seconds` after its start.
static void shown(char text[static 256], uint64_t done, uint64_t total, double seconds) {
    char *folder = temporary_folder();
    const char *path = write_file(folder, "stderr", "", 0);
    int file = open(path, O_RDWR), saved = dup(STDERR_FILENO);
    cr_assert(file >= 0 && saved >= 0);
    cr_assert_eq(dup2(file, STDERR_FILENO), STDERR_FILENO);
    qins_meter meter = qins_meter_start("converting", "MB", 1e6, NULL);
    meter.start -= seconds;
    meter.shown -= seconds;
    qins_meter_update(&meter, done, total);
    qins_meter_end(&meter);
    cr_assert_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    ssize_t size = pread(file, text, 255, 0);
    cr_assert_geq(size, 0);
    text[size] = '\0';
    close(file);
    close(saved);
    remove_folder(folder);
}

Test(progress, silent_at_first_then_a_line_in_a_log) {
    char text[256];
    shown(text, 500000000, 1000000000, 0.5);
    cr_expect_str_empty(text);
    shown(text, 0, 1000000000, 20);
    cr_expect_str_empty(text, "no rate without work done");
    shown(text, 500000000, 1000000000, 20);
    cr_expect(strncmp(text, "converting  50 %  ", 18) == 0 && strstr(text, " MB/s  ") != NULL, "%s", text);
    cr_expect(strstr(text, "  20 s left\n") != NULL, "%s", text);
    shown(text, 19000000, 1000000000, 20);
    cr_expect_str_eq(text, "converting  1 %  0.9 MB/s\n", "no guesses at the time left");
}
