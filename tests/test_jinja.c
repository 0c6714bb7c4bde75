// jinja.h against Jinja2 as transformers runs it (tests/oracle/make_chat_goldens.py), and against templates that are
// meant to do harm.
#include "convert/jinja.h"
#include "engine/base/json.h"
#include "tests/failing_allocation.h"
#include "tests/hf_model.h"
#include "tests/tokenizer_support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MESSAGES = 8 };

static const qins_jinja_text phi3_texts[] = {
    {"bos_token", "<s>"}, {"eos_token", "<|endoftext|>"}, {"unk_token", "<unk>"}, {"pad_token", "<|endoftext|>"}};

static size_t read_messages(const qins_json *list, qins_message *messages) {
    size_t n = 0;
    for (const qins_json *item = qins_json_first(list); item != NULL; item = qins_json_next(item)) {
        const char *content = qins_json_text(qins_json_get(item, "content"));
        cr_assert(n < MAX_MESSAGES);
        messages[n++] = (qins_message){qins_json_text(qins_json_get(item, "role")), content, strlen(content)};
    }
    return n;
}

// Equal to `expected`, or an error as Jinja2 raises one where that is NULL.
static void check(const char *jinja, const qins_jinja_input *input, const char *expected) {
    qins_jinja_result result;
    qins_error error = {0};
    qins_jinja_render(jinja, strlen(jinja), input, &result, &error);
    if (expected == NULL) {
        cr_expect(error.status == QINS_BAD_MODEL && result.raised && result.text == NULL, "%s: \"%s\" %s", jinja,
                  result.text, error.message);
    } else {
        cr_expect(error.status == QINS_OK && !result.raised, "%s: %s", jinja, error.message);
        cr_expect(result.text != NULL && result.size == strlen(expected) && strcmp(result.text, expected) == 0,
                  "%s: \"%s\", not \"%s\"", jinja, result.text, expected);
    }
    free(result.text);
}

static qins_jinja_input told(const qins_json *root, qins_message *messages) {
    const qins_json *conversation = qins_json_first(qins_json_get(root, "conversations"));
    for (size_t i = 0; i < 3; i++) conversation = qins_json_next(conversation);
    return (qins_jinja_input){messages, read_messages(conversation, messages), true, phi3_texts, 4};
}

Test(jinja, snippets_render_as_in_jinja2) {
    qins_json *root = hf_read_json("tests/data/chat_templates.json");
    qins_message messages[MAX_MESSAGES];
    const qins_jinja_input input = told(root, messages);
    size_t n = 0;
    for (const qins_json *item = qins_json_first(qins_json_get(root, "snippets")); item != NULL;
         item = qins_json_next(item), n++)
        check(qins_json_text(qins_json_get(item, "template")), &input, qins_json_text(qins_json_get(item, "text")));
    cr_expect_gt(n, 200u);
    qins_json_free(root);
}

static size_t read_tokens(const qins_json *object, qins_jinja_text *texts) {
    size_t n = 0;
    for (const qins_json *item = qins_json_first(object); item != NULL; item = qins_json_next(item))
        texts[n++] = (qins_jinja_text){qins_json_key(item), qins_json_text(item)};
    return n;
}

Test(jinja, templates_render_as_in_transformers) {
    qins_json *root = hf_read_json("tests/data/chat_templates.json");
    size_t n = 0;
    for (const qins_json *item = qins_json_first(qins_json_get(root, "templates")); item != NULL;
         item = qins_json_next(item)) {
        qins_jinja_text texts[4];
        qins_message messages[MAX_MESSAGES];
        const size_t n_texts = read_tokens(qins_json_get(item, "tokens"), texts);
        const qins_json *conversation = qins_json_first(qins_json_get(root, "conversations")),
                        *expected = qins_json_first(qins_json_get(item, "renders"));
        for (size_t i = 0; expected != NULL; i++, expected = qins_json_next(expected), n++) {
            const size_t n_messages = read_messages(conversation, messages);
            const qins_jinja_input input = {messages, n_messages, i % 2 == 0, texts, n_texts};
            check(qins_json_text(qins_json_get(item, "template")), &input, qins_json_text(expected));
            if (i % 2 == 1) conversation = qins_json_next(conversation);
        }
    }
    cr_expect_gt(n, 600u);
    qins_json_free(root);
}

