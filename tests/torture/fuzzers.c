// Runs the fuzzers that `make fuzz` has built, each for a while; see torture.h.
#include "tests/torture/torture.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t count_executions(const struct torture *torture) {
    static const char label[] = "stat::number_of_executed_units:";
    char path[600];
    size_t size = 0;
    snprintf(path, sizeof path, "%s/err", torture->tmp);
    char *text = read_file(path, &size);
    const char *found = text != NULL ? strstr(text, label) : NULL;
    const size_t n = found != NULL ? strtoul(found + strlen(label), NULL, 10) : 0;
    free(text);
    return n;
}

static void fuzz(struct torture *torture, const char *target) {
    char row_name[128], seeds[600], corpus[600], artifacts[620];
    const char *name = strrchr(target, '_') + 1;
    tally row = {.name = row_name};
    snprintf(row_name, sizeof row_name, "fuzz: %s", name);
    snprintf(seeds, sizeof seeds, "tests/fuzz/seeds/%s", name);
    snprintf(corpus, sizeof corpus, "%s/corpus/%s", "build/fuzz", name); // of earlier runs, if there were any
    snprintf(artifacts, sizeof artifacts, "-artifact_prefix=%s/", torture->tmp);
    const char *const arguments[] = {target,
                                     "-max_total_time=20",
                                     "-timeout=10",
                                     "-max_len=16384",
                                     "-dict=tests/fuzz/json.dict",
                                     "-print_final_stats=1",
                                     artifacts,
                                     seeds,
                                     access(corpus, R_OK) == 0 ? corpus : NULL,
                                     NULL};
    const struct outcome outcome = run_program(torture, &(struct program){.arguments = arguments});
    tally_outcome(&row, &outcome);
    row.tried = count_executions(torture);
    row.crashed += outcome.code != 0;
    tally_print(torture, &row);
}

void torture_fuzzers(struct torture *torture) {
    glob_t targets = {0};
    if (torture->is_short) return; // CI replays the seeds by itself
    if (glob("build/fuzz/fuzz_*[a-z]", 0, NULL, &targets) != 0) printf("fuzz: nothing is built (make fuzz)\n");
    for (size_t i = 0; i < targets.gl_pathc; i++)
        if (access(targets.gl_pathv[i], X_OK) == 0 && strchr(targets.gl_pathv[i], '.') == NULL)
            fuzz(torture, targets.gl_pathv[i]);
    globfree(&targets);
}
