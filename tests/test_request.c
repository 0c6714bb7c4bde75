// Reading of requests: what is accepted, and that everything else is refused by name.
#include "engine/server/access.h"
#include "engine/server/request.h"
#include "tests/hf_model.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static hf_model model;
static qins_request_reader reader;

static void open_model(void) {
    model = hf_model_open_demo();
    reader = (qins_request_reader){.model = model.model, .alias = "demo", .n_ctx = 128};
}

static void close_model(void) {
    hf_model_close(&model);
}

TestSuite(request, .init = open_model, .fini = close_model);

#define HELLO "\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]"

static qins_request take(qins_request_kind kind, const char *body) {
    qins_request request;
    qins_refusal refusal = {0};
    const bool is_taken = qins_request_read(&request, kind, body, strlen(body), &reader, &refusal);
    cr_assert(is_taken && refusal.status == 0, "%s: %s", body, refusal.message);
    return request;
}

// The body is refused with the HTTP status, for the field (NULL: none), with `text` in the message.
static void refuse_bytes(qins_request_kind kind, const char *body, size_t size, unsigned status, const char *param,
                         const char *text) {
    qins_request request;
    qins_refusal refusal = {0};
    const bool is_taken = qins_request_read(&request, kind, body, size, &reader, &refusal);
    qins_request_free(&request);
    cr_expect(!is_taken, "%s: was taken", body);
    cr_expect_eq(refusal.status, status, "%s: %u %s", body, refusal.status, refusal.message);
    cr_expect_str_eq(refusal.param, param != NULL ? param : "", "%s", body);
    cr_expect(strstr(refusal.message, text) != NULL, "%s: %s", body, refusal.message);
}

static void refuse(qins_request_kind kind, const char *body, unsigned status, const char *param, const char *text) {
    refuse_bytes(kind, body, strlen(body), status, param, text);
}

// A chat request that greets, with a field that is refused.
static void refuse_field(const char *field, unsigned status, const char *param, const char *text) {
    char body[2048];
    snprintf(body, sizeof body, "{" HELLO ", %s}", field);
    refuse(QINS_CHAT_REQUEST, body, status, param, text);
}

Test(request, a_chat_with_all_fields) {
    qins_request request = take(
        QINS_CHAT_REQUEST,
        "{\"model\": \"demo\", \"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": \"user\","
        "\"content\": [{\"type\": \"text\", \"text\": \"Hel\"}, {\"type\": \"text\", \"text\": \"lo\"}]}],"
        "\"max_tokens\": 7, \"temperature\": 0.5, \"top_p\": 0.9, \"top_k\": 40, \"min_p\": 0.1, \"seed\": "
        "9007199254740992,"
        "\"stop\": [\"a\", \"bc\"], \"stream\": true, \"stream_options\": {\"include_usage\": true}, \"logprobs\": "
        "true,"
        "\"top_logprobs\": 3, \"n\": 1, \"frequency_penalty\": -1, \"presence_penalty\": 2, \"repeat_penalty\": 1.5,"
        "\"logit_bias\": {\"5\": -100, \"3\": 1.5}, \"user\": \"me\", \"response_format\": {\"type\": \"text\"},"
        "\"tools\": [], \"store\": false, \"prediction\": null}");
    const qins_generation_options *options = &request.generation;
    cr_expect_eq(request.n_messages, 2);
    cr_expect_str_eq(request.messages[1].content, "Hel\nlo");
    cr_expect(request.stream && request.include_usage);
    cr_expect(options->max_tokens == 7 && options->n_stops == 2 && options->wants_logprobs && options->n_top == 3);
    cr_expect(options->sampler.temperature == 0.5f && options->sampler.top_p == 0.9f && options->sampler.top_k == 40);
    cr_expect(options->sampler.min_p == 0.1f && options->sampler.seed == 9007199254740992u);
    cr_expect(options->sampler.frequency_penalty == -1 && options->sampler.presence_penalty == 2);
    cr_expect(options->sampler.repeat_penalty == 1.5f && options->n_biases == 2);
    cr_expect(options->biases[0].id == 3 && options->biases[0].bias == 1.5f && options->biases[1].bias == -100);
    cr_expect(options->n_ids > 0 && options->ids == request.ids.data);
    qins_request_free(&request);
}

