// Normalizers and pre-tokenizers as lists of steps; see pipeline.h.
#include "tokenizer/pipeline.h"

#include "engine/base/memory.h"
#include "tokenizer/split.h"

#include <stdlib.h>
#include <string.h>

// --- bytes as characters ---

// Visible bytes stand for the character of the same number; the others for U+0100 and up, in order.
static bool is_visible(unsigned byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

int pipeline_byte_of(uint32_t code_point) {
    if (code_point < 0x100) return is_visible(code_point) ? (int)code_point : -1;
    if (code_point <= 0x120) return (int)code_point - 0x100; // 00..20
    if (code_point <= 0x142) return (int)code_point - 0x121 + 0x7F;
    return code_point == 0x143 ? 0xAD : -1;
}

static uint32_t character_of(unsigned byte) {
    if (is_visible(byte)) return byte;
    if (byte <= 0x20) return 0x100 + byte;
    return byte == 0xAD ? 0x143 : 0x121 + byte - 0x7F;
}

static void append_bytes(const char *text, size_t size, qins_buffer *out) {
    for (size_t at = 0; at < size && out->error->status == QINS_OK;) {
        size_t same = at; // mostly bytes stay as they are
        while (same < size && (unsigned char)text[same] < 0x80 && is_visible((unsigned char)text[same])) same++;
        qins_buffer_append(out, text + at, same - at);
        if (same < size) {
            uint32_t c = character_of((unsigned char)text[same]);
            qins_buffer_append(out, (uint8_t[]){(uint8_t)(0xC0 | c >> 6), (uint8_t)(0x80 | (c & 0x3F))}, 2);
        }
        at = same + 1;
    }
}

// --- checks ---

static bool is_text_step(const pipeline_step *step) {
    return step->kind == STEP_REPLACE || step->kind == STEP_CUT || step->kind == STEP_DROP;
}

static bool has_texts(const pipeline_step *step) {
    if (step->from_size > PIPELINE_MAX_TEXT || step->to_size > PIPELINE_MAX_TEXT) return false;
    if (is_text_step(step) != (step->from_size > 0)) return false;
    if (step->kind == STEP_REPLACE) return step->to_size <= PIPELINE_MAX_GROWTH * step->from_size;
    return (step->kind == STEP_PREPEND) == (step->to_size > 0);
}

static bool has_option(const pipeline_step *step) {
    switch (step->kind) {
    case STEP_PREPEND:
        return step->option >= PREPEND_ALWAYS && step->option <= PREPEND_START;
    case STEP_SPLIT:
        return step->option >= SPLIT_GPT2 && step->option <= SPLIT_DIGIT_RUNS;
    case STEP_STRIP:
        return step->option > 0;
    default:
        return step->option == 0;
    }
}

static bool may_follow(const pipeline *steps, size_t at, pipeline_role role) {
    unsigned kind = steps->steps[at].kind, before = at == 0 ? 0u : steps->steps[at - 1].kind;
    if (role == PIPELINE_NORMALIZER) return kind == STEP_PREPEND || kind == STEP_REPLACE;
    if (role == PIPELINE_PRE_TOKENIZER) return kind >= STEP_PREPEND && kind <= STEP_BYTES;
    switch (kind) {
    case STEP_DROP:
        return before == 0;
    case STEP_REPLACE:
    case STEP_BYTE_FALLBACK:
        return before == 0 || before == STEP_DROP || before == STEP_REPLACE;
    case STEP_STRIP:
        return before != STEP_STRIP && before != STEP_BYTES;
    case STEP_BYTES:
        return before == 0 && steps->n_steps == 1;
    default:
        return false;
    }
}

static const char *kind_name(const pipeline_step *step) {
    static const char *const names[] = {"unknown", "prepend",       "replace", "cut", "split",
                                        "bytes",   "byte fallback", "strip",   "drop"};
    return names[step->kind < sizeof names / sizeof *names ? step->kind : 0];
}

// The factor by which a step can lengthen a text of one-byte words; text prepended to the whole does not count.
static size_t growth(const pipeline_step *step, bool after_cut) {
    if (step->kind == STEP_REPLACE && step->to_size > step->from_size)
        return ((size_t)step->to_size + step->from_size - 1) / step->from_size;
    if (step->kind == STEP_PREPEND && after_cut) return 1 + (size_t)step->to_size;
    return step->kind == STEP_BYTES ? 2 : 1;
}

static void check_growth(const pipeline *steps, const char *role, qins_error *error) {
    size_t total = 1;
    bool after_cut = false;
    for (size_t i = 0; i < steps->n_steps; i++) { // at most 17 to the power of 8
        total *= growth(&steps->steps[i], after_cut);
        after_cut |= steps->steps[i].kind == STEP_CUT || steps->steps[i].kind == STEP_SPLIT;
    }
    if (total > PIPELINE_MAX_TOTAL)
        qins_fail(error, QINS_BAD_MODEL, "%s: its steps can make a text %zu times as long; at most %d is supported",
                  role, total, (int)PIPELINE_MAX_TOTAL);
}

qins_status pipeline_check(const pipeline *steps, pipeline_role role, qins_error *error) {
    static const char *const roles[] = {"normalizer", "pre-tokenizer", "decoder"};
    for (size_t i = 0; i < steps->n_steps && error->status == QINS_OK; i++) {
        const pipeline_step *step = &steps->steps[i];
        if (!may_follow(steps, i, role))
            qins_fail(error, QINS_BAD_MODEL, "%s, step %zu (%s): it is not supported there", roles[role], i + 1,
                      kind_name(step));
        else if (!has_texts(step) || !has_option(step))
            qins_fail(error, QINS_BAD_MODEL, "%s, step %zu (%s): its texts or its option %u are invalid", roles[role],
                      i + 1, kind_name(step), step->option);
    }
    if (error->status == QINS_OK) check_growth(steps, roles[role], error);
    return error->status;
}

// --- words ---

static void end_word(pipeline_words *words, size_t end, qins_error *error) {
    size_t start = words->n_words == 0 ? 0 : words->ends[words->n_words - 1];
    if (end == start || error->status != QINS_OK) return;
    if (end > PIPELINE_MAX_WORDS) {
        qins_fail(error, QINS_FAILED, "a text is too long to encode at once (%zu bytes as the tokenizer spells it)",
                  end);
        return;
    }
    void *ends = words->ends;
    qins_grow(&ends, &words->capacity, words->n_words + 1, sizeof *words->ends, error);
    words->ends = ends;
    if (error->status == QINS_OK) words->ends[words->n_words++] = (uint32_t)end;
}

static void clear(pipeline_words *words, qins_error *error) {
    words->text.error = error;
    words->text.size = words->n_words = 0;
}

void pipeline_words_set(pipeline_words *words, const char *text, size_t size, qins_error *error) {
    clear(words, error);
    qins_buffer_append(&words->text, text, size);
    end_word(words, size, error);
}

void pipeline_words_free(pipeline_words *words) {
    qins_buffer_free(&words->text);
    free(words->ends);
    *words = (pipeline_words){0};
}

// --- steps ---

static bool starts_with(const char *text, size_t size, const char *start, size_t start_size) {
    return size >= start_size && memcmp(text, start, start_size) == 0;
}

// The next `from` of the text, `size` if there is none.
static size_t find(const pipeline_step *step, const char *text, size_t size, size_t at) {
    while (at < size) {
        const char *first = memchr(text + at, step->from[0], size - at);
        if (first == NULL) return size;
        at = (size_t)(first - text);
        if (starts_with(first, size - at, step->from, step->from_size)) return at;
        at++;
    }
    return size;
}

void pipeline_replace(const pipeline_step *step, const char *text, size_t size, qins_buffer *out) {
    for (size_t at = 0; at < size;) {
        size_t next = find(step, text, size, at);
        qins_buffer_append(out, text + at, next - at);
        if (next < size) qins_buffer_append(out, step->to, step->to_size);
        at = next < size ? next + step->from_size : size;
    }
}

static bool is_prepended(const pipeline_step *step, const char *word, size_t size, bool is_first) {
    if (step->option == PREPEND_ALWAYS) return true;
    if (starts_with(word, size, step->to, step->to_size)) return false;
    return step->option == PREPEND_MISSING || is_first;
}

// One word through a step that changes its text.
static void rewrite(const pipeline_step *step, const char *word, size_t size, bool is_first, qins_buffer *out) {
    if (step->kind == STEP_BYTES) {
        append_bytes(word, size, out);
    } else if (step->kind == STEP_REPLACE) {
        pipeline_replace(step, word, size, out);
    } else {
        if (is_prepended(step, word, size, is_first)) qins_buffer_append(out, step->to, step->to_size);
        qins_buffer_append(out, word, size);
    }
}

// One word, text[start .. end), through a step that only cuts it.
static void cut(const pipeline_step *step, const char *text, size_t start, size_t end, pipeline_words *out,
                qins_error *error) {
    const char *word = text + start;
    const size_t size = end - start;
    for (size_t at = 0; at < size && error->status == QINS_OK;) {
        at = step->kind == STEP_CUT ? find(step, word, size, at + 1)
                                    : split_word_end((split_rule)step->option, word, size, at);
        end_word(out, start + at, error);
    }
}

static void run_step(const pipeline_step *step, pipeline_words *words, pipeline_words *out, bool at_start,
                     qins_error *error) {
    const bool cuts = step->kind == STEP_CUT || step->kind == STEP_SPLIT;
    const char *text = (const char *)words->text.data;
    clear(out, error);
    for (size_t i = 0, start = 0; i < words->n_words && error->status == QINS_OK; start = words->ends[i++]) {
        if (cuts) {
            cut(step, text, start, words->ends[i], out, error);
        } else {
            rewrite(step, text + start, words->ends[i] - start, at_start && i == 0, &out->text);
            end_word(out, out->text.size, error);
        }
    }
    if (cuts) { // the text stays as it is
        qins_buffer kept = out->text;
        out->text = words->text;
        words->text = kept;
    }
}

void pipeline_run(const pipeline *steps, pipeline_words *words, pipeline_words *spare, bool at_start,
                  qins_error *error) {
    for (size_t i = 0; i < steps->n_steps && error->status == QINS_OK; i++) {
        run_step(&steps->steps[i], words, spare, at_start, error);
        const pipeline_words done = *spare;
        *spare = *words;
        *words = done;
    }
}
