// Runs the Criterion tests under ThreadSanitizer, in place of libcriterion: Criterion maps the memory of its sandbox
// where ThreadSanitizer allows no mappings. Every test runs in a process of its own, one after the other; output and
// options are Criterion's as far as tests/run.sh needs them. Knows the test macros' side of Criterion 2.4 only.
#define _GNU_SOURCE // vasprintf, FNM_EXTMATCH
#include <criterion/criterion.h>
#include <criterion/event.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// Test() leaves these in the program: pointers in a section of their own.
extern struct criterion_test *__start_cr_tst[], *__stop_cr_tst[];

enum { EXIT_FAILED = 1, EXIT_SKIPPED = 77 };

struct criterion_options criterion_options;
static bool failed;
static const struct criterion_test *current;

char *cr_translate_assert_msg(int msg_index, ...) {
    (void)msg_index;
    return strdup("the assertion does not hold");
}

int cr_asprintf(char **text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int size = vasprintf(text, format, arguments);
    va_end(arguments);
    return size;
}

void cr_asprintf_free(char *text) {
    free(text);
}

void cri_asserts_passed_incr(void) {
}

void criterion_send_assert(struct criterion_assert_stats *stats) {
    if (stats->passed) return;
    failed = true;
    fprintf(stderr, "[----] %s:%u: Assertion Failed\n[----]   %s\n", stats->file, stats->line, stats->message);
}

void criterion_abort_test(void) {
    exit(EXIT_FAILED);
}

void criterion_continue_test(void) {
}

void criterion_skip_test(const char *format, ...) {
    (void)format;
    exit(EXIT_SKIPPED);
}

void criterion_internal_test_setup(void) {
    if (current->data->init != NULL) current->data->init();
}

void criterion_internal_test_main(void (*function)(void)) {
    function();
}

void criterion_internal_test_teardown(void) {
    if (current->data->fini != NULL) current->data->fini();
}

// Run one test in a program of its own (a fork of a process that has threads is more than the sanitizer follows).
static int run_test(const char *number) {
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "qinstests", "--one", number, (char *)NULL);
        _exit(126);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) < 0) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run_all(const char *pattern, FILE *tap) {
    int n_passed = 0, n_failed = 0, n_crashed = 0;
    for (ptrdiff_t i = 0; i < __stop_cr_tst - __start_cr_tst; i++) {
        const struct criterion_test *test = __start_cr_tst[i];
        char number[24], name[256];
        snprintf(number, sizeof number, "%td", i);
        snprintf(name, sizeof name, "%s/%s", test->category, test->name);
        if (fnmatch(pattern, name, FNM_EXTMATCH) != 0) continue;
        const int code = run_test(number);
        if (code == EXIT_SKIPPED) {
            if (tap != NULL) fprintf(tap, "ok - %s::%s  # SKIP\n", test->category, test->name);
            continue;
        }
        n_passed += code == 0;
        n_failed += code != 0;
        n_crashed += code != 0 && code != EXIT_FAILED;
        if (code != 0) fprintf(stderr, "[FAIL] %s::%s (exit code %d)\n", test->category, test->name, code);
    }
    fprintf(stderr, "[====] Synthesis: Tested: %d | Passing: %d | Failing: %d | Crashing: %d \n", n_passed + n_failed,
            n_passed, n_failed, n_crashed);
    return n_failed == 0 ? 0 : EXIT_FAILED;
}

int main(int argc, char **argv) {
    const char *pattern = "*";
    FILE *tap = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--one") == 0 && i + 1 < argc) {
            current = __start_cr_tst[atoi(argv[i + 1])];
            current->test();
            return failed ? EXIT_FAILED : 0;
        }
        if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc) pattern = argv[++i];
        if (strncmp(argv[i], "--tap=", 6) == 0) tap = fopen(argv[i] + 6, "w");
    }
    int code = run_all(pattern, tap);
    if (tap != NULL) fclose(tap);
    return code;
}
