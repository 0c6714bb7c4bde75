// qinsrun: finds the command, runs it, turns its status into the exit code.
#include "engine/cli/cli.h"

#include "engine/base/cpu.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef qins_status command_function(const qins_options *options, qins_error *error);

static const struct command {
    const char *name;
    command_function *function;
} commands[] = {
    {"run", qins_cmd_run},           {"chat", qins_cmd_chat},       {"score", qins_cmd_score},
    {"tokenize", qins_cmd_tokenize}, {"compare", qins_cmd_compare}, {"perplexity", qins_cmd_perplexity},
    {"info", qins_cmd_info},         {"verify", qins_cmd_verify},
};

// A closed standard stream would hand its number to the next file opened, and text would end up there: put a
// descriptor in its place on which the stream's operations fail.
static void guard_standard_streams(void) {
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) == -1) (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

// The command named by argv[1], if there is one; otherwise a run, or a chat when a person sits at both ends.
static command_function *find_command(int *argc, char ***argv) {
    if (*argc < 2 || (*argv)[1][0] == '-') return NULL;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp((*argv)[1], commands[i].name) != 0) continue;
        (*argc)--;
        (*argv)++;
        return commands[i].function;
    }
    return NULL;
}

static command_function *default_command(const qins_options *options) {
    bool has_prompt = options->prompt != NULL || options->prompt_file != NULL || options->ids != NULL;
    bool person = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    return person && !has_prompt ? qins_cmd_chat : qins_cmd_run;
}

int main(int argc, char **argv) {
    guard_standard_streams();
    signal(SIGPIPE, SIG_IGN);
    qins_catch_interrupts();
    qins_error error = {0};
    qins_options options;
    bool help = false;
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        qins_printf(&error, "qinsrun " QINS_VERSION "\n");
        qins_flush(&error);
        return error.status;
    }
    command_function *command = find_command(&argc, &argv);
    qins_options_parse(&options, argc, argv, &help, &error);
    if (help) {
        qins_options_help();
        return qins_flush(&error);
    }
    if (error.status == QINS_OK) qins_cpu_select(options.cpu, &error);
    if (error.status == QINS_OK) (command != NULL ? command : default_command(&options))(&options, &error);
    if (error.status != QINS_OK) fprintf(stderr, "qinsrun: %s\n", error.message);
    return error.status;
}
