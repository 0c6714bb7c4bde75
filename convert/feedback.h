// Rounding with error feedback (GPTQ; Frantar et al. 2022): a matrix is coded so that the output of its layer on
// calibration text changes least, not the weights themselves. With inputs x[n, cols] and H = x^T x, a row's error
// e[cols] costs e H e^T. Weights are rounded column by column, and the remaining weights compensate for each error.
//
// H is factored as L L^T, so e H e^T = |e L|^2, and column j of e L depends only on the errors of columns j, j + 1,
// ...: going from the last column to the first, each weight takes the code that brings its column of e L closest to
// zero.
//
// x comes from a model whose earlier matrices are coded already. Where the inputs were y[n, cols] before that, a row w
// is replaced by w + CORRECTION w (y - x)^T x H^-1, which compensates for a part of the change in its inputs.
#ifndef QINS_CONVERT_FEEDBACK_H
#define QINS_CONVERT_FEEDBACK_H

#include "engine/base/pool.h"
#include "engine/kernels/encoder.h"

// Statistics of one matrix's inputs. The columns of each block, and the blocks, are in another order than in the
// matrix: those with the largest inputs come last, so they are rounded first and all others can compensate for them.
typedef struct qins_feedback {
    size_t cols;
    size_t *columns; // owned, [cols]: the matrix's column at each place
    float *factor;   // owned, [cols, cols]: L, the lower triangle, in that order; above it are leftovers
    float *drift;    // owned, [cols, cols]: CORRECTION (y - x)^T x / n, in that order; NULL: x and y - x themselves,
    float *x;        // owned, [n, cols], in that order, are less work for as few rows as the matrix has
    float *moved;    // owned, [n, cols]: y - x
    size_t n;
    bool is_solved; // the drift times H^-1, which is less work than for each row when there are more rows than columns
} qins_feedback;

enum { QINS_FEEDBACK_ROWS = 128 }; // most rows of one call of qins_feedback_encode

// For a matrix of `rows`, from its inputs x[n, cols] and the original inputs y[n, cols]. Release with
// qins_feedback_free, also after a failure.
qins_status qins_feedback_init(qins_feedback *feedback, qins_pool *pool, const float *x, const float *y, size_t n,
                               size_t rows, size_t cols, qins_error *error);
void qins_feedback_free(qins_feedback *feedback);

// Encode w[n_rows, cols], n_rows <= QINS_FEEDBACK_ROWS, all finite, into rows[n_rows]. d of a row is set by its largest
// weights in advance. errors[n_rows]: sum (w - stored)^2 of each row. scratch: qins_feedback_scratch floats for as many
// rows.
size_t qins_feedback_scratch(const qins_feedback *feedback, size_t n_rows);
void qins_feedback_encode(const qins_feedback *feedback, const qins_encoder *encoder, const float *w, size_t n_rows,
                          const qins_coded_row *rows, double *errors, float *scratch);

#endif
