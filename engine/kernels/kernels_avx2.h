// What the files of the AVX2 tier share; for them alone. The functions are those of the table in kernels.h.
#ifndef QINS_KERNELS_AVX2_H
#define QINS_KERNELS_AVX2_H

#include "engine/kernels/kernels.h"

void qins_avx2_decode_tile(float *out, const qins_matrix *w, size_t row, size_t n_rows, size_t col, size_t n_cols);
void qins_avx2_arrange(float *arranged, const float *x, size_t cols);
void qins_avx2_dot_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *x);
void qins_avx2_add_rows(float *out, const qins_matrix *w, size_t row, size_t n_rows, const float *weights);
double qins_avx2_encode_row(const qins_codebook *book, const float *x, size_t cols, uint8_t *codes, uint16_t *scales);

#endif
