// BPE over words: characters to symbols, then merges by rank, leftmost first on ties, until none applies. A word may be
// a whole text, so sorted candidates over a linked list of symbols, and a heap of those that merges add (O(n log n)); a
// candidate whose symbols have changed since is dropped when it comes up. Where no merge can ever join two neighbours
// the list is cut, as between words, which changes nothing but keeps the heaps small. Follows Hugging Face
// `tokenizers`: models/bpe/model.rs (merge_word), models/bpe/word.rs (merge_all).
#include "engine/base/memory.h"
#include "engine/base/utf8.h"
#include "tokenizer/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

typedef struct symbol {
    uint32_t id;   // NONE: merged into the symbol before it
    uint32_t prev; // NONE: the first of a word, or of what is merged by itself
    uint32_t next;
} symbol;

typedef struct merge_list { // rank << 32 | index of the left symbol: smallest first
    uint64_t *items;
    size_t count, capacity;
} merge_list;

typedef struct bpe_work {
    const qins_tokenizer *tokenizer;
    bool plain;
    bool unk_pending; // unknown characters were read whose unk_id is not in the list yet
    size_t word;      // where the current word's symbols begin
    symbol *symbols;
    size_t n_symbols, symbol_capacity;
    merge_list queue, heap; // candidates: in order, those of the start first; and those that merges make out of order
    size_t next;            // of the queue
    qins_error *error;
} bpe_work;

// --- merges ---

// The slot of this merge, or the free one where it would go; *tag is the upper half of its hash, in place.
static uint64_t *find_slot(const qins_tokenizer *tokenizer, uint32_t left, uint32_t right, uint64_t *tag) {
    const uint64_t pair = (uint64_t)left << 32 | right, hash = qins_hash(&tokenizer->hash_key, &pair, sizeof pair);
    size_t slot = hash & tokenizer->merge_mask;
    *tag = hash >> 32 << 32;
    for (uint64_t entry; (entry = tokenizer->merge_slots[slot]) != 0; slot = (slot + 1) & tokenizer->merge_mask) {
        if (entry >> 32 != hash >> 32) continue;
        const bpe_merge *merge = &tokenizer->merges[(uint32_t)entry - 1];
        if (merge->left == left && merge->right == right) break;
    }
    return &tokenizer->merge_slots[slot];
}

// A merge must name model pieces and result in their concatenation.
static bool is_consistent(const qins_tokenizer *tokenizer, const bpe_merge *merge) {
    const uint32_t ids[3] = {merge->left, merge->right, merge->result};
    const char *text[3];
    size_t size[3];
    for (int i = 0; i < 3; i++) {
        if (ids[i] >= tokenizer->n_ids || !(tokenizer->token_flags[ids[i]] & TOKEN_IN_MODEL)) return false;
        text[i] = tokenizer_piece_text(tokenizer, ids[i], &size[i]);
    }
    return size[2] == size[0] + size[1] && memcmp(text[2], text[0], size[0]) == 0 &&
           memcmp(text[2] + size[0], text[1], size[1]) == 0;
}

static unsigned first_byte(const qins_tokenizer *tokenizer, uint32_t id) {
    return (unsigned char)tokenizer->piece_bytes[tokenizer->piece_starts[id]];
}

static unsigned last_byte(const qins_tokenizer *tokenizer, uint32_t id) {
    return (unsigned char)tokenizer->piece_bytes[tokenizer->piece_starts[id + 1] - 1];
}

qins_status bpe_index(qins_tokenizer *tokenizer, qins_error *error) {
    tokenizer->merge_slots = tokenizer_create_slots(tokenizer->n_merges, sizeof *tokenizer->merge_slots,
                                                    "table of merges", &tokenizer->merge_mask, error);
    if (tokenizer->merge_slots == NULL) return error->status;
    for (size_t rank = 0; rank < tokenizer->n_merges; rank++) {
        const bpe_merge *merge = &tokenizer->merges[rank];
        if (!is_consistent(tokenizer, merge))
            return qins_fail(error, QINS_BAD_MODEL, "merge %zu: tokens %u and %u do not make token %u", rank,
                             merge->left, merge->right, merge->result);
        uint64_t tag, *slot = find_slot(tokenizer, merge->left, merge->right, &tag);
        if (*slot != 0)
            return qins_fail(error, QINS_BAD_MODEL, "merges %u and %zu are the same", (uint32_t)*slot - 1, rank);
        *slot = tag | (uint32_t)(rank + 1);
        unsigned first = first_byte(tokenizer, merge->right);
        tokenizer->joins[last_byte(tokenizer, merge->left)][first / 8] |= (uint8_t)(1u << first % 8);
    }
    return QINS_OK;
}

