// Conversations: turns, the system message, and files that hold them.
#include "engine/base/file.h"
#include "engine/cli/conversation.h"
#include "tests/failing_allocation.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static qins_options options;
static qins_model *model;
static char *folder, path[256];

static void open_model(void) {
    qins_error error = {0};
    char *arguments[] = {"chat", "-q"};
    qins_options_parse(&options, qins_command_find("chat")->options, 2, arguments, &error);
    model = qins_open_model("tests/data/demo", &options, &error);
    expect_ok(&error);
    folder = temporary_folder();
    snprintf(path, sizeof path, "%s/saved", folder);
}

static void close_model(void) {
    qins_model_close(model);
    remove_folder(folder);
}

TestSuite(conversation, .init = open_model, .fini = close_model);

// A turn with a reply, as the model would write one.
static void add_turn(qins_conversation *conversation, const char *text, const char *reply, qins_error *error) {
    if (qins_conversation_begin_turn(conversation, text, strlen(text), error) != QINS_OK) return;
    qins_tokenizer_encode(model->tokenizer, reply, strlen(reply), 0, &conversation->ids, error);
    qins_conversation_end_turn(conversation, error);
}

static qins_conversation sample(const char *system, qins_error *error) {
    qins_conversation conversation = qins_conversation_new(&options.prompt, model);
    qins_conversation_set_system(&conversation, system, error);
    add_turn(&conversation, "caf\xC3\xA9 \"quoted\"\n\ttab <|end|>", "A reply.", error);
    add_turn(&conversation, "Again?", "Another\none.", error);
    return conversation;
}

static void expect_same(const qins_conversation *a, const qins_conversation *b) {
    cr_assert_eq(a->n_turns, b->n_turns);
    cr_assert_eq(a->ids.count, b->ids.count);
    cr_assert(memcmp(a->ids.data, b->ids.data, a->ids.count * sizeof *a->ids.data) == 0);
    for (size_t i = 0; i < a->n_turns; i++) {
        cr_assert_str_eq(a->turns[i].text, b->turns[i].text);
        cr_assert(a->turns[i].message == b->turns[i].message && a->turns[i].reply == b->turns[i].reply);
    }
    cr_assert((a->system == NULL) == (b->system == NULL) && (a->system == NULL || strcmp(a->system, b->system) == 0));
}

static void save(const qins_conversation *conversation, const char *to, qins_error *error) {
    qins_buffer text = {.error = error};
    qins_conversation_print(conversation, &text);
    if (error->status == QINS_OK) qins_conversation_write(to, text.data, text.size, error);
    qins_buffer_free(&text);
}

Test(conversation, what_is_saved_is_loaded) {
    static const char *const systems[] = {NULL, "Be brief."};
    for (size_t i = 0; i < 2; i++) {
        qins_error error = {0};
        bool awaits_reply = true;
        qins_conversation saved = sample(systems[i], &error), loaded = qins_conversation_new(&options.prompt, model);
        save(&saved, path, &error);
        qins_conversation_load(&loaded, path, &awaits_reply, &error);
        expect_ok(&error);
        expect_same(&saved, &loaded);
        cr_expect(!awaits_reply);
        qins_conversation_free(&saved);
        qins_conversation_free(&loaded);
    }
}

Test(conversation, the_file_is_an_array_with_a_message_a_line) {
    qins_error error = {0};
    qins_conversation conversation = sample("Be brief.", &error);
    size_t size;
    save(&conversation, path, &error);
    char *text = qins_file_read_all(path, 1 << 20, &size, QINS_FAILED, &error);
    expect_ok(&error);
    cr_expect_str_eq(text, "[\n"
                           "  {\"role\":\"system\",\"content\":\"Be brief.\"},\n"
                           "  {\"role\":\"user\",\"content\":\"caf\xC3\xA9 \\\"quoted\\\"\\n\\ttab <|end|>\"},\n"
                           "  {\"role\":\"assistant\",\"content\":\"A reply.\"},\n"
                           "  {\"role\":\"user\",\"content\":\"Again?\"},\n"
                           "  {\"role\":\"assistant\",\"content\":\"Another\\none.\"}\n"
                           "]\n");
    free(text);
    qins_conversation_clear(&conversation);
    qins_conversation_set_system(&conversation, NULL, &error);
    save(&conversation, path, &error); // an empty conversation is one, too
    bool awaits_reply;
    qins_conversation_load(&conversation, path, &awaits_reply, &error);
    expect_ok(&error);
    cr_expect_eq(conversation.n_turns, 0);
    qins_conversation_free(&conversation);
}

