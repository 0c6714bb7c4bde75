// Cost of a forward pass; see cost.h.
#include "engine/measure/cost.h"

#include "engine/model/kvcache.h"

#include <math.h>

static double row_bytes(const qins_tensor *tensor) {
    if (!qins_type_is_coded(tensor->type)) return (double)qins_row_bytes(tensor->type, tensor->spec.cols);
    return (double)qins_panel_bytes(tensor->type, tensor->spec.cols) / QINS_PANEL;
}

qins_cost qins_pass_cost(const qins_header *header, qins_type k_type, qins_type v_type, size_t position, size_t n) {
    const qins_config *config = &header->config;
    const double tokens = (double)n, end = (double)(position + n);
    const double most = config->window > 0 ? (double)config->window : INFINITY; // positions that a token sees
    qins_cost cost = {.kv_bytes =
                          fmin(end, most + tokens - 1) * (double)qins_kvcache_token_bytes(config, k_type, v_type)};
    for (size_t i = 0; i < header->n_tensors; i++) {
        const qins_tensor *tensor = &header->tensors[i];
        const double values = (double)tensor->spec.rows * (double)tensor->spec.cols;
        const bool is_embedding = tensor->spec.role == QINS_ROLE_EMBEDDING;
        const bool is_head = tensor->spec.role == QINS_ROLE_HEAD || (is_embedding && config->tied_head);
        if (is_embedding) cost.weight_bytes += tokens * row_bytes(tensor);
        if (!is_embedding || is_head) cost.weight_bytes += (double)tensor->bytes;
        if (is_head)
            cost.flops += 2 * values; // of the last token only
        else if (!is_embedding && tensor->spec.role != QINS_ROLE_NORM)
            cost.flops += 2 * values * tokens;
    }
    double met = 0; // (query, key) pairs of a head
    for (size_t i = 0; i < n; i++) met += fmin((double)(position + i + 1), most);
    cost.flops += (double)config->n_layers * 4 * (double)qins_config_q_dim(config) * met; // q k^T, and weights times V
    return cost;
}
