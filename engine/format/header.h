// The header of a .qins file as a structure: everything but the payload. FORMAT.md is the specification; this is its
// reading (JSON to structure, all bounds checked), its writing, and the layout rule that both sides share.
#ifndef QINS_FORMAT_HEADER_H
#define QINS_FORMAT_HEADER_H

#include "engine/format/schema.h"

#define QINS_MAGIC "QINS\r\n\x1a\n" // 8 bytes; the line ends reveal a transfer in text mode
enum {
    QINS_FORMAT_VERSION = 2,
    QINS_PREAMBLE_BYTES = 64, // the header's JSON starts here
    QINS_ALIGNMENT = 64       // of the tokenizer section and of every tensor
};

// A reader copies these two into its memory, so they are bounded whatever a file claims.
enum { QINS_MAX_FILE_HEADER = 64 << 20, QINS_MAX_FILE_TOKENIZER = 64 << 20 };

typedef struct qins_tensor {
    qins_tensor_spec spec;
    qins_type type;
    uint64_t offset;      // of the payload in the file
    uint64_t bytes;       // of the payload
    uint64_t hash;        // XXH3-64 of the payload
    char source_type[8];  // "BF16", "F16", "F32": type in the checkpoint
    uint64_t source_hash; // XXH3-64 of the checkpoint's bytes of this tensor
    double error;         // sqrt(sum (source - stored)^2 / sum source^2), 0 when nothing was lost
} qins_tensor;

// A file that the model was made from.
typedef struct qins_source {
    char name[256]; // without its folder
    uint64_t bytes;
    uint64_t hash; // XXH3-64 of the whole file; of a safetensors file: of its header
} qins_source;

enum {
    QINS_MAX_SOURCES = 1024,
    QINS_MAX_HEADER_VALUES = 1 << 18 // of JSON; 1024 layers take about 70,000
};

typedef struct qins_header {
    qins_config config;
    char chat_template[32];   // name of a qins_chat_format, "none"
    char chat_start[64];      // the rest as in qins_chat_template; "": nothing
    char *chat_system;        // owned; default_system, NULL: none
    char *chat_system_prefix; // owned; NULL: none
    bool chat_no_system;
    uint64_t tokenizer_offset; // of the tokenizer section
    uint64_t tokenizer_bytes;  // 0: the file has no tokenizer
    uint64_t tokenizer_hash;   // XXH3-64
    char converter[64];        // program and version that wrote the file
    qins_source *sources;      // owned, [n_sources]
    size_t n_sources;
    qins_source calibration;     // text that the codes were calibrated with
    uint64_t calibration_tokens; // of it that were used; 0: not calibrated
    char calibration_method[16]; // how, by the names of qinsconvert --calibrate-method
    qins_tensor *tensors;        // owned, [n_tensors] in schema order
    size_t n_tensors;
} qins_header;

// A header for this configuration with every tensor's spec filled in; the rest is zero. Release with
// qins_header_free (also after a failure).
qins_status qins_header_init(qins_header *header, const qins_config *config, qins_error *error);
void qins_header_free(qins_header *header);

// Bytes of a tensor's payload; false when they cannot be addressed.
bool qins_header_tensor_bytes(const qins_header *header, const qins_tensor *tensor, size_t *bytes);

// Set every offset and size from the header's length, the tokenizer's size and the tensors' types and shapes:
// sections follow each other without gaps except for alignment. *file_bytes: where the last one ends.
qins_status qins_header_layout(qins_header *header, uint64_t header_bytes, uint64_t *file_bytes, qins_error *error);

// JSON text of the header, released with free(). *size: bytes without the NUL.
char *qins_header_print(const qins_header *header, size_t *size, qins_error *error);

// Read JSON text into an uninitialized header; release with qins_header_free also after a failure. Checks everything
// that can be judged without the file: configuration, tensor list equal to the schema, types allowed.
qins_status qins_header_parse(qins_header *header, const char *json, size_t size, qins_error *error);

#endif
