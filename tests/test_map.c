// Mappings: files, memory files, reserved memory.
#include "engine/base/fault.h"
#include "engine/base/map.h"
#include "tests/support.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

Test(map, a_file_in_memory_outlives_its_descriptor) {
    qins_error error = {0};
    int fd = qins_memory_file("test", &error);
    cr_assert_eq(write(fd, "contents", 8), 8);
    const uint8_t *data = qins_map_file(fd, "test", 8, &error);
    expect_ok(&error);
    close(fd);
    cr_expect_eq(memcmp(data, "contents", 8), 0);
    qins_unmap(data, 8);
}

Test(map, a_failed_mapping_names_the_path) {
    qins_error error = {0};
    cr_expect_null(qins_map_file(-1, "model.qins", 8, &error));
    expect_error(&error, QINS_FAILED, "cannot map model.qins (8 bytes): ");
}

Test(map, reserved_memory_is_zero_and_writable) {
    const size_t size = (size_t)1 << 36; // far more than is touched
    qins_error error = {0};
    uint8_t *memory = qins_reserve(size, "cache", &error);
    expect_ok(&error);
    cr_expect(memory[0] == 0 && memory[size / 2] == 0 && memory[size - 1] == 0);
    memory[0] = memory[size / 2] = memory[size - 1] = 7;
    qins_unmap(memory, size);
}

Test(map, what_cannot_be_reserved_is_named) {
    qins_error error = {0};
    cr_expect_null(qins_reserve(SIZE_MAX / 2, "keys", &error));
    expect_error(&error, QINS_FAILED, "bytes for the keys: ");
    qins_unmap(NULL, 100);
}

Test(map, a_file_that_fails_reads_as_zeros) {
    qins_error error = {0};
    int fd = qins_memory_file("test", &error), other = qins_memory_file("other", &error);
    const size_t size = 3 * 4096 + 8;
    cr_assert(ftruncate(fd, (off_t)size) == 0 && pwrite(fd, "contents", 8, 2 * 4096) == 8);
    cr_assert(pwrite(other, "contents", 8, 0) == 8);
    qins_catch_faults(&error);
    const uint8_t *one = qins_map_file(fd, "one", size, &error), *two = qins_map_file(other, "two", 8, &error);
    expect_ok(&error);
    cr_expect_eq(one[2 * 4096], 'c');
    cr_expect(!qins_map_is_lost(one));
    cr_assert_eq(ftruncate(fd, 4096), 0);
    cr_expect_eq(one[2 * 4096], 0);
    cr_expect(qins_map_is_lost(one) && qins_map_is_lost(one + size - 1));
    cr_expect(!qins_map_is_lost(two) && two[0] == 'c');
    cr_expect(!qins_map_is_lost(&error) && !qins_map_is_lost(NULL));
    qins_unmap(one, size);
    for (int i = 0; i < 100; i++) qins_unmap(qins_map_file(other, "again", 8, &error), 8);
    expect_ok(&error);
    qins_unmap(two, 8);
    close(fd);
    close(other);
}

Test(map, other_faults_end_the_program, .signal = SIGBUS) {
    qins_error error = {0};
    const int fd = qins_memory_file("test", &error);
    signal(SIGBUS, SIG_DFL); // sanitizers have a handler
    qins_catch_faults(&error);
    cr_assert_eq(ftruncate(fd, 1), 0);
    volatile char *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0); // not by map.c
    cr_assert_eq(ftruncate(fd, 0), 0);
    cr_expect_eq(memory[0], 1, "not reached");
}

Test(map, a_signal_that_is_sent_ends_the_program, .signal = SIGBUS) {
    qins_error error = {0};
    signal(SIGBUS, SIG_DFL); // sanitizers have a handler
    qins_catch_faults(&error);
    raise(SIGBUS);
}

static volatile sig_atomic_t n_own_calls;

static void own_handler(int number) {
    (void)number;
    n_own_calls++;
}

Test(map, a_handler_of_before_is_asked) {
    qins_error error = {0};
    signal(SIGBUS, own_handler);
    qins_catch_faults(&error);
    raise(SIGBUS);
    cr_expect_eq(n_own_calls, 1);
}

Test(map, no_file_goes_unguarded) {
    qins_error error = {0};
    const int fd = qins_memory_file("test", &error);
    cr_assert_eq(write(fd, "contents", 8), 8);
    int n = 0;
    while (n < 1000 && qins_map_file(fd, "many", 8, &error) != NULL) n++;
    cr_expect_eq(n, 64);
    expect_error(&error, QINS_FAILED, "64 files are mapped already");
    close(fd);
}
