// Rotary position embedding, half-split pairing, with LongRoPE's two sets of factors
// (HF modeling_rope_utils.py, _compute_longrope_parameters; modeling_phi3.py, apply_rotary_pos_emb):
//
//   theta_i = 1 / (factor[i] * base^(2i / rope_dim))        i < rope_dim / 2, FP32 throughout
//   angle   = theta_i * position                            one FP32 product
//   c, s    = cos(angle) * A, sin(angle) * A                FP32 products
//   out[i]              = x[i] * c - x[i + rope_dim/2] * s
//   out[i + rope_dim/2] = x[i + rope_dim/2] * c + x[i] * s  elements from rope_dim on pass through
//
// Power, cosine and sine are computed in double and rounded to FP32: C libraries differ in the last place of float
// functions, but differences between their double functions hardly ever survive the rounding.
//
// A is 1 for plain RoPE; for LongRoPE the config's attention_factor, else 1 when f <= 1, else
// sqrt(1 + ln f / ln original_positions) with f = max_positions / original_positions (or the config's own factor).
// A also applies with the short factors.
#ifndef QINS_MODEL_ROPE_H
#define QINS_MODEL_ROPE_H

#include "engine/format/config.h"

// The set of factors that a sequence uses, the same for all its positions (plain RoPE has only one set, SHORT).
typedef enum qins_rope_set { QINS_ROPE_SHORT_SET, QINS_ROPE_LONG_SET } qins_rope_set;

typedef struct qins_rope {
    size_t half; // rope_dim / 2
    float theta[2][QINS_MAX_HEAD_DIM / 2];
    float attention_factor; // A
} qins_rope;

void qins_rope_init(qins_rope *rope, const qins_config *config);

// The set that Hugging Face uses for a sequence of n_tokens: long beyond original_positions. A session uses it, unless
// its option rope_long asks for the long set throughout (runtime/session.c).
qins_rope_set qins_rope_set_for(const qins_config *config, size_t n_tokens);

// cos_a[half], sin_a[half] of one position, A included.
void qins_rope_angles(const qins_rope *rope, qins_rope_set set, size_t position, float *cos_a, float *sin_a);

// Rotate one head x[head_dim] in place.
void qins_rope_rotate(const qins_rope *rope, float *x, const float *cos_a, const float *sin_a);

#endif