Test(conversation, another_system_message_keeps_the_turns) {
    qins_error error = {0};
    qins_conversation changed = sample(NULL, &error), wanted = sample("Be brief.", &error);
    qins_conversation_set_system(&changed, "Be brief.", &error);
    expect_same(&changed, &wanted);
    qins_conversation_set_system(&changed, NULL, &error);
    qins_conversation_free(&wanted);
    wanted = sample(NULL, &error);
    expect_same(&changed, &wanted);
    expect_ok(&error);
    qins_conversation_free(&changed);
    qins_conversation_free(&wanted);
}

Test(conversation, files_that_are_none_are_refused_and_never_overwritten) {
    static const struct {
        const char *text, *message;
    } files[] = {
        {"Notes.", "not valid JSON"},
        {"{}", "it does not contain an array of messages"},
        {"[1]", "message 1: \"role\" must be a string"},
        {"[{\"role\":\"user\"}]", "message 1: \"content\" must be a string"},
        {"[{\"role\":\"assistant\",\"content\":\"x\"}]", "message 1: the role must be \"user\", not \"assistant\""},
        {"[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"user\",\"content\":\"x\"}]",
         "message 2: the role must be \"assistant\", not \"user\""}};
    qins_error error = {0};
    qins_conversation conversation = sample(NULL, &error);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        bool awaits_reply;
        qins_conversation loaded = qins_conversation_new(&options.prompt, model);
        write_file(folder, "saved", files[i].text, strlen(files[i].text));
        qins_conversation_load(&loaded, path, &awaits_reply, &error);
        expect_error(&error, QINS_USAGE, files[i].message);
        qins_conversation_free(&loaded);
        if (i > 1) continue; // an array may be a conversation of another program
        save(&conversation, path, &error);
        expect_error(&error, QINS_USAGE, "exists and is not a conversation");
    }
    qins_conversation_free(&conversation);
}

Test(conversation, a_last_message_of_the_user_awaits_its_reply) {
    static const char text[] = "[{\"role\":\"user\",\"content\":\"x\",\"name\":\"ignored\"}]";
    qins_error error = {0};
    bool awaits_reply = false;
    qins_conversation conversation = qins_conversation_new(&options.prompt, model);
    write_file(folder, "saved", text, sizeof text - 1);
    qins_conversation_load(&conversation, path, &awaits_reply, &error);
    expect_ok(&error);
    cr_expect(awaits_reply && conversation.n_turns == 1);
    qins_conversation_free(&conversation);
}

// Each allocation fails once: an error, nothing lost, and the conversation is as before.
Test(conversation, out_of_memory) {
    bool hit = true;
    for (size_t n = 1; hit; n++) {
        qins_error setup = {0}, error = {0};
        bool awaits_reply;
        qins_conversation conversation = sample(NULL, &setup), wanted = sample(NULL, &setup);
        qins_conversation loaded = qins_conversation_new(&options.prompt, model);
        expect_ok(&setup);
        failing_allocation_set(n);
        save(&conversation, path, &error);
        if (error.status == QINS_OK) qins_conversation_load(&loaded, path, &awaits_reply, &error);
        if (error.status == QINS_OK) qins_conversation_set_system(&conversation, "Be brief.", &error);
        hit = failing_allocation_hit();
        failing_allocation_set(0);
        cr_assert_eq(error.status != QINS_OK, hit, "call %zu: %s", n, error.message);
        if (error.status != QINS_OK) expect_same(&conversation, &wanted);
        qins_conversation_free(&conversation);
        qins_conversation_free(&wanted);
        qins_conversation_free(&loaded);
    }
}
