// Fitting of a curve's parameter; see codec.h. It encodes with the best tier's kernel: all tiers agree bit by bit.
#include "engine/kernels/kernels.h"

static double sample_error(qins_curve curve, double parameter, const float *x, size_t rows, size_t cols) {
    double (*encode_row)(const qins_codebook *, const float *, size_t, uint8_t *, uint16_t *) =
        qins_kernels_get()->encode_row;
    const size_t block = qins_types[QINS_QINS8].block;
    qins_codebook book;
    qins_codebook_make(&book, curve, parameter);
    double squared_error = 0.0;
    for (size_t row = 0; row < rows; row++) {
        for (size_t start = 0; start < cols; start += block) {
            uint8_t codes[64];
            uint16_t scale;
            size_t n = cols - start < block ? cols - start : block;
            squared_error += encode_row(&book, x + row * cols + start, n, codes, &scale);
        }
    }
    return squared_error;
}

double qins_fit_parameter(qins_curve curve, const float *x, size_t rows, size_t cols) {
    const double low = curve == QINS_LOG ? 1.0 : 0.0, high = curve == QINS_LOG ? 12.0 : 8.0;
    double best = low, best_error = sample_error(curve, low, x, rows, cols);
    for (double step = 1.0; step >= 0.03125; step /= 2) {
        double from = step == 1.0 ? low + step : best - step, to = step == 1.0 ? high : best + step;
        for (double parameter = from; parameter <= to; parameter += step) {
            if (parameter < low || parameter > high || parameter == best) continue;
            double error = sample_error(curve, parameter, x, rows, cols);
            if (error < best_error) {
                best = parameter;
                best_error = error;
            }
        }
    }
    return best;
}
