// Options of qinsrun: each one lands in its field, ranges and misuse are refused by name.
#include "engine/cli/commands.h"
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

enum { MAX_ARGUMENTS = 24 };

// Parse a command line that is cut at its spaces; a command may come first.
static qins_status parse(qins_options *options, const char *line, qins_error *error) {
    static char text[1024];
    char *arguments[MAX_ARGUMENTS + 1] = {"qinsrun"};
    int count = 1;
    cr_assert_lt(strlen(line), sizeof text);
    strcpy(text, line);
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        cr_assert_lt(count, MAX_ARGUMENTS);
        arguments[count++] = strcmp(word, "''") == 0 ? "" : word;
    }
    const qins_command *named = count > 1 ? qins_command_find(arguments[1]) : NULL;
    const bool is_named = named != NULL;
    return qins_options_parse(options, is_named ? named->options : qins_default_options(), count - is_named,
                              arguments + is_named, error);
}

static qins_options parsed(const char *line) {
    qins_options options;
    qins_error error = {0};
    parse(&options, line, &error);
    expect_ok(&error);
    cr_assert(!options.help.common);
    return options;
}

static void expect_usage(const char *line, const char *message) {
    qins_options options;
    qins_error error = {0};
    cr_expect_eq(parse(&options, line, &error), QINS_USAGE, "%s", line);
    expect_error(&error, QINS_USAGE, message);
}

Test(options, defaults) {
    qins_options options = parsed("");
    cr_expect(options.model.path == NULL && options.prompt.text == NULL && options.prompt.n_files == 0 &&
              options.prompt.ids == NULL);
    cr_expect(options.sampling.n_predict == SIZE_MAX && options.sampling.n_stops == 0);
    cr_expect(options.sampling.sampler.temperature == 0 && options.sampling.sampler.top_k == 0 &&
              options.sampling.sampler.top_p == 1);
    cr_expect(options.sampling.sampler.min_p == 0 && options.sampling.sampler.repeat_penalty == 1 &&
              !options.sampling.seed_given);
    cr_expect(options.session.n_ctx == 0 && options.process.n_threads == 0 && !options.session.rope_long);
    cr_expect(options.session.k_type == QINS_F16 && options.session.v_type == QINS_QINS8);
    cr_expect(options.model.convert.weight_type == QINS_QINS8 && options.model.convert.n_rules == 0);
    cr_expect(options.model.convert.n_threads >= 1);
    cr_expect(options.measure.bos == -1 && options.measure.top == 5 && options.measure.max_windows == SIZE_MAX &&
              !options.output.json);
}

Test(options, texts_and_files) {
    cr_expect_str_eq(parsed("-m model.qins").model.path, "model.qins");
    cr_expect_str_eq(parsed("--model model.qins").model.path, "model.qins");
    cr_expect_str_eq(parsed("--model=model.qins").model.path, "model.qins");
    cr_expect_str_eq(parsed("-p hello").prompt.text, "hello");
    cr_expect_str_eq(parsed("-p ''").prompt.text, "");
    cr_expect_str_eq(parsed("--prompt hello").prompt.text, "hello");
    cr_expect_str_eq(parsed("-f -").prompt.files[0], "-");
    cr_expect_str_eq(parsed("--file text").prompt.files[0], "text");
    cr_expect_str_eq(parsed("-p first -f second -f third").prompt.files[1], "third");
    cr_expect_str_eq(parsed("--messages chat.json").prompt.messages, "chat.json");
    setenv("QINS_MODEL", "usual.qins", 1);
    cr_expect_str_eq(parsed("-p hello").model.path, "usual.qins");
    cr_expect_str_eq(parsed("-m other.qins").model.path, "other.qins");
    unsetenv("QINS_MODEL");
    cr_expect_str_eq(parsed("--ids ids").prompt.ids, "ids");
    cr_expect_str_eq(parsed("--ids-file ids").prompt.ids_file, "ids");
    cr_expect_str_eq(parsed("--system be-kind").prompt.system, "be-kind");
    cr_expect_str_eq(parsed("--ref other").model.ref, "other");
    qins_options options = parsed("--stop one --stop two");
    cr_expect(options.sampling.n_stops == 2 && strcmp(options.sampling.stops[0], "one") == 0 &&
              strcmp(options.sampling.stops[1], "two") == 0);
}

