// The tokenizer's insides, shared only by the files of tokenizer/. An object is built in two steps: a reader
// (hf_tokenizer.c or pack.c) fills the first half of the struct, then tokenizer_index() checks all of it and derives
// the second half. So both readers accept exactly the same tokenizers.
#ifndef QINS_TOKENIZER_INTERNAL_H
#define QINS_TOKENIZER_INTERNAL_H

#include "engine/base/hash.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/tokenizer.h"

#define TOKENIZER_MAX_IDS ((size_t)1 << 22)
#define TOKENIZER_MAX_PIECE ((size_t)1024)   // bytes
#define TOKENIZER_MAX_ADDED ((size_t)65536)  // added tokens
#define TOKENIZER_MAX_MARKER ((size_t)256)   // bytes of one, which is searched for at every position of a text
#define TOKENIZER_MAX_AROUND ((size_t)64)    // ids before and after a text, together
#define TOKENIZER_MAX_TEXT ((size_t)1 << 30) // bytes of one text to encode: symbols are counted in 32 bits

enum {                      // the first six as in the file
    TOKEN_SPECIAL = 1,      // added token, dropped by skip_special
    TOKEN_RSTRIP = 2,       // added token that consumes the white space after it
    TOKEN_IN_MODEL = 4,     // in the BPE vocabulary: can come out of text (every token that is not added, and some are)
    TOKEN_LSTRIP = 8,       // added token that consumes the white space before it
    TOKEN_SINGLE_WORD = 16, // added token that is not found inside a word
    TOKEN_NORMALIZED = 32,  // added token whose normalized text is found in the normalized text
    TOKEN_ADDED = 64        // found in text before BPE sees it
};

typedef struct bpe_merge {
    uint32_t left, right, result; // ids; the index in the list of merges is the rank
} bpe_merge;

typedef struct added_token {
    const char *text; // the text searched for, inside piece_bytes or normalized_bytes
    size_t size;      // bytes
    int32_t id;
} added_token;

typedef struct added_set {
    added_token *tokens; // [n_tokens] by text, bytewise
    size_t n_tokens;
    uint32_t first[257]; // those that start with byte b are tokens[first[b] .. first[b + 1])
} added_set;

struct qins_tokenizer {
    size_t n_ids;           // largest id + 1
    uint32_t *piece_starts; // [n_ids + 1] offsets in piece_bytes; an id without a piece has an empty one
    char *piece_bytes;
    uint8_t *token_flags; // [n_ids] TOKEN_*; 0 for an id without a piece, and only then
    bpe_merge *merges;    // [n_merges] by rank
    size_t n_merges;
    int32_t unk_id;     // id of an unknown character, -1: it is dropped
    bool fuse_unk;      // neighbouring unknown characters become one unk_id
    bool byte_fallback; // unknown characters become bytes if all of these have pieces
    bool ignore_merges; // a word that is a piece becomes that piece
    pipeline normalizer, pre_tokenizer, decoder;
    qins_ids prefix; // ids that QINS_ADD_PREFIX puts before and after the text
    qins_ids suffix;

    qins_hash_key hash_key; // of the two tables of slots

    // Derived by tokenizer_index(). Slots are open-addressing hash tables of index + 1, 0 is free; masks are size - 1.
    uint32_t *piece_slots; // ids of pieces that are in the model, by text
    size_t piece_mask;
    uint64_t *merge_slots; // ranks of merges, by (left, right); above them the upper half of the hash, so a pair that
                           // does not merge is recognized without looking at the merges
    size_t merge_mask;
    uint8_t joins[256][32]; // bit b % 8 of [a][b / 8]: some merge joins a piece that ends with byte a and one that
                            // begins with b
    added_set added[2];     // looked for in the text as it is, and in the normalized text
    qins_buffer normalized_bytes; // the texts that the second set searches for
    added_token *normalized;      // [added[1].n_tokens] the second set again, by id
    int32_t byte_ids[256];        // id of <0xBB>, -1 if the model has none
};

// tokenizer.c
qins_tokenizer *tokenizer_create(qins_error *error);
// Lay out room for n_ids pieces of these sizes (0: none), all text still to be filled in.
qins_status tokenizer_allocate_pieces(qins_tokenizer *tokenizer, const uint32_t *piece_sizes, size_t n_ids,
                                      qins_error *error);
qins_status tokenizer_index_pieces(qins_tokenizer *tokenizer, qins_error *error); // first, needs flags and text
qins_status tokenizer_index(qins_tokenizer *tokenizer, qins_error *error);        // the rest, then all is ready
int32_t tokenizer_find_piece(const qins_tokenizer *tokenizer, const char *text, size_t size); // in the model; or -1
// Slots of `size` bytes for `count` entries, at most half full. *mask: number of slots - 1.
void *tokenizer_create_slots(size_t count, size_t size, const char *what, size_t *mask, qins_error *error);

static inline const char *tokenizer_piece_text(const qins_tokenizer *tokenizer, size_t id, size_t *size) {
    *size = tokenizer->piece_starts[id + 1] - tokenizer->piece_starts[id];
    return tokenizer->piece_bytes + tokenizer->piece_starts[id];
}

static inline bool tokenizer_has_piece(const qins_tokenizer *tokenizer, int64_t id) {
    return id >= 0 && (uint64_t)id < tokenizer->n_ids && tokenizer->token_flags[id] != 0;
}

// added_tokens.c
typedef struct added_match {
    size_t start, end; // bytes of the text
    int32_t id;
} added_match;
qins_status added_index(qins_tokenizer *tokenizer, qins_error *error);
// The token of the set that looks for exactly this text; NULL if there is none.
const added_token *added_with_text(const added_set *set, const char *text, size_t size);
// The leftmost token of the set at or after byte `from`, the longest of those that start there.
bool added_find(const added_set *set, const char *text, size_t size, size_t from, added_match *match);

// A token's text as a decoder takes it: for a token that is found in normalized text, its normalized text; NULL if the
// id has none.
const char *added_spelling(const qins_tokenizer *tokenizer, int32_t id, size_t *size);

// The added tokens of a text from left to right, with the white space that they consume.
typedef struct added_walk {
    const qins_tokenizer *tokenizer;
    const added_set *set;
    const char *text;
    size_t size;
    size_t searched, space_end; // where to look next; the end of the last run of white space that was measured
    size_t done;                // the end of the last match
} added_walk;
bool added_next(added_walk *walk, added_match *match);
// The start of the white space that ends at `end`, which a token with TOKEN_LSTRIP consumes; not before `least`.
size_t added_space_start(const char *text, size_t least, size_t end);

// bpe.c
qins_status bpe_index(qins_tokenizer *tokenizer, qins_error *error);
// Append the ids of words, each by itself. `plain`: pieces that are also added tokens do not take part (except unk_id),
// so no text can produce them.
qins_status bpe_encode(const qins_tokenizer *tokenizer, const pipeline_words *words, bool plain, qins_ids *ids,
                       qins_error *error);

// text_stream.c
// The byte (0-255) that a piece <0xBB> stands for when decoding, -1 for other pieces.
int text_piece_byte(const char *piece, size_t size);

#endif