static void expect_refused(const char *jinja, size_t size, const qins_jinja_input *input, const char *message) {
    qins_jinja_result result;
    qins_error error = {0};
    cr_expect_eq(qins_jinja_render(jinja, size, input, &result, &error), QINS_BAD_MODEL, "%.80s", jinja);
    cr_expect(!result.raised && result.text == NULL, "%.80s", jinja);
    cr_expect_not_null(strstr(error.message, message), "%.80s: %s", jinja, error.message);
}

Test(jinja, what_is_not_known_is_refused_not_guessed) {
    qins_json *root = hf_read_json("tests/data/chat_templates.json");
    qins_message messages[MAX_MESSAGES];
    const qins_jinja_input input = told(root, messages);
    size_t n = 0;
    for (const qins_json *item = qins_json_first(qins_json_get(root, "refused")); item != NULL;
         item = qins_json_next(item), n++)
        expect_refused(qins_json_text(item), strlen(qins_json_text(item)), &input, "");
    cr_expect_gt(n, 40u);
    qins_json_free(root);
}

// `front`, n times `part`, n times `close`, `back`.
static char *repeat(const char *front, const char *part, size_t n, const char *close, const char *back) {
    char *text = malloc(strlen(front) + n * (strlen(part) + strlen(close)) + strlen(back) + 1), *at = text;
    at = stpcpy(at, front);
    for (size_t i = 0; i < n; i++) at = stpcpy(at, part);
    for (size_t i = 0; i < n; i++) at = stpcpy(at, close);
    strcpy(at, back);
    return text;
}

Test(jinja, templates_that_do_harm_are_refused) {
    static const struct {
        const char *front, *part;
        size_t n;
        const char *close, *back, *message;
    } templates[] = {
        {"{{ ", "(", 5000, ")", " }}", "nested"},
        {"{{ ", "[", 5000, "]", " }}", "nested"},
        {"{{ ", "{1:", 5000, "}", " }}", "nested"},
        {"{{ ", "not ", 5000, "", "1 }}", "nested"},
        {"{{ ", "-", 5000, "", "1 }}", "nested"},
        {"{{ 1", " if 1 else 1", 5000, "", " }}", "nested"},
        {"{{ 1", " + 1", 5000, "", " }}", "nested"},
        {"{{ x", "|trim", 5000, "", " }}", "nested"},
        {"{{ x", " or x", 5000, "", " }}", "nested"},
        {"{{ messages", "[0:]", 5000, "", " }}", "nested"},
        {"", "{% if 1 %}", 5000, "", "", "nested"},
        {"{% if 0 %}", "{% elif 0 %}", 5000, "", "{% endif %}", "nested"},
        {"", "{% for i in range(1000) %}", 20, "", "x", "is missing"},
        {"", "{% for i in range(1000) %}", 1, "",
         "{% for i in range(1000) %}{% for i in range(1000) %}{% endfor %}"
         "{% endfor %}{% endfor %}",
         ""},
        {"", "", 0, "", "{% for i in range(1000000000) %}{% endfor %}", ""},
        {"", "", 0, "", "{% for i in range(0, 999999999999, 999999999) %}{% endfor %}", ""},
        {"{% set x = 'abcdefgh' %}", "{% set x = x ~ x %}", 40, "", "", "memory"},
        {"{% set x = [1, 2, 3] %}", "{% set x = x + x %}", 40, "", "", "memory"},
        {"{% set x = 'aaaaaaaa' %}", "{% set x = x ~ x %}", 12, "",
         "{% set d = {x ~ 1: 1, x ~ 2: 1, x ~ 3: 1} %}{% for i in range(200) %}{% set y = d[x ~ 0] %}{% endfor %}",
         "too many steps"},
        {"{% set x = ',' %}", "{% set x = x ~ x %}", 16, "",
         "{% set x = x.split(',') %}{% for i in range(300) %}{% set y = ''.join(x) %}{% endfor %}", "too many steps"},
        {"{% set x = ('aa', 'aa') %}", "{% set x = x + x %}", 15, "",
         "{% for i in range(300) %}{% set y = 'a'.startswith(x) %}{% endfor %}", "too many steps"},
        {"{% set x = 'aaaaaaaa' %}", "{% set x = x + x %}", 14, "", "{{ (x ~ 'b') in (x ~ x) }}", "too many steps"},
        {"{% set x = 'aaaaaaaa' %}", "{% set x = x + x %}", 15, "",
         "{% for i in range(9999) %}{{ x.strip('bcdef') | length }}"
         "{% endfor %}",
         "too many steps"},
        {"{% set x = 'aaaaaaaa' %}", "{% set x = x + x %}", 12, "", "{% for i in range(9999) %}{{ x }}{% endfor %}",
         "output exceeds"},
        {"{% set ns = namespace(x=[]) %}", "", 0, "",
         "{% for i in range(3000) %}{% set ns.x = [ns.x] %}{% endfor %}{% set y = ns.x %}{{ y == ns.x }}", "nested"},
        {"", "{% set x %}", 5000, "", "", "nested"},
        {"", "{{ 1 }}", 50000, "", "", "bytes"},
    };
    const qins_jinja_input input = {0};
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        char *text =
            repeat(templates[i].front, templates[i].part, templates[i].n, templates[i].close, templates[i].back);
        qins_jinja_result result;
        qins_error error = {0};
        cr_expect_eq(qins_jinja_render(text, strlen(text), &input, &result, &error), QINS_BAD_MODEL, "%.60s", text);
        cr_expect_not_null(strstr(error.message, templates[i].message), "%.60s: %s", text, error.message);
        free(text);
    }
    expect_refused("a\0b{{ '\xFF' }}", 13, &input, "not UTF-8");
}

