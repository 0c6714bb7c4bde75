// The configuration: its JSON form comes back, every bound is refused by name.
#include "engine/format/config.h"
#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Text of the "config" object; released with free().
static char *printed(const qins_config *config) {
    qins_error error = {0};
    qins_json *object = qins_json_new_object(&error);
    qins_config_to_json(config, object, &error);
    char *text = qins_json_print(object, &error);
    expect_ok(&error);
    qins_json_free(object);
    return text;
}

static qins_status read_back(qins_config *config, const char *text, qins_error *error) {
    qins_json *json = qins_json_parse(text, strlen(text), QINS_BAD_MODEL, error);
    if (json == NULL) return error->status;
    qins_config_from_json(config, json, error);
    qins_json_free(json);
    return error->status;
}

static void expect_round_trip(const qins_config *config) {
    qins_error error = {0};
    qins_config again;
    char *text = printed(config);
    read_back(&again, text, &error);
    expect_ok(&error);
    cr_expect(again.n_layers == config->n_layers && again.hidden_dim == config->hidden_dim);
    cr_expect(again.ffn_dim == config->ffn_dim && again.n_heads == config->n_heads);
    cr_expect(again.n_kv_heads == config->n_kv_heads && again.head_dim == config->head_dim);
    cr_expect(again.vocab_size == config->vocab_size && again.max_positions == config->max_positions);
    cr_expect(again.rms_eps == config->rms_eps && again.tied_head == config->tied_head);
    cr_expect(again.rope == config->rope && again.rope_dim == config->rope_dim && again.rope_base == config->rope_base);
    if (config->rope == QINS_ROPE_LONG) {
        cr_expect(again.original_positions == config->original_positions);
        cr_expect(again.attention_factor == config->attention_factor);
        cr_expect(again.scaling_factor == config->scaling_factor);
        cr_expect_eq(memcmp(again.short_factor, config->short_factor, config->rope_dim / 2 * sizeof(double)), 0);
        cr_expect_eq(memcmp(again.long_factor, config->long_factor, config->rope_dim / 2 * sizeof(double)), 0);
    }
    cr_expect_eq(again.n_stop_ids, config->n_stop_ids);
    cr_expect_eq(memcmp(again.stop_ids, config->stop_ids, sizeof again.stop_ids), 0);
    free(text);
}

Test(config, comes_back_from_json) {
    qins_config config = phi35_config();
    config.short_factor[3] = 1.0299999713897705; // as in the checkpoint: an FP32 number in 17 digits
    config.long_factor[47] = 64.83999633789062;
    expect_round_trip(&config);
    config.attention_factor = 1.1902380714238083;
    config.scaling_factor = 32;
    config.tied_head = true;
    config.n_stop_ids = 0;
    memset(config.stop_ids, 0, sizeof config.stop_ids);
    expect_round_trip(&config);
    config.rope = QINS_ROPE_PLAIN;
    config.original_positions = 0;
    expect_round_trip(&config);
    config = tiny_config();
    config.vocab_size = config.n_stop_ids = QINS_MAX_STOP_IDS;
    for (int i = 0; i < QINS_MAX_STOP_IDS; i++) config.stop_ids[i] = i;
    expect_round_trip(&config);
}

Test(config, derived_widths) {
    qins_config config = tiny_config();
    cr_expect_eq(qins_config_q_dim(&config), 48);
    cr_expect_eq(qins_config_kv_dim(&config), 24);
    cr_expect_eq(qins_config_qkv_dim(&config), 96);
}

static void expect_size_refused(size_t offset, size_t value, const char *name) {
    qins_config config = tiny_config();
    qins_error error = {0};
    memcpy((char *)&config + offset, &value, sizeof value);
    cr_expect_neq(qins_config_check(&config, &error), QINS_OK, "%s = %zu", name, value);
    expect_error(&error, QINS_BAD_MODEL, name);
}

Test(config, every_size_has_its_bounds) {
    static const struct {
        const char *name;
        size_t offset, low, high; // both refused
    } fields[] = {{"n_layers", offsetof(qins_config, n_layers), 0, 1025},
                  {"hidden_dim", offsetof(qins_config, hidden_dim), 0, (1 << 18) + 1},
                  {"ffn_dim", offsetof(qins_config, ffn_dim), 0, (1 << 18) + 1},
                  {"n_heads", offsetof(qins_config, n_heads), 0, 1025},
                  {"n_kv_heads", offsetof(qins_config, n_kv_heads), 0, 5},
                  {"head_dim", offsetof(qins_config, head_dim), 1, QINS_MAX_HEAD_DIM + 1},
                  {"vocab_size", offsetof(qins_config, vocab_size), 0, (1 << 22) + 1},
                  {"max_positions", offsetof(qins_config, max_positions), 0, (1 << 24) + 1},
                  {"rope_dim", offsetof(qins_config, rope_dim), 0, 14},
                  {"original_positions", offsetof(qins_config, original_positions), 1, (1 << 24) + 1},
                  {"stop ids", offsetof(qins_config, n_stop_ids), QINS_MAX_STOP_IDS + 1, SIZE_MAX}};
    qins_error error = {0};
    qins_config config = tiny_config();
    qins_config_check(&config, &error);
    expect_ok(&error);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        expect_size_refused(fields[i].offset, fields[i].low, fields[i].name);
        expect_size_refused(fields[i].offset, fields[i].high, fields[i].name);
        expect_size_refused(fields[i].offset, SIZE_MAX, fields[i].name);
    }
}

