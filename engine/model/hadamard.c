// The Hadamard transform; see hadamard.h.
#include "engine/model/hadamard.h"

#include <math.h>

enum { LARGEST_BLOCK = 32 };

static void transform(float *x, size_t n) {
    for (size_t distance = 1; distance < n; distance *= 2) {
        for (size_t start = 0; start < n; start += 2 * distance) {
            for (size_t i = start; i < start + distance; i++) {
                const float a = x[i], b = x[i + distance];
                x[i] = a + b;
                x[i + distance] = a - b;
            }
        }
    }
    const float factor = 1.0f / sqrtf((float)n);
    for (size_t i = 0; i < n; i++) x[i] *= factor;
}

void qins_hadamard(float *x, size_t dim) {
    size_t block = LARGEST_BLOCK;
    for (size_t done = 0; done < dim; done += block) {
        while (block > dim - done) block /= 2;
        transform(x + done, block);
    }
}
