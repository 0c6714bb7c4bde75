// libFuzzer: the first byte chooses a parser, the rest is what it reads: files of a checkpoint's folder, parts of a
// .qins header, requests, conversations, tasks, ids, the command line. The readers are those of tests/linear. Built by
// `make fuzz`; run from the root of the sources.
#include "tests/linear/cases.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void (*const readers[])(const char *text, size_t size) = {
    read_header,      read_header_config, read_header_tensor, read_header_sources, read_config,    read_generation,
    read_chat_config, read_template,      read_index,         read_safetensors,    read_adapter,   read_body,
    read_task,        read_ids,           read_arguments,     encode_text,         read_tokenizer, read_conversation,
};
enum { N_READERS = sizeof readers / sizeof *readers };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    linear_setup();
    atexit(linear_teardown);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    char *text = malloc(size - 1); // without a NUL
    if (text == NULL) return 0;
    memcpy(text, data + 1, size - 1);
    readers[data[0] % N_READERS](text, size - 1);
    free(text);
    return 0;
}
