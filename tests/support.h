// Shared by the tests of base, kernels and model: deterministic random numbers, memory that ends at a guard page,
// temporary folders, matrices of every type with their exact values, tiny random models.
#ifndef QINS_TESTS_SUPPORT_H
#define QINS_TESTS_SUPPORT_H

#include "engine/kernels/encoder.h"
#include "engine/runtime/model.h"

#include <criterion/criterion.h>

// --- errors ---

void expect_ok(const qins_error *error);
// The error has this status and its message contains `text`. Clears it.
void expect_error(qins_error *error, qins_status status, const char *text);

// --- random numbers: the same on every machine, integer arithmetic only ---

typedef struct test_random {
    uint64_t state; // any value is a seed
} test_random;

uint64_t random_bits(test_random *random);
size_t random_below(test_random *random, size_t n);
float random_uniform(test_random *random);                 // in [-1, 1), a multiple of 2^-23
float random_bell(test_random *random);                    // near normal: mean 0, variance 1, magnitude below 6
uint8_t random_scale(test_random *random, qins_type type); // a scale byte that a writer may use
void random_fill(test_random *random, float *values, size_t n);

// The encoder to a coded type by the scalar tier.
const qins_encoder *scalar_encoder(qins_type type);

// --- memory ---

// `size` bytes whose last one lies before a page that cannot be touched, each byte 0xA5. Freed all at once.
typedef struct test_guards {
    struct {
        void *block;
        size_t size;
    } blocks[16];
    size_t count;
} test_guards;

void *guarded(test_guards *guards, size_t size);
void *guarded_copy(test_guards *guards, const void *data, size_t size);
void guards_free(test_guards *guards);

// --- files ---

// A new folder; remove_folder deletes it with the files in it and frees the path.
char *temporary_folder(void);
void remove_folder(char *folder);
// FOLDER/NAME holding data[size]; valid until the next call.
const char *write_file(const char *folder, const char *name, const void *data, size_t size);

// --- matrices ---

// A random matrix of a type, and its values as the format defines them: coded ones, always in panels, with every code
// and scale byte that a writer uses. Padding is zero.
typedef struct test_matrix {
    qins_matrix matrix;
    double *values; // [rows, cols]
    void *data;
    size_t bytes;
} test_matrix;

test_matrix *matrix_make(qins_type type, qins_layout layout, size_t rows, size_t cols, uint64_t seed);
void matrix_free(test_matrix *matrix);

// Room for one coded row of up to TEST_MAX_COLS columns.
enum { TEST_MAX_COLS = 4200, TEST_PADDED_COLS = 4224 };
typedef struct test_row {
    int8_t codes[TEST_PADDED_COLS];
    uint8_t scales[TEST_PADDED_COLS / QINS_BLOCK];
    uint16_t d[TEST_PADDED_COLS / QINS_STRETCH + 1];
} test_row;
qins_coded_row coded_row(test_row *row);

// Every tier that this machine can run, MAX_TIERS at most, the scalar one first.
enum { MAX_TIERS = 8 };
typedef struct test_tier {
    const char *name;
    qins_kernels kernels;
} test_tier;
const test_tier *kernel_tiers(size_t *n);

// --- models ---

// Phi-3.5-mini's configuration (its RoPE factors are stand-ins: 1 + i / 16 and 1 + i).
qins_config phi35_config(void);
// A small one of the same shape: 2 layers, hidden 48, 4 heads on 2 KV heads of 12, LongRoPE from 8 to 32 positions.
qins_config tiny_config(void);

// A header as the converter would fill it in: `type` for the matrices, BF16 for embedding, norms and head.
void model_header(qins_header *header, const qins_config *config, qins_type type, qins_error *error);

// A whole .qins file with random weights, in memory: *size bytes released with free(). The tokenizer section holds
// bytes that are not a tokenizer.
uint8_t *model_bytes(const qins_config *config, uint64_t seed, qins_type type, size_t *size);
// The same as an open image; closed with qins_image_close.
qins_image *model_image(const qins_config *config, uint64_t seed, qins_type type);
// And as a model without a tokenizer, which owns the image; closed with qins_model_close.
qins_model *model_of_image(qins_image *image);

#endif