// Every beginning of every template: an error or a text, never a crash (the sanitizers look on).
Test(jinja, cut_short_anywhere) {
    qins_json *root = hf_read_json("tests/data/chat_templates.json");
    qins_message messages[MAX_MESSAGES];
    const qins_jinja_input input = told(root, messages);
    for (const qins_json *item = qins_json_first(qins_json_get(root, "templates")); item != NULL;
         item = qins_json_next(item)) {
        const char *jinja = qins_json_text(qins_json_get(item, "template"));
        for (size_t size = 0; size < strlen(jinja); size++) {
            qins_jinja_result result;
            qins_error error = {0};
            char *text = malloc(size + 1); // no NUL: reading on would be noticed
            memcpy(text, jinja, size);
            qins_jinja_render(text, size, &input, &result, &error);
            cr_expect((error.status == QINS_OK) == (result.text != NULL));
            free(result.text);
            free(text);
        }
    }
    qins_json_free(root);
}

// At every allocation. Texts before the template move its parts over the edge of the arena's blocks.
Test(jinja, out_of_memory) {
    enum { MOST = 60 };
    static const char text[] = "{{ 1 }}",
                      jinja[] = "{% set x %}a{% endset %}{% set y = namespace(z=0) %}{% set y.z = 1 %}"
                                "{% for (k, v) in [('a', 'b')] %}{{ k if v else (x, y.z) }}{% endfor %}"
                                "{% for m in messages %}{% if m %}{{ m.content ~ x }}{% endif %}{% endfor %}";
    const qins_message message = {"user", "Hello", 5};
    const qins_jinja_input input = {&message, 1, true, NULL, 0};
    char template[MOST * (sizeof text - 1) + sizeof jinja] = "";
    for (size_t n_before = 0; n_before < MOST; n_before++) {
        memmove(template + sizeof text - 1, template, strlen(template) + 1);
        memcpy(template, n_before == 0 ? jinja : text, n_before == 0 ? sizeof jinja : sizeof text - 1);
        bool hit = true;
        size_t n = 0;
        while (hit) {
            qins_jinja_result result;
            qins_error error = {0};
            failing_allocation_set(++n);
            qins_jinja_render(template, strlen(template), &input, &result, &error);
            hit = failing_allocation_hit();
            failing_allocation_set(0);
            cr_expect_eq(error.status, hit ? QINS_FAILED : QINS_OK, "allocation %zu: %s", n, error.message);
            free(result.text);
        }
        cr_expect_gt(n, 3u);
    }
}
