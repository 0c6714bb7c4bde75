// Mappings: files, memory files, reserved memory.
#include "engine/base/map.h"
#include "tests/support.h"

#include <string.h>
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

Test(map, addresses_of_mapped_files_are_known_by_path) {
    qins_error error = {0};
    int fd = qins_memory_file("test", &error);
    cr_assert_eq(write(fd, "contents", 8), 8);
    const uint8_t *one = qins_map_file(fd, "one", 8, &error), *two = qins_map_file(fd, "two", 8, &error);
    expect_ok(&error);
    cr_expect_str_eq(qins_mapped_path(one), "one");
    cr_expect_str_eq(qins_mapped_path(two + 7), "two");
    cr_expect_null(qins_mapped_path(two + 8));
    cr_expect_null(qins_mapped_path(&error));
    cr_expect_null(qins_mapped_path(NULL));
    qins_unmap(one, 8);
    cr_expect_null(qins_mapped_path(one));
    for (int i = 0; i < 100; i++) qins_unmap(qins_map_file(fd, "again", 8, &error), 8);
    expect_ok(&error);
    cr_expect_str_eq(qins_mapped_path(two), "two");
    qins_unmap(two, 8);
    close(fd);
}
