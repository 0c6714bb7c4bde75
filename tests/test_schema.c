// The list of tensors: Phi-3.5's names and shapes (its checkpoint's), grouped heads, a tied head.
#include "engine/format/schema.h"
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

static void expect_entry(const qins_config *config, size_t index, const char *name, qins_role role, size_t rows,
                         size_t cols) {
    qins_tensor_spec spec = qins_schema_entry(config, index);
    cr_expect_str_eq(spec.name, name);
    cr_expect(spec.role == role && spec.rows == rows && spec.cols == cols, "%s: role %s, [%zu, %zu]", name,
              qins_role_name(spec.role), spec.rows, spec.cols);
}

Test(schema, phi35_has_the_195_tensors_of_its_checkpoint) {
    const qins_config config = phi35_config();
    cr_assert_eq(qins_schema_count(&config), 195);
    expect_entry(&config, 0, "model.embed_tokens.weight", QINS_ROLE_EMBEDDING, 32064, 3072);
    static const struct {
        const char *suffix;
        qins_role role;
        size_t rows, cols;
    } layer[] = {
        {"input_layernorm", QINS_ROLE_NORM, 1, 3072},         {"self_attn.qkv_proj", QINS_ROLE_QKV, 9216, 3072},
        {"self_attn.o_proj", QINS_ROLE_OUTPUT, 3072, 3072},   {"post_attention_layernorm", QINS_ROLE_NORM, 1, 3072},
        {"mlp.gate_up_proj", QINS_ROLE_GATE_UP, 16384, 3072}, {"mlp.down_proj", QINS_ROLE_DOWN, 3072, 8192}};
    for (size_t i = 0; i < 32 * 6; i++) {
        char name[80];
        snprintf(name, sizeof name, "model.layers.%zu.%s.weight", i / 6, layer[i % 6].suffix);
        expect_entry(&config, 1 + i, name, layer[i % 6].role, layer[i % 6].rows, layer[i % 6].cols);
    }
    expect_entry(&config, 193, "model.norm.weight", QINS_ROLE_NORM, 1, 3072);
    expect_entry(&config, 194, "lm_head.weight", QINS_ROLE_HEAD, 32064, 3072);
    size_t parameters = 0;
    for (size_t i = 0; i < 195; i++) {
        qins_tensor_spec spec = qins_schema_entry(&config, i);
        parameters += spec.rows * spec.cols;
    }
    cr_expect_eq(parameters, 3821079552, "what the model's card says");
}

Test(schema, a_tied_model_has_no_head) {
    qins_config config = tiny_config();
    cr_expect_eq(qins_schema_count(&config), 15);
    config.tied_head = true;
    cr_expect_eq(qins_schema_count(&config), 14);
    expect_entry(&config, 13, "model.norm.weight", QINS_ROLE_NORM, 1, 48);
}

Test(schema, grouped_heads_make_qkv_narrower) {
    const qins_config config = tiny_config(); // 4 heads of 12 on 2 KV heads
    expect_entry(&config, QINS_LAYER_INDEX + QINS_QKV, "model.layers.0.self_attn.qkv_proj.weight", QINS_ROLE_QKV,
                 48 + 2 * 24, 48);
    expect_entry(&config, QINS_LAYER_INDEX + QINS_TENSORS_PER_LAYER + QINS_OUTPUT,
                 "model.layers.1.self_attn.o_proj.weight", QINS_ROLE_OUTPUT, 48, 48);
}

Test(schema, only_matrices_may_be_coded) {
    for (int role = 0; role < QINS_ROLE_COUNT; role++) {
        cr_expect_eq(qins_schema_allows((qins_role)role, QINS_QINS8), role != QINS_ROLE_NORM, "%s",
                     qins_role_name((qins_role)role));
        cr_expect(qins_schema_allows((qins_role)role, QINS_F32) && qins_schema_allows((qins_role)role, QINS_F16));
        cr_expect(qins_schema_allows((qins_role)role, QINS_BF16));
    }
}

Test(schema, what_is_multiplied_or_coded_lies_in_panels) {
    qins_config config = tiny_config();
    for (int is_tied = 0; is_tied < 2; is_tied++) {
        config.tied_head = is_tied == 1;
        cr_expect_eq(qins_schema_layout(&config, QINS_ROLE_EMBEDDING, QINS_BF16), is_tied ? QINS_PANELS : QINS_ROWS);
        cr_expect_eq(qins_schema_layout(&config, QINS_ROLE_EMBEDDING, QINS_QINS6), QINS_PANELS);
        cr_expect_eq(qins_schema_layout(&config, QINS_ROLE_NORM, QINS_BF16), QINS_ROWS);
        cr_expect_eq(qins_schema_layout(&config, QINS_ROLE_DOWN, QINS_F32), QINS_PANELS);
    }
}

Test(schema, the_longest_name_fits) {
    qins_config config = tiny_config();
    config.n_layers = 1024;
    qins_tensor_spec spec =
        qins_schema_entry(&config, QINS_LAYER_INDEX + 1023 * QINS_TENSORS_PER_LAYER + QINS_POST_NORM);
    cr_expect_str_eq(spec.name, "model.layers.1023.post_attention_layernorm.weight");
}
