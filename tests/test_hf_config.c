// config.json as transformers' Phi3Config understands it, and what is refused by name.
#include "convert/hf_config.h"
#include "tests/hf_fixture.h"

#include "engine/base/file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FACTORS "\"short_factor\":[1,1.5,2,2.5],\"long_factor\":[2,3,4,5]"
// Heads of 8 values, so 4 factors.
#define BASE "{\"model_type\":\"phi3\",\"hidden_size\":64,\"num_attention_heads\":8,\"max_position_embeddings\":8192"

static qins_status read_text(const char *text, const char *generation, qins_config *config, qins_error *error) {
    qins_error parse_error = {0};
    qins_json *json = qins_json_parse(text, strlen(text), QINS_BAD_MODEL, &parse_error);
    qins_json *other =
        generation == NULL ? NULL : qins_json_parse(generation, strlen(generation), QINS_BAD_MODEL, &parse_error);
    cr_assert_eq(parse_error.status, QINS_OK, "%s: %s", text, parse_error.message);
    qins_status status = qins_hf_config_read(config, json, other, &(qins_problems){.folder = "test"}, error);
    qins_json_free(other);
    qins_json_free(json);
    return status;
}

static qins_config accepted(const char *text, const char *generation) {
    qins_config config;
    qins_error error = {0};
    cr_assert_eq(read_text(text, generation, &config, &error), QINS_OK, "%s: %s", text, error.message);
    return config;
}

static void refused(const char *text, const char *message) {
    qins_config config;
    qins_error error = {0};
    cr_expect_eq(read_text(text, NULL, &config, &error), QINS_BAD_MODEL, "%s", text);
    cr_expect_not_null(strstr(error.message, message), "\"%s\" is not in \"%s\"", message, error.message);
}

Test(hf_config, has_the_defaults_of_phi3config) {
    qins_config config = accepted("{\"model_type\":\"phi3\"}", NULL);
    cr_expect_eq(config.vocab_size, 32064u);
    cr_expect_eq(config.hidden_dim, 3072u);
    cr_expect_eq(config.ffn_dim, 8192u);
    cr_expect_eq(config.n_layers, 32u);
    cr_expect_eq(config.n_heads, 32u);
    cr_expect_eq(config.n_kv_heads, 32u);
    cr_expect_eq(config.head_dim, 96u);
    cr_expect_eq(config.max_positions, 4096u);
    cr_expect_eq(config.rms_eps, 1e-5);
    cr_expect_eq(config.rope, QINS_ROPE_PLAIN);
    cr_expect_eq(config.rope_dim, 96u);
    cr_expect_eq(config.rope_base, 10000.0);
    cr_expect_not(config.tied_head);
    cr_expect_eq(config.n_stop_ids, 1u);
    cr_expect_eq(config.stop_ids[0], 32000);
}

Test(hf_config, reads_every_size) {
    qins_config config = accepted(fixture_config, NULL);
    cr_expect_eq(config.vocab_size, 96u);
    cr_expect_eq(config.hidden_dim, 80u);
    cr_expect_eq(config.ffn_dim, 72u);
    cr_expect_eq(config.n_layers, 2u);
    cr_expect_eq(config.n_heads, 4u);
    cr_expect_eq(config.n_kv_heads, 2u);
    cr_expect_eq(config.head_dim, 20u);
    cr_expect_eq(config.max_positions, 256u);
    cr_expect_eq(accepted(BASE ",\"head_dim\":16,\"tie_word_embeddings\":true}", NULL).head_dim, 16u);
    cr_expect(accepted(BASE ",\"head_dim\":null,\"tie_word_embeddings\":true}", NULL).tied_head);
    cr_expect_eq(accepted(BASE ",\"num_key_value_heads\":null}", NULL).n_kv_heads, 8u);
}

