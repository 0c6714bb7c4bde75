// The cost of a pass, against counts made by hand for Phi-3.5-mini and sums over a small file's tensors.
#include "engine/measure/cost.h"
#include "tests/support.h"

// Phi-3.5-mini has 3,821,079,552 parameters (the sum over its checkpoint's index): 32 layers of 113,246,208 in matrices
// and 65 norms of 3072, embedding and head of 32064 x 3072 each.
static const double LAYERS = 32.0 * 113246208, HEAD = 32064.0 * 3072, NORMS = 65.0 * 3072;

static qins_header header_of(const qins_config *config) {
    qins_header header;
    qins_error error = {0};
    uint64_t file_bytes;
    model_header(&header, config, QINS_QINS8, &error);
    qins_header_layout(&header, 6400, &file_bytes, &error);
    expect_ok(&error);
    return header;
}

Test(cost, one_token_of_phi35) {
    const qins_config config = phi35_config();
    qins_header header = header_of(&config);
    const qins_cost cost = qins_pass_cost(&header, QINS_F16, QINS_QINS8, 0, 1);
    cr_expect_eq(cost.flops, 2 * (LAYERS + HEAD) + 32.0 * 4 * 3072); // one key
    // qins8: a byte per weight, per 512 of a row 16 scale bytes, a BF16 d and 2 bytes of padding; head, norms and the
    // embedding's row in BF16
    cr_expect_eq(cost.weight_bytes, LAYERS * (1 + 20.0 / 512) + 2 * (HEAD + NORMS + 3072));
    cr_expect_eq(cost.kv_bytes, 32.0 * 32 * (2 * 96 + 96 + 2));
    // keys: codes and d; values: nibbles, 3 scale bytes and d
    cr_expect_eq(qins_pass_cost(&header, QINS_QINS8, QINS_QINS4, 0, 1).kv_bytes, 32.0 * 32 * (96 + 2 + 48 + 3 + 2));
    qins_header_free(&header);
}

Test(cost, prompts_and_depths_of_phi35) {
    const qins_config config = phi35_config();
    qins_header header = header_of(&config);
    const double pair = 32.0 * 4 * 3072; // a query and a key, all layers and heads
    cr_expect_eq(qins_pass_cost(&header, QINS_F16, QINS_QINS8, 0, 3).flops, 2 * (3 * LAYERS + HEAD) + 6 * pair);
    cr_expect_eq(qins_pass_cost(&header, QINS_F16, QINS_QINS8, 10, 2).flops, 2 * (2 * LAYERS + HEAD) + 23 * pair);
    const qins_cost deep = qins_pass_cost(&header, QINS_F32, QINS_F16, 4096, 1);
    cr_expect_eq(deep.kv_bytes, 4097.0 * 32 * 32 * (4 + 2) * 96);
    cr_expect_eq(deep.weight_bytes, qins_pass_cost(&header, QINS_F16, QINS_QINS8, 0, 1).weight_bytes);
    qins_header_free(&header);
}

// A head that is the embedding is read and multiplied all the same.
Test(cost, a_tied_head_counts) {
    qins_config config = tiny_config();
    config.tied_head = false;
    qins_header apart = header_of(&config);
    config.tied_head = true;
    qins_header tied = header_of(&config);
    const qins_cost a = qins_pass_cost(&apart, QINS_F16, QINS_F16, 5, 2),
                    b = qins_pass_cost(&tied, QINS_F16, QINS_F16, 5, 2);
    cr_expect_eq(a.flops, b.flops);
    cr_expect_eq(a.weight_bytes, b.weight_bytes);
    qins_header_free(&apart);
    qins_header_free(&tied);
}
