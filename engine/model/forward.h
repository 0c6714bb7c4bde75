// The transformer: token ids in, hidden states and logits out, for the Phi3ForCausalLM family (HF modeling_phi3.py).
// One path for prompts and generation, for one sequence and for many: a pass takes rows, each a token of some sequence
// at its position. No row's numbers depend on the other rows, on how a sequence is cut into passes, on the thread
// count, or on the kernel tier.
#ifndef QINS_MODEL_FORWARD_H
#define QINS_MODEL_FORWARD_H

#include "engine/model/attention.h"
#include "engine/model/rope.h"
#include "engine/model/weights.h"

enum { QINS_LOGIT_ROWS = 16 }; // most rows whose logits are computed at once

// The model that a pass runs; a pass never changes it.
typedef struct qins_network {
    const qins_config *config; // not owned
    qins_weights weights;
    qins_rope rope;
} qins_network;

// Bind an image's weights; it must outlive the network. Release with qins_network_free, also after a failure.
qins_status qins_network_init(qins_network *network, const qins_image *image, qins_error *error);
void qins_network_free(qins_network *network);

// New tokens of one sequence, n >= 1, each below vocab_size. The cache, one for each span of a pass, must hold the
// tokens before them, rotated with the same set, and have room.
typedef struct qins_span {
    qins_kvcache *cache;
    const int32_t *ids; // [n], at position, position + 1, ...
    size_t n, position;
    qins_rope_set set;
} qins_span;

// A row of a pass: token `index` of a span.
typedef struct qins_pass_row {
    const qins_span *span;
    size_t index;
} qins_pass_row;

// Called after every layer of a pass; false stops it.
typedef bool qins_on_layer(void *context, size_t layer);

// The buffers and state of a pass. Consecutive passes may run different networks.
typedef struct qins_pass {
    qins_compute *compute; // not owned
    size_t n_rows;         // most rows
    qins_pass_row *rows;   // owned, [n_rows]
    float *block;          // owned, reserved: attention's scratch and the buffers below
    size_t block_bytes;
    // Of the network that runs, row-major; n: rows of this pass.
    const qins_network *network;
    const qins_span *spans;
    size_t n_spans, n;
    qins_attention attention;
    float *x;       // [n, hidden_dim] residual stream
    float *normed;  // [n, hidden_dim] normalized x
    float *branch;  // [n, hidden_dim] the amount that attention or the feed-forward block adds to x
    float *qkv;     // [n, qkv_dim]
    float *heads;   // [n, q_dim] attention's output
    float *gate_up; // [n, 2 * ffn_dim]
    float *act;     // [n, ffn_dim]
    float *cos_a;   // [n, rope_dim / 2]
    float *sin_a;   // [n, rope_dim / 2]
    float *logits;  // [QINS_LOGIT_ROWS, vocab_size], for the caller's use
} qins_pass;

// Bytes that a pass of at most n_rows rows reserves for this configuration.
size_t qins_pass_bytes(const qins_config *config, size_t n_rows, size_t n_threads);

// Room for passes of at most n_rows rows by networks of any of these configurations. The compute must outlive it.
// Release with qins_pass_free, also after a failure. After this, nothing is allocated.
qins_status qins_pass_init(qins_pass *pass, qins_compute *compute, const qins_config *const *configs, size_t n_configs,
                           size_t n_rows, qins_error *error);
void qins_pass_free(qins_pass *pass);

// Run all tokens of the spans, at most n_rows of them; `spans` must stay while the pass is used. Afterwards the caches
// hold these tokens too, and pass->normed[n, hidden_dim] is the output of the final norm, row by row in the order of
// the spans. False when on_layer (NULL: none) stopped it; the caches then hold these tokens incompletely.
bool qins_forward(qins_pass *pass, const qins_network *network, const qins_span *spans, size_t n_spans,
                  qins_on_layer *on_layer, void *context);

// The same layer by layer: x becomes the embedding, then the output of each layer, and `normed` the input of the head.
void qins_pass_begin(qins_pass *pass, const qins_network *network, const qins_span *spans, size_t n_spans);
void qins_pass_layer(qins_pass *pass, size_t layer);
void qins_pass_norm(qins_pass *pass);

// logits[n, vocab_size] of hidden[n, hidden_dim], rows of `normed`; n <= QINS_LOGIT_ROWS.
void qins_pass_logits(qins_pass *pass, const qins_network *network, float *logits, const float *hidden, size_t n);

#endif