static void expect_refused(const qins_config *config, const char *text) {
    qins_error error = {0};
    cr_expect_neq(qins_config_check(config, &error), QINS_OK, "%s", text);
    expect_error(&error, QINS_BAD_MODEL, text);
}

Test(config, relations_between_fields) {
    qins_config config = tiny_config();
    config.n_kv_heads = 3;
    expect_refused(&config, "4 query heads cannot share 3 KV heads");
    config = tiny_config();
    config.n_heads = 1024;
    config.head_dim = 512; // 2^19 queries: twice what a tile holds
    expect_refused(&config, "n_heads x head_dim");
    config = tiny_config();
    config.rope_dim = 7;
    expect_refused(&config, "rope_dim is 7");
    config = tiny_config();
    config.stop_ids[0] = 50;
    expect_refused(&config, "stop id 50 is outside the vocabulary of 50");
    config.stop_ids[0] = -1;
    expect_refused(&config, "stop id -1");
}

Test(config, real_numbers_have_their_bounds) {
    // Some are invalid only in FP32.
    const double bad_eps[] = {0, -1e-5, 1, NAN, INFINITY, 1e-50}, bad_base[] = {1, 0, -10000, NAN, INFINITY, 1 + 1e-12};
    const double bad_factor[] = {0, -1, NAN, INFINITY, 1e-320, 1e-40, 1e40};
    const double bad_scale[] = {-1, NAN, INFINITY, 1e-50, 1e50};
    for (int i = 0; i < 6; i++) {
        qins_config config = tiny_config();
        config.rms_eps = bad_eps[i];
        expect_refused(&config, "rms_eps");
        config = tiny_config();
        config.rope_base = bad_base[i];
        expect_refused(&config, "rope_base");
    }
    for (int i = 0; i < 7; i++) {
        qins_config config = tiny_config();
        config.short_factor[5] = bad_factor[i];
        expect_refused(&config, "short_factor[5]");
        config = tiny_config();
        config.long_factor[0] = bad_factor[i];
        expect_refused(&config, "long_factor[0]");
        config.rope = QINS_ROPE_PLAIN; // then it is not used
        qins_error error = {0};
        qins_config_check(&config, &error);
        expect_ok(&error);
    }
    for (int i = 0; i < 5; i++) {
        qins_config config = tiny_config();
        config.attention_factor = bad_scale[i];
        expect_refused(&config, "attention_factor");
        config = tiny_config();
        config.scaling_factor = bad_scale[i];
        expect_refused(&config, "scaling_factor");
    }
}

// The JSON of tiny_config with one piece replaced is refused with this message.
static void expect_json_refused(const char *from, const char *to, const char *message) {
    qins_config config = tiny_config();
    qins_error error = {0};
    char *text = printed(&config), *place = strstr(text, from), changed[4096];
    cr_assert_not_null(place, "%s", from);
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(place - text), text, to, place + strlen(from));
    cr_expect_neq(read_back(&config, changed, &error), QINS_OK, "%s -> %s", from, to);
    expect_error(&error, QINS_BAD_MODEL, message);
    free(text);
}

Test(config, damaged_json_is_refused_by_name) {
    static const char *const keys[] = {"n_layers", "hidden_dim", "ffn_dim",       "n_heads", "n_kv_heads",
                                       "head_dim", "vocab_size", "max_positions", "rope_dim"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char from[32], to[32];
        snprintf(from, sizeof from, "\"%s\":", keys[i]);
        snprintf(to, sizeof to, "\"%s\":-", keys[i]);
        expect_json_refused(from, to, keys[i]);
        snprintf(to, sizeof to, "\"%s\":0.5,\"x\":", keys[i]);
        expect_json_refused(from, to, keys[i]);
        expect_json_refused(from, "\"x\":", keys[i]);
    }
    expect_json_refused("\"rms_eps\":", "\"x\":", "rms_eps");
    expect_json_refused("\"rms_eps\":", "\"rms_eps\":true,\"x\":", "rms_eps");
    expect_json_refused("\"rope_base\":", "\"x\":", "rope_base");
    expect_json_refused("\"tied_head\":false", "\"tied_head\":0", "tied_head");
    expect_json_refused("\"original_positions\":8", "\"original_positions\":1", "original_positions");
    expect_json_refused("\"original_positions\":8", "\"x\":8", "original_positions");
    expect_json_refused("\"short_factor\":[1,", "\"short_factor\":[", "\"short_factor\" must be an array of 6");
    expect_json_refused("\"long_factor\":[1,", "\"long_factor\":[1,1,", "\"long_factor\" must be an array of 6");
    expect_json_refused("\"long_factor\":[1,", "\"long_factor\":[\"1\",", "\"long_factor\"[0] is not a number");
    expect_json_refused("\"long_factor\":[1,", "\"long_factor\":[-1,", "long_factor[0]");
    expect_json_refused("\"longrope\":{", "\"longrope\":5,\"x\":{", "original_positions");
    expect_json_refused("[7]", "[7.5]", "stop_ids");
    expect_json_refused("[7]", "[-1]", "stop_ids");
    expect_json_refused("[7]", "[50]", "stop id 50");
    char many[256] = "[0";
    for (int i = 1; i <= QINS_MAX_STOP_IDS; i++) sprintf(many + strlen(many), ",%d", i % 50);
    strcat(many, "]");
    expect_json_refused("[7]", many, "stop_ids");
    expect_json_refused("[7]", "7", "stop_ids");
    expect_json_refused("[7]", "{\"a\":7}", "stop_ids");
    expect_json_refused("\"stop_ids\":", "\"x\":", "stop_ids");
}
