// chat_recognize.h: templates are known by what they render, in any spelling (tests/oracle/make_chat_goldens.py).
#include "convert/chat_recognize.h"
#include "convert/export.h"
#include "engine/base/json.h"
#include "tests/failing_allocation.h"
#include "tests/hf_model.h"
#include "tests/tokenizer_support.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void expect_text(const qins_json *expected, const char *key, const char *got, const char *name) {
    const char *text = qins_json_text(qins_json_get(expected, key));
    cr_expect((text == NULL) == (got == NULL) && (text == NULL || strcmp(text, got) == 0), "%s: %s is \"%s\"", name,
              key, got);
}

static void recognize(const qins_json *item, qins_recognized *result, qins_error *error) {
    const char *jinja = qins_json_text(qins_json_get(item, "template"));
    qins_jinja_text texts[4];
    size_t n_texts = 0;
    for (const qins_json *token = qins_json_first(qins_json_get(item, "tokens")); token != NULL;
         token = qins_json_next(token))
        texts[n_texts++] = (qins_jinja_text){qins_json_key(token), qins_json_text(token)};
    qins_chat_recognize(jinja, strlen(jinja), texts, n_texts, result, error);
}

Test(chat_recognize, every_spelling) {
    qins_json *root = hf_read_json("tests/data/chat_templates.json");
    size_t n = 0;
    for (const qins_json *item = qins_json_first(qins_json_get(root, "templates")); item != NULL;
         item = qins_json_next(item), n++) {
        const qins_json *expected = qins_json_get(item, "expected");
        const char *name = qins_json_text(qins_json_get(item, "name"));
        qins_recognized result;
        qins_error error = {0};
        recognize(item, &result, &error);
        cr_assert_eq(error.status, QINS_OK, "%s: %s", name, error.message);
        cr_expect_str_eq(qins_chat_format_name(result.chat.format), qins_json_text(qins_json_get(expected, "template")),
                         "%s: %s", name, result.reason);
        expect_text(expected, "start", result.chat.start, name);
        expect_text(expected, "default_system", result.chat.default_system, name);
        expect_text(expected, "system_prefix", result.chat.system_prefix, name);
        cr_expect_eq(result.chat.no_system, qins_json_get_bool_or(expected, "no_system", false, QINS_BAD_MODEL, &error),
                     "%s", name);
        qins_recognized_free(&result);
    }
    cr_expect_gt(n, 30u);
    qins_json_free(root);
}

// With the oracle's renderings of conversations that the engine has: the recognized template writes the same.
Test(chat_recognize, recognized_templates_render_as_the_jinja_text) {
    static const size_t asked[] = {0, 1, 2, 3}; // the conversations that end with the user's message
    qins_json *root = hf_read_json("tests/data/chat_templates.json");
    for (const qins_json *item = qins_json_first(qins_json_get(root, "templates")); item != NULL;
         item = qins_json_next(item)) {
        qins_recognized result;
        qins_error error = {0};
        recognize(item, &result, &error);
        const qins_json *conversation = qins_json_first(qins_json_get(root, "conversations")),
                        *render = qins_json_first(qins_json_get(item, "renders"));
        for (size_t i = 0; i < sizeof asked / sizeof *asked && result.chat.format != NULL; i++) {
            qins_message messages[8];
            size_t n = 0, size;
            for (const qins_json *m = qins_json_first(conversation); m != NULL; m = qins_json_next(m), n++) {
                const char *content = qins_json_text(qins_json_get(m, "content"));
                messages[n] = (qins_message){qins_json_text(qins_json_get(m, "role")), content, strlen(content)};
            }
            char *text = NULL;
            const bool is_refused = result.chat.no_system && strcmp(messages[0].role, "system") == 0;
            if (!is_refused) {
                qins_chat_render(&result.chat, messages, n, QINS_CHAT_BEGINS | QINS_CHAT_REPLY, &text, &size, &error);
                cr_assert_eq(error.status, QINS_OK, "%s", error.message);
                cr_expect_str_eq(text, qins_json_text(render));
            }
            free(text);
            conversation = qins_json_next(conversation);
            render = qins_json_next(qins_json_next(render));
        }
        qins_recognized_free(&result);
    }
    qins_json_free(root);
}