Test(hf_config, reads_longrope_in_all_its_spellings) {
    static const char *const spellings[] = {
        BASE ",\"rope_scaling\":{\"type\":\"longrope\"," FACTORS "}}",
        BASE ",\"rope_scaling\":{\"type\":\"su\"," FACTORS "}}",
        BASE ",\"rope_scaling\":{\"type\":\"yarn\"," FACTORS "}}",
        BASE ",\"rope_scaling\":{\"rope_type\":\"longrope\",\"type\":\"linear\"," FACTORS "}}",
        BASE ",\"rope_parameters\":{\"rope_type\":\"longrope\",\"rope_theta\":10000.0," FACTORS "}}",
        BASE ",\"rope_scaling\":{},\"rope_parameters\":{\"rope_type\":\"su\"," FACTORS "}}",
        BASE ",\"rope_scaling\":{\"type\":\"su\"," FACTORS "},\"rope_parameters\":{\"rope_type\":\"default\"}}",
    };
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        qins_config config = accepted(spellings[i], NULL);
        cr_expect_eq(config.rope, QINS_ROPE_LONG, "%s", spellings[i]);
        cr_expect_eq(config.original_positions, 4096u);
        cr_expect_eq(config.short_factor[1], 1.5);
        cr_expect_eq(config.long_factor[3], 5.0);
        cr_expect_eq(config.attention_factor, 0.0);
        cr_expect_eq(config.scaling_factor, 0.0);
    }
}

Test(hf_config, takes_the_original_positions_of_the_top_level) {
    const char *nested =
        BASE ",\"rope_scaling\":{\"type\":\"longrope\",\"original_max_position_embeddings\":1024," FACTORS "}}";
    cr_expect_eq(accepted(nested, NULL).original_positions, 4096u); // Phi3Config's default wins over the nested one
    const char *top = BASE ",\"original_max_position_embeddings\":2048,\"rope_scaling\":{\"type\":\"longrope\","
                           "\"attention_factor\":1.25,\"factor\":16," FACTORS "}}";
    qins_config config = accepted(top, NULL);
    cr_expect_eq(config.original_positions, 2048u);
    cr_expect_eq(config.attention_factor, 1.25);
    cr_expect_eq(config.scaling_factor, 16.0);
}

Test(hf_config, reads_base_and_partial_rotation_from_both_places) {
    cr_expect_eq(accepted(BASE ",\"rope_theta\":5e5}", NULL).rope_base, 5e5);
    cr_expect_eq(accepted(BASE ",\"rope_theta\":5e5,\"rope_parameters\":{\"rope_theta\":7}}", NULL).rope_base, 7.0);
    cr_expect_eq(accepted(BASE ",\"rope_theta\":5e5,\"rope_parameters\":{\"rope_type\":\"default\"}}", NULL).rope_base,
                 5e5);
    cr_expect_eq(accepted(BASE ",\"partial_rotary_factor\":0.75}", NULL).rope_dim, 6u);
    cr_expect_eq(
        accepted(BASE ",\"partial_rotary_factor\":0.75,\"rope_parameters\":{\"partial_rotary_factor\":0.5}}", NULL)
            .rope_dim,
        4u);
    cr_expect_eq(accepted(BASE ",\"partial_rotary_factor\":0.8}", NULL).rope_dim, 6u); // int(6.4)
    refused(BASE ",\"partial_rotary_factor\":0.7}", "rope_dim is 5");
}

Test(hf_config, refuses_other_models_by_name) {
    refused("{\"architectures\":[\"Qwen2ForCausalLM\"],\"model_type\":\"qwen2\"}",
            "Qwen2ForCausalLM (model_type qwen2)");
    refused("{\"architectures\":[\"Phi3SmallForCausalLM\"],\"model_type\":\"phi3small\"}", "Phi3SmallForCausalLM");
    refused("{}", "not given");
    refused(BASE ",\"hidden_act\":\"gelu\"}", "\"hidden_act\" is \"gelu\"");
    refused(BASE ",\"attention_bias\":true}", "\"attention_bias\"");
    refused(BASE ",\"lm_head_bias\":true}", "\"lm_head_bias\"");
    refused(BASE ",\"quantization_config\":{\"bits\":4}}", "\"quantization_config\"");
    refused(BASE ",\"per_layer_config\":{}}", "\"per_layer_config\"");
    refused(BASE ",\"vocab_size\":\"many\"}", "\"vocab_size\"");
    refused(BASE ",\"num_key_value_heads\":3}", "8 query heads cannot share 3");
}