static bool is_usable(const bpe_work *work, int32_t id) {
    return id >= 0 && !(work->plain && (work->tokenizer->token_flags[id] & TOKEN_ADDED));
}

// --- characters to symbols ---

static void add_symbol(bpe_work *work, int32_t id) {
    void *symbols = work->symbols;
    size_t index = work->n_symbols;
    if (qins_grow(&symbols, &work->symbol_capacity, index + 1, sizeof *work->symbols, work->error) != QINS_OK) return;
    work->symbols = symbols;
    work->symbols[index] = (symbol){
        .id = (uint32_t)id, .prev = index == work->word ? NONE : (uint32_t)index - 1, .next = (uint32_t)index + 1};
    work->n_symbols++;
}

static void flush_unk(bpe_work *work) {
    if (work->unk_pending) add_symbol(work, work->tokenizer->unk_id);
    work->unk_pending = false;
}

static bool add_bytes(bpe_work *work, const char *bytes, size_t size) {
    const int32_t *byte_ids = work->tokenizer->byte_ids;
    if (!work->tokenizer->byte_fallback) return false;
    for (size_t i = 0; i < size; i++)
        if (!is_usable(work, byte_ids[(unsigned char)bytes[i]])) return false;
    for (size_t i = 0; i < size; i++) add_symbol(work, byte_ids[(unsigned char)bytes[i]]);
    return true;
}

// An unknown character's unk_id is written only when the next known one comes (so that neighbours can fuse); bytes do
// not flush it. That reorders if some byte pieces are missing, as in Hugging Face.
static void add_character(bpe_work *work, const char *text, size_t size, bool valid) {
    int32_t id = valid ? tokenizer_find_piece(work->tokenizer, text, size) : -1;
    if (is_usable(work, id)) {
        flush_unk(work);
        add_symbol(work, id);
    } else if (!add_bytes(work, text, size) && work->tokenizer->unk_id >= 0) {
        if (!work->tokenizer->fuse_unk) flush_unk(work);
        work->unk_pending = true;
    }
}

static void add_word(bpe_work *work, const char *text, size_t size) {
    work->word = work->n_symbols;
    int32_t whole = work->tokenizer->ignore_merges ? tokenizer_find_piece(work->tokenizer, text, size) : -1;
    if (is_usable(work, whole)) {
        add_symbol(work, whole);
        return;
    }
    for (size_t at = 0; at < size && work->error->status == QINS_OK;) {
        uint32_t code_point;
        size_t length = utf8_decode(text + at, size - at, &code_point);
        add_character(work, text + at, length == 0 ? 1 : length, length != 0);
        at += length == 0 ? 1 : length;
    }
    flush_unk(work);
}

// --- merging ---

// A heap in which every value has four below it: half as deep as with two, and the four are next to each other.
static void heap_sink(uint64_t *heap, size_t count, size_t at) {
    uint64_t value = heap[at];
    for (size_t child; (child = 4 * at + 1) < count; at = child) {
        const size_t end = child + 4 < count ? child + 4 : count;
        for (size_t other = child + 1; other < end; other++)
            if (heap[other] < heap[child]) child = other;
        if (value <= heap[child]) break;
        heap[at] = heap[child];
    }
    heap[at] = value;
}

// The smallest candidate of both lists; false if there is none left.
static bool pop(bpe_work *work, uint64_t *candidate) {
    merge_list *heap = &work->heap;
    const bool queued = work->next < work->queue.count;
    if (heap->count == 0 && !queued) return false;
    if (queued && (heap->count == 0 || work->queue.items[work->next] < heap->items[0])) {
        *candidate = work->queue.items[work->next++];
        return true;
    }
    *candidate = heap->items[0];
    heap->items[0] = heap->items[--heap->count];
    if (heap->count > 0) heap_sink(heap->items, heap->count, 0);
    return true;
}

// The candidate of two neighbours; false if they do not merge.
static bool find_candidate(const bpe_work *work, uint32_t left, uint32_t right, uint64_t *candidate) {
    const qins_tokenizer *tokenizer = work->tokenizer;
    uint64_t tag;
    const uint32_t entry = (uint32_t)*find_slot(tokenizer, work->symbols[left].id, work->symbols[right].id, &tag);
    *candidate = (uint64_t)(entry - 1) << 32 | left;
    return entry != 0 && is_usable(work, (int32_t)tokenizer->merges[entry - 1].result);
}

