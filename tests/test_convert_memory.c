// Out of memory at every single allocation of a conversion: an error, and nothing lost (the address sanitizer looks for
// leaks).
#include "convert/convert.h"
#include "engine/base/map.h"
#include "tests/failing_allocation.h"
#include "tests/hf_fixture.h"

#include <criterion/criterion.h>
#include <unistd.h>

Test(convert_memory, every_allocation_may_fail) {
    hf_fixture fixture;
    hf_fixture_make(&fixture, QINS_BF16);
    hf_fixture_write(&fixture, 2);
    hf_fixture_text(&fixture, "tokenizer_config.json", "{\"chat_template\":\"x\"}");
    const qins_convert_options options = {.weight_type = QINS_QINS8, .n_threads = 1};
    bool failed = true;
    size_t n = 0;
    while (failed) {
        qins_error error = {0};
        qins_convert_report report;
        int fd = qins_memory_file("test", &error);
        cr_assert_geq(fd, 0);
        failing_allocation_set(++n);
        qins_status status = qins_convert(fixture.path, fd, "out", &options, NULL, NULL, &report, &error);
        failed = failing_allocation_hit();
        failing_allocation_set(0);
        cr_expect_eq(status, failed ? QINS_FAILED : QINS_OK, "allocation %zu: %s", n, error.message);
        qins_convert_report_free(&report);
        close(fd);
    }
    cr_expect_gt(n, 50u);
    hf_fixture_remove(&fixture);
}