Test(request, a_developer_is_the_system) {
    qins_request request =
        take(QINS_CHAT_REQUEST, "{\"messages\": [{\"role\": \"developer\", \"content\": \"Be brief.\"},"
                                "{\"role\": \"user\", \"content\": \"Hello\"}]}");
    cr_expect_str_eq(request.messages[0].role, "system");
    qins_request_free(&request);
}

Test(request, parts_of_a_message_become_lines) {
    qins_request request =
        take(QINS_CHAT_REQUEST, "{\"messages\": [{\"role\": \"user\", \"content\": ["
                                "{\"type\": \"text\", \"text\": \"\"}, {\"type\": \"text\", \"text\": \"a\"},"
                                "{\"type\": \"text\", \"text\": \"\"}, {\"type\": \"text\", \"text\": \"b\"}]}]}");
    cr_expect_str_eq(request.messages[0].content, "\na\n\nb");
    cr_expect_eq(request.messages[0].size, 5);
    qins_request_free(&request);
}

Test(request, defaults_are_those_of_openai) {
    qins_request request = take(QINS_CHAT_REQUEST, "{" HELLO "}");
    cr_expect(request.generation.sampler.temperature == 1 && request.generation.sampler.top_p == 1);
    cr_expect(request.generation.max_tokens == SIZE_MAX && !request.stream && !request.generation.wants_logprobs);
    qins_request other = take(QINS_CHAT_REQUEST, "{" HELLO ", \"temperature\": null, \"stop\": null}");
    cr_expect_neq(other.generation.sampler.seed, request.generation.sampler.seed, "a seed of its own");
    qins_request_free(&other);
    qins_request_free(&request);
}

// The ids are those that Hugging Face's way of encoding gives, and a marker in a message is plain text.
Test(request, prompts) {
    qins_error error = {0};
    qins_ids ids = {0}, typed = {0};
    qins_request text = take(QINS_TEXT_REQUEST, "{\"prompt\": \"Hello\"}");
    qins_model_encode(model.model, "Hello", 5, QINS_PARSE_SPECIAL | QINS_ADD_PREFIX, &ids, &error);
    cr_expect(text.ids.count == ids.count && memcmp(text.ids.data, ids.data, ids.count * sizeof *ids.data) == 0);
    qins_request listed = take(QINS_TEXT_REQUEST, "{\"prompt\": [1, 2, 3], \"logprobs\": 2}");
    cr_expect(listed.ids.count == 3 && listed.ids.data[2] == 3 && listed.generation.wants_logprobs);
    qins_request only = take(QINS_TEXT_REQUEST, "{\"prompt\": [\"Hello\"], \"n\": 1, \"best_of\": 1, \"echo\": false}");
    cr_expect(only.ids.count == ids.count && memcmp(only.ids.data, ids.data, ids.count * sizeof *ids.data) == 0);
    qins_request marker = take(QINS_CHAT_REQUEST, "{\"messages\": [{\"role\": \"user\", \"content\": \"<|end|>\"}]}");
    const qins_message message = {"user", "<|end|>", 7};
    qins_model_encode_chat(model.model, &message, 1, QINS_PARSE_SPECIAL, &typed, &error);
    cr_expect_gt(marker.ids.count, typed.count, "a typed marker is several tokens");
    expect_ok(&error);
    qins_request_free(&marker);
    qins_request_free(&only);
    qins_request_free(&listed);
    qins_request_free(&text);
    qins_ids_free(&typed);
    qins_ids_free(&ids);
}

