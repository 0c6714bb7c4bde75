// Where the parts of a stored matrix lie, for the kernels of every tier.
#ifndef QINS_KERNELS_MATRIX_H
#define QINS_KERNELS_MATRIX_H

#include "engine/base/half.h"
#include "engine/kernels/codec.h"

// Address of W[row, col] of an uncoded matrix.
static inline const uint8_t *qins_value_at(const qins_matrix *w, size_t row, size_t col) {
    return (const uint8_t *)w->data + (row * w->cols + col) * (qins_types[w->type].bits / 8);
}

// Where a row of a coded matrix begins, in blocks.
static inline size_t qins_first_block(const qins_matrix *w, size_t row) {
    return row * ((w->cols + w->block - 1) / w->block);
}

static inline float qins_scale_at(const qins_matrix *w, size_t row, size_t col) {
    return qins_f32_from_bf16(w->scales[qins_first_block(w, row) + col / w->block]);
}

static inline const uint8_t *qins_codes_at(const qins_matrix *w, size_t row, size_t col) {
    return (const uint8_t *)w->data + qins_first_block(w, row) * w->block + col;
}

// How many columns of a coded matrix, from `col` on, lie in one block, in front of `end`, and are `most` or less.
static inline size_t qins_piece(const qins_matrix *w, size_t col, size_t end, size_t most) {
    const size_t in_block = w->block - col % w->block, left = in_block < end - col ? in_block : end - col;
    return left < most ? left : most;
}

// Fetch what is read after W[row, col .. col + n].
static inline void qins_fetch_ahead(const qins_matrix *w, size_t row, size_t col, size_t n) {
    const size_t line = 64;
    const uintptr_t ahead = w->ahead + (row * w->cols + col) * w->ahead_width;
    for (size_t i = 0; i < n * w->ahead_width; i += line) __builtin_prefetch((const void *)(ahead + i));
}

#endif
