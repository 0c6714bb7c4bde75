// Command line of qinsconvert.
#ifndef QINS_CONVERT_PROGRAM_OPTIONS_H
#define QINS_CONVERT_PROGRAM_OPTIONS_H

#include "convert/convert.h"

typedef struct qins_program_options {
    const char *hf_dir; // the folder to convert, or the .qins file to export
    bool exports;       // the latter
    bool is_onnx;       // the output's name is that of an ONNX model
    const char *output; // -o: the file, or folder, to write
    bool force;         // replace any existing output
    bool dry_run;       // print only the plan
    bool no_sandbox;
    bool verbose, quiet;
    bool help, list_options, version; // nothing else was asked for
    qins_convert_options convert;
} qins_program_options;

// Parse argv[1..]. QINS_USAGE and a message when something is wrong or missing.
qins_status qins_program_options_parse(qins_program_options *options, int argc, char **argv, qins_error *error);

// Print the texts of --help and --list-options.
void qins_convert_print_help(void);
void qins_convert_list_options(void);

#endif