Test(options, switches) {
    qins_options options = parsed("--raw --parse-special --no-special --ids-out --decode --json");
    cr_expect(options.prompt.raw && options.prompt.parse_special && options.prompt.no_special &&
              options.output.ids_out);
    cr_expect(options.prompt.decode && options.output.json);
    options = parsed("");
    cr_expect(!options.prompt.raw && !options.prompt.parse_special && !options.prompt.no_special &&
              !options.output.ids_out);
    cr_expect(!options.prompt.decode && !options.output.json);
}

Test(options, numbers) {
    qins_options options =
        parsed("-n 7 -c 300 -t 3 -s 18446744073709551615 --top-k 40 --top 9 --bos 1 --max-windows 12");
    cr_expect(options.sampling.n_predict == 7);
    cr_expect(options.session.n_ctx == 300);
    cr_expect(options.process.n_threads == 3 && options.model.convert.n_threads == 3);
    cr_expect(options.sampling.sampler.seed == UINT64_MAX && options.sampling.seed_given);
    cr_expect(options.sampling.sampler.top_k == 40 && options.measure.top == 9 && options.measure.bos == 1 &&
              options.measure.max_windows == 12);
    options = parsed("-r 5 -d 0,16");
    cr_expect(options.bench.repeats == 5 && strcmp(options.bench.depths, "0,16") == 0);
    options = parsed("--n-predict 0 --ctx-size 0 --threads 1024 --seed 0");
    cr_expect(options.sampling.n_predict == 0 && options.session.n_ctx == 0);
    cr_expect(options.process.n_threads == 1024 && options.sampling.sampler.seed == 0 && options.sampling.seed_given);
    cr_expect_eq(parsed("--window 64").session.n_ctx, 64);
    options = parsed("-n -1 --top-k -1 --seed -1"); // as other engines have it
    cr_expect(options.sampling.n_predict == SIZE_MAX && options.sampling.sampler.top_k == 0 &&
              !options.sampling.seed_given);
    options = parsed("--max-tokens 5 --temperature 0.5 --system-prompt short --repetition-penalty 1.25");
    cr_expect(options.sampling.n_predict == 5 && options.sampling.sampler.temperature == 0.5f &&
              options.sampling.sampler.repeat_penalty == 1.25f);
    cr_expect_str_eq(options.prompt.system, "short");
    options = parsed("--temp 0.75 --top-p 0.5 --min-p 0.25 --repeat-penalty 1.5");
    cr_expect(options.sampling.sampler.temperature == 0.75f && options.sampling.sampler.top_p == 0.5f);
    cr_expect(options.sampling.sampler.min_p == 0.25f && options.sampling.sampler.repeat_penalty == 1.5f);
}

Test(options, names) {
    qins_options options = parsed("--kv-k f32 --kv-v f16 --rope long --type bf16 --lm-head qins8");
    cr_expect(options.session.k_type == QINS_F32 && options.session.v_type == QINS_F16 && options.session.rope_long);
    cr_expect(options.model.convert.weight_type == QINS_BF16);
    cr_expect(options.model.convert.n_rules == 1 && options.model.convert.rules[0].type == QINS_QINS8);
    cr_expect_str_eq(options.model.convert.rules[0].pattern, "head");
    options = parsed("--kv-k qins8 --kv-v qins4");
    cr_expect(options.session.k_type == QINS_QINS8 && options.session.v_type == QINS_QINS4);
    options = parsed("--kv-v f32 --rope auto --type f32 --lm-head bf16");
    cr_expect(options.session.v_type == QINS_F32 && !options.session.rope_long);
    cr_expect(options.model.convert.weight_type == QINS_F32);
    cr_expect_eq(options.model.convert.rules[0].type, QINS_BF16);
    cr_expect_str_eq(parsed("--embedding qins8").model.convert.rules[0].pattern, "embedding");
}

