// A chat with libqins: each line of standard input is a message, replies stream to standard output.
//     cc chat.c $(pkg-config --cflags --libs qins) -o chat && ./chat model.qins
#define _POSIX_C_SOURCE 200809L // getline
#include <qins.h>

#include <stdio.h>
#include <stdlib.h>

// Print a reply to the conversation *ids as it comes, and append it.
static void reply(qins_session *session, qins_ids *ids, qins_error *error) {
    qins_generation_options options = qins_generation_defaults();
    options.ids = ids->data;
    options.n_ids = ids->count;
    qins_generation *generation = qins_generation_create(session, &options, error);
    if (generation == NULL) return;
    qins_event event = {.kind = QINS_EVENT_WAIT};
    while (event.kind != QINS_EVENT_END && qins_generation_next(generation, &event, error) == QINS_OK) {
        if (event.kind != QINS_EVENT_TEXT) continue;
        fwrite(event.text, 1, event.size, stdout);
        fflush(stdout);
    }
    putchar('\n');
    size_t n;
    const int32_t *all = qins_generation_ids(generation, &n); // prompt, reply, and the id that ended it
    for (size_t i = ids->count; i < n && error->status == QINS_OK; i++) qins_ids_append(ids, all[i], error);
    qins_generation_free(generation);
}

static void chat(qins_engine *engine, const qins_model *model, qins_error *error) {
    qins_session_options options = qins_session_defaults();
    qins_session *session = qins_session_create(engine, model, &options, error);
    qins_ids ids = {0}; // the conversation; the session computes only what is new in it
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    while (error->status == QINS_OK && (size = getline(&line, &capacity, stdin)) > 0) {
        if (line[size - 1] == '\n') size--;
        const qins_message message = {"user", line, (size_t)size};
        if (qins_model_encode_chat(model, &message, 1, 0, &ids, error) == QINS_OK) reply(session, &ids, error);
    }
    free(line);
    qins_ids_free(&ids);
    qins_session_free(session);
}

int main(int argc, char **argv) {
    qins_error error = {0};
    const qins_model *model = qins_model_open(argc > 1 ? argv[1] : "model.qins", &error);
    qins_engine *engine = model != NULL ? qins_engine_create(&model, 1, 0, &error) : NULL;
    if (engine != NULL) chat(engine, model, &error);
    qins_engine_free(engine);
    qins_model_close((qins_model *)model);
    if (error.status != QINS_OK) fprintf(stderr, "chat: %s\n", error.message);
    return error.status;
}
