// Damaged model files; see torture.h. Generated ones are tried in a process of their own, whose death counts; those
// made by hand go through the program.
#define _GNU_SOURCE // MAP_ANONYMOUS
#include "engine/runtime/session.h"
#include "tests/torture/torture.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

enum { LENGTH_AT = 24, HASH_AT = 32, BYTES_AT = 16 };

struct file {
    uint8_t *bytes;
    size_t size, header_bytes;
};

// The result of a try, shared with the process that tries.
struct progress {
    size_t next;
    size_t wrong;
};

typedef void try_one(const struct file *file, size_t index, struct progress *progress);

static void put_hash(uint8_t *bytes, size_t header_bytes) {
    const uint64_t hash = XXH3_64bits(bytes + QINS_PREAMBLE_BYTES, header_bytes);
    memcpy(bytes + HASH_AT, &hash, sizeof hash);
}

static bool is_accepted(const uint8_t *bytes, size_t size) {
    qins_error error = {0};
    uint8_t *copy = malloc(size > 0 ? size : 1); // of exactly this size, for the sanitizers
    memcpy(copy, bytes, size);
    qins_image *image = qins_image_from_memory(copy, size, "damaged", &error);
    qins_pool *pool = image != NULL ? qins_pool_create(1, &error) : NULL;
    const bool is_fine = pool != NULL && qins_image_verify(image, pool, &error) == QINS_OK;
    qins_pool_free(pool);
    qins_image_close(image);
    free(copy);
    return is_fine;
}

static void try_length(const struct file *file, size_t length, struct progress *progress) {
    progress->wrong += is_accepted(file->bytes, length);
}