static void append(bpe_work *work, merge_list *list, uint64_t candidate) {
    void *items = list->items;
    if (qins_grow(&items, &list->capacity, list->count + 1, sizeof *list->items, work->error) != QINS_OK) return;
    list->items = items;
    list->items[list->count++] = candidate;
}

static void heap_push(bpe_work *work, uint64_t value) {
    append(work, &work->heap, value);
    if (work->error->status != QINS_OK) return;
    uint64_t *heap = work->heap.items;
    size_t at = work->heap.count - 1;
    for (size_t parent; at > 0 && value < heap[parent = (at - 1) / 4]; at = parent) heap[at] = heap[parent];
    heap[at] = value;
}

// A long run of one character merges from left to right, rank after rank: most of its candidates come in order.
static void push(bpe_work *work, uint32_t left, uint32_t right) {
    const merge_list *queue = &work->queue;
    uint64_t candidate;
    if (left == NONE || right == NONE || !find_candidate(work, left, right, &candidate)) return;
    if (work->next == queue->count || candidate > queue->items[queue->count - 1])
        append(work, &work->queue, candidate);
    else
        heap_push(work, candidate);
}

static int compare_candidates(const void *a, const void *b) {
    const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void sort(merge_list *list) {
    if (list->count > 16) {
        qsort(list->items, list->count, sizeof *list->items, compare_candidates);
        return;
    }
    for (size_t i = 1; i < list->count; i++) { // most words are short
        const uint64_t value = list->items[i];
        size_t at = i;
        for (; at > 0 && value < list->items[at - 1]; at--) list->items[at] = list->items[at - 1];
        list->items[at] = value;
    }
}

// Whichever merges apply, the piece on the left of this place ends as symbol `index` does now, and the piece on its
// right begins as the next symbol does: so the table of merges tells whether anything can ever join them.
static bool may_join(const bpe_work *work, size_t index) {
    unsigned first = first_byte(work->tokenizer, work->symbols[index + 1].id);
    return work->tokenizer->joins[last_byte(work->tokenizer, work->symbols[index].id)][first / 8] >> first % 8 & 1;
}

// Merge symbols [start, end), as if there were no others.
static void merge_run(bpe_work *work, size_t start, size_t end) {
    symbol *symbols = work->symbols;
    symbols[start].prev = symbols[end - 1].next = NONE;
    work->queue.count = work->next = 0;
    for (size_t i = start; i + 1 < end && work->error->status == QINS_OK; i++) {
        uint64_t candidate;
        if (find_candidate(work, (uint32_t)i, (uint32_t)i + 1, &candidate)) append(work, &work->queue, candidate);
    }
    sort(&work->queue);
    for (uint64_t top; work->error->status == QINS_OK && pop(work, &top);) {
        const bpe_merge *merge = &work->tokenizer->merges[top >> 32];
        uint32_t index = (uint32_t)top;
        symbol *left = &symbols[index];
        if (left->id != merge->left || left->next == NONE || symbols[left->next].id != merge->right) continue;
        uint32_t gone = left->next;
        left->id = merge->result;
        left->next = symbols[gone].next;
        symbols[gone].id = NONE;
        if (left->next != NONE) symbols[left->next].prev = index;
        push(work, left->prev, index);
        push(work, index, left->next);
    }
}

static void merge_all(bpe_work *work) {
    size_t start = 0;
    for (size_t end = 1; end <= work->n_symbols; end++) {
        if (end < work->n_symbols && work->symbols[end].prev != NONE && may_join(work, end - 1)) continue;
        merge_run(work, start, end);
        start = end;
    }
}

qins_status bpe_encode(const qins_tokenizer *tokenizer, const pipeline_words *words, bool plain, qins_ids *ids,
                       qins_error *error) {
    bpe_work work = {.tokenizer = tokenizer, .plain = plain, .error = error};
    const char *text = (const char *)words->text.data;
    for (size_t i = 0, start = 0; i < words->n_words && error->status == QINS_OK; start = words->ends[i++])
        add_word(&work, text + start, words->ends[i] - start);
    if (error->status == QINS_OK) merge_all(&work);
    for (size_t i = 0; i < work.n_symbols && error->status == QINS_OK; i++)
        if (work.symbols[i].id != NONE) qins_ids_append(ids, (int32_t)work.symbols[i].id, error);
    free(work.symbols);
    free(work.queue.items);
    free(work.heap.items);
    return error->status;
}
