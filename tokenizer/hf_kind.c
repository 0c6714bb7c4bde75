// The kind of tokenizer that a tokenizer.json describes, in words: most files that cannot be read are of another kind,
// and no single field says so.
#include "tokenizer/hf_internal.h"

#include <string.h>

// Is the step of this type, or a sequence with a step of this type?
static bool has_step(const qins_json *step, const char *type) {
    static const char *const lists[] = {"pretokenizers", "decoders", "processors"};
    const char *own = qins_json_text(qins_json_get(step, "type"));
    if (own != NULL && strcmp(own, type) == 0) return true;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const qins_json *item = qins_json_first(qins_json_get(step, lists[i]));
        for (; item != NULL; item = qins_json_next(item)) {
            const char *name = qins_json_text(qins_json_get(item, "type"));
            if (name != NULL && strcmp(name, type) == 0) return true;
        }
    }
    return false;
}

qins_status hf_check_kind(const qins_json *root, qins_error *error) {
    static const struct {
        const char *type, *words;
    } kinds[] = {{"Unigram", "a SentencePiece Unigram tokenizer (T5, XLM-R)"},
                 {"WordPiece", "a WordPiece tokenizer (BERT)"},
                 {"WordLevel", "a tokenizer of whole words (WordLevel)"}};
    const char *type = qins_json_text(qins_json_get(qins_json_get(root, "model"), "type")), *words = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && type != NULL; i++)
        if (strcmp(type, kinds[i].type) == 0) words = kinds[i].words;
    if (has_step(qins_json_get(root, "pre_tokenizer"), "ByteLevel") ||
        has_step(qins_json_get(root, "decoder"), "ByteLevel"))
        words = "a byte-level BPE tokenizer (GPT-2, Llama 3, Phi-4)";
    if (words == NULL) return error->status;
    return qins_fail(error, QINS_BAD_MODEL,
                     "this is %s; supported is BPE with byte fallback, as of Phi-3, Llama 2 and Mistral", words);
}