Test(options, wrong_numbers_are_refused) {
    static const char *const counts[] = {"-n", "-c", "-t", "-s", "--top-k", "--top", "--bos", "--max-windows"};
    static const char *const bad[] = {"-2", "x", "1x", "''", "1.5", "0x10", "+1", "99999999999999999999"};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (size_t j = 0; j < sizeof bad / sizeof bad[0]; j++) {
            char line[64];
            snprintf(line, sizeof line, "%s %s", counts[i], bad[j]);
            expect_usage(line, "takes a whole number");
        }
    }
    expect_usage("-t 0", "from 1 to 1024");
    expect_usage("-t 1025", "from 1 to 1024");
    expect_usage("-r 0", "from 1 to 100");
    expect_usage("-r 101", "from 1 to 100");
    expect_usage("--max-windows 0", "takes a whole number");
    expect_usage("--bos 2147483648", "--bos takes a whole number from 0 to 2147483647");
    expect_usage("-n 16777217", "takes a whole number from 0 to 16777216");
    static const char *const numbers[] = {"--temp", "--top-p", "--min-p", "--repeat-penalty"};
    static const char *const no_numbers[] = {"x", "1x", "''", "nan", "inf", "1e99"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        for (size_t j = 0; j < sizeof no_numbers / sizeof no_numbers[0]; j++) {
            char line[64];
            snprintf(line, sizeof line, "%s %s", numbers[i], no_numbers[j]);
            expect_usage(line, numbers[i]);
        }
    }
}

Test(options, wrong_names_are_refused) {
    expect_usage("--kv-k qins4", "--kv-k takes f16|qins8|f32, not \"qins4\"");
    expect_usage("--kv-k f1", "--kv-k takes");
    expect_usage("--kv-k ''", "--kv-k takes");
    expect_usage("--kv-k 16", "--kv-k takes");
    expect_usage("--kv-k f16|f32", "--kv-k takes");
    expect_usage("--kv-v bf16", "--kv-v takes qins8|qins4|f16|f32");
    expect_usage("--type f16", "--type takes qins8|qins6|qins5|qins4|bf16|f32");
    expect_usage("--lm-head f32", "--lm-head takes bf16|qins8|qins6");
    expect_usage("--rope short", "--rope takes auto|long");
}

Test(options, misuse_is_refused) {
    expect_usage("--frobnicate", "--frobnicate is not an option");
    expect_usage("-x", "-x is not an option");
    expect_usage("--raw=yes", "--raw takes no value");
    expect_usage("-m", "-m needs a value");
    expect_usage("-p hello --model", "--model needs a value");
    expect_usage("stray", "\"stray\" is not an option");
    expect_usage("-p x stray", "\"stray\" is not an option");
    expect_usage("-- --raw", "\"--raw\" is not an option");
    expect_usage("-m x chat", "the command comes first: qinsrun chat");
    expect_usage("scroe", "\"scroe\" is not a command; did you mean score?");
    expect_usage("stray --frobnicate", "\"stray\" is not an option");
    expect_usage("-p -x --frobnicate", "--frobnicate is not an option");
    expect_usage("-p x -p y", "-p: the prompt was already given");
    expect_usage("--messages x -f y", "-f: the prompt was already given");
    expect_usage("-f x --messages y", "--messages: the prompt was already given");
    expect_usage("--ids x -p y", "-p: the prompt was already given");
    expect_usage("--ids-file x --ids y", "--ids: the prompt was already given");
    expect_usage("-p x -p y", "already given");
    expect_usage("--stop ''", "--stop takes a text");
    expect_usage("--stop a --stop b -n x", "-n takes a whole number");
}

static qins_status check(const qins_options *options, const char *name, qins_error *error) {
    return qins_options_check(options, name, qins_command_find(name)->options, error);
}

static void expect_refused(const char *command, const char *line, const char *message) {
    qins_options options;
    qins_error error = {0};
    parse(&options, line, &error);
    expect_ok(&error);
    cr_expect_eq(check(&options, command, &error), QINS_USAGE, "%s", line);
    expect_error(&error, QINS_USAGE, message);
}

