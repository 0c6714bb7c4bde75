// The model as an ONNX graph: its nodes in the order of the forward pass (engine/model/forward.c), in FP32.
//
//     inputs   input_ids [1, sequence_length] int64
//              past_key_values.N.key, .value [1, n_kv_heads, past_sequence_length, head_dim], of each layer
//     outputs  logits [1, sequence_length, vocab_size]
//              present.N.key, .value [1, n_kv_heads, total_sequence_length, head_dim]
//
// Positions continue from the length of the past. LongRoPE rotates new keys and queries with the factors for the total
// length. Values that are weights are named after their tensors.
#ifndef QINS_CONVERT_ONNX_GRAPH_H
#define QINS_CONVERT_ONNX_GRAPH_H

#include "convert/onnx_weights.h"

// Add all of it to the writer's graph; the weights lie in a file called `location`.
void qins_onnx_graph(qins_onnx_writer *writer, const qins_config *config, const qins_onnx_weights *weights,
                     const char *location);

#endif
