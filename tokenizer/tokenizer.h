// Text to token ids and back, exactly as Hugging Face `tokenizers` does it for BPE tokenizers: with byte fallback
// (Phi-3, Llama 2, Mistral) or on bytes (GPT-2, Phi-4), added tokens with their flags. Knows nothing of models. Text is
// UTF-8 as (pointer, length); a byte that is not part of a valid sequence is encoded as its byte piece.
#ifndef QINS_TOKENIZER_H
#define QINS_TOKENIZER_H

#include "engine/base/buffer.h"
#include "engine/base/error.h"
#include "engine/base/json.h"

#include <stddef.h>
#include <stdint.h>

typedef struct qins_tokenizer qins_tokenizer;

// The tokenizer_config.json beside a tokenizer.json, and the parts of both that are left out or changed.
typedef struct qins_tokenizer_cut {
    size_t n_rows; // in: the model's. Added tokens with ids from here on have no embedding. 0: none is left out
    const qins_json *config; // in: tokenizer_config.json, whose tokens are added as AutoTokenizer does it; NULL: none
    size_t n_added;          // out: added tokens that are left out
    char notice[512];        // out: clauses that name other parts that are ignored, "" if there are none
    char config_notice[512]; // out: a clause that names the tokens that `config` changes, "" if there are none
} qins_tokenizer_cut;

// Read a Hugging Face tokenizer.json (json of `size` bytes). Variants that are not understood are refused by name: NULL
// and an error (QINS_BAD_MODEL). `cut` may be NULL: nothing changes it. Release with qins_tokenizer_free.
qins_tokenizer *qins_tokenizer_from_hf(const char *json, size_t size, qins_tokenizer_cut *cut, qins_error *error);

// The same tokenizer as a tokenizer.json, from which Hugging Face and qins_tokenizer_from_hf read it again: it then
// packs to the same bytes. *json is NUL-terminated, released with free().
qins_status qins_tokenizer_to_hf(const qins_tokenizer *tokenizer, char **json, qins_error *error);

// The compact form that a .qins file carries (engine/format/FORMAT.md, "Tokenizer section"). *data is released with
// free(). The same tokenizer always packs to the same bytes.
qins_status qins_tokenizer_pack(const qins_tokenizer *tokenizer, uint8_t **data, size_t *size, qins_error *error);

// Read the compact form; every length, id and offset is checked. Nothing of `data` is kept.
qins_tokenizer *qins_tokenizer_unpack(const uint8_t *data, size_t size, qins_error *error);
void qins_tokenizer_free(qins_tokenizer *tokenizer);

size_t qins_tokenizer_vocab_size(const qins_tokenizer *tokenizer); // largest id + 1
// The number of ids below a model's `n_ids` that have no text. Up to QINS_PADDING_IDS of them pad a model's vocabulary
// to a round number; more mean that the tokenizer belongs to another model.
enum { QINS_PADDING_IDS = 256 };
size_t qins_tokenizer_ids_without_text(const qins_tokenizer *tokenizer, size_t n_ids);
// Id of an added token (e.g. "<|end|>"), -1 if there is none.
int32_t qins_tokenizer_added_id(const qins_tokenizer *tokenizer, const char *content);
// Text of one token as tokenizer.json spells it ("▁the", "<0x0A>", "<|end|>"); NULL if the id has none. *size: bytes.
const char *qins_tokenizer_piece(const qins_tokenizer *tokenizer, int32_t id, size_t *size);
// Append what one token adds to a text: its bytes, which need not be UTF-8 by themselves. False if the id has none.
bool qins_tokenizer_token_bytes(const qins_tokenizer *tokenizer, int32_t id, qins_buffer *bytes);
bool qins_tokenizer_is_special(const qins_tokenizer *tokenizer, int32_t id);

// Append the ids of the text to *ids, with flags of qins.h; on failure *ids is as before. O(n log n) in the length of
// the text (<= 1 GiB).
qins_status qins_tokenizer_encode(const qins_tokenizer *tokenizer, const char *text, size_t size, unsigned flags,
                                  qins_ids *ids, qins_error *error);

// Append the ids in decimal, with the separator between them. This does not use a library's JSON objects: a text of 1
// MB may be a million ids, each of which would take a hundred bytes.
void qins_ids_print(const qins_ids *ids, char separator, qins_buffer *out);

// Streaming decode: feed ids one by one, get the text that is final. A run of byte pieces is held back until another
// piece or the end follows: Hugging Face shows it if all of it is UTF-8, else as one U+FFFD per byte. A tokenizer on
// bytes holds back only the start of a character that is not complete. Spaces that the decoder strips from the start
// are removed; ids without a token are dropped. The concatenation of all pieces (including _finish) equals Hugging
// Face's decode of the whole id list. After _finish the stream is ready for another list.
typedef struct qins_text_stream qins_text_stream;
qins_text_stream *qins_text_stream_create(const qins_tokenizer *tokenizer, bool skip_special, qins_error *error);
void qins_text_stream_free(qins_text_stream *stream);
// At the start of a list: it continues one that ends with `id`, so its text is the addition to that one's, and spaces
// at its start are kept. After a token that is dropped, such as a marker, the list is a text of its own.
void qins_text_stream_follow(qins_text_stream *stream, int32_t id);
// *text (owned by the stream, valid until the next call, not NUL-terminated) and *size: the text that can be shown now.
qins_status qins_text_stream_push(qins_text_stream *stream, int32_t id, const char **text, size_t *size,
                                  qins_error *error);
qins_status qins_text_stream_finish(qins_text_stream *stream, const char **text, size_t *size, qins_error *error);
// Bytes that are held back, as the tokens spell them: *bytes (owned by the stream, valid until the next call) and how
// many.
size_t qins_text_stream_held(const qins_text_stream *stream, const char **bytes);

// Decode a whole list. *text is NUL-terminated, released with free(); *size: its bytes.
qins_status qins_tokenizer_decode(const qins_tokenizer *tokenizer, const int32_t *ids, size_t n_ids, bool skip_special,
                                  char **text, size_t *size, qins_error *error);

#endif