// Defaults as in transformers' LlamaConfig and MistralConfig. A type goes before an architecture.
Test(hf_config, reads_llama_and_mistral) {
    qins_config config = accepted("{\"model_type\":\"llama\",\"sliding_window\":5}", NULL);
    cr_expect_eq(config.vocab_size, 32000u);
    cr_expect_eq(config.hidden_dim, 4096u);
    cr_expect_eq(config.ffn_dim, 11008u);
    cr_expect_eq(config.n_kv_heads, 32u);
    cr_expect_eq(config.max_positions, 2048u);
    cr_expect_eq(config.rms_eps, 1e-6);
    cr_expect_eq(config.window, 0u); // Llama does not read it
    cr_expect_eq(config.stop_ids[0], 2);
    config = accepted("{\"architectures\":[\"MistralForCausalLM\"]}", NULL);
    cr_expect_eq(config.ffn_dim, 14336u);
    cr_expect_eq(config.n_kv_heads, 8u);
    cr_expect_eq(config.max_positions, 131072u);
    cr_expect_eq(config.window, 4096u);
    config = accepted("{\"model_type\":\"mistral\",\"sliding_window\":null,\"num_key_value_heads\":null}", NULL);
    cr_expect_eq(config.window, 0u);
    cr_expect_eq(config.n_kv_heads, 32u);
    cr_expect_eq(accepted("{\"model_type\":\"phi3\",\"architectures\":[\"LlamaForCausalLM\"]}", NULL).vocab_size,
                 32064u);
#define LLAMA "{\"model_type\":\"llama\",\"hidden_size\":64,\"num_attention_heads\":8,\"max_position_embeddings\":8192"
    const char *rope = LLAMA ",\"rope_scaling\":{\"type\":\"longrope\"," FACTORS "}}";
    cr_expect_eq(accepted(rope, NULL).original_positions, 8192u);
    rope = LLAMA ",\"rope_scaling\":{\"type\":\"longrope\",\"original_max_position_embeddings\":1024," FACTORS "}}";
    cr_expect_eq(accepted(rope, NULL).original_positions, 1024u);
    rope = LLAMA ",\"original_max_position_embeddings\":4096,\"rope_scaling\":{\"type\":\"longrope\"," FACTORS "}}";
    cr_expect_eq(accepted(rope, NULL).original_positions, 4096u);
    refused(LLAMA ",\"rope_scaling\":{\"type\":\"su\"," FACTORS "}}", "the type \"su\"");
    refused(LLAMA ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":2}}", "the type \"yarn\"");
    refused(LLAMA ",\"partial_rotary_factor\":0.5}",
            "\"partial_rotary_factor\" is 0.5, which LlamaForCausalLM does not have");
    refused(LLAMA ",\"attention_bias\":true}", "\"attention_bias\" is true");
}

Test(hf_config, passes_over_what_changes_nothing) {
    accepted(BASE ",\"hidden_act\":\"swish\"}", NULL);
    accepted(BASE ",\"quantization_config\":{}}", NULL);
    accepted(BASE ",\"quantization_config\":null}", NULL);
    accepted(BASE ",\"quantization_config\":{\"load_in_4bit\":false,\"load_in_8bit\":false}}", NULL);
    accepted(BASE ",\"quantization_config\":{\"quant_method\":\"bitsandbytes\",\"_load_in_4bit\":false,"
                  "\"load_in_4bit\":false,\"bnb_4bit_quant_type\":\"nf4\",\"llm_int8_threshold\":6.0}}",
             NULL);
    refused(BASE ",\"quantization_config\":{\"quant_method\":\"bitsandbytes\",\"load_in_4bit\":true}}",
            "\"quantization_config\"");
    refused(BASE ",\"quantization_config\":{\"load_in_8bit\":true}}", "\"quantization_config\"");
    refused(BASE ",\"quantization_config\":{\"quant_method\":\"gptq\"}}", "\"quantization_config\"");
    refused(BASE ",\"quantization_config\":[]}", "\"quantization_config\"");
}

