// Every parser on hostile input of n and of 2n parts: it may take twice as much work and memory, or n log n, but not
// n^2. Work is counted (count.h), so the answer does not depend on the machine. Prints a line for each case; run by
// tests/cli/test_linear.sh from the root of the sources.
#include "tests/linear/cases.h"
#include "tests/linear/count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 4000 };

// n log n gives 2.2, n^2 4. Work that is the same for all n lowers the ratio, so there is a bound per byte as well,
// which allows, say, a sort to compare each of 60 parts of a name.
static const double MAX_RATIO = 2.5, MAX_PER_BYTE = 4000, MAX_MEMORY_PER_BYTE = 100;
static const double FREE_OPERATIONS = 50e6, FREE_MEMORY = 16e6; // whatever the input

static counts measure(const linear_case *c, size_t n, size_t *size) {
    qins_error error = {0};
    qins_buffer input = {.error = &error};
    c->make(&input, n);
    *size = input.size;
    if (error.status != QINS_OK) abort();
    c->run((const char *)input.data, input.size); // for everything that is made once
    count_start();
    c->run((const char *)input.data, input.size);
    const counts counted = count_stop();
    qins_buffer_free(&input);
    return counted;
}

static double ratio(uint64_t more, uint64_t less) {
    return less == 0 ? 1 : (double)more / (double)less;
}

// `shown`: print a line, too.
static bool is_linear(const linear_case *c, bool shown) {
    const size_t n = c->n > 0 ? c->n : N;
    size_t size, twice_size;
    const counts once = measure(c, n, &size), twice = measure(c, 2 * n, &twice_size);
    const double operations = ratio(twice.operations, once.operations),
                 bytes = ratio(twice.peak_bytes, once.peak_bytes);
    const bool is_good = operations <= MAX_RATIO && (bytes <= MAX_RATIO || (double)twice.peak_bytes < FREE_MEMORY) &&
                         (double)twice.operations <= FREE_OPERATIONS + MAX_PER_BYTE * (double)twice_size &&
                         (double)twice.peak_bytes <= FREE_MEMORY + MAX_MEMORY_PER_BYTE * (double)twice_size;
    if (shown)
        printf("%s - %-44s %9zu bytes, x %.2f: %12llu operations, x %.2f; %10llu bytes held, x %.2f\n",
               is_good ? "ok" : "FAIL", c->name, size, (double)twice_size / (double)size,
               (unsigned long long)once.operations, operations, (unsigned long long)once.peak_bytes, bytes);
    return is_good;
}

// --- the test can fail ---

static void make_names(qins_buffer *input, size_t n) {
    for (size_t i = 0; i < n; i++) put(input, "name%zu", i);
}

// Each part is compared with all of the text.
static void compare_all(const char *text, size_t size) {
    for (size_t i = 0; i + 8 < size; i += 8)
        if (memchr(text, '\0', size) != NULL) abort();
}

int main(void) {
    static const linear_case quadratic = {"n^2", make_names, compare_all, 0};
    size_t n_bad = is_linear(&quadratic, false);
    printf("%s - n^2 is found\n", n_bad == 0 ? "ok" : "FAIL");
    linear_setup();
    for (size_t i = 0; i < n_linear_cases; i++) n_bad += !is_linear(&linear_cases[i], true);
    linear_teardown();
    return n_bad > 0;
}
