// The table of `make torture`; see torture.h. Usage: torture BUILD_DIR [--short], in the repository's root.
#define _GNU_SOURCE // mkdtemp
#include "tests/torture/torture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tally_head(void) {
    printf("%-52s %9s %8s %6s %6s %7s %6s\n", "", "tried", "crashed", "hung", "wrong", "silent", "left");
}

void tally_print(struct torture *torture, const tally *row) {
    printf("%-52s %9zu %8zu %6zu %6zu %7zu %6zu\n", row->name, row->tried, row->crashed, row->hung, row->wrong,
           row->silent, row->left);
    fflush(stdout);
    torture->n_failures += row->crashed + row->hung + row->wrong + row->silent + row->left;
    if (row->tried == 0) torture->n_failures++; // a row that tries nothing proves nothing
}

void tally_outcome(tally *row, const struct outcome *outcome) {
    row->tried++;
    row->crashed += outcome->signal != 0;
    row->hung += outcome->hung;
    row->silent += outcome->code > 0 && !outcome->is_told;
}

static bool prepare(struct torture *torture) {
    snprintf(torture->convert, sizeof torture->convert, "%s/qinsconvert", torture->build);
    snprintf(torture->run, sizeof torture->run, "%s/qinsrun", torture->build);
    snprintf(torture->faults, sizeof torture->faults, "LD_PRELOAD=%s/faults.so", torture->build);
    snprintf(torture->model, sizeof torture->model, "%s/model.qins", torture->tmp);
    const char *const arguments[] = {torture->convert, torture->hf, "-o", torture->model, "--quiet", NULL};
    return run_program(torture, &(struct program){.arguments = arguments}).code == 0;
}

int main(int argc, char **argv) {
    char tmp[] = "/tmp/qins-torture-XXXXXX", remove[64];
    struct torture torture = {.hf = "tests/data/tiny/sharded-f16",
                              .is_short = argc > 2 && strcmp(argv[2], "--short") == 0};
    torture.build = argc > 1 ? realpath(argv[1], NULL) : NULL;
    torture.tmp = mkdtemp(tmp);
    if (torture.build == NULL || torture.tmp == NULL || !prepare(&torture)) {
        fprintf(stderr, "usage: torture BUILD_DIR [--short], in the repository's root\n");
        return 2;
    }
    tally_head();
    torture_damage(&torture);
    torture_faults(&torture);
    torture_kills(&torture);
    torture_injection(&torture);
    torture_fuzzers(&torture);
    snprintf(remove, sizeof remove, "rm -rf %s", tmp);
    if (system(remove) != 0) fprintf(stderr, "%s stays\n", tmp);
    printf(torture.n_failures == 0 ? "all as it must be\n" : "%zu failures\n", torture.n_failures);
    return torture.n_failures > 0;
}
