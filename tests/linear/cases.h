// The cases of tests/linear: hostile input, and its readers.
#ifndef QINS_TESTS_LINEAR_CASES_H
#define QINS_TESTS_LINEAR_CASES_H

#include "engine/base/buffer.h"

#include <stdbool.h>

typedef struct linear_case {
    const char *name;
    void (*make)(qins_buffer *input, size_t n); // input of n parts
    void (*run)(const char *input, size_t size);
    size_t n; // 0: as many as usual
} linear_case;

extern const linear_case linear_cases[];
extern const size_t n_linear_cases;

// The folder and the model that cases read, made once.
void linear_setup(void);
void linear_teardown(void);

// A formatted text at the end of the input.
void put(qins_buffer *input, const char *format, ...) __attribute__((format(printf, 2, 3)));

// readers.c: input for each parser.
void read_header_config(const char *text, size_t size);
void read_header_tensor(const char *text, size_t size);
void read_header_sources(const char *text, size_t size);
void read_header(const char *text, size_t size);       // members of a .qins header, each with a comma after it
void read_tokenizer(const char *text, size_t size);    // a tokenizer.json; what it gives is packed and read again
void read_config(const char *text, size_t size);       // members of config.json, likewise
void read_generation(const char *text, size_t size);   // generation_config.json
void read_chat_config(const char *text, size_t size);  // tokenizer_config.json
void read_template(const char *text, size_t size);     // chat_template.jinja
void read_index(const char *text, size_t size);        // model.safetensors.index.json, without the files
void read_safetensors(const char *text, size_t size);  // the JSON of model.safetensors, without bytes of tensors
void read_adapter(const char *text, size_t size);      // adapter_config.json
void read_body(const char *text, size_t size);         // a request for a chat
void read_conversation(const char *text, size_t size); // the messages of a chat
void read_task(const char *text, size_t size);         // questions
void read_ids(const char *text, size_t size);          // ids
void read_arguments(const char *text, size_t size);    // a command line, an argument a line
void encode_text(const char *text, size_t size);       // a prompt, with added tokens of 256 bytes that it nearly has

#endif