static void try_flip(const struct file *file, size_t bit, struct progress *progress) {
    file->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    progress->wrong += is_accepted(file->bytes, file->size);
    file->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

// The header says something else, with the right hash: it may be refused, or be another model, which must run.
static void try_forged(const struct file *file, size_t bit, struct progress *progress) {
    (void)progress;
    qins_error error = {0};
    const size_t at = 8 * QINS_PREAMBLE_BYTES + bit;
    file->bytes[at / 8] ^= (uint8_t)(1u << at % 8);
    put_hash(file->bytes, file->header_bytes);
    qins_image *image = qins_image_from_memory(file->bytes, file->size, "forged", &error);
    const qins_model *model = qins_model_from_image(image, "forged", &error);
    qins_engine *engine = model != NULL ? qins_engine_create(&model, 1, 1, &error) : NULL;
    qins_session_options options = qins_session_defaults();
    options.n_ctx = 16;
    qins_session *session = engine != NULL ? qins_session_create(engine, model, &options, &error) : NULL;
    if (session != NULL) qins_session_sync(session, (int32_t[]){1, 2, 3}, 3, &error);
    qins_session_free(session);
    qins_engine_free(engine);
    qins_model_close((qins_model *)(uintptr_t)model);
    file->bytes[at / 8] ^= (uint8_t)(1u << at % 8);
    put_hash(file->bytes, file->header_bytes);
}

// Try every index from 0 on; a crash counts, and the next index goes on.
static void try_all(struct torture *torture, const char *name, const struct file *file, size_t n, size_t step,
                    try_one *try) {
    struct progress *progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    tally row = {.name = name};
    *progress = (struct progress){0};
    while (progress->next < n) {
        int status = 0;
        fflush(stdout);
        const pid_t child = fork();
        if (child == 0) {
            alarm(20 * TIMEOUT_SECONDS);
            while (progress->next < n) {
                const size_t index = progress->next;
                progress->next += step;
                try(file, index, progress);
            }
            _exit(0);
        }
        waitpid(child, &status, 0);
        row.hung += WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
        row.crashed += WIFSIGNALED(status) && WTERMSIG(status) != SIGALRM;
    }
    row.tried = (n + step - 1) / step;
    row.wrong = progress->wrong;
    munmap(progress, sizeof *progress);
    tally_print(torture, &row);
}

// Lengths around the beginnings and ends of all sections.
static void truncate_sections(struct torture *torture, const struct file *file) {
    qins_error error = {0};
    tally row = {.name = "model cut off at each section, and a byte around"};
    qins_image *image = qins_image_from_memory(file->bytes, file->size, "model", &error);
    const qins_header *header = qins_image_header(image);
    for (size_t i = 0; i < header->n_tensors; i++)
        for (int end = 0; end < 2; end++)
            for (int by = -1; by <= 1; by++) {
                const size_t at =
                    (size_t)(header->tensors[i].offset + (end ? header->tensors[i].bytes : 0)) + (size_t)by;
                if (at >= file->size) continue;
                row.tried++;
                row.wrong += is_accepted(file->bytes, at);
            }
    qins_image_close(image);
    tally_print(torture, &row);
}

// --- by hand ---

// A change of the header's text, or of bytes at a place, and the message that is expected.
static const struct change {
    const char *from, *to; // texts of the header; the rest is filled up with spaces
    size_t at;             // without texts: 8 bytes at this place become
    uint64_t value;
    const char *message; // a regular expression
} changes[] = {
    {NULL, NULL, 0, 0, "not a .qins file"},
    {NULL, NULL, 8, 99, "format version 99"},
    {NULL, NULL, 8, 0, "format version 0"},
    {NULL, NULL, BYTES_AT, 1, "was written with 1"},
    {NULL, NULL, BYTES_AT, UINT64_MAX, "was cut off"},
    {NULL, NULL, LENGTH_AT, 0, "header"},
    {NULL, NULL, LENGTH_AT, UINT64_MAX, "header"},
    {NULL, NULL, LENGTH_AT, 1u << 20, "header"},
    {NULL, NULL, LENGTH_AT, 65, "header"},
    {NULL, NULL, HASH_AT, 0, "the header is damaged"},
    {NULL, NULL, 40, 1, "reserved bytes"},
    {"{\"config\"", "[\"config\"", 0, 0, "JSON"},
    {"\"n_layers\":3", "\"n_layers\":0", 0, 0, "n_layers"},
    {"\"n_layers\":3", "\"n_layers\":4", 0, 0, "tensor"},
    {"\"n_layers\":3", "\"n_layers\":2", 0, 0, "tensor"},
    {"\"n_layers\":3", "\"n_layers\":x", 0, 0, "JSON"},
    {"\"hidden_dim\":32", "\"hidden_dim\":-1", 0, 0, "hidden_dim"},
    {"\"vocab_size\":280", "\"vocab_size\":281", 0, 0, "tensor"},
    {"\"head_dim\":16", "\"head_dim\":15", 0, 0, "."},
    {"\"n_kv_heads\":2", "\"n_kv_heads\":3", 0, 0, "."},
    {"\"rms_eps\":1e-05", "\"rms_eps\":-1.0", 0, 0, "rms_eps"},
    {"\"stop_ids\":[274", "\"stop_ids\":[999", 0, 0, "stop"},
    {"\"chat_template\":\"phi3\"", "\"chat_template\":\"phi5\"", 0, 0, "chat template"},
    {"\"offset\":6208", "\"offset\":6209", 0, 0, "tokenizer"},
    {"\"bytes\":2524", "\"bytes\":2523", 0, 0, "."},
    {"\"name\":\"model.embed_tokens.weight\"", "\"name\":\"model.embed_tokens.wei\\n\"", 0, 0, "."},
    {"\"type\":\"f16\"", "\"type\":\"f64\"", 0, 0, "type"},
    {"\"rows\":280", "\"rows\":281", 0, 0, "."},
    {"\"offset\":8768", "\"offset\":8769", 0, 0, "expected"},
};

// *bytes changed; false: there is no such text.
static bool make_change(uint8_t *bytes, size_t header_bytes, const struct change *change) {
    if (change->from == NULL) {
        memcpy(bytes + change->at, &change->value, change->at == 8 ? 4 : 8);
        return true;
    }
    uint8_t *at = memmem(bytes + QINS_PREAMBLE_BYTES, header_bytes, change->from, strlen(change->from));
    if (at == NULL || strlen(change->to) > strlen(change->from)) return false;
    memset(at, ' ', strlen(change->from));
    memcpy(at, change->to, strlen(change->to));
    put_hash(bytes, header_bytes);
    return true;
}

static bool says(const struct torture *torture, const char *wanted) {
    char path[600];
    size_t size = 0;
    regex_t pattern;
    snprintf(path, sizeof path, "%s/err", torture->tmp);
    char *text = read_file(path, &size);
    if (text == NULL || regcomp(&pattern, wanted, REG_EXTENDED | REG_NOSUB) != 0) return false;
    const bool is_said = regexec(&pattern, text, 0, NULL, 0) == 0 && strstr(text, "made.qins") != NULL;
    regfree(&pattern);
    if (!is_said) fprintf(stderr, "torture: expected '%s' in: %s", wanted, text);
    free(text);
    return is_said;
}

static void try_changes(struct torture *torture, const struct file *file) {
    char path[600];
    tally row = {.name = "models made by hand, refused with the right message"};
    snprintf(path, sizeof path, "%s/made.qins", torture->tmp);
    const char *const arguments[] = {torture->run, "-m", path, "-p", "hi", "-n", "1", "-q", NULL};
    uint8_t *bytes = malloc(file->size);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        memcpy(bytes, file->bytes, file->size);
        if (!make_change(bytes, file->header_bytes, &changes[i])) {
            fprintf(stderr, "torture: no %s in the header\n", changes[i].from);
            row.wrong++;
        }
        write_bytes(path, bytes, file->size);
        const struct outcome outcome = run_program(torture, &(struct program){.arguments = arguments});
        tally_outcome(&row, &outcome);
        if (outcome.code != QINS_BAD_MODEL)
            fprintf(stderr, "torture: model %zu made by hand: code %d\n", i, outcome.code);
        row.wrong += outcome.code != QINS_BAD_MODEL || !says(torture, changes[i].message);
    }
    free(bytes);
    tally_print(torture, &row);
}

void torture_damage(struct torture *torture) {
    struct file file;
    file.bytes = (uint8_t *)read_file(torture->model, &file.size);
    uint64_t length;
    memcpy(&length, file.bytes + LENGTH_AT, sizeof length);
    file.header_bytes = (size_t)length;
    const size_t end = QINS_PREAMBLE_BYTES + file.header_bytes;
    const size_t step = torture->is_short ? 41 : 1;
    try_all(torture, "model cut off within its header", &file, end, torture->is_short ? 7 : 1, try_length);
    truncate_sections(torture, &file);
    try_all(torture, "each bit of the header flipped", &file, 8 * end, step, try_flip);
    try_all(torture, "each bit of the file flipped (every 101st)", &file, 8 * file.size,
            torture->is_short ? 10007 : 101, try_flip);
    try_all(torture, "each bit of the header flipped, its hash repaired", &file, 8 * file.header_bytes, step,
            try_forged);
    try_changes(torture, &file);
    free(file.bytes);
}