Test(hf_config, refuses_rotations_by_name) {
    refused(BASE ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}", "\"rope_scaling\" has the type \"linear\"");
    refused(BASE ",\"rope_parameters\":{\"rope_type\":\"llama3\"}}", "\"rope_parameters\" has the type \"llama3\"");
    refused(BASE ",\"rope_scaling\":{\"type\":\"longrope\",\"short_mscale\":1.2," FACTORS "}}", "\"short_mscale\"");
    refused(BASE ",\"rope_scaling\":{\"type\":\"longrope\",\"long_factor\":[1,2,3,4]}}", "\"short_factor\"");
    refused(BASE ",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,2,3],\"long_factor\":[1,2,3]}}",
            "\"rope_scaling\": \"short_factor\" must be an array of 4");
    refused(BASE ",\"rope_scaling\":{\"type\":\"longrope\",\"attention_factor\":0," FACTORS "}}",
            "\"attention_factor\"");
    refused(BASE ",\"rope_scaling\":{\"type\":\"longrope\",\"factor\":-1," FACTORS "}}", "\"factor\"");
    refused(BASE ",\"rope_scaling\":\"longrope\"}", "must be an object");
}

Test(hf_config, keeps_a_window_that_acts) {
    cr_expect_eq(accepted(BASE ",\"sliding_window\":2047}", NULL).window, 2047u);
    cr_expect_eq(accepted(BASE ",\"sliding_window\":8191}", NULL).window, 8191u);
    refused(BASE ",\"sliding_window\":0}", "\"sliding_window\"");
    refused(BASE ",\"sliding_window\":true}", "\"sliding_window\"");
    cr_expect_eq(accepted(BASE ",\"sliding_window\":8192}", NULL).window, 0u);
    cr_expect_eq(accepted(BASE ",\"sliding_window\":262144}", NULL).window, 0u);
    cr_expect_eq(accepted(BASE ",\"sliding_window\":null}", NULL).window, 0u);
}

Test(hf_config, stops_where_generation_config_says) {
    qins_config config = accepted(BASE ",\"eos_token_id\":9}", "{\"eos_token_id\":[3,4,3]}");
    cr_assert_eq(config.n_stop_ids, 2u);
    cr_expect_eq(config.stop_ids[0], 3);
    cr_expect_eq(config.stop_ids[1], 4);
    cr_expect_eq(accepted(BASE ",\"eos_token_id\":9}", "{\"eos_token_id\":5}").stop_ids[0], 5);
    cr_expect_eq(accepted(BASE ",\"eos_token_id\":[9,10]}", "{}").stop_ids[1], 10);
    cr_expect_eq(accepted(BASE ",\"eos_token_id\":9}", NULL).stop_ids[0], 9);
    // An id without a logit never comes up.
    cr_expect_eq(accepted(BASE ",\"eos_token_id\":[40000,-1]}", NULL).n_stop_ids, 0u);
    cr_expect_eq(accepted(BASE ",\"vocab_size\":100}", NULL).n_stop_ids, 0u);
    refused(BASE ",\"eos_token_id\":\"</s>\"}", "\"eos_token_id\"");
    char many[1024] = BASE ",\"eos_token_id\":[0";
    for (int i = 1; i <= QINS_MAX_STOP_IDS; i++) sprintf(many + strlen(many), ",%d", i);
    strcat(many, "]}");
    refused(many, "more than 64");
}

Test(hf_config, reads_the_published_file) {
    const char *folder = getenv("QINS_TEST_DATA");
    if (folder == NULL || folder[0] == '\0') cr_skip_test("QINS_TEST_DATA is not set");
    char path[4096];
    qins_error error = {0};
    char *texts[2];
    static const char *const names[] = {"config.json", "generation_config.json"};
    for (int i = 0; i < 2; i++) {
        size_t size;
        snprintf(path, sizeof path, "%s/phi35/%s", folder, names[i]);
        texts[i] = qins_file_read_all(path, 1 << 20, &size, QINS_FAILED, &error);
        cr_assert_not_null(texts[i], "%s", error.message);
    }
    qins_config config = accepted(texts[0], texts[1]);
    cr_expect_eq(config.rope, QINS_ROPE_LONG);
    cr_expect_eq(config.max_positions, 131072u);
    cr_expect_eq(config.original_positions, 4096u);
    cr_expect_eq(config.rope_dim, 96u);
    cr_expect_eq(config.long_factor[47], 64.83999633789062);
    cr_assert_eq(config.n_stop_ids, 3u);
    cr_expect_eq(config.stop_ids[0], 32007);
    free(texts[0]);
    free(texts[1]);
}