static void expect_same(const char *a, const char *b, const char *name) {
    cr_expect((a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0), "%s: \"%s\"", name, a);
}

// An exported template is recognized as what it was made from.
Test(chat_recognize, exported_templates) {
    qins_json *root = hf_read_json("tests/data/chat_templates.json");
    for (const qins_json *item = qins_json_first(qins_json_get(root, "templates")); item != NULL;
         item = qins_json_next(item)) {
        const char *name = qins_json_text(qins_json_get(item, "name"));
        qins_recognized first, again;
        qins_error error = {0};
        recognize(item, &first, &error);
        if (first.chat.format != NULL) {
            char *jinja = qins_export_chat(&first.chat, &error);
            cr_assert_not_null(jinja, "%s", error.message);
            const qins_jinja_text start = {"bos_token", first.chat.start};
            qins_chat_recognize(jinja, strlen(jinja), &start, first.chat.start != NULL, &again, &error);
            cr_expect_eq(again.chat.format, first.chat.format, "%s: %s", name, again.reason);
            expect_same(again.chat.start, first.chat.start, name);
            expect_same(again.chat.default_system, first.chat.default_system, name);
            expect_same(again.chat.system_prefix, first.chat.system_prefix, name);
            cr_expect_eq(again.chat.no_system, first.chat.no_system, "%s", name);
            qins_recognized_free(&again);
            free(jinja);
        }
        qins_recognized_free(&first);
    }
    qins_json_free(root);
}

Test(chat_recognize, the_published_template_of_phi35) {
    size_t size;
    qins_error error = {0};
    char *json = support_read(support_data_path("phi35/tokenizer_config.json"), &size);
    qins_json *config = qins_json_parse(json, size, QINS_BAD_MODEL, &error);
    const char *jinja = qins_json_get_string(config, "chat_template", QINS_BAD_MODEL, &error);
    qins_recognized result;
    qins_chat_recognize(jinja, strlen(jinja), NULL, 0, &result, &error);
    cr_assert_eq(error.status, QINS_OK, "%s", error.message);
    cr_expect_str_eq(qins_chat_format_name(result.chat.format), "phi3");
    cr_expect(result.chat.start == NULL && result.chat.default_system == NULL && !result.chat.no_system);
    qins_recognized_free(&result);
    qins_json_free(config);
    free(json);
}

Test(chat_recognize, says_why_not) {
    static const char *const templates[][2] = {{"{{ messages }}", "line 1: a list as text"},
                                               {"a\n{{ raise_exception('no\tway') }}", "line 2: no\\tway"},
                                               {"a", ""}};
    for (size_t i = 0; i < 3; i++) {
        qins_recognized result;
        qins_error error = {0};
        qins_chat_recognize(templates[i][0], strlen(templates[i][0]), NULL, 0, &result, &error);
        cr_expect(error.status == QINS_OK && result.chat.format == NULL);
        cr_expect(strncmp(result.reason, templates[i][1], strlen(templates[i][1])) == 0, "%s", result.reason);
        qins_recognized_free(&result);
    }
}

Test(chat_recognize, out_of_memory) {
    qins_json *root = hf_read_json("tests/data/chat_templates.json");
    for (const qins_json *item = qins_json_first(qins_json_get(root, "templates")); item != NULL;
         item = qins_json_next(item)) {
        bool hit = true;
        for (size_t n = 1; hit; n++) {
            qins_recognized result;
            qins_error error = {0};
            failing_allocation_set(n);
            recognize(item, &result, &error);
            hit = failing_allocation_hit();
            failing_allocation_set(0);
            cr_expect_eq(error.status, hit ? QINS_FAILED : QINS_OK, "allocation %zu: %s", n, error.message);
            qins_recognized_free(&result);
        }
    }
    qins_json_free(root);
}