Test(request, fields_out_of_range_are_named) {
    refuse_field("\"temperature\": 2.5", 400, "temperature", "from 0 to 2");
    refuse_field("\"temperature\": \"hot\"", 400, "temperature", "a number");
    refuse_field("\"temperature\": 1e999", 400, "temperature", "a number");
    refuse_field("\"top_p\": -0.1", 400, "top_p", "from 0 to 1");
    refuse_field("\"top_k\": 1.5", 400, "top_k", "an integer");
    refuse_field("\"min_p\": 1.1", 400, "min_p", "from 0 to 1");
    refuse_field("\"max_tokens\": 0", 400, "max_tokens", "an integer from 1");
    refuse_field("\"max_tokens\": 99999999999999999999", 400, "max_tokens", "an integer from 1");
    refuse_field("\"max_tokens\": 1, \"max_completion_tokens\": 1", 400, "max_completion_tokens", "only one");
    refuse_field("\"seed\": -1", 400, "seed", "an integer from 0");
    refuse_field("\"n\": 2", 400, "n", "one reply to a request");
    refuse_field("\"stream\": 1", 400, "stream", "true or false");
    refuse_field("\"stream_options\": {\"include_usage\": true}", 400, "stream_options", "without \"stream\"");
    refuse_field("\"stream\": true, \"stream_options\": {\"more\": 1}", 400, "more", "not supported");
    refuse_field("\"stop\": \"\"", 400, "stop", "none of them empty");
    refuse_field("\"stop\": [1]", 400, "stop", "strings");
    char long_stop[QINS_MAX_STOP_BYTES + 64];
    snprintf(long_stop, sizeof long_stop, "\"stop\": \"%0*d\"", QINS_MAX_STOP_BYTES + 1, 0);
    refuse_field(long_stop, 400, "stop", "at most 1024 bytes");
    refuse_field(
        "\"stop\": "
        "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\"]",
        400, "stop", "at most 16");
    refuse_field("\"top_logprobs\": 2", 400, "top_logprobs", "without \"logprobs\"");
    refuse_field("\"logprobs\": true, \"top_logprobs\": 21", 400, "top_logprobs", "to 20");
    refuse_field("\"logprobs\": 2", 400, "logprobs", "true or false");
    refuse_field("\"logit_bias\": {\"x\": 1}", 400, "logit_bias", "token id");
    refuse_field("\"logit_bias\": {\"999999\": 1}", 400, "logit_bias", "token id");
    refuse_field("\"logit_bias\": {\"1\": 101}", 400, "logit_bias", "-100 to 100");
    refuse_field("\"logit_bias\": {\"1\": 1, \"01\": 2}", 400, "logit_bias", "distinct");
    refuse_field("\"logit_bias\": {\"+1\": 1}", 400, "logit_bias", "token id");
    refuse_field("\"logit_bias\": {\"1x\": 1}", 400, "logit_bias", "token id");
    refuse_field("\"logit_bias\": {\"99999999999999999999\": 1}", 400, "logit_bias", "token id");
    refuse_field("\"logit_bias\": {\"1\": \"x\"}", 400, "logit_bias", "-100 to 100");
    refuse_field("\"logit_bias\": [1]", 400, "logit_bias", "an object");
    refuse_field("\"stream\": true, \"stream_options\": 1", 400, "stream_options", "an object");
    refuse_field("\"stream\": true, \"stream_options\": {\"include_usage\": 1}", 400, "stream_options",
                 "true or false");
    refuse_field("\"response_format\": {}", 400, "response_format", "not supported");
    refuse_field("\"response_format\": {\"type\": \"text\", \"more\": 1}", 400, "more", "not supported");
    refuse_field("\"user\": 5", 400, "user", "a string");
    refuse_field("\"model\": 5", 400, "model", "a string");
    refuse_field("\"model\": \"gpt-4\"", 404, "model", "only \"demo\"");
}

