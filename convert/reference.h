// The model as it is in the checkpoint, run over sequences layer by layer: only one layer's weights, keys and values
// need memory at a time.
#ifndef QINS_CONVERT_REFERENCE_H
#define QINS_CONVERT_REFERENCE_H

#include "convert/encode_tensor.h"
#include "engine/model/forward.h"

enum { QINS_PRODUCTS = 4 }; // of a layer: with qkv, output, gate_up, down

extern const size_t qins_products[QINS_PRODUCTS]; // QINS_QKV, ...: the order of the forward pass

// Sequences of `length` tokens each, ids[n_sequences, length], that run as one pass, each from position 0 on and
// independent of the others.
typedef struct qins_sequences {
    const int32_t *ids;
    size_t n_sequences, length;
} qins_sequences;

typedef struct qins_reference {
    const qins_header *header;
    const qins_rows *rows; // [n_tensors]: the header's tensors in the checkpoint
    size_t n;              // tokens of all sequences
    qins_span *spans;      // owned, a sequence each
    size_t n_spans;
    qins_compute compute;
    qins_config config;           // the header's, with one layer: the one that was read last
    qins_network network;         // of that configuration; its norms are those of all layers
    qins_kvcache *caches;         // owned, a sequence each
    qins_pass pass;               // qins_pass_begin has run
    void *embedding;              // owned, as in the checkpoint
    void *weights[QINS_PRODUCTS]; // owned, of that layer: the checkpoint's values in panels
} qins_reference;

// `rows`, the ids of the sequences and the pool must outlive it; `header` needs no types. Release with
// qins_reference_free, also after a failure.
qins_status qins_reference_init(qins_reference *reference, const qins_header *header, const qins_rows *rows,
                                const qins_sequences *sequences, qins_pool *pool, qins_error *error);
void qins_reference_free(qins_reference *reference);

// Begin the pass of the sequences: its x becomes their embedding.
void qins_reference_begin(qins_reference *reference);

// Read a layer, replacing the previous one.
qins_status qins_reference_read(qins_reference *reference, size_t layer, qins_error *error);

// Run the layer that was read: x becomes its output.
void qins_reference_run(qins_reference *reference);

// The matrix of a product in the forward pass of the layer that was read, and a layer's place for it among the header's
// tensors.
qins_matrix *qins_reference_matrix(qins_reference *reference, size_t product);
size_t qins_reference_tensor(size_t layer, size_t product);

#endif
