// The transformer: token ids in, hidden states and logits out, for the Phi3ForCausalLM family (HF modeling_phi3.py).
// One path for prompts and generation: a chunk of n >= 1 tokens behind those that the KV cache holds.
#ifndef QINS_MODEL_FORWARD_H
#define QINS_MODEL_FORWARD_H

#include "engine/model/attention.h"
#include "engine/model/rope.h"
#include "engine/model/weights.h"

enum {
    QINS_CHUNK = 512,    // most tokens of one forward pass
    QINS_LOGIT_ROWS = 16 // most positions whose logits are computed at once
};

// A model ready to run: weights, cache and the buffers of one chunk. Everything is allocated by qins_forward_init.
typedef struct qins_forward_state {
    const qins_config *config; // not owned
    qins_compute *compute;     // not owned
    qins_weights weights;
    qins_rope rope;
    qins_kvcache cache;
    qins_attention attention;
    // Buffers, one reserved block, row-major; rows: tokens of the chunk.
    float *x;       // [QINS_CHUNK, hidden_dim] residual stream
    float *normed;  // [QINS_CHUNK, hidden_dim] normalized x; also what a block adds to x
    float *qkv;     // [QINS_CHUNK, qkv_dim]
    float *heads;   // [QINS_CHUNK, q_dim] attention's output
    float *gate_up; // [QINS_CHUNK, 2 * ffn_dim]
    float *act;     // [QINS_CHUNK, ffn_dim]
    float *cos_a;   // [QINS_CHUNK, rope_dim / 2]
    float *sin_a;   // [QINS_CHUNK, rope_dim / 2]
    float *logits;  // [QINS_LOGIT_ROWS, vocab_size]
    float *block;
    size_t block_bytes;
} qins_forward_state;

// Bytes of the buffers above.
size_t qins_forward_buffer_bytes(const qins_config *config);

// The image and the compute must outlive the state. Release with qins_forward_free, also after a failure.
qins_status qins_forward_init(qins_forward_state *state, const qins_image *image, qins_compute *compute,
                              qins_type k_type, qins_type v_type, size_t capacity, qins_error *error);
void qins_forward_free(qins_forward_state *state);

// Called behind every layer of a chunk; false stops the forward pass.
typedef bool qins_on_layer(void *context, size_t layer);

// Run tokens ids[n] (1 <= n <= QINS_CHUNK, each below vocab_size) at positions position, position + 1, ...; the cache
// must hold the tokens before them, rotated with the same set, and have room. Afterwards it holds these too, and
// state->normed[n, hidden_dim] is the output of the final norm. False when on_layer (NULL: nobody watches) stopped it;
// what the cache holds of these tokens is then incomplete.
bool qins_forward(qins_forward_state *state, const int32_t *ids, size_t n, size_t position, qins_rope_set set,
                  qins_on_layer *on_layer, void *context);

// state->logits[n_rows, vocab_size] from rows first_row, ... of the last chunk; n_rows <= QINS_LOGIT_ROWS.
void qins_forward_logits(qins_forward_state *state, size_t first_row, size_t n_rows);

#endif