Test(request, what_is_not_known_or_not_there_yet_is_named) {
    refuse_field("\"tempreature\": 1", 400, "tempreature", "not supported");
    refuse_field("\"tools\": [{}]", 400, "tools", "does not call tools");
    refuse_field("\"store\": true", 400, "store", "false");
    refuse(QINS_TEXT_REQUEST, "{\"prompt\": \"a\", \"echo\": true}", 400, "echo", "false");
    refuse_field("\"tool_choice\": \"auto\"", 400, "tool_choice", "does not call tools");
    refuse_field("\"response_format\": {\"type\": \"json_object\"}", 400, "response_format", "not supported");
    refuse_field("\"prompt\": \"x\"", 400, "prompt", "not supported");
    refuse(QINS_TEXT_REQUEST, "{" HELLO "}", 400, "messages", "not supported");
    refuse(QINS_TEXT_REQUEST, "{\"prompt\": [\"a\", \"b\"]}", 400, "prompt", "a single text");
    refuse(QINS_TEXT_REQUEST, "{\"prompt\": [-1]}", 400, "prompt", "not a token id");
    refuse(QINS_TEXT_REQUEST, "{\"prompt\": 5}", 400, "prompt", "a string or an array");
    refuse(QINS_TEXT_REQUEST, "{\"prompt\": []}", 400, "prompt", "at least one token");
    refuse(QINS_TEXT_REQUEST, "{}", 400, "prompt", "missing");
    refuse(QINS_CHAT_REQUEST, "{}", 400, "messages", "missing");
}

static void refuse_messages(const char *messages, const char *text) {
    char body[512];
    snprintf(body, sizeof body, "{\"messages\": %s}", messages);
    refuse(QINS_CHAT_REQUEST, body, 400, "messages", text);
}

Test(request, messages) {
    refuse_messages("[]", "1 to 4096");
    refuse_messages("{\"role\": \"user\"}", "1 to 4096");
    refuse_messages("[1]", "not an object");
    refuse_messages("[{\"content\": \"x\"}]", "needs a \"role\"");
    refuse_messages("[{\"role\": \"tool\", \"content\": \"x\"}]", "needs a \"role\"");
    refuse_messages("[{\"role\": \"user\"}]", "needs a \"content\"");
    refuse_messages("[{\"role\": \"user\", \"content\": \"x\", \"name\": \"me\"}]", "\"name\"");
    refuse_messages("[{\"role\": \"user\", \"content\": [{\"type\": \"image_url\", \"image_url\": {}}]}]", "only text");
    qins_request request =
        take(QINS_CHAT_REQUEST,
             "{\"messages\": [{\"role\": \"user\", \"content\": \"x\", \"name\": null, \"refusal\": null}]}");
    qins_request_free(&request);
}

Test(request, bodies_that_are_no_text_or_no_json) {
    refuse(QINS_CHAT_REQUEST, "", 400, NULL, "empty");
    refuse(QINS_CHAT_REQUEST, "{", 400, NULL, "not valid JSON");
    refuse(QINS_CHAT_REQUEST, "[]", 400, NULL, "not a JSON object");
    refuse(QINS_CHAT_REQUEST, "{" HELLO "} x", 400, NULL, "more bytes follow");
    refuse(QINS_CHAT_REQUEST, "{" HELLO ", " HELLO "}", 400, NULL, "appears twice");
    refuse(QINS_CHAT_REQUEST, "{\"messages\": [{\"role\": \"user\", \"content\": \"\xFF\"}]}", 400, NULL, "not UTF-8");
    refuse(QINS_CHAT_REQUEST, "{\"messages\": [{\"role\": \"user\", \"content\": \"a\\u0000b\"}]}", 400, NULL,
           "U+0000");
    refuse(QINS_CHAT_REQUEST, "{\"messages\": [{\"role\": \"user\", \"content\": \"\\ud800\"}]}", 400, NULL,
           "not valid JSON");
    refuse_bytes(QINS_CHAT_REQUEST, "{}\0", 3, 400, NULL, "more bytes follow");
    qins_request request =
        take(QINS_CHAT_REQUEST, "{\"messages\": [{\"role\": \"user\", \"content\": \"\\\\u0000 is no escape\"}]}");
    cr_expect_str_eq(request.messages[0].content, "\\u0000 is no escape");
    qins_request_free(&request);
}

