// The transformer: token ids in, hidden states and logits out, for the Phi3ForCausalLM family (HF modeling_phi3.py).
// One path for prompts and generation: a chunk of n >= 1 tokens after those that the KV cache holds. No token's numbers
// depend on how a sequence is cut into chunks, on the number of threads, or on the tier of kernels.
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
    // Buffers, one reserved block, row-major; n_rows: most tokens of a chunk.
    size_t n_rows;
    float *x;       // [n_rows, hidden_dim] residual stream
    float *normed;  // [n_rows, hidden_dim] normalized x
    float *branch;  // [n_rows, hidden_dim] what attention or the feed-forward block adds to x
    float *qkv;     // [n_rows, qkv_dim]
    float *heads;   // [n_rows, q_dim] attention's output
    float *gate_up; // [n_rows, 2 * ffn_dim]
    float *act;     // [n_rows, ffn_dim]
    float *cos_a;   // [n_rows, rope_dim / 2]
    float *sin_a;   // [n_rows, rope_dim / 2]
    float *logits;  // [QINS_LOGIT_ROWS, vocab_size]
    float *block;
    size_t block_bytes;
} qins_forward_state;

// Bytes of the buffers above.
size_t qins_forward_buffer_bytes(const qins_config *config, size_t n_rows);

// What a state is made for.
typedef struct qins_forward_options {
    qins_type k_type, v_type; // of the cache
    size_t capacity;          // of the cache, tokens
    size_t n_rows;            // most tokens of a chunk
} qins_forward_options;

// Everything but the weights, which the caller puts into the state; qins_forward_free releases them.
qins_status qins_forward_prepare(qins_forward_state *state, const qins_config *config, qins_compute *compute,
                                 const qins_forward_options *options, qins_error *error);

// A state with an image's weights, for chunks of QINS_CHUNK tokens. The image and the compute must outlive it. Release
// with qins_forward_free, also after a failure.
qins_status qins_forward_init(qins_forward_state *state, const qins_image *image, qins_compute *compute,
                              qins_type k_type, qins_type v_type, size_t capacity, qins_error *error);
void qins_forward_free(qins_forward_state *state);

// Called after every layer of a chunk; false stops the forward pass.
typedef bool qins_on_layer(void *context, size_t layer);

// Run tokens ids[n] (1 <= n <= QINS_CHUNK, each below vocab_size) at positions position, position + 1, ...; the cache
// must hold the tokens before them, rotated with the same set, and have room. Afterwards it holds these too, and
// state->normed[n, hidden_dim] is the output of the final norm. False when on_layer (NULL: nobody watches) stopped it;
// what the cache holds of these tokens is then incomplete.
bool qins_forward(qins_forward_state *state, const int32_t *ids, size_t n, size_t position, qins_rope_set set,
                  qins_on_layer *on_layer, void *context);

// Called before every product with a matrix of a layer (`tensor`: QINS_QKV, ...) with what it is multiplied by,
// x[n, cols]; it may put another matrix of that shape into the state's weights. False stops the forward pass.
typedef bool qins_on_product(void *context, size_t layer, size_t tensor, const float *x, size_t n);

// Sequences of `length` tokens each, ids[n_sequences, length], that run as one chunk of n_sequences * length <=
// state->n_rows tokens, each from position 0 on and blind to the others.
typedef struct qins_sequences {
    const int32_t *ids;
    size_t n_sequences, length;
    qins_rope_set set;
} qins_sequences;

// A forward pass layer by layer: x becomes the embedding, then what each layer makes of it, and `normed` what the head
// is multiplied by. What the cache holds afterwards has no meaning.
void qins_forward_embed(qins_forward_state *state, const qins_sequences *sequences);
bool qins_forward_layer(qins_forward_state *state, const qins_sequences *sequences, size_t layer,
                        qins_on_product *on_product, void *context);
void qins_forward_norm(qins_forward_state *state, const qins_sequences *sequences);

// state->logits[n_rows, vocab_size] from rows first_row, ... of the last chunk; n_rows <= QINS_LOGIT_ROWS.
void qins_forward_logits(qins_forward_state *state, size_t first_row, size_t n_rows);

#endif