Test(options, what_a_command_would_ignore_is_refused) {
    expect_refused("chat", "-p hello", "--prompt has no meaning for \"chat\"");
    expect_refused("chat", "--raw", "--raw has no meaning for \"chat\"");
    expect_refused("info", "info --stop x", "--stop has no meaning for \"info\"");
    expect_refused("run", "--depth 3", "--depth has no meaning for \"run\"");
    expect_refused("run", "--ids x --raw", "--raw has no meaning for --ids");
    expect_refused("run", "--ids x --system y", "--system has no meaning for --ids");
    expect_refused("run", "-p x --raw --system y", "--system has no meaning for --raw");
    qins_error error = {0};
    qins_options options = parsed("bench -p 1,2 -n 3 -d 0 -r 2 -t 2 --json");
    cr_expect_eq(check(&options, "bench", &error), QINS_OK, "%s", error.message);
    options = parsed("-m m -p x --raw -n 3 --temp 1 --json -t 2 --kv-k f32");
    cr_expect_eq(check(&options, "run", &error), QINS_OK, "%s", error.message);
}

Test(options, each_is_listed_once_and_taken_by_some_command) {
    for (size_t i = 0; i < qins_run_option_table.count; i++) {
        const qins_option *row = &qins_run_option_table.rows[i];
        bool is_taken = false;
        cr_expect(row->sets != 0 && (row->sets & (row->sets - 1)) == 0, "--%s is in one set", row->name);
        for (const qins_command *command = qins_commands; command->name != NULL; command++) {
            is_taken |= (row->sets & command->options) != 0;
            if (row->name == NULL || (row->sets & command->options) == 0) continue;
            for (size_t j = 0; j < i; j++) {
                const qins_option *other = &qins_run_option_table.rows[j];
                cr_expect((other->sets & command->options) == 0 || (strcmp(row->name, other->name) != 0 &&
                                                                    (row->letter == 0 || row->letter != other->letter)),
                          "%s has --%s and --%s", command->name, row->name, other->name);
            }
        }
        cr_expect(is_taken, "no command takes --%s", row->name);
    }
}

Test(options, stop_texts_are_limited) {
    char line[512] = "";
    for (int i = 0; i < QINS_MAX_STOP_TEXTS; i++) strcat(line, "--stop=x ");
    cr_expect_eq(parsed(line).sampling.n_stops, QINS_MAX_STOP_TEXTS);
    strcat(line, "--stop=x");
    expect_usage(line, "--stop may be given at most 16 times");
}

Test(options, help_and_a_second_parse) {
    qins_options options;
    qins_error error = {0};
    parse(&options, "-h", &error);
    expect_ok(&error);
    cr_expect(options.help.common);
    parse(&options, "-m model --help", &error);
    cr_expect(options.help.common && error.status == QINS_OK);
    cr_expect_str_eq(parsed("-m again").model.path, "again"); // getopt starts anew
}

static void expect_no_counts(const char *text) {
    size_t counts[4];
    qins_error error = {0};
    cr_expect_eq(qins_options_counts("-d", text, 1000, counts, 4, &error), 0, "%s", text);
    expect_error(&error, QINS_USAGE, "-d takes up to 4 whole numbers from 0 to 1000");
}

Test(options, lists_of_counts) {
    size_t counts[4];
    qins_error error = {0};
    cr_expect_eq(qins_options_counts("-d", "7", 1000, counts, 4, &error), 1);
    cr_expect_eq(counts[0], 7);
    cr_expect_eq(qins_options_counts("-d", "0,1000,3,2", 1000, counts, 4, &error), 4);
    cr_expect(counts[0] == 0 && counts[1] == 1000 && counts[2] == 3 && counts[3] == 2);
    expect_ok(&error);
    static const char *const bad[] = {"",     ",",    "1,",   "1,,2", "1;2", "x",         "-1",
                                      "1, 2", "1001", "1,2x", "0x1",  "1.5", "1,2,3,4,5", "99999999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) expect_no_counts(bad[i]);
}