// Cut at every length, a request is refused and nothing is read beyond it (the address sanitizer watches).
Test(request, truncated) {
    static const char whole[] = "{" HELLO ", \"stop\": [\"\\u0041\"], \"logit_bias\": {\"1\": 2}, \"seed\": 1}";
    for (size_t size = 0; size + 1 < sizeof whole; size++) {
        char *copy = malloc(size > 0 ? size : 1);
        memcpy(copy, whole, size);
        qins_request request;
        qins_refusal refusal = {0};
        cr_expect(!qins_request_read(&request, QINS_CHAT_REQUEST, copy, size, &reader, &refusal), "%zu bytes", size);
        qins_request_free(&request);
        free(copy);
    }
}

Test(request, deep_and_wide_json) {
    enum { MANY = 2 * QINS_MAX_BODY_VALUES };
    char *body = malloc(MANY + 1);
    memset(body, '[', MANY);
    body[MANY] = '\0';
    refuse_bytes(QINS_CHAT_REQUEST, body, 100000, 400, NULL, "not valid JSON");
    refuse_bytes(QINS_CHAT_REQUEST, body, MANY, 400, NULL, "more than");
    free(body);
}

Test(request, a_prompt_that_is_too_long_gets_both_counts) {
    char body[2048] = "{\"prompt\": [1", *end = body + strlen(body);
    for (size_t i = 1; i < 128; i++) end += sprintf(end, ",1");
    strcpy(end, "]}");
    refuse(QINS_TEXT_REQUEST, body, 400, "prompt",
           "128 tokens, and the reply needs at least 1; this server's context holds 128");
    refuse_field("\"max_tokens\": 128", 400, "messages", "and the reply may have 128");
}

Test(request, tokens) {
    qins_ids ids = {0};
    qins_refusal refusal = {0};
    const char text[] = "{\"content\": \"Hello\", \"add_special\": true}",
               wrong[] = "{\"content\": \"Hello\", \"more\": 1}";
    cr_expect(qins_tokenize_read(&ids, text, strlen(text), model.model, &refusal));
    cr_expect_gt(ids.count, 0);
    cr_expect(!qins_tokenize_read(&ids, wrong, strlen(wrong), model.model, &refusal) && refusal.status == 400);
    qins_ids_free(&ids);
    const char list[] = "{\"tokens\": [1, 2]}", bad[] = "{\"tokens\": [-1]}";
    refusal = (qins_refusal){0};
    cr_expect(qins_detokenize_read(&ids, list, strlen(list), model.model, &refusal) && ids.count == 2);
    cr_expect(!qins_detokenize_read(&ids, bad, strlen(bad), model.model, &refusal) && refusal.status == 400);
    qins_ids_free(&ids);
}

// --- access ---

