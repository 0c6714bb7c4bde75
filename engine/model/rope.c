// Rotary position embedding; see rope.h.
#include "engine/model/rope.h"

#include <math.h>

static double attention_factor(const qins_config *config) {
    if (config->rope == QINS_ROPE_PLAIN) return 1.0;
    if (config->attention_factor > 0) return config->attention_factor;
    double factor = config->scaling_factor > 0 ? config->scaling_factor
                                               : (double)config->max_positions / (double)config->original_positions;
    return factor <= 1.0 ? 1.0 : sqrt(1.0 + log(factor) / log((double)config->original_positions));
}

void qins_rope_init(qins_rope *rope, const qins_config *config) {
    rope->half = config->rope_dim / 2;
    rope->attention_factor = (float)attention_factor(config);
    for (size_t i = 0; i < rope->half; i++) {
        const float exponent = (float)(2 * i) / (float)config->rope_dim;
        const float power = (float)pow((double)(float)config->rope_base, (double)exponent);
        bool is_long = config->rope == QINS_ROPE_LONG;
        rope->theta[QINS_ROPE_SHORT_SET][i] = 1.0f / ((is_long ? (float)config->short_factor[i] : 1.0f) * power);
        rope->theta[QINS_ROPE_LONG_SET][i] = 1.0f / ((is_long ? (float)config->long_factor[i] : 1.0f) * power);
    }
}

qins_rope_set qins_rope_set_for(const qins_config *config, size_t n_tokens) {
    bool is_long = config->rope == QINS_ROPE_LONG && n_tokens > config->original_positions;
    return is_long ? QINS_ROPE_LONG_SET : QINS_ROPE_SHORT_SET;
}

void qins_rope_angles(const qins_rope *rope, qins_rope_set set, size_t position, float *cos_a, float *sin_a) {
    for (size_t i = 0; i < rope->half; i++) {
        const float angle = rope->theta[set][i] * (float)position;
        cos_a[i] = (float)cos((double)angle) * rope->attention_factor;
        sin_a[i] = (float)sin((double)angle) * rope->attention_factor;
    }
}

void qins_rope_rotate(const qins_rope *rope, float *x, const float *cos_a, const float *sin_a) {
    float *upper = x + rope->half;
    for (size_t i = 0; i < rope->half; i++) {
        float first = x[i], second = upper[i];
        x[i] = first * cos_a[i] - second * sin_a[i];
        upper[i] = second * cos_a[i] + first * sin_a[i];
    }
}
