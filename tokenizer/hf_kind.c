// The kind of tokenizer that a tokenizer.json describes, in words: most files that cannot be read are of another kind,
// and no single field says so.
#include "tokenizer/hf_internal.h"

#include <string.h>

qins_status hf_check_kind(const qins_json *root, qins_error *error) {
    static const struct {
        const char *type, *words;
    } kinds[] = {{"Unigram", "a SentencePiece Unigram tokenizer (T5, XLM-R)"},
                 {"WordPiece", "a WordPiece tokenizer (BERT)"},
                 {"WordLevel", "a tokenizer of whole words (WordLevel)"}};
    const char *type = qins_json_text(qins_json_get(qins_json_get(root, "model"), "type")), *words = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && type != NULL; i++)
        if (strcmp(type, kinds[i].type) == 0) words = kinds[i].words;
    if (words == NULL) return error->status;
    return qins_fail(
        error, QINS_BAD_MODEL,
        "this is %s; only BPE is supported: with byte fallback (Phi-3, Llama 2, Mistral) or on bytes (GPT-2, Phi-4)",
        words);
}