Test(access, hosts_and_origins) {
    static const char *const own[] = {"localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080",
                                      "LOCALHOST", "box:80",         "127.0.0.2"},
                             *const others[] = {
                                 "evil.example", "localhost.evil.example", "127.0.0.1.nip.io:8080", "", "[::2]",
                                 "10.0.0.1"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) cr_expect(qins_host_is_own(own[i], "box"), "%s", own[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_expect(!qins_host_is_own(others[i], "box"), "%s", others[i]);
    cr_expect(!qins_host_is_own(NULL, "box"));
    cr_expect(qins_origin_is_allowed(NULL, "localhost:8080", NULL));
    cr_expect(qins_origin_is_allowed("http://localhost:8080", "localhost:8080", NULL));
    cr_expect(qins_origin_is_allowed("https://app.example", "localhost:8080", "https://app.example"));
    cr_expect(!qins_origin_is_allowed("https://app.example", "localhost:8080", NULL));
    cr_expect(!qins_origin_is_allowed("http://localhost:8081", "localhost:8080", NULL));
    cr_expect(!qins_origin_is_allowed("null", "localhost:8080", NULL));
    cr_expect(qins_is_origin("https://app.example") && qins_is_origin("http://localhost:3000"));
    static const char *const none[] = {"", "*", "app.example", "https://", "https://app.example/", "https://*.example"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) cr_expect(!qins_is_origin(none[i]), "%s", none[i]);
}

Test(access, keys) {
    static qins_keys keys;
    qins_error error = {0};
    char *folder = temporary_folder();
    qins_keys_read(&keys, write_file(folder, "keys", "first-key\r\n\n second\n", 20), &error);
    expect_ok(&error);
    cr_expect_eq(keys.n, 2);
    cr_expect(qins_keys_match(&keys, "Bearer first-key") && qins_keys_match(&keys, "bearer first-key"));
    static const char *const wrong[] = {"Bearer first-ke", "Bearer first-keyy", "Bearer ", "Basic first-key", "", NULL};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) cr_expect(!qins_keys_match(&keys, wrong[i]));
    keys.n = 0;
    cr_expect(qins_keys_match(&keys, NULL), "without keys everybody may");
    qins_keys_read(&keys, write_file(folder, "keys", "\n\n", 2), &error);
    expect_error(&error, QINS_USAGE, "no key");
    char line[300];
    memset(line, 'k', sizeof line);
    qins_keys_read(&keys, write_file(folder, "keys", line, sizeof line), &error);
    expect_error(&error, QINS_USAGE, "at most 255 bytes");
    remove_folder(folder);
}

// All log-probabilities of a reply in one piece are in memory together.
Test(request, too_many_log_probabilities_need_a_stream) {
    reader.n_ctx = 1 << 20;
    refuse_field("\"logprobs\": true, \"top_logprobs\": 20", 400, "top_logprobs", "too many for a reply in one piece");
    refuse(QINS_TEXT_REQUEST, "{\"prompt\": [1], \"logprobs\": 20}", 400, "logprobs", "too many");
    static const char *const bodies[] = {"{" HELLO ", \"logprobs\": true, \"top_logprobs\": 20, \"stream\": true}",
                                         "{" HELLO ", \"logprobs\": true, \"top_logprobs\": 20, \"max_tokens\": 9}"};
    for (size_t i = 0; i < 2; i++) {
        qins_request request = take(QINS_CHAT_REQUEST, bodies[i]);
        qins_request_free(&request);
    }
}

static void refuse_ids(bool is_text, const char *body, const char *param, const char *text) {
    qins_ids ids = {0};
    qins_refusal refusal = {0};
    const bool is_taken =
        (is_text ? qins_tokenize_read : qins_detokenize_read)(&ids, body, strlen(body), model.model, &refusal);
    cr_expect(!is_taken && refusal.status == 400, "%s: %u %s", body, refusal.status, refusal.message);
    cr_expect_str_eq(refusal.param, param, "%s", body);
    cr_expect(strstr(refusal.message, text) != NULL, "%s: %s", body, refusal.message);
    qins_ids_free(&ids);
}

Test(request, texts_and_ids_to_convert) {
    refuse_ids(true, "x", "", "not valid JSON");
    refuse_ids(true, "{}", "content", "must be a string");
    refuse_ids(true, "{\"content\": 5}", "content", "must be a string");
    refuse_ids(true, "{\"content\": \"x\", \"add_special\": 1}", "add_special", "must be true or false");
    refuse_ids(true, "{\"content\": \"x\", \"parse_special\": \"\"}", "parse_special", "must be true or false");
    refuse_ids(true, "{\"content\": \"x\", \"more\": 1}", "more", "not supported");
    refuse_ids(false, "x", "", "not valid JSON");
    refuse_ids(false, "{}", "tokens", "must be an array");
    refuse_ids(false, "{\"tokens\": 5}", "tokens", "must be an array");
    refuse_ids(false, "{\"tokens\": [\"x\"]}", "tokens", "not a token id");
    refuse_ids(false, "{\"tokens\": [1], \"more\": 1}", "more", "not supported");
}
